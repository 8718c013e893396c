"""The native table of events and the numbers of ids, against plain Python."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf._backend import ingest
from reference_events import pair_strengths, strength

DAY = 86400


def log(rng, n, n_users, n_items, *, first=0, last=400 * DAY, n_kinds=3):
    """Events: users, items, kinds, times, durations of which some are unknown."""
    users, items = (rng.integers(0, size, n).astype(np.int32) for size in (n_users, n_items))
    durations = np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 60, n).astype(float))
    return users, items, rng.integers(0, n_kinds, n).astype(np.int32), rng.integers(first, last, n), durations


def table_of(columns, strengths, half_life, least=0.0, batches=1, n_threads=1):
    table = ingest.EventTable(half_life)
    for part in np.array_split(np.arange(columns[0].size), batches):
        users, items, *rest = (None if column is None else column[part] for column in columns)
        table.add(users, items, *rest, strengths, least, n_threads)
    return table


def rows_of(table, n_users, n_items, now, *, timed=True, n_threads=1, user_rows=None, item_rows=None):
    user_rows = np.arange(n_users, dtype=np.int32) if user_rows is None else user_rows
    item_rows = np.arange(n_items, dtype=np.int32) if item_rows is None else item_rows
    return table.to_csr(user_rows, item_rows, n_users, n_items, now, timed, n_threads)


def as_pairs(csr):
    indptr, indices, values, times = csr
    users = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    return {
        (int(user), int(item)): (float(value), int(time))
        for user, item, value, time in zip(users, indices, values, times, strict=True)
    }


def assert_same_pairs(ours, expected):
    assert ours.keys() == expected.keys()
    for pair, (value, time) in expected.items():
        assert ours[pair][1] == time, pair
        assert ours[pair][0] == pytest.approx(value, rel=2e-7), pair


@given(
    n=st.sampled_from([0, 1, 2, 31, 32, 33, 1025]),
    n_users=st.sampled_from([1, 2, 33, 300]),
    n_items=st.sampled_from([1, 3, 40]),
    half_life=st.sampled_from([0.0, 0.5, 1e3, 30.0 * DAY, 1e300]),
    batches=st.sampled_from([1, 2, 7]),
    ahead=st.sampled_from([0, 1, 10 * DAY]),
    seed=st.integers(0, 2**32),
)
def test_events_match_reference(n, n_users, n_items, half_life, batches, ahead, seed):
    rng = np.random.default_rng(seed)
    columns = log(rng, n, n_users, n_items)
    strengths = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.25], [5.0, 0.5, 5.0]])
    table = table_of(columns, strengths, half_life, 30.0, batches)
    users, items, kinds, times, durations = columns
    now = int(times.max(initial=0)) + ahead
    assert table.latest() == (times.max() if n else np.iinfo(np.int64).min)
    own = [strength(kind, length, strengths, 30.0) for kind, length in zip(kinds, durations, strict=True)]
    expected = pair_strengths(users.tolist(), items.tolist(), own, times.tolist(), half_life, now)
    csr = rows_of(table, n_users, n_items, now)
    assert_same_pairs(as_pairs(csr), expected)
    assert all((np.diff(csr[1][a:b]) > 0).all() for a, b in zip(csr[0], csr[0][1:], strict=False))


@pytest.mark.parametrize("shape", [(100_000, 5_000, 500), (300_000, 3, 200_000), (1_500_000, 70_000, 3_000)])
@pytest.mark.parametrize("half_life", [0.0, 20.0 * DAY])
def test_events_match_numpy_when_large(shape, half_life):
    n, n_users, n_items = shape
    columns = log(np.random.default_rng(n), n, n_users, n_items)
    strengths = np.array([[1.0] * 3, [3.0] * 3, [0.0] * 3])
    users, items, kinds, times, _ = columns
    now = int(times.max())
    tables = [
        rows_of(table_of(columns, strengths, half_life, batches=batches, n_threads=threads), n_users, n_items, now)
        for batches, threads in ((1, 1), (5, 2), (13, 4))
    ]
    for other in tables[1:]:  # the same bits for any number of threads, and any sizes of batches
        for a, b in zip(tables[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    key, pair = np.unique(users.astype(np.int64) * n_items + items, return_inverse=True)
    weights = strengths[kinds, 0] * (np.exp2((times - now) / half_life) if half_life else 1.0)
    chosen = weights > 0
    expected = np.bincount(pair[chosen], weights[chosen], key.size)
    last = np.full(key.size, -1)
    np.maximum.at(last, pair[chosen], times[chosen])
    only_shown = ~np.isin(np.arange(key.size), pair[chosen])
    shown = only_shown[pair]
    np.maximum.at(last, pair[shown], times[shown])
    indptr, indices, values, stamps = tables[0]
    np.testing.assert_array_equal(indptr, np.searchsorted(key, np.arange(n_users + 1) * n_items))
    np.testing.assert_array_equal(indices, key % n_items)
    np.testing.assert_allclose(values, expected, rtol=2e-7)
    np.testing.assert_array_equal(stamps, last)


def one_pair(half_life, *events, now=0, strengths=((1.0, 0.0, 1.0), (0.0, 0.0, 1.0))):
    """The value and the time of a pair with events (kind, time) or (kind, time, duration)."""
    table = ingest.EventTable(half_life)
    zeros = np.zeros(len(events), np.int32)
    kinds = np.array([event[0] for event in events], np.int32)
    times = np.array([event[1] for event in events])
    durations = np.array([event[2] if len(event) > 2 else np.nan for event in events])
    table.add(zeros, zeros, kinds, times, durations, np.array(strengths), 30.0)
    _, _, values, stamps = rows_of(table, 1, 1, now)
    return float(values[0]), int(stamps[0])


def test_events_of_any_order_halve_once_per_half_life():
    assert one_pair(10.0, (0, -10), (0, -20), (0, 0)) == (1.75, 0)
    assert one_pair(10.0, (0, 0), (0, -10), (0, -20)) == (1.75, 0)
    assert one_pair(10.0, (0, -20), now=10) == (0.125, -20)
    assert one_pair(0.0, (0, -20), (0, -7), now=10) == (2.0, -7)


def test_events_chosen_win_over_showings_before_and_after():
    assert one_pair(0.0, (1, 5), (1, 9), (1, 7)) == (0.0, 9)
    assert one_pair(0.0, (1, 5), (0, 3), (1, 9)) == (1.0, 3)
    assert one_pair(10.0, (0, -10), (1, 0)) == (0.5, -10)


def test_events_shorter_than_the_least_are_showings():
    assert one_pair(0.0, (0, 1, 29.9)) == (0.0, 1)
    assert one_pair(0.0, (0, 1, 30.0)) == (1.0, 1)
    assert one_pair(0.0, (0, 1, -5.0), (0, 2, np.inf)) == (1.0, 2)
    assert one_pair(0.0, (1, 1, np.nan)) == (0.0, 1)  # a showing of unknown duration
    assert one_pair(0.0, (1, 1, 31.0)) == (1.0, 1)


def test_events_however_old_stay_choices():
    value, _ = one_pair(1.0, (0, 0), now=10**9)
    assert value == np.finfo(np.float32).tiny
    assert one_pair(1e-3, (0, 0), (0, 10**15), now=10**15) == (1.0, 10**15)  # nothing overflows on the way
    assert one_pair(1e-3, (0, 10**15), (0, 0), now=10**15) == (1.0, 10**15)
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert one_pair(1.0, (0, high), (0, low), now=high) == (1.0, high)


def test_events_too_strong_for_float_are_infinite():
    assert one_pair(0.0, (0, 0), (0, 0), strengths=((3e38,) * 3,))[0] == np.inf


def test_events_without_kinds_times_or_durations():
    zeros = np.zeros(3, np.int32)
    table = ingest.EventTable()
    table.add(zeros, np.array([0, 1, 0], np.int32), None, None, None, np.array([[2.0, 0.0, 2.0]]))
    assert table.latest() == np.iinfo(np.int64).min
    indptr, indices, values, times = rows_of(table, 1, 2, 0, timed=False)
    assert (indptr.tolist(), indices.tolist(), values.tolist(), times) == ([0, 2], [0, 1], [4, 2], None)


def test_events_rows_may_be_permuted_and_tables_are_emptied():
    table = table_of((*np.array([[0, 1, 1], [0, 0, 2]], np.int32), None, None, None), np.ones((1, 3)), 0.0)
    rows = np.array([2, 0], np.int32), np.array([3, 1, 0], np.int32)
    indptr, indices, _, _ = rows_of(table, 3, 4, 0, timed=False, user_rows=rows[0], item_rows=rows[1])
    assert (indptr.tolist(), indices.tolist()) == ([0, 2, 2, 3], [0, 3, 3])
    indptr, indices, _, _ = rows_of(table, 3, 4, 0, timed=False, user_rows=rows[0], item_rows=rows[1])
    assert (indptr.tolist(), indices.tolist()) == ([0, 0, 0, 0], [])


def test_events_are_interrupted_by_ctrl_c():
    same = np.zeros(30_000_000, np.int32)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    press = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    try:
        press.start()
        with pytest.raises(KeyboardInterrupt):
            ingest.EventTable().add(same, same, None, None, None, np.ones((1, 3)))
    finally:
        press.join()
        signal.signal(signal.SIGINT, before)


ONES = np.ones((1, 3))
I = np.array([0, 1], np.int32)  # noqa: E741
BAD = {
    "negative user": ((np.array([0, -1], np.int32), I, None, None, None, ONES), "user numbers .* got -1 at entry 1"),
    "negative item": ((I, np.array([-7, 1], np.int32), None, None, None, ONES), "item numbers .* got -7 at entry 0"),
    "kind": ((I, I, I, None, None, ONES), r"kinds must lie in \[0, 1\); got 1 at entry 1"),
    "negative kind": ((I, I, -I, None, None, ONES), "kinds .* got -1 at entry 1"),
    "short items": ((I, I[:1], None, None, None, ONES), r"items must have as many entries as users \(2\); got 1"),
    "short kinds": ((I, I, I[:1], None, None, ONES), "kinds must have as many"),
    "short times": ((I, I, None, np.zeros(1, np.int64), None, ONES), "times must have as many"),
    "short durations": ((I, I, None, None, np.zeros(3), ONES), "durations must have as many"),
    "no kinds": ((I, I, None, None, None, np.ones((0, 3))), "strengths must have shape"),
    "two columns": ((I, I, None, None, None, np.ones((1, 2))), r"strengths must have shape \(n_kinds, 3\)"),
    "negative strength": ((I, I, None, None, None, -ONES), "strengths must be finite and at least 0; got -1"),
    "nan strength": ((I, I, None, None, None, ONES * np.nan), "strengths must be finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_events_bad_input_raises(name):
    arguments, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        ingest.EventTable().add(*arguments)


def test_events_bad_rows_raise():
    table = table_of((I, I, None, None, None), ONES, 0.0)
    for rows, message in (
        (I[:1], "user_rows must have more than 1 entries; got 1"),
        (np.array([0, 2], np.int32), r"user_rows must lie in \[0, 2\); got 2"),
        (np.array([0, -1], np.int32), "got -1"),
        (np.array([1, 1], np.int32), "user_rows must differ; got 1 twice"),
    ):
        with pytest.raises(ValueError, match=message):
            rows_of(table, 2, 2, 0, timed=False, user_rows=rows)
        with pytest.raises(ValueError, match=message.replace("user", "item")):
            rows_of(table, 2, 2, 0, timed=False, item_rows=rows)
    with pytest.raises(TypeError, match="user_rows must have dtype int32"):
        rows_of(table, 2, 2, 0, user_rows=np.zeros(2, np.int64))
    for half_life in (-1.0, np.nan, np.inf, 1e-320):
        with pytest.raises(ValueError, match="half_life must be a positive finite number"):
            ingest.EventTable(half_life)


@given(
    parts=st.lists(
        st.lists(st.one_of(st.integers(-3, 40), st.integers(2**22 - 3, 2**22 + 3), st.integers(-(2**63), 2**63 - 1)))
    )
)
def test_integer_dictionary_numbers_ids_as_they_appear(parts):
    dictionary = ingest.IntegerDictionary()
    known: dict[int, int] = {}
    for part in parts:
        numbers = dictionary.encode(np.array(part, np.int64))
        assert numbers.tolist() == [known.setdefault(id, len(known)) for id in part]
        assert dictionary.ids().tolist() == list(known)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integer_dictionary_does_not_depend_on_threads(dtype):
    rng = np.random.default_rng(0)
    for span in (1_000, 1_000_000, 2**31 - 1):
        ids = rng.integers(-span, span, 400_000).astype(dtype)
        own = []
        for threads in (1, 2, 4):
            dictionary = ingest.IntegerDictionary()
            numbers = np.concatenate([dictionary.encode(part, threads) for part in np.array_split(ids, threads)])
            np.testing.assert_array_equal(dictionary.ids()[numbers], ids)
            own.append((numbers, dictionary.ids()))
        for numbers, distinct in own[1:]:
            np.testing.assert_array_equal(numbers, own[0][0])
            np.testing.assert_array_equal(distinct, own[0][1])


def test_integer_dictionary_refuses_strings():
    with pytest.raises(TypeError, match="ids must have dtype int64"):
        ingest.IntegerDictionary().encode(np.array(["a"]))
