"""Ten items for all users by sparse weights between items, against SciPy's product and partition.

The limit is counted: an addition is a load and a store in a random place, at most one a cycle and core.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import scipy.sparse

from common import alternate, write_json
from fastcf import _cpu
from fastcf.data import make_ratings

USERS_AT_ONCE = 512  # of the peer's product


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--m", type=int, default=100, help="weights of an item")
    parser.add_argument("--n", type=int, default=10, help="items of a list")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    x = make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0).to_scipy().tocsr()
    x.data[:] = 1
    x = x.astype(np.float32)
    rng = np.random.default_rng(0)
    n_items, m = x.shape[1], arguments.m
    columns = (rng.integers(0, n_items, (n_items, 1)) + np.cumsum(rng.integers(1, 50, (n_items, m)), axis=1)) % n_items
    weights = scipy.sparse.csr_matrix(
        (rng.standard_normal(n_items * m).astype(np.float32), (np.repeat(np.arange(n_items), m), columns.ravel())),
        shape=(n_items, n_items),
    )
    weights.sum_duplicates()
    history, rows = ((a.indptr.astype(np.int64), a.indices.astype(np.int32), a.data) for a in (x, weights))
    everyone = np.arange(x.shape[0], dtype=np.int32)
    found: dict[str, Any] = {}

    def ours() -> None:
        found["fastcf"] = _cpu.sparse_item_scores_best(
            *history, everyone, *rows, n_items, arguments.n, None, history[0], history[1], n_threads=arguments.threads
        )[1]

    def scipy_product() -> None:
        best = []
        for begin in range(0, x.shape[0], USERS_AT_ONCE):
            own = x[begin : begin + USERS_AT_ONCE]
            scores = (own @ weights).toarray()
            scores[own.nonzero()] = -np.inf
            best.append(-np.sort(np.partition(-scores, arguments.n - 1, axis=1)[:, : arguments.n], axis=1))
        found["scipy, 1 thread"] = np.concatenate(best)

    runs = {"fastcf": ours, "scipy, 1 thread": scipy_product}
    seconds = alternate(runs, arguments.repeats)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    additions = int(np.diff(rows[0])[history[1]].sum())
    for name, median in medians.items():
        print(f"{name:<16} {median:7.3f} s   {median / medians['fastcf']:5.1f} x ours")
    worst = max(float(np.abs(scores - found["fastcf"]).max()) for name, scores in found.items() if name != "fastcf")
    print(f"ours: {additions / medians['fastcf'] / 1e9:.2f} G additions/s; largest difference of scores {worst:.1e}")
    payload = {**vars(arguments), "seconds": seconds, "additions": additions}
    print("written:", write_json("sparse_item_scores", payload))


if __name__ == "__main__":
    main()
