"""Types of the native ingest module (csrc/bind/ingest)."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Text = bytes | bytearray | memoryview | mmap.mmap

class ParseError(ValueError):
    """args: index of the source, line number (0: the whole file), problem, text of the line."""

def read_log(
    text: _Text,
    *,
    offset: int,
    first_line: int,
    separator: str,
    n_fields: int,
    columns: tuple[int, int, int, int],
    n_threads: int = 0,
    piece_bytes: int = ...,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32], NDArray[np.int64] | None]: ...
def split_line(line: str, separator: str) -> list[str]: ...
def read_netflix(
    sources: list[_Text | str],
    *,
    n_fields: int,
    n_threads: int = 0,
    piece_bytes: int = ...,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32] | None, NDArray[np.int64] | None]: ...
