"""An epoch of the autoencoder of choices against the same network as a dense PyTorch module.

    python bench/bench_autoencoder_choices.py [--threads 2] [--users 6040 --items 3706 --choices 575000]

Made-up choices of MovieLens 1M's size (ratings of at least 4), by user; tanh, Adam, all items in the softmax, nothing
dropped, the same first weights and the same order of rows for both. In turn, ours runs an epoch and the peer its first
``--peer-batches`` batches; both include what makes batches of rows. The costs of the first epoch's batches must agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastcf
from common import alternate, write_json
from fastcf import _cpu
from fastcf._backend import resolve_device, single_threaded_blas
from fastcf.models.autoencoder.network import Architecture, Parameters, draw_parameters
from fastcf.models.autoencoder.rows import choice_scale
from fastcf.optimizers import Adam
from fastcf.scores import Compute
from torch_autoencoder import DenseAutoencoder, DenseBatches, multinomial_cost, parameter_groups

RATE, SEED = 1e-3, 1


class Peer:
    """The dense network, PyTorch's fused Adam and its batches."""

    def __init__(self, data: Any, parameters: Parameters, layers: tuple[int, ...], batch_size: int) -> None:
        self.model = DenseAutoencoder(parameters, layers, "tanh")
        self._optimizer = torch.optim.Adam(parameter_groups(self.model, 0.0), lr=RATE, fused=True)
        self._batches = DenseBatches(*data, batch_size)

    def step(self, rows: np.ndarray) -> float:
        """Take a step; return the sum of the costs before it."""
        x, mask, _ = self._batches(rows)
        self._optimizer.zero_grad()
        loss = multinomial_cost(self.model(x), mask)
        loss.backward()
        self._optimizer.step()
        return loss.item() * len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="ours and PyTorch's (default 2)")
    parser.add_argument("--users", type=int, default=6_040)
    parser.add_argument("--items", type=int, default=3_706)
    parser.add_argument("--choices", type=int, default=575_000)
    parser.add_argument("--layers", type=int, nargs="+", default=(200,))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--peer-batches", type=int, default=12, help="of PyTorch's, per round")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
    from reference_autoencoder import shuffled  # the order of an epoch's rows

    torch.set_num_threads(arguments.threads)
    layers, batch_size = tuple(arguments.layers), arguments.batch_size
    made = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.choices, random_state=SEED)
    csr = made.indptr, made.indices, np.ones(made.nnz, np.float32)
    scale = choice_scale(made.n_users, made.n_items)
    inputs = scale.normalised(csr, scale.rows)
    compute = Compute(resolve_device("cpu", "bench").module, 0)
    parameters = draw_parameters(
        Architecture(layers, "tanh", "identity", False, 0.0), made.n_items, "small", 1.0, SEED, compute
    )

    def trainer() -> Any:
        native = _cpu.AutoencoderTrainer(
            made.indptr, made.indices, inputs, csr[2], made.n_items, layers=list(layers), activation="tanh",
            output_activation="identity", tied=False, cost="multinomial", **Adam().constants.options,
            batch_size=batch_size, lowest=0.0, highest=1.0, seed=SEED, n_threads=arguments.threads,
        )  # fmt: skip
        native.set_parameters(parameters)
        return native

    data = made.indptr, made.indices, inputs, made.n_items
    order = shuffled(made.n_users, SEED, 0)
    rows = [order[begin : begin + batch_size] for begin in range(0, made.n_users, batch_size)]
    first, peer = trainer(), Peer(data, parameters, layers, batch_size)
    with single_threaded_blas():  # PyTorch's is not SciPy's
        costs = first.epoch(RATE) / made.n_users, sum(peer.step(part) for part in rows) / made.n_users
    print(f"cost of the first epoch: fastcf {costs[0]:.3f}, PyTorch {costs[1]:.3f}")
    np.testing.assert_allclose(*costs, rtol=1e-3)
    native, part = trainer(), rows[: arguments.peer_batches]

    def run_ours() -> None:
        with single_threaded_blas():
            native.epoch(RATE)

    seconds = alternate(
        {"fastcf": run_ours, "pytorch": lambda: [peer.step(one) for one in part]}, arguments.repeats, warmup=1
    )
    users = {"fastcf": made.n_users, "pytorch": sum(map(len, part))}
    speed = {name: users[name] / float(np.median(runs)) for name, runs in seconds.items()}
    print(f"users/s by medians: fastcf {speed['fastcf']:.0f}, PyTorch {speed['pytorch']:.0f}; ratio "
          f"{speed['fastcf'] / speed['pytorch']:.2f}")  # fmt: skip
    result = {**vars(arguments), "layers": layers, "costs": costs, "seconds": seconds, "users_per_second": speed}
    print("written:", write_json("autoencoder_choices", result))


if __name__ == "__main__":
    main()
