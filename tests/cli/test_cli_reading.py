"""Options that say how files are read: every kind of file ends in an answer or one line with a remedy."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import fastcf
from commands import run
from fastcf.cli._reading import as_flags

FILES = {
    "many-fields.csv": b"0,1,31,2.5,1260759144\n1,1,1029,3,1260759179\n",
    "views.csv": b"1,10,1433221332\n2,10,1433221333\n",
    "events.csv": b"userid,itemid,actiontype,timestamp\n1,10,view,1433221332\n1,11,buy,1433221333\n",
    "pairs.csv": b"userid,itemid\n1,10\n",
    "latin.csv": '"User-ID";"ISBN";"Book-Rating"\n"1";"n\xba 0385";"8"\n'.encode("latin-1"),
    "dated.csv": b"user_id,business_id,stars,date\nu1,b1,4,2018-07-07 22:09:11\n",
    "quotes.tsv": b'userId\titemId\trating\tnote\nu1\tn1\t1\tok\nu2\tn1\t0\t"so" she said\n',
    "open.csv": b'user,item,rating,note\nu1,n1,1,"so she said\n',
    "escaped.csv": b"user,item,rating\nu1,a\\,b,5\n",
    "lines.csv": b'user_id,business_id,stars,text\nu1,b1,5,"good\nfood"\n',
    "again.csv": b"userId,movieId,rating\n1,10,4\nuserId,movieId,rating\n2,10,3\n",
    "twice.csv": b"user,item,rating,timestamp\n1,1,5,200\n1,1,2,100\n",
    "sentinel.csv": b"user_id,anime_id,rating\n1,20,-1\n1,24,8\n2,20,7\n",
    "own-names.csv": b"usr_id,code_id,amt_trx,bestelldatum\n0,35,1,2022-03-01\n",
    "comma.csv": b"1;10;3,500\n2;11;4,000\n",
    "days.csv": b"user,item,rating,time\n1,10,4,20180707\n",
    "comment.csv": b"# made by hand\nuser,item,rating\n1,10,4\n",
    "text.csv": b"user,item,rating\n1,10,good\n",
    "one-column.csv": b"alone\nagain\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("views.csv", ["--no-rating"], "2015-06-02"),
        ("views.csv", ["--no-rating", "--timestamp-column", 2], "2015-06-02"),
        ("views.csv", ["--no-rating", "--no-timestamp"], "users"),
        ("events.csv", ["--no-rating"], "2: 100.000%"),
        ("pairs.csv", ["--no-rating"], "1: 100.000%"),
        ("many-fields.csv", ["--user-column", 1, "--item-column", 2, "--rating-column", 3], "31, 1029"),
        ("latin.csv", ["--encoding", "latin-1"], "nº 0385"),
        ("dated.csv", [], "2018-07-07"),
        ("quotes.tsv", [], "2: 100.000%"),
        ("open.csv", ["--quoting", "off"], "1: 100.000%"),
        ("escaped.csv", ["--escape", "\\"], "a,b"),
        ("lines.csv", [], "1: 100.000%"),
        ("again.csv", ["--on-bad-lines", "skip"], "2: 100.000%"),
        ("twice.csv", ["--duplicates", "latest"], "5 to 5"),
        ("twice.csv", ["--duplicates", "max"], "5 to 5"),
        ("sentinel.csv", ["--missing", "-1"], "2: 50.000%"),
        ("sentinel.csv", ["--missing", -1, "--missing", 7, "--keep-unrated"], "1: 25.000%"),
        ("own-names.csv", ["--user-column", "usr_id", "--item-column", 1, "--rating-column", "amt_trx"], "35"),
        ("own-names.csv", ["--header", "yes", "--user-column", 0, "--item-column", 1, "--no-rating"], "35"),
        ("comma.csv", ["--decimal", ","], "3.5 to 4"),
        ("days.csv", ["--time-unit", "date"], "2018-07-07"),
        ("comment.csv", ["--comment", "#"], "1: 100.000%"),
    ],
)
def test_info_reads_every_kind_of_file(folder: Path, name: str, options: list[object], shown: str) -> None:
    assert shown in run("info", folder / name, *options).stdout


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("many-fields.csv", [], ["5 columns", "--user-column, --item-column, --rating-column", "2 (31)"]),
        ("views.csv", [], ["looks like a time", "--no-rating", "--timestamp-column 2"]),
        ("events.csv", [], ["--no-rating", "2 'actiontype' (view)"]),
        ("pairs.csv", [], ["--no-rating"]),
        ("latin.csv", [], [":2: ", "--encoding 'latin-1'"]),
        ("open.csv", [], [":2: a quoted field is not closed", "--quoting off"]),
        ("escaped.csv", [], [":2: expected 3 fields", "--on-bad-lines 'skip'"]),
        ("again.csv", [], [":3: the header is repeated", "--on-bad-lines 'skip'"]),
        ("twice.csv", [], ["--duplicates 'last'"]),
        ("own-names.csv", [], ["--user-column, --item-column, --rating-column", "0 'usr_id' (0)"]),
        ("own-names.csv", ["--user-column", "who"], ["'who'", "usr_id"]),
        ("own-names.csv", ["--user-column", 7], ["[0, 4)", "usr_id"]),
        ("comma.csv", [], ["--decimal ','"]),
        ("days.csv", [], ["--time-unit 'date'"]),
        ("text.csv", [], [":2: rating must be a number; got 'good'", "--on-bad-lines 'skip'"]),
        ("one-column.csv", [], ["cannot find fields", "separator"]),
        ("dated.csv", ["--encoding", "nonsense"], ["encoding must be a text encoding of Python"]),
        ("dated.csv", ["--escape", "ab"], ["escape must be one ASCII character"]),
    ],
)
def test_commands_say_what_to_do(folder: Path, name: str, options: list[object], parts: list[str]) -> None:
    for command in (["info"], ["train", "-o", folder / "model"], ["demo", "--data"]):
        message = run(*command, folder / name, *options, code=1).stderr
        for part in parts:
            assert part in message
    assert not (folder / "model").exists()


def test_options_that_exclude_each_other(folder: Path) -> None:
    for which in ("rating", "timestamp"):
        run("info", folder / "events.csv", f"--no-{which}", f"--{which}-column", 2, code=2)


def test_lines_left_out_are_counted_and_shown(folder: Path) -> None:
    skipped = run("info", folder / "again.csv", "--on-bad-lines", "skip").stderr
    assert skipped == f"Note: {folder / 'again.csv'}: 1 malformed line was left out: line 3\n"
    shown = run("info", folder / "again.csv", "--on-bad-lines", "warn").stderr
    assert "line 3: the header is repeated: 'userId,movieId,rating'" in shown


def test_predict_reads_pairs_with_the_same_options(folder: Path) -> None:
    rows = "".join(f"{user};{item};{(user + item) % 5}\n" for user in range(1, 9) for item in range(10, 20))
    (folder / "train.csv").write_text(f"user;item;rating\n{rows}")
    run("train", folder / "train.csv", "-o", folder / "model", "--model", "bias")
    (folder / "pairs.txt").write_text("# pairs\nwho|what\n1|10\nwho|what\n'2'|11|3\n3|12\n")
    arguments = [folder / "model", folder / "pairs.txt", "--comment", "#", "--user-column", "who", "--item-column", 1]
    result = run("predict", *arguments, "--on-bad-lines", "skip")
    assert len(result.stdout.splitlines()) == 3
    assert "2 malformed lines were left out: line 4, 5" in result.stderr
    assert ":4: the header is repeated" in run("predict", *arguments, code=1).stderr
    expected = fastcf.load(folder / "model").predict([(1, 10), (3, 12)])
    assert [line.split(",")[2] for line in result.stdout.splitlines()[1:]] == expected.astype(str).tolist()


def test_arguments_in_messages_become_options() -> None:
    said = "pass user=, item= or rating=False; quoting=False takes it, on_bad_lines='skip' leaves it (time_unit='ms')"
    wanted = (
        "pass --user-column, --item-column or --no-rating; --quoting off takes it, --on-bad-lines 'skip' leaves it "
        "(--time-unit 'ms')"
    )
    assert as_flags(said) == wanted
    assert as_flags("a.csv?user=5: got 'x'") == "a.csv?user=5: got 'x'"


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A model of books, and a table of their titles with names that nobody knows."""
    rows = "".join(
        f"{user},b{book},{(user * book) % 5 + 1}\n" for user in range(9) for book in range(5) if user != book
    )
    (tmp_path / "log.csv").write_text(f"user,book,rating\n{rows}")
    (tmp_path / "books.csv").write_text("nr;what;by;of\n" + "".join(f"b{book};Book {book};x;9\n" for book in range(5)))
    return tmp_path


def test_titles_may_have_columns_of_any_name(books: Path) -> None:
    titles = ["--titles", books / "books.csv"]
    named = [*titles, "--title-id-column", "nr", "--title-column", "what"]
    plain = ["train", books / "log.csv", "-o", books / "model", "--model", "popular", "--validation", 0]
    run(*plain)
    for columns in (named, [*titles, "--title-id-column", 0, "--title-column", 1]):
        assert "Book 1" in run("recommend", books / "model", "-u", 1, *columns).stdout
    run(*plain, *named)
    assert "Book 1" in run("recommend", books / "model", "-u", 1).stdout
    message = run("recommend", books / "model", "-u", 1, *titles, code=1).stderr
    assert "pass --title-id-column, --title-column by name or number of: 0 'nr' (b0), 1 'what' (Book 0)" in message
    message = run("recommend", books / "model", "-u", 1, *titles, "--title-column", "name", code=1).stderr
    assert message.startswith("Error: title must name a column of the file (nr, what, by, of); got 'name'")
    assert "need --titles" in run("recommend", books / "model", "-u", 1, "--title-column", 1, code=2).stderr


def test_commands_read_pipes(books: Path) -> None:
    pipe = books / "pipe"
    os.mkfifo(pipe)

    def with_pipe(*arguments: object) -> str:
        writer = threading.Thread(target=pipe.write_bytes, args=[(books / "log.csv").read_bytes()])
        writer.start()
        result = run(*arguments)
        writer.join()
        return result.stdout

    assert "delimited" in with_pipe("info", pipe)
    run("train", books / "log.csv", "-o", books / "model", "--model", "bias", "--validation", 0)
    assert with_pipe("predict", books / "model", pipe).count("\n") == 41
    assert "40 ratings" in with_pipe("evaluate", books / "model", pipe)
