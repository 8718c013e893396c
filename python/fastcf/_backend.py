"""Native modules and devices; the only importer of native modules."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import scipy
from threadpoolctl import ThreadpoolController

from fastcf import _cpu, _host, _ingest
from fastcf._processors import first_num_threads
from fastcf._version import __version__
from fastcf.errors import DeviceError

__all__ = [
    "DEVICES",
    "Backend",
    "host",
    "ingest",
    "is_device",
    "resolve_device",
    "show_config",
    "single_threaded_blas",
]

host = _host
ingest = _ingest
ingest.set_num_threads(first_num_threads())


class Backend(NamedTuple):
    """A native module and the name of the device it computes on."""

    module: ModuleType
    device: str


class _Cuda(NamedTuple):
    """The result of the search for a GPU, and its process."""

    module: ModuleType | None
    report: dict[str, Any]
    process: int


DEVICES = "'auto' or 'cpu' or 'cuda' or, for one of several, 'cuda:0', 'cuda:1', ..."
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


def is_device(value: object) -> bool:
    """Whether ``value`` has the form of a device's name."""
    return isinstance(value, str) and _DEVICE.fullmatch(value) is not None


_found: _Cuda | None = None


def _look_for_cuda(gpu: int = -1) -> _Cuda:
    """Import the CUDA module and try the GPU: once, at the first call, whose GPU is used."""
    global _found
    if _found is None:
        _found = _try_cuda(gpu)
    return _found


def _try_cuda(gpu: int) -> _Cuda:
    try:
        module = importlib.import_module("fastcf._cuda")
    except ModuleNotFoundError:
        return _Cuda(None, {"available": False, "reason": "this build has no CUDA module", "devices": []}, os.getpid())
    except ImportError as error:
        reason = f"the CUDA module cannot be loaded: {error}"
        return _Cuda(None, {"available": False, "reason": reason, "devices": []}, os.getpid())
    report = module.probe(gpu)
    if report["available"]:
        _load_cublas()
    return _Cuda(module, report, os.getpid())


def _load_cublas() -> None:
    """Load cuBLAS from NVIDIA's wheel, if installed, for the CUDA module."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for library in sorted(Path(folder).glob("*/lib/libcublas.so.*"), reverse=True):
            try:
                ctypes.CDLL(str(library))
            except OSError:  # of another CUDA, or without what it needs itself
                continue
            return


def _cuda(gpu: int = -1) -> tuple[ModuleType | None, str]:
    """Return the CUDA module, or None and why it cannot be used; ``gpu`` is a GPU's number, or -1 for any."""
    found = _look_for_cuda(gpu)
    if not found.report["available"]:
        return None, found.report["reason"]
    if found.process != os.getpid():
        return None, "a forked process cannot use its parent's GPU; start it with the method 'spawn' or 'forkserver'"
    in_use = found.report["in_use"]
    if gpu not in (-1, in_use):
        return None, f"this process computes on 'cuda:{in_use}' already, and a process on one GPU only"
    return found.module, ""


def resolve_device(device: str, caller: str) -> Backend:
    """Return the backend for ``device``, "auto", "cpu", "cuda" or one of several GPUs such as "cuda:1".

    "auto" is the GPU where one can be used, else the CPU; only it may fall back. A process uses one GPU: the one that
    its first use names, or the current one. Raises ValueError if ``device`` is none of these, DeviceError if the GPU
    cannot be used; the message says why.
    """
    if not is_device(device):
        raise ValueError(f"{caller}: device must be {DEVICES}; got {device!r}")
    if device != "cpu":
        _, _, number = device.partition(":")
        cuda, reason = _cuda(int(number or -1))
        if cuda is not None:
            return Backend(cuda, "cuda")
        if device != "auto":
            raise DeviceError(f"{caller}: device={device!r} cannot be used: {reason}")
    return Backend(_cpu, "cpu")


@functools.cache
def _blas() -> ThreadpoolController:
    """Return a handle on SciPy's BLAS, which native code calls; the search takes milliseconds."""
    importlib.import_module("scipy.linalg.cython_blas")
    return ThreadpoolController()


def single_threaded_blas() -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread, for calls from parallel code."""
    context: AbstractContextManager[Any] = _blas().limit(limits=1, user_api="blas")
    return context


def _describe_cuda() -> str:
    module, reason = _cuda()
    if module is None:
        return f"unavailable: {reason}"
    report = _look_for_cuda().report
    devices = ", ".join(
        f"{device['name']} (compute capability {device['compute_capability'][0]}.{device['compute_capability'][1]}, "
        f"{device['memory_bytes'] / 2**30:.0f} GiB)"
        for device in report["devices"]
    )
    versions = [
        f"{number // 1000}.{number % 1000 // 10}" for number in (report["driver_version"], report["runtime_version"])
    ]
    return f"{devices}; driver for CUDA {versions[0]}, run-time library {versions[1]}"


def _describe_products(gemm: str, blas_core: str) -> str:
    blas = f"SciPy's BLAS, with its kernels for {blas_core}" if blas_core else "SciPy's BLAS"
    return blas if gemm == "blas" else f"float32 by fastcf's own kernel, float64 by {blas}"


def show_config() -> None:
    """Print versions, instruction set, threads, the source of matrix products, devices, and why one is missing."""
    cpu = _cpu.config()
    lines = {
        "fastcf": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "compiler": cpu["compiler"],
        "instructions": f"{cpu['isa']} (best of this processor: {cpu['best_isa']})",
        "threads": str(cpu["threads"]),
        "products": _describe_products(cpu["gemm"], cpu["blas_core"]),
        "cuda": _describe_cuda(),
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
