"""What the tests of delimited text share: the native reader, and what it should say."""

import re

import numpy as np

from fastcf._backend import ingest

__all__ = ["assert_same", "ids_reference", "native", "write"]

CANONICAL = re.compile(r"0|-?[1-9][0-9]*")


def ids_reference(ids):
    """Integers if all are canonical and fit, else strings."""
    if all(CANONICAL.fullmatch(i) and -(2**63) <= int(i) < 2**63 for i in ids):
        return np.array([int(i) for i in ids], np.int64)
    return np.array(ids, dtype=str)


def native(text, separator=",", n_fields=4, columns=(0, 1, 2, 3), **options):
    options = {"offset": 0, "first_line": 1, "n_threads": 2, **options}
    return ingest.read_log(text, separator=separator, n_fields=n_fields, columns=columns, **options)[:4]


def write(folder, text, name="ratings.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def assert_same(log, users, items, ratings, timestamps):
    for got, expected in zip(log, (users, items, ratings, timestamps), strict=True):
        if expected is None:
            assert got is None
        else:
            assert got.dtype.kind == expected.dtype.kind
            np.testing.assert_array_equal(got, expected)
