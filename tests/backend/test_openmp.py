"""How OpenMP's threads wait. OpenMP says what it was told when it is loaded: in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from fastcf import _cpu

LOAD = "import os, fastcf._backend; print(os.environ.get('GOMP_SPINCOUNT'))"


def load(**environment: str) -> tuple[str | None, str]:
    """Import the package; return how often threads spin, if an OpenMP is GNU's, and what the environment says after."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, check=True,
        env={**kept, **environment, "OMP_DISPLAY_ENV": "verbose"},
    )  # fmt: skip
    # Other packages bring copies of OpenMP, ours comes last.
    spins = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)
    return (spins[-1] if spins else None), done.stdout.strip()


def test_openmp_threads_spin_briefly_and_the_environment_stays_as_it_was():
    if _cpu.config()["compiler"].startswith("Clang"):
        pytest.skip("OpenMP is LLVM's")
    spins, after = load()
    assert (spins, after) == ("1000", "None")


@pytest.mark.parametrize(
    ("name", "value", "after"), [("OMP_WAIT_POLICY", "active", "None"), ("GOMP_SPINCOUNT", "77", "77")]
)
def test_openmp_threads_wait_as_the_environment_says(name, value, after):
    spins, left = load(**{name: value})
    assert spins != "1000"
    assert left == after
