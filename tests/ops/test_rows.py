from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.every_isa


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 31, 33, 1025]),
    st.sampled_from([0, 1, 31, 32, 33, 1025]),
    st.sampled_from([0, 1, 7, 8, 64]),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([1, 2]),
)
def test_rows_gathered_equal_numpy(backend, seed, n, n_named, k, weighted, dtype, n_threads):
    rng = np.random.default_rng(seed)
    matrix, rows = rng.standard_normal((n, k)).astype(dtype), rng.integers(0, n, n_named).astype(np.int32)
    weights = rng.standard_normal(n_named).astype(dtype) if weighted else None
    got = backend.gather_rows(matrix, rows, weights, n_threads)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, matrix[rows] * (1 if weights is None else weights[:, None]))


def test_rows_of_many_equal_numpy_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    matrix, rows = rng.standard_normal((500, 9)).astype(np.float32), rng.integers(0, 500, 50_001).astype(np.int32)
    for n_threads in (1, 2, 4):
        np.testing.assert_array_equal(backend.gather_rows(matrix, rows, n_threads=n_threads), matrix[rows])


def test_rows_bad_input_raises(backend):
    matrix = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"gather_rows: rows must lie in \[0, 3\); got 3 at entry 1"):
        backend.gather_rows(matrix, np.int32([0, 3]))
    with pytest.raises(ValueError, match=r"gather_rows: rows must lie in \[0, 3\); got -1 at entry 0"):
        backend.gather_rows(matrix, np.int32([-1]))
    with pytest.raises(ValueError, match=r"gather_rows: weights must have one entry per row \(2\); got 3"):
        backend.gather_rows(matrix, np.int32([0, 1]), np.ones(3, np.float32))
    with pytest.raises(TypeError, match="gather_rows: matrix must have dtype float32; got int64"):
        backend.gather_rows(matrix.astype(np.int64), np.int32([0]))
