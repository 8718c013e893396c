"""UserPerceptron: seconds against loops of scikit-learn's MLPClassifier and LogisticRegression over the users, and what
it predicts on real sets of ratings.

    python bench/bench_perceptron.py FOLDER [--speed | --quality | --settings]

Speed: made-up ratings of 6,000 users x 3,700 items, 20 standard normal features, one hidden layer of 10 or none, equal
epochs, batches, optimiser (Adam), constant steps and first weights (Glorot's). MLPClassifier divides its penalty by the
batch's size and we by the user's number of ratings, so each user's ``alpha`` is the equal of our ``reg``; it trains
each 100th of the users whose labels are not all alike, one after the other, and its seconds are multiplied accordingly;
likewise LogisticRegression, which has no epochs but a tolerance, each 40th. What both have learnt is compared by the
mean over those users of the log-loss on their training ratings.

Quality: the split of bench_accuracy.py, a tenth of the rows for testing; a rating is liked where it is at least 4, of
10 at least 8. Features are genres and year ("given"), or the biases and factors of a factorisation of the training
ratings ("mf"). Nothing is tuned on test rows; users whom scikit-learn refuses, for their labels are all alike or they
have none, are predicted their share of likes with half a rating of each kind added, and strangers the base rate.

Settings: what the defaults were chosen on, mean validation log-loss and AUC on folds of bench_defaults.py, which never
look at the test rows, and on a made-up set.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MultiLabelBinarizer
from threadpoolctl import threadpool_limits

import fastcf
from bench_accuracy import SPLIT_SEED, pairs, sets_of, split
from bench_defaults import folds
from common import alternate, write_json
from fastcf.data import RatingLog, read_items, read_log
from fastcf.metrics import log_loss, roc_auc
from fastcf.models.perceptron.features import item_table, unit_scale
from fastcf.optimizers import Adam

HIDDEN, EPOCHS, BATCH, REG, RATE = (10,), 20, 10, 3.0, 0.01  # the defaults
LIKED = 4.0
SETTINGS: list[dict[str, Any]] = [
    {}, {"hidden": ()}, {"hidden": (5,)}, {"hidden": (20,)}, {"activation": "relu"}, {"activation": "sigmoid"},
    {"reg": 1.0}, {"reg": 3.0}, {"reg": 10.0}, {"reg": 20.0}, {"reg": 30.0}, {"optimizer": Adam(0.005)},
    {"optimizer": Adam(0.02)}, {"n_epochs": 10}, {"n_epochs": 30}, {"init": "glorot"}, {"optimizer": "nesterov"},
]  # fmt: skip


def genre_table(folder: Path, items: np.ndarray) -> fastcf.FeatureTable:
    """Return genres, a column each, and the year in standard deviations from the mean; zeros for what is not known."""
    films = read_items(folder)
    genres = MultiLabelBinarizer().fit_transform([genre.split("|") if genre else [] for genre in films.genres])
    found = [re.search(r"\((\d{4})\)\s*$", title) for title in films.titles]
    years = np.array([float(year[1]) if year else np.nan for year in found])
    years = np.nan_to_num((years - np.nanmean(years)) / np.nanstd(years))
    missing = np.setdiff1d(items, films.ids)
    known = np.column_stack([genres, years])
    return fastcf.FeatureTable(
        np.concatenate([films.ids, missing]), np.vstack([known, np.zeros((missing.size, known.shape[1]))])
    )


def factor_table(ratings: fastcf.Ratings, seed: int) -> fastcf.FeatureTable:
    """Return what ``features="mf"`` learns of the items."""
    table = item_table(fastcf.MatrixFactorization(16, random_state=seed).fit(ratings), "factor_table")
    return fastcf.FeatureTable(table.ids, table.matrix * unit_scale(table))


# ---------------------------------------------------------------------------------------------------------------
# scikit-learn, user by user
# ---------------------------------------------------------------------------------------------------------------


def rated_by(ratings: fastcf.Ratings, labels: np.ndarray, user: int) -> tuple[np.ndarray, np.ndarray]:
    entries = slice(ratings.indptr[user], ratings.indptr[user + 1])
    return ratings.indices[entries], labels[entries]


def mixed_users(ratings: fastcf.Ratings, labels: np.ndarray) -> np.ndarray:
    """Return the rows of users whose labels are not all alike."""
    ones = np.bincount(ratings.row_of_entry(), labels, ratings.n_users)
    return np.flatnonzero((ones > 0) & (ones < np.diff(ratings.indptr)))


def classifier(kind: str, n: int, options: dict[str, Any]) -> Any:
    """Return scikit-learn's like of ours for a user of n ratings."""
    if kind == "LogisticRegression":
        return LogisticRegression(C=1 / options["reg"], tol=1e-6, max_iter=1000)
    batch = min(options["batch_size"], n)
    return MLPClassifier(
        options["hidden"], activation="tanh", solver="adam", alpha=options["reg"] * batch / n, batch_size=batch,
        learning_rate_init=options["learning_rate"], max_iter=options["n_epochs"], tol=0.0,
        n_iter_no_change=options["n_epochs"], random_state=0,
    )  # fmt: skip


def fit_each(
    kind: str, ratings: fastcf.Ratings, labels: np.ndarray, features: np.ndarray, users: np.ndarray,
    options: dict[str, Any],
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    for user in users:
        items, y = rated_by(ratings, labels, user)
        yield int(user), classifier(kind, len(y), options).fit(features[items], y)


# ---------------------------------------------------------------------------------------------------------------
# Speed
# ---------------------------------------------------------------------------------------------------------------


def compare_speed(ratings: fastcf.Ratings, hidden: tuple[int, ...], repeats: int, threads: int) -> dict[str, Any]:
    features = np.random.default_rng(0).standard_normal((ratings.n_items, 20))
    table = fastcf.FeatureTable(ratings.items, features)
    labels = (ratings.values >= LIKED).astype(np.float64)
    kind = "MLPClassifier" if hidden else "LogisticRegression"
    users = mixed_users(ratings, labels)
    some = users[:: 100 if hidden else 40]
    options = {"hidden": hidden, "reg": REG, "batch_size": BATCH, "n_epochs": EPOCHS, "learning_rate": RATE}
    if not hidden:  # the optimum is to be reached
        options["learning_rate"] = 0.05
    fitted: dict[str, Any] = {}

    def ours() -> None:
        given = dict(options)
        steps = Adam(given.pop("learning_rate"), schedule="constant" if hidden else "linear")
        model = fastcf.UserPerceptron(
            threshold=LIKED, init="glorot", optimizer=steps, random_state=0, n_threads=threads, **given
        )
        fitted["model"] = model.fit(ratings, item_features=table)

    def peer() -> None:
        fitted["peers"] = list(fit_each(kind, ratings, labels, features, some, options))

    processor: dict[str, list[float]] = {"fastcf": [], "scikit-learn": []}

    def timed(name: str, run: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            started = time.process_time()
            run()
            processor[name].append(time.process_time() - started)

        return call

    functions = {"fastcf": timed("fastcf", ours), "pause": lambda: time.sleep(0.3)}
    functions["scikit-learn"] = timed("scikit-learn", peer)
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = alternate(functions, repeats, warmup=0)
    scale = users.size / some.size
    own, theirs = min(seconds["fastcf"]), min(seconds["scikit-learn"]) * scale
    own_processor, their_processor = min(processor["fastcf"]), min(processor["scikit-learn"]) * scale
    losses: dict[str, list[float]] = {"fastcf": [], "peer": []}
    for user, estimator in fitted["peers"]:
        items, y = rated_by(ratings, labels, user)
        losses["peer"].append(log_loss(y, estimator.predict_proba(features[items])[:, 1]))
        ids = np.column_stack([np.full(items.size, ratings.users.ids[user]), ratings.items.ids[items]])
        losses["fastcf"].append(log_loss(y, fitted["model"].predict(ids)))
    mean = {name: float(np.mean(values)) for name, values in losses.items()}
    print(
        f"hidden {hidden!s:<6} {threads} thread(s): fastcf {own:7.3f} s for {ratings.n_users:,} users; {kind} "
        f"{theirs:8.2f} s ({some.size} users x {scale:.1f}); {theirs / own:6.1f} times as fast, "
        f"{their_processor / own_processor:.1f} by seconds of the processor; log-loss on the training ratings "
        f"{mean['fastcf']:.4f} and {mean['peer']:.4f}",
        flush=True,
    )
    return {
        "hidden": list(hidden), "threads": threads, "peer": kind, "users": ratings.n_users, "peer_users": some.size,
        "peer_seconds_multiplied_by": scale, "fastcf_seconds": own, "peer_seconds": theirs, "ratio": theirs / own,
        "fastcf_processor_seconds": own_processor, "peer_processor_seconds": their_processor,
        "processor_ratio": their_processor / own_processor, "train_log_loss": mean, "options": options,
        "runs": {name: times for name, times in seconds.items() if name != "pause"},
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------
# Quality
# ---------------------------------------------------------------------------------------------------------------


def by_classifier(
    kind: str, ratings: fastcf.Ratings, test: RatingLog, threshold: float, table: fastcf.FeatureTable
) -> np.ndarray:
    """Return the probabilities of a classifier per user."""
    labels = (ratings.values >= threshold).astype(np.float64)
    features = table.align(ratings.items).astype(np.float64)
    ones, counts = np.bincount(ratings.row_of_entry(), labels, ratings.n_users), np.diff(ratings.indptr)
    users, items = ratings.users.rows(test.users), table.ids.rows(test.items)
    p = np.where(users >= 0, (ones[users] + 0.5) / (counts[users] + 1), (ones.sum() + 0.5) / (counts.sum() + 1))
    options = {"hidden": HIDDEN, "reg": REG, "batch_size": BATCH, "n_epochs": EPOCHS, "learning_rate": RATE}
    known = np.where((items >= 0)[:, None], table.matrix[items], 0)
    order = np.argsort(users, kind="stable")
    begins = np.searchsorted(users[order], np.arange(ratings.n_users + 1))
    for user, estimator in fit_each(kind, ratings, labels, features, mixed_users(ratings, labels), options):
        rows = order[begins[user] : begins[user + 1]]
        if rows.size:
            p[rows] = estimator.predict_proba(known[rows])[:, 1]
    return p


def measure_quality(folder: Path, seeds: int) -> dict[str, Any]:
    train, test = split(read_log(folder))
    ratings, X = train.to_ratings(duplicates="last"), pairs(test)
    threshold = 4.0 if train.ratings.max() <= 5 else 8.0
    labels = test.ratings >= threshold
    genres = genre_table(folder, ratings.items.ids)

    def perceptron(seed: int, **options: Any) -> np.ndarray:
        given = {} if "features" in options else {"item_features": genres}
        model = fastcf.UserPerceptron(threshold=threshold, random_state=seed, **options)
        return model.fit(ratings, **given).predict(X)

    def regression(table: fastcf.FeatureTable) -> np.ndarray:
        model = fastcf.UserRegression(cost="logistic", threshold=threshold)
        return model.fit(ratings, item_features=table).predict(X)

    def factorisation(seed: int) -> np.ndarray:
        model = fastcf.MatrixFactorization(cost="logistic", threshold=threshold, random_state=seed)
        return model.fit(ratings).predict(X)

    small = ratings.n_users < 1000  # a loop over many users takes its time
    models: dict[str, tuple[Callable[[int], np.ndarray], int]] = {
        "UserPerceptron, genres": (perceptron, seeds),
        "UserPerceptron(()), genres": (lambda seed: perceptron(seed, hidden=()), seeds),
        "UserRegression, genres": (lambda seed: regression(genres), 1),
        "LogisticRegression per user, genres": (
            lambda seed: by_classifier("LogisticRegression", ratings, test, threshold, genres), 1,
        ),
        **({"MLPClassifier per user, genres": (
            lambda seed: by_classifier("MLPClassifier", ratings, test, threshold, genres), 1,
        )} if small else {}),
        "UserPerceptron, mf": (lambda seed: perceptron(seed, features="mf"), seeds),
        "UserRegression, mf": (lambda seed: regression(factor_table(ratings, seed)), seeds),
        "MatrixFactorization, logistic": (factorisation, seeds),
    }  # fmt: skip
    results: dict[str, Any] = {}
    for name, (predict, times) in models.items():
        found = []
        for seed in range(times):
            started = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                p = predict(seed)
            found.append((log_loss(labels, p), roc_auc(labels, p), time.perf_counter() - started))
        loss, auc, _ = np.mean(found, axis=0)
        seconds = float(np.median([seconds for *_, seconds in found]))
        results[name] = {"log_loss": loss, "auc": auc, "seconds": seconds, "runs": times}
        print(f"| {folder.name} | {name} | {loss:.4f} | {auc:.4f} | {seconds:.2f} |", flush=True)
    base = float((ratings.values >= threshold).mean())
    return {
        "threshold": threshold, "test": labels.size, "base_rate": base,
        "base_rate_log_loss": log_loss(labels, np.full(labels.size, base)), "models": results,
    }  # fmt: skip


def measure_settings(folder: Path, n_folds: int) -> list[dict[str, Any]]:
    """Print and return what settings reach on validation ratings."""
    parts: dict[str, list[tuple[Any, ...]]] = {}
    for path in sets_of(folder):
        log = read_log(path)
        genres = genre_table(path, np.unique(log.items))
        own = folds(log, n_folds)
        parts[f"{path.name}, genres"] = [(*part, genres, {}) for part in own]
        parts[f"{path.name}, mf"] = [(*part, None, {"features": "mf"}) for part in own]
    made_up = fastcf.data.make_ratings(6_040, 3_706, 300_000, random_state=0)
    kept, held_out = fastcf.data.train_test_split(made_up, random_state=0)
    users, items, values = held_out.to_coo()
    parts["made-up 300 k, mf"] = [(kept, np.stack([users, items], axis=1), values, None, {"features": "mf"})]
    print("| setting | " + " | ".join(parts) + " |\n|---|" + "---|" * len(parts))
    results = []
    for options in SETTINGS:
        label = ", ".join(f"{name}={value}" for name, value in options.items()) or "default"
        row: dict[str, Any] = {}
        for name, of in parts.items():
            found = []
            for fold, (ratings, X, y, table, how) in enumerate(of):
                threshold = 4.0 if y.max() <= 5 else 8.0
                model = fastcf.UserPerceptron(threshold=threshold, random_state=fold, **how, **options)
                p = model.fit(ratings, item_features=table).predict(X)
                found.append((log_loss(y >= threshold, p), roc_auc(y >= threshold, p)))
            row[name] = dict(zip(("log_loss", "auc"), np.mean(found, axis=0).tolist(), strict=True))
        results.append({"setting": label, **row})
        print(
            f"| {label} | " + " | ".join("{log_loss:.4f}, {auc:.4f}".format(**found) for found in row.values()) + " |",
            flush=True,
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings with titles and genres, or a folder of sets")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--speed", action="store_true", help="only speed")
    which.add_argument("--quality", action="store_true", help="only quality")
    which.add_argument("--settings", action="store_true", help="compare settings on validation ratings instead")
    parser.add_argument("--ratings", type=int, default=1_000_000, help="made-up ones (default 1,000,000)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=2, help="with --settings (default 2)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    if arguments.settings:
        write_json("perceptron_defaults", {"folds": arguments.folds,
                                           "results": measure_settings(arguments.folder, arguments.folds)})  # fmt: skip
        return
    if not arguments.quality:
        ratings = fastcf.data.make_ratings(6_000, 3_700, arguments.ratings, random_state=0)
        speed = [
            compare_speed(ratings, hidden, arguments.repeats, threads)
            for hidden in (HIDDEN, ())
            for threads in arguments.threads
        ]
        write_json("perceptron_speed", {"shape": ratings.shape, "ratings": ratings.nnz, "results": speed})
    if not arguments.speed:
        print("| set | model | test log-loss | AUC | seconds to fit and predict |\n|---|---|---|---|---|")
        sets = {folder.name: measure_quality(folder, arguments.seeds) for folder in sets_of(arguments.folder)}
        write_json("perceptron", {"split_seed": SPLIT_SEED, "seeds": arguments.seeds, "sets": sets})


if __name__ == "__main__":
    main()
