"""Lists of ten: precision, recall and NDCG of what models recommend, of the most rated items, and of both in two steps.

    python bench/bench_ranking.py FOLDER [--seeds 3]

FOLDER is a set of ratings, or holds several. The split is that of bench_accuracy.py, and models run with their
defaults. Lists leave out what a user rated in training. Relevant are test ratings of at least 4 of 5, or 8 of 10; users
without one do not count. "Popular" are the items most often rated; "of the k most rated": a model ranks only those.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import SPLIT_SEED, sets_of, split
from common import write_json
from fastcf.data import read_log
from fastcf.metrics import RankingScores, ranking
from fastcf.retrieval import Popular, TwoStageRecommender

N = 10
CANDIDATES = (50, 200, 1000)


def most_rated(train: fastcf.Ratings, users: np.ndarray) -> np.ndarray:
    """Return the ten most rated items of which each user has rated none."""
    found = Popular(k=N).fit(train).retrieve(users)
    lists = [found.of(position)[0][:N] for position in range(len(users))]
    return np.array(lists)


def measure(train: fastcf.Ratings, test: fastcf.Ratings, threshold: float, seed: int) -> dict[str, RankingScores]:
    """Return the scores of all ways to make lists."""
    users = train.users.ids
    models: dict[str, Any] = {
        "BiasModel": fastcf.BiasModel(),
        "MatrixFactorization": fastcf.MatrixFactorization(random_state=seed),
        "Autoencoder": fastcf.Autoencoder(random_state=seed),
        "MatrixFactorization of labels": fastcf.MatrixFactorization(
            cost="logistic", threshold=threshold, random_state=seed
        ),
        "Autoencoder of labels": fastcf.Autoencoder(cost="logistic", threshold=threshold, random_state=seed),
    }
    scores = {"Popular": ranking(most_rated(train, users), users, test, threshold=threshold)}
    for name, model in models.items():
        model.fit(train)
        scores[name] = ranking(model.recommend(users, N), users, test, threshold=threshold)
    for k in CANDIDATES:
        best = TwoStageRecommender([Popular(k=k)], models["Autoencoder of labels"]).fit(train)
        lists = best.recommend(users, n=N)
        scores[f"Autoencoder of labels, of the {k:,} most rated"] = ranking(lists, users, test, threshold=threshold)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    parser.add_argument("--seeds", type=int, default=3, help="random states, from 0 (default 3)")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    print(f"| set | lists | precision@{N} | recall@{N} | NDCG@{N} | users |\n|---|---|---|---|---|---|")
    for folder in sets_of(arguments.folder):
        train, test = (part.to_ratings(duplicates="last") for part in split(read_log(folder)))
        threshold = 4.0 if train.rating_range[1] <= 5 else 8.0
        runs = [measure(train, test, threshold, seed) for seed in range(arguments.seeds)]
        results[folder.name] = {"threshold": threshold, "lists": {}}
        for name in runs[0]:
            mean = RankingScores(*np.mean([run[name] for run in runs], axis=0))
            results[folder.name]["lists"][name] = mean._asdict()
            print(
                f"| {folder.name} | {name} | {mean.precision:.4f} | {mean.recall:.4f} | {mean.ndcg:.4f} | "
                f"{mean.n_users:.0f} |"
            )
    if not results:
        parser.error(f"{arguments.folder}: no sets of ratings here")
    print()
    write_json("ranking", {"split_seed": SPLIT_SEED, "seeds": arguments.seeds, "n": N, "sets": results})


if __name__ == "__main__":
    main()
