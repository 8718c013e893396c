"""JSON lines as a stream of Arrow record batches; a line that does not fit is named. Needs pyarrow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastcf._arrow_tables import ArrowSource
from fastcf.data.magic import HEAD
from fastcf.errors import DataError

__all__ = ["json_source"]

_SAMPLE = 1000  # lines whose keys and types say what columns there are
_BLOCK_BYTES = 1 << 24  # of JSON lines at once; no line may be longer
_IDS, _NAMES = ("user", "item"), ("event",)  # roles; columns of other roles hold numbers, or texts of times
_NULLS = ("duration",)  # roles whose columns may lack values
_BOUNDS = {"int64": (-(2**63), 2**63), "uint64": (0, 2**64)}
_MARK = b"\xef\xbb\xbf"


class _Line(NamedTuple):
    """A line that holds an object."""

    number: int
    text: bytes
    record: dict[str, Any]


def json_source(path: Path, content: Any) -> ArrowSource:
    """Return the columns that the first lines have; types of those that are read are those of the first lines.

    Raises
    ------
    DataError
        If it is an array, or a line is no object or lacks a value of its column's type; while it is read, too.
    """
    if bytes(content[:HEAD]).removeprefix(_MARK).lstrip().startswith(b"["):
        raise DataError(f"{path}: is a JSON array; one object per line is read: jq -c '.[]' {path.name}")
    sample = [line for line, _ in zip(_lines(content, path), range(_SAMPLE), strict=False)]
    names = list(dict.fromkeys(name for line in sample for name in line.record))

    def read(columns: Mapping[str, str]) -> Iterator[Any]:
        return _batches(path, content, {name: _type_of(name, role, sample, path) for role, name in columns.items()})

    return ArrowSource(str(path), names, read)


def _batches(path: Path, content: Any, types: Mapping[str, _Type]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.json

    schema = pa.schema([(name, getattr(pa, each.arrow)()) for name, each in types.items()])
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    reading = pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES)
    # A view of a memory map would keep it from being closed.
    source = pa.BufferReader(content) if isinstance(content, bytes) else pa.memory_map(os.fspath(path))
    try:
        for batch in pyarrow.json.open_json(source, read_options=reading, parse_options=parsing):
            for name, each in types.items():
                if batch.column(name).null_count and not each.nulls:
                    _check_lines(content, path, types)
            yield batch
    except pa.ArrowInvalid as error:
        _check_lines(content, path, types)
        raise DataError(f"{path}: the JSON lines cannot be read: {error}") from error


def _lines(content: Any, path: Path) -> Iterator[_Line]:
    """Yield the lines that are not blank."""
    begin = len(_MARK) if content[: len(_MARK)] == _MARK else 0
    number = 0
    while begin < len(content):
        end = content.find(b"\n", begin)
        end = len(content) if end < 0 else end
        text = content[begin:end]
        begin, number = end + 1, number + 1
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError as error:
            hint = f"; one object per line is read: jq -c . {path.name}" if text.strip() == b"{" else ""
            raise _malformed(path, number, f"expected a JSON object: {error}{hint}", text) from None
        if not isinstance(record, dict):
            raise _malformed(path, number, f"expected a JSON object; got {type(record).__name__}", text)
        yield _Line(number, text, record)


def _malformed(path: Path, number: int, problem: str, line: bytes) -> DataError:
    text = line.decode("utf-8", "replace").strip()
    return DataError(f"{path}:{number}: {problem}: {text if len(text) <= 200 else text[:200] + '...'!r}")


class _Type(NamedTuple):
    """The type of a column: Arrow's name, Python's types of its values, and whether there may be none."""

    arrow: str
    python: tuple[type, ...]
    wanted: str
    nulls: bool

    def fits(self, value: Any) -> bool:
        """Whether a line may hold this value."""
        if value is None:
            return self.nulls
        if isinstance(value, bool):
            return bool in self.python
        if isinstance(value, int) and self.arrow in _BOUNDS:
            low, high = _BOUNDS[self.arrow]
            return low <= value < high
        return isinstance(value, self.python)


def _type_of(name: str, role: str, sample: list[_Line], path: Path) -> _Type:
    """Return the type of a column by its role and its first values."""
    ids, nulls = role in _IDS, role in _NULLS
    allowed = (int, str) if ids else (int, str, bool) if role in _NAMES else (int, float, str)
    wanted = "an integer or a string" if ids else "a name" if role in _NAMES else "a number"
    kinds: dict[type, _Line] = {}
    for line in sample:
        value = line.record.get(name)
        if value is None and nulls:
            continue
        if type(value) not in allowed:
            raise _malformed(path, line.number, f"{role} ({name!r}) must be {wanted}; got {value!r}", line.text)
        kinds.setdefault(type(value), line)
    if kinds.keys() <= {int, float} and (float in kinds or role in ("rating", "duration")):
        return _Type("float64", (int, float), "a number", nulls)
    if len(kinds) > 1:
        line = list(kinds.values())[1]
        problem = f"{role} ({name!r}) must be numbers or strings; got {line.record[name]!r}"
        raise _malformed(path, line.number, problem, line.text)
    (kind,) = kinds or (str,)
    if kind is int:
        large = any(line.record[name] >= 2**63 for line in sample)
        return _Type("uint64" if large else "int64", (int,), "an integer of 64 bits", nulls)
    return (
        _Type("bool_", (bool,), "a truth value", nulls) if kind is bool else _Type("string", (str,), "a string", nulls)
    )


def _check_lines(content: Any, path: Path, types: Mapping[str, _Type]) -> None:
    """Raise the DataError of the first line that is no object, or lacks a value of the type of a column."""
    for line in _lines(content, path):
        for name, each in types.items():
            value = line.record.get(name)
            if not each.fits(value):
                problem = f"{name!r} must be {each.wanted}, as in other lines; got {value!r}"
                raise _malformed(path, line.number, problem, line.text)
