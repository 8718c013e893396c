"""The only importer of native modules: which devices exist, and what runs on this machine."""

from __future__ import annotations

import platform
from types import ModuleType
from typing import NamedTuple

import numpy as np
import scipy
import sklearn

from fastcf import _cpu, _ingest
from fastcf._version import __version__
from fastcf.errors import DeviceError

__all__ = ["Backend", "ingest", "resolve_device", "show_config"]

ingest = _ingest


class Backend(NamedTuple):
    """A native module and the name of the device it computes on."""

    module: ModuleType
    device: str


def _cuda_unavailable_reason() -> str:
    return "this build has no CUDA module"


def resolve_device(device: str, caller: str) -> Backend:
    """Return the backend for ``device``.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        Only ``"auto"`` may fall back to the CPU.
    caller : str
        Named in error messages.

    Raises
    ------
    ValueError
        If ``device`` is not one of the three.
    DeviceError
        If ``device="cuda"`` and no GPU can be used; the message says why.
    """
    if device in ("auto", "cpu"):
        return Backend(_cpu, "cpu")
    if device == "cuda":
        raise DeviceError(f"{caller}: device='cuda' cannot be used: {_cuda_unavailable_reason()}")
    raise ValueError(f"{caller}: device must be 'auto', 'cpu' or 'cuda'; got {device!r}")


def show_config() -> None:
    """Print versions, the instruction set in use, threads and devices, and why a device is missing."""
    cpu = _cpu.config()
    lines = {
        "fastcf": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "compiler": cpu["compiler"],
        "instructions": f"{cpu['isa']} (best of this processor: {cpu['best_isa']})",
        "threads": str(cpu["threads"]),
        "cuda": f"unavailable: {_cuda_unavailable_reason()}",
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
