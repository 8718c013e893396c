"""What the tests of delimited text share: the native reader, and what it should say."""

import re

import numpy as np

from fastcf._backend import ingest
from fastcf._texts import IdColumn, TextTable
from fastcf.data import RatingLog

__all__ = ["NO_IDS", "assert_same", "ids_of", "ids_reference", "is_id", "native", "write"]

NO_IDS = ("NULL", "Null", "null", "None", "NaN", "nan", "NA", "N/A", "<NA>", "\\N")
"""Texts that other programs write for a missing value."""

CANONICAL = re.compile(r"0|-?[1-9][0-9]*")


def is_id(text):
    """Whether a text is taken as an id."""
    return text not in NO_IDS


def ids_reference(ids, least=-(2**63), limit=2**63):
    """Integers if all are canonical and fit, else strings."""
    if all(CANONICAL.fullmatch(i) and least <= int(i) < limit for i in ids):
        return np.array([int(i) for i in ids], np.int64)
    return np.array(ids, dtype=object)


def native(text, separator=",", n_fields=4, columns=(0, 1, 2, 3), **options):
    """Return what the native reader found, ids as arrays of integers or of strings."""
    options = {"offset": 0, "first_line": 1, "n_threads": 2, **options}
    users, items, *rest = ingest.read_log(text, separator=separator, n_fields=n_fields, columns=columns, **options)[:4]
    return (*map(ids_of, (users, items)), *rest)


def ids_of(side):
    """Return a column of ids as the native reader has it as an array of integers or of strings."""
    return IdColumn(TextTable(*side[:2]), side[2]).array().astype(object) if isinstance(side, tuple) else side


def write(folder, text, name="ratings.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def assert_same(log, users, items, ratings, timestamps):
    if isinstance(log, RatingLog):
        log = log.users, log.items, log.ratings, log.timestamps
    for got, expected in zip(log, (users, items, ratings, timestamps), strict=True):
        if expected is None:
            assert got is None
            continue
        got = got.astype(object) if got.dtype.kind == "T" else got
        expected = expected.astype(object) if expected.dtype.kind in "UT" else expected
        assert got.dtype.kind == expected.dtype.kind
        np.testing.assert_array_equal(got, expected)
