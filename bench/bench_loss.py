"""Losses and their gradient against PyTorch's mse_loss and binary_cross_entropy_with_logits, and against NumPy."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable

import numpy as np
from scipy.special import expit

from common import alternate, write_json
from fastcf import _cpu


def runs_of(loss: str, size: int, threads: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal(size, dtype=np.float32)
    target = (rng.random(size, dtype=np.float32) < 0.5).astype(np.float32)
    gradient = np.empty_like(predicted)
    scale = 1 / size

    def by_numpy() -> float:
        if loss == "squared":
            np.subtract(predicted, target, out=gradient)
            total = float(np.dot(gradient, gradient)) / 2
        else:
            total = float(np.logaddexp(0, predicted).sum() - np.dot(target, predicted))
            np.subtract(expit(predicted), target, out=gradient)
        np.multiply(gradient, np.float32(scale), out=gradient)
        return total

    runs: dict[str, Callable[[], object]] = {
        "fastcf": lambda: _cpu.loss_gradient(predicted, target, gradient, None, loss, scale, threads),
        "fastcf, 1 thread": lambda: _cpu.loss_gradient(predicted, target, gradient, None, loss, scale, 1),
        "numpy": by_numpy,
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        x, y = torch.from_numpy(predicted.copy()).requires_grad_(), torch.from_numpy(target)
        functional = torch.nn.functional
        loss_of = functional.mse_loss if loss == "squared" else functional.binary_cross_entropy_with_logits

        def by_torch() -> None:
            x.grad = None
            loss_of(x, y).backward()

        runs["torch"] = by_torch
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    results = {}
    for loss in ("squared", "logistic"):
        seconds = alternate(runs_of(loss, arguments.size, arguments.threads), arguments.repeats, warmup=1)
        medians = {name: float(np.median(times)) for name, times in seconds.items()}
        for name, median in medians.items():
            rate = 12 * arguments.size / median / 1e9
            ratio = median / medians["fastcf"]
            print(f"{loss:<9} {name:<18} {median * 1e3:8.3f} ms  {rate:6.1f} GB/s  {ratio:6.2f} x ours")
        results[loss] = {"seconds": seconds, "median": medians}
    print("written:", write_json("loss", {**vars(arguments), **results}))


if __name__ == "__main__":
    main()
