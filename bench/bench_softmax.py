"""The multinomial cost of rows of scores and its gradient against PyTorch's log_softmax, and against NumPy."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable

import numpy as np
import scipy.sparse

from common import alternate, write_json
from fastcf import _cpu


def runs_of(rows: int, cols: int, threads: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((rows, cols), dtype=np.float32)
    chosen = scipy.sparse.random_array((rows, cols), density=0.02, rng=rng, format="csr", dtype=np.float32)
    indptr, columns, strengths = chosen.indptr.astype(np.int64), chosen.indices.astype(np.int32), chosen.data
    scores = np.empty_like(drawn)

    def ours(n_threads: int) -> float:
        np.copyto(scores, drawn)  # it is overwritten
        return _cpu.softmax_gradient(indptr, columns, strengths, scores, None, 1 / rows, n_threads)

    dense = chosen.toarray()
    totals = dense.sum(axis=1, keepdims=True)

    def by_numpy() -> float:
        np.subtract(drawn, drawn.max(axis=1, keepdims=True), out=scores)
        own = float((dense * scores).sum())
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, keepdims=True)
        np.multiply(scores, totals / sums / rows, out=scores)
        np.subtract(scores, dense / rows, out=scores)
        return float((totals * np.log(sums)).sum()) - own

    runs: dict[str, Callable[[], object]] = {
        "fastcf": lambda: ours(threads),
        "fastcf, 1 thread": lambda: ours(1),
        "numpy": by_numpy,
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        z, x = torch.from_numpy(drawn.copy()).requires_grad_(), torch.from_numpy(dense)

        def by_torch() -> None:
            z.grad = None
            (-(x * torch.log_softmax(z, 1)).sum() / rows).backward()

        runs["torch"] = by_torch
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--cols", type=int, default=8_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    seconds = alternate(runs_of(arguments.rows, arguments.cols, arguments.threads), arguments.repeats, warmup=1)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        rate = arguments.rows * arguments.cols / median / 1e9
        print(f"{name:<18} {median * 1e3:8.3f} ms  {rate:6.2f} G scores/s  {median / medians['fastcf']:6.2f} x ours")
    print("written:", write_json("softmax", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
