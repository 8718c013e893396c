"""Sparse times dense, as a network layer meets it: users' ratings times rows of weights. SciPy as the peer."""

from __future__ import annotations

import argparse

import numpy as np
import scipy.sparse

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1024)
    parser.add_argument("--items", type=int, default=17_770)
    parser.add_argument("--ratings", type=int, default=209, help="per user")
    parser.add_argument("--cols", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    indices = np.concatenate(
        [np.sort(rng.choice(arguments.items, arguments.ratings, replace=False)) for _ in range(arguments.users)]
    ).astype(np.int32)
    indptr = np.arange(arguments.users + 1, dtype=np.int64) * arguments.ratings
    values = rng.standard_normal(len(indices)).astype(np.float32)
    x = rng.standard_normal((arguments.items, arguments.cols)).astype(np.float32)
    matrix = scipy.sparse.csr_matrix((values, indices, indptr), shape=(arguments.users, arguments.items))
    seconds = alternate(
        {
            "fastcf": lambda: _cpu.spmm(indptr, indices, values, x, n_threads=arguments.threads),
            "fastcf, 1 thread": lambda: _cpu.spmm(indptr, indices, values, x, n_threads=1),
            "scipy, 1 thread": lambda: matrix @ x,
        },
        arguments.repeats,
        warmup=1,
    )
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:<18} {value * 1e3:8.2f} ms  {len(indices) / value / 1e6:7.1f} M entries/s")
    print("written:", write_json("spmm", {**vars(arguments), "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
