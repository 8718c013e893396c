"""The protocol of scores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.links import Compute, Floats, Link

if TYPE_CHECKING:
    from fastcf.scores.factors import FactorScores

__all__ = ["Contributions", "Found", "ItemSide", "Offset", "Rows", "Scores", "Seen", "Selection"]

Rows = NDArray[np.int32]
Found = tuple[Rows, Floats]
Seen = tuple[NDArray[np.int64], Rows] | tuple[None, None]


@dataclass(frozen=True, eq=False)
class Offset:
    """What is added to the scores of items before they are ranked, for all users alike.

    Attributes
    ----------
    values : ndarray of shape (n_items,), float32
        -inf where no list has the item.
    boosts : bool
        Whether some values are neither 0 nor -inf, so that they change the order.
    """

    values: Floats
    boosts: bool


@dataclass(frozen=True)
class Selection:
    """The items that a list may contain.

    Attributes
    ----------
    n : int
        Length of the lists, at most the number of items.
    seen : pair of ndarray, or (None, None)
        Items that each user does not get, as compressed rows (int64 offsets, int32 item rows, ascending).
    candidates : ndarray of int32, optional
        Item rows to choose from, ascending; None: all.
    excluded : ndarray of int32, optional
        Item rows that no user gets.
    storage : {"float32", "float16"}, default "float32"
        Precision in which factors are read; other scores take no notice.
    offset : Offset, optional
        What is added to scores.
    """

    n: int
    seen: Seen = (None, None)
    candidates: Rows | None = None
    excluded: Rows | None = None
    storage: str = "float32"
    offset: Offset | None = None

    def part(self, users: slice) -> Selection:
        """Return the selection for a slice of the users."""
        indptr, indices = self.seen
        if indptr is None or indices is None:
            return self
        ends = indptr[users.start : users.stop + 1]
        own = ends - ends[0], indices[ends[0] : ends[-1]]
        return replace(self, seen=own)

    def with_offset(self, item_score: Floats) -> Floats:
        """Return constants of items' scores and the offset; -inf of what is excluded, which costs searches nothing."""
        if self.offset is not None:
            item_score = item_score + self.offset.values
        if self.excluded is None:
            return item_score
        item_score = np.array(item_score)
        item_score[self.excluded] = -np.inf
        return item_score

    @property
    def item_bias(self) -> Floats | None:
        """The offset as native code takes it."""
        return None if self.offset is None else self.offset.values

    @property
    def boosts(self) -> bool:
        """Whether an offset changes the order of items."""
        return self.offset is not None and self.offset.boosts


class ItemSide(NamedTuple):
    """The item side of linear scores ``m + b_u + c_i + p_u·q_i``.

    Attributes
    ----------
    factors : ndarray of shape (n_items, k), float32
        q_i.
    bias : ndarray of shape (n_items,), float64
        c_i: an item's bias, and its own mean where there is one.
    mean : float
        m.
    unknown : float
        c of an unknown item: the global mean where known items have item means, else 0.
    """

    factors: Floats
    bias: NDArray[np.float64]
    mean: float
    unknown: float


class Contributions(NamedTuple):
    """What the scores of a user for m items are made of, where they are sums over rows.

    Attributes
    ----------
    base : dict of str to ndarray of shape (m,), float64
        Constants by name.
    rows : ndarray of shape (n,), int32
        The rows, of items or of users.
    values : ndarray of shape (n, m), float64
        What each row gives.
    """

    base: dict[str, NDArray[np.float64]]
    rows: Rows
    values: NDArray[np.float64]


class Scores:
    """The scores of a fitted model, by rows of users and items. Immutable.

    Row -1 is an unknown user or item. Scores are float32; ``link`` turns them into predictions and keeps their order.
    The defaults of methods that are not abstract are those of scores without the feature.

    Attributes
    ----------
    n_users, n_items : int
        Numbers of rows.
    link : Link
        From scores to predictions.

    Notes
    -----
    In all methods ``users`` and ``items`` are rows: int32 arrays of shape (n,) of pairs, and of shape (m,) of queries
    and blocks. ``compute`` says where scores are computed and by how many threads; results have the same bits for any
    number of threads. Rows are valid: callers have checked them, and methods raise nothing of their own. What scores
    do not offer raises NotImplementedError: ask ``linear``, ``compares_items``, ``compares_users``,
    ``has_deviations``, ``explains`` or ``resident`` first.
    """

    n_users: int
    n_items: int
    link: Link

    shown: ClassVar[tuple[str, ...]] = ()
    """Names of what models show as attributes."""

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows: float32 of shape (n,)."""
        raise NotImplementedError

    def listed(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows; -inf where no list of the user's can have the item."""
        return self.pairs(users, items, compute)

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows, in new memory: float32 of shape (m, n_items)."""
        raise NotImplementedError

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the rows and scores of the best items of user rows: int32 and float32 of shape (m, selection.n).

        Best first, ties by the smaller item row; rows of -1 where too few items remain. An offset of the selection is
        part of the scores.
        """
        raise NotImplementedError

    @property
    def linear(self) -> bool:
        """Whether predictions are ``m_i + b_u + b_i + p_u·q_i``, so that sums of such scores are of the same form."""
        return False

    def as_factors(self) -> FactorScores | None:
        """Return the same scores, link included, as factors with biases; None where they are not of that form."""
        return None

    def item_side(self) -> ItemSide:
        """Return the item side; only of linear scores."""
        raise NotImplementedError

    def user_side(self, users: Rows) -> tuple[Floats, NDArray[np.float64]]:
        """Return the factors p_u, (m, k), and biases b_u, (m,), of user rows; only of linear scores."""
        raise NotImplementedError

    @property
    def compares_items(self) -> bool:
        """Whether there are neighbours of items."""
        return False

    @property
    def compares_users(self) -> bool:
        """Whether there are neighbours of users."""
        return False

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the rows and similarities of the nearest items of item rows: int32 and float32 of shape (m, n).

        An item is not its own neighbour. Rows are -1 where there are too few. ``metric`` is "cosine", "dot" or
        "euclidean".
        """
        raise NotImplementedError

    def user_neighbours(self, users: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the nearest users of user rows; as :meth:`item_neighbours`."""
        raise NotImplementedError

    @property
    def has_deviations(self) -> bool:
        """Whether the standard deviations of ratings are known."""
        return False

    def deviations(self, users: Rows, items: Rows) -> Floats:
        """Return the standard deviations of ratings of pairs of rows, in the ratings' unit: float32, shape (n,)."""
        raise NotImplementedError

    @property
    def explains(self) -> bool:
        """Whether scores are constants and sums over rows, as :meth:`contributions` returns them."""
        return False

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return what the scores of a user row for item rows are made of; row -1 is unknown."""
        raise NotImplementedError

    @property
    def resident(self) -> bool:
        """Whether item factors can stay in a device's memory between calls."""
        return False

    def on_device(self, compute: Compute) -> AbstractContextManager[None]:
        """Return a context in which item factors stay in the device's memory."""
        raise NotImplementedError
