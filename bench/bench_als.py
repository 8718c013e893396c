"""Alternating least squares: a sweep against cmfrec's (explicit ratings) and implicit's, equal threads and sparsity.

    python bench/bench_als.py                      # 10 M ratings of 71,567 x 10,681, k = 64, 2 threads
    python bench/bench_als.py --ratings 1000000 --factors 32

cmfrec solves the same problem: user and item biases, Cholesky or 3 steps of conjugate gradients; its biases have the
penalty of its factors, ours their own. Each of the two gets the penalty, of powers of 2 times a start, that is best on
validation ratings after 10 sweeps of conjugate gradients: the search goes on until both neighbours are worse. The exact
solver takes it over, its problem being the same. implicit solves the problem of implicit feedback on the same pattern,
by 3 steps of conjugate gradients. Then all are timed in turn, with 2 and with 10 sweeps; a sweep takes an eighth of the
difference of the best times. Errors are of test ratings, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_array
from threadpoolctl import threadpool_limits

import fastcf
from common import write_json

SWEEPS = (2, 10)
STEPS = 3  # of conjugate gradients


def _ours(
    train: fastcf.Ratings, test: fastcf.Ratings, k: int, threads: int, cg_steps: int | None, reg: float, sweeps: int
) -> Callable[[], float]:
    model = fastcf.MatrixFactorization(
        k, solver=fastcf.solvers.ALS(cg_steps), n_epochs=sweeps, reg=reg, random_state=0, n_threads=threads
    ).fit(train)
    return lambda: -float(model.score(test))


def _cmfrec(
    train: fastcf.Ratings, test: fastcf.Ratings, k: int, threads: int, cg_steps: int | None, reg: float, sweeps: int
) -> Callable[[], float]:
    from cmfrec import CMF

    X = coo_array((train.values.astype(np.float32), (train.row_of_entry(), train.indices)), train.shape)
    model = CMF(
        k=k, lambda_=reg, scale_lam=False, method="als", use_cg=cg_steps is not None, max_cg_steps=STEPS,
        finalize_chol=False, use_float=True, nthreads=threads, verbose=False, precompute_for_predictions=False,
        niter=sweeps,
    ).fit(X)  # fmt: skip

    def error() -> float:
        users, items = train.users.rows(test.users.ids), train.items.rows(test.items.ids)
        users, items = users[test.row_of_entry()], items[test.indices]
        known = (users >= 0) & (items >= 0)
        predicted = np.full(test.nnz, train.mean)
        predicted[known] = model.predict(users[known], items[known])
        predicted = np.clip(np.where(np.isfinite(predicted), predicted, train.mean), *train.rating_range)
        return float(fastcf.metrics.rmse(test.values, predicted))

    return error


def _implicit(train: fastcf.Ratings, k: int, threads: int, sweeps: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=k, iterations=sweeps, num_threads=threads, random_state=0)
    model.fit(train.to_scipy(), show_progress=False)


def _best_penalty(error: Callable[[float], float], start: float) -> tuple[float, dict[float, float]]:
    """Return the power of 2, times `start`, at which the error is least, and every error tried."""
    errors = {0: error(start)}
    best = 0
    while True:
        for neighbour in (best - 1, best + 1):
            if neighbour not in errors:
                errors[neighbour] = error(start * 2.0**neighbour)
        lowest = min(errors, key=errors.__getitem__)
        if lowest == best:
            return start * 2.0**best, {start * 2.0**power: errors[power] for power in sorted(errors)}
        best = lowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--factors", type=int, nargs="+", default=[64])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="als", help="name of the JSON file under bench/results")
    arguments = parser.parse_args()
    share = (arguments.ratings / 10_000_000) ** 0.5
    shape = round(71_567 * share), round(10_681 * share)
    ratings = fastcf.data.make_ratings(*shape, arguments.ratings, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    part, validation = fastcf.data.train_test_split(train, random_state=1)
    payload: dict = {"shape": shape, "ratings": train.nnz, "threads": arguments.threads, "runs": []}
    for k in arguments.factors:
        with threadpool_limits(arguments.threads):
            payload["runs"] += _compare(train, test, part, validation, k, arguments.threads, arguments.repeats)
    print("written:", write_json(arguments.name, payload))


def _compare(
    train: fastcf.Ratings, test: fastcf.Ratings, part: fastcf.Ratings, validation: fastcf.Ratings, k: int, threads: int,
    repeats: int,
) -> list[dict]:  # fmt: skip
    solvers = {"fastcf": (_ours, 1.0), "cmfrec": (_cmfrec, 20.0)}
    penalties, tried = {}, {}
    for name, (fit, start) in solvers.items():
        penalties[name], tried[name] = _best_penalty(
            lambda reg, fit=fit: fit(part, validation, k, threads, STEPS, reg, SWEEPS[1])(), start
        )
        print(f"k={k:<4} {name}: validation errors by penalty {tried[name]}", flush=True)
    runs: dict[str, Callable[[int], Callable[[], float] | None]] = {}
    for method, cg_steps in (("exact", None), ("cg", STEPS)):
        for name, (fit, _) in solvers.items():
            runs[f"{name}, {method}"] = lambda sweeps, name=name, fit=fit, cg_steps=cg_steps: fit(
                train, test, k, threads, cg_steps, penalties[name], sweeps
            )
    runs["implicit, cg"] = lambda sweeps: _implicit(train, k, threads, sweeps)
    seconds: dict[str, dict[int, list[float]]] = {name: {sweeps: [] for sweeps in SWEEPS} for name in runs}
    errors: dict[str, dict[int, float]] = {name: {} for name in runs}
    for round_ in range(repeats):
        for name in runs if round_ % 2 == 0 else reversed(runs):
            for sweeps in SWEEPS:
                start_time = time.perf_counter()
                error = runs[name](sweeps)
                seconds[name][sweeps].append(time.perf_counter() - start_time)
                if error is not None and sweeps not in errors[name]:
                    errors[name][sweeps] = error()
                time.sleep(0.3)  # threads of the one before spin for a while; they shall not do so on these cores
    results = []
    sweep_s = {
        name: (min(of[SWEEPS[1]]) - min(of[SWEEPS[0]])) / (SWEEPS[1] - SWEEPS[0]) for name, of in seconds.items()
    }
    for name in runs:
        library, method = name.split(", ")
        ratio = sweep_s[name] / sweep_s[f"fastcf, {method}"]
        fits = "; ".join(
            f"{sweeps} sweeps {min(seconds[name][sweeps]):.2f} s"
            + (f" RMSE {errors[name][sweeps]:.4f}" if sweeps in errors[name] else "")
            for sweeps in SWEEPS
        )
        print(f"k={k:<4} {name:<14} {sweep_s[name]:7.3f} s per sweep = {ratio:5.2f} x ours   {fits}", flush=True)
        results.append({
            "k": k, "name": name, "sweep_s": sweep_s[name], "times_ours": ratio, "fit_s": seconds[name],
            "test_rmse": errors[name], "penalty": penalties.get(library), "validation_rmse": tried.get(library),
        })  # fmt: skip
    return results


if __name__ == "__main__":
    main()
