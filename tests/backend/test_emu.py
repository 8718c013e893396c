"""The emulated GPU reports what real ones do silently."""

from __future__ import annotations

import pytest

from backends import BACKENDS

pytestmark = pytest.mark.skipif("emu" not in BACKENDS, reason="the emulated backend was not built, or not asked for")

MESSAGES = {
    "divergent barrier": r"a block is divergent: thread 0 stands at a block barrier .*, thread 63 at the end",
    "divergent shuffle": r"a warp is divergent: thread \d+ stands at .*, thread \d+ at ",
    "host memory": "a pointer that does not lead to device memory",
    "misaligned vector": r"thread \d+ of block \(0, 0\) touches 16 bytes at offset \d+ .*: not aligned",
    "missing barrier": "(which nobody has written|a race)",
    "missing second barrier": "a race",
    "missing warp barrier": "a race",
    "odd block": "must have a multiple of 32 threads, at most 1024; got 63",
    "race between blocks": "a race",
    "read out of shared memory": "reads out of bounds: bytes 256 to 260 of the shared array values, which has 256",
    "staging sent too early": "memory is sent again before the host waited for it to arrive",
    "staging written too early": "the host wrote memory that was still being sent",
    "two barriers": "a block is divergent: thread 0 stands at a block barrier at .*, thread 63 at a block barrier",
    "uninitialised memory": "of an allocation of 256 bytes, which nobody has written",
    "uninitialised shared memory": "of the shared array values, which nobody has written",
    "write out of bounds": "writes out of bounds: bytes 256 to 260 of an allocation of 256 bytes",
}


@pytest.fixture(params=["forward", "backward", "shuffled"])
def emulation(request):
    emulation = BACKENDS["emu"].emulation
    emulation.set_order(request.param, seed=7)
    yield emulation
    emulation.set_order("forward")


def test_emu_every_planted_kernel_is_tested_here():
    names = BACKENDS["emu"].emulation.planted_faults()
    assert {name for name in names if not name.startswith("right: ")} == set(MESSAGES)
    assert len(names) > len(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_emu_reports_planted_fault(emulation, name):
    with pytest.raises(RuntimeError, match=MESSAGES[name]):
        emulation.run_planted(name)


def test_emu_runs_right_kernels_in_any_order(emulation):
    for name in emulation.planted_faults():
        if name.startswith("right: "):
            emulation.run_planted(name)


def test_emu_bad_input_raises():
    emulation = BACKENDS["emu"].emulation
    with pytest.raises(ValueError, match="set_order: order must be 'forward', 'backward' or 'shuffled'; got 'random'"):
        emulation.set_order("random")
    with pytest.raises(ValueError, match="set_memory: bytes must not be negative; got -1"):
        emulation.set_memory(-1)
    with pytest.raises(ValueError, match="run_planted: name must be one of"):
        emulation.run_planted("nothing")
