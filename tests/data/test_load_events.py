"""Event logs to strengths of choices: what events mean, decay, showings, durations, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf import DataError
from fastcf.data import load_events
from reference_events import pair_strengths

pa = pytest.importorskip("pyarrow")

DAY = 86_400
WEIGHTS = {"view": 1, "cart": 3, "buy": 5}


def entries(ratings):
    """The stored entries: {(user, item): value}, and with times where there are any."""
    users, items, values = ratings.to_coo()
    times = [None] * values.size if ratings.timestamps is None else ratings.timestamps.tolist()
    return {
        (user, item): value if time is None else (value, time)
        for user, item, value, time in zip(users.tolist(), items.tolist(), values.tolist(), times, strict=True)
    }


def table(**columns):
    return pa.table(columns)


def shop(**more):
    """A small log: ann looks at 7 twice and buys it, and looks at 8; bob is shown 7 and 8."""
    return table(
        user=["ann", "ann", "ann", "ann", "bob", "bob"],
        item=[7, 7, 7, 8, 7, 8],
        event=["view", "view", "buy", "view", "shown", "shown"],
        timestamp=[0, 10 * DAY, 20 * DAY, 30 * DAY, 5, 6],
        **more,
    )


def test_load_events_sums_strengths_and_keeps_last_times():
    ratings = load_events(shop(), weights=WEIGHTS, exposure="shown")
    assert entries(ratings) == {
        ("ann", 7): (7, 20 * DAY),
        ("ann", 8): (1, 30 * DAY),
        ("bob", 7): (0, 5),
        ("bob", 8): (0, 6),
    }


@pytest.mark.parametrize(
    "half_life", ["10d", "240h", "14400min", " 10 d", 10 * DAY, datetime.timedelta(10), np.timedelta64(10, "D")]
)
def test_load_events_decay_by_half_lives_before_the_latest_event(half_life):
    ratings = load_events(shop(), weights=WEIGHTS, exposure="shown", half_life=half_life)
    assert ratings.values.tolist() == [1 / 8 + 1 / 4 + 5 / 2, 1, 0, 0]
    assert ratings.timestamps.tolist() == [20 * DAY, 30 * DAY, 5, 6]


@pytest.mark.parametrize("now", [40 * DAY, np.int64(40 * DAY), np.datetime64("1970-02-10")])
def test_load_events_decay_to_a_given_moment(now):
    ratings = load_events(shop(), weights=WEIGHTS, ignore=["shown"], half_life="10d", now=now)
    assert ratings.values.tolist() == [1 / 16 + 1 / 8 + 5 / 4, 1 / 2]
    assert ratings.users.ids.tolist() == ["ann"]


def test_load_events_half_life_means_what_it_means_for_popular():
    rng = np.random.default_rng(0)
    columns = {"user": np.arange(500), "item": rng.integers(0, 9, 500), "timestamp": rng.integers(0, 90 * DAY, 500)}
    plain = load_events(table(**columns))
    decayed = load_events(table(**columns), half_life="7d")
    popular = fastcf.Popular(half_life="7d").fit(plain).predict_matrix([0])
    summed = fastcf.Popular(strength="value").fit(decayed).predict_matrix([0])
    np.testing.assert_allclose(popular, summed, rtol=1e-6)
    same = fastcf.Popular(half_life=7 * DAY).fit(plain).predict_matrix([0])
    np.testing.assert_array_equal(popular, same)


def test_load_events_engagement_wins_over_repeated_showings():
    log = table(user=[1] * 5, item=[1] * 5, event=["shown", "shown", "click", "shown", "shown"])
    assert entries(load_events(log, weights={"click": 2}, exposure="shown")) == {(1, 1): 2}
    both = table(user=[1] * 3, item=[1, 1, 2], event=["email", "banner", "banner"])
    assert entries(load_events(both, exposure=["email", "banner"])) == {(1, 1): 0, (1, 2): 0}
    assert entries(load_events(both, weights={"email": 1}, exposure=("banner",))) == {(1, 1): 1, (1, 2): 0}


def test_load_events_columns_of_durations():
    watched = table(viewer=[1, 1, 2, 2], film=[1, 2, 1, 1], seconds=[10, 30, 29.5, 300.0])
    ratings = load_events(watched, user="viewer", item="film", duration="seconds", min_duration="30s")
    assert entries(ratings) == {(1, 1): 0, (1, 2): 1, (2, 1): 1}
    spans = watched.set_column(2, "seconds", pa.array([10_000, 30_000, 29_500, 300_000], pa.duration("ms")))
    assert entries(
        load_events(spans, user="viewer", item="film", duration="seconds", min_duration="0.5min")
    ) == entries(ratings)
    cents = watched.set_column(2, "seconds", pa.array([decimal.Decimal("29.99")] * 3 + [decimal.Decimal(30)]))
    assert load_events(cents, user="viewer", item="film", duration="seconds", min_duration=30).values.tolist() == [
        0,
        0,
        1,
    ]


def test_load_events_durations_of_named_events():
    log = table(
        user=[1, 1, 2, 2, 3, 3, 4],
        item=[1, 2, 1, 2, 1, 2, 1],
        event=["play", "play", "shown", "shown", "buy", "play", "shown"],
        length=[5, 60, 5, 60, None, None, None],
    )
    expected = {(1, 1): 0, (1, 2): 2, (2, 1): 0, (2, 2): 1, (3, 1): 9, (3, 2): 2, (4, 1): 0}
    options = {"exposure": "shown", "duration": "length", "min_duration": 30}
    assert entries(load_events(log, weights={"play": 2, "buy": 9}, **options)) == expected
    longer = load_events(log, weights={"play": 2, "buy": 9, "shown": 0.5}, **options)
    assert entries(longer) == expected | {(2, 2): 0.5}


@pytest.mark.parametrize(
    ("names", "weights", "exposure"),
    [
        ([1, 2, 0], {1: 1, 2: 5}, 0),
        ([1, 2, 0], {"1": 1, "2": 5}, "0"),
        (pa.array(["view", "buy", "shown"]).dictionary_encode(), {"view": 1, "buy": 5}, "shown"),
        (pa.array(["view", "buy", "shown"], pa.large_string()), {"view": 1, "buy": 5}, "shown"),
        (pa.array([1, 2, 0], pa.int8()), {np.int8(1): 1.0, 2: np.float32(5)}, [0]),
    ],
)
def test_load_events_names_may_be_integers_or_categories(names, weights, exposure):
    ratings = load_events(table(user=[1, 1, 2], item=[1, 1, 1], action=names), weights=weights, exposure=exposure)
    assert entries(ratings) == {(1, 1): 6, (2, 1): 0}


def test_load_events_names_may_be_truth_values():
    log = table(user=[1, 2], item=[1, 1], clicked=[True, False])
    assert entries(load_events(log, event="clicked", weights={True: 1}, exposure=False)) == {(1, 1): 1, (2, 1): 0}


def test_load_events_without_a_column_of_events_counts_rows():
    log = table(user=[1, 1, 2], item=[5, 5, 5], event=["a", "b", "c"])
    assert entries(load_events(log, event=False)) == {(1, 5): 2, (2, 5): 1}
    assert entries(load_events(log.drop_columns("event"))) == {(1, 5): 2, (2, 5): 1}


def test_load_events_left_out_need_no_ids_and_no_time():
    log = table(user=[1, None, 2], item=[None, None, 7], event=["login", "search", "view"], timestamp=[None, None, 9])
    assert entries(load_events(log, weights={"view": 1}, ignore=["login", "search"])) == {(2, 7): (1, 9)}
    with pytest.raises(ValueError, match="column 'item' must have no nulls; got one at row 0"):
        load_events(log, weights={"view": 1, "login": 1}, ignore="search")


IDS = {
    "integers": ([3, 1, 3], [1, 3]),
    "small": (pa.array([3, 1, 3], pa.uint8()), [1, 3]),
    "negative": ([-1, 2**40, -1], [-1, 2**40]),
    "beyond int64": (pa.array([2**63 + 1, 5, 2**63 + 1], pa.uint64()), [5, 2**63 + 1]),
    "text": (["b", "007", "b"], ["007", "b"]),
    "categories": (pa.array(["b", "é", "b"]).dictionary_encode(), ["b", "é"]),
    "categories of integers": (pa.array([7, 3, 7]).dictionary_encode(), [3, 7]),
    "large text": (pa.array(["b", "a" * 300, "b"], pa.large_string()), ["a" * 300, "b"]),
    "text views": (pa.array(["b", "a", "b"], pa.string_view()), ["a", "b"]),
}


@pytest.mark.parametrize("kind", IDS)
def test_load_events_take_ids_of_every_kind(kind):
    ids, distinct = IDS[kind]
    log = table(user=ids, item=ids)
    ratings = load_events(log)
    assert ratings.users.ids.tolist() == ratings.items.ids.tolist() == distinct
    values = ratings.values.tolist()
    assert sorted(values) == [1, 2]
    parts = pa.concat_tables([log.slice(2), log.slice(0, 2)])  # two batches
    again = load_events(parts)
    assert again.users == ratings.users
    assert again.values.tolist() == values


def test_load_events_of_integers_that_outgrow_int64_in_a_later_batch():
    ids = pa.chunked_array([pa.array([5, 7], pa.uint64()), pa.array([2**63 + 1, 5], pa.uint64())])
    ratings = load_events(table(user=ids, item=[1, 1, 1, 1]))
    assert ratings.users.ids.tolist() == [5, 7, 2**63 + 1]
    assert ratings.values.tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([datetime.datetime(1970, 1, 2), datetime.datetime(1970, 1, 3)]),
        pa.array([datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)]),
        pa.array([DAY * 1000, 2 * DAY * 1000]).cast(pa.timestamp("ms", "Europe/Berlin")),
        pa.array([DAY, 2 * DAY]),
    ],
)
def test_load_events_times_are_seconds(times):
    ratings = load_events(table(user=[1, 1], item=[1, 1], time=times), half_life="1d")
    assert entries(ratings) == {(1, 1): (1.5, 2 * DAY)}
    aware = datetime.datetime(1970, 1, 4, tzinfo=datetime.timezone.utc)
    later = load_events(table(user=[1, 1], item=[1, 1], time=times), half_life="1d", now=np.datetime64(aware.date()))
    assert entries(later) == {(1, 1): (0.75, 2 * DAY)}


def test_load_events_numbers_of_times_have_one_unit():
    log = table(user=[1, 1], item=[1, 1], time=[1_600_000_000_000, 1_600_086_400_000])
    assert entries(load_events(log, half_life="1d")) == {(1, 1): (1.5, 1_600_086_400)}
    assert entries(load_events(log, time_unit="us")) == {(1, 1): (2, 1_600_086)}
    mixed = pa.concat_tables([log, log.set_column(2, "time", pa.array([1_600_000_000] * 2))])
    with pytest.raises(ValueError, match="timestamps must be of one unit"):
        load_events(mixed, half_life="1d")


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 4), st.sampled_from("abz"), st.integers(0, 10**9)), min_size=1
    ),
    half_life=st.sampled_from([None, 1.0, "12h", "30d"]),
    batch=st.integers(1, 9),
)
def test_load_events_match_the_definition(rows, half_life, batch):
    users, items, names, times = map(list, zip(*rows, strict=True))
    log = table(user=users, item=items, event=names, timestamp=times)
    reader = pa.RecordBatchReader.from_batches(log.schema, log.to_batches(max_chunksize=batch))
    options = {"exposure": "z", "half_life": half_life, "time_unit": "s"}  # some numbers may be dates
    ratings = load_events(reader, weights={"a": 1, "b": 0.3}, **options)
    seconds = {None: 0, 1.0: 1, "12h": DAY / 2, "30d": 30 * DAY}[half_life]
    weights = [{"a": 1, "b": 0.3, "z": 0}[name] for name in names]
    expected = pair_strengths(users, items, weights, times, seconds, max(times))
    got = entries(ratings)
    assert got.keys() == expected.keys()
    for pair, (value, time) in expected.items():
        assert got[pair] == (pytest.approx(value, rel=1e-6), time)


class Stream:
    """What only offers the protocol, and counts the batches taken from it."""

    def __init__(self, log, rows):
        self.taken = 0
        batches = self._batches(log, rows)
        self._reader = pa.RecordBatchReader.from_batches(log.schema, batches)

    def _batches(self, log, rows):
        for batch in log.to_batches(max_chunksize=rows):
            self.taken += 1
            yield batch

    def __arrow_c_stream__(self, requested_schema=None):
        return self._reader.__arrow_c_stream__(requested_schema)


def test_load_events_read_streams_once_and_batch_by_batch():
    stream = Stream(shop(), 2)
    assert load_events(stream, weights=WEIGHTS, exposure="shown").values.tolist() == [7, 1, 0, 0]
    assert stream.taken == 3


def test_load_events_read_tables_of_other_libraries():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    whole = load_events(shop(), weights=WEIGHTS, exposure="shown")
    for frame in (shop().to_pandas(), pl.from_arrow(shop())):
        other = load_events(frame, weights=WEIGHTS, exposure="shown")
        assert entries(other) == entries(whole)
    frame = pd.DataFrame({"user": [1, 1], "item": [2, 2], "time": pd.to_datetime(["1970-01-02", "1970-01-03"])})
    assert entries(load_events(frame, half_life="1d")) == {(1, 2): (1.5, 2 * DAY)}


def test_load_events_read_lazy_frames_and_datasets(tmp_path):
    pl = pytest.importorskip("polars")
    whole = entries(load_events(shop(), weights=WEIGHTS, exposure="shown"))
    frame = pl.from_arrow(shop()).lazy().with_columns(unused=pl.lit(1))
    assert entries(load_events(frame, weights=WEIGHTS, exposure="shown")) == whole
    import pyarrow.dataset

    dataset = pyarrow.dataset.dataset(shop())
    assert entries(load_events(dataset, weights=WEIGHTS, exposure="shown", event=2)) == whole


@pytest.mark.parametrize("layout", ["parquet", "feather", "arrow stream", "json", "json.gz", "folder"])
def test_load_events_read_files_with_named_columns(layout, tmp_path):
    import pyarrow.feather
    import pyarrow.parquet

    log, path = shop(), tmp_path / f"log.{layout}"
    if layout == "parquet":
        pyarrow.parquet.write_table(log, path)
    elif layout == "feather":
        pyarrow.feather.write_feather(log, path)
    elif layout == "folder":
        path.mkdir()
        for part in range(3):
            pyarrow.parquet.write_table(log.slice(2 * part, 2), path / f"{part}.parquet")
    elif layout == "arrow stream":
        with pa.ipc.new_stream(path, log.schema) as stream:
            stream.write_table(log)
    else:
        text = "".join(json.dumps(row) + "\n" for row in log.to_pylist()).encode()
        path.write_bytes(gzip.compress(text) if layout == "json.gz" else text)
    ratings = load_events(path, weights=WEIGHTS, exposure="shown", half_life="10d")
    assert entries(ratings) == entries(load_events(log, weights=WEIGHTS, exposure="shown", half_life="10d"))
    with pytest.raises(DataError, match=r"log.*: column 'event': events without a meaning: 'shown' \(2\)"):
        load_events(path, weights=WEIGHTS)


def test_load_events_name_the_file_that_is_wrong(tmp_path):
    import pyarrow.parquet

    path = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(table(user=[1.5], item=[1]), path)
    with pytest.raises(DataError, match=r"log.parquet: column 'user' must hold integers or strings"):
        load_events(path)
    pyarrow.parquet.write_table(table(user=[1, None], item=[1, 1]), path)
    with pytest.raises(DataError, match=r"log.parquet: column 'user' must have no nulls; got one at row 1"):
        load_events(path)
    path.write_bytes(path.read_bytes()[:-20] + b"PAR1")
    with pytest.raises(DataError, match=r"log.parquet: the file is damaged"):
        load_events(path)
    lines = tmp_path / "log.json"
    lines.write_text('{"user": 1, "item": 2}\n{"user": 1, "item": \n')
    with pytest.raises(DataError, match=r"log.json:2: expected a JSON object"):
        load_events(lines)


def test_load_events_train_models_of_choices():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 40, 2000), rng.integers(0, 30, 2000)
    names = np.where(user % 2 == item % 2, "click", "shown")
    ratings = load_events(table(user=user, item=item, event=names), weights={"click": 1}, exposure="shown")
    model = fastcf.LinearAutoencoder().fit(ratings)
    lists = model.recommend([0, 1], 5, exclude_seen=False).items
    assert (np.asarray(lists) % 2 == [[0], [1]]).all()


UNKNOWN = (
    r"column 'event': events without a meaning: 'view' \(3\), 'shown' \(2\); give each a strength, such as "
    r"weights=\{'view': 1\}, .* exposure='view', or leave it out, ignore='view'"
)
REFUSED = {
    "unknown names": ({"weights": {"buy": 5}}, DataError, UNKNOWN),
    "names without weights": ({}, DataError, r"'view' \(3\), 'shown' \(2\), 'buy' \(1\)"),
    "weight of 0": ({"weights": {"view": 0}}, ValueError, "positive finite numbers; got 0 for 'view'; exposure='view'"),
    "negative weight": ({"weights": {"view": -1}}, ValueError, "got -1 for 'view'; ignore='view'"),
    "nan weight": ({"weights": {"view": np.nan}}, ValueError, "positive finite numbers; got nan"),
    "infinite weight": ({"weights": {"view": np.inf}}, ValueError, "positive finite numbers; got inf"),
    "weight of text": ({"weights": {"view": "1"}}, TypeError, "positive numbers; got '1' for 'view'"),
    "weight that is a truth value": ({"weights": {"view": True}}, TypeError, "positive numbers; got True"),
    "weights in a list": ({"weights": ["view"]}, TypeError, "weights must map names of events to strengths; got list"),
    "float name": ({"weights": {1.5: 1}}, TypeError, "weights must hold names of events, .*; got 1.5"),
    "exposure of bytes": ({"exposure": b"shown"}, TypeError, "exposure must hold names of events, .*; got b'shown'"),
    "weight and showing": ({"weights": WEIGHTS, "exposure": "view"}, ValueError, "must not both name 'view'"),
    "weight and left out": ({"weights": WEIGHTS, "ignore": "buy"}, ValueError, "weights and ignore .* 'buy'"),
    "showing and left out": ({"exposure": "a", "ignore": "a"}, ValueError, "exposure and ignore .* 'a'"),
    "half life of text": ({"half_life": "30 days"}, ValueError, "half_life must be a positive .*; got '30 days'"),
    "months or minutes": ({"half_life": "30m"}, ValueError, "units s, min, h, d and w.*; got '30m'"),
    "half life of 0": ({"half_life": 0}, ValueError, "half_life must be a positive .*; got 0"),
    "negative half life": ({"half_life": "-3d"}, ValueError, "half_life must be a positive"),
    "infinite half life": ({"half_life": np.inf}, ValueError, "half_life must be a positive"),
    "half life of months": ({"half_life": np.timedelta64(1, "M")}, ValueError, "half_life must be a positive"),
    "half life that is a list": ({"half_life": [3]}, TypeError, "half_life must be a positive"),
    "half life that is true": ({"half_life": True}, TypeError, "half_life must be a positive"),
    "half life without times": ({"half_life": 3, "timestamp": False}, ValueError, "half_life needs a column of times"),
    "now without half life": ({"now": 3}, ValueError, "now has no effect without half_life; got 3"),
    "now too early": ({"half_life": 3, "now": 30 * DAY - 1}, ValueError, "now must not lie before the latest event"),
    "now of text": ({"half_life": 3, "now": "soon"}, (TypeError, ValueError), "now must be"),
    "duration alone": ({"duration": "timestamp"}, ValueError, "duration has no effect without min_duration"),
    "least duration alone": ({"min_duration": 3}, ValueError, "min_duration has no effect without duration"),
    "duration of text": (
        {"duration": "event", "event": False, "weights": None, "exposure": None, "min_duration": 3},
        TypeError,
        "column 'event' must hold durations",
    ),
    "weights without events": ({"event": False}, ValueError, "need a column of events: pass event="),
    "no such column": (
        {"event": "action"},
        ValueError,
        "event must name a column of the file .user, item, .*; got 'action'",
    ),
    "column beyond the last": (
        {"item": 4},
        ValueError,
        r"item must lie in \[0, 4\), the columns of the file .*; got 4",
    ),
    "column that is a float": ({"item": 1.0}, TypeError, "item must be a column's name or number; got 1.0"),
    "user without a column": ({"user": False}, TypeError, "user must be a column's name or number; got False"),
    "event that is true": ({"event": True}, TypeError, "event must be a column's name or number; got True"),
    "one column twice": ({"user": "item", "item": "item"}, ValueError, "must be different columns"),
    "text of times": (
        {"timestamp": "event", "event": False, "weights": None, "exposure": None},
        ValueError,
        "column 'event' must be numbers, or dates",
    ),
    "threads": ({"n_threads": 0}, ValueError, "n_threads must be an integer of at least 1"),
    "sums beyond float32": ({"weights": {"view": 3e38, "buy": 3e38}}, ValueError, "must be finite as float32; choose"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_load_events_refuse(name):
    options, error, message = REFUSED[name]
    defaults = {"weights": WEIGHTS, "exposure": "shown"}
    if name in ("unknown names", "names without weights", "showing and left out"):
        defaults = {}
    if name.startswith("exposure"):
        defaults = {"weights": WEIGHTS}
    with pytest.raises(error, match=message):
        load_events(shop(), **{**defaults, **options})


def test_load_events_refuse_what_is_no_log():
    with pytest.raises(TypeError, match=r"source must be a file, or a table .* with __arrow_c_stream__ .*; got dict"):
        load_events({"user": [1]})
    with pytest.raises(
        ValueError, match="cannot tell which column is the user; pass user= by name or number of: 0 'who', 1 'item'"
    ):
        load_events(table(who=[1], item=[1]))
    with pytest.raises(ValueError, match="0 'user' and 1 'customer_id' may each be the user; pass user="):
        load_events(table(user=[1], customer_id=[1], item=[1]))
    with pytest.raises(DataError, match="there must be events; got none"):
        load_events(shop().slice(0, 0), weights=WEIGHTS)
    with pytest.raises(DataError, match="there must be events; got none but those left out"):
        load_events(table(user=[1], item=[1], event=["a"]), ignore="a")
    with pytest.raises(TypeError, match="column 'user' must hold integers or strings"):
        load_events(table(user=[1.5], item=[1]))


@pytest.mark.parametrize("column", ["user", "item", "event", "timestamp"])
def test_load_events_name_the_row_of_a_null(column):
    log = shop()
    values = log[column].to_pylist()
    values[4] = None
    log = log.set_column(log.column_names.index(column), column, pa.array(values, log.schema.field(column).type))
    reader = pa.RecordBatchReader.from_batches(log.schema, log.to_batches(max_chunksize=3))
    with pytest.raises(ValueError, match=f"column '{column}' must have no nulls; got one at row 4; filter them out"):
        load_events(reader, weights=WEIGHTS, exposure="shown")


def test_load_events_list_many_unknown_names_briefly():
    names = [f"kind {i:02}" for i in range(40)]
    with pytest.raises(DataError, match=r"'kind 00' \(1\), .*'kind 19' \(1\) and 20 more; give"):
        load_events(table(user=[1] * 40, item=[1] * 40, event=names), weights={"view": 1})


def test_load_events_without_pyarrow_says_what_to_install(monkeypatch):
    import sys

    log = shop()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'fastcf\[arrow\]'"):
        load_events(log)


@pytest.mark.parametrize("half_life", ["3d", "1.5h", 10.0])
def test_popular_takes_durations_and_files_keep_them(half_life, tmp_path):
    ratings = fastcf.Ratings.from_coo([1, 2, 3], [1, 1, 2], [1.0, 1, 1], timestamps=[0, 3 * DAY, 6 * DAY])
    model = fastcf.Popular(half_life=half_life).fit(ratings)
    model.save(tmp_path / "model")
    again = fastcf.load(tmp_path / "model")
    assert again.half_life == half_life
    np.testing.assert_array_equal(again.predict_matrix([1]), model.predict_matrix([1]))
    if half_life == "3d":
        assert model.predict_matrix([1]).tolist() == [[0.75, 1.0]]


@pytest.mark.parametrize(
    ("half_life", "error"), [("3", ValueError), ("d", ValueError), (0, ValueError), ([3], TypeError)]
)
def test_popular_refuses_other_half_lives(half_life, error):
    ratings = fastcf.Ratings.from_coo([1], [1], [1.0], timestamps=[0])
    for model in (fastcf.Popular(half_life=half_life), fastcf.retrieval.Popular(half_life=half_life)):
        with pytest.raises(error, match=r"half_life must be a positive finite number .* '30d' .*; got"):
            model.fit(ratings)
