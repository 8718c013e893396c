"""Scores on a common scale against dense float64 tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dense import COMPUTE, assert_agrees, dense_of_factors, dense_of_weights, some_factors, some_weights
from fastcf.scores import FactorScores, Selection, StandardScores


def standardised(dense):
    """Return a table of all pairs, row -1 last on both sides, by the moments of the known items."""
    known = dense[:, :-1]
    spread = known.std(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (dense - known.mean(axis=1, keepdims=True)) / spread
    return np.where(spread > 0, scaled, 0)


@settings(max_examples=30)
@given(st.sampled_from(["factors", "weights"]), st.integers(0, 10**6))
def test_standard_scores_agree_with_a_dense_table(kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "factors":
        inner = some_factors(rng, 9, 14)
        dense = dense_of_factors(inner)
    else:
        inner = some_weights(rng, 9, 14, 0.6)
        dense = dense_of_weights(inner)
    assert_agrees(StandardScores(inner), standardised(dense), rng, atol=1e-3)


def test_standard_scores_of_a_user_have_mean_0_and_deviation_1():
    scores = StandardScores(some_factors(np.random.default_rng(0), 5, 40))
    block = scores.block(np.arange(5, dtype=np.int32), COMPUTE).astype(np.float64)
    np.testing.assert_allclose(block.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(block.std(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 3.1, 1e6])
def test_equal_scores_are_0(mean):
    none = np.empty((3, 0), np.float32), np.empty((4, 0), np.float32), np.zeros(3, np.float32), np.zeros(4, np.float32)
    scores = StandardScores(FactorScores(*none, mean))
    rows = np.array([0, -1, 2], np.int32)
    assert (scores.block(rows, COMPUTE) == 0).all()
    assert (scores.pairs(rows, rows, COMPUTE) == 0).all()


def test_lists_are_those_of_the_inner_scores():
    inner = some_factors(np.random.default_rng(1), 6, 30)
    rows = np.arange(6, dtype=np.int32)
    items, _ = StandardScores(inner).best(rows, Selection(5), COMPUTE)
    np.testing.assert_array_equal(items, inner.best(rows, Selection(5), COMPUTE)[0])
