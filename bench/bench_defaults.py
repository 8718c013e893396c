"""What the "auto" settings of MatrixFactorization were chosen on: validation ratings only.

    python bench/bench_defaults.py FOLDER [--folds 4]

For every set found in FOLDER the training part of bench_accuracy.py's split is cut again, a tenth of it held out, once
per fold. A made-up set of 1 M ratings (6,040 x 3,706) stands for larger and denser data. Each line is a setting; the
figures are mean validation RMSE. The test rows are never looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import numpy as np

import fastcf
from bench_accuracy import pairs, sets_of, split
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.models import matrix_factorization

DEFAULT = {"reg": 0.6, "reg_scaling": 0.7, "learning_rate": 0.04, "n_epochs": 40, "n_factors": 64}
CHANGES: list[dict[str, float]] = [
    {},
    {"reg": 0.4},
    {"reg": 0.9},
    {"reg_scaling": 1.0, "reg": 0.13},
    {"reg_scaling": 0.6, "reg": 0.8},
    {"reg_scaling": 0.5, "reg": 1.0},
    {"learning_rate": 0.02},
    {"learning_rate": 0.05, "n_epochs": 30},
    {"n_factors": 16},
    {"n_factors": 32},
    {"n_factors": 128},
]


def fit(train: fastcf.Ratings, setting: dict[str, float], seed: int) -> fastcf.MatrixFactorization:
    """Fit with ``reg`` and ``learning_rate`` in the units of "auto"."""
    options = {name: setting[name] for name in ("reg_scaling", "n_epochs", "n_factors")}
    with (
        mock.patch.object(matrix_factorization, "_AUTO_REG", setting["reg"]),
        mock.patch.object(matrix_factorization, "_AUTO_LEARNING_RATE", setting["learning_rate"]),
    ):
        return fastcf.MatrixFactorization(random_state=seed, **options).fit(train)


def folds(log: RatingLog, n: int) -> list[tuple[fastcf.Ratings, np.ndarray, np.ndarray]]:
    """Return (training ratings, validation pairs, validation ratings) per fold, out of the training rows."""
    rows, _ = split(log)
    result = []
    for fold in range(n):
        order = np.random.default_rng(77 + fold).permutation(len(rows.ratings))
        held_out, kept = order[: order.size // 10], order[order.size // 10 :]
        parts = (RatingLog(rows.users[p], rows.items[p], rows.ratings[p], None) for p in (kept, held_out))
        train, validation = parts
        result.append((train.to_ratings(duplicates="last"), pairs(validation), validation.ratings))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    arguments = parser.parse_args()
    sets = {path.name: folds(read_log(path), arguments.folds) for path in sets_of(arguments.folder)}
    made_up = fastcf.data.make_ratings(6_040, 3_706, 1_000_000, random_state=0)
    train, held_out = fastcf.data.train_test_split(made_up, random_state=0)
    users, items, values = held_out.to_coo()
    sets["made-up 1 M"] = [(train, np.stack([users, items], axis=1), values)]

    results = []
    print("| setting | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for change in ["BiasModel", *CHANGES]:
        row = {}
        for name, parts in sets.items():
            errors = []
            for fold, (ratings, X, y) in enumerate(parts):
                if isinstance(change, str):
                    model = fastcf.BiasModel().fit(ratings)
                else:
                    model = fit(ratings, {**DEFAULT, **change}, fold)
                errors.append(fastcf.metrics.rmse(y, model.predict(X)))
            row[name] = float(np.mean(errors))
        label = change if isinstance(change, str) else ", ".join(f"{k}={v:g}" for k, v in change.items()) or "default"
        results.append({"setting": label, **row})
        print(f"| {label} | " + " | ".join(f"{error:.4f}" for error in row.values()) + " |", flush=True)
    print("\nwritten:", write_json("defaults", {"folds": arguments.folds, "default": DEFAULT, "results": results}))


if __name__ == "__main__":
    main()
