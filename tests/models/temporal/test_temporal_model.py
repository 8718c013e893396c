"""TemporalModel: the equation and a float64 reference, times of predictions, what it gains on real sets, files."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

import fastcf
from fastcf import TemporalModel
from fastcf.models.temporal.effects import PeriodEffects, periods_of
from fastcf.serialization import load_archive, save_archive

DAY = 86_400
START = 1_600_000_000


def made(n_users=60, n_items=40, n=1_500, weights=False):
    """Return ratings of several days whose level differs by user and day, and by item and month."""
    plain = fastcf.data.make_ratings(n_users, n_items, n, noise=0.3, random_state=1)
    users, items, values = plain.to_coo()
    random = np.random.default_rng(2)
    day, month = random.integers(0, 4, values.size), random.integers(0, 3, values.size)
    moods, fashion = random.normal(0, 1, (n_users, 4)), random.normal(0, 0.7, (n_items, 3))
    values = values + moods[users, day] + fashion[items, month]
    times = START + (month * 60 + day) * DAY + random.integers(0, 3600, values.size)
    given_weights = random.uniform(0.5, 2, values.size) if weights else None
    return fastcf.Ratings.from_coo(users, items, values, timestamps=times, weights=given_weights)


@pytest.fixture(scope="module")
def ratings():
    return made()


@pytest.fixture(scope="module")
def model(ratings):
    return TemporalModel(fastcf.MatrixFactorization(4, solver="als", reg=0.3, random_state=0)).fit(ratings)


# ------------------------------------------------------------------------------------------------------- the equation


@pytest.mark.parametrize("weights", [False, True])
def test_temporal_effects_minimise_the_documented_sum_of_squares(weights):
    ratings = made(weights=weights)
    model = TemporalModel(fastcf.BiasModel(), user_period=DAY, item_period="30d", user_reg=3.0, item_reg=5.0)
    model.fit(ratings)
    learnt = model.state.learnt
    biases = fastcf.BiasModel().fit(ratings).predict(ratings, clip=False).astype(float)
    left = ratings.values - biases
    rows = ratings.row_of_entry(), ratings.indices
    keys = [
        np.unique(np.stack([own, periods_of(ratings.timestamps, length)]), axis=1, return_inverse=True)
        for own, length in zip(rows, (DAY, 30 * DAY), strict=True)
    ]
    sizes = [each[0].shape[1] for each in keys]
    X = np.zeros((ratings.nnz, sum(sizes)))
    X[np.arange(ratings.nnz), keys[0][1].reshape(-1)] = 1
    X[np.arange(ratings.nnz), sizes[0] + keys[1][1].reshape(-1)] = 1
    w = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    penalty = np.diag(np.repeat([3.0, 5.0], sizes))
    expected = np.linalg.solve((X * w[:, None]).T @ X + penalty, X.T @ (w * left))
    np.testing.assert_allclose(np.concatenate([learnt.users.values, learnt.items.values]), expected, atol=0.02)
    for found, key in zip((learnt.users, learnt.items), keys, strict=True):
        np.testing.assert_array_equal(np.stack([found.rows, found.periods]), key[0])


def test_temporal_predictions_are_those_of_the_model_inside_and_the_effects(ratings, model):
    learnt = model.state.learnt
    rows = ratings.row_of_entry(), ratings.indices
    effects = learnt.of_pairs(*rows, ratings.timestamps)
    inside = model.model_.predict(ratings, clip=False)
    np.testing.assert_allclose(model.predict(ratings, clip=False), inside + effects, rtol=1e-6)
    left = fastcf.Ratings(
        ratings.indptr, ratings.indices, ratings.values - effects, users=ratings.users, items=ratings.items
    )
    alone = clone(model.model).fit(left)
    np.testing.assert_array_equal(alone.predict(ratings, clip=False), inside)


@given(data=st.data())
def test_temporal_effects_are_looked_up_by_row_and_period(data):
    length = data.draw(st.sampled_from([1.0, 7.0, 10_800.0]))
    known = data.draw(
        st.dictionaries(
            st.tuples(st.integers(0, 5), st.integers(-3, 8)), st.floats(-2, 2, width=32), min_size=0, max_size=20
        )
    )
    keys = sorted(known)
    effects = PeriodEffects(
        length,
        1.0,
        np.array([row for row, _ in keys], np.int32),
        np.array([period for _, period in keys], np.int64),
        np.array([known[key] for key in keys], np.float32),
    )
    asked = data.draw(st.lists(st.tuples(st.integers(-1, 6), st.integers(-(10**6), 10**6)), max_size=20))
    rows = np.array([row for row, _ in asked], np.int32)
    times = np.array([time for _, time in asked], np.int64)
    expected = [known.get((row, int(np.floor(time / length))), 0.0) for row, time in asked]
    np.testing.assert_array_equal(effects.at(rows, times), np.array(expected, np.float32))
    order = np.random.default_rng(0).permutation(7).astype(np.int32)
    moved = np.where(rows >= 0, order[np.maximum(rows, 0)], -1).astype(np.int32)
    np.testing.assert_array_equal(effects.renumbered(order).at(moved, times), effects.at(rows, times))


# ------------------------------------------------------------------------------------------------------ what it gains


@pytest.mark.parametrize(("name", "gain"), [("ml-latest-small", 0.006), ("movietweetings-100k", 0.002)])
def test_temporal_model_lowers_errors_at_known_times(data_dir, name, gain):
    train, test = fastcf.data.train_test_split(fastcf.data.load_ratings(data_dir / name), 0.1, random_state=3)
    inside = fastcf.MatrixFactorization(16, solver="als", reg=0.3, n_epochs=8, random_state=0)
    alone = -clone(inside).fit(train).score(test)
    assert -TemporalModel(inside).fit(train).score(test) < alone - gain


def test_temporal_model_loses_nothing_after_all_training_times(data_dir):
    train, test = fastcf.data.split_by_time(fastcf.data.load_ratings(data_dir / "ml-latest-small"), 0.1)
    assert TemporalModel(fastcf.BiasModel()).fit(train).score(test) > fastcf.BiasModel().fit(train).score(test) - 0.002


def test_temporal_penalties_are_infinite_where_time_says_nothing():
    plain = fastcf.data.make_ratings(80, 60, 3_000, random_state=0)
    users, items, values = plain.to_coo()
    times = np.random.default_rng(0).integers(0, 100 * DAY, values.size)
    model = TemporalModel(fastcf.BiasModel(), user_period="30d").fit(
        fastcf.Ratings.from_coo(users, items, values, timestamps=times)
    )
    assert max(model.user_reg_, model.item_reg_) >= 128
    few = fastcf.Ratings.from_coo([0, 1], [0, 1], [1.0, 2.0], timestamps=[5, 6])
    assert TemporalModel(fastcf.BiasModel()).fit(few).n_effects_ == (0, 0)


# ------------------------------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("n_weighted", [1, 25])
def test_temporal_penalties_are_chosen_by_ratings_with_weights(ratings, n_weighted):
    for first in range(0, 300, 20):
        weights = np.zeros(ratings.nnz)
        weights[first : first + n_weighted] = 1
        fitted = TemporalModel(fastcf.BiasModel()).fit(ratings, sample_weight=weights)
        assert np.isfinite(fitted.predict(ratings)).all()
        assert n_weighted > 1 or fitted.n_effects_ == (0, 0)


def test_temporal_times_of_predictions(ratings, model):
    pairs = np.stack(ratings.to_coo()[:2], axis=1).astype(int)
    at_own = model.predict(ratings)
    np.testing.assert_array_equal(model.predict(pairs, timestamps=ratings.timestamps), at_own)
    np.testing.assert_array_equal(model.predict(pairs, timestamps=ratings.timestamps.astype("datetime64[s]")), at_own)
    np.testing.assert_array_equal(model.predict(pairs, timestamps=ratings.timestamps * 1000), at_own)  # milliseconds
    assert model.at(START * 1000).time_ == START
    assert model.time_ == ratings.timestamps.max()
    last = np.full(len(pairs), model.time_)
    np.testing.assert_allclose(model.predict(pairs), model.predict(pairs, timestamps=last), rtol=1e-6)
    future = model.at("2100-01-01")
    np.testing.assert_allclose(
        future.predict(pairs), np.clip(model.model_.predict(pairs, clip=False), *model.rating_range_), rtol=1e-6
    )
    assert model.score(ratings) == -fastcf.metrics.rmse(ratings.values, at_own)
    unknown = model.predict([(-1, 3), (3, -1)], timestamps=[START, START])
    assert np.isfinite(unknown).all()


def test_temporal_lists_are_of_their_time(ratings, model):
    moment = int(ratings.timestamps[0])
    user = ratings.users.ids[0]
    lists = model.at(moment).recommend(user, n=5, exclude_seen=False)
    every = model.predict(
        np.stack([np.full(ratings.n_items, user), ratings.items.ids], axis=1),
        timestamps=np.full(ratings.n_items, moment),
        clip=False,
    )
    np.testing.assert_array_equal(lists.items, ratings.items.ids[np.argsort(-every, kind="stable")[:5]])


def test_temporal_history_is_solved_by_the_model_inside(ratings, model):
    pairs = np.array([[0, ratings.items.ids[1]], [0, ratings.items.ids[2]]])
    history = (pairs, np.array([4.0, 2.0]))
    effects = model.state.learnt.items.at(np.array([1, 2], np.int32), model.time_)
    inside = model.model_.predict([(0, 7)], history=(pairs, history[1] - effects), clip=False)
    own = model.state.learnt.items.at(ratings.items.rows([7]), model.time_)
    np.testing.assert_allclose(model.predict([(0, 7)], history=history, clip=False), inside + own, rtol=1e-5)
    folded = model.fold_in(fastcf.Ratings.from_coo([900, 900], pairs[:, 1], history[1]))
    np.testing.assert_allclose(folded.predict([(900, 7)], clip=False), inside + own, rtol=1e-5)


def test_temporal_explanations_sum_to_the_score(ratings, model):
    user, item = ratings.users.ids[2], ratings.items.ids[5]
    found = model.explain(user, item)
    assert found.score == pytest.approx(float(model.predict([(user, item)], clip=False)[0]), abs=1e-4)
    assert {"user's period", "item's period"} <= set(found.base)


def test_temporal_model_has_the_same_bits_for_any_threads(ratings, model):
    for threads in (1, 3):
        again = TemporalModel(model.model, n_threads=threads).fit(ratings)
        np.testing.assert_array_equal(again.predict(ratings), model.predict(ratings))


def test_temporal_validation_is_measured_without_the_effects(ratings):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    model = TemporalModel(fastcf.MatrixFactorization(4, solver="als", reg=0.3, n_epochs=3, random_state=0))
    model.fit(train, validation=held_out)
    error = fastcf.metrics.rmse(held_out.values, model.predict(held_out, clip=False))
    assert model.history_[-1]["validation_rmse"] == pytest.approx(error, abs=0.02)  # the limits differ


def test_temporal_model_may_hold_a_blend(ratings):
    inside = fastcf.Blend([fastcf.BiasModel(), fastcf.MatrixFactorization(2, solver="als", reg=0.3)], random_state=0)
    model = TemporalModel(inside).fit(ratings)
    assert model.score(ratings) > clone(inside).fit(ratings).score(ratings)


# ----------------------------------------------------------------------------------------------- parameters and files


def test_temporal_parameters_of_the_model_inside_can_be_set(model):
    other = clone(model).set_params(model__reg=0.5, user_period="1d")
    assert other.get_params()["model__reg"] == 0.5
    assert model.get_params()["model__reg"] == 0.3
    with pytest.raises(ValueError, match="nothing"):
        other.set_params(nothing=1)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy, "file"])
def test_temporal_copies_and_files_predict_the_same(ratings, model, copied, tmp_path):
    if copied == "file":
        model.save(tmp_path / "model")
        other = fastcf.load(tmp_path / "model")
    else:
        other = copied(model)
        other = pickle.loads(other) if isinstance(other, bytes) else other
    np.testing.assert_array_equal(other.predict(ratings), model.predict(ratings))
    np.testing.assert_array_equal(
        other.recommend(ratings.users.ids, 5).items, model.recommend(ratings.users.ids, 5).items
    )
    assert other.get_params()["model__reg"] == 0.3
    assert (other.time_, other.n_effects_, other.user_reg_) == (model.time_, model.n_effects_, model.user_reg_)
    refitted = other.fit(ratings)
    np.testing.assert_array_equal(refitted.predict(ratings), model.predict(ratings))


@pytest.mark.parametrize(
    "change",
    [
        {"user_effect_rows": lambda rows: rows[::-1]},
        {"user_effect_rows": lambda rows: rows + 10_000},
        {"item_effect_periods": lambda periods: periods[:-1]},
        {"user_effects": lambda values: values * np.float32(np.nan)},
        {"user_length": lambda length: 0.0},
        {"item_penalty": lambda penalty: -1.0},
    ],
)
def test_temporal_damaged_files_are_refused(model, change, tmp_path):
    model.save(tmp_path / "model")
    archive = load_archive(tmp_path / "model")
    for name, changed in change.items():
        if name in archive.arrays:
            archive = replace(archive, arrays={**archive.arrays, name: changed(archive.arrays[name])})
        else:
            archive = replace(archive, meta={**archive.meta, name: changed(archive.meta[name])})
    save_archive(tmp_path / "other", archive)
    with pytest.raises(fastcf.DataError):
        fastcf.load(tmp_path / "other")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model": 3}, "TemporalModel.fit: model must be a model of this package; got 3"),
        ({"model": fastcf.Popular()}, "model must predict ratings, not labels or choices; got Popular"),
        ({"model": fastcf.MatrixFactorization(cost="logistic", threshold=4)}, "model must predict ratings"),
        ({"user_period": "3 moons"}, "user_period must be a positive finite number"),
        ({"item_period": 0}, "item_period must be a positive finite number"),
        ({"user_reg": -1}, "user_reg must be"),
        ({"item_period": 1e-18}, "item_period must be longer for these timestamps"),
    ],
)
def test_temporal_parameters_must_be_as_documented(ratings, arguments, expected):
    with pytest.raises((TypeError, ValueError), match=expected):
        TemporalModel(**{"model": fastcf.BiasModel(), **arguments}).fit(ratings)


def test_temporal_calls_must_be_as_documented(ratings, model):
    users, items, values = ratings.to_coo()
    with pytest.raises(ValueError, match="ratings must have timestamps; got none"):
        TemporalModel(fastcf.BiasModel()).fit(fastcf.Ratings.from_coo(users, items, values))
    with pytest.raises(ValueError, match=r"item_features must be an argument of BiasModel.fit; it is none"):
        TemporalModel(fastcf.BiasModel()).fit(ratings, item_features=None)
    with pytest.raises(ValueError, match=r"timestamps must be one per pair \(2\); got 3"):
        model.predict([(0, 1), (0, 2)], timestamps=[START] * 3)
    with pytest.raises(ValueError, match="timestamps must be None with a history"):
        model.predict([(0, 1)], timestamps=[1], history=([(0, 1)], [2.0]))
    with pytest.raises(ValueError, match="return_std must be False"):
        model.predict([(0, 1)], return_std=True)
    with pytest.raises((TypeError, ValueError), match=r"TemporalModel.at: time"):
        model.at("yesterday")
    for no_time in (2020, 20200913, "20200913", 18_518.0):  # a year, days as digits, days since 1970
        with pytest.raises(ValueError, match=r"TemporalModel.at: time must be seconds since 1970, .* or dates such as"):
            model.at(no_time)
    assert [model.at(time).time_ for time in (0, "1970-08-22", START, -5)] == [0, 233 * DAY, START, -5]
    with pytest.raises(ValueError, match=r"TemporalModel.at: time must fit int64; got 1000000000000000000000"):
        model.at(10**21)
