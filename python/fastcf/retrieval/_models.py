"""Models that retrievers and recommenders are built on: as they are at ``fit``, and in files."""

from __future__ import annotations

import copy
from typing import Any

from sklearn.exceptions import NotFittedError

from fastcf.scores import Recommender
from fastcf.serialization import Archive

__all__ = ["archive_of", "snapshot"]


def snapshot(model: Any, caller: str) -> Recommender:
    """Return a fitted model as it is now: a copy that shares its state, and is never fitted again.

    Raises TypeError if it is no model of this package, NotFittedError if it is not fitted.
    """
    if not isinstance(model, Recommender):
        raise TypeError(f"{caller}: model must be a model of this package; got {type(model).__name__}")
    found = copy.copy(model)
    if not found.__sklearn_is_fitted__():
        raise NotFittedError(f"{caller}: model must be fitted first; call its fit")
    return found


def archive_of(part: Any, name: str, owner: str) -> Archive:
    """Return the contents of a file of what ``owner`` is made of; raises TypeError where it has no files."""
    to_archive = getattr(part, "to_archive", None)
    if to_archive is None:
        raise TypeError(
            f"{owner}.save: {name} must have the method to_archive, and its class be registered by "
            f"fastcf.serialization.register; got {type(part).__name__}; pickle the {owner} instead"
        )
    archive: Archive = to_archive()
    return archive
