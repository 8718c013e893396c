"""The Ratings container: construction from every kind of input, access, and what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from fastcf import IdMap, Ratings
from fastcf.ratings import as_ratings

IDS = {
    "int32": lambda codes: (codes * 3 - 7).astype(np.int32),
    "int64": lambda codes: codes.astype(np.int64) * 10**11 - 5,
    "uint64": lambda codes: codes.astype(np.uint64) + np.uint64(2**63),
    "beyond 64 bits": lambda codes: np.array([int(code) + 2**80 for code in codes], dtype=object),
    "strings": lambda codes: np.char.zfill(codes.astype(str), 7),
    "list": lambda codes: codes.tolist(),
}


def distinct_pairs(rng, n, n_users=40, n_items=50):
    key = rng.permutation(n_users * n_items)[:n]
    return key // n_items, key % n_items, (rng.integers(1, 11, n) / 2).astype(np.float32)


@given(
    n=st.sampled_from([1, 2, 31, 32, 33, 1025]),
    user_kind=st.sampled_from(sorted(IDS)),
    item_kind=st.sampled_from(sorted(IDS)),
    ordered=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_ratings_from_coo_matches_reference(n, user_kind, item_kind, ordered, seed):
    rng = np.random.default_rng(seed)
    users, items, values = distinct_pairs(rng, n)
    if ordered:
        users, items = np.sort(users), items[np.argsort(users, kind="stable")]
    times = rng.integers(0, 10**9, n)
    weights = rng.random(n).astype(np.float32)
    user_ids, item_ids = IDS[user_kind](users), IDS[item_kind](items)
    ratings = Ratings.from_coo(user_ids, item_ids, values, timestamps=times, weights=weights)
    _, rows = np.unique(users, return_inverse=True)
    _, columns = np.unique(items, return_inverse=True)
    order = np.lexsort((columns, rows))
    np.testing.assert_array_equal(ratings.users.ids, np.unique(np.asarray(user_ids)))
    np.testing.assert_array_equal(ratings.items.ids, np.unique(np.asarray(item_ids)))
    np.testing.assert_array_equal(ratings.row_of_entry(), rows[order])
    np.testing.assert_array_equal(ratings.indices, columns[order])
    np.testing.assert_array_equal(ratings.values, values[order])
    np.testing.assert_array_equal(ratings.timestamps, times[order])
    np.testing.assert_array_equal(ratings.weights, weights[order])
    back = ratings.to_coo()
    np.testing.assert_array_equal(back[0], np.asarray(user_ids)[order])
    np.testing.assert_array_equal(back[1], np.asarray(item_ids)[order])


def test_ratings_from_coo_does_not_depend_on_threads():
    rng = np.random.default_rng(0)
    users, items, values = distinct_pairs(rng, 300_000, 1000, 2000)
    one, *others = (Ratings.from_coo(users, items * 10**9, values, n_threads=k) for k in (1, 2, 4))
    for other in others:
        for name in ("indptr", "indices", "values"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.users, one.items) == (other.users, other.items)


def test_ratings_permuted_input_gives_same_ratings():
    rng = np.random.default_rng(1)
    users, items, values = distinct_pairs(rng, 1500)
    shuffle = rng.permutation(1500)
    a = Ratings.from_coo(users, items, values)
    b = Ratings.from_coo(users[shuffle], items[shuffle], values[shuffle])
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.values, b.values)


def test_ratings_attributes_have_documented_types():
    ratings = Ratings.from_coo(["ann", "bob", "ann"], [50, 50, 7], [5, 3, 4.5])
    assert (ratings.indptr.dtype, ratings.indices.dtype, ratings.values.dtype) == (np.int64, np.int32, np.float32)
    assert (ratings.n_users, ratings.n_items, ratings.n_ratings, ratings.nnz, len(ratings)) == (2, 2, 3, 3, 3)
    assert ratings.shape == (2, 2)
    assert ratings.rating_range == (3.0, 5.0)
    assert ratings.mean == pytest.approx(12.5 / 3)
    assert ratings.timestamps is None
    assert ratings.weights is None
    assert repr(ratings) == "Ratings(2 users x 2 items, 3 ratings from 3 to 5)"
    for array in (ratings.indptr, ratings.indices, ratings.values, ratings.by_item().values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        ratings.values = None


@pytest.mark.parametrize(("duplicates", "value", "weight"), [("last", 1.0, 2.0), ("mean", 2.0, 4.0), ("sum", 5.0, 2.0)])
def test_ratings_duplicates_are_merged(duplicates, value, weight):
    ratings = Ratings.from_coo(
        ["b", "a", "b"],
        [1, 1, 1],
        [3.0, 4.0, 1.0] if duplicates != "sum" else [4.0, 4.0, 1.0],
        timestamps=[9, 5, 7],
        weights=[2, 1, 2],
        duplicates=duplicates,
    )
    assert ratings.values.tolist() == [4.0, value]
    assert ratings.weights.tolist() == [1.0, weight]
    assert ratings.timestamps.tolist() == [5, 7 if duplicates == "last" else 9]
    assert ratings.indptr.tolist() == [0, 1, 2]


def test_ratings_duplicates_sum_beyond_float32_raises():
    with pytest.raises(ValueError, match="sums of ratings must be finite; got inf"):
        Ratings.from_coo([1, 1], [1, 1], [3e38, 3e38], duplicates="sum")


def test_ratings_from_coo_with_known_ids_uses_them():
    train = Ratings.from_coo(["a", "b", "c"], [1, 2, 3], [1, 2, 3])
    test = Ratings.from_coo(["c"], [1], [5], user_ids=train.users, item_ids=train.items)
    assert test.shape == (3, 3)
    assert (test.users is train.users, test.items is train.items) == (True, True)
    assert test.indptr.tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="users must be known ids; got z at entry 1"):
        Ratings.from_coo(["c", "z"], [1, 1], [5, 5], user_ids=train.users)
    with pytest.raises(ValueError, match="items must be known ids; got 9 at entry 0"):
        Ratings.from_coo(["c"], [9], [5], item_ids=train.items)
    with pytest.raises(TypeError, match="users must be encoded by an IdMap; got list"):
        Ratings.from_coo(["c"], [9], [5], user_ids=["c"])


NAN_AT_41 = np.where(np.arange(50) == 41, np.nan, 1.0)
BAD = {
    "nan": ({"values": NAN_AT_41}, ValueError, "Ratings.from_coo: ratings must be finite; got nan at entry 41"),
    "inf": ({"values": np.full(50, -np.inf)}, ValueError, "ratings must be finite; got -inf at entry 0"),
    "too large": (
        {"values": np.full(50, 1e300)},
        ValueError,
        "ratings must be finite as float32; got 1e\\+300 at entry 0",
    ),
    "booleans": ({"values": np.ones(50, bool)}, TypeError, "ratings must be real numbers; got dtype bool"),
    "complex": ({"values": np.ones(50, complex)}, TypeError, "got dtype complex128"),
    "text": ({"values": ["3"] * 50}, TypeError, "ratings must be real numbers; got dtype <U1"),
    "objects": ({"values": [None] + [1] * 49}, TypeError, "ratings must be real numbers; got None at entry 0"),
    "two dimensions": ({"values": np.ones((50, 1))}, ValueError, r"one-dimensional; got shape \(50, 1\)"),
    "ragged": ({"values": [[1], [1, 2]]}, ValueError, "one-dimensional"),
    "masked": ({"values": np.ma.array(np.ones(50), mask=np.arange(50) == 3)}, ValueError, "masked value at entry 3"),
    "short users": ({"users": np.arange(49)}, ValueError, r"users must have as many entries as ratings \(50\); got 49"),
    "long items": ({"items": np.arange(51)}, ValueError, "items must have as many .* got 51"),
    "short times": ({"timestamps": [1]}, ValueError, "timestamps must have as many .* got 1"),
    "short weights": ({"weights": [1]}, ValueError, "weights must have as many .* got 1"),
    "negative weight": (
        {"weights": -np.arange(50)},
        ValueError,
        "weights must be finite and non-negative; got -1 at entry 1",
    ),
    "nan weight": ({"weights": NAN_AT_41}, ValueError, "weights must be finite and non-negative; got nan at entry 41"),
    "bool times": (
        {"timestamps": np.ones(50, bool)},
        TypeError,
        "timestamps must be numbers, dates or datetimes; got dtype bool",
    ),
    "nan time": ({"timestamps": NAN_AT_41}, ValueError, "timestamps must be finite and fit int64; got nan at entry 41"),
    "time unit": ({"timestamps": np.ones(50), "time_unit": "h"}, ValueError, "time_unit must be one of 'auto', 's',"),
    "missing times": ({"timestamps": np.full(50, "NaT", "M8[s]")}, ValueError, "got NaT at entry 0"),
    "large times": (
        {"timestamps": np.full(50, 2**63, np.uint64)},
        ValueError,
        "must fit int64; got 9223372036854775808",
    ),
    "float users": ({"users": np.ones(50)}, TypeError, "users must be integers or strings; got dtype float64"),
    "bool items": ({"items": np.ones(50, bool)}, TypeError, "items must be integers or strings; got dtype bool"),
    "duplicates": (
        {"duplicates": "first"},
        ValueError,
        "duplicates must be one of error, last, latest, max, mean, sum; got 'first'",
    ),
    "no threads": ({"n_threads": 0}, ValueError, "n_threads must be an integer of at least 1, or None; got 0"),
    "half a thread": ({"n_threads": 0.5}, ValueError, "n_threads must be an integer of at least 1, or None; got 0.5"),
    "repeated": (
        {"users": np.arange(50) // 2 * 2, "items": np.zeros(50, int)},
        ValueError,
        r"pairs must be unique; got user 0, item 0 at entries 0 and 1 \(or choose duplicates='last', 'latest', 'max', ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_ratings_bad_input_raises(name):
    arguments = {"users": np.arange(50), "items": np.arange(50), "values": np.ones(50)}
    Ratings.from_coo(**arguments)
    change, error, message = BAD[name]
    with pytest.raises(error, match=message):
        Ratings.from_coo(**(arguments | change))


def test_ratings_empty_raises():
    for empty in ([], np.array([], np.float32)):
        with pytest.raises(ValueError, match="ratings must not be empty; got 0 entries"):
            Ratings.from_coo([], [], empty)


def test_ratings_datetimes_become_seconds():
    times = np.array(["1970-01-01T00:00:01.5", "2001-09-09T01:46:40"], "M8[ms]")
    assert Ratings.from_coo([1, 2], [1, 2], [1, 2], timestamps=times).timestamps.tolist() == [1, 10**9]


# --------------------------------------------------------------------------------------------- rows and SciPy


def test_ratings_from_rows_accepts_arrays_and_lists():
    for X in ([("ann", 50), ("bob", 7)], np.array([["ann", 50], ["bob", 7]], dtype=object)):
        ratings = Ratings.from_rows(X, [1, 2])
        assert ratings.users.ids.tolist() == ["ann", "bob"]
        assert ratings.items.ids.tolist() == [7, 50]
    assert Ratings.from_rows(np.array([[1, 2], [1, 2]]), [1, 3], duplicates="mean").values.tolist() == [2]
    for bad in (np.ones((3, 3), int), [], [1, 2], [[1, 2], [3]]):
        with pytest.raises(ValueError, match=r"X must have shape \(n, 2\)"):
            Ratings.from_rows(bad, [1, 2, 3])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_matrix", "coo_array", "lil_matrix", "dok_array"])
def test_ratings_from_scipy_keeps_stored_zeros_and_empty_rows(kind):
    coo = scipy.sparse.coo_array((np.array([3.0, 0.0, 2.0]), ([3, 0, 3], [4, 2, 1])), (5, 6))
    ratings = Ratings.from_scipy(getattr(scipy.sparse, kind)(coo))
    stored = 3 if kind not in ("lil_matrix", "dok_array") else ratings.nnz
    assert ratings.shape == (5, 6)
    assert ratings.nnz == stored
    np.testing.assert_array_equal(ratings.to_scipy().toarray(), coo.toarray())
    assert ratings.users == IdMap.range(5)


def test_ratings_from_scipy_bad_input_raises():
    with pytest.raises(TypeError, match="matrix must be a SciPy sparse matrix; got ndarray"):
        Ratings.from_scipy(np.eye(2))
    with pytest.raises(ValueError, match="must not be empty"):
        Ratings.from_scipy(scipy.sparse.csr_matrix((3, 3)))
    with pytest.raises(TypeError, match="real numbers; got dtype bool"):
        Ratings.from_scipy(scipy.sparse.eye(2, dtype=bool))
    with pytest.raises(ValueError, match="finite; got nan"):
        Ratings.from_scipy(scipy.sparse.csr_matrix([[np.nan]]))
    with pytest.raises(ValueError, match="must have 2 dimensions"):
        Ratings.from_scipy(scipy.sparse.coo_array((np.ones(1), ([0], [0])), (2**31 - 1, 1)))
    twice = scipy.sparse.coo_matrix((np.ones(2), ([1, 1], [2, 2])), (3, 3))
    with pytest.raises(ValueError, match="got user 1, item 2 at entries 0 and 1"):
        Ratings.from_scipy(twice)
    assert Ratings.from_scipy(twice, duplicates="sum").values.tolist() == [2]


# --------------------------------------------------------------------------------------------------------- access


@given(n=st.sampled_from([1, 32, 1025]), seed=st.integers(0, 2**32))
def test_ratings_by_item_matches_scipy(n, seed):
    ratings = Ratings.from_coo(*distinct_pairs(np.random.default_rng(seed), n))
    view, csc = ratings.by_item(), ratings.to_scipy().tocsc()
    np.testing.assert_array_equal(view.indptr, csc.indptr)
    np.testing.assert_array_equal(view.indices, csc.indices)
    np.testing.assert_array_equal(view.values, csc.data)
    np.testing.assert_array_equal(ratings.values[view.entries], view.values)
    np.testing.assert_array_equal(ratings.row_of_entry()[view.entries], view.indices)
    assert ratings.by_item() is view
    assert (view.indptr.dtype, view.indices.dtype, view.entries.dtype) == (np.int64, np.int32, np.int64)
    assert view.weights is None


def test_ratings_by_item_has_the_weights():
    rng = np.random.default_rng(4)
    ratings = Ratings.from_coo(*distinct_pairs(rng, 900), weights=rng.random(900))
    view = ratings.by_item()
    np.testing.assert_array_equal(view.weights, ratings.weights[view.entries])
    assert view.weights.dtype == np.float32


@given(n=st.sampled_from([1, 32, 1025]), seed=st.integers(0, 2**32))
def test_ratings_counts_of_users_and_items_match_scipy(n, seed):
    ratings = Ratings.from_coo(*distinct_pairs(np.random.default_rng(seed), n))
    some = ratings.take(np.arange(0, n, 2))  # leaves rows without ratings
    for part in (ratings, some):
        matrix = part.to_scipy()
        np.testing.assert_array_equal(part.user_counts(), np.diff(matrix.indptr))
        np.testing.assert_array_equal(part.item_counts(), np.diff(matrix.tocsc().indptr))
        assert part.user_counts().dtype == part.item_counts().dtype == np.int64
        assert (part.user_counts().size, part.item_counts().size) == ratings.shape


def test_ratings_take_keeps_maps_and_order():
    rng = np.random.default_rng(2)
    ratings = Ratings.from_coo(*distinct_pairs(rng, 900), timestamps=np.arange(900), weights=np.ones(900))
    mask = rng.random(900) < 0.3
    part = ratings.take(mask)
    assert (part.users is ratings.users, part.items is ratings.items) == (True, True)
    for name in ("indices", "values", "timestamps", "weights"):
        np.testing.assert_array_equal(getattr(part, name), getattr(ratings, name)[mask])
    np.testing.assert_array_equal(part.row_of_entry(), ratings.row_of_entry()[mask])
    positions = rng.permutation(np.flatnonzero(mask))
    np.testing.assert_array_equal(ratings.take(positions).values, part.values)
    empty = ratings.take([])
    assert (empty.nnz, empty.shape) == (0, ratings.shape)
    assert np.isnan(empty.mean)
    assert np.isnan(empty.rating_range).all()
    assert empty.by_item().indptr.tolist() == [0] * (ratings.n_items + 1)
    assert "0 ratings" in repr(empty)


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ([0, 0], ValueError, "must be distinct"),
        ([3], ValueError, r"must lie in \[0, 3\); got 3"),
        ([-1], ValueError, "got -1"),
        ([0.0], TypeError, "got dtype float64"),
        ([True], ValueError, r"must have shape \(3,\); got \(1,\)"),
        ([[1]], ValueError, "one-dimensional"),
    ],
)
def test_ratings_take_bad_entries_raises(entries, error, message):
    with pytest.raises(error, match=message):
        Ratings.from_coo([1, 2, 3], [1, 2, 3], [1, 2, 3]).take(entries)


def test_ratings_with_values_keep_everything_else():
    ratings = Ratings.from_coo(["a", "b", "b"], [2, 1, 2], [3, 4, 5], timestamps=[1, 2, 3], weights=[1, 0, 2])
    other = ratings.with_values([0.5, -1, 7])
    assert other.values.tolist() == [0.5, -1, 7]
    assert (other.users is ratings.users, other.items is ratings.items) == (True, True)
    for name in ("indptr", "indices", "timestamps", "weights"):
        np.testing.assert_array_equal(getattr(other, name), getattr(ratings, name))
    assert ratings.values.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [([1.0, 2.0], ValueError, "3"), ([1, np.nan, 2], ValueError, "finite"), (["x", "y", "z"], TypeError, "numbers")],
)
def test_ratings_with_values_refuses_what_does_not_fit(values, error, message):
    with pytest.raises(error, match=message):
        Ratings.from_coo([1, 2, 3], [1, 2, 3], [1, 2, 3]).with_values(values)


def test_ratings_pickle_and_copy_keep_everything():
    ratings = Ratings.from_coo(["a", "b"], [2, 1], [3, 4], timestamps=[1, 2], weights=[1, 0])
    ratings.by_item()
    for again in (pickle.loads(pickle.dumps(ratings)), copy.deepcopy(ratings)):
        for name in ("indptr", "indices", "values", "timestamps", "weights"):
            np.testing.assert_array_equal(getattr(again, name), getattr(ratings, name))
            assert not getattr(again, name).flags.writeable
        assert (again.users, again.items) == (ratings.users, ratings.items)


CONSTRUCTOR_BAD = {
    "indptr length": ({"indptr": np.array([0, 2])}, ValueError, "indptr must have 3 entries for 2 users; got 2"),
    "indptr order": ({"indptr": np.array([0, 3, 2])}, ValueError, "indptr must not decrease"),
    "indptr end": ({"indptr": np.array([0, 1, 1])}, ValueError, "indptr must end at"),
    "index range": (
        {"indices": np.array([0, 3], np.int32)},
        ValueError,
        r"indices must lie in \[0, 3\); got 3 at entry 1",
    ),
    "index order": (
        {"indptr": np.array([0, 2, 2]), "indices": np.array([1, 1], np.int32)},
        ValueError,
        "ascend strictly",
    ),
    "dtype": ({"indices": np.array([0, 1])}, TypeError, "indices must have dtype int32"),
    "value": ({"values": np.array([1, np.nan], np.float32)}, ValueError, "values must be finite; got nan at entry 1"),
    "values length": ({"values": np.ones(3, np.float32)}, ValueError, "values must have as many"),
    "weight": ({"weights": np.array([1, -1], np.float32)}, ValueError, "weights must be finite and non-negative"),
    "times": ({"timestamps": np.array([1])}, ValueError, "timestamps must have 2 entries; got 1"),
}


@pytest.mark.parametrize("name", CONSTRUCTOR_BAD)
def test_ratings_constructor_bad_arrays_raises(name):
    arguments = {
        "indptr": np.array([0, 1, 2]),
        "indices": np.array([0, 1], np.int32),
        "values": np.ones(2, np.float32),
        "users": IdMap.range(2),
        "items": IdMap.range(3),
    }
    assert Ratings(**arguments).nnz == 2
    change, error, message = CONSTRUCTOR_BAD[name]
    with pytest.raises(error, match=message):
        Ratings(**(arguments | change))


def test_as_ratings_accepts_what_estimators_accept():
    ratings = Ratings.from_coo([0, 1], [0, 1], [1, 2])
    assert as_ratings(ratings, caller="f") is ratings
    np.testing.assert_array_equal(as_ratings(ratings.to_scipy(), caller="f").values, ratings.values)
    np.testing.assert_array_equal(as_ratings(np.array([[0, 0], [1, 1]]), [1, 2], caller="f").values, ratings.values)


def test_as_ratings_bad_input_raises():
    ratings = Ratings.from_coo([0, 1], [0, 1], [1, 2])
    for whole in (ratings, ratings.to_scipy()):
        with pytest.raises(ValueError, match="f: y must be None where X holds the ratings; got list"):
            as_ratings(whole, [1], caller="f")
    with pytest.raises(ValueError, match="f: y must hold the ratings where X is an"):
        as_ratings(np.array([[0, 0]]), caller="f")
    with pytest.raises(ValueError, match="f: ratings must not be empty"):
        as_ratings(ratings.take([]), caller="f")
    with pytest.raises(ValueError, match="f: ratings must not be empty"):
        as_ratings(np.zeros((0, 2), int), [], caller="f")
    with pytest.raises(ValueError, match="f: ratings must be finite; got nan at entry 0"):
        as_ratings(np.array([[0, 0]]), [np.nan], caller="f")


# ---------------------------------------------------------------------------------------------------------------
# Results kept with ratings
# ---------------------------------------------------------------------------------------------------------------


def test_derived_results_are_computed_once_and_only_the_last_few_are_kept():
    ratings, calls = Ratings.from_coo([0, 1], [0, 0], [1.0, 2.0]), []

    def derived(key, of=ratings):
        return of.derived(key, lambda: calls.append(key) or [key])

    assert derived("a") is derived("a")
    for n in range(7):
        derived(n)
    derived("a")
    assert calls == ["a", *range(7)]
    derived(7)  # the ninth: 0 was looked at longest ago
    derived("a")
    assert calls == ["a", *range(7), 7]
    derived(0)
    assert calls == ["a", *range(7), 7, 0]
    derived("a", of=ratings.take([0, 1]))
    derived("a", of=pickle.loads(pickle.dumps(ratings)))
    assert calls[-2:] == ["a", "a"]


def test_failed_derivations_are_tried_again():
    ratings = Ratings.from_coo([0, 1], [0, 0], [1.0, 2.0])
    with pytest.raises(ZeroDivisionError):
        ratings.derived("a", lambda: 1 / 0)
    assert ratings.derived("a", lambda: 3) == 3
