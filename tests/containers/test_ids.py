"""Maps between ids and rows, against NumPy's unique and searchsorted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf import IdMap
from fastcf._backend import ingest
from fastcf.ids import as_id_array, distinct, extended

INT64 = st.integers(-(2**63), 2**63 - 1)
CLOSE = st.integers(-50, 50)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=5)


def lookup(ids, query):
    """Return the position of each element of ``query`` in ``ids``, -1 where it is absent."""
    rows = {value: row for row, value in enumerate(ids)}
    return [rows.get(value, -1) for value in query]


@given(st.one_of(st.lists(CLOSE, max_size=40), st.lists(INT64, max_size=40)), st.lists(CLOSE | INT64, max_size=20))
def test_ids_integers_match_numpy(ids, query):
    array = np.array(ids, np.int64)
    id_map = distinct(array)
    np.testing.assert_array_equal(id_map.ids, np.unique(array))
    assert id_map.ids.dtype == np.int64
    np.testing.assert_array_equal(id_map.ids[id_map.rows(array)], array)
    assert id_map.rows(ids + query).tolist() == lookup(id_map.ids.tolist(), ids + query)


@given(st.lists(TEXT, max_size=40), st.lists(TEXT, max_size=20))
def test_ids_strings_match_numpy(ids, query):
    array = np.array(ids, dtype=str) if ids else np.array([], "<U1")
    if array.dtype.itemsize == 0:
        array = array.astype("<U1")
    id_map = distinct(array)
    np.testing.assert_array_equal(id_map.ids, np.unique(array))
    assert id_map.rows(ids + query).tolist() == lookup(id_map.ids.tolist(), ids + query)


@pytest.mark.parametrize("spread", [1, 3, 10**6 + 3, -(10**9) - 7])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, "<U24"])
@pytest.mark.parametrize("n", [33, 1025, 400_000])
def test_ids_match_numpy_on_any_number_of_threads(n, dtype, spread):
    numbers = np.random.default_rng(n).integers(0, max(n // 3, 1), n) * np.int64(spread)
    ids = (numbers % (2**31 - 1) if dtype == np.int32 else numbers).astype(dtype)
    expected, codes = np.unique(ids, return_inverse=True)
    for n_threads in (1, 2, 4):
        id_map = distinct(ids, n_threads)
        np.testing.assert_array_equal(id_map.ids, expected)
        rows = id_map.rows(ids, n_threads=n_threads)
        assert rows.dtype == np.int32
        np.testing.assert_array_equal(rows, codes)


def test_ids_strings_keep_leading_zeros_and_width():
    id_map = IdMap(["0104257", "104257", "1"])
    assert id_map.rows(np.array(["1", "0104257", "00104257"], "<U40")).tolist() == [2, 0, -1]
    assert id_map.ids.tolist() == ["0104257", "104257", "1"]


def test_ids_any_order_is_kept():
    id_map = IdMap([5, 2, 9])
    assert id_map.ids.tolist() == [5, 2, 9]
    assert id_map.rows([9, 5, 2, 4]).tolist() == [2, 0, 1, -1]
    assert IdMap(range(3, 9)).rows([3, 8, 9, 2]).tolist() == [0, 5, -1, -1]


def test_ids_of_the_other_kind_are_unknown():
    assert IdMap([1, 2]).rows(["1", "2"]).tolist() == [-1, -1]
    assert IdMap(["1", "2"]).rows([1, 2]).tolist() == [-1, -1]
    assert 1 in IdMap([1])
    assert np.int16(1) in IdMap([1])
    for other in ("1", 1.0, True, None):
        assert other not in IdMap([1])
    assert "1" in IdMap(["1"])


@given(st.sets(st.integers(0, 2**64 - 1) | st.integers(2**63 - 2, 2**63 + 2), min_size=1), st.lists(INT64, max_size=9))
def test_ids_beyond_int64_match_reference(ids, query):
    values = sorted(ids)
    array = np.array(values, np.uint64)
    id_map = IdMap(array)
    assert id_map.ids.dtype == (np.uint64 if values[-1] > 2**63 - 1 else np.int64)
    assert id_map.rows(array).tolist() == list(range(len(values)))
    query = query + [value - 2**64 for value in values] + values
    assert id_map.rows(query).tolist() == lookup(values, query)
    in_range = np.array([value for value in query if value >= 0], np.uint64)
    assert id_map.rows(in_range).tolist() == lookup(values, in_range.tolist())
    assert distinct(as_id_array(array, "test", "ids")) == id_map


def test_ids_beyond_64_bits_are_kept():
    values = [-(2**70), -1, 3, 2**64, 2**90]
    id_map = IdMap(values)
    assert id_map.ids.dtype == object
    assert id_map.rows([2**90, 3, 4, 2**64]).tolist() == [4, 2, -1, 3]
    assert id_map.rows(np.array([3, -1])).tolist() == [2, 1]
    assert 2**90 in id_map
    assert 2**90 not in IdMap([1, 2])
    assert distinct(as_id_array(values[::-1] * 2, "test", "ids")) == id_map


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i4", "u4", ">i8", "u8", ">U3", object])
def test_ids_any_dtype_is_understood(dtype):
    ids = np.array([3, 1, 2]).astype(dtype)
    expected = ids.tolist()
    assert IdMap(ids).ids.tolist() == expected
    assert IdMap(ids).rows(ids[::-1]).tolist() == [2, 1, 0]
    assert IdMap(np.stack([ids, ids], axis=1)[:, 0]).ids.tolist() == expected  # strided


def test_ids_strings_of_objects_and_string_dtype():
    objects = np.array(["a", "bcd"], dtype=object)
    assert IdMap(objects).ids.dtype == np.dtype("<U3")
    if hasattr(np.dtypes, "StringDType"):
        assert IdMap(objects.astype(np.dtypes.StringDType())) == IdMap(objects)


BAD = {
    "floats": ([1.0, 2.0], TypeError, "got 1.0 at entry 0"),
    "float array": (np.ones(2), TypeError, "must be integers or strings; got dtype float64"),
    "booleans": (np.array([True]), TypeError, "got dtype bool"),
    "list of booleans": ([1, True], TypeError, "got True at entry 1"),
    "bytes": (np.array([b"a"]), TypeError, r"got dtype \|S1; decode"),
    "missing": (["a", None], TypeError, "got None at entry 1"),
    "nan": (np.array(["a", np.nan], dtype=object), TypeError, "got nan at entry 1"),
    "mixed": ([1, "a"], TypeError, "got both: 1 at entry 0 and 'a' at entry 1"),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), TypeError, "masked value at entry 1"),
    "two dimensions": (np.ones((2, 2), int), ValueError, r"one-dimensional; got shape \(2, 2\)"),
    "scalar": (7, ValueError, "one-dimensional"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), TypeError, "datetime64"),
}


@pytest.mark.parametrize("name", BAD)
def test_ids_bad_input_raises(name):
    ids, error, message = BAD[name]
    with pytest.raises(error, match=message):
        IdMap(ids)
    with pytest.raises(error, match=message):
        IdMap([1]).rows(ids)


@pytest.mark.parametrize("ids", [[7, 3, 7], [7, 10**12, 7], ["a", "b", "a"], [2**63, 1, 2**63], [2**90, 1, 1]])
def test_ids_repeated_raises(ids):
    with pytest.raises(ValueError, match="IdMap: ids must be distinct"):
        IdMap(ids)


def test_ids_too_many_distinct_raises():
    for ids in (np.arange(100), np.arange(100, dtype=np.int32), np.arange(100) * 10**12, np.arange(100).astype("<U3")):
        assert len(ingest.unique_ids(ids, limit=100)) == 100
        with pytest.raises(ValueError, match="at most 99 distinct ids; got 100"):
            ingest.unique_ids(ids, limit=99)
    with pytest.raises(ValueError, match="limit must lie in"):
        ingest.unique_ids(np.arange(3), limit=2**31 - 1)


def test_ids_native_bad_input_raises():
    for bad in (np.ones(2), np.array([True]), [1, 2], None):
        with pytest.raises(TypeError, match="ids must"):
            ingest.unique_ids(bad)
    with pytest.raises(ValueError, match="native byte order"):
        ingest.unique_ids(np.array(["a"], ">U1"))
    with pytest.raises(ValueError, match="C-contiguous"):
        ingest.IdIndex(np.arange(4)[::2])
    with pytest.raises(ValueError, match="1 dimension"):
        ingest.IdIndex(np.array([["a"]]))


def test_ids_map_is_immutable_and_independent():
    source = np.array([4, 5])
    id_map = IdMap(source)
    source[0] = 9
    assert id_map.ids.tolist() == [4, 5]
    with pytest.raises(ValueError, match="read-only"):
        id_map.ids[0] = 1


@pytest.mark.parametrize("ids", [[3, 1], ["b", "a"], [2**63], [2**90, 2]])
def test_ids_map_pickles_and_compares(ids):
    id_map = IdMap(ids)
    again = pickle.loads(pickle.dumps(id_map))
    assert again == id_map
    assert not again.ids.flags.writeable
    assert id_map != IdMap(ids[:-1])
    assert id_map != ids
    assert IdMap([1]) != IdMap(["1"])
    assert IdMap([]) == IdMap(range(0))
    assert IdMap.range(3) == IdMap([0, 1, 2])
    assert repr(IdMap(["a", "b", "c", "d"])) == "IdMap(4 strings: 'a', 'b', 'c', …)"
    assert repr(IdMap([1])) == "IdMap(1 integers: 1)"


@given(st.lists(INT64, unique=True, max_size=20), st.lists(INT64 | CLOSE, unique=True, max_size=20))
def test_ids_extended_keeps_rows_and_appends_what_is_new_in_order(ids, more):
    before = IdMap(ids)
    after = extended(before, IdMap(more).ids, "fit: users")
    assert after.ids.tolist() == ids + [value for value in more if value not in set(ids)]
    assert after.rows(ids).tolist() == list(range(len(ids)))
    assert (after is before) == (set(more) <= set(ids))


def test_ids_extended_by_wider_integers_and_longer_strings():
    assert extended(IdMap([1, -2]), IdMap([2**63, 1]).ids, "x").ids.tolist() == [1, -2, 2**63]
    assert extended(IdMap([2**63]), IdMap([2**90, 5]).ids, "x").ids.tolist() == [2**63, 2**90, 5]
    assert extended(IdMap(["a"]), IdMap(["a longer one", "a"]).ids, "x").ids.tolist() == ["a", "a longer one"]
    with pytest.raises(TypeError, match=r"^fit: users must have ids that are strings, as the model's; got integers"):
        extended(IdMap(["a"]), IdMap([1]).ids, "fit: users")
    with pytest.raises(TypeError, match=r"^fit: users must have ids that are integers, as the model's; got strings"):
        extended(IdMap([2**90]), IdMap(["1"]).ids, "fit: users")
