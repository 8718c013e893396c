"""From 10 M to 100 M ratings: peak memory of the whole process, input arrays included, and time per rating.

    python bench/bench_scale.py [--factors 64] [--threads 2] [--epochs 3]

For each size a fresh process makes ratings (71,567 x 10,681 and 480,189 x 17,770), takes them apart into the arrays a
caller would have (int32 users and items, float32 ratings, shuffled by user), throws the first container away, and goes
from those arrays to `Ratings` to a trained model while the arrays stay alive.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

import fastcf
from common import peak_rss, write_json

SIZES = {"10 M": (71_567, 10_681, 10_000_000), "100 M": (480_189, 17_770, 100_000_000)}


def child(n_users: int, n_items: int, n_ratings: int, factors: int, threads: int, epochs: int) -> None:
    """Measure one size in this process and print JSON."""
    clock = [time.perf_counter()]

    def lap() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    made = fastcf.data.make_ratings(n_users, n_items, n_ratings, random_state=0, n_threads=threads)
    generated = lap()
    users, items, values = made.row_of_entry(), made.indices.copy(), made.values.copy()
    del made
    lap()
    ratings = fastcf.Ratings.from_coo(users, items, values, n_threads=threads)
    built = lap()
    model = fastcf.MatrixFactorization(factors, n_epochs=epochs, random_state=0, n_threads=threads).fit(ratings)
    fitted = lap()
    epoch = float(np.median([record["seconds"] for record in model.history_[1:]]))
    print(
        json.dumps(
            {
                "ratings": ratings.nnz,
                "seconds_make_ratings": generated,
                "seconds_from_coo": built,
                "seconds_fit": fitted,
                "seconds_epoch": epoch,
                "ns_per_rating_and_epoch": epoch / ratings.nnz * 1e9,
                "peak_bytes": peak_rss(),
                "peak_bytes_per_rating": peak_rss() / ratings.nnz,
                "train_rmse": model.history_[-1]["train_rmse"],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, arguments.factors, arguments.threads, arguments.epochs)
        return
    options = [f"--{name}={getattr(arguments, name)}" for name in ("factors", "threads", "epochs")]
    results = {}
    for name, size in SIZES.items():
        command = [sys.executable, __file__, *options, "--child", *map(str, size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = row = json.loads(done.stdout)
        print(
            f"{name:>5}: make {row['seconds_make_ratings']:.1f} s, from arrays {row['seconds_from_coo']:.1f} s, epoch "
            f"{row['seconds_epoch']:.3f} s = {row['ns_per_rating_and_epoch']:.2f} ns per rating, peak "
            f"{row['peak_bytes_per_rating']:.1f} bytes per rating",
            flush=True,
        )
    ratio = results["100 M"]["ns_per_rating_and_epoch"] / results["10 M"]["ns_per_rating_and_epoch"]
    print(f"time per rating at 100 M: {ratio:.2f} x that at 10 M")
    print("written:", write_json("scale", {**vars(arguments), "results": results, "ratio": ratio}))


if __name__ == "__main__":
    main()
