"""Activations of a layer's products, with bias, and dropout: against NumPy and PyTorch, equal threads (NumPy: one)."""

from __future__ import annotations

import argparse

import numpy as np

from common import alternate, write_json
from fastcf import _cpu

KINDS = ("sigmoid", "tanh", "relu", "selu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--cols", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((arguments.rows, arguments.cols), dtype=np.float32)
    bias = rng.standard_normal(arguments.cols, dtype=np.float32)
    work, tensor, tensor_bias = x.copy(), torch.from_numpy(x.copy()), torch.from_numpy(bias)
    functions = {"sigmoid": torch.sigmoid_, "tanh": torch.tanh_, "relu": torch.relu_, "selu": torch.selu_}
    cases = {}
    for kind in KINDS:
        cases[f"{kind}, fastcf"] = lambda kind=kind: _cpu.activate(kind, work, bias, arguments.threads)
        cases[f"{kind}, torch"] = lambda kind=kind: functions[kind](tensor.add_(tensor_bias))
    cases["dropout, fastcf"] = lambda: _cpu.dropout(work, 0.5, 1, n_threads=arguments.threads)
    cases["dropout, torch"] = lambda: torch.nn.functional.dropout(tensor, 0.5, inplace=True)

    def run(name: str) -> None:
        work[...] = x  # both sides copy: values must not wander off
        tensor.copy_(torch.from_numpy(x))
        cases[name]()

    seconds = alternate({name: lambda name=name: run(name) for name in cases}, arguments.repeats, warmup=2)
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:<18} {value * 1e3:7.2f} ms, two copies of the matrix included")
    print("written:", write_json("activation", {**vars(arguments), "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
