"""Searches of parameters: against Surprise's and scikit-learn's, and how often stopping early loses the best candidate.

    python bench/bench_search.py speed RATINGS [--candidates 20] [--surprise PYTHON] [--repeats 1] [--jobs 1]
        [--output NAME]
    python bench/bench_search.py stopping FOLDER [--candidates 24]

``speed``: the same random candidates (factors, epochs, penalty, step) on 5 folds of RATINGS: by ``GridSearch``, which
is given them one by one; by scikit-learn's ``GridSearchCV`` with the same model; and by ``RandomizedSearchCV`` of
Surprise with its ``SVD``, in the interpreter PYTHON, which has it. One process each, one fit at a time, in turn. Beside
seconds of the clock, which other programs lengthen, there are those of the processor. The first two are also timed on
string ids, and ours with ``stopping="median"``. With ``--jobs 2`` all run two fits at a time: scikit-learn's in
processes, whose seconds of the processor are not counted, ours in threads.

``stopping``: for every set in FOLDER, random candidates are fitted to the end, and measured on the way. On random
subsets of 20 the rules are replayed: how often the candidate that is the best on all folds is given up, how much worse
the one that is found instead is, and which share of the work is done.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterSampler

import fastcf
from bench_accuracy import sets_of
from common import write_json
from fastcf.metrics import as_scorer
from fastcf.model_selection import GridSearch, PerUserKFold
from fastcf.model_selection.fits import Fit
from fastcf.model_selection.folds import Fold
from fastcf.solvers import SGD

FOLDS = 5
SPACE = {
    "n_factors": [16, 32, 64],
    "n_epochs": [10, 20],
    "reg": loguniform(0.02, 2),
    "solver__learning_rate": loguniform(0.01, 0.1),
}
# What Surprise calls them.
NAMES = {"n_factors": "n_factors", "n_epochs": "n_epochs", "reg": "reg_all", "solver__learning_rate": "lr_all"}
MODEL = fastcf.MatrixFactorization(solver=SGD(), random_state=0)

SURPRISE = """
import json, sys, time
import pandas as pd
from surprise import SVD, Dataset, Reader
from surprise.model_selection import KFold, RandomizedSearchCV

path, candidates, folds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
frame = pd.read_csv(path)
data = Dataset.load_from_df(frame, Reader(rating_scale=(frame.rating.min(), frame.rating.max())))
search = RandomizedSearchCV(SVD, {"n_factors": [1]}, n_iter=1, measures=["rmse"], cv=KFold(folds, random_state=0))
search.param_combinations = candidates
wall, cpu = time.perf_counter(), time.process_time()
search.fit(data)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, min(search.cv_results["mean_test_rmse"]), search.cv_results["mean_test_rmse"].size]))
"""


def drawn(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return random candidates."""
    draws = ParameterSampler(SPACE, n, random_state=seed)
    return [{name: np.asarray(value).item() for name, value in draw.items()} for draw in draws]


# ---------------------------------------------------------------------------------------------------------------
# Speed
# ---------------------------------------------------------------------------------------------------------------


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return seconds of the clock and of the processor, and what the call returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def speed(path: Path, n: int, python: str | None, repeats: int, n_jobs: int, output: str) -> None:
    ratings = fastcf.data.load_ratings(path)
    candidates = drawn(n)
    grid = [{name: [value] for name, value in each.items()} for each in candidates]
    users, items, values = ratings.to_coo()
    pairs = np.stack([users, items], axis=1)
    texts = np.stack([np.char.add("user-", users.astype(str)), np.char.add("item-", items.astype(str))], axis=1)
    named = fastcf.Ratings.from_rows(texts, values)
    folds = PerUserKFold(FOLDS, random_state=0)
    model = clone(MODEL).set_params(n_threads=1)

    def ours(data: fastcf.Ratings, **options: Any) -> Any:
        return GridSearch(model, grid, metric="rmse", cv=folds, refit=False, n_jobs=n_jobs, **options).fit(data)

    def theirs(X: np.ndarray) -> Any:
        return GridSearchCV(model, grid, cv=folds, refit=False, n_jobs=n_jobs).fit(X, values)

    calls: dict[str, Callable[[], Any]] = {
        "fastcf": lambda: ours(ratings),
        "scikit-learn": lambda: theirs(pairs),
        "fastcf, string ids": lambda: ours(named),
        "scikit-learn, string ids": lambda: theirs(texts),
        "fastcf, stopping": lambda: ours(ratings, stopping="median", random_state=0),
    }
    seconds: dict[str, list[tuple[float, float]]] = {}
    best: dict[str, float] = {}
    overhead = []
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ratings.to_frame()[["user", "item", "rating"]].to_csv(file.name, index=False)
        for _ in range(repeats):
            for name, call in calls.items():
                wall, cpu, found = timed(call)
                seconds.setdefault(name, []).append((wall, cpu))
                best[name] = abs(found.best_score_)
                if name == "fastcf":
                    overhead.append(wall / (found.cv_results_["mean_fit_time"].sum() * FOLDS))
            if python is not None:
                theirs_of = [{NAMES[name]: value for name, value in each.items()} for each in candidates]
                command = [python, "-c", SURPRISE, file.name, json.dumps(theirs_of), str(FOLDS)]
                wall, cpu, best["Surprise"], fitted = json.loads(
                    subprocess.run(command, capture_output=True, check=True, text=True).stdout
                )
                assert fitted == n
                seconds.setdefault("Surprise", []).append((wall, cpu))
    least = {name: np.min(each, axis=0).tolist() for name, each in seconds.items()}
    for name, (wall, cpu) in least.items():
        times = wall / least["fastcf"][0], cpu / least["fastcf"][1]
        print(
            f"{name:>24}: {wall:7.2f} s, processor {cpu:7.2f} s; {times[0]:.1f} and {times[1]:.1f} times; best RMSE "
            f"{best[name]:.4f}"
        )
    print(f"the search's seconds over those of its fits: {min(overhead):.3f}")
    write_json(
        output,
        {
            "data": path.name,
            "ratings": ratings.nnz,
            "candidates": n,
            "folds": FOLDS,
            "jobs": n_jobs,
            "seconds": {name: {"clock": wall, "processor": cpu} for name, (wall, cpu) in least.items()},
            "best_rmse": best,
            "search_over_fits": min(overhead),
            "load": Path("/proc/loadavg").read_text().split()[0] if Path("/proc/loadavg").exists() else None,
        },
    )


# ---------------------------------------------------------------------------------------------------------------
# Stopping
# ---------------------------------------------------------------------------------------------------------------

SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
LESS = {"epochs": (1 / 9, 1 / 3), "users": (1 / 9, 1 / 3)}
SUBSET, DRAWS = 20, 500


def measured(folds: Sequence[Fold], candidates: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return RMSEs by candidate and fold: on the way, and of whole trainings with fewer epochs or users."""
    scorer = as_scorer("rmse", "bench_search")
    lent = {"n_threads": 1}
    never = [(share, math.inf) for share in SHARES]
    curves = np.empty((len(candidates), len(folds), len(SHARES)))
    less = {name: np.empty((len(candidates), len(shares))) for name, shares in LESS.items()}
    for n, params in enumerate(candidates):
        for m, fold in enumerate(folds):
            outcome = Fit(clone(MODEL).set_params(**params), fold, scorer, bars=never).run(lent)
            curves[n, m] = [score for _, score in outcome.measured]
        for s, share in enumerate(LESS["epochs"]):
            shorter = {**params, "n_epochs": max(1, round(params["n_epochs"] * share))}
            less["epochs"][n, s] = Fit(clone(MODEL).set_params(**shorter), folds[0], scorer).run(lent).score
        for s, share in enumerate(LESS["users"]):
            part = folds[0].of_users(share, 0)
            less["users"][n, s] = Fit(clone(MODEL).set_params(**params), part, scorer).run(lent).score
    return {"curves": curves, **less}


def median_rule(curves: np.ndarray, at: Sequence[float], quantile: float, startup: int) -> tuple[np.ndarray, float]:
    """Replay ``MedianStopping``; return which candidates are complete, and the share of the work that was done."""
    n, n_folds, _ = curves.shape
    kept, work = np.ones(n, bool), 0.0
    reached: dict[float, list[float]] = {share: [] for share in at}
    for begin in range(0, n, startup):
        bars = {share: np.quantile(seen, quantile) if seen else math.inf for share, seen in reached.items()}
        for candidate in range(begin, min(begin + startup, n)):
            done = 1.0
            for share in at:
                score = curves[candidate, 0, SHARES.index(share)]
                reached[share].append(score)
                if score > bars[share]:
                    kept[candidate], done = False, share
                    break
            work += done + (n_folds - 1 if kept[candidate] else 0)
    return kept, work / (n * n_folds)


def halving_rule(less: np.ndarray, shares: Sequence[float]) -> tuple[np.ndarray, float]:
    """Replay ``HalvingSearch`` of factor 3 on one fold; return who is in the last round, and the share of the work."""
    left, work = np.arange(len(less)), 0.0
    for round_, share in enumerate(shares):
        work += left.size * share
        left = left[np.argsort(less[left, round_], kind="stable")[: math.ceil(left.size / 3)]]
    kept = np.zeros(len(less), bool)
    kept[left] = True
    return kept, (work + left.size) / len(less)


RULES: dict[str, Callable[[dict[str, np.ndarray]], tuple[np.ndarray, float]]] = {
    "median at 1/8, 1": lambda found: median_rule(found["curves"], (0.125, 1.0), 0.5, 5),
    "median at 1/4, 1": lambda found: median_rule(found["curves"], (0.25, 1.0), 0.5, 5),
    "median at 1/2, 1": lambda found: median_rule(found["curves"], (0.5, 1.0), 0.5, 5),
    "median at 3/4, 1": lambda found: median_rule(found["curves"], (0.75, 1.0), 0.5, 5),
    "median at 1": lambda found: median_rule(found["curves"], (1.0,), 0.5, 5),
    "median at 1/4, 1/2, 1": lambda found: median_rule(found["curves"], (0.25, 0.5, 1.0), 0.5, 5),
    "best 3/4 at 1/2, 1": lambda found: median_rule(found["curves"], (0.5, 1.0), 0.75, 5),
    "best 3/4 at 1/4, 1/2, 1": lambda found: median_rule(found["curves"], (0.25, 0.5, 1.0), 0.75, 5),
    "halving by epochs": lambda found: halving_rule(found["epochs"], LESS["epochs"]),
    "halving by users": lambda found: halving_rule(found["users"], LESS["users"]),
}


def replayed(found: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Return what each rule loses and saves, on random subsets in random order."""
    rng = np.random.default_rng(0)
    final = found["curves"][:, :, -1].mean(axis=1)
    draws = [rng.permutation(final.size)[:SUBSET] for _ in range(DRAWS)]
    table = {}
    for name, rule in RULES.items():
        lost, worse, work = [], [], []
        for draw in draws:
            own = final[draw]
            kept, done = rule({key: values[draw] for key, values in found.items()})
            lost.append(not kept[own.argmin()])
            worse.append(own[kept].min() - own.min())
            work.append(done)
        table[name] = {
            "lost": float(np.mean(lost)),
            "worse": float(np.mean(worse)),
            "most": float(np.max(worse)),
            "work": float(np.mean(work)),
        }
    return table


def stopping(folder: Path, n: int) -> None:
    candidates = drawn(n, seed=1)
    results = {}
    for path in sets_of(folder):
        name, ratings = path.name, fastcf.data.load_ratings(path)
        folds = [Fold(*parts) for parts in list(fastcf.data.k_folds(ratings, FOLDS, 0))[:2]]
        found = measured(folds, candidates)
        results[name] = replayed(found)
        spread = found["curves"][:, :, -1].mean(axis=1)
        print(f"{name}: RMSE of {n} candidates from {spread.min():.4f} to {spread.max():.4f}")
        for rule, row in results[name].items():
            print(
                f"  {rule:<24} loses the best {row['lost']:6.1%}, RMSE worse by {row['worse']:.5f} (at most "
                f"{row['most']:.4f}), does {row['work']:.0%} of the work"
            )
    write_json("search_stopping", {"candidates": n, "subset": SUBSET, "draws": DRAWS, "sets": results})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "stopping"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--surprise", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", default="search", metavar="NAME", help="of the results of speed")
    arguments = parser.parse_args()
    if arguments.what == "speed":
        speed(
            arguments.path,
            arguments.candidates or 20,
            arguments.surprise,
            arguments.repeats,
            arguments.jobs,
            arguments.output,
        )
    else:
        stopping(arguments.path, arguments.candidates or 24)
