"""What a blend gains on validation ratings: by constant weights and by weights that depend on numbers of ratings, by a
network by user beside one by item; and its processor seconds beside those of its members.

    python bench/bench_blend.py FOLDER ... [--dense] [--seeds 1] [--models NAME ...] [--once] [--output blend]
    python bench/bench_blend.py --made-up

FOLDERs are sets of ratings. The test rows of bench_accuracy.py are left out, a ninth of the others is held out. With
--dense, the dense made-up set of bench_network_defaults.py, a tenth of it held out, is one of the sets. With --once,
members are fitted once, to nine tenths, and blends are their weights, fitted to the last tenth: less time, the same
comparison of blends. With --made-up, made-up sets of 500 to 20,000 ratings: the test error of blends in that of the
member that turns out to be the best, and their processor seconds in those of the members alone, by how many parts are
held out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import pairs
from bench_gibbs_options import validation_split
from bench_network_defaults import chosen_by_taste
from common import write_json
from fastcf.data import make_ratings, read_log, train_test_split
from fastcf.models.blend import fitting

SMALL = {(40, 30, 500): 8, (60, 40, 1_000): 8, (120, 80, 2_000): 6, (300, 200, 5_000): 5, (600, 400, 20_000): 2}
MF = fastcf.MatrixFactorization


def member(name: str, seed: int) -> Any:
    """Return a model that is measured alone or in a blend."""
    if name == "biases":
        return fastcf.BiasModel()
    if name == "autoencoder":
        return fastcf.Autoencoder(random_state=seed)
    if name == "autoencoder, another seed":
        return fastcf.Autoencoder(random_state=seed + 1_000)
    if name == "autoencoder by user":
        return fastcf.Autoencoder(orientation="user", random_state=seed)
    return MF(solver=name, random_state=seed)


MEMBERS = ("sgd", "bayes", "autoencoder", "autoencoder by user", "biases")
LARGE = ("sgd", "bayes", "autoencoder")
BLENDS: dict[str, tuple[tuple[str, ...], bool]] = {  # members, and whether weights may depend on counts
    "blend, constant weights": (LARGE, False),
    "blend by count": (LARGE, True),
    "blend by count, with biases": ((*LARGE, "biases"), True),
    "the same and a second network by item": ((*LARGE, "biases", "autoencoder, another seed"), True),
    "the same and a network by user": ((*LARGE, "biases", "autoencoder by user"), True),
    "two networks by item": (("autoencoder", "autoencoder, another seed"), True),
    "networks by item and by user": (("autoencoder", "autoencoder by user"), True),
}


def made(name: str, seed: int) -> Any:
    """Return a member, or a blend."""
    if name not in BLENDS:
        return member(name, seed)
    names, by_count = BLENDS[name]
    return fastcf.Blend([(one, member(one, seed)) for one in names], by_count=by_count, random_state=seed)


def measure(
    name: str, train: fastcf.Ratings, held_out: tuple[np.ndarray, np.ndarray], names: list[str], seeds: int
) -> dict[str, Any]:
    """Return errors of validation ratings, mean and by seed, and processor seconds, of members and blends."""
    found: dict[str, Any] = {}
    for one in names:
        errors, seconds, weights = [], [], []
        for seed in range(seeds):
            model = made(one, seed)
            seconds.append(processor_seconds(model, train))
            errors.append(-model.score(*held_out))
            if one in BLENDS:
                slopes = None if model.slopes_ is None else model.slopes_.tolist()
                weights.append({"weights": model.weights_.tolist(), "slopes": slopes})
        found[one] = {"rmse": float(np.mean(errors)), "errors": errors, "seconds": float(np.mean(seconds))}
        found[one] |= {"weights": weights} if weights else {}
        print(f"| {name} | {one} | {found[one]['rmse']:.4f} | {found[one]['seconds']:.1f} |", flush=True)
    return found


def measure_once(
    name: str, train: fastcf.Ratings, held_out: tuple[np.ndarray, np.ndarray], names: list[str], seeds: int
) -> dict[str, Any]:
    """Return errors of validation ratings, mean and by seed, of blends of the same fitted members."""
    errors: dict[str, list[float]] = {one: [] for one in names}
    for seed in range(seeds):
        kept, for_weights = train_test_split(train, 0.1, random_state=seed)
        needed = dict.fromkeys(part for one in names for part in (BLENDS[one][0] if one in BLENDS else (one,)))
        fitted = {part: member(part, seed).fit(kept) for part in needed}
        for one in names:
            model = fitted.get(one)
            if model is None:
                parts, by_count = BLENDS[one]
                members = [(part, fitted[part]) for part in parts]
                model = fastcf.Blend(members, by_count=by_count, fit_members=False).fit(for_weights)
            errors[one].append(-model.score(*held_out))
    for one in names:
        print(f"| {name} | {one} | {np.mean(errors[one]):.4f} | |", flush=True)
    return {one: {"rmse": float(np.mean(found)), "errors": found} for one, found in errors.items()}


def sets_of(folders: list[Path], dense: bool) -> Iterator[tuple[str, fastcf.Ratings, tuple[np.ndarray, np.ndarray]]]:
    """Yield name, training ratings, and pairs and values of validation ratings."""
    for folder in folders:
        train, held_out = validation_split(read_log(folder))
        yield folder.name, train.to_ratings(duplicates="last"), (pairs(held_out), held_out.ratings)
    if dense:
        kept, left_out = train_test_split(chosen_by_taste(), 0.1, random_state=0)
        users, items, values = left_out.to_coo()
        yield "made-up, 450 k", kept, (np.column_stack([users, items]), values)


def processor_seconds(model: Any, ratings: fastcf.Ratings) -> float:
    """Return the processor seconds of a fit."""
    started = time.process_time()
    model.fit(ratings)
    return time.process_time() - started


def made_up(n_folds: int) -> dict[str, Any]:
    """Return the errors of blends in that of their best member, and their time in that of the members alone.

    By number of ratings; the error is the mean and the largest over draws.
    """
    fitting._MOST_FOLDS = n_folds  # what is measured
    members = [("bias", fastcf.BiasModel()), ("bayes", MF(solver="bayes")), ("sgd", MF()), ("als", MF(solver="als"))]
    found: dict[str, Any] = {}
    for shape, seeds in SMALL.items():
        ratios, seconds = [], np.zeros((2, 2))  # of all members, and of "bayes" and the biases
        for seed in range(seeds):
            train, test = train_test_split(make_ratings(*shape, random_state=seed), 0.3, random_state=seed)
            blend = fastcf.Blend(members, random_state=seed)
            seconds[:, 0] += processor_seconds(blend, train), processor_seconds(fastcf.Blend(members[:2]), train)
            alone = [processor_seconds(model, train) for _, model in members]
            seconds[:, 1] += sum(alone), sum(alone[:2])
            ratios.append(blend.score(test) / max(model.score(test) for model in blend.models_.values()))
        times = dict(zip(("all", "bayes"), (seconds[:, 0] / seconds[:, 1]).tolist(), strict=True))
        errors = {"mean": float(np.mean(ratios)), "largest": float(np.max(ratios))}
        found[str(shape[2])] = {**errors, "times": times, "seconds": float(seconds[0, 0] / seeds), "seeds": seeds}
        shown = f"{np.mean(ratios):.4f} | {np.max(ratios):.4f} | {times['all']:.2f} | {times['bayes']:.2f}"
        print(f"| {n_folds} | {shape[2]:,} | {shown} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--made-up", action="store_true")
    parser.add_argument("--dense", action="store_true", help="measure the dense made-up set, too")
    parser.add_argument("--seeds", type=int, default=1)
    models = [*MEMBERS, *BLENDS]
    parser.add_argument("--models", nargs="+", choices=models, default=models, metavar="NAME", help="only these")
    parser.add_argument("--once", action="store_true", help="fit members once for all blends")
    parser.add_argument("--output", default="blend", help="name of the file in bench/results")
    arguments = parser.parse_args()
    if arguments.made_up:
        print("| parts held out at most | ratings | error | largest | time | time of bayes and biases |")
        print("|---|---|---|---|---|---|")
        write_json("blend_made_up", {"by_parts": {n: made_up(n) for n in (1, 5)}})
    elif arguments.folders or arguments.dense:
        print("| set | model | validation RMSE | processor seconds |\n|---|---|---|---|")
        measured = measure_once if arguments.once else measure
        sets = {
            name: measured(name, train, held_out, arguments.models, arguments.seeds)
            for name, train, held_out in sets_of(arguments.folders, arguments.dense)
        }
        write_json(arguments.output, {"seeds": arguments.seeds, "sets": sets})
    else:
        parser.error("name a folder, or --made-up")


if __name__ == "__main__":
    main()
