"""An epoch of the two-tower network against the same network in PyTorch: same weights, batches, optimiser and threads.

    python bench/bench_two_tower.py [--threads 2]

Ratings from `make_ratings`, features drawn at random and dense; layers (256, 128) and vectors of 32 in both towers,
normalised; squared cost, Adam. The peer is `torch_two_tower.py`, in two ways: each distinct user and item of a batch
once, as ours does, and once per rating, as is common; the steps are PyTorch's fused ones. In turn, ours runs an epoch
and each peer the first ``--peer-batches`` batches of one, their batches made beforehand. First ours and the peer learn
the same two epochs of a few batches, and their losses must agree.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastcf
from common import alternate, write_json
from fastcf import _cpu
from fastcf._backend import single_threaded_blas
from fastcf.optimizers import Adam
from torch_two_tower import TwoTowers, parameter_groups

SEED, RATE, LAYERS, LENGTH = 1, 0.001, [256, 128, 32], 1.2
SHAPES = tuple(itertools.product((20, 100), (1024, 8192)))  # features of either side, ratings of a batch


class Problem:
    """Ratings, features and first weights."""

    def __init__(self, users: int, items: int, n: int, n_features: int, batch_size: int) -> None:
        rng = np.random.default_rng(SEED)
        self.ratings = fastcf.data.make_ratings(users, items, n, random_state=SEED)
        self.features = [
            rng.standard_normal((rows, n_features), np.float32) for rows in (self.ratings.n_users, self.ratings.n_items)
        ]
        self.n_features, self.batch_size = n_features, batch_size
        sizes = [(n_features, LAYERS[0]), *itertools.pairwise(LAYERS)]
        self.towers = [
            [*(rng.normal(0, np.sqrt(2 / a), (a, b)).astype(np.float32) for a, b in sizes),
             *(np.zeros(size, np.float32) for size in LAYERS)]
            for _ in range(2)
        ]  # fmt: skip

    def trainer(self, threads: int) -> Any:
        """Return ours, with the first weights."""
        ratings, n = self.ratings, len(LAYERS)
        features = [
            (np.zeros(len(x) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 0, x)
            for x in self.features
        ]
        trainer = _cpu.TwoTowerTrainer(
            ratings.indptr, ratings.indices, ratings.values, ratings.n_items, *features, user_layers=LAYERS,
            item_layers=LAYERS, activation="elu", length=LENGTH, centre=ratings.mean, batch_size=self.batch_size,
            **Adam().constants.options, lowest=1.0, highest=5.0, seed=SEED, n_threads=threads,
        )  # fmt: skip
        none = np.empty((0, LAYERS[0]), np.float32)
        trainer.set_parameters(tuple((none, arrays[0], arrays[1:n], arrays[n:]) for arrays in self.towers))
        return trainer

    def batches(self, epoch: int) -> list[tuple[torch.Tensor, ...]]:
        """Return users, items and ratings of an epoch's batches, in our order."""
        sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
        from reference_autoencoder import shuffled
        from reference_two_tower import RATING_STREAM

        order = shuffled(self.ratings.nnz, SEED, epoch, RATING_STREAM)
        arrays = self.ratings.row_of_entry().astype(np.int64), self.ratings.indices.astype(np.int64)
        return [
            tuple(torch.from_numpy(np.ascontiguousarray(a[batch])) for a in (*arrays, self.ratings.values))
            for batch in np.split(order, range(self.batch_size, len(order), self.batch_size))
        ]


class Peer:
    """The network in PyTorch and its optimiser."""

    def __init__(self, problem: Problem, distinct: bool) -> None:
        self.model = TwoTowers(problem.towers, problem.features, "elu", LENGTH, problem.ratings.mean, distinct)
        self._optimizer = torch.optim.Adam(parameter_groups(self.model, 0.0), lr=RATE, fused=True)

    def step(self, users: torch.Tensor, items: torch.Tensor, values: torch.Tensor) -> float:
        """Take a step; return half the sum of squared errors before it."""
        self._optimizer.zero_grad()
        loss = 0.5 * (self.model(users, items) - values).square().mean()
        loss.backward()
        self._optimizer.step()
        return loss.item() * len(values)


def curves(n_features: int, batch_size: int, threads: int) -> dict[str, list[float]]:
    """Return the RMSE of two epochs over eight batches, ours and the peers'; refuses to go on where they differ."""
    problem = Problem(600, 400, 8 * batch_size, n_features, batch_size)
    trainer, peers = problem.trainer(threads), {name: Peer(problem, name == "once per row") for name in PEERS}
    found: dict[str, list[float]] = {"fastcf": [], **{name: [] for name in peers}}
    for epoch in range(2):
        batches = problem.batches(epoch)
        with single_threaded_blas():
            sums = {"fastcf": trainer.epoch(RATE)}
        sums.update({name: sum(peer.step(*batch) for batch in batches) for name, peer in peers.items()})
        for name, total in sums.items():
            found[name].append(float(np.sqrt(2 * total / problem.ratings.nnz)))
    for name in peers:
        np.testing.assert_allclose(found["fastcf"], found[name], rtol=1e-4)
    return found


PEERS = ("once per row", "once per rating")


def compare(n_features: int, batch_size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    print(f"{n_features} features, batches of {batch_size:,}")
    found = curves(n_features, batch_size, arguments.threads)
    problem = Problem(arguments.users, arguments.items, arguments.ratings, n_features, batch_size)
    n = problem.ratings.nnz
    chosen = problem.batches(0)[: max(1, arguments.peer_ratings // batch_size)]
    trainer, peers = problem.trainer(arguments.threads), {name: Peer(problem, name == "once per row") for name in PEERS}

    def ours() -> None:
        with single_threaded_blas():
            trainer.epoch(RATE)

    timed = {"fastcf": ours, **{name: lambda p=peer: [p.step(*b) for b in chosen] for name, peer in peers.items()}}
    seconds = alternate(timed, arguments.repeats, warmup=1)
    taken = {name: n if name == "fastcf" else sum(len(batch[2]) for batch in chosen) for name in timed}
    epochs = {name: {"best": min(runs) * n / taken[name], "median": float(np.median(runs)) * n / taken[name]}
              for name, runs in seconds.items()}  # fmt: skip
    best = min(PEERS, key=lambda name: epochs[name]["best"])
    ratios = {kind: epochs[best][kind] / epochs["fastcf"][kind] for kind in ("best", "median")}
    for name, times in epochs.items():
        print(f"  {name:<16} {times['best']:7.2f} s per epoch at best, {times['median']:7.2f} by medians")
    print(f"  {ratios['best']:.2f} times PyTorch's best ({best}), {ratios['median']:.2f} by medians", flush=True)
    return {
        "features": n_features, "batch_size": batch_size, "rmse": found, "seconds": seconds, "epochs": epochs,
        "best_peer": best, "ratios": ratios,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="ours and PyTorch's (default 2)")
    parser.add_argument("--users", type=int, default=6_000)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--peer-ratings", type=int, default=200_000, help="of PyTorch's, per round")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", default="two_tower", help="name of the file in bench/results")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [compare(*shape, arguments) for shape in SHAPES]
    write_json(arguments.output, {**vars(arguments), "layers": LAYERS, "target": 1.5, "shapes": rows})


if __name__ == "__main__":
    main()
