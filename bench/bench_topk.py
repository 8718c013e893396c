"""Exact top-10 with seen items filtered: fastcf against implicit and PyTorch, and the share of the product rate.

Run ``python bench/bench_topk.py``; needs ``implicit``, ``torch`` and ``threadpoolctl``. All of them score the same
factors with the same number of threads, alternating in one process. The matrix-product rate is the best of a large
square product in PyTorch and in NumPy, measured in the same rounds.
"""

from __future__ import annotations

import argparse
from importlib import metadata
from typing import Any

import numpy as np
import scipy.sparse
import torch
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

import fastcf
from common import alternate, write_json
from fastcf import _cpu

SHAPES = {
    "10,000 users x 200,000 items": (10_000, 200_000, 50),
    "6,040 users x 3,706 items": (6_040, 3_706, 165),
    "1 user x 200,000 items": (1, 200_000, 50),
}


def make_problem(n_users: int, n_items: int, k: int, n_seen: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Return user factors, item factors and the seen items: gaussian factors, seen items spread evenly."""
    users = rng.standard_normal((n_users, k), dtype=np.float32)
    items = rng.standard_normal((n_items, k), dtype=np.float32)
    rows = np.repeat(np.arange(n_users), n_seen)
    columns = rng.integers(0, n_items, len(rows))
    seen = scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (n_users, n_items))
    seen.sum_duplicates()
    return users, items, seen


def make_contestants(users: np.ndarray, items: np.ndarray, seen: Any, n: int, threads: int) -> dict[str, Any]:
    n_users = len(users)
    indptr, indices = seen.indptr.astype(np.int64), seen.indices.astype(np.int32)

    def ours() -> Any:
        return _cpu.topk(users, items, None, n, indptr, indices, n_threads=threads)

    with threadpool_limits(1, user_api="blas"):  # implicit warns otherwise
        model = AlternatingLeastSquares(factors=users.shape[1], num_threads=threads)
    model.user_factors, model.item_factors = users, items

    def implicit() -> Any:
        return model.recommend(np.arange(n_users), seen, N=n)

    user_tensor, item_tensor = torch.from_numpy(users), torch.from_numpy(items)
    rows, columns = torch.from_numpy(np.repeat(np.arange(n_users), np.diff(indptr))), torch.from_numpy(indices).long()
    batch = max(1, 200_000_000 // len(items))  # at most 800 MB of scores at a time

    def pytorch() -> Any:
        ids = []
        for begin in range(0, n_users, batch):
            end = min(n_users, begin + batch)
            scores = user_tensor[begin:end] @ item_tensor.T
            entries = slice(indptr[begin], indptr[end])
            scores[rows[entries] - begin, columns[entries]] = -torch.inf
            best = torch.topk(scores, n)
            ids.append(best.indices)
        return torch.cat(ids).numpy(), None

    return {"fastcf": ours, "implicit": implicit, "torch": pytorch}


def make_products(threads: int, size: int = 4096) -> dict[str, Any]:
    left = torch.randn(size, size)
    array = left.numpy()
    return {"torch product": lambda: left @ left, "numpy product": lambda: array @ array}


def limited(function: Any, blas_threads: int) -> Any:
    def call() -> Any:
        with threadpool_limits(blas_threads, user_api="blas"):
            return function()

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    threads, k = arguments.threads, arguments.factors
    torch.set_num_threads(threads)
    rng = np.random.default_rng(20261120)
    results = []
    for title, (n_users, n_items, n_seen) in SHAPES.items():
        users, items, seen = make_problem(n_users, n_items, k, n_seen, rng)
        contestants = make_contestants(users, items, seen, arguments.n, threads)
        with threadpool_limits(1, user_api="blas"):
            agreement = {name: np.mean(contestants[name]()[0] == contestants["fastcf"]()[0]) for name in contestants}

        # implicit asks for single-threaded BLAS below its own threads; PyTorch and NumPy use theirs.
        functions = {name: limited(call, 1 if name == "implicit" else threads) for name, call in contestants.items()}
        functions |= {name: limited(call, threads) for name, call in make_products(threads).items()}
        seconds = alternate(functions, arguments.repeats, warmup=1)
        best = {name: min(times) for name, times in seconds.items()}
        rate = 2.0 * n_users * n_items * k / best["fastcf"] / 1e9
        product_rate = 2.0 * 4096**3 / min(best["torch product"], best["numpy product"]) / 1e9
        peer = min("implicit", "torch", key=best.__getitem__)
        print(f"{title}, k = {k}, top {arguments.n}, {threads} threads")
        for name in contestants:
            version = fastcf.__version__ if name == "fastcf" else metadata.version(name)
            print(
                f"  {name:<9} {version:<14} {best[name] * 1e3:10.2f} ms   {best[name] / best['fastcf']:6.2f} x"
                f"   same items {agreement[name]:.5f}"
            )
        print(
            f"  fastcf runs at {rate:.0f} GFLOP/s; best matrix product {product_rate:.0f} ({rate / product_rate:.0%})"
        )
        results.append(
            {
                "shape": {"users": n_users, "items": n_items, "factors": k, "n": arguments.n, "seen_per_user": n_seen},
                "threads": threads,
                "seconds": seconds,
                "fastest_peer": peer,
                "ratio_to_fastest_peer": best[peer] / best["fastcf"],
                "gflops": rate,
                "matrix_product_gflops": product_rate,
                "share_of_matrix_product": rate / product_rate,
                "same_items": agreement,
            }
        )
    write_json("topk", {"results": results})


if __name__ == "__main__":
    main()
