"""The autoencoder's part of gpu.py: losses beside the CPU's, and users per second beside PyTorch's on the same GPU."""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np

import fastcf
from fastcf._backend import resolve_device, single_threaded_blas
from fastcf.models.autoencoder.network import Architecture, draw_parameters
from fastcf.optimizers import Momentum
from fastcf.scores import Compute

__all__ = ["autoencoders"]

RATE, SEED, PER_USER = 0.005, 1, 209
SHAPES = (((128, 256, 256), 32), ((128, 256, 256), 4096), ((512, 512, 1024), 4096))
TINY = (((8, 6), 16),)


def autoencoders(bench: Any, close: Any) -> list[dict[str, Any]]:
    """Train by user on Netflix-shaped rows; ``bench`` and ``close`` are gpu.py's."""
    n_users, n_items = (48, 60) if bench.emulated else (50_000, 17_770)
    n_ratings = n_users * (12 if bench.emulated else PER_USER)
    ratings = fastcf.data.make_ratings(n_users, n_items, n_ratings, random_state=SEED)
    return [epochs(bench, close, ratings, *shape) for shape in (TINY if bench.emulated else SHAPES)]


def epochs(bench: Any, close: Any, ratings: Any, layers: tuple[int, ...], batch_size: int) -> dict[str, Any]:
    """Compare two epochs' losses with the CPU's on the first rows, and time epochs of all."""
    label = f"autoencoder {'-'.join(map(str, layers))}, batches of {batch_size}"
    few = min(ratings.n_users, 2 * batch_size)
    part = ratings.take(np.arange(ratings.indptr[few]))
    losses = {}
    for name, module in (("cpu", importlib.import_module("fastcf._cpu")), ("gpu", bench.module)):
        trainer = trainer_of(module, part, layers, batch_size)
        with single_threaded_blas():
            losses[name] = [trainer.epoch(RATE) for _ in range(2)]
    close(f"{label}, losses", losses["gpu"], losses["cpu"], 1e-3)
    if bench.emulated:
        return {"label": label}
    trainer = trainer_of(bench.module, ratings, layers, batch_size)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        trainer.epoch(RATE)  # its losses are downloaded: nothing is left to wait for
        seconds.append(time.perf_counter() - start)
    ours = ratings.n_users / float(np.median(seconds[1:]))
    peer = torch_users_per_second(bench, ratings, layers, batch_size)
    print(f"  {label}: {ours:,.0f} users/s, PyTorch {peer:,.0f}: {ours / peer:.1f} times")
    return {"label": label, "users_per_second": ours, "torch_users_per_second": peer, "ratio": ours / peer}


def first_parameters(ratings: Any, layers: tuple[int, ...]) -> Any:
    squares = float(np.vdot(ratings.values, ratings.values)) / ratings.n_users
    compute = Compute(resolve_device("cpu", "gpu").module, 0)
    architecture = Architecture(tuple(layers), "selu", "identity", False, 0.0)
    return draw_parameters(architecture, ratings.n_items, "lecun", squares, SEED, compute)


def trainer_of(module: Any, ratings: Any, layers: tuple[int, ...], batch_size: int) -> Any:
    trainer = module.AutoencoderTrainer(
        ratings.indptr, ratings.indices, ratings.values, ratings.values, ratings.n_items, layers=list(layers),
        activation="selu", output_activation="identity", tied=False, **Momentum().constants.options,
        batch_size=batch_size, lowest=1.0, highest=5.0, seed=SEED,
    )  # fmt: skip
    trainer.set_parameters(first_parameters(ratings, layers))
    return trainer


def torch_users_per_second(bench: Any, ratings: Any, layers: tuple[int, ...], batch_size: int) -> float:
    """Time steps of the dense network; rows lie on the GPU, a batch is scattered there."""
    from torch_autoencoder import DenseAutoencoder, masked_mse, parameter_groups

    torch = bench.torch
    model = DenseAutoencoder(first_parameters(ratings, layers), layers, "selu").cuda()
    optimizer = torch.optim.SGD(parameter_groups(model, 0.0), lr=RATE, momentum=0.9, fused=True)
    indptr, columns, values = (
        torch.from_numpy(np.ascontiguousarray(array)).cuda()
        for array in (ratings.indptr, ratings.indices, ratings.values)
    )
    order = torch.randperm(ratings.n_users, device="cuda")
    batches = order.split(batch_size)[:40]

    def step(rows: Any) -> None:
        lengths = indptr[rows + 1] - indptr[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows), device="cuda"), lengths)
        before = torch.cumsum(lengths, 0) - lengths
        entries = torch.arange(int(lengths.sum()), device="cuda") + (indptr[rows] - before)[owner]
        x, mask = torch.zeros(2, len(rows), ratings.n_items, device="cuda")
        x[owner, columns[entries].long()] = values[entries]
        mask[owner, columns[entries].long()] = 1
        optimizer.zero_grad()
        masked_mse(model(x), x, mask, len(entries)).backward()
        optimizer.step()

    def run() -> None:
        for rows in batches:
            step(rows)

    return sum(map(len, batches)) / float(bench.seconds(run, 3))
