"""Settings of ImplicitFactorization on validation choices: lists of known users (T2) and of new ones (T1).

    python bench/bench_implicit_defaults.py FOLDER             # of the folders of the sets; NDCG@10, seeds 0 and 1

The penalty is estimated anew for each setting unless the setting is a penalty. Test choices are not looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from common import write_json
from lists_protocols import read, task

SETS = ("ml-latest-small/ratings.csv", "movietweetings-100k/ratings.dat", "goodbooks-2672/ratings.csv")
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "64 factors": {"n_factors": 64},
    "128 factors": {"n_factors": 128},
    "all cells weigh 10 x the choices": {"cells": 10},
    "all cells weigh 100 x the choices": {"cells": 100},
    "reg_scaling 0.5": {"reg_scaling": 0.5},
    "half the estimated penalty": {"times": 0.5},
    "twice the estimated penalty": {"times": 2.0},
    "6 epochs": {"n_epochs": 6},
    "24 epochs": {"n_epochs": 24},
    "init_scale 1": {"init_scale": 1.0},
    "2 steps": {"solver": fastcf.solvers.ConjugateGradients(2)},
    "cholesky": {"solver": "cholesky"},
}


def _fitted(
    train: fastcf.Ratings,
    threads: int,
    reg: float | None,
    times: float = 1.0,
    cells: float | None = None,
    **options: Any,
) -> fastcf.ImplicitFactorization:
    if cells is not None:
        options["unobserved_weight"] = cells * train.nnz / (train.n_users * train.n_items)
    options = {"random_state": 0, "n_threads": threads, **options}
    if times != 1 and reg is not None:
        options["reg"] = times * reg
    return fastcf.ImplicitFactorization(**options).fit(train)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="implicit_defaults", help="name of the JSON file under bench/results")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {name: {} for name in arguments.settings}
    for file in SETS:
        ratings, threshold = read(arguments.folder / file)
        for protocol in ("T2", "T1"):
            tasks = [task(ratings, threshold, protocol, seed) for seed in arguments.seeds]
            regs: list[float | None] = [None] * len(tasks)
            for name in arguments.settings:
                found = []
                for at, each in enumerate(tasks):
                    model = _fitted(each.train, arguments.threads, regs[at], **SETTINGS[name])
                    if name == "defaults":
                        regs[at] = model.reg_
                    exam = each.validation
                    asked = {"users": exam.users} if exam.history is None else {"history": exam.history}
                    lists = model.recommend(**asked, n=10)
                    found.append(fastcf.metrics.ranking(lists, exam.users, exam.held_out).ndcg)
                results[name][f"{file.split('/')[0]} {protocol}"] = float(np.mean(found))
                print(f"{file.split('/')[0]:<20} {protocol} {name:<36} {np.mean(found):.4f}", flush=True)
    for name, of in results.items():
        print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in of.values()) + " |")
    print("written:", write_json(arguments.name, {**vars(arguments), "folder": str(arguments.folder), "ndcg": results}))


if __name__ == "__main__":
    main()
