"""Event logs in delimited text: columns, slices of a file, ids of either kind, times, durations, malformed lines."""

from __future__ import annotations

import datetime
import gzip
import zipfile

import numpy as np
import pytest

import fastcf
from fastcf import DataError
from fastcf.data import event_text, load_events, load_ratings

DAY = 86_400


def write(folder, text, name="log.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def entries(ratings):
    users, items, values = ratings.to_coo()
    times = [None] * values.size if ratings.timestamps is None else ratings.timestamps.tolist()
    return {
        (user, item): value if time is None else (value, time)
        for user, item, value, time in zip(users.tolist(), items.tolist(), values.tolist(), times, strict=True)
    }


@pytest.fixture(params=[None, 40])
def sliced(request, monkeypatch):
    """Files as a whole, and in slices of a few lines."""
    if request.param is not None:
        monkeypatch.setattr(event_text, "SLICE_BYTES", request.param)


def test_text_with_a_header_of_known_names(tmp_path, sliced):
    path = write(tmp_path, "userid,itemid,actiontype,timestamp\n1,10,view,1433221332\n1,11,buy,1433221333\n")
    ratings = load_events(path, weights={"view": 1, "buy": 5})
    assert entries(ratings) == {(1, 10): (1, 1433221332), (1, 11): (5, 1433221333)}
    named = load_events(path, event="actiontype", weights={"view": 2}, ignore="buy")
    assert entries(named) == {(1, 10): (2, 1433221332)}
    assert entries(load_events(path, event=False, timestamp=False)) == {(1, 10): 1, (1, 11): 1}
    with pytest.raises(DataError, match=r"log.csv: column 'actiontype': events without a meaning: 'buy' \(1\), 'view'"):
        load_events(path)


def test_text_of_pairs_and_of_views(tmp_path):
    assert entries(load_events(write(tmp_path, "userid,itemid\n1,10\n1,10\n"))) == {(1, 10): 2}
    views = write(tmp_path, "1,10,1433221332\n2,10,1433221333\n1,10,1433221339\n")
    expected = {(1, 10): (2, 1433221339), (2, 10): (1, 1433221333)}
    assert entries(load_events(views, user=0, item=1, timestamp=2)) == expected
    with pytest.raises(DataError, match=r"log.csv: .*pass user=, item= by name or number of: 0 \(1\), 1 \(10\), 2"):
        load_events(views)
    shop = write(tmp_path, "1;10;view;2024-05-01\n1;10;buy;2024-05-03T00:00:00Z\n")
    ratings = load_events(shop, user=0, item=1, event=2, timestamp=3, weights={"view": 1, "buy": 5}, half_life="1d")
    assert entries(ratings) == {(1, 10): (5.25, 1714694400)}


def test_text_of_strings_and_integers(tmp_path, sliced):
    path = write(tmp_path, "user\titem\tevent\n007\t1\tview\nann\t1\tview\n7\t22\tview\n007\t1\tview\n")
    ratings = load_events(path, weights={"view": 1})
    assert entries(ratings) == {("007", 1): 2, ("7", 22): 1, ("ann", 1): 1}


def test_text_whose_ids_turn_out_to_be_strings_in_a_later_slice(tmp_path, monkeypatch):
    lines = [f"{i % 50},{i % 7}" for i in range(400)] + ["x1,3", "49,3"]
    path = write(tmp_path, "\n".join(["user,item", *lines, ""]))
    whole = load_events(path)
    assert isinstance(whole.users.ids[0], str)
    assert whole.items.ids.dtype == np.int64
    monkeypatch.setattr(event_text, "SLICE_BYTES", 300)
    assert entries(load_events(path)) == entries(whole)
    huge = write(tmp_path, "\n".join(["user,item", *lines[:-2], "9223372036854775808,3", ""]))
    ratings = load_events(huge)
    assert str(2**63) in map(str, ratings.users.ids.tolist())
    assert ratings.values.sum() == 401


def test_text_in_slices_equals_the_whole(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = zip(
        rng.integers(0, 90, 3000), rng.integers(0, 40, 3000), rng.choice(["view", "buy", "shown"], 3000),
        rng.integers(0, 10**9, 3000), rng.integers(0, 60, 3000), strict=True,
    )  # fmt: skip
    text = "user,item,event,timestamp,seconds\n" + "".join(f"u{a},{b},{c},{d},{e}\n" for a, b, c, d, e in rows)
    path = write(tmp_path, text)
    options = {
        "weights": {"view": 1, "buy": 5}, "exposure": "shown", "half_life": "90d", "duration": "seconds",
        "min_duration": "10s",
    }  # fmt: skip
    whole = load_events(path, **options)
    import pandas as pd

    table = load_events(pd.read_csv(path), **options)
    assert entries(table) == entries(whole)
    for size in (100, 1000, 7777):
        monkeypatch.setattr(event_text, "SLICE_BYTES", size)
        for threads in (1, 3):
            part = load_events(path, n_threads=threads, **options)
            assert part.users == whole.users
            np.testing.assert_array_equal(part.values, whole.values)
            np.testing.assert_array_equal(part.timestamps, whole.timestamps)
    packed = write(tmp_path, gzip.compress(text.encode()), "log.csv.gz")
    assert entries(load_events(packed, **options)) == entries(whole)


def test_text_with_fields_that_span_lines(tmp_path, sliced):
    rows = 'u1,1,view,"good\nfood"\nu1,1,view,ok\n"u\n2",1,buy,"a ""b""\n\nc"\nu1,2,buy,x\n'
    path = write(tmp_path, "user,item,event,note\n" + rows)
    ratings = load_events(path, weights={"view": 1, "buy": 5})
    assert entries(ratings) == {("u\n2", 1): 5, ("u1", 1): 2, ("u1", 2): 5}


def test_text_of_other_encodings_with_quotes_and_comments(tmp_path):
    text = '# made\n"User";"Item";"Event"\n"é";"1";"gesehen"\n# more\n"é";"1";"gekauft"\n'
    path = write(tmp_path, text.encode("cp1252"))
    ratings = load_events(path, encoding="cp1252", comment="#", weights={"gesehen": 1, "gekauft": 2})
    assert entries(ratings) == {("é", 1): 3}


def test_text_of_durations_that_are_not_known(tmp_path, sliced):
    path = write(tmp_path, "user,item,event,length\n1,1,play,5\n1,2,play,31.5\n2,1,buy,\n2,2,shown,\n2,3,shown,60\n")
    ratings = load_events(path, weights={"play": 1, "buy": 9}, exposure="shown", duration="length", min_duration=30)
    assert entries(ratings) == {(1, 1): 0, (1, 2): 1, (2, 1): 9, (2, 2): 0, (2, 3): 1}
    alone = write(tmp_path, "user,item,length\n1,1,40\n1,2,\n")
    with pytest.raises(DataError, match=r"log.csv: .*length"):
        load_events(alone, duration="length", min_duration=30)


@pytest.mark.parametrize(
    ("times", "unit", "seconds"),
    [
        (["1600000000", "1600086400"], "auto", 1_600_086_400),
        (["1600000000000", "1600086400000"], "auto", 1_600_086_400),
        (["2020-09-13 12:26:40", "2020-09-14 12:26:40"], "auto", 1_600_086_400),
        (["2020-09-13T12:26:40.5Z", "2020-09-14T14:26:40.5+02:00"], "auto", 1_600_086_400),
        (["20200913", "20200914"], "date", 1_600_041_600),
        (["16", "86416"], "s", 86_416),
    ],
)
def test_text_of_times(tmp_path, times, unit, seconds, sliced):
    path = write(tmp_path, "user,item,time\n" + "".join(f"1,1,{time}\n" for time in times))
    ratings = load_events(path, half_life="1d", time_unit=unit)
    assert entries(ratings) == {(1, 1): (1.5, seconds)}


def test_text_of_times_of_two_units_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, "user,item,time\n" + "1,1,1600000000\n" * 20 + "1,1,1600000000000\n" * 20)
    with pytest.raises(DataError, match=r"log.csv: timestamps must be of one unit"):
        load_events(path, half_life="1d")
    monkeypatch.setattr(event_text, "SLICE_BYTES", 150)
    with pytest.raises(DataError, match=r"log.csv: timestamps must be of one unit"):
        load_events(path, half_life="1d")


def test_text_that_is_malformed(tmp_path, sliced):
    lines = ["user,item,event", *["1,2,view"] * 30, "1,2", *["1,2,view"] * 3, ",2,view", "1,2,view", ""]
    path = write(tmp_path, "\n".join(lines))
    with pytest.raises(DataError, match=r"log.csv:32: expected 3 fields"):
        load_events(path, weights={"view": 1})
    with pytest.warns(UserWarning, match=r"log.csv: 2 malformed lines were left out.* line 32: .* line 36: "):
        ratings = load_events(path, weights={"view": 1}, on_bad_lines="warn")
    assert entries(ratings) == {(1, 2): 34}
    assert entries(load_events(path, weights={"view": 1}, on_bad_lines="skip")) == {(1, 2): 34}
    mixed = [*lines[:-1], "1,2,", "1,3,view", ""]
    path = write(tmp_path, "\n".join(mixed))
    assert entries(load_events(path, weights={"view": 1}, on_bad_lines="skip")) == {(1, 2): 34, (1, 3): 1}
    path = write(tmp_path, "\n".join([*mixed[:-1], '"1",2,view', ""]))
    with pytest.raises(DataError, match="cannot be told apart where fields are quoted"):
        load_events(path, weights={"view": 1}, on_bad_lines="skip")
    path = write(tmp_path, "\n".join([*lines[:32], '"1",2,view', ""]))  # malformed for any column
    assert entries(load_events(path, weights={"view": 1}, on_bad_lines="skip")) == {(1, 2): 31}
    with pytest.raises(DataError, match=r"log.csv:2: .* must not be empty"):
        load_events(write(tmp_path, "user,item,event\n1,2,\n"), weights={"view": 1})


def test_text_without_events(tmp_path):
    with pytest.raises(DataError, match=r"log.csv: the file is empty"):
        load_events(write(tmp_path, ""))
    with pytest.raises(DataError, match=r"log.csv: there must be events; got none"):
        load_events(write(tmp_path, "user,item\n"))
    with pytest.raises(FileNotFoundError):
        load_events(tmp_path / "none.csv")


def test_text_options_are_refused_elsewhere(tmp_path):
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="separator must not be given for tables"):
        load_events(pa.table({"user": [1], "item": [1]}), separator=";")
    with pytest.raises(ValueError, match="user must name a column of the file"):
        load_events(write(tmp_path, "user,item\n1,2\n"), user="who")


def test_text_trains_models_of_lists(tmp_path):
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 60, 4000), rng.integers(0, 30, 4000)
    names = np.where(users % 3 == items % 3, "click", "shown")
    text = "".join(f"u{a},{b},{c}\n" for a, b, c in zip(users, items, names, strict=True))
    path = write(tmp_path, "user,item,event\n" + text)
    ratings = load_events(path, weights={"click": 1}, exposure="shown")
    lists = fastcf.LinearAutoencoder().fit(ratings).recommend(["u0", "u1", "u2"], 5, exclude_seen=False).items
    assert (np.asarray(lists) % 3 == [[0], [1], [2]]).all()


# ----------------------------------------------------------------------------------------------- what is easily misread


def _triples(ratings):
    return list(zip(*(column.tolist() for column in ratings.to_coo()), strict=True))


@pytest.mark.parametrize("form", ["text", "table"])
def test_ids_of_event_logs_have_the_type_that_is_asked_for(tmp_path, form):
    pa = pytest.importorskip("pyarrow")

    def log(users, items):
        if form == "table":
            return pa.table({"user": users, "item": items})
        return write(tmp_path, "user,item\n" + "".join(f"{u},{i}\n" for u, i in zip(users, items, strict=True)))

    assert _triples(load_events(log([1, 2], ["7", "8"]), id_type=("str", "int"))) == [("1", 7, 1.0), ("2", 8, 1.0)]
    assert _triples(load_events(log([1, 2], [7, 8]), id_type="str")) == [("1", "7", 1.0), ("2", "8", 1.0)]
    assert load_events(log(["1", str(2**70)], ["7", "8"]), id_type="int").users.ids.tolist() == [1, 2**70]
    with pytest.raises(fastcf.DataError, match=r"must be .*integers?.*; got 'x'"):
        load_events(log([1, 2], ["7", "x"]), id_type=("auto", "int"))
    with pytest.raises(ValueError, match="id_type must be 'auto', 'int' or 'str'"):
        load_events(log([1, 2], [7, 8]), id_type="text")


def test_folders_of_ratings_are_read_as_events_or_refused(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,5,10\n1,3,4,20\n")
    assert _triples(load_events(tmp_path)) == [(1, 2, 1.0), (1, 3, 1.0)]
    (tmp_path / "one" / "training_set").mkdir(parents=True)
    (tmp_path / "one" / "training_set" / "mv_0000001.txt").write_text("1:\n7,3,2005-09-06\n")
    with pytest.raises(fastcf.DataError, match=r"holds ratings, not events \(netflix\); load_ratings reads it"):
        load_events(tmp_path / "one")
    load_ratings(tmp_path / "ratings.csv").save(tmp_path / "saved")
    with pytest.raises(fastcf.DataError, match="holds ratings, not events"):
        load_events(tmp_path / "saved")


def test_messages_call_columns_what_they_are(tmp_path):
    path = write(tmp_path, "user,item,event,seconds\n1,2,,5\n")
    with pytest.raises(fastcf.DataError, match=":2: event must not be empty"):
        load_events(path, weights={"view": 1})
    path = write(tmp_path, "user,item,seconds\n1,2,00:05\n")
    with pytest.raises(fastcf.DataError, match=":2: duration must be a number; got '00:05'"):
        load_events(path, duration="seconds", min_duration=3)


@pytest.mark.parametrize(
    ("now", "unit", "seconds"),
    [
        (1_400_086_400_000, "auto", 1_400_086_400),
        (1_400_086_400_000, "ms", 1_400_086_400),
        (1_400_086_400, "s", 1_400_086_400),
        ("2014-05-14T16:53:20Z", "ms", 1_400_086_400),
        (datetime.datetime(2014, 5, 14, 16, 53, 20), "auto", 1_400_086_400),
    ],
)
def test_now_is_of_the_unit_of_the_times(tmp_path, now, unit, seconds):
    scale = 1000 if unit == "ms" else 1
    path = write(tmp_path, f"user,item,time\n1,2,{1_400_000_000 * scale}\n")
    ratings = load_events(path, half_life="1d", now=now, time_unit=unit)
    assert ratings.values.tolist() == [0.5 ** ((seconds - 1_400_000_000) / 86_400)]


def test_now_may_be_a_day_written_as_a_number(tmp_path):
    path = write(tmp_path, "user,item,day\n1,2,20200101\n")
    options = {"timestamp": "day", "time_unit": "date", "half_life": "1d"}
    assert load_events(path, now=20200103, **options).values.tolist() == [0.25]
    with pytest.raises(ValueError, match="now: timestamps such as 20200103 may be dates"):
        load_events(path, timestamp="day", half_life="1d", now=20200103)


def test_latest_events_in_the_future_do_not_make_all_others_vanish(tmp_path):
    path = write(tmp_path, "user,item,time\n1,2,1400000000\n1,3,4102444800\n")
    with pytest.raises(ValueError, match=r"at 4102444800 \(2100-01-01\), lies in the future.*or pass now=4102444800"):
        load_events(path, half_life="30d")
    assert load_events(path, half_life="30d", now=4102444800).values[1] == 1
    assert load_events(path).timestamps.tolist() == [1400000000, 4102444800]


def test_json_lines_of_events_are_read_as_those_of_ratings(tmp_path):
    pytest.importorskip("pyarrow")
    rows = ['{"user": 9223372036854775808, "item": 1, "event": "view", "other": {"a": 1}, "s": null}']
    rows += ['{"user": 5, "item": 1, "event": "view", "other": 3, "s": 2.5}']
    path = write(tmp_path, "\n".join(rows))
    ratings = load_events(path, weights={"view": 1}, duration="s", min_duration=3)
    assert _triples(ratings) == [(5, 1, 0.0), (2**63, 1, 1.0)]
    for text, message in (
        ('[{"user": 1, "item": 2}]', "is a JSON array; one object per line is read"),
        ('{\n "user": 1,\n "item": 2\n}', ":1: expected a JSON object.*jq -c ."),
        ('{"user": 1, "item": 2}\n{"user": 2}', r":2: item \('item'\) must be an integer or a string; got None"),
        ('{"user": 1, "item": 2}\n' * 1000 + '{"user": 2}', ":1001: 'item' must be an integer of 64 bits"),
        ('{"user": 1, "item": 2}\n' * 1000 + '{"user": 2, "item": 1.5}', ":1001: 'item' must be an integer of 64"),
    ):
        with pytest.raises(fastcf.DataError, match=message):
            load_events(write(tmp_path, text))


def test_archives_of_parquet_and_empty_tables(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"user": [1], "item": [2], "rating": [3.0]})
    parquet.write_table(table, tmp_path / "log.parquet")
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.write(tmp_path / "log.parquet", "log.parquet")
    (tmp_path / "log.gz").write_bytes(gzip.compress((tmp_path / "log.parquet").read_bytes()))
    for name in ("log.zip", "log.gz", "log.zip/log.parquet"):
        assert _triples(load_ratings(tmp_path / name)) == [(1, 2, 3.0)]
        assert _triples(load_events(tmp_path / name)) == [(1, 2, 1.0)]
    parquet.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(fastcf.DataError, match=r"none.parquet: ratings must not be empty"):
        load_ratings(tmp_path / "none.parquet")
