"""Long tables for other libraries: Arrow, pandas, Polars, lists of dicts, and HTML for notebooks."""

from __future__ import annotations

import html
import importlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coded", "Column", "Tabular"]

_SHOWN = 10  # rows in a notebook


class Coded(NamedTuple):
    """A column of ids: entry ``i`` is ``ids[codes[i]]``."""

    ids: NDArray[Any]
    codes: NDArray[np.int32]


Column = NDArray[Any] | Coded


class Tabular:
    """What can be handed on as a table, a row per entry.

    A class says what the columns are in ``_columns``. All that is here follows from it.
    """

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        """Return the columns by name; ``n``: of the first rows only."""
        raise NotImplementedError

    def _n_rows(self) -> int:
        """Return the number of rows."""
        raise NotImplementedError

    def to_arrow(self) -> Any:
        """Return the table as a ``pyarrow.Table``. Needs the extra ``fastcf[arrow]``.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        TypeError
            If ids are integers beyond 64 bits, for which Arrow has no type.
        """
        pa = _library("pyarrow", f"{type(self).__name__}.to_arrow", "pip install 'fastcf[arrow]'")
        return pa.table({name: _arrow(pa, column) for name, column in self._columns().items()})

    def to_frame(self, library: str = "pandas") -> Any:
        """Return the table as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, default "pandas"
            Whose data frame.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame

        Raises
        ------
        ImportError
            If the library is not installed.
        ValueError
            If it is another one.
        """
        caller = f"{type(self).__name__}.to_frame"
        if library not in ("pandas", "polars"):
            raise ValueError(f"{caller}: library must be 'pandas' or 'polars'; got {library!r}")
        found = _library(library, caller, f"pip install {library}")
        columns = {name: _plain(column) for name, column in self._columns().items()}
        if library == "polars":  # which makes a column of Python objects of an array of objects
            columns = {
                name: column.tolist() if column.dtype.kind == "O" else column for name, column in columns.items()
            }
        return found.DataFrame(columns)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the table as a list of dicts of Python's own types, a dict per row: what JSON takes.

        Returns
        -------
        list of dict
        """
        columns = self._columns()
        rows = zip(*(_plain(column).tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return the table by the Arrow C stream protocol: what DuckDB, Polars, pandas and ADBC take."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        n = self._n_rows()
        columns = self._columns(min(n, _SHOWN))
        cells = zip(*(_plain(column).tolist() for column in columns.values()), strict=True)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in cells)
        rows = f"{n:,} row{'' if n == 1 else 's'}" + (f", {_SHOWN} shown" if n > _SHOWN else "")
        return (
            f"<div><p>{html.escape(type(self).__name__)}: {rows}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _library(name: str, caller: str, how: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{caller} needs {name}: {how}") from error


def _cell(value: Any) -> str:
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _ids(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids as an array of numbers, or of Python objects; texts once each, however often they are taken."""
    if ids.dtype.kind == "O" and ids.size and isinstance(ids.flat[0], int):
        for dtype in (np.int64, np.uint64):
            try:
                return ids.astype(dtype)
            except OverflowError:
                continue
        return ids
    return ids.astype(object) if ids.dtype.kind in "UTO" else ids


def _plain(column: Column) -> NDArray[Any]:
    if isinstance(column, Coded):
        return _ids(column.ids)[column.codes]
    return _ids(column)


def _arrow(pa: Any, column: Column) -> Any:
    """Return a column as an Arrow array: texts that repeat as a dictionary."""
    ids = _ids(column.ids if isinstance(column, Coded) else column)
    if ids.dtype == object and ids.size and isinstance(ids.flat[0], int):
        raise TypeError("to_arrow: ids must be texts, or integers of at most 64 bits; Arrow has no larger ones")
    if not isinstance(column, Coded):
        return pa.array(ids.tolist(), pa.string()) if ids.dtype == object else pa.array(ids)
    if ids.dtype == object:
        return pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(ids.tolist(), pa.string()))
    return pa.array(ids[column.codes])
