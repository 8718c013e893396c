"""``fastcf explain``: what a score is made of, as text and JSON, and models that cannot tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastcf
from commands import run, write_set
from fastcf.cli._model_files import load_model
from fastcf.cli._visitors import history_of
from fastcf.data import load_ratings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    write_set(folder)
    run("train", folder, "-o", folder / "lists", "--threshold", 3, "--model", "linear")
    return folder


def test_explain_shows_titles_and_the_largest_contributions(folder: Path) -> None:
    why = fastcf.load(folder / "lists").explain(7, 3, n=2)
    lines = run("explain", folder / "lists", "-u", 7, "-i", 3, "-n", 2).stdout.splitlines()
    assert lines[0] == f"Item 3, Film 3, Le Café, for user 7: score {why.score:.4g}, prediction {why.prediction:.4g}"
    assert lines[3].split() == [
        f"{why.contributions[0]:+.4f}", "item", str(why.ids[0]), "Film", f"{why.ids[0]},", "Le", "Café"
    ]  # fmt: skip
    assert f"{why.n_rest} more" in lines[5]


def test_explain_as_json_adds_up(folder: Path) -> None:
    (found,) = json.loads(run("explain", folder / "lists", "-u", 7, "-i", 3, "--json").stdout)
    assert sum(part["contribution"] for part in found["parts"]) == pytest.approx(found["score"])
    shown = [part for part in found["parts"] if part["kind"] == "item"]
    assert len(shown) == 10
    assert all(part["title"] == f"Film {part['id']}, Le Café" for part in shown)
    assert {part["id"] for part in found["parts"] if part["kind"] != "item"} == {None}


def test_visitors_are_given_by_what_they_rated(folder: Path) -> None:
    model, history = fastcf.load(folder / "lists"), ([(0, 3), (0, 5)], [4.0, 3.0])
    why, best = model.explain(0, 7, history=history), model.recommend(0, 4, history=history)
    rated = ["--rated", "3=4", "--rated", 5]  # without a rating: liked, here from 3 on
    (found,) = json.loads(run("explain", folder / "lists", *rated, "-i", 7, "--json").stdout)
    assert found["user"] is None
    assert found["score"] == why.score
    assert [part["id"] for part in found["parts"] if part["kind"] == "item"] == why.ids.tolist()
    assert "for a visitor: score" in run("explain", folder / "lists", *rated, "-i", 7).stdout
    (found,) = json.loads(run("recommend", folder / "lists", *rated, "-n", 4, "--json").stdout)
    assert found["user"] is None
    assert [each["item"] for each in found["results"]] == best.items.tolist()
    assert run("recommend", folder / "lists", *rated).stdout.startswith("For a visitor\n")
    for command, more in (("explain", ["-i", 3]), ("recommend", [])):
        assert "'x' is no rating" in run(command, folder / "lists", "--rated", "3=x", *more, code=1).stderr
        assert "unknown item '99'" in run(command, folder / "lists", "--rated", "99=2", *more, code=1).stderr
        assert "--rated" in run(command, folder / "lists", *rated, "-u", 7, *more, code=2).stderr
        assert "--rated" in run(command, folder / "lists", *more, code=2).stderr
        twice = run(command, folder / "lists", "--rated", "3=4", "--rated", 3, *more, code=1).stderr
        assert "--rated 3: must name each item once" in twice


def test_items_of_visitors_may_have_an_equals_sign(tmp_path: Path) -> None:
    names = ["watch?v=7", "watch?v=x", "b=1=2"]
    ratings = fastcf.Ratings.from_coo([1, 1, 2, 2], [*names[:2], *names[1:]], [1.0, 2.0, 1.0, 2.0])
    fastcf.BiasModel().fit(ratings).save(tmp_path / "model")

    def history(*rated: str) -> object:
        return history_of(load_model(tmp_path / "model"), rated)

    assert history(*names) == ([(0, name) for name in names], [2.0] * 3)
    assert history("watch?v=7=1.5", "b=1=2=1") == ([(0, "watch?v=7"), (0, "b=1=2")], [1.5, 1.0])


def test_explain_prints_members_of_blends_and_items_over_all(folder: Path, tmp_path: Path) -> None:
    members = [("linear", fastcf.LinearAutoencoder(threshold=3)), ("popular", fastcf.Popular(threshold=3))]
    model = fastcf.Blend(members, metric="ndcg@10", threshold=3, random_state=0).fit(load_ratings(folder))
    model.save(tmp_path / "blend")
    by_member = run("explain", tmp_path / "blend", "-u", 7, "-i", 3).stdout
    assert "member linear" in by_member
    assert "Member linear: score" in by_member
    assert "Member " not in run("explain", tmp_path / "blend", "-u", 7, "-i", 3, "--by-item").stdout
    (found,) = json.loads(run("explain", tmp_path / "blend", "-u", 7, "-i", 3, "--json").stdout)
    assert found["members"]["linear"]["parts"][0]["kind"] == "item"


def test_explain_says_which_models_cannot_and_which_ids_are_unknown(folder: Path, tmp_path: Path) -> None:
    fastcf.Autoencoder((3,), n_epochs=2).fit(load_ratings(folder)).save(tmp_path / "network")
    assert (
        "Autoencoder has no explain: hidden layers"
        in run("explain", tmp_path / "network", "-u", 7, "-i", 3, code=1).stderr
    )
    assert "unknown user '999'" in run("explain", folder / "lists", "-u", 999, "-i", 3, code=1).stderr
    assert "unknown item '999'" in run("explain", folder / "lists", "-u", 7, "-i", 999, code=1).stderr
    fastcf.MatrixFactorization(3, n_epochs=2).fit(load_ratings(folder)).save(tmp_path / "mf", include_seen=False)
    assert "does not hold the ratings" in run("explain", tmp_path / "mf", "-u", 7, "-i", 3, code=1).stderr
