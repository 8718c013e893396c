"""Every solver and optimiser of MatrixFactorization on real sets: test RMSE, epochs, seconds.

    python bench/bench_solvers.py FOLDER [--threads 2]

The fixed split and scoring of bench_accuracy.py. All settings are defaults but for solver and optimiser; one seed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import pairs, sets_of, split
from common import write_json
from fastcf.data import read_log
from fastcf.metrics import rmse
from fastcf.optimizers import OPTIMIZERS
from fastcf.solvers import ALS, SGD, Gibbs, GradientDescent, Solver

SOLVERS: dict[str, Solver | None] = {
    "BiasModel": None,
    "sgd": SGD(),
    "als": ALS(),
    "als, 3 CG steps": ALS(cg_steps=3),
    "bayes": Gibbs(),
    **{f"minibatch, {name}": GradientDescent(name) for name in OPTIMIZERS},
    **{f"gd, {name}": GradientDescent(name, batch_size="whole") for name in OPTIMIZERS},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    sets = {folder.name: split(read_log(folder)) for folder in sets_of(arguments.folder)}
    if not sets:
        parser.error(f"{arguments.folder}: no sets of ratings here")
    print("| solver | " + " | ".join(f"{name} | epochs | seconds" for name in sets) + " |")
    print("|---|" + "---|---|---|" * len(sets))
    results = []
    for label, solver in SOLVERS.items():
        row: dict[str, Any] = {}
        for name, (train, test) in sets.items():
            ratings = train.to_ratings(duplicates="last")
            model: Any
            if solver is None:
                model = fastcf.BiasModel(n_threads=arguments.threads)
            else:
                model = fastcf.MatrixFactorization(random_state=0, n_threads=arguments.threads, solver=solver)
            start = time.perf_counter()
            model.fit(ratings)
            seconds = time.perf_counter() - start
            predicted = np.clip(model.predict(pairs(test)), train.ratings.min(), train.ratings.max())
            epochs = model.n_iter_ if solver is None else model.history_[-1]["epoch"]
            row[name] = {"rmse": rmse(test.ratings, predicted), "epochs": epochs, "seconds": seconds}
        results.append({"solver": label, "sets": row})
        cells = (f"{one['rmse']:.4f} | {one['epochs']} | {one['seconds']:.2f}" for one in row.values())
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
    print("\nwritten:", write_json("solvers", {"threads": arguments.threads, "results": results}))


if __name__ == "__main__":
    main()
