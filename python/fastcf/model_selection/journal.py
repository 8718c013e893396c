"""The journal of a search: a line of JSON per fit, so that a search that was killed goes on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fastcf._version import __version__
from fastcf.errors import DataError
from fastcf.model_selection.fits import Outcome
from fastcf.model_selection.locks import Lock, LockedError

__all__ = ["Journal", "seed_in"]

_KIND = {"journal": "search", "fastcf": __version__}


class Journal:
    """A file whose first line says which search it is of, and each other one what came of a fit.

    Lines are appended and synced; what a killed search has left of a line is cut off. Scores that are read again have
    the same bits. The file is locked until the end. Use it in a ``with`` block.

    Parameters
    ----------
    path : path-like
        The file; it need not exist.
    search : mapping
        What the search is: JSON values by name.
    caller : str
        Heads messages.

    Raises
    ------
    DataError
        If the file is no journal, or one of another search.
    OSError
        If it cannot be read or written, or another search writes it, in this process or another one.
    """

    def __init__(self, path: str | os.PathLike[str], search: Mapping[str, Any], caller: str) -> None:
        self._path = Path(path)
        self._caller = caller
        self._outcomes: dict[str, Outcome] = {}
        if self._path.is_dir():
            raise IsADirectoryError(f"{caller}: journal must be a file; got {self._path}, a folder")
        try:
            self._lock = Lock(self._path)
        except LockedError as error:
            mine = ", this one" if error.holder == str(os.getpid()) else ""
            raise OSError(
                f"{caller}: journal {self._path} must be written by one search at a time; process {error.holder}{mine} "
                "writes it; wait until it has ended, or name another file"
            ) from None
        try:
            self._open(search)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, search: Mapping[str, Any]) -> None:
        """Read what there is, and cut off what is not whole."""
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        begun = json.dumps(_KIND).encode()[:-1]
        if content and (whole or content[: len(begun)] != begun[: len(content)]):  # else only a part of the first line
            self._read(whole, search)
        self._file = open(self._path, "r+b" if content else "wb")  # noqa: SIM115 - closed by __exit__
        self._file.truncate(len(whole))
        self._file.seek(len(whole))
        if not whole:
            self._write({**_KIND, **search})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        try:
            self._file.close()  # writes again what a full disk has not taken
        finally:
            self._lock.release()

    def _error(self, what: str) -> DataError:
        return DataError(f"{self._caller}: journal {self._path} {what}; name another file, or delete this one")

    def _read(self, lines: bytes, search: Mapping[str, Any]) -> None:
        """Read the outcomes."""
        try:
            head, *fits = [json.loads(line) for line in lines.splitlines()]
            if head["journal"] != _KIND["journal"]:
                raise ValueError("a file of something else")
            for fit in fits:
                outcome = {name: fit.pop(name) for name in Outcome.__dataclass_fields__}
                self._outcomes[_key(fit)] = _outcome(outcome)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error("is no journal of a search, or damaged") from error
        for name, wanted in {**_KIND, **search}.items():
            if head.get(name) != wanted:
                raise self._error(f"is of another search: {_difference(name, head.get(name), wanted)}")

    def find(self, fit: Mapping[str, Any]) -> Outcome | None:
        """Return what came of a fit, given by JSON values; None if it has not been done."""
        return self._outcomes.get(_key(fit))

    def add(self, fit: Mapping[str, Any], outcome: Outcome) -> None:
        """Append a fit."""
        values = vars(outcome)
        self._write({**fit, **values, "score": None if math.isnan(outcome.score) else outcome.score})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def seed_in(path: str | os.PathLike[str] | None) -> int | None:
    """Return the seed of the search that a journal is of; None where there is no such file, or it has none."""
    if path is None or not Path(path).exists():
        return None
    with open(path, "rb") as file:
        line = file.readline()
    try:
        seed = json.loads(line)["seed"]
    except (ValueError, KeyError, TypeError):  # no journal, which its reader refuses
        return None
    return seed if isinstance(seed, int) else None


def _key(fit: Mapping[str, Any]) -> str:
    return json.dumps(fit, sort_keys=True)


def _outcome(values: Mapping[str, Any]) -> Outcome:
    measured = tuple((float(share), float(score)) for share, score in values["measured"])
    score = math.nan if values["score"] is None else float(values["score"])
    return Outcome(**{**values, "score": score, "measured": measured})


def _difference(name: str, found: Any, wanted: Any) -> str:
    """Describe what differs: of mappings their first entry that does; digests say nothing to a reader."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for inner in sorted({*found, *wanted}):
            if found.get(inner) != wanted.get(inner):
                if inner == "digest":
                    return f"its {name} differ"
                return _difference(f"{name} {inner}", found.get(inner), wanted.get(inner))
    return f"its {name} is {found!r}, not {wanted!r}"
