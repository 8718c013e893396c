"""Ratings in files whose columns have names and types: Parquet, Arrow, JSON lines. Needs pyarrow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf import _columns
from fastcf._id_columns import arrow_ids
from fastcf._texts import IdColumn
from fastcf.data.arrow_sources import file_source, require_pyarrow
from fastcf.data.columns import named_positions
from fastcf.data.files import open_text
from fastcf.data.magic import HEAD
from fastcf.errors import DataError

__all__ = ["LAYOUTS", "NamedColumns", "read_named"]

LAYOUTS = ("parquet", "arrow", "json-lines")
"""The layouts of :func:`fastcf.data.detect_format` that are read here."""

_SAMPLE = 1000  # lines whose keys and types say what columns there are
_BLOCK_BYTES = 1 << 24  # of JSON lines at once; no line may be longer


class NamedColumns(NamedTuple):
    """The columns of a log; ``ratings`` and ``timestamps`` where they were asked for and are there."""

    users: IdColumn
    items: IdColumn
    ratings: NDArray[np.float32] | None
    timestamps: NDArray[np.int64] | None


def _own(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column that can be written to, as rows of text are, and no view of Arrow's memory."""
    return np.require(column, requirements="W")


def read_named(
    path: Path,
    layout: str,
    asked: Mapping[str, str | int | bool | None],
    caller: str,
    *,
    time_unit: str = "auto",
) -> NamedColumns:
    """Read users, items and what else is asked for from a file or folder.

    Parameters
    ----------
    path : Path
        A file, or a folder of Parquet or Arrow files; columns in the names of its folders (``day=2024-05-01``) count.
    layout : {"parquet", "arrow", "json-lines"}
        As :func:`fastcf.data.detect_format` has it.
    asked : mapping
        A column's name or position for each of "user", "item", and of "rating" and "timestamp" where these are wanted;
        None where the column is to be recognised by its name.
    caller : str
        Heads messages.
    time_unit : str
        What numeric timestamps are; see :func:`fastcf.data.read_log`.

    Raises
    ------
    DataError
        If the file is damaged, a column cannot be told or holds what it must not.
    ImportError
        If pyarrow is not installed.
    """
    what = {"parquet": "a Parquet file", "arrow": "an Arrow file", "json-lines": "a file of JSON lines"}[layout]
    pa = require_pyarrow(f"{caller}: {path}: {what}")
    read = _json_columns if layout == "json-lines" else _arrow_columns
    try:
        chosen, columns = read(path, layout, asked, caller)
        where = str(path)
        users, items = (
            arrow_ids(columns[name], f"{where}: column {name!r}") for name in (chosen["user"], chosen["item"])
        )
        ratings = timestamps = None
        if "rating" in chosen:
            ratings = _own(_columns.arrow_numbers(columns[chosen["rating"]], chosen["rating"], where))
        if "timestamp" in chosen:
            name = chosen["timestamp"]
            timestamps = _own(_columns.arrow_times(columns[name], name, where, time_unit))
        return NamedColumns(users, items, ratings, timestamps)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the operating system's own, such as a missing permission
        raise DataError(f"{path}: {what} that is damaged, or is not what it seems: {error}") from error
    except (TypeError, ValueError) as error:
        if str(error).startswith(f"{path}: "):  # the checks of columns
            raise DataError(str(error)) from None
        raise


def _chosen(names: list[str], asked: Mapping[str, str | int | bool | None], where: str, caller: str) -> dict[str, str]:
    return {role: names[place] for role, place in named_positions(names, asked, where, caller).items()}


def _arrow_columns(
    path: Path, layout: str, asked: Mapping[str, str | int | bool | None], caller: str
) -> tuple[dict[str, str], dict[str, Any]]:
    import pyarrow as pa

    with file_source(path, layout, caller) as source:
        chosen = _chosen(list(source.names), asked, str(path), caller)
        names = list(dict.fromkeys(chosen.values()))
        batches = list(source.read(names))
    if not batches:
        raise DataError(f"{path}: there are no ratings")
    return chosen, _columns.arrow_columns(pa.Table.from_batches(batches), names, str(path))


# ------------------------------------------------------------------------------------------------------- JSON lines


def _json_columns(
    path: Path, layout: str, asked: Mapping[str, str | int | bool | None], caller: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """Read the columns of JSON lines by the types that the first lines have; a line that does not fit is named."""
    import pyarrow as pa
    import pyarrow.json

    with open_text(path) as content:
        if content[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            raise DataError(f"{path}: is a JSON array; one object per line is read: jq -c '.[]' {path.name}")
        sample = [record for _, record in zip(range(_SAMPLE), _records(content, path), strict=False)]
        names = list(dict.fromkeys(name for _, _, record in sample for name in record))
        chosen = _chosen(names, asked, str(path), caller)
        types = {name: _json_type(name, role, sample, path) for role, name in chosen.items()}
        schema = pa.schema(
            [(name, {int: pa.int64(), float: pa.float64(), str: pa.string()}[types[name]]) for name in types]
        )
        options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        reading = pa.json.ReadOptions(block_size=_BLOCK_BYTES)
        # A view of a memory map would keep it from being closed.
        source = pa.BufferReader(content) if isinstance(content, bytes) else pa.memory_map(os.fspath(path))
        try:
            table = pa.json.read_json(source, read_options=reading, parse_options=options)
        except pa.ArrowInvalid as error:
            _check_lines(content, path, types)
            raise DataError(f"{path}: the JSON lines cannot be read: {error}") from error
        if any(column.null_count for column in table.columns):
            _check_lines(content, path, types)
    return chosen, _columns.arrow_columns(table, chosen.values(), str(path))


def _records(content: Any, path: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield number, text and object of the lines that are not blank."""
    begin = 3 if content[:3] == b"\xef\xbb\xbf" else 0
    number = 0
    while begin < len(content):
        end = content.find(b"\n", begin)
        end = len(content) if end < 0 else end
        line = content[begin:end]
        begin, number = end + 1, number + 1
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise _malformed(path, number, f"expected a JSON object: {error}", line) from None
        if not isinstance(record, dict):
            raise _malformed(path, number, f"expected a JSON object; got {type(record).__name__}", line)
        yield number, line, record


def _malformed(path: Path, number: int, problem: str, line: bytes) -> DataError:
    text = line.decode("utf-8", "replace").strip()
    return DataError(f"{path}:{number}: {problem}: {text if len(text) <= 200 else text[:200] + '...'!r}")


def _json_type(name: str, role: str, sample: list[tuple[int, bytes, dict[str, Any]]], path: Path) -> type:
    """Return the type of a column: int, float or str."""
    kinds: set[type] = set()
    for number, line, record in sample:
        value = record.get(name)
        allowed = (int, str) if role in ("user", "item") else (int, float, str)
        if isinstance(value, bool) or not isinstance(value, allowed):
            wanted = "an integer or a string" if role in ("user", "item") else "a number"
            raise _malformed(path, number, f"{role} ({name!r}) must be {wanted}; got {value!r}", line)
        kinds.add(type(value))
    if role == "rating" and str not in kinds:
        return float
    if kinds == {int, float}:
        return float
    if len(kinds) > 1:
        first = type(sample[0][2][name])
        number, line, record = next(each for each in sample if type(each[2][name]) is not first)
        raise _malformed(path, number, f"{role} ({name!r}) must be numbers or strings; got {record[name]!r}", line)
    return kinds.pop()


def _check_lines(content: Any, path: Path, types: Mapping[str, type]) -> None:
    """Raise the DataError of the first line that is no object, or lacks a value of the type of a column."""
    for number, line, record in _records(content, path):
        for name, kind in types.items():
            value = record.get(name)
            fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
            if isinstance(value, int) and kind is int:
                fits = fits and -(2**63) <= value < 2**63
            if not fits:
                wanted = {int: "an integer of 64 bits", float: "a number", str: "a string"}[kind]
                raise _malformed(path, number, f"{name!r} must be {wanted}, as in other lines; got {value!r}", line)
