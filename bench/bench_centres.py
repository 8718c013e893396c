"""What rows around centres gain "sgd", of ratings and of labels, and "als", and what they cost: validation errors, with
λ, epochs and factors searched.

    python bench/bench_centres.py FOLDER ... [--models sgd als labels] [--seeds 1] [--output centres]

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. Labels
are cut as in bench_logistic.py; their error is the log-loss. Prints, and writes, errors, what was settled and processor
seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import pairs, threshold_of
from bench_gibbs_options import validation_split
from common import write_json
from fastcf.data import read_log
from fastcf.solvers import ALS, SGD

MODELS: dict[str, tuple[type[SGD | ALS], dict[str, Any]]] = {
    "sgd": (SGD, {}),
    "als": (ALS, {}),
    "labels": (SGD, {"cost": "logistic"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", default="centres", help="name of the file in bench/results")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    print("| set | model | rated_input | error | λ / σ | epochs | factors | centres | processor seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        train, held_out = validation_split(read_log(folder))
        ratings = train.to_ratings(duplicates="last")
        for name in arguments.models:
            kind, options = MODELS[name]
            if options:
                options = {**options, "threshold": threshold_of(train.ratings)}
            for rated_input in (False, True, "auto"):
                errors, seconds = [], []
                for seed in range(arguments.seeds):
                    solver = kind(rated_input=rated_input)
                    started = time.process_time()
                    model = fastcf.MatrixFactorization(solver=solver, random_state=seed, **options).fit(ratings)
                    seconds.append(time.process_time() - started)
                    errors.append(-model.score(pairs(held_out), held_out.ratings))
                found = {
                    "error": float(np.mean(errors)),
                    "reg_over_sigma": model.reg_ / model.sigma_,
                    "n_epochs": model.n_epochs_,
                    "n_factors": model.n_factors_,
                    "centres": model.rated_effects_ is not None,
                    "processor_seconds": float(np.median(seconds)),
                }
                results[f"{folder.name}, {name}, rated_input={rated_input}"] = found
                shown = "{error:.4f} | {reg_over_sigma:.2f} | {n_epochs} | {n_factors} | {centres}".format(**found)
                took = f"{found['processor_seconds']:.1f}"
                print(f"| {folder.name} | {name} | {rated_input} | {shown} | {took} |", flush=True)
    write_json(arguments.output, {"seeds": arguments.seeds, "results": results})


if __name__ == "__main__":
    main()
