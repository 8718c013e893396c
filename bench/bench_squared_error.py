"""Squared errors and their gradient against PyTorch's mse_loss with its backward pass, and against NumPy."""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    predicted, target = (rng.standard_normal(arguments.size, dtype=np.float32) for _ in range(2))
    gradient = np.empty_like(predicted)
    scale = 1 / arguments.size

    def by_numpy() -> float:
        np.subtract(predicted, target, out=gradient)
        loss = float(np.dot(gradient, gradient))
        np.multiply(gradient, np.float32(2 * scale), out=gradient)
        return loss

    runs = {
        "fastcf": lambda: _cpu.squared_error(predicted, target, gradient, None, scale, arguments.threads),
        "fastcf, 1 thread": lambda: _cpu.squared_error(predicted, target, gradient, None, scale, 1),
        "numpy": by_numpy,
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(arguments.threads)
        x, y = torch.from_numpy(predicted.copy()).requires_grad_(), torch.from_numpy(target)

        def by_torch() -> None:
            x.grad = None
            torch.nn.functional.mse_loss(x, y).backward()

        runs["torch"] = by_torch
    seconds = alternate(runs, arguments.repeats, warmup=1)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        rate = 12 * arguments.size / median / 1e9
        print(f"{name:<18} {median * 1e3:8.3f} ms  {rate:6.1f} GB/s  {median / medians['fastcf']:6.2f} x ours")
    print("written:", write_json("squared_error", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
