"""Normal and uniform random numbers against NumPy's generator and PyTorch's, equal threads (NumPy's knows one)."""

from __future__ import annotations

import argparse

import numpy as np

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cols", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    shape = arguments.rows, arguments.cols
    numpy = np.random.default_rng(0)
    seconds = alternate(
        {
            "normal, fastcf": lambda: _cpu.random(*shape, "normal", 1.0, 0, 0, arguments.threads),
            "normal, fastcf, 1 thread": lambda: _cpu.random(*shape, "normal", 1.0, 0, 0, 1),
            "normal, numpy": lambda: numpy.standard_normal(shape, dtype=np.float32),
            "normal, torch": lambda: torch.randn(shape),
            "uniform, fastcf": lambda: _cpu.random(*shape, "uniform", 1.0, 0, 0, arguments.threads),
            "uniform, numpy": lambda: numpy.random(shape, dtype=np.float32),
            "uniform, torch": lambda: torch.rand(shape),
        },
        arguments.repeats,
        warmup=1,
    )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        ours = medians[f"{name.partition(',')[0]}, fastcf"]
        rate = shape[0] * shape[1] / median / 1e6
        print(f"{name:<26} {median * 1e3:8.2f} ms  {rate:8.0f} M/s  {median / ours:6.2f} x ours")
    print("written:", write_json("random", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
