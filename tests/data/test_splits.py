"""Splits: nothing lost, nothing twice, the documented side for every rating."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastcf import Ratings
from fastcf.data import k_folds, leave_n_out, split_by_time, split_items, split_users, train_test_split

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
    times = [0, ends.max, ends.min, 5]
    ratings = Ratings.from_coo([1, 1, 1, 2], [1, 2, 3, 1], np.arange(4), timestamps=times, time_unit="s")
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


@given(seeds, st.sampled_from([0.01, 0.2, 0.5, 0.99]), st.sampled_from(["random", "time"]))
def test_leave_n_out_takes_a_share_of_every_user(seed, share, by):
    ratings = random_ratings(seed, n=60)
    train, test = leave_n_out(ratings, share, None if by == "time" else seed, by=by)
    assert_partition(ratings, train, test)
    counts = ratings.user_counts()
    expected = [0 if c < 2 else min(max(round(c * share), 1), c - 1) for c in counts]
    np.testing.assert_array_equal(test.user_counts(), expected)
    if by == "time":
        for user in np.flatnonzero(test.user_counts()):
            past, future = (part.timestamps[part.row_of_entry() == user] for part in (train, test))
            assert past.max() <= future.min()


@given(seeds, st.integers(1, 9))
def test_split_by_time_cuts_at_a_moment(seed, at):
    ratings = random_ratings(seed)
    train, test = split_by_time(ratings, at=at)
    assert_partition(ratings, train, test)
    assert train.timestamps.max() < at <= test.timestamps.min()


def test_split_by_time_takes_dates():
    days = np.array(["2020-01-01", "2021-06-01", "2022-01-01"], "datetime64[D]")
    ratings = Ratings.from_coo([1, 1, 1], [1, 2, 3], [1, 2, 3], timestamps=days)
    assert split_by_time(ratings, at=np.datetime64("2021-06-01"))[1].values.tolist() == [2, 3]


@given(
    seeds, st.sampled_from([0.2, 1, 5, 18]), st.sampled_from([0.0, 0.1, 0.8, 0.99]), st.sampled_from(["random", "time"])
)
def test_split_users_holds_out_whole_users(seed, test_size, shown, by):
    ratings = random_ratings(seed, n=80)
    present = np.count_nonzero(ratings.user_counts())
    assume(present > test_size)
    parts = split_users(ratings, test_size, seed, shown=shown, by=by)
    assert all(part.users is ratings.users and part.items is ratings.items for part in parts)
    values = [part.values for part in parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(values)), np.sort(ratings.values))
    train, history, held_out = (part.user_counts() for part in parts)
    cold = history + held_out
    assert not (train * cold).any()
    assert np.count_nonzero(cold) == (test_size if isinstance(test_size, int) else round(present * test_size))
    rounded = np.clip(np.rint(cold * shown), 1, np.maximum(cold - 1, 1)) if shown else 0 * cold
    np.testing.assert_array_equal(history[cold > 0], rounded[cold > 0])
    if by == "time":
        for user in np.flatnonzero(history * held_out):
            past, future = (part.timestamps[part.row_of_entry() == user] for part in parts[1:])
            assert past.max() <= future.min()
    again = split_users(ratings, test_size, seed, shown=shown, by=by)
    assert all(np.array_equal(one.values, other.values) for one, other in zip(parts, again, strict=True))


@given(seeds, st.sampled_from([0.2, 1, 30]))
def test_split_items_holds_out_whole_items(seed, test_size):
    ratings = random_ratings(seed)
    train, test = split_items(ratings, test_size, seed)
    assert_partition(ratings, train, test)
    assert not (train.item_counts() * test.item_counts()).any()
    present = np.count_nonzero(ratings.item_counts())
    n_test = test_size if isinstance(test_size, int) else round(present * test_size)
    assert np.count_nonzero(test.item_counts()) == n_test
    assert np.array_equal(test.values, split_items(ratings, test_size, seed)[1].values)


@given(seeds, st.integers(2, 20))
def test_k_folds_cut_every_user_evenly(seed, k):
    ratings = random_ratings(seed)
    folds = list(k_folds(ratings, k, seed))
    assert len(folds) == k
    for train, test in folds:
        assert_partition(ratings, train, test)
    np.testing.assert_array_equal(np.sort(np.concatenate([test.values for _, test in folds])), np.sort(ratings.values))
    sizes = np.array([test.user_counts() for _, test in folds])
    assert np.ptp(sizes, axis=0).max() <= 1
    assert np.ptp(sizes.sum(axis=1)) <= 1
    again = [test.values for _, test in k_folds(ratings, k, seed)]
    assert all(np.array_equal(test.values, other) for (_, test), other in zip(folds, again, strict=True))


def test_splits_draw_users_items_and_folds_evenly():
    ratings = random_ratings(0, n=60, n_users=10, n_items=10)
    users, items, folds = (np.zeros(10), np.zeros(10), np.zeros(60))
    for seed in range(400):
        users += split_users(ratings, 3, seed).held_out.user_counts() > 0
        items += split_items(ratings, 3, seed)[1].item_counts() > 0
        folds += np.isin(ratings.values, next(k_folds(ratings, 3, seed))[1].values)
    for hits, expected in ((users, 0.3), (items, 0.3), (folds, 1 / 3)):
        np.testing.assert_allclose(hits / 400, expected, atol=0.12)  # five standard deviations


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
    for n, error in ((0, ValueError), (-1, ValueError), (1.5, ValueError), (1.0, ValueError), (True, TypeError)):
        with pytest.raises(error, match=f"n must be a positive integer, or a share between 0 and 1; got {n}"):
            leave_n_out(random_ratings(0), n)
    with pytest.raises(ValueError, match="leave_n_out: n: some user must have more than 40 ratings"):
        leave_n_out(random_ratings(0), 40)
    with pytest.raises(ValueError, match=r"some user must have more than 1 ratings, .* the largest number is 1"):
        leave_n_out(Ratings.from_coo([1, 2], [1, 1], [1, 2]), 0.5)


def test_splits_of_users_items_and_folds_refuse_by_name():
    ratings = random_ratings(0)
    for split in (split_users, split_items, k_folds):
        with pytest.raises(TypeError, match=f"{split.__name__}: ratings must be Ratings; got list"):
            split([])
    for split, what in ((split_users, "users"), (split_items, "items")):
        for size in (0, 10**6, -0.5, 1.0):
            with pytest.raises(ValueError, match=f"{split.__name__}: test_size must .*{what}.*; got {size}"):
                split(ratings, size)
    for shown, error in ((1.0, ValueError), (-0.1, ValueError), ("all", TypeError), (True, TypeError)):
        with pytest.raises(error, match=r"split_users: shown must .*; got"):
            split_users(ratings, shown=shown)
    with pytest.raises(ValueError, match="split_users: by must be 'random' or 'time'; got 'date'"):
        split_users(ratings, by="date")
    for k, error in ((1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"k_folds: k must be an integer of at least 2; got {k}"):
            k_folds(ratings, k)
    with pytest.raises(ValueError, match=r"k_folds: k must be at most the number of ratings \(300\); got 301"):
        k_folds(ratings, 301)


def test_split_by_time_refuses_bad_moments():
    ratings = random_ratings(0)
    with pytest.raises(ValueError, match=r"split_by_time: test_size must be None where at is given; got 0.1"):
        split_by_time(ratings, 0.1, at=3)
    for at in (0, 11):
        with pytest.raises(ValueError, match=f"at must leave ratings on both sides; got {at}, .* go from 0 to 9"):
            split_by_time(ratings, at=at)
    for at in (1.5, True, "2020-01-01"):
        with pytest.raises(TypeError, match=r"split_by_time: at must be an integer .* or a numpy.datetime64; got"):
            split_by_time(ratings, at=at)
