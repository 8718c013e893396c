"""The regression op against lstsq and scipy.optimize, row by row."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf import _host
from reference import logistic_cost, ridge

pytestmark = pytest.mark.every_isa


def _run(csr, features, *, n_features=None, **options):
    n_rows = csr[0].size - 1
    n_features = n_features if n_features is not None else features.shape[1]
    weights = np.full((n_rows, n_features), np.nan, np.float32)
    intercept = np.full(n_rows, np.nan, np.float32)
    report = _host.regress_rows(*csr, features, weights, intercept, **options)
    return weights, intercept, report


def _csr_features(matrix):
    sparse = scipy.sparse.csr_array(matrix)
    return sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data.astype(np.float32)


def _ratings(random, lengths, n_items, binary):
    """Rows of the given numbers of ratings."""
    items = [np.sort(random.choice(n_items, size=n, replace=False)) for n in lengths]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    nnz = int(indptr[-1])
    values = random.integers(0, 2, nnz) if binary else random.normal(3, 1, nnz)
    indices = np.concatenate([*items, []]).astype(np.int32)
    return (indptr, indices, values.astype(np.float32)), random.uniform(0.1, 2, nnz).astype(np.float32)


def _optimum(features, labels, weights, reg, fit_intercept):
    start = np.zeros(features.shape[1] + fit_intercept)
    arguments = (features, labels, weights, reg, fit_intercept)
    found = scipy.optimize.minimize(
        logistic_cost,
        start,
        arguments,
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-9, "ftol": 0},
    ).x
    return (found[:-1], found[-1]) if fit_intercept else (found, 0.0)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.sampled_from([0, 1, 2, 31, 32, 33, 70]), min_size=3, max_size=5),
    n_features=st.sampled_from([0, 1, 2, 7, 8, 31, 33, 40, 48, 63, 65]),  # from 32 on, a matrix in float32
    sparse=st.booleans(),
    weighted=st.booleans(),
    reg=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    fit_intercept=st.booleans(),
    n_threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 10**6),
)
def test_regression_squared_matches_lstsq(lengths, n_features, sparse, weighted, reg, fit_intercept, n_threads, seed):
    random = np.random.default_rng(seed)
    features = random.normal(1, 1, (80, n_features)).astype(np.float32)
    if sparse:
        features[random.random(features.shape) < 0.7] = 0
    csr, weights = _ratings(random, lengths, 80, binary=False)
    got, intercept, report = _run(
        csr,
        _csr_features(features) if sparse else features,
        n_features=n_features,
        sample_weights=weights if weighted else None,
        reg=reg,
        fit_intercept=fit_intercept,
        n_threads=n_threads,
    )
    assert report == {"iterations": 0, "unconverged": 0}
    for row, (begin, end) in enumerate(zip(csr[0], csr[0][1:], strict=False)):
        if begin == end:
            assert np.all(got[row] == 0)
            assert intercept[row] == 0
            continue
        X = features[csr[1][begin:end]].astype(np.float64)
        w = weights[begin:end] if weighted else np.ones(end - begin)
        theta, b = ridge(X, csr[2][begin:end], w, reg, fit_intercept)
        # a square or nearly square system without penalty magnifies float64 rounding by its condition, squared
        tolerance = 2e-4 if reg == 0 else 2e-6
        np.testing.assert_allclose(got[row], theta, rtol=tolerance, atol=tolerance * (1 + np.abs(theta).max(initial=0)))
        np.testing.assert_allclose(intercept[row], b, rtol=tolerance, atol=tolerance * (1 + np.abs(theta).sum()))


@settings(max_examples=25)
@given(
    lengths=st.lists(st.sampled_from([0, 1, 5, 31, 33, 70]), min_size=3, max_size=4),
    n_features=st.sampled_from([0, 1, 7, 8, 33, 48, 65]),  # from 32 on, a matrix in float32
    sparse=st.booleans(),
    weighted=st.booleans(),
    fractional=st.booleans(),
    reg=st.sampled_from([0.01, 1.0]),
    fit_intercept=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_regression_logistic_matches_scipy(lengths, n_features, sparse, weighted, fractional, reg, fit_intercept, seed):
    random = np.random.default_rng(seed)
    features = random.normal(0.5, 1, (80, n_features)).astype(np.float32)
    if sparse:
        features[random.random(features.shape) < 0.7] = 0
    csr, weights = _ratings(random, lengths, 80, binary=True)
    if fractional:
        csr = (*csr[:2], random.random(csr[2].size).astype(np.float32))
    got, intercept, report = _run(
        csr,
        _csr_features(features) if sparse else features,
        n_features=n_features,
        sample_weights=weights if weighted else None,
        cost="logistic",
        reg=reg,
        fit_intercept=fit_intercept,
    )
    assert report["unconverged"] == 0
    assert report["iterations"] < 30
    for row, (begin, end) in enumerate(zip(csr[0], csr[0][1:], strict=False)):
        y = csr[2][begin:end].astype(np.float64)
        w = (weights[begin:end] if weighted else np.ones(end - begin)).astype(np.float64)
        if begin == end or (fit_intercept and y.min() == y.max()):
            s, t = (w * y).sum(), (w * (1 - y)).sum()
            assert np.all(got[row] == 0)
            if not fractional or begin == end:
                assert intercept[row] == pytest.approx(np.log((s + 0.5) / (t + 0.5)), rel=1e-5)
            continue
        X = features[csr[1][begin:end]].astype(np.float64)
        theta, b = _optimum(X, y, w, reg, fit_intercept)
        np.testing.assert_allclose(got[row], theta, atol=2e-4 * (1 + np.abs(theta).max(initial=0)))
        np.testing.assert_allclose(intercept[row], b, atol=2e-4 * (1 + abs(b) + np.abs(theta).max(initial=0)))
        # and, more sharply: the gradient at the answer, up to the float32 that it is stored in
        found = np.append(got[row], intercept[row]) if fit_intercept else got[row]
        gradient = logistic_cost(found.astype(np.float64), X, y, w, reg, fit_intercept)[1]
        room = 1e-6 * (1 + np.abs(found).max(initial=0)) * (1 + reg + w.sum() * (1 + np.abs(X).max(initial=0)) ** 2)
        assert np.abs(gradient).max(initial=0) < room * (1 + n_features)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_regression_gradient_reaches_the_exact_optimum(cost, fit_intercept):
    random = np.random.default_rng(5)
    features = random.normal(0.5, 1, (200, 6)).astype(np.float32)
    csr, weights = _ratings(random, [0, 3, 40, 150], 200, binary=cost == "logistic")
    options = {"cost": cost, "reg": 0.5, "fit_intercept": fit_intercept, "sample_weights": weights}
    exact = _run(csr, features, **options)
    descended = _run(csr, features, solver="gradient", max_iterations=100_000, **options)
    assert descended[2]["unconverged"] == 0
    assert descended[2]["iterations"] > 10
    np.testing.assert_allclose(descended[0], exact[0], atol=1e-5)
    np.testing.assert_allclose(descended[1], exact[1], atol=1e-5)
    rushed = _run(csr, features, solver="gradient", max_iterations=2, **options)
    assert rushed[2]["iterations"] == 2
    assert rushed[2]["unconverged"] >= 2  # the row of three may have its answer at once: labels all alike


@pytest.mark.parametrize("n_features", [40, 130])
def test_regression_long_rows_and_many_features(n_features):
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (1100, n_features)).astype(np.float32)
    csr, weights = _ratings(random, [1025, 1024, 257], 1100, binary=False)
    got, intercept, _ = _run(csr, features, reg=2.0, sample_weights=weights)
    for row in range(3):
        entries = slice(csr[0][row], csr[0][row + 1])
        theta, b = ridge(features[csr[1][entries]], csr[2][entries], weights[entries], 2.0, True)
        np.testing.assert_allclose(got[row], theta, atol=1e-6)
        np.testing.assert_allclose(intercept[row], b, atol=1e-6)


@pytest.mark.parametrize("n_ratings", [5, 12, 60])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_regression_singular_systems_give_weights_of_least_norm(n_ratings, fit_intercept):
    random = np.random.default_rng(3)
    features = random.normal(0, 1, (60, 12)).astype(np.float32)
    features[:, 4] = features[:, 3]  # the same twice
    features[:, 5] = 0
    features[:, 6] = 7
    csr, _ = _ratings(random, [n_ratings], 60, binary=False)
    got, intercept, _ = _run(csr, features, reg=0.0, fit_intercept=fit_intercept)
    theta, b = ridge(features[csr[1]], csr[2], np.ones(n_ratings), 0.0, fit_intercept)
    np.testing.assert_allclose(got[0], theta, atol=1e-5)
    np.testing.assert_allclose(intercept[0], b, atol=1e-4)
    assert got[0, 3] == pytest.approx(got[0, 4], rel=1e-5)
    assert got[0, 5] == 0


@pytest.mark.parametrize("n_ratings", [50, 75, 300])
@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5])
@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e17])
def test_regression_many_features_are_as_exact_at_any_condition_and_scale(n_ratings, condition, scale):
    random = np.random.default_rng(7)
    mixed = random.normal(0, 1, (300, 60)) @ np.diag(np.geomspace(1, 1 / condition, 60)) @ random.normal(0, 1, (60, 60))
    features = (scale * mixed).astype(np.float32)
    csr, _ = _ratings(random, [n_ratings], 300, binary=False)
    reg = scale**2 * 1e-3
    got, intercept, _ = _run(csr, features, reg=reg)
    theta, b = ridge(features[csr[1]].astype(np.float64), csr[2], np.ones(n_ratings), reg, True)
    np.testing.assert_allclose(got[0], theta, atol=1e-6 * np.abs(theta).max())
    np.testing.assert_allclose(intercept[0], b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_ratings", [20, 200])
@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_regression_features_far_from_zero(n_ratings, cost):
    random = np.random.default_rng(7)
    features = (2000 + random.normal(0, 1, (300, 60))).astype(np.float32)
    csr, weights = _ratings(random, [n_ratings], 300, binary=cost == "logistic")
    got, intercept, _ = _run(csr, features, sample_weights=weights, reg=0.5, cost=cost)
    near = (features.astype(np.float64) - 2000).astype(np.float32)  # exact, for float32 has digits to spare near 0
    want, b, _ = _run(csr, near, sample_weights=weights, reg=0.5, cost=cost)
    np.testing.assert_allclose(got, want, atol=2e-6)
    np.testing.assert_allclose(intercept[0], b[0] - 2000 * want[0].astype(np.float64).sum(), atol=5e-3)
    if cost == "squared":
        theta, _ = ridge(near[csr[1]].astype(np.float64), csr[2], weights, 0.5, True)
        np.testing.assert_allclose(got[0], theta, atol=2e-6)


def test_regression_sums_of_sparse_entries_are_exact():
    random = np.random.default_rng(8)
    bits = random.integers(0, 2, (80, 40))
    entries = [[(j, value) for j in range(40) for value in (2.0**24, *[1.0] * row[j])] for row in bits]
    indptr = np.cumsum([0, *map(len, entries)]).astype(np.int64)
    columns, values = (np.array(part) for part in zip(*[pair for row in entries for pair in row], strict=True))
    csr, weights = _ratings(random, [70], 80, binary=False)
    known = indptr, columns.astype(np.int32), values.astype(np.float32)
    got, _, _ = _run(csr, known, n_features=40, sample_weights=weights, reg=0.1)
    theta, _ = ridge(bits[csr[1]].astype(np.float64), csr[2], weights, 0.1, True)
    np.testing.assert_allclose(got[0], theta, atol=1e-5)


def test_regression_same_features_for_all_items_give_the_mean():
    csr = np.array([0, 3], np.int64), np.array([0, 1, 2], np.int32), np.array([1, 2, 6], np.float32)
    for reg in (0.0, 1.0):
        got, intercept, _ = _run(csr, np.full((3, 4), 2.5, np.float32), reg=reg)
        np.testing.assert_array_equal(got, 0)
        np.testing.assert_allclose(intercept, 3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("n_features", [3, 40])
def test_regression_separable_labels_stay_finite(scale, n_features):
    random = np.random.default_rng(2)
    features = (scale * random.normal(0, 1, (30, n_features))).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.float32)
    csr = np.array([0, 30], np.int64), np.arange(30, dtype=np.int32), labels
    for reg in (1e-10, 1.0):
        got, intercept, report = _run(csr, features, cost="logistic", reg=reg)
        assert np.all(np.isfinite(got))
        assert np.all(np.isfinite(intercept))
        assert report["unconverged"] == 0
        if scale >= 1 and reg < 1:
            np.testing.assert_array_equal(features.astype(np.float64) @ got[0] + intercept[0] > 0, labels == 1)


def test_regression_labels_all_alike_are_shrunk():
    features = np.random.default_rng(0).normal(0, 1, (9, 2)).astype(np.float32)
    csr = np.array([0, 9, 12], np.int64), np.array([*range(9), 0, 1, 2], np.int32), np.repeat([1, 0], [9, 3])
    got, intercept, report = _run((*csr[:2], csr[2].astype(np.float32)), features, cost="logistic")
    assert np.all(got == 0)
    np.testing.assert_allclose(intercept, [np.log(9.5 / 0.5), np.log(0.5 / 3.5)], rtol=1e-6)
    assert report == {"iterations": 0, "unconverged": 0}


def test_regression_weight_zero_is_no_rating():
    random = np.random.default_rng(4)
    features = random.normal(0, 1, (40, 3)).astype(np.float32)
    csr, weights = _ratings(random, [20, 5], 40, binary=False)
    weights[:7] = 0
    weights[20:] = 0
    got, intercept, _ = _run(csr, features, sample_weights=weights)
    fewer = np.array([0, 13], np.int64), csr[1][7:20], csr[2][7:20]
    want, b, _ = _run(fewer, features, sample_weights=weights[7:20])
    np.testing.assert_array_equal(got[0], want[0])
    assert intercept[0] == b[0]
    np.testing.assert_array_equal(got[1], 0)
    assert intercept[1] == 0


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("solver", ["exact", "gradient"])
@pytest.mark.parametrize("sparse", [False, True])
def test_regression_same_bits_for_any_number_of_threads(cost, solver, sparse):
    random = np.random.default_rng(6)
    features = random.normal(0, 1, (400, 24)).astype(np.float32)
    csr, weights = _ratings(random, random.integers(0, 120, 300), 400, binary=cost == "logistic")
    known = _csr_features(features * (random.random(features.shape) < 0.2)) if sparse else features
    options = {"cost": cost, "solver": solver, "sample_weights": weights, "max_iterations": 60, "n_features": 24}
    first, *others = (_run(csr, known, n_threads=n, **options) for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(other[0], first[0])
        np.testing.assert_array_equal(other[1], first[1])
        assert other[2] == first[2]


def test_regression_sparse_columns_that_a_row_lacks_have_weight_zero():
    features = scipy.sparse.random(50, 4000, 0.005, format="csr", random_state=0, dtype=np.float32)
    random = np.random.default_rng(0)
    csr, _ = _ratings(random, [20, 3], 50, binary=False)
    sparse, b, _ = _run(csr, _csr_features(features), n_features=4000, reg=0.1)
    dense, c, _ = _run(csr, features.toarray(), reg=0.1)
    np.testing.assert_allclose(sparse, dense, atol=1e-6)
    np.testing.assert_allclose(b, c, atol=1e-6)
    touched = np.asarray(abs(features[csr[1][:20]]).sum(axis=0)).ravel() > 0
    assert np.all(sparse[0, ~touched] == 0)


CSR = np.array([0, 1, 2], np.int64), np.array([0, 1], np.int32), np.array([0.5, 2], np.float32)
X = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("features", "options", "error", "message"),
    [
        (X[:1], {}, ValueError, r"indices must lie in \[0, 1\); got 1 at entry 1"),
        (X.astype(float), {}, TypeError, "features must have dtype float32"),
        (np.asfortranarray(X), {}, ValueError, "features must be C-contiguous"),
        (X, {"n_features": 3}, ValueError, r"weights must have shape \(2, 2\); got \(2, 3\)"),
        (X, {"sample_weights": np.ones(1, np.float32)}, ValueError, "sample_weights must have one entry per rating"),
        (X, {"sample_weights": -np.ones(2, np.float32)}, ValueError, "sample_weights must not be negative; got -1"),
        (X, {"reg": -1.0}, ValueError, "reg must be at least 0; got -1"),
        (X, {"reg": np.nan}, ValueError, "reg must be at least 0; got nan"),
        (X, {"cost": "logistic", "reg": 0.0}, ValueError, "reg must be above 0 for the logistic cost"),
        (X, {"cost": "logistic"}, ValueError, r"values must lie in \[0, 1\] for the logistic cost; got 2 at entry 1"),
        (X, {"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        (X, {"solver": "fast"}, ValueError, "solver must be 'exact' or 'gradient'; got 'fast'"),
        (X, {"max_iterations": 0}, ValueError, "max_iterations must be positive"),
        (X, {"tolerance": 0.0}, ValueError, "tolerance must be positive"),
        (
            (CSR[0],),
            {"n_features": 2},
            ValueError,
            r"features must be \(indptr, indices, values\); got 1 entries",
        ),
        ((*CSR[:2], None), {"n_features": 2}, ValueError, "sparse features must have values"),
        (CSR, {"n_features": 1}, ValueError, r"indices must lie in \[0, 1\)"),
    ],
)
def test_regression_bad_arguments_raise(features, options, error, message):
    with pytest.raises(error, match=message):
        _run(CSR, features, **options)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot signal a thread")
def test_regression_stops_on_ctrl_c():
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (2000, 300)).astype(np.float32)
    csr, _ = _ratings(random, np.full(3000, 700), 2000, binary=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    weights, intercept = np.full((3000, 300), np.nan, np.float32), np.full(3000, np.nan, np.float32)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            _host.regress_rows(*csr, features, weights, intercept, cost="logistic")
        assert np.isnan(intercept).any()  # rows were left
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
