"""The command line with autoencoders: training, measuring and asking them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastcf
from commands import run, write_set

AUTOENCODER = ("--model", "autoencoder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of ratings, and an autoencoder of either orientation."""
    folder = tmp_path_factory.mktemp("set")
    write_set(folder)
    for side in ("item", "user"):
        options = ["--layers", "8,4", "--epochs", 3, "--orientation", side]
        run("train", "--for", "ratings", folder, "-o", folder / f"{side}.fastcf", *AUTOENCODER, *options)
    return folder


def test_train_autoencoder_saves_a_model_that_the_library_loads_and_info_describes(folder: Path) -> None:
    model = fastcf.load(folder / "item.fastcf")
    assert isinstance(model, fastcf.Autoencoder)
    assert (model.layers, model.orientation, len(model.history_)) == ((8, 4), "item", 4)
    described = run("info", folder / "item.fastcf").stdout
    assert "8, 4; a row is the ratings of one item" in described
    assert f"validation RMSE {model.history_[model.n_epochs_]['validation_rmse']:.4f}" in described
    assert "stored, 1,200 ratings" in described
    assert f"mean {model.mean_rating_:.3f}" in described
    assert "one user" in run("info", folder / "user.fastcf").stdout


def test_train_autoencoder_leaves_defaults_to_the_library(folder: Path, tmp_path: Path) -> None:
    run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *AUTOENCODER, "--epochs", 1)
    assert repr(fastcf.load(tmp_path / "model")) == repr(fastcf.Autoencoder(n_epochs=1, random_state=0))


def test_train_autoencoder_passes_options_on(folder: Path, tmp_path: Path) -> None:
    options = {
        "layers": "6", "orientation": "user", "activation": "selu", "input-dropout": 0.2, "rated-input": 3,
        "dropout": 0.1,
        "refeeding": 1, "epochs": 2, "reg": 7, "optimizer": "momentum", "learning-rate": 0.01, "normalize": "user",
        "batch-size": 16, "patience": 2, "seed": 5, "threads": 1,
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    result = run(
        "train", "--for", "ratings", folder, "-o", tmp_path / "model", *AUTOENCODER, *arguments, "--tied", "-v"
    )
    wanted = fastcf.Autoencoder(
        (6,), orientation="user", activation="selu", input_dropout=0.2, rated_input=3.0, dropout=0.1,
        dense_refeeding=1, n_epochs=2, reg=7.0, normalize="user", optimizer=fastcf.optimizers.Momentum(0.01),
        batch_size=16, patience=2, random_state=5, tied=True,
    )  # fmt: skip
    assert repr(fastcf.load(tmp_path / "model")) == repr(wanted)
    assert "epoch    2" in result.stdout
    run(
        "train",
        "--for",
        "ratings",
        folder,
        "-o",
        tmp_path / "raw",
        *AUTOENCODER,
        "--normalize",
        "none",
        "--validation",
        0,
        "--epochs",
        1,
    )
    assert fastcf.load(tmp_path / "raw").normalize is None


def test_train_autoencoder_prints_the_errors_of_all_models(folder: Path, tmp_path: Path) -> None:
    result = run(
        "train",
        "--for",
        "ratings",
        folder,
        "-o",
        tmp_path / "model",
        *AUTOENCODER,
        "--validation",
        0.2,
        "--layers",
        "16",
    )
    settings, errors = result.stdout.split("Errors on the 240 ratings held out")
    for part in ("layers", "16; a row", "epoch kept", "the best of", "learning rate", "training RMSE"):
        assert part in settings
    shown = {" ".join(line.split()[:-3]): line.split()[-3:-1] for line in errors.splitlines() if line.count(".") == 3}
    assert list(shown) == ["item means", "bias model", "autoencoder"]
    assert result.stderr == ""
    _, held_out = fastcf.data.train_test_split(fastcf.data.load_ratings(folder), 0.2, random_state=0)
    predicted = fastcf.load(tmp_path / "model").predict(held_out)
    measured = [getattr(fastcf.metrics, name)(held_out.values, predicted) for name in ("rmse", "mae")]
    assert shown["autoencoder"] == [f"{value:.4f}" for value in measured]


@pytest.mark.parametrize("side", ["item", "user"])
def test_autoencoder_is_evaluated_and_asked_as_the_library_does(folder: Path, tmp_path: Path, side: str) -> None:
    path = folder / f"{side}.fastcf"
    model = fastcf.load(path)
    (tmp_path / "test.csv").write_text("user,item,rating\n1,2,4.5\n3,4,2\n999,5,3\n6,999,4\n")
    result = json.loads(run("evaluate", path, tmp_path / "test.csv", "--json").stdout)
    predicted = model.predict([(1, 2), (3, 4), (999, 5), (6, 999)])
    assert result["rmse"] == pytest.approx(fastcf.metrics.rmse([4.5, 2, 3, 4], predicted))
    assert (result["class"], result["cold_start"], result["unknown_users"]) == ("Autoencoder", 2, 1)
    assert "1,200 of these ratings" in run("evaluate", path, folder).stderr
    found = json.loads(run("recommend", path, "-u", 13, "-n", 4, "--json").stdout)[0]["results"]
    assert [entry["item"] for entry in found] == model.recommend(13, 4).items.tolist()
    assert found[0]["title"].endswith("Le Café")
    ratings = fastcf.data.load_ratings(folder)
    rated = ratings.items.ids[ratings.indices[ratings.row_of_entry() == ratings.users.rows([13])[0]]]
    everything = json.loads(run("recommend", path, "-u", 13, "-n", 40, "--json").stdout)[0]["results"]
    assert {entry["item"] for entry in everything} == set(ratings.items.ids) - set(rated)
    assert "unknown user '999'" in run("recommend", path, "-u", 999, code=1).stderr
    near = json.loads(run("similar", path, "-i", 7, "-n", 3, "--json").stdout)[0]["results"]
    assert [entry["similar_item"] for entry in near] == model.similar_items(7, 3).ids.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "autoencoder", "--factors", 3],
            "--factors needs --model implicit, mf or logistic, not autoencoder",
        ),
        (["--model", "autoencoder", "--solver", "sgd"], "--solver needs --model mf or logistic, not autoencoder"),
        (["--model", "autoencoder", "--no-bias"], "--bias needs --model mf or logistic, not autoencoder"),
        (
            ["--model", "mf", "--threshold", 4],
            "--threshold needs --model linear, implicit, item-neighbours, user-neighbours, popular, logistic or "
            "autoencoder, not mf",
        ),
        (["--layers", "4"], "--layers needs --model autoencoder, not mf"),
        (["--model", "logistic", "--tied"], "--tied needs --model autoencoder, not logistic"),
        (["--model", "bias", "--input-dropout", 0.2], "--input-dropout needs --model autoencoder, not bias"),
        (["--model", "bias", "--epochs", 3], "--epochs needs --model implicit, mf, logistic or autoencoder, not bias"),
        (["--batch-size", 8], "--batch-size needs --solver minibatch or --model autoencoder, not --solver sgd"),
        (["--normalize", "bias"], "--model mf takes --normalize global, item or none, not bias"),
        (["--model", "autoencoder", "--layers", "8,x"], "'8,x' is not a list of sizes such as 128,64"),
        (["--model", "autoencoder", "--layers", "8,,4"], "'8,,4' is not a list of sizes"),
        (["--model", "autoencoder", "--layers", "0"], "'0' is not a list of sizes"),
        (["--model", "autoencoder", "--dropout", 1], "is not in the range 0<=x<1"),
    ],
)
def test_train_refuses_options_that_do_not_go_together(
    folder: Path, tmp_path: Path, arguments: list[object], message: str
) -> None:
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *arguments, code=2)
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_train_batches_of_a_factorisation(folder: Path, tmp_path: Path) -> None:
    run(
        "train",
        "--for",
        "ratings",
        folder,
        "-o",
        tmp_path / "model",
        "--solver",
        "minibatch",
        "--batch-size",
        64,
        "--epochs",
        1,
    )
    assert fastcf.load(tmp_path / "model").solver == fastcf.solvers.GradientDescent(batch_size=64)


def test_autoencoder_diverging_is_one_line(folder: Path, tmp_path: Path) -> None:
    result = run(
        "train", "--for", "ratings", folder, "-o", tmp_path / "model", *AUTOENCODER, "--learning-rate", 1e30, code=1
    )
    assert "training diverged in epoch" in result.stderr
    assert list(tmp_path.iterdir()) == []
