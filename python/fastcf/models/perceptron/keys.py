"""Seeds of users' random numbers."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from fastcf._texts import TextTable
from fastcf.ids import IdMap

__all__ = ["user_keys"]

_MIXED = 256  # bytes


def _word_of(value: int) -> int:
    high = value >> 64
    return (value if high in (0, -1) else value ^ high) & (2**64 - 1)


def user_keys(ids: IdMap) -> NDArray[np.uint64]:
    """Return a number per id that depends on the id alone: networks of users do not depend on other users."""
    values = ids.column.ids
    if isinstance(values, TextTable):
        return _keys_of_texts(values)
    if values.dtype.kind in "iu":
        return values.astype(np.uint64)
    # integers beyond 64 bits; those within have the same key as in any other map
    return np.array([_word_of(value) for value in values.tolist()], np.uint64)


def _keys_of_texts(texts: TextTable) -> NDArray[np.uint64]:
    """Mix in one byte after the other, of all texts at a time; of texts that are longer than that pays, a digest."""
    keys = np.zeros(len(texts), np.uint64)
    lengths = np.diff(texts.offsets)
    for row in np.flatnonzero(lengths > _MIXED):
        keys[row] = int.from_bytes(hashlib.blake2b(texts[row].encode(), digest_size=8).digest(), "little")
    longer = np.flatnonzero(lengths <= _MIXED)
    for place in range(_MIXED):
        longer = longer[lengths[longer] > place]
        if longer.size == 0:
            break
        mixed = (keys[longer] ^ texts.utf8[texts.offsets[longer] + place]) * np.uint64(0x100000001B3)
        keys[longer] = mixed ^ (mixed >> np.uint64(29))
    return keys
