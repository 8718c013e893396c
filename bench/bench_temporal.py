"""Effects of time: test RMSE of models alone and inside a TemporalModel, on splits at random and in time.

    python bench/bench_temporal.py FOLDER [--seeds 3] [--threads 2]

Sets of FOLDER with timestamps. At random: a tenth of the ratings, drawn for each seed; in time: the last tenth. With
users' effects alone, with items' alone, and with both; seconds of a fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

import fastcf
from bench_accuracy import sets_of
from common import write_json

MODELS: dict[str, Callable[[int], Any]] = {
    "BiasModel": lambda threads: fastcf.BiasModel(n_threads=threads),
    "MatrixFactorization, sgd": lambda threads: fastcf.MatrixFactorization(random_state=0, n_threads=threads),
    "MatrixFactorization, bayes": lambda threads: fastcf.MatrixFactorization(
        solver="bayes", random_state=0, n_threads=threads
    ),
    "Autoencoder": lambda threads: fastcf.Autoencoder(random_state=0, n_threads=threads),
}
OFF = 1e9  # a penalty that leaves no effects
FORMS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda model: model,
    "users": lambda model: fastcf.TemporalModel(model, item_reg=OFF),
    "items": lambda model: fastcf.TemporalModel(model, user_reg=OFF),
    "both": fastcf.TemporalModel,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    found = []
    for folder in sets_of(arguments.folder):
        ratings = fastcf.data.load_ratings(folder)
        if ratings.timestamps is None:
            continue
        splits = [
            ("at random", fastcf.data.train_test_split(ratings, 0.1, random_state=seed))
            for seed in range(arguments.seeds)
        ]
        splits.append(("in time", fastcf.data.split_by_time(ratings, 0.1)))
        for name, make in MODELS.items():
            for kind in ("at random", "in time"):
                row: dict[str, Any] = {"set": folder.name, "split": kind, "model": name}
                for form, wrap in FORMS.items():
                    errors, seconds = [], []
                    for train, test in (parts for of, parts in splits if of == kind):
                        start = time.perf_counter()
                        model = wrap(clone(make(arguments.threads))).fit(train)
                        seconds.append(time.perf_counter() - start)
                        errors.append(-model.score(test))
                    row[form] = {"rmse": errors, "seconds": seconds}
                found.append(row)
                shown = "  ".join(
                    f"{form} {np.mean(row[form]['rmse']):.4f} ({np.median(row[form]['seconds']):.2f} s)"
                    for form in FORMS
                )
                print(f"{folder.name:22}{kind:10}  {name:28}{shown}", flush=True)
    write_json("temporal", {"rows": found})


if __name__ == "__main__":
    main()
