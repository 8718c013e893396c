"""Tensors of a safetensors file as views of its memory map: nothing is read before it is used."""

from __future__ import annotations

import json
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.errors import DataError
from fastcf.serialization.tensors import DTYPES

__all__ = ["map_tensors", "read_header"]

_LONGEST_HEADER = 100_000_000  # bytes, as the format has it
_NAMES = {stored: name for name, stored in DTYPES.items()}


def read_header(path: str | os.PathLike[str]) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file, and where the data begin.

    Raises
    ------
    DataError
        If it is no such file.
    """
    name = os.fspath(path)
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise DataError(f"{name}: is not a file of fastcf, or cut short")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise DataError(f"{name}: is not a file of fastcf, or damaged: its header is no JSON object")
    return header, 8 + length


def map_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors of a file as read-only views of it, and its metadata.

    Raises
    ------
    DataError
        If the header is damaged, or a tensor does not lie within the file.
    """
    name = os.fspath(path)
    header, begin = read_header(path)
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if begin > len(data):  # replaced since by a shorter one
        raise DataError(f"{name}: is cut short")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DataError(f"{name}: is damaged: its metadata are no texts")
    tensors = {}
    for key, entry in header.items():
        try:
            dtype, shape, (first, last) = np.dtype(_NAMES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
            count = 1
            for length in shape:
                count *= length
            fits = all(type(each) is int and each >= 0 for each in (*shape, first, last))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{name}: is damaged: tensor {key!r} is described by {entry!r}") from error
        if not fits or last - first != count * dtype.itemsize or begin + last > len(data):
            raise DataError(f"{name}: is damaged or cut short: tensor {key!r} does not lie within the file")
        if (begin + first) % dtype.itemsize:
            raise DataError(
                f"{name}: tensor {key!r} is not aligned, so that it cannot be mapped; load the file without mmap=True, "
                "and save it again"
            )
        try:
            tensors[key] = np.ndarray(tuple(shape), dtype, buffer=data, offset=begin + first)
        except (ValueError, OverflowError) as error:  # more dimensions, or longer ones, than NumPy has
            raise DataError(f"{name}: is damaged: tensor {key!r} has the shape {shape}") from error
    return tensors, metadata
