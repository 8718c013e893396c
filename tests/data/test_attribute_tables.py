"""Titles, tags and data of users in delimited tables of any kind."""

import pytest

import fastcf
from fastcf.data import read_items, read_tags, read_users
from rating_logs import write


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("ISBN;Book-Title;Author\n01;Emma, again;Austen\n", {}, [["01"], ["Emma, again"], [""]]),
        ('id\ttitle\tgenre\n1\tSo "so" she said\tDrama\n', {}, [[1], ['So "so" she said'], ["Drama"]]),
        ('code|label\n7|"two\nlines"\n', {"id": "code", "title": 1}, [[7], ["two\nlines"], [""]]),
        ("1,Heat,Crime\n2,Up,\n", {}, [[1, 2], ["Heat", "Up"], ["Crime", ""]]),
        ("1,Heat,Crime\n", {"genres": False, "id": 0, "title": 1}, [[1], ["Heat"], [""]]),
        ("# films\nmovie_id,name\n1,a\\,b\n", {"comment": "#", "escape": "\\"}, [[1], ["a,b"], [""]]),
        ("movie_id,name\n1,a\n2\n3,c\n", {"on_bad_lines": "skip"}, [[1, 3], ["a", "c"], ["", ""]]),
        (
            "movieId,title,genres\n1,Amélie,Comedy\n".encode("cp1252"),
            {"encoding": "cp1252"},
            [[1], ["Amélie"], ["Comedy"]],
        ),
        ("movieId,title,genres\n1,Amélie,Comedy\n".encode("latin-1"), {}, [[1], ["Amélie"], ["Comedy"]]),
        (
            "1::Amélie::\n".encode("utf-16"),
            {"encoding": "utf-16", "separator": "::", "header": False},
            [[1], ["Amélie"], [""]],
        ),
    ],
)
def test_titles_of_any_table(tmp_path, text, options, expected):
    assert [column.tolist() for column in read_items(write(tmp_path, text, "titles.txt"), **options)] == expected


def test_titles_that_cannot_be_told(tmp_path):
    for text in ("1,10,4\n1,11,3\n", "code,label\n7,x\n", "1,2\n2,3\n", "a,b,c,d\n1,2,3,4\n"):
        with pytest.raises(fastcf.DataError, match=r"pass .*by name or number of: 0"):
            read_items(write(tmp_path, text))
    with pytest.raises(TypeError, match="read_items: there is no option 'sep'; text has separator, "):
        read_items(write(tmp_path, "id,title\n1,a\n"), sep=",")
    with pytest.raises(ValueError, match="encoding must be a text encoding"):
        read_items(write(tmp_path, "id,title\n1,a\n"), encoding="nonsense")


def test_tags_and_users_of_any_table(tmp_path):
    tags = read_tags(write(tmp_path, "who;book;Tag;when\nann;7;so, so;1\n"), user="who", item="book")
    assert [column.tolist() for column in tags] == [["ann"], [7], ["so, so"]]
    assert read_tags(write(tmp_path, 'user\titem\ttag\n1\t2\t"x" y\n')).tags.tolist() == ['"x" y']
    tags = read_tags(write(tmp_path, "1,2,fine\n"), user=0, item=1, tag=2)
    assert [column.tolist() for column in tags] == [[1], [2], ["fine"]]
    with pytest.raises(fastcf.DataError, match="no line names the columns; pass user=, item=, tag="):
        read_tags(write(tmp_path, "1,2,fine\n"))
    users = read_users(write(tmp_path, "User-ID;Location;Age\n1;nyc, new york;\n2;stockton;18\n"))
    assert (users.ids.tolist(), users.ages.tolist()) == ([1, 2], [-1, 18])
    assert users.zip_codes.tolist() == ["nyc, new york", "stockton"]
    assert users.genders.tolist() == ["", ""]
    users = read_users(write(tmp_path, "uid,sex,job\nann,F,artist\n".encode("utf-16")), encoding="utf-16")
    assert (users.ids.tolist(), users.genders.tolist(), users.occupations.tolist()) == (["ann"], ["F"], ["artist"])
    with pytest.raises(fastcf.DataError, match=r":2: an age must be a whole number; got 'old'"):
        read_users(write(tmp_path, "id,age\n1,old\n"))
