"""``fastcf convert``, and the other commands on what it wrote."""

from __future__ import annotations

import gzip
from pathlib import Path

import fastcf
from commands import run


def test_convert_writes_what_every_command_opens(tmp_path: Path) -> None:
    text = "user|film|stars|time\n" + "".join(f"{u}|{u % 7}|{u % 5 + 1}|{u}\n" for u in range(60)) + "0|0|5|9\n"
    (tmp_path / "log.gz").write_bytes(gzip.compress(text.encode()))
    log, file, model = (str(tmp_path / name) for name in ("log.gz", "log.fastcf", "model.fastcf"))
    columns = ["--item-column", "film", "--rating-column", "stars", "--duplicates", "last"]
    result = run("convert", log, "-o", file, *columns)
    assert "60 of 60 users and 7 items" in result.output
    ratings = fastcf.Ratings.load(file)
    assert ratings.values[0] == 5
    assert ratings.timestamps is not None
    assert "fastcf" in run("info", file).output
    run("train", file, "-o", model, "--model", "bias", "--for", "ratings")
    run("evaluate", model, file)
    assert run("predict", model, file).output.count("\n") == 61


def test_convert_refuses_models_and_missing_folders(tmp_path: Path) -> None:
    model = tmp_path / "model.fastcf"
    fastcf.BiasModel().fit([(1, 2), (2, 1)], [3.0, 4.0]).save(model)
    result = run("convert", str(model), "-o", str(tmp_path / "r.fastcf"), code=1)
    assert "is a model; expected a file of ratings" in result.output
    result = run("convert", str(model), "-o", str(tmp_path / "none" / "r.fastcf"), code=1)
    assert "the folder of the output file does not exist" in result.output
