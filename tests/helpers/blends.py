"""Blends that several test files look at, and models that they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastcf
from fastcf.models.estimator import Estimator, Packed
from fastcf.scores import Identity, Link, Scores, State
from fastcf.scores.blocks import best_of_blocks
from fastcf.serialization import register


def mf(k: int = 4, **options: Any) -> fastcf.MatrixFactorization:
    return fastcf.MatrixFactorization(k, **{"n_epochs": 5, "reg": 1.0, **options})


class Own(fastcf.MatrixFactorization):
    """A user's own subclass of a model, with a method of it overridden."""

    def predict_matrix(self, users: Any = None, *, clip: bool = True, strict: bool = False) -> Any:
        return super().predict_matrix(users, clip=clip, strict=strict)


@dataclass(frozen=True, eq=False)
class CurvedScores(Scores):
    """Scores without factors: ``m + a_u + b_i + tanh(a_u b_i)``; what is unknown has a (b) of 0."""

    user_part: Any
    item_part: Any
    mean: float
    link: Link = field(default_factory=Identity)

    @property
    def n_users(self) -> int:
        return len(self.user_part)

    @property
    def n_items(self) -> int:
        return len(self.item_part)

    def _of(self, users: Any, items: Any) -> Any:
        a = np.where(users >= 0, self.user_part[users], 0)
        b = np.where(items >= 0, self.item_part[items], 0)
        return (self.mean + a + b + np.tanh(a * b)).astype(np.float32)

    def pairs(self, users: Any, items: Any, compute: Any) -> Any:
        return self._of(users, items)

    def block(self, users: Any, compute: Any) -> Any:
        return self._of(users[:, None], np.arange(self.n_items)[None])

    def best(self, users: Any, selection: Any, compute: Any) -> Any:
        return best_of_blocks(self, users, selection, compute)


@register
class Curved(Estimator):
    """A model that has no factors, is not linear, and computes no new rows."""

    def __init__(self, scale: float = 1.5, *, n_threads: int | None = None, device: str = "auto") -> None:
        self.scale = scale
        self.n_threads = n_threads
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Curved:
        ratings, backend = self._begin_fit(X, y, None)
        users, items, mean = ratings.row_of_entry(), ratings.indices, float(ratings.values.mean(dtype=np.float64))
        parts = []
        for rows, n in ((users, ratings.n_users), (items, ratings.n_items)):
            sums = np.bincount(rows, ratings.values.astype(np.float64) - mean, n)
            parts.append(self.scale * sums / (np.bincount(rows, minlength=n) + 5))
        self._swap(State.of(ratings, backend, CurvedScores(*parts, mean)))
        return self

    def _pack(self, state: State) -> Packed:
        scores: Any = state.scores
        return Packed({"user_part": scores.user_part, "item_part": scores.item_part}, {"mean": scores.mean})

    def _unpack(self, archive: Any, common: State) -> State:
        parts = archive.array("user_part", np.float64), archive.array("item_part", np.float64)
        return common.replaced(scores=CurvedScores(*parts, archive.meta["mean"]))


MEMBERS = {
    "linear": lambda: [("mf", mf()), ("item", mf(3, normalize="item")), ("bias", fastcf.BiasModel())],
    "own": lambda: [("mf", Own(4, n_epochs=5, reg=1.0)), ("bias", fastcf.BiasModel())],
    "mixed": lambda: [("mf", mf()), ("odd", Curved()), ("bias", fastcf.BiasModel())],
    "nested": lambda: [("mf", mf()), ("both", fastcf.Blend([mf(2, normalize="item"), fastcf.BiasModel()]))],
}


def saved(model: Any, folder: Any) -> Any:
    """Return a model that was saved and loaded."""
    model.save(folder / "model.fastcf")
    return fastcf.load(folder / "model.fastcf")


def string_ratings() -> fastcf.Ratings:
    users, items, values = fastcf.data.make_ratings(120, 60, 2_500, random_state=3).to_coo()
    return fastcf.Ratings.from_coo([f"u{u:03d}" for u in users], items * 10 - 50, values)
