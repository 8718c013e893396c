"""The local form of linear item models: weights between an item and its nearest items, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.models.linear.problem import Floats, LinearProblem
from fastcf.scores.protocol import Rows

__all__ = ["local_weights"]


def local_weights(problem: LinearProblem, neighbours: int) -> Any:
    """Return B as a SciPy CSR array with ``neighbours`` entries per column: row j holds what item j gives to others.

    The closed form is restricted to an item and its nearest items by the cosine of the weighted Gram matrix. Nothing of
    the square of the items is in memory.

    Raises
    ------
    ValueError
        If the penalty is too small to solve for the weights of an item.
    """
    n = problem.n_items
    indptr, indices, values = problem.histories
    stored = None if (values == 1).all() else values
    user_weights = problem.user_weights.astype(np.float32)
    starts, rows = _all_others(problem) if neighbours >= n - 1 else _nearest(problem, stored, user_weights, neighbours)
    native, n_threads = problem.compute
    try:
        weights: Floats = native.local_weights(
            indptr,
            indices,
            stored,
            n,
            user_weights,
            starts,
            rows,
            problem.penalty,
            problem.dropout / (1 - problem.dropout),
            targets=problem.strengths if problem.mixed else None,
            n_threads=n_threads,
        )
    except ValueError as error:
        raise ValueError(
            f"{problem.caller}: reg and dropout must be large enough to solve for the weights; got "
            f"reg={problem.reg:g} and dropout={problem.dropout:g}; raise either"
        ) from error
    return scipy.sparse.csc_array((weights, rows, starts), shape=(n, n)).tocsr()


def _used(problem: LinearProblem) -> NDArray[np.bool_]:
    """Return which items have entries."""
    return np.bincount(problem.histories.indices, minlength=problem.n_items) > 0


def _all_others(problem: LinearProblem) -> tuple[NDArray[np.int64], Rows]:
    """Return, per item with entries, all others with entries, as compressed rows."""
    used = _used(problem)
    pairs = used[:, np.newaxis] & used
    np.fill_diagonal(pairs, False)
    starts = np.concatenate([[0], np.cumsum(pairs.sum(axis=1))])
    return starts.astype(np.int64), np.nonzero(pairs)[1].astype(np.int32)


def _nearest(
    problem: LinearProblem, values: Floats | None, user_weights: Floats, neighbours: int
) -> tuple[NDArray[np.int64], Rows]:
    """Return, per item, its nearest items by cosine, ascending, as compressed rows; fewer where fewer are positive."""
    n = problem.n_items
    indptr, indices, stored = problem.histories
    squares = np.repeat(problem.user_weights, np.diff(indptr)) * stored.astype(np.float64) ** 2
    lengths = np.sqrt(np.bincount(indices, squares, n)).astype(np.float32)
    by_item = scipy.sparse.csr_array((stored, indices, indptr), shape=(indptr.size - 1, n)).T.tocsr()
    native, n_threads = problem.compute
    found, _ = native.cooccurrence(
        by_item.indptr.astype(np.int64),
        by_item.indices.astype(np.int32),
        None if values is None else by_item.data,
        indptr,
        indices,
        values,
        n,
        neighbours,
        user_weights,
        row_scale=lengths,
        column_scale=lengths,
        left_out=np.arange(n, dtype=np.int32),
        n_threads=n_threads,
    )
    found.sort(axis=1)
    there = found >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return starts.astype(np.int64), found[there]
