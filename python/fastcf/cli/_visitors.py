"""Visitors: people without an account, given by a history on the command line."""

from __future__ import annotations

from typing import Any

import click

from fastcf.cli._ids import parse_ids
from fastcf.cli._model_files import LoadedModel
from fastcf.errors import DataError
from fastcf.scores.targets import liked

__all__ = ["VISITOR", "history_of", "rated_option"]

VISITOR = "for a visitor"

rated_option = click.option(
    "--rated",
    multiple=True,
    metavar="ITEM[=RATING]",
    help="Instead of --user: what somebody without an account has rated, or liked; may be given several times.",
)


def history_of(loaded: LoadedModel, rated: tuple[str, ...]) -> tuple[list[tuple[int, Any]], list[float]]:
    """Return the history of one visitor as methods of models take it: pairs of the row 0 and an item, and ratings.

    Raises DataError for unknown items, what is no rating, and files of what takes no histories.
    """
    loaded.that_folds_in()
    known = loaded.model.items_
    texts, ratings = [], []
    for text in rated:
        item, equals, number = text.rpartition("=")
        if equals and known.kind == "str" and known.rows([text])[0] >= 0:  # an id may have the sign, too
            item, equals = text, ""
        try:
            ratings.append(float(number) if equals else liked(loaded.model)[0])
        except ValueError:
            raise DataError(f"--rated {text}: {number!r} is no rating; write ITEM=RATING, or ITEM alone") from None
        texts.append(item if equals else text)
    items = parse_ids(texts, known, "item")
    for place, item in enumerate(items):
        if item in items[:place]:
            raise DataError(f"--rated {rated[place]}: must name each item once; item {item!r} has come before")
    return [(0, item) for item in items], ratings
