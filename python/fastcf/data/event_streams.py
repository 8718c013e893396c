"""Events in batches, and the ids of a stream as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._arrow_tables import ArrowSource
from fastcf._backend import ingest
from fastcf._columns import arrow_times
from fastcf._id_columns import as_id_column
from fastcf._texts import IdColumn, TextTable
from fastcf._times import as_seconds
from fastcf.data.columns import EVENT_NAMES, LOG_NAMES, named_positions
from fastcf.data.event_kinds import EventKinds, event_name
from fastcf.data.log import of_type
from fastcf.ids import IdMap, as_kind

__all__ = ["EVENT_LOG_NAMES", "OPTIONAL_IN_EVENT_LOGS", "ArrowEvents", "EventBatch", "IdStream", "StreamTimes"]

EVENT_LOG_NAMES = {
    "user": LOG_NAMES["user"],
    "item": LOG_NAMES["item"],
    "event": EVENT_NAMES,
    "timestamp": LOG_NAMES["timestamp"],
    "duration": frozenset[str](),
}
"""Names, as :func:`plain_name` gives them, by which the columns of an event log are recognised; durations are not."""

OPTIONAL_IN_EVENT_LOGS = frozenset({"event", "timestamp", "duration"})
"""Columns that an event log need not have."""

_ROWS = 1 << 20  # of a batch at most, so that what is made of it stays small
_SURELY_SECONDS = 10**11  # all bits of times below it: so are the times


class EventBatch(NamedTuple):
    """Consecutive events, without those that are left out.

    Attributes
    ----------
    users, items : IdColumn
        Ids.
    kinds : ndarray of int32 or None
        Rows of :attr:`EventKinds.strengths`; None: all are of kind 0.
    times : ndarray of int64 or None
        Seconds since 1970.
    durations : ndarray of float64 or None
        NaN where unknown.
    """

    users: IdColumn
    items: IdColumn
    kinds: NDArray[np.int32] | None
    times: NDArray[np.int64] | None
    durations: NDArray[np.float64] | None

    def of(self, kept: NDArray[np.bool_]) -> EventBatch:
        """Return some of the events."""
        return EventBatch(
            self.users.select(kept),
            self.items.select(kept),
            None if self.kinds is None else self.kinds[kept],
            None if self.times is None else self.times[kept],
            None if self.durations is None else self.durations[kept],
        )


class IdStream:
    """Numbers the ids of a column in the order in which they appear, batch by batch.

    Where some batches have integers and others strings, all are strings: as texts of integers they keep their numbers.
    """

    def __init__(self, where: str, n_threads: int) -> None:
        self._where = where
        self._n_threads = n_threads
        self._integers = ingest.IntegerDictionary()
        self._others: dict[int, int] | None = None  # integers beyond 64 bits, and those met before and after
        self._texts: ingest.TextDictionary | None = None

    def numbers(self, column: IdColumn) -> NDArray[np.int32]:
        """Return the numbers of ids."""
        if self._texts is None and column.kind == "str":
            known = self._integers.ids().tolist() if self._others is None else list(self._others)
            self._texts = ingest.TextDictionary()
            self._texts.encode(*TextTable.of([str(id) for id in known]).pair)
        if self._texts is not None:
            ids, codes = as_kind(column, "str", self._where)
            assert isinstance(ids, TextTable)
            numbers: NDArray[np.int32] = self._texts.encode(*ids.pair)
            return numbers if codes is None else numbers[codes]
        integers = column.ids
        assert not isinstance(integers, TextTable)
        if integers.dtype.kind == "i" and self._others is None:
            numbers = self._integers.encode(integers, self._n_threads)
            return numbers
        if self._others is None:
            self._others = {id: number for number, id in enumerate(self._integers.ids().tolist())}
        distinct, entries = np.unique(integers, return_inverse=True)
        own = [self._others.setdefault(id, len(self._others)) for id in distinct.tolist()]
        return np.array(own, np.int32)[entries]

    def finish(self) -> tuple[IdMap, NDArray[np.int32]]:
        """Return the map of all ids, ascending, and the row of each number."""
        if self._texts is not None:
            utf8, offsets, (ranks,) = ingest.unite_texts([self._texts.texts()], self._n_threads)
            return IdMap._trusted(TextTable(utf8, offsets)), ranks
        known = self._integers.ids() if self._others is None else list(self._others)
        ids = as_id_column(known, f"{self._where}: ids").array()
        order = np.argsort(ids, kind="stable")
        rows = np.empty(ids.size, np.int32)
        rows[order] = np.arange(ids.size, dtype=np.int32)
        return IdMap._trusted(ids[order]), rows


class StreamTimes:
    """Turns the times of a stream into seconds: numbers of one unit throughout, though it is read in parts."""

    def __init__(self, unit: str, where: str) -> None:
        self._unit = unit
        self._where = where
        self._sizes: list[int] = []  # the smallest and the largest so far

    def seconds(self, values: NDArray[np.int64], bits: int | None = None, has_dates: bool = False) -> NDArray[np.int64]:
        """Return times in seconds, as :func:`fastcf._times.as_seconds`, which has the same parameters."""
        if bits is None:
            bits = int(np.bitwise_or.reduce(values)) if values.size else 0
        seconds = as_seconds(values, self._unit, self._where, bits=bits, has_dates=has_dates)
        if self._unit == "auto" and not has_dates and bits != 0:
            ends = [1, bits]
            if not 0 < bits < _SURELY_SECONDS:
                sizes = np.abs(values[values != 0].astype(np.float64))
                ends = [int(sizes.min()), int(sizes.max())]
            ends += self._sizes
            self._sizes = [min(ends), max(ends)]
            as_seconds(np.array(self._sizes), "auto", self._where)  # refuses several units
        return seconds


class ArrowEvents:
    """The events of a table, batch by batch: the whole is never in memory.

    Parameters
    ----------
    source : ArrowSource
        Read once, to its end.
    asked : dict
        A column's name by role; None: by the usual names (:data:`EVENT_LOG_NAMES`); False: there is none.
    kinds : EventKinds
        What events mean.
    time_unit : str
        What numbers in the column of times are; see :func:`fastcf.data.read_log`.
    id_types : pair of str
        What the ids of users and items are: "auto", "int" or "str".
    caller : str
        Named in error messages.
    """

    def __init__(
        self,
        source: ArrowSource,
        asked: dict[str, Any],
        kinds: EventKinds,
        *,
        time_unit: str,
        id_types: tuple[str, str],
        caller: str,
    ) -> None:
        self._source = source
        self._kinds = kinds
        self._id_types = id_types
        self.where = source.where or caller
        self._time_unit = time_unit
        self._times = StreamTimes(time_unit, self.where)
        names = list(source.names)
        places = named_positions(
            names, asked, self.where, caller, known=EVENT_LOG_NAMES, optional=OPTIONAL_IN_EVENT_LOGS
        )
        self.columns = {role: names[place] for role, place in places.items()}

    def __iter__(self) -> Iterator[EventBatch]:
        first = 0
        for batch in self._source.read(self.columns):
            for begin in range(0, batch.num_rows, _ROWS):
                part = batch.slice(begin, _ROWS)
                yield self._batch(part, first)
                first += part.num_rows

    def _batch(self, batch: Any, first: int) -> EventBatch:
        columns = {role: batch.column(name) for role, name in self.columns.items()}
        rows = kinds = times = durations = None
        if "event" in columns:
            self._refuse_nulls(columns, "event", first, None)
            kinds = self._kinds_of(columns.pop("event"))
            kept = kinds >= 0
            if not kept.all():
                rows, kinds = np.flatnonzero(kept), kinds[kept]
                columns = {role: column.filter(kept) for role, column in columns.items()}
        for role in ("user", "item", "timestamp"):
            self._refuse_nulls(columns, role, first, rows)
        if "timestamp" in columns:
            numbers = _holds_numbers(columns["timestamp"])  # of one unit throughout; texts have theirs in each batch
            unit = "s" if numbers else self._time_unit
            times = arrow_times(_chunked(columns["timestamp"]), self.columns["timestamp"], self.where, unit)
            times = self._times.seconds(times) if numbers else times
        if "duration" in columns:
            if kinds is None:
                self._refuse_nulls(columns, "duration", first, rows)
            durations = _durations(columns["duration"], self.columns["duration"], self.where)
        users, items = (
            self._ids(role, columns[role], id_type)
            for role, id_type in zip(("user", "item"), self._id_types, strict=True)
        )
        return EventBatch(users, items, kinds, times, durations)

    def _ids(self, role: str, column: Any, id_type: str) -> IdColumn:
        where = f"{self.where}: column {self.columns[role]!r}"
        return of_type(as_id_column(column, where), id_type, where)

    def _kinds_of(self, column: Any) -> NDArray[np.int32]:
        encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
        names = [event_name(value) for value in encoded.dictionary.to_pylist()]
        return self._kinds.of_names(names, encoded.indices.to_numpy(zero_copy_only=False))

    def _refuse_nulls(self, columns: dict[str, Any], role: str, first: int, rows: NDArray[Any] | None) -> None:
        null = _nulls(columns[role]) if role in columns else None
        if null is None or not null.any():
            return
        entry = int(null.argmax())
        row = first + int(entry if rows is None else rows[entry])
        name = self.columns[role]
        raise ValueError(f"{self.where}: column {name!r} must have no nulls; got one at row {row}; filter them out")


def _nulls(column: Any) -> NDArray[np.bool_] | None:
    """Return which entries of an Arrow array are null; None where none is."""
    null: NDArray[np.bool_]
    if column.null_count:
        null = column.is_null().to_numpy(zero_copy_only=False)
        return null
    if hasattr(column, "dictionary") and column.dictionary.null_count:
        empty = column.dictionary.is_null().to_numpy(zero_copy_only=False)
        null = empty[column.indices.to_numpy(zero_copy_only=False)]
        return null
    return None


def _holds_numbers(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _chunked(column: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array([column])


def _durations(column: Any, name: str, caller: str) -> NDArray[np.float64]:
    """Return durations, those with a unit in seconds; NaN for nulls."""
    import pyarrow as pa

    scale = 1.0
    if pa.types.is_duration(column.type):
        scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[column.type.unit]
        column = column.cast(pa.int64())
    kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal
    if not any(of_kind(column.type) for of_kind in kinds):
        raise TypeError(f"{caller}: column {name!r} must hold durations, numbers or Arrow's; got {column.type}")
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values if scale == 1.0 else values * scale
