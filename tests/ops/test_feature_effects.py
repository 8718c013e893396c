"""Effects of the rows' features on a factorisation: a sweep against its definition in float64, and its distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from fastcf import _host

pytestmark = pytest.mark.every_isa


def problem(n_rows, n_columns, n_features, k, biased, seed, density=0.3):
    """Return the arguments of a sweep, and the rows' features as a dense matrix."""
    rng = np.random.default_rng(seed)
    d = k + biased
    rated = rng.random((n_rows, n_columns)) < density
    rows, columns = (each.astype(np.int32) for each in np.nonzero(rated))
    X = np.where(rng.random((n_rows, n_features)) < 0.4, rng.standard_normal((n_rows, n_features)), 0)
    X = X.astype(np.float32)
    of_features, feature_rows = np.nonzero(X.T)
    root = rng.standard_normal((d, d))

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "indptr": np.concatenate([[0], np.cumsum(rated.sum(axis=1))]).astype(np.int64),
        "indices": columns,
        "column_factors": normal(n_columns, k),
        "feature_indptr": np.searchsorted(of_features, np.arange(n_features + 1)).astype(np.int64),
        "feature_rows": feature_rows.astype(np.int32),
        "feature_values": X.T[of_features, feature_rows],
        "effects": normal(d, n_features),
        "residuals": normal(rows.size),
        "factors": normal(n_rows, k),
        "bias": normal(n_rows) if biased else None,
        "weights": rng.uniform(0.5, 2, rows.size).astype(np.float32),
        "precision": 1.7,
        "prior": (root @ root.T / d + np.eye(d)).astype(np.float32),
        "noise": normal(d, n_features),
    }, (rows, X)


def swept(arguments, n_threads=1):
    """Return effects, residuals, factors and bias after a sweep."""
    changed = {name: arguments[name].copy() for name in ("effects", "residuals", "factors")}
    changed["bias"] = None if arguments["bias"] is None else arguments["bias"].copy()
    _host.feature_effects(**{**arguments, **changed}, n_threads=n_threads)
    return changed


@settings(max_examples=30)
@given(
    sizes=st.tuples(st.sampled_from([1, 31, 33, 90]), st.sampled_from([1, 17, 40]), st.sampled_from([0, 1, 9, 33])),
    k=st.sampled_from([1, 3, 8]),
    biased=st.booleans(),
    weighted=st.booleans(),
    noisy=st.booleans(),
    seed=st.integers(0, 99),
)
def test_feature_effects_sweep_is_its_definition(sizes, k, biased, weighted, noisy, seed):
    arguments, (rows, X) = problem(*sizes, k, biased, seed)
    if not weighted:
        arguments["weights"] = None
    if not noisy:
        arguments["noise"] = None
    got = swept(arguments)
    columns, nnz = arguments["indices"], rows.size
    A = np.c_[arguments["column_factors"], np.ones((sizes[1], int(biased)))]
    weights = arguments["weights"] if weighted else np.ones(nnz)
    noise = arguments["noise"] if noisy else np.zeros((k + biased, sizes[2]))
    start = arguments["effects"], arguments["residuals"]
    effects, residuals = reference.feature_effects(rows, columns, weights, A, X, *start, 1.7, arguments["prior"], noise)
    np.testing.assert_allclose(got["effects"], effects, atol=2e-4)
    np.testing.assert_allclose(got["residuals"], residuals, atol=2e-3)
    moved = X @ (effects - arguments["effects"]).T
    np.testing.assert_allclose(got["factors"], arguments["factors"] + moved[:, :k], atol=1e-3)
    if biased:
        np.testing.assert_allclose(got["bias"], arguments["bias"] + moved[:, k], atol=1e-3)


def test_feature_effects_same_bits_for_any_number_of_threads():
    arguments, _ = problem(1025, 1025, 200, 5, True, 0, density=0.1)
    first, *others = (swept(arguments, n) for n in (1, 2, 4))
    for other in others:
        for name, array in first.items():
            np.testing.assert_array_equal(other[name], array)


def test_feature_effects_sweeps_without_noise_approach_the_posterior_mean():
    arguments, (rows, X) = problem(40, 20, 3, 2, True, 1, density=0.8)
    start = dict(arguments)
    arguments["noise"] = None
    for _ in range(60):
        arguments.update(swept(arguments))
    A = np.c_[arguments["column_factors"], np.ones(20)].astype(np.float64)
    design = (A[arguments["indices"]][:, :, None] * X[rows][:, None, :]).reshape(rows.size, -1)
    targets = start["residuals"] + design @ start["effects"].ravel()
    weights = 1.7 * arguments["weights"].astype(np.float64)
    matrix = design.T @ (weights[:, None] * design) + np.kron(arguments["prior"], np.eye(3))
    mean = np.linalg.solve(matrix, design.T @ (weights * targets))
    np.testing.assert_allclose(arguments["effects"].ravel(), mean, atol=1e-4)


def test_feature_effects_draws_have_the_posterior_distribution():
    arguments, (rows, X) = problem(30, 12, 2, 1, True, 2, density=0.7)
    A = np.c_[arguments["column_factors"], np.ones(12)].astype(np.float64)
    design = (A[arguments["indices"]][:, :, None] * X[rows][:, None, :]).reshape(rows.size, -1)
    weights = 1.7 * arguments["weights"].astype(np.float64)
    matrix = design.T @ (weights[:, None] * design) + np.kron(arguments["prior"], np.eye(2))
    targets = arguments["residuals"] + design @ arguments["effects"].ravel()
    rng, draws = np.random.default_rng(0), []
    for _ in range(6000):
        arguments["noise"] = rng.standard_normal((2, 2)).astype(np.float32)
        arguments.update(swept(arguments))
        draws.append(arguments["effects"].ravel())
    covariance = np.linalg.inv(matrix)
    scale = np.sqrt(np.diag(covariance))
    mean = covariance @ design.T @ (weights * targets)
    assert np.abs((np.mean(draws[50:], axis=0) - mean) / scale).max() < 0.1
    assert (
        np.abs(np.cov(np.transpose(draws[50:])) / np.outer(scale, scale) - covariance / np.outer(scale, scale)).max()
        < 0.1
    )


def test_feature_effects_stay_finite_where_few_ratings_are_all_but_exact():
    arguments, _ = problem(2, 2, 3, 8, True, 0, density=0.9)
    got = swept({**arguments, "precision": 1e14})
    for array in got.values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("effects", np.zeros((3, 5), np.float32), r"effects must have shape \(4, 5\); got \(3, 5\)"),
        ("prior", np.eye(3, dtype=np.float32), r"prior must have shape \(4, 4\); got \(3, 3\)"),
        ("noise", np.zeros((4, 6), np.float32), r"noise must have shape \(4, 5\); got \(4, 6\)"),
        ("residuals", np.zeros(1, np.float32), r"residuals must have \d+ entries; got 1"),
        ("weights", np.zeros(1, np.float32), r"weights must have \d+ entries; got 1"),
        ("bias", np.zeros(2, np.float32), "bias must have 9 entries; got 2"),
        ("precision", 0.0, "precision must be positive; got 0"),
        ("feature_values", np.zeros(1, np.float32), "features: values must have as many entries as indices"),
        ("factors", np.zeros((9, 2), np.float32), r"factors must have shape \(9, 3\); got \(9, 2\)"),
        ("column_factors", np.zeros((7, 3), np.float64), "column_factors must have dtype float32; got float64"),
    ],
)
def test_feature_effects_bad_input_raises(name, value, message):
    arguments, _ = problem(9, 7, 5, 3, True, 0)
    with pytest.raises((TypeError, ValueError), match=message):
        _host.feature_effects(**{**arguments, name: value})
