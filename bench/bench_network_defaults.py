"""What the "auto" dropout of inputs and penalty, and centres of output weights, of Autoencoder were chosen on:
validation ratings only.

    python bench/bench_network_defaults.py FOLDER [--folds 1] [--sets NAME ...] [--settings NAME ...]

Sets are those of FOLDER (the training part of bench_accuracy.py's split), their dense cores (the most active users and
the most rated items), and a made-up one of 450,000 ratings, dense and chosen by taste. A tenth is held out per fold.
Figures are RMSE after the last epoch, and processor seconds of a fit. The test rows are never looked at.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import split
from common import write_json
from fastcf.data import make_ratings, read_log, train_test_split
from fastcf.models.autoencoder import problem

# Without centres: the former default, each change alone, both, and constants that win on the dense set; then centres.
# All but the last two with output weights that take whole steps.
PLAIN: dict[str, Any] = {"reg": 400.0, "rated_output": False, "output_rate": 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "dropout 0.5, λ 500": {**PLAIN, "input_dropout": 0.5, "reg": 500.0},
    "dropout by row, λ 500": {**PLAIN, "reg": 500.0},
    "dropout 0.5, λ 400": {**PLAIN, "input_dropout": 0.5},
    "dropout by row, λ 400": PLAIN,
    "without which ratings there are": {**PLAIN, "rated_input": 0.0},
    "dropout 0.8, λ 800": {**PLAIN, "input_dropout": 0.8, "reg": 800.0},
    "centres": {"reg": 400.0, "output_rate": 1.0},
    "by user": {**PLAIN, "orientation": "user"},
    "by user, centres": {"reg": 400.0, "output_rate": 1.0, "orientation": "user"},
    "centres, smaller steps": {"reg": 400.0},
    "by user, centres, smaller steps": {"reg": 400.0, "orientation": "user"},
}
OUTPUT_RATE = problem._OUTPUT_RATE  # no parameter
CORES = {"ml-latest-small": (300, 1000), "goodbooks-2672": (1500, 600)}  # users and items of the dense part


def training_part(path: Path) -> fastcf.Ratings:
    return split(read_log(path))[0].to_ratings(duplicates="last")


def core(ratings: fastcf.Ratings, n_users: int, n_items: int) -> fastcf.Ratings:
    """Return the ratings of the most rated items by the users who rated most of them."""
    users, items, values = ratings.to_coo()
    rows = ratings.row_of_entry()
    common = np.argsort(-np.bincount(ratings.indices, minlength=ratings.n_items), kind="stable")[:n_items]
    kept = np.isin(ratings.indices, common)
    active = np.argsort(-np.bincount(rows[kept], minlength=ratings.n_users), kind="stable")[:n_users]
    kept &= np.isin(rows, active)
    return fastcf.Ratings.from_coo(users[kept], items[kept], values[kept])


def chosen_by_taste() -> fastcf.Ratings:
    return make_ratings(
        3_000, 1_850, 450_000, n_factors=16, choice=1.0, noise=0.75, levels=[1, 2, 3, 4, 5], random_state=0
    )


def sets_in(folder: Path) -> dict[str, Callable[[], fastcf.Ratings]]:
    found: dict[str, Callable[[], fastcf.Ratings]] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            continue
        found[path.name] = lambda path=path: training_part(path)
        if path.name in CORES:
            found[f"{path.name}, core"] = lambda path=path: core(training_part(path), *CORES[path.name])
    return {**found, "made-up, 450 k": chosen_by_taste}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--sets", nargs="+", help="by name; all by default")
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", metavar="NAME", default="network_defaults", help="of the results")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    print("| set | ratings per row, per column | setting | share dropped | RMSE | seconds |\n|---|---|---|---|---|---|")
    for name, make in sets_in(arguments.folder).items():
        if arguments.sets and name not in arguments.sets:
            continue
        ratings = make()
        shape = {"ratings": ratings.nnz, "users": ratings.n_users, "items": ratings.n_items}
        results[name] = {**shape, "settings": {}}
        per = f"{ratings.nnz / ratings.n_items:.0f}, {ratings.nnz / ratings.n_users:.0f}"
        for label in arguments.settings:
            errors, started = [], time.process_time()
            for fold in range(arguments.folds):
                train, validation = train_test_split(ratings, 0.1, random_state=77 + fold)
                options = dict(SETTINGS[label])
                problem._OUTPUT_RATE = options.pop("output_rate", OUTPUT_RATE)
                model = fastcf.Autoencoder(random_state=fold, n_threads=arguments.threads, **options).fit(train)
                errors.append(-model.score(validation))
            seconds = (time.process_time() - started) / arguments.folds
            row = {"rmse": float(np.mean(errors)), "dropped": model.input_dropout_, "seconds": seconds}
            results[name]["settings"][label] = row
            dropped, rmse = row["dropped"], row["rmse"]
            print(f"| {name} | {per} | {label} | {dropped:.2f} | {rmse:.4f} | {seconds:.1f} |", flush=True)
    print("\nwritten:", write_json(arguments.output, {"folds": arguments.folds, "results": results}))


if __name__ == "__main__":
    main()
