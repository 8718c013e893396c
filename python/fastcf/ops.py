"""The building blocks of training, for those who build their own: NumPy arrays in, NumPy arrays out, computed natively.

Every function takes float32 or float64 factors and computes in that type, so that a gradient can be checked in float64
on the code that trains in float32. Results are the same bits for any number of threads, and their inputs are left as
they are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import resolve_device
from fastcf.ratings import Ratings, as_ratings

__all__ = ["MfGradient", "mf_cost_and_gradient", "mf_predict"]

_COSTS = ("squared", "logistic")
Floats = NDArray[np.floating[Any]]


class MfGradient(NamedTuple):
    """What :func:`mf_cost_and_gradient` returns.

    Attributes
    ----------
    cost : float
        J, summed in float64.
    loss : float
        Its first sum, over the ratings.
    user_factors, item_factors : ndarray of shape (n_users, k), (n_items, k)
        dJ/dP and dJ/dQ.
    user_bias, item_bias : ndarray of shape (n_users,), (n_items,), or None
        The same for biases; None for a model without them.
    """

    cost: float
    loss: float
    user_factors: Floats
    item_factors: Floats
    user_bias: Floats | None
    item_bias: Floats | None


def mf_cost_and_gradient(
    ratings: Any,
    user_factors: Floats,
    item_factors: Floats,
    user_bias: Floats | None = None,
    item_bias: Floats | None = None,
    *,
    cost: str = "squared",
    reg: float = 0.0,
    reg_exponent: float = 0.0,
    user_bias_reg: float = 0.0,
    item_bias_reg: float = 0.0,
    item_offset: Floats | None = None,
    global_offset: float = 0.0,
    n_threads: int | None = None,
) -> MfGradient:
    r"""Return the cost of a matrix factorisation and its gradient, over the stored ratings only.

    With :math:`z_{ui} = m_{ui} + b_u + b_i + p_u \cdot q_i`,

    .. math:: J = \sum w_{ui}\,l(z_{ui}, y_{ui}) + \tfrac12 \sum_u \lambda n_u^a |p_u|^2
        + \tfrac12 \sum_i \lambda n_i^a |q_i|^2 + \tfrac12 \lambda_u \sum b_u^2 + \tfrac12 \lambda_i \sum b_i^2

    where l is :math:`\tfrac12 (z - y)^2` or :math:`\mathrm{softplus}(z) - y z`, and n_u, n_i count the ratings of a
    row; rows without ratings pay nothing.

    Parameters
    ----------
    ratings : Ratings or SciPy sparse matrix of shape (n_users, n_items)
        y, with weights w (1 where there are none). Labels from 0 to 1 for the logistic cost.
    user_factors, item_factors : ndarray of shape (n_users, k), (n_items, k), float32 or float64
        p_u, q_i.
    user_bias, item_bias : ndarray of shape (n_users,), (n_items,), optional
        b_u, b_i; both or neither.
    cost : {"squared", "logistic"}, default "squared"
        l.
    reg : float, default 0
        λ, at least 0.
    reg_exponent : float, default 0
        a, from 0 (plain) to 1 (weighted by counts).
    user_bias_reg, item_bias_reg : float, default 0
        λ_u, λ_i, at least 0.
    item_offset : ndarray of shape (n_items,), optional
        m_ui per item.
    global_offset : float, default 0
        m_ui where ``item_offset`` is not given.
    n_threads : int, optional
        Threads to use; all by default.

    Returns
    -------
    MfGradient
        In the type of the factors.

    Raises
    ------
    TypeError
        If an array is not of the factors' type.
    ValueError
        If shapes disagree, a penalty is negative, or labels lie outside [0, 1] under the logistic cost.

    Notes
    -----
    Deterministic: the same bits for any number of threads. One pass over the ratings by user and one by item.

    References
    ----------
    Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for recommender systems", IEEE Computer 42(8),
    2009. Y. Zhou et al., "Large-scale parallel collaborative filtering for the Netflix Prize", AAIM 2008 (penalties
    weighted by counts).

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> ratings = scipy.sparse.csr_matrix(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> step = mf_cost_and_gradient(ratings, np.ones((2, 1)), np.ones((2, 1)), reg=1.0)
    >>> step.cost, step.user_factors.tolist()
    (2.5, [[0.0], [1.0]])
    """
    caller = "mf_cost_and_gradient"
    ratings = _ratings(ratings, caller)
    dtype = _dtype(user_factors, item_factors, caller)
    _one_of(cost, _COSTS, "cost", caller)
    for name, value in (("reg", reg), ("user_bias_reg", user_bias_reg), ("item_bias_reg", item_bias_reg)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{caller}: {name} must be a finite number of at least 0; got {value}")
    if not 0 <= reg_exponent <= 1:
        raise ValueError(f"{caller}: reg_exponent must lie in [0, 1]; got {reg_exponent}")
    if cost == "logistic":
        low, high = ratings.rating_range
        if low < 0 or high > 1:
            raise ValueError(
                f"{caller}: labels must lie in [0, 1] for cost='logistic'; got ratings from {low} to {high}"
            )
    by_item = ratings.by_item()
    users, items = np.diff(ratings.indptr), np.diff(by_item.indptr)
    loss, penalty, *gradient, _ = resolve_device("auto", caller).module.mf_gradient(
        ratings.indptr,
        ratings.indices,
        ratings.values.astype(dtype, copy=False),
        by_item.indptr,
        by_item.indices,
        by_item.entries,
        user_factors,
        item_factors,
        user_bias,
        item_bias,
        weights=None if ratings.weights is None else ratings.weights.astype(dtype, copy=False),
        item_offset=item_offset,
        global_offset=global_offset,
        cost=cost,
        user_reg=_penalties(users, reg, reg_exponent, dtype),
        item_reg=_penalties(items, reg, reg_exponent, dtype),
        user_bias_reg=_penalties(users, user_bias_reg, 0.0, dtype),
        item_bias_reg=_penalties(items, item_bias_reg, 0.0, dtype),
        n_threads=n_threads or 0,
    )
    return MfGradient(loss + penalty, loss, *gradient)


def mf_predict(
    ratings: Any,
    user_factors: Floats,
    item_factors: Floats,
    user_bias: Floats | None = None,
    item_bias: Floats | None = None,
    *,
    cost: str = "squared",
    item_offset: Floats | None = None,
    global_offset: float = 0.0,
    n_threads: int | None = None,
) -> Floats:
    """Return the predictions of a matrix factorisation where ratings are stored, and nowhere else.

    Parameters
    ----------
    ratings : Ratings or SciPy sparse matrix of shape (n_users, n_items)
        Only its structure is looked at.
    user_factors, item_factors, user_bias, item_bias, item_offset, global_offset, n_threads
        As for :func:`mf_cost_and_gradient`.
    cost : {"squared", "logistic"}, default "squared"
        "logistic" turns z into the probability 1 / (1 + exp(-z)).

    Returns
    -------
    ndarray of shape (nnz,)
        In the order of the stored ratings (by user, then by item) and the type of the factors. Deterministic: the same
        bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        If types or shapes disagree.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> stored = scipy.sparse.csr_matrix(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> mf_predict(stored, np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])).tolist()
    [3.0, 8.0]
    """
    caller = "mf_predict"
    ratings = _ratings(ratings, caller)
    _dtype(user_factors, item_factors, caller)
    _one_of(cost, _COSTS, "cost", caller)
    predicted: Floats = resolve_device("auto", caller).module.mf_predict(
        ratings.indptr,
        ratings.indices,
        user_factors,
        item_factors,
        user_bias,
        item_bias,
        item_offset=item_offset,
        global_offset=global_offset,
        cost=cost,
        n_threads=n_threads or 0,
    )
    return predicted


def _ratings(ratings: Any, caller: str) -> Ratings:
    """Ids would be numbered anew, and no longer mean rows of factors: only what has rows is taken."""
    if isinstance(ratings, Ratings):
        return ratings
    if not hasattr(ratings, "tocoo"):
        kind = type(ratings).__name__
        raise TypeError(f"{caller}: ratings must be Ratings or a SciPy sparse matrix; got {kind}")
    return as_ratings(ratings, caller=caller)


def _dtype(user_factors: Any, item_factors: Any, caller: str) -> np.dtype[np.floating[Any]]:
    for name, array in (("user_factors", user_factors), ("item_factors", item_factors)):
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{caller}: {name} must be a float32 or float64 NumPy array; got {kind}")
    dtype: np.dtype[np.floating[Any]] = user_factors.dtype
    return dtype


def _one_of(value: object, options: tuple[str, ...], name: str, caller: str) -> None:
    if value not in options:
        raise ValueError(f"{caller}: {name} must be {' or '.join(map(repr, options))}; got {value!r}")


def _penalties(counts: NDArray[np.int64], reg: float, exponent: float, dtype: np.dtype[Any]) -> Floats | None:
    """λ n^a per row, and 0 for rows without ratings."""
    if reg == 0:
        return None
    return np.where(counts > 0, reg * np.maximum(counts, 1).astype(np.float64) ** exponent, 0).astype(dtype)
