"""Ratings of new users: by the features that their histories give, by these ratings, or by both.

    python bench/bench_newcomers.py FOLDER [--draws 2] [--threads 2]

A tenth of the users of ml-latest-small in FOLDER is held out whole; 80 % of the ratings of each are shown to the fitted
models, the others are the test. Films have genres and years; features of users are which of the 1,000 most rated films
they rated (`fastcf.features.watched`), of new users by what is shown. RMSE, defaults.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import fastcf
from common import write_json


def run(folder: Path, draw: int, threads: int) -> dict[str, float]:
    """Return the error of every model on one draw of new users."""
    films = fastcf.features.movielens(folder).items
    train, shown, hidden = fastcf.data.split_users(fastcf.data.load_ratings(folder), random_state=draw)
    people = fastcf.features.watched(train, 1000)
    titles = [int(name) for name in people.names]
    new = fastcf.features.watched(shown, items=titles)
    factors = fastcf.MatrixFactorization(random_state=0, n_threads=threads)
    found = {
        "BiasModel": fastcf.BiasModel(n_threads=threads).fit(train).fold_in(shown),
        "MatrixFactorization": factors.fit(train).fold_in(shown),
    }
    for name, kind in (
        ("MixedRegression", lambda: fastcf.MixedRegression(n_threads=threads)),
        ("TwoTower", lambda: fastcf.TwoTower(random_state=0, n_threads=threads)),
    ):
        found[f"{name}, ratings"] = kind().fit(train, item_features=films).fold_in(shown)
        model = kind().fit(train, item_features=films, user_features=people).fold_in(user_features=new)
        found[f"{name}, features"] = model
        found[f"{name}, features, then ratings"] = model.fold_in(shown)
    return {name: -model.score(hidden) for name, model in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    draws = [run(arguments.folder / "ml-latest-small", draw, arguments.threads) for draw in range(arguments.draws)]
    for name in draws[0]:
        errors = [draw[name] for draw in draws]
        print(f"{name:<40} {np.mean(errors):.4f}   " + " ".join(f"{error:.4f}" for error in errors))
    write_json("newcomers", {"results": draws})


if __name__ == "__main__":
    main()
