"""Event logs in delimited text: columns, slices of a file, ids of either kind, times, durations, malformed lines."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

import fastcf
from fastcf import DataError
from fastcf.data import event_text, load_events

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
