"""Models as named parameters of another model, as scikit-learn's ensembles have them."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sklearn.exceptions import NotFittedError

from fastcf.models.base import FactorModel

__all__ = ["DROP", "MembersMixin", "named", "takes"]

DROP = "drop"
"""What stands in place of a member that is left out."""


def takes(model: Any, name: str) -> bool:
    """Whether a model's ``fit`` has a parameter of this name."""
    return name in inspect.signature(model.fit).parameters


def named(entries: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return what a list holds with its names: pairs (name, object) as they are, others named after their class."""
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


class MembersMixin(FactorModel):
    """Adds members, ``models``, that ``get_params`` and ``set_params`` reach by name."""

    models: Sequence[Any]
    fit_members: bool

    def _named(self) -> list[tuple[Any, Any]]:
        """Return members with their names, whatever they are."""
        return named(self.models if isinstance(self.models, (list, tuple)) else [])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default True
            Whether also the members, by name, and their parameters, as ``name__parameter``.

        Returns
        -------
        dict
        """
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for name, model in self._named():
                params[name] = model
                if hasattr(model, "get_params") and not isinstance(model, type):
                    params.update({f"{name}__{key}": value for key, value in model.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters: the blend's, members by name, and parameters of members as ``name__parameter``.

        Parameters
        ----------
        **params
            New values; ``"drop"`` for a member leaves it out.

        Returns
        -------
        Blend
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        if "models" in params:
            self.models = params.pop("models")
        named = self._named()
        replaced = {name: params.pop(name) for name, _ in named if name in params and name not in vars(self)}
        if replaced:
            self.models = [(name, replaced.get(name, model)) for name, model in named]
        super().set_params(**params)
        return self

    def _members(self, caller: str) -> dict[str, Any]:
        """Return the members that take part, checked."""
        wanted = f"{caller}: models must be a list of estimators or of pairs (name, estimator)"
        if not isinstance(self.models, (list, tuple)):
            raise TypeError(f"{wanted}; got {type(self.models).__name__}")
        members: dict[str, Any] = {}
        names = [name for name, _ in self._named()]
        for name, model in self._named():
            if not isinstance(name, str) or isinstance(model, tuple):
                raise TypeError(f"{wanted}; got {(name, model)!r}")
            if not name or "__" in name or names.count(name) > 1 or name in super().get_params(deep=False):
                raise ValueError(
                    f"{caller}: names of models must differ, hold no '__' and be none of the blend's parameters; "
                    f"got {name!r}"
                )
            if isinstance(model, str) and model == DROP:
                continue
            if not isinstance(model, FactorModel):
                raise TypeError(f"{caller}: members must be models of this package; got {model!r} as {name!r}")
            if getattr(model, "threshold", None) is not None:
                raise ValueError(
                    f"{caller}: members must predict the ratings, not whether they reach a threshold; got "
                    f"threshold={model.threshold!r} of {name!r}"
                )
            if not self.fit_members and not hasattr(model, "users_"):
                raise NotFittedError(f"{caller}: with fit_members=False members must be fitted; {name!r} is not")
            members[name] = model
        if not members:
            raise ValueError(f"{caller}: models must hold at least one estimator; got {self.models!r}")
        return members
