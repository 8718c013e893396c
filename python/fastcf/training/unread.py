"""Histories that are not read: those of models that a search fits, compares and discards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["history_is_unread", "unread_history"]

_unread: ContextVar[bool] = ContextVar("unread_history", default=False)


@contextlib.contextmanager
def unread_history() -> Iterator[None]:
    """Leave most costs out of the histories of models that are fitted inside the block: they are not read.

    Their trainings measure costs and training errors before and after the first epoch and after the last one, where
    divergence is recognised; the records between have None. What is learnt has the same bits. Trainings whose
    callbacks, validation or checkpoint need the records measure every epoch all the same.
    """
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


def history_is_unread() -> bool:
    """Return whether this is inside such a block."""
    return _unread.get()
