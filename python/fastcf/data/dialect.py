"""Delimited text: how a file is cut into fields, as asked for or found out from its first lines."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from fastcf._backend import ingest
from fastcf.data.columns import (
    LOG_NAMES,
    OPTIONAL,
    Asked,
    Columns,
    Record,
    Shape,
    choose_columns,
    decimal_of,
    is_header,
    log_shape,
)
from fastcf.data.decoding import Bytes, check_encoding, utf8_text
from fastcf.data.files import naming_file, open_bytes, open_text
from fastcf.data.left_out import LeftOut
from fastcf.errors import DataError

__all__ = ["TextFile", "TextOptions", "check_text_options", "open_delimited"]

_SEPARATORS = ("::", "\t", ",", ";", "|", " ")
_SAMPLE = 100
_LONGEST_LINE = 1 << 20
_SHOWN = 200
_NAMED_SEPARATOR = re.compile(rb'"?sep=([^\w\s"]|\t)"?\r*\n', re.IGNORECASE)  # the first line of Excel's files


class TextOptions(TypedDict, total=False):
    """Options of delimited text; see :func:`fastcf.data.read_log`."""

    separator: str | None
    decimal: str | None
    encoding: str
    quoting: bool | str
    escape: str | None
    comment: str | None
    on_bad_lines: str


def check_text_options(caller: str, options: Mapping[str, Any]) -> TextOptions:
    """Return complete options, and refuse what cannot be.

    Raises
    ------
    TypeError, ValueError
        Caller, option, requirement and value.
    """
    unknown = options.keys() - TextOptions.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"{caller}: there is no option {min(unknown)!r}; text has {', '.join(TextOptions.__annotations__)}"
        )
    checked = TextOptions(
        separator=options.get("separator"),
        decimal=options.get("decimal"),
        encoding=check_encoding(options.get("encoding", "utf-8"), caller),
        quoting=options.get("quoting", "auto"),
        escape=options.get("escape"),
        comment=options.get("comment"),
        on_bad_lines=options.get("on_bad_lines", "error"),
    )
    for name in ("separator", "escape", "comment"):
        value = options.get(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{caller}: {name} must be a string; got {type(value).__name__}")
    separator, escape, comment = checked["separator"], checked["escape"], checked["comment"]
    if separator is not None and (not separator or any(c.isalnum() or c in '.+-"\r\n\0' for c in separator)):
        raise ValueError(
            f"{caller}: separator must be characters that are no letters, digits, quotes, '.', '+', '-' or line ends; "
            f"got {separator!r}"
        )
    if checked["decimal"] not in (None, ".", ","):
        raise ValueError(f"{caller}: decimal must be '.' or ','; got {checked['decimal']!r}")
    if not isinstance(checked["quoting"], bool) and checked["quoting"] != "auto":
        raise ValueError(f"{caller}: quoting must be True, False or 'auto'; got {checked['quoting']!r}")
    if escape is not None and (len(escape) != 1 or not escape.isascii() or escape.isalnum() or escape in ' \t"\r\n\0'):
        raise ValueError(
            f"{caller}: escape must be one ASCII character, no letter, digit, quote, space or line end; got {escape!r}"
        )
    if comment is not None and (not comment.strip() or any(c.isalnum() or c in '.+-"\r\n\0' for c in comment)):
        raise ValueError(
            f"{caller}: comment must be characters that are no letters, digits, quotes, '.', '+', '-' or line ends; "
            f"got {comment!r}"
        )
    if separator is not None and (escape or "") in separator and escape:
        raise ValueError(f"{caller}: escape must not be part of the separator; got {escape!r}")
    if checked["on_bad_lines"] not in ("error", "warn", "skip"):
        raise ValueError(f"{caller}: on_bad_lines must be 'error', 'warn' or 'skip'; got {checked['on_bad_lines']!r}")
    return checked


class _Candidate(NamedTuple):
    """The first records of a file as one separator cuts them."""

    separator: str
    records: list[Record]

    @property
    def n_fields(self) -> int:
        return len(self.records[0].fields)

    @property
    def agreement(self) -> float:
        """The share of records that have as many fields as the first."""
        return sum(len(record.fields) == self.n_fields for record in self.records) / len(self.records)


class TextFile:
    """An opened file of delimited text; see :func:`open_delimited`.

    Attributes
    ----------
    path : pathlib.Path
    text : bytes-like
        UTF-8.
    options : TextOptions
    caller : str
        Heads messages about arguments.
    """

    def __init__(self, path: Path, text: Bytes, begin: int, options: TextOptions, caller: str) -> None:
        self.path = path
        self.text = text
        self.options = options
        self.caller = caller
        self._begin, self._first_line = begin, 1
        self._check_lines()
        self._skip_named_separator()

    def _skip_named_separator(self) -> None:
        """Go past a first line "sep=;", which names the separator where none is given."""
        named = _NAMED_SEPARATOR.match(bytes(self.text[self._begin : self._begin + 16]))
        if named is not None:
            self._begin, self._first_line = self._begin + named.end(), 2
            self.options["separator"] = self.options["separator"] or named[1].decode()

    def _check_lines(self) -> None:
        """Refuse text that is empty, or has no lines."""
        head = bytes(self.text[self._begin : self._begin + _LONGEST_LINE])
        if not head.strip(b" \t\r\n"):
            if len(head) < _LONGEST_LINE:
                raise DataError(f"{self.path}: the file is empty")
        elif len(head) == _LONGEST_LINE and b"\n" not in head:
            raise DataError(f"{self.path}:1: the line is longer than {_LONGEST_LINE} bytes; is this text?")

    def syntax(self, separator: str) -> dict[str, Any]:
        """Return how the native readers cut this file at a separator."""
        quoting = self.options["quoting"]
        if quoting == "auto":
            # Files with tabs quote nothing as a rule: a quote that does not close in its field is text.
            mode = "line" if separator == "\t" else "record" if len(separator) == 1 else "none"
        else:
            mode = "record" if quoting else "none"
        escape, comment = self.options["escape"] or "", self.options["comment"] or ""
        return {"separator": separator, "quoting": mode, "escape": escape, "comment": comment}

    def sample(self, separator: str) -> list[Record]:
        """Return the first records that can be cut."""
        records, _, _ = ingest.split_records(
            self.text,
            offset=self._begin,
            first_line=self._first_line,
            limit=_SAMPLE,
            keep_going=True,
            replace=True,
            **self.syntax(separator),
        )
        return [Record(*record) for record in records]

    def choose_separator(self, asked: Asked, known: Mapping[str, frozenset[str]] = LOG_NAMES) -> list[Record]:
        """Find the separator where none is given, keep it in `options`, and return the first records.

        The separator is the first of "::", tab, comma, semicolon, bar and space that makes a header of known or asked
        names; else one that cuts all of the first lines into the same number of fields, three or more if any does; not
        one that leaves another in each first field, as a comma does in ``1;10;3,5;4,0``.

        Raises
        ------
        DataError
            If there is none.
        """
        given = self.options["separator"]
        if given is not None:
            records = self.sample(given)
            if not records:
                self.records(given)  # raises, for the first line
                raise DataError(f"{self.path}: the file is empty but for comments")
            return records
        samples = [_Candidate(separator, self.sample(separator)) for separator in _SEPARATORS]
        found = [one for one in samples if one.records and one.n_fields >= 2]
        chosen = next((one for one in found if is_header(one.records[0].fields, asked, known)), None)
        found = [one for one in found if one.agreement >= 0.5]
        if chosen is None and found:
            found = [one for one in found if one.agreement == 1] or found
            found = [one for one in found if one.n_fields >= 3] or found
            chosen = next((one for one in found if not self._leaves_another(one, found)), found[0])
        if chosen is None:
            first = next((one.records[0] for one in samples if one.records), None)
            if first is None:
                self.records(samples[0].separator)  # raises, for the first line
                raise DataError(f"{self.path}: the file is empty but for comments")
            problem = "cannot find fields separated by '::', tab, ',', ';', '|' or ' '; pass separator"
            for one in filter(lambda one: one.records, samples):
                n_fields, count = Counter(len(record.fields) for record in one.records).most_common(1)[0]
                if n_fields >= 2 and count > 1 and one.separator != " ":
                    problem = (
                        f"the first line is not cut into {n_fields} fields by {one.separator!r}, as others are; remove "
                        "the lines above the header"
                    )
                    break
            raise DataError(f"{self.path}:{first.line}: {problem}: {self.line_of(first)!r}")
        self.options["separator"] = chosen.separator
        return chosen.records

    @staticmethod
    def _leaves_another(one: _Candidate, found: list[_Candidate]) -> bool:
        return any(
            other is not one
            and other.separator != " "
            and all(other.separator in record.fields[0] for record in one.records)
            for other in found
        )

    def choose_columns(
        self,
        asked: Asked,
        header: bool | str,
        known: Mapping[str, frozenset[str]] = LOG_NAMES,
        optional: frozenset[str] = OPTIONAL,
        shape: Shape = log_shape,
    ) -> tuple[Columns, list[Record]]:
        """Lay out the file; see :func:`fastcf.data.columns.choose_columns`. Returns its first records, too."""
        records = self.choose_separator(asked, known)
        layout = choose_columns(
            records,
            asked,
            known=known,
            optional=optional,
            shape=shape,
            header=header,
            decimal=self.options["decimal"] or self._decimal(records),
            caller=self.caller,
            path=self.path,
        )
        return layout, records

    def _decimal(self, records: list[Record]) -> str:
        """Return a comma where some column has decimal commas only; used to look at columns before they are chosen."""
        return "," if self.options["separator"] != "," and any("," in f for r in records for f in r.fields) else "."

    def decimal_of(self, records: list[Record], layout: Columns) -> str:
        """Return the decimal sign of ratings, as given or as the first records have it."""
        given, column = self.options["decimal"], layout.positions["rating"]
        if given is not None:
            return given
        rows = records[layout.header :]
        texts = [record.fields[column] for record in rows if len(record.fields) == layout.n_fields]
        return "." if column < 0 else decimal_of(texts, f"{self.path}:{rows[0].line}" if rows else str(self.path))

    def data(self, records: list[Record], layout: Columns) -> dict[str, Any]:
        """Return where the records below the header begin: arguments of the native readers."""
        first = records[0]
        if not layout.header:
            return {"offset": first.begin, "first_line": first.line}
        lines = bytes(self.text[first.begin : first.end]).count(b"\n")
        return {"offset": first.end, "first_line": first.line + max(lines, 1)}

    def line_of(self, record: Record) -> str:
        """Return the text of a record, shortened, for messages."""
        text = bytes(self.text[record.begin : min(record.end, record.begin + _SHOWN)]).decode("utf-8", "replace")
        return text.strip("\r\n") + ("..." if record.end - record.begin > _SHOWN else "")

    def records(self, separator: str) -> tuple[list[Record], LeftOut]:
        """Return all records; malformed ones as ``on_bad_lines`` says."""
        with naming_file(self.path):
            records, count, examples = ingest.split_records(
                self.text,
                offset=self._begin,
                first_line=self._first_line,
                keep_going=self.options["on_bad_lines"] != "error",
                **self.syntax(separator),
            )
        return [Record(*record) for record in records], LeftOut(count, tuple(examples))


@contextmanager
def open_delimited(path: str | os.PathLike[str], options: TextOptions, caller: str) -> Iterator[TextFile]:
    """Open a file of delimited text.

    Raises
    ------
    DataError
        If it is empty, damaged, or not of the encoding.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    wide = options["encoding"].startswith(("utf-16", "utf-32"))  # whose text has NULs
    with (open_bytes if wide else open_text)(path) as data:
        text, begin = utf8_text(data, path, options["encoding"])
        yield TextFile(path, text, begin, options, caller)
