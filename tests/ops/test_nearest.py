from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from backends import BACKENDS
from fastcf import _cpu

pytestmark = pytest.mark.every_isa
METRICS = ("dot", "cosine", "euclidean")


@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(METRICS),
    m=st.sampled_from([0, 1, 15, 33]),
    n_items=st.sampled_from([0, 1, 31, 32, 33, 257]),
    k=st.sampled_from([1, 3, 16, 33]),
    n=st.sampled_from([1, 10, 300]),
    own=st.booleans(),
    n_threads=st.sampled_from([1, 2]),
)
def test_nearest_equals_reference(backend, seed, metric, m, n_items, k, n, own, n_threads):
    rng = np.random.default_rng(seed)
    items = rng.standard_normal((n_items, k)).astype(np.float32)
    queries = rng.standard_normal((m, k)).astype(np.float32)
    rows = rng.integers(-1, n_items, m).astype(np.int32) if own else None
    for query, row in enumerate(rows if rows is not None else []):
        if row >= 0:
            queries[query] = items[row]
    ids, scores = backend.nearest(queries, items, n, metric, rows, n_threads=n_threads)
    exact = reference.nearest(queries, items, metric)
    mask = np.ones((m, n_items), bool)
    if rows is not None:
        known = np.flatnonzero(rows >= 0)
        mask[known, rows[known]] = False
    sign, padding = (-1, np.inf) if metric == "euclidean" else (1, -np.inf)
    tolerance = (
        4
        * (k + 4)
        * 2.0**-23
        * max(1.0, np.abs(exact).max(initial=0), (items.astype(float) ** 2).sum(1).max(initial=0))
    )
    for query in range(m):
        got = ids[query][ids[query] >= 0]
        assert len(got) == min(n, mask[query].sum()) == len(np.unique(got))
        assert mask[query, got].all()
        assert np.all(scores[query, len(got) :] == padding)
        found = scores[query, : len(got)]
        assert np.all(np.diff(sign * found) <= 0)
        assert np.abs(found - exact[query, got]).max(initial=0) <= tolerance
        left = mask[query].copy()
        left[got] = False
        # The selection rounds squared distances, so a distance d is known to tolerance / d.
        slack = tolerance if metric != "euclidean" else np.sqrt(tolerance)
        if left.any() and len(got):
            assert (sign * exact[query, left]).max() <= sign * found[-1] + slack


@pytest.mark.parametrize("metric", METRICS)
def test_nearest_ties_go_to_the_smaller_row(backend, metric):
    items = np.ones((40, 4), np.float32)
    ids, _ = backend.nearest(items[:2], items, 5, metric, np.int32([0, 3]))
    np.testing.assert_array_equal(ids, [[1, 2, 3, 4, 5], [0, 1, 2, 4, 5]])


def test_nearest_zero_row_has_cosine_zero(backend):
    items = np.float32([[0, 0], [1, 0], [-1, 0]])
    ids, scores = backend.nearest(items, items, 3, "cosine")
    np.testing.assert_array_equal(ids, [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    np.testing.assert_array_equal(scores, [[0, 0, 0], [1, 0, -1], [1, 0, -1]])


def test_nearest_distances_are_exact_for_close_rows(backend):
    items = np.float32([[1000, 0], [1000.0625, 0], [0, 0]])
    ids, scores = backend.nearest(items[:1], items, 2, "euclidean", np.int32([0]))
    np.testing.assert_array_equal(ids, [[1, 2]])
    np.testing.assert_array_equal(scores, [[0.0625, 1000]])


def test_nearest_candidates_and_excluded_are_obeyed(backend):
    items = np.arange(12, dtype=np.float32).reshape(6, 2)
    ids, _ = backend.nearest(items[:1], items, 4, "dot", None, np.int32([5, 1, 3]), np.int32([3]))
    np.testing.assert_array_equal(ids, [[5, 1, -1, -1]])


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_nearest_with_a_bias_is_without_what_it_leaves_out(backend, metric):
    rng = np.random.default_rng(2)
    items = rng.integers(-3, 4, (300, 5)).astype(np.float32)
    rows, excluded = np.arange(40, dtype=np.int32), np.flatnonzero(rng.random(300) < 0.3).astype(np.int32)
    bias = -(items**2).sum(axis=1) / 2 if metric == "euclidean" else np.zeros(300, np.float32)
    bias[excluded] = -np.inf
    wanted = backend.nearest(items[rows], items, 12, metric, rows, None, excluded)
    for got, one in zip(backend.nearest(items[rows], items, 12, metric, rows, item_bias=bias), wanted, strict=True):
        np.testing.assert_array_equal(got, one)


@pytest.mark.parametrize("metric", METRICS)
def test_nearest_many_neighbours_equal_reference(backend, metric):
    rng = np.random.default_rng(5)
    # Small integers: products and squared distances are exact, ties are many.
    queries, items = rng.integers(-3, 4, (2, 3)).astype(np.float32), rng.integers(-3, 4, (5_000, 3)).astype(np.float32)
    ids, scores = backend.nearest(queries, items, 5_003, metric)
    exact = reference.nearest(queries, items, metric)
    padding = np.inf if metric == "euclidean" else -np.inf
    assert np.all(ids[:, 5_000:] == -1)
    assert np.all(scores[:, 5_000:] == padding)
    np.testing.assert_array_equal(np.sort(ids[:, :5_000]), np.tile(np.arange(5_000), (2, 1)))
    np.testing.assert_allclose(scores[:, :5_000], np.take_along_axis(exact, ids[:, :5_000], axis=1), atol=1e-6)
    if metric != "cosine":
        order = np.argsort(exact if metric == "euclidean" else -exact, axis=1, kind="stable")
        np.testing.assert_array_equal(ids[:, :5_000], order)


@pytest.mark.skipif("emu" not in BACKENDS, reason="the emulated backend was not built, or not asked for")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("order", "memory"), [("shuffled", 1 << 30), ("backward", 60_000)])
def test_nearest_same_on_a_small_device_and_in_any_order_of_emulated_threads(metric, order, memory):
    rng = np.random.default_rng(6)
    items = rng.integers(-3, 4, (500, 8)).astype(np.float32)
    rows = rng.permutation(500)[:90].astype(np.int32)
    rows[7] = -1
    native = BACKENDS["emu"]
    native.emulation.set_order(order, 3)
    native.emulation.set_memory(memory)  # the smaller one takes the queries in passes
    try:
        ids, scores = native.nearest(items[rows], items, 20, metric, rows)
    finally:
        native.emulation.set_order("forward")
        native.emulation.set_memory()
    expected = _cpu.nearest(items[rows], items, 20, metric, rows)
    if metric == "cosine":  # the norm is summed in another order
        np.testing.assert_allclose(scores, expected[1], atol=1e-6)
    else:
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_array_equal(scores, expected[1])


V = np.ones((4, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": "manhattan"}, ValueError, "metric must be 'dot', 'cosine' or 'euclidean'; got 'manhattan'"),
        ({"query_rows": np.int32([0])}, ValueError, r"query_rows must have one entry per query \(4\); got 1"),
        ({"query_rows": np.int32([0, 1, 4, 2])}, ValueError, r"query_rows must lie in \[-1, 4\); got 4 at entry 2"),
        ({"query_rows": np.int64([0, 1, 2, 3])}, TypeError, "query_rows must have dtype int32; got int64"),
        ({"queries": np.ones((1, 2), np.float32)}, ValueError, "as many columns; got 2 and 3"),
        ({"item_bias": np.zeros(3, np.float32)}, ValueError, r"item_bias must have one entry per item \(4\); got 3"),
        ({"item_bias": np.zeros(4, np.float32), "metric": "cosine"}, ValueError, "item_bias must be None for cosines"),
        ({"n": -2}, ValueError, "n must not be negative; got -2"),
    ],
)
def test_nearest_bad_input_raises(backend, arguments, error, message):
    with pytest.raises(error, match=f"nearest: {message}|nearest: .*{message}"):
        backend.nearest(**{"queries": V, "items": V, "n": 1, **arguments})
