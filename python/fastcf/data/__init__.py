"""Ratings from files, tables and thin air, and their splits."""

from fastcf.data.splits import leave_n_out, split_by_time, train_test_split

__all__ = [
    "leave_n_out",
    "split_by_time",
    "train_test_split",
]
