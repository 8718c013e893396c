"""Ratings from Arrow tables and streams: pyarrow, pandas, Polars, DuckDB."""

from __future__ import annotations

import decimal
import sys

import numpy as np
import pytest

from fastcf import IdMap, Ratings
from fastcf.data import load_events

pa = pytest.importorskip("pyarrow")


def arrow_columns(users, items):
    return {"user": users, "item": items, "rating": pa.array([1.0, 2.0, 3.0]), "time": pa.array([5, 6, 7])}


ARROW_IDS = {
    "int64": pa.array([3, 1, 3]),
    "uint8": pa.array([3, 1, 3], pa.uint8()),
    "string": pa.array(["c", "a", "c"]),
    "large_string": pa.array(["c", "a", "c"], pa.large_string()),
    "dictionary": pa.array(["c", "a", "c"]).dictionary_encode(),
    "integer dictionary": pa.array([3, 1, 3]).dictionary_encode(),
    "unused categories": pa.DictionaryArray.from_arrays(pa.array([2, 1, 2]), pa.array(["z", "a", "c"])),
}


@pytest.mark.parametrize("user_kind", ARROW_IDS)
@pytest.mark.parametrize("item_kind", ["int64", "dictionary"])
def test_ratings_from_arrow_reads_every_kind_of_ids(user_kind, item_kind):
    items = pa.array([10, 10, 20]) if item_kind == "int64" else pa.array(["x", "x", "y"]).dictionary_encode()
    table = pa.table(arrow_columns(ARROW_IDS[user_kind], items))
    table = pa.concat_tables([table.slice(0, 2), table.slice(2)])  # two chunks
    ratings = Ratings.from_arrow(table, timestamp="time")
    assert ratings.users.ids.tolist() == ([1, 3] if "int" in user_kind else ["a", "c"])
    assert ratings.items.ids.tolist() == ([10, 20] if item_kind == "int64" else ["x", "y"])
    assert ratings.indptr.tolist() == [0, 1, 3]
    assert ratings.values.tolist() == [2, 1, 3]
    assert ratings.timestamps.tolist() == [6, 5, 7]
    known = Ratings.from_arrow(table, user_ids=ratings.users, item_ids=ratings.items)
    assert known.users is ratings.users
    np.testing.assert_array_equal(known.indices, ratings.indices)
    other = IdMap([3]) if "int" in user_kind else IdMap(["c"])
    with pytest.raises(ValueError, match=r"users must be known ids; got (1|a) at entry 1"):
        Ratings.from_arrow(table, user_ids=other)


def test_ratings_from_arrow_reads_streams_and_renamed_columns():
    table = pa.table(
        {"u": [1, 2], "i": ["a", "b"], "r": pa.array([1, 2], pa.int8()), "w": [0.5, 1.5], "x": [None, None]}
    )
    ratings = Ratings.from_arrow(table.to_reader(), "u", "i", "r", weight="w")
    assert ratings.values.tolist() == [1, 2]
    assert ratings.weights.tolist() == [0.5, 1.5]


def test_ratings_from_arrow_reads_dates_and_decimals():
    import datetime

    table = pa.table(
        {
            "user": [1, 2],
            "item": [1, 2],
            "rating": pa.array([1, 2]).cast(pa.decimal128(21, 2)),
            "day": pa.array([datetime.date(1970, 1, 2)] * 2),
            "moment": pa.array([datetime.datetime(1970, 1, 1, 0, 0, 9)] * 2, pa.timestamp("us", "UTC")),
        }
    )
    ratings = Ratings.from_arrow(table, timestamp="day")
    assert ratings.values.tolist() == [1, 2]
    assert ratings.timestamps.tolist() == [86400, 86400]
    assert Ratings.from_arrow(table, timestamp="moment").timestamps.tolist() == [9, 9]


def test_ratings_from_arrow_reads_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"user": ["b", "a"], "item": pd.Categorical(["y", "x"]), "rating": [1.5, 2.5]})
    ratings = Ratings.from_arrow(frame)
    assert ratings.users.ids.tolist() == ["a", "b"]
    assert ratings.items.ids.tolist() == ["x", "y"]
    assert Ratings.from_coo(frame["user"], frame["item"].astype(str), frame["rating"]).values.tolist() == [2.5, 1.5]


def test_ratings_from_arrow_reads_polars():
    pl = pytest.importorskip("polars")
    items = pl.Series(["y", "x"], dtype=pl.Categorical)
    ratings = Ratings.from_arrow(pl.DataFrame({"user": ["b", "a"], "item": items, "rating": [1.5, 2.5]}))
    assert ratings.users.ids.tolist() == ["a", "b"]
    assert ratings.items.ids.tolist() == ["x", "y"]


def test_ratings_from_arrow_reads_duckdb():
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql("select * from (values (7, 'x', 2.5), (3, 'y', 1.5)) as t(u, item, rating)")
    assert Ratings.from_arrow(relation, user="u").users.ids.tolist() == [3, 7]


ARROW_BAD = {
    "null user": ({"user": pa.array([1, None, 2])}, ValueError, "column 'user' must have no nulls; got one at row 1"),
    "null rating": ({"rating": pa.array([1.0, 2.0, None])}, ValueError, "column 'rating' must have no nulls; .* row 2"),
    "null category": (
        {"item": pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", None]))},
        ValueError,
        "column 'item' must have no nulls; got one at row 2",
    ),
    "float user": (
        {"user": pa.array([1.0, 2.0, 3.0])},
        TypeError,
        "column 'user' must hold integers or strings; got double",
    ),
    "bool item": ({"item": pa.array([True] * 3)}, TypeError, "column 'item' must hold integers or strings; got bool"),
    "text rating": ({"rating": pa.array(["1"] * 3)}, TypeError, "column 'rating' must hold real numbers; got string"),
    "bool rating": ({"rating": pa.array([True] * 3)}, TypeError, "column 'rating' must hold real numbers; got bool"),
    "nan": ({"rating": pa.array([1, np.nan, 1])}, ValueError, "column 'rating' must be finite; got nan at entry 1"),
    "bytes time": ({"time": pa.array([b"1"] * 3)}, TypeError, "column 'time' must hold numbers, dates, timestamps or"),
    "text time": ({"time": pa.array(["1", "now", "2"])}, ValueError, "got 'now' at entry 1"),
}


@pytest.mark.parametrize("name", ARROW_BAD)
def test_ratings_from_arrow_bad_input_raises(name):
    columns = arrow_columns(pa.array([1, 2, 3]), pa.array(["a", "b", "c"]))
    change, error, message = ARROW_BAD[name]
    with pytest.raises(error, match=message):
        Ratings.from_arrow(pa.table(columns | change), timestamp="time")


def test_ratings_from_arrow_missing_column_raises():
    with pytest.raises(ValueError, match="must have one column 'item'; it has 'user', 'movie'"):
        Ratings.from_arrow(pa.table({"user": [1], "movie": [1]}))
    with pytest.raises(TypeError, match=r"table must offer __arrow_c_stream__ .*; got dict"):
        Ratings.from_arrow({"user": [1]})
    with pytest.raises(ValueError, match="must not be empty"):
        Ratings.from_arrow(
            pa.table(
                {
                    "user": pa.array([], pa.string()),
                    "item": pa.array([], pa.int64()),
                    "rating": pa.array([], pa.float32()),
                }
            )
        )


def test_ratings_from_arrow_without_pyarrow_says_what_to_install(monkeypatch):
    table = pa.table({"user": [1], "item": [1], "rating": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'fastcf\[arrow\]'"):
        Ratings.from_arrow(table)


def test_ratings_from_arrow_ids_that_databases_hold_as_decimals():
    column = {"user": pa.array([decimal.Decimal(3), decimal.Decimal(-1)]), "item": [1, 2], "rating": [1.0, 2.0]}
    assert Ratings.from_arrow(pa.table(column)).users.ids.tolist() == [-1, 3]
    wide = pa.array([decimal.Decimal(2**80), decimal.Decimal(5)], pa.decimal256(40, 0))
    assert Ratings.from_arrow(pa.table(column | {"user": wide})).users.ids.tolist() == [5, 2**80]
    with pytest.raises(
        TypeError, match=r"column 'user' must hold integers or strings; got decimal128\(2, 1\); cast it"
    ):
        Ratings.from_arrow(pa.table(column | {"user": pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.5")])}))


def test_ratings_from_arrow_dictionaries_of_ratings_and_times():
    times = pa.array([5, 7]).dictionary_encode()
    columns = {"user": [1, 2], "item": [1, 2], "rating": pa.array([4.5, 3]).dictionary_encode(), "time": times}
    ratings = Ratings.from_arrow(pa.table(columns), timestamp="time")
    assert ratings.values.tolist() == [4.5, 3]
    assert ratings.timestamps.tolist() == [5, 7]


@pytest.mark.parametrize("read", [Ratings.from_arrow, load_events])
@pytest.mark.parametrize(
    "make",
    [
        lambda pd: pd.DataFrame({"user": [1, "b"], "item": [1, 2], "rating": [1, 2]}),
        lambda pd: pd.DataFrame([[1, 2, 3, 4]], columns=["user", "item", "rating", "rating"]),
        lambda pd: pd.Series([1, 2]),
    ],
)
def test_tables_that_are_no_arrow_data_are_errors_of_the_caller(read, make):
    caller = "load_events" if read is load_events else "Ratings.from_arrow"
    with pytest.raises(ValueError, match=f"^{caller}: the table cannot be read as Arrow data: .*; pass a table of the"):
        read(make(pytest.importorskip("pandas")))


@pytest.mark.parametrize("read", [lambda table: Ratings.from_arrow(table, rating="stars"), load_events])
def test_all_kinds_of_tables_are_taken_alike(read):
    """The same from a table, a stream of batches, a lazy frame, and a dataset; names are those of the whole table."""
    pl = pytest.importorskip("polars")
    dataset = pytest.importorskip("pyarrow.dataset")
    table = pa.table({"user": ["a", "a", "b"], "item": [1, 2, 1], "stars": [1.0, 1.0, 1.0], "note": ["x", "y", "z"]})
    kinds = [table, table.to_reader(1), pl.DataFrame(table).lazy(), dataset.dataset(table), pl.DataFrame(table)]
    for kind in kinds:
        columns = (column.tolist() for column in read(kind).to_coo())
        assert list(zip(*columns, strict=True)) == [("a", 1, 1), ("a", 2, 1), ("b", 1, 1)]
    nameless = table.rename_columns(["user", "thing", "stars", "note"])
    for kind in (nameless, pl.DataFrame(nameless).lazy(), dataset.dataset(nameless)):
        with pytest.raises(ValueError, match=r"'user'.*'thing'.*'stars'.*'note'"):
            read(kind)
