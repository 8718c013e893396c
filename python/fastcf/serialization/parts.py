"""Models inside a model: their archives as one flat set of arrays and a JSON description, and back.

An array that a part has in common with a model around it is stored once, and so is a part that equals an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._texts import TextTable
from fastcf.serialization.archive import Archive
from fastcf.serialization.tensors import to_json

__all__ = ["flattened", "nested"]

_Arrays = dict[str, NDArray[Any] | TextTable]
_Path = tuple[str, ...]  # names of parts, from the outermost one

# Parts of a file, counted as often as they are there: a small file could hold any number of equal ones.
_MOST_PARTS = 10_000


def _same(first: NDArray[Any] | TextTable, second: NDArray[Any] | TextTable) -> bool:
    """Return whether two arrays have the same bits."""
    if first is second:
        return True
    if isinstance(first, TextTable) or isinstance(second, TextTable):
        return first == second if type(first) is type(second) else False
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    if first.dtype.kind == "f":  # 0 and -0 are equal, and NaN is not
        first, second = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (first, second))
    return np.array_equal(first, second)


def _equal(first: Archive, second: Archive) -> bool:
    """Return whether two parts hold the same, bit by bit."""
    return (
        first.class_name == second.class_name
        and to_json("parameter", first.params) == to_json("parameter", second.params)
        and to_json("meta", first.meta) == to_json("meta", second.meta)
        and first.arrays.keys() == second.arrays.keys()
        and first.parts.keys() == second.parts.keys()
        and all(_same(array, second.arrays[name]) for name, array in first.arrays.items())
        and all(_equal(part, second.parts[name]) for name, part in first.parts.items())
    )


def flattened(archive: Archive) -> tuple[_Arrays, dict[str, Any]]:
    """Return the arrays of an archive's parts under the names of a file, and a description of the parts."""
    arrays: _Arrays = {}
    return arrays, _described(archive, {}, "", (), arrays, [])


def _described(
    whole: Archive,
    around: _Arrays,
    prefix: str,
    path: _Path,
    arrays: _Arrays,
    written: list[tuple[_Path, Archive]],
) -> dict[str, Any]:
    """Return a description of the parts of an archive; ``arrays`` and ``written`` are those so far.

    A function of its own, as :func:`_with_parts` is.
    """
    parts: dict[str, Any] = {}
    around = around | whole.arrays  # of the nearest model around that has one of the name
    for number, (name, part) in enumerate(whole.parts.items()):
        key, own = f"{prefix}part{number}/", (*path, name)
        before = next((where for where, other in written if _equal(part, other)), None)
        if before is not None:
            parts[name] = {"same": list(before)}
            continue
        shared = [each for each, array in part.arrays.items() if each in around and _same(array, around[each])]
        arrays.update({f"{key}{each}": array for each, array in part.arrays.items() if each not in shared})
        parts[name] = {
            "class": part.class_name,
            "params": part.params,
            "meta": part.meta,
            "shared": shared,
            "parts": _described(part, around, key, own, arrays, written),
        }
        written.append((own, part))
    return parts


def nested(archive: Archive, arrays: _Arrays, parts: Mapping[str, Any]) -> Archive:
    """Return an archive with its parts; ``arrays`` are those of the file.

    Parts that are stored once are one object. Raises DataError, KeyError, TypeError or ValueError where the description
    does not fit, or expands to more parts than any model has.
    """
    by_part: dict[str, _Arrays] = {}
    for name, array in arrays.items():
        key, slash, last = name.rpartition("/")
        by_part.setdefault(key + slash, {})[last] = array
    return _with_parts(archive, {}, parts, "", (), by_part, {})[0]


def _with_parts(
    whole: Archive,
    around: _Arrays,
    described: Mapping[str, Any],
    prefix: str,
    path: _Path,
    by_part: Mapping[str, _Arrays],
    read: dict[_Path, tuple[Archive, int]],
) -> tuple[Archive, int]:
    """Return an archive with its parts, and how many these are, itself included; ``read`` are those so far.

    A function of its own: as a closure that calls itself it would keep all arrays until garbage is collected.
    """
    found: dict[str, Archive] = {}
    around = around | whole.arrays
    count = 1
    for number, (name, entry) in enumerate(described.items()):
        key, own = f"{prefix}part{number}/", (*path, name)
        if "same" in entry:
            part, size = read[tuple(entry["same"])]
        else:
            part = _outer(whole, around, by_part.get(key, {}), entry)
            part, size = _with_parts(part, around, entry["parts"], key, own, by_part, read)
            read[own] = part, size
        found[name] = part
        count += size
        if count > _MOST_PARTS:
            raise ValueError(f"the file must have at most {_MOST_PARTS} parts")
    return replace(whole, parts=found), count


def _outer(whole: Archive, around: _Arrays, own: _Arrays, entry: Mapping[str, Any]) -> Archive:
    """Return a part without its own parts; ``own`` are its arrays that are not those of models ``around`` it."""
    if not (isinstance(entry["class"], str) and isinstance(entry["params"], dict) and isinstance(entry["meta"], dict)):
        raise ValueError("parameters, meta and parts must be JSON objects")
    part = replace(whole, class_name=entry["class"], params=entry["params"], meta=entry["meta"], metadata={}, extra=())
    outer = replace(part, arrays=around)
    return replace(part, arrays={each: outer.held(each) for each in entry["shared"]} | own)
