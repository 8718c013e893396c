"""Commands in this process, and a small set of ratings for them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

import fastcf
from fastcf.cli import main


def run(*arguments: object, code: int = 0) -> Result:
    """Run a command in this process; it must end as expected, and failures must be one clear line."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fastcf")
    assert result.exit_code == code, result.output
    if code != 0:
        assert isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
    if code == 1:
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
    return result


def write_set(folder: Path) -> None:
    """Write 1,200 ratings of 40 items by 60 users in the layout of MovieLens, with titles."""
    ratings = fastcf.data.make_ratings(60, 40, 1200, random_state=0)
    users, items, values = ratings.to_coo()
    lines = [f"{user},{item},{value:g},1000000000" for user, item, value in zip(users, items, values, strict=True)]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines, ""]))
    titles = [f'{item},"Film {item}, Le Café",Drama' for item in range(40)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles, ""]), encoding="utf-8")


def train_on_text_ids(folder: Path) -> None:
    """Write ratings of items whose ids begin with zeros, by users with integers for ids, and a model of them."""
    rows = [f"{user}::{item:07}::{(user + item) % 10 + 1}" for user in range(12) for item in range(user % 3, 30, 3)]
    (folder / "ratings.dat").write_text("\n".join(rows))
    run("train", "--for", "ratings", folder, "-o", folder / "model", "--factors", 4, "--epochs", 2)
