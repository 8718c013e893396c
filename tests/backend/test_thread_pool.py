"""The threads of the process: how many there are by default, and that they survive callers, forks and the end."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest

import fastcf
from fastcf import _cpu
from fastcf._processors import first_num_threads

RNG = np.random.default_rng(0)
QUERIES, ITEMS = (RNG.standard_normal((n, 32), dtype=np.float32) for n in (500, 2_000))
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def best(n_threads: int) -> np.ndarray:
    return _cpu.topk(QUERIES, ITEMS, None, 10, n_threads=n_threads)[1]


def run(program: str, *arguments: str, **environment: str) -> str:
    """Run a program in a process of its own; return what it prints, or fail with what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("own", "openmp", "wanted"),
    [
        ("3", "5", 3),
        ("", "5", 5),
        (None, "5,2", 5),
        (None, " 07 ", 7),
        (None, "9999", 1024),
        (None, "many", None),
        (None, "0", None),
        (None, None, None),
    ],
)
def test_threads_start_as_the_environment_says(own, openmp, wanted, monkeypatch):
    for name, value in {"FASTCF_NUM_THREADS": own, "OMP_NUM_THREADS": openmp}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert first_num_threads() == (joblib.cpu_count() if wanted is None else wanted)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1025", "1.5"])
def test_threads_of_a_wrong_environment_raise(value, monkeypatch):
    monkeypatch.setenv("FASTCF_NUM_THREADS", value)
    with pytest.raises(ValueError, match=f"FASTCF_NUM_THREADS must be an integer .* got '{value}': correct or unset"):
        first_num_threads()


def test_threads_of_the_environment_count_when_loaded():
    assert run("import fastcf; print(fastcf.get_num_threads())", FASTCF_NUM_THREADS="3") == "3"


def test_threads_of_a_block_are_the_calling_threads_and_those_of_the_process_everyones():
    before = fastcf.get_num_threads()
    with ThreadPoolExecutor(1) as other:
        try:
            fastcf.set_num_threads(3)
            with fastcf.num_threads(2):
                assert (fastcf.get_num_threads(), other.submit(fastcf.get_num_threads).result()) == (2, 3)
                with fastcf.num_threads(np.int64(5)):
                    assert _cpu.config()["threads"] == fastcf.get_num_threads() == 5
                fastcf.set_num_threads(4)
                assert (fastcf.get_num_threads(), other.submit(fastcf.get_num_threads).result()) == (2, 4)
            assert fastcf.get_num_threads() == 4
        finally:
            fastcf.set_num_threads(before)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1025, ValueError), (None, TypeError), ("2", TypeError)])
def test_threads_of_a_wrong_number_raise(n, error):
    with pytest.raises(error, match="set_num_threads: n must be an integer of at least 1 and at most 1024; got"):
        fastcf.set_num_threads(n)
    with pytest.raises(error, match="num_threads: n must be an integer of at least 1 and at most 1024; got"):
        fastcf.num_threads(n).__enter__()


def test_threads_serve_several_callers_at_once():
    wanted = best(1)
    numbers = [1 + n % 5 for n in range(60)]
    with ThreadPoolExecutor(5) as callers:
        assert all(np.array_equal(found, wanted) for found in callers.map(best, numbers))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="limits of memory are Linux's")
def test_threads_that_the_system_refuses_are_done_without():
    program = """
import resource, sys
import numpy as np
from fastcf import _cpu
rows = np.ones((3000, 8), np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))  # 900 stacks of 8 MiB are more
print(_cpu.topk(rows, rows, None, 3, n_threads=900)[0].sum())
"""
    assert run(program, OPENBLAS_NUM_THREADS="1") == str(3 * 3000)


# Children work on as many threads as their parents, and a process may end while threads work.
FORK = """
import os, signal, threading
import numpy as np
from fastcf import _cpu

rng = np.random.default_rng(0)
queries, items = (rng.standard_normal((n, 32), dtype=np.float32) for n in (400, 2_000))
best = lambda: _cpu.topk(queries, items, None, 10, n_threads=3)[1]
wanted = best()
threads = lambda: len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 2

def busy():
    while True:
        best()

for _ in range(2):
    threading.Thread(target=busy, daemon=True).start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        assert np.array_equal(best(), wanted) and threads() > 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("same")
"""


@needs_fork
def test_threads_of_a_child_forked_beside_loops_are_its_own():
    assert run(FORK) == "same"


# A handler of signals runs in the middle of a loop of the thread that polls.
FORK_WITHIN = """
import os, signal
import numpy as np
from fastcf import _cpu

rows = np.random.default_rng(0).standard_normal((3_000, 32)).astype(np.float32)
child = None
def fork(*_):
    global child
    child = os.fork()
    if child == 0:
        signal.alarm(30)
signal.signal(signal.SIGVTALRM, fork)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.1)
best = lambda: _cpu.topk(rows, rows, None, 10, n_threads=4)[1]
try:
    while child is None:
        best()
except RuntimeError as error:
    assert child == 0 and "forked in the middle of a computation on several threads" in str(error), error
if child == 0:
    os._exit(0 if np.array_equal(best(), best()) else 1)
print(os.waitpid(child, 0)[1])
"""


@needs_fork
def test_threads_that_a_handler_forks_away_from_leave_no_hang():
    assert run(FORK_WITHIN) == "0"


TORCH = """
import hashlib, os, sys
order = sys.argv[1]
if order == "first":
    import torch
import numpy as np
import fastcf
if order == "last":
    import torch
torch.set_num_threads(2)

ratings = fastcf.data.make_ratings(800, 600, 60_000, random_state=0)

def fit():
    with fastcf.num_threads(2):
        return fastcf.Autoencoder(random_state=0, n_epochs=2, device="cpu").fit(ratings)

def train():
    x = torch.ones(300, 300, requires_grad=True)
    (x @ x).sum().backward()
    return fit()

def answers(model):
    lists = model.recommend(np.arange(50), n=5).items
    return hashlib.blake2b(model.predict_matrix().tobytes() + lists.tobytes()).hexdigest()

model = train()
wanted = answers(model)
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(0 if answers(model) == wanted and answers(fit()) == wanted else 1)
    assert os.waitpid(child, 0)[1] == 0
assert answers(train()) == wanted
print(wanted)
"""


@needs_fork
@pytest.mark.slow
def test_threads_beside_pytorch_train_fork_and_serve_the_same_bits():
    pytest.importorskip("torch")
    assert run(TORCH, "first") == run(TORCH, "last")


def test_threads_at_work_do_not_keep_a_process_from_its_end():
    program = """
import threading, time
import numpy as np
from fastcf import _cpu
rows = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)
def work():
    while True:
        _cpu.topk(rows, rows, None, 10, n_threads=3)
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""
    run(program)
