"""The softmax cost of choices among the items of a batch and its gradient: PyTorch as the peer.

    python bench/bench_in_batch_softmax.py [--choices 1024] [--factors 32] [--threads 2]

Vectors of as many users and items as a batch of choices has; the products before and after the softmax are part of
the time on both sides.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from common import alternate, write_json
from fastcf import _cpu
from fastcf._backend import single_threaded_blas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, default=1024)
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng, n = np.random.default_rng(0), arguments.choices
    users, items = (rng.standard_normal((n, arguments.factors), dtype=np.float32) / 2 for _ in range(2))
    indptr, chosen = np.arange(n + 1), np.arange(n, dtype=np.int32)
    offsets = rng.random(n, dtype=np.float32)
    scores, whole = users @ items.T, np.empty((n, n), np.float32)
    slopes: dict[str, list[np.ndarray]] = {}

    def op() -> None:
        np.copyto(whole, scores)
        _cpu.in_batch_softmax(whole, indptr, chosen, offsets, None, arguments.threads)

    def ours() -> None:
        _cpu.gemm(users, items, whole, transpose_b=True, n_threads=arguments.threads)
        _cpu.in_batch_softmax(whole, indptr, chosen, offsets, None, arguments.threads)
        slopes["fastcf"] = [np.empty_like(users), np.empty_like(items)]
        _cpu.gemm(whole, items, slopes["fastcf"][0], n_threads=arguments.threads)
        _cpu.gemm(whole, users, slopes["fastcf"][1], transpose_a=True, n_threads=arguments.threads)

    tensors = [torch.from_numpy(side.copy()).requires_grad_() for side in (users, items)]
    shift, diagonal = torch.from_numpy(offsets), torch.arange(n)

    def theirs() -> None:
        for tensor in tensors:
            tensor.grad = None
        logits = tensors[0] @ tensors[1].T + shift
        logits = logits - torch.diag(shift)  # a choice itself is not weighted
        torch.nn.functional.cross_entropy(logits, diagonal, reduction="sum").backward()
        slopes["torch"] = [tensor.grad.numpy() for tensor in tensors]

    with single_threaded_blas():  # as trainers run: threads are ours
        seconds = alternate({"fastcf": ours, "torch": theirs, "fastcf, the op alone": op}, arguments.repeats, warmup=2)
    for mine, reference in zip(slopes["fastcf"], slopes["torch"], strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-3)
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:<22} {value * 1e3:7.2f} ms  {value / best['fastcf']:6.2f} x ours")
    print("written:", write_json("in_batch_softmax", {**vars(arguments), "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
