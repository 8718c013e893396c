"""What both neighbourhood models share: parameters and their checks."""

from __future__ import annotations

from typing import Any

from fastcf._parameters import Constraint, Interval, Nothing, OneOf
from fastcf.models.neighbours.similarity import SIMILARITIES, Similarity
from fastcf.scores.choices import STRENGTHS

__all__ = ["CONSTRAINTS", "similarity_of", "unused"]

CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "n_neighbours": (Interval(1, 2**31 - 1, integer=True),),
    "similarity": (OneOf(SIMILARITIES),),
    "shrinkage": (Interval(0),),
    "alpha": (Interval(0),),
    "beta": (Interval(0),),
    "k1": (Interval(0),),
    "b": (Interval(0, 1),),
    "threshold": (Interval(), Nothing()),
    "strength": (OneOf(STRENGTHS),),
}

_USED = {"cosine": {"shrinkage"}, "tfidf": {"shrinkage"}, "bm25": {"k1", "b"}, "rp3beta": {"alpha", "beta"}}


def unused(kind: str) -> list[str]:
    """Return the parameters that a similarity does not use."""
    return [name for name in ("shrinkage", "alpha", "beta", "k1", "b") if name not in _USED[kind]]


def similarity_of(model: Any) -> Similarity:
    """Return the similarity that the parameters of a model describe."""
    numbers = (float(getattr(model, name)) for name in ("shrinkage", "alpha", "beta", "k1", "b"))
    return Similarity(model.similarity, *numbers)
