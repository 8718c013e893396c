"""The inverse of a positive definite matrix in its place: ours beside LAPACK's potrf and potri through SciPy.

Reports flops per second, the share of the rate of one product of the same BLAS, and the error of both in float32.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu
from fastcf._backend import single_threaded_blas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_706)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    n = arguments.rows
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((n, 256)).astype(np.float32)
    matrix = factors @ factors.T
    matrix.reshape(-1)[:: n + 1] += 20
    found: dict[str, np.ndarray] = {}

    def ours(n_threads: int) -> None:
        found["fastcf"] = matrix.copy()
        with single_threaded_blas():
            assert _cpu.spd_inverse(found["fastcf"], n_threads) == -1

    def lapack_s(n_threads: int) -> None:
        found["lapack"] = matrix.copy()
        with threadpool_limits(n_threads, user_api="blas"):
            factor, failed = lapack.spotrf(found["lapack"].T, lower=0, clean=0, overwrite_a=1)
            assert not failed
            lapack.spotri(factor, lower=0, overwrite_c=1)

    left, out = rng.standard_normal((2048, 2048)).astype(np.float32), np.empty((2048, 2048), np.float32)

    def product() -> None:
        with single_threaded_blas():
            _cpu.gemm(left, left, out, n_threads=arguments.threads)

    seconds = alternate(
        {
            "fastcf": lambda: ours(arguments.threads),
            "fastcf, 1 thread": lambda: ours(1),
            "lapack": lambda: lapack_s(arguments.threads),
            "lapack, 1 thread": lambda: lapack_s(1),
            "a product": product,
        },
        arguments.repeats,
    )
    best = {name: min(times) for name, times in seconds.items()}
    flops = {name: 2 * 2048**3 if name == "a product" else n**3 for name in best}
    rate = {name: flops[name] / value for name, value in best.items()}
    for name, value in best.items():
        share = rate[name] / rate["a product"]
        print(f"{name:<18} {value:8.3f} s  {rate[name] / 1e9:7.1f} GFLOP/s  {share:5.2f} of a product's rate")
    errors = {}
    if n <= 4096:
        exact = np.linalg.inv(matrix.astype(np.float64))
        low = np.tril_indices(n)
        errors = {name: float(np.abs(got - exact)[low].max() / np.abs(exact).max()) for name, got in found.items()}
        print("largest error over the largest element:", {name: f"{error:.1e}" for name, error in errors.items()})
    print(
        "written:", write_json("spd_inverse", {**vars(arguments), "seconds": seconds, "rate": rate, "errors": errors})
    )


if __name__ == "__main__":
    main()
