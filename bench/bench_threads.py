"""Loops on one thread and on several, on a quiet and on a busy machine, alone and beside PyTorch; other builds in turn.

    python bench/bench_threads.py [--work sgd als topk query autoencoder] [--busy 0 4] [--threads 1 2]
        [--torch no first last] [--repeats 3] [--other NAME=FOLDER[,VARIABLE=VALUE...]] ...

Each run is a process, which prints the best of a few times and a digest of the result; all digests of a kind of work
must be equal. With ``--torch first`` or ``last`` PyTorch is imported before or after fastcf, and its threads are
started. Beside a run so many processes keep processors busy. ``--other`` runs another build in turn: its name, the
folder that holds its package, and environment variables.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from common import alternate, write_json


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
RUNS = 5  # in a process, of which the best counts


def start_torch() -> None:
    """Import PyTorch and let it start its threads."""
    import torch

    torch.mm(torch.ones(500, 500), torch.ones(500, 500))


def child(work: str, threads: int, torch: str) -> None:
    """Print the best seconds of a few runs and what came out."""
    if torch == "first":
        start_torch()
    run = WORK[work](threads)
    if torch == "last":
        start_torch()
    seconds, result = [], run()
    for _ in range(RUNS):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    digest = hashlib.blake2b(np.ascontiguousarray(result).tobytes(), digest_size=8).hexdigest()
    print(min(seconds), float(np.median(seconds)), digest)


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
    """A build, its environment, and what its runs took."""

    def __init__(self, described: str) -> None:
        self.name, _, place = described.partition("=")
        folder, *variables = place.split(",")
        self.environment = {**os.environ, **dict(variable.split("=", 1) for variable in variables)}
        if folder:
            self.environment["PYTHONPATH"] = folder

    def run(self, arguments: list[str], into: list[list[float]], digests: set[str]) -> None:
        """Run a process."""
        done = subprocess.run(
            [sys.executable, __file__, "--child", *arguments],
            stdout=subprocess.PIPE, text=True, check=True, env=self.environment,
        )  # fmt: skip
        best, median, digest = done.stdout.split()
        into.append([float(best), float(median)])
        digests.add(digest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--torch", nargs="+", choices=("no", "first", "last"), default=["no"])
    parser.add_argument("--repeats", type=int, default=3)
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
        digests: set[str] = set()
        for others in arguments.busy:
            for torch in arguments.torch:
                for threads in arguments.threads:
                    took: dict[str, list[list[float]]] = {build.name: [] for build in builds}
                    given = [work, str(threads), torch]
                    with busy(others):
                        alternate(
                            {build.name: partial(build.run, given, took[build.name], digests) for build in builds},
                            arguments.repeats,
                        )  # fmt: skip
                    for name, runs in took.items():
                        results.append(
                            {"work": work, "busy": others, "torch": torch, "threads": threads, "build": name,
                             "best": min(run[0] for run in runs), "median": float(np.median([run[1] for run in runs]))}
                        )  # fmt: skip
                    show(results[-len(builds) :])
        if len(digests) > 1:
            raise SystemExit(f"bench_threads: results of {work} differ: {digests}")
    write_json(arguments.output, {"load": os.getloadavg(), "results": results})


def show(rows: list[dict[str, Any]]) -> None:
    """Print what one kind of run took in each build, and the ratio of another's time to this one's."""
    ours = rows[0]
    print(f"{ours['work']}, {ours['busy']} busy, torch {ours['torch']}, {ours['threads']} threads:")
    for row in rows:
        ratios = f"  x {row['best'] / ours['best']:.2f}, {row['median'] / ours['median']:.2f}" if row != ours else ""
        print(f"    {row['build']:<12} best {row['best']:.4f} s, median {row['median']:.4f} s{ratios}", flush=True)


if __name__ == "__main__":
    main()
