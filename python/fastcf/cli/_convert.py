"""``fastcf convert``: ratings of any layout, once, to a file that opens at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from fastcf.cli._options import metadata_option, threads_option
from fastcf.cli._outputs import check_output, heading, key_values
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import rating_options

__all__ = ["convert"]


@click.command()
@click.argument("ratings", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write; an existing one is replaced."
)
@metadata_option
@threads_option
@rating_options
def convert(ratings: Path, output: Path, metadata: dict[str, Any], threads: int | None, **reading: Any) -> None:
    """Convert RATINGS to a file that every command opens in milliseconds.

    RATINGS is a file or folder of any layout that the commands take. In Python,
    fastcf.Ratings.load opens the result.

    Example: fastcf convert netflix-prize -o netflix.fastcf
    """
    check_output(output)
    found = read_ratings(ratings, threads=threads, **reading)
    started = time.perf_counter()
    whole = found.ratings
    whole.save(output, metadata=metadata)
    heading(f"{output}: ratings", first=True)
    key_values(
        [
            ("from", f"{ratings} ({found.files.format})"),
            (
                "ratings",
                f"{found.ratings.n_ratings:,} of {found.ratings.n_users:,} users and {found.ratings.n_items:,} items",
            ),
            ("size", f"{output.stat().st_size / 2**20:.1f} MiB"),
            ("time", f"{found.seconds:.2f} s to read, {time.perf_counter() - started:.2f} s to write"),
        ]
    )
