"""How fast make_ratings is, and how much memory the whole process needs: each shape in a process of its own.

There is no peer that makes comparable ratings; the figure beside ours is the memory bandwidth's floor, a plain fill of
the result's arrays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from common import peak_rss, write_json

SHAPES = {
    "ml-latest-small": (610, 9_724, 100_836),
    "ml-10m": (71_567, 10_681, 10_000_000),
    "netflix": (480_189, 17_770, 100_000_000),
}


def measure(name: str, n_threads: int) -> dict[str, float | int | str]:
    import numpy as np

    from fastcf.data import make_ratings

    n_users, n_items, n_ratings = SHAPES[name]
    before = peak_rss()
    start = time.perf_counter()
    ratings, truth = make_ratings(n_users, n_items, n_ratings, random_state=0, n_threads=n_threads, return_truth=True)
    seconds = time.perf_counter() - start
    peak = peak_rss()
    start = time.perf_counter()
    for array in (ratings.indices, ratings.values):
        np.full(array.shape, 1, array.dtype)
    fill = time.perf_counter() - start
    counts = np.bincount(ratings.indices, minlength=n_items)
    return {
        "shape": name,
        "n_users": n_users,
        "n_items": n_items,
        "n_ratings": n_ratings,
        "n_threads": n_threads,
        "seconds": seconds,
        "ratings_per_second": n_ratings / seconds,
        "fill_seconds": fill,
        "imports_bytes": before,
        "peak_bytes": peak,
        "peak_bytes_per_rating": peak / n_ratings,
        "rmse_truth": truth.rmse,
        "rmse_biases": truth.rmse_biases,
        "top_item_share_of_users": counts.max() / n_users,
        "median_to_mean_item": float(np.median(counts) / counts.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1])), default=float))
        return
    rows = []
    print(f"{'shape':<16} {'threads':>7} {'seconds':>8} {'M/s':>7} {'bytes/rating':>13}")
    for shape in arguments.shapes:
        for threads in arguments.threads:
            runs = []
            for _ in range(arguments.repeats):
                command = [sys.executable, __file__, "--one", shape, str(threads)]
                runs.append(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
            best = min(runs, key=lambda run: run["seconds"])
            rows.append({**best, "all_seconds": [run["seconds"] for run in runs]})
            print(
                f"{shape:<16} {threads:>7} {best['seconds']:>8.3f} {best['ratings_per_second'] / 1e6:>7.1f} "
                f"{best['peak_bytes_per_rating']:>13.1f}"
            )
    write_json("synth", {"results": rows})


if __name__ == "__main__":
    main()
