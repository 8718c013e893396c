"""Biases of ratings by regularised least squares, with penalties estimated from the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.ratings import Ratings

__all__ = ["Biases", "fit_biases"]


class Biases(NamedTuple):
    """The result of :func:`fit_biases`; see :class:`BiasModel` for the meaning."""

    mean: float
    users: NDArray[np.float32]
    items: NDArray[np.float32]
    user_reg: float
    item_reg: float
    noise_variance: float
    iterations: int


def fit_biases(
    ratings: Ratings,
    backend: Backend,
    *,
    user_reg: float | str = "auto",
    item_reg: float | str = "auto",
    item_mean: NDArray[np.float32] | None = None,
    tolerance: float = 1e-4,
    n_threads: int = 0,
) -> Biases:
    """Fit the biases of ratings, on top of ``item_mean`` if given; "auto" estimates a penalty from the data.

    Passes over the ratings end when mean, penalties and noise change by no more than ``tolerance``, relatively. The
    result is kept with the ratings, of which every candidate of a search, and every member of a blend, begins with the
    same; the arrays returned are copies.
    """
    offset = None if item_mean is None else item_mean.tobytes()
    key = "biases", backend, user_reg, item_reg, offset, tolerance
    fitted = ratings.derived(
        key, lambda: _fitted(ratings, backend, user_reg, item_reg, item_mean, tolerance, n_threads)
    )
    return fitted._replace(users=fitted.users.copy(), items=fitted.items.copy())


def _fitted(
    ratings: Ratings,
    backend: Backend,
    user_reg: float | str,
    item_reg: float | str,
    item_mean: NDArray[np.float32] | None,
    tolerance: float,
    n_threads: int,
) -> Biases:
    users = np.empty(ratings.n_users, np.float32)
    items = np.empty(ratings.n_items, np.float32)
    fit = backend.module.fit_biases(
        ratings.indptr,
        ratings.indices,
        ratings.values,
        users,
        items,
        weights=ratings.weights,
        item_offset=item_mean,
        user_reg=-1.0 if isinstance(user_reg, str) else float(user_reg),
        item_reg=-1.0 if isinstance(item_reg, str) else float(item_reg),
        tolerance=tolerance,
        n_threads=n_threads,
    )
    spread = fit["user_reg"], fit["item_reg"], fit["noise_variance"], fit["iterations"]
    return Biases(fit["mean"], users, items, *spread)
