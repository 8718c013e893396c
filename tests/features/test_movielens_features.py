"""Features of MovieLens folders, and the readers of users and tags: folders written tiny, and the real set."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import fastcf
from fastcf.data import read_tags, read_users
from fastcf.features import movielens, user_features

FILMS = [(3, "Heat (1995)", "Action|Crime"), (1, "Up (2009)", "Animation"), (20, "Nowhere", "(no genres listed)")]
RATINGS = [(5, 3, 4.0, 11), (5, 1, 5.0, 12), (2, 3, 3.0, 13)]
USERS = [(5, 35, "M", "12", "55105"), (2, 18, "F", "0", "94110-2117"), (9, 35, "F", "12", "T8H1N")]
TAGS = [
    (5, 3, "Heist, slow", 1),
    (2, 3, "heist, SLOW", 2),
    (2, 1, "heist, slow", 3),
    (2, 1, "balloons", 4),
    (2, 99, "x", 5),
]
FLAGS = ["unknown", "Action", "Animation", "Crime", *"abcdefghijklmnop"]


def write_1m(folder):
    (folder / "ratings.dat").write_text("".join(f"{u}::{i}::{r:g}::{t}\n" for u, i, r, t in RATINGS))
    (folder / "movies.dat").write_text("".join("::".join(map(str, film)) + "\n" for film in FILMS), encoding="latin-1")
    lines = [f"{user}::{gender}::{age}::{job}::{zip_code}\n" for user, age, gender, job, zip_code in USERS]
    (folder / "users.dat").write_text("".join(lines))


def write_100k(folder):
    (folder / "u.data").write_text("".join(f"{u}\t{i}\t{r:g}\t{t}\n" for u, i, r, t in RATINGS))
    (folder / "u.genre").write_text("".join(f"{name}|{i}\n" for i, name in enumerate(FLAGS)))
    lines = []
    for item, title, genres in FILMS:
        flags = "|".join(str(int(name in genres.split("|"))) for name in FLAGS)
        lines.append(f"{item}|{title}|01-Jan-1995||http://us.imdb.com/|{flags}\n")
    (folder / "u.item").write_text("".join(lines))
    (folder / "u.user").write_text("".join("|".join(map(str, user)) + "\n" for user in USERS))


def write_latest(folder):
    tables = {
        "ratings.csv": [("userId", "movieId", "rating", "timestamp"), *RATINGS],
        "movies.csv": [("movieId", "title", "genres"), *FILMS],
        "tags.csv": [("userId", "movieId", "tag", "timestamp"), *TAGS],
    }
    for name, rows in tables.items():
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def dense(table):
    return table.matrix.toarray() if table.is_sparse else table.matrix


# -------------------------------------------------------------------------------------------------------- readers


@pytest.mark.parametrize(("write", "name"), [(write_1m, "users.dat"), (write_100k, "u.user")])
@pytest.mark.parametrize("packed", [False, True])
def test_read_users_of_both_layouts(tmp_path, write, name, packed):
    write(tmp_path)
    path = tmp_path / name
    if packed:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    users = read_users(tmp_path)
    assert list(zip(users.ids, users.ages, users.genders, users.occupations, users.zip_codes, strict=True)) == USERS
    assert users.ids.dtype == users.ages.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("users.dat", "1::F::1::10::48067\n\n2::M::56\n", "users.dat:3: expected 5 fields separated by '::'.*got 3"),
        ("u.user", "1|24|M|artist|85711\n2|old|F|other|94043\n", "u.user:2: an age must be a whole number; got 'old'"),
        ("u.user", "\n", "u.user: there are no users"),
    ],
)  # fmt: skip
def test_read_users_malformed_line_names_file_line_and_text(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(fastcf.DataError, match=message):
        read_users(tmp_path / name)


def test_read_tags_of_both_layouts(tmp_path):
    write_latest(tmp_path)
    (tmp_path / "tags.dat").write_text("".join(f"{u}::{i}::{tag}::{t}\n" for u, i, tag, t in TAGS) + "7::1::a::b::6\n")
    tags = read_tags(tmp_path)
    assert list(zip(tags.users, tags.items, tags.tags, strict=True)) == [row[:3] for row in TAGS]
    tags = read_tags(tmp_path / "tags.dat")
    assert list(zip(tags.users, tags.items, tags.tags, strict=True)) == [*(row[:3] for row in TAGS), (7, 1, "a::b")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tags.csv", "userId,movieId,tag\n1,2,a\n4,5\n", "tags.csv:3: expected 3 fields .* got 2: '4,5'"),
        ("tags.csv", 'userId,movieId,tag\n1,2,"a\nb"\n4\n', "tags.csv:4: expected 3 fields separated by ','; got 1"),
        ("tags.csv", 'userId,movieId,tag\n1,2,"a\n', r"tags.csv:2: a quoted field is not closed; .*: '1,2,\"a'"),
        ("tags.csv", "userId,movieId,tag\n", "tags.csv: there are no tags"),
        ("tags.dat", "1::2::a::3\n\n1::2\n", "tags.dat:3: expected user::item::tag::time: '1::2'"),
        ("tags.dat", "", "tags.dat: there are no tags"),
    ],
)  # fmt: skip
def test_read_tags_malformed_line_names_file_line_and_text(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(fastcf.DataError, match=message):
        read_tags(tmp_path / name)


def test_read_users_and_tags_say_what_is_missing(tmp_path):
    with pytest.raises(fastcf.DataError, match=r"no users found: expected users.dat or u.user"):
        read_users(tmp_path)
    with pytest.raises(fastcf.DataError, match=r"no tags found: expected tags.csv or tags.dat"):
        read_tags(tmp_path)


# ------------------------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("write", [write_1m, write_100k, write_latest])
def test_movielens_films_have_genres_and_year(tmp_path, write):
    write(tmp_path)
    films = movielens(tmp_path).items
    assert films.ids.ids.tolist() == [3, 1, 20]
    assert films.names.tolist() == ["genre_Action", "genre_Animation", "genre_Crime", "year"]
    wanted = [[1, 0, 1, -np.sqrt(1.5)], [0, 1, 0, np.sqrt(1.5)], [0, 0, 0, 0]]
    np.testing.assert_allclose(dense(films), wanted, atol=1e-5)


def test_movielens_users_of_1m(tmp_path):
    write_1m(tmp_path)
    users = movielens(str(tmp_path)).users
    assert users.ids.ids.tolist() == [5, 2, 9]
    names = [
        "age_18",
        "age_35",
        "gender_F",
        "gender_M",
        "occupation_0",
        "occupation_12",
        "region_5",
        "region_9",
        "region_T",
    ]
    assert users.names.tolist() == names
    wanted = [[0, 1, 0, 1, 0, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0, 0, 1, 0], [0, 1, 1, 0, 0, 1, 0, 0, 1]]
    assert dense(users).tolist() == wanted


def test_movielens_users_of_100k(tmp_path):
    write_100k(tmp_path)
    users = movielens(tmp_path).users
    assert users.names[-1] == "age"
    np.testing.assert_allclose(dense(users)[:, -1], [np.sqrt(0.5), -np.sqrt(2), np.sqrt(0.5)], rtol=1e-5)


def test_movielens_users_from_ratings(tmp_path):
    write_latest(tmp_path)
    ratings = fastcf.data.load_ratings(tmp_path)
    assert movielens(tmp_path).users is None
    films, users = movielens(tmp_path, ratings)
    genres = fastcf.FeatureTable(films.ids, dense(films)[:, :3], films.names[:3])
    derived = user_features(ratings, genres)
    assert users.ids.ids.tolist() == [2, 5]
    assert users.names.tolist() == derived.names.tolist()
    np.testing.assert_allclose(users.matrix, StandardScaler().fit_transform(derived.matrix), atol=1e-5)


def test_movielens_users_from_folder_and_ratings(tmp_path):
    write_1m(tmp_path)
    alone = movielens(tmp_path).users
    both = movielens(tmp_path, fastcf.data.load_ratings(tmp_path)).users
    assert both.ids == alone.ids  # user 9, who has rated nothing, included
    assert both.names.tolist()[: alone.n_features] == alone.names.tolist()
    assert both.names.tolist()[alone.n_features :][:2] == ["log_count", "mean"]
    np.testing.assert_array_equal(dense(both)[:, : alone.n_features], dense(alone))


def test_movielens_tags_that_many_films_carry(tmp_path):
    write_latest(tmp_path)
    films = movielens(tmp_path, min_tag_count=1).items
    assert films.names.tolist()[-2:] == ["tag_balloons", "tag_heist, slow"]
    np.testing.assert_array_equal(dense(films)[:, -2:], [[0, 1], [1, 1], [0, 0]])
    assert movielens(tmp_path, min_tag_count=2).items.names.tolist()[-1] == "tag_heist, slow"
    with pytest.raises(ValueError, match=r"column 'tag' must have a label in at least min_count=3 rows"):
        movielens(tmp_path, min_tag_count=3)


def test_movielens_users_file_of_accounts_is_left_alone(tmp_path):
    write_1m(tmp_path)
    (tmp_path / "users.dat").write_text("1::139564917\n2::522540374\n")  # MovieTweetings
    assert movielens(tmp_path).users is None


def test_movielens_without_features_or_with_bad_films_raises(tmp_path):
    write_latest(tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,(no genres listed)\n")
    with pytest.raises(fastcf.DataError, match="films have no features: neither genres nor years in their titles"):
        movielens(tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,War\n1,B,War\n")
    with pytest.raises(ValueError, match="ids must be distinct; got 1 at positions 0 and 1"):
        movielens(tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,War\n")
    with pytest.raises(ValueError, match="all items of the ratings must have features; 1 of 2 have none, first 3"):
        movielens(tmp_path, fastcf.data.load_ratings(tmp_path))


def test_movielens_latest_small(data_dir):
    ratings = fastcf.data.load_ratings(data_dir / "ml-latest-small")
    films, users = movielens(data_dir / "ml-latest-small", ratings)
    assert (films.n_rows, films.n_features, films.is_sparse) == (9742, 20, True)
    assert (users.n_rows, users.n_features) == (610, 3 + 2 * 19)
    np.testing.assert_allclose(users.matrix.mean(axis=0), 0, atol=1e-4)
    model = fastcf.UserRegression(reg=10.0).fit(ratings, item_features=films)
    assert np.isfinite(model.predict(ratings)).all()
