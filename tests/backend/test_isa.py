"""Native kernels at every instruction-set level.

The level is read once per process (FASTCF_ISA), so each one gets a pytest of its own, which runs all tests marked
``every_isa`` except for the level of this run: that one they test by being run at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastcf import _cpu

LEVELS = ("baseline", "avx2", "avx512")
FOLDERS = ("ops", "training", "ingest", "serialization")  # that hold tests so marked


def _run(*command: str, level: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FASTCF_ISA": level, "FASTCF_TEST_BACKENDS": "cpu", "FASTCF_TEST_PROFILE": "shortest"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("level", LEVELS)
def test_isa_kernels_pass_at_level(level):
    config = _cpu.config()
    if LEVELS.index(level) > LEVELS.index(config["best_isa"]):
        pytest.skip(f"this processor goes up to {config['best_isa']}")
    if level == config["isa"]:
        pytest.skip(f"this run is at level {level}")
    folders = [str(Path(__file__).parents[1] / name) for name in FOLDERS]
    done = _run("-m", "pytest", "-m", "every_isa", "-q", "-x", "-p", "no:cacheprovider", *folders, level=level)
    assert done.returncode == 0, f"at level {level}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("level", LEVELS)
def test_isa_environment_variable_forces_level(level):
    if LEVELS.index(level) > LEVELS.index(_cpu.config()["best_isa"]):
        pytest.skip(f"this processor goes up to {_cpu.config()['best_isa']}")
    done = _run("-c", "from fastcf import _cpu; print(_cpu.config()['isa'])", level=level)
    assert done.stdout.strip() == level


def test_isa_unknown_level_raises():
    done = _run("-c", "from fastcf import _cpu; _cpu.config()", level="mmx")
    assert done.returncode != 0
    assert "FASTCF_ISA: must be 'baseline', 'avx2' or 'avx512'; got 'mmx'" in done.stderr
