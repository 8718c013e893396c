"""The weights between items and their neighbours, against least squares in float64."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import reference
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.every_isa


def histories(rng, n_users, n_items, density=0.3):
    mask = rng.random((n_users, n_items)) < density
    mask[: n_users // 4] = False  # users without a history
    if n_users:
        mask[-1] = True  # one who has all
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    return mask, indptr, np.nonzero(mask)[1].astype(np.int32)


def neighbourhoods(rng, n_items, most):
    """Return up to ``most`` neighbours per item, some items without any, as compressed rows."""
    rows = []
    for j in range(n_items):
        others = np.delete(np.arange(n_items), j)
        size = 0 if j % 7 == 3 else min(most, len(others)) if j % 2 else rng.integers(0, min(most, len(others)) + 1)
        rows.append(np.sort(rng.choice(others, size, replace=False)))
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return rows, indptr, np.concatenate([*rows, np.zeros(0)]).astype(np.int32)


def dense(mask, values):
    table = np.zeros(mask.shape)
    table[mask] = values
    return table


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 33, 90]),
    st.sampled_from([0, 1, 2, 31, 32, 33, 60]),
    st.sampled_from([1, 8, 15, 16, 17, 33]),
    st.sampled_from(["ones", "values", "targets"]),
    st.sampled_from([0.0, 0.67]),
    st.sampled_from([1, 5000, 1 << 30]),
)
def test_local_weights_equal_least_squares(backend, seed, n_users, n_items, most, kind, diagonal, scratch):
    rng = np.random.default_rng(seed)
    mask, indptr, indices = histories(rng, n_users, n_items)
    values = None if kind == "ones" else rng.choice(np.float32([0.3, 1, 2]), len(indices))
    targets = None if kind != "targets" else (values > 0.5).astype(np.float32)
    weights = rng.uniform(0.1, 1, n_users).astype(np.float32)
    rows, n_indptr, n_indices = neighbourhoods(rng, n_items, most)
    found = backend.local_weights(
        indptr, indices, values, n_items, weights, n_indptr, n_indices, 2.5, diagonal, targets, scratch, 2
    )
    Z = dense(mask, 1 if values is None else values)
    X = Z if targets is None else dense(mask, targets)
    expected = reference.local_weights(Z, X, weights, rows, 2.5, diagonal)
    np.testing.assert_allclose(found, np.concatenate([*expected, np.zeros(0)]), rtol=0, atol=2e-5)


def test_local_weights_with_all_others_are_the_closed_form(backend):
    rng = np.random.default_rng(4)
    n_items = 40 if backend.__name__.endswith("_emu") else 120
    mask, indptr, indices = histories(rng, 300, n_items, 0.1)
    weights = rng.uniform(0.1, 1, 300).astype(np.float32)
    everyone = np.arange(n_items, dtype=np.int32)
    others = np.concatenate([np.delete(everyone, j) for j in range(n_items)])
    n_indptr = np.arange(n_items + 1, dtype=np.int64) * (n_items - 1)
    found = backend.local_weights(indptr, indices, None, n_items, weights, n_indptr, others, 3.0, 0.5)
    gram = mask.T @ (weights[:, None].astype(np.float64) * mask)
    inverse = np.linalg.inv(gram + 0.5 * np.diag(np.diag(gram)) + 3 * np.eye(n_items))
    whole = np.eye(n_items) - inverse / np.diag(inverse)
    expected = np.concatenate([np.delete(whole[:, j], j) for j in range(n_items)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_local_weights_of_a_nearly_singular_system_are_solved_in_float64(backend):
    rng = np.random.default_rng(1)
    column = rng.random(2000) < 0.5
    mask = np.stack([column, column, rng.random(2000) < 0.5], axis=1)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices, ones = np.nonzero(mask)[1].astype(np.int32), np.ones(2000, np.float32)
    n_indptr, neighbours = np.int64([0, 0, 0, 2]), np.int32([0, 1])
    found = backend.local_weights(indptr, indices, None, 3, ones, n_indptr, neighbours, 1e-3, 0.0)
    expected = reference.local_weights(mask, mask, ones, [[], [], [0, 1]], 1e-3, 0.0)[2]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_local_weights_same_bits_for_any_threads_and_scratch(backend):
    rng = np.random.default_rng(0)
    n_items = 40 if backend.__name__.endswith("_emu") else 400
    _, indptr, indices = histories(rng, 200, n_items, 0.05)
    weights = rng.uniform(0.1, 1, 200).astype(np.float32)
    values = rng.choice(np.float32([0.3, 1]), len(indices))
    targets = (values == 1).astype(np.float32)
    _, n_indptr, n_indices = neighbourhoods(rng, n_items, 20)
    for marked in (None, targets):
        arguments = (indptr, indices, values, n_items, weights, n_indptr, n_indices, 2.5, 0.6, marked)
        first = backend.local_weights(*arguments, n_threads=1)
        for scratch, n_threads in [(1 << 30, 2), (1 << 30, 4), (20_000, 2), (1, 3)]:
            np.testing.assert_array_equal(backend.local_weights(*arguments, scratch, n_threads), first)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": np.int32([0, 5])}, ValueError, r"indices must lie in \[0, 3\); got 5 at entry 1"),
        ({"indices": np.int32([1, 1])}, ValueError, "indices must ascend within a user; they do not at entry 1"),
        ({"values": np.float64([1, 2])}, TypeError, "values must have dtype float32; got float64"),
        ({"n_items": -1}, ValueError, "n_items must not be negative; got -1"),
        ({"user_weights": np.ones(2, np.float32)}, ValueError, r"user_weights must have one entry per user \(1\)"),
        ({"user_weights": np.float32([-1])}, ValueError, "user_weights must not be negative; got -1 at user 0"),
        ({"user_weights": np.float32([np.nan])}, ValueError, "user_weights must not be negative; got nan at user 0"),
        ({"targets": np.ones(1, np.float32)}, ValueError, r"targets must have one entry per history \(2\); got 1"),
        ({"neighbour_indptr": np.int64([0, 1])}, ValueError, "neighbour_indptr must have 4 entries; got 2"),
        ({"neighbours": np.int32([1, 3])}, ValueError, r"indices must lie in \[0, 3\); got 3 at entry 1"),
        ({"neighbours": np.int32([0, 2])}, ValueError, "no item may be its own neighbour; item 0 is"),
        ({"neighbours": np.int32([2, 1])}, ValueError, "neighbours must ascend within an item; they do not at entry 1"),
        ({"reg": -1.0}, ValueError, "reg and diagonal must not be negative; got -1 and 0"),
        ({"diagonal": np.nan}, ValueError, "reg and diagonal must not be negative; got 1 and nan"),
        ({"scratch_bytes": 0}, ValueError, "scratch_bytes must be positive; got 0"),
        ({"reg": 0.0}, ValueError, "reg or diagonal must be larger: the weights of item 0 are not determined"),
        ({"values": np.float32([np.nan, 1])}, ValueError, "the weights of item 0 are not determined"),
    ],
)
def test_local_weights_bad_input_raises(backend, change, error, message):
    valid = {
        "indptr": np.int64([0, 2]),
        "indices": np.int32([0, 1]),
        "values": np.float32([1, 2]),
        "n_items": 3,
        "user_weights": np.ones(1, np.float32),
        "neighbour_indptr": np.int64([0, 2, 2, 2]),
        "neighbours": np.int32([1, 2]),
        "reg": 1.0,
        "diagonal": 0.0,
    }
    with pytest.raises(error, match=f"local_weights: .*{message}"):
        backend.local_weights(**{**valid, **change})


def test_local_weights_of_more_neighbours_than_shared_memory_holds(backend):
    rng = np.random.default_rng(5)
    mask, indptr, indices = histories(rng, 40, 260, 0.3)
    weights = np.ones(40, np.float32)
    neighbours = np.arange(1, 250, dtype=np.int32)
    n_indptr = np.where(np.arange(261) > 0, neighbours.size, 0).astype(np.int64)
    found = backend.local_weights(indptr, indices, None, 260, weights, n_indptr, neighbours, 2.0, 0.5)
    expected = reference.local_weights(mask, mask, weights, [neighbours, *[[]] * 259], 2.0, 0.5)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
