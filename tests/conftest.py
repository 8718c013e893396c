"""What every test file shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Examples come from a fixed seed: a red run can be repeated. Timing belongs to bench/.
settings.register_profile("fastcf", deadline=None, derandomize=True)
settings.load_profile("fastcf")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_isa: runs native kernels; tests/test_isa.py repeats it at every level")
