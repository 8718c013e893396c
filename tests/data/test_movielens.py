"""MovieLens sets in each historical layout, written tiny by the tests, and the real ones."""

import csv
import gzip

import numpy as np
import pytest

import fastcf
from fastcf.data import ItemTable, detect_format, load_movielens, load_ratings, read_items, read_log

RATINGS = [(196, 242, 3, 881250949), (186, 302, 3, 891717742), (196, 1, 5, 881250000)]
TITLES = {242: "Kolya (1996)", 302: "L.A. Confidential (1997)", 1: "Misérables, Les (1995)"}
GENRES = {242: "Comedy", 302: "Crime|Mystery|Thriller", 1: "Drama"}
FLAGS = [
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
]  # fmt: skip


def write_100k(folder, genre_file=True):
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    lines = []
    for item, title in TITLES.items():
        flags = "|".join("1" if name in GENRES[item].split("|") else "0" for name in FLAGS)
        lines.append(f"{item}|{title}|24-Jan-1997||http://us.imdb.com/M/title-exact?Kolya%20(1996)|{flags}\n")
    (folder / "u.item").write_bytes("".join(lines).encode("latin-1"))
    if genre_file:
        (folder / "u.genre").write_text("".join(f"{name}|{i}\n" for i, name in enumerate(FLAGS)) + "\n")
    (folder / "u1.base").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))


def write_dat(folder, encoding, rating=str):
    (folder / "ratings.dat").write_text("".join(f"{u}::{i}::{rating(r)}::{t}\n" for u, i, r, t in RATINGS))
    (folder / "movies.dat").write_bytes(
        "".join(f"{item}::{title}::{GENRES[item]}\n" for item, title in TITLES.items()).encode(encoding)
    )
    (folder / "users.dat").write_text("196::M::49::14::55105\n")


def write_csv(folder):
    with open(folder / "ratings.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("userId", "movieId", "rating", "timestamp"), *RATINGS])
    with open(folder / "movies.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(item, title, GENRES[item]) for item, title in TITLES.items()]
        csv.writer(file).writerows([("movieId", "title", "genres"), *rows])
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n")
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n3,260,classic,1439472355\n")


LAYOUTS = {
    "100k": (write_100k, "movielens-100k"),
    "100k without u.genre": (lambda folder: write_100k(folder, genre_file=False), "movielens-100k"),
    "1m": (lambda folder: write_dat(folder, "latin-1"), "movielens-dat"),
    "10m": (lambda folder: write_dat(folder, "utf-8", "{:.1f}".format), "movielens-dat"),
    "25m": (write_csv, "movielens-csv"),
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    write, name = LAYOUTS[request.param]
    write(tmp_path)
    return tmp_path, name


def assert_loaded(dataset):
    users, items, ratings, times = (np.array(column) for column in zip(*RATINGS, strict=True))
    log = dataset.log
    for got, expected in zip(
        (log.users, log.items, log.ratings, log.timestamps), (users, items, ratings, times), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    assert dataset.ratings.shape == (2, 3)
    assert dataset.ratings.items.ids.tolist() == [1, 242, 302]
    assert dataset.items.ids.tolist() == list(TITLES)
    assert dataset.items.titles.tolist() == list(TITLES.values())
    assert dataset.items.genres.tolist() == list(GENRES.values())


def test_load_movielens_every_layout(layout):
    folder, name = layout
    found = detect_format(folder)
    assert found.format == name
    assert_loaded(load_movielens(folder))
    assert_loaded(load_movielens(str(found.ratings[0])))
    assert len(read_log(folder, format="movielens").ratings) == load_ratings(folder).n_ratings == 3
    assert read_items(folder).titles.tolist() == list(TITLES.values())


def test_load_movielens_compressed_files(layout):
    folder, name = layout
    found = detect_format(folder)
    for path in (found.ratings[0], found.items):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert detect_format(folder).format == name
    assert_loaded(load_movielens(folder))


def test_load_movielens_another_split_of_the_folder(tmp_path):
    write_100k(tmp_path)
    assert_loaded(load_movielens(tmp_path / "u1.base"))


def test_load_movielens_without_titles(tmp_path):
    write_csv(tmp_path)
    (tmp_path / "movies.csv").unlink()
    assert load_movielens(tmp_path).items is None
    with pytest.raises(fastcf.DataError, match="no titles found"):
        read_items(tmp_path)


def test_load_movielens_malformed_rating_names_the_line(layout):
    folder, _ = layout
    path = detect_format(folder).ratings[0]
    path.write_text(path.read_text() + "junk\n")
    last = len(path.read_text().splitlines())
    with pytest.raises(fastcf.DataError, match=rf"{path.name}:{last}: expected 4 fields .*: 'junk'"):
        load_movielens(folder)


def test_load_movielens_refuses_other_layouts(tmp_path):
    (tmp_path / "combined_data_1.txt").write_text("1:\n1,3,2005-09-06\n")
    with pytest.raises(fastcf.DataError, match="not a MovieLens layout"):
        load_movielens(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_movielens(tmp_path / "missing")


# --------------------------------------------------------------------------------------------------------- items


def test_read_items_quotes_newlines_and_no_genres(tmp_path):
    path = tmp_path / "movies.csv"
    path.write_bytes(
        b"\xef\xbb\xbfmovieId,title,genres\r\n"
        b'1,"American President, The (1995)",(no genres listed)\r\n'
        b'2,"""Great"" one (1990)",Drama\r\n'
        b"\r\n"
        b'3,"two\nlines",Comedy|War\r\n'
    )
    items = read_items(path)
    assert items.titles.tolist() == ["American President, The (1995)", '"Great" one (1990)', "two\nlines"]
    assert items.genres.tolist() == ["", "Drama", "Comedy|War"]


def test_read_items_columns_by_name_or_position(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("genres,Movie_ID,original title\nDrama,07,A\n")
    assert [column.tolist() for column in read_items(path)] == [["07"], ["A"], ["Drama"]]
    path.write_text("1,A\n2,B\n")
    assert [column.tolist() for column in read_items(path)] == [[1, 2], ["A", "B"], ["", ""]]


def test_read_items_title_with_separator_and_leading_quote(tmp_path):
    path = tmp_path / "movies.dat"
    path.write_text('0001::"Quoted" Cats (1998)::Musical\n0002::2:: 22 (2008)::\n0003::Lonely\n')
    items = read_items(path)
    assert items.ids.tolist() == ["0001", "0002", "0003"]
    assert items.titles.tolist() == ['"Quoted" Cats (1998)', "2:: 22 (2008)", "Lonely"]
    assert items.genres.tolist() == ["Musical", "", ""]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("movies.dat", "1::A::B\n\njunk\n", r"movies.dat:3: expected id::title::genres: 'junk'"),
        ("movies.csv", "movieId,title,genres\n1,A,B\n2\n", r"movies.csv:3: expected 3 fields .* got 1: '2'"),
        (
            "movies.csv",
            'movieId,title,genres\n1,"A\n2,B,C\n',
            r"movies.csv:2: a quoted field is not closed; quoting=False .*: '1,\"A'",
        ),
        (
            "u.item",
            "1|A" + "|0" * 22 + "\n2|B|0\n",
            r"u.item:2: expected 24 fields separated by '\|'; got 3: '2\|B\|0'",
        ),
        ("movie_titles.txt", "1,2003,A\n2,B\n", r"movie_titles.txt:2: expected id,year,title: '2,B'"),
        ("movies.csv", "", "movies.csv: the file is empty"),
        ("movies.csv", "movieId,title,genres\n", "movies.csv: there are no items"),
    ],
)
def test_read_items_malformed_line_names_file_line_and_text(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(fastcf.DataError, match=message):
        read_items(tmp_path / name)


def test_title_of_unknown_ids_and_other_kinds():
    numbers = ItemTable(np.array([30, 10, 20, 10]), np.array(["c", "a", "b", "again"]), np.array([""] * 4))
    assert numbers.title_of([10, 20, 99, 30]).tolist() == ["a", "b", "", "c"]
    assert numbers.title_of(["10", "010", "30"]).tolist() == ["a", "", "c"]
    assert numbers.title_of(np.array([], np.int64)).tolist() == []
    words = ItemTable(np.array(["010", "7"]), np.array(["a", "b"]), np.array(["", ""]))
    assert words.title_of([10, 7]).tolist() == ["", "b"]
    with pytest.raises(TypeError, match=r"ItemTable.title_of: ids must be integers or strings"):
        words.title_of([1.5])


# ----------------------------------------------------------------------------------------------------- real sets


def test_load_movielens_latest_small(data_dir):
    ratings, log, items = load_movielens(data_dir / "ml-latest-small")
    assert len(log.ratings) == ratings.n_ratings == 100_836
    assert ratings.shape == (610, 9_724)
    assert ratings.rating_range == (0.5, 5.0)
    assert (log.users[0], log.items[0], log.ratings[0], log.timestamps[0]) == (1, 1, 4.0, 964982703)
    assert len(items.ids) == 9_742
    assert items.title_of([1, 11]).tolist() == ["Toy Story (1995)", "American President, The (1995)"]


def test_load_movielens_movietweetings(data_dir):
    ratings, log, items = load_movielens(data_dir / "movietweetings-100k")
    assert ratings.n_ratings == 100_000
    assert (log.users[0], log.items[2], log.ratings[0]) == (1, "0104257", 7.0)
    assert items.title_of(["0104257"]).tolist() == ["A Few Good Men (1992)"]
    assert (items.title_of(log.items) != "").mean() > 0.99
