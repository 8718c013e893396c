"""Penalties estimated on held-out labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.factorization import matrix_factorization
from fastcf.models.factorization.held_out_penalty import held_out_penalty
from fastcf.solvers import SGD


def labels_of(n, weights=None):
    users, items = np.divmod(np.arange(n), 100)
    return fastcf.Ratings.from_coo(users, items, np.ones(n, np.float32), weights=weights)


def valley(target, seen=None):
    """Return what predicts labels of 1 the better, the nearer the penalty is to the target."""

    def predict(kept, reg, held_out):
        if seen is not None:
            seen.append((kept, reg, held_out))
        return np.full(held_out.nnz, np.exp(-0.1 - abs(np.log(reg / target))), np.float32)

    return predict


@settings(deadline=None)
@given(first=st.floats(0.01, 100), away=st.floats(-2.2, 2.2))
def test_held_out_penalty_walks_to_the_least_loss(first, away):
    target = first * np.exp(away)
    found = held_out_penalty(labels_of(200), valley(target), first, 0)
    assert abs(np.log(found / target)) <= 0.5 * np.log(1.25) + 1e-6


@pytest.mark.parametrize(("n", "n_folds"), [(10, 10), (205, 10), (20_000, 5), (90_000, 2), (200_000, 1)])
def test_held_out_penalty_holds_out_tenths_in_turn(n, n_folds):
    labels, seen = labels_of(n), []
    assert held_out_penalty(labels, valley(1.0, seen), 1.0, 7) == 1.0
    assert len(seen) == 3 * n_folds  # the first guess and its neighbours
    times = np.zeros(n, int)
    for kept, _, held_out in seen[:n_folds]:
        assert kept.shape == held_out.shape == labels.shape
        assert held_out.nnz == n // 10
        assert kept.nnz + held_out.nnz == n
        times[held_out.row_of_entry() * 100 + held_out.indices] += 1
        assert not times[kept.row_of_entry() * 100 + kept.indices].max(initial=0) > n_folds - 1
    assert times.max() == 1
    again = []
    held_out_penalty(labels, valley(1.0, again), 1.0, 7)
    np.testing.assert_array_equal(seen[0][2].indices, again[0][2].indices)


def test_held_out_penalty_stops_after_twelve():
    seen = []
    found = held_out_penalty(labels_of(100_000), valley(100.0, seen), 1.0, 0)
    assert found == pytest.approx(1.25**11)
    assert [reg for _, reg, _ in seen] == pytest.approx(1.25 ** np.arange(12))


def test_held_out_penalty_few_labels_leave_the_first_guess():
    def never(kept, reg, held_out):
        raise AssertionError("nothing to hold out")

    assert held_out_penalty(labels_of(9), never, 0.3, 0) == 0.3
    weights = np.r_[np.ones(9), np.zeros(500)]
    assert held_out_penalty(labels_of(509, weights), never, 0.3, 0) == 0.3


def test_held_out_penalty_never_holds_out_labels_of_weight_zero():
    weights = (np.arange(400) % 3 != 0).astype(np.float32)
    seen = []
    held_out_penalty(labels_of(400, weights), valley(1.0, seen), 1.0, 0)
    assert all(held_out.weights.all() for _, _, held_out in seen)


def test_held_out_penalty_of_labels_grows_where_factors_have_nothing_to_learn():
    something, nothing = (
        fastcf.data.make_ratings(600, 300, 30_000, n_factors=n_factors, random_state=0) for n_factors in (8, 0)
    )
    options = {"cost": "logistic", "threshold": 4, "random_state": 0}
    model = MatrixFactorization(**options).fit(nothing)
    assert model.reg_ > 1.5 * MatrixFactorization(**options).fit(something).reg_
    biases = MatrixFactorization(reg=1e6, **options).fit(nothing)
    np.testing.assert_allclose(model.predict(nothing), biases.predict(nothing), atol=0.02)


@pytest.mark.parametrize("solver", ["sgd", "gd"])
def test_held_out_penalty_ctrl_c_leaves_what_was_there(monkeypatch, solver):
    ratings = fastcf.data.make_ratings(100, 50, 2_000, random_state=0)
    model = MatrixFactorization(4, solver=solver, cost="logistic", threshold=4, n_epochs=3, random_state=0)

    def press(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(matrix_factorization, "held_out_penalty", press)
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings)
        assert not hasattr(model, "history_")  # nothing was learnt yet
    model.fit(ratings)
    before = model.predict(ratings)
    with monkeypatch.context() as patch:
        patch.setattr(matrix_factorization, "held_out_penalty", press)
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings.take(np.arange(500)))
    np.testing.assert_array_equal(model.predict(ratings), before)


def test_held_out_penalty_scale_follows_the_exponent():
    ratings = fastcf.data.make_ratings(600, 300, 30_000, random_state=0)
    losses = {}
    for scaling in ("none", 0.5, "count"):
        train, test = fastcf.data.train_test_split(ratings, random_state=0)
        model = MatrixFactorization(8, cost="logistic", threshold=4, reg_scaling=scaling, random_state=0).fit(train)
        losses[scaling] = -model.score(test)
        assert model.reg_ == pytest.approx({"none": 6.0, 0.5: 0.65, "count": 0.07}[scaling], rel=0.7)
    assert max(losses.values()) < 1.05 * losses[0.5]


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_bias_penalties_of_labels_are_in_the_unit_of_z(spread):
    random = np.random.default_rng(0)
    users, items = np.divmod(random.choice(2000 * 500, 100_000, replace=False), 500)
    z = random.normal(0, spread, 2000)[users] + random.normal(0, 0.5, 500)[items] + 0.3
    labels = (random.random(z.size) < expit(z)).astype(np.float32)
    model = MatrixFactorization(1, cost="logistic", solver=SGD(1e-9), reg=1.0, n_epochs=1, random_state=0)
    model.fit(np.stack([users, items], axis=1), labels)
    assert model.user_bias_reg_ == pytest.approx(1 / spread**2, rel=0.15)
    assert model.item_bias_reg_ == pytest.approx(4, rel=0.2)
