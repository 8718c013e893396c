"""Mean normalisation, feature scaling and feature tables."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastcf
from fastcf.preprocessing import FeatureTable, MeanNormalizer, MeanRangeScaler, as_feature_table

# ---------------------------------------------------------------------------------------------------------------
# Ratings
# ---------------------------------------------------------------------------------------------------------------


@st.composite
def ratings_of(draw):
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.sampled_from([1, 2, 31, 33])), draw(st.sampled_from([1, 2, 32]))
    mask = random.random(shape) < draw(st.sampled_from([0.1, 0.5, 1.0]))
    mask[0, 0] = True
    users, items = np.nonzero(mask)
    weights = random.uniform(0.1, 2, users.size) if draw(st.booleans()) else None
    if weights is not None:
        weights[items == 1] = 0
    # rows without ratings too: ids that the data does not have
    return fastcf.Ratings.from_coo(
        users,
        items,
        random.normal(3, 1, users.size),
        weights=weights,
        user_ids=fastcf.IdMap.range(shape[0]),
        item_ids=fastcf.IdMap.range(shape[1]),
    )


@given(ratings_of(), st.sampled_from(["item", "user", "global"]))
def test_mean_normalizer_subtracts_weighted_means_and_comes_back(ratings, by):
    scaler = MeanNormalizer(by).fit(ratings)
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    overall = np.average(ratings.values, weights=weights)
    assert scaler.global_mean_ == pytest.approx(overall)
    rows = {"item": ratings.indices, "user": ratings.row_of_entry(), "global": np.zeros(ratings.nnz, int)}[by]
    n_rows = {"item": ratings.n_items, "user": ratings.n_users, "global": 1}[by]
    means = np.full(n_rows, overall)
    for row in range(n_rows):
        w = weights[rows == row]
        if w.sum() > 0:
            means[row] = np.average(ratings.values[rows == row], weights=w)
    if by != "global":
        np.testing.assert_allclose(scaler.mean_, means)
    normalized = scaler.transform(ratings)
    np.testing.assert_allclose(normalized.values, ratings.values - means[rows], atol=1e-6)
    assert normalized.users is ratings.users
    np.testing.assert_array_equal(normalized.indices, ratings.indices)
    back = scaler.inverse_transform(normalized)
    np.testing.assert_allclose(back.values, ratings.values, atol=1e-6)


def test_mean_normalizer_gives_unknown_ids_the_global_mean():
    ratings = fastcf.Ratings.from_coo(["a", "a", "b"], [1, 2, 1], [1.0, 4.0, 4.0])
    pairs = [("a", 1), ("b", 2), ("c", 3)]
    for by, means in (("item", [2.5, 4, 3]), ("user", [2.5, 4, 3]), ("global", [3, 3, 3])):
        scaler = MeanNormalizer(by).fit(ratings)
        got = scaler.inverse_transform(pairs, np.zeros(3))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, means)
        np.testing.assert_allclose(scaler.transform(pairs, [3.0, 3.0, 3.0]), 3 - np.array(means))


def test_mean_normalizer_makes_users_without_ratings_get_the_item_mean():
    ratings = fastcf.data.make_ratings(200, 50, 4000, random_state=0)
    scaler = MeanNormalizer("item")
    normalized = scaler.fit_transform(ratings)
    table = FeatureTable(ratings.items, np.random.default_rng(0).normal(size=(50, 3)))
    model = fastcf.UserRegression().fit(normalized, item_features=table)
    pairs = [(10**6, item) for item in ratings.items.ids]
    got = scaler.inverse_transform(pairs, model.predict(pairs))
    np.testing.assert_allclose(got, scaler.mean_, atol=1e-3)


def test_mean_normalizer_keeps_weights_and_follows_conventions():
    ratings = fastcf.Ratings.from_coo([1, 2], [3, 3], [1.0, 5.0], weights=[3.0, 1.0], timestamps=[7, 8])
    got = MeanNormalizer().fit_transform(ratings)
    np.testing.assert_array_equal(got.values, [-1, 3])
    np.testing.assert_array_equal(got.weights, [3, 1])
    np.testing.assert_array_equal(got.timestamps, [7, 8])
    assert clone(MeanNormalizer("user")).get_params() == {"by": "user"}
    matrix = scipy.sparse.csr_array(np.array([[1.0, 2.0], [0.0, 4.0]]))
    np.testing.assert_array_equal(MeanNormalizer().fit_transform(matrix).values, [0, -1, 1])


def test_mean_normalizer_bad_input_raises():
    with pytest.raises(NotFittedError, match=r"MeanNormalizer.transform: the normalizer must be fitted first"):
        MeanNormalizer().transform([(1, 2)], [3.0])
    with pytest.raises(ValueError, match=r"by must be 'item', 'user' or 'global'; got 'genre'"):
        MeanNormalizer("genre").fit([(1, 2)], [3.0])
    with pytest.raises(ValueError, match="weights must not all be zero; got 1 zeros"):
        MeanNormalizer().fit(fastcf.Ratings.from_coo([1], [2], [3.0], weights=[0.0]))
    fitted = MeanNormalizer().fit([(1, 2)], [3.0])
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\).*got \(1, 3\)"):
        fitted.transform([(1, 2, 3)], [3.0])
    with pytest.raises(ValueError, match=r"y must hold a number for each of 1 pairs; got shape \(2,\)"):
        fitted.transform([(1, 2)], [3.0, 4.0])
    with pytest.raises(ValueError, match="y must hold a number for each of 1 pairs"):
        fitted.transform([(1, 2)])


# ---------------------------------------------------------------------------------------------------------------
# Scaling
# ---------------------------------------------------------------------------------------------------------------


@parametrize_with_checks([MeanRangeScaler()])
def test_mean_range_scaler_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@given(
    n=st.sampled_from([1, 2, 31, 33]),
    f=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.float32, np.float64, np.int64]),
    seed=st.integers(0, 10**6),
)
def test_mean_range_scaler_follows_equation_and_comes_back(n, f, dtype, seed):
    X = (10 * np.random.default_rng(seed).normal(size=(n, f))).astype(dtype)
    scaler = MeanRangeScaler().fit(X)
    got = scaler.transform(X)
    assert got.dtype == (np.float32 if dtype is np.float32 else np.float64)
    spread = X.max(axis=0) - X.min(axis=0)
    wanted = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert np.all(np.abs(got) <= 1)
    np.testing.assert_allclose(scaler.inverse_transform(got), X, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaler", [MeanRangeScaler(), StandardScaler(), MinMaxScaler(feature_range=(-1, 1))])
def test_scalers_leave_constant_columns_finite(scaler):
    X = np.array([[0.1, 2.0], [0.1, 4.0], [0.1, 3.0]])
    got = scaler.fit_transform(X)
    assert np.all(np.isfinite(got))
    assert np.ptp(got[:, 0]) == 0
    if isinstance(scaler, MeanRangeScaler):
        assert np.all(got[:, 0] == 0)


def test_mean_range_scaler_names_columns_in_a_pipeline():
    frame = pd.DataFrame({"year": [1990.0, 2000.0, 2010.0], "minutes": [90.0, 90.0, 120.0]})
    pipeline = make_pipeline(MeanRangeScaler()).fit(frame)
    assert list(pipeline.get_feature_names_out()) == ["year", "minutes"]
    np.testing.assert_allclose(pipeline.transform(frame)[:, 0], [-0.5, 0, 0.5])


def test_mean_range_scaler_bad_input_raises():
    with pytest.raises(ValueError, match=r"MeanRangeScaler.fit: X must be finite.*got nan at row 1, column 0"):
        MeanRangeScaler().fit([[1.0], [np.nan]])
    with pytest.raises(TypeError, match=r"MeanRangeScaler.fit: X must be dense"):
        MeanRangeScaler().fit(scipy.sparse.eye_array(3))
    with pytest.raises(NotFittedError, match="must be fitted first"):
        MeanRangeScaler().transform([[1.0]])


# ---------------------------------------------------------------------------------------------------------------
# Feature tables
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_feature_table_aligns_and_extends(sparse):
    matrix = np.array([[1, 2], [3, 0], [5, 6], [0, 8]])
    table = FeatureTable(["c", "a", "d", "b"], scipy.sparse.coo_array(matrix) if sparse else matrix)
    assert (table.n_rows, table.n_features, table.is_sparse) == (4, 2, sparse)
    assert repr(table) == f"FeatureTable(4 rows x 2 features, {'sparse, 6 stored' if sparse else 'dense'})"
    plain = lambda each: each.toarray() if sparse else each  # noqa: E731  # a name for one line
    got = table.align(fastcf.IdMap(["a", "b"]))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(plain(got), [[3, 0], [0, 8]])
    longer = table.extend(fastcf.IdMap(["a", "b"]))
    assert longer.ids.ids.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(plain(longer.matrix), [[3, 0], [0, 8], [1, 2], [5, 6]])
    with pytest.raises(ValueError, match=r"fit: all items must have features; 2 of 3 have none, first 'e'"):
        table.align(fastcf.IdMap(["a", "e", "f"]), caller="fit", what="all items")
    with pytest.raises(ValueError, match="2 of 2 have none, first 7"):
        table.align(fastcf.IdMap([7, 8]))


@pytest.mark.parametrize("sparse", [False, True])
def test_feature_table_keeps_names(sparse):
    matrix = np.array([[1, 2, 3, 4], [3, 0, 5, 6]])
    names = ["war", "love", "year", "length"]
    table = FeatureTable([7, 5], scipy.sparse.csr_array(matrix) if sparse else matrix, names)
    for each in (
        table,
        table.extend(fastcf.IdMap([5])),
        table.extend(fastcf.IdMap([5, 7])),
        pickle.loads(pickle.dumps(table)),
    ):
        assert each.names.tolist() == names
        assert repr(each).endswith(": war, love, year, …)")
    assert FeatureTable([7], [[1.0]]).names is None
    assert FeatureTable([7], np.empty((1, 0)), []).names.tolist() == []
    with pytest.raises(ValueError, match="read-only"):
        table.names[0] = "peace"


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["a"], ValueError, r"names must have one entry per feature \(2\); got 1"),
        ("ab", TypeError, "names must be a list of strings; got 'ab'"),
        (["a", 1], TypeError, "names must be a list of strings; got 1"),
    ],
)
def test_feature_table_bad_names_raise(names, error, message):
    with pytest.raises(error, match=f"FeatureTable: {message}"):
        FeatureTable([1], [[1.0, 2.0]], names=names)


def test_feature_table_extends_ids_of_different_widths():
    table = FeatureTable([2**63 + 5, 3], [[1.0], [2.0]])
    assert table.extend(fastcf.IdMap([3])).ids.ids.tolist() == [3, 2**63 + 5]


def test_feature_table_owns_its_features():
    matrix = np.ones((2, 2), np.float32)
    table = FeatureTable([1, 2], matrix)
    matrix[0, 0] = 9
    assert table.matrix[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table.matrix[0, 0] = 9
    sparse = scipy.sparse.csr_array(matrix)
    table = FeatureTable([1, 2], sparse)
    sparse.data[:] = 0
    assert table.matrix.sum() == 12


@pytest.mark.parametrize(
    ("ids", "matrix", "error", "message"),
    [
        ([1, 2], [[1.0]], ValueError, r"FeatureTable: matrix must have one row per id \(2\); got 1 rows"),
        ([1, 1], [[1.0], [2.0]], ValueError, "distinct"),
        ([1], [1.0], ValueError, "matrix must have 2 dimensions, rows x features; got 1"),
        ([1, 2], [[1.0], [np.inf]], ValueError, "matrix must be finite; got inf at row 1, column 0"),
        ([1, 2], [[1.0], [1e39]], ValueError, r"matrix must be finite.*at row 1, column 0"),
        ([1], [["a"]], TypeError, "matrix must hold real numbers"),
        ([1, 2], scipy.sparse.csr_array([[0.0, 1.0], [0.0, np.nan]]), ValueError, "got nan at row 1, column 1"),
        ([1], scipy.sparse.csr_array([[1j]]), TypeError, "matrix must hold real numbers; got dtype complex128"),
    ],
)
def test_feature_table_bad_input_raises(ids, matrix, error, message):
    with pytest.raises(error, match=message):
        FeatureTable(ids, matrix)
    with pytest.raises(error, match=r"fit: item_features: FeatureTable|fit: item_features: IdMap"):
        as_feature_table((ids, matrix), "fit", "item_features")


def test_feature_table_other_kinds_raise():
    with pytest.raises(TypeError, match=r"item_features must be a FeatureTable or a pair \(ids, matrix\); got list"):
        as_feature_table([[1.0]], "fit", "item_features")
