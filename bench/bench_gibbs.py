"""Gibbs sampling (solver "bayes") against myFM, the same factors and draws: seconds to fit and predict, test errors.

    python bench/bench_gibbs.py FOLDER [--threads 1]

FOLDER is a set of ratings, split as by bench_accuracy.py. 16 factors, 120 draws of which 100 are kept, for both, in
turn. myFM knows one thread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench_accuracy import matrix_factorization, myfm_regressor, split
from common import alternate, write_json
from fastcf.data import read_log
from fastcf.metrics import rmse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings")
    parser.add_argument("--threads", type=int, default=1, help="ours (default 1)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    train, test = split(read_log(arguments.folder))
    ours = matrix_factorization(solver="bayes", n_factors=16, n_threads=arguments.threads)
    errors = {}

    def run(name: str, model) -> None:
        errors[name] = rmse(test.ratings, model(train, test, 0))

    functions = {"fastcf": lambda: run("fastcf", ours), "myfm": lambda: run("myfm", myfm_regressor)}
    with threadpool_limits(1):
        seconds = alternate(functions, arguments.repeats, warmup=1)
    ratios = {
        kind: float(of(seconds["myfm"]) / of(seconds["fastcf"])) for kind, of in (("best", min), ("median", np.median))
    }
    for name, runs in seconds.items():
        print(f"{name:<8} median {np.median(runs):.3f} s, best {min(runs):.3f} s, test RMSE {errors[name]:.4f}")
    print(f"{ratios['best']:.2f} times as fast by best runs, {ratios['median']:.2f} by medians")
    payload = {
        "set": arguments.folder.name, "threads": arguments.threads, "seconds": seconds, "test_rmse": errors,
        "ratios": ratios,
    }  # fmt: skip
    write_json("gibbs", payload)


if __name__ == "__main__":
    main()
