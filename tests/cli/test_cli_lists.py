"""Models of choices on the command line: lists, their measures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run
from fastcf.data import train_test_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of users who choose by taste, with titles, and a model of lists."""
    folder = tmp_path_factory.mktemp("choices")
    users, items, values = fastcf.data.make_ratings(200, 80, 5_000, choice=1.5, random_state=0).to_coo()
    lines = [f"{user},{item},{value:g}" for user, item, value in zip(users, items, values, strict=True)]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating", *lines, ""]))
    titles = [f"{item},Film {item},Drama" for item in range(80)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles, ""]))
    run("train", folder, "-o", folder / "lists.fastcf", "--threshold", 3.5)
    return folder


def test_train_makes_lists_by_default(folder: Path) -> None:
    model = fastcf.load(folder / "lists.fastcf")
    assert isinstance(model, fastcf.LinearAutoencoder)
    assert model.threshold == 3.5
    whole = fastcf.data.load_ratings(folder)
    assert model.seen_.indices.size == whole.nnz  # learnt again from all
    again = fastcf.LinearAutoencoder(threshold=3.5).fit(whole)
    np.testing.assert_array_equal(model.item_weights_, again.item_weights_)


@pytest.mark.parametrize(
    "arguments", [[], ["--for", "lists"], ["--model", "implicit", "--factors", 16, "--epochs", 10]]
)
def test_train_compares_lists_with_popular_items(folder: Path, tmp_path: Path, arguments: list[object]) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--threshold", 3.5, *arguments)
    assert "NDCG@10  recall@10  hit rate@10" in result.stdout
    rows = {line.split("  ")[1]: line.split()[-4] for line in result.stdout.splitlines() if line.count("0.") >= 3}
    assert next(iter(rows)) == "most popular"
    (_, popular), (name, own) = rows.items()
    assert name in ("linear item model", "implicit factorisation")
    if name == "linear item model":  # an implicit factorisation needs more than 5,000 ratings
        assert float(own) > float(popular)
    assert "learnt again from all 5,000 ratings" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "linear", "--neighbours", 30], fastcf.LinearAutoencoder(neighbours=30, threshold=3.5)),
        (["--model", "item-neighbours"], fastcf.ItemNeighbours(threshold=3.5)),
        (["--model", "user-neighbours", "--neighbours", 9], fastcf.UserNeighbours(9, threshold=3.5)),
    ],
    ids=["local", "item-neighbours", "user-neighbours"],
)
def test_train_fits_models_of_neighbours(
    folder: Path, tmp_path: Path, arguments: list[object], expected: fastcf.ItemNeighbours
) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--for", "lists", "--threshold", 3.5, *arguments)
    assert "most popular" in result.stdout
    model, ratings = fastcf.load(tmp_path / "model"), fastcf.data.load_ratings(folder)
    assert model.get_params() == expected.get_params()
    wanted = expected.fit(ratings).recommend(ratings.users.ids, n=5)
    np.testing.assert_array_equal(model.recommend(ratings.users.ids, n=5).items, wanted.items)
    assert "Film " in run("recommend", tmp_path / "model", "-u", 3).stdout


def test_train_measures_popular_items_once(folder: Path, tmp_path: Path) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--model", "popular", "--threshold", 3.5)
    assert result.stdout.count("most popular") == 1
    model, ratings = fastcf.load(tmp_path / "model"), fastcf.data.load_ratings(folder)
    assert isinstance(model, fastcf.Popular)
    assert model.seen_.indices.size == ratings.nnz
    first = json.loads(run("recommend", tmp_path / "model", "-u", 3, "-n", 1, "--json").stdout)
    counts = ratings.take(ratings.values >= 3.5).item_counts()
    row = ratings.users.rows([3])[0]
    counts[ratings.indices[ratings.indptr[row] : ratings.indptr[row + 1]]] = 0
    assert first[0]["results"][0]["score"] == counts.max()
    assert first[0]["results"][0]["item"] in ratings.items.ids[counts == counts.max()]


def test_train_says_that_low_ratings_are_choices_without_a_threshold(folder: Path, tmp_path: Path) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--validation", 0)
    assert "--threshold X tells the model which are not" in result.stdout
    assert "held out" not in result.stdout


def test_clicks_need_no_ratings_column_of_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in zip(rng.integers(0, 40, 500), rng.integers(0, 20, 500), strict=True)})
    (tmp_path / "clicks.csv").write_text("\n".join(["user,item,rating", *(f"u{u},i{i},1" for u, i in pairs), ""]))
    result = run("train", tmp_path / "clicks.csv", "-o", tmp_path / "model")
    assert "--threshold" not in result.stdout
    assert run("recommend", tmp_path / "model", "-u", "u3", "-n", 3).stdout.count("\n") >= 4


def test_evaluate_measures_lists(folder: Path) -> None:
    model = fastcf.load(folder / "lists.fastcf")
    result = json.loads(run("evaluate", folder / "lists.fastcf", folder, "--json").stdout)
    assert result["ndcg@10"] == pytest.approx(model.score(fastcf.data.load_ratings(folder)))
    assert result["class"] == "LinearAutoencoder"
    shown = run("evaluate", folder / "lists.fastcf", folder)
    assert "NDCG@10" in shown.stdout
    assert f"Note: {result['seen_in_training']:,} of these ratings were in the file" in shown.stderr
    assert result["seen_in_training"] == result["ratings"]


def test_users_without_relevant_items_are_counted(folder: Path, tmp_path: Path) -> None:
    rows = [f"{user},{item},{1 if user < 30 else 5}" for user in range(100) for item in (user % 80, (user + 7) % 80)]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating", *rows, ""]))
    evaluated = "evaluate", folder / "lists.fastcf", tmp_path / "ratings.csv"
    found = json.loads(run(*evaluated, "--json").stdout)
    assert (found["users"], found["users_without"]) == (70, 30)
    said = "users count; {} others have no relevant item among these ratings"
    assert f"70 {said.format(30)}" in run(*evaluated).stdout
    trained = run("train", tmp_path, "-o", tmp_path / "model", "--model", "popular", "--threshold", 4).stdout
    held_out = train_test_split(fastcf.data.load_ratings(tmp_path), 0.1, random_state=0)[1]
    n_rated, n_liked = (np.count_nonzero(own.user_counts()) for own in (held_out, held_out.take(held_out.values >= 4)))
    assert f"{n_liked} {said.format(n_rated - n_liked)}" in trained


def test_recommend_similar_predict_and_info_work_on_models_of_choices(folder: Path, tmp_path: Path) -> None:
    assert "Film " in run("recommend", folder / "lists.fastcf", "-u", 3).stdout
    assert "Film " in run("similar", folder / "lists.fastcf", "-i", 5).stdout
    run("predict", folder / "lists.fastcf", folder / "ratings.csv", "-o", tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().startswith("user,item,score\n")
    shown = run("info", folder / "lists.fastcf").stdout
    assert "choices: values of at least 3.5" in shown
    run("train", folder, "-o", tmp_path / "implicit", "--model", "implicit", "--factors", 4, "--epochs", 2)
    assert "factors" in run("info", tmp_path / "implicit").stdout


def test_info_describes_blends_of_lists(folder: Path, tmp_path: Path) -> None:
    ratings = fastcf.data.load_ratings(folder)
    members = [("linear", fastcf.LinearAutoencoder(threshold=3.5)), ("bias", fastcf.BiasModel())]
    blend = fastcf.Blend(members, metric="ndcg@10", threshold=3.5, random_state=0).fit(ratings)
    blend.save(tmp_path / "blend")
    shown = run("info", tmp_path / "blend").stdout
    assert "validation NDCG" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--for", "lists", "--model", "mf"],
            "--for lists takes --model linear, implicit, item-neighbours, user-neighbours or popular, not mf",
        ),
        (["--for", "ratings", "--model", "linear"], "--for ratings takes --model mf, logistic, autoencoder or bias"),
        (["--factors", 4], "--factors needs --model implicit, mf or logistic, not linear"),
        (["--solver", "als"], "--solver needs --model mf or logistic, not linear"),
        (["--model", "popular", "--reg", 2], "--reg needs --model linear, implicit, mf, logistic or autoencoder, not"),
        (
            ["--model", "implicit", "--neighbours", 5],
            "--neighbours needs --model linear, item-neighbours or user-neighbours, not implicit",
        ),
    ],
)
def test_wrong_combinations_are_refused(folder: Path, tmp_path: Path, arguments: list[object], message: str) -> None:
    result = run("train", folder, "-o", tmp_path / "model", *arguments, code=2)
    assert message in " ".join(result.stderr.split())


def test_a_threshold_above_all_ratings_is_an_error(folder: Path, tmp_path: Path) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--threshold", 9, code=1)
    assert "some values must be choices" in result.stderr
