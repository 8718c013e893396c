"""Files from the web: kept in a folder, fetched once, checked, and gone on with where a download broke off."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from fastcf.errors import DataError

__all__ = ["cache_folder", "fetched"]

_TIMEOUT = 30.0  # seconds without a byte
_STEP = 1 << 18
_RECORD = "checksums.json"


def cache_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of data sets that were fetched.

    Parameters
    ----------
    folder : path-like, optional
        Another folder.

    Returns
    -------
    pathlib.Path
        ``folder``, else the environment variable ``FASTCF_DATA``, else ``fastcf`` in the user's folder of caches
        (``XDG_CACHE_HOME`` or ``~/.cache``; ``~/Library/Caches`` on macOS; ``LOCALAPPDATA`` on Windows).
    """
    if folder is not None:
        return Path(folder)
    if os.environ.get("FASTCF_DATA"):
        return Path(os.environ["FASTCF_DATA"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastcf"
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fastcf"


def fetched(url: str, path: Path, *, published: Callable[[], str | None], progress: bool) -> Path:
    """Return a file of the web, downloaded to ``path`` unless it is there, after its checksum has been compared.

    What a broken download has left is beside it, with ``.part`` at its end. ``published`` returns the MD5 sum that the
    publisher states. Without it the SHA-256 sum that was recorded at the first fetch, in ``checksums.json`` beside the
    file, is compared. Raises ConnectionError if the address cannot be reached (the message says which file to put
    where), DataError if the checksum differs; the file is then removed.
    """
    if not re.match(r"https?://", url):
        raise ValueError(f"fetch: mirror must be an address that begins with http:// or https://; got {url!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with _offline_hint(url, path):
            _download(url, path, published(), progress)
        return path
    _compare_with_record(path)
    return path


@contextlib.contextmanager
def _offline_hint(url: str, path: Path) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise ConnectionError(f"{url}: the server answers {error.code} {error.reason}; {_by_hand(path)}") from None
    except (OSError, HTTPException) as error:
        if getattr(error, "filename", None) is not None or getattr(error, "errno", 0) == errno.ENOSPC:
            raise  # of the folder, or its disk
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"{url}: cannot be reached ({reason}); {_by_hand(path)}") from error


def _by_hand(path: Path) -> str:
    part = _part(path)
    kept = f" ({part.stat().st_size:,} bytes are there; the next call goes on)" if part.exists() else ""
    return f"without a connection, put the file at {path}{kept}"


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _download(url: str, path: Path, published: str | None, progress: bool) -> None:
    part = _part(path)
    resumed = part.exists() and part.stat().st_size > 0
    _receive(url, part, progress)
    try:
        _check(part, path, published)
    except DataError:
        if not resumed:
            raise
        _receive(url, part, progress)  # what was there may have been of an older file
        _check(part, path, published)
    os.replace(part, path)


def _receive(url: str, part: Path, progress: bool) -> None:
    """Download to a file, from where it ends."""
    begin = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "fastcf", "Accept-Encoding": "identity"})
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not begin:  # 416: it is whole already, or longer than the file there is now
            raise
        error.close()
        if f"*/{begin}" in (error.headers.get("Content-Range") or ""):
            return
        part.unlink()
        return _receive(url, part, progress)
    with response:
        begin = begin if _goes_on(response, begin) else 0
        length = response.headers.get("Content-Length")
        total = begin + int(length) if length is not None and length.isdecimal() else None
        with (
            open(part, "ab" if begin else "wb") as file,
            tqdm(
                total=total,
                initial=begin,
                unit="B",
                unit_scale=True,
                desc=part.name.removesuffix(".part"),
                file=sys.stderr,
                disable=None if progress else True,
            ) as bar,
        ):
            while chunk := response.read(_STEP):
                file.write(chunk)
                bar.update(len(chunk))
            size = file.tell()
    if total is not None and size < total:
        raise ConnectionError(f"the connection broke after {size:,} of {total:,} bytes")
    return None


def _goes_on(response: HTTPResponse, begin: int) -> bool:
    """Return whether a server sends what was asked for: the file from a byte on."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {begin}-")


# ------------------------------------------------------------------------------------------------------- Checksums


def _sum(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_STEP):
            digest.update(chunk)
    return digest.hexdigest()


def _record(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _check(part: Path, path: Path, published: str | None) -> None:
    """Compare a download with the publisher's sum, else with the recorded one; record it at the first fetch."""
    found = _sum(part, "sha256")
    known = _record(path.parent)
    wanted, got = (published, _sum(part, "md5")) if published is not None else (known.get(path.name, found), found)
    if wanted != got:
        part.unlink()
        whose = "the publisher states" if published is not None else "was recorded at the first fetch"
        raise DataError(
            f"{path}: the download has the checksum {got}, but {wanted} {whose}; fetch it again"
            + ("" if published is not None else f", or remove its entry from {path.with_name(_RECORD)}")
        )
    known[path.name] = found
    aside = path.with_name(f"{_RECORD}.{os.getpid()}")
    aside.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(aside, path.with_name(_RECORD))


def _compare_with_record(path: Path) -> None:
    """Refuse a file in the folder that is not the one that was fetched; one put there by hand is taken as it is."""
    wanted = _record(path.parent).get(path.name)
    if wanted is not None and _sum(path, "sha256") != wanted:
        raise DataError(
            f"{path}: has changed since it was fetched: its checksum is not {wanted}; remove it, and fetch it again"
        )
