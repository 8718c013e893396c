"""Effects of which ratings there are: a draw of them beside the draw of the rows, which Gibbs sampling makes anyway.

    python bench/bench_feature_effects.py [--factors 32] [--threads 1]

Made-up ratings; both ops on the same ones, users' side, in turn. Seconds of the processor.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import fastcf
from common import alternate, write_json
from fastcf import _cpu, _host
from fastcf.models.factorization.row_effects import RowFeatures, Side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--ratings", type=int, default=300_000)
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    ratings = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=0)
    by_item, k, d = ratings.by_item(), arguments.factors, arguments.factors + 1
    users = Side((ratings.indptr, ratings.indices, ratings.values), ratings.row_of_entry(), None)
    items = Side((by_item.indptr, by_item.indices, by_item.values), ratings.indices[by_item.entries], None)
    features = RowFeatures.rated(users, items)
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    P, Q, b = 0.2 * normal(ratings.n_users, k), 0.2 * normal(ratings.n_items, k), np.zeros(ratings.n_users, np.float32)
    effects, residuals = np.zeros((d, ratings.n_items), np.float32), ratings.values - ratings.values.mean()
    noise, row_noise, prior = normal(d, ratings.n_items), normal(ratings.n_users, d), np.eye(d, dtype=np.float32) * d
    mean, n_threads = np.zeros(d, np.float32), arguments.threads
    functions = {
        "feature_effects": lambda: _host.feature_effects(
            *users.csr[:2], Q, *features, effects, residuals, P, b, prior=prior, noise=noise, n_threads=n_threads
        ),
        "als_update": lambda: _cpu.als_update(
            *users.csr, Q, P.copy(), b.copy(), prior=prior, prior_mean=mean, noise=row_noise, n_threads=n_threads
        ),
        "predict_pairs": lambda: _cpu.predict_pairs(users.rows, users.csr[1], P, Q, b, None, n_threads=n_threads),
    }
    seconds = alternate(functions, arguments.repeats, warmup=1, clock=time.process_time)
    best = {name: min(runs) for name, runs in seconds.items()}
    for name, fastest in best.items():
        per_entry = fastest / (ratings.nnz * d) * 1e9
        print(f"{name:<16} {fastest * 1e3:8.2f} ms  {per_entry:6.2f} ns per rating and factor")
    ratio = best["feature_effects"] / best["als_update"]
    print(f"feature_effects takes {ratio:.2f} times the draw of the rows")
    write_json("feature_effects", {**vars(arguments), "seconds": seconds, "best": best, "ratio": ratio})


if __name__ == "__main__":
    main()
