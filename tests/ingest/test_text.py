"""Delimited text to ratings: against Python's own csv and float, at every piece boundary, and for every bad line."""

import csv
import gzip
import io
import os
import re
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf._backend import ingest
from fastcf.data import RatingLog, detect_format, load_ratings, read_log
from rating_logs import assert_same, ids_reference, is_id, native, write

pytestmark = pytest.mark.every_isa


# --------------------------------------------------------------------------------------------------- round trips

integer_ids = st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(0, 10**6).map(str)
odd_ids = st.sampled_from(
    ["0", "-0", "007", "+7", "00", "-", "1.0", "9223372036854775808", "-9223372036854775809", "1e3"]
)
text_ids = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters='"'), min_size=1, max_size=12
).filter(is_id)
quoted_ids = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(is_id)
ratings_texts = (
    st.integers(0, 20).map(lambda n: f"{n / 2}")
    | st.integers(-100, 100).map(str)
    | st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)
    | st.decimals(-1000, 1000, places=6).map(str)
    | st.sampled_from(["+4", "4.", ".5", "1e1", "-0.0", "3.50", "0004", "16777217", "0.30000001192092896", "99.95"])
)


@st.composite
def rows(draw):
    n = draw(st.sampled_from([1, 2, 31, 32, 33]) | st.integers(1, 6))
    kinds = [draw(st.sampled_from([integer_ids, integer_ids | odd_ids, text_ids])) for _ in range(2)]
    columns = [draw(st.lists(kind, min_size=n, max_size=n)) for kind in (*kinds, ratings_texts, integer_ids)]
    return list(zip(*columns, strict=True))


@settings(max_examples=150)
@given(
    table=rows(),
    separator=st.sampled_from([",", "\t", ";", "|", " ", "::", "<=>", "{,}#;|\t|~,!^"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    ending=st.sampled_from(["", "\n", "\r\n\r\n \n"]),
    quote=st.booleans(),
    space=st.booleans(),
    piece_bytes=st.sampled_from([1, 7, 64, 1 << 20]),
    n_threads=st.sampled_from([1, 2, 4]),
    data=st.data(),
)
def test_read_log_agrees_with_python_on_any_table(
    table, separator, newline, ending, quote, space, piece_bytes, n_threads, data
):
    table = [tuple(field.replace(separator, "x").replace(separator[0], "y") or "z" for field in row) for row in table]
    quote &= len(separator) == 1

    def written(field):
        if quote and data.draw(st.booleans()):
            field = f'"{field}"'
        return f" {field} " if space and data.draw(st.booleans()) else field

    text = newline.join(separator.join(map(written, row)) for row in table) + ending
    log = native(text.encode(), separator, n_threads=n_threads, piece_bytes=piece_bytes)
    users, items, ratings, times = zip(*table, strict=True)
    assert_same(
        log,
        ids_reference(users),
        ids_reference(items),
        np.array([float(r) for r in ratings]).astype(np.float32),
        np.array([int(t) for t in times], np.int64),
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(quoted_ids, quoted_ids), min_size=1))
def test_read_log_quoted_fields_agree_with_csv_module(pairs):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([*pair, "1"] for pair in pairs)
    users, items, _, _ = native(out.getvalue().encode(), n_fields=3, columns=(0, 1, 2, -1), piece_bytes=16)
    for got, column in zip((users, items), zip(*pairs, strict=True), strict=True):
        np.testing.assert_array_equal(got, ids_reference(column))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1025])
@pytest.mark.parametrize("separator", [",", "::"])
def test_read_log_result_does_not_depend_on_pieces_or_threads(n, separator):
    rng = np.random.default_rng(n)
    users, items, times = rng.integers(0, 10**9, n), rng.integers(0, 50, n), rng.integers(0, 2**40, n)
    ratings = rng.integers(0, 101, n) / 10
    lines = [separator.join(map(str, row)) for row in zip(users, items, ratings, times, strict=True)]
    text = "\n".join(lines).encode()
    for piece_bytes in (1, 2, 3, 17, 100, 1000, 1 << 20):
        for n_threads in (1, 2, 4):
            for narrow in (False, True):
                log = native(text, separator, piece_bytes=piece_bytes, n_threads=n_threads, narrow=narrow)
                assert_same(log, users, items, ratings.astype(np.float32), times)
                assert log[0].dtype == log[1].dtype == (np.int32 if narrow else np.int64)


@pytest.mark.parametrize("odd", ["0104257", "+1", "-0", "00", "1.0", "18446744073709551616", "tt1", "日本語", "🎬"])
def test_read_log_one_odd_id_makes_the_whole_column_strings(tmp_path, odd):
    text = "".join(f"{user}\t{user + 1}\t5\n" for user in range(500)) + f"500\t{odd}\t5\n"
    log = read_log(write(tmp_path, text))
    assert log.users.dtype == np.int64
    assert log.items.tolist() == [str(i + 1) for i in range(500)] + [odd]


@pytest.mark.parametrize(
    ("odd", "dtype"), [("9223372036854775808", "u8"), ("18446744073709551615", "u8"), ("-9223372036854775808", "i8")]
)
def test_read_log_integers_of_64_bits_stay_integers(tmp_path, odd, dtype):
    text = "".join(f"{user}\t{user + 1}\t5\n" for user in range(500)) + f"500\t{odd}\t5\n"
    log = read_log(write(tmp_path, text))
    assert log.items.tolist() == [*range(1, 501), int(odd)]
    assert log.items.dtype == dtype
    both = read_log(write(tmp_path, f"1,{odd},5\n2,-3,4\n"))
    assert both.items.tolist() == [int(odd), -3]


ID_TYPES = {
    "int": (["7", "18446744073709551616", "-3"], [7, 2**64, -3]),
    "auto": (["7", "18446744073709551616", "-3"], ["7", "18446744073709551616", "-3"]),
    "str": (["7", "10", "-3"], ["7", "10", "-3"]),
}


@pytest.mark.parametrize("name", ID_TYPES)
@pytest.mark.parametrize("n", [1, 40, 3000])
def test_read_log_ids_are_of_the_type_asked_for(tmp_path, name, n):
    texts, ids = ID_TYPES[name]
    path = write(tmp_path, "".join(f"{i},{text},{text},4\n" for i in range(n) for text in texts))
    for kwargs in ({"id_type": name}, {"id_type": ("auto", name)}, {"id_type": [name, name]}):
        log = read_log(path, user=1, item=2, rating=3, **kwargs)
        assert log.items.tolist() == ids * n
        if kwargs["id_type"] != ("auto", name):
            assert log.users.tolist() == ids * n
    ratings = load_ratings(path, user=0, item=1, rating=3, id_type=("str", name))
    assert (ratings.users.kind, ratings.items.kind) == ("str", "int" if isinstance(ids[0], int) else "str")
    assert sorted(ratings.items.ids.tolist()) == sorted(ids)


@pytest.mark.parametrize("odd", ["x", "007", "+1", "1.0", "-", "-0"])
@pytest.mark.parametrize("others", ["1", "9223372036854775808"])  # also where the column is read as texts
def test_read_log_what_is_no_integer_is_named_where_they_must_be(tmp_path, odd, others):
    path = write(tmp_path, f"user,item,rating\n{others},1,5\n" * 1 + f"{others},2,5\n" * 200 + f"{odd},1,4\n")
    with pytest.raises(fastcf.DataError, match=r":203: user id must be an integer, as id_type says; got '") as error:
        read_log(path, id_type="int")
    assert f"got '{odd}'" in str(error.value)
    assert odd in read_log(path).users.tolist()


def test_read_log_codes_do_not_depend_on_pieces_or_threads():
    rng = np.random.default_rng(0)
    n = 4000
    users = [f"user-{u}-é" if u % 7 == 0 else f"user-{u}" for u in rng.integers(0, 500, n)]
    items = rng.integers(0, 10**6, n)
    lines = [
        f'"{u}",{i},4.5' if k % 50 == 0 else f"{u},{i},4.5" for k, (u, i) in enumerate(zip(users, items, strict=True))
    ]
    text = "\n".join(lines).encode()
    expected, codes = np.unique(np.array(users), return_inverse=True)
    for piece_bytes in (1, 100, 1000, 1 << 20):
        for n_threads in (1, 2, 4):
            (utf8, offsets, found), got, *_ = ingest.read_log(
                text, offset=0, first_line=1, separator=",", n_fields=3, columns=(0, 1, 2, -1), narrow=True,
                piece_bytes=piece_bytes, n_threads=n_threads,
            )  # fmt: skip
            assert ingest.list_texts(utf8, offsets) == expected.tolist()
            np.testing.assert_array_equal(found, codes)
            np.testing.assert_array_equal(got, items)


def test_read_log_texts_between_fields_that_are_not_read(tmp_path):
    rows = [
        (f"u{k % 37}", k % 11, "4" if k % 5 else "3.25", f"note {k}" if k % 3 else '"a,""b"', 10**9 + k)
        for k in range(2000)
    ]
    text = "".join(f"{note},{user},x{item},{time},{rating}\n" for user, item, rating, note, time in rows)
    log = read_log(write(tmp_path, text), user=1, item=2, rating=4, timestamp=3)
    assert log.users.tolist() == [row[0] for row in rows]
    assert log.items.tolist() == [f"x{row[1]}" for row in rows]
    assert log.ratings.tolist() == [float(row[2]) for row in rows]
    assert log.timestamps.tolist() == [row[4] for row in rows]


@pytest.mark.parametrize("text", [b"a\xff", b"\xc3", b"a\x00b", b"\xed\xa0\x80"])
def test_read_log_a_text_that_is_none_is_named(tmp_path, text):
    path = write(
        tmp_path, b"".join(b"u%d,i%d,4\n" % (k, k) for k in range(500)) + text + b",i1,4\n" + b"u1,i2,4\n" * 50
    )
    with pytest.raises(fastcf.DataError, match=":501: user id must be valid UTF-8 text"):
        read_log(path)


def test_read_log_both_columns_strings_keep_their_lengths(tmp_path):
    log = read_log(write(tmp_path, "user,item,rating\nann,0007,1\nbob,ééé,2\nchristine,5,3\n"))
    assert log.users.tolist() == ["ann", "bob", "christine"]
    assert log.items.tolist() == ["0007", "ééé", "5"]


# ----------------------------------------------------------------------------------- header, columns, separators

BASIC = [(1, 10, 4.0, 1000000100), (2, 20, 3.5, 1000000200), (1, 30, 5.0, 1000000300)]


def assert_basic(log, timestamps=True):
    users, items, ratings, times = (np.array(column) for column in zip(*BASIC, strict=True))
    assert_same(log, users, items, ratings.astype(np.float32), times if timestamps else None)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "::"])
@pytest.mark.parametrize("header", [None, "userId,movieId,rating,timestamp", "USER_ID,Item,Score,date"])
def test_read_log_finds_separator_and_header(tmp_path, separator, header):
    lines = [separator.join(map(str, row)) for row in BASIC]
    if header:
        lines.insert(0, header.replace(",", separator))
    assert_basic(read_log(write(tmp_path, "\n".join(lines) + "\n")))


def test_read_log_finds_columns_in_any_order(tmp_path):
    text = 'when,"Rating",comment,Movie-ID,user id\n1000000100,4.0,good,10,1\n'
    text += '1000000200,3.5,"so, so",20,2\n1000000300,5.0,,30,1\n'
    path = write(tmp_path, text)
    assert_basic(read_log(path), timestamps=False)
    assert_basic(read_log(path, timestamp="WHEN"))
    assert_basic(read_log(path, user=4, item=3, rating="Rating", timestamp=0))


def test_read_log_columns_by_position_without_header(tmp_path):
    path = write(tmp_path, "x;1000000100;10;4.0;1\nx;1000000200;20;3.5;2\nx;1000000300;30;5.0;1\n")
    assert_basic(read_log(path, user=4, item=2, rating=3, timestamp=1))
    assert_basic(read_log(path, user=4, item=2, rating=3), timestamps=False)


def test_read_log_unknown_header_wants_columns(tmp_path):
    path = write(tmp_path, "a,b,c\n1,10,4\n")
    assert read_log(path, user="a", item="b", rating="c").ratings.tolist() == [4]
    assert read_log(path, user=0, item=1, rating=2).ratings.tolist() == [4]
    for options in ({}, {"header": True}):
        with pytest.raises(fastcf.DataError, match=r"which column is the user.* of: 0 'a' \(1\), 1 'b' \(10\)"):
            read_log(path, **options)


def test_read_log_fourth_column_that_is_no_timestamp_is_no_log(tmp_path):
    path = write(tmp_path, "1,10,4,good\n2,20,3,bad\n")
    with pytest.raises(fastcf.DataError, match="do not look like a rating and a time"):
        read_log(path)
    assert read_log(path, user=0, item=1, rating=2).timestamps is None
    assert read_log(write(tmp_path, "1,10,4,1000000100\n"), timestamp=False).timestamps is None


def test_read_log_dates_become_seconds_at_midnight(tmp_path):
    log = read_log(write(tmp_path, "user,item,rating,date\n1,1,5,1970-01-02\n1,2,5,2000-02-29\n1,3,5,12.0\n1,4,5,-7\n"))
    assert log.timestamps.tolist() == [86400, 951782400, 12, -7]


def test_read_log_byte_order_mark_crlf_blank_lines_and_spaces(tmp_path):
    text = b"\xef\xbb\xbf\r\nuserId,movieId,rating,timestamp\r\n 1 ,10, 4.0,1000000100\r\n"
    text += b"\r\n2,20,3.5,\t1000000200\r\n1,30,5.0,1000000300 \r\n \r\n\n"
    assert_basic(read_log(write(tmp_path, text)))


def test_read_log_runs_of_spaces_separate_once(tmp_path):
    assert_basic(read_log(write(tmp_path, "  1   10 4.0    1000000100 \n2 20  3.5 1000000200\n1 30 5.0 1000000300")))


def test_read_log_unused_columns_with_runs_of_spaces(tmp_path):
    text = "1 10 x  4.0   1000000100\n2 20 x 3.5 1000000200\n1  30 x 5.0 1000000300\n" + "9 9 x 1 1\n" * 9
    log = read_log(write(tmp_path, text), user=0, item=1, rating=3, timestamp=4)
    assert_basic(RatingLog(*(column[:3] for column in (log.users, log.items, log.ratings, log.timestamps))))


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.csv.gz"])
def test_read_log_gzip_is_recognised_by_its_bytes(tmp_path, name):
    text = "userId,movieId,rating,timestamp\n" + "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in BASIC)
    half = len(text) // 2
    data = gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode())  # two members
    assert_basic(read_log(write(tmp_path, data, name)))
    assert_basic(read_log(str(tmp_path / name)))
    assert_basic(read_log(tmp_path))


def test_read_log_reads_from_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in BASIC)
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    log = read_log(path, format="delimited")
    writer.join()
    assert_basic(log)


# ----------------------------------------------------------------------------------------------------- bad input

GOOD = "userId,movieId,rating,timestamp\n" + "".join(f"{i},{i + 1},3.5,{i}\n" for i in range(1000))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1,2,abc,4", "rating must be a number; got 'abc'"),
        ("1,2,,4", "rating must be a number; got ''"),
        ("1,2,4.0x,4", "rating must be a number; got '4.0x'"),
        ("1,2,0x10,4", "rating must be a number; got '0x10'"),
        ("1,2,--4,4", "rating must be a number; got '--4'"),
        ("1,2,nan,4", "rating must be a finite number; got 'nan'"),
        ("1,2,-inf,4", "rating must be a finite number; got '-inf'"),
        ("1,2,1e39,4", "rating must be a finite number; got '1e39'"),
        ("1,2,1e999,4", "rating must be a finite number; got '1e999'"),
        ("1,2,3", "expected 4 fields separated by ','; got 3"),
        ("1,2,3,4,5", "expected 4 fields separated by ','; got 5"),
        ("1 2 3 4", "expected 4 fields separated by ','; got 1"),
        (",2,3,4", "user id must not be empty"),
        ("1, ,3,4", "item id must not be empty"),
        ('1,"",3,4', "item id must not be empty"),
        ("1,2,3,later", "timestamp must be a number, or a date like 2018-07-07 or 2018-07-07T22:09:11Z; got 'later'"),
        ("1,2,3,2001-02-29", "timestamp must be a number, or a date like 2018-07-07 or 2018-07-07T22:09:11Z; got '2"),
        ("1,2,3,99999999999999999999", "timestamp must be a number, or a date like 2018-07-07 or 2018-07-07T22:0"),
        ('1,"2,3,4', "a quoted field is not closed; quoting=False"),
        ('1,"2""",3,"4""', "a quoted field is not closed; quoting=False"),
        ('1,"2"x,3,4', "a quoted field is followed by other text"),
        ("1,a\0b,3,4", "item id must be valid UTF-8 text"),
    ],
)
@pytest.mark.parametrize("at", [1, 500, 1001])
def test_read_log_malformed_line_names_file_line_and_text(tmp_path, line, problem, at):
    lines = GOOD.splitlines()
    lines.insert(at, line)
    path = write(tmp_path, "\n".join(lines), "bad.csv")
    with pytest.raises(fastcf.DataError) as error:
        read_log(path)
    assert str(error.value).startswith(f"{path}:{at + 1}: {problem}")
    assert str(error.value).endswith(repr(line))


def test_read_log_invalid_utf8_is_named(tmp_path):
    for bad in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xf0\x8f\xbf\xbf"):
        path = write(tmp_path, b"a,b,3\n1,x" + bad + b",4\n")
        with pytest.raises(
            fastcf.DataError, match=r"ratings.txt:2: item id must be valid UTF-8 text; .*encoding='latin-1': '1,x"
        ):
            read_log(path)


@pytest.mark.parametrize("piece_bytes", [16, 200, 1 << 20])
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_read_log_reports_the_first_of_several_errors(piece_bytes, n_threads):
    lines = [b"1,2,3,4"] * 400
    lines[150] = b"1,\xff,3,4"  # an error only in the pass that reads strings
    lines[149] = b"1,ok,3,4"
    lines[160] = b"1,2,x,4"
    lines[390] = b"1,2,y"
    with pytest.raises(ingest.ParseError) as error:
        native(b"\n".join(lines), n_threads=n_threads, piece_bytes=piece_bytes)
    problem = "item id must be valid UTF-8 text; name the file's encoding, such as encoding='latin-1'"
    assert error.value.args == (0, 151, problem, "1,\ufffd,3,4")


def test_read_log_long_bad_line_is_shortened(tmp_path):
    with pytest.raises(fastcf.DataError, match=r":2: .*\.\.\.'$") as error:
        read_log(write(tmp_path, "1,2,3\n" + "é" * 10000 + "\n"))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n\n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (b"userId,movieId,rating\n", "there are no ratings below the header"),
        (b"userId,movieId,rating\r\n\r\n", "there are no ratings below the header"),
        (gzip.compress(b"1,2,3\n" * 99, mtime=0)[:-9], "the gzip file is damaged"),
        ("1,2,3\n".encode("utf-16"), "the file is UTF-16 text"),
        (b"userId,movieId\n1,2\n", "cannot tell which column is the rating, or whether there is one (rating=False"),
        (b"userId,movieId,what\n1,2,3\n", "cannot tell which column is the rating"),
        (b"just some words\n", "pass user=, item=, rating= by name or number of: 0 (just), 1 (some), 2 (words)"),
        (b"words\n", "cannot find fields separated by"),
        (b"x" * (2 << 20), "the line is longer than 1048576 bytes"),
    ],
)
def test_read_log_files_without_ratings_are_data_errors(tmp_path, content, problem):
    path = write(tmp_path, content)
    with pytest.raises(fastcf.DataError, match=re.escape(problem)) as error:
        load_ratings(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"separator": ""}, ValueError, "read_log: separator must be"),
        ({"separator": "a"}, ValueError, "read_log: separator must be .* got 'a'"),
        ({"separator": 3}, TypeError, "read_log: separator must be a string; got int"),
        ({"header": "no"}, ValueError, "read_log: header must be True, False or 'auto'; got 'no'"),
        ({"user": 9}, ValueError, r"read_log: user must lie in \[0, 3\)"),
        ({"user": -1}, ValueError, r"read_log: user must lie in \[0, 3\)"),
        ({"user": 1.5}, TypeError, "read_log: user must be a column's name or number; got 1.5"),
        ({"user": "who"}, ValueError, "read_log: user must name a column of the file .*; got 'who'"),
        ({"user": 1, "item": 1}, ValueError, "read_log: user and item must be different columns; got 1 for both"),
        ({"timestamp": True}, TypeError, "read_log: timestamp must be"),
        ({"format": "json"}, ValueError, "read_log: format must be one of .* got 'json'"),
        ({"format": "netflix"}, fastcf.DataError, "this is not the netflix layout"),
        ({"n_threads": 0}, ValueError, "read_log: n_threads must be an integer of at least 1, or None; got 0"),
        ({"id_type": "text"}, ValueError, "read_log: id_type must be 'auto', 'int' or 'str', or a pair .*; got 'text'"),
        ({"id_type": ("int",)}, ValueError, "read_log: id_type must be .*; got"),
        ({"id_type": None}, ValueError, "read_log: id_type must be .*; got None"),
        ({"n_threads": "2"}, TypeError, "read_log: n_threads must be an integer of at least 1, or None; got '2'"),
    ],
)
def test_read_log_bad_argument_is_named(tmp_path, arguments, error, message):
    path = write(tmp_path, "userId,movieId,rating\n1,2,3\n")
    with pytest.raises(error, match=message):
        read_log(path, **arguments)
    if "header" not in arguments and "user" not in arguments:
        return
    with pytest.raises(error):
        load_ratings(path, **arguments)


def test_read_log_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "nothing.csv")
    with pytest.raises(fastcf.DataError, match="no ratings found"):
        read_log(tmp_path)
    write(tmp_path, "1,2,3\n", "ratings.csv")
    write(tmp_path, "1::2::3\n", "ratings.dat")
    with pytest.raises(fastcf.DataError, match="several sets of ratings"):
        detect_format(tmp_path)


def test_native_read_log_refuses_what_python_never_passes():
    text = b"1,2,3,4\n"
    for options in (
        {"separator": ""},
        {"n_fields": 0},
        {"columns": (0, 1, 4, -1)},
        {"columns": (0, 0, 1, -1)},
        {"columns": (0, 1, 2, -2)},
        {"offset": 9},
        {"offset": -1},
        {"piece_bytes": 0},
    ):
        with pytest.raises(ValueError, match="read_log: "):
            native(text, **options)
    with pytest.raises(ValueError, match="contiguous bytes"):
        native(memoryview(text)[::2])
    with pytest.raises(TypeError):
        native("a string")


def test_read_log_movietweetings_keeps_zeros(data_dir):
    log = read_log(data_dir / "movietweetings-100k" / "ratings.dat")
    with open(data_dir / "movietweetings-100k" / "ratings.dat", encoding="utf-8") as file:
        expected = [line.rstrip("\n").split("::") for line in file]
    assert len(log.ratings) == len(expected) == 100_000
    users, items, ratings, times = zip(*expected, strict=True)
    assert_same(log, np.array(users, int), np.array(items), np.array(ratings, np.float32), np.array(times, int))
    assert log.item_column.kind == "str"
    assert any(item.startswith("0") for item in items)
