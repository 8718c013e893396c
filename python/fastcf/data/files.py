"""Files of ratings as bytes, and which layout a file or folder has."""

from __future__ import annotations

import gzip
import mmap
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastcf._backend import ingest
from fastcf.errors import DataError

__all__ = [
    "RatingFiles",
    "detect_format",
    "first_that_exists",
    "is_gzip",
    "naming_file",
    "netflix_files",
    "netflix_titles",
    "open_text",
]

_GZIP_MAGIC = b"\x1f\x8b"
_MOVIE_HEADING = re.compile(rb"(\xef\xbb\xbf)?\d+:[ \t]*\r?(\n|$)")

# The ratings file by which a MovieLens folder is recognised, the layout's name, and the file of titles.
_MOVIELENS = (
    ("ratings.csv", "movielens-csv", "movies.csv"),
    ("ratings.dat", "movielens-dat", "movies.dat"),
    ("u.data", "movielens-100k", "u.item"),
)


class RatingFiles(NamedTuple):
    """The result of :func:`detect_format`.

    Attributes
    ----------
    format : {"movielens-100k", "movielens-dat", "movielens-csv", "netflix", "delimited"}
        ``"netflix"`` for the layout of the Netflix Prize, else delimited text.
    ratings : tuple of pathlib.Path
        The files of ratings, in the order in which they are read; more than one only for ``"netflix"``.
    items : pathlib.Path or None
        The file of titles beside them.
    """

    format: str
    ratings: tuple[Path, ...]
    items: Path | None


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[bytes | mmap.mmap]:
    """Give a file's bytes: memory-mapped, or decompressed where it begins like a gzip file (whatever its name).

    Raises
    ------
    DataError
        If a gzip file is damaged.
    OSError
        If the file cannot be read.
    """
    mapped: mmap.mmap | None = None
    data = b""
    with open(path, "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            magic = file.read(2)
            file.seek(0)
            if magic == _GZIP_MAGIC:
                data = file.read()
            elif magic:  # an empty file cannot be mapped
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:  # nor can a pipe
            data = file.read()
    if mapped is None:
        yield _decompressed(data, path) if data.startswith(_GZIP_MAGIC) else data
    else:
        with mapped:
            yield mapped


def _decompressed(data: bytes, path: str | os.PathLike[str]) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{os.fspath(path)}: the gzip file is damaged: {error}") from error


def is_gzip(path: Path) -> bool:
    """Whether a file begins like a gzip file."""
    with open(path, "rb") as file:
        return file.read(2) == _GZIP_MAGIC


@contextmanager
def naming_file(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the native ParseError into a DataError that names the file (of these), the line and its text."""
    try:
        yield
    except ingest.ParseError as error:
        file, line, problem, text = error.args
        where = os.fspath(paths[file]) + (f":{line}" if line else "")
        raise DataError(f"{where}: {problem}" + (f": {text!r}" if line else "")) from None


def first_that_exists(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that exists in the folder, plain or with .gz."""
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def _by_number(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which file 10 comes after file 9."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.name) if part]


def netflix_files(folder: Path) -> tuple[Path, ...]:
    """Return the training files of a Netflix Prize folder in order: one per movie, else several movies per file."""
    for place in (folder / "training_set", folder):
        for pattern in ("mv_*.txt", "mv_*.txt.gz", "combined_data_*.txt", "combined_data_*.txt.gz"):
            files = sorted(place.glob(pattern), key=_by_number)
            if files:
                return tuple(files)
    return ()


def netflix_titles(folder: Path) -> Path | None:
    """Return the file of movie titles of a Netflix Prize folder."""
    return first_that_exists(folder, "movie_titles.txt", "movie_titles.csv")


def _begins_with_heading(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.read(2) != _GZIP_MAGIC:
            file.seek(0)
            return _MOVIE_HEADING.match(file.read(64)) is not None
    try:
        with gzip.open(path, "rb") as file:
            return _MOVIE_HEADING.match(file.read(64)) is not None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged: {error}") from error


def detect_format(path: str | os.PathLike[str]) -> RatingFiles:
    """Recognise a file or folder of ratings by looking at it.

    Parameters
    ----------
    path : str or os.PathLike
        A folder with ``ratings.csv`` (MovieLens 20M, 25M, 32M, latest), ``ratings.dat`` (MovieLens 1M, 10M,
        MovieTweetings), ``u.data`` (MovieLens 100k), or ``training_set/mv_*.txt``, ``mv_*.txt`` or
        ``combined_data_*.txt`` (Netflix Prize); or one file of ratings. Each may be compressed (``.gz``).

    Returns
    -------
    RatingFiles
        The layout, the files of ratings, and the file of titles beside them.

    Raises
    ------
    DataError
        If a folder holds none of these, or several.
    FileNotFoundError
        If there is no such file or folder.
    """
    path = Path(path)
    if not path.is_dir():
        if _begins_with_heading(path):
            return RatingFiles("netflix", (path,), netflix_titles(path.parent))
        plain = path.name.removesuffix(".gz")
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
    if len(found) > 1:
        names = ", ".join(one.ratings[0].name for one in found)
        raise DataError(f"{path}: the folder holds several sets of ratings ({names}); name the file to read")
    if not found:
        raise DataError(
            f"{path}: no ratings found: expected ratings.csv, ratings.dat or u.data (MovieLens), or "
            "training_set/mv_*.txt or combined_data_*.txt (Netflix Prize)"
        )
    return found[0]
