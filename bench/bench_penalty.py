"""The L2 penalty of factor rows against NumPy's einsum in float64, and against reading the rows once (their sum)."""

from __future__ import annotations

import argparse

import numpy as np

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--cols", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((arguments.rows, arguments.cols), dtype=np.float32)
    weights = rng.random(arguments.rows, dtype=np.float32)
    seconds = alternate(
        {
            "fastcf": lambda: _cpu.penalty(rows, weights, arguments.threads),
            "fastcf, 1 thread": lambda: _cpu.penalty(rows, weights, 1),
            "numpy einsum": lambda: np.einsum("r,rk,rk->", weights, rows, rows, dtype=np.float64),
            "numpy sum": lambda: rows.sum(),
        },
        arguments.repeats,
        warmup=1,
    )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        rate = rows.nbytes / median / 1e9
        print(f"{name:<18} {median * 1e3:8.2f} ms  {rate:6.1f} GB/s  {median / medians['fastcf']:6.2f} x ours")
    print("written:", write_json("penalty", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
