"""Public data sets by name: MovieLens and MovieTweetings."""

from __future__ import annotations

import os
import re
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from fastcf.data.download import cache_folder, fetched
from fastcf.data.movielens import Dataset, load_movielens
from fastcf.errors import DataError

__all__ = ["fetch_movielens", "fetch_movietweetings"]

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_MOVIELENS = ("latest-small", "latest", "100k", "1m", "10m", "20m", "25m", "32m")
_MOVIELENS_NOTICE = (
    "MovieLens data are for research and education: no redistribution and no commercial use without permission of "
    "GroupLens. Publications cite Harper and Konstan (2015), The MovieLens datasets. Terms: {url}"
)
_TWEETINGS = "https://raw.githubusercontent.com/sidooms/MovieTweetings/master"
_TWEETINGS_SETS = {"latest": "latest", "10k": "snapshots/10K", "100k": "snapshots/100K", "200k": "snapshots/200K"}
_TWEETINGS_NOTICE = (
    "MovieTweetings was collected by Simon Dooms from public tweets. Publications cite Dooms, De Pessemier and Martens "
    "(2013), MovieTweetings. Terms: https://github.com/sidooms/MovieTweetings"
)
_MOST_GROWTH = 100  # of an archive that is extracted


def fetch_movielens(
    name: str = "latest-small",
    *,
    folder: str | os.PathLike[str] | None = None,
    mirror: str = _GROUPLENS,
    duplicates: str = "error",
    quiet: bool = False,
    n_threads: int | None = None,
) -> Dataset:
    """Return a MovieLens set, downloaded once.

    Parameters
    ----------
    name : {"latest-small", "latest", "100k", "1m", "10m", "20m", "25m", "32m"}, default "latest-small"
        The set: its number of ratings; the two "latest" change with time, what was fetched once stays.
    folder : path-like, optional
        Where sets are kept; by default the environment variable ``FASTCF_DATA``, else the user's folder of caches. A
        set that is there is not fetched again.
    mirror : str, optional
        The address of a folder with the same files; by default GroupLens's own.
    duplicates : str, default "error"
        What becomes of several ratings of one item by the same user; see :func:`load_movielens`.
    quiet : bool, default False
        Whether to leave out the terms of use and the progress bar, which the first fetch shows on standard error.
    n_threads : int, optional
        Threads that read; by default :func:`fastcf.get_num_threads`.

    Returns
    -------
    Dataset
        Ratings, their log in file order, and titles.

    Raises
    ------
    ConnectionError
        If the server cannot be reached. A download that broke off goes on with the next call; the message says where to
        put the file by hand.
    DataError
        If the file is not the one whose checksum GroupLens publishes beside it.
    ValueError
        If there is no such set.

    Examples
    --------
    >>> ratings, log, films = fetch_movielens("latest-small")  # doctest: +SKIP
    """
    if name not in _MOVIELENS:
        raise ValueError(f"fetch_movielens: name must be one of {', '.join(map(repr, _MOVIELENS))}; got {name!r}")
    whole = f"ml-{name}"
    place = cache_folder(folder) / whole
    if not place.is_dir():
        url = f"{mirror.rstrip('/')}/{whole}.zip"
        archive = place.with_name(f"{whole}.zip")
        _show(_MOVIELENS_NOTICE.format(url=f"{_GROUPLENS}/{whole}-README.txt"), quiet)
        fetched(url, archive, published=lambda: _published_md5(f"{url}.md5"), progress=not quiet)
        _extract(archive, place)
    return load_movielens(place, duplicates=duplicates, n_threads=n_threads)


def fetch_movietweetings(
    name: str = "latest",
    *,
    folder: str | os.PathLike[str] | None = None,
    mirror: str = _TWEETINGS,
    duplicates: str = "last",
    quiet: bool = False,
    n_threads: int | None = None,
) -> Dataset:
    """Return a set of MovieTweetings (ratings of films from 0 to 10, from tweets), downloaded once.

    Parameters
    ----------
    name : {"latest", "10k", "100k", "200k"}, default "latest"
        The set; what was fetched once stays.
    folder, mirror, quiet, n_threads
        As for :func:`fetch_movielens`; the mirror has the folders of the repository.
    duplicates : str, default "last"
        What becomes of several ratings of one film by the same user, of which there are some.

    Returns
    -------
    Dataset
        Ratings, their log in file order, and titles.

    Raises
    ------
    ConnectionError, ValueError
        As :func:`fetch_movielens`.
    DataError
        If a file is not the one that was first fetched, whose checksum is kept in ``checksums.json``: no checksums are
        published.
    """
    if name not in _TWEETINGS_SETS:
        known = ", ".join(map(repr, _TWEETINGS_SETS))
        raise ValueError(f"fetch_movietweetings: name must be one of {known}; got {name!r}")
    place = cache_folder(folder) / f"movietweetings-{name}"
    if not (place / "ratings.dat").exists():
        _show(_TWEETINGS_NOTICE, quiet)
    for file in ("movies.dat", "ratings.dat"):
        url = f"{mirror.rstrip('/')}/{_TWEETINGS_SETS[name]}/{file}"
        fetched(url, place / file, published=lambda: None, progress=not quiet)
    return load_movielens(place, duplicates=duplicates, n_threads=n_threads)


def _show(notice: str, quiet: bool) -> None:
    if not quiet:
        print(notice, file=sys.stderr)


def _published_md5(url: str) -> str | None:
    """Return the sum in a file such as "MD5 (ml-1m.zip) = c4d9...", None where there is no such file."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            text = response.read(4096).decode("ascii", "replace")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    return found.group().lower() if found else None


def _extract(archive: Path, place: Path) -> None:
    """Extract the folder of an archive; the archive is removed where that has worked."""
    aside = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(archive) as content:
            size = sum(info.file_size for info in content.infolist())
            if size > _MOST_GROWTH * archive.stat().st_size:
                raise DataError(f"{archive}: {archive.stat().st_size:,} bytes would become {size:,}; is this the set?")
            content.extractall(aside)
        folders = [each for each in aside.iterdir() if each.is_dir() and not each.name.startswith("__")]
        if len(folders) != 1:
            raise DataError(f"{archive}: the archive must hold one folder; it has {len(folders)}")
        os.replace(folders[0], place)
        archive.unlink()
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive}: the zip archive is damaged: {error}; remove it, and fetch it again") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
