"""Which device runs, and what is said where none can."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import fastcf
from fastcf import BiasModel, DeviceError, _backend

NO_GPU = {"available": False, "reason": "no NVIDIA driver was found", "devices": []}


def pretend(monkeypatch, report, process=None):
    found = _backend._Cuda(_backend._cpu, report, os.getpid() if process is None else process)
    monkeypatch.setattr(_backend, "_look_for_cuda", lambda: found)


def test_device_cuda_without_gpu_raises_with_the_reason(monkeypatch):
    pretend(monkeypatch, NO_GPU)
    with pytest.raises(DeviceError, match=r"BiasModel\.fit: device='cuda' cannot be used: no NVIDIA driver was found"):
        BiasModel(device="cuda").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])


def test_device_auto_falls_back(monkeypatch):
    pretend(monkeypatch, NO_GPU)
    assert BiasModel(device="auto").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0]).device_ == "cpu"


def test_device_auto_prefers_the_gpu(device):
    model = BiasModel(device="auto").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])
    assert model.device_ in (device, "cuda")


def test_device_after_a_fork_says_how_to_start(monkeypatch):
    pretend(monkeypatch, {**NO_GPU, "available": True, "reason": ""}, process=os.getpid() + 1)
    with pytest.raises(DeviceError, match=r"a forked process cannot use its parent's GPU; start it .*'spawn'"):
        BiasModel(device="cuda").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])


def test_device_unknown_name_raises():
    with pytest.raises(ValueError, match="device must be 'auto' or 'cpu' or 'cuda'; got 'gpu'"):
        BiasModel(device="gpu").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])


def test_device_show_config_names_the_gpu(monkeypatch, capsys):
    gpu = {"name": "NVIDIA H200", "compute_capability": (9, 0), "memory_bytes": 141 << 30, "multiprocessors": 132}
    report = {"available": True, "reason": "", "devices": [gpu], "driver_version": 13000, "runtime_version": 12080}
    pretend(monkeypatch, report)
    fastcf.show_config()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("cuda"))
    assert "NVIDIA H200 (compute capability 9.0, 141 GiB); driver for CUDA 13.0, run-time library 12.8" in line


def test_device_show_config_says_why_there_is_none(monkeypatch, capsys):
    pretend(monkeypatch, NO_GPU)
    fastcf.show_config()
    assert "unavailable: no NVIDIA driver was found" in capsys.readouterr().out


def test_device_import_asks_for_no_gpu():
    code = "import fastcf, sys; assert 'fastcf._cuda' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
