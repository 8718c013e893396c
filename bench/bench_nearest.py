"""Nearest neighbours of items by cosine against implicit's and scikit-learn's exact search, equal threads."""

from __future__ import annotations

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from common import alternate, write_json
from fastcf import _cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    from implicit.cpu.als import AlternatingLeastSquares
    from sklearn.neighbors import NearestNeighbors

    factors = np.random.default_rng(0).standard_normal((arguments.items, arguments.factors), dtype=np.float32)
    rows = np.arange(arguments.queries, dtype=np.int32)
    queries = factors[: arguments.queries]
    model = AlternatingLeastSquares(factors=arguments.factors, num_threads=arguments.threads)
    model.item_factors = factors
    search = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(factors)
    found = {}

    def ours() -> None:
        found["fastcf"] = _cpu.nearest(queries, factors, 10, "cosine", query_rows=rows, n_threads=arguments.threads)[0]

    def implicit() -> None:
        found["implicit"] = model.similar_items(rows, N=11)[0][:, 1:]

    def sklearn() -> None:
        found["scikit-learn"] = search.kneighbors(queries, return_distance=False)[:, 1:]

    with threadpool_limits(arguments.threads):
        seconds = alternate(
            {"fastcf": ours, "implicit": implicit, "scikit-learn": sklearn}, arguments.repeats, warmup=1
        )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    same = {name: float((ids == found["fastcf"]).mean()) for name, ids in found.items()}
    for name, median in medians.items():
        print(f"{name:<13} {median:7.3f} s   {median / medians['fastcf']:5.1f} x ours   {same[name]:.2%} the same ids")
    flops = 2 * arguments.items * arguments.queries * arguments.factors
    print(f"ours: {flops / medians['fastcf'] / 1e9:.0f} GFLOP/s")
    payload = {**vars(arguments), "seconds": seconds, "median": medians, "same_ids": same}
    print("written:", write_json("nearest", payload))


if __name__ == "__main__":
    main()
