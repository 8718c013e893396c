"""Event logs in delimited text, read natively in slices of a file, so that the whole is never in memory as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import ingest
from fastcf._texts import TextTable
from fastcf.data.columns import Asked, Columns, Record, decimal_of
from fastcf.data.dialect import TextFile
from fastcf.data.event_kinds import EventKinds
from fastcf.data.event_streams import EVENT_LOG_NAMES, OPTIONAL_IN_EVENT_LOGS, EventBatch, StreamTimes
from fastcf.data.files import naming_file
from fastcf.data.left_out import LeftOut
from fastcf.data.log import id_column
from fastcf.errors import DataError

__all__ = ["SLICE_BYTES", "TextEvents"]

SLICE_BYTES = 1 << 26
"""A slice goes on to the next line end."""

_UNKNOWN_DURATIONS = ["", "NA", "N/A", "NULL", "null", "None", "nan", "NaN", "\\N"]
_MOST_EXAMPLES = 10


def _no_shape(rows: Sequence[Sequence[str]], asked: Asked) -> str:
    """Say that the columns of an event log are not told by their content."""
    return f"there are {len(rows[0]) if rows else 0} columns and no line that names them"


class TextEvents:
    """The events of a file of delimited text, slice by slice.

    Parameters
    ----------
    file : TextFile
    asked : dict
        A column's name or number by role; None: by the usual names; False: there is none.
    kinds : EventKinds
        What events mean.
    header, time_unit, n_threads
        As for :func:`fastcf.data.read_log`.
    id_types : pair of str
        What the ids of users and items are: "auto", "int" or "str".

    Attributes
    ----------
    columns : dict of str to str or int
        Names, or numbers, of the columns by role.
    left_out : LeftOut
        Malformed lines met so far.
    """

    def __init__(
        self,
        file: TextFile,
        asked: dict[str, Any],
        kinds: EventKinds,
        *,
        header: bool | str,
        time_unit: str,
        id_types: tuple[str, str],
        n_threads: int,
    ) -> None:
        self._file = file
        self._kinds = kinds
        self.where = str(file.path)
        self._id_types = id_types
        self._times = StreamTimes(time_unit, self.where)
        self._layout, records = file.choose_columns(asked, header, EVENT_LOG_NAMES, OPTIONAL_IN_EVENT_LOGS, _no_shape)
        self._reading = self._arguments(records, self._layout) | {"n_threads": n_threads}
        self._begin = file.data(records, self._layout)
        names = records[0].fields if self._layout.header else range(self._layout.n_fields)
        self.columns = {role: names[at] for role, at in self._layout.positions.items() if at >= 0}
        self.left_out = LeftOut()

    def _arguments(self, records: list[Record], layout: Columns) -> dict[str, Any]:
        """Return how the native reader cuts records, and what the fields are."""
        file, at = self._file, layout.positions
        decimal = file.options["decimal"]
        if decimal is None:
            rows = [record.fields for record in records[layout.header :] if len(record.fields) == layout.n_fields]
            texts = [row[at["duration"]] for row in rows if at["duration"] >= 0]
            decimal = decimal_of([text for text in texts if text not in _UNKNOWN_DURATIONS], self.where)
        return {
            **file.syntax(str(file.options["separator"])),
            "n_fields": layout.n_fields,
            "decimal": decimal,
            "missing": _UNKNOWN_DURATIONS,
            "header": bytes(file.text[records[0].begin : records[0].end]).rstrip(b"\r\n") if layout.header else b"",
            "keep_going": file.options["on_bad_lines"] != "error",
            "narrow": True,
        }

    def __iter__(self) -> Iterator[EventBatch]:
        text = self._file.text
        begin, line = self._begin["offset"], self._begin["first_line"]
        while begin < len(text):
            end = self._end_of_slice(begin)
            part = bytes(text[begin:end])
            try:
                batches = self._read(part, line)
            except DataError:
                if end == len(text) or b'"' not in part:
                    raise
                end, part = len(text), bytes(text[begin:])  # perhaps a quoted field went on behind the slice
                batches = self._read(part, line)
            begin, line = end, line + part.count(b"\n")
            yield from batches

    def _read(self, text: bytes, line: int) -> list[EventBatch]:
        """Read whole lines; events are read as ids, of the same rows."""
        at = self._layout.positions
        place: dict[str, Any] = {"text": text, "offset": 0, "first_line": line}
        others = at["item"], at["duration"], at["timestamp"]
        with naming_file(self._file.path):
            naming: dict[str, Any] = {"names": ("user id", "item id", "duration"), "id_types": self._id_types}
            *arrays, found = ingest.read_log(**place, columns=(at["user"], *others), **naming, **self._reading)
            if at["event"] < 0:
                return [self._batch(arrays, None, found)]
            naming = {"names": ("event", "item id", "duration"), "id_types": ("str", self._id_types[1])}
            names, *_, other = ingest.read_log(**place, columns=(at["event"], *others), **naming, **self._reading)
        same = found[2] == other[2] and [each[0] for each in found[3]] == [each[0] for each in other[3]]
        if same and found[2] <= _MOST_EXAMPLES:
            return [self._batch(arrays, names, found)]
        if self._reading["quoting"] == "record" and b'"' in text:
            raise DataError(
                f"{self.where}: some lines are malformed in the column of events and others elsewhere, which cannot be "
                "told apart where fields are quoted; on_bad_lines='error' names the first"
            )
        # Lines are left out for their users or for their events: halves, until it is known which.
        middle = text.find(b"\n", len(text) // 2, len(text) - 1) + 1 or text.rfind(b"\n", 0, len(text) - 1) + 1
        if middle > 0:
            first, second = text[:middle], text[middle:]
            return self._read(first, line) + self._read(second, line + first.count(b"\n"))
        self._leave_out(max(found, other, key=lambda each: each[2]))
        return []

    def _leave_out(self, found: Any) -> None:
        _, _, count, examples = found
        old = self.left_out
        self.left_out = LeftOut(old.n_lines + count, (*old.examples, *examples)[:_MOST_EXAMPLES])

    def _end_of_slice(self, begin: int) -> int:
        """Return where a slice ends: at a line end, and not within a quoted field or behind an escape."""
        text, size = self._file.text, len(self._file.text)
        end = text.find(b"\n", begin + SLICE_BYTES) + 1
        if end <= 0:
            return size
        if self._reading["escape"]:
            return size
        if self._reading["quoting"] == "record":
            quotes = bytes(text[begin:end]).count(b'"')
            if quotes % 2 or (quotes and self._reading["keep_going"]):
                return size
        return end

    def _batch(self, arrays: Sequence[Any], names: Any, found: Any) -> EventBatch:
        user_side, item_side, durations, times = arrays
        sides = zip((user_side, item_side), self._id_types, strict=True)
        users, items = (id_column(side, id_type, self.where) for side, id_type in sides)
        bits, has_dates, *_ = found
        self._leave_out(found)
        if times is not None:
            try:
                times = self._times.seconds(times, bits, has_dates)
            except ValueError as error:
                raise DataError(str(error)) from None
        lengths: NDArray[np.float64] | None = None
        if self._layout.positions["duration"] >= 0:
            lengths = durations.astype(np.float64)
            if names is None and np.isnan(durations).any():
                raise DataError(
                    f"{self.where}: column {self.columns['duration']!r} must have no missing durations where there is "
                    "no column of events"
                )
        if names is None:
            return EventBatch(users, items, None, times, lengths)
        column = id_column(names, "str", self.where)
        assert isinstance(column.ids, TextTable)
        assert column.codes is not None
        kinds = self._kinds.of_names(column.ids.tolist(), column.codes)
        return EventBatch(users, items, kinds, times, lengths).of(kinds >= 0)
