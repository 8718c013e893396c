"""Malformed lines that were left out of what was read."""

from __future__ import annotations

import logging
import os
import warnings
from typing import NamedTuple

from fastcf._callers import level_outside

__all__ = ["LeftOut", "described", "report_left_out"]

_logger = logging.getLogger("fastcf.data")
_SHOWN, _KEPT = 3, 10


class LeftOut(NamedTuple):
    """Malformed lines that ``on_bad_lines`` left out.

    Attributes
    ----------
    n_lines : int
        How many.
    examples : tuple of (int, str, str)
        Line number, problem and text of the first ten.
    """

    n_lines: int = 0
    examples: tuple[tuple[int, str, str], ...] = ()

    def with_line(self, line: int, problem: str, text: str) -> LeftOut:
        """Return these lines and one more."""
        examples = self.examples if len(self.examples) >= _KEPT else (*self.examples, (line, problem, text))
        return LeftOut(self.n_lines + 1, examples)


def described(path: str | os.PathLike[str], left_out: LeftOut, *, examples: bool = True) -> str:
    """Return a sentence on the lines that were left out."""
    numbers = ", ".join(str(line) for line, _, _ in left_out.examples)
    lines = "1 malformed line was" if left_out.n_lines == 1 else f"{left_out.n_lines:,} malformed lines were"
    more = ", …" if left_out.n_lines > len(left_out.examples) else ""
    which = f"{os.fspath(path)}: {lines} left out"
    if not examples:
        return f"{which}: line {numbers}{more}"
    shown = left_out.examples[:_SHOWN]
    return f"{which}: " + "; ".join(
        f"line {line}: {problem.partition('; ')[0]}: {text!r}" for line, problem, text in shown
    )


def report_left_out(path: str | os.PathLike[str], left_out: LeftOut, on_bad_lines: str) -> None:
    """Warn of lines that were left out, or, where they are skipped in silence, log them at level INFO."""
    if left_out.n_lines == 0:
        return
    if on_bad_lines == "warn":
        warnings.warn(described(path, left_out), stacklevel=level_outside())
    else:
        _logger.info(described(path, left_out))
