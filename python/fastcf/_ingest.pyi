"""Native ingestion: host only, whatever device trains. Arrays are checked, never converted."""

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

_Text = bytes | bytearray | memoryview | mmap.mmap

def unique_ids(ids: npt.NDArray[Any], limit: int = ..., n_threads: int = 0) -> npt.NDArray[Any]: ...

class IdIndex:
    def __init__(self, ids: npt.NDArray[Any]) -> None: ...
    def encode(self, ids: npt.NDArray[Any], n_threads: int = 0) -> npt.NDArray[np.int32]: ...
    def __len__(self) -> int: ...

def coo_to_csr(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[Any],
    item_index: IdIndex | None,
    values: npt.NDArray[np.float32],
    timestamps: npt.NDArray[np.int64] | None,
    weights: npt.NDArray[np.float32] | None,
    n_users: int,
    n_items: int,
    duplicates: str,
    n_threads: int = 0,
    consume: bool = False,
) -> tuple[Any, ...]: ...
def csr_to_csc(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    n_columns: int,
    n_threads: int = 0,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]: ...
def csc_entries(
    indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], n_columns: int, n_threads: int = 0
) -> npt.NDArray[np.int64]: ...
def csr_subset(
    indptr: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_], arrays: list[npt.NDArray[Any]], n_threads: int = 0
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[Any]]]: ...
def first_invalid(values: npt.NDArray[np.float32], non_negative: bool, n_threads: int = 0) -> int: ...
def check_ratings(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    n_columns: int,
    caller: str,
) -> None: ...
def make_ratings(
    *,
    n_users: int,
    n_items: int,
    n_ratings: int,
    popularity: float,
    activity: float,
    mean: float,
    user_bias_deviation: float,
    item_bias_deviation: float,
    signal: float,
    noise: float,
    levels: npt.NDArray[np.float32] | None,
    seed: int,
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    timestamps: npt.NDArray[np.int64] | None,
    user_factors: npt.NDArray[np.float32],
    item_factors: npt.NDArray[np.float32],
    user_bias: npt.NDArray[np.float32],
    item_bias: npt.NDArray[np.float32],
    n_threads: int,
) -> tuple[float, float]: ...

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
    narrow: bool = False,
    n_threads: int = 0,
    piece_bytes: int = ...,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.int64] | None]: ...
def split_line(line: str, separator: str) -> list[str]: ...
def read_netflix(
    sources: list[_Text | str],
    *,
    n_fields: int,
    n_threads: int = 0,
    piece_bytes: int = ...,
) -> tuple[
    npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32] | None, npt.NDArray[np.int64] | None
]: ...
