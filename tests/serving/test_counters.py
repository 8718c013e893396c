"""Counters of several processes are summed, and survive the processes."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra fastcf[serve] is not installed")

from fastcf.serving.counters import Counters


def samples(counters: Counters) -> dict[str, float]:
    """Return the samples of the text, which must have the form of Prometheus' format."""
    found, described = {}, set()
    for line in counters.text().splitlines():
        if line.startswith("# "):
            described.add(line.split()[2])
            continue
        match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\})? (\S+)', line)
        assert match, line
        assert re.sub(r"_(bucket|sum|count)$", "", match[1]) in described
        found[match[1] + (match[2] or "")] = float(match[3])
    return found


def count(counters: Counters, version: str) -> None:
    counters.join(version, 100.0)
    counters.answered("/recommend", 200, 0.003)
    counters.answered("/recommend", 418, 7.0)
    counters.answered("/elsewhere", 404, 0.0)
    counters.reloaded(version, 200.0, True)


def in_another_process(path: str) -> None:
    count(Counters(["/recommend"], path), "b")  # started alone: it shares the file only


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of pytest and numpy
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_count_together(tmp_path: Path, method: str) -> None:
    path = str(tmp_path / "counters")
    counters = Counters(["/recommend"], path)
    count(counters, "a")
    other = multiprocessing.get_context(method).Process(target=in_another_process, args=(path,))
    other.start()
    other.join()
    assert other.exitcode == 0
    found = samples(counters)
    assert found['fastcf_requests_total{path="/recommend",status="200"}'] == 2
    assert found['fastcf_requests_total{path="/recommend",status="other"}'] == 2
    assert found['fastcf_requests_total{path="other",status="404"}'] == 2
    assert found['fastcf_request_seconds_bucket{path="/recommend",le="0.002"}'] == 0
    assert found['fastcf_request_seconds_bucket{path="/recommend",le="0.005"}'] == 2
    assert found['fastcf_request_seconds_bucket{path="/recommend",le="+Inf"}'] == 4
    assert found['fastcf_request_seconds_count{path="/recommend"}'] == 4
    assert found['fastcf_request_seconds_sum{path="/recommend"}'] == pytest.approx(14.006)
    assert found['fastcf_reloads_total{outcome="loaded"}'] == 2
    assert found['fastcf_model_workers{version="a"}'] == 1
    assert 'fastcf_model_workers{version="b"}' not in found  # its worker has ended
    assert found["fastcf_model_loaded_seconds"] == 200


def test_a_worker_takes_the_row_of_one_that_has_ended() -> None:
    counters = Counters(["/recommend"])
    for version in ("a", "b"):
        count(counters, version)
        counters.leave()
        counters.answered("/recommend", 200, 1.0)  # of no worker
    found = samples(counters)
    assert found['fastcf_requests_total{path="/recommend",status="200"}'] == 2
    assert not [name for name in found if name.startswith("fastcf_model")]
