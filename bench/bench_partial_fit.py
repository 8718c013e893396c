"""What the step of partial_fit was chosen on: validation ratings only.

    python bench/bench_partial_fit.py FOLDER [--folds 4]

For every set found in FOLDER the training part of bench_accuracy.py's split is cut in three: eight tenths that a model
is fitted on, a tenth that arrives later, and a tenth for validation; at random, once per fold, and once by time, where
the validation ratings are the last. Made-up sets are cut at random and by time, too. Each line is a step size, as a
share of the one that training began with, and a number of passes; the figures are the changes of validation RMSE (of
log-loss for labels) in percent of what it is before partial_fit. The last line is fitting again to all that is known.
The test rows are never looked at.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fastcf
from bench_accuracy import SPLIT_SEED, sets_of
from common import write_json
from fastcf.data import read_log
from fastcf.models.factorization import partial_fit

STEPS = [(rate, passes) for passes in (1, 2, 4) for rate in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)]
MADE_UP = {
    "sparse 100 k": (15_000, 10_000, 100_000),
    "dense 100 k": (943, 1_682, 100_000),
    "1 M": (6_040, 3_706, 1_000_000),
}
Rows = tuple[np.ndarray, np.ndarray]  # pairs and ratings
Model = Callable[[float, int], Any]
MODELS: dict[str, Model] = {
    "sgd": lambda threshold, seed: fastcf.MatrixFactorization(random_state=seed),
    "als": lambda threshold, seed: fastcf.MatrixFactorization(solver="als", random_state=seed),
    "labels": lambda threshold, seed: fastcf.MatrixFactorization(
        cost="logistic", threshold=threshold, random_state=seed
    ),
}


def training_rows(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs, ratings and times of the training part of a real set."""
    log = read_log(folder)
    rows = np.random.default_rng(SPLIT_SEED).permutation(len(log.ratings))[len(log.ratings) // 10 :]
    X = np.column_stack([log.users.astype(object), log.items.astype(object)])[rows]
    return X, log.ratings[rows], log.timestamps[rows]


def made_up_rows(n_users: int, n_items: int, n_ratings: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs, ratings and times of a made-up set."""
    ratings = fastcf.data.make_ratings(n_users, n_items, n_ratings, timestamps=True, random_state=0)
    users, items, values = ratings.to_coo()
    return np.column_stack([users, items]), values, ratings.timestamps


def cuts(times: np.ndarray, n_folds: int) -> list[tuple[str, np.ndarray]]:
    """Return how rows are put in order before they are cut."""
    shuffled = [("random", np.random.default_rng(77 + fold).permutation(times.size)) for fold in range(n_folds)]
    return [*shuffled, ("by time", np.argsort(times, kind="stable"))]


def loss(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Return the RMSE of ratings, or the log-loss of labels."""
    targets = model.state.targets
    return targets.measured(targets.of(y.astype(np.float32), "loss"), model.predict(X))


def ratings_of(*rows: Rows) -> fastcf.Ratings:
    """Return rows as ratings; of a pair rated twice the last one counts."""
    X, y = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return fastcf.Ratings.from_rows(X, y, duplicates="last")


def changes(make: Model, parts: tuple[Rows, Rows, Rows], threshold: float, seed: int) -> list[float]:
    """Return in percent how the loss changes by each of STEPS, and by fitting again."""
    base, arriving, validation = parts
    model = make(threshold, seed).fit(ratings_of(base))
    new = ratings_of(arriving)
    before = loss(model, *validation)
    after = []
    for rate, passes in STEPS:
        with mock.patch.object(partial_fit, "_RATE", rate):
            after.append(loss(copy.deepcopy(model).partial_fit(new, n_epochs=passes), *validation))
    after.append(loss(make(threshold, seed).fit(ratings_of(base, arriving)), *validation))
    return [100 * (one / before - 1) for one in after]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4, help="random cuts of the real sets (default 4)")
    arguments = parser.parse_args()
    sets = {path.name: (*training_rows(path), arguments.folds) for path in sets_of(arguments.folder)}
    sets |= {f"made-up, {name}": (*made_up_rows(*shape), 1) for name, shape in MADE_UP.items()}

    found: dict[tuple[str, str, str], np.ndarray] = {}
    for name, (X, y, times, n_folds) in sets.items():
        threshold = 4.0 if y.max() <= 5 else 8.0
        for model, make in MODELS.items():
            runs: dict[str, list[list[float]]] = {}
            for seed, (cut, order) in enumerate(cuts(times, n_folds)):
                eighth, ninth = order.size * 8 // 10, order.size * 9 // 10
                rows = [(X[part], y[part]) for part in np.split(order, [eighth, ninth])]
                runs.setdefault(cut, []).append(changes(make, (rows[0], rows[1], rows[2]), threshold, seed))
            for cut, values in runs.items():
                found[name, cut, model] = np.mean(values, axis=0)
    labels = [*(f"{rate:g}, {passes}" for rate, passes in STEPS), "fitted again"]
    print("| step, passes | " + " | ".join(", ".join(key) for key in found) + " | worst | mean |")
    print("|---" * (len(found) + 3) + "|")
    for at, label in enumerate(labels):
        row = [float(values[at]) for values in found.values()]
        print(f"| {label} | " + " | ".join(f"{x:+.2f}" for x in (*row, max(row), np.mean(row))) + " |")
    results = [{"set": s, "cut": c, "model": m, "percent": values} for (s, c, m), values in found.items()]
    print()
    write_json("partial_fit", {"folds": arguments.folds, "steps": labels, "results": results})


if __name__ == "__main__":
    main()
