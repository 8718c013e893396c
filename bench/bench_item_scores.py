"""Lists for all users by dense weights between items: ours beside SciPy's sparse product and NumPy's argpartition."""

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
    parser.add_argument("--best", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    made = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((made.n_items, made.n_items)).astype(np.float32)
    ones = np.ones(made.nnz, np.float32)
    users = np.arange(made.n_users, dtype=np.int32)
    history = scipy.sparse.csr_matrix((ones, made.indices, made.indptr), made.shape)
    seen = np.repeat(users, made.user_counts()), made.indices
    n = arguments.best

    def ours(some: np.ndarray, n_threads: int) -> object:
        if some.size == users.size:
            indptr, indices = made.indptr, made.indices
        else:
            indptr, indices = made.indptr[: some.size + 1], made.indices[: made.indptr[some.size]]
        return _cpu.item_scores_best(
            made.indptr, made.indices, ones, some, weights, n, seen_indptr=indptr, seen_indices=indices,
            n_threads=n_threads,
        )  # fmt: skip

    def peer() -> object:
        scores = history @ weights
        scores[seen] = -np.inf
        return np.argpartition(-scores, n, axis=1)[:, :n]

    seconds = alternate(
        {
            "fastcf": lambda: ours(users, arguments.threads),
            "fastcf, 1 thread": lambda: ours(users, 1),
            "fastcf, 1 user": lambda: ours(users[:1], 1),
            "scipy, numpy": peer,
        },
        arguments.repeats,
        warmup=1,
    )
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        of = 1 if name == "fastcf, 1 user" else made.n_users
        entries = int(made.indptr[of])
        rate = entries * made.n_items / value
        print(f"{name:<18} {value * 1e3:9.3f} ms  {of / value:10.0f} users/s  {rate / 1e9:6.1f} G multiply-adds/s")
    print("written:", write_json("item_scores", {**vars(arguments), "seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
