"""Splits: nothing lost, nothing twice, the documented side for every rating."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf import Ratings
from fastcf.data import leave_n_out, split_by_time, train_test_split

seeds = st.integers(0, 2**32)


def random_ratings(seed, n=300, n_users=20, n_items=40, times=10):
    """Ratings whose values number the stored entries."""
    rng = np.random.default_rng(seed)
    key = rng.permutation(n_users * n_items)[:n]
    ratings = Ratings.from_coo(key // n_items, key % n_items, key, timestamps=rng.integers(0, times, n))
    return ratings


def assert_partition(ratings, train, test):
    for part in (train, test):
        assert part.users is ratings.users
        assert part.items is ratings.items
    both = np.concatenate((train.values, test.values))
    np.testing.assert_array_equal(np.sort(both), np.sort(ratings.values))
    assert np.intersect1d(train.values, test.values).size == 0


@given(seeds, st.sampled_from([0.1, 0.5, 0.99, 1, 299, np.int64(7), np.float32(0.25)]))
def test_train_test_split_is_a_partition_of_the_asked_size(seed, test_size):
    ratings = random_ratings(seed)
    train, test = train_test_split(ratings, test_size, random_state=seed)
    assert_partition(ratings, train, test)
    assert test.nnz == (test_size if isinstance(test_size, (int, np.integer)) else round(300 * float(test_size)))


def test_train_test_split_is_seeded_and_uniform():
    ratings = random_ratings(0)
    a, b = (train_test_split(ratings, 0.3, random_state=5)[1].values for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, train_test_split(ratings, 0.3, random_state=6)[1].values)
    hits = sum(np.isin(ratings.values, train_test_split(ratings, 0.3, random_state=s)[1].values) for s in range(400))
    np.testing.assert_allclose(hits / 400, 0.3, atol=0.12)  # five standard deviations
    generator = np.random.default_rng(1)
    first = train_test_split(ratings, random_state=generator)[1].values
    assert not np.array_equal(first, train_test_split(ratings, random_state=generator)[1].values)


@given(seeds, st.sampled_from([1, 2, 15]))
def test_leave_n_out_takes_n_of_every_user_that_has_more(seed, n):
    ratings = random_ratings(seed)
    train, test = leave_n_out(ratings, n, random_state=seed)
    assert_partition(ratings, train, test)
    counts = np.diff(ratings.indptr)
    np.testing.assert_array_equal(np.diff(test.indptr), np.where(counts > n, n, 0))


def test_leave_n_out_is_seeded_and_uniform():
    ratings = random_ratings(0, n=200, n_users=10)
    a, b = (leave_n_out(ratings, 2, random_state=5)[1].values for _ in range(2))
    np.testing.assert_array_equal(a, b)
    hits = sum(np.isin(ratings.values, leave_n_out(ratings, 2, random_state=s)[1].values) for s in range(400))
    expected = np.repeat(2 / np.diff(ratings.indptr), np.diff(ratings.indptr))
    np.testing.assert_allclose(hits / 400, expected, atol=0.09)


@given(seeds, st.integers(1, 15), st.sampled_from([1, 3, 10**6]))
def test_leave_n_out_by_time_takes_the_latest_of_every_user(seed, n, times):
    ratings = random_ratings(seed, times=times)
    train, test = leave_n_out(ratings, n, by="time")
    assert_partition(ratings, train, test)
    expected = []
    for start, end in pairwise(ratings.indptr):
        entries = sorted(range(start, end), key=lambda entry: (ratings.timestamps[entry], entry))
        expected += sorted(entries[-n:]) if len(entries) > n else []
    np.testing.assert_array_equal(test.values, ratings.values[expected])


def test_leave_n_out_by_time_takes_any_timestamp():
    ends = np.iinfo(np.int64)
    ratings = Ratings.from_coo([1, 1, 1, 2], [1, 2, 3, 1], np.arange(4), timestamps=[0, ends.max, ends.min, 5])
    assert leave_n_out(ratings, by="time")[1].values.tolist() == [1]
    assert leave_n_out(ratings, 2, by="time")[1].values.tolist() == [0, 1]


@given(seeds, st.sampled_from([0.1, 0.5, 1, 150, 299]), st.sampled_from([1, 3, 10**6]))
def test_split_by_time_puts_the_latest_into_test(seed, test_size, times):
    ratings = random_ratings(seed, times=times)
    train, test = split_by_time(ratings, test_size)
    assert_partition(ratings, train, test)
    assert test.nnz == (test_size if isinstance(test_size, int) else round(300 * test_size))
    assert train.timestamps.max() <= test.timestamps.min()
    order = np.argsort(ratings.timestamps, kind="stable")
    np.testing.assert_array_equal(
        np.sort(order[300 - test.nnz :]), np.flatnonzero(np.isin(ratings.values, test.values))
    )


SPLITS = {"train_test_split": train_test_split, "split_by_time": split_by_time}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize(
    ("test_size", "error", "message"),
    [
        (0.0, ValueError, "between 0 and 1, or be a number of ratings; got 0.0"),
        (1.0, ValueError, "got 1.0"),
        (float("nan"), ValueError, "got nan"),
        (0, ValueError, "both sides of 300; got 0"),
        (300, ValueError, "got 300"),
        (0.001, ValueError, "which is 0 of 300"),
        (True, TypeError, "be a number; got True"),
        ("0.1", TypeError, "be a number; got '0.1'"),
    ],
)
def test_split_bad_test_size_raises(name, test_size, error, message):
    with pytest.raises(error, match=f"{name}: test_size must .*{message}"):
        SPLITS[name](random_ratings(0), test_size)


def test_split_bad_ratings_raises():
    for split in (train_test_split, split_by_time, leave_n_out):
        with pytest.raises(TypeError, match=f"{split.__name__}: ratings must be Ratings; got ndarray"):
            split(np.ones(3))
    timeless = Ratings.from_coo([1, 1, 2], [1, 2, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="split_by_time: ratings must have timestamps; got none"):
        split_by_time(timeless)
    with pytest.raises(ValueError, match="leave_n_out: ratings must have timestamps; got none"):
        leave_n_out(timeless, by="time")
    with pytest.raises(ValueError, match="leave_n_out: by must be 'random' or 'time'; got 'date'"):
        leave_n_out(timeless, by="date")
    with pytest.raises(ValueError, match="leave_n_out: random_state must be None where by='time'; got 0"):
        leave_n_out(random_ratings(0), by="time", random_state=0)
    for n, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"n must be a positive integer; got {n}"):
            leave_n_out(random_ratings(0), n)
    with pytest.raises(ValueError, match="some user must have more than n = 40 ratings"):
        leave_n_out(random_ratings(0), 40)
