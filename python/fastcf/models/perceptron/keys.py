"""Seeds of users' random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap

__all__ = ["user_keys"]


def _word_of(value: int) -> int:
    high = value >> 64
    return (value if high in (0, -1) else value ^ high) & (2**64 - 1)


def user_keys(ids: IdMap) -> NDArray[np.uint64]:
    """Return a number per id that depends on the id alone: networks of users do not depend on other users."""
    values = ids.ids
    if values.dtype.kind in "iu":
        return values.astype(np.uint64)
    if values.dtype.kind == "O":  # integers beyond 64 bits; those within have the same key as in any other map
        return np.array([_word_of(value) for value in values.tolist()], np.uint64)
    letters = np.ascontiguousarray(values).view(np.uint32).reshape(values.size, -1)
    keys = np.zeros(values.size, np.uint64)
    for column in letters.T:  # 0 pads shorter ids and must not change their keys
        mixed = (keys ^ column) * np.uint64(0x100000001B3)
        keys = np.where(column > 0, mixed ^ (mixed >> np.uint64(29)), keys)
    return keys
