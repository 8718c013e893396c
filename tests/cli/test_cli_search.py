"""``fastcf search``: values and ranges, the ways to search, the table, the best model, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run, write_set
from fastcf.cli._search import Range
from fastcf.model_selection import GridSearch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_set(folder)
    return folder


FAST = ["--model", "mf", "--param", "n_epochs=3", "--param", "n_factors=2", "--folds", 2]


def test_search_tries_all_combinations_and_saves_the_best(folder, tmp_path):
    path = tmp_path / "best.fastcf"
    result = run("search", folder, *FAST, "--param", "reg=0.1,1,auto", "-o", path, "--seed", 3)
    ratings = fastcf.data.load_ratings(folder)
    model = fastcf.MatrixFactorization(2, n_epochs=3, random_state=3)
    search = GridSearch(model, {"reg": [0.1, 1, "auto"]}, metric="rmse", cv=2, random_state=3).fit(ratings)
    assert f"  {search.best_score_:.4f}  " in result.stdout
    assert "3 candidates\nbest: " in result.stdout
    assert f"reg={search.best_params_['reg']}" in result.stdout
    np.testing.assert_array_equal(fastcf.load(path).predict(ratings), search.best_estimator_.predict(ratings))
    assert "Film" in run("recommend", path, "--user", 1).stdout


def test_search_prints_json_and_goes_on_from_a_journal(folder, tmp_path):
    journal = tmp_path / "search.jsonl"
    arguments = ["search", folder, *FAST, "--param", "reg=0.05..5", "--random", 3, "--journal", journal, "--json"]
    first = json.loads(run(*arguments).stdout)
    before = journal.read_bytes()
    assert json.loads(run(*arguments).stdout) == first
    assert journal.read_bytes() == before
    assert first["metric"] == "rmse"
    assert len(first["candidates"]) == 3
    assert all(0.05 <= row["params"]["reg"] <= 5 for row in first["candidates"])
    assert first["best"]["score"] == min(row["mean_test_score"] for row in first["candidates"])
    refused = run("search", folder, *FAST, "--param", "reg=0.1", "--journal", journal, code=1)
    assert "is of another search: its search is 'RandomSearch', not 'GridSearch'" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "metric"),
    [
        (["--model", "item-neighbours", "--param", "n_neighbours=5,10"], "ndcg@10"),
        (["--threshold", 4, "--param", "reg=1,100", "--metric", "recall@5"], "recall@5"),
        (["--model", "logistic", "--threshold", 4, "--param", "n_factors=2", "--param", "reg=1"], "log_loss"),
        (["--model", "autoencoder", "--param", "dropout=0,0.5", "--param", "n_epochs=1"], "rmse"),
        ([*FAST, "--metric", "ndcg@5", "--threshold", 4], "ndcg@5"),
        ([*FAST, "--halving", 3, "--param", "reg=0.1..10"], "rmse"),
        ([*FAST, "--random", 3, "--param", "solver__learning_rate=0.01..0.1", "--stop", "-v"], "rmse"),
        (["--model", "bias", "--param", "user_reg=1..100", "--random", 2, "--latest", 0.2], "rmse"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_search_of_models_metrics_and_ways(folder, arguments, metric):
    folds = () if "--latest" in arguments else ("--folds", 2)
    result = run("search", folder, *folds, *arguments)
    assert f"parameters by {metric} on" in result.stdout
    assert "best: " in result.stdout
    assert ("on 1 fold\n" in result.stdout) == ("--latest" in arguments)


def test_search_takes_lists_among_the_values(folder):
    arguments = ["--model", "autoencoder", "--param", "n_epochs=1", "--param", "layers=[[4], [6, 3]]", "--folds", 2]
    found = json.loads(run("search", folder, *arguments, "--param", 'normalize=["bias", null]', "--json").stdout)
    tried = [(row["params"]["layers"], row["params"]["normalize"]) for row in found["candidates"]]
    assert sorted(tried, key=str) == sorted([(n, z) for n in ([4], [6, 3]) for z in ("bias", None)], key=str)
    assert "layers=[" in run("search", folder, *arguments, "--random", 1).stdout


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("layers=[64,32", "are a list in JSON, such as layers=[[64,32],[128]]"),
        ("layers=[]", "the list must hold values, or lists"),
        ("layers=[[]]", "the list must hold values, or lists"),
        ("layers=[[[1]]]", "the list must hold values, or lists"),
        ('layers=[{"a": 1}]', "the list must hold values, or lists"),
    ],
)
def test_search_refuses_lists_that_are_none(folder, value, message):
    stderr = run("search", folder, "--model", "autoencoder", "--param", value, code=2).stderr
    assert message in " ".join(stderr.split())


def test_search_says_why_all_candidates_have_failed(folder):
    result = run("search", folder, "--folds", 2, "--model", "autoencoder", "--param", "layers=none", code=1)
    assert "a candidate must be fitted on every fold; of 1, 1 have failed, the first by TypeError" in result.stderr


def test_search_by_optuna(folder):
    pytest.importorskip("optuna")
    result = run("search", folder, *FAST, "--optuna", 3, "--param", "reg=0.1..10")
    assert "\n3 candidates\n" in result.stdout
    options = "--param", "layers=[[4],[4,2]]", "--optuna", 2, "--folds", 2
    layers = run("search", folder, "--model", "autoencoder", *options)
    assert any(f"best: layers={text}\n" in layers.stdout for text in ("[4]", "[4, 2]"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--param", "reg"], "'reg' is none of NAME=VALUE,VALUE,…, NAME=[VALUE,…] and NAME=LOW..HIGH"),
        (["--param", "reg=5..1"], "'reg=5..1': a range needs two numbers, the smaller one first"),
        (["--param", "reg=1", "--param", "reg=2"], "'reg=2' is given twice"),
        (["--param", "reg=1..5"], "--param reg=LOW..HIGH needs --random N, --halving N or --optuna N"),
        (["--param", "lambda=1"], "--param lambda: MatrixFactorization has the parameters n_factors, solver"),
        (["--param", "reg=1", "--random", 2, "--halving", 2], "--random and --halving exclude each other"),
        (["--param", "reg=1", "--stop", "--halving", 2], "--stop and --halving exclude each other"),
        (["--param", "reg=1", "--folds", "3", "--latest", "0.1"], "--folds and --latest exclude each other"),
        (["--param", "reg=1", "--metric", "recal@5"], "there is no metric 'recal@5'"),
    ],
)
def test_search_refuses_options_by_name(folder, arguments, message):
    result = run("search", folder, "--model", "mf", *arguments, code=2)
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(("low", "high", "kind"), [(1, 3, int), (-1, 1, int), (0.5, 2.0, float), (-1.0, 1, float)])
def test_search_ranges_are_drawn_within_their_ends(low, high, kind):
    rng = np.random.RandomState(0)  # what scikit-learn hands over
    drawn = [Range(low, high).rvs(rng) for _ in range(300)]
    assert all(type(value) is kind and low <= value <= high for value in drawn)
    if kind is int:
        assert set(drawn) == set(range(low, high + 1))
