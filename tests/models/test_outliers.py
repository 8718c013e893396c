"""Single ratings far from all others."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.outliers import without_outliers

RATINGS = fastcf.data.make_ratings(100, 60, 2_500, random_state=0)


def with_values(values):
    users, items, _ = RATINGS.to_coo()
    return fastcf.Ratings.from_coo(users, items, values)


@pytest.mark.parametrize("solver", ["sgd", "als"])
@pytest.mark.parametrize("odd", [1e6, -1e6, 1e3])
def test_odd_rating_ruins_nothing(solver, odd):
    values = RATINGS.values.copy()
    values[77] = odd
    given = with_values(values)
    with pytest.warns(fastcf.DataWarning, match=r"^MatrixFactorization.fit: 1 of 2,500 ratings, among them -?1000"):
        found = MatrixFactorization(4, solver=solver, random_state=0).fit(given)
    values[77] = 5.0 if odd > 0 else 0.5
    same = MatrixFactorization(4, solver=solver, random_state=0).fit(with_values(values))
    np.testing.assert_array_equal(found.predict(RATINGS), same.predict(RATINGS))
    assert found.rating_range_ == (0.5, 5.0)
    assert given.values[77] == np.float32(odd)  # the caller's are as they were


FILMS = fastcf.FeatureTable(RATINGS.items.ids, np.random.default_rng(1).standard_normal((60, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("model", "features"),
    [
        (fastcf.BiasModel(), {}),
        (fastcf.Autoencoder((4,), n_epochs=2, random_state=0), {}),
        (fastcf.MixedRegression(), {"item_features": FILMS}),
        (fastcf.UserRegression(), {"item_features": FILMS}),
        (fastcf.TwoTower((4,), (4,), 2, n_epochs=1, random_state=0), {"item_features": FILMS}),
        (fastcf.Blend([fastcf.BiasModel(), MatrixFactorization(2, reg=1.0, n_epochs=2)], random_state=0), {}),
    ],
    ids=lambda each: type(each).__name__,
)
def test_odd_rating_ruins_no_model(model, features):
    values = RATINGS.values.copy()
    values[77] = 1e6
    with pytest.warns(fastcf.DataWarning, match=f"^{type(model).__name__}.fit: 1 of 2,500 ratings") as caught:
        found = model.fit(with_values(values), **features).predict(RATINGS)
    assert len(caught) == 1
    values[77] = 5.0
    np.testing.assert_array_equal(found, model.fit(with_values(values), **features).predict(RATINGS))


@pytest.mark.parametrize(
    "values",
    [
        RATINGS.values,
        np.full(2_500, 3.0),
        np.r_[np.full(2_499, 5.0), 1.0],
        np.exp(np.random.default_rng(0).normal(0, 2, 2_500)),
        np.r_[RATINGS.values[:2_400], np.full(100, 1e6)],
    ],
    ids=["stars", "constant", "one other", "heavy tail", "many"],
)
def test_tails_are_left_alone(values):
    ratings = with_values(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert without_outliers(ratings, "test") is ratings


def test_two_odd_ratings_of_thousands_are_found():
    values = RATINGS.values.copy()
    values[[3, 2_000]] = 1e6, -3e5
    with pytest.warns(fastcf.DataWarning, match="2 of 2,500"):
        found = without_outliers(with_values(values), "test")
    assert (found.values[3], found.values[2_000]) == (5.0, 0.5)
    np.testing.assert_array_equal(np.delete(found.values, [3, 2_000]), np.delete(values, [3, 2_000]).astype("f4"))
