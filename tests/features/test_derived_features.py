"""Features derived from ratings, against a plain loop over the ratings; tables joined side by side."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf import FeatureTable, IdMap, Ratings
from fastcf.features import hstack, identity, item_features, user_features


def made_up(seed, n_users, n_items, n_ratings, weighted=False):
    random = np.random.default_rng(seed)
    pairs = random.choice(n_users * n_items, n_ratings, replace=False)
    weights = random.integers(0, 4, n_ratings) if weighted else np.ones(n_ratings)
    weights[0] = 1
    values = random.integers(1, 11, n_ratings) / 2
    ids = 100 + pairs // n_items, pairs % n_items
    return Ratings.from_coo(*ids, values, weights=weights if weighted else None)


def some_of(ratings, seed):
    """Ratings that leave users and items without any."""
    mask = np.random.default_rng(seed).random(ratings.nnz) < 0.7
    mask[0 if ratings.weights is None else int(ratings.weights.argmax())] = True
    return ratings.take(mask)


def plain_features(ratings, by, ids, table, s):
    """The documented equations, one rating at a time."""
    users, items, values = ratings.to_coo()
    weights = np.ones(values.size) if ratings.weights is None else ratings.weights
    rows = list(zip(users.tolist(), items.tolist(), values.tolist(), weights.tolist(), strict=True))
    if by == "item":
        rows = [(item, user, value, weight) for user, item, value, weight in rows]

    def shrunk(total, count, expected):
        return (total + s * expected) / (count + s) if count + s > 0 else expected

    total = sum(weight for *_, weight in rows)
    mu = sum(weight * value for _, _, value, weight in rows) / total
    own = {}
    for one in {row[0] for row in rows}:
        count = sum(weight for each, _, _, weight in rows if each == one)
        mean = sum(weight * value for each, _, value, weight in rows if each == one)
        own[one] = mean / count if count > 0 else mu
    variance = sum(weight * (value - own[one]) ** 2 for one, _, value, weight in rows) / total

    features = []
    for one in ids:
        mine = [(other, value, weight) for each, other, value, weight in rows if each == one]
        count = sum(weight for *_, weight in mine)
        mean = shrunk(sum(weight * value for _, value, weight in mine), count, mu)
        squares = sum(weight * (value - own[one]) ** 2 for _, value, weight in mine)
        described = [math.log1p(len(mine)), mean, math.sqrt(shrunk(squares, count, variance))]
        if table is not None:
            x = table.matrix.toarray() if table.is_sparse else table.matrix
            at = {other: row for row, other in enumerate(table.ids.ids.tolist())}
            f = range(table.n_features)
            held = [sum(weight * x[at[other], k] for other, _, weight in mine) for k in f]
            sums = [sum(weight * x[at[other], k] * value for other, value, weight in mine) for k in f]
            described += [shrunk(sums[k], held[k], mean) for k in f]
            described += [math.log1p(sum(x[at[other], k] for other, *_ in mine)) for k in f]
        features.append(described)
    return np.array(features)


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([(1, 1), (3, 2), (7, 31), (33, 5)]),
    by=st.sampled_from(["user", "item"]),
    s=st.sampled_from([0, 0.5, 5.0]),
    weighted=st.booleans(),
    kind=st.sampled_from([None, "dense", "sparse", "weights"]),
)
def test_derived_features_follow_their_equations(seed, size, by, s, weighted, kind):
    n_users, n_items = size
    random = np.random.default_rng(seed)
    ratings = made_up(seed, n_users, n_items, int(random.integers(1, n_users * n_items + 1)), weighted)
    ratings = some_of(ratings, seed)
    others = (ratings.items if by == "user" else ratings.users).ids
    table = None
    if kind is not None:
        ids = random.permutation([*others, 9998, 9999])  # features of more than was rated
        matrix = random.integers(0, 2, (ids.size, 3)) * (random.random((ids.size, 3)) if kind == "weights" else 1)
        table = FeatureTable(ids, scipy.sparse.csr_array(matrix) if kind == "sparse" else matrix)
    describe = user_features if by == "user" else item_features
    own = ratings.users if by == "user" else ratings.items
    got = describe(ratings, table, shrinkage=s)
    assert got.ids is own
    wanted = plain_features(ratings, by, own.ids.tolist(), table, s)
    np.testing.assert_allclose(got.matrix, wanted, rtol=2e-5, atol=2e-6)
    chosen = [12345, *own.ids.tolist()[::-1]]
    more = describe(ratings, table, shrinkage=s, **{f"{by}s": chosen})
    assert more.ids.ids.tolist() == chosen
    np.testing.assert_allclose(more.matrix[1:], wanted[::-1], rtol=2e-5, atol=2e-6)
    mean = float(np.average(ratings.values, weights=ratings.weights))
    n_features = 0 if table is None else table.n_features
    np.testing.assert_allclose(more.matrix[0, :2], [0, mean], rtol=1e-5)
    np.testing.assert_allclose(more.matrix[0, 3:], [mean] * n_features + [0] * n_features, rtol=1e-5)


def test_derived_features_have_names():
    ratings = made_up(0, 5, 4, 12)
    table = FeatureTable(range(4), np.eye(4)[:, :2], ["war", "love"])
    names = ["log_count", "mean", "spread"]
    assert user_features(ratings).names.tolist() == names
    more = ["mean_war", "mean_love", "log_count_war", "log_count_love"]
    assert user_features(ratings, table).names.tolist() == names + more
    unnamed = user_features(ratings, (table.ids, table.matrix)).names.tolist()
    assert unnamed == [*names, "mean_0", "mean_1", "log_count_0", "log_count_1"]


def test_derived_features_of_permuted_ids_are_permuted():
    users, items, values = made_up(1, 20, 15, 100).to_coo()
    order = np.random.default_rng(0).permutation(15)
    genres = FeatureTable(range(15), np.random.default_rng(1).integers(0, 2, (15, 4)))
    renamed = FeatureTable(order, genres.matrix)  # item i is now called order[i]
    first = user_features(Ratings.from_coo(users, items, values), genres)
    second = user_features(Ratings.from_coo(users, order[items], values), renamed)
    np.testing.assert_allclose(second.matrix, first.matrix, rtol=1e-6)


def test_derived_features_shrink_towards_what_is_expected():
    ratings = made_up(2, 30, 10, 150)
    tables = [item_features(ratings, shrinkage=s).matrix for s in (0, 1, 10, 1e9)]
    distances = [np.abs(matrix[:, 1] - ratings.mean) for matrix in tables]
    assert all(np.all(near <= far + 1e-6) for far, near in itertools.pairwise(distances))
    np.testing.assert_allclose(tables[-1][:, 1], ratings.mean, rtol=1e-5)
    assert len(set(tables[-1][:, 2].round(4))) == 1
    by_item = ratings.by_item()
    for row in range(ratings.n_items):
        own = by_item.values[by_item.indptr[row] : by_item.indptr[row + 1]]
        np.testing.assert_allclose(tables[0][row], [np.log1p(own.size), own.mean(), own.std()], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shrinkage": -1}, ValueError, "shrinkage must be a number of at least 0; got -1"),
        ({"shrinkage": np.nan}, ValueError, "shrinkage must be a number of at least 0; got nan"),
        ({"shrinkage": "5"}, TypeError, "shrinkage must be a number of at least 0; got '5'"),
        ({"item_features": [[1.0]]}, TypeError, r"item_features must be a FeatureTable or a pair \(ids, matrix\)"),
        (
            {"item_features": ([1], [[1.0]])},
            ValueError,
            "all items of the ratings must have features; 1 of 2 have none",
        ),
        (
            {"item_features": ([1, 2], [[1], [-2]])},
            ValueError,
            "item_features must be non-negative.*; got -2.0 in feature 0",
        ),
        (
            {"item_features": FeatureTable([1, 2], scipy.sparse.csr_array([[0, 1], [0, -1.5]]), ["war", "year"])},
            ValueError,
            "item_features must be non-negative, such as genres; got -1.5 in feature 'year'",
        ),
        ({"users": [1.5]}, TypeError, "users must be integers or strings; got 1.5"),
        ({"users": [1, 1]}, ValueError, "users: .*distinct; got 1 at positions 0 and 1"),
    ],
)
def test_derived_features_bad_input_raises(arguments, error, message):
    ratings = Ratings.from_coo([1, 1], [1, 2], [3.0, 4.0])
    with pytest.raises(error, match=f"user_features: {message}"):
        user_features(ratings, **arguments)


def test_derived_features_bad_ratings_raise():
    ratings = Ratings.from_coo([1, 1], [1, 2], [3.0, 4.0], weights=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"item_features: weights must not all be zero; got 2 zeros"):
        item_features(ratings)
    with pytest.raises(ValueError, match=r"item_features: ratings must not be empty"):
        item_features(ratings.take([]))
    with pytest.raises(ValueError, match=r"item_features: all users of the ratings must have features; 1 of 1"):
        item_features(Ratings.from_coo([1], [1], [3.0]), ([2], [[1.0]]))


# ---------------------------------------------------------------------------------------------------------------
# Side by side
# ---------------------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([1, 2, 31]),
    kinds=st.lists(st.sampled_from(["dense", "sparse"]), min_size=1, max_size=3),
)
def test_hstack_joins_by_id_and_stays_small(seed, n, kinds):
    random = np.random.default_rng(seed)
    wanted, tables = [], []
    for position, kind in enumerate(kinds):
        matrix = random.integers(0, 2, (n, int(random.integers(0, 9)))) * random.random()
        wanted.append(matrix)
        order = random.permutation(n) if position else np.arange(n)
        ids, rows = [*order, 1000], np.vstack([matrix[order], np.ones(matrix.shape[1])])
        if position == 0:
            ids, rows = ids[:-1], rows[:-1]
        names = [f"{position}_{column}" for column in range(matrix.shape[1])]
        tables.append(FeatureTable(ids, scipy.sparse.csr_array(rows) if kind == "sparse" else rows, names))
    got = hstack(tables)
    together = np.hstack(wanted)
    assert got.ids == tables[0].ids
    assert got.names.tolist() == [name for table in tables for name in table.names]
    np.testing.assert_allclose(got.matrix.toarray() if got.is_sparse else got.matrix, together, rtol=1e-6)
    if got.is_sparse:
        assert "sparse" in kinds
        assert 8 * got.matrix.nnz < 4 * together.size


def test_hstack_keeps_names_only_where_all_have_them():
    named, unnamed = FeatureTable([1], [[1.0]], ["a"]), FeatureTable([1], [[2.0]])
    assert hstack([named, named]).names.tolist() == ["a", "a"]
    assert hstack([named, unnamed]).names is None
    assert hstack([unnamed]).matrix.tolist() == [[2.0]]


def test_hstack_bad_input_raises():
    table = FeatureTable([1, 2], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="hstack: tables must hold at least one table; got none"):
        hstack([])
    with pytest.raises(TypeError, match="hstack: tables must be FeatureTables; got tuple at position 1"):
        hstack([table, ([1], [[1.0]])])
    message = (
        "hstack: all ids of the first table, in the one at position 1, must have features; 1 of 2 have none, first 2"
    )
    with pytest.raises(ValueError, match=message):
        hstack([table, FeatureTable([1, 3], [[1.0], [2.0]])])


@pytest.mark.parametrize("ids", [[7, 5], ["b", "a"], IdMap([2**70, 1])])
def test_identity_tells_ids_apart(ids):
    table = identity(ids)
    assert table.is_sparse
    assert table.matrix.toarray().tolist() == [[1, 0], [0, 1]]
    given = ids.ids.tolist() if isinstance(ids, IdMap) else ids
    assert table.ids.ids.tolist() == given
    assert table.names.tolist() == [str(each) for each in given]
    with pytest.raises(ValueError, match="distinct"):
        identity([1, 1])


def test_features_train_a_model_and_predict_new_items():
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    kinds = {"item": range(45), "kind": [f"k{item % 5}" for item in range(45)]}
    table = fastcf.features.TableFeatures("item", one_hot=["kind"]).fit_transform(kinds)
    model = fastcf.UserRegression(reg=5.0).fit(ratings, item_features=table)
    assert np.isfinite(model.predict([(0, 44)])).all()
    both = fastcf.ItemRegression(reg=5.0).fit(ratings, user_features=user_features(ratings, table))
    assert np.isfinite(both.predict(ratings)).all()
