"""UserRegression against a loop of scikit-learn's Ridge and LogisticRegression over the users: seconds to fit them all.

Ratings are made up, 6,000 users x 3,700 items; features are standard normal, known for all items. Ridge is fitted for
every user. LogisticRegression takes longer: it is fitted for each tenth of the users whose labels are not all alike
(which it refuses), and its seconds are multiplied accordingly. scikit-learn gets float64 features and ratings, and BLAS
as many threads as ours; the fitted weights are compared. Seconds are the best of the runs.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

import fastcf
from common import alternate, write_json

REG = 1.0
LIKED = 4.0


def _labels_differ(ratings: fastcf.Ratings) -> np.ndarray:
    liked = np.concatenate([[0], np.cumsum(ratings.values >= LIKED)])
    ones = liked[ratings.indptr[1:]] - liked[ratings.indptr[:-1]]
    return (ones > 0) & (ones < np.diff(ratings.indptr))


def _compare(
    ratings: fastcf.Ratings, table: fastcf.FeatureTable, cost: str, repeats: int, threads: int
) -> dict[str, float]:
    logistic = cost == "logistic"
    matrix = table.matrix.astype(np.float64)
    values = (ratings.values >= LIKED) if logistic else ratings.values.astype(np.float64)
    users = np.flatnonzero(_labels_differ(ratings)) if logistic else np.arange(ratings.n_users)
    times = users.size
    users = users[::10] if logistic else users
    times /= users.size
    coefficients = np.zeros((ratings.n_users, table.n_features))
    fitted = {}

    def peer() -> None:
        for user in users:
            entries = slice(ratings.indptr[user], ratings.indptr[user + 1])
            # C weighs the losses against half the squared norm: 1 / reg; a tolerance below the default's 1e-4
            estimator = LogisticRegression(C=1 / REG, tol=1e-6, max_iter=1000) if logistic else Ridge(alpha=REG)
            coefficients[user] = estimator.fit(matrix[ratings.indices[entries]], values[entries]).coef_

    def ours() -> None:
        model = fastcf.UserRegression(cost=cost, reg=REG, threshold=LIKED if logistic else None, n_threads=threads)
        fitted["model"] = model.fit(ratings, item_features=table)

    # BLAS's threads spin for a while after their last call: they shall not do so on our cores
    functions: dict[str, Callable[[], None]] = {"fastcf": ours, "pause": lambda: time.sleep(0.3), "scikit-learn": peer}
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = alternate(functions, repeats, warmup=1)
    peer_seconds = min(seconds["scikit-learn"]) * times
    own_seconds = min(seconds["fastcf"])
    difference = float(np.abs(fitted["model"].coef_[users] - coefficients[users]).max())
    name = "LogisticRegression" if logistic else "Ridge"
    print(
        f"{table.n_features:>4} features, {threads} thread(s), {name:<18} fastcf {own_seconds:8.4f} s   scikit-learn "
        f"{peer_seconds:8.3f} s   {peer_seconds / own_seconds:6.1f} times as fast   weights differ by {difference:.1e}"
    )
    return {
        "features": table.n_features,
        "threads": threads,
        "peer": name,
        "fastcf_seconds": own_seconds,
        "peer_seconds": peer_seconds,
        "peer_seconds_multiplied_by": times,
        "ratio": peer_seconds / own_seconds,
        "largest_difference_of_weights": difference,
        "runs": {name: runs for name, runs in seconds.items() if name != "pause"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()

    ratings = fastcf.data.make_ratings(6_000, 3_700, arguments.ratings, random_state=0)
    results = []
    for n_features in (20, 100):
        features = np.random.default_rng(0).standard_normal((ratings.n_items, n_features))
        table = fastcf.FeatureTable(ratings.items, features)
        for threads in arguments.threads:
            for cost in ("squared", "logistic"):
                results.append(_compare(ratings, table, cost, arguments.repeats, threads))
    payload = {"shape": ratings.shape, "ratings": ratings.nnz, "reg": REG, "results": results}
    write_json("regression", payload)


if __name__ == "__main__":
    main()
