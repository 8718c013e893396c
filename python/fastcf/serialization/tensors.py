"""Arrays as tensors of a safetensors file: strings as UTF-8 bytes and offsets; a digest over all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._texts import TextTable

__all__ = ["DTYPES", "as_arrays", "as_tensors", "digest", "to_json"]

# NumPy's names and safetensors'.
DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}


def as_tensors(arrays: Mapping[str, ArrayLike | TextTable]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return arrays that safetensors can hold, and which names were texts ("str") or unbounded integers ("int")."""
    tensors: dict[str, NDArray[Any]] = {}
    texts: dict[str, str] = {}
    for name, value in arrays.items():
        table = value if isinstance(value, TextTable) else None
        array = np.empty(0) if isinstance(value, TextTable) else np.asarray(value)
        if table is None and array.dtype == object and all(isinstance(entry, int) for entry in array.ravel()):
            texts[name] = "int"
        elif table is not None or array.dtype.kind in "UT":
            texts[name] = "str"
        if name in texts:
            if table is None and array.ndim != 1:
                raise ValueError(f"save: array {name!r} of strings must be one-dimensional; got {array.shape}")
            tensors[f"{name}.utf8"], tensors[f"{name}.offsets"] = (table or _table_of(array, name)).pair
            continue
        if array.dtype.name not in DTYPES:
            raise TypeError(f"save: array {name!r} must hold numbers or strings; got dtype {array.dtype}")
        tensors[name] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
    if len(tensors) != len(arrays) + len(texts):
        raise ValueError(f"save: array names clash with those of packed strings: {sorted(tensors)}")
    return tensors, texts


def _table_of(array: NDArray[Any], name: str) -> TextTable:
    try:
        return TextTable.of([str(entry) for entry in array.tolist()])
    except UnicodeEncodeError as error:
        raise ValueError(f"save: array {name!r} must hold Unicode text; {error}") from None


def as_arrays(tensors: dict[str, NDArray[Any]], texts: Mapping[str, str]) -> dict[str, NDArray[Any] | TextTable]:
    """Return the arrays packed by :func:`as_tensors`.

    Raises TypeError, ValueError or KeyError where they do not fit.
    """
    arrays: dict[str, NDArray[Any] | TextTable] = dict(tensors)
    for name, kind in texts.items():
        packed = tensors[f"{name}.utf8"], tensors[f"{name}.offsets"]
        del arrays[f"{name}.utf8"], arrays[f"{name}.offsets"]
        table = TextTable.checked(*packed)
        arrays[name] = np.array(table.integers(), dtype=object) if kind == "int" else table
    return arrays


def digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Return the BLAKE2b digest of tensors (names, dtypes, shapes, bytes) and metadata, in order of name."""
    state = hashlib.blake2b(digest_size=32)
    described = [[name, array.dtype.name, list(array.shape)] for name, array in sorted(tensors.items())]
    state.update(json.dumps([described, sorted(metadata.items())]).encode())
    for _, array in sorted(tensors.items()):
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def to_json(what: str, values: Mapping[str, Any]) -> str:
    """Return values as JSON, NumPy's as Python's; raises TypeError that names the one which cannot be stored."""

    def plain(value: object) -> object:
        if isinstance(value, (np.generic, np.ndarray)):
            return value.tolist()
        raise TypeError(f"a {type(value).__name__}")

    for name, value in values.items():
        try:
            json.dumps(value, default=plain)
        except (TypeError, ValueError) as error:
            raise TypeError(f"save: {what} {name!r} must be storable as JSON; got {error}") from None
    return json.dumps(dict(values), default=plain)
