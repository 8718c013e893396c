"""The model that a worker serves is replaced when its file is, as a whole, and goes on where the new file is bad."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import fastcf

pytest.importorskip("fastapi", reason="the extra fastcf[serve] is not installed")

from fastapi.testclient import TestClient

from fastcf.serving import create_app
from fastcf.serving.live import LiveModel
from fastcf.serving.served import ServedModel


def write(path: Path, n_items: int) -> None:
    """Save a model whose lists are all of its items; their number tells models apart."""
    pairs = [(user, item) for user in range(3) for item in range(n_items)]
    fastcf.BiasModel().fit(pairs, [float(1 + sum(pair) % 5) for pair in pairs]).save(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.fastcf"
    write(path, 4)
    return path


def live(path: Path, every: float = 0.0) -> LiveModel:
    return LiveModel(lambda: ServedModel.load(path), [path], every)


def until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("did not happen within a minute")


def test_a_replaced_file_is_served(path: Path) -> None:
    model = live(path)
    first = model.current
    assert not model.reload_if_changed()
    write(path, 5)
    assert model.current is first  # until somebody looks
    assert model.reload_if_changed()
    assert len(model.current.model.items_) == 5
    assert model.current.version != first.version
    assert not model.reload_if_changed()


@pytest.mark.parametrize("damage", ["removed", "cut short", "other content"])
def test_a_bad_file_is_left_alone_and_the_model_goes_on(path: Path, damage: str) -> None:
    model = live(path)
    first, whole = model.current, path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        other = path.with_name("other")
        other.write_bytes(whole[:-100] if damage == "cut short" else b"no model" * 10)
        other.replace(path)
    assert model.reload_if_changed()
    assert model.current is first
    assert str(path) in (model.error or "")
    assert not model.reload_if_changed()  # it was tried; another try would fail as well
    write(path, 6)
    assert model.reload_if_changed()
    assert (len(model.current.model.items_), model.error) == (6, None)


def test_a_thread_looks_at_the_file_until_it_is_stopped(path: Path) -> None:
    model = live(path, every=0.01)
    model.start()
    write(path, 5)
    until(lambda: len(model.current.model.items_) == 5)
    model.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastcf-reload"]
    write(path, 6)
    time.sleep(0.05)
    assert len(model.current.model.items_) == 5


def test_answers_of_a_service_under_replacement_are_of_one_version_each(path: Path) -> None:
    sizes = {}
    with TestClient(create_app(path, reload_every=0.005)) as client:

        def counts() -> tuple[str, set[int]]:
            response = client.post("/batch", json={"users": [0, 1, 2, 9], "n": 50, "exclude_seen": False})
            assert response.status_code == 200
            return response.json()["version"], {len(each["items"]) for each in response.json()["lists"]}

        def replace() -> None:
            for n_items in range(5, 45):
                if n_items > 24 and len(sizes) > 3:
                    break
                write(path, n_items)
                written.append(n_items)
                time.sleep(0.02 if n_items < 25 else 0.5)

        written: list[int] = []
        replacing = threading.Thread(target=replace)
        replacing.start()
        while replacing.is_alive():
            version, found = counts()
            assert len(found) == 1, "one answer mixes versions"
            assert sizes.setdefault(version, found) == found, "a version has two contents"
        replacing.join()
        until(lambda: counts()[1] == {written[-1]})
        assert client.get("/health").json()["reload_error"] is None
        assert 'fastcf_reloads_total{outcome="failed"} 0' in client.get("/metrics").text
    assert len(sizes) > 3


def test_health_says_why_a_newer_file_is_not_served(path: Path) -> None:
    with TestClient(create_app(path, reload_every=0.005)) as client:
        path.unlink()
        until(lambda: client.get("/health").json()["reload_error"] is not None)
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        assert "FileNotFoundError" in health.json()["reload_error"]
        assert 'fastcf_reloads_total{outcome="failed"} 1' in client.get("/metrics").text


def test_a_replaced_model_is_given_back_at_once(path: Path) -> None:
    """Nothing of it is left to the garbage collector, whose turn may come much later: neither objects nor the map."""
    model = live(path)
    gc.collect()
    gc.disable()
    try:
        old = [weakref.ref(each) for each in (model.current, model.current.model, model.current.model.state)]
        assert str(path) in Path("/proc/self/maps").read_text()
        write(path, 5)
        assert model.reload_if_changed()
        assert [each() for each in old] == [None, None, None]
        assert f"{path} (deleted)" not in Path("/proc/self/maps").read_text()
    finally:
        gc.enable()
