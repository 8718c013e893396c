"""The weights between items and their neighbours, from made-up choices: seconds by items, choices and neighbours.

The limit is counted: m³/6 multiply-adds per item at the rate of NumPy's BLAS in float32, measured beside, and
Σ n_u² / 2 additions in random places, at most one a cycle and core, for each block of items that the scratch holds.
The peer cuts every system out of a dense Gram matrix, whose making is not counted, and solves it by LAPACK; it runs on
a sample of the items and is scaled up.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from common import alternate, peak_rss, write_json
from fastcf import _cpu
from fastcf.data import make_ratings

SAMPLE = 200  # items of the peer
DENSE_ITEMS = 20_000  # at most, for the peer


def neighbours(x: Any, weights: Any, m: int, threads: int) -> tuple[Any, Any, float]:
    """Return the m nearest items of every item by the cosine of the weighted Gram matrix, and the seconds."""
    begin = time.perf_counter()
    by_item = x.T.tocsr()
    norms = np.sqrt(np.bincount(x.indices, np.repeat(weights, np.diff(x.indptr)), x.shape[1])).astype(np.float32)
    rows = [(a.indptr.astype(np.int64), a.indices.astype(np.int32), None) for a in (by_item, x)]
    itself = np.arange(x.shape[1], dtype=np.int32)
    found, _ = _cpu.cooccurrence(
        *rows[0], *rows[1], x.shape[1], m, weights=weights, row_scale=norms, column_scale=norms, left_out=itself,
        n_threads=threads,
    )  # fmt: skip
    found.sort(axis=1)
    there = found >= 0
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return indptr, found[there], time.perf_counter() - begin


def dense_gram(x: Any, weights: Any) -> Any:
    scaled = x.copy()
    scaled.data = np.repeat(weights, np.diff(x.indptr)).astype(np.float32)
    return (x.T @ scaled).toarray()


def blas_rate(threads: int) -> float:
    """Return the multiply-adds per second of a float32 product."""
    a = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    with threadpool_limits(threads):
        seconds = alternate({"product": lambda: a @ a}, 3, warmup=1)["product"]
    return float(2048**3 / min(seconds))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--choices", type=int, default=10_000_000)
    parser.add_argument("--m", type=int, default=100)
    parser.add_argument("--scratch", type=int, default=1 << 30, help="bytes")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    x = make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0).to_scipy().tocsr()
    x.data[:] = 1
    sizes = np.diff(x.indptr)
    weights = (np.maximum(sizes, 1) ** -0.5).astype(np.float32)
    reg, diagonal = float(150 * weights.mean()), 0.4 / 0.6
    indptr, rows, seconds_of_neighbours = neighbours(x, weights, arguments.m, arguments.threads)
    csr = x.indptr.astype(np.int64), x.indices.astype(np.int32)
    before = peak_rss()
    result = {}

    def ours() -> None:
        result["fastcf"] = _cpu.local_weights(
            *csr, None, x.shape[1], weights, indptr, rows, reg, diagonal,
            scratch_bytes=arguments.scratch, n_threads=arguments.threads,
        )  # fmt: skip

    runs = {"fastcf": ours}
    sample = np.arange(0, x.shape[1], max(1, x.shape[1] // SAMPLE))
    if x.shape[1] <= DENSE_ITEMS:
        gram = dense_gram(x, weights)
        before = peak_rss()

        def peer() -> None:
            solved = []
            for j in sample:
                own = rows[indptr[j] : indptr[j + 1]]
                matrix = gram[np.ix_(own, own)]
                matrix[np.diag_indices_from(matrix)] *= 1 + diagonal
                matrix[np.diag_indices_from(matrix)] += reg
                solved.append(scipy.linalg.solve(matrix, gram[own, j], assume_a="pos"))
            result["peer"] = np.concatenate(solved)

        runs["peer"] = peer
    with threadpool_limits(arguments.threads):
        seconds = alternate(runs, arguments.repeats)
    peak = peak_rss() - before
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    lengths = np.diff(indptr).astype(np.float64)
    solves, sums = float((lengths**3 / 6).sum()), float((sizes.astype(np.float64) ** 2).sum() / 2)
    scratch = float((2 * lengths * (lengths + 1) + 12 * lengths).sum())
    blocks = max(1.0, np.ceil(scratch / arguments.scratch))
    rate = blas_rate(arguments.threads)
    own = medians["fastcf"]
    print(f"{x.shape[1]} items, {x.nnz} choices, m = {arguments.m}: neighbours {seconds_of_neighbours:.2f} s")
    print(f"weights {own:.2f} s; systems alone at the rate of BLAS {solves / rate:.2f} s ({solves / rate / own:.0%})")
    print(f"about {blocks:.0f} blocks of at most {sums:.2g} additions each: {blocks * sums / own:.2g} a second")
    print(
        f"memory above what was there before: {peak / 2**20:.0f} MiB, of which scratch {scratch / blocks / 2**20:.0f}"
    )
    if "peer" in medians:
        scaled = medians["peer"] * x.shape[1] / len(sample)
        kept = np.concatenate([result["fastcf"][indptr[j] : indptr[j + 1]] for j in sample])
        print(f"peer {scaled:.1f} s, its Gram matrix not counted: {scaled / own:.1f} x ours; largest difference "
              f"{np.abs(kept - result['peer']).max():.1e}")  # fmt: skip
    payload = {
        **vars(arguments),
        "seconds": seconds,
        "seconds_of_neighbours": seconds_of_neighbours,
        "multiply_adds": solves,
        "additions_of_a_block": sums,
        "blocks": blocks,
        "blas_rate": rate,
        "peak_bytes": peak,
    }
    print("written:", write_json("local_weights", payload))


if __name__ == "__main__":
    main()
