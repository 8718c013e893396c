"""The Gram matrix of a table of factors against NumPy's product in float32 (BLAS), equal threads."""

from __future__ import annotations

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cols", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows = np.random.default_rng(0).standard_normal((arguments.rows, arguments.cols), dtype=np.float32)
    with threadpool_limits(arguments.threads):
        seconds = alternate(
            {
                "fastcf": lambda: _cpu.factor_gram(rows, arguments.threads),
                "numpy float32": lambda: rows.T @ rows,
            },
            arguments.repeats,
            warmup=1,
        )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        rate = arguments.rows * arguments.cols**2 / median / 1e9
        print(
            f"{name:<14} {median * 1e3:8.2f} ms  {rate:6.1f} GFLOP/s useful  {median / medians['fastcf']:6.2f} x ours"
        )
    print("written:", write_json("factor_gram", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
