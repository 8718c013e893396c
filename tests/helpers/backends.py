"""The native modules that tests run on: the CPU, the emulated GPU where it was built, a GPU where there is one."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Result = TypeVar("Result")


def _emulated() -> ModuleType | None:
    """Return ``fastcf._emu``, which no wheel holds: FASTCF_EMU_MODULE may say where it was built."""
    where = os.environ.get("FASTCF_EMU_MODULE")
    if where is None:
        try:
            return importlib.import_module("fastcf._emu")
        except ImportError:
            return None
    if not Path(where).is_file():
        raise FileNotFoundError(f"FASTCF_EMU_MODULE: there is no file {where}")
    spec = importlib.util.spec_from_file_location("fastcf._emu", where)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fastcf._emu"] = module
    spec.loader.exec_module(module)
    return module


def _cuda() -> ModuleType | None:
    try:
        module = importlib.import_module("fastcf._cuda")
    except ImportError:
        return None
    return module if module.probe()["available"] else None


def find_backends() -> dict[str, ModuleType]:
    """Return the modules by name; FASTCF_TEST_BACKENDS ("cpu,emu") narrows the choice."""
    found = {"cpu": importlib.import_module("fastcf._cpu"), "emu": _emulated(), "cuda": _cuda()}
    wanted = os.environ.get("FASTCF_TEST_BACKENDS")
    names = list(found) if wanted is None else wanted.split(",")
    missing = [name for name in names if wanted is not None and found.get(name) is None]
    if missing:
        raise RuntimeError(f"FASTCF_TEST_BACKENDS asks for {missing}, which are not here")
    return {name: found[name] for name in names if found[name] is not None}


BACKENDS = find_backends()


def in_every_order(backend: ModuleType, run: Callable[[], Result]) -> list[Result]:
    """Return what ``run()`` returns for several orders of emulated threads; elsewhere, from one time to the next."""
    if not hasattr(backend, "emulation"):
        return [run() for _ in range(3)]
    results = []
    try:
        for order, seed in (("forward", 0), ("backward", 0), ("shuffled", 1), ("shuffled", 2)):
            backend.emulation.set_order(order, seed=seed)
            results.append(run())
    finally:
        backend.emulation.set_order("forward")
    return results
