"""Texts as UTF-8 bytes and offsets: how columns and maps hold ids that are strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import ingest

__all__ = ["IdColumn", "TextTable", "string_array"]

_FEW = 0.01  # share of a table's texts that are made by themselves


def string_array(texts: list[str]) -> NDArray[Any]:
    """Return texts as an array of NumPy's ``StringDType``, of objects where NumPy is older than 2."""
    if hasattr(np.dtypes, "StringDType"):
        return np.array(texts, dtype=np.dtypes.StringDType())
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


class TextTable:
    """Texts end to end: the i-th is ``utf8[offsets[i]:offsets[i + 1]]``. Immutable.

    Attributes
    ----------
    utf8 : ndarray of uint8, read-only
        The bytes.
    offsets : ndarray of shape (n + 1,), int64, read-only
        Where each text begins; ascending from 0 to the number of bytes.
    """

    __slots__ = ("_array", "offsets", "utf8")

    def __init__(self, utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        utf8.flags.writeable = offsets.flags.writeable = False
        self.utf8, self.offsets = utf8, offsets
        self._array: NDArray[Any] | None = None

    @classmethod
    def checked(cls, utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> TextTable:
        """Return a table of arrays from elsewhere; raises TypeError or ValueError unless they are one."""
        ingest.check_texts(utf8, offsets)
        return cls(utf8, offsets)

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextTable:
        """Return the table of these texts; raises UnicodeEncodeError where one has a lone surrogate."""
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(each) for each in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    @property
    def pair(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The arrays that native code takes."""
        return self.utf8, self.offsets

    @property
    def array(self) -> NDArray[Any]:
        """The texts as :func:`string_array` has them, read-only; made when first asked for, and kept."""
        if self._array is None:
            array = string_array(self.tolist())
            array.flags.writeable = False
            self._array = array
        return self._array

    @property
    def first_not_integer(self) -> int:
        """The position of the first text that is not an integer as Python writes it; -1: all are."""
        return ingest.first_not_integer(*self.pair)

    def tolist(self) -> list[str]:
        """Return the texts as strings."""
        return ingest.list_texts(*self.pair)

    def integers(self) -> list[int]:
        """Return the values of texts that are all integers."""
        return [int(text) for text in self.tolist()]

    def take(self, rows: NDArray[Any]) -> TextTable:
        """Return the texts at these positions."""
        return TextTable(*ingest.take_texts(*self.pair, np.ascontiguousarray(rows, np.int64)))

    def at(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the texts at some positions as a new array of their shape; for few, no array of all is made."""
        if self._array is not None or rows.size > _FEW * len(self):
            chosen: NDArray[Any] = self.array[rows]
            return chosen
        return string_array(self.take(rows.reshape(-1)).tolist()).reshape(rows.shape)

    def followed_by(self, other: TextTable) -> TextTable:
        """Return these texts and then those of another table."""
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return TextTable(np.concatenate([self.utf8, other.utf8]), offsets)

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, row: int | np.integer[Any]) -> str:
        return self.utf8[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TextTable):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.utf8, other.utf8)

    __hash__ = None  # type: ignore[assignment]  # equality compares arrays


class IdColumn(NamedTuple):
    """Ids, an entry per row of a file or a query.

    Attributes
    ----------
    ids : ndarray or TextTable
        Integers (int32, int64, uint64 only where a value exceeds int64, object only where one exceeds 64 bits), an
        entry each; or texts.
    codes : ndarray of shape (n,), int32, or None
        Where the text of each entry is among ``ids``, which are then distinct, ascending and all in use; None: each
        entry has its own.
    """

    ids: NDArray[Any] | TextTable
    codes: NDArray[np.int32] | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.ids) if self.codes is None else int(self.codes.size)

    @property
    def kind(self) -> str:
        """Whether the ids are integers ("int") or strings ("str")."""
        return "str" if isinstance(self.ids, TextTable) else "int"

    def select(self, entries: NDArray[Any]) -> IdColumn:
        """Return some entries, by a mask or by their positions, without ids that are no longer in use."""
        if self.codes is None:
            return IdColumn(self.ids.take(entries) if isinstance(self.ids, TextTable) else self.ids[entries])
        assert isinstance(self.ids, TextTable)
        codes = self.codes[entries]
        used = np.bincount(codes, minlength=len(self.ids)) > 0
        if used.all():
            return IdColumn(self.ids, codes)
        return IdColumn(self.ids.take(np.flatnonzero(used)), (np.cumsum(used, dtype=np.int32) - 1)[codes])

    def array(self) -> NDArray[Any]:
        """Return an array with an entry each: integers, or strings as :func:`string_array` has them."""
        ids = self.ids.array if isinstance(self.ids, TextTable) else self.ids
        return ids if self.codes is None else ids[self.codes]

    def id_at(self, entry: int) -> Any:
        """Return the id of an entry as a Python object."""
        value = self.ids[entry if self.codes is None else int(self.codes[entry])]
        return value.item() if isinstance(value, np.generic) else value

    def entry_of(self, position: int) -> int:
        """Return the first entry that has the id at a position of ``ids``."""
        return position if self.codes is None else int(np.argmax(self.codes == position))
