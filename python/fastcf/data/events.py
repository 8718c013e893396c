"""Event logs: clicks, purchases, plays and showings, summed to strengths of choices."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastcf._backend import ingest
from fastcf._columns import time_vector
from fastcf._durations import duration_of
from fastcf._parameters import check_n_threads
from fastcf.data.arrow_sources import file_source, table_source
from fastcf.data.event_kinds import EventKinds
from fastcf.data.event_streams import ArrowEvents, IdStream
from fastcf.data.files import detect_format
from fastcf.data.named import LAYOUTS
from fastcf.errors import DataError
from fastcf.ratings import Ratings

__all__ = ["load_events"]


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
    n_threads: int | None = None,
) -> Ratings:
    r"""Sum the events of each user and item to one strength, which decays with age.

    The log is read once, batch by batch, and never in memory as a whole: what is kept is 30 to 38 bytes per distinct
    (user, item) pair, and the ids.

    Parameters
    ----------
    source : object with ``__arrow_c_stream__``
        A table or a stream of record batches: Polars, pandas, pyarrow, DuckDB, ADBC. Needs ``fastcf[arrow]``.
    user, item, event, timestamp : str or int, optional
        Columns by name. By default recognised by their names, such as ``user_id``, ``itemid``, ``event_type`` or
        ``timestamp``. ``event=False``: each row is an event of the same kind. ``timestamp=False`` leaves times unread.
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
        The age at which an event counts half: a number in the unit of the timestamps, or text such as ``"30d"`` (units
        s, min, h, d, w); as of :class:`fastcf.Popular`. By default age makes no difference.
    now : int, datetime or numpy.datetime64, optional
        The moment to which strengths decay; by default the time of the latest event. Only with ``half_life``.
    n_threads : int, optional
        Threads to use; all by default. The result does not depend on it, nor on the sizes of batches.

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
        If pyarrow is not installed.
    DataError
        If events have names without a meaning, or there are no events.
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
    threads = check_n_threads(n_threads, caller)
    kinds = EventKinds.of(weights, exposure, ignore, min_duration, caller)
    life = 0.0 if half_life is None else duration_of(half_life, caller, "half_life")
    end = None if now is None else _moment(now, caller)
    if (duration is None) != (min_duration is None):
        given, other = ("duration", "min_duration") if min_duration is None else ("min_duration", "duration")
        raise ValueError(f"{caller}: {given} has no effect without {other}")
    if now is not None and half_life is None:
        raise ValueError(f"{caller}: now has no effect without half_life; got {now!r}")
    asked = {"user": user, "item": item, "event": event, "timestamp": timestamp}
    asked["duration"] = False if duration is None else duration
    with _opened(source, asked, kinds, caller) as events:
        _check_columns(events.columns, kinds, half_life, caller)
        return _summed(events, kinds, life, end, caller, threads)


@contextmanager
def _opened(source: Any, asked: dict[str, Any], kinds: EventKinds, caller: str) -> Iterator[ArrowEvents]:
    """Open a log; what is wrong with the content of a file is a DataError that begins with its path."""
    if not isinstance(source, (str, os.PathLike)):
        yield ArrowEvents(table_source(source, caller), asked, kinds, caller)
        return
    path = Path(source)
    layout = detect_format(path).format
    if layout not in LAYOUTS:
        raise NotImplementedError
    try:
        with file_source(path, layout, caller) as table:
            yield ArrowEvents(table, asked, kinds, caller)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError) or not str(error).startswith(f"{path}: "):
            raise
        raise DataError(str(error)) from None


def _summed(
    events: ArrowEvents, kinds: EventKinds, half_life: float, now: int | None, caller: str, n_threads: int
) -> Ratings:
    """Read a log to its end, and return what is left of its events at a moment."""
    columns, where = events.columns, events.where
    table = ingest.EventTable(half_life)
    users, items = (IdStream(columns[role], where, n_threads) for role in ("user", "item"))
    for batch in events:
        if not kinds.unknown:  # else the log is read on, to count them
            numbers = users.numbers(batch.users), items.numbers(batch.items)
            meaning = kinds.strengths, kinds.least_duration
            table.add(*numbers, batch.kinds, batch.times, batch.durations, *meaning, n_threads)
    kinds.check_known(f"{where}: column {columns.get('event')!r}")
    user_ids, user_rows = users.finish()
    item_ids, item_rows = items.finish()
    if len(user_ids) == 0:
        raise DataError(f"{where}: there must be events; got none" + " but those left out" * bool(kinds.numbers))
    latest = table.latest()
    if now is not None and latest > now:
        raise ValueError(
            f"{caller}: now must not lie before the latest event, at {latest}; got {now}; leave later events out of "
            "the log, or pass now=None"
        )
    shape = len(user_ids), len(item_ids)
    timed = "timestamp" in columns
    at = latest if now is None else now
    indptr, indices, values, times = table.to_csr(user_rows, item_rows, *shape, at, timed, n_threads)
    if ingest.first_invalid(values, True, n_threads) >= 0:
        raise ValueError(f"{caller}: sums of strengths must be finite as float32; choose smaller weights")
    return Ratings(indptr, indices, values, users=user_ids, items=item_ids, timestamps=times)


def _check_columns(columns: Mapping[str, Any], kinds: EventKinds, half_life: Any, caller: str) -> None:
    """Refuse parameters without a column, and a column without its parameters."""
    if half_life is not None and "timestamp" not in columns:
        raise ValueError(f"{caller}: half_life needs a column of times: pass timestamp=; got {half_life!r}")
    if kinds.numbers and "event" not in columns:
        raise ValueError(
            f"{caller}: weights, exposure and ignore need a column of events: pass event=; got none that is recognised"
        )


def _moment(now: Any, caller: str) -> int:
    """Return a moment in seconds since 1970."""
    moments = time_vector(np.asarray([now]), caller, "now")
    return int(moments[0])
