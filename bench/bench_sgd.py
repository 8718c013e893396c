"""Matrix factorisation by SGD against LIBMF and Surprise: updates per second, and time to equal quality.

LIBMF comes from its Python package, built for this processor (recent setuptools read CXXFLAGS, older ones CFLAGS):

    export CFLAGS="-O3 -march=native -mavx -DUSEAVX -DUSEOMP -fopenmp" CXXFLAGS="$CFLAGS" LDFLAGS=-fopenmp
    pip install --no-cache-dir --no-binary libmf libmf

Everybody trains on the same ratings with the same number of factors and threads, in turn, in one process. An update is
one rating once. LIBMF has no biases; ours are timed without them (equal work) and with them (the default). LIBMF's rate
is the time of more iterations minus the time of fewer, ours the median epoch. Quality is the RMSE on a tenth of the
ratings held out; the time to reach LIBMF's best counts everything from the arrays in memory: LIBMF's fit of as many
iterations as its best took, our fit with its layout, biases and validation.

The arithmetic limit is the measured rate of one-thread matrix products divided by the 10 k flops that an update would
take if its 5 k / width vector instructions were all multiply-adds.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import fastcf
from common import write_json
from fastcf.callbacks import Callback


def product_rate(threads: int) -> float:
    """Return flops per second of float32 matrix products."""
    a = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    with threadpool_limits(threads):
        a @ a
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            a @ a
            seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def triples(ratings: fastcf.Ratings) -> np.ndarray:
    """Return what LIBMF's package takes: float32 rows of user, item, rating."""
    return np.stack([ratings.row_of_entry(), ratings.indices, ratings.values], axis=1).astype(np.float32)


class Libmf:
    """LIBMF's Python package; ``curve`` reads the errors that it prints."""

    def __init__(self, k: int, threads: int, reg: float, rate: float) -> None:
        from libmf import mf

        self.make = lambda iterations, quiet=True: mf.MF(
            k=k, nr_threads=threads, nr_iters=iterations, nr_bins=max(20, 2 * threads), lambda_p2=reg, lambda_q2=reg,
            eta=rate, quiet=quiet, copy_data=False,
        )  # fmt: skip

    def seconds(self, data: np.ndarray, iterations: int) -> float:
        model = self.make(iterations)
        start = time.perf_counter()
        model.fit(data)
        return time.perf_counter() - start

    def curve(self, train: np.ndarray, test: np.ndarray, iterations: int) -> list[float]:
        """Return the validation RMSE after each iteration."""
        with tempfile.TemporaryFile() as file:
            kept = os.dup(1)
            os.dup2(file.fileno(), 1)
            try:
                self.make(iterations, quiet=False).mf_train_test(train, test)
                __import__("ctypes").CDLL(None).fflush(None)
            finally:
                os.dup2(kept, 1)
                os.close(kept)
            file.seek(0)
            lines = file.read().decode()
        rows = re.findall(r"^\s*\d+\s+([\d.]+)\s+([\d.]+)", lines, flags=re.MULTILINE)
        return [float(row[1]) for row in rows]


class Reach(Callback):
    """Stops once the validation error is low enough."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.reached = False

    def on_epoch_end(self, view, record):
        self.reached = record["validation_rmse"] <= self.target
        return self.reached


def rates(train: fastcf.Ratings, k: int, threads: int, rounds: int) -> dict[str, list[float]]:
    """Return updates per second of each contestant, a value per round."""
    data = triples(train)
    libmf = Libmf(k, threads, 0.05, 0.1)
    result: dict[str, list[float]] = {"libmf": [], "fastcf without biases": [], "fastcf": []}
    for _ in range(rounds):
        result["libmf"].append(4 * train.nnz / (libmf.seconds(data, 6) - libmf.seconds(data, 2)))
        for name, bias in (("fastcf without biases", False), ("fastcf", True)):
            model = fastcf.MatrixFactorization(k, bias=bias, n_epochs=6, random_state=0, n_threads=threads)
            model.fit(train)
            result[name].append(train.nnz / float(np.median([record["seconds"] for record in model.history_[1:]])))
    return result


def quality(train: fastcf.Ratings, test: fastcf.Ratings, k: int, threads: int, epochs: int) -> dict[str, float]:
    """Return LIBMF's best validation RMSE over a small grid, and the seconds both take to it."""
    data, held_out = triples(train), triples(test)
    best = (np.inf, 0, 0.0)
    for reg in (0.02, 0.05, 0.1):
        curve = Libmf(k, threads, reg, 0.1).curve(data, held_out, 40)
        best = min(best, (min(curve), int(np.argmin(curve)) + 1, reg))
    target, iterations, reg = best
    libmf_seconds = min(Libmf(k, threads, reg, 0.1).seconds(data, iterations) for _ in range(3))
    seconds, found = [], np.inf
    for _ in range(3):
        reach = Reach(target)
        model = fastcf.MatrixFactorization(k, n_epochs=epochs, random_state=0, n_threads=threads)
        start = time.perf_counter()
        model.fit(train, validation=test, callbacks=[reach])
        seconds.append(time.perf_counter() - start if reach.reached else np.inf)
        found = min(record["validation_rmse"] for record in model.history_)
    full = fastcf.MatrixFactorization(k, random_state=0, n_threads=threads).fit(train, validation=test)
    return {
        "libmf_rmse": target, "libmf_iterations": iterations, "libmf_reg": reg, "libmf_seconds": libmf_seconds,
        "fastcf_seconds": min(seconds), "fastcf_epochs": model.history_[-1]["epoch"], "fastcf_rmse_then": found,
        "fastcf_default_rmse": min(record["validation_rmse"] for record in full.history_),
        "time_ratio": min(seconds) / libmf_seconds,
    }  # fmt: skip


def surprise(train: fastcf.Ratings, test: fastcf.Ratings, k: int) -> dict[str, float]:
    """Return Surprise SVD's rate, RMSE and our own at one thread."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    users, items, values = train.to_coo()
    reader = Reader(rating_scale=train.rating_range)
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    trainset = Dataset.load_from_df(frame, reader).build_full_trainset()
    start = time.perf_counter()
    svd = SVD(n_factors=k, n_epochs=20, random_state=0).fit(trainset)
    seconds = time.perf_counter() - start
    predicted = [svd.predict(u, i).est for u, i, _ in zip(*test.to_coo(), strict=True)]
    start = time.perf_counter()
    model = fastcf.MatrixFactorization(k, random_state=0, n_threads=1).fit(train)
    ours = time.perf_counter() - start
    return {
        "surprise_seconds": seconds, "surprise_updates_per_s": 20 * train.nnz / seconds,
        "surprise_rmse": fastcf.metrics.rmse(test.values, predicted),
        "fastcf_seconds": ours, "fastcf_updates_per_s": model.n_epochs * train.nnz / ours,
        "fastcf_rmse": -model.score(test),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="real rating files to include")
    parser.add_argument(
        "--ratings", type=int, default=10_000_000, help="of the synthetic set shaped like MovieLens-10M"
    )
    parser.add_argument("--factors", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--epochs", type=int, default=12, help="of our schedule where time to equal quality is measured"
    )
    parser.add_argument("--output", default="sgd", help="name of the file under bench/results")
    parser.add_argument("--no-rates", action="store_true", help="leave out updates per second")
    parser.add_argument("--no-quality", action="store_true", help="leave out the time to equal quality")
    arguments = parser.parse_args()
    limit = product_rate(1)
    print(f"one-thread matrix product: {limit / 1e9:.0f} GFLOP/s")
    payload: dict = {"product_flops_per_s_one_thread": limit, "rates": [], "quality": [], "surprise": []}

    ratings = fastcf.data.make_ratings(71_567, 10_681, arguments.ratings, random_state=0)
    sets = {"synthetic 71,567 x 10,681": fastcf.data.train_test_split(ratings, random_state=0)}
    for path in arguments.files:
        sets[f"{path.parent.name}/{path.name}"] = fastcf.data.train_test_split(
            fastcf.data.load_ratings(path, duplicates="last"), random_state=0
        )
    for name, (train, test) in sets.items():
        print(f"\n{name}: {train.nnz:,} ratings to train on")
        large = train.nnz > 1_000_000
        for k in arguments.factors:
            # LIBMF's scheduler can wait for ever where several threads share few ratings.
            for threads in arguments.threads if large else [1]:
                if large and not arguments.no_rates:
                    measured = {n: float(np.median(v)) for n, v in rates(train, k, threads, arguments.rounds).items()}
                    ratio = measured["fastcf without biases"] / measured["libmf"]
                    share = measured["fastcf without biases"] / (threads * limit / (10 * k))
                    row = {"set": name, "k": k, "threads": threads, **measured, "ratio": ratio, "share_of_limit": share}
                    payload["rates"].append(row)
                    print(
                        f"  k={k:<4} threads={threads}  LIBMF {measured['libmf'] / 1e6:6.1f} M/s   ours "
                        f"{measured['fastcf without biases'] / 1e6:6.1f} M/s = {ratio:4.1f} x ({share:.0%} of the "
                        f"arithmetic limit)   with biases {measured['fastcf'] / 1e6:6.1f} M/s"
                    )
                if not arguments.no_quality:
                    row = quality(train, test, k, threads, arguments.epochs)
                    payload["quality"].append({"set": name, "k": k, "threads": threads, **row})
                    print(
                        f"  k={k:<4} threads={threads}  LIBMF's best RMSE {row['libmf_rmse']:.4f}: LIBMF "
                        f"{row['libmf_seconds']:.2f} s, ours {row['fastcf_seconds']:.2f} s = {row['time_ratio']:.2f} x "
                        f"  (our default reaches {row['fastcf_default_rmse']:.4f})"
                    )
        if not large:
            row = surprise(train, test, 64)
            payload["surprise"].append({"set": name, "k": 64, **row})
            print(
                f"  k=64   Surprise SVD {row['surprise_updates_per_s'] / 1e6:.2f} M updates/s, RMSE "
                f"{row['surprise_rmse']:.4f}; ours {row['fastcf_updates_per_s'] / 1e6:.1f} M/s, RMSE "
                f"{row['fastcf_rmse']:.4f}"
            )
    print("written:", write_json(arguments.output, payload))


if __name__ == "__main__":
    main()
