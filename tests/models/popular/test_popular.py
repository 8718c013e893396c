"""Popular items, by plain counts and means."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from attributes import assert_same_attributes
from fastcf.data import make_ratings


@pytest.fixture(scope="module")
def ratings():
    made = make_ratings(80, 40, 900, random_state=1)
    users, items, values = made.to_coo()
    stamps = np.random.default_rng(0).integers(0, 1000, users.size)
    weights = np.random.default_rng(1).random(users.size).astype(np.float32)
    return fastcf.Ratings.from_coo(users, items, values, timestamps=stamps, weights=weights)


def labels(ratings):
    """Users 0 to 59 in groups, some in two, and a user without ratings."""
    ids = [*ratings.users.ids[:60].tolist(), 10**6]
    return ids, [("a", "b", "a|b")[user % 3] for user in ids[:-1]] + ["b"]


def plain(ratings, by, groups, half_life=None, threshold=None, shrinkage=10.0):
    """Popularity by group, the whole first: what is scored, and NaN where nobody of the group counts."""
    users, items, values = ratings.to_coo()
    weights = ratings.weights.astype(float)
    if half_life is not None:
        weights = weights * 0.5 ** ((ratings.timestamps.max() - ratings.timestamps) / half_life)
    named = dict(zip(*groups, strict=True)) if groups else {}
    tables = []
    for group in [None, "a", "b"] if groups else [None]:
        own = np.array([group is None or group in named.get(int(user), "").split("|") for user in users])
        if by == "count":
            own &= values > 0 if threshold is None else values >= threshold
            total = np.bincount(items[own], weights[own], ratings.n_items)
            tables.append(np.where(np.bincount(items[own], minlength=ratings.n_items) > 0, total, np.nan))
        else:
            mean = np.average(values, weights=weights)
            number = np.bincount(items[own], weights[own], ratings.n_items) + shrinkage
            sums = np.bincount(items[own], weights[own] * values[own], ratings.n_items) + shrinkage * mean
            tables.append(np.where(np.bincount(items[own], minlength=ratings.n_items) > 0, sums / number, np.nan))
    return np.array(tables)


def expected(tables, groups, users):
    """The largest of a user's groups; the whole for others."""
    named = dict(zip(*groups, strict=True)) if groups else {}
    rows = []
    for user in users:
        own = [1 + "ab".index(label) for label in named.get(user, "").split("|") if label] or [0]
        rows.append(np.fmax.reduce(tables[own]))
    return np.array(rows)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    ("by", "options"),
    [
        ("count", {}),
        ("count", {"threshold": 4, "half_life": 300.0}),
        ("mean", {"shrinkage": 3.0}),
        ("mean", {"half_life": 50.0}),
    ],
)
def test_popular_follows_its_definition(ratings, by, options, grouped, tmp_path):
    groups = labels(ratings) if grouped else None
    model = fastcf.Popular(by, **options).fit(ratings, user_groups=groups)
    users = [0, 1, 2, 70, 10**6, -9]
    table = expected(plain(ratings, by, groups, **options), groups, users)
    rest = np.average(ratings.values, weights=ratings.weights) if by == "mean" and "half_life" not in options else None
    got = model.predict_matrix(users)
    there = ~np.isnan(table)
    if by == "count":
        assert (got[~there] == 0).all()
    elif rest is not None:
        np.testing.assert_allclose(got[~there], rest, rtol=1e-5)
        np.testing.assert_allclose(got[there], table[there], rtol=1e-5)
    if by == "count":
        np.testing.assert_allclose(got[there], table[there], rtol=1e-5)
    pairs = [(user, item) for user in users for item in ratings.items.ids]
    np.testing.assert_array_equal(model.predict(pairs).reshape(got.shape), got)
    for exclude_seen in (False, True):
        lists = model.recommend(users, 15, exclude_seen=exclude_seen, candidates=range(1, 35), exclude=[5])
        for row, user in enumerate(users):
            allowed = there[row] & np.isin(ratings.items.ids, range(1, 35)) & (ratings.items.ids != 5)
            own = ratings.users.rows([user])[0]
            if exclude_seen and own >= 0:
                allowed[ratings.indices[ratings.indptr[own] : ratings.indptr[own + 1]]] = False
            order = np.lexsort([np.arange(allowed.size), -got[row]])
            wanted = ratings.items.ids[order[allowed[order]]][:15].tolist()
            assert lists.items[row].tolist() == wanted + [-1] * (15 - len(wanted))
    model.save(tmp_path / "m")
    loaded = fastcf.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_matrix(users), got)
    assert loaded.get_params() == model.get_params()
    assert_same_attributes(loaded, model)
    assert model.group_names_.tolist() == (["a", "b"] if grouped else [])


def test_popular_serves_new_users_by_history_and_fold_in(ratings):
    model = fastcf.Popular(threshold=4).fit(ratings, user_groups=labels(ratings))
    history = [(0, item) for item in model.recommend(-9, 3).items], [5.0] * 3
    assert model.recommend(history=history, n=4).items[0].tolist() == model.recommend(-9, 7).items[3:].tolist()
    folded = model.fold_in(fastcf.Ratings.from_coo([10**6, 77_777], [1, 2], [5.0, 5.0]))
    np.testing.assert_array_equal(folded.predict_matrix(), model.predict_matrix([77_777, 10**6]))
    with pytest.raises(ValueError, match="by must be 'user', which counts the choices of items"):
        model.fold_in(ratings, by="item")


def test_popular_is_measured_like_other_models(ratings):
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    assert 0 < fastcf.Popular(threshold=4).fit(train).score(test) < 1  # NDCG@10
    assert -1.5 < fastcf.Popular("mean").fit(train).score(test) < -0.5  # minus the RMSE
    clicks = fastcf.Popular().fit([(1, 2), (1, 2), (1, 3), (2, 3)])
    assert clicks.predict([(9, 2), (9, 3), (9, 4)]).tolist() == [1, 2, 0]  # a pair is one choice however often it comes
    low = fastcf.Popular(threshold=4).fit([(1, 2), (1, 3), (2, 3)], [5, 1, 2])
    assert low.recommend(9, 2).items.tolist() == [2, -1]  # nobody chose item 3


@pytest.mark.parametrize(
    ("parameters", "given", "error", "message"),
    [
        ({"by": "sum"}, {}, ValueError, "by must be 'count' or 'mean'; got 'sum'"),
        ({"half_life": 0.0}, {}, ValueError, "half_life must be a positive finite number"),
        ({"half_life": 3.0}, {}, ValueError, "half_life needs ratings with timestamps; got 3.0 and none"),
        ({"shrinkage": 3.0}, {}, ValueError, "shrinkage must be 10.0 for by='count'"),
        ({"by": "mean", "threshold": 3.0}, {}, ValueError, "threshold must be None for by='mean'"),
        ({"by": "mean", "strength": "log"}, {}, ValueError, "strength must be 'one' for by='mean'"),
        ({"threshold": 9.0}, {}, ValueError, "some values must be choices, of at least threshold=9"),
        ({}, {"user_groups": [1]}, TypeError, "user_groups must be a FeatureTable or a pair"),
        ({}, {"user_groups": (["x"], ["a"])}, TypeError, "user_groups must be integers, or their decimal texts"),
    ],
)
def test_popular_bad_input_raises(parameters, given, error, message):
    with pytest.raises(error, match=rf"Popular.fit: {message}"):
        fastcf.Popular(**parameters).fit([(1, 2), (2, 2)], [3.0, 5.0], **given)
