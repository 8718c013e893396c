"""Histories that nobody reads: those of models that a search fits, compares and forgets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["history_is_unread", "unread_history"]

_unread: ContextVar[bool] = ContextVar("unread_history", default=False)


@contextlib.contextmanager
def unread_history() -> Iterator[None]:
    """Say that nobody reads the history of models that are fitted inside the block.

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
    """Tell whether this is inside such a block."""
    return _unread.get()
