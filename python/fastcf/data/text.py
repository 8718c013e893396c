"""Reading ratings from text: any delimited file, and every layout that can be recognised."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastcf._assembly import Options
from fastcf._backend import ingest
from fastcf._parameters import check_n_threads
from fastcf._texts import IdColumn
from fastcf._times import as_seconds, check_time_unit
from fastcf.data.arrow_sources import LAYOUTS
from fastcf.data.columns import Shape, log_shape, movielens_shape
from fastcf.data.dialect import TextOptions, check_text_options, open_delimited
from fastcf.data.files import detect_format, naming_file
from fastcf.data.left_out import LeftOut, report_left_out
from fastcf.data.log import RatingLog, check_id_type, id_column, of_type
from fastcf.data.named import read_named
from fastcf.data.netflix import read_netflix_rows
from fastcf.errors import DataError
from fastcf.ids import distinct
from fastcf.ratings import Ratings, from_columns
from fastcf.serialization import stored_class

__all__ = ["Missing", "RatingLog", "load_log", "load_ratings", "read_log"]

_FORMATS = ("auto", "delimited", "movielens", "netflix")

Missing = str | float | Iterable[str | float] | None
"""Ratings that stand for no rating: one, or several."""


class _Reading(NamedTuple):
    """How a log is read: the arguments of :func:`read_log`, checked."""

    format: str
    text: TextOptions
    header: bool | str
    columns: dict[str, str | int | bool | None]
    missing_texts: list[str]
    missing_numbers: list[float]
    time_unit: str
    id_types: tuple[str, str]
    narrow: bool  # int32 ids where all of them fit, which is what building ratings needs
    n_threads: int
    caller: str


def _missing(values: Missing, caller: str) -> tuple[list[str], list[float]]:
    """Return texts and numbers that stand for no rating; "-1" and -1 are the number."""
    if values is None:
        return [], []
    given = [values] if isinstance(values, (str, int, float, np.number)) else list(values)
    texts, numbers = [], []
    for value in given:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, np.number)):
            raise TypeError(f"{caller}: missing must be texts or numbers; got {value!r}")
        try:
            number = float(value)
        except ValueError:
            texts.append(str(value))
            continue
        if np.isnan(number):
            texts += ["nan", "NaN", "NAN", "Nan", str(value)]
        elif np.isinf(number):
            texts.append(str(value))
        else:
            numbers.append(number)
    return texts, numbers


def _read_delimited(path: Path, reading: _Reading, shape: Shape) -> RatingLog:
    """Read a file of delimited text; ratings that are missing are NaN."""
    with open_delimited(path, reading.text, reading.caller) as file:
        layout, records = file.choose_columns(reading.columns, reading.header, shape=shape)
        names = bytes(file.text[records[0].begin : records[0].end]).rstrip(b"\r\n") if layout.header else b""
        with naming_file(path):
            users, items, ratings, timestamps, found = ingest.read_log(
                file.text,
                **file.data(records, layout),
                **file.syntax(str(file.options["separator"])),
                n_fields=layout.n_fields,
                columns=tuple(layout.positions.values()),
                decimal=file.decimal_of(records, layout),
                missing=reading.missing_texts,
                header=names,
                keep_going=reading.text["on_bad_lines"] != "error",
                id_types=reading.id_types,
                narrow=reading.narrow,
                n_threads=reading.n_threads,
            )
    bits, has_dates, count, examples = found
    if len(ratings) == 0:
        lines = f"all {count:,} lines are malformed, the first: {examples[0][1]}" if count else "there are no ratings"
        raise DataError(f"{path}: {lines}" + (" below the header" if layout.header and not count else ""))
    if timestamps is not None:
        try:
            timestamps = as_seconds(timestamps, reading.time_unit, str(path), bits=bits, has_dates=has_dates)
        except ValueError as error:
            raise DataError(str(error)) from None
    if reading.missing_numbers:
        ratings[np.isin(ratings, np.array(reading.missing_numbers, np.float32))] = np.nan
    sides = (id_column(side, kind, str(path)) for side, kind in zip((users, items), reading.id_types, strict=True))
    user_column, item_column = sides
    log = RatingLog(user_column, item_column, ratings, timestamps, LeftOut(count, tuple(examples)))
    report_left_out(path, log.left_out, reading.text["on_bad_lines"])
    return log


def _rated(log: RatingLog, path: Path, reading: _Reading) -> RatingLog:
    """Return a log without the rows whose rating is missing."""
    if not (reading.missing_texts or reading.missing_numbers):
        return log
    rated = log.rated()
    if rated.ratings.size == 0:
        raise DataError(f"{path}: all {log.ratings.size:,} ratings are missing values")
    return rated


def read_log(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    separator: str | None = None,
    header: bool | str = "auto",
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | bool | None = None,
    timestamp: str | int | bool | None = None,
    time_unit: str = "auto",
    missing: Missing = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
    quoting: bool | str = "auto",
    escape: str | None = None,
    comment: str | None = None,
    on_bad_lines: str = "error",
    id_type: str | tuple[str, str] = "auto",
    n_threads: int | None = None,
) -> RatingLog:
    """Read a file or folder of ratings, row by row in file order.

    The file is memory-mapped and parsed natively by all threads; a gzip file is recognised by its first bytes and
    decompressed in memory. Line ends may be LF, CRLF or CR, a byte order mark is skipped, blank lines are ignored,
    spaces around fields too. Runs of spaces count as one where the separator is a space. All records have as many
    fields as the first.

    Parameters
    ----------
    path : str or os.PathLike
        A file, or a folder that :func:`detect_format` recognises; also what :meth:`fastcf.Ratings.save` wrote.
    format : {"auto", "delimited", "movielens", "netflix"}, default="auto"
        ``"auto"`` looks; the others insist. Of a Netflix Prize folder all training ratings are read, those of the
        probe included; :func:`load_netflix` separates them.
    separator : str, optional
        The text between fields. By default the one of ``"::"``, tab, comma, semicolon, bar and space that makes a
        header of known names, or cuts all of the first hundred lines alike.
    header : bool or "auto", default="auto"
        Whether the first line names the columns. ``"auto"``: it does where it holds names of at least two of user,
        item and rating, such as ``userId``, ``movie_id`` or ``Rating``, or a name given below, or where it has words
        above a column of numbers.
    user, item, rating, timestamp : str or int, optional
        Columns by name (case and punctuation aside) or number from 0. By default recognised by the header's names.
        Without a header nothing is assumed unless the first hundred lines look exactly like a log of ratings: user and
        item ids, a number of at most 100, and perhaps a date or a number of at least 1e8 (a time since 1970).
        ``rating=False``: there is none, every line counts 1. ``timestamp=False`` leaves timestamps unread.
    time_unit : {"auto", "s", "ms", "us", "ns", "date"}, default="auto"
        What numbers in the column of timestamps are; ``"date"`` is YYYYMMDD. ``"auto"`` decides for the whole column:
        numbers below 1e11 are seconds since 1970, below 1e14 milliseconds, below 1e17 microseconds, others
        nanoseconds; a column that belongs to several of these, or could be days, is refused.
    missing : str, float, or a list of those, optional
        Values of the column of ratings that stand for no rating, such as ``-1``, ``99``, ``""`` or ``"NULL"``; their
        lines are left out.
    decimal : {".", ","}, optional
        The decimal sign of ratings. By default a comma where the first hundred lines have one and none has a point.
    encoding : str, default="utf-8"
        Any text encoding of Python. Others than UTF-8 are converted before they are parsed.
    quoting : bool or "auto", default="auto"
        Whether fields may be quoted (``"..."``, doubled quotes inside), and then hold separators and line ends; a quote
        inside of a field that does not begin with one is text. ``"auto"``: they may where the separator is one
        character; between tabs only within a line, and a quote that does not close in its field is text.
    escape : str, optional
        A character, such as a backslash, that makes text of the one that follows it.
    comment : str, optional
        Lines that begin with this are left out.
    on_bad_lines : {"error", "warn", "skip"}, default="error"
        What becomes of malformed lines: an error at the first, or they are left out, and counted in ``left_out`` of the
        result; a warning, or a message of level INFO of the logger ``fastcf.data``, says how many and which.
    id_type : {"auto", "int", "str"} or a pair of these, default="auto"
        What the ids are; a pair is of users and of items. ``"auto"``: integers where all of a column are integers as
        Python writes them, of at most 64 bits, otherwise strings; ``"007"`` and ``"+7"`` make strings of all.
        ``"int"``: integers of any size, anything else is an error. ``"str"``: strings. A second file for the same model
        is best read with the model's kinds, ``(model.users_.kind, model.items_.kind)``; where it is not, an integer and
        its decimal text are the same id, see :meth:`fastcf.IdMap.rows`.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Returns
    -------
    RatingLog
        Users, items, ratings and timestamps. Ids may have any length.
        Ratings are the float32 nearest to ``float(text)``. Timestamps are seconds since 1970; fractions are dropped.
        Dates are ``2018-07-07``, with a time ``2018-07-07 22:09:11`` or ``2018-07-07T22:09:11.5+02:00``; without a zone
        they are UTC.

    Raises
    ------
    DataError
        If a line is malformed (the message gives the file, the line number, its text and the option that helps; the
        first such line of the file, for any number of threads), the file holds no ratings, or its columns cannot be
        told.
    TypeError, ValueError
        If an argument is none of those, or names a column that there is not.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> log = read_log("ml-latest-small/ratings.csv")  # doctest: +SKIP
    >>> log.ratings[:3]  # doctest: +SKIP
    array([4., 4., 4.], dtype=float32)
    """
    caller = "read_log"
    reading = _reading(
        caller,
        format=format,
        separator=separator,
        header=header,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        time_unit=time_unit,
        missing=missing,
        decimal=decimal,
        encoding=encoding,
        quoting=quoting,
        escape=escape,
        comment=comment,
        on_bad_lines=on_bad_lines,
        id_type=id_type,
        n_threads=n_threads,
    )
    log = _read(path, reading)
    return _rated(log, Path(path), reading)


def _reading(
    caller: str,
    *,
    format: str = "auto",
    header: bool | str = "auto",
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | bool | None = None,
    timestamp: str | int | bool | None = None,
    time_unit: str = "auto",
    missing: Missing = None,
    id_type: Any = "auto",
    n_threads: int | None = None,
    **text: Any,
) -> _Reading:
    """Check the arguments of a reader."""
    if format not in _FORMATS:
        raise ValueError(f"{caller}: format must be one of {', '.join(map(repr, _FORMATS))}; got {format!r}")
    check_time_unit(time_unit, caller)
    options = check_text_options(caller, text)
    threads = check_n_threads(n_threads, caller)
    texts, numbers = _missing(missing, caller)
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    id_types = check_id_type(id_type, caller)
    return _Reading(format, options, header, columns, texts, numbers, time_unit, id_types, False, threads, caller)


def _read(path: str | os.PathLike[str], reading: _Reading) -> RatingLog:
    """Read a log; ratings that are missing are NaN."""
    path, format = Path(path), reading.format
    if format == "delimited" and not path.is_dir():
        files: tuple[Path, ...] = (path,)
        kind = format
    else:
        found = detect_format(path)
        files = found.ratings
        kind = found.format if found.format in LAYOUTS else found.format.partition("-")[0]
        if format in ("movielens", "netflix") and kind != format and not (format == "movielens" and path.is_file()):
            raise DataError(f"{path}: this is not the {format} layout (it looks like {found.format})")
    if kind == "fastcf":
        _refuse_text_options(reading, "a file of fastcf")
        ratings = Ratings.load(path)
        sides = (ratings.users, ratings.row_of_entry()), (ratings.items, ratings.indices)
        users, items = (
            of_type(ids.column_of(rows), kind, str(path))
            for (ids, rows), kind in zip(sides, reading.id_types, strict=True)
        )
        return RatingLog(users, items, ratings.values.copy(), ratings.timestamps)
    if kind in LAYOUTS:
        _refuse_text_options(reading, kind)
        return _read_named(files[0], kind, reading)
    if kind != "netflix":
        named = kind == "movielens" or format == "movielens"  # without a header, but by its name
        return _read_delimited(files[0], reading, movielens_shape if named else log_shape)
    _refuse_text_options(reading, "the Netflix Prize layout")
    rows = read_netflix_rows(files, n_fields=3, n_threads=reading.n_threads)
    if rows.ratings is None or len(rows.ratings) == 0:
        raise DataError(f"{path}: there are no ratings")
    dtype = np.int32 if reading.narrow else np.int64
    users, items = (
        of_type(IdColumn(ids.astype(dtype, copy=False)), kind, str(path))
        for ids, kind in zip((rows.users, rows.items), reading.id_types, strict=True)
    )
    return RatingLog(users, items, rows.ratings, rows.timestamps)


def _read_named(path: Path, layout: str, reading: _Reading) -> RatingLog:
    """Read a file whose columns have names and types."""
    columns = read_named(path, layout, reading.columns, reading.caller, time_unit=reading.time_unit)
    users, items = (
        of_type(ids, kind, f"{path}: {name}")
        for ids, kind, name in zip((columns.users, columns.items), reading.id_types, ("users", "items"), strict=True)
    )
    ratings = np.ones(users.size, np.float32) if columns.ratings is None else columns.ratings
    if reading.missing_numbers:
        ratings[np.isin(ratings, np.array(reading.missing_numbers, np.float32))] = np.nan
    return RatingLog(users, items, ratings, columns.timestamps)


def _refuse_text_options(reading: _Reading, layout: str) -> None:
    """Refuse what says how delimited text is read, for a layout that has no use for it."""
    usual: dict[str, object] = {**check_text_options(reading.caller, {}), "header": "auto"}
    given: dict[str, object] = {**reading.text, "header": reading.header}
    if layout not in LAYOUTS:  # the columns are known
        usual["time_unit"] = "auto"
        given |= {
            "time_unit": reading.time_unit,
            "missing": [*reading.missing_texts, *reading.missing_numbers] or None,
            **reading.columns,
        }
    for name, value in given.items():
        if value != usual.get(name):
            raise ValueError(f"{reading.caller}: {name} must not be given for {layout}; got {value!r}")


def load_ratings(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    separator: str | None = None,
    header: bool | str = "auto",
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | bool | None = None,
    timestamp: str | int | bool | None = None,
    time_unit: str = "auto",
    missing: Missing = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
    quoting: bool | str = "auto",
    escape: str | None = None,
    comment: str | None = None,
    on_bad_lines: str = "error",
    keep_unrated: bool = False,
    duplicates: str = "error",
    id_type: str | tuple[str, str] = "auto",
    n_threads: int | None = None,
) -> Ratings:
    """Read a file or folder of ratings into :class:`fastcf.Ratings`.

    Parameters
    ----------
    path, format, separator, header, user, item, rating, timestamp, time_unit, missing, decimal, encoding, quoting, \
escape, comment, on_bad_lines, id_type, n_threads
        As for :func:`read_log`.
    keep_unrated : bool, default=False
        Whether users and items all of whose ratings are ``missing`` keep their rows, without ratings.
    duplicates : {"error", "last", "latest", "max", "mean", "sum"}, default="error"
        How to combine several ratings of one item by the same user; see :meth:`fastcf.Ratings.from_coo`.

    Returns
    -------
    Ratings
        With the ids, and the timestamps where there are any, of the file.

    Raises
    ------
    DataError, TypeError
        As :func:`read_log`.
    ValueError
        As :func:`read_log`, and if a user rated an item twice and ``duplicates="error"``.
    """
    ratings, _ = load_log(
        path,
        "load_ratings",
        format=format,
        separator=separator,
        header=header,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        time_unit=time_unit,
        missing=missing,
        decimal=decimal,
        encoding=encoding,
        quoting=quoting,
        escape=escape,
        comment=comment,
        on_bad_lines=on_bad_lines,
        id_type=id_type,
        n_threads=n_threads,
        keep_unrated=keep_unrated,
        duplicates=duplicates,
    )
    return ratings


def load_log(
    path: str | os.PathLike[str],
    caller: str,
    *,
    keep_unrated: bool = False,
    duplicates: str = "error",
    n_threads: int | None = None,
    **options: Any,
) -> tuple[Ratings, LeftOut]:
    """Return ratings, and the lines that were left out; ``options`` are those of :func:`load_ratings`."""
    reading = _reading(caller, n_threads=n_threads, **options)._replace(narrow=True)
    if reading.format == "auto" and Path(path).is_file() and stored_class(path) == "Ratings":
        _refuse_text_options(reading, "a file of fastcf")
        return Ratings.load(path), LeftOut()
    log = _read(path, reading)
    columns = log.user_column, log.item_column
    users, items = (distinct(ids, n_threads or 0) if keep_unrated else None for ids in columns)
    log = _rated(log, Path(path), reading)
    building = Options(duplicates, n_threads, caller, users, items, consume=True)
    return from_columns(log.user_column, log.item_column, log.ratings, log.timestamps, None, building), log.left_out
