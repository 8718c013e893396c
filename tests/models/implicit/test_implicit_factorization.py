"""Factorisation of choices: its objective, its solvers, new rows."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
import reference


@pytest.fixture(scope="module")
def ratings():
    return fastcf.data.make_ratings(300, 200, 9_000, random_state=0)


def fitted(ratings, **options):
    given = {"n_factors": 8, "threshold": 3.5, "n_epochs": 5, "random_state": 0, **options}
    return fastcf.ImplicitFactorization(**given).fit(ratings)


def test_implicit_recorded_costs_are_the_objective_and_fall(ratings):
    model = fitted(ratings, solver="cholesky", reg=0.01, reg_scaling=0.5, alpha=2.0)
    costs = [record["cost"] for record in model.history_]
    assert costs == sorted(costs, reverse=True)
    chosen = ratings.take(ratings.values >= 3.5)
    P = np.where(chosen.user_counts()[:, None] > 0, model.user_factors_ + model.mean_user_, 0)
    expected = reference.implicit_objective(
        chosen.indptr, chosen.indices, np.full(chosen.nnz, 2.0), P, model.item_factors_, model.unobserved_weight_,
        0.01, 0.5,
    )  # fmt: skip
    assert costs[-1] == pytest.approx(expected, rel=1e-5)


def test_implicit_folding_a_training_user_in_gives_the_trained_row(ratings):
    model = fitted(ratings, solver="cholesky")
    folded = model.fold_in(ratings)
    np.testing.assert_allclose(folded.user_factors_, model.user_factors_, atol=1e-4)


def test_implicit_unknown_users_get_the_mean_users_list(ratings):
    model = fitted(ratings)
    best = model.recommend(["nobody"] if ratings.users.ids.dtype.kind == "U" else [10**9], n=5, exclude_seen=False)
    order = np.argsort(-model.item_bias_)[:5]
    np.testing.assert_array_equal(best.items[0], model.items_.ids[order])


def test_implicit_gradients_are_those_of_the_objective(ratings):
    some = fastcf.data.make_ratings(40, 30, 400, random_state=1)
    report = fastcf.check_gradients(fastcf.ImplicitFactorization(4, threshold=3.5, reg=0.1, reg_scaling=0.5), some)
    assert report.passed, str(report)
