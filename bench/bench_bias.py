"""The bias model against Surprise's BaselineOnly (alternating least squares): seconds and test RMSE.

Ours estimates its penalties from the data, BaselineOnly is given its default ones (15 for users, 10 for items) and ten
passes. Ratings are made up and shaped like MovieLens 1M; one thread, which is all that Surprise has, and two.
"""

from __future__ import annotations

import argparse
import contextlib
import io

import numpy as np

import fastcf
from common import alternate, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    from surprise import BaselineOnly, Dataset, Reader

    ratings = fastcf.data.make_ratings(6_040, 3_706, arguments.ratings, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = (column.tolist() for column in train.to_coo())
    rows = list(zip(users, items, values, [None] * len(values), strict=True))
    trainset = Dataset(Reader(rating_scale=train.rating_range)).construct_trainset(rows)
    fitted = {}

    def surprise_fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            fitted["surprise"] = BaselineOnly().fit(trainset)

    def our_fit(threads: int) -> None:
        fitted["fastcf"] = fastcf.BiasModel(n_threads=threads).fit(train)

    seconds = alternate(
        {"surprise": surprise_fit, "fastcf, 1 thread": lambda: our_fit(1), "fastcf, 2 threads": lambda: our_fit(2)},
        arguments.repeats,
        warmup=1,
    )
    predicted = [fitted["surprise"].predict(u, i).est for u, i, _ in zip(*test.to_coo(), strict=True)]
    error = {
        "surprise": fastcf.metrics.rmse(test.values, predicted),
        "fastcf": -fitted["fastcf"].score(test),
    }
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        ratio = medians["surprise"] / median
        print(f"{name:<18} {median:7.3f} s   {ratio:5.1f} x Surprise   RMSE {error[name.split(',')[0]]:.4f}")
    passes = fitted["fastcf"].n_iter_
    print(f"{passes} passes: {passes * train.nnz / medians['fastcf, 1 thread'] / 1e6:.0f} M ratings/s on one thread")
    payload = {"ratings": train.nnz, "seconds": seconds, "median": medians, "rmse": error, "passes": passes}
    print("written:", write_json("bias", payload))


if __name__ == "__main__":
    main()
