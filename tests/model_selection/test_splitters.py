"""Splitters of pairs: the guarantees of each, the same cuts as on ratings, and scikit-learn's functions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

import fastcf
from fastcf import data
from fastcf.model_selection import ColdItemKFold, ColdUserKFold, PerUserKFold, PerUserSplit, TimeSplit

seeds = st.integers(0, 2**32)
SPLITTERS = [
    PerUserSplit(2),
    PerUserSplit(0.3, n_splits=3),
    PerUserSplit(1, by="time"),
    PerUserKFold(4),
    TimeSplit(0.2),
    TimeSplit(at=5),
    ColdUserKFold(3),
    ColdUserKFold(3, shown=0.5),
    ColdItemKFold(3),
]


def pairs_of(seed, n=120, n_users=12, n_items=20):
    """Distinct pairs in random order, and times."""
    rng = np.random.default_rng(seed)
    key = rng.permutation(n_users * n_items)[:n]
    return np.column_stack([key // n_items, 1000 + key % n_items]), rng.integers(0, 10, n)


def groups_of(cv, times):
    return times if isinstance(cv, TimeSplit) or getattr(cv, "by", "") == "time" else None


@pytest.mark.parametrize("cv", SPLITTERS, ids=repr)
@given(seed=seeds, strings=st.booleans())
def test_splitters_are_partitions(cv, seed, strings):
    X, times = pairs_of(seed)
    if hasattr(cv, "random_state") and getattr(cv, "by", "") != "time":
        cv = type(cv)(**{name: value for name, value in vars(cv).items() if name != "random_state"}, random_state=seed)
    X = X.astype(str) if strings else X
    splits = list(cv.split(X, groups=groups_of(cv, times)))
    assert len(splits) == cv.get_n_splits(X)
    for train, test in splits:
        assert train.size
        assert test.size
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(120))
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
    again = list(cv.split(X, groups=groups_of(cv, times)))
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(splits, again, strict=True))


@given(seeds)
def test_splitters_keep_their_promises(seed):
    X, times = pairs_of(seed)
    users, items = X.T
    counts = np.bincount(users, minlength=12)
    for _, test in PerUserSplit(2, n_splits=2, random_state=seed).split(X):
        np.testing.assert_array_equal(np.bincount(users[test], minlength=12), np.where(counts > 2, 2, 0))
    folds = [np.bincount(users[test], minlength=12) for _, test in PerUserKFold(3, random_state=seed).split(X)]
    assert np.ptp(folds, axis=0).max() <= 1
    np.testing.assert_array_equal(np.sum(folds, axis=0), counts)
    for train, test in PerUserSplit(0.5, by="time").split(X, groups=times):
        for user in np.unique(users[test]):
            assert times[train[users[train] == user]].max() <= times[test[users[test] == user]].min()
    ((train, test),) = TimeSplit(at=4).split(X, groups=times)
    assert times[train].max() < 4 <= times[test].min()
    ((train, test),) = TimeSplit(0.25).split(X, groups=times)
    assert (test.size, times[train].max() <= times[test].min()) == (30, True)
    for cv, ids in ((ColdUserKFold(3, random_state=seed), users), (ColdItemKFold(3, random_state=seed), items)):
        splits = list(cv.split(X))
        assert all(np.intersect1d(ids[train], ids[test]).size == 0 for train, test in splits)
        np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(120))
    for train, test in ColdUserKFold(3, shown=0.8, random_state=seed).split(X):
        for user in np.unique(users[test]):
            n = counts[user]
            assert np.count_nonzero(users[train] == user) == min(max(round(n * 0.8), 1), n - 1)


def test_splitters_cut_pairs_in_stored_order_as_ratings_are_cut():
    ratings = data.make_ratings(40, 30, 500, timestamps=True, random_state=0)
    X = np.stack(ratings.to_coo()[:2], axis=1)

    def same(split, parts):
        train, test = split
        for positions, part in ((train, parts[0]), (test, parts[1])):
            np.testing.assert_array_equal(X[positions], np.stack(part.to_coo()[:2], axis=1))

    same(next(PerUserSplit(0.2, random_state=3).split(X)), data.leave_n_out(ratings, 0.2, 3))
    same(next(PerUserSplit(2, by="time").split(X, groups=ratings.timestamps)), data.leave_n_out(ratings, 2, by="time"))
    same(next(TimeSplit(0.3).split(X, groups=ratings.timestamps)), data.split_by_time(ratings, 0.3))
    for split, parts in zip(PerUserKFold(3, random_state=3).split(X), data.k_folds(ratings, 3, 3), strict=True):
        same(split, parts)


@pytest.mark.parametrize("cv", SPLITTERS, ids=repr)
def test_splitters_work_in_scikit_learn(cv):
    ratings = data.make_ratings(40, 30, 500, timestamps=True, random_state=0)
    users, items, y = ratings.to_coo()
    X = np.stack([users, items], axis=1)
    groups = ratings.timestamps * 10 // ratings.timestamps.max() if groups_of(cv, 0) is not None else None
    if isinstance(cv, TimeSplit) and cv.at is not None:
        cv = TimeSplit(at=9)
    scores = cross_val_score(fastcf.BiasModel(), X, y, cv=cv, groups=groups)
    assert scores.size == cv.get_n_splits()
    assert np.isfinite(scores).all()


def test_splitters_by_time_are_sent_the_times_by_metadata_routing():
    ratings = data.make_ratings(40, 30, 500, timestamps=True, random_state=0)
    X, y = np.stack(ratings.to_coo()[:2], axis=1), ratings.values
    for cv in (TimeSplit(0.1), PerUserSplit(1, by="time")):
        search = GridSearchCV(fastcf.BiasModel(), {"user_reg": [1.0, 10.0]}, cv=cv)
        with sklearn.config_context(enable_metadata_routing=True):
            routed = search.fit(X, y, groups=ratings.timestamps).best_score_
        assert routed == search.fit(X, y, groups=ratings.timestamps).best_score_


def test_splitters_take_tables_and_search():
    users, items, y = data.make_ratings(40, 30, 500, random_state=0).to_coo()
    table = pd.DataFrame({"user": users, "item": [f"i{item}" for item in items]})
    search = GridSearchCV(fastcf.BiasModel(), {"user_reg": [1.0, 10.0]}, cv=PerUserKFold(2, random_state=0))
    assert search.fit(table, y).best_params_["user_reg"] in (1.0, 10.0)
    found = cross_validate(fastcf.BiasModel(), table, y, cv=ColdUserKFold(2, random_state=0))
    assert found["test_score"].size == 2


def test_splitters_refuse_matrices_by_rows():
    matrix = scipy.sparse.csr_matrix(np.eye(4))
    ratings = fastcf.Ratings.from_scipy(matrix)
    for cv in SPLITTERS:
        for X in (matrix, ratings):
            wanted = (
                rf"{type(cv).__name__}.split: X must be an \(n, 2\) array .* whose rows are users. Cut Ratings with"
            )
            with pytest.raises(TypeError, match=wanted) as failure:
                cv.split(X)
            assert hasattr(data, str(failure.value).partition("fastcf.data.")[2].partition(",")[0])
        with pytest.raises(ValueError, match=r"X must have shape \(n, 2\), .*; got \(4, 4\)"):
            cv.split(np.eye(4))
    with pytest.raises(TypeError, match=r"PerUserKFold.split: X must be"):
        cross_val_score(fastcf.BiasModel(), matrix, cv=PerUserKFold(2))


def test_splitters_name_what_is_wrong():
    X, times = pairs_of(0)
    cases = [
        (TimeSplit(), None, "TimeSplit.split: groups must hold the timestamps of the pairs; got None"),
        (TimeSplit(), times[:3], r"groups must have as many entries as X \(120\); got 3"),
        (TimeSplit(0.1, at=3), times, "test_size must be None where at is given"),
        (PerUserSplit(by="time"), None, "PerUserSplit.split: groups must hold the timestamps"),
        (PerUserSplit(by="time", n_splits=2), times, "n_splits must be 1 where by='time'; got 2"),
        (PerUserSplit(by="time", random_state=0), times, "random_state must be None where by='time'; got 0"),
        (PerUserSplit(by="date"), None, "by must be 'random' or 'time'; got 'date'"),
        (PerUserSplit(0), None, "test_size must be a positive integer, or a share between 0 and 1; got 0"),
        (PerUserSplit(n_splits=0), None, "n_splits must be an integer of at least 1; got 0"),
        (PerUserKFold(), times, "groups must be None where the split is not by time"),
        (PerUserKFold(1), None, "n_splits must be an integer of at least 2; got 1"),
        (PerUserKFold(121), None, r"n_splits must be at most the number of pairs \(120\); got 121"),
        (ColdUserKFold(13), None, r"n_splits must be at most the number of users \(12\); got 13"),
        (ColdUserKFold(2, shown=1.0), None, "shown must be at least 0 and below 1; got 1.0"),
        (ColdItemKFold(21), None, r"n_splits must be at most the number of items \(20\); got 21"),
        (ColdItemKFold(2, random_state=-1), None, "random_state must be in"),
    ]
    for cv, groups, message in cases:
        with pytest.raises(ValueError, match=message):
            cv.split(X, groups=groups)
    with pytest.raises(ValueError, match=r"every fold must have a user with two pairs where shown > 0; got shown=0.5"):
        ColdUserKFold(2, shown=0.5).split(np.column_stack([np.arange(6), np.arange(6)]))
    with pytest.raises(ValueError, match=r"PerUserKFold.split: X must hold pairs; got none"):
        PerUserKFold().split(np.empty((0, 2), int))
