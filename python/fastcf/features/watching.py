"""Features of users: which of the most rated items they rated."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from fastcf.features.reading import read_ids
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings, as_ratings

__all__ = ["watched"]


def watched(
    ratings: Any,
    n_items: int = 1000,
    *,
    items: IdMap | ArrayLike | None = None,
    users: IdMap | ArrayLike | None = None,
) -> FeatureTable:
    """Describe users by what they rated: a feature for each of the most rated items, 1 for those that a user rated.

    The features of a newcomer follow from their history, so that a model of these features, such as :class:`TwoTower`,
    serves them without training: ``fold_in(user_features=watched(history, items=...))``.

    Parameters
    ----------
    ratings : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
        Training ratings, or the histories of other users; values do not matter.
    n_items : int, default 1000
        How many items: those with the most ratings, ties by their order in the ratings. At least 1; must be left at its
        default where ``items`` are given.
    items : IdMap or array-like, optional
        Which items instead, in the order of the features: those of an earlier table. Unknown ones are columns of zeros.
    users : IdMap or array-like, optional
        The users, including any without ratings; by default the users of the ratings.

    Returns
    -------
    FeatureTable
        Sparse, a row per user; the features are called by the items' ids.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Whether an item was rated is known before its rating is, so these features hold no value that is to be predicted.

    Examples
    --------
    >>> ratings = Ratings.from_coo(["ann", "ann", "bob"], ["up", "heat", "up"], [5.0, 2.0, 4.0])
    >>> people = watched(ratings, n_items=1)
    >>> people.names.tolist(), people.matrix.toarray().tolist()
    (['up'], [[1.0], [1.0]])
    >>> watched(Ratings.from_coo(["eve"], ["heat"], [3.0]), items=people.names).matrix.toarray().tolist()
    [[0.0]]
    """
    caller = "watched"
    given: Ratings = as_ratings(ratings, caller=caller)
    if isinstance(n_items, bool) or not isinstance(n_items, (int, np.integer)):
        raise TypeError(f"{caller}: n_items must be an integer of at least 1; got {n_items!r}")
    if n_items < 1:
        raise ValueError(f"{caller}: n_items must be an integer of at least 1; got {n_items}")
    if items is None:
        counts = np.bincount(given.indices, minlength=given.n_items)
        rows = np.argsort(-counts, kind="stable")[:n_items]
        rows = rows[counts[rows] > 0]
        columns = given.items.take(rows)
    else:
        if n_items != 1000:
            raise ValueError(f"{caller}: n_items must be left at its default where items are given; got {n_items}")
        columns = read_ids(items, caller, "items")
    place = columns.find(given.items, f"{caller}: items")[given.indices]
    known = place >= 0
    shape = given.n_users, len(columns)
    owner = given.row_of_entry()[known]
    matrix = scipy.sparse.csr_array((np.ones(owner.size, np.float32), (owner, place[known])), shape=shape)
    names = [str(each) for each in columns.ids]
    if users is None:
        return FeatureTable(given.users, matrix, names)
    ids = read_ids(users, caller, "users")
    with_none = scipy.sparse.vstack([matrix, scipy.sparse.csr_array((1, shape[1]), dtype=np.float32)], format="csr")
    return FeatureTable(ids, with_none[given.users.find(ids, f"{caller}: users")], names)  # row -1: no history
