"""Files as people have them: columns without names, dates, encodings, quotes, malformed lines, missing ratings."""

import datetime
import logging
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf._backend import ingest
from fastcf.data import load_ratings, read_log
from rating_logs import ids_of, write

TIME = 1433221332


def triples(ratings):
    return list(zip(*(column.tolist() for column in ratings.to_coo()), strict=True))


def refused(path, *parts, **options):
    """Check that a file is refused with a message that has all these parts."""
    for read in (read_log, load_ratings):
        with pytest.raises(fastcf.DataError) as error:
            read(path, **options)
        message = str(error.value)
        assert message.startswith(str(path))
        for part in parts:
            assert part in message, message


# --------------------------------------------------------------------------------------------- columns without names


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0,1,31,2.5,1260759144\n1,1,1029,3,1260759179\n", ["5 columns", "pass user=, item=, rating=", "3 (2.5)"]),
        ("1,10,1433221332\n2,10,1433221333\n", ["column 2 looks like a time", "rating=False", "timestamp=2"]),
        ("1,10,2018-07-07\n", ["column 2 looks like a time", "rating=False"]),
        ("1,10\n2,11\n", ["two columns and no rating", "rating=False"]),
        ("userid,itemid\n1,10\n", ["rating=False", "0 'userid' (1), 1 'itemid' (10)"]),
        ("userid,itemid,actiontype,timestamp\n1,10,view,1433221332\n", ["rating=False", "2 'actiontype' (view)"]),
        ("74,-7.82,8.79,99\n100,4.08,-0.29,6.36\n", ["do not look like ids", "user=, item=, rating="]),
        ("usr_id,code_id,amt_trx,bestelldatum\n0,35,1,2022-03-01\n", ["0 'usr_id' (0)", "3 'bestelldatum'", "user="]),
        ("10,4.5,1\n11,3,2\n", ["do not look like ids"]),  # item, rating, user
        ("1,10,5312\n1,11,6131\n", ["do not look like a rating"]),  # item ids, or counts
        ("1433221332,1,10\n1433221333,2,11\n", ["do not look like ids"]),  # time, user, item
        ("0,1,31,4\n1,1,29,3\n", ["do not look like a rating and a time"]),  # row, user, item, rating
        ("1,10,4,\n1,11,3,\n", ["do not look like a rating and a time"]),
        ("ann,heat,good\n", ["do not look like a rating", "2 (good)"]),
        ("user,movie,what,else\n1,2,3,4\n", ["cannot tell which column is the rating", "2 'what' (3)"]),
    ],
)
def test_columns_that_cannot_be_told_are_listed(tmp_path, text, parts):
    refused(write(tmp_path, text, "log.csv"), *parts)


@pytest.mark.parametrize(
    ("text", "options", "expected", "times"),
    [
        ("1,10,1433221332\n2,10,1433221333\n", {"rating": False}, [(1, 10, 1), (2, 10, 1)], [TIME, TIME + 1]),
        ("1,10,1433221332\n", {"rating": False, "timestamp": 2}, [(1, 10, 1)], [TIME]),
        ("1,10,1433221332\n", {"rating": False, "timestamp": False}, [(1, 10, 1)], None),
        ("userid,itemid\n1,10\n", {"rating": False}, [(1, 10, 1)], None),
        ("ann\tfilm\n", {"rating": False}, [("ann", "film", 1)], None),
        ("userid,itemid,actiontype,timestamp\n1,10,view,1433221332\n", {"rating": False}, [(1, 10, 1)], [TIME]),
        ("user,item,time\n1,10,1433221332\n", {"rating": False}, [(1, 10, 1)], [TIME]),
        (
            "usr_id,code_id,amt_trx,bestelldatum\n0,35,2,2022-03-01\n",
            {"user": "usr_id", "item": 1, "rating": "AMT_TRX", "timestamp": 3},
            [(0, 35, 2)],
            [1646092800],
        ),
        (
            "0,1,31,2.5,1260759144\n1,1,1029,3,1260759179\n",
            {"user": 1, "item": 2, "rating": 3, "timestamp": 4},
            [(1, 31, 2.5), (1, 1029, 3)],
            [1260759144, 1260759179],
        ),
        ("10,4.5,1\n11,3,2\n", {"user": 2, "item": 0, "rating": 1}, [(1, 10, 4.5), (2, 11, 3)], None),
        (",userId,movieId,rating\n0,7,8,4\n", {}, [(7, 8, 4)], None),  # with the index of a data frame
        ("ann,heat,4.5,2018-07-07\nbob,heat,3,2018-07-08\n", {}, [("ann", "heat", 4.5), ("bob", "heat", 3)], None),
        ("1 10 -3\n2 11 99\n", {}, [(1, 10, -3), (2, 11, 99)], None),
    ],
)
def test_columns_by_name_number_or_shape(tmp_path, text, options, expected, times):
    ratings = load_ratings(write(tmp_path, text, "log.csv"), **options)
    assert triples(ratings) == expected
    if times is not None or options:
        assert (ratings.timestamps is None) == (times is None)
        assert times is None or ratings.timestamps.tolist() == times


# ------------------------------------------------------------------------------------------- separators and decimals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1;10;3\n2;11;4\n", [(1, 10, 3), (2, 11, 4)]),
        ("1;10;3,5\n2;11;4,0\n", [(1, 10, 3.5), (2, 11, 4)]),
        (
            "user;item;rating;note\n1;10;3,5;so, so, and so\n2;11;4,25;good, really, good\n",
            [(1, 10, 3.5), (2, 11, 4.25)],
        ),
        ("1\t10\t3,5\t1433221332\n2\t11\t4\t1433221333\n", [(1, 10, 3.5), (2, 11, 4)]),
        ('user,item,rating\n1,10,"3,5"\n2,11,"4,5"\n', [(1, 10, 3.5), (2, 11, 4.5)]),
        ("1;10;0,5;2018-07-07 10:00:00,5\n2;11;1,5;2018-07-07 10:00:01,5\n", [(1, 10, 0.5), (2, 11, 1.5)]),
        ("a b;c d;3\ne f;g h;4\n", [("a b", "c d", 3), ("e f", "g h", 4)]),
        ("user|item|rating\n1|2,5|4\n", [(1, "2,5", 4)]),
    ],
)
def test_separator_and_decimal_sign_are_found_together(tmp_path, text, expected):
    assert triples(load_ratings(write(tmp_path, text))) == expected


def test_decimal_sign_that_cannot_be_told_or_comes_late(tmp_path):
    path = write(tmp_path, "1;10;3,500\n2;11;4,000\n")
    refused(path, "cannot tell whether the comma of '3,500'", "decimal=','")
    assert triples(load_ratings(path, decimal=",")) == [(1, 10, 3.5), (2, 11, 4)]
    late = write(tmp_path, "".join(f"{i};1;4\n" for i in range(150)) + "150;1;3,5\n")
    refused(late, ":151: rating must be a number; got '3,5'; decimal=','")
    assert load_ratings(late, decimal=",").values[-1] == 3.5
    with pytest.raises(fastcf.DataError, match=r":2: rating must be a number; got '3\.5'"):
        load_ratings(write(tmp_path, "1;10;3,5\n2;11;3.5\n"), decimal=",")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": "."}, "rating must be a number; got '3,5'"),
        ({"separator": ","}, "0 (1;10;3), 1 (5)"),
    ],
)
def test_what_is_asked_for_is_not_guessed(tmp_path, options, message):
    refused(
        write(tmp_path, "user;item;rating\n1;10;3,5\n" if "decimal" in options else "1;10;3,5\n"), message, **options
    )


# -------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2018-07-07 22:09:11", 1531001351),
        ("2018-07-07T22:09:11Z", 1531001351),
        ("2018-07-07T22:09:11", 1531001351),
        ("2018-07-08T00:09:11+02:00", 1531001351),
        ("2018-07-07T18:39:11-0330", 1531001351),
        ("2018-07-07 22:09:11 UTC", 1531001351),
        ("2018-07-07 22:09:11.987654", 1531001351),
        ("2018-07-07 22:09:11,5 +00", 1531001351),
        ("2018-07-07 22:09", 1531001340),
        ("2018/07/07 22:09:11", 1531001351),
        ("20180707T220911Z", 1531001351),
        ("2018-07-07", 1530921600),
        ("1969-12-31T23:59:59Z", -1),
        ("2016-12-31T24:00:00Z", 1483228800),
        ("1531001351", 1531001351),
        ("1531001351.75", 1531001351),
        ("1.531001351E9", 1531001351),
        ("1531001351123", 1531001351),
        ("1531001351123456", 1531001351),
        ("1531001351123456789", 1531001351),
    ],
)
def test_times_are_seconds(tmp_path, text, seconds):
    for separator in (",", ";"):
        if separator not in text:
            path = write(
                tmp_path,
                f"user{separator}item{separator}stars{separator}date\nu1{separator}b1{separator}4{separator}{text}\n",
            )
            assert load_ratings(path).timestamps.tolist() == [seconds]
    if "," not in text and seconds >= 10**8:
        assert load_ratings(write(tmp_path, f"1,10,4,{text}\n")).timestamps.tolist() == [seconds]
    assert fastcf.Ratings.from_coo([1], [2], [3.0], timestamps=[text]).timestamps.tolist() == [seconds]


@pytest.mark.parametrize(
    "text",
    [
        "2018-13-01",
        "2018-02-30",
        "2018-07-07 25:00:00",
        "2018-07-07 10:60",
        "07/07/2018",
        "7 Jul 2018",
        "2018-07-07T10:00+25:00",
        "2018-07-07 10:00:00 PM",
        "2018-7-7",
        "nan",
        "1e30",
        "2018-07-07T",
        "2018-07-07 10:00:00.",
        "noon",
    ],
)
def test_texts_that_are_no_times_are_refused(tmp_path, text):
    path = write(tmp_path, f"user,item,rating,time\n1,1,3,2018-07-07\n1,2,3,{text}\n")
    refused(path, ":3: timestamp must be a number, or a date like 2018-07-07", f"got '{text}'", "timestamp=False")
    assert load_ratings(path, timestamp=False).n_ratings == 2
    with pytest.raises(ValueError, match=r"timestamps must be numbers, or dates like .* at entry 1"):
        fastcf.Ratings.from_coo([1, 2], [1, 2], [3.0, 3.0], timestamps=["2018-07-07", text])


def times_file(folder, *values):
    return write(folder, "user,item,rating,time\n" + "".join(f"{i},1,3,{value}\n" for i, value in enumerate(values)))


def test_units_of_numbers_are_decided_for_the_column(tmp_path):
    assert load_ratings(times_file(tmp_path, 0, 5, 99_999_999_999)).timestamps.tolist() == [0, 5, 99_999_999_999]
    assert load_ratings(times_file(tmp_path, 0, 10**12 + 999)).timestamps.tolist() == [0, 10**9]
    assert load_ratings(times_file(tmp_path, -(10**12), 10**12)).timestamps.tolist() == [-(10**9), 10**9]
    path = times_file(tmp_path, 10**9, 10**12)
    refused(path, "must be of one unit; got 1000000000 and 1000000000000", "time_unit=")
    assert load_ratings(path, time_unit="s").timestamps.tolist() == [10**9, 10**12]
    assert load_ratings(path, time_unit="ms").timestamps.tolist() == [10**6, 10**9]
    refused(times_file(tmp_path, "2018-07-07", 10**12), "must be of one unit")
    refused(times_file(tmp_path, "2018-07-07", 10**5), "some timestamps are dates", time_unit="ms")
    days = times_file(tmp_path, 20180707, 20200229)
    refused(days, "20180707 may be dates; time_unit='date'")
    assert load_ratings(days, time_unit="date").timestamps.tolist() == [1530921600, 1582934400]
    assert load_ratings(days, time_unit="s").timestamps.tolist() == [20180707, 20200229]
    refused(times_file(tmp_path, 20180707, 20180732), "YYYYMMDD", time_unit="date")
    with pytest.raises(ValueError, match=r"read_log: time_unit must be one of 'auto', 's'.* got 'h'"):
        read_log(days, time_unit="h")


@given(st.lists(st.datetimes(min_value=datetime.datetime(1700, 1, 1)), min_size=1, max_size=5))
def test_times_in_memory_agree_with_numpy(moments):
    expected = np.array(moments, "datetime64[us]").astype("datetime64[s]").astype(np.int64).tolist()
    n = np.arange(len(moments))
    for given_as in (moments, np.array(moments, "datetime64[us]"), [str(moment) for moment in moments]):
        ratings = fastcf.Ratings.from_coo(n, n, n, timestamps=given_as, time_unit="s")
        assert ratings.timestamps.tolist() == expected


def test_times_in_memory_of_every_kind():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    aware = [datetime.datetime(2018, 7, 8, 0, 9, 11, tzinfo=zone), datetime.datetime(2018, 7, 7, 22, 9, 12)]
    expected = [1531001351, 1531001352]

    def stored(timestamps, **options):
        return fastcf.Ratings.from_coo([1, 2], [1, 2], [3, 4], timestamps=timestamps, **options).timestamps.tolist()

    assert stored(aware) == expected
    assert stored([datetime.date(2018, 7, 7), datetime.date(1969, 12, 31)]) == [1530921600, -86400]
    assert stored([1531001351.9, 1531001352.1]) == expected
    assert stored(np.array(expected) * 1000) == expected
    assert stored(np.array(expected, object)) == expected
    assert stored([np.datetime64("2018-07-07T22:09:11"), np.datetime64("2018-07-07T22:09:12")]) == expected
    for missing in ([None, aware[0]], [np.datetime64("NaT"), np.datetime64(5, "s")], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match="at entry 0"):
            stored(missing)
    with pytest.raises(TypeError, match="timestamps must be numbers, dates or datetimes"):
        stored([datetime.time(1), 3])

    pandas = pytest.importorskip("pandas")
    for zone_name in ("UTC", "America/New_York"):
        series = pandas.Series(pandas.to_datetime(expected, unit="s", utc=True).tz_convert(zone_name))
        assert stored(series) == stored(pandas.DatetimeIndex(series)) == stored(list(series)) == expected
    assert stored(pandas.Series(pandas.to_datetime(expected, unit="s"))) == expected

    pa = pytest.importorskip("pyarrow")
    for unit, scale in (("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)):
        column = pa.array([second * scale for second in expected], pa.timestamp(unit, tz="Asia/Tokyo"))
        assert stored(column) == expected
        table = pa.table({"user": [1, 2], "item": [1, 2], "rating": [3, 4], "time": column})
        assert fastcf.Ratings.from_arrow(table, timestamp="time").timestamps.tolist() == expected
    before = pa.table({"user": [1], "item": [1], "rating": [3], "time": pa.array([-1500], pa.timestamp("ms"))})
    assert fastcf.Ratings.from_arrow(before, timestamp="time").timestamps.tolist() == [-2]
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"user": [1, 2], "item": [1, 2], "rating": [3, 4], "time": aware[1:] * 2})
    zoned = frame.with_columns(polars.col("time").dt.replace_time_zone("Europe/Berlin"))
    assert fastcf.Ratings.from_arrow(frame, timestamp="time").timestamps.tolist() == [expected[1]] * 2
    assert fastcf.Ratings.from_arrow(zoned, timestamp="time").timestamps.tolist() == [expected[1] - 7200] * 2
    assert stored(zoned["time"]) == [expected[1] - 7200] * 2


# ---------------------------------------------------------------------------------------------------------- encodings

LATIN = '"User-ID";"ISBN";"Book-Rating"\n"1";"nº 0385";"8"\n'


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "ISO-8859-15", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp437"]
)
def test_encodings_load_the_same(tmp_path, encoding):
    text = LATIN.replace("º", "é")
    assert triples(load_ratings(write(tmp_path, text.encode(encoding)), encoding=encoding)) == [(1, "né 0385", 8)]


def test_encodings_beyond_one_byte_and_piece(tmp_path):
    rows = [f"利用者{i},映画{i % 7},4" for i in range(3000)]
    text = "user,item,rating\n" + "\n".join(rows)
    for encoding in ("shift_jis", "gb18030", "euc_jp"):
        ratings = load_ratings(write(tmp_path, text.encode(encoding)), encoding=encoding)
        assert ratings.shape == (3000, 7)
        assert "利用者42" in ratings.users


def test_wrong_encodings_name_the_line_and_the_option(tmp_path):
    path = write(tmp_path, LATIN.encode("latin-1"))
    assert triples(load_ratings(path, encoding="latin-1")) == [(1, "nº 0385", 8)]
    refused(path, ":2: item id must be valid UTF-8 text", "encoding='latin-1'")
    refused(path, ":2: the line must be ascii text", "encoding=", encoding="ascii")
    refused(write(tmp_path, LATIN.encode("utf-16")), "UTF-16 text; encoding='utf-16' reads it")
    for bad in ("nonsense", "hex", "rot13"):
        with pytest.raises(ValueError, match=f"load_ratings: encoding must be a text encoding .* got '{bad}'"):
            load_ratings(path, encoding=bad)


# ------------------------------------------------------------------------------------------ quotes, escapes, comments


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (
            'userId\titemId\trating\tnote\nu1\tn1\t1\tok\nu2\tn1\t0\t"so" she said\n',
            {},
            [("u1", "n1", 1), ("u2", "n1", 0)],
        ),
        ('userId\titemId\trating\tnote\nu1\tn1\t1\t"open\nu2\tn1\t0\tok\n', {}, [("u1", "n1", 1), ("u2", "n1", 0)]),
        ('user\titem\trating\n"u1"\t"n\t1"\t1\n', {}, [("u1", "n\t1", 1)]),
        ('user\titem\trating\n"u1"\tn1\t1\n', {"quoting": False}, [('"u1"', "n1", 1)]),
        ('user\titem\trating\tnote\nu1\tn1\t1\t"two\nlines"\n', {"quoting": True}, [("u1", "n1", 1)]),
        ('user,item,rating,text\nu1,b1,5,"good\nfood"\n', {}, [("u1", "b1", 5)]),
        (
            'user,item,text,rating\nu1,b1,"a, ""b""\r\n\r\nc",5\r\nu2,b2,"",4\r\n',
            {},
            [("u1", "b1", 5), ("u2", "b2", 4)],
        ),
        ('text,user,item,rating\n"x\n",u1,"b\n1",5\n', {}, [("u1", "b\n1", 5)]),
        ('user,item,rating,text\nu1,5" disc,5,19"\n', {}, [("u1", '5" disc', 5)]),
        ('user,item,rating,text\nu1,b1,5,"open\n', {"quoting": False}, [("u1", "b1", 5)]),
        ('user::item::rating\n1::"a::5\n', {}, [(1, '"a', 5)]),
        ('user,item,rating\nu1,a\\,b,5\nu2,\\"c\\\\,4\n', {"escape": "\\"}, [("u1", "a,b", 5), ("u2", '"c\\', 4)]),
        ('user,item,rating\nu1,"a\\"b",5\n', {"escape": "\\"}, [("u1", 'a"b', 5)]),
        ("user,item,rating\nu1,two\\\nlines,5\n", {"escape": "\\"}, [("u1", "two\nlines", 5)]),
        (
            "# made by hand\nuser,item,rating\n# one\n1,2,3\n  # two\n2,#2,4\n",
            {"comment": "#"},
            [(1, "2", 3), (2, "#2", 4)],
        ),
        ("%%MatrixMarket\n% 2 2 2\n1 2 3\n2 2 4\n", {"comment": "%"}, [(1, 2, 3), (2, 2, 4)]),
        ("//x\na,b,3\n//a,b,4\n", {"comment": "//"}, [("a", "b", 3)]),
        ("user,item,rating\r1,2,3\r2,3,4\r", {}, [(1, 2, 3), (2, 3, 4)]),
    ],
)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_text_as_it_is(tmp_path, text, options, expected, n_threads):
    assert triples(load_ratings(write(tmp_path, text), n_threads=n_threads, **options)) == expected


def test_fields_over_lines_in_every_piece(tmp_path):
    rows = [f'u{i},"note\n{i}, ""so""\n\n",i{i % 7},{i % 5}' for i in range(500)]
    text = ("\n".join(rows) + "\n").encode()
    for piece_bytes in (1, 50, 1000, 1 << 20):
        for n_threads in (1, 3):
            users, _, values, _, found = ingest.read_log(
                text, offset=0, first_line=1, separator=",", n_fields=4, columns=(0, 2, 3, -1),
                piece_bytes=piece_bytes, n_threads=n_threads,
            )  # fmt: skip
            assert found == (0, False, 0, [])
            assert ids_of(users).tolist() == [f"u{i}" for i in range(500)]
            assert values.tolist() == [i % 5 for i in range(500)]


def test_errors_behind_fields_over_lines_have_the_right_number(tmp_path):
    path = write(tmp_path, 'user,item,rating,text\nu1,b1,5,"one\ntwo\nthree"\nu2,b2,x,\n')
    refused(path, ":5: rating must be a number; got 'x'")
    path = write(tmp_path, 'user,item,rating,text\nu1,b1,5,"one\ntwo"\nu2,b2,4,"open\nu3,b3,4,"good"\n')
    refused(path, ":4: a quoted field is not closed; quoting=False", "'u2,b2,4,\"open'")
    assert load_ratings(path, quoting=False, on_bad_lines="skip").n_ratings == 3
    assert load_ratings(path, on_bad_lines="skip").n_ratings == 2


# -------------------------------------------------------------------------------------- malformed lines, missing, again


def test_malformed_lines_are_an_error_a_warning_or_skipped(tmp_path, caplog):
    path = write(tmp_path, "userId,movieId,rating\n1,10,4\nuserId,movieId,rating\n2,10,3\n", "again.csv")
    refused(path, ":3: the header is repeated; on_bad_lines='skip'")
    with pytest.warns(
        UserWarning, match=r"again.csv: 1 malformed line was left out: line 3: the header is repeated"
    ) as caught:
        ratings = load_ratings(path, on_bad_lines="warn")
    assert caught[0].filename == __file__
    assert triples(ratings) == [(1, 10, 4), (2, 10, 3)]
    with warnings.catch_warnings(), caplog.at_level(logging.INFO, "fastcf.data"):
        warnings.simplefilter("error")
        log = read_log(path, on_bad_lines="skip")
    assert "1 malformed line was left out: line 3" in caplog.text
    assert log.left_out.n_lines == 1
    assert log.left_out.examples[0][::2] == (3, "userId,movieId,rating")


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_malformed_lines_of_every_kind_are_counted(tmp_path, n_threads):
    lines = [f"{i},{i % 7},3.5,{10**9 + i}" for i in range(1000)]
    bad = ["1,2,x,4", "1,2", "", ",2,3,4", "1,2,3,later", '1,"2,3,4', "1,2,3,4,5", "user,item,rating,time", "1,2,nan,4"]
    for at, line in enumerate(bad):
        lines.insert(100 * at, line)
    path = write(tmp_path, "user,item,rating,time\n" + "\n".join(lines))
    log = read_log(path, on_bad_lines="skip", n_threads=n_threads)
    assert log.users.tolist() == list(range(1000))
    assert log.timestamps.tolist() == [10**9 + i for i in range(1000)]
    assert log.left_out.n_lines == len(bad) - 1  # a blank line is none
    expected = [100 * at + 2 for at, line in enumerate(bad) if line]
    assert [line for line, _, _ in log.left_out.examples] == expected
    path = write(tmp_path, "user,item,rating\n" + "x\n" * 50)
    refused(path, "all 50 lines are malformed, the first: expected 3 fields", on_bad_lines="skip")


def test_header_again_is_no_row_where_there_are_no_ratings(tmp_path):
    path = write(tmp_path, "user_id,item_id\na,b\nuser_id,item_id\nc,d\n" + "e,f\n" * 20)
    log = read_log(path, rating=False, on_bad_lines="skip")
    assert log.users.tolist() == ["a", "c", *["e"] * 20]
    refused(path, ":3: the header is repeated", rating=False)


@pytest.mark.parametrize(
    ("text", "missing", "expected"),
    [
        ("user_id,anime_id,rating\n1,20,-1\n1,24,8\n2,20,7\n", -1, [(1, 24, 8), (2, 20, 7)]),
        ("user_id,anime_id,rating\n1,20,-1\n1,24,8\n2,20,7\n", "-1", [(1, 24, 8), (2, 20, 7)]),
        ("user,item,rating\n1,20,99.0\n1,24,0\n2,20,7\n", [99, 0], [(2, 20, 7)]),
        ("user,item,rating\n1,20,\n1,24,NULL\n2,20,7\n", ["", "NULL"], [(2, 20, 7)]),
        ("user,item,rating\n1,20,NaN\n1,24,8\n", float("nan"), [(1, 24, 8)]),
        ("user,item,rating\n1,20,\\N\n1,24,8\n", "\\N", [(1, 24, 8)]),
        ("user;item;rating\n1;20;-1,0\n1;24;8,5\n", -1, [(1, 24, 8.5)]),
    ],
)
def test_missing_ratings_are_left_out(tmp_path, text, missing, expected):
    path = write(tmp_path, text)
    assert triples(load_ratings(path, missing=missing)) == expected
    assert len(read_log(path, missing=missing).ratings) == len(expected)


def test_missing_ratings_keep_their_users_and_items_on_request(tmp_path):
    path = write(tmp_path, "user,item,rating\n1,20,-1\n3,24,8\n2,25,-1\n")
    assert load_ratings(path, missing=-1).shape == (1, 1)
    kept = load_ratings(path, missing=-1, keep_unrated=True)
    assert (kept.shape, kept.n_ratings) == ((3, 3), 1)
    assert kept.users.ids.tolist() == [1, 2, 3]
    refused(path, "all 3 ratings are missing values", missing=[-1, 8])
    refused(write(tmp_path, "user,item,rating\n1,2,NA\n"), "missing='NA' leaves such lines out")
    with pytest.raises(TypeError, match="missing must be texts or numbers; got None"):
        load_ratings(path, missing=[None])


AGAIN = "user,item,rating,timestamp\n1,1,5,200\n1,1,2,100\n"


@pytest.mark.parametrize(
    ("duplicates", "value", "time"),
    [("latest", 5, 200), ("last", 2, 100), ("max", 5, 200), ("mean", 3.5, 200), ("sum", 7, 200)],
)
def test_duplicates_by_position_time_and_value(tmp_path, duplicates, value, time):
    ratings = load_ratings(write(tmp_path, AGAIN), duplicates=duplicates)
    assert (ratings.values.tolist(), ratings.timestamps.tolist()) == ([value], [time])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5), st.integers(0, 3)), min_size=1),
    st.data(),
)
def test_latest_and_largest_agree_with_python(rows, data):
    users, items, values, times = (list(column) for column in zip(*rows, strict=True))
    for duplicates, key in (("latest", 3), ("max", 2)):
        best = {}
        for row in rows:
            pair = row[:2]
            if pair not in best or row[key] >= best[pair][key]:
                best[pair] = row
        ratings = fastcf.Ratings.from_coo(users, items, values, timestamps=times, duplicates=duplicates)
        found = zip(*ratings.to_coo(), ratings.timestamps, strict=True)
        assert [tuple(map(int, row)) for row in found] == [best[pair] for pair in sorted(best)]


def test_latest_needs_timestamps(tmp_path):
    with pytest.raises(ValueError, match="duplicates='latest' needs timestamps"):
        load_ratings(write(tmp_path, AGAIN), timestamp=False, duplicates="latest")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": ";"}, "decimal must be '.' or ','; got ';'"),
        ({"quoting": "yes"}, "quoting must be True, False or 'auto'; got 'yes'"),
        ({"escape": "ab"}, "escape must be one ASCII character"),
        ({"escape": '"'}, "escape must be one ASCII character"),
        ({"comment": "1"}, "comment must be characters that are no letters"),
        ({"on_bad_lines": "drop"}, "on_bad_lines must be 'error', 'warn' or 'skip'; got 'drop'"),
        ({"separator": "-"}, "separator must be characters"),
        ({"separator": "\\", "escape": "\\"}, "escape must not be part of the separator"),
        ({"rating": True}, "rating must be a column's name or number; got True"),
        ({"user": False}, "user must be a column's name or number; got False"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path, options, message):
    path = write(tmp_path, "user,item,rating\n1,2,3\n")
    with pytest.raises((TypeError, ValueError), match=message):
        load_ratings(path, **options)
