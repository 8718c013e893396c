"""The bias op against the normal equations, and its estimates of the penalties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from backends import in_every_order
from fastcf import _cpu
from reference import biases


def _fit(backend, csr, n_items, **options):
    user_bias = np.full(csr[0].size - 1, np.nan, np.float32)
    item_bias = np.full(n_items, np.nan, np.float32)
    fit = backend.fit_biases(*csr, user_bias, item_bias, **options)
    return fit, user_bias, item_bias


@settings(max_examples=40)
@given(
    n_users=st.sampled_from([1, 2, 31, 33, 40]),
    n_items=st.sampled_from([1, 2, 17, 32]),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    weighted=st.booleans(),
    item_offset=st.booleans(),
    user_reg=st.sampled_from([0.5, 3.0]),
    item_reg=st.sampled_from([0.25, 5.0]),
    seed=st.integers(0, 10**6),
)
def test_bias_fit_matches_normal_equations(n_users, n_items, density, weighted, item_offset, user_reg, item_reg, seed):
    random = np.random.default_rng(seed)
    mask = random.random((n_users, n_items)) < density
    mask[0, 0] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    users, items = np.nonzero(mask)
    values = random.normal(3, 1, users.size).astype(np.float32)
    weights = random.uniform(0.1, 2, users.size).astype(np.float32) if weighted else None
    offset = random.normal(0, 1, n_items).astype(np.float32) if item_offset else None
    csr = indptr, items.astype(np.int32), values
    fit, user_bias, item_bias = _fit(
        _cpu, csr, n_items, weights=weights, item_offset=offset, user_reg=user_reg, item_reg=item_reg,
        max_iterations=20_000, tolerance=0.0,
    )  # fmt: skip
    residuals = values - (offset[items] if item_offset else 0)
    w = weights if weighted else np.ones(users.size)
    mean, b_u, b_i = biases(users, items, residuals, w, n_users, n_items, user_reg, item_reg)
    np.testing.assert_allclose(fit["mean"], mean, atol=1e-4)
    np.testing.assert_allclose(user_bias, b_u, atol=1e-4)
    np.testing.assert_allclose(item_bias, b_i, atol=1e-4)
    assert (fit["user_reg"], fit["item_reg"]) == (user_reg, item_reg)
    assert np.all(user_bias[np.diff(indptr) == 0] == 0)


@settings(max_examples=25)
@given(
    n_users=st.sampled_from([1, 2, 31, 33, 40]),
    n_items=st.sampled_from([1, 2, 17, 32, 300]),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    weighted=st.booleans(),
    item_offset=st.booleans(),
    given_regs=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_bias_fit_is_the_same_on_every_device(
    backend, n_users, n_items, density, weighted, item_offset, given_regs, seed
):
    # A few iterations, for an emulated GPU takes its time: the equations' solution is compared with the CPU's above.
    random = np.random.default_rng(seed)
    mask = random.random((n_users, n_items)) < density
    mask[0, 0] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    items = np.nonzero(mask)[1].astype(np.int32)
    options = {"max_iterations": 4, "tolerance": 0.0}
    if weighted:
        options["weights"] = random.choice([0.0, 0.5, 1.5], items.size, p=[0.1, 0.4, 0.5]).astype(np.float32)
        options["weights"][0] = 1
    if item_offset:
        options["item_offset"] = random.normal(0, 1, n_items).astype(np.float32)
    if given_regs:
        options |= {"user_reg": 0.5, "item_reg": 3.0}
    csr = indptr, items, random.normal(3, 1, items.size).astype(np.float32)
    expected, *expected_biases = _fit(_cpu, csr, n_items, **options)
    fit, *found = _fit(backend, csr, n_items, **options)
    assert fit == pytest.approx(expected, rel=1e-5, abs=1e-7)
    for mine, other in zip(found, expected_biases, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_bias_penalties_recover_true_variances():
    random = np.random.default_rng(0)
    n_users, n_items, per_user = 3_000, 800, 40
    users = np.repeat(np.arange(n_users), per_user)
    items = np.concatenate([random.choice(n_items, per_user, replace=False) for _ in range(n_users)])
    values = 3.5 + random.normal(0, 0.5, n_users)[users] + random.normal(0, 0.8, n_items)[items]
    values += random.normal(0, 1.0, users.size)
    ratings = fastcf.Ratings.from_coo(users, items, values)
    fit, _, _ = _fit(_cpu, (ratings.indptr, ratings.indices, ratings.values), ratings.n_items)
    assert fit["user_reg"] == pytest.approx(1 / 0.5**2, rel=0.15)
    assert fit["item_reg"] == pytest.approx(1 / 0.8**2, rel=0.15)
    assert fit["noise_variance"] == pytest.approx(1, rel=0.05)
    assert fit["iterations"] < 50


def test_bias_constant_ratings_give_finite_fit(backend):
    csr = np.array([0, 2, 4], np.int64), np.array([0, 1, 0, 1], np.int32), np.full(4, 3, np.float32)
    fit, user_bias, item_bias = _fit(backend, csr, 2)
    assert fit["mean"] == pytest.approx(3)
    assert np.all(np.isfinite([*user_bias, *item_bias, *fit.values()]))
    np.testing.assert_allclose([*user_bias, *item_bias], 0, atol=1e-6)


def test_bias_same_bits_for_any_number_of_threads():
    ratings = fastcf.data.make_ratings(5_000, 1_000, 400_000, random_state=0)
    csr = ratings.indptr, ratings.indices, ratings.values
    first, *others = (_fit(_cpu, csr, ratings.n_items, n_threads=n) for n in (1, 2, 4))
    for other in others:
        assert other[0] == first[0]
        np.testing.assert_array_equal(other[1], first[1])
        np.testing.assert_array_equal(other[2], first[2])


def test_bias_same_bits_in_any_order_of_threads(backend):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    csr = ratings.indptr, ratings.indices, ratings.values
    weights = np.random.default_rng(0).uniform(0, 2, ratings.nnz).astype(np.float32)
    first, *others = in_every_order(backend, lambda: _fit(backend, csr, ratings.n_items, weights=weights))
    for other in others:
        assert other[0] == first[0]
        np.testing.assert_array_equal(other[1], first[1])
        np.testing.assert_array_equal(other[2], first[2])


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_bias_fit_does_not_depend_on_the_unit_of_weights(backend, scale):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    csr = ratings.indptr, ratings.indices, ratings.values
    weights = np.random.default_rng(0).uniform(0.1, 2, ratings.nnz)
    regs = {"user_reg": 2.0, "item_reg": 3.0}
    expected, *biases_ = _fit(backend, csr, ratings.n_items, weights=weights.astype(np.float32), **regs)
    scaled = {name: reg * scale for name, reg in regs.items()}
    fit, *found = _fit(backend, csr, ratings.n_items, weights=(weights * scale).astype(np.float32), **scaled)
    assert fit["mean"] == pytest.approx(expected["mean"], rel=1e-6)
    for mine, other in zip(found, biases_, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": np.ones(1, np.float32)}, "weights must have 2 entries"),
        ({"weights": np.zeros(2, np.float32)}, "weights must not all be zero"),
        ({"item_offset": np.ones(1, np.float32)}, "item_offset must have"),
        ({"max_iterations": 0}, "max_iterations must be positive"),
    ],
)
def test_bias_bad_arguments_raise(backend, options, message):
    csr = np.array([0, 1, 2], np.int64), np.array([0, 1], np.int32), np.ones(2, np.float32)
    with pytest.raises(ValueError, match=message):
        _fit(backend, csr, 2, **options)
