"""Decompressed files: gzip, bzip2, xz, Zstandard and zip, within a limit."""

from __future__ import annotations

import bz2
import errno
import gzip
import importlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fastcf.errors import DataError

__all__ = ["LIMIT", "decompressed", "members_of", "table_in"]

LIMIT = "FASTCF_MAX_EXPANSION"
"""The environment variable that says how many times its size a file may have when it is decompressed."""

_MAX_EXPANSION = 100.0  # tables of ratings have 3 to 30
_NEVER_REFUSED = 1 << 20  # bytes
_STEP = 1 << 22
_ZSTD_STEP = 1 << 11  # compressed bytes at once: they may become some ten thousand times as many

_DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_NO_TABLES = (".md", ".html", ".htm", ".pdf", ".doc", ".docx", ".license")


def _max_expansion() -> float:
    text = os.environ.get(LIMIT)
    if text is None:
        return _MAX_EXPANSION
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value >= 1:
        raise ValueError(f"{LIMIT} must be a number of at least 1; got {text!r}")
    return value


class _ZstdFrames(io.RawIOBase):
    """Frames of Zstandard, by the package zstandard, whose own reader takes a file that is cut short as a whole."""

    def __init__(self, file: IO[bytes], library: Any) -> None:
        self._file = file
        self._library = library
        self._frame: Any = None  # that has begun
        self._read = b""  # and not decompressed
        self._decompressed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decompressed:
            data = self._read or self._file.read(_ZSTD_STEP)
            if not data and self._frame is not None:
                raise EOFError("the file ends within a frame")
            if not data:
                return 0
            if self._frame is None:
                self._frame = self._library.ZstdDecompressor().decompressobj()
            try:
                self._decompressed, self._read = self._frame.decompress(data), b""
            except self._library.ZstdError as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._read, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._decompressed))
        buffer[:size], self._decompressed = self._decompressed[:size], self._decompressed[size:]
        return size


def _zstd(file: Any, name: str) -> Any:
    """Open a Zstandard file by whatever is there: the standard library of Python 3.14, zstandard, or pyarrow."""
    readers: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("compression.zstd", lambda library: library.open(file)),
        ("zstandard", lambda library: io.BufferedReader(_ZstdFrames(file, library))),
        ("pyarrow", lambda library: library.CompressedInputStream(library.PythonFile(file, "r"), "zstd")),
    )
    for module, reader in readers:
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        return reader(library)
    raise ImportError(
        f"{name}: a Zstandard file needs Python 3.14, the package zstandard, or pyarrow: pip install 'fastcf[arrow]'"
    )


_OPENERS: dict[str, Callable[[Any, str], Any]] = {
    "a gzip file": lambda file, name: gzip.GzipFile(fileobj=file),
    "a bzip2 file": lambda file, name: bz2.BZ2File(file),
    "an xz file": lambda file, name: lzma.LZMAFile(file),  # noqa: SIM115 - closed by the caller
    "a Zstandard file": _zstd,
}


def decompressed(
    file: IO[bytes], kind: str, name: str, size: int, *, member: str | None = None, head: int | None = None
) -> bytes:
    """Return what a compressed file holds, or the first ``head`` bytes of it.

    ``kind`` is a key of :data:`fastcf.data.magic.COMPRESSED`, ``size`` that of the file, which is read from its
    beginning; ``member`` the file of a zip archive, by default its only table. Raises DataError if the file is damaged
    or larger than it should be (a few bytes may become terabytes), ImportError if there is nothing that reads
    Zstandard.
    """
    try:
        if kind == "a zip archive":
            with zipfile.ZipFile(file) as archive:
                info = archive.getinfo(member or table_in(archive, name))
                with archive.open(info) as stream:
                    return _read(stream, name, info.compress_size, head)
        with _OPENERS[kind](file, name) as stream:
            return _read(stream, name, size, head)
    except DataError:
        raise
    except RuntimeError as error:  # zipfile's: encrypted, or a method that it lacks
        raise DataError(f"{name}: is {kind} that cannot be read here: {error}; extract it") from error
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, "the zip archive has no such file", name) from None
    except _DAMAGED as error:
        raise DataError(f"{name}: the {kind.partition(' ')[2]} is damaged: {error}") from error


def _read(stream: Any, name: str, size: int, head: int | None) -> bytes:
    if head is not None:
        return bytes(stream.read(head))
    factor = _max_expansion()
    limit = max(_NEVER_REFUSED, int(min(factor * size, 2.0**62)))
    whole = io.BytesIO()
    while chunk := stream.read(min(_STEP, limit + 1 - whole.tell())):
        whole.write(chunk)
        if whole.tell() > limit:
            raise DataError(
                f"{name}: {size:,} compressed bytes become more than {limit:,}, over {factor:g} times as many; if the "
                f"file is what it should be, set the environment variable {LIMIT} to a larger number, or decompress it"
            )
    return whole.getvalue()


def members_of(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the files in a zip archive that may be tables."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _tables(archive)
    except (*_DAMAGED, RuntimeError) as error:
        raise DataError(f"{os.fspath(path)}: the zip archive is damaged: {error}") from error


def _tables(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of files, without hidden ones and those that would lie outside of the archive."""
    names = [each.filename for each in archive.infolist()]
    return [
        name
        for name in names
        if name
        and not name.startswith(("/", "__MACOSX/"))
        and not name.endswith("/")
        and not Path(name).name.startswith(".")
        and ".." not in Path(name).parts
    ]


def table_in(archive: zipfile.ZipFile, name: str) -> str:
    """Return the only table of a zip archive; ``name`` is the archive's path."""
    names = _tables(archive)
    if "[Content_Types].xml" in names or {"mimetype", "content.xml"} <= set(names):
        raise DataError(f"{name}: is an Office document (an Excel workbook, for example); save the table as CSV")
    if names and all(each.endswith(".npy") for each in names):
        raise DataError(f"{name}: is a NumPy archive; read it with numpy.load, and use Ratings.from_coo or from_scipy")
    tables = [
        each
        for each in names
        if not each.lower().endswith(_NO_TABLES) and not Path(each).name.lower().startswith(("readme", "license"))
    ]
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise DataError(f"{name}: the zip archive holds no table")
    shown = ", ".join(tables[:5]) + (f" and {len(tables) - 5:,} more" if len(tables) > 5 else "")
    raise DataError(
        f"{name}: the zip archive holds several files ({shown}); name the one to read as {Path(name).name}/{tables[0]}"
    )
