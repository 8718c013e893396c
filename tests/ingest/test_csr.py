"""Compressed rows and columns against plain dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf._backend import ingest

MODES = ("last", "mean", "sum")


def reference(users, items, values, timestamps, weights, n_users, duplicates):
    """Return the CSR arrays of a list of ratings, one dictionary entry per pair."""
    groups = {}
    for entry, pair in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        groups.setdefault(pair, []).append(entry)
    rows, columns, kept, times, weighting = [], [], [], [], []
    for (user, item), entries in sorted(groups.items()):
        v, w, t = values[entries].astype(np.float64), weights[entries].astype(np.float64), timestamps[entries]
        rows.append(user)
        columns.append(item)
        if len(entries) == 1 or duplicates == "last":
            picked = v[-1], w[-1], t[-1]
        elif duplicates == "mean":
            picked = (np.average(v, weights=w) if w.sum() > 0 else v.mean()), w.sum(), t.max()
        else:
            picked = v.sum(), w.mean(), t.max()
        kept.append(picked[0])
        weighting.append(picked[1])
        times.append(picked[2])
    counts = np.bincount(np.asarray(rows, np.int64), minlength=n_users)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return indptr, columns, kept, times, weighting


def build(users, items, values, timestamps, weights, n_users, n_items, duplicates, n_threads=1):
    *arrays, kept, first, second = ingest.coo_to_csr(
        users, items, None, values, timestamps, weights, n_users, n_items, duplicates, n_threads
    )
    indptr, *columns = arrays
    return [indptr] + [None if column is None else column[:kept] for column in columns], first, second


def assert_same(ours, expected):
    indptr, indices, values, timestamps, weights = ours
    np.testing.assert_array_equal(indptr, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_allclose(values, expected[2], rtol=2e-7, atol=1e-6)
    np.testing.assert_array_equal(timestamps, expected[3])
    np.testing.assert_allclose(weights, expected[4], rtol=2e-7)


def random_list(rng, n, n_users, n_items, *, dense_row=False, ordered=False):
    users = rng.integers(0, n_users, n).astype(np.int32)
    if dense_row:
        users[: n // 2] = n_users // 2
    if ordered:
        users.sort()
    items = rng.integers(0, n_items, n).astype(np.int32)
    values = rng.normal(size=n).astype(np.float32)
    timestamps = rng.integers(-(2**40), 2**40, n)
    weights = rng.integers(0, 3, n).astype(np.float32)
    return users, items, values, timestamps, weights


@given(
    n=st.sampled_from([0, 1, 2, 31, 32, 33, 1025]),
    n_users=st.sampled_from([1, 2, 33, 1025]),
    n_items=st.sampled_from([1, 3, 32, 2**31 - 2]),
    mode=st.sampled_from(MODES),
    dense_row=st.booleans(),
    ordered=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_coo_to_csr_matches_reference(n, n_users, n_items, mode, dense_row, ordered, seed):
    rng = np.random.default_rng(seed)
    data = random_list(rng, n, n_users, min(n_items, 100), dense_row=dense_row, ordered=ordered)
    ours, first, second = build(*data, n_users, n_items, mode)
    assert_same(ours, reference(*data, n_users, mode))
    assert (first, second) == (-1, -1)


# Shapes that reach every path: many buckets; one bucket too large for packed keys; few users; ordered input.
LARGE = {
    "buckets": (150_000, 5_000, 500, False, False),
    "ordered": (150_000, 5_000, 500, False, True),
    "wide": (450_000, 1_000_000, 2**31 - 2, True, False),
    "wide-ordered": (450_000, 1_000_000, 2**31 - 2, True, True),
    "two-users": (150_000, 2, 200_000, False, False),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("mode", MODES)
def test_coo_to_csr_matches_numpy_when_large(name, mode):
    n, n_users, n_items, dense_row, ordered = LARGE[name]
    rng = np.random.default_rng(3)
    data = random_list(rng, n, n_users, n_items, dense_row=dense_row, ordered=ordered)
    data[1][: n // 4] = data[1][n // 4 : 2 * (n // 4)] % 1000  # pairs repeat in every shape
    users, items, values, timestamps, weights = data
    results = [build(*data, n_users, n_items, mode, n_threads)[0] for n_threads in (1, 2, 4)]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    key = users.astype(np.int64) * n_items + items
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    counts = np.diff(np.append(starts, n))
    assert counts.max() > 1
    last = order[starts + counts - 1]
    if mode == "last":
        expected = values[last], timestamps[last], weights[last]
    else:
        w = weights[order].astype(np.float64)
        total, weight = np.add.reduceat(values[order].astype(np.float64), starts), np.add.reduceat(w, starts)
        weighted = np.add.reduceat(values[order] * w, starts)
        mean = np.where(weight > 0, weighted / np.maximum(weight, 1), total / counts)
        expected = (
            mean if mode == "mean" else total,
            np.maximum.reduceat(timestamps[order], starts),
            weight if mode == "mean" else weight / counts,
        )
        expected = [
            np.where(counts > 1, e, a[last]) for e, a in zip(expected, (values, timestamps, weights), strict=True)
        ]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(users[last], minlength=n_users))))
    assert_same(results[0], (indptr, items[last], *expected))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("n", [100, 200_000])
def test_coo_to_csr_error_names_first_repetition(n, ordered):
    rng = np.random.default_rng(0)
    key = rng.choice(1000 * 1000, n, replace=False)
    if ordered:
        key.sort()
    users, items = (key // 1000).astype(np.int32), (key % 1000).astype(np.int32)
    values = np.ones(n, np.float32)
    _, first, second = build(users, items, values, None, None, 1000, 1000, "error")
    assert (first, second) == (-1, -1)
    for here, there in ((n - 1, n // 3), (n - 2, n // 2), (n - 3, n - 40)):  # the earliest second entry is n - 3
        users[here], items[here] = users[there], items[there]
    for n_threads in (1, 2):
        _, first, second = build(users, items, values, None, None, 1000, 1000, "error", n_threads)
        assert (first, second) == (n - 40, n - 3)


def test_coo_to_csr_looks_up_items_as_it_reads():
    ids = np.array([30, 10, 20, 10], np.int64)
    index = ingest.IdIndex(np.array([10, 20, 30]))
    users = np.array([0, 0, 0, 1], np.int32)
    indptr, indices, *_ = ingest.coo_to_csr(users, ids, index, np.ones(4, np.float32), None, None, 2, 3, "error")
    assert indptr.tolist() == [0, 3, 4]
    assert indices.tolist() == [0, 1, 2, 0]


BAD = {
    "user too large": (
        {"users": np.array([0, 2], np.int32)},
        ValueError,
        "user numbers must lie in \\[0, 2\\); got 2 at entry 1",
    ),
    "user negative": ({"users": np.array([-1, 0], np.int32)}, ValueError, "got -1 at entry 0"),
    "item too large": (
        {"items": np.array([0, 3], np.int32)},
        ValueError,
        "item numbers must lie in \\[0, 3\\); got 3 at entry 1",
    ),
    "item negative": ({"items": np.array([-5, 0], np.int32)}, ValueError, "got -5 at entry 0"),
    "short items": (
        {"items": np.array([0], np.int32)},
        ValueError,
        "items must have as many entries as values \\(2\\); got 1",
    ),
    "short users": ({"users": np.array([0], np.int32)}, ValueError, "users must have as many"),
    "short weights": ({"weights": np.ones(1, np.float32)}, ValueError, "weights must have as many"),
    "short timestamps": ({"timestamps": np.ones(3, np.int64)}, ValueError, "timestamps must have as many"),
    "wrong dtype": ({"values": np.ones(2)}, TypeError, "values must have dtype float32; got float64"),
    "no array": ({"values": [1, 2]}, TypeError, "values must be a NumPy array; got list"),
    "two dimensions": ({"values": np.ones((2, 1), np.float32)}, ValueError, "1 dimension"),
    "strided": ({"values": np.ones(4, np.float32)[::2]}, ValueError, "C-contiguous"),
    "negative size": ({"n_users": -1}, ValueError, "n_users must lie in"),
    "huge size": ({"n_items": 2**31 - 1}, ValueError, "n_items must lie in"),
    "duplicates": ({"duplicates": "first"}, ValueError, "got 'first'"),
}


@pytest.mark.parametrize("name", BAD)
def test_coo_to_csr_bad_input_raises(name):
    arguments = {
        "users": np.array([0, 1], np.int32),
        "items": np.array([2, 2], np.int32),
        "item_index": None,
        "values": np.ones(2, np.float32),
        "timestamps": None,
        "weights": None,
        "n_users": 2,
        "n_items": 3,
        "duplicates": "error",
    }
    ingest.coo_to_csr(**arguments)
    change, error, message = BAD[name]
    with pytest.raises(error, match=message):
        ingest.coo_to_csr(**(arguments | change))


def random_csr(rng, n_users, n_items, density):
    mask = rng.random((n_users, n_items)) < density
    if n_users > 2:
        mask[1] = True
        mask[2] = False
    rows, columns = np.nonzero(mask)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_users))))
    return mask, indptr, columns.astype(np.int32), rng.normal(size=rows.size).astype(np.float32)


@given(
    n_users=st.sampled_from([0, 1, 31, 33, 257]),
    n_items=st.sampled_from([1, 32, 65]),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    n_threads=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 2**32),
)
def test_csr_to_csc_matches_numpy(n_users, n_items, density, n_threads, seed):
    mask, indptr, indices, values = random_csr(np.random.default_rng(seed), n_users, n_items, density)
    by_item, rows, by_item_values = ingest.csr_to_csc(indptr, indices, values, n_items, n_threads)
    entries = ingest.csc_entries(indptr, indices, n_items, n_threads)
    columns, expected_rows = np.nonzero(mask.T)
    np.testing.assert_array_equal(by_item, np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=n_items)))))
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(entries, np.argsort(indices, kind="stable"))
    np.testing.assert_array_equal(by_item_values, values[entries])


@given(
    n_users=st.sampled_from([0, 1, 33, 2100]),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    n_threads=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**32),
)
def test_csr_subset_matches_numpy(n_users, share, n_threads, seed):
    rng = np.random.default_rng(seed)
    _, indptr, indices, values = random_csr(rng, n_users, 7, 0.3)
    times = rng.integers(0, 100, indices.size)
    mask = rng.random(indices.size) < share
    subset, arrays = ingest.csr_subset(indptr, mask, [indices, values, times], n_threads)
    np.testing.assert_array_equal(subset, np.concatenate(([0], np.cumsum(mask)))[indptr])
    for ours, whole in zip(arrays, (indices, values, times), strict=True):
        assert ours.dtype == whole.dtype
        np.testing.assert_array_equal(ours, whole[mask])


def test_csr_subset_bad_input_raises():
    indptr, mask = np.array([0, 1, 2]), np.ones(2, bool)
    with pytest.raises(ValueError, match="indptr must not decrease"):
        ingest.csr_subset(np.array([0, 3, 2]), mask, [])
    with pytest.raises(ValueError, match="indptr must end at"):
        ingest.csr_subset(indptr, np.ones(3, bool), [])
    with pytest.raises(ValueError, match="arrays must have 2 entries"):
        ingest.csr_subset(indptr, mask, [np.ones(3)])
    with pytest.raises(ValueError, match="4 or 8 bytes"):
        ingest.csr_subset(indptr, mask, [np.ones(2, np.int16)])
    with pytest.raises(TypeError, match="mask must have dtype bool"):
        ingest.csr_subset(indptr, np.ones(2), [])


@given(n=st.sampled_from([0, 1, 33, 300_000]), where=st.integers(0, 10**6), n_threads=st.sampled_from([1, 4]))
def test_first_invalid_finds_first(n, where, n_threads):
    values = np.ones(n, np.float32)
    values[:1] = 0
    assert ingest.first_invalid(values, True, n_threads) == -1
    if n == 0:
        return
    at = where % n
    for bad in (np.nan, np.inf, -np.inf):
        values[at:] = bad
        assert ingest.first_invalid(values, False, n_threads) == at
    values[at:] = -1
    assert ingest.first_invalid(values, False, n_threads) == -1
    assert ingest.first_invalid(values, True, n_threads) == at
