"""Event logs on the command line: what is learnt from them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of clicks by taste, purchases and showings."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 60, 4000), rng.integers(0, 40, 4000)
    names = np.where(users % 2 == items % 2, np.where(rng.random(4000) < 0.2, "buy", "view"), "shown")
    times = 1_600_000_000 + rng.integers(0, 100 * 86_400, 4000)
    rows = [f"u{a},{b},{c},{d}" for a, b, c, d in zip(users, items, names, times, strict=True)]
    path = tmp_path / "events.csv"
    path.write_text("\n".join(["userid,itemid,actiontype,timestamp", *rows, ""]))
    return path


def test_train_learns_from_events(log: Path, tmp_path: Path) -> None:
    meaning = ["--weights", "view=1,buy=5", "--exposure", "shown", "--half-life", "30d"]
    result = run("train", log, "-o", tmp_path / "model", *meaning)
    assert "Every rating above 0" not in result.stdout
    assert "most popular" in result.stdout
    ratings = fastcf.data.load_events(log, weights={"view": 1, "buy": 5}, exposure="shown", half_life="30d")
    assert f"{ratings.n_ratings:,} ratings of 40 items by 60 users" in result.stdout
    model = fastcf.load(tmp_path / "model")
    again = fastcf.LinearAutoencoder().fit(ratings)
    np.testing.assert_array_equal(model.item_weights_, again.item_weights_)


def test_train_takes_names_and_numbers_of_columns(log: Path, tmp_path: Path) -> None:
    columns = ["--user-column", 0, "--item-column", "itemid", "--event", 2, "--timestamp-column", 3, "--header", "yes"]
    result = run("train", log, "-o", tmp_path / "m", *columns, "--weights", "buy=1", "--ignore", "view, shown")
    bought = fastcf.data.load_events(log, weights={"buy": 1}, ignore=["view", "shown"])
    assert f"{bought.n_ratings:,} ratings of" in result.stdout


def test_train_counts_rows_and_plays(tmp_path: Path) -> None:
    rows = [f"{user},{item},{10 * (1 + (user + item) % 9)}" for user in range(30) for item in range(20)]
    path = tmp_path / "plays.csv"
    path.write_text("\n".join(["user,item,seconds", *rows, ""]))
    result = run("train", path, "-o", tmp_path / "m", "--duration", "seconds", "--min-duration", "30s")
    assert "600 ratings of 20 items by 30 users" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--weights", "view=1"], 1, "events without a meaning: 'shown'"),
        (["--weights", "view=1"], 1, "--weights 'shown=1'"),
        (["--weights", "view=1"], 1, "--ignore 'shown'"),
        (["--weights", "view"], 2, "'view' is not NAME=NUMBER"),
        (["--weights", "view=much"], 2, "'view=much' is not NAME=NUMBER"),
        (["--weights", "view=0"], 1, "positive finite numbers; got 0.0 for 'view'"),
        (["--weights", "view=1,buy=1", "--ignore", "shown", "--half-life", "30 m"], 1, "units s, min, h, d and w"),
        (["--weights", "view=1", "--now", "2020-01-01"], 1, "no effect without half_life"),
        (["--weights", "view=1", "--duplicates", "sum"], 2, "--duplicates is for files of ratings"),
        (["--weights", "view=1", "--no-rating"], 2, "--no-rating is for files of ratings"),
        (["--weights", "view=1", "--event", "what"], 1, "must name a column"),
        (["--half-life", "3d", "--weights", "view=1", "--no-timestamp"], 1, "half_life needs a column of times"),
        (["--duration", "timestamp", "--weights", "view=1"], 1, "duration has no effect without min_duration"),
    ],
)
def test_train_refuses(log: Path, tmp_path: Path, arguments: list[object], code: int, message: str) -> None:
    result = run("train", log, "-o", tmp_path / "m", *arguments, code=code)
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "m").exists()


def test_train_decays_to_a_moment(log: Path, tmp_path: Path) -> None:
    options = ["--weights", "view=1,buy=5", "--exposure", "shown", "--half-life", "30d", "--validation", 0]
    run("train", log, "-o", tmp_path / "m", *options, "--now", "2021-01-01")
    result = run("train", log, "-o", tmp_path / "n", *options, "--now", "2020-09-14", code=1)
    assert "now must not lie before the latest event" in result.stderr


def test_train_leaves_malformed_lines_out(log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text() + "u1,2\n")
    result = run("train", log, "-o", tmp_path / "m", "--weights", "view=1,buy=5", "--exposure", "shown", code=1)
    assert "events.csv:4002" in result.stderr
    options = ["--weights", "view=1,buy=5", "--exposure", "shown", "--on-bad-lines", "warn", "--validation", 0]
    result = run("train", log, "-o", tmp_path / "m", *options)
    assert "Note: " in result.stderr
    assert "4002" in result.stderr


def test_train_takes_the_type_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user,item,event\n" + "".join(f"{user},{user % 5},view\n" for user in range(40)))
    arguments = ["--weights", "view=1", "--model", "popular", "--validation", 0, "-o", tmp_path / "model"]
    run("train", path, *arguments, "--id-type", "str,int")
    model = fastcf.load(tmp_path / "model")
    assert (model.users_.kind, model.items_.kind) == ("str", "int")
    path.write_text("user,item,event\n1,2,view\nNULL,2,view\n")
    message = run("train", path, *arguments, code=1).stderr
    assert "--on-bad-lines 'skip'" in message
    assert "--id-type 'str'" in message


def test_ratings_whose_header_names_events_point_to_weights(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user,item,event\n1,2,view\n")
    assert "--weights NAME=1 sums events" in run("info", path, code=1).stderr
