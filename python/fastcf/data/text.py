"""Reading ratings from text: any delimited file, and every layout that can be recognised."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastcf._assembly import Options
from fastcf._backend import ingest
from fastcf._parameters import check_n_threads
from fastcf.data.columns import choose_columns
from fastcf.data.files import detect_format, naming_file, open_text
from fastcf.data.log import RatingLog
from fastcf.data.named import LAYOUTS, plain_ids, read_named
from fastcf.data.netflix import read_netflix_rows
from fastcf.errors import DataError
from fastcf.ratings import Ratings, from_columns
from fastcf.serialization import stored_class

__all__ = ["RatingLog", "load_ratings", "read_log"]

_FORMATS = ("auto", "delimited", "movielens", "netflix")
_LONGEST_FIRST_LINE = 1 << 20


def _first_line(text: Any, path: Path) -> tuple[int, int, int, str]:
    """Return where the first line that is not blank begins and ends, its number, and its text."""
    head = text[:3]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: the file is UTF-16 text; save it as UTF-8")
    begin = 3 if head == b"\xef\xbb\xbf" else 0
    number = 1
    while begin < len(text):
        end = text.find(b"\n", begin, begin + _LONGEST_FIRST_LINE)
        if end < 0:
            end = len(text)
            if end - begin > _LONGEST_FIRST_LINE:
                raise DataError(f"{path}:{number}: the line is longer than {_LONGEST_FIRST_LINE} bytes; is this text?")
        line = text[begin:end].decode("utf-8", "replace").rstrip("\r")
        if line.strip(" \t"):
            return begin, min(end + 1, len(text)), number, line
        begin = end + 1
        number += 1
    raise DataError(f"{path}: the file is empty")


def _read_delimited(
    path: Path,
    *,
    separator: str | None,
    header: bool | str,
    asked: dict[str, str | int | bool | None],
    narrow: bool,
    n_threads: int,
    caller: str,
) -> RatingLog:
    with open_text(path) as text, naming_file(path):
        begin, end, number, line = _first_line(text, path)
        layout = choose_columns(
            line, f"{path}:{number}", separator=separator, header=header, asked=asked, caller=caller
        )
        users, items, ratings, timestamps = ingest.read_log(
            text,
            offset=end if layout.header else begin,
            first_line=number + 1 if layout.header else number,
            separator=layout.separator,
            n_fields=layout.n_fields,
            columns=layout.positions,
            narrow=narrow,
            n_threads=n_threads,
        )
    if len(ratings) == 0:
        raise DataError(f"{path}: there are no ratings below the header")
    return RatingLog(users, items, ratings, timestamps)


def read_log(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    separator: str | None = None,
    header: bool | str = "auto",
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | None = None,
    timestamp: str | int | bool | None = None,
    n_threads: int | None = None,
) -> RatingLog:
    """Read a file or folder of ratings, row by row in file order.

    The file is memory-mapped and parsed natively by all threads; a gzip file is recognised by its first bytes and
    decompressed in memory. Line ends may be LF or CRLF, a UTF-8 byte order mark is skipped, blank lines are ignored,
    spaces around fields too. With a separator of one character, fields may be quoted (``"..."``, doubled quotes
    inside); no field spans lines. Runs of spaces count as one where the separator is a space. All lines have as many
    fields as the first.

    Parameters
    ----------
    path : str or os.PathLike
        A file, or a folder that :func:`detect_format` recognises; also what :meth:`fastcf.Ratings.save` wrote.
    format : {"auto", "delimited", "movielens", "netflix"}, default="auto"
        ``"auto"`` looks; the others insist. Of a Netflix Prize folder all training ratings are read, those of the
        probe included; :func:`load_netflix` separates them.
    separator : str, optional
        The text between fields. By default the first of ``"::"``, tab, comma, semicolon, bar and space that cuts
        the first line into at least three fields.
    header : bool or "auto", default="auto"
        Whether the first line names the columns. ``"auto"``: it does where it holds names of at least two of user,
        item and rating, such as ``userId``, ``movie_id`` or ``Rating``, or a name given below.
    user, item, rating, timestamp : str or int, optional
        Columns by name (case and punctuation aside) or position from 0. By default recognised by the header's names;
        without a header they are columns 0, 1, 2, and 3 where that looks like a timestamp. ``timestamp=False``
        leaves timestamps unread.
    n_threads : int, optional
        Threads to use; all by default. The result does not depend on it.

    Returns
    -------
    RatingLog
        Users, items, ratings and timestamps. An id column is int64 if all its ids are canonical integers that fit,
        otherwise all of it is strings (UTF-8); ``"007"``, ``"+7"``, and integers beyond 64 bits are strings.
        Ratings are the float32 nearest to ``float(text)``. Timestamps are integers as written, or dates
        ``YYYY-MM-DD``, which become seconds since 1970 at midnight UTC.

    Raises
    ------
    DataError
        If a line is malformed (the message gives the file, the line number and its text; the first such line of the
        file, for any number of threads), the file holds no ratings, or its layout is not recognised.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> log = read_log("ml-latest-small/ratings.csv")  # doctest: +SKIP
    >>> log.ratings[:3]  # doctest: +SKIP
    array([4., 4., 4.], dtype=float32)
    """
    return _read(
        path,
        format=format,
        separator=separator,
        header=header,
        asked={"user": user, "item": item, "rating": rating, "timestamp": timestamp},
        narrow=False,
        n_threads=n_threads,
        caller="read_log",
    )


def _read(
    path: str | os.PathLike[str],
    *,
    format: str,
    separator: str | None,
    header: bool | str,
    asked: dict[str, str | int | bool | None],
    narrow: bool,
    n_threads: int | None,
    caller: str,
) -> RatingLog:
    """Read a log; ``narrow``: with int32 ids where all of them fit, which is what building ratings needs."""
    if format not in _FORMATS:
        raise ValueError(f"{caller}: format must be one of {', '.join(map(repr, _FORMATS))}; got {format!r}")
    threads = check_n_threads(n_threads, caller)
    path = Path(path)
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
        ratings = Ratings.load(path)
        return RatingLog(*ratings.to_coo(), ratings.timestamps)
    if kind in LAYOUTS:
        _refuse_given({"separator": separator, "header": None if header == "auto" else header}, kind, caller)
        named = read_named(files[0], kind, asked, caller, use_threads=threads != 1)
        assert named.ratings is not None
        return RatingLog(plain_ids(named.users), plain_ids(named.items), named.ratings, named.timestamps)
    if kind != "netflix":
        return _read_delimited(
            files[0], separator=separator, header=header, asked=asked, narrow=narrow, n_threads=threads, caller=caller
        )
    given = {"separator": separator, "header": None if header == "auto" else header, **asked}
    _refuse_given(given, "the Netflix Prize layout", caller)
    rows = read_netflix_rows(files, n_fields=3, n_threads=threads)
    if rows.ratings is None or len(rows.ratings) == 0:
        raise DataError(f"{path}: there are no ratings")
    if narrow:
        return RatingLog(rows.users, rows.items, rows.ratings, rows.timestamps)
    return RatingLog(rows.users.astype(np.int64), rows.items.astype(np.int64), rows.ratings, rows.timestamps)


def _refuse_given(given: Mapping[str, Any], layout: str, caller: str) -> None:
    """Refuse arguments that a layout has no use for."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{caller}: {name} must not be given for {layout}; got {value!r}")


def load_ratings(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    separator: str | None = None,
    header: bool | str = "auto",
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | None = None,
    timestamp: str | int | bool | None = None,
    duplicates: str = "error",
    n_threads: int | None = None,
) -> Ratings:
    """Read a file or folder of ratings into :class:`fastcf.Ratings`.

    Parameters
    ----------
    path, format, separator, header, user, item, rating, timestamp, n_threads
        As for :func:`read_log`.
    duplicates : {"error", "last", "mean", "sum"}, default="error"
        How to combine several ratings of one item by the same user.

    Returns
    -------
    Ratings
        With the ids, and the timestamps where there are any, of the file.

    Raises
    ------
    DataError
        As :func:`read_log`.
    ValueError
        If a user rated an item twice and ``duplicates="error"``.
    """
    caller = "load_ratings"
    if format == "auto" and Path(path).is_file() and stored_class(path) == "Ratings":
        given = {"separator": separator, "header": None if header == "auto" else header, "user": user, "item": item}
        _refuse_given({**given, "rating": rating, "timestamp": timestamp}, "a file of fastcf", caller)
        return Ratings.load(path)
    log = _read(
        path,
        format=format,
        separator=separator,
        header=header,
        asked={"user": user, "item": item, "rating": rating, "timestamp": timestamp},
        narrow=True,
        n_threads=n_threads,
        caller=caller,
    )
    return from_columns(*log, None, Options(duplicates, n_threads, caller, consume=True))
