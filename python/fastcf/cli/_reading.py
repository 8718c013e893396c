"""Options of commands that say how a file of ratings or pairs is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from fastcf._times import TIME_UNITS

__all__ = ["READING", "as_flags", "pair_options", "rating_options", "reading_of"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SWITCH = {"auto": "auto", "yes": True, "no": False, "on": True, "off": False}
# Options that are called otherwise than the arguments of the library.
_ARGUMENTS = {
    "user_column": "user",
    "item_column": "item",
    "rating_column": "rating",
    "timestamp_column": "timestamp",
}
_PLAIN = ("separator", "decimal", "encoding", "escape", "comment", "on_bad_lines", "time_unit", "id_type")
READING = (
    *_PLAIN,
    *_ARGUMENTS,
    "quoting",
    "header",
    "no_rating",
    "no_timestamp",
    "missing",
    "keep_unrated",
    "duplicates",
)
"""The options of :func:`rating_options`."""

_FLAGS = {
    **{argument: f"--{option.replace('_', '-')}" for option, argument in _ARGUMENTS.items()},
    **{name: f"--{name.replace('_', '-')}" for name in (*_PLAIN, "quoting", "header", "missing", "duplicates")},
}
_ARGUMENT = re.compile(rf"(?<=[ (])({'|'.join(_FLAGS)})=('[^' ]*'|\w+)?(?=[ ,;:)]|$)")


def column(value: str) -> str | int:
    """Return a column's name or position."""
    return int(value) if value.isdecimal() else value


def id_types(value: str) -> str | tuple[str, str]:
    """Return the type of ids, or those of users and of items."""
    users, comma, items = value.partition(",")
    for each in (users, items) if comma else (users,):
        if each not in ("auto", "int", "str"):
            raise ValueError(value)  # which click turns into a usage error
    return (users, items) if comma else users


def pair_options(command: _Command) -> _Command:
    """Add the options for text, and for the columns of users and items."""
    for option in (
        click.option("--item-column", type=column, help="Column of items, in the same way."),
        click.option("--user-column", type=column, help="Column of users: name, or number from 0."),
        click.option(
            "--on-bad-lines",
            type=click.Choice(["error", "warn", "skip"]),
            default="error",
            show_default=True,
            help="What becomes of malformed lines: a failure, or they are left out and shown, or counted.",
        ),
        click.option("--comment", metavar="TEXT", help="Lines that begin with this are left out."),
        click.option("--escape", metavar="CHARACTER", help="Makes text of the character that follows it."),
        click.option(
            "--quoting",
            type=click.Choice(["auto", "on", "off"]),
            default="auto",
            show_default=True,
            help="Whether fields may be quoted.",
        ),
        click.option("--encoding", metavar="NAME", default="utf-8", show_default=True, help="Encoding of the text."),
        click.option(
            "--header",
            type=click.Choice(["auto", "yes", "no"]),
            default="auto",
            show_default=True,
            help="Whether the first line names the columns.",
        ),
        click.option("--separator", metavar="TEXT", help="Separator of fields, if not recognised."),
    ):
        command = option(command)
    return command


def rating_options(command: _Command) -> _Command:
    """Add the options for reading a file of ratings."""
    for option in (
        click.option(
            "--duplicates",
            type=click.Choice(["error", "last", "latest", "max", "mean", "sum"]),
            default="error",
            show_default=True,
            help="How several ratings of one item by the same user are combined.",
        ),
        click.option(
            "--keep-unrated", is_flag=True, help="Keep users and items all of whose ratings are --missing values."
        ),
        click.option(
            "--missing",
            multiple=True,
            metavar="VALUE",
            help="A rating that stands for none, such as -1, 99 or NULL; may be given several times.",
        ),
        click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign of ratings, if not recognised."),
        click.option(
            "--time-unit",
            type=click.Choice(TIME_UNITS),
            default="auto",
            show_default=True,
            help="What numeric timestamps are; date: YYYYMMDD, also with HHMMSS behind.",
        ),
        click.option("--no-timestamp", is_flag=True, help="Leave timestamps unread."),
        click.option("--timestamp-column", type=column, help="Column of timestamps, in the same way."),
        click.option("--no-rating", is_flag=True, help="There are no ratings: every line counts 1."),
        click.option(
            "--id-type",
            type=id_types,
            metavar="TYPE",
            default="auto",
            show_default=True,
            help="Whether ids are integers or strings: auto, int or str; USERS,ITEMS where they differ.",
        ),
        click.option("--rating-column", type=column, help="Column of ratings, in the same way."),
        pair_options,
    ):
        command = option(command)
    return command


def reading_of(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of this module out of ``options``, and return them as arguments of the library's readers."""
    arguments = {name: options.pop(name) for name in _PLAIN if name in options}
    arguments |= {argument: options.pop(name) for name, argument in _ARGUMENTS.items() if name in options}
    arguments |= {name: _SWITCH[options.pop(name)] for name in ("quoting", "header")}
    for flag, argument in (("no_rating", "rating"), ("no_timestamp", "timestamp")):
        if options.pop(flag, False):
            if arguments[argument] is not None:
                raise click.UsageError(f"--{argument}-column and --no-{argument} exclude each other")
            arguments[argument] = False
    if "missing" in options:
        arguments["missing"] = list(options.pop("missing")) or None
        arguments |= {name: options.pop(name) for name in ("keep_unrated", "duplicates")}
    return arguments


def as_flags(message: str) -> str:
    """Return a message of the library with its arguments as options of the command line."""

    def flag(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        if value == "False" and name in ("rating", "timestamp"):
            return f"--no-{name}"
        words = {"True": "on", "False": "off"} if name == "quoting" else {"True": "yes", "False": "no"}
        return _FLAGS[name] + ("" if value is None else f" {words.get(value, value)}")

    return _ARGUMENT.sub(flag, message).replace("load_events sums events", "--weights NAME=1 sums events")
