from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import reference

pytestmark = pytest.mark.every_isa


def arrays(dense, with_values=True):
    rows = scipy.sparse.csr_array(dense.astype(np.float32))
    values = rows.data.astype(np.float32) if with_values else None
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), values


def integers(rng, m, n, density, values):
    dense = values[rng.integers(0, len(values), (m, n))] * (rng.random((m, n)) < density)
    if m:
        dense[: m // 4] = 0  # empty rows
        dense[-1] = values[0]  # a dense one
    return dense


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, inner = (draw(st.sampled_from([0, 1, 7, 31, 32, 33])) for _ in range(2))
    n = draw(st.sampled_from([0, 1, 31, 32, 33, 65, 1025]))
    m = draw(st.sampled_from([0, 1, 2, 10, 33, n, n + 3]))
    with_values = draw(st.booleans())
    # Small integers: sums are exact in float32 and quotients rounded once, ties are many.
    values = np.array([1, 2, -1]) if with_values else np.array([1])
    left = integers(rng, rows, inner, draw(st.sampled_from([0.05, 0.5])), values)
    right = integers(rng, inner, n, draw(st.sampled_from([0.01, 0.3])), values)
    options = {
        "weights": rng.integers(0, 3, inner) if draw(st.booleans()) else None,
        "row_scale": rng.integers(1, 5, rows) if draw(st.booleans()) else None,
        "column_scale": rng.integers(1, 5, n) if draw(st.booleans()) else None,
        "shrinkage": draw(st.sampled_from([0.0, 1.0, 10.0])),
    }
    left_out = rng.integers(-1, n, rows) if n and draw(st.booleans()) else None
    return left, right, m, with_values, options, left_out, draw(st.sampled_from([1, 2, 3]))


def call(backend, left, right, m, with_values=True, left_out=None, n_threads=0, **options):
    given = {name: None if value is None else np.asarray(value, np.float32) for name, value in options.items()}
    given["shrinkage"] = float(options.get("shrinkage", 0.0))
    return backend.cooccurrence(
        *arrays(left, with_values), *arrays(right, with_values), right.shape[1], m,
        left_out=None if left_out is None else np.asarray(left_out, np.int32), n_threads=n_threads, **given,
    )  # fmt: skip


@given(cases())
@settings(max_examples=150)
def test_cooccurrence_equals_reference_with_ties(backend, case):
    left, right, m, with_values, options, left_out, n_threads = case
    ids, similarities = call(backend, left, right, m, with_values, left_out, n_threads, **options)
    expected = reference.cooccurrence(left, right, **options).astype(np.float32)
    allowed = expected > 0
    if left_out is not None:
        named = np.flatnonzero(left_out >= 0)
        allowed[named, left_out[named]] = False
    best, score = reference.topk(expected, allowed, m)
    assert ids.dtype == np.int32
    assert similarities.dtype == np.float32
    np.testing.assert_array_equal(ids, best)
    np.testing.assert_array_equal(similarities, score.astype(np.float32))


def test_cooccurrence_of_real_values_within_rounding(backend):
    rng = np.random.default_rng(1)
    x = rng.random((150, 1025)) * (rng.random((150, 1025)) < 0.1)
    x, weights = x.astype(np.float32), rng.random(150).astype(np.float32)
    norms = np.sqrt((weights[:, None] * x.astype(np.float64) ** 2).sum(axis=0)).astype(np.float32)
    some = x.T[:40].copy()
    ids, similarities = call(
        backend, some, x, 20, left_out=np.arange(40), weights=weights, row_scale=norms[:40], column_scale=norms
    )
    exact = reference.cooccurrence(some, x, weights, norms[:40], norms)
    np.testing.assert_allclose(similarities, np.take_along_axis(exact, ids, axis=1), rtol=1e-5)
    assert similarities.max() <= 1 + 1e-5
    exact[np.arange(40), np.arange(40)] = 0
    for row in range(40):
        exact[row, ids[row]] = 0
    assert (exact.max(axis=1) <= similarities[:, -1] * (1 + 1e-5)).all()


def test_cooccurrence_finds_the_same_in_few_and_in_many_columns(backend):
    """Rows of few additions are searched where these went, others from end to end."""
    rng = np.random.default_rng(2)
    narrow = (rng.random((30, 60)) < 0.3) * rng.random((30, 60))
    wide = np.zeros((30, 2000))
    wide[:, ::30][:, :60] = narrow
    scale = rng.random(2000) + 0.5
    few = call(backend, narrow.T, wide, 7, row_scale=scale[::30][:60], column_scale=scale)
    many = call(backend, narrow.T, narrow, 7, row_scale=scale[::30][:60], column_scale=scale[::30][:60])
    np.testing.assert_array_equal(few[0], np.where(many[0] < 0, -1, many[0] * 30))
    np.testing.assert_array_equal(few[1].view(np.int32), many[1].view(np.int32))


def test_cooccurrence_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    n = 60 if backend.__name__.endswith("_emu") else 900
    x = (rng.random((n, n)) < 0.2) * rng.random((n, n))
    first, *others = (call(backend, x.T, x, 20, left_out=np.arange(n), n_threads=n_threads) for n_threads in (1, 2, 4))
    for ids, similarities in others:
        np.testing.assert_array_equal(ids, first[0])
        np.testing.assert_array_equal(similarities.view(np.int32), first[1].view(np.int32))


def test_cooccurrence_leaves_out_what_is_not_above_zero(backend):
    nan, inf = np.float32(np.nan), np.float32(np.inf)
    left, right = np.float32([[1, 1]]), np.float32([[1, -1, 2, nan, inf], [1, 1, -2, 1, 1]])
    ids, similarities = call(backend, left, right, 5)
    np.testing.assert_array_equal(ids, [[4, 0, -1, -1, -1]])
    np.testing.assert_array_equal(similarities, [[inf, 2, -inf, -inf, -inf]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"left_indices": np.int32([0, 3])}, ValueError, r"left: indices must lie in \[0, 3\); got 3 at entry 1"),
        ({"right_indices": np.int32([0, 2, 1])}, ValueError, r"right: indices must lie in \[0, 2\); got 2 at entry 1"),
        ({"right_indptr": np.int64([0, 2, 2])}, ValueError, "right: indptr must end"),
        ({"right_indices": np.int32([1, 0, 1])}, ValueError, "columns of right must ascend within a row; they do not"),
        ({"right_indices": np.int32([1, 1, 1])}, ValueError, "columns of right must ascend"),
        ({"left_values": np.float64([1, 2])}, TypeError, "left: values must have dtype float32; got float64"),
        ({"weights": np.float32([1])}, ValueError, "weights must have 3 entries; got 1"),
        ({"row_scale": np.float32([1, 1])}, ValueError, "row_scale must have 1 entries; got 2"),
        ({"column_scale": np.float32([1, -1])}, ValueError, "column_scale must be finite and at least 0; got -1"),
        ({"column_scale": np.float32([np.nan, 1])}, ValueError, "column_scale must be finite and at least 0; got nan"),
        ({"shrinkage": -1.0}, ValueError, "shrinkage must be finite and at least 0; got -1"),
        ({"left_out": np.int32([2])}, ValueError, r"left_out must lie in \[-1, 2\); got 2 at entry 0"),
        ({"left_out": np.int32([])}, ValueError, "left_out must have 1 entries; got 0"),
        ({"m": -1}, ValueError, "m must not be negative; got -1"),
        ({"n_columns": -1}, ValueError, "n_columns must not be negative; got -1"),
    ],
)
def test_cooccurrence_bad_input_raises(backend, change, error, message):
    valid = {
        "left_indptr": np.int64([0, 2]),
        "left_indices": np.int32([0, 1]),
        "left_values": np.float32([1, 2]),
        "right_indptr": np.int64([0, 2, 3, 3]),
        "right_indices": np.int32([0, 1, 1]),
        "right_values": np.float32([1, 2, 3]),
        "n_columns": 2,
        "m": 1,
    }
    with pytest.raises(error, match=f"cooccurrence: {message}"):
        backend.cooccurrence(**{**valid, **change})
