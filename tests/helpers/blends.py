"""Blends that several test files look at."""

from __future__ import annotations

from typing import Any

import fastcf
from fastcf.serialization import register


def mf(k: int = 4, **options: Any) -> fastcf.MatrixFactorization:
    return fastcf.MatrixFactorization(k, **{"n_epochs": 5, **options})


@register
class Unlimited(fastcf.MatrixFactorization):
    """The same model to a blend that must not know how its predictions come about."""

    def predict_matrix(self, users: Any = None, *, strict: bool = False) -> Any:
        return super().predict_matrix(users, strict=strict)


MEMBERS = {
    "linear": lambda: [("mf", mf()), ("item", mf(3, normalize="item")), ("bias", fastcf.BiasModel())],
    "mixed": lambda: [("mf", mf()), ("odd", Unlimited(3, n_epochs=5)), ("bias", fastcf.BiasModel())],
    "nested": lambda: [("mf", mf()), ("both", fastcf.Blend([mf(2), fastcf.BiasModel()]))],
}


def string_ratings() -> fastcf.Ratings:
    users, items, values = fastcf.data.make_ratings(120, 60, 2_500, random_state=3).to_coo()
    return fastcf.Ratings.from_coo([f"u{u:03d}" for u in users], items * 10 - 50, values)
