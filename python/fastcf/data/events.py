"""Event logs: clicks, purchases, plays and showings, summed to strengths of choices."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastcf._arrow_tables import ArrowSource, table_source
from fastcf._backend import ingest
from fastcf._columns import time_vector
from fastcf._durations import duration_of
from fastcf._parameters import check_n_threads
from fastcf._times import check_time_unit
from fastcf.data.arrow_sources import LAYOUTS, file_source
from fastcf.data.dialect import TextFile, check_text_options, open_delimited
from fastcf.data.event_kinds import EventKinds
from fastcf.data.event_streams import ArrowEvents, IdStream
from fastcf.data.event_text import TextEvents
from fastcf.data.files import recognised
from fastcf.data.left_out import LeftOut, report_left_out
from fastcf.data.log import check_id_type
from fastcf.errors import DataError
from fastcf.ratings import Ratings

__all__ = ["load_events"]

_MOST_AHEAD = 86400  # seconds that the latest event may be ahead of the clock, for clocks and zones that are wrong


def load_events(
    source: Any,
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    event: str | int | bool | None = None,
    timestamp: str | int | bool | None = None,
    weights: Mapping[Any, float] | None = None,
    exposure: Any = None,
    ignore: Any = None,
    duration: str | int | None = None,
    min_duration: Any = None,
    half_life: Any = None,
    now: Any = None,
    time_unit: str = "auto",
    id_type: str | tuple[str, str] = "auto",
    n_threads: int | None = None,
    **text: Any,
) -> Ratings:
    r"""Sum the events of each user and item to one strength, which decays with age.

    The log is read once, in parts, and never in memory as a whole: what is kept is 30 to 38 bytes per distinct
    (user, item) pair, and the ids. A compressed file is in memory as text.

    Parameters
    ----------
    source : str, os.PathLike, or object with ``__arrow_c_stream__``
        A file of delimited text, Parquet, Arrow or JSON lines; or a table or a stream of record batches: Polars (lazy
        frames, too), pandas, pyarrow (datasets, too), DuckDB, a cursor of ADBC. All but text needs ``fastcf[arrow]``.
    user, item, event, timestamp : str or int, optional
        Columns by name, or number from 0. By default recognised by their names, such as ``user_id``, ``itemid``,
        ``event_type`` or ``timestamp``. ``event=False``: each row is an event of the same kind. ``timestamp=False``
        leaves times unread.
    weights : mapping of event name to float, optional
        How strong one event of each kind is: positive numbers, such as ``{"view": 1, "cart": 3, "buy": 5}``. Names may
        be integers or truth values, as the column has them. Without a column of events each row counts 1.
    exposure : str, or list of str, optional
        The events that say that an item was shown. Pairs that were only shown are stored with the value 0: models of
        choices learn from them what was not chosen. Any other event of the pair wins over showings.
    ignore : str, or list of str, optional
        Events that are left out. Any name that has no meaning by these three parameters is an error, which lists all
        such names with their numbers.
    duration : str or int, optional
        A column of durations: numbers, or Arrow's durations, which count in seconds. Nulls are unknown durations.
    min_duration : float, str or timedelta, optional
        From which duration on an event counts: a number in the unit of the column, or text such as ``"30s"`` for
        columns in seconds. Shorter events were shown and not chosen. A showing of at least this duration counts as
        ``weights`` says, by default 1. Events of unknown duration count in full, showings remain showings.
    half_life : float, str or timedelta, optional
        The age at which an event counts half: a number of seconds, or text such as ``"30d"`` (units s, min, h, d, w),
        as of :class:`fastcf.Popular`. By default age makes no difference.
    now : int, str, datetime or numpy.datetime64, optional
        The moment to which strengths decay; by default the time of the latest event, which must not lie in the future
        then. Numbers mean what ``time_unit`` says. Only with ``half_life``.
    time_unit : {"auto", "s", "ms", "us", "ns", "date"}, default "auto"
        What numbers in the column of times are; see :func:`read_log`. Dates and Arrow's timestamps have their own.
    id_type : {"auto", "int", "str"} or a pair of these, default "auto"
        What the ids are; a pair is of users and of items; see :func:`read_log`. ``"auto"``: in tables, as they are.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it, nor on the
        sizes of batches.
    **text
        How delimited text is read: ``separator``, ``header``, ``decimal`` (of durations), ``encoding``, ``quoting``,
        ``escape``, ``comment`` and ``on_bad_lines``, as for :func:`read_log`. Durations that are empty, NULL or NA are
        unknown.

    Returns
    -------
    Ratings
        One entry per pair of user and item, of value

        .. math:: \sum_e w_e \, 2^{-(now - t_e) / half\_life},

        summed in float64 in the order of the log; 0 where the item was only shown, else at least 1.2e-38. Timestamps,
        where there are any, are those of each pair's last event, or of the last showing of pairs that were only shown.

    Raises
    ------
    ImportError
        If pyarrow is needed and not installed.
    DataError
        If events have names without a meaning, there are no events, or a file is damaged or malformed (the message
        gives file, line number and text).
    TypeError, ValueError
        If a parameter is not as described or has no effect, a column is missing or cannot be told, an id, event or
        timestamp is null (the message names column and row), or events are later than ``now``.

    Examples
    --------
    >>> import pyarrow as pa
    >>> log = pa.table({"user": [1, 1, 1, 2], "item": [7, 7, 8, 7], "event": ["view", "buy", "shown", "view"]})
    >>> ratings = load_events(log, weights={"view": 1, "buy": 5}, exposure="shown")
    >>> ratings.to_coo()[2]
    array([6., 0., 1.], dtype=float32)
    """
    caller = "load_events"
    meaning = EventMeaning.of(weights, exposure, ignore, duration, min_duration, half_life, now, time_unit, caller)
    columns = {"user": user, "item": item, "event": event, "timestamp": timestamp, "duration": duration}
    reading = {"time_unit": time_unit, "id_type": id_type, "n_threads": n_threads, **text}
    ratings, left_out = read_events(source, columns, meaning, caller, **reading)
    if left_out.n_lines:
        report_left_out(source, left_out, text["on_bad_lines"])
    return ratings


class EventMeaning(NamedTuple):
    """What events mean: the parameters of :func:`load_events` that say so, checked."""

    kinds: EventKinds
    half_life: float
    now: int | None

    @classmethod
    def of(
        cls,
        weights: Any,
        exposure: Any,
        ignore: Any,
        duration: Any,
        min_duration: Any,
        half_life: Any,
        now: Any,
        time_unit: str,
        caller: str,
    ) -> EventMeaning:
        """Check the parameters; raises TypeError and ValueError as :func:`load_events`."""
        check_time_unit(time_unit, caller)
        kinds = EventKinds.of(weights, exposure, ignore, min_duration, caller)
        if (duration is None) != (min_duration is None):
            given, other = ("duration", "min_duration") if min_duration is None else ("min_duration", "duration")
            raise ValueError(f"{caller}: {given} has no effect without {other}")
        if now is not None and half_life is None:
            raise ValueError(f"{caller}: now has no effect without half_life; got {now!r}")
        life = 0.0 if half_life is None else duration_of(half_life, caller, "half_life")
        if now is None:
            return cls(kinds, life, None)
        unit = time_unit if isinstance(now, numbers.Real) else "auto"  # dates have their own
        return cls(kinds, life, int(time_vector([now], caller, "now", unit)[0]))

    def check_columns(self, columns: Mapping[str, Any], caller: str) -> None:
        """Refuse what has no column."""
        if self.half_life and "timestamp" not in columns:
            raise ValueError(f"{caller}: half_life needs a column of times: pass timestamp=")
        if self.kinds.numbers and "event" not in columns:
            raise ValueError(
                f"{caller}: weights, exposure and ignore need a column of events: pass event=; got none that is "
                "recognised"
            )


def read_events(
    source: Any,
    columns: dict[str, Any],
    meaning: EventMeaning,
    caller: str,
    *,
    time_unit: str = "auto",
    id_type: str | tuple[str, str] = "auto",
    n_threads: int | None = None,
    header: bool | str = "auto",
    **text: Any,
) -> tuple[Ratings, LeftOut]:
    """Return ratings as :func:`load_events`, and the lines of text that were left out."""
    threads = check_n_threads(n_threads, caller)
    check_time_unit(time_unit, caller)
    check_text_options(caller, text)
    asked = columns | {"duration": False if columns["duration"] is None else columns["duration"]}
    reading = _Reading(asked, time_unit, check_id_type(id_type, caller), header, text, threads, caller)
    with _opened(source, meaning.kinds, reading) as events:
        meaning.check_columns(events.columns, caller)
        return _summed(events, meaning, reading), getattr(events, "left_out", LeftOut())


class _Reading(NamedTuple):
    """How a log is read."""

    columns: dict[str, Any]
    time_unit: str
    id_types: tuple[str, str]
    header: bool | str
    text: dict[str, Any]
    n_threads: int
    caller: str

    def of_table(self, source: ArrowSource, kinds: EventKinds) -> ArrowEvents:
        """Return the events of a table."""
        return ArrowEvents(
            source, self.columns, kinds, time_unit=self.time_unit, id_types=self.id_types, caller=self.caller
        )

    def of_text(self, file: TextFile, kinds: EventKinds) -> TextEvents:
        """Return the events of delimited text."""
        return TextEvents(
            file,
            self.columns,
            kinds,
            header=self.header,
            time_unit=self.time_unit,
            id_types=self.id_types,
            n_threads=self.n_threads,
        )

    def refuse_text(self, what: str) -> None:
        """Refuse what says how delimited text is read."""
        for name, value in {**self.text, "header": None if self.header == "auto" else self.header}.items():
            if value is not None:
                raise ValueError(f"{self.caller}: {name} must not be given for {what}; got {value!r}")


@contextmanager
def _opened(source: Any, kinds: EventKinds, reading: _Reading) -> Iterator[ArrowEvents | TextEvents]:
    """Open a log; what is wrong with the content of a file is a DataError that begins with its path."""
    caller = reading.caller
    if not isinstance(source, (str, os.PathLike)):
        reading.refuse_text("tables")
        requirement = "source must be a file, or a table or stream with"
        yield reading.of_table(table_source(source, caller, requirement), kinds)
        return
    layout, (path, *_), _ = recognised(source)
    try:
        if layout in ("netflix", "fastcf"):
            raise DataError(f"{path}: holds ratings, not events ({layout}); load_ratings reads it")
        if layout in LAYOUTS:
            reading.refuse_text(f"files of this kind ({layout})")
            with file_source(path, layout, caller) as table:
                yield reading.of_table(table, kinds)
        else:
            with open_delimited(path, check_text_options(caller, reading.text), caller) as file:
                yield reading.of_text(file, kinds)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError) or not str(error).startswith(f"{path}: "):
            raise
        raise DataError(str(error)) from None


def _summed(events: ArrowEvents | TextEvents, meaning: EventMeaning, reading: _Reading) -> Ratings:
    """Read a log to its end, and return what is left of its events at a moment."""
    columns, where, threads = events.columns, events.where, reading.n_threads
    kinds, now = meaning.kinds, meaning.now
    table = ingest.EventTable(meaning.half_life)
    users, items = (IdStream(f"{where}: column {columns[role]!r}", threads) for role in ("user", "item"))
    for batch in events:
        if not kinds.unknown:  # else the log is read on, to count them
            numbers = users.numbers(batch.users), items.numbers(batch.items)
            strengths = kinds.strengths, kinds.least_duration
            table.add(*numbers, batch.kinds, batch.times, batch.durations, *strengths, threads)
    kinds.check_known(f"{where}: column {columns.get('event')!r}")
    user_ids, user_rows = users.finish()
    item_ids, item_rows = items.finish()
    if len(user_ids) == 0:
        raise DataError(f"{where}: there must be events; got none" + " but those left out" * bool(kinds.numbers))
    latest = table.latest()
    if now is not None and latest > now:
        raise ValueError(
            f"{reading.caller}: now must not lie before the latest event, at {latest}; got {now}; leave later events "
            "out of the log, or pass now=None"
        )
    if now is None and meaning.half_life and reading.time_unit == "auto" and latest > time.time() + _MOST_AHEAD:
        raise ValueError(
            f"{reading.caller}: the latest event, at {latest} ({_day(latest)}), lies in the future, and others would "
            f"decay until then; leave such events out of the log, or pass now={latest}"
        )
    shape = len(user_ids), len(item_ids)
    timed = "timestamp" in columns
    at = latest if now is None else now
    indptr, indices, values, times = table.to_csr(user_rows, item_rows, *shape, at, timed, threads)
    if ingest.first_invalid(values, True, threads) >= 0:
        raise ValueError(f"{reading.caller}: sums of strengths must be finite as float32; choose smaller weights")
    return Ratings(indptr, indices, values, users=user_ids, items=item_ids, timestamps=times)


def _day(seconds: int) -> str:
    """Return the date of a moment."""
    return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
