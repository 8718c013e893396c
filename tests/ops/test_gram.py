from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference

pytestmark = pytest.mark.every_isa


def table(rng, m, n, density):
    mask = rng.random((m, n)) < density
    mask[: m // 4] = False  # empty rows
    if m:
        mask[-1] = True  # a dense one
    return mask


def csr(mask, *tables):
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(mask)[1].astype(np.int32), *(each[mask] for each in tables)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 32, 33, 100]),
    st.sampled_from([0, 1, 31, 32, 33, 65, 130]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60)
def test_gram_equals_reference(backend, seed, m, n, valued, mixed, weighted):
    rng = np.random.default_rng(seed)
    mask = table(rng, m, n, 0.2)
    z, x = (np.where(mask, rng.standard_normal((m, n)), 0).astype(np.float32) for _ in range(2))
    weights = rng.random(m) if weighted else np.ones(m)
    indptr, indices, left, right = csr(mask, z, x)
    got = backend.gram(
        indptr, indices, n, left if valued else None, right if mixed else None, weights if weighted else None, 2
    )
    z = z if valued else mask.astype(np.float32)
    x = x if mixed else z
    exact = reference.gram(z, x, weights)
    bound = reference.gram(abs(z), abs(x), weights)
    assert got.dtype == np.float32
    assert got.shape == (n, n)
    assert (np.abs(got - exact) <= 2.0**-24 * np.abs(exact) + 1e-13 * bound + 1e-44).all()
    if not mixed:
        np.testing.assert_array_equal(got, got.T)


def test_gram_of_many_columns_and_a_dense_row(backend):
    rng = np.random.default_rng(0)
    mask = rng.random((12, 1025)) < 0.01
    mask[5] = True
    weights = rng.random(12)
    got = backend.gram(*csr(mask), 1025, row_weights=weights)
    np.testing.assert_allclose(got, reference.gram(mask, mask, weights), rtol=1e-7)


def test_gram_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(1)
    size = 40 if backend.__name__.endswith("_emu") else 300
    mask = table(rng, size, size, 0.2)
    indptr, indices, z, x = csr(mask, *rng.standard_normal((2, size, size)).astype(np.float32))
    weights = rng.random(size)
    for targets in (None, x):
        first = backend.gram(indptr, indices, size, z, targets, weights, 1)
        for n_threads in (2, 4):
            again = backend.gram(indptr, indices, size, z, targets, weights, n_threads)
            np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": np.int32([0, 5])}, ValueError, r"indices must lie in \[0, 3\); got 5 at entry 1"),
        ({"indices": np.int32([1, 1])}, ValueError, "indices must ascend within each row; those of row 0 do not, at"),
        ({"indices": np.int64([0, 1])}, TypeError, "indices must have dtype int32; got int64"),
        ({"indptr": np.int64([0, 3])}, ValueError, "indptr must end"),
        ({"values": np.float32([1])}, ValueError, r"values must have one entry per index \(2\); got 1"),
        ({"targets": np.float32([1])}, ValueError, r"targets must have one entry per index \(2\); got 1"),
        ({"row_weights": np.ones(2)}, ValueError, r"row_weights must have one entry per row \(1\); got 2"),
        ({"row_weights": np.float32([1])}, TypeError, "row_weights must have dtype float64; got float32"),
        ({"n_columns": -1}, ValueError, "n_columns must not be negative; got -1"),
    ],
)
def test_gram_bad_input_raises(backend, change, error, message):
    valid = {"indptr": np.int64([0, 2]), "indices": np.int32([0, 1]), "n_columns": 3}
    with pytest.raises(error, match=f"gram: {message}"):
        backend.gram(**{**valid, **change})
