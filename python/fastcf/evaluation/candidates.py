"""The models that are compared: their names, copies of them, and how each is fitted to a part."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn.base import clone

from fastcf.evaluation.parts import Part
from fastcf.evaluation.resources import Used, measured
from fastcf.ratings import Ratings
from fastcf.scores import Recommender

__all__ = ["fitted", "named_models", "refuse_known_only", "thresholds_of"]

_LONGEST = 60  # characters of a name that is made of a model


def _name_of(model: Any) -> str:
    if hasattr(model, "get_params"):
        text = " ".join(repr(model).split())  # the parameters that are not the defaults
        return text if len(text) <= _LONGEST else type(model).__name__
    return str(getattr(model, "__name__", type(model).__name__))


def named_models(models: Any, caller: str) -> dict[str, Any]:
    """Return models by their names: those given, or what the models look like."""
    if isinstance(models, Mapping):
        named = [(str(name), model) for name, model in models.items()]
    elif isinstance(models, (list, tuple)):
        pairs = [isinstance(each, tuple) and len(each) == 2 for each in models]
        named = [each if pair else (_name_of(each), each) for each, pair in zip(models, pairs, strict=True)]
    else:
        named = [(_name_of(models), models)]
    if not named:
        raise ValueError(f"{caller}: models must hold one or more models; got none")
    found: dict[str, Any] = {}
    for name, model in named:
        if isinstance(model, type) or not (hasattr(model, "fit") or callable(model)):
            got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            raise TypeError(
                f"{caller}: models must be objects with a method fit, or functions of the training ratings; got {got}"
            )
        often = sum(other == name or other.startswith(f"{name} (") for other in found)
        found[f"{name} ({often + 1})" if name in found else str(name)] = model
    return found


def _parameters(model: Any) -> dict[str, Any]:
    return model.get_params(deep=True) if hasattr(model, "get_params") else {}


def thresholds_of(models: Mapping[str, Any]) -> set[float]:
    """Return all thresholds that models, their members and their sources have."""
    found = {
        float(value)
        for model in models.values()
        for name, value in _parameters(model).items()
        if name.rpartition("__")[2] == "threshold" and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    return found


def _copy(model: Any) -> Any:
    """Return an unfitted copy; of a recommender built on models a whole one, in which parts stay shared."""
    if isinstance(model, Recommender) and hasattr(model, "get_params"):
        return clone(model)
    return copy.deepcopy(model)


def _seed(model: Any, seed: int) -> None:
    """Set every ``random_state`` that is None."""
    unset = {
        name: seed
        for name, value in _parameters(model).items()
        if value is None and name.rpartition("__")[2] == "random_state"
    }
    if unset:
        model.set_params(**unset)


def _built_on(recommender: Any) -> Iterator[Any]:
    """Yield the models and retrievers that a retriever or a two-stage recommender was made of, the innermost first."""
    if isinstance(recommender, Recommender) or not hasattr(recommender, "get_params"):
        return
    for value in recommender.get_params(deep=False).values():
        for entry in value if isinstance(value, (list, tuple)) else (value,):
            inner = entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry
            if hasattr(inner, "fit") and hasattr(inner, "get_params"):
                yield from _built_on(inner)
                yield inner


def _learn(model: Any, train: Ratings, seed: int) -> Any:
    if not hasattr(model, "fit"):
        return model(train)
    own = _copy(model)
    inner = {id(each): each for each in _built_on(own) if isinstance(each, Recommender)}
    for each in inner.values():
        _seed(each, seed)
        each.fit(train)
    _seed(own, seed)
    own.fit(train)
    return own


def fitted(model: Any, part: Part, seed: int, caller: str) -> tuple[Any, Used]:
    """Return what a model has learnt from a part, of the users to test, and what that took."""
    with measured() as used:
        learnt = _learn(model, part.train, seed)
    if learnt is None:
        raise TypeError(f"{caller}: a function of the training ratings must return what it has fitted; got None")
    if part.shown is None:
        return learnt, used
    if not hasattr(learnt, "fold_in"):
        raise ValueError(_of_known_users(caller, f"a {type(learnt).__name__}"))
    return learnt.fold_in(part.shown), used


def refuse_known_only(models: Mapping[str, Any], part: Part, caller: str) -> None:
    """Refuse models that cannot compute new users, where there are, before any of them is fitted.

    What a function returns is known later. Raises ValueError that names the models.
    """
    if part.shown is None:
        return
    unable = [
        f"{name!r} (a {type(model).__name__})"
        for name, model in models.items()
        if hasattr(model, "fit") and not hasattr(model, "fold_in")
    ]
    if unable:
        raise ValueError(_of_known_users(caller, ", ".join(unable)))


def _of_known_users(caller: str, got: str) -> str:
    return (
        f"{caller}: models must have a method fold_in where the split holds out new users, who show some of their "
        f"ratings; got {got} without; leave it out, or take a split of known users: 'train_test_split', 'leave_n_out'"
    )
