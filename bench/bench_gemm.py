"""Dense products of network layers against NumPy's and PyTorch's, equal threads."""

from __future__ import annotations

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu

SHAPES = ((32, 256, 128), (32, 256, 256), (128, 512, 512), (128, 1024, 512), (2048, 2048, 2048))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=31)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    results = []
    for m, n, k in SHAPES:
        a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
        c, x, y = np.empty((m, n), np.float32), torch.from_numpy(a), torch.from_numpy(b)
        limits = threadpool_limits(1)  # around the loop, as trainers do: entering it costs more than a small product
        try:
            seconds = alternate({"fastcf": lambda a=a, b=b, c=c: _cpu.gemm(a, b, c, n_threads=arguments.threads),
                                 "torch": lambda x=x, y=y: x @ y}, arguments.repeats, warmup=3)  # fmt: skip
        finally:
            limits.unregister()
        best = {name: min(times) for name, times in seconds.items()}
        results.append({"shape": [m, n, k], "seconds": seconds, "best": best})
        rates = ", ".join(f"{name} {2 * m * n * k / value / 1e9:6.1f} GFLOP/s" for name, value in best.items())
        print(f"{m} x {n} x {k}: {rates}")
    print("written:", write_json("gemm", {**vars(arguments), "results": results}))


if __name__ == "__main__":
    main()
