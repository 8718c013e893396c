"""Ids of the command line and of files, as a model has them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from fastcf._id_columns import as_id_column
from fastcf._texts import IdColumn, TextTable
from fastcf.errors import DataError
from fastcf.ids import IdMap, as_kind

__all__ = ["alike", "kinds_of", "parse_ids"]

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def kinds_of(model: Any) -> tuple[str, str]:
    """Return the types by which a file for a model is read: its own, but any where it has integers.

    What is no integer is unknown to such a model, and is counted as that.
    """
    users, items = ("str" if ids.kind == "str" else "auto" for ids in (model.users_, model.items_))
    return users, items


def alike(known: IdMap, given: IdColumn) -> IdColumn:
    """Return ids of a file as the kind that a model's ids have, integers or strings, to look them up.

    Texts that are no integers become integers that the model does not have, different texts different ones.
    """
    texts = given.ids
    if known.kind == "str" or not isinstance(texts, TextTable):
        return as_kind(given, known.kind, "ids")
    numbers = {text: int(text) for text in texts.tolist() if _INTEGER.fullmatch(text)}
    unknown = itertools.count(max([0, int(known.ids.max()), *numbers.values()]) + 1)
    found = as_id_column(
        [numbers[text] if text in numbers else next(unknown) for text in texts.tolist()], "ids"
    ).array()
    return IdColumn(found if given.codes is None else found[given.codes])


def parse_ids(texts: Sequence[str], known: IdMap, what: str) -> list[Any]:
    """Return ids from the command line as the model's kind, strings or integers; all must be known."""
    strings = known.kind == "str"
    wanted: list[Any] = []
    for text in texts:
        one: Any = text if strings else int(text) if _INTEGER.fullmatch(text) else None
        if one is None or known.rows([one])[0] < 0:
            raise DataError(f"unknown {what} {text!r}{_suggestion(text, known, what)}")
        wanted.append(one)
    return wanted


def _suggestion(text: str, known: IdMap, what: str) -> str:
    if known.kind == "str":
        bare = text.lstrip("0")
        alike = next((each for each in known.ids.tolist() if each.lstrip("0") == bare), None)
        if alike is not None:
            return f"; did you mean {alike!r}?"
    some = ", ".join(str(known.id_at(row)) for row in range(min(3, len(known))))
    return f"; the model has {len(known):,} {what}s, such as {some}"
