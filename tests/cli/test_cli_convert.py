"""``fastcf convert``, and the other commands on what it wrote."""

from __future__ import annotations

import gzip
import lzma
import sys
from pathlib import Path

import pytest

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


def test_commands_read_every_format_and_name_what_they_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"user": ["a", "b"], "item": [1, 2], "rating": [3.0, 4]}), tmp_path / "log.parquet")
    lines = '{"reviewerID": "U1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400000000}\n'
    (tmp_path / "lines.json").write_text(lines)
    (tmp_path / "log.csv.xz").write_bytes(lzma.compress(b"1,2,3\n1,3,4\n"))
    for name, ratings in (("log.parquet", "2: "), ("lines.json", "1: "), ("log.csv.xz", "2: ")):
        assert f"ratings       {ratings}" in run("info", tmp_path / name).output
    whole = (tmp_path / "log.parquet").read_bytes()
    files = {
        "cut.parquet": (whole[: len(whole) // 2], "the file is damaged, or not what it seems (parquet)"),
        "image.csv": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG image, not text"),
        "bomb.gz": (gzip.compress(bytes(10**7)), "compressed bytes become more than"),
        "bad.json": (b'{"user": 1, "item": 2}\n', "cannot tell which column is the rating"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        assert message in run("info", tmp_path / name, code=1).output
    assert "is a device" in run("info", "/dev/zero", code=1).output
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'fastcf[arrow]'" in run("info", tmp_path / "log.parquet", code=1).output
