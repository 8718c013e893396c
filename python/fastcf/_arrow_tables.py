"""Tables as streams of Arrow record batches, read once, with the columns that are wanted. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from fastcf._id_columns import refuse_nulls

__all__ = ["ArrowSource", "arrow_columns", "require_pyarrow", "table_source"]


class ArrowSource(NamedTuple):
    """A table that is read once.

    Attributes
    ----------
    where : str
        Heads messages about its content: the path of a file, else empty.
    names : sequence of str
        Its columns.
    read : callable
        Given the names of the columns that are wanted, by role ("user", "item", "rating", …), yields record batches
        that have these at least.
    """

    where: str
    names: Sequence[str]
    read: Callable[[Mapping[str, str]], Iterator[Any]]


def require_pyarrow(what: str) -> Any:
    """Return the module pyarrow; ImportError says that ``what`` needs it, and how to get it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(f"{what} needs pyarrow, an optional extra: pip install 'fastcf[arrow]'") from error
    return pyarrow


def table_source(table: Any, caller: str, requirement: str = "table must offer") -> ArrowSource:
    """Return a table in memory, a data base's cursor, a lazy frame or a dataset, which are read in parts.

    It has ``__arrow_c_stream__`` or ``fetch_record_batch`` (cursors of ADBC), or is a Polars LazyFrame or a pyarrow
    Dataset. ``requirement`` begins what a message says that it must be. Raises ImportError without pyarrow, TypeError
    if it is none of these, ValueError if it cannot be handed over as Arrow data; while it is read, too.
    """
    pa = require_pyarrow(caller)
    with _naming(caller, pa):
        if hasattr(table, "__arrow_c_stream__"):
            source = _of_reader(pa.RecordBatchReader.from_stream(table))
        elif hasattr(table, "fetch_record_batch"):
            source = _of_reader(table.fetch_record_batch())
        elif hasattr(table, "collect_schema") and hasattr(table, "collect"):
            source = ArrowSource("", table.collect_schema().names(), _lazy_batches(table, pa))
        elif hasattr(table, "scanner") and hasattr(table, "schema"):
            source = _of_dataset(table)
        else:
            hint = "; load_ratings and load_events read files" if isinstance(table, (str, bytes)) else ""
            raise TypeError(
                f"{caller}: {requirement} __arrow_c_stream__ (pandas, Polars, DuckDB, pyarrow), or be a Polars "
                f"LazyFrame, a pyarrow Dataset or a cursor of ADBC; got {type(table).__name__}{hint}"
            )

    def read(columns: Mapping[str, str]) -> Iterator[Any]:
        batches = source.read(columns)
        while True:
            with _naming(caller, pa):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    return source._replace(read=read)


@contextmanager
def _naming(caller: str, pa: Any) -> Iterator[None]:
    """Put the caller before what other libraries say of a table."""
    try:
        yield
    except (pa.ArrowException, ValueError) as error:
        text = " ".join(str(part) for part in error.args)
        raise ValueError(
            f"{caller}: the table cannot be read as Arrow data: {text}; pass a table of the columns that are needed, "
            "each of one type"
        ) from error


def _of_reader(reader: Any) -> ArrowSource:
    return ArrowSource("", reader.schema.names, lambda columns: iter(reader))


def _of_dataset(dataset: Any, where: str = "") -> ArrowSource:
    def read(columns: Mapping[str, str]) -> Iterator[Any]:
        return iter(dataset.scanner(columns=list(columns.values())).to_reader())

    return ArrowSource(where, dataset.schema.names, read)


def _lazy_batches(frame: Any, pa: Any) -> Callable[[Mapping[str, str]], Iterator[Any]]:
    def read(columns: Mapping[str, str]) -> Iterator[Any]:
        wanted = frame.select(list(columns.values()))
        parts = wanted.collect_batches() if hasattr(wanted, "collect_batches") else [wanted.collect()]
        for part in parts:
            yield from pa.RecordBatchReader.from_stream(part)

    return read


def arrow_columns(source: ArrowSource, columns: Mapping[str, str], caller: str) -> dict[str, Any]:
    """Read columns, named by role, to the end of a source; return them by role as ``pyarrow.ChunkedArray``.

    Raises ValueError if a column is missing or holds a null, or there are no rows; the message names column and row.
    """
    pa = require_pyarrow(caller)
    for name in columns.values():
        if list(source.names).count(name) != 1:
            listed = ", ".join(map(repr, source.names))
            raise ValueError(f"{caller}: table must have one column {name!r}; it has {listed}")
    chunks: dict[str, list[Any]] = {role: [] for role in columns}
    for batch in source.read(columns):
        for role, name in columns.items():
            chunks[role].append(batch.column(name))
    if not any(len(chunk) for parts in chunks.values() for chunk in parts):
        raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
    found = {role: pa.chunked_array(parts) for role, parts in chunks.items()}
    for role, column in found.items():
        refuse_nulls(column, f"{caller}: column {columns[role]!r}")
    return found
