"""The command line in batches: predictions of files of pairs, recommendations of all users."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run, train_on_text_ids, write_set
from fastcf.cli import _predict, _query

PAIRS = [(1, 2), (3, 4), (1, 2), (59, 39), (7, 0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of ratings, and models trained on it."""
    folder = tmp_path_factory.mktemp("set")
    write_set(folder)
    small = ("--factors", 4, "--epochs", 3)
    run("train", "--for", "ratings", folder, "-o", folder / "mf.fastcf", *small)
    run("train", folder, "-o", folder / "likes.fastcf", "--model", "logistic", "--threshold", 4, *small)
    run("train", folder, "-o", folder / "bias.fastcf", "--model", "bias")
    return folder


@pytest.fixture
def text_model(tmp_path: Path) -> Path:
    """A model whose users are integers, and whose items are strings that begin with zeros."""
    train_on_text_ids(tmp_path)
    return tmp_path / "model"


def records(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def column(text: str, position: int) -> list[str]:
    return [row[position] for row in records(text)[1:]]


def predictions(text: str) -> np.ndarray:
    return np.array(column(text, 2), dtype=np.float32)


# -------------------------------------------------------------------------------------------------------- predict


@pytest.mark.parametrize("block", [2, 1 << 17])
def test_predict_agrees_with_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(_predict, "_BLOCK", block)
    (tmp_path / "pairs.csv").write_text("".join(f"{user},{item}\n" for user, item in PAIRS))
    for name in ("mf", "bias"):
        result = run("predict", folder / f"{name}.fastcf", tmp_path / "pairs.csv")
        rows = records(result.stdout)
        assert rows[0] == ["user", "item", "prediction"]
        assert [(int(user), int(item)) for user, item, _ in rows[1:]] == PAIRS
        expected = fastcf.load(folder / f"{name}.fastcf").predict(PAIRS)
        np.testing.assert_array_equal(predictions(result.stdout), expected)
        assert result.stderr == ""


def test_predict_labels_writes_probabilities(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("".join(f"{user},{item}\n" for user, item in PAIRS))
    text = run("predict", folder / "likes.fastcf", tmp_path / "pairs.csv").stdout
    assert records(text)[0] == ["user", "item", "probability"]
    expected = fastcf.load(folder / "likes.fastcf").predict(PAIRS)
    np.testing.assert_array_equal(predictions(text), expected)


def test_predict_takes_blends_and_autoencoders(folder: Path, tmp_path: Path) -> None:
    ratings = fastcf.data.load_ratings(folder)
    members = [(name, fastcf.load(folder / f"{name}.fastcf")) for name in ("mf", "bias")]
    fastcf.Blend(members).fit(ratings).save(tmp_path / "blend")
    fastcf.Autoencoder(layers=(4,), n_epochs=2, random_state=0).fit(ratings).save(tmp_path / "autoencoder")
    (tmp_path / "pairs.csv").write_text("1,2\n3,4\nann,2\n")  # users become text
    for name in ("blend", "autoencoder"):
        result = run("predict", tmp_path / name, tmp_path / "pairs.csv")
        expected = fastcf.load(tmp_path / name).predict([(1, 2), (3, 4), (999, 2)])
        np.testing.assert_allclose(predictions(result.stdout), expected, rtol=1e-6)
        assert "1 user and 0 items" in result.stderr


def test_predict_takes_ratings_and_looks_at_ids_alone(folder: Path, tmp_path: Path) -> None:
    log = fastcf.data.read_log(folder / "ratings.csv")
    for given in (folder, folder / "ratings.csv"):
        text = run("predict", folder / "mf.fastcf", given).stdout
        assert column(text, 0) == log.users.astype(str).tolist()
        assert column(text, 1) == log.items.astype(str).tolist()
    (tmp_path / "odd.csv").write_text('rating,user,note,item\n,1,x,2\nnone,3,"a,b",4\n')
    rows = records(run("predict", folder / "mf.fastcf", tmp_path / "odd.csv").stdout)
    assert [row[:2] for row in rows[1:]] == [["1", "2"], ["3", "4"]]


def test_predict_takes_named_columns_separators_and_gzip(folder: Path, tmp_path: Path) -> None:
    expected = fastcf.load(folder / "mf.fastcf").predict([(3, 4), (5, 6)])
    files: dict[str, tuple[str, list[object]]] = {
        "bars": ("what|who\n4|3\n6|5\n", ["--user-column", "who", "--item-column", 0, "--separator", "|"]),
        "spaces.gz": ("3 4\n\n5 6\n", []),
        "double": ("3::4\r\n5::6", []),
        "comma": ("\ufeffuserId,movieId\n3,4\n5,6\n", []),
        "last": ("9;4;3\n9;6;5\n", ["--user-column", 2, "--item-column", 1]),
    }
    for name, (text, options) in files.items():
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        result = run("predict", folder / "mf.fastcf", tmp_path / name, *options)
        np.testing.assert_array_equal(predictions(result.stdout), expected, err_msg=name)


def test_predict_takes_the_layout_of_the_netflix_prize(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mv.txt").write_text("7:\n3,4,2005-09-06\n5,3,2005-09-06\n")
    text = run("predict", folder / "mf.fastcf", tmp_path / "mv.txt").stdout
    expected = fastcf.load(folder / "mf.fastcf").predict([(3, 7), (5, 7)])
    np.testing.assert_array_equal(predictions(text), expected)


def test_predict_counts_what_the_model_does_not_know(folder: Path, tmp_path: Path) -> None:
    pairs = [(1, 2), (999, 5), (6, 999), (999, 999), (998, 999)]
    (tmp_path / "pairs.csv").write_text("".join(f"{user},{item}\n" for user, item in pairs))
    result = run("predict", folder / "mf.fastcf", tmp_path / "pairs.csv")
    assert result.stderr == (
        "Note: 2 users and 1 item are unknown to the model, in 4 of the 5 pairs; these are predicted from the other "
        "side alone.\n"
    )
    np.testing.assert_array_equal(predictions(result.stdout), fastcf.load(folder / "mf.fastcf").predict(pairs))


def test_predict_compares_ids_as_the_kind_of_the_model(text_model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("1,0000001\n2,29\n")  # "29" is not "0000029"
    result = run("predict", text_model, tmp_path / "pairs.csv")
    assert column(result.stdout, 1) == ["0000001", "29"]
    expected = fastcf.load(text_model).predict([(1, "0000001"), (2, "none")])
    np.testing.assert_array_equal(predictions(result.stdout), expected)
    assert "0 users and 1 item are unknown" in result.stderr
    (tmp_path / "strange.csv").write_text("1,0000001\n01,0000001\n")  # users become text
    result = run("predict", text_model, tmp_path / "strange.csv")
    assert column(result.stdout, 0) == ["1", "01"]
    assert "1 user and 0 items are unknown" in result.stderr


def test_predict_writes_the_file_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pairs.csv").write_text("1,2\n3,4\n")
    arguments = ["predict", folder / "mf.fastcf", tmp_path / "pairs.csv"]
    result = run(*arguments, "-o", tmp_path / "out.csv")
    assert (result.stdout, result.stderr) == ("", "")  # no bar where there is no terminal
    text = (tmp_path / "out.csv").read_text()
    assert text == run(*arguments).stdout
    assert len(records(text)) == 3

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastcf.MatrixFactorization, "predict", interrupted)
    run(*arguments, "-o", tmp_path / "out.csv", code=130)
    assert (tmp_path / "out.csv").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "pairs.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\n1,2\n3\n", "pairs.csv:3: expected 2 fields"),
        ("user,item\n1,2\n\n3,\n", "pairs.csv:4: item id must not be empty"),
        ("user,item\n", "no ratings below the header"),
        ("", "the file is empty"),
        ("alone\n", "cannot find fields separated by"),
        ("user,rating\n1,2\n", "which column is the item"),
    ],
)
def test_predict_refuses_bad_pairs(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    result = run("predict", folder / "mf.fastcf", tmp_path / "pairs.csv", "-o", tmp_path / "out.csv", code=1)
    assert message in result.stderr
    assert str(tmp_path) in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_predict_refuses_what_it_cannot_read_or_write(folder: Path, tmp_path: Path) -> None:
    model = folder / "mf.fastcf"
    assert "is a model; expected a file of pairs" in run("predict", model, model, code=1).stderr
    assert "No such file" in run("predict", model, tmp_path / "none", code=1).stderr
    assert "No such file" in run("predict", tmp_path / "none", folder, code=1).stderr
    assert "does not exist" in run("predict", model, folder, "-o", tmp_path / "no" / "out.csv", code=1).stderr
    same = ["--user-column", 1, "--item-column", 1]
    assert "user and item must be different columns" in run("predict", model, folder, *same, code=1).stderr
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ recommend --all


@pytest.mark.parametrize("block", [7, 4096])
def test_recommend_all_agrees_with_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(_query, "_BLOCK", block)
    for name in ("mf", "likes"):
        model = fastcf.load(folder / f"{name}.fastcf")
        expected = model.recommend(model.users_.ids, 3)
        arguments = ["recommend", folder / f"{name}.fastcf", "--all", "-n", 3]
        result = run(*arguments, "-o", tmp_path / "all.csv")
        assert (result.stdout, result.stderr) == ("", "")
        text = (tmp_path / "all.csv").read_text(encoding="utf-8")
        assert text == run(*arguments).stdout
        rows = records(text)
        assert rows[0] == ["user", "rank", "item", "score", "title"]
        found = np.isfinite(expected.scores)  # some have rated nearly everything
        users, ranks = np.repeat(model.users_.ids[:, None], 3, axis=1), np.tile([1, 2, 3], (60, 1))
        for position, each in enumerate((users, ranks, expected.items)):
            assert column(text, position) == each[found].astype(str).tolist()
        np.testing.assert_allclose(np.array(column(text, 3), dtype=float), expected.scores[found], atol=1e-6)
        assert rows[1][4] == f"Film {rows[1][2]}, Le Café"


def test_recommend_all_writes_what_single_users_get_without_padding(folder: Path, text_model: Path) -> None:
    text = run("recommend", folder / "mf.fastcf", "--all", "-n", 40).stdout
    assert "inf" not in text
    alone = run("recommend", folder / "mf.fastcf", "-u", 13, "-n", 40, "--csv").stdout
    assert [row for row in records(text) if row[0] == "13"] == records(alone)[1:]
    rows = records(run("recommend", text_model, "--all", "-n", 2, "--include-seen", "--csv").stdout)
    assert rows[0] == ["user", "rank", "item", "score"]  # no titles
    assert len(rows) == 1 + 2 * 12
    assert all(len(row[2]) == 7 for row in rows[1:])


def test_recommend_all_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    run("train", folder, "-o", tmp_path / "model", "--model", "bias", "--no-seen")
    arguments = ["recommend", tmp_path / "model", "--all", "-o", tmp_path / "out.csv"]
    assert "--include-seen" in run(*arguments, code=1).stderr
    assert not (tmp_path / "out.csv").exists()
    run(*arguments, "--include-seen")
    assert (tmp_path / "out.csv").exists()
    assert "is a folder" in run("recommend", tmp_path / "model", "--all", "-o", tmp_path, code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "x", "--all", "-u", "1"], "--user, --rated and --all exclude each other"),
        (["recommend", "x", "--all", "--json"], "--all and --json exclude each other"),
        (["recommend", "x"], "--user ID, --rated ITEM=RATING or --all is needed"),
        (["recommend", "x", "-u", "1", "-o", "y"], "--output is for --all only"),
        (["predict", "x"], "Missing argument 'PAIRS'"),
        (["predict", "x", "y", "--duplicates", "last"], "No such option"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], message: str) -> None:
    assert message in run(*arguments, code=2).stderr
