"""Ratings from Parquet, Arrow and JSON lines, lazy frames and datasets."""

import gzip
import json
import sys

import numpy as np
import pytest

import fastcf
from fastcf.data import detect_format, load_ratings, read_log
from fastcf.data.pairs import read_pairs
from rating_logs import write

pa = pytest.importorskip("pyarrow")
import pyarrow.dataset  # noqa: E402
import pyarrow.feather  # noqa: E402
import pyarrow.parquet  # noqa: E402, F401

COLUMNS = {
    "user_id": pa.array(["u2", "u1", "u1"]),
    "movieId": pa.array([10, 20, 10]),
    "stars": pa.array([3.5, 4.0, 5.0]),
    "timestamp": pa.array([100, 200, 300]),
    "text": pa.array(["a", None, "b"]),
}
TABLE = pa.table(COLUMNS)


def stream(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def lines(table, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


WRITERS = {
    "parquet": lambda table, path: pa.parquet.write_table(table, path),
    "parquet, small groups": lambda table, path: pa.parquet.write_table(table, path, row_group_size=1),
    "feather": lambda table, path: pa.feather.write_feather(table, path),
    "arrow stream": stream,
    "json lines": lines,
    "json lines, gzip": lambda table, path: (lines(table, path), path.write_bytes(gzip.compress(path.read_bytes()))),
}


def assert_loaded(ratings):
    assert ratings.users.ids.tolist() == ["u1", "u2"]
    assert ratings.items.ids.tolist() == [10, 20]
    assert ratings.indptr.tolist() == [0, 2, 3]
    assert ratings.values.tolist() == [5.0, 4.0, 3.5]
    assert ratings.timestamps.tolist() == [300, 200, 100]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["log.parquet", "log"])
def test_named_columns_load_from_every_format(tmp_path, kind, name):
    path = tmp_path / name
    WRITERS[kind](TABLE, path)
    assert_loaded(load_ratings(path))
    log = read_log(path)
    assert log.users.tolist() == ["u2", "u1", "u1"]
    assert log.ratings.dtype == np.float32
    assert read_pairs(path).items.tolist() == [10, 20, 10]
    assert load_ratings(path, timestamp=False).timestamps is None


@pytest.mark.parametrize("kind", WRITERS)
def test_named_columns_are_chosen_by_name_and_position(tmp_path, kind):
    renamed = TABLE.rename_columns(["who", "what", "how", "when", "text"])
    path = tmp_path / "log"
    WRITERS[kind](renamed, path)
    with pytest.raises(
        fastcf.DataError, match=r"which column is the user, .* pass user=, item=, rating= .* 0 'who', 1 'what', "
    ):
        load_ratings(path)
    assert_loaded(load_ratings(path, user="who", item=1, rating="how", timestamp=3))
    with pytest.raises(ValueError, match="rating must name a column of the file"):
        load_ratings(path, user="who", item="what", rating="stars")
    with pytest.raises(ValueError, match=r"item must lie in \[0, 5\), the columns of"):
        load_ratings(path, user="who", item=5, rating="how")
    with pytest.raises(ValueError, match="must be different columns"):
        load_ratings(path, user="who", item="who", rating="how")
    with pytest.raises(ValueError, match="separator must not be given for"):
        load_ratings(path, separator=",")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_folders_of_parquet_and_arrow_files_load(tmp_path, kind):
    ending = {"parquet": "parquet", "feather": "arrow"}[kind]
    for number in range(3):
        folder = tmp_path / f"day=2024-05-0{number + 1}"
        folder.mkdir()
        WRITERS[kind](TABLE.slice(number, 1), folder / f"part-0.{ending}")
    (tmp_path / "_SUCCESS").write_text("")
    assert detect_format(tmp_path).format == ("parquet" if kind == "parquet" else "arrow")
    assert_loaded(load_ratings(tmp_path))
    by_day = load_ratings(tmp_path, user="day", duplicates="mean")
    assert by_day.users.ids.tolist() == ["2024-05-01", "2024-05-02", "2024-05-03"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array(["c", "a", "b"]).dictionary_encode(), ["a", "b", "c"]),
        (pa.array([2**63 + 1, 5, 5], pa.uint64()), [5, 2**63 + 1]),
        (pa.array([-1, 3, 3], pa.int8()), [-1, 3]),
        (pa.array(["", "007", "7"], pa.large_string()), ["", "007", "7"]),
    ],
)
def test_parquet_keeps_the_kind_of_ids(tmp_path, ids, expected):
    pa.parquet.write_table(TABLE.set_column(0, "user", ids), tmp_path / "log")
    assert load_ratings(tmp_path / "log").users.ids.tolist() == expected


def test_parquet_decimals_and_timestamps(tmp_path):
    import datetime

    when = [datetime.datetime(2018, 7, 7, 22, 9, 11, tzinfo=datetime.timezone.utc)] * 3
    table = TABLE.set_column(2, "rating", TABLE["stars"].cast(pa.decimal128(5, 2))).set_column(
        3, "date", pa.array(when)
    )
    pa.parquet.write_table(table, tmp_path / "log")
    assert load_ratings(tmp_path / "log").timestamps.tolist() == [1531001351] * 3


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["x", "y", "z"]), "log: column 'rating' must hold real numbers; got string"),
        (pa.array([1.0, None, 2.0]), "log: column 'rating' must have no nulls; got one at row 1"),
        (pa.array([1.0, np.nan, 2.0]), "log: column 'rating' must be finite; got nan at entry 1"),
        (pa.array([True, False, True]), "log: column 'rating' must hold real numbers; got bool"),
    ],
)
def test_parquet_columns_that_are_no_ratings_are_data_errors(tmp_path, column, message):
    pa.parquet.write_table(TABLE.set_column(2, "rating", column), tmp_path / "log")
    with pytest.raises(fastcf.DataError) as error:
        load_ratings(tmp_path / "log")
    assert message in str(error.value)


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow stream"])
def test_named_files_that_are_damaged_are_data_errors(tmp_path, kind):
    path = tmp_path / "log"
    WRITERS[kind](TABLE, path)
    whole = path.read_bytes()
    for size in (12, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(fastcf.DataError, match="log: "):
            load_ratings(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    pa.parquet.write_table(TABLE, tmp_path / "log")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=r"a Parquet file needs pyarrow, an optional extra: pip install 'fastcf\[arrow"
    ):
        load_ratings(tmp_path / "log")


# ------------------------------------------------------------------------------------------------------- JSON lines


@pytest.mark.parametrize(
    "text",
    [
        '{"reviewerID": "U1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400000000}\n',
        '{"reviewerID":"U1","asin":"B1","overall":5,"unixReviewTime":1400000000,"helpful":[1,2],"n":{"a":null}}',
        '\ufeff\n{"unixReviewTime": 1400000000, "overall": 5.0, "t": "\\"\\n", "asin": "B1", "reviewerID": "U1"}\r\n',
        '{"user": "U1", "item": "B1", "rating": 5, "time": 1400000000, "verified": true}\n\n',
    ],
)
def test_json_lines_are_recognised_by_their_names(tmp_path, text):
    ratings = load_ratings(write(tmp_path, text, "lines.json"))
    assert ratings.users.ids.tolist() == ["U1"]
    assert ratings.items.ids.tolist() == ["B1"]
    assert ratings.values.tolist() == [5.0]
    assert ratings.timestamps.tolist() == [1400000000]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"user": 3, "item": 4, "rating": "x"}', "'rating' must be a number, as in other lines; got 'x'"),
        ('{"user": 3, "item": 4}', "'rating' must be a number, as in other lines; got None"),
        ('{"user": "3", "item": 4, "rating": 1}', "'user' must be an integer of 64 bits, as in other lines; got '3'"),
        ('{"user": true, "item": 4, "rating": 1}', "'user' must be an integer of 64 bits, as in other lines; got True"),
        ('{"user": 1.5, "item": 4, "rating": 1}', "'user' must be an integer of 64 bits, as in other lines; got 1.5"),
        ('{"user": 1, "item": null, "rating": 1}', "'item' must be an integer of 64 bits, as in other lines; got None"),
        ('{"user": 1, "item": 18446744073709551616, "rating": 1}', "'item' must be an integer of 64 bits"),
        ('{"user": 3, "item": 4, "rating": 1', "expected a JSON object: "),
        ("[1, 2, 3]", "expected a JSON object; got list"),
        ("1,2,3", "expected a JSON object: "),
    ],
)
def test_json_lines_that_do_not_fit_are_named(tmp_path, line, problem):
    good = [json.dumps({"user": user, "item": 4, "rating": 1.5}) for user in range(2000)]
    for at in (0, 1500):
        path = write(tmp_path, "\n".join([*good[: at + 1], line, *good[at + 1 :]]), "lines.json")
        with pytest.raises(fastcf.DataError, match=rf"lines\.json:{at + 2}: ") as error:
            load_ratings(path)
        if at:
            assert problem in str(error.value)


def test_json_array_and_unnamed_objects_are_refused(tmp_path):
    with pytest.raises(fastcf.DataError, match="is a JSON array; one object per line is read: jq"):
        load_ratings(write(tmp_path, '[{"user": 1, "item": 2, "rating": 3}]', "array.json"))
    with pytest.raises(fastcf.DataError, match=r"which column is the user, .* by name or number of: 0 'a', 1 'b'"):
        load_ratings(write(tmp_path, '{"a": 1}\n{"b": 2}\n', "names.json"))
    with pytest.raises(fastcf.DataError, match=r"one.json:1: expected a JSON object"):
        load_ratings(write(tmp_path, '{"user": 1,\n "item": 2}', "one.json"))


# ------------------------------------------------------------------------------------------------ headers with types


def test_atomic_files_have_types_in_their_headers(tmp_path):
    text = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tgenre:token_seq\n1\t20\t4.5\t881250949\ta b\n"
    ratings = load_ratings(write(tmp_path, text, "ml.inter"))
    assert (ratings.users.ids.tolist(), ratings.items.ids.tolist()) == ([1], [20])
    assert (ratings.values.tolist(), ratings.timestamps.tolist()) == ([4.5], [881250949])
    only = load_ratings(
        write(tmp_path, "item_id:token\tlabel:float\tuser_id:token\n20\t1\tx\n", "x.inter"), rating="label"
    )
    assert (only.users.ids.tolist(), only.values.tolist()) == (["x"], [1.0])
    spaced = load_ratings(write(tmp_path, "user_id:token,rating:float,item_id:token\nu,3,i\n", "y.inter"))
    assert (spaced.items.ids.tolist(), spaced.timestamps) == (["i"], None)


# ------------------------------------------------------------------------------------------------------- in memory


def test_from_arrow_takes_lazy_frames(tmp_path):
    pl = pytest.importorskip("polars")
    frame = pl.from_arrow(TABLE)
    names = {"user": "user_id", "item": "movieId", "rating": "stars", "timestamp": "timestamp"}
    assert_loaded(fastcf.Ratings.from_arrow(frame.lazy(), **names))
    frame.write_parquet(tmp_path / "log.parquet")
    assert_loaded(fastcf.Ratings.from_arrow(pl.scan_parquet(tmp_path / "log.parquet"), **names))
    positive = frame.lazy().filter(pl.col("stars") > 3.9).with_columns(user="user_id", item="movieId", rating="stars")
    assert fastcf.Ratings.from_arrow(positive).values.tolist() == [5.0, 4.0]
    with pytest.raises(ValueError, match="table must have one column 'user'"):
        fastcf.Ratings.from_arrow(frame.lazy())


def test_from_arrow_takes_datasets(tmp_path):
    pa.parquet.write_table(TABLE.slice(0, 1), tmp_path / "a.parquet")
    pa.parquet.write_table(TABLE.slice(1), tmp_path / "b.parquet")
    names = {"user": "user_id", "item": "movieId", "rating": "stars", "timestamp": "timestamp"}
    dataset = pa.dataset.dataset(tmp_path)
    assert_loaded(fastcf.Ratings.from_arrow(dataset, **names))
    assert_loaded(fastcf.Ratings.from_arrow(dataset.scanner().to_reader(), **names))
    assert_loaded(fastcf.Ratings.from_arrow(pa.dataset.dataset(TABLE), **names))
    with pytest.raises(ValueError, match="table must have one column 'item'"):
        fastcf.Ratings.from_arrow(dataset, user="user_id")
    with pytest.raises(TypeError, match="table must offer __arrow_c_stream__"):
        fastcf.Ratings.from_arrow({"user": [1]})
