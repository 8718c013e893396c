"""Ratings in files whose columns have names and types: Parquet, Arrow, JSON lines. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf import _columns
from fastcf._arrow_tables import arrow_columns
from fastcf._id_columns import arrow_ids
from fastcf._texts import IdColumn
from fastcf.data.arrow_sources import file_source
from fastcf.data.columns import named_positions
from fastcf.errors import DataError

__all__ = ["NamedColumns", "read_named"]


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
    """Read users, items and what else is asked for from a file or folder of named columns.

    ``layout`` is one of :data:`fastcf.data.arrow_sources.LAYOUTS`; columns in the names of a folder's folders
    (``day=2024-05-01``) count. ``asked`` has a column's name or position, or None where its name is to be recognised,
    for "user", "item", and "rating" and "timestamp" where these are wanted. Raises DataError if the file is damaged or
    a column is not recognised or holds what it must not, ImportError without pyarrow.
    """
    where = str(path)
    try:
        with file_source(path, layout, caller) as source:
            names = list(source.names)
            chosen = {role: names[place] for role, place in named_positions(names, asked, where, caller).items()}
            columns = arrow_columns(source, chosen, where)
        users, items = (arrow_ids(columns[role], f"{where}: column {chosen[role]!r}") for role in ("user", "item"))
        ratings = timestamps = None
        if "rating" in chosen:
            ratings = _own(_columns.arrow_numbers(columns["rating"], chosen["rating"], where))
        if "timestamp" in chosen:
            timestamps = _own(_columns.arrow_times(columns["timestamp"], chosen["timestamp"], where, time_unit))
        return NamedColumns(users, items, ratings, timestamps)
    except (TypeError, ValueError) as error:
        if str(error).startswith(f"{path}: "):  # the checks of columns
            raise DataError(str(error)) from None
        raise
