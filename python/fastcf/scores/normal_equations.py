"""What each rating adds to a least-squares solution: the normal equations of one row, read from right to left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas

__all__ = ["Shares", "shares_of_ratings"]

Wide = NDArray[np.float64]

_LEAST = 1e-12  # of the largest: what rounding leaves of a zero


class Shares(NamedTuple):
    """The result of :func:`shares_of_ratings`.

    Attributes
    ----------
    values : ndarray of shape (n, m), float64
        What each rating adds to each product.
    solved : ndarray of shape (d, m), float64
        ``A⁻¹ z`` of each wanted vector z.
    """

    values: Wide
    solved: Wide


def shares_of_ratings(columns: Wide, targets: Wide, weights: Wide, prior: Wide, wanted: Wide) -> Shares:
    """Return what each rating adds to products of the solution of a row with some vectors.

    The row x solves ``A x = Σ_j w_j t_j a_j`` with ``A = Σ_j w_j a_j a_jᵀ + prior``, so that ``z·x`` is a sum over the
    ratings of ``w_j t_j (a_j · A⁻¹ z)``. In float64, for a row at a time; directions that neither ratings nor prior
    determine count as 0. ``columns`` has the a_j as rows, (n, d), ``wanted`` the z as columns, (d, m).
    """
    with single_threaded_blas():
        system = columns.T @ (weights[:, None] * columns) + prior
        solved = _solved(system, wanted)
        return Shares((weights * targets)[:, None] * (columns @ solved), solved)


def _solved(system: Wide, wanted: Wide) -> Wide:
    """Return ``system⁻¹ wanted`` of a symmetric matrix; its pseudo-inverse where it is singular."""
    diagonal = system.diagonal()
    try:
        factor, lower = scipy.linalg.cho_factor(system)
        if (factor.diagonal() ** 2 > _LEAST * diagonal).all():
            solution: Wide = scipy.linalg.cho_solve((factor, lower), wanted)
            return solution
    except scipy.linalg.LinAlgError:
        pass
    spectrum, basis = scipy.linalg.eigh(system)
    kept = spectrum > _LEAST * max(spectrum[-1], 0.0)
    basis = basis[:, kept]
    of_kept: Wide = basis @ ((basis.T @ wanted) / spectrum[kept, None])
    return of_kept
