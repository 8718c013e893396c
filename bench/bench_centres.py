"""What rows around centres gain "sgd" and "als", and what they cost: validation errors, λ, epochs and factors searched.

    python bench/bench_centres.py FOLDER ... [--solvers sgd als] [--seeds 1]

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. Prints,
and writes, errors, what was settled and processor seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import pairs
from bench_gibbs_told import validation_split
from common import write_json
from fastcf.data import read_log
from fastcf.metrics import rmse
from fastcf.solvers import ALS, SGD

SOLVERS = {"sgd": SGD, "als": ALS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--solvers", nargs="+", choices=tuple(SOLVERS), default=list(SOLVERS))
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    print("| set | solver | rated_input | RMSE | λ / σ | epochs | factors | centres | processor seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        train, held_out = validation_split(read_log(folder))
        ratings = train.to_ratings(duplicates="last")
        for name in arguments.solvers:
            for rated_input in (False, True, "auto"):
                errors, seconds = [], []
                for seed in range(arguments.seeds):
                    solver = SOLVERS[name](rated_input=rated_input)
                    started = time.process_time()
                    model = fastcf.MatrixFactorization(solver=solver, random_state=seed).fit(ratings)
                    seconds.append(time.process_time() - started)
                    errors.append(rmse(held_out.ratings, model.predict(pairs(held_out))))
                found = {
                    "rmse": float(np.mean(errors)),
                    "reg_over_sigma": model.reg_ / model.sigma_,
                    "n_epochs": model.n_epochs_,
                    "n_factors": model.n_factors_,
                    "centres": model.rated_effects_ is not None,
                    "processor_seconds": float(np.median(seconds)),
                }
                results[f"{folder.name}, {name}, rated_input={rated_input}"] = found
                shown = "{rmse:.4f} | {reg_over_sigma:.2f} | {n_epochs} | {n_factors} | {centres}".format(**found)
                took = f"{found['processor_seconds']:.1f}"
                print(f"| {folder.name} | {name} | {rated_input} | {shown} | {took} |", flush=True)
    write_json("centres", {"seeds": arguments.seeds, "results": results})


if __name__ == "__main__":
    main()
