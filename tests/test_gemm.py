from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sizes = st.sampled_from([0, 1, 31, 32, 33, 70])


@given(sizes, sizes, sizes, st.booleans(), st.booleans(), st.sampled_from([np.float32, np.float64]),
       st.sampled_from([(1.0, 0.0), (0.5, 1.0), (-2.0, 0.25)]), st.integers(0, 2**32 - 1))  # fmt: skip
def test_gemm_equals_reference(backend, m, n, k, transpose_a, transpose_b, dtype, factors, seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    c = rng.standard_normal((m, n)).astype(dtype)
    alpha, beta = factors
    left, right = (
        x.astype(np.float64).T if t else x.astype(np.float64) for x, t in ((a, transpose_a), (b, transpose_b))
    )
    expected = alpha * left @ right + beta * c
    bound = np.finfo(dtype).eps * (k + 4) * (abs(alpha) * np.abs(left) @ np.abs(right) + np.abs(c))
    if beta == 0:
        c[:] = np.nan  # is not read
    backend.gemm(a, b, c, transpose_a, transpose_b, alpha, beta, 2)
    assert (np.abs(c - expected) <= bound).all()


def test_gemm_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    size = 120 if backend.__name__.endswith("_emu") else 500
    a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    results = []
    for n_threads in (1, 2, 4):
        c = np.empty((size, size), np.float32)
        backend.gemm(a, b, c, n_threads=n_threads)
        results.append(c)
    for c in results[1:]:
        np.testing.assert_array_equal(c, results[0])


def test_gemm_bad_input_raises(backend):
    a, b, c = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="gemm: the inner dimensions must agree; got 2 and 3"):
        backend.gemm(a, b, c, transpose_a=True)
    with pytest.raises(ValueError, match=r"gemm: the result must be \(2, 4\); got \(2, 3\)"):
        backend.gemm(a, b, a.copy())
    with pytest.raises(TypeError, match="gemm: a must have dtype float64; got float32"):
        backend.gemm(a, b, c.astype(np.float64))
