"""Where the caller of this library stands, for warnings that point at the caller's own line."""

from __future__ import annotations

import sys

__all__ = ["level_outside"]


def level_outside() -> int:
    """Return the ``stacklevel``, seen from the function that asks, of the first caller outside of this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastcf":
        level, frame = level + 1, frame.f_back
    return level
