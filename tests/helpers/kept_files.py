"""Small files of every class, and what they say: kept, so that later versions are tested to read them.

``python tests/helpers/kept_files.py`` writes those of the format's present version that are missing. It never writes
one anew: a later version may say something else.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TopItems, TopPerGroup, TwoStageRecommender
from fastcf.serving import NeighbourTable

FILES = Path(__file__).resolve().parents[1] / "files"
SEEDED = {"n_epochs": 3, "random_state": 0}
OWN = {"data": "made up", "żółw": [1, 2.5, None]}  # metadata of the caller's own


def ratings(*, strings: bool = False) -> fastcf.Ratings:
    """Return 70 ratings of 9 items by 12 users."""
    random = np.random.default_rng(7)
    places = np.sort(random.choice(12 * 9, 70, replace=False))
    users, items, values = places // 9, places % 9, random.integers(1, 6, places.size).astype(np.float32)
    if strings:
        return fastcf.Ratings.from_coo([f"ü{user}" for user in users], [f"{item:03}" for item in items], values)
    times = random.permutation(places.size)
    return fastcf.Ratings.from_coo(users * 10, items * 7, values, timestamps=times)


def tables() -> dict[str, fastcf.FeatureTable]:
    """Return features of all users and items, and of one more each."""
    random = np.random.default_rng(8)
    users, items = np.arange(13) * 10, np.arange(10) * 7
    return {
        "user_features": fastcf.FeatureTable(users, random.normal(size=(13, 2)).astype(np.float32)),
        "item_features": fastcf.FeatureTable(
            items, random.normal(size=(10, 3)).astype(np.float32), names=["a", "b", "c"]
        ),
    }


def mf(**options: Any) -> Any:
    """Return a factorisation that is not fitted."""
    return fastcf.MatrixFactorization(3, **{**SEEDED, **options})


def blend_of(*models: Any, **options: Any) -> Any:
    """Return a blend that is not fitted."""
    return fastcf.Blend(list(models), random_state=0, **options)


def _retrieving(make: Callable[[Any, fastcf.Ratings], Any]) -> Callable[[], Any]:
    data = ratings()
    return lambda: make(mf().fit(data), data)


def two_stages(model: Any, data: fastcf.Ratings, index: str) -> Any:
    """Return a fitted recommender of all kinds of retrievers."""
    groups = data.items, ["a|b", "a", "b"] * 3
    sources = [
        NearestVectors(model, 5, index=index, **({} if index == "exact" else {"m": 2, "n_threads": 1})),
        RelatedItems(model, 2, 4),
        TopItems(fastcf.ItemNeighbours(threshold=4).fit(data), 4),
        TopPerGroup(groups, 1, 3),
        ("popular", Popular(4, user_groups=(data.users, ["x", "y", "z"] * 4))),
    ]
    return TwoStageRecommender(sources, model).fit(data)


MADE: dict[str, Callable[[], Any]] = {
    "mf_sgd": lambda: mf().fit(ratings()),
    "mf_sgd_centres": lambda: mf(solver=fastcf.solvers.SGD(rated_input=True), reg=1.0).fit(ratings()),
    "mf_als_item_means": lambda: mf(solver="als", normalize="item").fit(ratings()),
    "mf_gibbs": lambda: mf(solver=fastcf.solvers.Gibbs(burn_in=1, thin=1)).fit(ratings(), **tables()),
    "mf_gd": lambda: mf(solver=fastcf.solvers.GradientDescent(fastcf.optimizers.Adam(0.02), batch_size=16)).fit(
        ratings()
    ),
    "mf_labels": lambda: mf(cost="logistic", threshold=4).fit(ratings()),
    "mf_strings": lambda: mf().fit(ratings(strings=True)),
    "bias": lambda: fastcf.BiasModel().fit(ratings()),
    "autoencoder": lambda: fastcf.Autoencoder((4,), **SEEDED).fit(ratings()),
    "autoencoder_deep_tied": lambda: fastcf.Autoencoder((4, 3), tied=True, orientation="user", **SEEDED).fit(ratings()),
    "autoencoder_choices": lambda: fastcf.Autoencoder((4,), cost="multinomial", threshold=4, **SEEDED).fit(ratings()),
    "implicit_als": lambda: fastcf.ImplicitFactorization(3, threshold=4, **SEEDED).fit(ratings()),
    "implicit_bpr": lambda: fastcf.ImplicitFactorization(3, solver="bpr", threshold=4, **SEEDED).fit(ratings()),
    "linear": lambda: fastcf.LinearAutoencoder(threshold=4).fit(ratings()),
    "linear_local": lambda: fastcf.LinearAutoencoder(threshold=4, neighbours=3).fit(ratings()),
    "item_neighbours": lambda: fastcf.ItemNeighbours(threshold=4).fit(ratings()),
    "user_neighbours": lambda: fastcf.UserNeighbours(threshold=4).fit(ratings()),
    "popular": lambda: fastcf.Popular(threshold=4).fit(ratings()),
    "popular_groups": lambda: fastcf.Popular("mean").fit(
        ratings(), user_groups=(ratings().users, ["x", "y|x", ""] * 4)
    ),
    "user_regression": lambda: fastcf.UserRegression().fit(ratings(), item_features=tables()["item_features"]),
    "item_regression": lambda: fastcf.ItemRegression().fit(ratings(), user_features=tables()["user_features"]),
    "mixed_regression": lambda: fastcf.MixedRegression().fit(ratings(), **tables()),
    "two_tower_ids": lambda: fastcf.TwoTower((4,), (4,), 3, **SEEDED).fit(ratings()),
    "two_tower_features": lambda: fastcf.TwoTower((4,), (4,), 3, **SEEDED).fit(ratings(), **tables()),
    "two_tower_choices": lambda: fastcf.TwoTower((4,), (4,), 3, cost="softmax", threshold=4, **SEEDED).fit(
        ratings(), **tables()
    ),
    "perceptron": lambda: fastcf.UserPerceptron((3,), threshold=4, features="mf", **SEEDED).fit(ratings()),
    "perceptron_levels": lambda: fastcf.UserPerceptron((3,), targets="levels", **SEEDED).fit(
        ratings(), item_features=tables()["item_features"]
    ),
    "blend": lambda: blend_of(mf(), fastcf.BiasModel(), reg=1.0).fit(ratings()),
    "blend_nested": lambda: blend_of(("both", blend_of(mf(), fastcf.BiasModel(), reg=1.0)), mf(reg=1.0), reg=1.0).fit(
        ratings()
    ),
    "blend_lists": lambda: blend_of(
        fastcf.LinearAutoencoder(threshold=4), fastcf.Popular(threshold=4), metric="ndcg@3"
    ).fit(ratings()),
    "nearest_vectors": _retrieving(lambda model, data: NearestVectors(model, 5).fit(data)),
    "related_items": _retrieving(lambda model, data: RelatedItems(model, 2, 4, metric="euclidean").fit(data)),
    "related_items_usearch": _retrieving(
        lambda model, data: RelatedItems(model, 2, 4, index="usearch", m=2, n_threads=1).fit(data)
    ),
    "related_items_hnswlib": _retrieving(
        lambda model, data: RelatedItems(model, 2, 4, index="hnswlib", m=2, n_threads=1).fit(data)
    ),
    "top_items": _retrieving(lambda model, data: TopItems(model, 5).fit(data)),
    "top_per_group": _retrieving(lambda model, data: TopPerGroup(tables()["item_features"], 1, 3).fit(data)),
    "popular_retriever": _retrieving(lambda model, data: Popular(4, by="mean").fit(data)),
    "two_stages": _retrieving(lambda model, data: two_stages(model, data, "exact")),
    "two_stages_usearch": _retrieving(lambda model, data: two_stages(model, data, "usearch")),
    "neighbour_table": _retrieving(lambda model, data: NeighbourTable.of(model, 4)),
    "temporal": lambda: fastcf.TemporalModel(
        mf(solver="als"), user_period=20, item_period=30, user_reg=1.0, item_reg=2.0
    ).fit(ratings()),
    "ratings": ratings,
}


def load(path: Path) -> Any:
    """Load a kept file, whatever it holds."""
    return fastcf.Ratings.load(path) if path.stem == "ratings" else fastcf.load(path)


def says(model: Any) -> dict[str, np.ndarray]:
    """Return what a model, retriever, table or set of ratings says, as arrays."""
    if isinstance(model, fastcf.Ratings):
        users, items, values = model.to_coo()
        return {"users": users, "items": items, "values": values, "timestamps": model.timestamps}
    items = model.items_.ids
    if isinstance(model, NeighbourTable):
        found = model.similar_items(items, n=3)
        return {"ids": found.ids, "scores": found.scores}
    users = model.users_.ids.tolist()
    users = np.array([*users, "nobody" if isinstance(users[0], str) else 123_456_789])
    if hasattr(model, "retrieve"):
        candidates = model.retrieve(users)
        order = np.lexsort([candidates.indices, np.repeat(np.arange(len(users)), np.diff(candidates.indptr))])
        return {
            "indptr": candidates.indptr,
            "ids": items[candidates.indices[order]],
            "scores": candidates.scores[order],
        }
    found = model.recommend(users, 4)
    said = {"users": users, "ids": found.items, "scores": found.scores}
    if hasattr(model, "predict"):
        strange = np.array([*items.tolist(), users[-1]])
        pairs = np.array([[user, item] for user in users.tolist() for item in strange.tolist()], object)
        said["predictions"] = model.predict(pairs)
    if hasattr(model, "fold_in") and "user" in model.state.folding.rated_sides:
        history = [[0, item] for item in items.tolist()[::2]]
        said["visitor"] = model.recommend(history=(history, [1.0, 5.0, 4.0, 2.0, 5.0][: len(history)]), n=3).scores
    return said


def plain(said: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays that NumPy's files hold without pickles: strings have one width."""
    return {
        name: np.array(array.tolist(), dtype=str) if array.dtype.kind in "OT" else array for name, array in said.items()
    }


def write_missing(folder: Path) -> None:
    """Write the files that are missing, and what they say."""
    for name, make in MADE.items():
        path = folder / f"{name}.fastcf"
        if path.exists():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastcf.DataWarning)
            model = make()
        model.save(path, metadata=OWN)
        np.savez_compressed(path.with_suffix(".npz"), **plain(says(model)))
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    write_missing(FILES / f"version_{sys.argv[1] if len(sys.argv) > 1 else '2'}")
