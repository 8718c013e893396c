"""What every benchmark shares: alternating timing, the description of the machine, and JSON results."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RESULTS", "alternate", "environment", "peak_rss", "write_json"]

RESULTS = Path(__file__).resolve().parent / "results"

_PEERS = (
    "numpy", "scipy", "scikit-learn", "pandas", "polars", "pyarrow", "implicit", "irspack", "scikit-surprise", "libmf",
    "cmfrec", "torch", "safetensors", "threadpoolctl", "usearch", "hnswlib", "fastapi", "uvicorn",
)  # fmt: skip


def alternate(
    fns: Mapping[str, Callable[[], Any]],
    repeats: int,
    *,
    warmup: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several functions in turn, so that a noisy minute of the machine hits all of them.

    Parameters
    ----------
    fns : mapping of str to callable
        Functions without arguments. Round ``r`` calls every one once; odd rounds go backwards, so that none always
        follows the same neighbour.
    repeats : int
        Measured rounds; at least 1.
    warmup : int, default 0
        Rounds run before measuring.
    clock : callable
        By default that on the wall; ``time.process_time`` for seconds of the processor.

    Returns
    -------
    dict of str to list of float
        Seconds per round, in the order of ``fns``. Compare minima or medians.
    """
    if repeats < 1:
        raise ValueError(f"alternate: repeats must be at least 1; got {repeats}")
    seconds: dict[str, list[float]] = {name: [] for name in fns}
    names = list(fns)
    for round_ in range(-warmup, repeats):
        for name in names if round_ % 2 == 0 else reversed(names):
            start = clock()
            fns[name]()
            elapsed = clock() - start
            if round_ >= 0:
                seconds[name].append(elapsed)
    return seconds


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(values.get("flags", "").split())
    vectors = [flag for flag in ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni") if flag in flags]
    described = [values.get("model name", platform.machine())]
    if "model" in values:
        described.append(f"family {values.get('cpu family')} model {values['model']} stepping {values.get('stepping')}")
    return "; ".join([*described, " ".join(vectors)])


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment() -> dict[str, Any]:
    """Describe where a figure was measured: date, commit, processor, cores, memory and versions."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _processor(),
        "cores": cores,
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: version for package in _PEERS if (version := _version(package)) is not None},
    }


def peak_rss() -> int:
    """Peak resident memory of this process so far, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kibibytes on Linux


def _plain(value: Any) -> Any:
    """JSON's idea of the NumPy values that benchmark code carries around."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"write_json: cannot store a {type(value).__name__}")


def write_json(name: str, payload: Mapping[str, Any]) -> Path:
    """Write ``payload`` with the :func:`environment` beside it to ``bench/results/<name>.json``; returns the path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"name": name, "environment": environment(), **payload}
    path.write_text(json.dumps(document, indent=2, default=_plain) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return path
