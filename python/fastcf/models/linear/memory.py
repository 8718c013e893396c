"""How much memory a process may still take."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory"]


def available_memory() -> int | None:
    """Return the bytes of memory that are available to this process, None where the system does not tell.

    On Linux the kernel's estimate of what programs can have without swapping, or what is left to the control group if
    that is less; elsewhere the free pages.
    """
    found = [each for each in (_of_the_machine(), _of_the_group()) if each is not None]
    return min(found) if found else None


def _of_the_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_the_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what the limit of the control group leaves; pages of files that it can give back are not counted."""
    try:
        limit, used = (int((folder / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        files = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
        return max(0, limit - used + int(files.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
