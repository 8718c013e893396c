"""The axes of factors: those in which the Gram matrix of one side is diagonal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas

__all__ = ["Axes", "axes_of"]

Floats = NDArray[np.float32]


class Axes(NamedTuple):
    """The axes in which a Gram matrix is diagonal.

    Attributes
    ----------
    basis : ndarray of shape (k, k), float32
        The axes, as columns, the longest first.
    spectrum : ndarray of shape (k,), float32
        The diagonal.
    """

    basis: Floats
    spectrum: Floats


def axes_of(gram: NDArray[np.float64]) -> Axes:
    """Return the axes of a Gram matrix of shape (k, k)."""
    if not np.isfinite(gram).all():  # of a training that diverges, which the loop recognises by its cost
        return Axes(np.eye(len(gram), dtype=np.float32), np.full(len(gram), np.nan, np.float32))
    with single_threaded_blas():  # its threads would wait for each other on a busy machine, and are no faster
        spectrum, basis = scipy.linalg.eigh(gram)
    return Axes(np.ascontiguousarray(basis[:, ::-1], np.float32), np.maximum(spectrum[::-1], 0).astype(np.float32))
