"""Gram matrices of factors against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.every_isa


@given(
    n=st.sampled_from([0, 1, 31, 32, 33, 129, 1025]),
    k=st.sampled_from([1, 7, 16, 31, 32, 33, 65]),
    seed=st.integers(0, 99),
)
def test_factor_gram_equals_reference(backend, n, k, seed):
    if backend.__name__ == "fastcf._emu":
        n = min(n, 129)
    rows = np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)
    wide = rows.astype(np.float64)
    got = backend.factor_gram(rows, n_threads=2)
    np.testing.assert_allclose(got, wide.T @ wide, atol=3e-6 * max(n, 1))
    np.testing.assert_array_equal(got, got.T)


def test_factor_gram_same_bits_for_any_number_of_threads(backend):
    n = 300 if backend.__name__ == "fastcf._emu" else 20_001
    rows = np.random.default_rng(0).standard_normal((n, 33)).astype(np.float32)
    expected = backend.factor_gram(rows, n_threads=1)
    for n_threads in (2, 4):
        np.testing.assert_array_equal(backend.factor_gram(rows, n_threads=n_threads), expected)


def test_factor_gram_sums_of_many_rows_keep_float64(backend):
    n = 1000 if backend.__name__ == "fastcf._emu" else 200_000
    rows = np.full((n, 3), 0.1, np.float32)
    np.testing.assert_allclose(backend.factor_gram(rows), np.full((3, 3), n * float(np.float32(0.1)) ** 2), rtol=1e-6)


def test_factor_gram_bad_input_raises(backend):
    with pytest.raises(TypeError, match="factor_gram: rows must have dtype float32; got float64"):
        backend.factor_gram(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"factor_gram: rows must have 2 dimension\(s\); got 1"):
        backend.factor_gram(np.ones(3, np.float32))
