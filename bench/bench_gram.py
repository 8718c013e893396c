"""The weighted Gram matrix of sparse choices, dense: ours beside SciPy's sparse product made dense."""

from __future__ import annotations

import argparse

import numpy as np
import scipy.sparse

import fastcf
from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6_040)
    parser.add_argument("--items", type=int, default=3_706)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    made = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0)
    counts = made.user_counts().astype(np.float64)
    weights = np.maximum(counts, 1) ** -0.5
    roots = np.repeat(np.sqrt(weights), made.user_counts()).astype(np.float32)
    matrix = scipy.sparse.csr_matrix((roots, made.indices, made.indptr), made.shape)

    def ours(n_threads: int) -> object:
        return _cpu.gram(made.indptr, made.indices, made.n_items, row_weights=weights, n_threads=n_threads)

    seconds = alternate(
        {
            "fastcf": lambda: ours(arguments.threads),
            "fastcf, 1 thread": lambda: ours(1),
            "scipy, 1 thread": lambda: (matrix.T @ matrix).toarray(),
        },
        arguments.repeats,
        warmup=1,
    )
    best = {name: min(times) for name, times in seconds.items()}
    additions = float((counts**2).sum()) / 2
    for name, value in best.items():
        print(f"{name:<18} {value * 1e3:8.1f} ms  {additions / value / 1e9:6.2f} G additions/s")
    print("written:", write_json("gram", {**vars(arguments), "additions": additions, "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
