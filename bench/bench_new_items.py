"""Ratings of new items: items held out whole, predicted by their features. TwoTower beside models that know less.

    python bench/bench_new_items.py FOLDER [--draws 3] [--threads 2] [--settings | --labels | --starts]

Sets: ml-latest-small and movietweetings-100k in FOLDER with genres and years (`fastcf.features.movielens`), the first
also with genres alone and without items of fewer than ten ratings; and a made-up one (1,000 x 1,000, 80,000 ratings),
whose items' features are their true bias and factors with noise. In each draw a tenth of the items is new: their
ratings are the test, no other. Of the other items a fifth is held out to choose UserRegression's penalty by; then all
of them are trained on. MixedRegression and TwoTower have their defaults. Features do not look at ratings. Item-blind
models know the user only: the mean rating, the user's mean, the user's shrunk bias.

RMSE, MAE and, as ranking, the share of a user's pairs of new items with different ratings that are put in the right
order (half for ties), averaged over users. With --settings: towers alone (no baseline) with one thing changed, on the
held-out fifth of three draws; test items are not looked at. With --labels: log-loss and AUC of labels, cut as in
bench_logistic.py, on the first two sets. With --starts: towers that start at random, and at the predictions of a
MatrixFactorization, on ratings and labels of the held-out fifth of each draw of the same sets.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from sklearn.preprocessing import StandardScaler

import fastcf
from bench_accuracy import threshold_of
from common import write_json
from fastcf.models.two_tower import towers, two_tower

NEW, PARTS, SEED = 10, 5, 20261121  # a tenth of the items is new, a fifth of the others held out
REGS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "relu": {"activation": "relu"},
    "selu": {"activation": "selu"},
    "tanh": {"activation": "tanh"},
    "512-256": {"user_layers": (512, 256), "item_layers": (512, 256)},
    "64 factors": {"n_factors": 64},
    "not normalised": {"normalize": False},
    "reg 0": {"reg": 0.0},
    "reg 30": {"reg": 30.0},
    "reg 300": {"reg": 300.0},
    "rate 0.001": {"optimizer": fastcf.optimizers.Adam(0.001)},
    "rate 0.004": {"optimizer": fastcf.optimizers.Adam(0.004)},
    "20 epochs": {"n_epochs": 20},
    "dropout 0.1": {"dropout": 0.1},
    "share 0.5": {"share": 0.5},
    "share 1": {"share": 1.0},
    "own inputs not enlarged": {"gain": 1.0},
    "own inputs five times": {"gain": 5.0},
}


class Problem(NamedTuple):
    """Ratings, and features of all items."""

    ratings: fastcf.Ratings
    features: fastcf.FeatureTable


def movielens(folder: Path, *, years: bool = True, least: int = 1) -> Problem:
    """Return a set with the genres of films, with or without years, and films of at least so many ratings."""
    ratings = fastcf.data.load_ratings(folder)
    table = fastcf.features.movielens(folder).items
    if not years:
        kept = [column for column, name in enumerate(table.names) if name != "year"]
        table = fastcf.FeatureTable(table.ids, table.matrix[:, kept])
    often = np.bincount(ratings.indices, minlength=ratings.n_items)[ratings.indices] >= least
    return Problem(ratings.take(np.flatnonzero(often)), table)


def made_up() -> Problem:
    """Return ratings whose items' features are their truth, and noise."""
    ratings, truth = fastcf.data.make_ratings(1_000, 1_000, 80_000, random_state=SEED, return_truth=True)
    known = np.hstack([truth.item_bias[:, None], truth.item_factors])
    noise = np.random.default_rng(SEED).normal(0, 1, known.shape)
    matrix = StandardScaler().fit_transform(known + 0.5 * known.std(0) * noise)
    return Problem(ratings, fastcf.FeatureTable(ratings.items.ids, matrix[: ratings.n_items]))


def without(ratings: fastcf.Ratings, rows: np.ndarray) -> tuple[fastcf.Ratings, fastcf.Ratings]:
    """Return the ratings of other items, and those of these item rows."""
    held = np.isin(ratings.indices, rows)
    return ratings.take(np.flatnonzero(~held)), ratings.take(np.flatnonzero(held))


def drawn(ratings: fastcf.Ratings, seed: int, share: int = PARTS) -> np.ndarray:
    """Return one of so many random parts of the items that have ratings."""
    return np.array_split(np.random.default_rng(seed).permutation(np.unique(ratings.indices)), share)[0]


def right_order(test: fastcf.Ratings, predicted: np.ndarray) -> float:
    """Return the share of a user's pairs with different ratings that are in the right order, averaged over users."""
    shares = []
    for begin, end in zip(test.indptr[:-1], test.indptr[1:], strict=True):
        y, z = test.values[begin:end], predicted[begin:end]
        better = y[:, None] > y
        if better.any():
            difference = (z[:, None] - z)[better]
            shares.append(float((np.sign(difference) / 2 + 0.5).mean()))
    return float(np.mean(shares))


def item_blind(train: fastcf.Ratings, test: fastcf.Ratings) -> dict[str, np.ndarray]:
    """Return predictions that know the user only."""
    rows = train.users.rows(test.users.ids)[test.row_of_entry()]
    counts, owner = np.maximum(np.diff(train.indptr), 1), train.row_of_entry()
    sums = np.bincount(owner, train.values.astype(np.float64) - train.mean, train.n_users)
    within = sums[owner] / counts[owner]
    noise = float(((train.values - train.mean - within) ** 2).mean())
    spread = max(float(np.average((sums / counts) ** 2, weights=counts)) - noise / float(counts.mean()), 1e-9)
    shrunk = sums / (counts + noise / spread)

    def said(bias: np.ndarray) -> np.ndarray:
        return np.clip(train.mean + np.where(rows >= 0, bias[rows], 0), *train.rating_range)

    return {
        "mean": said(np.zeros(train.n_users)),
        "user's mean": said(sums / counts),
        "user's shrunk bias": said(shrunk),
    }


def measured(test: fastcf.Ratings, predicted: np.ndarray) -> dict[str, float]:
    metrics = fastcf.metrics
    return {
        "rmse": metrics.rmse(test.values, predicted),
        "mae": metrics.mae(test.values, predicted),
        "right_order": right_order(test, predicted),
    }


def run_draw(problem: Problem, draw: int, threads: int) -> dict[str, dict[str, float]]:
    """Return every model's figures on one draw of new items."""
    others, test = without(problem.ratings, drawn(problem.ratings, SEED + draw, NEW))
    train, validation = without(others, drawn(others, SEED + 1 + draw))

    def regression(reg: float, data: fastcf.Ratings) -> fastcf.UserRegression:
        return fastcf.UserRegression(reg=reg, n_threads=threads).fit(data, item_features=problem.features)

    reg = max(REGS, key=lambda reg: regression(reg, train).score(validation))
    found = {name: measured(test, predicted) for name, predicted in item_blind(others, test).items()}
    found["BiasModel"] = measured(test, fastcf.BiasModel(n_threads=threads).fit(others).predict(test))
    found["UserRegression"] = measured(test, regression(1.0, others).predict(test))
    found["UserRegression, penalty chosen"] = {**measured(test, regression(reg, others).predict(test)), "reg": reg}
    for name, model in (
        ("MixedRegression", fastcf.MixedRegression(n_threads=threads)),
        ("TwoTower", fastcf.TwoTower(random_state=draw, n_threads=threads)),
        ("TwoTower without baseline", fastcf.TwoTower(baseline="none", random_state=draw, n_threads=threads)),
    ):
        start = time.perf_counter()
        model.fit(others, item_features=problem.features)
        seconds = time.perf_counter() - start
        found[name] = {**measured(test, model.predict(test)), "seconds": seconds}
    return found


def run_labels(problem: Problem, draw: int, threads: int) -> dict[str, dict[str, float]]:
    """Return the figures of models of labels on one draw of new items."""
    others, test = without(problem.ratings, drawn(problem.ratings, SEED + draw, NEW))
    threshold = threshold_of(others.values)
    labels = test.values >= threshold
    options = {"cost": "logistic", "threshold": threshold, "n_threads": threads}
    found = {}
    for name, model in (
        ("MatrixFactorization", fastcf.MatrixFactorization(random_state=draw, **options)),
        ("UserRegression", fastcf.UserRegression(**options)),
        ("TwoTower without baseline", fastcf.TwoTower(baseline="none", random_state=draw, **options)),
        ("TwoTower", fastcf.TwoTower(random_state=draw, **options)),
    ):
        features = {} if name == "MatrixFactorization" else {"item_features": problem.features}
        p = model.fit(others, **features).predict(test)
        metrics = fastcf.metrics
        found[name] = {"log_loss": metrics.log_loss(labels, p), "auc": metrics.roc_auc(labels, p)}
    return found


def run_starts(problem: Problem, draw: int, threads: int) -> dict[str, float]:
    """Return validation errors of towers by where they start."""
    others, _ = without(problem.ratings, drawn(problem.ratings, SEED + draw, NEW))
    train, validation = without(others, drawn(others, SEED + 1 + draw))
    found = {}
    for kind, options in (
        ("ratings", {}),
        ("labels", {"cost": "logistic", "threshold": threshold_of(train.values)}),
    ):
        options = {"random_state": draw, "n_threads": threads, **options}
        start = fastcf.MatrixFactorization(**options).fit(train)
        for name, given in (("random", None), ("MatrixFactorization", start)):
            model = fastcf.TwoTower(**options).fit(train, item_features=problem.features, init_from=given)
            found[f"{kind}, {name}"] = -model.score(validation)
            print(f"  {draw} {kind}, {name}: {found[f'{kind}, {name}']:.4f}", flush=True)
    return found


def settings(problem: Problem, threads: int) -> dict[str, list[float]]:
    """Return the validation RMSE of every setting, for three parts."""
    results: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for part in range(3):
        others, _ = without(problem.ratings, drawn(problem.ratings, SEED + part, NEW))
        train, validation = without(others, drawn(others, SEED + 1 + part))
        for name, changed in SETTINGS.items():
            options = dict(changed)
            inner = {"_OWN_GAIN": options.pop("gain", None), "_AUTO_SHARE": options.pop("share", None)}
            modules = {"_OWN_GAIN": towers, "_AUTO_SHARE": two_tower}
            model = fastcf.TwoTower(baseline="none", random_state=part, n_threads=threads, **options)
            name_of = next((constant for constant, value in inner.items() if value is not None), "_OWN_GAIN")
            value = inner[name_of] if inner[name_of] is not None else towers._OWN_GAIN
            with mock.patch.object(modules[name_of], name_of, value):
                model.fit(train, item_features=problem.features)
            results[name].append(-model.score(validation))
    for name, errors in results.items():
        print(f"  {name:<24} {np.mean(errors):.4f}   " + " ".join(f"{error:.4f}" for error in errors), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--settings", action="store_true", help="what each default is worth, on validation items")
    parser.add_argument("--labels", action="store_true", help="labels instead of ratings")
    parser.add_argument("--starts", action="store_true", help="where towers start, on validation items")
    arguments = parser.parse_args()
    small, tweets = arguments.folder / "ml-latest-small", arguments.folder / "movietweetings-100k"
    problems = {
        "ml-latest-small": movielens(small),
        "ml-latest-small, genres alone": movielens(small, years=False),
        "ml-latest-small, films of ten ratings": movielens(small, least=10),
        "movietweetings-100k": movielens(tweets),
        "made up": made_up(),
    }
    results: dict[str, Any] = {}
    if arguments.labels:
        for name in ("ml-latest-small", "movietweetings-100k"):
            parts = [run_labels(problems[name], draw, arguments.threads) for draw in range(arguments.draws)]
            results[name] = parts
            for model in parts[0]:
                loss, auc = (np.array([part[model][key] for part in parts]) for key in ("log_loss", "auc"))
                spread = loss.std(ddof=1 if len(parts) > 1 else 0)
                print(f"{name}: {model:<28} {loss.mean():.4f} ± {spread:.4f}, {auc.mean():.4f}", flush=True)
        write_json("new_items_labels", {"seed": SEED, "results": results})
        return
    if arguments.starts:
        for name in ("ml-latest-small", "movietweetings-100k"):
            starts = [run_starts(problems[name], draw, arguments.threads) for draw in range(arguments.draws)]
            results[name] = starts
            for start in starts[0]:
                print(f"{name}: {start:<28} {np.mean([each[start] for each in starts]):.4f}", flush=True)
        write_json("two_tower_starts", {"seed": SEED, "results": results})
        return
    for name, problem in problems.items():
        print(f"{name}: {problem.ratings!r}, {problem.features!r}")
        if arguments.settings:
            results[name] = settings(problem, arguments.threads)
            continue
        parts = [run_draw(problem, draw, arguments.threads) for draw in range(arguments.draws)]
        results[name] = parts
        for model in parts[0]:
            means = {key: np.mean([part[model][key] for part in parts]) for key in ("rmse", "mae", "right_order")}
            spread = np.std([part[model]["rmse"] for part in parts], ddof=1 if len(parts) > 1 else 0)
            print(
                f"  {model:<30} RMSE {means['rmse']:.4f} ± {spread:.4f}  MAE {means['mae']:.4f}  "
                f"right order {means['right_order']:.4f}",
                flush=True,
            )
        write_json("new_items", {"seed": SEED, "results": results})  # after every set: all take minutes
    if arguments.settings:
        write_json("two_tower_settings", {"seed": SEED, "results": results})


if __name__ == "__main__":
    main()
