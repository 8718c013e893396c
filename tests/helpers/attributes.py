"""What models show of what they have learnt."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse

import fastcf


def public(model: Any) -> set[str]:
    """Return the names of attributes that end in an underscore."""
    return {name for name in dir(model) if name.endswith("_") and not name.startswith("_")}


def plain(value: Any) -> Any:
    """Return a value as NumPy can compare it: objects of fields as dictionaries, maps as their ids."""
    if isinstance(value, fastcf.IdMap):
        return value.ids
    if scipy.sparse.issparse(value):
        return value.toarray()
    if isinstance(value, fastcf.Recommender):
        return {name: plain(getattr(value, name)) for name in public(value)}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def assert_same_attributes(first: Any, second: Any) -> None:
    """Fail unless two models have learnt the same, bit for bit."""
    assert public(first) == public(second)
    for name in sorted(public(first)):
        np.testing.assert_equal(plain(getattr(second, name)), plain(getattr(first, name)), err_msg=name)
