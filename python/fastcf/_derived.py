"""Results that are computed once and kept with the immutable object that they follow from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Derived"]

_T = TypeVar("_T")

_MOST = 8  # kept at a time: candidates of a search differ in few


class Derived:
    """The last few results, by what tells them apart; for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Return the result of this key, computed unless it is kept; two threads at once may both compute it."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                found: _T = self._results[key]
                return found
        result = compute()
        with self._lock:
            self._results[key] = result
            while len(self._results) > _MOST:
                self._results.popitem(last=False)
        return result
