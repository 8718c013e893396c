"""Validation errors of Gibbs sampling by number of factors, burn-in, number of epochs and thinning.

    python bench/bench_gibbs_draws.py FOLDER ... [--factors 32 64] [--seeds 1]

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. One
chain per number of factors keeps every draw; errors are those of the mean of its draws between a burn-in and an epoch.
Prints, and writes, these, and processor seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import fastcf
from bench_gibbs_options import validation_split
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.solvers import Gibbs

# Burn-in, last epoch and thin of the draws that are averaged.
KEPT = ((0, 105, 1), (5, 105, 1), (10, 105, 1), (20, 105, 1), (5, 55, 1), (5, 105, 2), (5, 105, 4))


def predictions(model: fastcf.MatrixFactorization, held_out: RatingLog) -> np.ndarray:
    """Return what every draw predicts, (n_draws, n)."""
    users, items = model.users_.rows(held_out.users), model.items_.rows(held_out.items)
    n, k = model.n_samples_, model.n_factors_

    def padded(table: np.ndarray) -> np.ndarray:
        """Return the table with a row of zeros, which -1, an unknown row, refers to."""
        return np.concatenate([table, np.zeros_like(table[:1])])

    user_factors, item_factors = padded(model.user_factors_), padded(model.item_factors_)
    user_bias, item_bias = padded(model.user_bias_samples_.T), padded(model.item_bias_samples_.T)
    result = np.empty((n, users.size))
    for draw in range(n):
        block = slice(draw * k, (draw + 1) * k)
        result[draw] = n * np.einsum("ij,ij->i", user_factors[users, block], item_factors[items, block])
        result[draw] += user_bias[users, draw] + item_bias[items, draw] + model.global_mean_
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--factors", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    solver, results = Gibbs(burn_in=0), {}
    names = [f"{burn_in + 1} to {end}" + (f", thin {thin}" if thin > 1 else "") for burn_in, end, thin in KEPT]
    print("| set | ratings | factors | " + " | ".join(names) + " | seconds |")
    print("|---|---|---|" + "---|" * len(KEPT) + "---|")
    for folder in arguments.folders:
        train, held_out = validation_split(read_log(folder))
        ratings = train.to_ratings(duplicates="last")
        for k in arguments.factors:
            runs = []
            for seed in range(arguments.seeds):
                options = {"n_epochs": max(end for _, end, _ in KEPT), "n_threads": arguments.threads}
                model = fastcf.MatrixFactorization(k, solver=solver, random_state=seed, **options)
                started = time.process_time()
                model.fit(ratings)
                seconds = time.process_time() - started
                drawn = predictions(model, held_out)
                means = (np.clip(drawn[first:end:thin].mean(axis=0), *model.rating_range_) for first, end, thin in KEPT)
                runs.append([*(fastcf.metrics.rmse(held_out.ratings, mean) for mean in means), seconds])
            *errors, seconds = np.mean(runs, axis=0)
            shown = " | ".join(f"{error:.4f}" for error in errors)
            print(f"| {folder.name} | {ratings.nnz} | {k} | {shown} | {seconds:.1f} |", flush=True)
            found = {
                "ratings": ratings.nnz,
                "rmse": dict(zip(names, errors, strict=True)),
                "processor_seconds": seconds,
            }
            results[f"{folder.name}, {k} factors"] = found
    write_json("gibbs_draws", {"seeds": arguments.seeds, "results": results})


if __name__ == "__main__":
    main()
