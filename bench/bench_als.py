"""Alternating least squares: a sweep against cmfrec's (explicit ratings) and implicit's, equal threads and sparsity.

    python bench/bench_als.py                      # 10 M ratings of 71,567 x 10,681, k = 64, 2 threads
    python bench/bench_als.py --ratings 1000000 --factors 32

cmfrec solves the same problem: user and item biases, Cholesky or 3 steps of conjugate gradients; its validation RMSE is
printed beside ours at the same number of sweeps, each with its own good penalty from a small grid. implicit solves the
problem of implicit feedback on the same pattern, by 3 steps of conjugate gradients.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

import fastcf
from common import write_json

SWEEPS = 10


def ours(train: fastcf.Ratings, test: fastcf.Ratings, k: int, threads: int, cg_steps: int | None, reg: float) -> dict:
    model = fastcf.MatrixFactorization(
        k, solver="als", n_epochs=SWEEPS, cg_steps=cg_steps, reg=reg, random_state=0, n_threads=threads
    )
    start = time.perf_counter()
    model.fit(train)
    whole = time.perf_counter() - start
    sweep = float(np.median([record["seconds"] for record in model.history_]))
    return {"sweep_s": sweep, "fit_s": whole, "rmse": -model.score(test)}


def cmfrec(train: fastcf.Ratings, test: fastcf.Ratings, k: int, threads: int, use_cg: bool, reg: float) -> dict:
    from cmfrec import CMF
    from scipy.sparse import coo_array

    X = coo_array((train.values.astype(np.float32), (train.row_of_entry(), train.indices)), train.shape)
    settings = {
        "k": k, "lambda_": reg, "scale_lam": False, "method": "als", "use_cg": use_cg, "max_cg_steps": 3,
        "finalize_chol": False, "use_float": True, "nthreads": threads, "verbose": False,
        "precompute_for_predictions": False,
    }  # fmt: skip
    seconds = {}
    for sweeps in (2, SWEEPS):
        model = CMF(niter=sweeps, **settings)
        start = time.perf_counter()
        model.fit(X)
        seconds[sweeps] = time.perf_counter() - start
    predicted = model.predict(test.row_of_entry(), test.indices)
    predicted = np.clip(np.where(np.isfinite(predicted), predicted, train.mean), *train.rating_range)
    return {
        "sweep_s": (seconds[SWEEPS] - seconds[2]) / (SWEEPS - 2), "fit_s": seconds[SWEEPS],
        "rmse": fastcf.metrics.rmse(test.values, predicted),
    }  # fmt: skip


def implicit(train: fastcf.Ratings, k: int, threads: int) -> dict:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=k, iterations=SWEEPS, num_threads=threads, random_state=0)
    times = [time.perf_counter()]
    model.fit_callback = lambda *_: times.append(time.perf_counter())
    model.fit(train.to_scipy(), show_progress=False)
    return {"sweep_s": float(np.median(np.diff(times)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--factors", type=int, nargs="+", default=[64])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="als", help="name of the JSON file under bench/results")
    arguments = parser.parse_args()
    share = (arguments.ratings / 10_000_000) ** 0.5
    shape = round(71_567 * share), round(10_681 * share)
    ratings = fastcf.data.make_ratings(*shape, arguments.ratings, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    payload: dict = {"shape": shape, "ratings": train.nnz, "threads": arguments.threads, "runs": []}
    sigma = fastcf.BiasModel().fit(train).noise_variance_ ** 0.5
    for k in arguments.factors:
        with threadpool_limits(arguments.threads):
            runs = {
                "fastcf, exact": [ours(train, test, k, arguments.threads, None, c * sigma) for c in (0.5, 1.0, 1.75)],
                "fastcf, cg": [ours(train, test, k, arguments.threads, 3, c * sigma) for c in (0.5, 1.0, 1.75)],
                "cmfrec, exact": [cmfrec(train, test, k, arguments.threads, False, reg) for reg in (10.0, 20.0)],
                "cmfrec, cg": [cmfrec(train, test, k, arguments.threads, True, reg) for reg in (10.0, 20.0)],
                "implicit, cg": [implicit(train, k, arguments.threads)],
            }
        for name, results in runs.items():
            best = min(results, key=lambda result: result.get("rmse", 0.0))
            peer = runs["fastcf, exact" if "exact" in name else "fastcf, cg"]
            ratio = best["sweep_s"] / min(result["sweep_s"] for result in peer)
            error = f"RMSE {best['rmse']:.4f} after {SWEEPS} sweeps" if "rmse" in best else ""
            print(f"k={k:<4} {name:<14} {best['sweep_s']:7.3f} s per sweep = {ratio:5.2f} x ours   {error}", flush=True)
            payload["runs"].append({"k": k, "name": name, "best": best, "all": results, "times_ours": ratio})
    print("written:", write_json(arguments.name, payload))


if __name__ == "__main__":
    main()
