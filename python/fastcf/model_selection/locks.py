"""A lock of a file against other processes, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO, Any

__all__ = ["Lock", "LockedError"]


_BEYOND = 1 << 20  # the byte that is locked on Windows, after the text, which others read


class LockedError(OSError):
    """Another process holds the lock.

    Attributes
    ----------
    holder : str
        The process that holds it.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(f"locked by process {holder}")
        self.holder = holder


class Lock:
    """The lock of a file: of a second one beside it, ``NAME.lock``, which names the process and is removed at the end.

    The operating system locks the second file (``flock``, on Windows ``msvcrt.locking``) and releases it when the
    process ends, however that ends: a file that a dead process has left does not block.

    Parameters
    ----------
    path : Path
        The file to lock; it need not exist.

    Raises
    ------
    LockedError
        If it is locked, also by this process.
    OSError
        If the second file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        while True:
            self._file = open(self._path, "a+")  # noqa: SIM115 - closed by release
            try:
                _lock(self._file)
            except (BlockingIOError, PermissionError):  # the latter on Windows
                self._file.seek(0)
                holder = self._file.read().strip() or "unknown"
                self._file.close()
                raise LockedError(holder) from None
            if _is_at(self._file, self._path):
                break
            self._file.close()  # the process that held it has removed it meanwhile
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):  # Windows does not remove open files: the next process does
            os.unlink(self._path)
        self._file.close()


def _is_at(file: IO[Any], path: Path) -> bool:
    """Whether an open file is the one of this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(file: IO[Any]) -> None:
    """Lock an open file at once; raises OSError where another one has."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        return
    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
