"""Options that several commands share."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["at_option", "json_option", "metadata_option", "seed_option", "threads_option"]


def _metadata(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Return pairs KEY=VALUE as a dictionary; a value that is no JSON is a text."""
    found: dict[str, Any] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to use; by default as many as processors."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Seed of all randomness."
)
metadata_option = click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_metadata,
    help="What the file is to say of itself, shown by fastcf info: JSON, or text; may be given several times.",
)
at_option = click.option(
    "--at",
    metavar="TIME",
    help="For a model that was trained with --temporal: the time to predict at, a date or a number as in the training "
    "ratings; by default the last time of these.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
