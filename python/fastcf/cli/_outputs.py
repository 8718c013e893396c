"""Output of commands: aligned tables, cut to the terminal's width but not in a pipe; CSV, block by block."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm.auto import tqdm

from fastcf.serialization import replacing

__all__ = [
    "blocks",
    "check_output",
    "clip",
    "csv_writer",
    "display_width",
    "heading",
    "key_values",
    "output_option",
    "printable",
    "table",
]

_MINIMUM = 12  # columns that the last column of a table keeps in a narrow window


def printable(text: str) -> str:
    """Return text with control characters and line ends, which could move the cursor, replaced by U+FFFD."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) in ("Zs", "Cf") else "\ufffd" for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def display_width(text: str) -> int:
    """Return how many columns of a terminal the text fills."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def clip(text: str, width: int) -> str:
    """Return the text cut to ``width`` columns, with an ellipsis where something is missing."""
    if display_width(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def _window() -> int | None:
    """Return the width of the terminal, or None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def heading(text: str, *, first: bool = False) -> None:
    """Print a heading, after a blank line unless it is the first."""
    if not first:
        click.echo()
    click.secho(printable(text), bold=True)


def table(rows: Sequence[Sequence[str]], header: Sequence[str], align: str) -> None:
    """Print a table of text; ``align`` holds ``"<"`` or ``">"`` for each column."""
    cells = [[printable(cell) for cell in row] for row in rows]
    lines = [list(header), *cells]
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(header))]
    window = _window()
    if window is not None:
        others = sum(widths[:-1]) + 2 * len(widths)
        widths[-1] = min(widths[-1], max(window - others - 1, _MINIMUM))
    lines.insert(1, ["─" * width for width in widths])
    for line in lines:
        padded = []
        for cell, width, side in zip(line, widths, align, strict=True):
            cell = clip(cell, width)
            space = " " * (width - display_width(cell))
            padded.append(space + cell if side == ">" else cell + space)
        click.echo("  " + "  ".join(padded).rstrip())


def key_values(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair per line."""
    width = max(display_width(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"  {name:<{width}}  {printable(value)}".rstrip())


output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="CSV file to write instead of standard output."
)


def check_output(path: Path) -> None:
    """Refuse an output path that cannot be written, before training."""
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(0, "is a folder; name the file to write", str(path))
    if not folder.is_dir():
        raise FileNotFoundError(0, "the folder of the output file does not exist", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(0, "the folder of the output file is not writable", str(folder))


@contextmanager
def csv_writer(path: Path | None) -> Iterator[Callable[[Iterable[Sequence[Any]]], None]]:
    """Yield a writer of CSV rows: to a file, which is replaced at the end, or to standard output."""
    if path is None:
        yield csv.writer(sys.stdout, lineterminator="\n").writerows
        sys.stdout.flush()  # so that a closed pipe is noticed
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
