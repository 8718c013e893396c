"""Small tables as delimited text: titles, tags and data of users, by the columns' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastcf.data.columns import Asked, Shape
from fastcf.data.dialect import check_text_options, open_delimited
from fastcf.data.files import open_text
from fastcf.data.left_out import report_left_out
from fastcf.data.lines import malformed
from fastcf.errors import DataError

__all__ = ["TableColumns", "read_table"]


class TableColumns(NamedTuple):
    """What a table may have in its columns.

    Attributes
    ----------
    names : mapping
        The names by which each column is recognised, as :func:`fastcf.data.columns.plain_name` gives them.
    optional : frozenset
        Columns that there need not be; their fields are empty then.
    shape : callable
        Tells the columns of a table without a header, or what is the matter; see :mod:`fastcf.data.columns`.
    """

    names: Mapping[str, frozenset[str]]
    optional: frozenset[str]
    shape: Shape


def _is_utf8(path: Path) -> bool:
    with open_text(path) as data:
        try:
            bytes(data).decode("utf-8")
        except UnicodeDecodeError:
            return False
    return True


def read_table(
    path: Path, columns: TableColumns, asked: Asked, header: bool | str, text: Mapping[str, Any], what: str, caller: str
) -> list[tuple[int, str, list[str]]]:
    """Return the line number, the text and the fields, in the order of ``asked``, of each record.

    ``text`` are options of delimited text; where the encoding is None it is UTF-8, or Latin-1, which decodes
    everything, where the file is not, as the older sets are. ``what`` the table holds is for messages.

    Raises
    ------
    DataError
        If the columns cannot be told, a record has fields too few or too many, or there are none.
    TypeError, ValueError
        If an argument is not as described.
    """
    options = check_text_options(caller, {name: value for name, value in text.items() if value is not None})
    if text.get("encoding") is None and not _is_utf8(path):
        options["encoding"] = "iso8859-1"
    with open_delimited(path, options, caller) as file:
        layout, _ = file.choose_columns(asked, header, columns.names, columns.optional, columns.shape)
        records, left_out = file.records(str(options["separator"]))
        rows = []
        for record in records[layout.header :]:
            line = file.line_of(record)
            if len(record.fields) != layout.n_fields:
                if options["on_bad_lines"] == "error":
                    problem = f"expected {layout.n_fields} fields separated by {options['separator']!r}; got"
                    raise malformed(path, record.line, f"{problem} {len(record.fields)}", line)
                left_out = left_out.with_line(record.line, f"got {len(record.fields)} fields", line)
                continue
            rows.append((record.line, line, ["" if at < 0 else record.fields[at] for at in layout.positions.values()]))
    report_left_out(path, left_out, options["on_bad_lines"])
    if not rows:
        raise DataError(f"{path}: there are no {what}")
    return rows
