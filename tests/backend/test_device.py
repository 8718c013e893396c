"""Which device runs, and what is said where none can."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import numpy as np
import pytest

import fastcf
from fastcf import BiasModel, DeviceError, _backend

NO_GPU = {"available": False, "reason": "no NVIDIA driver was found", "devices": []}


def pretend(monkeypatch, report, process=None):
    found = _backend._Cuda(_backend._cpu, report, os.getpid() if process is None else process)
    monkeypatch.setattr(_backend, "_look_for_cuda", lambda gpu=-1: found)


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
    pretend(monkeypatch, {**NO_GPU, "available": True, "reason": "", "in_use": 0}, process=os.getpid() + 1)
    with pytest.raises(DeviceError, match=r"a forked process cannot use its parent's GPU; start it .*'spawn'"):
        BiasModel(device="cuda").fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"])
def test_device_unknown_name_raises(name):
    message = f"device must be 'auto' or 'cpu' or 'cuda' or, for one of several, .*; got {name!r}"
    with pytest.raises(ValueError, match=message):
        BiasModel(device=name).fit(np.array([[0, 0], [1, 1]]), [3.0, 4.0])
    with pytest.raises(ValueError, match=message):
        _backend.resolve_device(name, "test")


class _Gpus:
    """A CUDA module on a machine with two GPUs, of which 0 is current."""

    __name__ = "_cuda"

    @staticmethod
    def probe(number=-1):
        reason = f"there is no GPU {number}; the last is GPU 1" if number > 1 else ""
        return {"available": not reason, "reason": reason, "devices": [], "in_use": max(number, 0)}


def test_device_a_process_computes_on_the_gpu_named_first(monkeypatch):
    monkeypatch.setattr(_backend, "_found", None)
    monkeypatch.setattr(_backend.importlib, "import_module", lambda name: _Gpus)
    assert _backend.resolve_device("cuda:1", "test") == (_Gpus, "cuda")
    assert _backend.resolve_device("cuda", "test") == (_Gpus, "cuda")
    assert _backend.resolve_device("auto", "test") == (_Gpus, "cuda")
    with pytest.raises(DeviceError, match="device='cuda:0' cannot be used: this process computes on 'cuda:1' already"):
        _backend.resolve_device("cuda:0", "test")


def test_device_a_gpu_that_is_not_there_raises(monkeypatch):
    monkeypatch.setattr(_backend, "_found", None)
    monkeypatch.setattr(_backend.importlib, "import_module", lambda name: _Gpus)
    with pytest.raises(DeviceError, match="device='cuda:2' cannot be used: there is no GPU 2; the last is GPU 1"):
        _backend.resolve_device("cuda:2", "test")


def test_device_probe_refuses_numbers_beyond_the_last(backend):
    report = backend.probe(999)
    assert report["available"] == (not report["devices"])  # the CPU has no numbers
    assert report["available"] or "there is no GPU 999" in report["reason"]


def test_device_show_config_names_the_gpu(monkeypatch, capsys):
    gpu = {"name": "NVIDIA H200", "compute_capability": (9, 0), "memory_bytes": 141 << 30, "multiprocessors": 132}
    report = {
        "available": True,
        "reason": "",
        "devices": [gpu],
        "in_use": 0,
        "driver_version": 13000,
        "runtime_version": 12080,
    }
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


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize(
    ("solver", "optimizer"), [("gd", "momentum"), ("minibatch", "adam"), ("minibatch", "nesterov"), ("minibatch", "gd")]
)
@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_device_gradient_solvers_learn_the_same_on_every_device(device, cost, solver, optimizer, validated):
    ratings = fastcf.data.make_ratings(60, 40, 700, random_state=0)
    if cost == "logistic":
        users, items, values = ratings.to_coo()
        ratings = fastcf.Ratings.from_coo(users, items, (values >= 3.5).astype(np.float32))
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    chosen = fastcf.solvers.GradientDescent(optimizer, batch_size="whole" if solver == "gd" else 100)
    options = {"n_factors": 5, "solver": chosen, "cost": cost, "n_epochs": 4, "reg": 0.5, "random_state": 0}
    models = [
        fastcf.MatrixFactorization(**options, device=where).fit(train, **({"validation": test} if validated else {}))
        for where in ("cpu", device)
    ]
    assert [model.device_ for model in models] == ["cpu", device]
    for name in ("user_factors_", "item_factors_", "user_bias_", "item_bias_"):
        ours, theirs = (getattr(model, name) for model in models)
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4, err_msg=name)
    for mine, other in zip(models[0].history_, models[1].history_, strict=True):
        assert {key for key in mine if mine[key] is None} == {key for key in other if other[key] is None}
        for key in mine.keys() - {"seconds"}:
            assert mine[key] is None or other[key] == pytest.approx(mine[key], rel=1e-4, nan_ok=True), key


def test_device_cublas_comes_from_the_wheel(monkeypatch, tmp_path):
    library = tmp_path / "nvidia" / "cu13" / "lib" / "libcublas.so.13"
    library.parent.mkdir(parents=True)
    library.touch()
    loaded = []
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path / "nvidia")])
    monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(_backend.ctypes, "CDLL", loaded.append)
    _backend._load_cublas()
    assert loaded == [str(library)]


def test_device_without_or_with_a_broken_wheel_of_cublas_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: None)
    _backend._load_cublas()
    library = tmp_path / "cu13" / "lib" / "libcublas.so.13"
    library.parent.mkdir(parents=True)
    library.write_text("no library")
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: spec)
    _backend._load_cublas()
