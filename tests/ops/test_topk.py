from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from backends import BACKENDS
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
    m = draw(st.sampled_from([0, 1, 2, 7, 13, 14, 15, 33, 67, 130]))
    n_items = draw(st.sampled_from([0, 1, 7, 31, 32, 33, 65, 1025]))
    k = draw(st.sampled_from([0, 1, 3, 4, 5, 16, 17, 33]))
    n = draw(st.sampled_from([0, 1, 2, 10, 33, 64, n_items, n_items + 3]))
    # Small integers are exact in float32 and tie often: results must equal the reference, ties and all.
    queries, items = rng.integers(-3, 4, (m, k)), rng.integers(-3, 4, (n_items, k))
    bias = rng.integers(-3, 4, n_items) if draw(st.booleans()) else None
    seen = random_seen(rng, m, n_items, draw(st.sampled_from([0.0, 0.1, 0.9]))) if draw(st.booleans()) else None
    if seen is not None and m > 0 and draw(st.booleans()):
        seen[rng.integers(m)] = np.arange(n_items)  # one user has seen everything
    candidates = rng.permutation(n_items)[: rng.integers(0, n_items + 1)] if draw(st.booleans()) else None
    excluded = rng.integers(0, n_items, 5) if n_items > 0 and draw(st.booleans()) else None
    storage = draw(st.sampled_from(["float32", "float16"]))  # which hold small integers exactly, both
    return queries, items, bias, n, seen, candidates, excluded, storage, draw(st.sampled_from([1, 2, 3]))


def call(
    backend,
    queries,
    items,
    bias,
    n,
    seen=None,
    candidates=None,
    excluded=None,
    storage="float32",
    n_threads=0,
):
    def rows(values):
        return None if values is None else np.asarray(values, np.int32)

    indptr, indices = (None, None) if seen is None else csr(seen)
    bias = None if bias is None else np.asarray(bias, np.float32)
    queries, items = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(items, np.float32)
    return backend.topk(queries, items, bias, n, indptr, indices, rows(candidates), rows(excluded), storage, n_threads)


@given(cases())
@settings(max_examples=150)
def test_topk_equals_reference_with_ties(backend, case):
    queries, items, bias, n, seen, candidates, excluded, *_ = case
    ids, scores = call(backend, *case)
    exact, _ = reference.scores(queries, items, bias)
    mask = reference.allowed(len(queries), len(items), seen, candidates, excluded)
    expected_ids, expected_scores = reference.topk(exact, mask, n)
    assert ids.dtype == np.int32
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("n", [1, 10, 64, 700, 1500])
@pytest.mark.parametrize("k", [1, 33, 64])
def test_topk_real_scores_within_rounding(backend, n, k):
    rng = np.random.default_rng(n + k)
    queries, items = rng.standard_normal((31, k)), rng.standard_normal((1025, k))
    queries, items, bias = queries.astype(np.float32), items.astype(np.float32), rng.standard_normal(1025)
    seen = random_seen(rng, 31, 1025, 0.05)
    ids, scores = call(backend, queries, items, bias, n, seen)
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
    ("m", "n_items", "n"), [(1, 70_011, 10), (3, 24_000, 2_000), (700, 2_003, 10), (2_100, 300, 20)]
)
def test_topk_same_bits_for_any_number_of_threads(backend, m, n_items, n):
    rng = np.random.default_rng(m)
    queries, items, bias = (
        rng.standard_normal((m, 17)),
        rng.standard_normal((n_items, 17)),
        rng.standard_normal(n_items),
    )
    seen = random_seen(rng, m, n_items, 0.01)
    first = call(backend, queries, items, bias, n, seen, n_threads=1)
    for n_threads in (2, 4):
        again = call(backend, queries, items, bias, n, seen, n_threads=n_threads)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1].view(np.int32), again[1].view(np.int32))


def test_topk_same_bits_alone_and_in_a_batch(backend):
    rng = np.random.default_rng(0)
    queries, items, bias = rng.standard_normal((29, 37)), rng.standard_normal((1025, 37)), rng.standard_normal(1025)
    ids, scores = call(backend, queries, items, bias, 25)
    for user in range(29):
        alone = call(backend, queries[user : user + 1], items, bias, 25)
        np.testing.assert_array_equal(alone[0][0], ids[user])
        np.testing.assert_array_equal(alone[1][0].view(np.int32), scores[user].view(np.int32))
    some = np.sort(ids[0])
    subset = call(backend, queries[:1], items, bias, 25, candidates=some)
    np.testing.assert_array_equal(subset[0][0], ids[0])
    np.testing.assert_array_equal(subset[1][0].view(np.int32), scores[0].view(np.int32))


@pytest.mark.parametrize("order", ["ascending", "descending", "organ pipe", "constant"])
@pytest.mark.parametrize("n", [1, 10, 1_500, 4_000])
def test_topk_equals_reference_for_hard_orders(backend, order, n):
    n_items = 9_000
    values = np.arange(n_items)
    bias = {
        "ascending": values,
        "descending": -values,
        "organ pipe": np.minimum(values, values[::-1]),
        "constant": 0 * values,
    }[order]
    ids, scores = call(backend, np.zeros((2, 1)), np.zeros((n_items, 1)), bias, n)
    expected = reference.topk(np.stack([bias, bias]).astype(float), np.ones((2, n_items), bool), n)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_topk_nan_scores_are_never_returned(backend):
    items = np.zeros((70, 2))
    items[:, 0] = np.arange(70)
    items[5, 1] = items[69, 0] = np.nan
    bias = np.zeros(70)
    bias[68] = np.nan
    ids, scores = call(backend, [[1.0, 0.0], [np.nan, 0.0]], items, bias, 70)
    np.testing.assert_array_equal(ids[0, :67], [i for i in range(67, -1, -1) if i != 5])
    np.testing.assert_array_equal(ids[0, 67:], -1)
    np.testing.assert_array_equal(ids[1], -1)
    np.testing.assert_array_equal(scores[1], -np.inf)


def test_topk_infinite_scores_are_ordered(backend):
    bias = np.float32([0, -np.inf, np.inf, 1, np.inf, -np.inf])
    ids, scores = call(backend, np.zeros((1, 0)), np.zeros((6, 0)), bias, 7)
    np.testing.assert_array_equal(ids, [[2, 4, 3, 0, -1, -1, -1]])  # -inf: never
    np.testing.assert_array_equal(scores[0], [np.inf, np.inf, 1, 0, -np.inf, -np.inf, -np.inf])


@pytest.mark.parametrize(("m", "n", "share"), [(1, 10, 0.5), (20, 7, 0.9), (150, 30, 1.0), (2, 3_000, 0.1)])
def test_topk_bias_of_minus_infinity_is_exclusion(backend, m, n, share):
    rng = np.random.default_rng(m)
    queries, items, bias = rng.standard_normal((m, 9)), rng.standard_normal((3_000, 9)), rng.standard_normal(3_000)
    excluded = np.flatnonzero(rng.random(3_000) < share)
    wanted = call(backend, queries, items, bias, n, excluded=excluded)
    bias[excluded] = -np.inf
    for got, one in zip(call(backend, queries, items, bias, n), wanted, strict=True):
        np.testing.assert_array_equal(got, one)


def test_topk_zero_signs_tie(backend):
    ids, _ = call(backend, np.zeros((1, 0)), np.zeros((4, 0)), np.float32([-0.0, 0.0, -0.0, 0.0]), 4)
    np.testing.assert_array_equal(ids, [[0, 1, 2, 3]])


def test_topk_all_seen_and_no_candidates_are_padding(backend):
    everything = [np.arange(5)] * 2
    for ids, scores in (
        call(backend, np.ones((2, 3)), np.ones((5, 3)), None, 3, everything),
        call(backend, np.ones((2, 3)), np.ones((5, 3)), None, 3, candidates=[]),
        call(backend, np.ones((2, 3)), np.ones((5, 3)), None, 3, candidates=[1], excluded=[1, 1]),
        call(backend, np.ones((2, 3)), np.ones((0, 3)), None, 3),
    ):
        np.testing.assert_array_equal(ids, np.full((2, 3), -1))
        np.testing.assert_array_equal(scores, np.full((2, 3), -np.inf))


def test_topk_device_arrays_serve_where_arrays_do(backend):
    rng = np.random.default_rng(4)
    for k in (8, 5):  # rows that can be read four numbers at a time, and others
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((20, k), (700, k), (700,))]
        held = [backend.DeviceArray(array) for array in arrays]
        for storage in ("float32", "float16"):
            plain, given = (backend.topk(*each, 10, storage=storage) for each in (arrays, held))
            np.testing.assert_array_equal(plain[0], given[0])
            np.testing.assert_array_equal(plain[1], given[1])
        for metric in ("dot", "cosine", "euclidean"):
            plain, given = (backend.nearest(*each[:2], 10, metric) for each in (arrays, held))
            np.testing.assert_array_equal(plain[0], given[0])
            np.testing.assert_array_equal(plain[1], given[1])


def test_topk_read_only_input_is_accepted(backend):
    queries, items = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    queries.flags.writeable = items.flags.writeable = False
    assert backend.topk(queries, items, None, 1)[0].tolist() == [[0], [0]]


def halves():
    """Return float32 numbers where rounding to half precision is delicate, and what NumPy rounds them to."""
    rng = np.random.default_rng(0)
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)]
    between = (every[:-1] + every[1:]) / 2  # ties
    values = [every, between, np.nextafter(between, np.float32(np.inf)), np.nextafter(between, np.float32(-np.inf))]
    values += [np.float32([65519.996, 65520, 1e9, -1e9, 1e-30, -1e-30, np.inf, -np.inf])]
    values = np.concatenate([*values, rng.standard_normal(1000).astype(np.float32)])
    with np.errstate(over="ignore"):
        return values, values.astype(np.float16).astype(np.float32)


@pytest.mark.slow("emu")
def test_topk_half_storage_rounds_items_and_queries_as_numpy_does(backend):
    values, rounded = halves()
    ids, scores = call(backend, [[1.0]], values[:, None], None, len(values), storage="float16")
    there = np.isfinite(rounded) | (rounded > 0)  # -inf: never
    np.testing.assert_array_equal(scores[0, : there.sum()], rounded[ids[0, : there.sum()]])
    assert (ids[0, there.sum() :] == -1).all()
    ids, _ = call(backend, values[:300, None], [[1.0], [0.0]], [0, 1e-30], 1, storage="float16")
    finite = np.isfinite(rounded[:300])
    np.testing.assert_array_equal(ids[finite, 0] == 0, (rounded[:300] > 1e-30)[finite])


@pytest.mark.parametrize(("m", "k"), [(1, 17), (3, 64), (40, 5), (100, 32)])
def test_topk_half_storage_same_bits_as_rounded_input(backend, m, k):
    rng = np.random.default_rng(m)
    queries, items = rng.standard_normal((m, k)), rng.standard_normal((1500, k))
    bias, seen = rng.standard_normal(1500), random_seen(rng, m, 1500, 0.1)
    got = call(backend, queries, items, bias, 12, seen, storage="float16")
    rounded = [array.astype(np.float32).astype(np.float16).astype(np.float32) for array in (queries, items)]
    wanted = call(backend, *rounded, bias, 12, seen)
    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(got[1].view(np.int32), wanted[1].view(np.int32))


@pytest.fixture(params=[1, 2, 3])
def shuffled(request):
    emulation = BACKENDS["emu"].emulation
    emulation.set_order("shuffled", request.param)
    yield BACKENDS["emu"]
    emulation.set_order("forward")


@pytest.fixture
def small_device():
    """Return an emulated GPU, and a function that sets how many bytes of memory it has."""
    emulation = BACKENDS["emu"].emulation
    yield BACKENDS["emu"], emulation.set_memory
    emulation.set_memory()


emulated = pytest.mark.skipif("emu" not in BACKENDS, reason="the emulated backend was not built, or not asked for")


@emulated
@pytest.mark.parametrize(("m", "n"), [(3, 10), (40, 100), (130, 20), (2, 4_500)])
def test_topk_same_bits_for_any_order_of_emulated_threads(shuffled, m, n):
    rng = np.random.default_rng(m)
    queries, items = rng.integers(-3, 4, (m, 20)), rng.integers(-3, 4, (5_000, 20))
    seen = random_seen(rng, m, 5_000, 0.2)
    ids, scores = call(shuffled, queries, items, None, n, seen)
    expected = call(_cpu, queries, items, None, n, seen)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


@emulated
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_topk_small_device_takes_queries_in_passes(small_device, storage):
    rng = np.random.default_rng(0)
    queries, items = rng.integers(-3, 4, (101, 8)), rng.integers(-3, 4, (900, 8))
    seen = random_seen(rng, 101, 900, 0.3)
    native, set_memory = small_device
    set_memory(200_000)  # the items take 28,800 of it, lists and answers of all queries would take 221,392
    ids, scores = call(native, queries, items, None, 10, seen, storage=storage)
    expected = call(_cpu, queries, items, None, 10, seen)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


@emulated
def test_topk_too_small_device_says_what_it_needs(small_device):
    native, set_memory = small_device
    set_memory(20_000)
    with pytest.raises(RuntimeError, match="memory is too small: 28800 bytes are needed, 20000 of 20000 are free"):
        call(native, np.ones((1, 8)), np.ones((900, 8)), None, 10)


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
        ({"storage": "int8"}, ValueError, "storage must be 'float32' or 'float16'; got 'int8'"),
        ({"excluded": np.int32([-1])}, ValueError, r"excluded must lie in \[0, 4\); got -1 at entry 0"),
    ],
)
def test_topk_bad_input_raises(backend, arguments, error, message):
    valid = {"queries": Q, "items": V, "item_bias": None, "n": 2}
    with pytest.raises(error, match=f"topk: .*{message}"):
        backend.topk(**{**valid, **arguments})


def test_topk_interrupt_stops_early(backend):
    name = next(name for name, module in BACKENDS.items() if module is backend)
    # An emulated launch runs to its end: the flag is looked at between launches, as on a GPU.
    m, n_items = (60, 600) if name == "emu" else (6_000, 60_000)
    script = f"""
import os, signal, sys, threading, time

import numpy as np

sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
from backends import BACKENDS
from fastcf import _cpu

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background may ignore it
users, items = np.ones(({m}, 256), np.float32), np.ones(({n_items}, 256), np.float32)

def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    while True:
        BACKENDS[{name!r}].topk(users, items, None, 10, n_threads=2)
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "stopped"
