"""The items of a served model: their titles, and a search for them by the beginnings of words."""

from __future__ import annotations

import bisect
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap

__all__ = ["Catalogue"]

_NO_WORD = re.compile(r"[\W_]+")


def _plain(text: str) -> str:
    """Return the words of a text, in lower case and without accents, with a space before each."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return f" {_NO_WORD.sub(' ', text.casefold()).strip()}"


class Catalogue:
    """Items with their titles. Immutable.

    Parameters
    ----------
    items : IdMap
        The items, by the rows of a model.
    titles : sequence of str, optional
        The title of each row; "" where there is none. Without titles ids are searched.
    counts : ndarray of shape (n_items,), optional
        How many users have each item: search gives the most frequent first. By default the order of the rows.
    """

    def __init__(
        self, items: IdMap, titles: Sequence[str] | None = None, counts: NDArray[np.int64] | None = None
    ) -> None:
        self.items = items
        self._titles = titles
        self._counts = counts

    @property
    def has_titles(self) -> bool:
        """Whether any titles are known."""
        return self._titles is not None

    def title(self, row: int) -> str | None:
        """Return the title of a row; None where there is none."""
        return (self._titles[row] or None) if self._titles is not None else None

    def search(self, words: str, n: int) -> list[int]:
        """Return the rows of at most ``n`` items with words that begin so, the most frequent first.

        An item whose id is the text comes first. Where no item has such words, words may stand anywhere in a title.
        Without words, the most frequent items.
        """
        wanted = [f" {word}" for word in _plain(words).split()]
        found = [] if not words.strip() else self._of_id(words.strip())
        found += [row for row in self._matching(wanted, n + 1) if row not in found]
        if not found:
            found = list(self._matching([word.strip() for word in wanted], n))
        return found[:n]

    def _of_id(self, text: str) -> list[int]:
        return [int(row) for row in self.items.rows([text]) if row >= 0] if self._may_be_id(text) else []

    def _may_be_id(self, text: str) -> bool:
        return self.items.kind == "str" or re.fullmatch(r"0|-?[1-9]\d*", text, re.ASCII) is not None

    def _matching(self, parts: Sequence[str], n: int) -> Iterator[int]:
        """Yield at most ``n`` rows in whose text all parts occur."""
        text, begins, rows = self._index
        if not parts:
            yield from (int(row) for row in rows[:n])
            return
        longest, place = max(parts, key=len), 0
        while n > 0 and (place := text.find(longest, place)) >= 0:
            line = bisect.bisect_right(begins, place) - 1
            end = begins[line + 1] if line + 1 < len(begins) else len(text)
            if all(text.find(part, begins[line], end) >= 0 for part in parts):
                n -= 1
                yield int(rows[line])
            place = end

    @functools.cached_property
    def _index(self) -> tuple[str, list[int], NDArray[np.int64]]:
        """The words of all items, a line each; where lines begin; and their rows. Made by the first search."""
        n = len(self.items)
        rows = np.arange(n) if self._counts is None else np.argsort(-self._counts, kind="stable")
        names: Iterable[str] = map(str, self.items.ids.tolist()) if self._titles is None else self._titles
        texts = list(names)
        lines = [_plain(texts[row]) + "\n" for row in rows.tolist()]
        begins = np.concatenate([[0], np.cumsum([len(line) for line in lines])[:-1]]) if lines else np.empty(0)
        return "".join(lines), begins.astype(np.int64).tolist(), rows
