"""MixedRegression: the equation and a float64 reference, new users and items, means that it must not lose to."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf import FeatureTable, MixedRegression

N_MORE = 4  # users and items with features that nobody rated


@pytest.fixture(scope="module")
def ratings():
    made = fastcf.data.make_ratings(60, 40, 1_200, random_state=3)
    users, items, values = made.to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, values.size)
    return fastcf.Ratings.from_coo([f"u{u:03d}" for u in users], items * 10, values, weights=weights)


@pytest.fixture(scope="module")
def tables(ratings):
    random = np.random.default_rng(1)
    items = random.permutation([*ratings.items.ids, *range(100_000, 100_000 + N_MORE)])
    users = random.permutation([*ratings.users.ids, *(f"v{n}" for n in range(N_MORE))])
    return {
        "item_features": FeatureTable(items, random.normal(0.3, 1, (items.size, 5))),
        "user_features": FeatureTable(users, random.normal(-0.2, 2, (users.size, 3))),
    }


@pytest.fixture(scope="module", params=["both", "item_features", "user_features"])
def fitted(request, ratings, tables):
    given = tables if request.param == "both" else {request.param: tables[request.param]}
    return MixedRegression().fit(ratings, **given), given


def _ridge(X, y, w, penalties):
    """Return the weights of least w (y - X b)^2 + b' diag(penalties) b."""
    return np.linalg.solve((X * w[:, None]).T @ X + np.diag(penalties), X.T @ (w * y))


def _reference(ratings, X_user, X_item, user_reg, item_reg, slopes):
    """Predict the ratings by the documented steps in float64; ``slopes`` are penalties of users' and items'."""
    rows, columns, y = ratings.row_of_entry(), ratings.indices, ratings.values.astype(float)
    w = ratings.weights.astype(float)

    def side(X, rows, n, reg, left):
        total = np.bincount(rows, w, n)
        means = np.bincount(rows, w * left, n) / total
        share = total / (1 + total / reg)
        centred = X - np.average(X, axis=0, weights=share)
        level = np.average(means, weights=share)
        weights = _ridge(centred, means - level, share, np.full(X.shape[1], reg * X.var(axis=0).sum()))
        explained = X @ weights - np.average(X @ weights, weights=total)
        mean = np.average(means - explained, weights=share)
        return mean, explained, (means - explained - mean) * total / (total + reg)

    e_item = np.zeros(ratings.n_items)
    for _ in range(200):
        mean, e_user, own = side(X_user, rows, ratings.n_users, user_reg, y - e_item[columns])
        _, e_item, _ = side(X_item, columns, ratings.n_items, item_reg, y - (mean + e_user + own)[rows])
    predicted = mean + e_user[rows] + e_item[columns]
    for rows_, X, n, reg, slope in (
        (rows, X_item[columns], ratings.n_users, user_reg, slopes[0]),
        (columns, X_user[rows], ratings.n_items, item_reg, slopes[1]),
    ):
        left, design = y - predicted, np.column_stack([np.ones(y.size), X])
        penalties = np.r_[reg, np.full(X.shape[1], slope)]
        for row in range(n):
            own = rows_ == row
            predicted[own] += design[own] @ _ridge(design[own], left[own], w[own], penalties)
    return predicted


def test_mixed_regression_is_its_reference(ratings, tables):
    model = MixedRegression(user_reg=4.0, item_reg=3.0, user_slope_reg=20.0, item_slope_reg=30.0).fit(ratings, **tables)
    X_user = tables["user_features"].align(ratings.users).astype(float)
    X_item = tables["item_features"].align(ratings.items).astype(float)
    expected = _reference(ratings, X_user, X_item, 4.0, 3.0, (20.0, 30.0))
    np.testing.assert_allclose(model.predict(ratings), np.clip(expected, *ratings.rating_range), atol=2e-3)


def test_mixed_regression_predictions_follow_equation(fitted):
    model, _ = fitted
    pairs = [("u001", 0), ("u017", 110), ("nobody", 20), ("u001", 12345), ("u004", 100_002), ("v1", 0), ("v1", 100_001)]
    u, i = (model.users_.rows([user for user, _ in pairs]), model.items_.rows([item for _, item in pairs]))
    bias = np.where(u >= 0, model.user_bias_[u], 0) + np.where(i >= 0, model.item_bias_[i], 0)
    product = np.where((u >= 0) & (i >= 0), (model.user_factors_[u] * model.item_factors_[i]).sum(1), 0)
    expected = np.clip(model.global_mean_ + bias + product, *model.rating_range_)
    np.testing.assert_allclose(model.predict(pairs), expected, rtol=1e-5)


def test_mixed_regression_sparse_features_and_threads_change_nothing(ratings, tables, fitted):
    model, given = fitted
    sparse = {name: FeatureTable(table.ids, scipy.sparse.csr_array(table.matrix)) for name, table in given.items()}
    np.testing.assert_allclose(
        MixedRegression().fit(ratings, **sparse).predict(ratings), model.predict(ratings), atol=1e-3
    )
    for threads in (1, 3):
        again = MixedRegression(n_threads=threads).fit(ratings, **given)
        np.testing.assert_array_equal(again.predict(ratings), model.predict(ratings))


@settings(deadline=None, max_examples=15)
@given(offset=st.floats(-100, 2_000), factor=st.sampled_from([0.01, 1.0, 300.0]))
def test_mixed_regression_follows_the_unit_and_the_origin_of_ratings(ratings, tables, offset, factor):
    plain = MixedRegression().fit(ratings, **tables)
    users, items, values = ratings.to_coo()
    moved = fastcf.Ratings.from_coo(users, items, offset + factor * values, weights=ratings.weights)
    model = MixedRegression().fit(moved, **tables)
    assert model.user_slope_reg_ == plain.user_slope_reg_
    got = (model.predict(moved).astype(float) - offset) / factor
    np.testing.assert_allclose(got, plain.predict(ratings), atol=2e-3 + 1e-6 * abs(offset) / factor)


def test_mixed_regression_folds_in_what_it_learns_from_the_same_ratings(ratings, fitted):
    model, given = fitted
    if "item_features" in given:
        users, items, values = ratings.to_coo()
        some = users == "u005"
        few = fastcf.Ratings.from_coo(users[some], items[some], values[some], weights=ratings.weights[some])
        folded = model.fold_in(few)
        pairs = [("u005", item) for item in model.items_.ids]
        np.testing.assert_allclose(folded.predict(pairs), model.predict(pairs), atol=1e-4)
        assert len(model.recommend(history=([(0, 0), (0, 110)], [5.0, 1.0]), n=3).items) == 1
    by_item = model.fold_in(ratings, by="item")
    pairs = [(user, 110) for user in ratings.users.ids]
    np.testing.assert_allclose(by_item.predict(pairs), model.predict(pairs), atol=1e-4)


def test_mixed_regression_new_rows_by_features_have_the_common_effects(ratings, tables):
    known = {
        name: FeatureTable(ids, table.align(ids))
        for (name, table), ids in zip(tables.items(), (ratings.items, ratings.users), strict=True)
    }
    all_at_once, later = MixedRegression().fit(ratings, **tables), MixedRegression().fit(ratings, **known)
    later = later.fold_in(item_features=tables["item_features"], user_features=tables["user_features"])
    pairs = [("v0", 0), ("u003", 100_001), ("v2", 100_003), ("u001", 20)]
    np.testing.assert_allclose(later.predict(pairs), all_at_once.predict(pairs), atol=1e-5)


def test_mixed_regression_of_many_features_has_no_slopes(ratings, tables, tmp_path):
    random = np.random.default_rng(0)
    words = scipy.sparse.random_array((ratings.n_items + 1, 1_200), density=0.01, rng=random, format="csr")
    many = FeatureTable([*ratings.items.ids, 7], words)
    model = MixedRegression().fit(ratings, item_features=many, user_features=tables["user_features"])
    assert model.user_slope_reg_ == 0
    assert model.item_weights_.shape == (1_200,)
    assert (
        model.user_factors_.shape[1] == model.item_factors_.shape[1] == 3
    )  # of users' features, where items have slopes
    later = model.fold_in(item_features=FeatureTable([8], words[[ratings.n_items]]))
    np.testing.assert_allclose(later.predict([("v0", 8)]), model.predict([("v0", 7)]), atol=1e-6)
    by_item = model.fold_in(ratings, by="item")
    pairs = [(user, 110) for user in ratings.users.ids]
    np.testing.assert_allclose(by_item.predict(pairs), model.predict(pairs), atol=1e-4)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(fastcf.load(tmp_path / "m").predict(pairs), model.predict(pairs))
    towers = fastcf.TwoTower((4,), (4,), 2, n_epochs=1, random_state=0).fit(ratings, item_features=many)
    assert towers.item_factors_.shape[1] == 2


def test_mixed_regression_files(fitted, tmp_path):
    model, _ = fitted
    model.save(tmp_path / "model.fastcf")
    loaded = fastcf.load(tmp_path / "model.fastcf")
    pairs = [("u001", 0), ("v0", 100_000), ("u003", 999)]
    np.testing.assert_array_equal(loaded.predict(pairs), model.predict(pairs))
    history = ([(0, 0), (0, 110)], [5.0, 1.0])
    np.testing.assert_array_equal(loaded.recommend(history=history).scores, model.recommend(history=history).scores)
    assert loaded.user_slope_reg_ == model.user_slope_reg_


def _users_means(train, test):
    sums = np.bincount(train.row_of_entry(), train.values, train.n_users)
    means = (sums + train.mean) / (np.diff(train.indptr) + 1)
    return np.append(means, train.mean)[train.users.rows(test.users.ids)][test.row_of_entry()]


def _split_items(ratings, seed):
    items = np.random.default_rng(seed).permutation(np.unique(ratings.indices))
    held = np.isin(ratings.indices, items[: items.size // 10])
    return ratings.take(np.flatnonzero(~held)), ratings.take(np.flatnonzero(held))


@pytest.mark.parametrize("seed", range(3))
def test_mixed_regression_does_not_lose_to_means_where_features_tell_nothing(seed):
    made = fastcf.data.make_ratings(200, 150, 4_000, random_state=seed)
    train, test = _split_items(made, seed)
    noise = FeatureTable(made.items, np.random.default_rng(seed).normal(size=(made.n_items, 5)))
    model = MixedRegression().fit(train, item_features=noise)
    error = fastcf.metrics.rmse(test.values, model.predict(test))
    assert error <= fastcf.metrics.rmse(test.values, _users_means(train, test)) + 0.02


def test_mixed_regression_predicts_new_items_of_a_real_set(data_dir):
    ratings = fastcf.data.load_ratings(data_dir / "ml-latest-small")
    films = fastcf.features.movielens(data_dir / "ml-latest-small").items
    gains = []
    for seed in range(2):
        train, test = _split_items(ratings, seed)
        errors = [
            fastcf.metrics.rmse(test.values, predicted)
            for predicted in (
                MixedRegression().fit(train, item_features=films).predict(test),
                _users_means(train, test),
                fastcf.UserRegression(reg=10).fit(train, item_features=films).predict(test),
            )
        ]
        gains.append([errors[1] - errors[0], errors[2] - errors[0]])
    assert np.min(gains, axis=0)[0] > 0.02
    assert np.mean(gains, axis=0)[1] > -0.002  # a ridge per user at its best penalty


def test_mixed_regression_refuses(ratings, tables):
    with pytest.raises(ValueError, match="user_features or item_features must be given"):
        MixedRegression().fit(ratings)
    with pytest.raises(ValueError, match="user_slope_reg"):
        MixedRegression(user_slope_reg=3.0).fit(ratings, user_features=tables["user_features"])
    with pytest.raises(ValueError, match="all items of the ratings"):
        MixedRegression().fit(ratings, item_features=([0, 10], [[1.0], [2.0]]))
    model = MixedRegression().fit(ratings, item_features=tables["item_features"])
    with pytest.raises(ValueError, match="must have 5 features"):
        model.fold_in(item_features=([7], [[1.0]]))
    with pytest.raises(ValueError, match="user_features must be None"):
        model.fold_in(user_features=tables["user_features"])
