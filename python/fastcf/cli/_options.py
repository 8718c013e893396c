"""Options that several commands share."""

from __future__ import annotations

import click

__all__ = ["json_option", "seed_option", "threads_option"]

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to use; by default as many as processors."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Seed of all randomness."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
