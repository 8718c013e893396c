"""Damaged and hostile text: an answer or an error that names the file, the same for any number of threads.

The suite tries some mutations of fixed seeds; ``FASTCF_FUZZ_SECONDS=600`` goes on for that long.
"""

import os
import random
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf._backend import ingest
from fastcf.data import load_dense, load_ratings, read_items, read_log, read_tags, read_users
from rating_logs import ids_of

LEAST = 60  # mutations
MOST_BYTES = 64 << 20  # that a small file may take: the buffers of threads, samples and messages

CORPUS = [
    b"userId,movieId,rating,timestamp\n1,10,4.0,1260759144\n2,11,3.5,1260759145\n" * 3,
    b"1::10::5::978300760\n2::20::3::978302109\n",
    b'"User-ID";"ISBN";"Book-Rating"\n"1";"n\xc2\xba 0385";"8"\n"2";"a;b";"7,5"\n',
    b'user_id,business_id,stars,text\nu1,b1,5,"good\nfood, ""really"""\nu2,b1,4,\n',
    b"user_id\tbusiness_id\tstars\tdate\nu1\tb1\t4\t2018-07-07 22:09:11\nu1\tb2\t4\t2018-07-07T22:09:11+02:00\n",
    b"% comment\n1 2 3\n3 4 5\n",
    b"1;10;3,5\n2;11;4,0\n",
    b"74,-7.82,8.79,99\n100,4.08,-0.29,6.36\n",
    b'movieId,title,genres\n1,"A, B (1995)",Comedy|War\n2,C,\n',
    b"1::A::Comedy\n2::B::\n",
    b"userId,movieId,tag,timestamp\n1,2,fine,3\n",
    b"1|24|M|artist|85711\n2|53|F|other|94043\n",
]
PIECES = [
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"::",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\\",
    b"#",
]
PIECES += [
    b"-1",
    b"1e999",
    b"nan",
    b"9" * 40,
    b"2018-02-30",
    b"T",
    b"+",
    b" " * 70,
    b"\xed\xa0\x80",
    b"\n\n\n",
    b"NULL",
]
OPTIONS = {
    "separator": [None, ",", ";", "\t", "::", " "],
    "decimal": [None, ",", "."],
    "quoting": ["auto", True, False],
    "escape": [None, "\\"],
    "comment": [None, "#", "%"],
    "on_bad_lines": ["error", "skip", "warn"],
    "encoding": ["utf-8", "latin-1", "cp1252", "utf-16", "shift_jis"],
    "rating": [None, False, 2],
    "timestamp": [None, False, 3],
    "time_unit": ["auto", "s", "ms", "date"],
    "missing": [None, -1, "NULL", ["", 99]],
    "header": ["auto", True, False],
    "duplicates": ["sum", "error", "latest", "max"],
}
TEXT = ("separator", "quoting", "escape", "comment", "on_bad_lines", "encoding", "header")


def mutated(rng):
    """Return a damaged member of the corpus."""
    data = bytearray(rng.choice(CORPUS) * rng.choice([1, 1, 1, 50]))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data[at:at] = rng.choice(PIECES)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 20)]
        else:
            data[at:at] = rng.choice(CORPUS)[rng.randrange(20) :]
    return bytes(data)


def outcome(read, path, **options):
    """Return what a reader answers, or its error; anything but an error that fastcf means is a failure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path, **options)
    except (fastcf.DataError, ValueError, TypeError) as error:
        message = str(error)
    assert 0 < len(message) < 5000
    return message


def columns_of(answer):
    if isinstance(answer, str):
        return answer
    if isinstance(answer, fastcf.Ratings):
        return [answer.indptr.tolist(), answer.indices.tolist(), answer.values.tolist(), answer.users.ids.tolist()]
    return [None if column is None else np.asarray(column).tolist() for column in answer]


def attempt(seed, path):
    rng = random.Random(seed)
    data = mutated(rng)
    path.write_bytes(data)
    options = {name: rng.choice(values) for name, values in OPTIONS.items() if rng.random() < 0.3}
    once = outcome(load_ratings, path, n_threads=1, **options)
    again = outcome(load_ratings, path, n_threads=3, **options)
    assert columns_of(once) == columns_of(again), (seed, options)
    options.pop("duplicates", None)
    log = outcome(read_log, path, **options)
    if not isinstance(log, str):
        assert len(log.users) == len(log.items) == len(log.ratings) > 0
        assert np.isfinite(log.ratings).all(), (seed, options)
    text = {name: value for name, value in options.items() if name in TEXT}
    for read in (read_items, read_tags, read_users, load_dense):
        outcome(read, path, **text)


def test_mutated_files_give_answers_or_errors(tmp_path):
    seconds = float(os.environ.get("FASTCF_FUZZ_SECONDS", "0"))
    end, seed = time.monotonic() + seconds, 0
    tracemalloc.start()
    try:
        while seed < LEAST or time.monotonic() < end:
            attempt(seed, tmp_path / "log.csv")
            seed += 1
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@given(
    st.binary(max_size=200) | st.text('ab1,;\t"\n\r #\\.-:', max_size=200).map(str.encode),
    st.sampled_from([",", "\t", " ", "::"]),
    st.sampled_from(["none", "line", "record"]),
    st.sampled_from(["", "\\"]),
    st.sampled_from(["", "#"]),
    st.integers(1, 4),
)
def test_native_reader_agrees_with_records_one_by_one(text, separator, quoting, escape, comment, n_fields):
    """Rows of ids as the reader of logs finds them in pieces, and as records of a small table."""
    syntax = {"separator": separator, "quoting": quoting, "escape": escape, "comment": comment}
    records, n_left_out, _ = ingest.split_records(text, offset=0, first_line=1, keep_going=True, **syntax)
    end = 0
    for line, begin, stop, fields in records:
        assert end <= begin < stop <= len(text)
        assert fields
        assert line == text[:begin].count(b"\n") + 1
        end = stop
    if n_fields < 2:
        return
    found = []
    for piece_bytes in (1, 1 << 20):
        users, items, _, _, notes = ingest.read_log(
            text, offset=0, first_line=1, n_fields=n_fields, columns=(0, n_fields - 1, -1, -1), keep_going=True,
            piece_bytes=piece_bytes, n_threads=2, **syntax,
        )  # fmt: skip
        found.append((ids_of(users).tolist(), ids_of(items).tolist(), notes[2]))
    assert found[0] == found[1]
    rows = [fields for *_, fields in records if len(fields) == n_fields and fields[0] and fields[-1]]
    rows = [row for row in rows if "\0" not in row[0] + row[-1]]
    assert [str(user) for user in found[0][0]] == [row[0] for row in rows] or n_left_out > 0


@pytest.mark.parametrize("seed", range(3))
def test_long_quotes_and_lines_take_time_in_proportion(tmp_path, seed):
    """Openings without closings everywhere: a reader that looks for each one's end to the end of the file hangs."""
    rng = random.Random(seed)
    openers = ['a,"b', 'a,"""', 'a,"\\"', '"', 'a,""b', "a,'b"]
    lines = [rng.choice(openers) for _ in range(6_000)]
    path = tmp_path / "quotes.csv"
    path.write_text("user,item,rating\n" + "\n".join(lines))
    for options in ({}, {"quoting": True, "escape": "\\"}, {"quoting": False}):
        assert isinstance(outcome(load_ratings, path, on_bad_lines="skip", **options), str)
