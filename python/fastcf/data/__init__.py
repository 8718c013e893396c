"""Loaders: delimited text, MovieLens and the Netflix Prize."""

from fastcf.data.files import RatingFiles, detect_format
from fastcf.data.items import ItemTable, read_items
from fastcf.data.movielens import Dataset, load_movielens
from fastcf.data.netflix import NetflixData, Qualifying, load_netflix
from fastcf.data.text import RatingLog, load_ratings, read_log

__all__ = [
    "Dataset",
    "ItemTable",
    "NetflixData",
    "Qualifying",
    "RatingFiles",
    "RatingLog",
    "detect_format",
    "load_movielens",
    "load_netflix",
    "load_ratings",
    "read_items",
    "read_log",
]
