"""What a blend gains on validation ratings: by constant weights and by weights that depend on numbers of ratings; and
its processor seconds beside those of its members.

    python bench/bench_blend.py FOLDER ... [--seed 0]
    python bench/bench_blend.py --made-up

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. With
--made-up, made-up sets of 500 to 20,000 ratings: the test error of blends in that of the member that turns out to be
the best, by how many parts are held out.
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
from fastcf.data import make_ratings, read_log, train_test_split
from fastcf.models.blend import fitting

SMALL = {(40, 30, 500): 8, (60, 40, 1_000): 8, (120, 80, 2_000): 6, (300, 200, 5_000): 5, (600, 400, 20_000): 2}
MF = fastcf.MatrixFactorization


def large_members() -> list[tuple[str, Any]]:
    return [("sgd", MF()), ("bayes", MF(solver="bayes")), ("autoencoder", fastcf.Autoencoder())]


def measure(folder: Path, seed: int) -> dict[str, Any]:
    """Return errors of validation ratings and processor seconds of members and blends."""
    train, held_out = validation_split(read_log(folder))
    ratings = train.to_ratings(duplicates="last")
    biases = ("biases", fastcf.BiasModel())
    found: dict[str, Any] = {}

    def fitted(name: str, model: Any) -> Any:
        started = time.process_time()
        model.fit(ratings)
        seconds = time.process_time() - started
        found[name] = {"rmse": -model.score(pairs(held_out), held_out.ratings), "seconds": seconds}
        print(f"| {folder.name} | {name} | {found[name]['rmse']:.4f} | {seconds:.1f} |", flush=True)
        return model

    for name, member in large_members():
        fitted(name, member.set_params(random_state=seed))
    fitted(*biases)
    for name, members, by_count in (
        ("blend, constant weights", large_members(), False),
        ("blend by count", large_members(), True),
        ("blend by count, with biases", [*large_members(), biases], True),
    ):
        blend = fitted(name, fastcf.Blend(members, by_count=by_count, random_state=seed))
        slopes = None if blend.slopes_ is None else blend.slopes_.tolist()
        found[name] |= {"weights": blend.weights_.tolist(), "slopes": slopes}
    return found


def made_up(n_folds: int) -> dict[str, Any]:
    """Return the errors of blends in that of their best member, mean and largest over draws, by number of ratings."""
    fitting._MOST_FOLDS = n_folds  # what is measured
    members = [("bias", fastcf.BiasModel()), ("sgd", MF()), ("als", MF(solver="als")), ("bayes", MF(solver="bayes"))]
    found: dict[str, Any] = {}
    for shape, seeds in SMALL.items():
        ratios = []
        for seed in range(seeds):
            train, test = train_test_split(make_ratings(*shape, random_state=seed), 0.3, random_state=seed)
            blend = fastcf.Blend(members, random_state=seed).fit(train)
            ratios.append(blend.score(test) / max(model.score(test) for model in blend.models_.values()))
        found[str(shape[2])] = {"mean": float(np.mean(ratios)), "largest": float(np.max(ratios)), "seeds": seeds}
        print(f"| {n_folds} | {shape[2]:,} | {np.mean(ratios):.4f} | {np.max(ratios):.4f} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--made-up", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.made_up:
        print("| parts held out at most | ratings | blend in its best member's error | largest |\n|---|---|---|---|")
        write_json("blend_made_up", {"by_parts": {n: made_up(n) for n in (1, 5)}})
    elif arguments.folders:
        print("| set | model | validation RMSE | processor seconds |\n|---|---|---|---|")
        sets = {folder.name: measure(folder, arguments.seed) for folder in arguments.folders}
        write_json("blend", {"seed": arguments.seed, "sets": sets})
    else:
        parser.error("name a folder, or --made-up")


if __name__ == "__main__":
    main()
