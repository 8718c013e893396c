"""The dense form of linear item models where users are few: solved in a system of the users."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.models.linear.problem import Floats, LinearProblem
from fastcf.scores import Compute

__all__ = ["few_users", "weights_by_users"]

_COLUMNS = 2048  # of the result at once
_FEW = 3  # times as many items as users: the system of the users is then a ninth of the result
_LEAST_LEFT = 1e-3  # of the diagonal of C, in float32


def few_users(problem: LinearProblem) -> bool:
    """Return whether there are so few users with entries that a system of these is the faster one."""
    return _FEW * int((problem.user_weights > 0).sum()) <= problem.n_items


def weights_by_users(problem: LinearProblem) -> Floats | None:
    """Return B, as :func:`fastcf.models.linear.dense.dense_weights` does; None where float32 is too coarse for this.

    With D the diagonal ``p/(1−p) diag(ZᵀWZ) + λ s I`` and ``K = W⁻¹ + Z D⁻¹ Zᵀ``, of the size of the users, Woodbury's
    identity gives ``C = D⁻¹ − Eᵀ K⁻¹ E`` and ``C ZᵀWX = Eᵀ K⁻¹ X``, with ``E = Z D⁻¹`` as sparse as Z. So off its
    diagonal ``B = Eᵀ T`` with ``T = K⁻¹ (X + E diag(μ))`` or, where all entries are choices, ``K⁻¹ E diag(1/C_jj)``.
    It takes n_users³ + 2 (entries) (n_items + 2 n_users) floating-point operations and, beside the result, n_users² +
    2,048 (n_items + 2 n_users) numbers.

    W. W. Hager, "Updating the inverse of a matrix", SIAM Review 31(2), 1989.
    """
    there = np.flatnonzero(problem.user_weights > 0)
    indptr, indices, values = problem.histories
    shape = indptr.size - 1, problem.n_items
    inputs = scipy.sparse.csr_array((values.astype(np.float64), indices, indptr), shape)[there]
    targets = scipy.sparse.csr_array((problem.strengths.astype(np.float64), indices, indptr), shape)[there]
    weights = problem.user_weights[there]
    diagonal = problem.dropout / (1 - problem.dropout) * (inputs.multiply(inputs).T @ weights) + problem.penalty
    if not (diagonal > 0).all():
        return None
    inverse = _inverse(inputs, weights, diagonal, problem.compute)
    if inverse is None:
        return None
    scaled = inputs @ scipy.sparse.diags_array(1 / diagonal)  # E
    by_item = scaled.T.tocsr()  # Eᵀ
    solved_for = by_item if not problem.mixed else targets.T.tocsr()
    result = np.empty((problem.n_items, problem.n_items), np.float32)
    for begin in range(0, problem.n_items, _COLUMNS):
        columns = slice(begin, min(begin + _COLUMNS, problem.n_items))
        own = by_item[columns]
        solved = _product(own, inverse, problem.compute)  # (K⁻¹ E)ᵀ
        left = 1 / diagonal[columns] - _row_products(own, solved)  # C_jj
        if not (left > _LEAST_LEFT / diagonal[columns]).all():
            return None
        if problem.mixed:
            of_targets = _product(solved_for[columns], inverse, problem.compute)
            solved *= (_row_products(own, of_targets) / left).astype(np.float32)[:, None]
            solved += of_targets
        else:
            solved *= (1 / left).astype(np.float32)[:, None]
        result[:, columns] = _product(by_item, np.ascontiguousarray(solved.T), problem.compute)
    result.reshape(-1)[:: problem.n_items + 1] = 0
    return result


def _inverse(
    inputs: scipy.sparse.csr_array, weights: NDArray[np.float64], diagonal: NDArray[np.float64], compute: Compute
) -> Floats | None:
    """Return K⁻¹; None where K is not positive definite in float32."""
    by_item = inputs.T.tocsr()
    system: Floats = compute.native.gram(
        by_item.indptr.astype(np.int64),
        by_item.indices.astype(np.int32),
        inputs.shape[0],
        by_item.data.astype(np.float32),
        None,
        1 / diagonal,
        n_threads=compute.n_threads,
    )
    system.reshape(-1)[:: len(system) + 1] += (1 / weights).astype(np.float32)
    return system if compute.native.spd_inverse(system, n_threads=compute.n_threads) < 0 else None


def _product(sparse: scipy.sparse.csr_array, dense: Floats, compute: Compute) -> Floats:
    """Return a sparse matrix times a dense one."""
    product: Floats = compute.native.spmm(
        sparse.indptr.astype(np.int64),
        sparse.indices.astype(np.int32),
        sparse.data.astype(np.float32),
        dense,
        n_threads=compute.n_threads,
    )[0]
    return product


def _row_products(sparse: scipy.sparse.csr_array, dense: Floats) -> NDArray[np.float64]:
    """Return the product of each row of a sparse matrix with the same row of a dense one."""
    rows = np.repeat(np.arange(sparse.shape[0]), np.diff(sparse.indptr))
    products = sparse.data * dense[rows, sparse.indices]
    sums: NDArray[np.float64] = np.bincount(rows, products, sparse.shape[0]).astype(np.float64)
    return sums
