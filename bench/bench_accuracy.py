"""Test errors on real sets of ratings, with default parameters: item means, BiasModel, MatrixFactorization by every
solver, the Blend of these, Surprise, and myFM (the peer of solver "bayes": rank 16, 120 draws of which 100 are kept; it
uses one thread).

    python bench/bench_accuracy.py FOLDER [--seeds 5] [--only MODEL]

FOLDER is a set of ratings, or holds several (every subfolder that is one is measured). The split is fixed: row numbers
in file order are permuted by ``numpy.random.default_rng(20261120)``; the first tenth is the test set, the rest is for
training. Every test row counts, unknown users and items too; predictions are clipped to the scale of the training
ratings. Nothing is tuned on the test rows: models run with their defaults, once per ``random_state``. Seconds are
medians over seeds, those of the clock and of the processor.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from common import write_json
from fastcf.data import RatingLog, detect_format, read_log
from fastcf.metrics import mae, rmse

SPLIT_SEED = 20261120
PACKAGES = {"surprise": "scikit-surprise", "myfm": "myfm"}
Model = Callable[[RatingLog, RatingLog, int], np.ndarray]


def split(log: RatingLog) -> tuple[RatingLog, RatingLog]:
    """Return training and test rows."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(log.ratings))
    n_test = len(order) // 10
    parts = order[n_test:], order[:n_test]
    train, test = (RatingLog(log.users[rows], log.items[rows], log.ratings[rows], None) for rows in parts)
    return train, test


def pairs(log: RatingLog) -> np.ndarray:
    return np.column_stack([log.users.astype(object), log.items.astype(object)])


def item_means(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
    ratings = train.to_ratings(duplicates="last")
    counts = np.bincount(ratings.indices, minlength=ratings.n_items)
    means = np.bincount(ratings.indices, ratings.values, ratings.n_items) / counts
    rows = ratings.items.rows(test.items)
    return np.where(rows >= 0, means[rows], ratings.mean)


def bias_model(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
    return fastcf.BiasModel().fit(train.to_ratings(duplicates="last")).predict(pairs(test))


def matrix_factorization(**options: Any) -> Model:
    def model(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
        model = fastcf.MatrixFactorization(random_state=seed, **options)
        return model.fit(train.to_ratings(duplicates="last")).predict(pairs(test))

    return model


def autoencoder(**options: Any) -> Model:
    def model(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
        network = fastcf.Autoencoder(random_state=seed, **options)
        return network.fit(train.to_ratings(duplicates="last")).predict(pairs(test))

    return model


def network_blend(*solvers: str, biases: bool = False) -> Model:
    """Return a blend of factorisations by these solvers, the autoencoder and the biases, all with their defaults."""

    def model(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
        members = [fastcf.MatrixFactorization(solver=solver, random_state=seed) for solver in solvers]
        others = [fastcf.Autoencoder(random_state=seed), *([fastcf.BiasModel()] if biases else [])]
        whole = fastcf.Blend([*members, *others], random_state=seed)
        return whole.fit(train.to_ratings(duplicates="last")).predict(pairs(test))

    return model


def myfm_regressor(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
    import myfm
    from scipy.sparse import csr_matrix

    ratings = train.to_ratings(duplicates="last")

    def one_hot(users: np.ndarray, items: np.ndarray) -> csr_matrix:
        known = np.column_stack([users >= 0, items >= 0])
        columns = np.column_stack([users, ratings.n_users + items])[known]
        indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        return csr_matrix((np.ones(columns.size), columns, indptr), (len(users), sum(ratings.shape)))

    model = myfm.MyFMRegressor(rank=16, random_seed=seed)
    rows, y = one_hot(ratings.row_of_entry(), ratings.indices), ratings.values.astype(np.float64)
    model.fit(rows, y, n_iter=120, n_kept_samples=100, group_shapes=list(ratings.shape))
    return model.predict(one_hot(ratings.users.rows(test.users), ratings.items.rows(test.items)))


def surprise_svd(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
    import surprise

    scale = float(train.ratings.min()), float(train.ratings.max())
    rows = list(
        zip(
            train.users.tolist(), train.items.tolist(), train.ratings.tolist(), [None] * len(train.ratings), strict=True
        )
    )
    data = surprise.Dataset(surprise.Reader(rating_scale=scale))
    model = surprise.SVD(random_state=seed).fit(data.construct_trainset(rows))
    return np.array(
        [model.predict(user, item).est for user, item in zip(test.users.tolist(), test.items.tolist(), strict=True)]
    )


def blend(train: RatingLog, test: RatingLog, seed: int) -> np.ndarray:
    members = [(solver, fastcf.MatrixFactorization(solver=solver)) for solver in ("sgd", "als", "bayes")]
    model = fastcf.Blend([*members, ("bias", fastcf.BiasModel())], random_state=seed)
    return model.fit(train.to_ratings(duplicates="last")).predict(pairs(test))


def measure(model: Model, train: RatingLog, test: RatingLog, seeds: range) -> dict[str, Any]:
    """Run a model once per seed."""
    runs = []
    for seed in seeds:
        started, used = time.perf_counter(), time.process_time()
        predicted = model(train, test, seed)
        seconds, processor = time.perf_counter() - started, time.process_time() - used
        predicted = np.clip(predicted, train.ratings.min(), train.ratings.max())
        runs.append((rmse(test.ratings, predicted), mae(test.ratings, predicted), seconds, processor))
    errors, absolute, seconds, processor = np.array(runs).T
    return {
        "rmse": errors.mean(),
        "rmse_sd": errors.std(ddof=1) if len(runs) > 1 else 0.0,
        "mae": absolute.mean(),
        "seconds": float(np.median(seconds)),
        "processor_seconds": float(np.median(processor)),
        "runs": len(runs),
    }


def threshold_of(ratings: np.ndarray) -> float:
    """Return the least rating of label 1."""
    return 4.0 if ratings.max() <= 5 else 8.0


def sets_of(folder: Path) -> list[Path]:
    """Return the sets of ratings in a folder: itself, or its subfolders."""
    found = []
    for candidate in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        try:
            detect_format(candidate)
        except fastcf.DataError:
            continue
        found.append(candidate)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    parser.add_argument("--seeds", type=int, default=5, help="random states, from 0 (default 5)")
    parser.add_argument("--no-json", action="store_true", help="do not write bench/results/accuracy.json")
    parser.add_argument("--only", metavar="MODEL", nargs="+", help="measure these alone; written with --output only")
    parser.add_argument("--output", metavar="NAME", help="of the results, by default accuracy")
    arguments = parser.parse_args()

    once, often = range(1), range(arguments.seeds)
    models: dict[str, tuple[Model, range]] = {
        "item means": (item_means, once),
        "BiasModel": (bias_model, once),
        "MatrixFactorization": (matrix_factorization(), often),
        "MatrixFactorization als": (matrix_factorization(solver="als"), often),
        "MatrixFactorization bayes": (matrix_factorization(solver="bayes"), often),
        "bayes, 16 factors": (matrix_factorization(solver="bayes", n_factors=16), often),
        "Autoencoder": (autoencoder(), often),
        "Autoencoder by user": (autoencoder(orientation="user"), often),
        "Autoencoder, ratings only": (autoencoder(rated_input=0.0, rated_output=False), often),
        "Blend": (blend, often),
        "Blend sgd, autoencoder": (network_blend("sgd"), often),
        "Blend sgd, bayes, autoencoder": (network_blend("sgd", "bayes"), often),
        "Blend sgd, bayes, autoencoder, biases": (network_blend("sgd", "bayes", biases=True), often),
    }
    for name, package, peer in (("Surprise SVD", "surprise", surprise_svd), ("myFM", "myfm", myfm_regressor)):
        if importlib.util.find_spec(package):
            models[f"{name} {importlib.metadata.version(PACKAGES[package])}"] = (peer, often)
        else:
            print(f"{name} is not installed: left out\n")
    if arguments.only:
        unknown = [name for name in arguments.only if name not in models]
        if unknown:
            parser.error(f"--only must be some of {', '.join(models)}; got {unknown[0]}")
        models = {name: models[name] for name in arguments.only}

    results: dict[str, Any] = {}
    print("| set | model | test RMSE | sd | test MAE | seconds | of the processor |\n|---|---|---|---|---|---|---|")
    for folder in sets_of(arguments.folder):
        train, test = split(read_log(folder))
        results[folder.name] = {"train": len(train.ratings), "test": len(test.ratings), "models": {}}
        for name, (model, seeds) in models.items():
            one = measure(model, train, test, seeds)
            results[folder.name]["models"][name] = one
            spread = f"{one['rmse_sd']:.4f}" if one["runs"] > 1 else "–"
            seconds = f"{one['seconds']:.2f} | {one['processor_seconds']:.2f}"
            print(
                f"| {folder.name} | {name} | {one['rmse']:.4f} | {spread} | {one['mae']:.4f} | {seconds} |",
                flush=True,
            )
    if not results:
        parser.error(f"{arguments.folder}: no sets of ratings here")
    if not arguments.no_json and (arguments.output or not arguments.only):
        print()
        write_json(
            arguments.output or "accuracy", {"split_seed": SPLIT_SEED, "seeds": arguments.seeds, "sets": results}
        )


if __name__ == "__main__":
    main()
