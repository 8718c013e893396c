"""Maps between ids and rows, against NumPy's unique and searchsorted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf import IdMap
from fastcf._backend import ingest
from fastcf._id_columns import as_id_column
from fastcf._texts import TextTable
from fastcf.ids import distinct, extended

INT64 = st.integers(-(2**63), 2**63 - 1)
CLOSE = st.integers(-50, 50)
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=5)


def column(ids, n_threads=0):
    return as_id_column(ids, "test: ids", n_threads)


def lookup(ids, query):
    """Return the position of each element of ``query`` in ``ids``, -1 where it is absent."""
    rows = {value: row for row, value in enumerate(ids)}
    return [rows.get(value, -1) for value in query]


@given(st.one_of(st.lists(CLOSE, max_size=40), st.lists(INT64, max_size=40)), st.lists(CLOSE | INT64, max_size=20))
def test_ids_integers_match_numpy(ids, query):
    array = np.array(ids, np.int64)
    id_map = distinct(column(array))
    np.testing.assert_array_equal(id_map.ids, np.unique(array))
    assert id_map.ids.dtype == np.int64
    np.testing.assert_array_equal(id_map.ids[id_map.rows(array)], array)
    assert id_map.rows(ids + query).tolist() == lookup(id_map.ids.tolist(), ids + query)


@given(st.lists(TEXT, max_size=40), st.lists(TEXT, max_size=20))
def test_ids_strings_match_python(ids, query):
    array = np.empty(len(ids), dtype=object)
    array[:] = ids
    held = column(array) if ids else column(np.empty(0, "<U3"))
    id_map = distinct(held)
    assert id_map.ids.tolist() == sorted(set(ids))  # by code point, as UTF-8 bytes are
    assert held.array().tolist() == ids
    assert id_map.kind == "str"
    assert id_map.rows(ids + query).tolist() == lookup(id_map.ids.tolist(), ids + query)


@pytest.mark.parametrize("spread", [1, 3, 10**6 + 3, -(10**9) - 7])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, "<U24"])
@pytest.mark.parametrize("n", [33, 1025, 400_000])
def test_ids_match_numpy_on_any_number_of_threads(n, dtype, spread):
    numbers = np.random.default_rng(n).integers(0, max(n // 3, 1), n) * np.int64(spread)
    ids = (numbers % (2**31 - 1) if dtype == np.int32 else numbers).astype(dtype)
    expected, codes = np.unique(ids, return_inverse=True)
    for n_threads in (1, 2, 4):
        id_map = distinct(column(ids, n_threads), n_threads)
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


@pytest.mark.parametrize("ids", [[5, 2, 9], ["a", "b", "c"], range(3), [2**70, 1, 2]])
def test_ids_row_of_unknown_ids_has_none(ids):
    id_map = IdMap(ids)
    assert [id_map.id_at(row) for row in range(3)] == list(ids)
    for row in (-1, 3):
        with pytest.raises(IndexError, match=rf"IdMap\.id_at: row must lie in \[0, 2\]; got {row}"):
            id_map.id_at(row)


OTHER_KIND = {
    "integers among strings": (["1", "2", "07"], [1, 2, 7, -3], [0, 1, -1, -1]),
    "strings among integers": ([1, -2, 7], ["-2", "7", "0"], [1, 2, -1]),
    "beyond 64 bits": ([2**63, 2**90, 5], ["5", str(2**90), str(2**63)], [2, 1, 0]),
    "integers beyond 64 bits among strings": (["x", str(2**63), str(-(2**70))], [2**63, -(2**70), 1], [1, 2, -1]),
    "NumPy's strings": ([1, 2], np.array(["2", "3"]), [1, -1]),
    "NumPy's small integers": (["1", "2"], np.array([2, 3], np.int8), [1, -1]),
}


@pytest.mark.parametrize("name", OTHER_KIND)
def test_ids_an_integer_and_its_decimal_text_are_the_same(name):
    ids, query, rows = OTHER_KIND[name]
    id_map = IdMap(ids)
    assert id_map.rows(query).tolist() == rows
    assert id_map.rows(IdMap(query)).tolist() == rows
    repeated = np.repeat(np.asarray(query, dtype=None if isinstance(query, np.ndarray) else object), 3)
    assert id_map.rows(repeated).tolist() == np.repeat(rows, 3).tolist()


@pytest.mark.parametrize(
    "text", ["007", "+7", " 7", "7 ", "7.0", "-0", "", "x", "1_000", "٧", "7\0", "0x7", "-", "1e3"]
)
def test_ids_a_text_that_is_no_integer_is_refused_among_integers(text):
    with pytest.raises(TypeError, match=r"IdMap.rows: ids must be integers, .* at entry 2 .*id_type='str'") as error:
        IdMap([7, 1, 1000]).rows(["7", "1", text, text])
    assert f"got {text!r} at entry 2" in str(error.value)
    assert text not in IdMap([7, 1, 1000])


@pytest.mark.parametrize("held", [[7, -1, 2**40], [2**70, 3], ["b", "a", "", "7"], []])
def test_ids_of_a_map_are_its_rows_in_order(held):
    ids = IdMap(np.array(held, dtype=object) if held else np.empty(0, np.int64))
    assert ids.rows(ids).tolist() == list(range(len(held)))
    assert ids.rows(IdMap(ids.ids)).tolist() == list(range(len(held)))  # equal, and another


def test_ids_contains_compares_as_rows_does():
    assert 1 in IdMap([1])
    assert np.int16(1) in IdMap([1])
    assert "1" in IdMap([1])
    assert 1 in IdMap(["1"])
    assert np.str_("1") in IdMap(["1"])
    for other in ("01", 1.0, True, np.True_, None, b"1", "\ud800"):
        assert other not in IdMap([1])
        assert other not in IdMap(["1"])


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
    assert distinct(column(array)) == id_map


def test_ids_beyond_64_bits_are_kept():
    values = [-(2**70), -1, 3, 2**64, 2**90]
    id_map = IdMap(values)
    assert id_map.ids.dtype == object
    assert id_map.rows([2**90, 3, 4, 2**64]).tolist() == [4, 2, -1, 3]
    assert id_map.rows(np.array([3, -1])).tolist() == [2, 1]
    assert 2**90 in id_map
    assert 2**90 not in IdMap([1, 2])
    assert distinct(column(values[::-1] * 2)) == id_map


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i4", "u4", ">i8", "u8", ">U3", object])
def test_ids_any_dtype_is_understood(dtype):
    ids = np.array([3, 1, 2]).astype(dtype)
    expected = ids.tolist()
    assert IdMap(ids).ids.tolist() == expected
    assert IdMap(ids).rows(ids[::-1]).tolist() == [2, 1, 0]
    assert IdMap(np.stack([ids, ids], axis=1)[:, 0]).ids.tolist() == expected  # strided


def objects_of(texts):
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


WORDS = ["a", "bcd", "", "a", "日本語", "é" * 300, "🎬 x", " a", "a ", "ab\0c", "A"]


def test_ids_strings_are_the_same_in_every_array():
    expected = IdMap(sorted(set(WORDS)))
    string_dtype = np.dtypes.StringDType()
    arrays = {
        "objects": objects_of(WORDS),
        "StringDType": np.array(WORDS, dtype=string_dtype),
        "<U": np.array(WORDS),
        ">U": np.array(WORDS).astype(">U300"),
        "NumPy's scalars": objects_of([np.str_(word) for word in WORDS]),
        "every other": np.repeat(objects_of(WORDS), 2)[::2],
        "a column": np.stack([np.array(WORDS)] * 2, axis=1)[:, 1],
        "backwards": np.array(WORDS)[::-1],
    }
    for name, array in arrays.items():
        held = column(array)
        assert held.array().tolist() == (WORDS[::-1] if name == "backwards" else WORDS), name
        assert distinct(held) == expected, name
        assert expected.rows(array).tolist() == lookup(expected.ids.tolist(), array.tolist()), name


def test_ids_long_arrays_of_string_dtype_are_read_in_parts():
    numbers = np.random.default_rng(0).integers(0, 1000, 200_000)
    array = numbers.astype(str).astype(np.dtypes.StringDType())
    expected, codes = np.unique(numbers.astype(str), return_inverse=True)
    held = column(array)
    assert held.ids.tolist() == expected.tolist()
    np.testing.assert_array_equal(held.codes, codes)
    objects = array.astype(object)
    objects[150_000] = None
    with pytest.raises(TypeError, match=r"missing value \(None\) at entry 150000"):
        column(objects.astype(np.dtypes.StringDType(na_object=None)))
    objects[150_000] = "\udc80"
    with pytest.raises(ValueError, match="lone surrogate at entry 150000"):
        column(objects)


def test_ids_of_any_length_take_no_more_than_their_bytes():
    long = "x" * 1_000_000
    ids = objects_of([*map(str, range(100_000)), long])
    id_map = distinct(column(ids))
    assert id_map.column.ids.utf8.nbytes < 2_000_000
    assert id_map.rows([long, long[:-1]]).tolist() == [100_000, -1]
    for n in (254, 255, 256, 257):  # where slots no longer hold the length
        same = ["y" * n, "y" * (n + 1), "y" * (n - 1) + "z"]
        assert IdMap(same).rows(same[::-1]).tolist() == [2, 1, 0]


def test_ids_of_pandas_polars_and_arrow():
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    words = ["b", "ä", "b", "long enough to be no short view"]
    queries = {
        "pandas objects": pd.Series(words, dtype=object),
        "pandas str": pd.Series(words, dtype="str"),
        "pandas string[python]": pd.Series(words, dtype="string[python]"),
        "pandas string[pyarrow]": pd.Series(words, dtype="string[pyarrow]"),
        "pandas ArrowDtype": pd.Series(words, dtype=pd.ArrowDtype(pa.large_string())),
        "pandas categories": pd.Series(pd.Categorical(words, categories=[*words[1:], "unused"])),
        "pandas index": pd.Index(words),
        "pandas categorical": pd.Categorical(words),
        "Polars": pl.Series(words),
        "Polars categories": pl.Series(words, dtype=pl.Categorical),
        "Arrow": pa.array(words),
        "Arrow views": pa.array(words, pa.string_view()),
        "Arrow chunks": pa.chunked_array([words[:1], words[1:]]),
        "Arrow slice": pa.array(["x", *words, "y"])[1:5],
        "Arrow dictionary": pa.array(words).dictionary_encode(),
    }
    id_map = IdMap(["ä", words[3], "b"])
    for name, query in queries.items():
        assert id_map.rows(query).tolist() == [2, 0, 2, 1], name
        assert distinct(column(query)).ids.tolist() == sorted(set(words)), name
    numbers = {
        "pandas": pd.Series([3, 1, 3]),
        "pandas Int64": pd.Series([3, 1, 3], dtype="Int64"),
        "pandas uint8": pd.Series([3, 1, 3], dtype="uint8"),
        "pandas categories": pd.Series(pd.Categorical([3, 1, 3])),
        "Polars": pl.Series([3, 1, 3], dtype=pl.UInt16),
        "Arrow": pa.array([3, 1, 3]),
        "Arrow dictionary": pa.array([3, 1, 3]).dictionary_encode(),
        "range": range(3, -1, -2),
    }
    for name, query in numbers.items():
        assert IdMap([1, 3]).rows(query).tolist()[:2] == [1, 0], name
        assert column(query).kind == "int", name
    missing = {
        "pandas": pd.Series([10, 11, None]),
        "pandas Int64": pd.Series([10, 11, None], dtype="Int64"),
        "pandas str": pd.Series(["a", "b", None]),
        "pandas objects": pd.Series(["a", "b", np.nan], dtype=object),
        "pandas NA": pd.Series(["a", "b", pd.NA], dtype=object),
        "pandas categories": pd.Series(pd.Categorical(["a", "b", None])),
        "Polars": pl.Series(["a", "b", None]),
        "Arrow": pa.array([1, 2, None]),
        "list": ["a", "b", None],
    }
    for ids in missing.values():
        with pytest.raises((TypeError, ValueError), match=r"test: ids .*(missing value|null).* (entry|row) 2"):
            column(ids)


BAD = {
    "floats": ([1.0, 2.0], TypeError, "got 1.0 at entry 0"),
    "float array": (np.ones(2), TypeError, r"must be integers or strings; got dtype float64; convert .*int64"),
    "missing float": (np.array([1, np.nan]), TypeError, r"missing value \(nan\) at entry 1 of dtype float64"),
    "missing date": (np.array(["NaT"], "M8[s]"), TypeError, r"missing value \(NaT\) at entry 0"),
    "list of bytes": ([b"a"], TypeError, r"got b'a' at entry 0; decode"),
    "surrogate": (["a", "b\udc80"], ValueError, "ids must be Unicode text; got a lone surrogate at entry 1"),
    "surrogates": (np.array(["a", "\ud800"]), ValueError, "ids must be Unicode text; got a lone surrogate at entry 1"),
    "booleans": (np.array([True]), TypeError, "got dtype bool"),
    "list of booleans": ([1, True], TypeError, "got True at entry 1"),
    "bytes": (np.array([b"a"]), TypeError, r"got dtype \|S1; decode"),
    "missing": (["a", None], TypeError, r"got a missing value \(None\) at entry 1"),
    "nan": (np.array(["a", np.nan], dtype=object), TypeError, r"missing value \(nan\) at entry 1"),
    "mixed": ([1, "a"], TypeError, "got both: 1 at entry 0 and 'a' at entry 1"),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), TypeError, r"missing value \(masked\) at entry 1"),
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
    for ids in (np.arange(100), np.arange(100, dtype=np.int32), np.arange(100) * 10**12):
        assert len(ingest.unique_ids(ids, limit=100)) == 100
        with pytest.raises(ValueError, match="at most 99 distinct ids; got 100"):
            ingest.unique_ids(ids, limit=99)
    with pytest.raises(ValueError, match="limit must lie in"):
        ingest.unique_ids(np.arange(3), limit=2**31 - 1)


def test_ids_native_bad_input_raises():
    for bad in (np.ones(2), np.array([True]), [1, 2], None):
        with pytest.raises(TypeError, match="ids must"):
            ingest.unique_ids(bad)
    with pytest.raises(ValueError, match="C-contiguous"):
        ingest.IdIndex(np.arange(4)[::2])
    with pytest.raises(ValueError, match="native byte order"):
        ingest.encode_texts(np.array(["a"], ">U1"))
    with pytest.raises(ValueError, match="1 dimension"):
        ingest.encode_texts(np.array([["a"]]))
    for bad in (np.array([1]), np.array([b"a"]), ["a"]):
        with pytest.raises(ValueError, match="encode_texts: texts must"):
            ingest.encode_texts(bad)
    with pytest.raises(TypeError, match="something else at entry 1"):
        ingest.encode_texts(np.array(["a", 1], dtype=object))


TABLES_BAD = {
    "no offsets": ([], [], "at least one entry"),
    "begins late": ([97], [1, 1], "must lead from 0 to 1"),
    "ends early": ([97], [0, 0], "must lead from 0 to 1"),
    "ends late": ([97], [0, 2], "must lead from 0 to 1"),
    "descends": ([97, 97], [0, 2, 1, 2], "must ascend; got 1 after 2"),
    "far away": ([97], [0, 2**62, 1], "must ascend; got 1 after"),
    "negative": ([97], [0, -5, 1], "must ascend; got -5 after 0"),
    "no UTF-8": ([97, 0xFF], [0, 1, 2], "must be UTF-8; entry 1 is not"),
    "cut": ([0xE2, 0x82], [0, 2], "must be UTF-8; entry 0 is not"),
    "cut by offsets": ([0xC3, 0xA9], [0, 1, 2], "must be UTF-8; entry 0 is not"),
    "overlong": ([0xC0, 0x80], [0, 2], "must be UTF-8"),
    "surrogate": ([0xED, 0xA0, 0x80], [0, 3], "must be UTF-8"),
    "beyond": ([0xF4, 0x90, 0x80, 0x80], [0, 4], "must be UTF-8"),
}


@pytest.mark.parametrize("name", TABLES_BAD)
def test_ids_damaged_tables_are_refused(name):
    utf8, offsets, message = TABLES_BAD[name]
    arrays = np.array(utf8, np.uint8), np.array(offsets, np.int64)
    with pytest.raises(ValueError, match=message):
        TextTable.checked(*arrays)
    if "UTF-8" not in message:
        for function in (ingest.TextIndex, ingest.list_texts, ingest.first_not_integer):
            with pytest.raises(ValueError, match=message):
                function(*arrays)
    good = TextTable.of(["a", "bc"])
    with pytest.raises(ValueError, match=r"rows must lie in \[0, 2\); got 2"):
        good.take(np.array([2]))


@given(st.lists(st.lists(TEXT, max_size=20), max_size=4))
def test_ids_tables_are_united_in_order(tables):
    utf8, offsets, positions = ingest.unite_texts([TextTable.of(texts).pair for texts in tables])
    united = TextTable(utf8, offsets).tolist()
    assert united == sorted({text for texts in tables for text in texts})
    for texts, places in zip(tables, positions, strict=True):
        assert [united[place] for place in places] == texts


def test_ids_map_is_immutable_and_independent():
    source = np.array([4, 5])
    id_map = IdMap(source)
    source[0] = 9
    assert id_map.ids.tolist() == [4, 5]
    with pytest.raises(ValueError, match="read-only"):
        id_map.ids[0] = 1


@pytest.mark.parametrize("ids", [[3, 1], ["b", "a"], ["é", "日本", ""], [2**63], [2**90, 2]])
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
    after = extended(before, IdMap(more), "fit: users")
    assert after.ids.tolist() == ids + [value for value in more if value not in set(ids)]
    assert after.rows(ids).tolist() == list(range(len(ids)))
    assert (after is before) == (set(more) <= set(ids))


def test_ids_extended_by_wider_integers_and_longer_strings():
    assert extended(IdMap([1, -2]), IdMap([2**63, 1]), "x").ids.tolist() == [1, -2, 2**63]
    assert extended(IdMap([2**63 + 1, 2**63 + 2]), IdMap([5]), "x").ids.tolist() == [2**63 + 1, 2**63 + 2, 5]
    assert extended(IdMap([2**63]), IdMap([2**90, 5]), "x").ids.tolist() == [2**63, 2**90, 5]
    assert extended(IdMap(["a"]), IdMap(["a longer one", "a"]), "x").ids.tolist() == ["a", "a longer one"]


def test_ids_extended_by_the_other_kind():
    assert extended(IdMap(["a", "1"]), IdMap([2, 1]), "x").ids.tolist() == ["a", "1", "2"]
    assert extended(IdMap([2**90, 1]), IdMap(["1", "7"]), "x").ids.tolist() == [2**90, 1, 7]
    with pytest.raises(TypeError, match=r"^fit: users must be integers, .* got '01' at entry 1 .*id_type='str'"):
        extended(IdMap([1]), IdMap(["1", "01"]), "fit: users")
