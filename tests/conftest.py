"""What every test file shares."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from backends import BACKENDS
from fastcf import _backend

# Examples come from a fixed seed: a red run can be repeated. Timing belongs to bench/.
settings.register_profile("fastcf", deadline=None, derandomize=True)
# FASTCF_TEST_PROFILE=long looks for what these miss: twenty times as many, others each time.
settings.register_profile("long", deadline=None, derandomize=False, print_blob=True)
# A fifth of them and no tests marked `slow`, for `.ci/run`, which has fifteen minutes; `.ci/full` runs them all.
settings.register_profile("short", deadline=None, derandomize=True)
# A tenth, for the levels of instructions below the processor's own.
settings.register_profile("shortest", deadline=None, derandomize=True)
EXAMPLES = {"shortest": 0.1, "short": 0.2, "long": 20.0}
QUICK = ("shortest", "short")
PROFILE = os.environ.get("FASTCF_TEST_PROFILE", "fastcf")
settings.load_profile(PROFILE)


def _is_slow(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("slow")
    if marker is None:
        return False
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return not marker.args or any(parameters.get(name) in marker.args for name in ("backend", "auto_backend", "device"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if PROFILE in QUICK:
        slow = [item for item in items if _is_slow(item)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]
    if PROFILE not in EXAMPLES:
        return
    attribute = "_hypothesis_internal_use_settings"  # where @settings leaves what a test states
    tests = {item.obj for item in items if isinstance(item, pytest.Function) and hasattr(item.obj, attribute)}
    for test in tests:
        stated = getattr(test, attribute)
        setattr(test, attribute, settings(stated, max_examples=math.ceil(EXAMPLES[PROFILE] * stated.max_examples)))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_isa: runs native kernels; tests/backend/test_isa.py repeats it at every level"
    )
    config.addinivalue_line(
        "markers", "slow(backend, ...): takes seconds, on these backends, and a quicker test looks for the same faults"
    )


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real rating sets: FASTCF_TEST_DATA, else shared/data beside the repository."""
    configured = os.environ.get("FASTCF_TEST_DATA")
    folder = Path(configured) if configured else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no rating sets: set FASTCF_TEST_DATA")
    return folder


@pytest.fixture(scope="session", params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """Every native module in turn: they expose the same functions and meet the same contracts."""
    return BACKENDS[request.param]


@pytest.fixture(scope="module", params=list(BACKENDS))
def auto_backend(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Every native module in turn, as what ``device="auto"`` means to the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        _use(request.param, patch)
        yield BACKENDS[request.param]


def _use(name: str, patch: pytest.MonkeyPatch) -> None:
    module = BACKENDS[name]
    report = {"available": False, "reason": "the CPU is tested"} if name == "cpu" else dict(module.probe())
    found = _backend._Cuda(module, report, os.getpid())
    patch.setattr(_backend, "_look_for_cuda", lambda gpu=-1: found)


@pytest.fixture(params=list(BACKENDS))
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A value for the models' ``device``: "cpu", and "cuda" on a GPU or on an emulated one."""
    if request.param != "cpu":
        _use(request.param, monkeypatch)
    return "cpu" if request.param == "cpu" else "cuda"
