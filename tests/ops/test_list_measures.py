from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_lists
from fastcf import _host


def compressed(rows):
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    indices = np.array([item for row in rows for item in sorted(row)], np.int32)
    return indptr, indices, np.array([row[item] for row in rows for item in sorted(row)], np.float32)


def distinct(rng, n_items, shape):
    return rng.permuted(np.tile(np.arange(n_items, dtype=np.int32), (shape[0], 1)), axis=1)[:, : shape[1]].copy()


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.sampled_from([0, 1, 31, 33, 200]),
    n=st.sampled_from([1, 2, 31, 33]),
    n_items=st.sampled_from([40, 2000]),
    n_threads=st.sampled_from([1, 2]),
)
def test_list_measures_equal_reference(seed, m, n, n_items, n_threads):
    rng = np.random.default_rng(seed)
    relevant = [
        {int(i): float(rng.integers(-2, 6)) for i in rng.permutation(n_items)[: rng.integers(1, 40)]}
        for _ in range(m + 3)
    ]
    users = rng.permutation(m + 3)[:m].astype(np.int32)
    items = distinct(rng, n_items, (m, n))
    items[rng.random(items.shape) < 0.1] = -1
    lengths = rng.integers(1, n + 1, 3)
    got, repeated = _host.list_measures(users, items, *compressed(relevant), lengths, n_threads=n_threads)
    assert got.shape == (3, 8, m)
    assert repeated == -1
    for k, fields in zip(lengths, got, strict=True):
        for u, row in enumerate(items.tolist()):
            wanted = reference_lists.list_measures([i if i >= 0 else None for i in row], relevant[users[u]], int(k))
            np.testing.assert_allclose(fields[:, u], list(wanted.values()), rtol=1e-12)


def test_list_measures_of_many_relevant_items():
    rng = np.random.default_rng(0)
    relevant = {int(i): float(rng.random()) for i in rng.permutation(50_000)[:20_000]}
    items = distinct(rng, 50_000, (1, 1025))
    got, _ = _host.list_measures(np.int32([0]), items, *compressed([relevant]), np.int64([1025]))
    wanted = reference_lists.list_measures(items[0].tolist(), relevant, 1025)
    np.testing.assert_allclose(got[0, :, 0], list(wanted.values()), rtol=1e-5)  # gains are float32


def test_list_measures_name_the_first_list_with_an_item_twice():
    rng = np.random.default_rng(0)
    items = distinct(rng, 300, (5000, 20))
    relevant = compressed([{1: 1.0, 299: 1.0}])
    users = np.zeros(5000, np.int32)
    for first in (4999, 4000, 17):  # relevant items or others
        items[first, 15] = items[first, 3]
        for n_threads in (1, 2):
            assert _host.list_measures(users, items, *relevant, np.int64([20]), n_threads)[1] == first
    assert _host.list_measures(users, items, *relevant, np.int64([15]), 2)[1] == -1  # places beyond do not count


def test_list_measures_same_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    relevant = compressed([{int(i): rng.random() for i in rng.permutation(500)[:30]} for _ in range(100)])
    arrays = rng.integers(0, 100, 20_000, np.int32), distinct(rng, 500, (20_000, 20)), *relevant
    one = _host.list_measures(*arrays, np.int64([5, 20]), n_threads=1)[0]
    np.testing.assert_array_equal(one, _host.list_measures(*arrays, np.int64([5, 20]), n_threads=4)[0])


GIVEN = {
    "users": np.int32([0]),
    "items": np.int32([[3, 1]]),
    "indptr": np.int64([0, 2]),
    "indices": np.int32([1, 4]),
    "gains": np.float32([1, 2]),
    "lengths": np.int64([2]),
}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"users": np.int32([1])}, ValueError, r"users must lie in \[0, 1\); got 1 at entry 0"),
        ({"users": np.int32([0, 0])}, ValueError, r"items must have one row per user \(2\); got 1"),
        ({"indptr": np.int64([0, 0, 2])}, ValueError, "every user must have relevant items; user 0 has none"),
        ({"indptr": np.int64([0, 1])}, ValueError, r"indptr must end at the number of indices \(2\); got 1"),
        ({"indptr": np.int64([])}, ValueError, "indptr must have at least one entry; got 0"),
        ({"indices": np.int32([4, 1])}, ValueError, "indices must be at least 0 and ascend within each user; those of"),
        ({"indices": np.int32([-1, 1])}, ValueError, "indices must be at least 0 and ascend within each user; those"),
        ({"gains": np.float32([1])}, ValueError, r"gains must have one entry per relevant item \(2\); got 1"),
        ({"gains": np.float64([1, 1])}, TypeError, "gains must have dtype float32; got float64"),
        ({"lengths": np.int64([3])}, ValueError, r"lengths must lie in \[1, 2\]; got 3"),
        ({"lengths": np.int64([0])}, ValueError, r"lengths must lie in \[1, 2\]; got 0"),
    ],
)
def test_list_measures_bad_arguments_raise(arguments, error, message):
    with pytest.raises(error, match=f"list_measures: {message}"):
        _host.list_measures(**{**GIVEN, **arguments})
