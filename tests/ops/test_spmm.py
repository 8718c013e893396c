from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.every_isa


def sparse(rng, m, n, density, dtype):
    mask = rng.random((m, n)) < density
    mask[: m // 4] = False  # empty rows
    if m:
        mask[-1] = True  # a dense one
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    return indptr, indices, rng.standard_normal(len(indices)).astype(dtype)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 32, 33]),
    st.sampled_from([0, 1, 33, 200]),
    st.sampled_from([0, 1, 15, 16, 17, 128, 130]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
)
def test_spmm_equals_reference(backend, seed, m, n, cols, dtype, permuted):
    rng = np.random.default_rng(seed)
    indptr, indices, values = sparse(rng, m, n, 0.2, dtype)
    x = rng.standard_normal((n, cols)).astype(dtype)
    entries = rng.permutation(len(values)) if permuted else None
    ordered = (values if entries is None else values[entries]).astype(np.float64)
    a = scipy.sparse.csr_matrix((ordered, indices, indptr), shape=(m, n))
    out, sums = backend.spmm(indptr, indices, values, x, entries, 2)
    eps = np.finfo(dtype).eps
    bound = eps * (n + 2) * (abs(a) @ np.abs(x.astype(np.float64)))
    assert (np.abs(out - a @ x.astype(np.float64)) <= bound + 1e-300).all()
    np.testing.assert_allclose(sums, np.asarray(a.sum(axis=1)).ravel(), rtol=0, atol=eps * (n + 1) * 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spmm_adds_to_what_is_there(backend, dtype):
    rng = np.random.default_rng(1)
    csr = sparse(rng, 40, 30, 0.2, dtype)
    x, start = rng.standard_normal((30, 70)).astype(dtype), rng.standard_normal((40, 70)).astype(dtype)
    product, _ = backend.spmm(*csr, x)
    out = start.copy()
    assert backend.spmm(*csr, x, add_to=out)[0] is out
    np.testing.assert_allclose(out, start + product, rtol=0, atol=30 * np.finfo(dtype).eps * 10)
    with pytest.raises(ValueError, match=r"spmm: the result must be \(40, 70\); got \(40, 69\)"):
        backend.spmm(*csr, x, add_to=start[:, :69].copy())


def test_spmm_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    n = 60 if backend.__name__.endswith("_emu") else 1000
    csr = sparse(rng, n, n, 0.3, np.float32)
    x = rng.standard_normal((n, 37)).astype(np.float32)
    results = [backend.spmm(*csr, x, n_threads=n_threads) for n_threads in (1, 2, 4)]
    for out, sums in results[1:]:
        np.testing.assert_array_equal(out, results[0][0])
        np.testing.assert_array_equal(sums, results[0][1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": np.int32([0, 5])}, ValueError, r"indices must lie in \[0, 3\); got 5 at entry 1"),
        ({"indptr": np.int64([0, 3])}, ValueError, r"indptr must end"),
        ({"values": np.float32([1])}, ValueError, "values must have 2 entries; got 1"),
        ({"values": np.float64([1, 2])}, TypeError, "values must have dtype float32; got float64"),
        ({"entries": np.int64([0, 2])}, ValueError, r"entries must lie in \[0, 2\); got 2 at 1"),
        ({"entries": np.int64([0])}, ValueError, "entries must have 2 entries; got 1"),
    ],
)
def test_spmm_bad_input_raises(backend, change, error, message):
    valid = {
        "indptr": np.int64([0, 2]),
        "indices": np.int32([0, 1]),
        "values": np.float32([1, 2]),
        "x": np.ones((3, 2), np.float32),
    }
    with pytest.raises(error, match=f"spmm: {message}"):
        backend.spmm(**{**valid, **change})
