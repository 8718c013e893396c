"""Optimiser steps against NumPy: whole arrays, and a thousandth of the rows.

Run ``python bench/bench_optimizer.py``. NumPy takes the dense steps in place, one array operation after another, each
in one thread; ours use ``--threads``. The step by row stands beside them for what it saves.
"""

from __future__ import annotations

import argparse

import numpy as np

from common import alternate, write_json
from fastcf import ops
from fastcf.optimizers import OPTIMIZERS, as_optimizer


def numpy_step(name: str, p: np.ndarray, g: np.ndarray, v: np.ndarray, s: np.ndarray, rate: float) -> None:
    c = as_optimizer(name).constants
    if name == "gd":
        p -= rate * g
    elif name in ("momentum", "nesterov"):
        v *= c.decay
        v -= rate * g
        p += v if name == "momentum" else c.decay * v - rate * g
    elif name == "adagrad":
        s += g * g
        p -= rate * g / (np.sqrt(s) + c.epsilon)
    elif name == "adadelta":
        s *= c.decay
        s += (1 - c.decay) * g * g
        d = g * np.sqrt((v + c.epsilon) / (s + c.epsilon))
        v *= c.decay
        v += (1 - c.decay) * d * d
        p -= rate * d
    else:
        v *= c.decay
        v += (1 - c.decay) * g
        s *= c.second_decay
        s += (1 - c.second_decay) * g * g
        p -= rate / (1 - c.decay) * v / (np.sqrt(s / (1 - c.second_decay)) + c.epsilon)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    shape, threads = (arguments.rows, arguments.columns), arguments.threads
    rng = np.random.default_rng(20261121)
    gradient = rng.standard_normal(shape, np.float32)
    rows = np.flatnonzero(rng.random(arguments.rows) < 1e-3)

    results = {}
    for name in OPTIMIZERS:
        p, v, s = rng.standard_normal(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        ours, state = ops.optimizer_step(p, gradient, optimizer=name, learning_rate=1e-3)
        numpy_step(name, p, gradient, v, s, 1e-3)
        np.testing.assert_allclose(ours, p, rtol=1e-4, atol=1e-5)
        _, by_row = ops.optimizer_step(
            ours, gradient[rows], state, optimizer=name, learning_rate=1e-3, rows=rows, copy=False
        )
        options = {"optimizer": name, "learning_rate": 1e-3, "copy": False, "n_threads": threads}

        def dense(p: np.ndarray = ours, state: ops.OptimizerState = state, options: dict = options) -> None:
            ops.optimizer_step(p, gradient, state, **options)

        def sparse(p: np.ndarray = ours, state: ops.OptimizerState = by_row, options: dict = options) -> None:
            ops.optimizer_step(p, gradient[rows], state, rows=rows, **options)

        def numpy(name: str = name, p: np.ndarray = p, v: np.ndarray = v, s: np.ndarray = s) -> None:
            numpy_step(name, p, gradient, v, s, 1e-3)

        seconds = alternate({"dense": dense, "numpy": numpy, "rows": sparse}, arguments.repeats, warmup=1)
        best = {what: min(times) for what, times in seconds.items()}
        results[name] = {"seconds": seconds, "ratio": best["numpy"] / best["dense"]}
        print(f"{name:<9} dense {best['dense'] * 1e3:7.2f} ms  numpy {best['numpy'] * 1e3:7.2f} ms "
              f"{best['numpy'] / best['dense']:5.1f} x  {len(rows)} rows {best['rows'] * 1e3:6.3f} ms")  # fmt: skip
    write_json("optimizer", {"shape": shape, "threads": threads, "rows": len(rows), "results": results})


if __name__ == "__main__":
    main()
