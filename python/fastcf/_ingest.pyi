"""Native ingestion on the host, csrc/bind/ingest. Arrays are checked, never converted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

def coo_to_csr(
    users: NDArray[np.int32],
    items: NDArray[Any],
    item_index: IdIndex | None,
    values: NDArray[np.float32],
    timestamps: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    n_users: int,
    n_items: int,
    duplicates: str,
    n_threads: int = 0,
    consume: bool = False,
) -> tuple[Any, ...]: ...
def csr_to_csc(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    n_columns: int,
    n_threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def csc_entries(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], n_columns: int, n_threads: int = 0
) -> NDArray[np.int64]: ...
def csr_subset(
    indptr: NDArray[np.int64], mask: NDArray[np.bool_], arrays: list[NDArray[Any]], n_threads: int = 0
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]: ...
def first_invalid(values: NDArray[np.float32], non_negative: bool, n_threads: int = 0) -> int: ...
def check_ratings(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32] | None,
    n_columns: int,
    caller: str,
) -> None: ...

class EventTable:
    def __init__(self, half_life: float = 0.0) -> None: ...
    def add(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        kinds: NDArray[np.int32] | None,
        times: NDArray[np.int64] | None,
        durations: NDArray[np.float64] | None,
        strengths: NDArray[np.float64],
        least_duration: float = 0.0,
        n_threads: int = 0,
    ) -> None: ...
    def latest(self) -> int: ...
    def to_csr(
        self,
        user_rows: NDArray[np.int32],
        item_rows: NDArray[np.int32],
        n_users: int,
        n_items: int,
        now: int,
        timed: bool,
        n_threads: int = 0,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.int64] | None]: ...

class IntegerDictionary:
    def __init__(self) -> None: ...
    def encode(self, ids: NDArray[Any], n_threads: int = 0) -> NDArray[np.int32]: ...
    def ids(self) -> NDArray[np.int64]: ...

def unique_ids(ids: NDArray[Any], limit: int = 2147483646, n_threads: int = 0) -> NDArray[np.int64]: ...

class IdIndex:
    def __init__(self, ids: NDArray[Any]) -> None: ...
    def encode(self, ids: NDArray[Any], n_threads: int = 0) -> NDArray[np.int32]: ...
    def __len__(self) -> int: ...

def read_netflix(
    sources: list[Buffer | str], *, n_fields: int, n_threads: int = 0, piece_bytes: int = 4194304
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32] | None, NDArray[np.int64] | None]: ...
def make_ratings(
    *,
    n_users: int,
    n_items: int,
    n_ratings: int,
    popularity: float,
    activity: float,
    choice: float,
    mean: float,
    user_bias_deviation: float,
    item_bias_deviation: float,
    signal: float,
    noise: float,
    levels: NDArray[np.float32] | None,
    seed: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    timestamps: NDArray[np.int64] | None,
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32],
    item_bias: NDArray[np.float32],
    exposure: NDArray[np.float32],
    n_threads: int,
) -> tuple[float, float]: ...

class ParseError(ValueError): ...

def read_log(
    text: Buffer,
    *,
    offset: int,
    first_line: int,
    separator: str,
    n_fields: int,
    columns: Sequence[int],
    quoting: str = "record",
    escape: str = "",
    comment: str = "",
    decimal: str = ".",
    missing: Sequence[str] = ...,
    names: Sequence[str] = ...,
    header: bytes = ...,
    keep_going: bool = False,
    id_types: Sequence[str] = ...,
    narrow: bool = False,
    n_threads: int = 0,
    piece_bytes: int = 1048576,
) -> tuple[
    NDArray[Any] | tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]],
    NDArray[Any] | tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]],
    NDArray[np.float32],
    NDArray[np.int64] | None,
    tuple[int, bool, int, list[tuple[int, str, str]]],
]: ...
def split_records(
    text: Buffer,
    *,
    offset: int,
    first_line: int,
    separator: str,
    quoting: str = "record",
    escape: str = "",
    comment: str = "",
    limit: int = -1,
    keep_going: bool = False,
    replace: bool = False,
) -> tuple[list[tuple[int, int, int, list[str]]], int, list[tuple[int, str, str]]]: ...
def parse_moments(texts: Sequence[str]) -> tuple[NDArray[np.int64], int, bool, int]: ...
def encode_texts(
    texts: NDArray[Any], n_threads: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]: ...
def unite_texts(
    tables: list[tuple[NDArray[np.uint8], NDArray[np.int64]]], n_threads: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[NDArray[np.int32]]]: ...
def take_texts(
    utf8: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...
def list_texts(utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> list[str]: ...
def first_not_integer(utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> int: ...
def check_texts(utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None: ...

class TextDictionary:
    def __init__(self) -> None: ...
    def encode(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int32]: ...
    def texts(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...

class TextIndex:
    def __init__(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None: ...
    def encode(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64], n_threads: int = 0) -> NDArray[np.int32]: ...
    def __len__(self) -> int: ...

class AscendingTexts:
    def __init__(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None: ...
    def encode(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64], n_threads: int = 0) -> NDArray[np.int32]: ...
    def __len__(self) -> int: ...
    @property
    def ascending(self) -> bool: ...

def get_num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def limit_calling_thread(threads: int) -> int: ...
