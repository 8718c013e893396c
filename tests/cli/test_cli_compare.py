"""Models compared on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import fastcf
from commands import run, write_set
from fastcf.cli._models import KINDS, default_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_set(folder)
    return folder


def test_compare_prints_a_row_per_model(folder: Path) -> None:
    out = run("compare", folder, "--models", "popular,bias,ials", "--threshold", 4, "-k", 5).stdout
    lines = out.splitlines()
    assert lines[0] == f"3 models on 120 ratings held out of {folder.name}"
    assert lines[1].split()[:4] == ["model", "RMSE", "NDCG@5", "recall@5"]
    assert [line.split()[0] for line in lines[3:6]] == ["popular", "bias", "ials"]
    assert "differs from popular, by RMSE from bias (p < 0.05)." in lines[-1]


def test_compare_gives_the_figures_of_evaluate(folder: Path, tmp_path: Path) -> None:
    arguments = ["--models", "bias,popular", "--metrics", "mae,ndcg@3", "--seed", 2, "--split", "leave_n_out"]
    target = tmp_path / "table.csv"
    found = json.loads(run("compare", folder, *arguments, "--json", "-o", target).stdout)
    ratings = fastcf.data.load_ratings(folder)
    models = {"bias": fastcf.BiasModel(), "popular": fastcf.Popular()}
    table = fastcf.evaluate(models, ratings, metrics=["mae", "ndcg@3"], split="leave_n_out", random_state=2)
    wanted = {(row["model"], row["metric"]): row["value"] for row in table.to_dicts()}
    values = {(row["model"], row["metric"]): row["value"] for row in found["rows"]}
    assert values.pop(("popular", "mae")) is None
    assert values == {key: wanted[key] for key in values}
    assert found["held_out"] == table.protocol.n_held_out
    with open(target, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"] or "nan") for row in rows] == pytest.approx(table.values[:, :, 0].ravel(), nan_ok=True)


@pytest.mark.filterwarnings("default")
def test_compare_notes_models_that_fail(folder: Path) -> None:
    result = run("compare", folder, "--models", "bias,logistic", "--metrics", "rmse")
    assert "Note: evaluate: logistic failed: ValueError" in result.stderr
    assert "logistic" not in result.stdout


def test_compare_refuses_what_is_not_there(folder: Path) -> None:
    assert "there is no model 'svd'; there are linear," in run("compare", folder, "--models", "svd", code=2).stderr
    assert "not a list of different names" in run("compare", folder, "--models", "bias,bias", code=2).stderr
    assert "--baseline takes one of" in run("compare", folder, "--models", "bias", "--baseline", "mf", code=2).stderr
    options = "--models", "bias", "--metrics", "rmse,ndcg@5", "-k", 20
    assert "-k needs a metric of lists" in run("compare", folder, *options, code=2).stderr
    assert "there is no metric 'ndgc'" in run("compare", folder, "--models", "bias", "--metrics", "ndgc", code=2).stderr


def test_default_models_are_those_of_the_classes() -> None:
    for kind in KINDS:
        model = default_model(kind, 4.0, 0, None)
        changed = {"random_state", "threshold", "cost"}
        fresh = type(model)().get_params()
        assert {
            name
            for name, value in model.get_params().items()
            if fresh.get(name) != value and name in fresh and name not in changed
        } <= {"optimizer", "solver"}, kind
        assert (getattr(model, "threshold", None) == 4.0) == (kind not in ("mf", "autoencoder", "bias")), kind


def test_compare_keeps_finished_models_after_ctrl_c(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def press(self: object, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastcf.BiasModel, "fit", press)
    target = tmp_path / "table.csv"
    arguments = ["--models", "popular,bias,linear", "--metrics", "ndcg", "-o", target, "--threshold", 4]
    stopped = run("compare", folder, *arguments, code=130)
    assert stopped.stdout.startswith("1 model on 120 ratings held out")
    assert "Note: bias: not measured when Ctrl-C was pressed" in stopped.stderr
    assert "Note: linear: not measured when Ctrl-C was pressed" in stopped.stderr
    assert [row["model"] for row in csv.DictReader(target.read_text().splitlines())] == ["popular"]


def test_compare_says_how_many_users_have_no_relevant_items(folder: Path) -> None:
    arguments = ["compare", folder, "--models", "popular", "--threshold", 5, "--metrics", "ndcg"]
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["users_without"] > 0
    said = f"{found['users']} users; {found['users_without']} of them have no relevant item and do not count for lists."
    assert said in run(*arguments).stdout
