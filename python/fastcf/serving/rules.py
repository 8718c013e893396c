"""Rules of a shop for the lists of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._columns import float_vector
from fastcf._id_columns import as_id_column
from fastcf._parameters import Interval
from fastcf._texts import IdColumn
from fastcf.ids import IdMap, distinct
from fastcf.scores.candidates import compressed
from fastcf.scores.protocol import Offset
from fastcf.scores.rules import ItemRules, Quotas

__all__ = ["Rules"]

_CALLER = "Rules"
_KEPT = 4  # models whose rules are remembered
_COUNT = Interval(0, 2**31 - 1, integer=True)


class Rules:
    """What lists may contain and what comes first: prepared once, applied natively to every list. Immutable.

    Pass them to ``recommend(..., rules=rules)`` of any model or of a
    :class:`fastcf.retrieval.TwoStageRecommender`. At the first call they are resolved against the items of the model,
    and what that yields is kept: later calls pay next to nothing for any number of excluded items. A model that was
    fitted or loaded again has other items: rules are then resolved anew, so that they never apply to wrong rows.

    Parameters
    ----------
    candidates : array-like, optional
        Item ids that lists may contain: what is in stock. None: all items.
    exclude : array-like, optional
        Item ids that no list contains: what is out of stock.
    exclude_for : mapping of user id to item ids, or tuple (users, items) of array-like of shape (m,), optional
        What single users do not get, for example what they dismissed; of a tuple, one pair each.
    boosts : mapping of item id to float, or tuple (items, values), optional
        What is added to the score of items before they are ranked, in units of the score: stars for a model of ratings,
        log-odds for a model of labels, whose odds are multiplied by ``exp(boost)``. Finite numbers; below 0 they bury.
    categories : mapping of item id to category or categories, or tuple (items, categories), optional
        The category of items, integers or strings, or a list of several, such as genres; of a tuple, an item may also
        be named several times. Items that are left out have none, and are not limited.
    quotas : int, or mapping of category to int, optional
        The most items of one category in a list: of each, or of those that are named. An item of several counts in all.

    Raises
    ------
    TypeError, ValueError
        If ids are neither integers nor strings, an item has two boosts, a boost is not finite, a
        quota is no count, or there are quotas without categories or categories without quotas.

    Notes
    -----
    Ids that a model does not know are left out. The order of items is that of scores plus boosts, ties by the order of
    ``items_.ids``. A boost is a sum and not a product, since a score may be negative: a factor would then turn a boost
    into its opposite. The scores of a list are the model's predictions, without boosts, so that they may rise within a
    list.

    Of a list with quotas, items are taken from the best on, and an item is passed over if one of its categories is
    full. Where many of the best are passed over, the search is repeated with longer lists.

    What single users do not get goes by user ids, also of users whose ids come with a ``history`` of ``Ratings``; users
    that are row numbers of another kind of history have no such exclusions.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.serving import Rules
    >>> ratings = fastcf.data.make_ratings(50, 30, 500, random_state=0)
    >>> model = fastcf.MatrixFactorization(4, random_state=0).fit(ratings)
    >>> kinds = (ratings.items, [item % 3 for item in ratings.items.ids])
    >>> rules = Rules(exclude=[3, 4], boosts={8: 0.5}, categories=kinds, quotas=2, exclude_for={7: [1, 2]})
    >>> sorted(int(item) % 3 for item in model.recommend(7, n=5, rules=rules).items)
    [0, 1, 1, 2, 2]
    """

    def __init__(
        self,
        *,
        candidates: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        exclude_for: Mapping[Any, ArrayLike] | tuple[ArrayLike, ArrayLike] | None = None,
        boosts: Mapping[Any, float] | tuple[ArrayLike, ArrayLike] | None = None,
        categories: Mapping[Any, Any] | tuple[ArrayLike, ArrayLike] | None = None,
        quotas: int | Mapping[Any, int] | None = None,
    ) -> None:
        self._candidates = None if candidates is None else _distinct(candidates, "candidates")
        self._exclude = None if exclude is None else _distinct(exclude, "exclude")
        self._boosts = _boosts(boosts)
        self._dismissed = None if exclude_for is None else _exclusions(exclude_for)
        if (categories is None) != (quotas is None):
            given, lacking = ("quotas", "categories") if categories is None else ("categories", "quotas")
            raise ValueError(f"{_CALLER}: {lacking} must be given with {given}; got None")
        self._limits = None if categories is None else _limits(categories, quotas)
        self._resolved: tuple[tuple[IdMap, ItemRules], ...] = ()

    def prepare(self, model: Any) -> Rules:
        """Resolve the rules for a model now, and not at its first list.

        Parameters
        ----------
        model : fitted model
            Anything with ``items_``.

        Returns
        -------
        Rules
            Itself.

        Raises
        ------
        TypeError
            If its ids are of another kind than those of the rules.
        """
        self.over(model.items_, f"{_CALLER}.prepare")
        return self

    def over(self, items: IdMap, caller: str) -> ItemRules:
        """Return the rules by the rows of a model's items; kept for the last few models.

        Parameters
        ----------
        items : IdMap
            The items of a model.
        caller : str
            Heads messages.

        Returns
        -------
        ItemRules

        Raises
        ------
        TypeError
            If their ids are of another kind than those of the rules.
        """
        known = self._resolved
        for theirs, rules in known:
            if theirs is items:
                return rules
        same = (rules for theirs, rules in known if theirs == items)  # of a model fitted again to the same items
        rules = next(same, None) or self._over(items, f"{caller}: rules")
        self._resolved = ((items, rules), *known)[:_KEPT]  # at once, for other threads
        return rules

    def _over(self, items: IdMap, where: str) -> ItemRules:
        offset = quotas = None
        if self._candidates is not None or self._exclude is not None or self._boosts is not None:
            offset = self._offset(items, where)
        if self._limits is not None:
            ids, codes, most = self._limits
            rows = items.find(ids, f"{where}: categories")
            known = rows >= 0
            own = compressed(rows[known].astype(np.int64), codes[known], len(items), most.size)
            quotas = Quotas(own.read_only(), most)
        if self._dismissed is None:
            return ItemRules(offset, quotas)
        users, owners, column = self._dismissed
        rows = items.find(column, f"{where}: exclude_for")
        known = rows >= 0
        excluded = compressed(owners[known], rows[known], len(users), len(items))
        return ItemRules(offset, quotas, users, excluded.read_only())

    def _offset(self, items: IdMap, where: str) -> Offset:
        values = np.zeros(len(items), np.float32)
        if self._boosts is not None:
            ids, added = self._boosts
            _assign(values, items.find(ids, f"{where}: boosts"), added)
        boosts = bool(values.any())
        if self._candidates is not None:
            out = np.ones(len(items), bool)
            _assign(out, items.find(self._candidates, f"{where}: candidates"), False)
            values[out] = -np.inf
        if self._exclude is not None:
            _assign(values, items.find(self._exclude, f"{where}: exclude"), -np.inf)
        values.flags.writeable = False
        return Offset(values, boosts)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_resolved": ()}


def _assign(array: NDArray[Any], rows: NDArray[np.int32], values: Any) -> None:
    """Set what known rows have; one value for all, or one each."""
    known = rows >= 0
    array[rows[known]] = values[known] if isinstance(values, np.ndarray) else values


def _column(ids: Any, name: str) -> IdColumn:
    if isinstance(ids, IdMap):
        return ids.column
    if np.size(ids) == 0:
        return IdColumn(np.empty(0, np.int64))
    column = as_id_column(ids, f"{_CALLER}: {name}")
    if isinstance(column.ids, np.ndarray):  # the caller's own array may change
        column = IdColumn(np.array(column.ids, np.int64 if column.ids.dtype == np.int32 else None))
    return column


def _distinct(ids: Any, name: str) -> IdMap:
    return distinct(_column(ids, name))


def _pair(given: Any, name: str) -> tuple[Any, Any]:
    """Return the ids and what they have; of a mapping or of a tuple of two."""
    if isinstance(given, Mapping):
        return list(given.keys()), list(given.values())
    if not (isinstance(given, tuple) and len(given) == 2):
        raise TypeError(f"{_CALLER}: {name} must be a mapping or a tuple of two arrays; got {type(given).__name__}")
    return given


def _items_of(ids: Any, name: str, n: int) -> IdMap:
    """Return distinct ids of items, ``n`` of them."""
    column = _column(ids, f"{name}: items")
    try:
        items = IdMap(column)
    except ValueError as error:
        raise ValueError(f"{_CALLER}: {name} must name an item once: {error}") from None
    if len(items) != n:
        raise ValueError(f"{_CALLER}: {name} must have one value per item; got {n} for {len(items)} items")
    return items


def _boosts(given: Any) -> tuple[IdMap, NDArray[np.float32]] | None:
    if given is None:
        return None
    ids, values = _pair(given, "boosts")
    added = float_vector(values, _CALLER, "boosts").copy()  # the caller's own array may change
    return _items_of(ids, "boosts", added.size), added


def _one_each(ids: Any, labels: Any) -> tuple[Any, Any]:
    """Return items and a category of each; an item of several comes several times."""
    several = list, tuple, set, frozenset, np.ndarray
    of_objects = getattr(getattr(labels, "dtype", None), "kind", "") == "O"  # a table's column, maybe of lists
    listed = isinstance(labels, list | tuple) or of_objects
    if not (listed and any(isinstance(each, several) for each in labels)):
        return ids, labels
    lists = [list(each) if isinstance(each, several) else [each] for each in labels]
    column = ids.ids if isinstance(ids, IdMap) else ids
    _same_size(len(column), len(lists))
    pairs = [(item, label) for item, own in zip(column, lists, strict=True) for label in own]
    return [item for item, _ in pairs], [label for _, label in pairs]


def _same_size(n_items: int, n_categories: int) -> None:
    if n_items != n_categories:
        raise ValueError(f"{_CALLER}: categories must be one entry per item; got {n_categories} for {n_items} items")


def _limits(categories: Any, quotas: Any) -> tuple[IdColumn, NDArray[np.int32], NDArray[np.int64]]:
    """Return items, the codes of their categories, and the most items of each category."""
    ids, labels = _one_each(*_pair(categories, "categories"))
    items, column = _column(ids, "categories: items"), _column(labels, "categories: categories")
    _same_size(items.size, column.size)
    kinds = distinct(column)
    codes = kinds.find(column, f"{_CALLER}: categories")
    most = np.full(len(kinds), np.iinfo(np.int64).max)
    given = quotas if isinstance(quotas, Mapping) else None
    for quota in [quotas] if given is None else given.values():
        if not _COUNT.accepts(quota):
            raise ValueError(f"{_CALLER}: quotas must be {_COUNT} each; got {quota!r}")
    if given is None:
        most[:] = quotas
        return items, codes, most
    named = list(given)
    rows = kinds.find(_column(named, "quotas"), f"{_CALLER}: quotas") if named else np.empty(0, np.int32)
    if (rows < 0).any():
        unknown = named[int(np.argmin(rows))]
        raise ValueError(f"{_CALLER}: quotas must name categories of items; got {unknown!r}, which no item has")
    most[rows] = list(given.values())
    return items, codes, most


def _exclusions(given: Any) -> tuple[IdMap, NDArray[np.int64], IdColumn]:
    """Return users, and pairs of their rows and item ids."""
    if isinstance(given, Mapping):
        lists = [list(ids) for ids in given.values()]
        users = list(given)
        column = _column(users, "exclude_for: users")
        owners = np.repeat(np.arange(len(users), dtype=np.int64), [len(each) for each in lists])
        return IdMap(column), owners, _column([id for each in lists for id in each], "exclude_for: items")
    users, dismissed = _pair(given, "exclude_for")
    column, items = _column(users, "exclude_for: users"), _column(dismissed, "exclude_for: items")
    if column.size != items.size:
        raise ValueError(f"{_CALLER}: exclude_for must have one item per user; got {items.size} for {column.size}")
    known = distinct(column)
    return known, known.find(column, f"{_CALLER}: exclude_for").astype(np.int64), items
