"""The nearest items of every item by cosine, from choices.

Peers: SciPy's sparse product, cut by argpartition, and implicit. The limit is counted: an addition is a load and a
store in a random place, at most one a cycle and core.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from common import alternate, peak_rss, write_json
from fastcf import _cpu
from fastcf.data import make_ratings

ROWS_AT_ONCE = 2000  # of the peer's product, so that it is not stored whole


def scipy_neighbours(unit: Any, m: int) -> Callable[[], Any]:
    """Return SciPy's way: the product of some rows with all, and the largest of each row."""
    by_item = unit.T.tocsr()

    def run() -> list[Any]:
        found = []
        for begin in range(0, by_item.shape[0], ROWS_AT_ONCE):
            product = (by_item[begin : begin + ROWS_AT_ONCE] @ unit).tocsr()
            for row in range(product.shape[0]):
                part = slice(product.indptr[row], product.indptr[row + 1])
                values, columns = product.data[part], product.indices[part]
                best = np.argpartition(-values, m)[:m] if values.size > m else np.arange(values.size)
                found.append((columns[best], values[best]))
        return found

    return run


def implicit_neighbours(unit: Any, m: int, threads: int) -> Callable[[], Any] | None:
    """Return implicit's way; None where it is not installed."""
    try:
        from implicit.nearest_neighbours import all_pairs_knn
    except ImportError:
        print("implicit is not installed: left out")
        return None
    by_user = unit.astype(np.float64)
    return lambda: all_pairs_knn(by_user, K=m, show_progress=False, num_threads=threads)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--m", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", default="scipy,implicit", help="which of them, separated by commas")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    x = make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0).to_scipy().tocsr()
    x.data[:] = 1
    norms = np.sqrt(np.bincount(x.indices, minlength=x.shape[1])).astype(np.float32)
    unit = scipy.sparse.csr_matrix(x @ scipy.sparse.diags(1 / np.maximum(norms, 1)), dtype=np.float32)
    left, right = x.T.tocsr(), x
    rows = [(a.indptr.astype(np.int64), a.indices.astype(np.int32), None) for a in (left, right)]
    itself = np.arange(x.shape[1], dtype=np.int32)

    def ours(threads: int) -> Any:
        return _cpu.cooccurrence(
            *rows[0], *rows[1], x.shape[1], arguments.m,
            row_scale=norms, column_scale=norms, left_out=itself, n_threads=threads,
        )  # fmt: skip

    runs: dict[str, Callable[[], Any]] = {
        "fastcf": lambda: ours(arguments.threads),
        "fastcf, 1 thread": lambda: ours(1),
    }
    peers = arguments.peers.split(",")
    if "scipy" in peers:
        runs["scipy, 1 thread"] = scipy_neighbours(unit, arguments.m + 1)
    if "implicit" in peers:
        peer = implicit_neighbours(unit, arguments.m + 1, arguments.threads)
        if peer is not None:
            runs["implicit"] = peer
    seconds = alternate(runs, arguments.repeats)
    additions = int((np.diff(x.indptr).astype(np.int64) ** 2).sum())
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:<18} {value:8.3f} s  {additions / value / 1e6:8.0f} M additions/s  {value / best['fastcf']:6.1f}")
    print(f"{additions / 1e6:.0f} M additions; peak memory {peak_rss() / 2**20:.0f} MiB")
    result = {**vars(arguments), "additions": additions, "seconds": seconds, "best": best}
    print("written:", write_json("cooccurrence", result))


if __name__ == "__main__":
    main()
