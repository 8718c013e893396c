from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference

pytestmark = pytest.mark.every_isa


def csr(mask, values):
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(mask)[1].astype(np.int32), values[mask].astype(np.float32)


def lists(rows):
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return indptr, np.concatenate([*rows, np.empty(0)]).astype(np.int32)


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_users = draw(st.sampled_from([1, 5, 33]))
    n_items = draw(st.sampled_from([1, 31, 32, 33, 63, 64, 65, 130]))
    mask = rng.random((n_users, n_items)) < draw(st.sampled_from([0.02, 0.3]))
    mask[0] = draw(st.booleans())
    # Small integers are exact in float32 and tie often.
    history = np.where(mask, rng.integers(1, 4, mask.shape), 0)
    weights = rng.integers(-3, 4, (n_items, n_items)).astype(np.float32)
    base = rng.integers(-3, 4, n_items).astype(np.float32) if draw(st.booleans()) else None
    users = rng.integers(-1, n_users, draw(st.sampled_from([0, 1, 7, 400]))).astype(np.int32)
    seen = [np.flatnonzero(rng.random(n_items) < 0.2) for _ in users] if draw(st.booleans()) else None
    few = max(1, n_items // 40) if draw(st.booleans()) else n_items
    candidates = rng.permutation(n_items)[:few].astype(np.int32) if draw(st.booleans()) else None
    excluded = rng.integers(0, n_items, 3).astype(np.int32) if draw(st.booleans()) else None
    n = draw(st.sampled_from([0, 1, 10, n_items, n_items + 3]))
    bias = rng.choice(np.float32([-np.inf, -2, 0, 1]), n_items) if draw(st.booleans()) else None
    return mask, history, weights, base, users, seen, candidates, excluded, bias, n, draw(st.sampled_from([1, 2, 3]))


@given(cases())
@settings(max_examples=80)
def test_item_scores_equal_reference_with_ties(backend, case):
    mask, history, weights, base, users, seen, candidates, excluded, bias, n, n_threads = case
    n_items = len(weights)
    rows = csr(mask, history)
    exact = reference.item_scores(history, weights, users, np.zeros(n_items) if base is None else base)
    block = backend.item_scores_block(*rows, users, weights, base, n_threads)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, exact)
    if users.size:
        items = np.arange(users.size, dtype=np.int32) % (n_items + 1) - 1
        pairs = backend.item_scores_pairs(*rows, users, items, weights, base, n_threads)
        np.testing.assert_array_equal(pairs, np.where(items < 0, 0, exact[np.arange(users.size), items]))
    indptr, indices = (None, None) if seen is None else lists(seen)
    got = backend.item_scores_best(
        *rows, users, weights, n, base, indptr, indices, candidates, excluded, bias, n_threads
    )
    if bias is not None:
        exact = exact + bias
    allowed = reference.allowed(users.size, n_items, seen, candidates, excluded)
    for found, wanted in zip(got, reference.topk(exact, allowed, n), strict=True):
        np.testing.assert_array_equal(found, wanted)


def some_case(backend, n_users, n_items, density=0.1):
    rng = np.random.default_rng(0)
    if backend.__name__.endswith("_emu"):
        n_users, n_items = n_users // 10, n_items // 5
    mask = rng.random((n_users, n_items)) < density
    mask[0], mask[1] = True, False
    weights = rng.standard_normal((n_items, n_items)).astype(np.float32)
    return csr(mask, rng.random(mask.shape)), mask, weights, rng.random(n_items).astype(np.float32)


def test_item_scores_real_numbers_within_rounding(backend):
    rows, mask, weights, base = some_case(backend, 100, 1025)
    history = np.zeros(mask.shape)
    history[mask] = rows[2]
    users = np.arange(-1, len(mask), dtype=np.int32)
    exact = reference.item_scores(history, weights, users, base)
    bound = reference.item_scores(history, abs(weights), users, base) * mask.sum(axis=1).max() * 2.0**-24
    assert (np.abs(backend.item_scores_block(*rows, users, weights, base) - exact) <= bound).all()


def test_item_scores_have_the_same_bits_for_pairs_blocks_lists_and_any_threads(backend):
    rows, mask, weights, base = some_case(backend, 70, 330)
    n_items = len(weights)
    users = np.tile(np.arange(-1, len(mask), dtype=np.int32), 1 if backend.__name__.endswith("_emu") else 20)
    block = backend.item_scores_block(*rows, users, weights, base, 1)
    for n_threads in (2, 4):
        np.testing.assert_array_equal(block, backend.item_scores_block(*rows, users, weights, base, n_threads))
    for row in (0, 1, 2, users.size - 1):
        alone = backend.item_scores_block(*rows, users[row : row + 1], weights, base)
        np.testing.assert_array_equal(alone[0], block[row])
        items = np.arange(n_items, dtype=np.int32)
        pairs = backend.item_scores_pairs(*rows, np.full(n_items, users[row]), items, weights, base)
        np.testing.assert_array_equal(pairs, block[row])
    order = np.argsort(-block, axis=1, kind="stable")[:, :12]
    for n_threads in (1, 2, 4):
        ids, scores = backend.item_scores_best(*rows, users, weights, 12, base, n_threads=n_threads)
        np.testing.assert_array_equal(ids, order)
        np.testing.assert_array_equal(scores, np.take_along_axis(block, order, axis=1))
    some = np.unique(order[3])
    ids, scores = backend.item_scores_best(*rows, users[3:4], weights, 12, base, candidates=some.astype(np.int32))
    np.testing.assert_array_equal(ids[0], order[3])
    np.testing.assert_array_equal(scores[0], block[3][order[3]])


def test_item_scores_leave_out_what_is_not_a_number(backend):
    weights = np.full((3, 3), np.nan, np.float32)
    weights[0] = [1, np.nan, 3]
    rows = np.int64([0, 1]), np.int32([0]), np.float32([1])
    ids, scores = backend.item_scores_best(*rows, np.int32([0]), weights, 3)
    np.testing.assert_array_equal(ids, [[2, 0, -1]])
    np.testing.assert_array_equal(scores, [[3, 1, -np.inf]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weights": np.ones((3, 4), np.float32)}, ValueError, r"weights must be square, with a row per column of"),
        ({"weights": np.ones((3, 3))}, TypeError, "weights must have dtype float32; got float64"),
        ({"indices": np.int32([0, 3])}, ValueError, r"indices must lie in \[0, 3\); got 3 at entry 1"),
        ({"values": None}, TypeError, "values must be a NumPy array; got NoneType"),
        ({"values": np.float32([1])}, ValueError, "values must have as many entries as indices"),
        ({"users": np.int32([0, 1])}, ValueError, r"users must lie in \[-1, 1\); got 1 at entry 1"),
        ({"users": np.int32([-2])}, ValueError, r"users must lie in \[-1, 1\); got -2 at entry 0"),
        ({"base": np.float32([1])}, ValueError, r"base must have one entry per item \(3\); got 1"),
    ],
)
def test_item_scores_bad_input_raises(backend, change, error, message):
    valid = {
        "indptr": np.int64([0, 2]),
        "indices": np.int32([0, 1]),
        "values": np.float32([1, 2]),
        "users": np.int32([0]),
        "weights": np.ones((3, 3), np.float32),
    }
    arguments = {**valid, **change}
    with pytest.raises(error, match=f"item_scores_block: {message}"):
        backend.item_scores_block(**arguments)
    with pytest.raises(error, match=f"item_scores_best: {message}"):
        backend.item_scores_best(**arguments, n=2)
    items = np.zeros(arguments["users"].size, np.int32)
    with pytest.raises(error, match=f"item_scores_pairs: {message}"):
        backend.item_scores_pairs(**arguments, items=items)


def test_item_scores_bad_items_and_lists_raise(backend):
    rows = np.int64([0, 1]), np.int32([0]), np.float32([1]), np.int32([0])
    weights = np.ones((3, 3), np.float32)
    with pytest.raises(ValueError, match=r"items must lie in \[-1, 3\); got 3 at entry 0"):
        backend.item_scores_pairs(*rows, np.int32([3]), weights)
    with pytest.raises(ValueError, match=r"items must have one entry per user \(1\); got 2"):
        backend.item_scores_pairs(*rows, np.int32([0, 0]), weights)
    with pytest.raises(ValueError, match=r"candidates must lie in \[0, 3\); got 3 at entry 0"):
        backend.item_scores_best(*rows, weights, 1, candidates=np.int32([3]))
    with pytest.raises(ValueError, match="n must not be negative; got -1"):
        backend.item_scores_best(*rows, weights, -1)
    with pytest.raises(ValueError, match="seen_indptr and seen_indices must be given together"):
        backend.item_scores_best(*rows, weights, 1, seen_indptr=np.int64([0, 0]))
