"""Cost and gradient of matrix factorisation against the traffic of memory, and against NumPy with SciPy.

Run ``python bench/bench_mf_gradient.py``. Two floors are stated, both at the read bandwidth that this run measures
(inner products of an array of 1 GiB with itself, cut among the threads):

- bytes fetched: every rating fetches a factor row by user and another by item, 2 k elements, beside its index, value,
  position and error. Where one side's factors fit a cache, a part of these bytes comes faster than from memory.
- bytes that must move once: the ratings, both factor matrices and both gradients, as if all rows were fetched from
  registers.

NumPy gathers rows and sums products with ``einsum``, a block of ratings at a time; the gradients are products of
SciPy's sparse error matrix. Both use one thread; with ``--threads 1`` so do we.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy
import scipy.sparse
from threadpoolctl import threadpool_limits

import fastcf
from common import alternate, write_json
from fastcf import _cpu


def bandwidth(threads: int, repeats: int) -> float:
    """Return bytes per second read from an array of 1 GiB by so many threads."""
    array = np.ones(1 << 28, np.float32)
    parts = np.array_split(array, threads * 16)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        read = {"read": lambda: sum(pool.map(lambda part: float(np.dot(part, part)), parts))}
        return array.nbytes / min(alternate(read, repeats, warmup=1)["read"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=71_567)
    parser.add_argument("--items", type=int, default=10_681)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-peer", action="store_true")
    arguments = parser.parse_args()
    k, threads = arguments.factors, arguments.threads

    data = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=1)
    rng = np.random.default_rng(20261121)
    p = rng.standard_normal((data.n_users, k), np.float32) * np.float32(0.1)
    q = rng.standard_normal((data.n_items, k), np.float32) * np.float32(0.1)
    b_u, b_i = np.zeros(data.n_users, np.float32), np.zeros(data.n_items, np.float32)
    by_item = data.by_item()
    structure = data.indptr, data.indices
    items = by_item.indptr, by_item.indices, by_item.entries
    penalties = {"user_reg": np.full(data.n_users, 0.1, np.float32), "item_reg": np.full(data.n_items, 0.1, np.float32)}
    labels = (data.values > data.mean).astype(np.float32)
    rows = data.row_of_entry()

    def ours(cost: str, values: np.ndarray) -> tuple:
        return _cpu.mf_gradient(
            *structure, values, *items, p, q, b_u, b_i, global_offset=0.0, cost=cost, **penalties, n_threads=threads
        )

    def numpy() -> tuple:
        errors = np.empty(data.nnz, np.float32)
        for begin in range(0, data.nnz, 1 << 16):
            part = slice(begin, begin + (1 << 16))
            u, i = rows[part], data.indices[part]
            errors[part] = b_u[u] + b_i[i] + np.einsum("ek,ek->e", p[u], q[i]) - data.values[part]
        matrix = scipy.sparse.csr_matrix((errors, data.indices, data.indptr), shape=data.shape)
        sides = matrix @ q + np.float32(0.1) * p, matrix.T @ p + np.float32(0.1) * q
        return float(np.dot(errors, errors)) / 2, *sides

    functions = {
        "squared": lambda: ours("squared", data.values),
        "logistic": lambda: ours("logistic", labels),
        "prediction": lambda: _cpu.mf_predict(*structure, p, q, b_u, b_i, n_threads=threads),
    }
    reading = [bandwidth(threads, 5)]
    with threadpool_limits(threads, user_api="blas"):
        if not arguments.no_peer:
            np.testing.assert_allclose(functions["squared"]()[0], numpy()[0], rtol=1e-4)
            np.testing.assert_allclose(functions["squared"]()[3], numpy()[2], rtol=1e-2, atol=1e-1)
        seconds = alternate(functions, arguments.repeats, warmup=1)
        if not arguments.no_peer:
            seconds |= alternate({"numpy": numpy, "squared beside numpy": functions["squared"]}, 2)
    reading.append(bandwidth(threads, 5))

    per_rating = (4 + 4 + 4) + (4 + 8 + 4)  # by user: index, value, error written; by item: user, position, error
    once = data.nnz * per_rating + 2 * 2 * 4 * k * sum(
        data.shape
    )  # each side is read by both passes; gradients written
    fetched = once + 2 * 4 * k * data.nnz
    rate = max(reading)
    best = {name: min(times) for name, times in seconds.items()}
    print(f"k = {k}, {data.nnz:,} ratings, {threads} threads, read bandwidth {rate / 1e9:.1f} GB/s")
    print(f"floors: {fetched / 1e9:.2f} GB fetched {fetched / rate * 1e3:.0f} ms, {once / 1e9:.2f} GB once "
          f"{once / rate * 1e3:.0f} ms")  # fmt: skip
    for name, time in best.items():
        print(f"  {name:<20} {time * 1e3:8.1f} ms  {time / (fetched / rate):5.2f} x the floor of bytes fetched")
    shape = {"users": data.n_users, "items": data.n_items, "ratings": data.nnz, "factors": k}
    floors = {
        "fetched_bytes": fetched,
        "once_bytes": once,
        "fetched_seconds": fetched / rate,
        "once_seconds": once / rate,
    }
    write_json(
        "mf_gradient",
        {
            "shape": shape, "threads": threads, "bytes_per_second": reading, "floors": floors, "seconds": seconds,
            "ratio_to_fetched": {name: time / floors["fetched_seconds"] for name, time in best.items()},
            "scipy": scipy.__version__,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
