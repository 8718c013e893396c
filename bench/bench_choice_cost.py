"""The cost of choices beside drawn items and its gradient, against the same in NumPy.

The peer gathers the rows of users and items and multiplies them by ``einsum``; both compute in float32, in turn, in one
process. A recorded cost is the cost alone.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from common import write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, default=65_536)
    parser.add_argument("--drawn", type=int, default=4)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    n, k = arguments.choices, arguments.factors
    random = np.random.default_rng(0)
    users, items = random.integers(0, 6_000, n).astype(np.int32), random.integers(0, 4_000, n).astype(np.int32)
    drawn = random.integers(0, 4_000, (n, arguments.drawn)).astype(np.int32)
    P, Q = (random.normal(0, 0.3, (rows, k)).astype(np.float32) for rows in (6_000, 4_000))
    ones, data = np.ones(4_000, np.float32), (users, items, drawn, np.ones(n, np.float32))
    gradients = {"user_gradient": np.empty_like(P), "item_gradient": np.empty_like(Q)}

    def numpy_cost() -> float:
        own = np.einsum("nk,nk->n", P[users], Q[items])
        other = np.einsum("nk,nmk->nm", P[users], Q[drawn])
        return float(np.logaddexp(0, other - own[:, None]).sum())

    contestants = {
        "NumPy cost": numpy_cost,
        "cost": lambda: _cpu.choice_cost(*data, ones, P, Q, cost="bpr", n_threads=arguments.threads),
        "cost and gradient": lambda: _cpu.choice_cost(
            *data, ones, P, Q, cost="bpr", n_threads=arguments.threads, **gradients
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    found = {name: float(np.median(values)) for name, values in seconds.items()}
    for name, value in found.items():
        print(f"{name}: {value / n * 1e9:.0f} ns a choice, {found['NumPy cost'] / value:.1f} x NumPy's cost")
    write_json("choice_cost", {"settings": vars(arguments), "seconds": found})


if __name__ == "__main__":
    main()
