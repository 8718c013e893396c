"""How long threads spin before they sleep, with and without other programs: GNU's default, ours, and none.

    python bench/bench_waiting.py [--busy 0 4] [--repeats 3]

Each run is a process that trains an autoencoder of small batches (2,000 x 1,500, 200,000 ratings) for four epochs on as
many threads as asked for. Beside it so many processes keep processors busy.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from common import alternate, write_json

SETTINGS: dict[str, dict[str, str]] = {
    "GNU's default": {"GOMP_SPINCOUNT": "300000"},
    "1,000 turns (fastcf's)": {},
    "none": {"OMP_WAIT_POLICY": "passive"},
}


def child(threads: int) -> None:
    """Train, and print the seconds it took."""
    import fastcf

    ratings = fastcf.data.make_ratings(2_000, 1_500, 200_000, random_state=0)
    model = fastcf.Autoencoder(random_state=0, n_threads=threads, n_epochs=4, device="cpu")
    started = time.perf_counter()
    model.fit(ratings)
    print(time.perf_counter() - started)


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


def run(name: str, threads: int, seconds: list[float]) -> None:
    """Train in a process of its own, which waits as the setting says."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(threads)], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, **SETTINGS[name]},
    )  # fmt: skip
    seconds.append(float(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    results: list[dict[str, Any]] = []
    for others in arguments.busy:
        for threads in (1, 2):
            seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
            with busy(others):
                alternate({name: partial(run, name, threads, seconds[name]) for name in SETTINGS}, arguments.repeats)
            for name, runs in seconds.items():
                results.append({"busy": others, "threads": threads, "waiting": name, "seconds": runs})
                best, median = min(runs), float(np.median(runs))
                print(f"{others} busy, {threads} threads, {name}: best {best:.2f} s, median {median:.2f} s", flush=True)
    write_json("waiting", {"results": results})


if __name__ == "__main__":
    main()
