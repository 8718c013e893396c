"""Where the caller of this library stands, for warnings, and which part of a composed model fails, for errors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["errors_of", "level_outside"]


def level_outside() -> int:
    """Return the ``stacklevel``, seen from the function that asks, of the first caller outside of this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastcf":
        level, frame = level + 1, frame.f_back
    return level


@contextlib.contextmanager
def errors_of(part: str) -> Iterator[None]:
    """Name a part of a composed model in the message of an error that leaves the block; its class stays.

    Parameters
    ----------
    part : str
        What the message is to begin with, for example "Blend.fit: the member 'als'".
    """
    try:
        yield
    except Exception as error:
        _name(error, part)
        raise


def _name(error: Exception, part: str) -> None:
    if isinstance(error, OSError) and error.strerror is not None:
        error.strerror = f"{part}: {error.strerror}"
    elif len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{part}: {error.args[0]}",)
    elif not error.args:
        error.args = (part,)
    elif hasattr(error, "add_note"):  # of Python 3.11 and later, for errors whose message is made of other values
        error.add_note(f"in {part}")
