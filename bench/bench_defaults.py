"""What a search of penalty, epochs and factors gains, each alone, and what it costs: validation ratings only.

    python bench/bench_defaults.py FOLDER [--solver sgd] [--folds 4]
    python bench/bench_defaults.py FOLDER --time [sgd gd ...] [--folds 1] [--output defaults_time]

For every set found in FOLDER the training part of bench_accuracy.py's split is cut again, a tenth of it held out, once
per fold. Made-up sets stand for dense data. Each line says what is searched, the rest has the values where the search
begins; the figures are mean validation RMSE, and seconds of a fit. The test rows are never looked at.

With --time, what the defaults of each solver take: validation RMSE, of labels log-loss, and processor seconds of a fit
on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import pairs, sets_of, split, threshold_of
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.models.factorization.solvers import SOLVERS
from fastcf.solvers import ALS, SGD, as_solver

# Constants before there was a search: factors, epochs, and λ in units of σ.
FORMER = {"sgd": (64, 40, 0.6), "als": (64, 15, 1.75), "minibatch": (64, 40, 1.75), "gd": (64, 200, 1.75)}

Made = Callable[[float], fastcf.MatrixFactorization]


def mechanisms(solver: str, seed: int) -> dict[str, Made]:
    """Return models by what is searched; they are made from σ."""
    plain = {"sgd": SGD(rated_input=False), "als": ALS(rated_input=False)}
    options: dict[str, Any] = {"solver": plain.get(solver, solver), "random_state": seed}
    k, n_epochs, reg = FORMER[solver]
    first = as_solver(solver).auto["squared"]
    begin = {"n_factors": first.n_factors, "n_epochs": first.n_epochs}
    return {
        "former constants": lambda sigma: fastcf.MatrixFactorization(k, n_epochs=n_epochs, reg=reg * sigma, **options),
        "where the search begins": lambda sigma: fastcf.MatrixFactorization(reg=first.reg * sigma, **begin, **options),
        "λ": lambda sigma: fastcf.MatrixFactorization(**begin, **options),
        "λ, epochs": lambda sigma: fastcf.MatrixFactorization(first.n_factors, **options),
        "λ, factors": lambda sigma: fastcf.MatrixFactorization(n_epochs=first.n_epochs, **options),
        "λ, epochs, factors": lambda sigma: fastcf.MatrixFactorization(**options),
        "λ, epochs, factors, centres": lambda sigma: fastcf.MatrixFactorization(solver=solver, random_state=seed),
    }


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


def sigma_of(ratings: fastcf.Ratings) -> float:
    """Return σ, in whose units penalties are."""
    return float(np.sqrt(fastcf.BiasModel().fit(ratings).noise_variance_))


def made_up(
    n_users: int, n_items: int, n_ratings: int, special: dict[str, float]
) -> list[tuple[fastcf.Ratings, np.ndarray, np.ndarray]]:
    """Return the one fold of a made-up set."""
    ratings = fastcf.data.make_ratings(n_users, n_items, n_ratings, random_state=0, **special)  # type: ignore[arg-type]  # integers are whole
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = held_out.to_coo()
    return [(train, np.stack([users, items], axis=1), values)]


def time_of_defaults(sets: dict[str, RatingLog], solvers: list[str], n_folds: int, output: str) -> None:
    """Print and write errors and processor seconds of solvers by default, of ratings and of labels."""
    results: dict[str, dict[str, Any]] = {}
    print("| set | targets | solver | error | seconds | λ | epochs | factors |\n|---|---|---|---|---|---|---|---|")
    for of, log in sets.items():
        parts, threshold = folds(log, n_folds), threshold_of(log.ratings)
        targets: dict[str, dict[str, Any]] = {"ratings": {}, "labels": {"cost": "logistic", "threshold": threshold}}
        for name, options in targets.items():
            for solver in solvers:
                if options.get("cost", "squared") not in as_solver(solver).auto:
                    continue
                errors, seconds = [], []
                for fold, (ratings, X, y) in enumerate(parts):
                    model = fastcf.MatrixFactorization(solver=solver, random_state=fold, n_threads=1, **options)
                    started = time.process_time()
                    model.fit(ratings)
                    seconds.append(time.process_time() - started)
                    errors.append(-model.score(X, y))
                found = {"error": float(np.mean(errors)), "processor_seconds": float(np.mean(seconds))}
                found |= {"reg": model.reg_, "n_epochs": model.n_epochs_, "n_factors": model.n_factors_}
                results[f"{of}, {name}, {solver}"] = found
                shown = "{error:.4f} | {processor_seconds:.1f} | {reg:.3g} | {n_epochs} | {n_factors}".format(**found)
                print(f"| {of} | {name} | {solver} | {shown} |", flush=True)
    write_json(output, {"folds": n_folds, "results": results})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--solver", choices=tuple(FORMER), default="sgd")
    parser.add_argument("--time", nargs="*", choices=SOLVERS, metavar="SOLVER", help="of these solvers; of all")
    parser.add_argument("--output", default="defaults_time", help="with --time, name of the file in bench/results")
    arguments = parser.parse_args()
    if arguments.time is not None:
        logs = {path.name: read_log(path) for path in sets_of(arguments.folder)}
        time_of_defaults(logs, arguments.time or list(SOLVERS), arguments.folds, arguments.output)
        return
    sets = {path.name: folds(read_log(path), arguments.folds) for path in sets_of(arguments.folder)}
    sets["made-up, 8,700"] = made_up(300, 200, 8_700, {"n_factors": 4, "noise": 0.3, "signal": 0.8, "popularity": 0})
    sets["made-up, 1 M"] = made_up(6_040, 3_706, 1_000_000, {})

    results: dict[str, dict[str, dict[str, float]]] = {}
    print("| searched | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for name in mechanisms(arguments.solver, 0):
        row = {}
        for of, parts in sets.items():
            errors, started = [], time.perf_counter()
            for fold, (ratings, X, y) in enumerate(parts):
                model = mechanisms(arguments.solver, fold)[name](sigma_of(ratings)).fit(ratings)
                errors.append(fastcf.metrics.rmse(y, model.predict(X)))
            row[of] = {"rmse": float(np.mean(errors)), "seconds": (time.perf_counter() - started) / len(parts)}
        results[name] = row
        shown = (f"{found['rmse']:.4f} ({found['seconds']:.1f} s)" for found in row.values())
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)
    written = write_json(f"defaults_{arguments.solver}", {"folds": arguments.folds, "results": results})
    print("\nwritten:", written)


if __name__ == "__main__":
    main()
