"""How long explanations take, and what the history of a user leaves unexplained of the scores in the user's list.

    python bench/bench_explain.py FOLDER... [--users 100] [--threads 1]

For each set and model: the milliseconds of explaining the ten items that are recommended to a user, those of making
that list, and the standard deviation of ``unexplained`` over that of what constants leave of the scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import sets_of
from common import alternate, write_json
from fastcf.solvers import ALS
from lists_protocols import read


def models(threshold: float, threads: int | None) -> dict[str, Any]:
    """Return the models, with their default parameters."""
    choices: dict[str, Any] = {"threshold": threshold, "n_threads": threads}
    ratings: dict[str, Any] = {"n_threads": threads, "random_state": 0}
    return {
        "LinearAutoencoder": fastcf.LinearAutoencoder(**choices),
        "ItemNeighbours": fastcf.ItemNeighbours(**choices),
        "UserNeighbours": fastcf.UserNeighbours(**choices),
        "ImplicitFactorization": fastcf.ImplicitFactorization(random_state=0, **choices),
        "MatrixFactorization": fastcf.MatrixFactorization(**ratings),
        "MatrixFactorization(solver=als)": fastcf.MatrixFactorization(solver=ALS(), **ratings),
        "MatrixFactorization(solver=bayes)": fastcf.MatrixFactorization(solver="bayes", **ratings),
    }


def measure(model: Any, users: list[Any], repeats: int) -> dict[str, float]:
    """Return milliseconds for a user's list and its explanations, and the share that is unexplained."""
    lists = {user: model.recommend(user, 10).items for user in users}
    seconds = alternate(
        {
            "explain": lambda: [model.explain(user, items) for user, items in lists.items()],
            "recommend": lambda: [model.recommend(user, 10) for user in users],
        },
        repeats,
    )
    found = [each for user, items in lists.items() for each in model.explain(user, items)]
    left = np.array([each.unexplained for each in found])
    taste = np.array([each.score - sum(each.base.values()) for each in found])
    timed = {f"{name}_ms": 1e3 * float(np.median(each)) / len(users) for name, each in seconds.items()}
    return {**timed, "unexplained": float(left.std() / taste.std())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in (path for folder in arguments.folders for path in sets_of(folder)):
        ratings, threshold = read(path)
        some = np.random.default_rng(0).choice(ratings.users.ids, arguments.users, replace=False).tolist()
        found[path.name] = {}
        for name, model in models(threshold, arguments.threads).items():
            row = found[path.name][name] = measure(model.fit(ratings), some, arguments.repeats)
            print(
                f"{path.name:<22} {name:<34} {row['explain_ms']:8.2f} ms  list {row['recommend_ms']:6.2f} ms"
                f"  unexplained {row['unexplained']:8.2g}",
                flush=True,
            )
    options = {"users": arguments.users, "threads": arguments.threads, "repeats": arguments.repeats}
    print("written:", write_json("explain", {**options, "sets": found}))


if __name__ == "__main__":
    main()
