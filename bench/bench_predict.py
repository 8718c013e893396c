"""Prediction at pairs and for whole users, and the error over stored ratings, against NumPy.

Run ``python bench/bench_predict.py``. NumPy gathers both rows and sums with ``einsum``; its dense prediction is a
matrix product (BLAS with the same number of threads). Both sides alternate in one process on the same data.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=71_567)
    parser.add_argument("--items", type=int, default=10_681)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    n_users, n_items, n, k = arguments.users, arguments.items, arguments.pairs, arguments.factors

    rng = np.random.default_rng(20261120)
    p, q = rng.standard_normal((n_users, k), np.float32), rng.standard_normal((n_items, k), np.float32)
    b_u, b_i = rng.standard_normal(n_users, np.float32), rng.standard_normal(n_items, np.float32)
    users, items = rng.integers(0, n_users, n).astype(np.int32), rng.integers(0, n_items, n).astype(np.int32)
    order = np.lexsort((items, users))
    rows, columns = users[order], items[order]
    indptr = np.searchsorted(rows, np.arange(n_users + 1)).astype(np.int64)
    values = rng.standard_normal(n, np.float32)
    some = np.arange(2_000, dtype=np.int32)
    model: dict[str, Any] = {
        "user_factors": p,
        "item_factors": q,
        "user_bias": b_u,
        "item_bias": b_i,
        "global_offset": 3.5,
    }

    def numpy_pairs(u: np.ndarray = users, i: np.ndarray = items) -> np.ndarray:
        return np.float32(3.5) + b_u[u] + b_i[i] + np.einsum("ek,ek->e", p[u], q[i])

    def numpy_block() -> np.ndarray:
        return np.float32(3.5) + b_u[some, None] + b_i[None] + p[some] @ q.T

    def numpy_errors() -> float:
        return float(((numpy_pairs(rows, columns) - values).astype(np.float64) ** 2).sum())

    threads = arguments.threads
    functions = {
        "pairs, fastcf": lambda: _cpu.predict_pairs(users, items, **model, n_threads=threads),
        "pairs, numpy": numpy_pairs,
        "block, fastcf": lambda: _cpu.predict_block(some, **model, n_threads=threads),
        "block, numpy": numpy_block,
        "errors, fastcf": lambda: _cpu.evaluate_csr(indptr, columns, values, **model, n_threads=threads),
        "errors, numpy": numpy_errors,
    }
    np.testing.assert_allclose(functions["pairs, fastcf"](), numpy_pairs(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(functions["block, fastcf"](), numpy_block(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(functions["errors, fastcf"]()[0], numpy_errors(), rtol=1e-4)
    with threadpool_limits(threads, user_api="blas"):
        seconds = alternate(functions, arguments.repeats, warmup=1)
    best = {name: min(times) for name, times in seconds.items()}
    cells = {"pairs": n, "block": len(some) * n_items, "errors": n}
    print(f"k = {k}, {threads} threads, NumPy {np.__version__}")
    ratios = {}
    for what, count in cells.items():
        ours, peer = best[f"{what}, fastcf"], best[f"{what}, numpy"]
        ratios[what] = peer / ours
        print(f"  {what:<7} {count:>11,}  fastcf {ours * 1e3:8.2f} ms ({count / ours / 1e6:7.1f} M/s)  "
              f"numpy {peer * 1e3:8.2f} ms   {peer / ours:5.2f} x")  # fmt: skip
    shape = {"users": n_users, "items": n_items, "factors": k}
    write_json("predict", {"shape": shape, "threads": threads, "cells": cells, "seconds": seconds, "ratios": ratios})


if __name__ == "__main__":
    main()
