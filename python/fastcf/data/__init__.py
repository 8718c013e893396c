"""Ratings from files, tables and thin air, and their splits."""

from fastcf.data.splits import leave_n_out, split_by_time, train_test_split
from fastcf.data.synthetic import Truth, make_ratings

__all__ = [
    "Truth",
    "leave_n_out",
    "make_ratings",
    "split_by_time",
    "train_test_split",
]
