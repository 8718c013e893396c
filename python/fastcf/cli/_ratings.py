"""Ratings of the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from fastcf.cli._model_files import refuse_model
from fastcf.cli._reading import reading_of
from fastcf.data import RatingFiles
from fastcf.data.files import recognised
from fastcf.data.left_out import LeftOut, described
from fastcf.data.text import load_log
from fastcf.ratings import Ratings

__all__ = ["RatingFile", "note_left_out", "read_ratings"]


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
