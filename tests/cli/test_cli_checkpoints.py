"""``fastcf train --checkpoint``: the same command goes on after it was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastcf
from commands import run, write_set
from fastcf.training.checkpoint import Checkpoint, Position


@pytest.mark.parametrize("model", [["mf", "--patience", 4], ["implicit", "--threshold", 3]])
def test_killed_command_goes_on_to_the_same_model(
    model: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path)
    command = ["train", tmp_path, "--model", *model, "--factors", 4, "--epochs", 4]
    run(*command, "-o", tmp_path / "whole")
    own, epochs = Checkpoint.write, []

    def write(checkpoint: Checkpoint, position: Position) -> None:
        own(checkpoint, position)
        epochs.append(position.history[-1]["epoch"])
        if len(epochs) == 2:
            raise OSError("killed")

    monkeypatch.setattr(Checkpoint, "write", write)
    path = tmp_path / "training.checkpoint"
    kept = ["--checkpoint", path, "--checkpoint-every", 2]
    run(*command, "-o", tmp_path / "again", *kept, code=1)
    run(*command, "-o", tmp_path / "again", *kept)
    assert epochs[:4] == ([0, 2, 4] if model[0] == "mf" else [0, 2, 4, 0])  # the second training is that on all ratings
    assert Path(f"{path}.all").exists() == (model[0] == "implicit")
    found, wanted = (fastcf.load(tmp_path / name) for name in ("again", "whole"))
    np.testing.assert_array_equal(found.item_factors_, wanted.item_factors_)
    refused = run(*command, "--reg", 7, "-o", tmp_path / "again", *kept, code=1)
    assert "checkpoint must be of the same training" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "linear", "--checkpoint", "c"], "--checkpoint needs --model implicit, mf"),
        (["--model", "mf", "--checkpoint-every", 2], "--checkpoint-every needs --checkpoint"),
    ],
)
def test_checkpoints_without_effect_are_refused(options: list[object], message: str, tmp_path: Path) -> None:
    write_set(tmp_path)
    assert message in run("train", tmp_path, "-o", tmp_path / "model", *options, code=2).stderr
