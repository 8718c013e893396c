"""Rows brought to length one and the gradient through that, as the ends of two towers: PyTorch as the peer."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--cols", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    x, slope = (rng.standard_normal((arguments.rows, arguments.cols), dtype=np.float32) for _ in range(2))
    work, tensor, pull = slope.copy(), torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(slope.copy())

    def ours(threads: int) -> None:
        _cpu.normalize(x, n_threads=threads)
        work[...] = slope  # it is overwritten
        _cpu.normalize_gradient(x, work, n_threads=threads)

    def theirs() -> None:
        tensor.grad = None
        torch.nn.functional.normalize(tensor).backward(pull)

    cases = {
        "fastcf": lambda: ours(arguments.threads),
        "fastcf, 1 thread": lambda: ours(1),
        "torch": theirs,
    }
    seconds = alternate(cases, arguments.repeats, warmup=2)
    theirs()
    ours(1)
    np.testing.assert_allclose(work, tensor.grad.numpy(), atol=1e-5)
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:<18} {value * 1e3:7.2f} ms  {value / best['fastcf']:6.2f} x ours")
    print("written:", write_json("normalize", {**vars(arguments), "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
