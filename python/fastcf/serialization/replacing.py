"""Replacing a file atomically and durably."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

__all__ = ["remove_leftovers", "replacing"]


def _sync(path: str, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Replace a file by what a ``with`` block writes, atomically and durably.

    Readers of ``path`` see the old content or the new, never half of it; after an error nothing is left behind.

    Parameters
    ----------
    path : path-like
        Where to; an existing file is replaced when the block ends without an error.

    Yields
    ------
    str
        The temporary file, in the same folder, that the block is to write.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(6)}.tmp")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(handle).st_mode & 0o777  # what the user's umask leaves
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, mode)
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync(folder, os.O_RDONLY)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of processes that were killed while they replaced a file; none may be doing so now.

    Parameters
    ----------
    path : path-like
        The file, which need not exist.

    Raises
    ------
    OSError
        If its folder cannot be read, or written to.
    """
    folder, name = os.path.split(os.path.realpath(path))
    for entry in os.scandir(folder):
        if entry.name.startswith(f".{name}.") and entry.name.endswith(".tmp"):
            os.unlink(entry.path)
