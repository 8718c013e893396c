"""Tables as streams of Arrow record batches, read once, with the columns that are wanted. Needs pyarrow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastcf.data.files import open_bytes, open_text
from fastcf.data.magic import ARROW_STREAM, HEAD, kind_of
from fastcf.errors import DataError

__all__ = ["ArrowSource", "file_source", "require_pyarrow", "table_source"]

_BLOCK_BYTES = 1 << 24  # of JSON lines at once; no line may be longer


class ArrowSource(NamedTuple):
    """A table that is read once.

    Attributes
    ----------
    where : str
        Heads messages about its content: the path of a file, else empty.
    names : sequence of str
        Its columns.
    read : callable
        Given the names of the columns that are wanted, yields record batches that have these at least.
    """

    where: str
    names: Sequence[str]
    read: Callable[[Sequence[str]], Iterator[Any]]


def require_pyarrow(what: str) -> Any:
    """Return the module pyarrow; ImportError says that ``what`` needs it, and how to get it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(f"{what} needs pyarrow, an optional extra: pip install 'fastcf[arrow]'") from error
    return pyarrow


def table_source(table: Any, caller: str) -> ArrowSource:
    """Return a table in memory, a data base's cursor, a lazy frame or a dataset, which are read in parts.

    Parameters
    ----------
    table : object
        With ``__arrow_c_stream__`` or ``fetch_record_batch`` (cursors of ADBC), or a Polars LazyFrame, or a pyarrow
        Dataset.
    caller : str
        Heads messages.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError
        If it is none of these.
    """
    if hasattr(table, "__arrow_c_stream__"):
        return _of_reader(require_pyarrow(caller).RecordBatchReader.from_stream(table))
    if hasattr(table, "fetch_record_batch"):
        return _of_reader(table.fetch_record_batch())
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        return ArrowSource("", table.collect_schema().names(), _lazy_batches(table, require_pyarrow(caller)))
    if hasattr(table, "scanner") and hasattr(table, "schema"):
        return _of_dataset(table)
    raise TypeError(
        f"{caller}: source must be a file, or a table or stream with __arrow_c_stream__ (Polars, pandas, pyarrow, "
        f"DuckDB, ADBC); got {type(table).__name__}"
    )


def _of_reader(reader: Any) -> ArrowSource:
    return ArrowSource("", reader.schema.names, lambda names: iter(reader))


def _of_dataset(dataset: Any, where: str = "") -> ArrowSource:
    def read(names: Sequence[str]) -> Iterator[Any]:
        return iter(dataset.scanner(columns=list(names)).to_reader())

    return ArrowSource(where, dataset.schema.names, read)


def _lazy_batches(frame: Any, pa: Any) -> Callable[[Sequence[str]], Iterator[Any]]:
    def read(names: Sequence[str]) -> Iterator[Any]:
        wanted = frame.select(list(names))
        parts = wanted.collect_batches() if hasattr(wanted, "collect_batches") else [wanted.collect()]
        for part in parts:
            yield from pa.RecordBatchReader.from_stream(part)

    return read


def _checked(source: ArrowSource) -> ArrowSource:
    """Return a source of batches of the wanted columns, validated: Arrow itself trusts files, and would crash."""

    def read(names: Sequence[str]) -> Iterator[Any]:
        for batch in source.read(names):
            wanted = batch.select(list(names))
            wanted.validate(full=True)
            yield wanted

    return source._replace(read=read)


@contextmanager
def file_source(path: Path, layout: str, caller: str) -> Iterator[ArrowSource]:
    """Open a file or folder of a layout of :data:`fastcf.data.named.LAYOUTS`.

    Raises
    ------
    DataError
        If it is damaged; while batches are read, too.
    ImportError
        If pyarrow is not installed.
    """
    pa = require_pyarrow(f"{caller}: {path}")
    try:
        if layout == "json-lines":
            with open_text(path) as content:
                yield _checked(_json_source(path, content))
        elif path.is_file() and _is_arrow_stream(path):
            with pa.memory_map(os.fspath(path)) as file, pa.ipc.open_stream(file) as reader:
                yield _checked(_of_reader(reader)._replace(where=str(path)))
        elif path.exists():
            import pyarrow.dataset

            form = "ipc" if layout == "arrow" else layout
            dataset = pyarrow.dataset.dataset(path, format=form, partitioning="hive")
            yield _checked(_of_dataset(dataset, str(path)))
        else:  # in an archive
            with open_bytes(path) as content:
                yield _checked(_archived(path, layout, bytes(content)))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the operating system's own, such as a missing permission
        raise DataError(f"{path}: the file is damaged, or not what it seems ({layout}): {error}") from error


def _is_arrow_stream(path: Path) -> bool:
    with open(path, "rb") as file:
        return kind_of(file.read(HEAD)) == ARROW_STREAM


def _archived(path: Path, layout: str, content: bytes) -> ArrowSource:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    read = pyarrow.parquet.read_table if layout == "parquet" else pyarrow.feather.read_table
    return _of_reader(read(pa.BufferReader(content)).to_reader())._replace(where=str(path))


def _json_source(path: Path, content: Any) -> ArrowSource:
    import pyarrow as pa
    import pyarrow.json

    # A view of a memory map would keep it from being closed.
    source = pa.BufferReader(content) if isinstance(content, bytes) else pa.memory_map(os.fspath(path))
    reader = pyarrow.json.open_json(source, read_options=pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES))
    return _of_reader(reader)._replace(where=str(path))
