"""Models with effects of time on the command line: trained, measured, and asked for a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run

DAY = 86_400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of two days; on the second, those of even users are two stars higher."""
    folder = tmp_path_factory.mktemp("temporal")
    users, items = np.divmod(np.arange(900), 30)
    later = np.random.default_rng(0).random(900) < 0.5
    values = 2 + (items % 3) / 2 + 2 * (later & (users % 2 == 0))
    lines = [f"{u},{i},{v:g},{DAY * t}" for u, i, v, t in zip(users, items, values, later.astype(int), strict=True)]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines, ""]))
    for name, more in (("plain", []), ("timed", ["--temporal"])):
        run("train", folder, "-o", folder / name, "--for", "ratings", "--model", "bias", *more)
    return folder


def test_train_learns_effects_of_time_beside_any_model_of_ratings(folder: Path, tmp_path: Path) -> None:
    options = ["--for", "ratings", "--temporal", "--factors", 3, "--epochs", 3, "--seed", 4]
    shown = run("train", folder, "-o", tmp_path / "timed", *options).stdout
    assert "TemporalModel around MatrixFactorization, learnt from 810 ratings" in shown
    assert "matrix factorisation, temporal" in shown
    assert "effects of time" in shown
    model = fastcf.load(tmp_path / "timed")
    assert model.model.get_params()["n_factors"] == 3
    assert model.model_.n_epochs_ <= 3
    assert model.seen_.indices.size == 900
    assert model.similar_items(7, 4).ids.tolist() == model.model_.similar_items(7, 4).ids.tolist()
    for path in (tmp_path / "timed", folder / "timed"):
        assert "TemporalModel" in run("info", path).stdout
    assert "epoch kept" in run("info", tmp_path / "timed").stdout
    plain, timed = (
        json.loads(run("evaluate", folder / name, folder, "--json").stdout)["rmse"] for name in ("plain", "timed")
    )
    assert timed < 0.3 * plain


@pytest.mark.parametrize("at", ["1970-01-01", DAY])
def test_models_are_asked_for_a_time(folder: Path, tmp_path: Path, at: str | int) -> None:
    model = fastcf.load(folder / "timed").at(at)
    (tmp_path / "pairs.csv").write_text("user,item\n4,7\n5,8\n")
    path, options = folder / "timed", ["--at", at]
    rows = run("predict", path, tmp_path / "pairs.csv", *options).stdout.split()[1:]
    assert [row.split(",")[2] for row in rows] == model.predict([(4, 7), (5, 8)]).astype(str).tolist()
    (found,) = json.loads(run("recommend", path, "-u", 4, "--include-seen", "-n", 3, "--json", *options).stdout)
    wanted = model.recommend(4, 3, exclude_seen=False).scores
    assert [each["score"] for each in found["results"]] == pytest.approx(wanted.tolist(), abs=1e-5)
    (found,) = json.loads(run("explain", path, "-u", 4, "-i", 7, "--json", *options).stdout)
    assert found["score"] == model.explain(4, 7).score


def test_what_effects_of_time_need_is_said(folder: Path, tmp_path: Path) -> None:
    assert "has no effects of time" in run("recommend", folder / "plain", "-u", 4, "--at", 5, code=1).stderr
    assert "time must be" in run("recommend", folder / "timed", "-u", 4, "--at", "soon", code=1).stderr
    wrong = run("train", folder, "-o", tmp_path / "x", "--temporal", code=2).output
    assert "--temporal needs --model mf, autoencoder or bias, not linear" in wrong
    train = ["train", folder, "-o", tmp_path / "x", "--for", "ratings", "--temporal", "--no-timestamp"]
    assert "must have timestamps" in run(*train, code=1).stderr
