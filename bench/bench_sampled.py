"""Sampled costs of choices against ``implicit``'s BPR: triples per second, and lists at equal settings.

``pip install implicit``. Both train in turn, in one process, on the same choices with the same number of factors and
threads; a triple is a choice and an item drawn for it. The peer's rate is the time of more epochs minus the time of
fewer, ours the median epoch. The peer has as many factors less one, which it uses for biases; ours have biases besides.

Lists are those of known users (``lists_protocols.py``, T2), NDCG@10: the peer and ours with the same factors, epochs,
step size and penalty, and ours by default.

The limit is the measured rate of one-thread matrix products times the threads, divided by the 16 k flops that a triple
would take if the 8 k / width vector instructions of its two products and three steps were all multiply-adds.

    python bench/bench_sampled.py --data ../shared/data/ml-latest-small
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import fastcf
import lists_protocols
from bench_sgd import product_rate
from common import write_json
from fastcf import _cpu
from fastcf.metrics import ranking
from fastcf.solvers import BPR


def peer(matrix: scipy.sparse.csr_matrix, k: int, threads: int, epochs: int, **settings: Any) -> Any:
    """Return ``implicit``'s BPR, trained."""
    from implicit.bpr import BayesianPersonalizedRanking

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own about BLAS threads
        model = BayesianPersonalizedRanking(
            factors=k - 1, iterations=epochs, num_threads=threads, random_state=0, **settings
        )
        model.fit(matrix, show_progress=False)
    return model


def ones(ratings: fastcf.Ratings) -> scipy.sparse.csr_matrix:
    matrix = ratings.to_scipy().astype(np.float32)
    matrix.data[:] = 1
    return matrix


def epochs(choices: fastcf.Ratings, k: int, threads: int, cost: str, drawn: int) -> Callable[[], float]:
    """Return a function that trains an epoch and returns its seconds."""
    trainer = _cpu.SampledTrainer(
        choices.indptr, choices.indices, choices.values, choices.n_items, n_factors=k, cost=cost, n_drawn=drawn,
        popularity_power=0.25, reg=0.01, reg_exponent=1.0, item_bias=True, seed=0, n_threads=threads,
    )  # fmt: skip
    random = np.random.default_rng(0)
    shapes = ((choices.n_users, k), (choices.n_items, k))
    factors = [random.normal(0, 0.1 / k**0.5, shape).astype(np.float32) for shape in shapes]
    trainer.set_parameters(*factors, None, np.zeros(choices.n_items, np.float32))

    def epoch() -> float:
        start = time.perf_counter()
        trainer.epoch(0.05, 0.05)
        return time.perf_counter() - start

    return epoch


def rates(choices: fastcf.Ratings, k: int, threads: int, rounds: int) -> dict[str, list[float]]:
    """Return triples per second of each contestant, a value per round."""
    matrix = ones(choices)
    ours = {
        "fastcf": (epochs(choices, k, threads, "bpr", 1), 1),
        "fastcf softmax of 16": (epochs(choices, k, threads, "softmax", 16), 16),
    }
    result: dict[str, list[float]] = {"implicit": [], **{name: [] for name in ours}}
    for _ in range(rounds):
        seconds = {}
        for n in (1, 4):
            start = time.perf_counter()
            peer(matrix, k, threads, n)
            seconds[n] = time.perf_counter() - start
        result["implicit"].append(3 * choices.nnz / (seconds[4] - seconds[1]))
        for name, (epoch, drawn) in ours.items():
            result[name].append(drawn * choices.nnz / float(np.median([epoch() for _ in range(7)])))
    return result


def lists(folder: Path, k: int, epochs: int, rate: float, reg: float, threads: int) -> dict[str, float]:
    """Return the NDCG@10 of known users' lists on one set."""
    ratings, threshold = lists_protocols.read(folder)
    task = lists_protocols.task(ratings, threshold, "T2", 0)
    users = task.test.users
    model = peer(ones(task.train), k, threads, epochs, learning_rate=rate, regularization=reg)
    rows = task.train.users.rows(users)
    found, _ = model.recommend(rows, ones(task.train)[rows], N=10, filter_already_liked_items=True)
    result = {"implicit": ranking(task.train.items.ids[found], users, task.test.held_out, k=10).ndcg}
    ours = {
        "equal settings": fastcf.ImplicitFactorization(
            k, solver=BPR(rate, schedule="constant"), n_epochs=epochs, reg=reg, random_state=0, n_threads=threads
        ),
        "bpr": fastcf.ImplicitFactorization(solver="bpr", random_state=0, n_threads=threads),
        "sampled": fastcf.ImplicitFactorization(solver="sampled", random_state=0, n_threads=threads),
        "auto": fastcf.ImplicitFactorization(random_state=0, n_threads=threads),
    }
    for name, each in ours.items():
        found = each.fit(task.train).recommend(users, n=10).items
        result[name] = ranking(found, users, task.test.held_out, k=10).ndcg
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    report: dict[str, Any] = {"settings": {name: str(value) for name, value in vars(arguments).items()}}
    made = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.choices, random_state=1)
    users, items, _ = made.to_coo()
    choices = fastcf.Ratings.from_coo(users, items, np.ones(users.size, np.float32))
    limit = product_rate(1) * arguments.threads
    for k in arguments.factors:
        found = {
            name: float(np.median(values))
            for name, values in rates(choices, k, arguments.threads, arguments.rounds).items()
        }
        share = found["fastcf"] * 16 * k / limit
        ratio = found["fastcf"] / found["implicit"]
        report[f"rates, {k} factors"] = {**found, "ratio": ratio, "share of the limit": share}
        print(f"{k} factors, {arguments.threads} threads: ", end="")
        print(", ".join(f"{name} {value / 1e6:.1f} M triples/s" for name, value in found.items()), end="; ")
        print(f"bpr {ratio:.1f} x implicit, {share:.0%} of the limit")
    for folder in arguments.data:
        found = lists(folder, 64, 100, 0.05, 0.01, arguments.threads)
        report[f"lists, {folder.name}"] = found
        print(
            f"{folder.name}: NDCG@10 of known users "
            + ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        )
    write_json("sampled", report)


if __name__ == "__main__":
    main()
