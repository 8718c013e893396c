"""Going on with a fitted factorisation when new ratings arrive."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.factorization import stream

LABELS = {"cost": "logistic", "threshold": 4.0}


@pytest.fixture(scope="module")
def parts():
    """Old ratings, new ones (some by new users, of new items), and later ones to predict."""
    ratings = fastcf.data.make_ratings(900, 400, 60_000, random_state=0)
    rest, later = fastcf.data.train_test_split(ratings, test_size=0.15, random_state=0)
    users, items, values = rest.to_coo()
    X = np.stack([users, items], axis=1)
    old = (users < 800) & (items < 360) & (np.random.default_rng(0).random(users.size) < 0.9)
    later_users, later_items, later_values = later.to_coo()
    return (X[old], values[old]), (X[~old], values[~old]), (np.stack([later_users, later_items], axis=1), later_values)


@pytest.mark.parametrize("options", [{}, {"normalize": "item"}, {"bias": False}, {"solver": "als", "n_epochs": 8}])
def test_partial_fit_learns_new_users_and_items_and_keeps_the_old(parts, options):
    old, new, (X, y) = parts
    model = MatrixFactorization(16, random_state=0, **options).fit(*old)
    before = fastcf.metrics.rmse(y, model.predict(X))
    known = (X[:, 0] < 800) & (X[:, 1] < 360)
    old_before = fastcf.metrics.rmse(y[known], model.predict(X[known]))
    users, items = model.users_.ids, model.items_.ids
    assert model.partial_fit(*new) is model
    assert fastcf.metrics.rmse(y, model.predict(X)) < 0.98 * before
    assert fastcf.metrics.rmse(y[known], model.predict(X[known])) < 1.02 * old_before
    np.testing.assert_array_equal(model.users_.ids[: len(users)], users)
    np.testing.assert_array_equal(model.items_.ids[: len(items)], items)
    assert len(model.users_) == 900
    whole = MatrixFactorization(16, random_state=0, **options).fit(
        np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]])
    )
    assert fastcf.metrics.rmse(y, model.predict(X)) < 1.05 * fastcf.metrics.rmse(y, whole.predict(X))


def test_partial_fit_before_fit_is_fit(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0)
    again = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts[0])
    np.testing.assert_array_equal(model.partial_fit(*parts[0]).user_factors_, again.user_factors_)


def test_partial_fit_same_bits_for_any_number_of_threads(parts):
    models = []
    for n_threads in (1, 2, 4):
        model = MatrixFactorization(20, n_epochs=3, random_state=0, n_threads=n_threads).fit(*parts[0])
        models.append(model.partial_fit(*parts[1], n_epochs=2))
    for model in models[1:]:
        np.testing.assert_array_equal(model.user_factors_, models[0].user_factors_)
        np.testing.assert_array_equal(model.item_bias_, models[0].item_bias_)


def test_partial_fit_seen_items_are_those_of_both(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts[0]).partial_fit(*parts[1])
    (X_old, _), (X_new, _), _ = parts
    user = 7
    seen = set(X_old[X_old[:, 0] == user, 1]) | set(X_new[X_new[:, 0] == user, 1])
    best = model.recommend(user, len(model.items_))
    assert set(best.items[best.items >= 0].tolist()) == set(model.items_.ids.tolist()) - {int(item) for item in seen}


def test_partial_fit_pair_known_on_neither_side_moves_away_from_nothing(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts[0])
    model.partial_fit([[5000, 6000], [5000, 6001]], [5.0, 5.0], n_epochs=3)
    assert model.user_factors_[-1].any()
    assert np.isfinite(model.predict([[5000, 6000]])).all()


def test_partial_fit_loaded_model_goes_on(parts, tmp_path):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts[0])
    model.save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors").partial_fit(*parts[1])
    np.testing.assert_array_equal(loaded.user_factors_, model.partial_fit(*parts[1]).user_factors_)


def test_partial_fit_string_ids_extend(parts):
    X = np.array([["007", "a"], ["007", "b"], ["8", "a"], ["9", "b"]], object)
    model = MatrixFactorization(2, n_epochs=1, random_state=0).fit(X, [1.0, 2.0, 3.0, 4.0])
    model.partial_fit(np.array([["a new user", "b"]], object), [5.0])
    assert model.users_.ids.tolist() == ["007", "8", "9", "a new user"]
    assert model.rating_range_ == (1.0, 5.0)


def test_partial_fit_bad_input_is_named_and_changes_nothing(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts[0])
    before = model.user_factors_.copy()
    for each in (model, MatrixFactorization(4, n_epochs=2)):
        with pytest.raises(ValueError, match="partial_fit: n_epochs must be an integer of at least 1; got 0"):
            each.partial_fit(*parts[1], n_epochs=0)
    with pytest.raises(TypeError, match=r"partial_fit: users must be integers, .* got 'u' at entry 0"):
        model.partial_fit(np.array([["u", 3]], object), [3.0])
    with pytest.raises(ValueError, match="partial_fit: ratings must be finite"):
        model.partial_fit([[1, 2]], [np.inf])
    np.testing.assert_array_equal(model.user_factors_, before)
    draws = MatrixFactorization(4, solver="bayes", n_epochs=22, random_state=0).fit(*parts[0])
    with pytest.raises(ValueError, match="must not be one of solver='bayes'"):
        draws.partial_fit(*parts[1])


@pytest.mark.parametrize("solver", ["sgd", pytest.param("minibatch", marks=pytest.mark.slow)])
def test_partial_fit_labels_learns_new_rows_and_keeps_the_old(parts, solver):
    old, new, (X, y) = parts
    labels = (y >= 4).astype(np.float32)
    model = MatrixFactorization(8, solver=solver, **LABELS, random_state=0).fit(*old)
    before = fastcf.metrics.log_loss(labels, model.predict(X))
    known = (X[:, 0] < 800) & (X[:, 1] < 360)
    old_before = fastcf.metrics.log_loss(labels[known], model.predict(X[known]))
    model.partial_fit(*new)
    assert fastcf.metrics.log_loss(labels, model.predict(X)) < 0.98 * before
    assert fastcf.metrics.log_loss(labels[known], model.predict(X[known])) < 1.02 * old_before
    assert len(model.users_) == 900
    again = MatrixFactorization(8, solver=solver, **LABELS, random_state=0, n_threads=1).fit(*old)
    np.testing.assert_array_equal(again.partial_fit(*new).user_factors_, model.user_factors_)


def test_partial_fit_labels_must_be_labels_without_a_threshold(parts):
    X, y = parts[0]
    model = MatrixFactorization(4, cost="logistic", n_epochs=2, random_state=0).fit(X, (y >= 4).astype(np.float32))
    with pytest.raises(ValueError, match="partial_fit: ratings must be 0 or 1 without a threshold; got 3 at entry 0"):
        model.partial_fit([[1, 2]], [3.0])


def test_partial_fit_random_ratings_of_known_rows_do_no_harm(tmp_path):
    # each row's penalty is shared out among all its ratings: whole ones for few new ratings would shrink it
    ratings = fastcf.data.make_ratings(943, 1_682, 100_000, random_state=0)
    order = np.random.default_rng(0).permutation(ratings.nnz)
    base, new, later = (ratings.take(np.sort(part)) for part in np.split(order, [80_000, 90_000]))
    model = MatrixFactorization(solver="als", random_state=0).fit(base)
    before = model.score(later)
    assert model.partial_fit(new).score(later) > before
    model.save(tmp_path / "m", include_seen=False)  # nobody knows who had rated what: all is taken for new
    loaded = fastcf.load(tmp_path / "m").partial_fit(new)
    assert np.isfinite(loaded.score(later))
    assert loaded.seen_ is None


@pytest.mark.parametrize("first", [1, 2, 20, 300])
def test_partial_fit_from_nothing_ends_near_the_fit_of_all(first):
    train, test = fastcf.data.train_test_split(fastcf.data.make_ratings(120, 80, 3_000, random_state=0), random_state=0)
    users, items, values = train.to_coo()
    order = np.random.default_rng(0).permutation(values.size)
    model = MatrixFactorization(8, n_epochs=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastcf.DataWarning)  # of the first rating, which is like all so far
        for part in (order[:first], *np.array_split(order[first:], 15)):
            model.partial_fit(np.stack([users[part], items[part]], axis=1), values[part])
    whole = MatrixFactorization(8, n_epochs=20, random_state=0).fit(train)
    assert -model.score(test) < -1.04 * whole.score(test)
    assert model.global_mean_ == pytest.approx(whole.global_mean_, abs=0.1)
    assert len(model.users_) == len(whole.users_)


@pytest.mark.parametrize("solver", ["sgd", "gd"])
def test_partial_fit_from_nothing_takes_labels_one_at_a_time(solver):
    train, test = fastcf.data.train_test_split(fastcf.data.make_ratings(60, 40, 1_500, random_state=0), random_state=0)
    users, items, values = train.to_coo()
    options = {"cost": "logistic", "threshold": 4.0, "reg": 0.75, "n_epochs": 20, "random_state": 0}
    model, whole = MatrixFactorization(4, solver=solver, **options), MatrixFactorization(4, solver=solver, **options)
    order = np.argsort(values < 4.0, kind="stable")  # the first label of the other class comes late
    order = np.r_[order[:30], np.random.default_rng(0).permutation(order[30:])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastcf.DataWarning)  # of the first label, which is like all so far
        for part in (*np.split(order[:60], 60), *np.array_split(order[60:], 10)):
            model.partial_fit(np.stack([users[part], items[part]], axis=1), values[part])
            assert np.isfinite(model.predict(test)).all()
            if part[0] == order[29]:
                assert model.predict(test).mean() > 0.9
    assert -model.score(test) < -1.04 * whole.fit(train).score(test)
    with pytest.raises(ValueError, match="labels must be of two classes"):
        whole.fit(train.take(train.values >= 4))


def test_partial_fit_from_nothing_counts_the_last_rating_of_a_pair(parts):
    first = fastcf.Ratings.from_coo([1, 1, 2], [1, 2, 1], [1.0, 2.0, 5.0])
    second = fastcf.Ratings.from_coo([1, 3, 3], [1, 1, 2], [4.0, 3.0, 2.0], weights=[2.0, 1.0, 1.0])
    model = MatrixFactorization(2, reg=1.0, n_epochs=5, random_state=0).partial_fit(first).partial_fit(second)
    both = fastcf.Ratings.from_coo(
        [1, 1, 2, 3, 3], [1, 2, 1, 1, 2], [4.0, 2.0, 5.0, 3.0, 2.0], weights=[2.0, 1.0, 1.0, 1.0, 1.0]
    )
    whole = MatrixFactorization(2, reg=1.0, n_epochs=5, random_state=0).fit(both)
    np.testing.assert_array_equal(model.predict(both), whole.predict(both))


def test_partial_fit_keeps_ratings_only_until_there_are_enough(monkeypatch):
    ratings = fastcf.data.make_ratings(60, 40, 1_000, random_state=0)
    options = {"reg": 1.0, "n_epochs": 3, "random_state": 0}
    monkeypatch.setattr(stream, "_ENOUGH", 700)
    model = MatrixFactorization(4, **options).partial_fit(ratings.take(np.arange(400)))
    model.partial_fit(ratings.take(np.arange(400, 800)))
    fits = model.history_
    model.partial_fit(ratings.take(np.arange(800, 1_000)))
    whole = (
        MatrixFactorization(4, **options)
        .fit(ratings.take(np.arange(800)))
        .partial_fit(ratings.take(np.arange(800, 1_000)))
    )
    assert model.history_ == fits
    np.testing.assert_array_equal(model.predict(ratings), whole.predict(ratings))
