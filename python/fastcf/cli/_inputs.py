"""Input of commands: options, ratings, models, titles, and ids from the command line and from files."""

from __future__ import annotations

import functools
import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from fastcf._id_columns import as_id_column
from fastcf._texts import IdColumn, TextTable
from fastcf.cli._reading import column, reading_of
from fastcf.data import ItemTable, RatingFiles, read_items
from fastcf.data.files import recognised
from fastcf.data.left_out import LeftOut, described
from fastcf.data.text import load_log
from fastcf.errors import DataError
from fastcf.ids import IdMap, as_kind
from fastcf.ratings import Ratings
from fastcf.serialization import Archive, from_archive, load_archive, stored_class

__all__ = [
    "TITLES_ARRAY",
    "LoadedModel",
    "TitleFile",
    "Titles",
    "alike",
    "json_option",
    "kinds_of",
    "load_model",
    "looks_like_model",
    "note_left_out",
    "parse_ids",
    "read_ratings",
    "refuse_model",
    "seed_option",
    "threads_option",
    "titles_for",
    "titles_options",
]

TITLES_ARRAY = "item_titles"
"""The array of a model file that holds the titles of its items, in the order of their rows."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


# ---------------------------------------------------------------------------------------------------------------
# Options that several commands share
# ---------------------------------------------------------------------------------------------------------------


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to use; all by default."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Seed of all randomness."
)


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


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


# ---------------------------------------------------------------------------------------------------------------
# Ratings
# ---------------------------------------------------------------------------------------------------------------


class RatingFile(NamedTuple):
    """Ratings and their source."""

    ratings: Ratings
    files: RatingFiles
    seconds: float


def note_left_out(path: Path, left_out: LeftOut, mode: str) -> None:
    """Print on one line of standard error which lines were left out, or how many."""
    if left_out.n_lines:
        click.echo(f"Note: {described(path, left_out, examples=mode == 'warn')}", err=True)


def read_ratings(path: Path, *, threads: int | None, **options: Any) -> RatingFile:
    """Read a file or folder of ratings with the options of :func:`fastcf.cli._reading.rating_options`."""
    refuse_model(path, "ratings")
    started = time.perf_counter()
    files = recognised(path)
    arguments = {**reading_of(options), "format": "delimited" if files.format == "delimited" else "auto"}
    mode = arguments["on_bad_lines"]
    if mode == "warn":
        arguments["on_bad_lines"] = "skip"
    ratings, left_out = load_log(path, str(path), **arguments, n_threads=threads)
    note_left_out(path, left_out, mode)
    return RatingFile(ratings, files, time.perf_counter() - started)


# ---------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------


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


class LoadedModel(NamedTuple):
    """A model and its file."""

    model: Any
    archive: Archive
    path: Path

    def titles(self, given: TitleFile | None) -> Titles:
        """Return the titles given on the command line, else those in the model's file."""
        if given is not None:
            return Titles(given.read())
        ids = self.model.items_.ids
        present = TITLES_ARRAY in self.archive.arrays
        stored: NDArray[Any] = self.archive.array(TITLES_ARRAY) if present else np.empty(0)
        if stored.dtype.kind != "U" or len(stored) != len(ids):
            return Titles(None)
        return Titles(ItemTable(ids, stored, np.zeros(len(ids), "<U1")))


def looks_like_model(path: Path) -> bool:
    """Whether a file begins as safetensors files do (the length of a JSON header, the header) and holds no ratings."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(10)
    return start[8:] == b'{"' and start[5:8] == b"\0\0\0" and stored_class(path) != "Ratings"


def refuse_model(path: Path, needed: str) -> None:
    """Refuse a model file where another file is expected."""
    if looks_like_model(path):
        raise DataError(f"{path}: is a model; expected a file of {needed}")


def load_model(path: Path, threads: int | None = None) -> LoadedModel:
    """Load a model file."""
    archive = load_archive(path)
    model = from_archive(archive)
    if threads is not None:
        model.set_params(n_threads=threads)
    return LoadedModel(model, archive, path)


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


# ---------------------------------------------------------------------------------------------------------------
# Titles
# ---------------------------------------------------------------------------------------------------------------


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
