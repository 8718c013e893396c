from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from fastcf import _host


def compressed(rows, dtype):
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return indptr, np.array([entry for row in rows for entry in row], dtype)


def merge(lists, users, seen=None, limit=-1, scored=True, n_threads=0):
    list_indptr, items = compressed([[item for item, _ in row] for row in lists], np.int32)
    scores = compressed([[score for _, score in row] for row in lists], np.float32)[1] if scored else None
    seen_arrays = (None, None) if seen is None else compressed([sorted(row) for row in seen], np.int32)
    arrays = list_indptr, items, scores, *compressed(users, np.int32), *seen_arrays
    return _host.merge_candidates(*arrays, limit=limit, n_threads=n_threads)


def assert_merged(got, expected, scored=True):
    indptr, items, scores, bits = got
    assert indptr.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert items.tolist() == [item for row in expected for item in row]
    assert bits.tolist() == [bit for row in expected for _, bit in row.values()]
    if scored:
        np.testing.assert_array_equal(scores, np.float32([score for row in expected for score, _ in row.values()]))
    else:
        assert scores is None


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 33, 1025]),
    st.sampled_from([1, 3, 70]),
    st.sampled_from([0, 1, 8, 40]),
    st.sampled_from([-1, 0, 1, 5]),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_candidates_merged_equal_reference(seed, n_users, n_lists, length, limit, scored, n_threads):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, length + 1, n_lists)
    lists = [
        list(zip(rng.integers(-1, 50, size).tolist(), rng.integers(-3, 4, size).tolist(), strict=True))
        for size in sizes
    ]
    users = [rng.integers(-1, n_lists, rng.integers(0, n_lists + 1)).tolist() for _ in range(n_users)]
    seen = [set(rng.integers(0, 60, rng.integers(0, 20)).tolist()) for _ in range(n_users)]
    expected = reference.merge_candidates(lists, users, seen, limit)
    assert_merged(merge(lists, users, seen, limit, scored, n_threads), expected, scored)
    expected = reference.merge_candidates(lists, users, [()] * n_users, limit)
    assert_merged(merge(lists, users, None, limit, scored, n_threads), expected, scored)


def test_candidates_of_nan_score_are_left_out_and_do_not_count():
    lists = [[(4, np.nan), (3, 1.0), (2, 2.0), (1, 3.0)], [(4, 0.5)]]
    got = merge(lists, [[0, 1], [0]], limit=2)
    assert_merged(got, [{2: (2.0, 1), 3: (1.0, 1), 4: (0.5, 2)}, {2: (2.0, 1), 3: (1.0, 1)}])


def test_candidates_last_bit_stands_for_all_later_lists():
    bits = merge([[(7, 1.0)]], [[0] * 63, [-1] * 63 + [0], [-1] * 99 + [0]])[3]
    assert bits.tolist() == [2**63 - 1, 2**63, 2**63]


def test_candidates_same_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    lists = [list(zip(rng.permutation(5000)[:200], rng.random(200), strict=True)) for _ in range(60)]
    users = rng.integers(0, 60, (3000, 5))
    seen = rng.integers(0, 5000, (3000, 30))
    merged = merge(lists, users, seen, 100, n_threads=1)
    best = _host.top_candidates(merged[0], merged[2], 10, n_threads=1)
    for n_threads in (2, 4):
        for one, other in zip(merged, merge(lists, users, seen, 100, n_threads=n_threads), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(_host.top_candidates(merged[0], merged[2], 10, n_threads=n_threads), best)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 33, 300]),
    st.sampled_from([0, 1, 32, 200]),
    st.sampled_from([0, 1, 10, 250]),
)
def test_candidates_best_equal_reference(seed, n_users, length, n):
    rng = np.random.default_rng(seed)
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.inf, np.nan], np.float32)
    rows = [rng.choice(values, rng.integers(0, length + 1)) for _ in range(n_users)]
    indptr, scores = compressed(rows, np.float32)
    got = _host.top_candidates(indptr, scores, n)
    assert got.shape == (n_users, n)
    for row, begin, best in zip(got, indptr, reference.top_candidates(rows, n), strict=False):
        assert row.tolist() == [int(begin) + e for e in best] + [-1] * (n - len(best))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 33]),
    st.sampled_from([0, 1, 32, 200]),
    st.sampled_from([0, 1, 10, 250]),
)
def test_candidates_within_quotas_equal_reference(seed, m, depth, n):
    rng = np.random.default_rng(seed)
    own = [np.unique(rng.integers(0, 9, rng.integers(0, 4))) for _ in range(50)]
    indptr, categories = compressed(own, np.int32)
    items = np.stack([rng.integers(-1, 50, depth) for _ in range(m)]) if m else np.empty((0, depth))
    most = rng.integers(0, 6, 9)
    got = _host.within_quotas(items.astype(np.int32), indptr, categories, most, n)
    assert got.tolist() == reference.within_quotas(items, own, most, n)


QUOTAS = {"items": np.int32([[1, 0]]), "indptr": np.int64([0, 2, 3]), "categories": np.int32([0, 1, 0])}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": np.int32([[2]])}, r"items must lie in \[-1, 2\); got 2"),
        ({"indptr": np.int64([0, 2, 4])}, r"indptr must not decrease, .* \(3\); got 2 and 4 for item 1"),
        ({"indptr": np.int64([0, 2, 1])}, "got 2 and 1 for item 1"),
        ({"indptr": np.int64([])}, "indptr must have at least one entry; got 0"),
        ({"categories": np.int32([0, 2, 0])}, r"categories must lie in \[0, 2\); got 2"),
        ({"n": -1}, "n must not be negative; got -1"),
    ],
)
def test_candidates_bad_quotas_raise(arguments, message):
    with pytest.raises(ValueError, match=f"within_quotas: .*{message}"):
        _host.within_quotas(**{**QUOTAS, "most": np.int64([5, 5]), "n": 2, **arguments})


LISTS = {
    "list_indptr": np.int64([0, 2]),
    "list_items": np.int32([3, 1]),
    "list_scores": np.float32([1, 2]),
    "user_indptr": np.int64([0, 1]),
    "user_lists": np.int32([0]),
}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"list_indptr": np.int64([0, 1])}, ValueError, r"list_indptr must end at the number of entries \(2\); got 1"),
        ({"list_indptr": np.int64([1, 2])}, ValueError, "list_indptr must start at 0; got 1"),
        ({"list_indptr": np.int64([0, 3, 2])}, ValueError, "list_indptr must not decrease; it does after row 1"),
        ({"list_indptr": np.int64([])}, ValueError, "list_indptr must have at least one entry; got 0"),
        ({"list_items": np.int32([3, -2])}, ValueError, "list_items must be at least -1; got -2 at entry 1"),
        ({"list_items": np.int64([3, 1])}, TypeError, "list_items must have dtype int32; got int64"),
        ({"list_scores": np.float32([1])}, ValueError, r"list_scores must have one entry per item \(2\); got 1"),
        ({"user_lists": np.int32([1])}, ValueError, r"user_lists must lie in \[-1, 1\); got 1 at entry 0"),
        ({"user_indptr": np.int64([0, 2])}, ValueError, r"user_indptr must end at the number of entries \(1\); got 2"),
        ({"seen_indptr": np.int64([0, 1])}, ValueError, "seen_indptr and seen_indices must be given together"),
        (
            {"seen_indptr": np.int64([0]), "seen_indices": np.int32([])},
            ValueError,
            r"seen_indptr must have one entry per user and one more \(2\); got 1",
        ),
        (
            {"seen_indptr": np.int64([0, 2]), "seen_indices": np.int32([5, 4])},
            ValueError,
            "seen_indices must be sorted within each user; those of user 0 are not",
        ),
    ],
)
def test_candidates_bad_lists_raise(arguments, error, message):
    with pytest.raises(error, match=f"merge_candidates: {message}"):
        _host.merge_candidates(**{**LISTS, **arguments})


@pytest.mark.parametrize(
    ("indptr", "n", "message"),
    [
        (np.int64([0, 1]), 1, r"indptr must end at the number of indices \(2\); got 1"),
        (np.int64([]), 1, "indptr must have at least one entry; got 0"),
        (np.int64([0, 2]), -1, "n must not be negative; got -1"),
    ],
)
def test_candidates_bad_scores_raise(indptr, n, message):
    with pytest.raises(ValueError, match=f"top_candidates: {message}"):
        _host.top_candidates(indptr, np.float32([1, 2]), n)
