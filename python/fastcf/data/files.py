"""Files of ratings as bytes, and which layout a file or folder has."""

from __future__ import annotations

import io
import mmap
import os
import re
import select
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastcf._backend import ingest
from fastcf.data.compression import decompressed, members_of
from fastcf.data.magic import (
    ARROW,
    ARROW_STREAM,
    COMPRESSED,
    HEAD,
    PARQUET,
    SAFETENSORS,
    binary_kind,
    kind_of,
    remedy_for,
    text_kind,
)
from fastcf.errors import DataError

__all__ = [
    "ENDINGS",
    "RatingFiles",
    "detect_format",
    "first_that_exists",
    "head_of",
    "is_compressed",
    "naming_file",
    "netflix_files",
    "netflix_titles",
    "open_bytes",
    "open_text",
    "recognised",
]

_LONGEST_PIPE = 1 << 30
_PATIENCE = 10.0  # seconds until a pipe must have a writer
_DEEPEST = 3  # compressed files in compressed files
_JSON_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*[{\[]\s*["{}]')
_MOVIE_HEADING = re.compile(rb"(\xef\xbb\xbf)?\d+:[ \t]*\r?(\n|$)")

# The ratings file by which a MovieLens folder is recognised, the layout's name, and the file of titles.
_MOVIELENS = (
    ("ratings.csv", "movielens-csv", "movies.csv"),
    ("ratings.dat", "movielens-dat", "movies.dat"),
    ("u.data", "movielens-100k", "u.item"),
)
# Layouts of tables in folders, and how their files end.
_TABLES = (("parquet", ".parquet", ".pq"), ("arrow", ".arrow", ".feather", ".ipc"))

ENDINGS = tuple(ending for endings in COMPRESSED.values() for ending in endings)
"""How names of compressed files end."""


class RatingFiles(NamedTuple):
    """The result of :func:`detect_format`.

    Attributes
    ----------
    format : {"movielens-100k", "movielens-dat", "movielens-csv", "netflix", "parquet", "arrow", "json-lines", \
"fastcf", "delimited"}
        ``"netflix"`` for the layout of the Netflix Prize, ``"json-lines"`` for an object per line, ``"fastcf"`` for
        what :meth:`fastcf.Ratings.save` wrote, ``"delimited"`` and the three of MovieLens for delimited text.
    ratings : tuple of pathlib.Path
        The files of ratings, in the order in which they are read; more than one only for ``"netflix"``; the folder
        where it holds Parquet or Arrow files; a path such as ``set.zip/ratings.csv`` for a member of an archive.
    items : pathlib.Path or None
        The file of titles beside them.
    """

    format: str
    ratings: tuple[Path, ...]
    items: Path | None


def _located(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the file that holds a path, and the member's name where that is a zip archive: "a.zip/ratings.csv"."""
    path = Path(path)
    if not path.exists():
        for parent in path.parents:
            if parent.is_file() and zipfile.is_zipfile(parent):
                return parent, path.relative_to(parent).as_posix()
    return path, None


@contextmanager
def _opened(path: Path, *, pipes: bool) -> Iterator[BinaryIO]:
    """Open a file, or the content of a pipe; what may never end is refused."""
    with open(path, "rb", opener=_without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            yield file
        elif not stat.S_ISFIFO(mode):
            raise DataError(f"{path}: is a device, which may never end; name a file")
        elif not pipes:
            raise DataError(
                f"{path}: is a pipe, which can be read only once and may never end; write it to a file, or pass "
                "format='delimited' where it holds delimited text"
            )
        else:
            yield io.BytesIO(_content_of_pipe(file.fileno(), path))


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe at once, without waiting for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _content_of_pipe(pipe: int, path: Path) -> bytes:
    """Return what is written to a pipe until its writers have closed it; raises DataError if there is none."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    ready = waiting.poll(1000 * _PATIENCE)  # for text, or for a writer to have come and gone
    try:
        content = bytearray(os.read(pipe, 1))
    except BlockingIOError:  # a writer that has written nothing yet
        content = bytearray()
    else:
        if not ready:
            raise DataError(
                f"{path}: is a pipe to which nothing was written for {_PATIENCE:g} seconds; start its writer first"
            )
    os.set_blocking(pipe, True)
    with open(pipe, "rb", closefd=False) as rest:
        content += rest.read(_LONGEST_PIPE + 1)
    if len(content) > _LONGEST_PIPE:
        raise DataError(f"{path}: is a pipe that has not ended after {_LONGEST_PIPE:,} bytes; write it to a file")
    return bytes(content)


def head_of(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of what a file holds, decompressed.

    Raises DataError if it is a pipe or a device, or a compressed file is damaged.
    """
    file_path, member = _located(path)
    with _opened(file_path, pipes=False) as file:
        head = file.read(HEAD)
        kind = kind_of(head)
        if kind not in COMPRESSED:
            return head
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return decompressed(file, kind, os.fspath(path), size, member=member, head=HEAD)


@contextmanager
def open_bytes(path: str | os.PathLike[str]) -> Iterator[bytes | mmap.mmap]:
    """Give a file's bytes: memory-mapped, or decompressed where it begins like a compressed file (whatever its name).

    ``path`` may lead into a zip archive: ``ml-latest-small.zip/ml-latest-small/ratings.csv``.

    Raises
    ------
    DataError
        If a compressed file is damaged, becomes too large, or is an archive of several tables; if it is a device, or a
        pipe that does not end.
    OSError
        If the file cannot be read.
    """
    file_path, member = _located(path)
    name = os.fspath(path)
    with _opened(file_path, pipes=True) as file:
        kind = kind_of(file.read(HEAD))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if kind not in COMPRESSED:
            if size == 0 or isinstance(file, io.BytesIO):  # neither can be mapped
                yield file.read()
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped
            return
        content = decompressed(file, kind, name, size, member=member)
    for _ in range(_DEEPEST):  # a compressed file in an archive
        kind = kind_of(content[:HEAD])
        if kind not in COMPRESSED:
            break
        content = decompressed(io.BytesIO(content), kind, name, len(content))
    yield content


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[bytes | mmap.mmap]:
    """Give the bytes of a text file, as :func:`open_bytes`; a DataError says what another file is."""
    with open_bytes(path) as content:
        head = bytes(content[:HEAD])
        kind = text_kind(head)
        if kind is not None:
            raise DataError(f"{os.fspath(path)}: is {kind}; {remedy_for(kind)}")
        kind = binary_kind(head)
        if kind is not None:
            remedy = remedy_for(kind)
            raise DataError(f"{os.fspath(path)}: is {kind}, not text" + (f"; {remedy}" if remedy else ""))
        yield content


def is_compressed(path: Path) -> bool:
    """Whether a file begins like a compressed one."""
    with open(path, "rb") as file:
        return kind_of(file.read(HEAD)) in COMPRESSED


def plain_suffix(name: str) -> str:
    """Return a file's name without the ending of compressed files."""
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


@contextmanager
def naming_file(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the native ParseError into a DataError that names the file (of these), the line and its text."""
    try:
        yield
    except ingest.ParseError as error:
        file, line, problem, text = error.args
        where = os.fspath(paths[file]) + (f":{line}" if line else "")
        raise DataError(f"{where}: {problem}" + (f": {text!r}" if line else "")) from None


def recognised(path: str | os.PathLike[str]) -> RatingFiles:
    """Return what :func:`detect_format` does; a pipe, at which one cannot look before it is read, is delimited text."""
    path = Path(path)
    return RatingFiles("delimited", (path,), None) if path.is_fifo() else detect_format(path)


def first_that_exists(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that exists in the folder, plain or compressed."""
    for name in names:
        for candidate in (folder / f"{name}{ending}" for ending in ("", *ENDINGS)):
            if candidate.is_file():
                return candidate
    return None


def _by_number(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which file 10 comes after file 9."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.name) if part]


def netflix_files(folder: Path) -> tuple[Path, ...]:
    """Return the training files of a Netflix Prize folder in order: one per movie, else several movies per file."""
    for place in (folder / "training_set", folder):
        for pattern in ("mv_*.txt", "combined_data_*.txt"):
            for ending in ("", *ENDINGS):
                files = sorted(place.glob(pattern + ending), key=_by_number)
                if files:
                    return tuple(files)
    return ()


def netflix_titles(folder: Path) -> Path | None:
    """Return the file of movie titles of a Netflix Prize folder."""
    return first_that_exists(folder, "movie_titles.txt", "movie_titles.csv")


def _table_format(head: bytes) -> str | None:
    """Return the layout that a file's first bytes tell: of tables with named columns, or of the Netflix Prize."""
    kind = kind_of(head)
    if kind in (PARQUET, ARROW, ARROW_STREAM):
        return "parquet" if kind == PARQUET else "arrow"
    if kind == SAFETENSORS:
        return "fastcf"
    if _JSON_OBJECT.match(head):
        return "json-lines"
    return "netflix" if _MOVIE_HEADING.match(head) else None


def _in_archive(path: Path) -> RatingFiles | None:
    """Return the MovieLens files in a zip archive; None where there are none, or several."""
    members = [path / name for name in members_of(path)]
    found = [
        RatingFiles(layout, (member,), next((each for each in members if each == member.with_name(titles)), None))
        for ratings, layout, titles in _MOVIELENS
        for member in members
        if member.name == ratings
    ]
    return found[0] if len(found) == 1 else None


def _holds(folder: Path, ends: list[str]) -> bool:
    """Whether a folder, or one below it, holds a file with one of these endings."""
    return any(next(folder.rglob(f"*{end}"), None) is not None for end in ends)


def _other_files(folder: Path) -> str:
    """Return the names of files of a folder that might have been meant, for messages."""
    names = sorted(each.name for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"; there are {', '.join(names[:5])}{more}: name the file to read" if names else ""


def detect_format(path: str | os.PathLike[str]) -> RatingFiles:
    """Recognise a file or folder of ratings by looking at it.

    Parameters
    ----------
    path : str or os.PathLike
        A folder with ``ratings.csv`` (MovieLens 20M, 25M, 32M, latest), ``ratings.dat`` (MovieLens 1M, 10M,
        MovieTweetings), ``u.data`` (MovieLens 100k), ``training_set/mv_*.txt``, ``mv_*.txt`` or
        ``combined_data_*.txt`` (Netflix Prize), or files of Parquet or Arrow; or one file of ratings. Text may be
        compressed (``.gz``, ``.bz2``, ``.xz``, ``.zst``, ``.zip``); a zip archive may be a whole MovieLens set.

    Returns
    -------
    RatingFiles
        The layout, the files of ratings, and the file of titles beside them.

    Raises
    ------
    DataError
        If a folder holds none of these, or several; if the path is a pipe or a device.
    FileNotFoundError
        If there is no such file or folder.
    """
    path = Path(path)
    if not path.is_dir():
        if path.is_file() and zipfile.is_zipfile(path) and (archive := _in_archive(path)) is not None:
            return archive
        table = _table_format(head_of(path))
        if table is not None:
            return RatingFiles(table, (path,), netflix_titles(path.parent) if table == "netflix" else None)
        plain = plain_suffix(path.name)
        for ratings, name, titles in _MOVIELENS:
            if plain == ratings:
                return RatingFiles(name, (path,), first_that_exists(path.parent, titles))
        return RatingFiles("delimited", (path,), first_that_exists(path.parent, *(row[2] for row in _MOVIELENS)))
    found = []
    for ratings, name, titles in _MOVIELENS:
        file = first_that_exists(path, ratings)
        if file is not None:
            found.append(RatingFiles(name, (file,), first_that_exists(path, titles)))
    files = netflix_files(path)
    if files:
        found.append(RatingFiles("netflix", files, netflix_titles(path)))
    if not found:
        found = [RatingFiles(layout, (path,), None) for layout, *ends in _TABLES if _holds(path, ends)]
    if len(found) > 1:
        names = ", ".join(one.ratings[0].name for one in found)
        raise DataError(f"{path}: the folder holds several sets of ratings ({names}); name the file to read")
    if not found:
        raise DataError(
            f"{path}: no ratings found: expected ratings.csv, ratings.dat or u.data (MovieLens), "
            "training_set/mv_*.txt or combined_data_*.txt (Netflix Prize), or *.parquet or *.arrow"
            f"{_other_files(path)}"
        )
    return found[0]
