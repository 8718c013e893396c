"""Text in any encoding as UTF-8, which the native readers take."""

from __future__ import annotations

import codecs
import mmap
from pathlib import Path

from fastcf.data.magic import HEAD, wide_encoding
from fastcf.errors import DataError

__all__ = ["Bytes", "check_encoding", "utf8_text"]

Bytes = bytes | bytearray | mmap.mmap
"""A text as the native readers take it."""

_CHUNK = 1 << 22
_HEAD = 1 << 16


def check_encoding(encoding: str, caller: str) -> str:
    """Return Python's name of a text encoding.

    Raises
    ------
    TypeError
        If it is no string.
    ValueError
        If Python does not know it, or it does not make text of bytes.
    """
    if not isinstance(encoding, str):
        raise TypeError(f"{caller}: encoding must be a string; got {type(encoding).__name__}")
    try:
        name = codecs.lookup(encoding).name
        b"a".decode(encoding)
    except UnicodeError:
        return name  # one byte is no text, as in UTF-16
    except (LookupError, ValueError):
        raise ValueError(
            f"{caller}: encoding must be a text encoding of Python, such as 'utf-8', 'latin-1' or 'cp1252'; "
            f"got {encoding!r}"
        ) from None
    return name


def _decoded(data: Bytes, path: Path, encoding: str) -> bytearray:
    """Return text as UTF-8, decoded piece by piece."""
    decoder = codecs.getincrementaldecoder(encoding)()
    result = bytearray()
    for begin in range(0, max(len(data), 1), _CHUNK):
        chunk = bytes(data[begin : begin + _CHUNK])
        try:
            result += decoder.decode(chunk, final=begin + _CHUNK >= len(data)).encode("utf-8")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "ignore")
            line = result.count(b"\n") + before.count("\n") + 1
            found = bytes(error.object[error.start : error.start + 4]).hex(" ")
            raise DataError(
                f"{path}:{line}: the line must be {encoding} text ({error.reason}; bytes {found}); name the file's "
                "encoding, such as encoding='latin-1'"
            ) from None
        except UnicodeEncodeError:
            raise DataError(f"{path}: the text holds characters that UTF-8 cannot; is it {encoding}?") from None
    return result


def utf8_text(data: Bytes, path: Path, encoding: str) -> tuple[Bytes, int]:
    """Return a file's text as UTF-8, and where it begins behind a byte order mark.

    Text that is UTF-8 is given back as it is, without a copy and without a check; lines that end in CR alone are made
    to end in LF.

    Raises
    ------
    DataError
        If the text is not of this encoding.
    """
    if encoding in ("utf-8", "utf-8-sig"):
        wide = wide_encoding(bytes(data[:HEAD]))
        if wide is not None:
            raise DataError(f"{path}: the file is {wide.upper()[:6]} text; encoding={wide!r} reads it")
    else:
        data = _decoded(data, path, encoding)
    head = bytes(data[:_HEAD])
    if b"\r" in head and b"\n" not in head and data.find(b"\n") < 0:
        data = bytes(data).replace(b"\r", b"\n")
    return data, 3 if head.startswith(codecs.BOM_UTF8) else 0
