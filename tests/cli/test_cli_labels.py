"""The command line with labels: training, measuring and asking a logistic factorisation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run, write_set
from fastcf.solvers import as_solver

LOGISTIC = ("--model", "logistic", "--threshold", 4)
LABEL_METRICS = {name: getattr(fastcf.metrics, name) for name in ("log_loss", "roc_auc", "accuracy")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of ratings, and a model of who likes what."""
    folder = tmp_path_factory.mktemp("set")
    write_set(folder)
    run("train", "--for", "ratings", folder, "-o", folder / "likes.fastcf", *LOGISTIC, "--factors", 4, "--epochs", 3)
    return folder


def test_train_labels_saves_a_model_that_the_library_loads_and_info_describes(folder: Path) -> None:
    likes = fastcf.load(folder / "likes.fastcf")
    assert isinstance(likes, fastcf.MatrixFactorization)
    assert (likes.cost, likes.threshold, likes.n_factors, len(likes.history_)) == ("logistic", 4, 4, 4)
    described = run("info", folder / "likes.fastcf").stdout
    assert "labels 0 and 1, 1 for ratings of at least 4" in described
    assert f"validation log-loss {likes.history_[likes.n_epochs_]['validation_log_loss']:.4f}" in described
    assert "stored, 1,200 ratings" in described


def test_labels_recommend_and_similar_agree_with_the_library(folder: Path) -> None:
    likes = fastcf.load(folder / "likes.fastcf")
    result = json.loads(run("recommend", folder / "likes.fastcf", "-u", 13, "-n", 4, "--json").stdout)[0]["results"]
    assert [entry["item"] for entry in result] == likes.recommend(13, 4).items.tolist()
    assert all(0 < entry["score"] < 1 for entry in result)  # probabilities
    assert result[0]["title"].endswith("Le Café")
    near = json.loads(run("similar", folder / "likes.fastcf", "-i", 7, "-n", 3, "--json").stdout)[0]["results"]
    assert [entry["similar_item"] for entry in near] == likes.similar_items(7, 3).ids.tolist()


@pytest.mark.parametrize("solver", ["sgd", "minibatch", "gd"])
def test_train_labels_by_every_solver(folder: Path, tmp_path: Path, solver: str) -> None:
    options = ["--solver", solver, "--factors", 3, "--epochs", 4, "--reg", 0.5, "--normalize", "none", "--seed", 7]
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *LOGISTIC, *options, "-v")
    assert "training log-loss" in result.stdout
    assert "RMSE" not in result.stdout
    assert "validation_log_loss" in result.stdout  # of each epoch
    model = fastcf.load(tmp_path / "model")
    assert as_solver(model.solver) == as_solver(solver)
    assert (model.n_factors, model.reg, model.normalize, model.random_state) == (3, 0.5, None, 7)


def test_train_labels_prints_the_errors_of_all_models(folder: Path, tmp_path: Path) -> None:
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *LOGISTIC, "--validation", 0.2)
    _, errors = result.stdout.split("Errors on the 240 ratings held out")
    assert errors.split()[:5] == ["model", "log-loss", "AUC", "accuracy", "seconds"]
    shown = {line[2:24].strip(): line.split()[-4:-1] for line in errors.splitlines() if line.count(".") == 4}
    assert list(shown) == ["item means", "bias model", "logistic factorisation"]
    assert result.stderr == ""
    ratings = fastcf.data.load_ratings(folder)
    _, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    model, labels = fastcf.load(tmp_path / "model"), held_out.values >= 4
    expected = [f"{of(labels, model.predict(held_out)):.4f}" for of in LABEL_METRICS.values()]
    assert shown["logistic factorisation"] == expected
    assert float(shown["logistic factorisation"][0]) < float(shown["item means"][0])


def test_train_an_autoencoder_of_labels(folder: Path, tmp_path: Path) -> None:
    arguments = ["--model", "autoencoder", "--threshold", 4, "--layers", 8, "--epochs", 3, "--validation", 0.2]
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *arguments)
    _, errors = result.stdout.split("Errors on the 240 ratings held out")
    assert errors.split()[:5] == ["model", "log-loss", "AUC", "accuracy", "seconds"]
    assert "training log-loss" in result.stdout
    assert "autoencoder" in errors
    model = fastcf.load(tmp_path / "model")
    assert (model.cost, model.threshold, model.layers) == ("logistic", 4, (8,))
    assert "labels 0 and 1, 1 for ratings of at least 4" in run("info", tmp_path / "model").stdout


def test_train_takes_labels_as_they_are(tmp_path: Path) -> None:
    lines = [f"{user},{item},{(user * item) % 3 % 2}" for user in range(20) for item in range(15)]
    (tmp_path / "labels.csv").write_text("\n".join(["user,item,rating", *lines, ""]))
    run("train", tmp_path / "labels.csv", "-o", tmp_path / "model", "--model", "logistic", "--validation", 0)
    assert fastcf.load(tmp_path / "model").threshold is None
    assert "labels 0 and 1\n" in run("info", tmp_path / "model").stdout
    result = json.loads(run("evaluate", tmp_path / "model", tmp_path / "labels.csv", "--json").stdout)
    assert 0 < result["log_loss"] < np.log(2)


def test_evaluate_labels_agrees_with_the_library(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("user,item,rating\n1,2,4.5\n3,4,2\n999,5,3\n6,999,4\n")
    result = json.loads(run("evaluate", folder / "likes.fastcf", tmp_path / "test.csv", "--json").stdout)
    predicted = fastcf.load(folder / "likes.fastcf").predict([(1, 2), (3, 4), (999, 5), (6, 999)])
    for name, of in LABEL_METRICS.items():
        assert result[name] == pytest.approx(of([1, 0, 0, 1], predicted))
    assert "rmse" not in result
    assert (result["ratings"], result["cold_start"]) == (4, 2)
    shown = run("evaluate", folder / "likes.fastcf", tmp_path / "test.csv").stdout
    assert shown.splitlines()[1].split() == ["ratings", "count", "log-loss", "AUC", "accuracy"]


def test_evaluate_labels_all_alike_have_no_auc(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "liked.csv").write_text("user,item,rating\n1,2,4.5\n3,4,5\n")
    result = json.loads(run("evaluate", folder / "likes.fastcf", tmp_path / "liked.csv", "--json").stdout)
    assert result["roc_auc"] is None
    assert 0 <= result["accuracy"] <= 1
    assert "–" in run("evaluate", folder / "likes.fastcf", tmp_path / "liked.csv").stdout


def test_evaluate_measures_regressions_by_what_they_predict(tmp_path: Path) -> None:
    X, soft = [(0, 0), (0, 1), (1, 0), (1, 1)], [0.25, 1, 0, 0.75]
    features = fastcf.FeatureTable([0, 1], [[1.0], [2.0]])
    (tmp_path / "test.csv").write_text("user,item,rating\n0,0,0.25\n0,1,1\n")
    for cost, expected in (("logistic", ["log_loss", "roc_auc", "accuracy"]), ("squared", ["rmse", "mae"])):
        fastcf.UserRegression(cost=cost).fit(X, soft, item_features=features).save(tmp_path / cost)
        result = json.loads(run("evaluate", tmp_path / cost, tmp_path / "test.csv", "--json").stdout)
        assert list(result)[3 : 3 + len(expected)] == expected
        assert result[expected[0]] > 0
        assert (result[expected[-1]] is None) == (cost == "logistic")  # of labels between 0 and 1
        run("info", tmp_path / cost)


def test_ratings_that_are_no_labels_are_refused(folder: Path, tmp_path: Path) -> None:
    result = run("train", folder, "-o", tmp_path / "model", "--model", "logistic", code=1)
    assert f"Error: {folder}: ratings must be 0 or 1 without a threshold; got " in result.stderr
    assert "--threshold X" in result.stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "labels.csv").write_text("user,item,rating\n1,2,1\n2,3,0\n")
    arguments = ["-o", tmp_path / "model", "--model", "logistic", "--validation", 0]
    run("train", "--for", "ratings", tmp_path / "labels.csv", *arguments)
    refused = run("evaluate", tmp_path / "model", folder, code=1).stderr
    assert f"{folder}: ratings must be 0 or 1" in refused
    assert (
        "must be a finite number"
        in run("train", "--for", "ratings", folder, *arguments, "--threshold", "nan", code=1).stderr
    )
