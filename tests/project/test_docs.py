"""What the documentation shows must work: Python blocks, commands, examples and docstrings."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import logging
import pkgutil
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import fastcf
from fastcf.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.is_file()]
LINKED = [
    path
    for path in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "bench" / "results" / "README.md")
    if path.is_file()
]
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(fastcf.__path__, "fastcf.")
    if not info.name.endswith("__main__")
    and info.name.rpartition(".")[2] not in ("_cpu", "_host", "_ingest", "_cuda", "_emu")
    and (info.name != "fastcf.export.torch_modules" or importlib.util.find_spec("torch") is not None)
)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the source tree is not here")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the files that the pages speak of, made small; loggers are then as they were."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("fastcf")
    handlers, level = list(logger.handlers), logger.level
    ratings = fastcf.data.make_ratings(80, 60, 2000, random_state=0)
    users, items, values = ratings.to_coo()
    rows = [f"{user + 1},{item + 1},{value:g}" for user, item, value in zip(users, items, values, strict=True)]
    folder = tmp_path / "ml-latest-small"
    folder.mkdir()
    timed = [f"{row},{time}" for time, row in enumerate(rows, 1_000_000_000)]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *timed, ""]))
    genres = ["Comedy|Drama", "Drama", "Comedy", "(no genres listed)"]
    titles = [f"{item},Film {item},{genres[item % 4]}" for item in range(1, 61)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles, ""]))
    (tmp_path / "ratings.tsv").write_text("\n".join(rows).replace(",", "\t"))
    (tmp_path / "jester-data-1.csv").write_text("1,-7.82,99\n2,4.08,-0.29\n")
    (tmp_path / "table.csv").write_text("name,Film 1,Film 2\nann,5,\nbob,,3\n")
    yield tmp_path
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_docs_python_blocks_run(page: Path, files: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_docs_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in slugs(file)):
            broken.append(target)
    assert not broken, f"{page.name} links to what is not there: {broken}"


def test_docs_readme_prints_what_it_shows(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ml-latest-small").symlink_to(data_dir / "ml-latest-small")
    page = ROOT / "README.md"
    printed = []
    for block in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, str(page), "exec"), {})
        printed.append(out.getvalue())
    titles, figures = blocks(page, "text")
    assert printed[0] == titles
    number = re.compile(r"\d+(?:\.\d*)?")  # of other instruction sets: near ties change places
    words = [re.sub(r"[\s\[\]#]+", " ", number.sub("#", text)) for text in (printed[1], figures)]
    assert words[0] == words[1]
    decimals = [[float(word) for word in number.findall(text) if "." in word] for text in (printed[1], figures)]
    assert decimals[0] == pytest.approx(decimals[1], abs=0.01)


def test_docs_commands_are_understood() -> None:
    wrong = []
    lines = [(page, line) for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    for page, line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] != ["fastcf"]:
            continue
        command = main.commands.get(words[1])  # type: ignore[attr-defined]  # click declares less than it returns
        if command is None:
            wrong.append(f"{page.name}: {line}: no such command")
            continue
        try:
            command.make_context(words[1], words[2:])
        except click.ClickException as error:
            wrong.append(f"{page.name}: {line}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


def test_docs_readme_shows_lists_first_then_the_quick_start() -> None:
    example = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    code = example.partition('"""\n\n')[2]
    shown = blocks(ROOT / "README.md", "python")
    assert [shown[-1], len(shown)] == [code, 2]
    assert "recommend" in shown[0]
    assert all(len([line for line in block.splitlines() if line]) <= 15 for block in shown)


def test_docs_cli_page_lists_every_command() -> None:
    page = "\n".join(blocks(ROOT / "docs" / "cli.md", "sh"))
    assert [name for name in main.commands if f"fastcf {name}" not in page] == []  # type: ignore[attr-defined]  # click declares less than it returns


def test_docs_models_page_states_the_defaults() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", page, re.MULTILINE))
    parameters = fastcf.MatrixFactorization().get_params()
    for name in shown.keys() & parameters.keys() - {"n_threads"}:
        value = parameters[name]
        assert shown[name] == (f'"{value}"' if isinstance(value, str) else str(value)), name


def run_movielens_example(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["movielens.py", str(folder), *arguments])
    runpy.run_path(str(ROOT / "examples" / "movielens.py"), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--user", "3"], ["--genre", "Comedy"]])
def test_docs_movielens_example_runs(
    files: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_movielens_example(files / "ml-latest-small", arguments, monkeypatch, capsys)
    assert "Film " in out


def run_course_example(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run the example, which asserts the figures of each step itself."""
    monkeypatch.setattr(sys, "argv", ["course.py", *arguments])
    runpy.run_path(str(ROOT / "examples" / "course.py"), run_name="__main__")
    return capsys.readouterr().out


def test_docs_course_example_prints_what_the_course_says(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--ratings", str(files / "ml-latest-small"), "--steps", "60", "--epochs", "3"]
    out = run_course_example(arguments, monkeypatch, capsys)
    for line in (
        r"w = \[5\. 0\.\], x = \[0\.99 0\.  \]: 4\.95",
        r"Alice on Cute Puppies of Love: 5\.\d\d, within the range of the ratings 5\.00",
        r"Love at Last +x = \[ *1\. +-?0\. *\]",
        r"Eve without it: \[-?0\. +-?0\. +-?0\. +-?0\. +-?0\.\]",
        r"with it: +\[2\.5 +2\.5 +2\. +2\.25 +1\.67\]",
        r"learnt features: Nonstop Car Chases is next to Swords vs\. Karate",
        r"given features: Romance Forever is next to Cute Puppies of Love \(squared distance 0\.0002\)",
        r"gradients: ε = \d\.\de-\d\d; lengths of vectors: \[1\. 1\. 1\. 1\. 1\. 1\. 1\. 1\. 1\.\]",
        r"best: \{'α': 1\.0, 'λ': 0\.\d+, 'b': 5\}",
        r"From scratch on 2,000 ratings",
        r"J = [\d,.]+ without λ, [\d,.]+ with λ = 10",
        r"\d\.\d\d  Film \d+",
        r"60-32-32-64 and back, dropout 0\.8",
    ):
        assert re.search(line, out), (line, out)


def test_docs_course_example_descends_on_real_ratings(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course = runpy.run_path(str(ROOT / "examples" / "course.py"))
    course["by_hand"](*course["read"](str(data_dir / "ml-latest-small")), 100)
    assert re.search(
        r"From scratch on 100,836 ratings[^→]*→[^→]*→ 0\.\d+\n( +\d\.\d\d  .*\(\d{4}\)\n){5}", capsys.readouterr().out
    )


def test_docs_movielens_example_runs_on_real_ratings(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_movielens_example(data_dir / "ml-latest-small", ["--user", "42"], monkeypatch, capsys)
    errors = {name: [float(e) for e in re.findall(rf"^{name} +(\d\.\d+)", out, re.MULTILINE)] for name in (
        "BiasModel", "MatrixFactorization", "Autoencoder", "MixedRegression", "TwoTower"
    )}  # fmt: skip
    of_all, of_new = errors["BiasModel"]
    assert max(errors["MatrixFactorization"] + errors["Autoencoder"]) < of_all - 0.01
    assert max(errors["MixedRegression"] + errors["TwoTower"]) < of_new - 0.03
    for section in (
        "has rated 440 films",
        "Recommended",
        "with the sources of each",
        "Related to",
        "a new user",
        "without any",
    ):
        assert section.lower() in out.lower(), section


def test_docs_docstring_examples_hold() -> None:
    failed = [name for name in MODULES if doctest.testmod(importlib.import_module(name)).failed]
    assert not failed, f"what they print stands above: {failed}"
