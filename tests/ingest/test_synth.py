"""Synthetic ratings: exact counts, no pair twice, the announced distributions, one result for any number of threads."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf.data import make_ratings

SIZES = st.sampled_from([1, 2, 31, 32, 33, 64, 65, 300, 1025])


def digest(ratings):
    state = hashlib.blake2b()
    for array in (ratings.indptr, ratings.indices, ratings.values, ratings.timestamps):
        if array is not None:
            state.update(array.tobytes())
    return state.hexdigest()


def assert_valid(ratings, n_users, n_items, n_ratings):
    assert ratings.shape == (n_users, n_items)
    assert ratings.indptr[0] == 0
    assert ratings.indptr[-1] == n_ratings == len(ratings.indices) == len(ratings.values)
    assert (np.diff(ratings.indptr) >= 0).all()
    if n_ratings:
        assert 0 <= ratings.indices.min() <= ratings.indices.max() < n_items
    ascending = np.diff(ratings.indices) > 0
    starts = ratings.indptr[1:-1]
    ascending[starts[(starts > 0) & (starts < n_ratings)] - 1] = True  # from one row to the next anything goes
    assert ascending.all()


@settings(max_examples=60, deadline=None)
@given(
    n_users=SIZES,
    n_items=SIZES,
    share=st.floats(0, 1),
    n_factors=st.sampled_from([0, 1, 7, 16]),
    popularity=st.sampled_from([0.0, 1.0, 2.0, 10.0]),
    activity=st.sampled_from([0.0, 1.2, 10.0]),
    seed=st.integers(0, 2**64 - 1),
    timestamps=st.booleans(),
)
def test_make_ratings_rows_are_valid_for_any_size(
    n_users, n_items, share, n_factors, popularity, activity, seed, timestamps
):
    n_ratings = round(share * n_users * n_items)
    options = {"popularity": popularity, "activity": activity, "n_factors": n_factors, "timestamps": timestamps}
    ratings = make_ratings(n_users, n_items, n_ratings, random_state=seed, n_threads=1, **options)
    assert_valid(ratings, n_users, n_items, n_ratings)
    assert np.isin(ratings.values, np.arange(1, 11) / 2).all()
    if n_ratings >= n_users:
        assert np.diff(ratings.indptr).min() >= 1
    threaded = make_ratings(n_users, n_items, n_ratings, random_state=seed, n_threads=4, **options)
    assert digest(threaded) == digest(ratings)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_make_ratings_bits_are_equal_for_any_threads(n_threads):
    one = make_ratings(5000, 900, 200_000, random_state=7, n_threads=1, timestamps=True, return_truth=True)
    many = make_ratings(5000, 900, 200_000, random_state=7, n_threads=n_threads, timestamps=True, return_truth=True)
    assert digest(many[0]) == digest(one[0])
    for ours, theirs in zip(one[1], many[1], strict=True):
        assert np.array_equal(ours, theirs)


def test_make_ratings_differ_between_seeds():
    assert digest(make_ratings(random_state=1)) != digest(make_ratings(random_state=2))
    assert digest(make_ratings()) != digest(make_ratings())


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_make_ratings_generator_is_reproducible_and_advances(make):
    generator = make(3)
    first, second = make_ratings(random_state=generator), make_ratings(random_state=generator)
    assert digest(first) == digest(make_ratings(random_state=make(3)))
    assert digest(first) != digest(second)


def test_make_ratings_dense_matrix_holds_every_pair():
    ratings = make_ratings(40, 70, 2800, random_state=0)
    assert np.array_equal(ratings.indices.reshape(40, 70), np.tile(np.arange(70), (40, 1)))


def test_make_ratings_users_follow_log_normal():
    ratings = make_ratings(20_000, 20_000, 2_000_000, activity=0.8, random_state=1)
    logs = np.log(np.diff(ratings.indptr) - 1 + 1e-9)
    assert np.std(logs[logs > 0]) == pytest.approx(0.8, abs=0.05)
    same = np.diff(make_ratings(100, 300, 1250, activity=0, random_state=1).indptr)
    assert set(same.tolist()) == {12, 13}


def test_make_ratings_items_follow_power_law():
    n_items = 1000  # four ratings each, so that few draws are repeats
    ratings = make_ratings(50_000, n_items, 200_000, popularity=1.5, activity=0, random_state=2)
    counts = np.sort(np.bincount(ratings.indices, minlength=n_items))[::-1]
    weights = (np.arange(n_items) + 1 + 0.015 * n_items) ** -1.5
    expected = 200_000 * weights / weights.sum()
    assert counts[:100].sum() == pytest.approx(expected[:100].sum(), rel=0.03)
    assert counts[500:].sum() == pytest.approx(expected[500:].sum(), rel=0.06)


def test_make_ratings_items_are_drawn_alike_by_rejection_and_by_keys():
    """The same number per user falls on either side of the switch, depending only on how steep the popularity is."""
    n_items, count, n_users = 60, 30, 30_000
    for popularity in (1.0, 2.0, 4.0):
        ratings = make_ratings(n_users, n_items, n_users * count, popularity=popularity, activity=0, random_state=3)
        observed = np.sort(np.bincount(ratings.indices, minlength=n_items))[::-1] / n_users
        weights = (np.arange(n_items) + 1 + 0.015 * n_items) ** -popularity
        keys = np.random.default_rng(0).exponential(size=(20_000, n_items)) / weights
        chosen = np.argpartition(keys, count, axis=1)[:, :count]
        reference = np.bincount(chosen.ravel(), minlength=n_items) / len(keys)
        np.testing.assert_allclose(observed, np.sort(reference)[::-1], atol=0.02)


def test_make_ratings_values_are_true_score_plus_noise():
    ratings, truth = make_ratings(3000, 800, 300_000, levels=None, noise=0.6, random_state=4, return_truth=True)
    rows = np.repeat(np.arange(3000), np.diff(ratings.indptr))
    biases = truth.mean + truth.user_bias[rows] + truth.item_bias[ratings.indices]
    dots = np.einsum("ij,ij->i", truth.user_factors[rows], truth.item_factors[ratings.indices])
    error = ratings.values - biases - dots
    assert error.mean() == pytest.approx(0, abs=0.01)
    assert error.std() == pytest.approx(0.6, rel=0.01)
    assert dots.std() == pytest.approx(0.5, rel=0.1)
    assert truth.user_bias.std() == pytest.approx(0.4, rel=0.1)
    assert truth.item_bias.std() == pytest.approx(0.5, rel=0.1)
    assert truth.rmse == pytest.approx(math.sqrt(np.mean(error.astype(np.float64) ** 2)), rel=1e-4)
    assert truth.rmse_biases == pytest.approx(math.sqrt(np.mean((ratings.values - biases) ** 2.0)), rel=1e-4)
    # noise of consecutive ratings comes in pairs of one draw: they must be uncorrelated
    assert abs(np.corrcoef(error[:-1], error[1:])[0, 1]) < 0.01
    assert np.mean(np.abs(error) < 0.6) == pytest.approx(0.6827, abs=0.01)


def test_make_ratings_values_are_nearest_level():
    options = {"random_state": 5, "mean": 2.7, "return_truth": True}
    exact, _ = make_ratings(levels=None, **options)
    levels = np.array([-1, 2, 2.5, 7], np.float32)
    ratings, _ = make_ratings(levels=levels, **options)
    nearest = levels[np.abs(exact.values[:, None] - levels).argmin(axis=1)]
    assert np.array_equal(ratings.values, nearest)
    assert set(make_ratings(levels=[1.0], random_state=0).values.tolist()) == {1.0}


def test_make_ratings_noise_without_levels_bounds_the_rmse():
    _, truth = make_ratings(2000, 1000, 200_000, random_state=6, return_truth=True)
    assert truth.rmse < math.hypot(0.7, 0.5 / math.sqrt(12)) < truth.rmse_biases
    silent, truth = make_ratings(levels=None, noise=0, signal=0, random_state=6, return_truth=True)
    assert truth.rmse < 1e-6
    assert truth.rmse_biases < 1e-6
    assert silent.timestamps is None


def test_make_ratings_factors_are_learnable_from_the_ratings():
    """Ridge regression of each user on the true item factors: half of the gap between biases and truth is closed."""
    ratings, truth = make_ratings(300, 200, 20_000, random_state=8, return_truth=True)
    rng = np.random.default_rng(0)
    errors = []
    for u in range(300):
        row = slice(ratings.indptr[u], ratings.indptr[u + 1])
        items, held_out = ratings.indices[row], rng.random(ratings.indptr[u + 1] - ratings.indptr[u]) < 0.2
        target = ratings.values[row] - truth.mean - truth.user_bias[u] - truth.item_bias[items]
        q = truth.item_factors[items]
        gram = q[~held_out].T @ q[~held_out] + 0.49 / np.mean(truth.user_factors**2) * np.eye(8)
        p = np.linalg.solve(gram, q[~held_out].T @ target[~held_out])
        errors.extend((target[held_out] - q[held_out] @ p).tolist())
    rmse = math.sqrt(np.mean(np.square(errors)))
    assert rmse < (truth.rmse + truth.rmse_biases) / 2


def test_make_ratings_timestamps_lie_in_the_period_and_cluster_by_user():
    ratings = make_ratings(timestamps=True, random_state=9)
    times = ratings.timestamps
    assert times.dtype == np.int64
    assert np.datetime64("2000-01-01") <= times.min().astype("datetime64[s]")
    assert times.max().astype("datetime64[s]") <= np.datetime64("2020-01-01")
    spans = np.maximum.reduceat(times, ratings.indptr[:-1]) - np.minimum.reduceat(times, ratings.indptr[:-1])
    assert np.median(spans) < 365 * 86_400 < times.max() - times.min()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_users": 0}, ValueError, r"make_ratings: n_users must be in \[1, 2147483647\]; got 0"),
        ({"n_users": 1.5}, TypeError, "make_ratings: n_users must be an integer; got 1.5"),
        ({"n_items": True}, TypeError, "n_items must be an integer"),
        ({"n_ratings": 500_001}, ValueError, r"n_ratings must be in \[0, 500000\]; got 500001"),
        ({"n_ratings": -1}, ValueError, "n_ratings"),
        ({"n_factors": -1}, ValueError, "n_factors"),
        ({"popularity": math.nan}, ValueError, r"popularity must be in \[0, 10\]; got nan"),
        ({"activity": 11}, ValueError, "activity"),
        ({"noise": -0.1}, ValueError, "noise must be at least 0; got -0.1"),
        ({"signal": "big"}, TypeError, "signal must be a number; got 'big'"),
        ({"user_bias": math.inf}, ValueError, "user_bias"),
        ({"item_bias": None}, TypeError, "item_bias"),
        ({"mean": math.inf}, ValueError, "mean must be finite; got inf"),
        ({"levels": []}, ValueError, "levels must be one-dimensional and not empty"),
        ({"levels": [1, 1]}, ValueError, "levels must be finite and ascending"),
        ({"levels": [1, math.nan]}, ValueError, "levels must be finite and ascending"),
        ({"levels": ["a"]}, TypeError, "levels must be numbers"),
        ({"random_state": -1}, ValueError, "random_state"),
        ({"random_state": "a"}, TypeError, "random_state"),
        ({"n_threads": 0}, ValueError, "n_threads"),
    ],
)
def test_make_ratings_bad_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        make_ratings(**arguments)


def test_make_ratings_native_module_rejects_mismatched_arrays():
    from fastcf._backend import ingest

    arrays = {
        "levels": None,
        "indptr": np.empty(3, np.int64),
        "indices": np.empty(4, np.int32),
        "values": np.empty(4, np.float32),
        "timestamps": None,
        "user_factors": np.empty((2, 1), np.float32),
        "item_factors": np.empty((3, 1), np.float32),
        "user_bias": np.empty(2, np.float32),
        "item_bias": np.empty(3, np.float32),
        "exposure": np.empty(3, np.float32),
    }
    numbers = {
        "popularity": 1,
        "activity": 1,
        "choice": 0,
        "mean": 0,
        "user_bias_deviation": 0,
        "item_bias_deviation": 0,
    }
    sizes = {"n_users": 2, "n_items": 3, "n_ratings": 4, "signal": 1, "noise": 1, "seed": 0, "n_threads": 1}
    ingest.make_ratings(**sizes, **numbers, **arrays)
    for name, wrong in [
        ("indptr", np.empty(2, np.int64)),
        ("indices", np.empty(5, np.int32)),
        ("timestamps", np.empty(3, np.int64)),
        ("user_factors", np.empty((2, 2), np.float32)),
        ("item_bias", np.empty(2, np.float32)),
        ("exposure", np.empty(2, np.float32)),
        ("levels", np.array([2, 1], np.float32)),
    ]:
        with pytest.raises(ValueError, match="make_ratings"):
            ingest.make_ratings(**sizes, **numbers, **{**arrays, name: wrong})
    for wrong in ({"choice": 11}, {"choice": -1}, {"choice": 1, "signal": 0}):
        with pytest.raises(ValueError, match=r"make_ratings: .*choice"):
            ingest.make_ratings(**{**sizes, **numbers, **arrays, **wrong})
    with pytest.raises(TypeError, match="dtype"):
        ingest.make_ratings(**sizes, **numbers, **{**arrays, "values": np.empty(4)})
