"""Errors of factorisations by default on made-up ratings, over the noise of these.

    python bench/bench_made_up.py [--models sgd als minibatch gd bayes autoencoder] [--seeds 1] [--most 100000]

Continuous ratings of known rank and noise; a tenth is held out. A figure of 1 would be the truth itself, known without
error. Beside the sets stands how many training ratings there are per parameter of the true model: those with fewer than
about three cannot be learnt well by any model. BiasModel shows what is to be gained. With ``--most`` only sets of so
many ratings at most are measured, and the results are written to made_up_MOST.json.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import fastcf
from common import write_json

SOLVERS = ("sgd", "als", "minibatch", "gd", "bayes")

# Users, items, ratings per user, noise, factors.
SHAPES = [
    (10, 10, 8, 0.2, 1),
    (30, 20, 15, 0.2, 1),
    (100, 80, 40, 0.3, 2),
    (300, 200, 29, 0.3, 4),
    (300, 200, 100, 0.3, 4),
    (1_000, 500, 30, 0.5, 2),
    (1_000, 500, 100, 0.3, 8),
    (1_000, 800, 200, 0.1, 20),
    (3_000, 2_000, 5, 0.5, 1),
    (3_000, 2_000, 50, 1.0, 8),
    (3_000, 2_000, 300, 0.7, 20),
]


def data(shape: tuple[int, int, int, float, int], seed: int) -> tuple[fastcf.Ratings, fastcf.Ratings]:
    """Return training and test ratings."""
    n_users, n_items, each, noise, rank = shape
    options = {"popularity": 0.5, "activity": 0.3, "levels": None, "signal": 0.8}
    ratings = fastcf.data.make_ratings(
        n_users, n_items, n_users * each, n_factors=rank, noise=noise, random_state=seed, **options
    )
    return fastcf.data.train_test_split(ratings, random_state=seed)


def model_of(name: str, seed: int) -> Any:
    """Return a model by its defaults."""
    if name == "biases":
        return fastcf.BiasModel()
    if name == "autoencoder":
        return fastcf.Autoencoder(random_state=seed)
    return fastcf.MatrixFactorization(solver=name, random_state=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[*SOLVERS, "autoencoder"], choices=[*SOLVERS, "autoencoder"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--most", type=int, help="ratings of a set; by default all sets")
    arguments = parser.parse_args()
    names = ["biases", *arguments.models]
    file = "made_up" if arguments.most is None else f"made_up_{arguments.most}"
    print("| users × items, ratings each, noise, rank | ratings per parameter | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    results = []
    for shape in SHAPES:
        n_users, n_items, each, noise, rank = shape
        if arguments.most is not None and n_users * each > arguments.most:
            continue
        per_parameter = 0.9 * n_users * each / ((n_users + n_items) * (rank + 1))
        found: dict[str, dict[str, float]] = {}
        for name in names:
            errors, started = [], time.perf_counter()
            for seed in range(arguments.seeds):
                train, test = data(shape, seed)
                errors.append(-model_of(name, seed).fit(train).score(test) / noise)
            found[name] = {
                "over_noise": float(np.sqrt(np.mean(np.square(errors)))),
                "seconds": (time.perf_counter() - started) / arguments.seeds,
            }
        results.append({"shape": shape, "ratings_per_parameter": per_parameter, "models": found})
        shown = (f"{of['over_noise']:.2f} ({of['seconds']:.1f} s)" for of in found.values())
        label = f"{n_users:,} × {n_items:,}, {each}, {noise}, {rank}"
        print(f"| {label} | {per_parameter:.1f} | " + " | ".join(shown) + " |", flush=True)
        write_json(file, {"seeds": arguments.seeds, "results": results})  # of a run that is stopped, what it has


if __name__ == "__main__":
    main()
