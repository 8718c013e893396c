"""What every test file shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Examples come from a fixed seed: a red run can be repeated. Timing belongs to bench/.
settings.register_profile("fastcf", deadline=None, derandomize=True)
settings.load_profile("fastcf")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_isa: runs native kernels; tests/test_isa.py repeats it at every level")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real rating sets: FASTCF_TEST_DATA, else shared/data beside the repository."""
    configured = os.environ.get("FASTCF_TEST_DATA")
    folder = Path(configured) if configured else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no rating sets: set FASTCF_TEST_DATA")
    return folder
