"""Files with named columns as streams of Arrow record batches: Parquet, Arrow, JSON lines. Needs pyarrow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastcf._arrow_tables import ArrowSource, require_pyarrow, table_source
from fastcf.data.files import is_compressed, open_bytes, open_text
from fastcf.data.json_lines import json_source
from fastcf.data.magic import ARROW_STREAM, HEAD, kind_of
from fastcf.errors import DataError

__all__ = ["LAYOUTS", "file_source"]

LAYOUTS = {"parquet": "a Parquet file", "arrow": "an Arrow file", "json-lines": "a file of JSON lines"}
"""The layouts of :func:`fastcf.data.detect_format` that are read here, and what a file of each is."""


def _checked(source: ArrowSource, where: str) -> ArrowSource:
    """Return a source of batches of the wanted columns, validated: Arrow itself trusts files, and would crash."""

    def read(columns: Mapping[str, str]) -> Iterator[Any]:
        for batch in source.read(columns):
            wanted = batch.select(list(dict.fromkeys(columns.values())))
            wanted.validate(full=True)
            yield wanted

    return source._replace(where=where, read=read)


@contextmanager
def file_source(path: Path, layout: str, caller: str) -> Iterator[ArrowSource]:
    """Open a file or folder of one of :data:`LAYOUTS`.

    Raises
    ------
    DataError
        If it is damaged; while batches are read, too.
    ImportError
        If pyarrow is not installed.
    """
    what, where = LAYOUTS[layout], str(path)
    pa = require_pyarrow(f"{caller}: {path}: {what}")
    try:
        if layout == "json-lines":
            with open_text(path) as content:
                yield _checked(json_source(path, content), where)
        elif path.is_dir():
            yield _checked(table_source(_dataset(path, layout), where), where)
        elif not path.exists() or is_compressed(path):  # a member of an archive, or the only one
            with open_bytes(path) as content:
                yield _checked(table_source(_in_memory(bytes(content), layout), where), where)
        elif _is_arrow_stream(path):
            with pa.memory_map(os.fspath(path)) as file, pa.ipc.open_stream(file) as reader:
                yield _checked(table_source(reader, where), where)
        else:
            yield _checked(table_source(_dataset(path, layout), where), where)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the operating system's own, such as a missing permission
        raise DataError(f"{path}: {_damage(path, layout)}: {error}") from error
    except ValueError as error:
        if isinstance(error.__cause__, pa.ArrowException):  # while it was read
            raise DataError(f"{path}: {_damage(path, layout)}: {error.__cause__}") from error
        raise


def _damage(path: Path, layout: str) -> str:
    if path.is_dir():
        return "the files of the folder cannot be read as one table: one is damaged, or has columns of other types"
    return f"the file is damaged, or not what it seems ({layout})"


def _dataset(path: Path, layout: str) -> Any:
    import pyarrow.dataset

    return pyarrow.dataset.dataset(path, format="ipc" if layout == "arrow" else layout, partitioning="hive")


def _is_arrow_stream(path: Path) -> bool:
    with open(path, "rb") as file:
        return kind_of(file.read(HEAD)) == ARROW_STREAM


def _in_memory(content: bytes, layout: str) -> Any:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    if kind_of(content[:HEAD]) == ARROW_STREAM:
        return pa.ipc.open_stream(content)
    read = pyarrow.parquet.read_table if layout == "parquet" else pyarrow.feather.read_table
    return read(pa.BufferReader(content))
