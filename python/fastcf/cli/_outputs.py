"""What commands write: CSV to a file or to standard output, block by block under a progress bar."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm.auto import tqdm

from fastcf.serialization import replacing

__all__ = ["blocks", "check_output", "csv_writer", "output_option"]

output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="CSV file to write instead of standard output."
)


def check_output(path: Path) -> None:
    """Refuse an output path that cannot be written, before an hour of training rather than after it."""
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(0, "is a folder; name the file to write", str(path))
    if not folder.is_dir():
        raise FileNotFoundError(0, "the folder of the output file does not exist", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(0, "the folder of the output file is not writable", str(folder))


@contextmanager
def csv_writer(path: Path | None) -> Iterator[Callable[[Iterable[Sequence[Any]]], None]]:
    """Give what writes rows as CSV: to a file, which appears when all are written, or to standard output."""
    if path is None:
        yield csv.writer(sys.stdout, lineterminator="\n").writerows
        sys.stdout.flush()  # so that a pipe that nobody reads any more is noticed here
        return
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        yield csv.writer(file, lineterminator="\n").writerows


def blocks(n: int, size: int, unit: str, output: Path | None) -> Iterator[slice]:
    """Yield the slices of ``n`` rows, ``size`` at a time, while a bar on a terminal's standard error counts them."""
    shown_between_rows = output is None and sys.stdout.isatty()
    with tqdm(total=n, unit=unit, file=sys.stderr, disable=True if shown_between_rows else None) as bar:
        for begin in range(0, n, size):
            block = slice(begin, min(begin + size, n))
            yield block
            bar.update(block.stop - block.start)
