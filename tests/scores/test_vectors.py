"""Nearest vectors against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from dense import COMPUTE, some_factors
from fastcf.scores import METRICS, VectorTable


@settings(max_examples=60)
@given(
    st.sampled_from([1, 2, 31, 32, 33, 200]),
    st.sampled_from([1, 3, 16]),
    st.sampled_from(METRICS),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_nearest_vectors_are_those_of_the_vectors_as_they_are(n, k, metric, centred, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-4, 5, (n, k)).astype(np.float32)
    centre = rng.integers(-4, 5, k).astype(np.float32) if centred else None
    vectors[rng.random(n) < 0.2] = 0 if centre is None else centre  # rows without training data
    table = VectorTable(vectors if centre is None else vectors - centre, centre)
    np.testing.assert_array_equal(table.vectors, vectors)
    rows = rng.integers(0, n, 5).astype(np.int32)
    found, scores = table.nearest(rows, n, metric, COMPUTE)
    exact = reference.nearest(vectors[rows], vectors, metric)
    known = vectors.any(axis=1) if centre is None else vectors.any(axis=1) & (vectors != centre).any(axis=1)
    for row in range(5):
        others = known & (np.arange(n) != rows[row]) & known[rows[row]]
        wanted = np.sort(exact[row, others] * (1 if metric == "euclidean" else -1))
        got = found[row, : wanted.size]
        assert sorted(got.tolist()) == np.flatnonzero(others).tolist()
        np.testing.assert_allclose(exact[row, got], np.abs(wanted) if metric == "euclidean" else -wanted, atol=1e-5)
        np.testing.assert_allclose(scores[row, : wanted.size], exact[row, got], rtol=1e-5, atol=1e-6)
        assert (found[row, wanted.size :] == -1).all()
        assert (scores[row, wanted.size :] == (np.inf if metric == "euclidean" else -np.inf)).all()
    if metric == "cosine":
        assert np.abs(scores[np.isfinite(scores)]).max(initial=0) <= 1


def test_vector_tables_are_made_once_for_all_searches_of_the_same_scores():
    scores = some_factors(np.random.default_rng(0), 5, 9)
    table = scores.item_vectors
    table.prepare("cosine")
    unit = table.unit
    scores.item_neighbours(np.int32([1, 2]), 3, "cosine", COMPUTE)
    assert scores.item_vectors is table
    assert scores.item_vectors.unit is unit
    assert scores.user_vectors is not table
    assert scores.replaced(global_mean=1.0).item_vectors is not table
    for array in (table.unit, table.vectors):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_neighbours_of_factors_with_a_centre_are_those_of_the_vectors():
    rng = np.random.default_rng(1)
    vectors = rng.normal(1, 1, (40, 4)).astype(np.float32)
    centre = vectors.mean(axis=0)
    plain = some_factors(rng, 6, 40, 4).replaced(item_factors=vectors)
    centred = plain.replaced(item_factors=vectors - centre, item_centre=centre)
    rows = np.arange(40, dtype=np.int32)
    for metric in METRICS:
        (ids, scores), (others, theirs) = (each.item_neighbours(rows, 5, metric, COMPUTE) for each in (plain, centred))
        np.testing.assert_array_equal(ids, others)
        np.testing.assert_allclose(scores, theirs, rtol=1e-4)
