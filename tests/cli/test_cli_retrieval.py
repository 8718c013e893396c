"""Files of retrievers and of recommenders in two steps on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run, write_set
from fastcf.retrieval import NearestVectors, Popular, TopItems, TwoStageRecommender
from fastcf.serving import NeighbourTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrieval")
    write_set(folder)
    ratings = fastcf.data.load_ratings(folder)
    model = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(ratings)
    nearest = NearestVectors(model, 20).fit()
    nearest.save(folder / "nearest.fastcf")
    two = TwoStageRecommender([NearestVectors(model, 20), ("popular", Popular(20))], model).fit(ratings)
    two.save(folder / "two.fastcf", metadata={"data": "made up", "week": 7})
    return folder


def test_recommend_of_two_steps_says_what_found_each_item(folder: Path) -> None:
    two = fastcf.load(folder / "two.fastcf")
    wanted = two.recommend([1, 11], 5)
    result = run("recommend", folder / "two.fastcf", "-u", 1, "-u", 11, "-n", 5, "--json", "--titles", folder)
    for record, items, bits in zip(json.loads(result.stdout), wanted.items, wanted.found_by, strict=True):
        assert [entry["item"] for entry in record["results"]] == items.tolist()
        assert [entry["found_by"] for entry in record["results"]] == [", ".join(two.names_of(each)) for each in bits]
        assert record["results"][0]["title"].startswith("Film ")
    shown = run("recommend", folder / "two.fastcf", "-u", 1, "-n", 5).stdout
    assert "found by" in shown
    assert "nearestvectors, popular" in shown or "nearestvectors" in shown
    high = run("recommend", folder / "two.fastcf", "-u", 1, "--min-score", 99).stdout
    assert "nothing left to show" in high


def test_recommend_of_a_retriever_are_its_candidates(folder: Path) -> None:
    ids, scores = fastcf.load(folder / "nearest.fastcf").retrieve([1]).of(0)
    result = run("recommend", folder / "nearest.fastcf", "-u", 1, "-n", 5, "--csv")
    rows = [line.split(",") for line in result.stdout.splitlines()[1:]]
    assert [int(row[2]) for row in rows] == ids[:5].tolist()
    assert [float(row[3]) for row in rows] == pytest.approx(scores[:5].tolist(), abs=1e-6)
    least = run("recommend", folder / "nearest.fastcf", "-u", 1, "--csv", "--min-score", float(scores[2]))
    assert len(least.stdout.splitlines()) == 4


@pytest.mark.parametrize("name", ["two", "nearest"])
def test_recommend_all_of_retrieval_files(folder: Path, tmp_path: Path, name: str) -> None:
    run("recommend", folder / f"{name}.fastcf", "--all", "-n", 3, "-o", tmp_path / "all.csv")
    header, *lines = (tmp_path / "all.csv").read_text().splitlines()
    assert header == ("user,rank,item,score,found_by" if name == "two" else "user,rank,item,score")
    model = fastcf.load(folder / f"{name}.fastcf")
    rated = dict(zip(model.users_.ids.tolist(), np.diff(model.seen_.indptr).tolist(), strict=True))
    assert {int(line.split(",")[0]) for line in lines} == {user for user, n in rated.items() if n < 40}


def test_info_of_retrieval_files(folder: Path) -> None:
    shown = run("info", folder / "two.fastcf").stdout
    for text in (
        "a recommender",
        "fastcf.retrieval.TwoStageRecommender",
        "ranker",
        "fastcf.MatrixFactorization",
        "retriever popular",
        "fastcf.retrieval.Popular",
        '"made up"',
        "week",
    ):
        assert text in shown
    assert "Metadata" not in run("info", folder / "nearest.fastcf").stdout


def test_info_shows_metadata_of_models(folder: Path, tmp_path: Path) -> None:
    fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0]).save(tmp_path / "bias", metadata={"data": "żółw", "n": [1, 2]})
    shown = run("info", tmp_path / "bias").stdout
    assert '"żółw"' in shown
    assert "[1, 2]" in shown


def test_commands_store_metadata_in_the_files_that_they_write(folder: Path, tmp_path: Path) -> None:
    metadata = ["--metadata", "data=made up", "--metadata", 'split={"seed": 3}', "--metadata", "empty="]
    wanted = {"data": "made up", "split": {"seed": 3}, "empty": ""}
    run("train", folder, "-o", tmp_path / "train", "--for", "ratings", "--model", "bias", *metadata)
    run("train", folder, "-o", tmp_path / "lists", "--model", "popular", "--threshold", 4, *metadata)
    run("convert", folder, "-o", tmp_path / "convert", *metadata)
    search = ["search", folder, "--for", "ratings", "--model", "bias", "--param", "user_reg=1,2", *metadata]
    run(*search, "-o", tmp_path / "search")
    for name in ("train", "lists", "convert", "search"):
        assert fastcf.read_metadata(tmp_path / name) == wanted
    for name in ("train", "convert"):
        assert "split" in run("info", tmp_path / name).stdout
    run("convert", folder, "-o", tmp_path / "none")
    assert fastcf.read_metadata(tmp_path / "none") == {}
    assert "--metadata needs --output" in run(*search, code=2).output
    assert (
        "'week' is not KEY=VALUE" in run("convert", folder, "-o", tmp_path / "x", "--metadata", "week", code=2).output
    )


def test_evaluate_measures_lists_of_retrieval_files(folder: Path, tmp_path: Path) -> None:
    ratings = fastcf.data.load_ratings(folder)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    rows = [f"{u},{i},{v:g}" for u, i, v in zip(*test.to_coo(), strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["user,item,rating", *rows, ""]))
    for model, relevant in (
        (fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(train), test),
        (fastcf.LinearAutoencoder(threshold=4).fit(train), test.take(test.values >= 4)),
    ):
        sources = [TopItems(model, 20), Popular(20)]
        for name, made in (("two", TwoStageRecommender(sources, model).fit(train)), ("top", sources[0].fit(train))):
            made.save(tmp_path / name)
            wanted = fastcf.metrics.ranking(made, held_out=relevant, k=10)
            result = json.loads(run("evaluate", tmp_path / name, tmp_path / "test.csv", "--json").stdout)
            assert result["ndcg@10"] == pytest.approx(wanted.ndcg)
            assert result["users"] == wanted.n_users
            assert result["seen_in_training"] == 0
            assert f"{wanted.ndcg:.4f}" in run("evaluate", tmp_path / name, tmp_path / "test.csv").stdout
    assert "its lists leave them out" in run("evaluate", tmp_path / "two", folder / "ratings.csv").stderr


def test_retrieval_files_predict_no_ratings(folder: Path) -> None:
    result = run("predict", folder / "two.fastcf", folder / "ratings.csv", code=1)
    assert "a retrieval.TwoStageRecommender predicts no ratings; give the file of a model" in result.stderr


def test_explain_of_two_steps_is_that_of_the_ranker(folder: Path) -> None:
    (found,) = json.loads(run("explain", folder / "two.fastcf", "-u", 1, "-i", 2, "--json").stdout)
    assert found["score"] == fastcf.load(folder / "two.fastcf").ranker.explain(1, 2).score
    assert "explains no scores" in run("explain", folder / "nearest.fastcf", "-u", 1, "-i", 2, code=1).stderr
    assert "computes no new users" in run("explain", folder / "two.fastcf", "--rated", 1, "-i", 2, code=1).stderr


def test_table_of_neighbours_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    model = fastcf.load(folder / "two.fastcf").ranker
    path = tmp_path / "table"
    NeighbourTable.of(model, 9, metric="euclidean").save(path, metadata={"week": 7})
    model.save(tmp_path / "model")
    for more in ([], ["--metric", "euclidean", "--threads", 1]):
        table, direct = (
            run("similar", file, "-i", 3, "-n", 5, "--csv", *options).stdout
            for file, options in ((path, more), (tmp_path / "model", ["--metric", "euclidean"]))
        )
        assert table == direct
    assert "has the neighbours by euclidean" in run("similar", path, "-i", 3, "--metric", "dot", code=1).stderr
    assert "n must be at most 9" in run("similar", path, "-i", 3, code=1).stderr
    shown = run("info", path).stdout
    assert "a table of neighbours" in shown
    assert "week" in shown
    assert "makes no lists for users" in run("recommend", path, "-u", 1, code=1).stderr


def test_similar_of_retrieval_files_is_refused(folder: Path) -> None:
    assert "has no vectors to compare" in run("similar", folder / "two.fastcf", "-i", 3, code=1).stderr
