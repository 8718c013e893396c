from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf._backend import single_threaded_blas

pytestmark = pytest.mark.every_isa

LARGEST = {"_emu": 150}  # rows; emulated products take milliseconds per tile


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_blas():
        yield


def some_matrix(n, condition, seed):
    """Return a matrix with a given ratio of the largest and the smallest eigenvalue, about."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, max(1, n // 2)))
    matrix = factors @ factors.T
    scale = np.linalg.norm(matrix, 2) if n else 1.0
    return matrix + scale / condition * np.eye(n)


def limit(backend, n):
    return min(n, LARGEST.get(backend.__name__.rpartition(".")[2], n))


@given(
    st.sampled_from([0, 1, 2, 31, 32, 33, 63, 64, 65, 128, 130, 513, 600, 1025]),
    st.sampled_from([2.0, 30.0, 1000.0]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=15)
def test_spd_inverse_equals_reference(backend, n, condition, seed):
    n = limit(backend, n)
    matrix = some_matrix(n, condition, seed).astype(np.float32)
    upper = np.triu(np.full((n, n), np.nan, np.float32), 1)
    got = np.where(upper != upper, upper, matrix)  # what is not read may hold anything
    assert backend.spd_inverse(got, 2) == -1
    exact = np.linalg.inv(matrix.astype(np.float64))
    np.testing.assert_array_equal(got, got.T)
    scale = np.linalg.norm(exact, 2) if n else 0.0
    # Up to 64 rows are swept in float64. More go through inverses of blocks, whose errors grow with the square.
    allowed = 2e-7 if n <= 64 else 1.6e-6 + 1.2e-9 * condition**2
    assert np.abs(got - exact).max(initial=0) <= scale * allowed


def test_spd_inverse_same_bits_for_any_number_of_threads(backend):
    n = limit(backend, 1100)
    matrix = some_matrix(n, 100.0, 0).astype(np.float32)
    results = []
    for n_threads in (1, 2, 4):
        got = matrix.copy()
        assert backend.spd_inverse(got, n_threads) == -1
        results.append(got)
    for got in results[1:]:
        np.testing.assert_array_equal(got, results[0])


@pytest.mark.parametrize(("n", "row"), [(5, 3), (100, 70), (700, 600)])
def test_spd_inverse_names_the_row_that_is_not_positive(backend, n, row):
    n = limit(backend, n)
    row = min(row, n - 2)
    matrix = some_matrix(n, 10.0, 0).astype(np.float32)
    matrix[row] = matrix[row - 1]  # a repeated row and column
    matrix[:, row] = matrix[:, row - 1]
    matrix[row, row] = matrix[row - 1, row - 1]
    assert backend.spd_inverse(matrix) == row
    infinite = some_matrix(n, 10.0, 0).astype(np.float32)
    infinite[row, 0] = np.nan
    assert backend.spd_inverse(infinite) in range(n)


def test_spd_inverse_bad_input_raises(backend):
    with pytest.raises(ValueError, match=r"spd_inverse: the matrix must be square; got \(2, 3\)"):
        backend.spd_inverse(np.ones((2, 3), np.float32))
    with pytest.raises(TypeError, match="spd_inverse: a must have dtype float32; got float64"):
        backend.spd_inverse(np.eye(2))
