"""Weighted sums of scores against dense float64 tables."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from dense import (
    COMPUTE,
    assert_agrees,
    assert_best,
    dense_of_factors,
    dense_of_weights,
    some_factors,
    some_rows,
    some_selection,
    some_weights,
)
from fastcf.scores import Part, Sigmoid, Support, WeightedScores, blocks

N_USERS, N_ITEMS = 11, 17


def mapped(rng, n_own, n):
    """Return the own row of each of n rows, -1 for some; or None where all are known."""
    if rng.random() < 0.3:
        return None, n
    own = rng.permutation(n_own).astype(np.int32)
    table = np.full(n, -1, np.int32)
    known = rng.permutation(n)[: min(n, n_own) - 1]
    table[known] = own[: known.size]
    return table, n_own


def wide(dense, users, items):
    """Return a part's table in the rows of the sum."""
    users = np.arange(N_USERS) if users is None else users
    items = np.arange(N_ITEMS) if items is None else items
    return dense[np.append(users, -1)][:, np.append(items, -1)]


def some_support(rng):
    """Return the support of a sum, and what it adds to scores and to weights, in the rows of dense tables."""
    users, items = rng.normal(size=N_USERS), rng.normal(size=N_ITEMS)
    support = Support(users, items, float(rng.normal()), float(rng.choice([0.0, 1.3])))
    of_users, of_items = np.append(users, 0)[:, None], np.append(items, 0)
    return support, support.user_slope * of_users + support.item_slope * of_items, of_items


def some_part(rng, kind, weight):
    users, n_users = mapped(rng, N_USERS + 2, N_USERS)
    items, n_items = mapped(rng, N_ITEMS - 3, N_ITEMS)
    limits = (-1.0, 2.0)
    if kind == "weights":
        scores = some_weights(rng, n_users, n_items)
        dense = np.clip(dense_of_weights(scores), *limits)
    else:
        link = Sigmoid() if kind == "labels" else None
        scores = some_factors(rng, n_users, n_items, int(rng.integers(0, 4)), means=kind == "means", link=link)
        dense = dense_of_factors(scores)
        if kind == "labels":
            dense, limits = np.clip(expit(dense), 0.2, 0.7), (0.2, 0.7)
    return Part(scores, weight, users, items, limits), wide(dense, users, items)


def some_sum(rng, kinds, *, depth=0):
    parts, dense = [], 0.0
    intercept = float(rng.normal())
    support, of_items = None, 0.0
    if rng.random() < 0.5:
        support, dense, of_items = some_support(rng)
    for kind in kinds:
        weight = float(rng.choice([0.0, 0.4, 1.0, -0.7], p=[0.1, 0.3, 0.3, 0.3]))
        part, table = some_part(rng, kind, weight)
        part = replace(part, slope=0.0 if support is None else float(rng.choice([0.0, 0.5, -0.2])))
        parts.append(part)
        dense = dense + (weight + part.slope * of_items) * table
    if depth:
        inner, table = some_sum(rng, kinds, depth=depth - 1)
        users, items = (rng.permutation(n).astype(np.int32) for n in (N_USERS, N_ITEMS))
        users[0] = items[3] = -1
        limits = (-1.5, 1.5)
        parts.append(Part(inner, 0.6, users, items, limits))
        dense = dense + 0.6 * wide(table if inner.linear else np.clip(table, *limits), users, items)
    return WeightedScores(tuple(parts), intercept, N_USERS, N_ITEMS, support=support), dense + intercept


KINDS = st.lists(st.sampled_from(["factors", "means", "labels", "weights"]), min_size=1, max_size=3)
LINEAR = st.lists(st.sampled_from(["factors", "means"]), min_size=1, max_size=3)


@settings(max_examples=60)
@given(KINDS, st.integers(0, 2), st.integers(0, 10**6))
def test_weighted_scores_agree_with_a_dense_table(kinds, depth, seed):
    rng = np.random.default_rng(seed)
    scores, dense = some_sum(rng, kinds, depth=depth)
    dense = np.broadcast_to(dense, (N_USERS + 1, N_ITEMS + 1))
    counted = [part.scores.linear for part in scores.parts if part.counts]
    assert scores.linear == (bool(counted) and all(counted))
    assert_agrees(scores, dense, rng, atol=1e-3)


@settings(max_examples=60)
@given(LINEAR, st.integers(0, 2), st.integers(0, 10**6))
def test_linear_sums_are_factors_again(kinds, depth, seed):
    rng = np.random.default_rng(seed)
    scores, dense = some_sum(rng, kinds, depth=depth)
    factors = scores.as_factors()
    if not scores.linear:
        assert factors is None
        return
    dense = np.broadcast_to(dense, (N_USERS + 1, N_ITEMS + 1))
    assert_agrees(factors, dense, rng, atol=1e-3)
    rows = some_rows(rng, N_USERS, 6)
    selection = some_selection(rng, N_ITEMS, 5, 6)
    assert_best(scores, dense, rows, selection, 1e-3)
    every = blocks.best_of_blocks(scores, rows, selection, COMPUTE)
    np.testing.assert_allclose(scores.best(rows, selection, COMPUTE)[1], every[1], atol=1e-3)


@pytest.mark.parametrize("kinds", [["factors", "means"], ["factors", "labels"]])
def test_weighted_scores_in_batches_are_those_of_one_batch(kinds, monkeypatch):
    scores, _ = some_sum(np.random.default_rng(5), kinds)
    rows, selection = np.arange(-1, N_USERS, dtype=np.int32), some_selection(np.random.default_rng(1), N_ITEMS, 6, 12)
    whole = scores.block(rows, COMPUTE), *scores.best(rows, selection, COMPUTE)
    monkeypatch.setattr(blocks, "_BATCH_BYTES", 1)
    for one, other in zip(whole, (scores.block(rows, COMPUTE), *scores.best(rows, selection, COMPUTE)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weighted_scores_of_weight_zero_are_never_asked():
    rng = np.random.default_rng(0)
    part, table = some_part(rng, "factors", 0.5)
    silent = Part(None, 0.0, None, None, (0.0, 1.0))
    scores = WeightedScores((part, silent), 1.0, N_USERS, N_ITEMS)
    assert scores.linear
    assert_agrees(scores, 1.0 + 0.5 * table, rng)
    nothing = WeightedScores((silent,), 1.0, N_USERS, N_ITEMS)
    assert not nothing.linear
    assert_agrees(nothing, np.ones((N_USERS + 1, N_ITEMS + 1)), rng)


def test_sums_with_a_link_are_not_linear():
    part, _ = some_part(np.random.default_rng(0), "factors", 0.5)
    assert not WeightedScores((part,), 1.0, N_USERS, N_ITEMS, Sigmoid()).linear


def test_copies_of_weighted_scores_leave_joint_factors_behind():
    scores, _ = some_sum(np.random.default_rng(3), ["factors", "means"])
    rows, selection = np.arange(3, dtype=np.int32), some_selection(np.random.default_rng(1), N_ITEMS, 4, 3)
    best = scores.best(rows, selection, COMPUTE)
    assert "_joint_items" in vars(scores)
    for copied in (copy.deepcopy(scores), pickle.loads(pickle.dumps(scores))):
        assert "_joint_items" not in vars(copied)
        for one, other in zip(best, copied.best(rows, selection, COMPUTE), strict=True):
            np.testing.assert_array_equal(one, other)
