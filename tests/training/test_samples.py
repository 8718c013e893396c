"""Samples of ratings, on which costs are measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf.training.samples import entries_of_rows, n_measured, spread_entries, whole_rows


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 60), st.integers(0, 2**64 - 1))
def test_samples_of_whole_rows(lengths, most, seed):
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = whole_rows(indptr, most, seed)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, whole_rows(indptr, most, seed))
    total = int(np.diff(indptr)[rows].sum())
    if indptr[-1] <= most:
        assert rows.size == len(lengths)
    else:
        assert total > 0
        assert total <= max(most, max(lengths))
    entries = entries_of_rows(indptr, rows)
    wanted = [np.arange(indptr[row], indptr[row + 1]) for row in rows]
    np.testing.assert_array_equal(entries, np.concatenate([*wanted, np.empty(0, int)]))


def test_samples_differ_by_seed():
    indptr = np.arange(0, 1001, 10)
    assert not np.array_equal(whole_rows(indptr, 100, 0), whole_rows(indptr, 100, 1))
    assert whole_rows(indptr, 100, 0).size == 10


@pytest.mark.parametrize(
    ("n", "wanted"),
    [(0, 0), (65_536, 65_536), (65_537, 16_384), (400_000, 25_000), (1_048_592, 65_536), (10**9, 65_536)],
)
def test_numbers_of_measured_ratings(n, wanted):
    assert n_measured(n) == wanted


@given(st.data(), st.integers(1, 500), st.integers(0, 2**64 - 1))
def test_spread_entries(data, n, seed):
    drawn = data.draw(st.integers(1, n))
    entries = spread_entries(n, drawn, seed)
    assert entries.size == drawn
    assert entries[0] >= 0
    assert entries[-1] < n
    assert (np.diff(entries) > 0).all()
    np.testing.assert_array_equal(entries, spread_entries(n, drawn, seed))


def test_spread_entries_are_equally_probable():
    counts = np.bincount(np.concatenate([spread_entries(64, 16, seed) for seed in range(2_000)]), minlength=64)
    assert counts.min() > 400  # of 500 expected, standard deviation 19
    assert counts.max() < 600
