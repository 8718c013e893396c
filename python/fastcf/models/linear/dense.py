"""The dense form of linear item models: all weights between items, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.linear.by_users import few_users, weights_by_users
from fastcf.models.linear.memory import available_memory
from fastcf.models.linear.problem import Floats, LinearProblem

__all__ = ["dense_weights"]

_ROWS = 512  # of a product at once


def dense_weights(problem: LinearProblem) -> Floats:
    """Return B of shape (n_items, n_items), with a zero diagonal: row j holds what item j gives to others.

    One matrix of that shape is in memory at a time, two where some entries were not chosen and users are not few.

    Raises
    ------
    MemoryError
        If that is more than is available.
    ValueError
        If the penalty is too small for float32.
    """
    n = problem.n_items
    _refuse_what_does_not_fit(problem)
    if few_users(problem):
        with single_threaded_blas():
            found = weights_by_users(problem)
        if found is not None:
            return found
    gram: Floats = _gram(problem)
    diagonal = gram.reshape(-1)[:: n + 1]
    unused = diagonal == 0  # nothing else is in their rows: any positive number will do
    diagonal += np.float32(problem.dropout / (1 - problem.dropout)) * diagonal + np.float32(problem.penalty)
    diagonal[unused] = 1
    native, n_threads = problem.compute
    with single_threaded_blas():
        failed = native.spd_inverse(gram, n_threads=n_threads)
    if failed >= 0:
        raise ValueError(
            f"{problem.caller}: reg and dropout must be large enough to solve for the weights in float32: the matrix "
            f"of {n} items is not positive definite at row {failed}; got reg={problem.reg:g} and "
            f"dropout={problem.dropout:g}; raise either"
        )
    if problem.mixed:
        _times_targets(gram, problem)
    else:
        gram /= -diagonal.copy()
    diagonal[:] = 0
    return gram


def _gram(problem: LinearProblem, targets: Floats | None = None) -> Any:
    """Return ZᵀWZ, or ZᵀWX."""
    indptr, indices, values = problem.histories
    native, n_threads = problem.compute
    return native.gram(
        indptr,
        indices,
        problem.n_items,
        None if targets is None and (values == 1).all() else values,
        targets,
        problem.user_weights,
        n_threads=n_threads,
    )


def _times_targets(inverse: Floats, problem: LinearProblem) -> None:
    """Replace C by B = C T − C diag(μ), with T = ZᵀWX and μ_j = (C T)_jj / C_jj, some rows at a time."""
    products: Floats = _gram(problem, problem.strengths)
    native, n_threads = problem.compute
    ratios = _diagonal_of_product(inverse, products) / inverse.diagonal()
    with single_threaded_blas():
        for begin in range(0, problem.n_items, _ROWS):
            rows = inverse[begin : begin + _ROWS]
            product = np.empty_like(rows)
            native.gemm(rows, products, product, n_threads=n_threads)
            rows *= ratios
            np.subtract(product, rows, out=rows)


def _diagonal_of_product(inverse: Floats, products: Floats) -> Floats:
    """Return the diagonal of C T, by the rows of C, which is symmetric, and of T."""
    diagonal: NDArray[np.float64] = np.zeros(len(inverse))
    for begin in range(0, len(inverse), _ROWS):
        part = slice(begin, begin + _ROWS)
        diagonal += np.einsum("ij,ij->j", inverse[part], products[part], dtype=np.float64)
    return diagonal.astype(np.float32)


def _refuse_what_does_not_fit(problem: LinearProblem) -> None:
    n = problem.n_items
    needed = (2 if problem.mixed else 1) * 4 * n**2 + 8 * 512 * n
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(
            f"{problem.caller}: the weights between {n:,} items need {needed:,} bytes of memory, {available:,} are "
            "available; pass neighbours=200, which keeps so many weights of an item, at 8 bytes each"
        )
