"""Arrays as tensors of a safetensors file: strings as UTF-8 bytes and offsets; a digest over all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def _pack_text(text: NDArray[np.str_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of all strings, end to end, and where each begins."""
    encoded = np.char.encode(text.ravel(), "utf-8", "surrogatepass")
    lengths = np.char.str_len(encoded).astype(np.int64)
    matrix = np.ascontiguousarray(encoded).view(np.uint8).reshape(encoded.size, encoded.dtype.itemsize)
    offsets = np.zeros(encoded.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return matrix[np.arange(matrix.shape[1]) < lengths[:, None]], offsets


def _unpack_text(packed: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.str_]:
    if packed.dtype != np.uint8 or offsets.dtype != np.int64 or packed.ndim != 1 or offsets.ndim != 1:
        raise ValueError("strings must be bytes with 64-bit offsets")
    lengths = np.diff(offsets)
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != packed.size or (lengths < 0).any():
        raise ValueError("string offsets do not fit the bytes")
    width = max(1, int(lengths.max(initial=0)))
    matrix = np.zeros((lengths.size, width), np.uint8)
    matrix[np.arange(width) < lengths[:, None]] = packed
    return np.char.decode(matrix.view(f"S{width}").reshape(-1), "utf-8", "surrogatepass")


def as_tensors(arrays: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return arrays that safetensors can hold, and which names were texts ("str") or unbounded integers ("int")."""
    tensors: dict[str, NDArray[Any]] = {}
    texts: dict[str, str] = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype == object and all(isinstance(entry, int) for entry in array.ravel()):
            texts[name] = "int"
            array = array.astype(str)
        elif array.dtype.kind == "U":
            texts[name] = "str"
        if name in texts:
            if array.ndim != 1:
                raise ValueError(f"save: array {name!r} of strings must be one-dimensional; got {array.shape}")
            tensors[f"{name}.utf8"], tensors[f"{name}.offsets"] = _pack_text(array)
            continue
        if array.dtype.name not in DTYPES:
            raise TypeError(f"save: array {name!r} must hold numbers or strings; got dtype {array.dtype}")
        tensors[name] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
    if len(tensors) != len(arrays) + len(texts):
        raise ValueError(f"save: array names clash with those of packed strings: {sorted(tensors)}")
    return tensors, texts


def as_arrays(tensors: dict[str, NDArray[Any]], texts: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return the arrays packed by :func:`as_tensors`; raises ValueError or KeyError where they do not fit."""
    arrays = dict(tensors)
    for name, kind in texts.items():
        text = _unpack_text(arrays.pop(f"{name}.utf8"), arrays.pop(f"{name}.offsets"))
        arrays[name] = np.array([int(entry) for entry in text.tolist()], dtype=object) if kind == "int" else text
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
