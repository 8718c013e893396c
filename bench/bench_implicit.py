"""Sweeps of implicit alternating least squares: ours, implicit's and irspack's, equal data, threads, factors and steps.

    python bench/bench_implicit.py                             # 1 M choices of 6,040 x 3,706, k = 64 and 128, 2 threads
    python bench/bench_implicit.py --choices 10000000 --factors 64

By conjugate gradients (3 steps a row) and exactly; from 256 factors by blocks of 64 as well. irspack minimises our
objective, with the same weights and penalties; implicit another, with one penalty for all rows and weight 1 of cells
that were not chosen: its problem has the same size and pattern, and weights in the same proportion. Each fits 2 and 10
sweeps in turn, and a sweep takes an eighth of the difference of the best times, so that setting up does not count. Then
our objective at the factors of those that minimise it, and NDCG@10 of held-out choices for all, as a check that each
has learnt.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import fastcf
from common import write_json

SWEEPS = (2, 10)
STEPS = 3  # of conjugate gradients
REG, ALL_TO_CHOICES = 0.01, 30.0

Factors = tuple[np.ndarray, np.ndarray]


def _weight(train: fastcf.Ratings) -> float:
    """Return the weight of a cell."""
    return ALL_TO_CHOICES * train.nnz / (train.n_users * train.n_items)


def _ours(train: fastcf.Ratings, k: int, threads: int, sweeps: int, solver: Any) -> Factors:
    model = fastcf.ImplicitFactorization(
        k, solver=solver, n_epochs=sweeps, reg=REG, unobserved_weight=_weight(train), random_state=0, n_threads=threads
    ).fit(train)
    return model.user_factors_ + model.mean_user_, model.item_factors_


def _implicit(train: fastcf.Ratings, k: int, threads: int, sweeps: int, cg: bool) -> Factors:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=k, iterations=sweeps, num_threads=threads, random_state=0, use_cg=cg, use_native=True,
        alpha=1 + 1 / _weight(train),
        regularization=REG * (1 + ALL_TO_CHOICES) * train.nnz / train.n_users / _weight(train),
    )  # fmt: skip
    model.cg_steps = STEPS
    model.fit(train.to_scipy(), show_progress=False)
    return model.user_factors, model.item_factors


def _irspack(train: fastcf.Ratings, k: int, threads: int, sweeps: int, method: str) -> Factors:
    from irspack.recommenders import IALSRecommender

    model = IALSRecommender(
        train.to_scipy().astype(np.float32), n_components=k, alpha0=_weight(train), reg=REG, nu=1.0,
        solver_type=method, max_cg_steps=STEPS, loss_type="IALSPP", n_threads=threads, train_epochs=sweeps,
        ialspp_subspace_dimension=64, random_seed=0,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # bars
        model.learn()
    trainer = model.trainer_as_ials.core_trainer
    return np.asarray(trainer.user), np.asarray(trainer.item)


def objective(train: fastcf.Ratings, P: np.ndarray, Q: np.ndarray) -> float:
    """Return our objective, in float64."""
    P, Q = P.astype(np.float64), Q.astype(np.float64)
    weight, rows = _weight(train), train.row_of_entry()
    chosen = sum(
        np.square(1 - np.einsum("ij,ij->i", P[rows[part]], Q[train.indices[part]])).sum()
        for part in np.array_split(np.arange(train.nnz), max(1, train.nnz // 100_000))
    )
    user_penalty = (train.user_counts() + weight * train.n_items) @ np.square(P).sum(axis=1)
    item_penalty = (train.item_counts() + weight * train.n_users) @ np.square(Q).sum(axis=1)
    return float(chosen + weight * np.vdot(P.T @ P, Q.T @ Q) + REG * (user_penalty + item_penalty))


def _ndcg(train: fastcf.Ratings, test: fastcf.Ratings, factors: Factors, threads: int) -> float:
    """Return the NDCG@10 of the lists of up to 2,000 users."""
    P, Q = factors
    users = np.intersect1d(train.users.ids, test.users.ids)[:2000]
    scores = P[train.users.rows(users)] @ Q.T
    kept = train.take(np.isin(train.row_of_entry(), train.users.rows(users)))
    place = np.full(train.n_users, -1)
    place[train.users.rows(users)] = np.arange(users.size)
    scores[place[kept.row_of_entry()], kept.indices] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :10]
    return float(fastcf.metrics.ranking(train.items.ids[best], users, test).ndcg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="libraries to leave out: implicit, irspack")
    parser.add_argument("--name", default="implicit", help="name of the JSON file under bench/results")
    arguments = parser.parse_args()
    share = (arguments.choices / 1_000_000) ** 0.5
    shape = round(6_040 * share), round(3_706 * share)
    ratings = fastcf.data.make_ratings(*shape, arguments.choices, random_state=0)
    train, test = fastcf.data.train_test_split(
        fastcf.Ratings.from_coo(*ratings.to_coo()[:2], np.ones(ratings.nnz, np.float32)), random_state=0
    )
    payload: dict[str, Any] = {**vars(arguments), "shape": shape, "nnz": train.nnz, "runs": []}
    for k in arguments.factors:
        with threadpool_limits(1 if "implicit" not in arguments.without else arguments.threads):  # implicit asks for it
            payload["runs"] += _compare(train, test, k, arguments)
    print("written:", write_json(arguments.name, payload))


def _runs(train: fastcf.Ratings, k: int, threads: int) -> dict[str, Callable[[int], Factors]]:
    cg, exact = fastcf.solvers.ConjugateGradients(STEPS), fastcf.solvers.Cholesky()
    runs: dict[str, Callable[[int], Factors]] = {
        "cg, fastcf": lambda sweeps: _ours(train, k, threads, sweeps, cg),
        "cg, implicit": lambda sweeps: _implicit(train, k, threads, sweeps, True),
        "cg, irspack": lambda sweeps: _irspack(train, k, threads, sweeps, "CG"),
        "exact, fastcf": lambda sweeps: _ours(train, k, threads, sweeps, exact),
        "exact, implicit": lambda sweeps: _implicit(train, k, threads, sweeps, False),
        "exact, irspack": lambda sweeps: _irspack(train, k, threads, sweeps, "CHOLESKY"),
    }
    if k >= 256:
        blocks = fastcf.solvers.Subspaces(64)
        runs |= {
            "blocks, fastcf": lambda sweeps: _ours(train, k, threads, sweeps, blocks),
            "blocks, irspack": lambda sweeps: _irspack(train, k, threads, sweeps, "IALSPP"),
        }
    return runs


def _compare(train: fastcf.Ratings, test: fastcf.Ratings, k: int, arguments: argparse.Namespace) -> list[dict]:
    runs = _runs(train, k, arguments.threads)
    runs = {name: run for name, run in runs.items() if name.split(", ")[1] not in arguments.without}
    seconds: dict[str, dict[int, list[float]]] = {name: {sweeps: [] for sweeps in SWEEPS} for name in runs}
    learnt: dict[str, Factors] = {}
    for run in runs.values():  # imports, and memory asked for the first time
        run(1)
    for round_ in range(arguments.repeats):
        for name in runs if round_ % 2 == 0 else reversed(runs):
            for sweeps in SWEEPS:
                started = time.perf_counter()
                learnt[name] = runs[name](sweeps)
                seconds[name][sweeps].append(time.perf_counter() - started)
                time.sleep(0.3)  # threads of the one before spin for a while; they shall not do so on these cores
    sweep_s = {
        name: (min(of[SWEEPS[1]]) - min(of[SWEEPS[0]])) / (SWEEPS[1] - SWEEPS[0]) for name, of in seconds.items()
    }
    results = []
    for name in runs:
        method, library = name.split(", ")
        ratio = sweep_s[name] / sweep_s[f"{method}, fastcf"]
        cost = None if library == "implicit" else objective(train, *learnt[name])
        ndcg = _ndcg(train, test, learnt[name], arguments.threads)
        shown = "another" if cost is None else f"{cost:.6g}"
        print(
            f"k={k:<4} {name:<17} {sweep_s[name] * 1e3:9.1f} ms a sweep  {ratio:6.2f} x ours  objective {shown:<12} "
            f"NDCG@10 {ndcg:.4f}",
            flush=True,
        )
        results.append({"k": k, "name": name, "sweep_s": sweep_s[name], "ratio": ratio, "objective": cost,
                        "ndcg": ndcg, "seconds": seconds[name]})  # fmt: skip
    return results


if __name__ == "__main__":
    main()
