"""Ratings from files and tables, synthetic ratings, and splits."""

from fastcf.data.dense import load_dense
from fastcf.data.events import load_events
from fastcf.data.fetch import fetch_movielens, fetch_movietweetings
from fastcf.data.files import RatingFiles, detect_format
from fastcf.data.items import ItemTable, read_items
from fastcf.data.movielens import Dataset, load_movielens
from fastcf.data.netflix import NetflixData, Qualifying, load_netflix
from fastcf.data.splits import (
    UserSplit,
    k_folds,
    leave_n_out,
    split_by_time,
    split_items,
    split_users,
    train_test_split,
)
from fastcf.data.synthetic import Truth, make_ratings
from fastcf.data.tags import TagTable, read_tags
from fastcf.data.text import RatingLog, load_ratings, read_log
from fastcf.data.users import UserTable, read_users

__all__ = [
    "Dataset",
    "ItemTable",
    "NetflixData",
    "Qualifying",
    "RatingFiles",
    "RatingLog",
    "TagTable",
    "Truth",
    "UserSplit",
    "UserTable",
    "detect_format",
    "fetch_movielens",
    "fetch_movietweetings",
    "k_folds",
    "leave_n_out",
    "load_dense",
    "load_events",
    "load_movielens",
    "load_netflix",
    "load_ratings",
    "make_ratings",
    "read_items",
    "read_log",
    "read_tags",
    "read_users",
    "split_by_time",
    "split_items",
    "split_users",
    "train_test_split",
]
