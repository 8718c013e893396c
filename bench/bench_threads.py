"""Loops on one thread and on several, on a quiet and on a busy machine, alone and beside PyTorch; other builds in turn.

    python bench/bench_threads.py [--work sgd als topk query autoencoder] [--busy 0 4] [--threads 1 2]
        [--torch no first last] [--repeats 15] [--other NAME=FOLDER[,VARIABLE=VALUE...]] ...

Each build has a process, and they run in turn. The result's digest must be the same for all numbers of threads and all
builds. With ``--torch first`` or ``last`` PyTorch is imported before or after fastcf, and its threads are started.
Beside the runs so many processes keep processors busy. ``--other`` compares another build: its name, the folder that
holds its package, and environment variables.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from common import write_json


def sgd(threads: int) -> Callable[[], Any]:
    """Return five epochs over 1 M ratings."""
    import fastcf

    ratings = fastcf.data.make_ratings(6_000, 4_000, 1_000_000, random_state=0)
    model = fastcf.MatrixFactorization(32, solver="sgd", n_epochs=5, reg=1.0, random_state=0, n_threads=threads)
    return lambda: model.fit(ratings).item_factors_


def als(threads: int) -> Callable[[], Any]:
    """Return three sweeps over 300,000 ratings."""
    import fastcf

    ratings = fastcf.data.make_ratings(4_000, 3_000, 300_000, random_state=0)
    model = fastcf.MatrixFactorization(32, solver="als", n_epochs=3, reg=1.0, random_state=0, n_threads=threads)
    return lambda: model.fit(ratings).item_factors_


def topk(threads: int) -> Callable[[], Any]:
    """Return ten of 20,000 items for 4,000 users."""
    from fastcf import _cpu

    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((n, 64), dtype=np.float32) for n in (4_000, 20_000))
    return lambda: _cpu.topk(users, items, None, 10, n_threads=threads)[0]


def query(threads: int) -> Callable[[], Any]:
    """Return ten of 5,000 items for one user, 2,000 times."""
    from fastcf import _cpu

    rng = np.random.default_rng(0)
    user, items = (rng.standard_normal((n, 64), dtype=np.float32) for n in (1, 5_000))
    return lambda: [_cpu.topk(user, items, None, 10, n_threads=threads)[0] for _ in range(2_000)]


def autoencoder(threads: int) -> Callable[[], Any]:
    """Return four epochs of small batches over 200,000 ratings."""
    import fastcf

    ratings = fastcf.data.make_ratings(2_000, 1_500, 200_000, random_state=0)
    model = fastcf.Autoencoder(random_state=0, n_threads=threads, n_epochs=4, device="cpu")
    return lambda: model.fit(ratings).predict_matrix()


WORK = {"sgd": sgd, "als": als, "topk": topk, "query": query, "autoencoder": autoencoder}


def start_torch() -> None:
    """Import PyTorch and let it start its threads."""
    import torch

    torch.mm(torch.ones(500, 500), torch.ones(500, 500))


def child(work: str, threads: int, torch: str) -> None:
    """Run once for each line that comes; print the seconds that it took and a digest of what came out."""
    if torch == "first":
        start_torch()
    run = WORK[work](threads)
    if torch == "last":
        start_torch()
    for _ in sys.stdin:
        started = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - started
        digest = hashlib.blake2b(np.ascontiguousarray(result).tobytes(), digest_size=8).hexdigest()
        print(seconds, digest, flush=True)


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep ``n`` processes at work meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


class Build:
    """A build and its environment."""

    def __init__(self, described: str) -> None:
        self.name, _, place = described.partition("=")
        folder, *variables = place.split(",")
        self.environment = {**os.environ, **dict(variable.split("=", 1) for variable in variables)}
        if folder:
            self.environment["PYTHONPATH"] = folder

    def start(self, work: str, threads: int, torch: str) -> subprocess.Popen[str]:
        """Return a process that runs this when asked."""
        return subprocess.Popen(
            [sys.executable, __file__, "--child", work, str(threads), torch],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=self.environment,
        )  # fmt: skip


def ask(process: subprocess.Popen[str]) -> tuple[float, str]:
    """Let a process run once; return the seconds and the digest."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    seconds, digest = process.stdout.readline().split()
    return float(seconds), digest


def compare(
    builds: list[Build], work: str, threads: int, torch: str, repeats: int
) -> tuple[list[list[float]], set[str]]:
    """Return the seconds of each build's runs, and all digests."""
    processes = [build.start(work, threads, torch) for build in builds]
    try:
        digests = {ask(process)[1] for process in processes}
        seconds: list[list[float]] = [[] for _ in builds]
        for round_ in range(repeats):
            order = range(len(builds)) if round_ % 2 == 0 else reversed(range(len(builds)))
            for n in order:
                took, digest = ask(processes[n])
                seconds[n].append(took)
                digests.add(digest)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return seconds, digests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--torch", nargs="+", choices=("no", "first", "last"), default=["no"])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FOLDER[,VARIABLE=VALUE...]")
    parser.add_argument("--output", default="threads")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        work, threads, torch = arguments.child
        child(work, int(threads), torch)
        return
    builds = [Build("this"), *map(Build, arguments.other)]
    results: list[dict[str, Any]] = []
    for work in arguments.work:
        known: set[str] = set()
        for others, torch, threads in itertools.product(arguments.busy, arguments.torch, arguments.threads):
            load = os.getloadavg()[0]
            with busy(others):
                seconds, digests = compare(builds, work, threads, torch, arguments.repeats)
            known |= digests
            where = {
                "work": work,
                "busy": others,
                "torch": torch,
                "threads": threads,
                "load": load,
                "repeats": arguments.repeats,
            }
            rows = [
                {**where, "build": build.name, "best": min(runs), "median": float(np.median(runs))}
                for build, runs in zip(builds, seconds, strict=True)
            ]
            show(rows)
            results += rows
        if len(known) > 1:
            raise SystemExit(f"bench_threads: results of {work} differ: {known}")
    write_json(arguments.output, {"results": results})


def show(rows: list[dict[str, Any]]) -> None:
    """Print what one kind of run took in each build, and the ratio of another's time to this one's."""
    ours = rows[0]
    described = f"{ours['busy']} busy, torch {ours['torch']}, {ours['threads']} threads, load {ours['load']:.1f}"
    print(f"{ours['work']}, {described}:")
    for row in rows:
        ratios = f"  x {row['best'] / ours['best']:.2f}, {row['median'] / ours['median']:.2f}" if row != ours else ""
        print(f"    {row['build']:<12} best {row['best']:.4f} s, median {row['median']:.4f} s{ratios}", flush=True)


if __name__ == "__main__":
    main()
