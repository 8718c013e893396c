"""What the "auto" settings of MatrixFactorization were chosen on: validation ratings only.

    python bench/bench_defaults.py FOLDER [--folds 4] [--factors]

For every set found in FOLDER the training part of bench_accuracy.py's split is cut again, a tenth of it held out, once
per fold. A made-up set of 1 M ratings (6,040 x 3,706) stands for larger and denser data. Each line is a setting; the
figures are mean validation RMSE. The test rows are never looked at.

With ``--factors``: what the number of factors of "bayes" was chosen on, in the same way and on more made-up sets;
beside the mean RMSE how much it differs from that of the default, and the standard error of that over the folds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest import mock

import numpy as np

import fastcf
from bench_accuracy import pairs, sets_of, split
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.models.factorization import costs
from fastcf.solvers import as_solver

# Solver and what is changed of its "auto" settings, ``reg`` and ``learning_rate`` in units of σ.
SETTINGS: list[tuple[str, dict[str, float]]] = [
    ("sgd", {}),
    ("sgd", {"reg": 0.4}),
    ("sgd", {"reg": 0.9}),
    ("sgd", {"reg_exponent": 1.0, "reg": 0.13}),
    ("sgd", {"reg_exponent": 0.6, "reg": 0.8}),
    ("sgd", {"reg_exponent": 0.5, "reg": 1.0}),
    ("sgd", {"learning_rate": 0.02}),
    ("sgd", {"learning_rate": 0.05, "n_epochs": 30}),
    ("sgd", {"n_factors": 16}),
    ("sgd", {"n_factors": 32}),
    ("sgd", {"n_factors": 128}),
    ("als", {}),
    ("als", {"reg": 1.0}),
    ("als", {"reg": 1.4}),
    ("als", {"reg": 2.2}),
    ("als", {"reg_exponent": 0.3, "reg": 4.0}),
    ("als", {"reg_exponent": 0.6, "reg": 1.2}),
    ("als", {"reg_exponent": 0.7, "reg": 0.6}),
    ("als", {"reg_exponent": 0.7, "reg": 0.8}),
    ("als", {"n_epochs": 30}),
    ("als", {"n_factors": 32}),
    ("bayes", {}),
    ("bayes", {"n_factors": 16}),
    ("bayes", {"n_epochs": 220}),
    ("minibatch", {}),
    ("gd", {}),
]


def fit(train: fastcf.Ratings, solver: str, change: dict[str, float], seed: int) -> fastcf.MatrixFactorization:
    """Fit with the "auto" settings of a solver changed."""
    change = dict(change)
    share = change.pop("learning_rate", costs._SHARE)
    kind = type(as_solver(solver))
    auto = kind.auto["squared"]._replace(**change)  # type: ignore[arg-type]  # the integer fields get integers
    with mock.patch.object(kind, "auto", {**kind.auto, "squared": auto}), mock.patch.object(costs, "_SHARE", share):
        return fastcf.MatrixFactorization(solver=solver, random_state=seed).fit(train)


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


MADE_UP: dict[str, tuple[int, int, int, dict[str, int]]] = {
    "made-up, sparse 100 k": (15_000, 10_000, 100_000, {}),
    "made-up, dense 100 k": (943, 1_682, 100_000, {}),
    "made-up, 300 k of 40 factors": (3_000, 2_000, 300_000, {"n_factors": 40}),
}


def made_up(
    n_users: int, n_items: int, n_ratings: int, special: dict[str, int]
) -> list[tuple[fastcf.Ratings, np.ndarray, np.ndarray]]:
    """Return the one fold of a made-up set."""
    ratings = fastcf.data.make_ratings(n_users, n_items, n_ratings, random_state=0, **special)
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = held_out.to_coo()
    return [(train, np.stack([users, items], axis=1), values)]


def measure_factors(folder: Path, n_folds: int) -> None:
    """Print and write what numbers of factors of "bayes" reach on validation ratings."""
    sets = {path.name: folds(read_log(path), n_folds) for path in sets_of(folder)}
    sets |= {name: made_up(*shape) for name, shape in MADE_UP.items()}
    default = as_solver("bayes").auto["squared"].n_factors
    results: dict[str, dict[int, dict[str, object]]] = {}
    print("| set | factors | validation RMSE | to the default | standard error | seconds |\n|---|---|---|---|---|---|")
    for name, parts in sets.items():
        errors: dict[int, np.ndarray] = {}
        seconds: dict[int, float] = {}
        for k in (16, 32, 64):
            started = time.perf_counter()
            found = []
            for fold, (ratings, X, y) in enumerate(parts):
                model = fastcf.MatrixFactorization(k, solver="bayes", random_state=fold).fit(ratings)
                found.append(fastcf.metrics.rmse(y, model.predict(X)))
            errors[k], seconds[k] = np.array(found), (time.perf_counter() - started) / len(parts)
        results[name] = {}
        for k, values in errors.items():
            change = values - errors[default]
            spread = float(change.std(ddof=1) / np.sqrt(change.size)) if change.size > 1 else None
            mean, moved = float(values.mean()), float(change.mean())
            results[name][k] = {"rmse": mean, "change": moved, "standard_error": spread, "seconds": seconds[k]}
            shown = "–" if spread is None else f"{spread:.4f}"
            print(f"| {name} | {k} | {mean:.4f} | {moved:+.4f} | {shown} | {seconds[k]:.1f} |", flush=True)
    print()
    write_json("bayes_factors", {"folds": n_folds, "default": default, "results": results})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--factors", action="store_true", help='compare numbers of factors of "bayes" instead')
    arguments = parser.parse_args()
    if arguments.factors:
        measure_factors(arguments.folder, arguments.folds)
        return
    sets = {path.name: folds(read_log(path), arguments.folds) for path in sets_of(arguments.folder)}
    sets["made-up 1 M"] = made_up(6_040, 3_706, 1_000_000, {})

    results = []
    print("| setting | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for solver, change in [("BiasModel", {}), *SETTINGS]:
        row = {}
        for name, parts in sets.items():
            errors = []
            for fold, (ratings, X, y) in enumerate(parts):
                biases = solver == "BiasModel"
                model = fastcf.BiasModel().fit(ratings) if biases else fit(ratings, solver, change, fold)
                errors.append(fastcf.metrics.rmse(y, model.predict(X)))
            row[name] = float(np.mean(errors))
        label = ", ".join([solver, *(f"{k}={v:g}" for k, v in change.items())])
        results.append({"setting": label, **row})
        print(f"| {label} | " + " | ".join(f"{error:.4f}" for error in row.values()) + " |", flush=True)
    print("\nwritten:", write_json("defaults", {"folds": arguments.folds, "results": results}))


if __name__ == "__main__":
    main()
