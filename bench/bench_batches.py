"""Batches of an autoencoder: validation RMSE and seconds by rows per step, everything else by default.

    python bench/bench_batches.py FOLDER

FOLDER is a set of ratings, or holds several. Real sets are cut as in bench_defaults.py, which never looks at the test
rows, the made-up ones once; rows are items. Sizes take turns, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import sets_of
from bench_defaults import folds
from common import write_json
from fastcf.data import read_log
from fastcf.metrics import rmse

SIZES = (128, 512, 1024)
MADE_UP = {"made-up, 2 M": (40_000, 40_000, 2_000_000), "made-up, 5 M": (20_000, 70_000, 5_000_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    arguments = parser.parse_args()
    sets: dict[str, list[tuple[Any, Any, Any]]] = {
        path.name: folds(read_log(path), 2) for path in sets_of(arguments.folder)
    }
    for name, shape in MADE_UP.items():
        kept, held_out = fastcf.data.train_test_split(fastcf.data.make_ratings(*shape, random_state=0), random_state=0)
        sets[name] = [(kept, held_out, held_out.values)]
    results: dict[str, Any] = {}
    print(
        "| set | items | default |" + "".join(f" {size} |" for size in SIZES) + "\n|---|---|---|" + "---|" * len(SIZES)
    )
    for name, parts in sets.items():
        errors: dict[int, list[float]] = {size: [] for size in SIZES}
        seconds: dict[int, list[float]] = {size: [] for size in SIZES}
        for seed, (ratings, X, y) in enumerate(parts):
            for size in SIZES:
                started = time.perf_counter()
                model = fastcf.Autoencoder(batch_size=size, random_state=seed).fit(ratings)
                seconds[size].append(time.perf_counter() - started)
                errors[size].append(rmse(y, model.predict(X)))
        default = fastcf.Autoencoder((1,), n_epochs=1).fit(parts[0][0]).batch_size_
        results[name] = {
            "items": parts[0][0].n_items,
            "default": default,
            "rmse": {size: float(np.mean(errors[size])) for size in SIZES},
            "fit_seconds": {size: float(np.median(seconds[size])) for size in SIZES},
        }
        cells = "".join(f" {np.mean(errors[size]):.4f} ({np.median(seconds[size]):.1f} s) |" for size in SIZES)
        print(f"| {name} | {parts[0][0].n_items:,} | {default} |{cells}", flush=True)
    print()
    write_json("batches", {"sets": results})


if __name__ == "__main__":
    main()
