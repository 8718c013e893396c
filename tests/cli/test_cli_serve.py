"""``fastcf serve``: started as a user does, asked over HTTP, replaced under way, ended by a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fastcf
from commands import run
from fastcf.cli._serve import listening

pytest.importorskip("uvicorn", reason="the extra fastcf[serve] is not installed")

RATINGS = fastcf.data.make_ratings(60, 40, 900, random_state=0)


@pytest.mark.parametrize("library", ["fastapi", "uvicorn"])
def test_serve_names_the_extra_that_it_needs(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from fastcf.cli import main; main(['serve', 'model'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install 'fastcf[serve]'" in done.stderr


def test_connections_send_at_once() -> None:
    with listening("127.0.0.1", 0) as bound:
        bound.listen()
        with socket.create_connection(bound.getsockname()) as client, bound.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client.getpeername() == bound.getsockname()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def asked(port: int, path: str, **fields: Any) -> Any:
    data = json.dumps(fields).encode() if fields else None
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json", "Connection": "close"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        text = response.read().decode()
    return json.loads(text) if response.headers["Content-Type"] == "application/json" else text


@contextmanager
def started(command: list[str], port: int, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command that serves, wait until it answers, and end it by Ctrl-C."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            try:
                asked(port, "/health")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()


@contextmanager
def serving(model: Path, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the command on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "fastcf", "serve", str(model), "--port", str(port), *arguments]
    with started(command, port) as process:
        yield port, process


def versions(counters: str) -> dict[str, int]:
    """Return how many workers serve which version, as any of them tells."""
    found = re.findall(r'^fastcf_model_workers{version="(\w+)"} (\d+)', counters, re.MULTILINE)
    return {version: int(count) for version, count in found}


def until(true: Any) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("did not happen within a minute")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    fastcf.LinearAutoencoder(threshold=4).fit(RATINGS).save(tmp_path / "model.fastcf")
    return tmp_path / "model.fastcf"


def test_serve_answers_and_ends_by_ctrl_c(model: Path, tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("movieId,title\n" + "".join(f"{item},Film {item}\n" for item in range(40)))
    more = ["--neighbours", "4"]
    with serving(model, "--titles", str(tmp_path / "films.csv"), "--max-n", "5", "--access-log", *more) as (
        port,
        process,
    ):
        wanted = fastcf.load(model).recommend(7, 3).items.tolist()
        found = asked(port, "/recommend", user=7, n=3)["items"]
        assert [(each["item"], each["title"]) for each in found] == [(item, f"Film {item}") for item in wanted]
        assert asked(port, "/model")["limits"]["n"] == 5
        wanted = fastcf.load(model).similar_items(3, 4).ids.tolist()
        assert [each["item"] for each in asked(port, "/similar", item=3, n=4)["items"]] == wanted
        assert "fastcf_requests_total" in asked(port, "/metrics")
        assert "<!doctype html>" in asked(port, "/")
        fastcf.LinearAutoencoder(threshold=4, reg=5.0).fit(RATINGS).save(model)
        until(lambda: 'outcome="loaded"} 1' in asked(port, "/metrics"))
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert asked(port, "/health")["version"] in next(line for line in lines if "serving" in line)
    assert process.returncode == 0


@pytest.mark.slow
def test_serve_replaces_the_model_in_all_workers(model: Path) -> None:
    with serving(model, "--workers", "2", "--reload-every", "0.05", "--no-page") as (port, process):

        def workers() -> dict[str, int]:
            return versions(asked(port, "/metrics"))

        until(lambda: list(workers().values()) == [2])
        (first,) = workers()
        fastcf.LinearAutoencoder(threshold=4, reg=5.0).fit(RATINGS).save(model)
        until(lambda: list(workers().values()) == [2] and first not in workers())
        found = {asked(port, "/recommend", user=7)["version"] for _ in range(20)}
        assert found == set(workers())
        with pytest.raises(urllib.error.HTTPError, match="404"):
            asked(port, "/")
    assert process.returncode == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_serve_says_on_one_line_what_is_wrong(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port}: Address already in use" in run("serve", model, "--port", port, code=1).stderr
    assert "none: No such file" in run("serve", tmp_path / "none", "--port", free_port(), code=1).stderr
    (tmp_path / "text").write_text("no model, whatever it is called")
    assert "is not a file of fastcf" in run("serve", tmp_path / "text", "--port", free_port(), code=1).stderr
    run("serve", model, "--workers", 0, code=2)
    titles = tmp_path / "titles.csv"
    titles.write_text("a,b\n1,2\n")
    result = run("serve", model, "--port", free_port(), "--titles", titles, code=1)
    assert "titles.csv" in result.stderr


@pytest.mark.slow
def test_workers_that_gunicorn_forks_share_and_replace_the_model(model: Path) -> None:
    pytest.importorskip("gunicorn.workers.gasgi", reason="no gunicorn with workers for ASGI is installed")
    examples = Path(__file__).resolve().parents[2] / "examples"
    if not examples.is_dir():
        pytest.skip("the source tree is not here")
    port = free_port()
    options = ["--preload", "--workers", "2", "--worker-class", "asgi", "--bind", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "gunicorn", *options, "--no-control-socket", "serve_workers:app"]
    environment = {**os.environ, "FASTCF_MODEL": str(model), "PYTHONPATH": str(Path(fastcf.__file__).parents[1])}
    with started(command, port, cwd=examples, env=environment) as process:

        def workers() -> dict[str, int]:
            return versions(asked(port, "/metrics"))

        until(lambda: list(workers().values()) == [2])
        (first,) = workers()
        fastcf.LinearAutoencoder(threshold=4, reg=5.0).fit(RATINGS).save(model)
        until(lambda: list(workers().values()) == [2] and first not in workers())
        assert asked(port, "/recommend", user=7)["version"] in workers()
    assert process.returncode == 0
