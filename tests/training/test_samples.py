"""Samples of whole rows, on which costs are measured."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastcf.training.samples import entries_of_rows, whole_rows


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
