"""Recall of usearch and hnswlib for inner products: as they stand, and with one more coordinate (see `VectorIndex`).

The catalogue is that of `bench_two_stage.py`, smaller; in a second round a third of the items have the vector 0, as
those that nobody rated have after training.
"""

from __future__ import annotations

import argparse
import importlib
import time
from typing import Any

import numpy as np

from bench_two_stage import make_catalogue, recall
from common import write_json
from fastcf import _cpu
from fastcf.retrieval._index import _ENGINES, VectorIndex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=128)
    parser.add_argument("--ef", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    model, _, _ = make_catalogue(arguments.items, arguments.users, arguments.factors)
    queries = np.column_stack([model.user_factors_, np.ones(arguments.users, np.float32)])
    vectors = np.column_stack([model.item_factors_, model.item_bias_])
    options: dict[str, Any] = {"m": arguments.m, "ef_construction": arguments.ef_construction}
    options["n_threads"] = arguments.threads
    results = []
    for unrated in (0, arguments.items // 3):
        rows = vectors.copy()
        rows[np.random.default_rng(0).permutation(arguments.items)[:unrated]] = 0
        best = _cpu.topk(queries, rows, None, arguments.n)[0]
        for library in ("usearch", "hnswlib"):
            module = importlib.import_module("usearch.index" if library == "usearch" else library)
            for lengthened in (False, True):
                start = time.perf_counter()
                if lengthened:
                    index: Any = VectorIndex(library, rows, **options, caller="bench")
                else:
                    index = _ENGINES[library](module, rows, *options.values())
                built = time.perf_counter() - start
                found = {ef: recall(index.search(queries, arguments.n, ef)[0], best) for ef in arguments.ef}
                row = {"library": library, "unrated": unrated, "lengthened": lengthened, "built_seconds": built}
                results.append({**row, "recall": found})
                shown = ", ".join(f"{value:.3f} (ef {ef})" for ef, value in found.items())
                kind = "one more coordinate" if lengthened else "as they stand"
                print(
                    f"{library:<8} {unrated:>7,} unrated, {kind:<20} built in {built:5.1f} s, recall {shown}",
                    flush=True,
                )
    print("written:", write_json("vector_index", {**vars(arguments), "results": results}))


if __name__ == "__main__":
    main()
