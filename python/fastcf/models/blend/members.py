"""Models as named parameters of another model, as scikit-learn's ensembles have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sklearn.exceptions import NotFittedError

from fastcf.models.estimator import Estimator

__all__ = ["DROP", "checked", "named", "parameters_of", "replaced", "takes"]

DROP = "drop"
"""Placeholder of a member that is left out."""


def takes(model: Estimator, name: str) -> bool:
    """Whether an argument of this name has an effect on a model's ``fit``."""
    return name in model.fit_arguments()


def named(entries: Any) -> list[tuple[Any, Any]]:
    """Return the entries of a list with their names: pairs (name, object) as they are, others named after their class.

    Anything else than a list or tuple has no entries.
    """
    if not isinstance(entries, (list, tuple)):
        return []
    paired = [entry if isinstance(entry, tuple) and len(entry) == 2 else None for entry in entries]
    kinds = [type(entry).__name__.lower() for entry in entries]
    often = Counter(kind for kind, pair in zip(kinds, paired, strict=True) if pair is None)
    used: Counter[str] = Counter()
    found: list[tuple[Any, Any]] = []
    for entry, pair, kind in zip(entries, paired, kinds, strict=True):
        if pair is None:
            used[kind] += 1
            found.append((f"{kind}-{used[kind]}" if often[kind] > 1 else kind, entry))
        else:
            found.append(pair)
    return found


def parameters_of(models: Any) -> dict[str, Any]:
    """Return members by name, and their parameters as ``name__parameter``."""
    params: dict[str, Any] = {}
    for name, model in named(models):
        params[name] = model
        if hasattr(model, "get_params") and not isinstance(model, type):
            params.update({f"{name}__{key}": value for key, value in model.get_params().items()})
    return params


def replaced(models: Any, params: dict[str, Any], own: Iterable[str]) -> Any:
    """Return members with those replaced that ``params`` names, which are taken out of it; ``own`` are no members."""
    pairs = named(models)
    new = {name: params.pop(name) for name, _ in pairs if name in params and name not in own}
    return [(name, new.get(name, model)) for name, model in pairs] if new else models


def checked(
    models: Sequence[Any], own: Iterable[str], caller: str, *, fitted: bool, lists: bool
) -> dict[str, Estimator]:
    """Return the members that take part, by name; they must be ``fitted``, and have no name of ``own``.

    For ``lists`` they may learn anything, else they must predict the ratings.

    Raises TypeError or ValueError if they are not as :class:`fastcf.Blend` documents, NotFittedError if ``fitted`` and
    one is not.
    """
    wanted = f"{caller}: models must be a list of estimators or of pairs (name, estimator)"
    if not isinstance(models, (list, tuple)):
        raise TypeError(f"{wanted}; got {type(models).__name__}")
    pairs = named(models)
    names = [name for name, _ in pairs]
    taken = set(own)
    members: dict[str, Estimator] = {}
    for name, model in pairs:
        if not isinstance(name, str) or isinstance(model, tuple):
            raise TypeError(f"{wanted}; got {(name, model)!r}")
        if not name or "__" in name or names.count(name) > 1 or name in taken:
            raise ValueError(
                f"{caller}: names of models must differ, hold no '__' and be none of the blend's parameters; "
                f"got {name!r}"
            )
        if isinstance(model, str) and model == DROP:
            continue
        if not isinstance(model, Estimator):
            raise TypeError(f"{caller}: members must be models of this package; got {model!r} as {name!r}")
        if fitted and not model.__sklearn_is_fitted__():
            raise NotFittedError(f"{caller}: with fit_members=False members must be fitted; {name!r} is not")
        if not lists:
            _refuse_no_ratings(name, model, caller, fitted=fitted)
        members[name] = model
    if not members:
        raise ValueError(f"{caller}: models must hold at least one estimator; got {models!r}")
    return members


def _refuse_no_ratings(name: str, model: Estimator, caller: str, *, fitted: bool) -> None:
    """Refuse a member that does not predict the ratings."""
    targets = model.state.targets if fitted else model._targets  # parameters may have been set anew since the fit
    if targets.choices:
        raise ValueError(
            f"{caller}: members must predict the ratings, but for metrics of lists; got {name!r}, a model of choices; "
            "metric='ndcg@10' blends lists"
        )
    threshold = targets.threshold if fitted else model.get_params(deep=False).get("threshold")
    if threshold is not None:
        raise ValueError(
            f"{caller}: members must predict the ratings, not whether they reach a threshold; got "
            f"threshold={threshold!r} of {name!r}"
        )
