"""Lists of known and of new items by TwoTower(cost="softmax"), beside LightFM's WARP and models without features.

    python bench/bench_two_tower_lists.py FOLDER [--sets ml-latest-small movietweetings-100k] [--seeds 3]

Choices are ratings of at least 4 (8 of movietweetings). An item's features are its genres. Warm: of each user's
entries a tenth is for validation and a tenth the test; lists are of all items that the user has not seen. Cold: a fifth
of the items is new, none of their entries is trained on; lists are of new items only. NDCG@10, the mean over users who
have choices in the test, and its mean and standard error over seeds.

TwoTower's best epoch, and LightFM's, are chosen on the validation choices (for cold items a tenth of the other
items); all else is by default, LightFM with 64 factors. Content: cosine of an item's genres with the sum of the user's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

import fastcf
from common import write_json

SETS = {"ml-latest-small": ("ratings.csv", 4.0), "movietweetings-100k": ("ratings.dat", 8.0)}
EPOCHS = 20


class Problem(NamedTuple):
    """Ratings cut in three, and the items that lists may hold."""

    train: fastcf.Ratings
    validation: fastcf.Ratings
    test: fastcf.Ratings
    features: fastcf.FeatureTable
    threshold: float
    tried: np.ndarray | None  # ids of the new items for validation and test; None: lists are of all items
    new: np.ndarray | None


def genres_of(folder: Path, seed: int) -> fastcf.FeatureTable:
    """Return genres in random order: ties go by the order of items, and ids of films begin with well-known ones."""
    films = fastcf.data.read_items(folder)
    given = [str(row or "").split("|") for row in films.genres]
    names = sorted({name for row in given for name in row if name})
    matrix = np.array([[name in row for name in names] for row in given], np.float32)
    order = np.random.default_rng(seed).permutation(len(matrix))
    return fastcf.FeatureTable(np.asarray(films.ids)[order], matrix[order])


def load(folder: Path, name: str, seed: int, cold: bool) -> Problem:
    file, threshold = SETS[name]
    ratings = fastcf.data.read_log(folder / name / file).to_ratings("last")
    features = genres_of(folder / name, seed)
    ratings = ratings.take(features.ids.rows(ratings.items.ids)[ratings.indices] >= 0)
    rng = np.random.default_rng(seed)
    if cold:
        part = rng.random(ratings.n_items)
        drawn = part[ratings.indices]
        bounds = (0.7, 0.8)
        ids = ratings.items.ids
        tried, new = ids[(part >= bounds[0]) & (part < bounds[1])], ids[part >= bounds[1]]
    else:
        drawn, bounds, tried, new = rng.random(ratings.nnz), (0.8, 0.9), None, None
    chosen = ratings.values >= threshold
    train = drawn < bounds[0]
    chosen &= np.isin(
        ratings.row_of_entry(), ratings.row_of_entry()[train]
    )  # of users who have something to learn from
    return Problem(
        fastcf.Ratings.from_coo(*ratings.take(train).to_coo()),
        fastcf.Ratings.from_coo(*ratings.take(chosen & ~train & (drawn < bounds[1])).to_coo()),
        fastcf.Ratings.from_coo(*ratings.take(chosen & (drawn >= bounds[1])).to_coo()),
        features,
        threshold,
        tried,
        new,
    )


def ndcg(recommend: Callable[[np.ndarray, Any], Any], held_out: fastcf.Ratings, candidates: Any) -> float:
    users = held_out.users.ids
    return fastcf.metrics.ranking(recommend(users, candidates), users, held_out).ndcg


def lists_of(model: Any) -> Callable[[np.ndarray, Any], Any]:
    return lambda users, candidates: model.recommend(users, 10, candidates=candidates)


def ranked(problem: Problem, scores: Callable[[np.ndarray], np.ndarray], ids: Any) -> Callable[[np.ndarray, Any], Any]:
    """Return a function that makes lists of scores (users, items in the order of ``ids``)."""

    def recommend(users: np.ndarray, candidates: Any) -> np.ndarray:
        values = scores(users).astype(np.float64)
        if candidates is not None:
            values[:, ~np.isin(ids.ids, candidates)] = -np.inf
        rows, train = problem.train.users.rows(users), problem.train
        columns = ids.rows(train.items.ids)[train.indices]
        for place, row in enumerate(rows):
            if row >= 0:
                values[place, columns[train.indptr[row] : train.indptr[row + 1]]] = -np.inf
        return ids.ids[np.argsort(-values, axis=1, kind="stable")[:, :10]]

    return recommend


def towers(problem: Problem, seed: int, threads: int, **options: Any) -> fastcf.TwoTower:
    """Fit to the epoch whose lists of validation choices are best."""

    class Lists(fastcf.callbacks.Callback):
        def on_epoch_end(self, view: Any, record: Any) -> None:
            found = ndcg(lists_of(view), problem.validation, problem.tried)
            record["validation_loss_of_lists"] = -found

    stop = fastcf.callbacks.EarlyStopping(EPOCHS, monitor="validation_loss_of_lists")
    model = fastcf.TwoTower(
        cost="softmax", threshold=problem.threshold, n_epochs=EPOCHS, random_state=seed, n_threads=threads, **options
    )
    return model.fit(problem.train, item_features=problem.features, callbacks=[Lists(), stop])


def content(problem: Problem) -> Callable[[np.ndarray, Any], Any]:
    matrix = np.asarray(problem.features.matrix, np.float64)
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    train, ids = problem.train, problem.features.ids
    chosen = train.values >= problem.threshold
    profiles = np.zeros((train.n_users, matrix.shape[1]))
    np.add.at(profiles, train.row_of_entry()[chosen], unit[ids.rows(train.items.ids)[train.indices[chosen]]])
    return ranked(problem, lambda users: profiles[train.users.rows(users)] @ unit.T, ids)


def popular(problem: Problem) -> Callable[[np.ndarray, Any], Any]:
    train, ids = problem.train, problem.features.ids
    counts = np.zeros(len(ids))
    np.add.at(counts, ids.rows(train.items.ids)[train.indices[train.values >= problem.threshold]], 1)
    return ranked(problem, lambda users: np.tile(counts, (len(users), 1)), ids)


def warp(problem: Problem, seed: int, threads: int) -> Callable[[np.ndarray, Any], Any] | None:
    try:
        from lightfm import LightFM
    except ImportError:
        return None
    train, ids = problem.train, problem.features.ids
    chosen = train.values >= problem.threshold
    rows, columns = train.row_of_entry()[chosen], ids.rows(train.items.ids)[train.indices[chosen]]
    pairs = scipy.sparse.coo_matrix((np.ones(rows.size, np.float32), (rows, columns)), (train.n_users, len(ids)))
    genres = scipy.sparse.csr_matrix(np.asarray(problem.features.matrix, np.float32))
    own = scipy.sparse.identity(len(ids), np.float32, format="csr")
    features = genres if problem.new is not None else scipy.sparse.hstack([own, genres]).tocsr()
    model = LightFM(64, loss="warp", random_state=seed)

    def scores(users: np.ndarray) -> np.ndarray:
        item_bias, items = model.get_item_representations(features)
        found = model.get_user_representations()[1][train.users.rows(users)] @ items.T + item_bias
        return np.asarray(found)

    recommend, best, kept = ranked(problem, scores, ids), -1.0, {}
    names = [name for name in vars(model) if name.endswith(("embeddings", "biases"))]
    for _ in range(EPOCHS):
        model.fit_partial(pairs, item_features=features, num_threads=threads)
        found = ndcg(recommend, problem.validation, problem.tried)
        if found > best:
            best, kept = found, {name: getattr(model, name).copy() for name in names}
    for name, value in kept.items():
        setattr(model, name, value)
    return recommend


def measured(problem: Problem, seed: int, threads: int) -> dict[str, float]:
    """Return every model's NDCG on the test."""
    both = {"ids": "both"} if problem.new is None else {"ids": "user"}
    models: dict[str, Any] = {"popular": popular(problem), "content": content(problem)}
    models["TwoTower"] = lists_of(towers(problem, seed, threads, **both))
    models["TwoTower, reg=1000"] = lists_of(towers(problem, seed, threads, reg=1000.0, **both))
    models["LightFM WARP"] = warp(problem, seed, threads)
    if problem.new is None:
        for kind in (fastcf.LinearAutoencoder, fastcf.ImplicitFactorization):
            model = kind(threshold=problem.threshold, n_threads=threads).fit(problem.train)
            models[kind.__name__] = lists_of(model)
    return {
        name: ndcg(recommend, problem.test, problem.new) for name, recommend in models.items() if recommend is not None
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--kinds", nargs="+", choices=["warm", "cold"], default=["warm", "cold"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name in arguments.sets:
        for kind in arguments.kinds:
            runs = []
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                runs.append(measured(load(arguments.folder, name, seed, kind == "cold"), seed, arguments.threads))
                print(name, kind, seed, {model: round(value, 4) for model, value in runs[-1].items()}, flush=True)
            for model in runs[0]:
                values = np.array([run[model] for run in runs])
                error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else float("nan")
                print(f"  {name} {kind}  {model:<24} {values.mean():.4f} ± {error:.4f}", flush=True)
            results[f"{name} {kind}"] = runs
    print(
        "written:",
        write_json(
            "two_tower_lists", {"first_seed": arguments.first_seed, "seeds": arguments.seeds, "results": results}
        ),
    )


if __name__ == "__main__":
    main()
