"""Log-loss and AUC of labels on real sets of ratings, with default parameters: BiasModel, whose predictions of labels
are limited to [0.01, 0.99], MatrixFactorization with the logistic cost by every solver, biases alone, and Autoencoder
with the logistic cost.

    python bench/bench_logistic.py FOLDER [--seeds 5] [--models NAME ...]
    python bench/bench_logistic.py FOLDER --settings | --network-settings [--only SETTING ...] [--sets NAME ...]

FOLDER is a set of ratings, or holds several (every subfolder that is one is measured). Split and rules are those of
bench_accuracy.py: a tenth of the rows is for testing, every test row counts, nothing is tuned on them. The label of a
rating is whether it is at least 4, where ratings go up to 5, or 8, where they go up to 10.

With ``--settings``: what the "auto" settings of "sgd" were chosen on, mean validation log-loss and AUC on the folds of
bench_defaults.py, which never look at the test rows, and on made-up sets from 100,000 to 2 M ratings, with much, little
and nothing for factors to learn. With ``--network-settings``: the same for the penalty of the autoencoder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fastcf
from bench_accuracy import SPLIT_SEED, pairs, sets_of, split, threshold_of
from bench_defaults import folds
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.metrics import accuracy, log_loss, roc_auc
from fastcf.models.bias import label_biases
from fastcf.scores import Targets
from fastcf.solvers import SGD

ZERO = SGD(rated_input=False)  # rows around zero, not around centres
NO_FACTORS = {"n_factors": 1, "init_scale": 1e-30, "solver": ZERO}  # without a gradient, or almost: they stay near zero
NETWORK = "autoencoder"  # a setting: of Autoencoder instead of MatrixFactorization
MODELS: dict[str, dict[str, Any]] = {
    "biases alone": NO_FACTORS,
    "sgd": {},
    "sgd, rows around zero": {"solver": ZERO},
    "minibatch": {"solver": "minibatch"},
    "gd": {"solver": "gd"},
    "Autoencoder": {NETWORK: True},
    "Autoencoder, labels only": {NETWORK: True, "rated_input": 0.0, "rated_output": False},
}


# Of made-up sets: users, items, ratings, and what is special.
MADE_UP: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "sparse 100 k": (15_000, 10_000, 100_000, {}),
    "dense 100 k": (943, 1_682, 100_000, {}),
    "300 k": (20_000, 8_000, 300_000, {}),
    "300 k, half the signal": (10_000, 5_000, 300_000, {"signal": 0.25}),
    "300 k, no factors": (20_000, 8_000, 300_000, {"n_factors": 0}),
    "1 M": (6_040, 3_706, 1_000_000, {}),
    "2 M": (60_000, 10_000, 2_000_000, {}),
}
STEEPEST = (
    "slope at the base rate"  # the unit of z as at the base rate, where it is steepest, instead of the mean slope
)
BEFORE = {  # one penalty for all sets
    STEEPEST: True,
    "reg": 0.75,
    "reg_scaling": 0.5,
    "n_epochs": 40,
    "n_factors": 64,
    "solver": SGD(0.12, rated_input=False),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "biases alone": NO_FACTORS,
    "default": {},
    "rows around zero": {"solver": ZERO},
    "biases alone, slope at the base rate": {STEEPEST: True, **NO_FACTORS},
    "former default": BEFORE,
    "former default, mean slope": {**BEFORE, STEEPEST: False},
    "exponent 0.5, step 0.12": {"reg_scaling": 0.5, "solver": SGD(0.12, rated_input=False)},
    "exponent 0.6": {"solver": ZERO, "reg_scaling": 0.6},
    "step 0.06": {"solver": SGD(0.06, rated_input=False)},
    "step 0.12": {"solver": SGD(0.12, rated_input=False)},
    "20 epochs": {"solver": ZERO, "n_epochs": 20},
    "32 factors": {"solver": ZERO, "n_factors": 32},
}
NETWORK_SETTINGS: dict[str, dict[str, Any]] = {
    label: {NETWORK: True, **options}
    for label, options in (
        *((f"λ = {reg:.0f}", {"reg": reg}) for reg in (120.0, 200.0, 250.0, 300.0, 500.0)),
        *((f"rated_input {value:.0f}", {"rated_input": value}) for value in (0.0, 15.0, 60.0)),
        *((f"input_dropout {share}", {"input_dropout": share}) for share in (0.3, 0.7)),
        ("without centres", {"rated_output": False}),
        ("by user", {"orientation": "user"}),
    )
}


def fit(ratings: fastcf.Ratings, threshold: float, options: dict[str, Any], seed: int) -> Any:
    """Fit with some settings."""
    options = {"cost": "logistic", "threshold": threshold, "random_state": seed, **options}
    if options.pop(NETWORK, False):
        return fastcf.Autoencoder(**options).fit(ratings)
    share = 1.0 if options.pop(STEEPEST, False) else label_biases._LEAST_SHARE_LEFT
    with mock.patch.object(label_biases, "_LEAST_SHARE_LEFT", share):
        return fastcf.MatrixFactorization(**options).fit(ratings)


def fit_bias_model(ratings: fastcf.Ratings, threshold: float) -> fastcf.BiasModel:
    """Fit the biases of labels by least squares."""
    return fastcf.BiasModel().fit(Targets("logistic", threshold).of_ratings(ratings, "fit_bias_model"))


def measure_settings(
    folder: Path, n_folds: int, settings: dict[str, dict[str, Any]], only: list[str] | None, output: str
) -> None:
    """Print and write what settings reach on validation labels, of all sets or ``only`` those of these names."""

    def wanted(name: str) -> bool:
        return only is None or name in only

    sets = {path.name: folds(read_log(path), n_folds) for path in sets_of(folder) if wanted(path.name)}
    for name, (n_users, n_items, n_ratings, special) in MADE_UP.items():
        if not wanted(name):
            continue
        made_up = fastcf.data.make_ratings(n_users, n_items, n_ratings, random_state=0, **special)
        kept, held_out = fastcf.data.train_test_split(made_up, random_state=0)
        users, items, values = held_out.to_coo()
        sets[name] = [(kept, np.stack([users, items], axis=1), values)]
    results = []
    print("| setting | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for label, options in settings.items():
        row: dict[str, Any] = {}
        for name, parts in sets.items():
            found = []
            for fold, (ratings, X, y) in enumerate(parts):
                threshold = threshold_of(y)
                model = fit(ratings, threshold, options, fold)
                p = model.predict(X)
                found.append((log_loss(y >= threshold, p), roc_auc(y >= threshold, p), float(model.reg_)))
            row[name] = dict(zip(("log_loss", "auc", "reg"), np.mean(found, axis=0).tolist(), strict=True))
        results.append({"setting": label, **row})
        print(
            f"| {label} | " + " | ".join("{log_loss:.4f}, {auc:.4f}".format(**found) for found in row.values()) + " |",
            flush=True,
        )
    print()
    write_json(output, {"folds": n_folds, "results": results})


def measure(
    options: dict[str, Any] | None, train: RatingLog, test: RatingLog, threshold: float, seeds: int
) -> dict[str, Any]:
    """Fit once per seed; without options a BiasModel."""
    labels = test.ratings >= threshold
    ratings = train.to_ratings(duplicates="last")
    runs = []
    for seed in range(seeds):
        started = time.perf_counter()
        model = fit_bias_model(ratings, threshold) if options is None else fit(ratings, threshold, options, seed)
        seconds = time.perf_counter() - started
        p = model.predict(pairs(test))
        p = np.clip(p, 0.01, 0.99) if options is None else p
        runs.append((log_loss(labels, p), roc_auc(labels, p), accuracy(labels, p), seconds))
    values = np.array(runs)
    loss, auc, right, _ = values.mean(axis=0)
    return {
        "log_loss": loss,
        "log_loss_sd": values[:, 0].std(ddof=1) if seeds > 1 else 0.0,
        "auc": auc,
        "accuracy": right,
        "fit_seconds": float(np.median(values[:, 3])),
        "runs": seeds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    parser.add_argument("--seeds", type=int, default=5, help="random states, from 0 (default 5)")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS), help="only these")
    parser.add_argument(
        "--output", help="name of the file in bench/results, by default logistic or that of the settings"
    )
    parser.add_argument("--no-json", action="store_true", help="do not write it")
    compared = parser.add_mutually_exclusive_group()
    compared.add_argument("--settings", action="store_true", help="compare settings on validation labels instead")
    compared.add_argument("--network-settings", action="store_true", help="the same of the autoencoder")
    parser.add_argument("--only", nargs="+", metavar="SETTING", help="of --settings or --network-settings")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="of these; all by default")
    parser.add_argument("--folds", type=int, default=4, help="of real sets, with --settings (default 4)")
    arguments = parser.parse_args()
    if arguments.settings or arguments.network_settings:
        table, output = (
            (SETTINGS, "logistic_defaults") if arguments.settings else (NETWORK_SETTINGS, "label_network_defaults")
        )
        unknown = [name for name in arguments.only or [] if name not in table]
        if unknown:
            parser.error(f"--only must be some of {', '.join(table)}; got {unknown[0]}")
        chosen = {name: table[name] for name in arguments.only or table}
        measure_settings(arguments.folder, arguments.folds, chosen, arguments.sets, arguments.output or output)
        return

    results: dict[str, Any] = {}
    print("| set | model | test log-loss | sd | AUC | accuracy | fit, seconds |\n|---|---|---|---|---|---|---|")
    for folder in sets_of(arguments.folder):
        train, test = split(read_log(folder))
        threshold = threshold_of(train.ratings)
        base = float((train.ratings >= threshold).mean())
        results[folder.name] = {"threshold": threshold, "base_rate": base, "test": len(test.ratings), "models": {}}
        for name, options in {"BiasModel of labels": None, **{name: MODELS[name] for name in arguments.models}}.items():
            one = measure(options, train, test, threshold, arguments.seeds)
            results[folder.name]["models"][name] = one
            print(
                f"| {folder.name} | {name} | {one['log_loss']:.4f} | {one['log_loss_sd']:.4f} | {one['auc']:.4f} | "
                f"{one['accuracy']:.4f} | {one['fit_seconds']:.2f} |",
                flush=True,
            )
    if not results:
        parser.error(f"{arguments.folder}: no sets of ratings here")
    if not arguments.no_json:
        print()
        write_json(
            arguments.output or "logistic", {"split_seed": SPLIT_SEED, "seeds": arguments.seeds, "sets": results}
        )


if __name__ == "__main__":
    main()
