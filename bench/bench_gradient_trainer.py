"""Epochs of training by gradients, for every optimiser and several batch sizes, against NumPy with SciPy.

Run ``python bench/bench_gradient_trainer.py``. The peer takes the first ``--peer-batches`` batches of the same epoch,
with Adam by row: touched rows found with ``unique`` and gathered, gradients as products of SciPy's sparse error matrix.
Times per rating are compared; ours includes shuffling. The peer uses one thread, ours ``--threads``. That both learn
the same is checked first, over an epoch of a small set.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import scipy.sparse

import fastcf
from common import alternate, write_json
from fastcf import _cpu
from fastcf.optimizers import OPTIMIZERS, as_optimizer

REG, RATE = 0.02, 0.003


class NumpyAdam:
    """Mini-batches of matrix factorisation without biases, Adam by row."""

    def __init__(self, p: np.ndarray, q: np.ndarray) -> None:
        self.sides = []
        for factors in (p, q):
            self.sides.append(
                [factors.copy(), np.zeros_like(factors), np.zeros_like(factors), np.zeros(len(factors), int)]
            )

    def step(self, users: np.ndarray, items: np.ndarray, y: np.ndarray) -> None:
        b = len(y)
        (rows_u, u), (rows_i, i) = np.unique(users, return_inverse=True), np.unique(items, return_inverse=True)
        p, q = self.sides[0][0][rows_u], self.sides[1][0][rows_i]
        e = (np.einsum("ek,ek->e", p[u], q[i]) - y) / np.float32(b)
        errors = scipy.sparse.csr_matrix((e, (u, i)), shape=(len(rows_u), len(rows_i)))
        share = np.float32(REG / b)  # of a penalty weighted by counts, each rating carries as much
        g_p = errors @ q + share * np.bincount(u)[:, None].astype(np.float32) * p
        g_q = errors.T @ p + share * np.bincount(i)[:, None].astype(np.float32) * q
        for (factors, m, v, t), rows, g in zip(self.sides, (rows_u, rows_i), (g_p, g_q), strict=True):
            t[rows] += 1
            m[rows] = first = np.float32(0.9) * m[rows] + np.float32(0.1) * g
            v[rows] = second = np.float32(0.999) * v[rows] + np.float32(0.001) * g * g
            rate = (RATE / (1 - 0.9 ** t[rows])).astype(np.float32)[:, None]
            scale = (1 / (1 - 0.999 ** t[rows])).astype(np.float32)[:, None]
            factors[rows] -= rate * first / (np.sqrt(second * scale) + np.float32(1e-8))


def make_trainer(
    data: fastcf.Ratings, p: np.ndarray, q: np.ndarray, optimizer: str, batch_size: int, threads: int
) -> Any:
    made = _cpu.GradientTrainer(
        data.indptr, data.indices, data.values, data.n_items, global_offset=data.mean, n_factors=p.shape[1], reg=REG,
        reg_exponent=1.0, user_bias=False, item_bias=False, user_bias_reg=0.0, item_bias_reg=0.0, lowest=1.0,
        highest=5.0, **as_optimizer(optimizer).constants.options, batch_size=batch_size, seed=1, n_threads=threads,
    )  # fmt: skip
    made.set_parameters(p, q)
    return made


def batches_of(data: fastcf.Ratings, trainer: Any, batch_size: int, most: int) -> list[tuple[np.ndarray, ...]]:
    """Return users, items and centred ratings of the first batches of the next epoch."""
    centred = data.values - np.float32(data.mean)
    lookup = scipy.sparse.csr_matrix((centred, data.indices, data.indptr), shape=data.shape)
    users, items, steps = trainer.order()
    batches = []
    for step in range(min(most, int(steps[-1]) + 1)):
        part = slice(step * batch_size, (step + 1) * batch_size)
        y = np.asarray(lookup[users[part], items[part]], np.float32).ravel()
        batches.append((users[part], items[part], y))
    return batches


def check() -> None:
    data = fastcf.data.make_ratings(2_000, 500, 20_000, random_state=1)
    rng = np.random.default_rng(0)
    p, q = (rng.standard_normal((n, 16), np.float32) * np.float32(0.1) for n in data.shape)
    ours, peer = make_trainer(data, p, q, "adam", 500, 1), NumpyAdam(p, q)
    for batch in batches_of(data, ours, 500, 1_000):
        peer.step(*batch)
    ours.epoch(RATE, RATE)
    learnt = np.empty_like(p), np.empty_like(q)
    ours.get_parameters(*learnt)
    for have, (want, *_) in zip(learnt, peer.sides, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=71_567)
    parser.add_argument("--items", type=int, default=10_681)
    parser.add_argument("--ratings", type=int, default=2_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-batches", type=int, default=100)
    arguments = parser.parse_args()
    k, threads = arguments.factors, arguments.threads
    check()
    data = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=1)
    rng = np.random.default_rng(20261121)
    p = rng.standard_normal((data.n_users, k), np.float32) * np.float32(0.1)
    q = rng.standard_normal((data.n_items, k), np.float32) * np.float32(0.1)
    rows = []
    for batch_size in (0, 256, 1024, 16_384):
        for optimizer in OPTIMIZERS:
            ours = make_trainer(data, p, q, optimizer, batch_size, threads)
            rate = 1e-6 if batch_size == 0 else RATE
            seconds = alternate({"epoch": lambda t=ours, r=rate: t.epoch(r, r)}, arguments.repeats, warmup=1)["epoch"]
            row: dict[str, Any] = {"batch_size": batch_size, "optimizer": optimizer, "seconds": seconds}
            line = f"batch {batch_size:>6}  {optimizer:<9} {min(seconds) * 1e3:8.1f} ms an epoch"
            if optimizer == "adam" and batch_size:
                fresh, peer = make_trainer(data, p, q, optimizer, batch_size, threads), NumpyAdam(p, q)
                batches = batches_of(data, fresh, batch_size, arguments.peer_batches)
                n = sum(len(batch[2]) for batch in batches)

                def run(peer: NumpyAdam = peer, batches: list = batches) -> None:
                    for batch in batches:
                        peer.step(*batch)

                timed = alternate({"peer": run, "epoch": lambda t=fresh: t.epoch(RATE, RATE)}, arguments.repeats)
                per_rating = min(timed["peer"]) / n
                row |= {"peer_seconds": timed["peer"], "peer_ratings": n, "beside_peer": timed["epoch"]}
                row["ratio"] = per_rating / (min(timed["epoch"]) / data.nnz)
                line += (
                    f"   numpy {per_rating * 1e9:6.0f} ns a rating, ours {min(timed['epoch']) / data.nnz * 1e9:5.0f}: "
                )
                line += f"{row['ratio']:.1f} x"
            print(line)
            rows.append(row)
    shape = {"users": data.n_users, "items": data.n_items, "ratings": data.nnz, "factors": k}
    write_json("gradient_trainer", {"shape": shape, "threads": threads, "rows": rows})


if __name__ == "__main__":
    main()
