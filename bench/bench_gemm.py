"""Dense float32 products of network layers: the own kernel against SciPy's BLAS and PyTorch, equal threads.

The own kernel is used where OpenBLAS runs kernels of shorter vectors than the processor has; run with
``OPENBLAS_CORETYPE=SkylakeX`` or ``FASTCF_ISA=avx2`` to see what that rule leaves out.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib.util import find_spec

import numpy as np
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu

# m, n, k and which operand is stored transposed: layers forward (-), backward (b), gradients of weights (a).
SHAPES = (
    (32, 128, 256, "-"), (32, 256, 256, "-"), (32, 256, 256, "b"), (256, 256, 32, "a"),
    (128, 512, 512, "-"), (128, 512, 512, "b"), (512, 512, 128, "a"),
    (128, 1024, 512, "-"), (128, 512, 1024, "b"), (512, 1024, 128, "a"),
    (1024, 1024, 32, "a"), (1024, 1024, 1024, "-"),
)  # fmt: skip
MOST_FLOPS = 2e11  # of one measurement: large products are repeated less often


def product(choice: str, a: np.ndarray, b: np.ndarray, c: np.ndarray, transposed: str, threads: int) -> None:
    _cpu.set_gemm(choice)
    _cpu.gemm(a, b, c, transposed == "a", transposed == "b", n_threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=301)
    arguments = parser.parse_args()
    torch = None
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    results = []
    for m, n, k, transposed in SHAPES:
        a = rng.standard_normal((k, m) if transposed == "a" else (m, k), dtype=np.float32)
        b = rng.standard_normal((n, k) if transposed == "b" else (k, n), dtype=np.float32)
        c = np.empty((m, n), np.float32)
        fns = {choice: partial(product, choice, a, b, c, transposed, arguments.threads) for choice in ("own", "blas")}
        if torch is not None:
            x, y, z = torch.from_numpy(a), torch.from_numpy(b), torch.empty(m, n)
            x, y = x.T if transposed == "a" else x, y.T if transposed == "b" else y
            fns["torch"] = partial(torch.mm, x, y, out=z)
        repeats = max(11, min(arguments.repeats, int(MOST_FLOPS / (2 * m * n * k))))
        limits = threadpool_limits(1, user_api="blas")  # around the loop: it costs more than a small product
        try:
            seconds = alternate(fns, repeats, warmup=3)
        finally:
            limits.unregister()
            _cpu.set_gemm("auto")
        best = {name: min(times) for name, times in seconds.items()}
        results.append({"shape": [m, n, k], "transposed": transposed, "repeats": repeats, "best": best})
        rates = ", ".join(f"{name} {2 * m * n * k / value / 1e9:6.1f} GFLOP/s" for name, value in best.items())
        print(f"{m} x {n} x {k} {transposed}: {rates}; own is {best['blas'] / best['own']:.2f} x BLAS")
    config = _cpu.config()
    write_json("gemm", {**vars(arguments), "isa": config["isa"], "blas_core": config["blas_core"],
                        "in_use": config["gemm"], "results": results})  # fmt: skip


if __name__ == "__main__":
    main()
