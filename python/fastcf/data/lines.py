"""Small text files, line by line: data of items and users."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastcf._id_columns import as_id_column
from fastcf._texts import string_array
from fastcf.data.files import first_that_exists, open_text
from fastcf.errors import DataError

__all__ = ["decoded", "file_named", "id_array", "malformed", "numbered_lines"]

_CANONICAL = re.compile(r"0|-?[1-9][0-9]*")


def file_named(path: str | os.PathLike[str], what: str, *names: str) -> Path:
    """Return the path of a file, or of the first of these files that the folder has; ``what`` they hold."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = first_that_exists(path, *names)
    if found is None:
        raise DataError(f"{path}: no {what} found: expected {' or '.join(names)}")
    return found


def decoded(path: Path, encoding: str | None = None) -> str:
    """Return a file as text: by default UTF-8, or Latin-1 (which decodes everything) where it is not."""
    with open_text(path) as data:
        content = bytes(data)
    try:
        return content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise DataError(f"{path}: the text must be {encoding}: {error.reason}; pass the file's encoding=") from None
        return content.decode("latin-1")
    except LookupError:
        raise ValueError(f"encoding must be a text encoding of Python; got {encoding!r}") from None


def malformed(path: Path, number: int, problem: str, line: str) -> DataError:
    """Return the error that names file, line and its text."""
    return DataError(f"{path}:{number}: {problem}: {line!r}")


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that are not blank."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def id_array(ids: Sequence[str]) -> NDArray[Any]:
    """Return ids as integers where all are, of at most 64 bits (see :func:`fastcf.data.read_log`), else as strings."""
    stripped = [each.strip() for each in ids]
    if all(len(each) <= 20 and _CANONICAL.fullmatch(each) for each in stripped):
        values = [int(each) for each in stripped]
        if -(2**63) <= min(values, default=0) <= max(values, default=0) < 2**64:
            return as_id_column(values, "ids").array()
    return string_array(stripped)
