"""Users per second of the masked autoencoder, by user, against the same network as a dense PyTorch module.

    python bench/bench_autoencoder.py [--threads 2] [--full]

Rows of Netflix's shape (17,770 items, 209 ratings a user on average) from `make_ratings`; SELU, momentum 0.9, learning
rate 0.005, the raw ratings, nothing dropped; the same first weights for both. In turn, ours runs an epoch over
``--users`` and the peer the first ``--peer-batches`` batches of one; both include what makes batches of rows. The peer
is `torch_autoencoder.py`; which of PyTorch's own ways of stepping is fastest is found out first, and taken. Before
that both learn for some epochs over a few batches: the losses stand side by side and must agree.

With ``--full`` a fresh process then makes 100 M ratings of 480,189 users and fits `Autoencoder` for one epoch:
seconds, and peak memory of the whole process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import fastcf
from common import alternate, peak_rss, write_json
from fastcf import _cpu
from fastcf._backend import resolve_device, single_threaded_blas
from fastcf.models.autoencoder.network import Architecture, Parameters, draw_parameters
from fastcf.optimizers import Momentum
from fastcf.scores import Compute
from torch_autoencoder import DenseAutoencoder, DenseBatches, masked_mse, parameter_groups

RATE, SEED, ITEMS, PER_USER = 0.005, 1, 17_770, 209
FULL = 480_189, ITEMS, 100_000_000
STEPPING = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


class Shape(NamedTuple):
    """A network, how many rows a step takes, and how many times as fast as the peer ours should be."""

    layers: tuple[int, ...]
    batch_size: int
    target: float

    @property
    def name(self) -> str:
        return "-".join(map(str, self.layers))


SHAPES = Shape((128, 256, 256), 32, 10.0), Shape((512, 512, 1024), 128, 5.0)


class Peer:
    """The dense network, its optimiser and its batches."""

    def __init__(self, data: fastcf.Ratings, shape: Shape, parameters: Parameters, stepping: dict[str, bool]) -> None:
        self.model = DenseAutoencoder(parameters, shape.layers, "selu")
        self._optimizer = torch.optim.SGD(parameter_groups(self.model, 0.0), lr=RATE, momentum=0.9, **stepping)
        self._batches = DenseBatches(data.indptr, data.indices, data.values, data.n_items, shape.batch_size)

    def step(self, rows: np.ndarray) -> float:
        """Take a step; return the sum of squared errors before it."""
        x, mask, n = self._batches(rows)
        self._optimizer.zero_grad()
        loss = masked_mse(self.model(x), x, mask, n)
        loss.backward()
        self._optimizer.step()
        return loss.item() * n


def first_parameters(data: fastcf.Ratings, shape: Shape) -> Parameters:
    squares = float(np.vdot(data.values, data.values)) / data.n_users
    compute = Compute(resolve_device("cpu", "bench_autoencoder").module, 0)
    architecture = Architecture(shape.layers, "selu", "identity", False, 0.0)
    return draw_parameters(architecture, data.n_items, "lecun", squares, SEED, compute)


def make_trainer(data: fastcf.Ratings, shape: Shape, parameters: Parameters, threads: int) -> Any:
    trainer = _cpu.AutoencoderTrainer(
        data.indptr, data.indices, data.values, data.values, data.n_items, layers=list(shape.layers),
        activation="selu", output_activation="identity", tied=False, **Momentum().constants.options,
        batch_size=shape.batch_size, lowest=1.0, highest=5.0, seed=SEED, n_threads=threads,
    )  # fmt: skip
    trainer.set_parameters(parameters)
    return trainer


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (order[begin : begin + size] for begin in range(0, len(order), size))


def curves(shape: Shape, n_batches: int, n_epochs: int, threads: int) -> dict[str, list[float]]:
    """Return the RMSE of each epoch over a few batches, ours and the peer's; refuses to go on where they differ."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
    from reference_autoencoder import shuffled  # the order of an epoch's rows

    n_users = n_batches * shape.batch_size
    data = fastcf.data.make_ratings(n_users, ITEMS, n_users * PER_USER, random_state=SEED)
    parameters = first_parameters(data, shape)
    trainer, peer = make_trainer(data, shape, parameters, threads), Peer(data, shape, parameters, {})
    found: dict[str, list[float]] = {"fastcf": [], "pytorch": []}
    for epoch in range(n_epochs):
        order = shuffled(n_users, SEED, epoch)
        with single_threaded_blas():
            sums = trainer.epoch(RATE), sum(peer.step(rows) for rows in batches(order, shape.batch_size))
        for name, total in zip(found, sums, strict=True):
            found[name].append(float(np.sqrt(total / data.nnz)))
        print(f"  epoch {epoch + 1:>2}: RMSE fastcf {found['fastcf'][-1]:.5f}, PyTorch {found['pytorch'][-1]:.5f}")
    np.testing.assert_allclose(found["fastcf"], found["pytorch"], rtol=2e-3)  # rounding grows from step to step
    return found


def compare(shape: Shape, arguments: argparse.Namespace) -> dict[str, Any]:
    print(f"{shape.name}, batches of {shape.batch_size}")
    found = curves(shape, arguments.curve_batches, arguments.curve_epochs, arguments.threads)
    n_users = arguments.users
    data = fastcf.data.make_ratings(n_users, ITEMS, n_users * PER_USER, random_state=SEED)
    parameters = first_parameters(data, shape)
    order = np.random.default_rng(SEED).permutation(n_users)
    chosen = list(batches(order, shape.batch_size))[: arguments.peer_batches]
    peers = {name: Peer(data, shape, parameters, options) for name, options in STEPPING.items()}
    stepping = alternate(
        {name: lambda p=peer: [p.step(rows) for rows in chosen[:3]] for name, peer in peers.items()}, 3, warmup=1
    )
    best = min(stepping, key=lambda name: min(stepping[name]))
    peer = peers[best]
    del peers
    trainer = make_trainer(data, shape, parameters, arguments.threads)

    def run_ours() -> None:
        with single_threaded_blas():  # PyTorch's is not SciPy's
            trainer.epoch(RATE)

    timed = {"fastcf": run_ours, "pytorch": lambda: [peer.step(rows) for rows in chosen]}
    seconds = alternate(timed, arguments.repeats, warmup=1)
    users = {"fastcf": n_users, "pytorch": sum(map(len, chosen))}
    speed = {name: {"best": users[name] / min(runs), "median": users[name] / float(np.median(runs))}
             for name, runs in seconds.items()}  # fmt: skip
    ratios = {kind: speed["fastcf"][kind] / speed["pytorch"][kind] for kind in ("best", "median")}
    for name in speed:
        print(f"  {name:<8} {speed[name]['best']:9.0f} users/s at best, {speed[name]['median']:9.0f} by medians")
    print(
        f"  {ratios['best']:.1f} times PyTorch ({best} steps) by best runs, {ratios['median']:.1f} by medians; target "
        f"{shape.target:.0f}",
        flush=True,
    )
    return {
        "layers": shape.layers, "batch_size": shape.batch_size, "rmse": found, "pytorch_stepping": best,
        "seconds": seconds, "users": users, "users_per_second": speed, "ratios": ratios, "target": shape.target,
    }  # fmt: skip


def child(threads: int, sizes: tuple[int, int, int]) -> None:
    """Fit one epoch over made ratings in this process and print JSON."""
    ratings = fastcf.data.make_ratings(*sizes, random_state=SEED, n_threads=threads)
    before, start = peak_rss(), time.perf_counter()
    shape = SHAPES[0]
    model = fastcf.Autoencoder(
        shape.layers, orientation="user", activation="selu", normalize=None, input_dropout=0.0, rated_input=0.0,
        rated_output=False, reg=0.0,
        optimizer=Momentum(RATE), batch_size=shape.batch_size, n_epochs=1, random_state=SEED,
        n_threads=threads, device="cpu",
    ).fit(ratings)  # fmt: skip
    row = {
        "users": ratings.n_users, "items": ratings.n_items, "ratings": ratings.nnz, "layers": shape.layers,
        "batch_size": shape.batch_size, "seconds_epoch": model.history_[-1]["seconds"],
        "seconds_fit": time.perf_counter() - start, "train_rmse": model.history_[-1]["train_rmse"],
        "peak_bytes_before_fit": before, "peak_bytes": peak_rss(), "peak_bytes_per_rating": peak_rss() / ratings.nnz,
    }  # fmt: skip
    print(json.dumps(row))


def full(threads: int, sizes: tuple[int, ...]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--threads", str(threads), "--child", *map(str, sizes)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    print(
        f"{row['users']:,} users, {row['ratings']:,} ratings: an epoch {row['seconds_epoch']:.1f} s "
        f"({row['users'] / row['seconds_epoch']:.0f} users/s), fit {row['seconds_fit']:.1f} s; peak "
        f"{row['peak_bytes'] / 2**30:.2f} GiB = {row['peak_bytes_per_rating']:.1f} bytes per rating "
        f"({row['peak_bytes_before_fit'] / 2**30:.2f} GiB before fit)"
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="ours and PyTorch's (default 2)")
    parser.add_argument("--users", type=int, default=8_000, help="of an epoch of ours")
    parser.add_argument("--peer-batches", type=int, default=8, help="of PyTorch's, per round")
    parser.add_argument("--curve-batches", type=int, default=4, help="over which losses are compared")
    parser.add_argument("--curve-epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="also an epoch over 100 M ratings")
    parser.add_argument("--full-sizes", type=int, nargs=3, default=FULL, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.threads, tuple(arguments.child))
        return
    torch.set_num_threads(arguments.threads)
    rows = [compare(shape, arguments) for shape in SHAPES]
    payload = {"threads": arguments.threads, "items": ITEMS, "ratings_per_user": PER_USER, "shapes": rows}
    if arguments.full:
        payload["full"] = full(arguments.threads, arguments.full_sizes)
    write_json("autoencoder", payload)


if __name__ == "__main__":
    main()
