"""What it costs to look at a training: NDCG@10 of held-out ratings, against the top 10 of the same users.

Both are timed in turn, after each epoch of one fit, on the parameters that the trainer holds; looking includes copying
them. Epochs of "sgd" are timed with validation that is not due, and without.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import fastcf
from common import alternate, write_json
from fastcf.callbacks import Callback


class TopK(Callback):
    """Make the lists that were measured once more, without measuring."""

    def __init__(self, users: np.ndarray) -> None:
        self.users = users
        self.seconds: list[float] = []

    def on_epoch_end(self, view: fastcf.Recommender, record: dict[str, float]) -> None:
        started = time.perf_counter()
        view.recommend(self.users, n=10)
        self.seconds.append(time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--ratings", type=int, default=1_100_000)
    parser.add_argument("--held-out", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ratings = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=0)
    train, held_out = fastcf.data.train_test_split(ratings, arguments.held_out, random_state=0)
    users = held_out.users.ids[np.flatnonzero(held_out.user_counts())]
    scorer = fastcf.metrics.as_scorer("ndcg@10", "bench")
    common = {"n_epochs": arguments.epochs, "random_state": 0, "n_threads": arguments.threads}
    models = {
        "sgd": fastcf.MatrixFactorization(arguments.factors, **common),
        "implicit als": fastcf.ImplicitFactorization(arguments.factors, threshold=4, reg=0.005, **common),
    }
    results = {}
    for name, model in models.items():
        looks: list[float] = []

        def look(view: fastcf.Recommender, held_out: fastcf.Ratings, looks: list[float] = looks) -> float:
            started = time.perf_counter()
            figure = scorer(view, held_out)
            looks.append(time.perf_counter() - started)
            return figure

        top = TopK(users)
        model.fit(train, validation=held_out, validation_metric=look, callbacks=top)
        epochs: dict[str, list[float]] = {}
        if name == "sgd":  # the shortest epochs
            epochs = {"without": [], "not due": []}

        def fit(case: str, model: fastcf.Recommender = model, epochs: dict[str, list[float]] = epochs) -> None:
            due = {"validation": held_out, "validation_metric": scorer, "validation_every": 1000}
            model.fit(train, **(due if case == "not due" else {}))
            epochs[case] += [record["seconds"] for record in model.history_[1:-1]]

        if epochs:
            alternate({case: lambda case=case: fit(case) for case in epochs}, arguments.repeats)
        seconds = {"look": looks[1:], "top 10": top.seconds, **{f"epoch, {case}": own for case, own in epochs.items()}}
        medians = {case: float(np.median(times)) for case, times in seconds.items()}
        ratio = float(np.median(np.array(looks[1:]) / top.seconds))
        print(f"{name}: {users.size:,} users, {held_out.nnz:,} ratings held out; look / top 10: {ratio:.2f}")
        for case, median in medians.items():
            print(f"  {case:<16} {median * 1e3:8.1f} ms")
        results[name] = {"seconds": seconds, "median": medians, "look_to_top": ratio}
    print("written:", write_json("validation", {**vars(arguments), "models": results}))


if __name__ == "__main__":
    main()
