from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from fastcf import _cpu

pytestmark = pytest.mark.every_isa


def csr(rows):
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    indices = np.concatenate([np.sort(row) for row in rows]) if len(rows) else []
    return indptr, np.asarray(indices, np.int32)


def random_seen(rng, n_queries, n_items, share):
    return [np.flatnonzero(rng.random(n_items) < share) for _ in range(n_queries)]


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m = draw(st.sampled_from([0, 1, 2, 7, 13, 14, 15, 33]))
    n_items = draw(st.sampled_from([0, 1, 7, 31, 32, 33, 65, 1025]))
    k = draw(st.sampled_from([0, 1, 3, 4, 5, 16, 17]))
    n = draw(st.sampled_from([0, 1, 2, 10, 33, n_items, n_items + 3]))
    # Small integers are exact in float32 and tie often: results must equal the reference, ties and all.
    queries, items = rng.integers(-3, 4, (m, k)), rng.integers(-3, 4, (n_items, k))
    bias = rng.integers(-3, 4, n_items) if draw(st.booleans()) else None
    seen = random_seen(rng, m, n_items, draw(st.sampled_from([0.0, 0.1, 0.9]))) if draw(st.booleans()) else None
    if seen is not None and m > 0 and draw(st.booleans()):
        seen[rng.integers(m)] = np.arange(n_items)  # one user has seen everything
    candidates = rng.permutation(n_items)[: rng.integers(0, n_items + 1)] if draw(st.booleans()) else None
    excluded = rng.integers(0, n_items, 5) if n_items > 0 and draw(st.booleans()) else None
    return queries, items, bias, n, seen, candidates, excluded, draw(st.sampled_from([1, 2, 3]))


def call(queries, items, bias, n, seen=None, candidates=None, excluded=None, n_threads=0):
    def rows(values):
        return None if values is None else np.asarray(values, np.int32)

    indptr, indices = (None, None) if seen is None else csr(seen)
    bias = None if bias is None else np.asarray(bias, np.float32)
    queries, items = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(items, np.float32)
    return _cpu.topk(queries, items, bias, n, indptr, indices, rows(candidates), rows(excluded), n_threads)


@given(cases())
@settings(max_examples=150)
def test_topk_equals_reference_with_ties(case):
    queries, items, bias, n, seen, candidates, excluded, _ = case
    ids, scores = call(*case)
    exact, _ = reference.scores(queries, items, bias)
    mask = reference.allowed(len(queries), len(items), seen, candidates, excluded)
    expected_ids, expected_scores = reference.topk(exact, mask, n)
    assert ids.dtype == np.int32
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("n", [1, 10, 700, 1500])
@pytest.mark.parametrize("k", [1, 33, 64])
def test_topk_real_scores_within_rounding(n, k):
    rng = np.random.default_rng(n + k)
    queries, items = rng.standard_normal((31, k)), rng.standard_normal((1025, k))
    queries, items, bias = queries.astype(np.float32), items.astype(np.float32), rng.standard_normal(1025)
    seen = random_seen(rng, 31, 1025, 0.05)
    ids, scores = call(queries, items, bias, n, seen)
    exact, bound = reference.scores(queries, items, bias.astype(np.float32))
    mask = reference.allowed(31, 1025, seen)
    for user in range(31):
        got = ids[user][ids[user] >= 0]
        assert len(got) == min(n, mask[user].sum())
        assert len(np.unique(got)) == len(got)
        assert mask[user, got].all()
        assert (np.abs(scores[user, : len(got)] - exact[user, got]) <= bound[user, got]).all()
        assert (np.diff(scores[user, : len(got)]) <= 0).all()
        left = mask[user].copy()
        left[got] = False
        assert (exact[user, left] - bound[user, left] <= scores[user, len(got) - 1]).all()


@pytest.mark.parametrize(
    ("m", "n_items", "n"), [(1, 20_011, 10), (3, 9_000, 2_000), (700, 5_003, 10), (2_100, 300, 20)]
)
def test_topk_same_bits_for_any_number_of_threads(m, n_items, n):
    rng = np.random.default_rng(m)
    queries, items, bias = (
        rng.standard_normal((m, 17)),
        rng.standard_normal((n_items, 17)),
        rng.standard_normal(n_items),
    )
    seen = random_seen(rng, m, n_items, 0.01)
    first = call(queries, items, bias, n, seen, n_threads=1)
    for n_threads in (2, 4):
        again = call(queries, items, bias, n, seen, n_threads=n_threads)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1].view(np.int32), again[1].view(np.int32))


def test_topk_same_bits_alone_and_in_a_batch():
    rng = np.random.default_rng(0)
    queries, items, bias = rng.standard_normal((29, 37)), rng.standard_normal((1025, 37)), rng.standard_normal(1025)
    ids, scores = call(queries, items, bias, 25)
    for user in range(29):
        alone = call(queries[user : user + 1], items, bias, 25)
        np.testing.assert_array_equal(alone[0][0], ids[user])
        np.testing.assert_array_equal(alone[1][0].view(np.int32), scores[user].view(np.int32))
    some = np.sort(ids[0])
    subset = call(queries[:1], items, bias, 25, candidates=some)
    np.testing.assert_array_equal(subset[0][0], ids[0])
    np.testing.assert_array_equal(subset[1][0].view(np.int32), scores[0].view(np.int32))


@pytest.mark.parametrize("order", ["ascending", "descending", "organ pipe", "constant"])
@pytest.mark.parametrize("n", [1, 10, 1_500, 4_000])
def test_topk_equals_reference_for_hard_orders(order, n):
    n_items = 9_000
    values = np.arange(n_items)
    bias = {
        "ascending": values,
        "descending": -values,
        "organ pipe": np.minimum(values, values[::-1]),
        "constant": 0 * values,
    }[order]
    ids, scores = call(np.zeros((2, 1)), np.zeros((n_items, 1)), bias, n)
    expected = reference.topk(np.stack([bias, bias]).astype(float), np.ones((2, n_items), bool), n)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_topk_nan_scores_are_never_returned():
    items = np.zeros((70, 2))
    items[:, 0] = np.arange(70)
    items[5, 1] = items[69, 0] = np.nan
    bias = np.zeros(70)
    bias[68] = np.nan
    ids, scores = call([[1.0, 0.0], [np.nan, 0.0]], items, bias, 70)
    np.testing.assert_array_equal(ids[0, :67], [i for i in range(67, -1, -1) if i != 5])
    np.testing.assert_array_equal(ids[0, 67:], -1)
    np.testing.assert_array_equal(ids[1], -1)
    np.testing.assert_array_equal(scores[1], -np.inf)


def test_topk_infinite_scores_are_ordered():
    bias = np.float32([0, -np.inf, np.inf, 1, np.inf, -np.inf])
    ids, scores = call(np.zeros((1, 0)), np.zeros((6, 0)), bias, 7)
    np.testing.assert_array_equal(ids, [[2, 4, 3, 0, 1, 5, -1]])
    np.testing.assert_array_equal(scores[0], [np.inf, np.inf, 1, 0, -np.inf, -np.inf, -np.inf])


def test_topk_zero_signs_tie():
    ids, _ = call(np.zeros((1, 0)), np.zeros((4, 0)), np.float32([-0.0, 0.0, -0.0, 0.0]), 4)
    np.testing.assert_array_equal(ids, [[0, 1, 2, 3]])


def test_topk_all_seen_and_no_candidates_are_padding():
    everything = [np.arange(5)] * 2
    for ids, scores in (
        call(np.ones((2, 3)), np.ones((5, 3)), None, 3, everything),
        call(np.ones((2, 3)), np.ones((5, 3)), None, 3, candidates=[]),
        call(np.ones((2, 3)), np.ones((5, 3)), None, 3, candidates=[1], excluded=[1, 1]),
        call(np.ones((2, 3)), np.ones((0, 3)), None, 3),
    ):
        np.testing.assert_array_equal(ids, np.full((2, 3), -1))
        np.testing.assert_array_equal(scores, np.full((2, 3), -np.inf))


def test_topk_read_only_input_is_accepted():
    queries, items = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    queries.flags.writeable = items.flags.writeable = False
    assert _cpu.topk(queries, items, None, 1)[0].tolist() == [[0], [0]]


Q, V = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
P0, I0 = np.zeros(3, np.int64), np.zeros(0, np.int32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"queries": Q.astype(float)}, TypeError, "queries must have dtype float32; got float64"),
        ({"queries": Q.tolist()}, TypeError, "queries must be a NumPy array; got list"),
        ({"queries": Q[0]}, ValueError, "queries must have 2 dimension"),
        ({"queries": Q[:, ::2]}, ValueError, "queries must be C-contiguous"),
        ({"queries": np.ones((2, 5), np.float32)}, ValueError, "as many columns; got 5 and 3"),
        ({"item_bias": np.ones(3, np.float32)}, ValueError, r"item_bias must have one entry per item \(4\); got 3"),
        ({"item_bias": np.ones(0, np.float32)}, ValueError, r"item_bias must have one entry per item \(4\); got 0"),
        ({"n": -1}, ValueError, "n must not be negative; got -1"),
        ({"seen_indptr": P0}, ValueError, "must be given together"),
        ({"seen_indptr": P0[:2], "seen_indices": I0}, ValueError, r"one entry per query and one more \(3\); got 2"),
        ({"seen_indptr": P0[:0], "seen_indices": I0}, ValueError, "seen_indptr must not be empty"),
        ({"seen_indptr": P0 + 1, "seen_indices": I0}, ValueError, "must start at 0; got 1"),
        ({"seen_indptr": np.int64([0, 2, 1]), "seen_indices": np.int32([0])}, ValueError, "must not decrease"),
        ({"seen_indptr": np.int64([0, 1, 9]), "seen_indices": np.int32([0])}, ValueError, "must end at"),
        ({"seen_indptr": np.int64([0, 0, 1]), "seen_indices": np.int32([4])}, ValueError, "got 4 at entry 0"),
        ({"seen_indptr": np.int64([0, 0, 1]), "seen_indices": np.int32([-1])}, ValueError, "got -1 at entry 0"),
        (
            {"seen_indptr": np.int64([0, 0, 2]), "seen_indices": np.int32([2, 1])},
            ValueError,
            "row 1 is not, at entry 1",
        ),
        ({"candidates": np.int32([0, 4])}, ValueError, r"candidates must lie in \[0, 4\); got 4 at entry 1"),
        ({"candidates": np.int32([2, 0, 2])}, ValueError, "candidates must be unique; got 2 more than once"),
        ({"candidates": np.int64([0])}, TypeError, "candidates must have dtype int32; got int64"),
        ({"excluded": np.int32([-1])}, ValueError, r"excluded must lie in \[0, 4\); got -1 at entry 0"),
    ],
)
def test_topk_bad_input_raises(arguments, error, message):
    valid = {"queries": Q, "items": V, "item_bias": None, "n": 2}
    with pytest.raises(error, match=f"topk: .*{message}"):
        _cpu.topk(**{**valid, **arguments})


def test_topk_interrupt_stops_early():
    script = """
import os, signal, threading, time
import subprocess
import sys

import numpy as np
from fastcf import _cpu

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background may ignore it
users, items = np.ones((6_000, 256), np.float32), np.ones((60_000, 256), np.float32)

def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    while True:
        _cpu.topk(users, items, None, 10, n_threads=2)
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "stopped"
