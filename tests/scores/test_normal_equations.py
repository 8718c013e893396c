"""Shares of ratings in a least-squares solution, against the solution for each rating alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf.scores.normal_equations import shares_of_ratings


@given(seed=st.integers(0, 10**6), n=st.sampled_from([0, 1, 3, 31, 33]), d=st.integers(1, 9), m=st.integers(0, 4))
def test_shares_are_what_each_rating_alone_would_give_by_the_same_equations(seed, n, d, m):
    random = np.random.default_rng(seed)
    columns, wanted = random.normal(size=(n, d)), random.normal(size=(d, m))
    targets, weights = random.normal(size=n), random.exponential(size=n)
    root = random.normal(size=(d, d))
    prior = root @ root.T + np.eye(d)
    found = shares_of_ratings(columns, targets, weights, prior, wanted)
    inverse = np.linalg.inv(prior + sum((w * np.outer(a, a) for w, a in zip(weights, columns, strict=True)), 0.0))
    expected = [t * w * (inverse @ a) @ wanted for t, w, a in zip(targets, weights, columns, strict=True)]
    assert found.values.shape == (n, m)
    np.testing.assert_allclose(found.values, np.reshape(expected, (n, m)), atol=1e-9)
    np.testing.assert_allclose(found.solved, inverse @ wanted, atol=1e-9)


@pytest.mark.parametrize("n", [0, 2])
def test_directions_that_nothing_determines_count_as_zero(n):
    random = np.random.default_rng(0)
    columns, wanted = random.normal(size=(n, 5)), random.normal(size=(5, 3))
    targets = random.normal(size=n)
    found = shares_of_ratings(columns, targets, np.ones(n), np.zeros((5, 5)), wanted)
    shortest = np.linalg.pinv(columns) @ targets if n else np.zeros(5)
    np.testing.assert_allclose(found.values.sum(axis=0), wanted.T @ shortest, atol=1e-8)
