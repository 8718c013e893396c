"""The command line: every command, and every kind of bad input that can reach it."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

import fastcf
from commands import run, train_on_text_ids, write_set
from fastcf.cli import main
from fastcf.cli._outputs import clip, display_width, printable
from fastcf.solvers import as_solver

COMMANDS = cast(click.Group, main).commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of ratings, and models trained on it."""
    folder = tmp_path_factory.mktemp("set")
    write_set(folder)
    run("train", "--for", "ratings", folder, "-o", folder / "mf.fastcf", "--factors", 4, "--epochs", 3)
    run("train", folder, "-o", folder / "bias.fastcf", "--model", "bias")
    return folder


@pytest.fixture
def text_ids(tmp_path: Path) -> Path:
    """Ratings whose item ids begin with zeros, and a model of them."""
    train_on_text_ids(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------------------------- commands


def test_demo_shows_all_steps_and_saves_the_model(tmp_path: Path) -> None:
    result = run("demo", "-o", tmp_path / "demo.fastcf")
    for step in ("1. Ratings", "2. Lists", "3. Predictions", "4. What", "5. What", "6. Similar", "7. Next"):
        assert step in result.stdout
    assert max(map(display_width, result.stdout.splitlines())) <= 80 + len(str(tmp_path))
    assert result.stderr == ""  # no bar where there is no terminal
    errors = {line[2:24].strip(): line.split()[-3] for line in result.stdout.splitlines() if line.count(".") == 3}
    assert float(errors["matrix factorisation"]) < float(errors["bias model"]) < float(errors["item means"])
    assert "The " in run("recommend", tmp_path / "demo.fastcf", "--user", 0).stdout


@pytest.mark.filterwarnings("default::fastcf.DataWarning")
def test_train_notes_once_and_on_one_line_what_is_sure_to_mislead(tmp_path: Path) -> None:
    rows = [f"{user},{item},5\n" for user in range(30) for item in range(4)]
    (tmp_path / "ratings.csv").write_text("user,item,rating\n" + "".join(rows))
    result = run("train", "--for", "ratings", tmp_path / "ratings.csv", "-o", tmp_path / "model", "--epochs", 1)
    (note,) = result.stderr.splitlines()
    assert note.startswith("Note: MatrixFactorization.fit: all 108 ratings are 5")


def test_demo_is_the_same_for_the_same_seed_and_any_number_of_threads(tmp_path: Path) -> None:
    def last_tables(*arguments: object) -> str:
        text = run("demo", "-o", tmp_path / "demo.fastcf", *arguments).stdout
        return text[text.index("4. What") :]

    assert last_tables("--threads", 1) == last_tables("--threads", 2)
    assert last_tables("--threads", 1) != last_tables("--seed", 1)


def test_demo_runs_on_given_data(folder: Path, tmp_path: Path) -> None:
    result = run("demo", "--data", folder, "-o", tmp_path / "model")
    assert "read in" in result.stdout
    assert "Le Café" in result.stdout


def test_train_saves_a_model_that_the_library_loads(folder: Path) -> None:
    model = fastcf.load(folder / "mf.fastcf")
    assert isinstance(model, fastcf.MatrixFactorization)
    assert (len(model.users_), len(model.items_), model.n_factors) == (60, 40, 4)
    assert isinstance(fastcf.load(folder / "bias.fastcf"), fastcf.BiasModel)


def test_train_prints_the_errors_of_all_models(folder: Path, tmp_path: Path) -> None:
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", "--epochs", 2, "--validation", 0.2)
    assert "Errors on the 240 ratings held out" in result.stdout
    for name in ("item means", "bias model", "matrix factorisation"):
        assert name in result.stdout
    assert result.stderr == ""


def test_train_without_validation_learns_from_everything(folder: Path, tmp_path: Path) -> None:
    result = run(
        "train",
        "--for",
        "ratings",
        folder,
        "-o",
        tmp_path / "model",
        "--epochs",
        2,
        "--validation",
        0,
        "--no-bias",
        "-v",
    )
    assert "learnt from 1,200 ratings" in result.stdout
    assert "held out" not in result.stdout
    assert "epoch    2" in result.stdout
    assert fastcf.load(tmp_path / "model").bias is False


def test_train_passes_options_on(folder: Path, tmp_path: Path) -> None:
    options = ["--factors", 3, "--epochs", 2, "--reg", 0.5, "--learning-rate", 0.01, "--normalize", "none"]
    run(
        "train",
        "--for",
        "ratings",
        folder,
        "-o",
        tmp_path / "model",
        *options,
        "--seed",
        7,
        "--patience",
        2,
        "--threads",
        1,
        "--no-seen",
    )
    model = fastcf.load(tmp_path / "model")
    assert (model.n_factors, model.n_epochs, model.reg, model.solver) == (3, 2, 0.5, fastcf.solvers.SGD(0.01))
    assert (model.normalize, model.random_state, model.patience) == (None, 7, 2)
    assert model.seen_ is None


def test_train_reads_named_columns_and_duplicates(tmp_path: Path) -> None:
    rows = ["who|stars|what", *(f"u{n % 7}|{n % 5}|i{n % 11}" for n in range(100))]
    (tmp_path / "log.txt").write_text("\n".join(rows))
    columns = ["--user-column", "who", "--item-column", "2", "--rating-column", "stars", "--separator", "|"]
    run(
        "train",
        "--for",
        "ratings",
        tmp_path / "log.txt",
        "-o",
        tmp_path / "model",
        "--epochs",
        2,
        "--duplicates",
        "last",
        *columns,
    )
    assert "u3" in fastcf.load(tmp_path / "model").users_


def test_evaluate_agrees_with_the_library(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("user,item,rating\n1,2,4.5\n3,4,2\n999,5,3\n6,999,1\n")
    result = json.loads(run("evaluate", folder / "mf.fastcf", tmp_path / "test.csv", "--json").stdout)
    predicted = fastcf.load(folder / "mf.fastcf").predict([(1, 2), (3, 4), (999, 5), (6, 999)])
    assert result["rmse"] == pytest.approx(fastcf.metrics.rmse([4.5, 2, 3, 1], predicted))
    assert result["mae"] == pytest.approx(fastcf.metrics.mae([4.5, 2, 3, 1], predicted))
    assert (result["ratings"], result["cold_start"]) == (4, 2)
    assert (result["unknown_users"], result["unknown_items"]) == (1, 1)
    assert "cold start" in run("evaluate", folder / "mf.fastcf", tmp_path / "test.csv").stdout


def test_evaluate_says_when_ratings_were_trained_on(folder: Path) -> None:
    assert "1,200 of these ratings" in run("evaluate", folder / "bias.fastcf", folder).stderr


def test_evaluate_matches_integers_with_text_ids(text_ids: Path) -> None:
    (text_ids / "test.csv").write_text("user,item,rating\n1,0000001,4\n2,29,5\n")  # "29" is not "0000029"
    result = json.loads(run("evaluate", text_ids / "model", text_ids / "test.csv", "--json").stdout)
    assert (result["unknown_users"], result["unknown_items"], result["cold_start"]) == (0, 1, 1)
    (text_ids / "strange.csv").write_text("user,item,rating\n1,0000001,4\nx,29,5\n")  # users become text
    result = json.loads(run("evaluate", text_ids / "model", text_ids / "strange.csv", "--json").stdout)
    assert (result["unknown_users"], result["unknown_items"]) == (1, 1)


def test_evaluate_says_when_nothing_is_known(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("user,item,rating\nann,x,3\nbob,y,4\n")
    assert (
        "all of these pairs are unknown to the model"
        in run("evaluate", folder / "mf.fastcf", tmp_path / "other.csv").stderr
    )


def test_recommend_agrees_with_the_library_and_shows_titles(folder: Path) -> None:
    expected = fastcf.load(folder / "mf.fastcf").recommend([13, 5], 4)
    result = json.loads(run("recommend", folder / "mf.fastcf", "-u", 13, "-u", 5, "-n", 4, "--json").stdout)
    assert [one["user"] for one in result] == [13, 5]
    assert [entry["item"] for one in result for entry in one["results"]] == expected.items.ravel().tolist()
    assert result[0]["results"][0]["title"] == f"Film {expected.items[0, 0]}, Le Café"
    shown = run("recommend", folder / "mf.fastcf", "-u", 13).stdout
    assert f"Film {expected.items[0, 0]}, Le Café" in shown


def test_recommend_csv_is_csv(folder: Path) -> None:
    text = run("recommend", folder / "mf.fastcf", "-u", 13, "-n", 2, "--csv").stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["user", "rank", "item", "score", "title"]
    assert [row[:2] for row in rows[1:]] == [["13", "1"], ["13", "2"]]
    assert rows[1][4].endswith(", Le Café")


def test_recommend_never_shows_what_was_held_out(folder: Path) -> None:
    ratings = fastcf.data.load_ratings(folder)
    rated = set(ratings.items.ids[ratings.indices[ratings.indptr[13] : ratings.indptr[14]]].tolist())
    result = json.loads(run("recommend", folder / "mf.fastcf", "-u", 13, "-n", 40, "--json").stdout)
    shown = {entry["item"] for entry in result[0]["results"]}
    assert not shown & rated
    assert len(shown) == 40 - len(rated)  # padding is left out
    everything = json.loads(
        run("recommend", folder / "mf.fastcf", "-u", 13, "-n", 40, "--include-seen", "--json").stdout
    )
    assert len(everything[0]["results"]) == 40


def test_recommend_takes_titles_from_a_file(text_ids: Path) -> None:
    assert "title" not in run("recommend", text_ids / "model", "-u", 1).stdout
    (text_ids / "movies.dat").write_text("\n".join(f"{item:07}::Film Nº {item}::" for item in range(30)), "utf-8")
    for option in (text_ids / "movies.dat", text_ids):
        assert "Film Nº" in run("recommend", text_ids / "model", "-u", 1, "--titles", option).stdout


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_similar_agrees_with_the_library(folder: Path, metric: str) -> None:
    expected = fastcf.load(folder / "mf.fastcf").similar_items(7, 3, metric=metric)
    arguments = ["similar", folder / "mf.fastcf", "-i", 7, "-n", 3, "--metric", metric]
    result = json.loads(run(*arguments, "--json").stdout)
    assert [entry["similar_item"] for entry in result[0]["results"]] == expected.ids.tolist()
    assert "Similar to 7, Film 7, Le Café" in run(*arguments).stdout
    assert run(*arguments, "--csv").stdout.startswith("item,rank,similar_item,")


def test_similar_takes_text_ids(text_ids: Path) -> None:
    assert len(json.loads(run("similar", text_ids / "model", "-i", "0000003", "--json").stdout)[0]["results"]) == 10


def test_info_describes_installation_model_and_ratings(folder: Path) -> None:
    assert fastcf.__version__ in run("info").stdout
    model = run("info", folder / "mf.fastcf").stdout
    assert "fastcf.MatrixFactorization" in model
    assert "stored, 1,200 ratings" in model
    assert "stored, 40" in model
    assert "fastcf.BiasModel" in run("info", folder / "bias.fastcf").stdout
    ratings = run("info", folder).stdout
    assert "movielens-csv" in ratings
    assert "2001-09-09 to 2001-09-09" in ratings
    assert "1,200" in ratings


def test_help_of_every_command_fits_80_columns() -> None:
    commands: list[list[str]] = [[], *([name] for name in COMMANDS)]
    for command in commands:
        result = run(*command, "--help")
        assert max(map(len, result.stdout.splitlines())) <= 80
    assert fastcf.__version__ in run("--version").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    listed = COMMANDS[name]
    assert listed.load().name == name
    assert listed.get_short_help_str(200) == listed.load().get_short_help_str(200)


@pytest.mark.parametrize(("words", "completed"), [(["re"], {"recommend"}), (["train", "--te"], {"--temporal"})])
def test_names_and_options_are_completed(words: list[str], completed: set[str]) -> None:
    complete = ShellComplete(main, {}, "fastcf", "_FASTCF_COMPLETE")
    assert {found.value for found in complete.get_completions(words[:-1], words[-1])} == completed


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("userId,movieId,rating\n1,2,4\n1,3\n", "ratings.csv:3: "),
        ("userId,movieId,rating\n1,2,4\n1,3,nan\n", "ratings.csv:3: "),
        ("userId,movieId,rating\n1,2,4\n1,3,inf\n", "ratings.csv:3: "),
        ("userId,movieId,rating\n1,2,four\n", "ratings.csv:2: "),
        ("userId,movieId,rating\n1,2,4\n1,2,5\n", "--duplicates 'last'"),
        ("userId,movieId,rating\n", "no ratings"),
        ("", "ratings.csv"),
    ],
)
def test_train_refuses_bad_ratings(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ratings.csv").write_text(text)
    for command in (["train", "-o", tmp_path / "model"], ["info"], ["demo", "--data"]):
        result = run(*command, tmp_path / "ratings.csv", code=1)
        assert message in result.stderr
        assert str(tmp_path) in result.stderr
    assert not (tmp_path / "model").exists()


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for command in (
        ["train", missing, "-o", tmp_path / "model"],
        ["train", folder, "-o", tmp_path / "model", "--titles", missing],
        ["evaluate", missing, folder],
        ["evaluate", folder / "mf.fastcf", missing],
        ["recommend", missing, "-u", 1],
        ["recommend", folder / "mf.fastcf", "-u", 1, "--titles", missing],
        ["similar", missing, "-i", 1],
        ["info", missing],
        ["demo", "--data", missing],
    ):
        assert run(*command, code=1).stderr == f"Error: {missing}: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []


def test_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    assert "no ratings found" in run("train", "--for", "ratings", tmp_path, "-o", tmp_path / "model", code=1).stderr


def test_output_is_checked_before_training(folder: Path, tmp_path: Path) -> None:
    assert "does not exist" in run("train", "--for", "ratings", folder, "-o", tmp_path / "no" / "model", code=1).stderr
    assert "is a folder" in run("train", "--for", "ratings", folder, "-o", tmp_path, code=1).stderr
    assert "does not exist" in run("demo", "-o", tmp_path / "no" / "model", code=1).stderr


def test_unknown_ids_are_refused(folder: Path, text_ids: Path) -> None:
    assert (
        "unknown user '999'; the model has 60 users" in run("recommend", folder / "mf.fastcf", "-u", 999, code=1).stderr
    )
    for text in ("ann", "007", "", "1.0", str(2**70)):
        assert f"unknown user {text!r}" in run("recommend", folder / "mf.fastcf", "-u", text, code=1).stderr
    assert "unknown item '-1'" in run("similar", folder / "mf.fastcf", "-i", "-1", code=1).stderr
    assert "did you mean '0000003'?" in run("similar", text_ids / "model", "-i", "3", code=1).stderr


def test_damaged_and_foreign_models_are_refused(folder: Path, tmp_path: Path) -> None:
    good = (folder / "mf.fastcf").read_bytes()
    cut, flipped, empty, text = (tmp_path / name for name in ("cut", "flipped", "empty", "text"))
    cut.write_bytes(good[:-100])
    flipped.write_bytes(good[:-100] + bytes([good[-100] ^ 1]) + good[-99:])
    empty.write_bytes(b"")
    text.write_text("userId,movieId,rating\n1,2,3\n")
    for path in (cut, flipped, empty, text):
        for command in (["recommend", path, "-u", 1], ["similar", path, "-i", 1], ["evaluate", path, folder]):
            assert str(path) in run(*command, code=1).stderr
    for path in (cut, flipped):
        assert str(path) in run("info", path, code=1).stderr


def test_models_and_ratings_are_not_confused(folder: Path, tmp_path: Path) -> None:
    model = folder / "mf.fastcf"
    assert "is a model" in run("train", "--for", "ratings", model, "-o", tmp_path / "model", code=1).stderr
    assert "is a model" in run("evaluate", model, model, code=1).stderr
    assert "not a fastcf model" in run("recommend", folder / "ratings.csv", "-u", 1, code=1).stderr


def test_what_a_model_lacks_is_said(folder: Path, tmp_path: Path) -> None:
    assert "no vectors" in run("similar", folder / "bias.fastcf", "-i", 1, code=1).stderr
    run("train", folder, "-o", tmp_path / "model", "--model", "bias", "--no-seen")
    assert "--include-seen" in run("recommend", tmp_path / "model", "-u", 1, code=1).stderr
    run("recommend", tmp_path / "model", "-u", 1, "--include-seen")


def test_divergence_is_said_and_saves_nothing(folder: Path, tmp_path: Path) -> None:
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", "--learning-rate", 1e30, code=1)
    assert "diverged in epoch" in result.stderr
    assert "lower learning_rate" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "x", "-o", "y", "--factors", "0"],
        ["train", "x", "-o", "y", "--validation", "1"],
        ["train", "x", "-o", "y", "--reg", "-1"],
        ["train", "x", "-o", "y", "--learning-rate", "fast"],
        ["train", "x", "-o", "y", "--model", "magic"],
        ["train", "x", "-o", "y", "--for", "ratings", "--threshold", "4"],
        ["train", "x", "-o", "y", "--for", "lists", "--model", "mf"],
        ["train", "x", "-o", "y", "--factors", "4"],
        ["train", "x", "-o", "y", "--model", "logistic", "--solver", "als"],
        ["train", "x", "-o", "y", "--model", "logistic", "--normalize", "item"],
        ["train", "x", "-o", "y", "--solver", "als", "--learning-rate", "0.1"],
        ["train", "x", "-o", "y", "--optimizer", "adam"],
        ["train", "x", "-o", "y", "--solver", "bayes", "--reg", "1"],
        ["train", "x", "-o", "y", "--solver", "bayes", "--patience", "2"],
        ["train", "x", "-o", "y", "--nonsense"],
        ["train", "x"],
        ["recommend", "x"],
        ["recommend", "x", "-u", "1", "-n", "0"],
        ["recommend", "x", "-u", "1", "--json", "--csv"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert "Usage: fastcf" in run(*arguments, code=2).stderr


def test_too_few_ratings_to_hold_some_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("user,item,rating\n1,2,3\n2,3,4\n")
    arguments = ["train", tmp_path / "few.csv", "-o", tmp_path / "model"]
    assert "use --validation 0" in run(*arguments, code=1).stderr
    run(*arguments, "--validation", 0)
    assert "such as 2, 3" in run("info", tmp_path / "model").stdout


@pytest.mark.parametrize("separator", ["a", ""])
def test_bad_separator_is_refused(folder: Path, separator: str) -> None:
    assert "separator" in run("info", folder, "--separator", separator, code=1).stderr


def test_interrupt_exits_with_130_and_saves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastcf.MatrixFactorization, "fit", interrupted)
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", code=130)
    assert "Interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_bugs_keep_their_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(fastcf.MatrixFactorization, "recommend", broken)
    result = CliRunner().invoke(main, ["recommend", str(folder / "mf.fastcf"), "-u", "1"])
    assert isinstance(result.exception, AssertionError)


# ------------------------------------------------------------------------------------------------- real processes


@pytest.mark.parametrize("module", ["fastcf", "fastcf.cli"])
def test_module_runs_as_a_program(folder: Path, module: str) -> None:
    command = [sys.executable, "-m", module]
    done = subprocess.run([*command, "recommend", folder / "mf.fastcf", "-u", "13"], capture_output=True, check=True)
    assert "Le Café" in done.stdout.decode("utf-8")
    assert done.stderr == b""
    failed = subprocess.run([*command, "info", folder / "none"], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"Error: {folder / 'none'}: No such file or directory\n"


def test_ctrl_c_during_training_exits_with_130_and_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    # A shell that runs tests in the background has them ignore Ctrl-C: the program must begin with the usual handler.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fastcf.cli import main; main(prog_name='fastcf')"
    )
    arguments = [
        "train",
        folder,
        "--for",
        "ratings",
        "-o",
        tmp_path / "model",
        "--epochs",
        "100000000",
        "--validation",
        "0",
        "-v",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch"):  # training has begun
                break
        process.send_signal(signal.SIGINT)
        for _ in process.stdout:
            pass
        message = process.stderr.read()
        assert process.wait() == 130
        watchdog.cancel()
    assert message.strip() == "Interrupted."
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------------- tables


def test_text_is_measured_and_cut_by_columns() -> None:
    assert display_width("Café") == 4
    assert display_width("Cafe\u0301") == 4
    assert display_width("七人の侍") == 8
    assert clip("七人の侍", 6) == "七人…"
    assert clip("Amélie", 6) == "Amélie"
    assert clip("The Matrix", 5) == "The…"
    assert printable("a\x1b[31mb\tc\nd") == "a\ufffd[31mb\ufffdc\ufffdd"


def test_tables_fit_the_window_but_stay_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastcf.cli import _outputs as tables

    @click.command()
    def show() -> None:
        tables.table([["1", "x" * 100]], ("n", "title"), "><")

    def widest() -> int:
        return max(map(display_width, CliRunner().invoke(show).stdout.splitlines()))

    assert widest() > 100
    monkeypatch.setattr(tables, "_window", lambda: 60)
    assert widest() < 60


def test_titles_of_other_kinds_of_ids_are_found() -> None:
    from fastcf.cli._titles import Titles

    titles = Titles(fastcf.data.ItemTable(np.array([1, 2]), np.array(["a", "b"]), np.array(["", ""])))
    assert titles.of(np.array(["2", "02"])) == ["b", ""]
    assert Titles(None).of(np.array([1])) == [""]


@pytest.mark.parametrize(
    "options", [["--solver", "als"], ["--solver", "bayes"], ["--solver", "gd", "--optimizer", "adam", "--epochs", 5]]
)
def test_train_by_every_solver(folder: Path, tmp_path: Path, options: list[object]) -> None:
    result = run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *options)
    assert "training RMSE" in result.stdout
    wanted = {"gd": fastcf.solvers.GradientDescent("adam", batch_size="whole")}.get(options[1], options[1])
    assert as_solver(fastcf.load(tmp_path / "model").solver) == as_solver(wanted)
    run("info", tmp_path / "model")


def test_train_gives_step_sizes_to_what_takes_steps(folder: Path, tmp_path: Path) -> None:
    options = ["--solver", "minibatch", "--optimizer", "momentum", "--learning-rate", 0.02, "--batch-size", 64]
    run("train", "--for", "ratings", folder, "-o", tmp_path / "model", *options, "--epochs", 1)
    steps = fastcf.optimizers.Momentum(learning_rate=0.02)
    assert fastcf.load(tmp_path / "model").solver == fastcf.solvers.GradientDescent(steps, batch_size=64)


def test_ids_of_a_file_are_matched_without_changing_the_model(folder: Path, tmp_path: Path) -> None:
    from fastcf._id_columns import as_id_column
    from fastcf.cli._ids import alike

    known = fastcf.IdMap([3, 1, 2**70])
    given = as_id_column(["1", "01", "x", "1", str(2**70), "7"], "ids")
    found = alike(known, given).array()
    assert known.rows(found).tolist() == [1, -1, -1, 1, 2, -1]
    assert len(set(found.tolist())) == 5  # different texts stay different
    assert alike(fastcf.IdMap(["a", "1"]), as_id_column([1, 2], "ids")).array().tolist() == ["1", "2"]
    assert known.ids.tolist() == [3, 1, 2**70]


def test_recommend_keeps_to_a_least_score(folder: Path, tmp_path: Path) -> None:
    model = fastcf.load(folder / "mf.fastcf")
    least = float(np.sort(model.recommend(13, 4).scores)[1])
    arguments = ["recommend", folder / "mf.fastcf", "-n", 4, "--min-score", least]
    result = json.loads(run(*arguments, "-u", 13, "--json").stdout)[0]["results"]
    assert [entry["item"] for entry in result] == model.recommend(13, 3).items.tolist()
    rows = list(csv.reader(io.StringIO(run(*arguments, "--all").stdout)))[1:]
    expected = model.recommend(model.users_.ids, 4, min_score=least)
    assert len(rows) == np.isfinite(expected.scores).sum()
    assert min(float(row[3]) for row in rows) >= least - 1e-6
    nothing = run("recommend", folder / "mf.fastcf", "-u", 13, "--min-score", 99).stdout
    assert "nothing left to show" in nothing


def test_files_of_both_kinds_of_ids_are_matched(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("user,item,rating\n1,10,5\n1,X7,1\n2,10,4\n2,20,1\n")
    (tmp_path / "test.csv").write_text("user,item,rating\n1,20,1\n2,10,4\n")
    run("train", "--model", "bias", "--validation", 0, tmp_path / "train.csv", "-o", tmp_path / "model")
    result = json.loads(run("evaluate", tmp_path / "model", tmp_path / "test.csv", "--json").stdout)
    assert (result["unknown_users"], result["unknown_items"], result["cold_start"]) == (0, 0, 0)

    def train(id_type: str, log: str, code: int = 0) -> Result:
        options = ["--model", "bias", "--validation", 0, "--id-type", id_type]
        return run("train", *options, tmp_path / f"{log}.csv", "-o", tmp_path / "typed", code=code)

    for id_type, kinds in (("str", ("str", "str")), ("auto,str", ("int", "str"))):
        train(id_type, "test")
        model = fastcf.load(tmp_path / "typed")
        assert (model.users_.kind, model.items_.kind) == kinds
    failed = train("int", "train", code=1)
    assert "train.csv:3: item id must be an integer, as id_type says; got 'X7'" in failed.stderr
    assert "--id-type" in train("text", "train", code=2).stderr
