"""The parts of training, for loops of your own: NumPy arrays in, NumPy arrays out, computed natively.

Every function takes float32 or float64 factors and computes in that type, so that a gradient can be checked in float64
on the code that trains in float32. Results are the same bits for any number of threads, and inputs are not
changed except with ``copy=False``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import resolve_device
from fastcf._parameters import check_n_threads
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores.targets import COSTS
from fastcf.training.optimizers import Optimizer, as_optimizer

__all__ = [
    "MfGradient",
    "OptimizerState",
    "mf_cost_and_gradient",
    "mf_predict",
    "optimizer_flush",
    "optimizer_step",
]

Floats = NDArray[np.floating[Any]]


class MfGradient(NamedTuple):
    """The result of :func:`mf_cost_and_gradient`.

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
        Threads to use; by default :func:`fastcf.get_num_threads`.

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
    _one_of(cost, COSTS, "cost", caller)
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
        n_threads=check_n_threads(n_threads, caller),
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
    _one_of(cost, COSTS, "cost", caller)
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
        n_threads=check_n_threads(n_threads, caller),
    )
    return predicted


@dataclass(frozen=True)
class OptimizerState:
    """The state of an optimiser for an array of parameters: returned by :func:`optimizer_step`, taken by the next one.

    Attributes
    ----------
    step : int
        Steps taken.
    first, second : ndarray of the shape of the parameters, or None
        Running sums, where the optimiser has them; see its formulas in :mod:`fastcf.optimizers`.
    row_steps : ndarray of shape (n_rows,), int64, or None
        Once a step by row was taken: with momentum, the step up to which each row is up to date; with Adam, how many
        steps it has taken.
    """

    step: int
    first: Floats | None
    second: Floats | None
    row_steps: NDArray[np.int64] | None


def optimizer_step(
    parameters: Floats,
    gradient: Floats,
    state: OptimizerState | None = None,
    *,
    optimizer: str | Optimizer = "gd",
    learning_rate: float,
    weight_decay: float = 0.0,
    rows: NDArray[np.integer[Any]] | None = None,
    copy: bool = True,
    n_threads: int | None = None,
) -> tuple[Floats, OptimizerState]:
    """Take one step of an optimiser, on a whole array or on some of its rows.

    Parameters
    ----------
    parameters : ndarray of shape (n_rows,) or (n_rows, n_columns), float32 or float64
        The current parameters.
    gradient : ndarray
        Of the shape and type of the parameters or, with ``rows``, of those rows.
    state : OptimizerState, optional
        From the previous step; None for the first.
    optimizer : str or Optimizer, default "gd"
        See :func:`fastcf.optimizers.as_optimizer`. The same at every step.
    learning_rate : float
        At least 0.
    weight_decay : float, default 0.0
        l, at least 0: the gradient is taken to be g + l p, that of an L2 penalty l p² / 2.
    rows : ndarray of int, ascending, optional
        The rows that have a gradient; all others have a gradient of zero. Gradient descent and AdaGrad leave those as
        they are. Momentum and Nesterov move them, and so does weight decay under these and gradient descent, which
        happens, exactly, when they are next named, or for all rows by :func:`optimizer_flush`; flush before reading
        parameters and, with weight decay, before changing the learning rate. Under AdaDelta and Adam, which have no
        closed form, and for AdaGrad's weight decay, those rows do not change.
    copy : bool, default True
        False changes the arrays of ``parameters`` and ``state`` in place.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`.

    Returns
    -------
    parameters : ndarray
        After the step. Deterministic: the same bits for any number of threads.
    state : OptimizerState
        For the next step.

    Raises
    ------
    TypeError, ValueError
        If types or shapes disagree, rows do not ascend, or the state is that of another optimiser.

    Examples
    --------
    >>> import numpy as np
    >>> p, state = np.zeros(2), None
    >>> for _ in range(2):
    ...     p, state = optimizer_step(p, np.ones(2), state, optimizer="momentum", learning_rate=1.0)
    >>> p.tolist()
    [-2.9, -2.9]
    """
    caller = "optimizer_step"
    constants = as_optimizer(optimizer, caller).constants
    _dtype(parameters, gradient, caller, ("parameters", "gradient"))
    for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{caller}: {name} must be a finite number of at least 0; got {value}")
    if state is None:
        first, second = (
            np.zeros_like(parameters) if constants.name in names else None for names in (_KEEP_FIRST, _KEEP_SECOND)
        )
        state = OptimizerState(0, first, second, None)
    parameters, state = _owned(parameters, state, copy)
    row_steps = state.row_steps
    if rows is None:
        named = None if row_steps is None else np.arange(len(parameters), dtype=np.int32)
    else:
        named = _row_numbers(rows, len(parameters), caller)
        row_steps = np.full(len(parameters), state.step, np.int64) if row_steps is None else row_steps
    resolve_device("auto", caller).module.optimizer_step(
        *constants, learning_rate, state.step + 1, parameters, gradient, state.first, state.second, named, row_steps,
        weight_decay, check_n_threads(n_threads, caller),
    )  # fmt: skip
    return parameters, OptimizerState(state.step + 1, state.first, state.second, row_steps)


def optimizer_flush(
    parameters: Floats,
    state: OptimizerState,
    *,
    optimizer: str | Optimizer,
    learning_rate: float = 0.0,
    weight_decay: float = 0.0,
    copy: bool = True,
    n_threads: int | None = None,
) -> tuple[Floats, OptimizerState]:
    """Take the deferred steps of all rows after steps by row.

    Parameters
    ----------
    parameters, state
        From the last :func:`optimizer_step`.
    optimizer : str or Optimizer
        The one that took the steps.
    learning_rate, weight_decay : float, default 0.0
        Those of the steps; they count only where there is weight decay.
    copy, n_threads
        As for :func:`optimizer_step`.

    Returns
    -------
    parameters : ndarray
        As after as many steps of the whole array with a gradient of zero where there was none, to rounding; unchanged
        for optimisers that do not move such rows.
    state : OptimizerState
        For the next step.

    Raises
    ------
    TypeError, ValueError
        If types or shapes disagree.
    """
    caller = "optimizer_flush"
    constants = as_optimizer(optimizer, caller).constants
    _dtype(parameters, parameters, caller, ("parameters", "parameters"))
    parameters, state = _owned(parameters, state, copy)
    if state.row_steps is not None:
        resolve_device("auto", caller).module.optimizer_flush(
            *constants, state.step, parameters, state.first, state.second, state.row_steps,
            weight_decay, learning_rate, check_n_threads(n_threads, caller),
        )  # fmt: skip
    return parameters, state


_KEEP_FIRST = ("momentum", "nesterov", "adagrad", "adadelta", "adam")
_KEEP_SECOND = ("adadelta", "adam")


def _owned(parameters: Floats, state: OptimizerState, copy: bool) -> tuple[Floats, OptimizerState]:
    if not copy:
        return parameters, state
    first, second = (None if array is None else array.copy() for array in (state.first, state.second))
    row_steps = None if state.row_steps is None else state.row_steps.copy()
    return parameters.copy(), OptimizerState(state.step, first, second, row_steps)


def _row_numbers(rows: Any, n_rows: int, caller: str) -> NDArray[np.int32]:
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size):
        raise TypeError(f"{caller}: rows must be a vector of integers; got {numbers.dtype} of shape {numbers.shape}")
    wrong = np.flatnonzero((numbers < 0) | (numbers >= n_rows))
    if wrong.size:
        raise ValueError(f"{caller}: rows must lie in [0, {n_rows}); got {numbers[wrong[0]]} at entry {wrong[0]}")
    return np.ascontiguousarray(numbers, dtype=np.int32)


def _ratings(ratings: Any, caller: str) -> Ratings:
    """Refuse ids, which need not be rows of the factors."""
    if isinstance(ratings, Ratings):
        return ratings
    if not hasattr(ratings, "tocoo"):
        kind = type(ratings).__name__
        raise TypeError(f"{caller}: ratings must be Ratings or a SciPy sparse matrix; got {kind}")
    return as_ratings(ratings, caller=caller)


def _dtype(
    first: Any, second: Any, caller: str, names: tuple[str, str] = ("user_factors", "item_factors")
) -> np.dtype[np.floating[Any]]:
    for name, array in zip(names, (first, second), strict=True):
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{caller}: {name} must be a float32 or float64 NumPy array; got {kind}")
    dtype: np.dtype[np.floating[Any]] = first.dtype
    return dtype


def _one_of(value: object, options: tuple[str, ...], name: str, caller: str) -> None:
    if value not in options:
        raise ValueError(f"{caller}: {name} must be {' or '.join(map(repr, options))}; got {value!r}")


def _penalties(counts: NDArray[np.int64], reg: float, exponent: float, dtype: np.dtype[Any]) -> Floats | None:
    """λ n^a per row, and 0 for rows without ratings."""
    if reg == 0:
        return None
    return np.where(counts > 0, reg * np.maximum(counts, 1).astype(np.float64) ** exponent, 0).astype(dtype)
