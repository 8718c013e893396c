"""Options of commands that read event logs in place of ratings."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fastcf.cli._model_files import refuse_model
from fastcf.cli._ratings import RatingFile, note_left_out
from fastcf.cli._reading import column, reading_of
from fastcf.data.dialect import check_text_options
from fastcf.data.events import EventMeaning, read_events
from fastcf.data.files import recognised
from fastcf.errors import DataError

__all__ = ["EVENTS", "are_events", "event_options", "load_event_file"]

EVENTS = ("event", "weights", "exposure", "ignore", "duration", "min_duration", "half_life", "now")
"""The options of :func:`event_options`."""

_OF_RATINGS = {
    "rating_column": "--rating-column",
    "no_rating": "--no-rating",
    "missing": "--missing",
    "keep_unrated": "--keep-unrated",
    "duplicates": "--duplicates",
}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _weights(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, float] | None:
    """Read "view=1,buy=5"."""
    if value is None:
        return None
    found: dict[str, float] = {}
    for part in value.split(","):
        name, equals, weight = part.rpartition("=")
        try:
            if not (name.strip() and equals):
                raise ValueError
            found[name.strip()] = float(weight)
        except ValueError:
            raise click.BadParameter(f"{part!r} is not NAME=NUMBER, as in view=1,buy=5.") from None
    return found


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return value


def event_options(command: _Command) -> _Command:
    """Add the options that say what the events of a log mean."""
    for option in (
        click.option(
            "--now", metavar="TIME", callback=_moment, help="The moment to which events decay, if not the latest event."
        ),
        click.option(
            "--half-life", metavar="DURATION", help="The age at which an event counts half, such as 30d or 12h."
        ),
        click.option(
            "--min-duration", metavar="DURATION", help="Events that are shorter were shown and not chosen: 30, or 30s."
        ),
        click.option("--duration", type=column, metavar="COLUMN", help="Column of durations of events."),
        click.option("--ignore", metavar="NAMES", callback=_names, help="Events that are left out."),
        click.option(
            "--exposure",
            metavar="NAMES",
            callback=_names,
            help="Events that say that an item was shown: zeros.",
        ),
        click.option(
            "--weights", metavar="NAME=X,...", callback=_weights, help="Strengths of the events of a log: view=1,buy=5."
        ),
        click.option("--event", type=column, metavar="COLUMN", help="Column of the names of events."),
    ):
        command = option(command)
    return command


def are_events(options: dict[str, Any]) -> bool:
    """Whether an option says that the file is a log of events."""
    return any(options[name] is not None for name in EVENTS)


def load_event_file(path: Path, *, threads: int | None, **options: Any) -> RatingFile:
    """Read a log of events with the options of :func:`event_options` and of files of ratings."""
    context = click.get_current_context()
    options = dict(options)
    for name, flag in _OF_RATINGS.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise click.UsageError(f"{flag} is for files of ratings, not for logs of events")
    refuse_model(path, "events")
    started = time.perf_counter()
    given = {name: options[name] for name in (*EVENTS, "time_unit") if name != "event"}
    meaning = EventMeaning.of(caller=str(path), **given)
    arguments = reading_of(options)
    columns = {role: arguments.pop(role) for role in ("user", "item", "timestamp")}
    columns |= {role: options[role] for role in ("event", "duration")}
    for name in ("rating", "missing", "keep_unrated", "duplicates"):
        arguments.pop(name)
    usual = check_text_options("train", {})
    arguments = {name: value for name, value in arguments.items() if value != usual.get(name, "auto")}
    mode = arguments.get("on_bad_lines", "error")
    if mode == "warn":
        arguments["on_bad_lines"] = "skip"
    try:
        ratings, left_out = read_events(path, columns, meaning, str(path), n_threads=threads, **arguments)
    except ValueError as error:
        raise DataError(_as_flags(str(error))) from None
    note_left_out(path, left_out, mode)
    return RatingFile(ratings, recognised(path), time.perf_counter() - started)


def _as_flags(message: str) -> str:
    """Return a message of the library with the arguments of this module as options of the command line."""
    message = re.sub(r"weights=\{'([^']*)': 1\}", r"--weights '\1=1'", message)
    return re.sub(r"\b(exposure|ignore|event|timestamp|now|weights)=('[^']*'|None)?", _flag, message)


def _flag(match: re.Match[str]) -> str:
    name = {"timestamp": "timestamp-column"}.get(match[1], match[1])
    return f"no --{name}" if match[2] == "None" else f"--{name}" + (f" {match[2]}" if match[2] else "")
