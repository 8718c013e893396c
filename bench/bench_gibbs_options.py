"""What Gibbs sampling gains by effects of rated items and by noise variances per user: validation errors.

    python bench/bench_gibbs_options.py FOLDER ... [--factors 16] [--seeds 1]

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. Prints,
and writes, the error, the share of held-out ratings inside the 80 % interval, and processor seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import fastcf
from bench_accuracy import pairs, split
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.metrics import rmse
from fastcf.solvers import Gibbs

INTERVAL = 1.2815515655  # standard deviations on either side of the mean that hold 80 %


def validation_split(log: RatingLog) -> tuple[RatingLog, RatingLog]:
    """Return rows to train on and to validate with, none of them test rows."""
    train, _ = split(log)
    order = np.random.default_rng(1).permutation(len(train.ratings))
    held_out, kept = order[: len(order) // 9], order[len(order) // 9 :]
    taken = (RatingLog(train.users[rows], train.items[rows], train.ratings[rows], None) for rows in (kept, held_out))
    return tuple(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--factors", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    results = {}
    for folder in arguments.folders:
        train, held_out = validation_split(read_log(folder))
        ratings = train.to_ratings(duplicates="last")
        for rated_input, user_noise in ((True, True), (False, True), (True, False), (False, False)):
            runs = []
            for seed in range(arguments.seeds):
                solver = Gibbs(rated_input=rated_input, user_noise=user_noise)
                model = fastcf.MatrixFactorization(
                    arguments.factors, solver=solver, random_state=seed, n_threads=arguments.threads
                )
                started = time.process_time()
                model.fit(ratings)
                seconds = time.process_time() - started
                mean, deviation = model.predict(pairs(held_out), return_std=True)
                inside = np.mean(np.abs(held_out.ratings - mean) <= INTERVAL * deviation)
                runs.append((rmse(held_out.ratings, mean), inside, seconds))
            error, inside, seconds = np.mean(runs, axis=0)
            options = f"rated_input={rated_input}, user_noise={user_noise}"
            print(f"{folder.name:<22} {options:<38} RMSE {error:.4f}, {inside:.1%} inside, {seconds:.1f} s", flush=True)
            results[f"{folder.name}, {options}"] = {"rmse": error, "inside": inside, "processor_seconds": seconds}
    write_json("gibbs_options", {"factors": arguments.factors, "seeds": arguments.seeds, "results": results})


if __name__ == "__main__":
    main()
