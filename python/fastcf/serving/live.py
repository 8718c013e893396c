"""The model that a worker serves now, replaced when its file is."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

from fastcf.serving.served import ServedModel

__all__ = ["LiveModel"]

_log = logging.getLogger("fastcf.serving")

_Stamp = tuple[tuple[int, int, int, int], ...]


class LiveModel:
    """Holds one :class:`ServedModel` and loads another one when a file has changed.

    A request reads :attr:`current` once and is answered from that model alone, whatever is loaded meanwhile. A file
    that cannot be loaded is logged, counted and left alone until it changes again; the model before it is served on.

    Parameters
    ----------
    load : callable
        Returns the model of the files as they are.
    files : sequence of path-like
        The files; they are to be replaced by renaming, as ``save`` does.
    every : float
        Seconds between looks at the files; 0: they are not looked at.
    on_reload : callable, optional
        Called with the model, and with the error or None, after each attempt.
    """

    def __init__(
        self,
        load: Callable[[], ServedModel],
        files: Sequence[str | os.PathLike[str]],
        every: float,
        on_reload: Callable[[ServedModel, Exception | None], None] | None = None,
    ) -> None:
        self._load, self._files, self._every = load, tuple(files), every
        self._on_reload = on_reload or (lambda served, error: None)
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._stamp = self._stamps()  # before the files are read: a change in between is found by the next look
        self._current, self._error = load(), ""

    @property
    def current(self) -> ServedModel:
        """The model to answer a request from: read it once."""
        return self._current

    @property
    def error(self) -> str | None:
        """Why the files as they are now are not served; None where they are."""
        return self._error or None

    def reload_if_changed(self) -> bool:
        """Load the files if they are others than at the last attempt; return whether there was one."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._current, self._error = self._load(), ""
        except Exception as error:  # whatever it is: the old model goes on
            self._error = f"{type(error).__name__}: {error}"
            _log.error("%s is not served: %s", os.fspath(self._files[0]), self._error)
            self._on_reload(self._current, error)
            return True
        _log.info("serving %s, version %s", os.fspath(self._files[0]), self._current.version)
        self._on_reload(self._current, None)
        return True

    def _stamps(self) -> _Stamp:
        """Return what tells a file from its successor; zeros where there is none."""
        return tuple(self._stamp_of(file) for file in self._files)

    @staticmethod
    def _stamp_of(file: str | os.PathLike[str]) -> tuple[int, int, int, int]:
        try:
            found = os.stat(file)
        except OSError:
            return 0, 0, 0, 0
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def start(self) -> None:
        """Look at the files every so many seconds, in a thread of this process: after a fork, not before."""
        if self._every > 0 and self._watcher is None:
            self._stop.clear()
            self._watcher = threading.Thread(target=self._watch, name="fastcf-reload", daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.reload_if_changed()
