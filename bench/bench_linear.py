"""LinearAutoencoder: seconds and peak memory of a fit on made-up choices, beside EASE in NumPy.

Every fit runs in a process of its own, so that its peak memory is its own. n_items³ floating-point operations are the
floor of choices alone, three times as many where there are low ratings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

import fastcf
from common import peak_rss, write_json

WAYS = ("fastcf", "fastcf, low ratings", "numpy")


def choices(arguments: argparse.Namespace, low: bool) -> fastcf.Ratings:
    made = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.choices, random_state=0)
    values = np.ones(made.nnz, np.float32)
    if low:
        values[np.random.default_rng(0).random(made.nnz) < 0.4] = 0
    return fastcf.Ratings(made.indptr, made.indices, values, users=made.users, items=made.items)


def ease(ratings: fastcf.Ratings) -> np.ndarray:
    """H. Steck's few lines, in float32, with the same penalty."""
    matrix = ratings.to_scipy()
    gram = (matrix.T @ matrix).toarray()
    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += 150.0
    inverse = np.linalg.inv(gram)
    weights = inverse / -inverse.diagonal()
    weights[diagonal] = 0
    return weights


def measured(arguments: argparse.Namespace) -> dict[str, float]:
    """Return seconds and the growth of the peak of memory of one fit in this process."""
    ratings = choices(arguments, arguments.way == WAYS[1])
    fastcf.LinearAutoencoder(n_threads=arguments.threads).fit([(1, 1), (1, 2), (2, 1)])  # what is loaded once
    before, start = peak_rss(), time.perf_counter()
    if arguments.way == "numpy":
        ease(ratings)
    else:
        fastcf.LinearAutoencoder(n_threads=arguments.threads).fit(ratings)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "matrices": (peak_rss() - before) / (4 * ratings.n_items**2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6_040)
    parser.add_argument("--items", type=int, default=3_706)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # of a process that measures
    arguments = parser.parse_args()
    if arguments.way is not None:
        print(json.dumps(measured(arguments)))
        return
    results: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    for _ in range(arguments.repeats):
        for way in arguments.ways:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
            results[way].append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    for way, runs in results.items():
        best = min(runs, key=lambda run: run["seconds"])
        flops = arguments.items**3 * (3 if way == WAYS[1] else 1)
        print(
            f"{way:<20} {best['seconds']:8.2f} s  {flops / best['seconds'] / 1e9:6.1f} GFLOP/s of the floor  "
            f"{max(run['matrices'] for run in runs):5.2f} matrices of 4 n_items² bytes at the peak"
        )
    print("written:", write_json("linear", {**vars(arguments), "results": results}))


if __name__ == "__main__":
    main()
