"""The Netflix Prize data in both of its layouts, written tiny by the tests."""

import gzip
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf._backend import ingest
from fastcf.data import detect_format, load_netflix, load_ratings, read_items, read_log

DAY = 86400
# movie -> rows of customer, rating, date
TRAINING = {
    1: [(1488844, 3, "2005-09-06"), (822109, 5, "2005-05-13"), (885013, 4, "2005-10-19")],
    2: [(822109, 1, "1999-12-31")],
    10: [(885013, 5, "2000-02-29"), (1488844, 2, "2004-01-01")],
    17770: [(7, 4, "2005-12-31")],
}
ROWS = [(user, movie, rating, date) for movie, rows in TRAINING.items() for user, rating, date in rows]


def seconds(date):
    return int(np.datetime64(date, "s").astype(np.int64))


def block(movie, rows):
    return f"{movie}:\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def write_files(folder, pack=lambda data: data):
    (folder / "training_set").mkdir()
    for movie, rows in TRAINING.items():
        (folder / "training_set" / f"mv_{movie:07d}.txt").write_bytes(pack(block(movie, rows).encode()))


def write_combined(folder, pack=lambda data: data, suffix=""):
    movies = list(TRAINING)
    for number, part in ((1, movies[:3]), (2, movies[3:])):
        text = "".join(block(movie, TRAINING[movie]) for movie in part)
        (folder / f"combined_data_{number}.txt{suffix}").write_bytes(pack(text.encode()))


def write_rest(folder):
    (folder / "probe.txt").write_text("1:\n885013\n1488844\n10:\n885013\n")
    (folder / "qualifying.txt").write_text("1:\n1046323,2005-12-19\n10:\n7,2005-01-01\n")
    (folder / "movie_titles.txt").write_bytes(
        "1,2003,Dinosaur Planet\n2,NULL,A, b, ça\n10,1999,Ten\n".encode("latin-1")
    )


LAYOUTS = {
    "one file per movie": write_files,
    "one file per movie, gzip": lambda folder: write_files(folder, gzip.compress),
    "combined": write_combined,
    "combined, gzip": lambda folder: write_combined(folder, gzip.compress, ".gz"),
    "combined, gzip without the name": lambda folder: write_combined(folder, gzip.compress),
    "CRLF": lambda folder: write_combined(folder, lambda data: data.replace(b"\n", b"\r\n")),
    "blank lines": lambda folder: write_combined(folder, lambda data: data.replace(b"\n", b"\n \n")),
    "no last newline": lambda folder: write_combined(folder, lambda data: data[:-1]),
}


@pytest.fixture(params=LAYOUTS)
def folder(request, tmp_path):
    LAYOUTS[request.param](tmp_path)
    write_rest(tmp_path)
    return tmp_path


def assert_rows(log):
    users, items, ratings, dates = zip(*ROWS, strict=True)
    assert (log.users.dtype, log.items.dtype) == (np.int64, np.int64)
    assert (log.ratings.dtype, log.timestamps.dtype) == (np.float32, np.int64)
    assert log.users.tolist() == list(users)
    assert log.items.tolist() == list(items)
    assert log.ratings.tolist() == list(ratings)
    assert log.timestamps.tolist() == [seconds(date) for date in dates]


def triples(ratings):
    return {(int(u), int(i), float(r)) for u, i, r in zip(*ratings.to_coo(), strict=True)}


def test_read_log_recognises_netflix_folders(folder):
    assert detect_format(folder).format == "netflix"
    for n_threads in (1, 2, 4):
        assert_rows(read_log(folder, n_threads=n_threads))
    assert load_ratings(folder, format="netflix").n_ratings == len(ROWS)


def test_load_netflix_splits_the_probe_off(folder):
    data = load_netflix(folder)
    probe = {(885013, 1, 4.0), (1488844, 1, 3.0), (885013, 10, 5.0)}
    assert triples(data.probe) == probe
    assert triples(data.train) == {(u, i, float(r)) for u, i, r, _ in ROWS} - probe
    assert data.train.users == data.probe.users
    assert data.train.items == data.probe.items
    assert data.train.shape == (4, 4)
    assert data.probe.timestamps is not None
    assert sorted(data.probe.timestamps.tolist()) == sorted(map(seconds, ("2005-10-19", "2005-09-06", "2000-02-29")))
    assert data.qualifying.users.tolist() == [1046323, 7]
    assert data.qualifying.items.tolist() == [1, 10]
    assert data.qualifying.timestamps.tolist() == [seconds("2005-12-19"), seconds("2005-01-01")]
    assert data.items.titles.tolist() == ["Dinosaur Planet (2003)", "A, b, ça", "Ten (1999)"]
    assert data.items.ids.tolist() == [1, 2, 10]


def test_load_netflix_only_the_training_set(tmp_path):
    write_combined(tmp_path)
    data = load_netflix(str(tmp_path))
    assert (data.probe, data.qualifying, data.items) == (None, None, None)
    assert data.train.n_ratings == len(ROWS)


def test_read_log_recognises_single_netflix_files(folder):
    for path in detect_format(folder).ratings:
        assert detect_format(path).format == "netflix"
        assert 0 < len(read_log(path).ratings) <= len(ROWS)


def test_read_log_orders_files_by_number(tmp_path):
    for number in (10, 9, 1):
        (tmp_path / f"combined_data_{number}.txt").write_text(f"{number}:\n{number},1,2000-01-01\n")
    assert read_log(tmp_path).items.tolist() == [1, 9, 10]


def test_read_log_many_files_are_read_by_the_threads(tmp_path):
    for movie in range(1, 151):
        rows = [(user, 1 + user % 5, "2001-01-01") for user in range(1, movie % 7 + 1)]
        (tmp_path / f"mv_{movie:07d}.txt").write_text(block(movie, rows))
    logs = [read_log(tmp_path, n_threads=n) for n in (1, 2, 4)]
    expected = [movie for movie in range(1, 151) for _ in range(movie % 7)]
    for log in logs:
        assert log.items.tolist() == expected
        assert log.users.tolist() == [user for movie in range(1, 151) for user in range(1, movie % 7 + 1)]
    (tmp_path / "mv_0000120.txt").write_text("120:\n1,2,2001-01-01\n5,x,2001-01-01\n")
    (tmp_path / "mv_0000140.txt").write_text("junk\n")
    for n_threads in (1, 2, 4):
        with pytest.raises(fastcf.DataError, match=r"mv_0000120.txt:3: rating must be a finite number; got 'x'"):
            read_log(tmp_path, n_threads=n_threads)
    for path, problem in ((tmp_path / "missing", "cannot be opened: "), (tmp_path, "cannot be read: ")):
        with pytest.raises(ingest.ParseError) as error:
            ingest.read_netflix([b"1:\n", str(path)], n_fields=3)
        assert error.value.args[:2] == (1, 0)
        assert problem in error.value.args[2]


@settings(max_examples=80)
@given(
    movies=st.lists(
        st.tuples(
            st.integers(1, 2**31 - 1),
            st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 20), st.dates()), max_size=40),
        ),
        min_size=1,
        max_size=8,
    ),
    cut=st.integers(0, 8),
    piece_bytes=st.sampled_from([1, 5, 30, 200, 1 << 20]),
    n_threads=st.sampled_from([1, 2, 4]),
)
def test_read_netflix_agrees_with_python_at_every_piece_boundary(movies, cut, piece_bytes, n_threads):
    blocks = [block(movie, [(user, rating / 2, date) for user, rating, date in rows]) for movie, rows in movies]
    sources = ["".join(blocks[:cut]).encode(), "".join(blocks[cut:]).encode()]
    got = ingest.read_netflix(sources, n_fields=3, piece_bytes=piece_bytes, n_threads=n_threads)
    rows = [(user, movie, rating / 2, seconds(date)) for movie, part in movies for user, rating, date in part]
    for column, expected in zip(got, zip(*rows, strict=True) if rows else [()] * 4, strict=True):
        assert column.tolist() == list(expected)


# ----------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("junk", "expected \"movie:\" or 3 fields separated by ','; got 1"),
        ("1,2,2005-01-01,4", "expected \"movie:\" or 3 fields separated by ','; got 4"),
        ("x,2,2005-01-01", "customer must be an integer; got 'x'"),
        ("007,2,2005-01-01", "customer must be an integer; got '007'"),
        ("0,2,2005-01-01", "customer must lie in [1, 2147483647]; got 0"),
        ("2147483648,2,2005-01-01", "customer must lie in [1, 2147483647]; got 2147483648"),
        ("1,nan,2005-01-01", "rating must be a finite number; got 'nan'"),
        ("1,,2005-01-01", "rating must be a finite number; got ''"),
        ("1,2,2005-13-01", "date must be YYYY-MM-DD; got '2005-13-01'"),
        ("1,2,2005-02-29", "date must be YYYY-MM-DD; got '2005-02-29'"),
        ("1,2,today", "date must be YYYY-MM-DD; got 'today'"),
        ("0:", 'expected "movie:" or 3 fields'),
        ("2147483648:", 'expected "movie:" or 3 fields'),
        ("1:2:3::::", 'expected "movie:" or 3 fields'),
        (":", 'expected "movie:" or 3 fields'),
    ],
)
@pytest.mark.parametrize("at", [1, 200, 400])
def test_load_netflix_malformed_line_names_file_line_and_text(tmp_path, line, problem, at):
    lines = ["1:"] + [f"{i},4,2005-01-01" for i in range(1, 400)]
    lines.insert(at, line)
    (tmp_path / "combined_data_1.txt").write_text("2:\n5,1,2000-01-01")
    path = tmp_path / "combined_data_2.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(fastcf.DataError) as error:
        load_netflix(tmp_path)
    assert str(error.value).startswith(f"{path}:{at + 1}: {problem}")
    assert str(error.value).endswith(repr(line))
    for piece_bytes in (1, 50, 1000):
        with pytest.raises(ingest.ParseError) as native:
            ingest.read_netflix([path.read_bytes()], n_fields=3, piece_bytes=piece_bytes)
        assert native.value.args[1] == at + 1


def test_load_netflix_rating_before_any_movie(tmp_path):
    (tmp_path / "mv_0000001.txt").write_text("5,1,2000-01-01\n1:\n")
    with pytest.raises(fastcf.DataError, match=r'mv_0000001.txt:1: a line "movie:" must come first'):
        load_netflix(tmp_path)


def test_load_netflix_probe_outside_the_training_set(tmp_path):
    write_combined(tmp_path)
    (tmp_path / "probe.txt").write_text("1:\n885013\n7\n999:\n885013\n")
    with pytest.raises(fastcf.DataError, match=r"probe.txt: every pair .* got customer 7 of movie 1 \(2 of 3 pairs"):
        load_netflix(tmp_path)


def test_load_netflix_other_folders_and_arguments(tmp_path):
    with pytest.raises(fastcf.DataError, match="no training set found"):
        load_netflix(tmp_path)
    write_combined(tmp_path)
    with pytest.raises(ValueError, match="read_log: separator must not be given for the Netflix Prize layout"):
        read_log(tmp_path, separator=",")
    with pytest.raises(ValueError, match="load_netflix: n_threads must be an integer of at least 1, or None; got -1"):
        load_netflix(tmp_path, n_threads=-1)
    with pytest.raises(fastcf.DataError, match="not the movielens layout"):
        read_log(tmp_path, format="movielens")


@pytest.mark.parametrize("text", ["", "1:\n2:\n"])
def test_load_netflix_without_ratings(tmp_path, text):
    (tmp_path / "combined_data_1.txt").write_text(text)
    with pytest.raises(fastcf.DataError, match=re.escape(f"{tmp_path}: there are no ratings")):
        load_netflix(tmp_path)
    with pytest.raises(fastcf.DataError, match="there are no ratings"):
        read_log(tmp_path)


def test_load_netflix_duplicate_rating(tmp_path):
    (tmp_path / "combined_data_1.txt").write_text("1:\n5,1,2000-01-01\n5,2,2000-01-02\n")
    with pytest.raises(ValueError, match="load_netflix: "):
        load_netflix(tmp_path)
    assert load_netflix(tmp_path, duplicates="last").train.values.tolist() == [2.0]


def test_read_items_kaggle_titles(tmp_path):
    text = b"1,2003,Dinosaur Planet\r\n4388,NULL,Ancient Civilizations: Rome, Pompeii\r\n"
    (tmp_path / "movie_titles.csv").write_bytes(text)
    items = read_items(tmp_path / "movie_titles.csv")
    assert items.titles.tolist() == ["Dinosaur Planet (2003)", "Ancient Civilizations: Rome, Pompeii"]
    assert items.genres.tolist() == ["", ""]


def test_native_read_netflix_refuses_what_python_never_passes():
    for options in ({"n_fields": 0}, {"n_fields": 4}, {"n_fields": 3, "piece_bytes": 0}):
        with pytest.raises(ValueError, match="read_netflix: "):
            ingest.read_netflix([b"1:\n"], **options)
