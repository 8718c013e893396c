"""Titles of items: options, files, and what they say."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from numpy.typing import NDArray

from fastcf.cli._reading import column
from fastcf.data import ItemTable, RatingFiles, read_items
from fastcf.errors import DataError

__all__ = ["TitleFile", "Titles", "titles_for", "titles_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def titles_options(command: _Command) -> _Command:
    """Add the options that name a file of titles; the command gets them as one argument `titles`, a `TitleFile`."""

    @functools.wraps(command)
    def with_titles(
        *args: Any, titles: Path | None, title_id_column: str | int | None, title_column: str | int | None, **rest: Any
    ) -> Any:
        columns = {"id": title_id_column, "title": title_column}
        given = {name: value for name, value in columns.items() if value is not None}
        if given and titles is None:
            raise click.UsageError("--title-id-column and --title-column need --titles")
        return command(*args, titles=None if titles is None else TitleFile(titles, given), **rest)

    for option in (
        click.option("--title-column", type=column, help="Column of titles, in the same way."),
        click.option("--title-id-column", type=column, help="Column of item ids in --titles: name, or number from 0."),
        click.option(
            "--titles",
            type=click.Path(path_type=Path),
            envvar="FASTCF_TITLES",
            help="File of titles: movies.csv, movies.dat, u.item, movie_titles.txt, or a table.",
        ),
    ):
        with_titles = option(with_titles)
    return with_titles  # type: ignore[return-value]  # it has the command's other arguments


class TitleFile(NamedTuple):
    """A file of titles, and those of its columns that are named by options."""

    path: Path
    columns: dict[str, Any]

    def read(self) -> ItemTable:
        """Read the titles; messages name options of the command line."""
        try:
            return read_items(self.path, **self.columns)
        except ValueError as error:
            flags = {"id": "--title-id-column", "title": "--title-column"}
            text = re.sub(r"\b(id|title)=", lambda match: flags[match[1]], str(error).removeprefix("read_items: "))
            raise DataError(text) from None


class Titles:
    """Titles of items; empty where none are known."""

    def __init__(self, items: ItemTable | None) -> None:
        self.table = items

    def __bool__(self) -> bool:
        return self.table is not None

    def of(self, ids: NDArray[Any] | list[Any]) -> list[str]:
        """Return the titles of items."""
        if self.table is None or len(ids) == 0:
            return [""] * len(ids)
        found: list[str] = self.table.title_of(ids).tolist()
        return found


def titles_for(given: TitleFile | None, files: RatingFiles) -> Titles:
    """Return the titles given on the command line, else those beside the ratings."""
    if given is None and files.items is not None:
        given = TitleFile(files.items, {})
    return Titles(None if given is None else given.read())
