"""Gathering rows of a matrix, plain and weighted, against NumPy's ``take`` into an array that is there already."""

from __future__ import annotations

import argparse

import numpy as np

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cols", type=int, default=64)
    parser.add_argument("--named", type=int, default=16_384)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=51)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((arguments.rows, arguments.cols), dtype=np.float32)
    named = np.sort(rng.integers(0, arguments.rows, arguments.named)).astype(np.int32)
    weights = rng.random(arguments.named, dtype=np.float32)
    out = np.empty((arguments.named, arguments.cols), np.float32)
    seconds = alternate(
        {
            "fastcf": lambda: _cpu.gather_rows(matrix, named, None, arguments.threads),
            "fastcf, 1 thread": lambda: _cpu.gather_rows(matrix, named, None, 1),
            "fastcf, weighted": lambda: _cpu.gather_rows(matrix, named, weights, arguments.threads),
            "numpy take": lambda: np.take(matrix, named, axis=0, out=out, mode="clip"),
        },
        arguments.repeats,
        warmup=1,
    )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        rate = 2 * out.nbytes / median / 1e9
        print(f"{name:<18} {median * 1e3:8.2f} ms  {rate:6.1f} GB/s  {median / medians['fastcf']:6.2f} x ours")
    print("written:", write_json("rows", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
