"""Recall of usearch and hnswlib for inner products: as they stand, and with one more coordinate (see `VectorIndex`).

The vectors are those of fitted factorisations: of made-up ratings and, with ``bench_vector_index.py FOLDER``, of the
MovieLens-like sets in the folder. Items that nobody rated, whose vectors are 0, are left out.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_two_stage import recall
from common import write_json
from fastcf import _cpu
from fastcf.retrieval._graph import IndexSettings
from fastcf.retrieval._index import _ENGINES, VectorIndex


def problems(folder: Path | None, k: int, n_users: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a name, queries and vectors, biases included."""
    sets = {}
    for path in sorted(folder.iterdir()) if folder is not None else ():
        sets[path.name] = fastcf.data.load_movielens(path).ratings
    sets["made up"] = fastcf.data.make_ratings(10_000, 40_000, 2_000_000, random_state=0)
    for name, ratings in sets.items():
        model = fastcf.MatrixFactorization(k, random_state=0).fit(ratings)
        bias = model.item_bias_ if model.item_mean_ is None else model.item_bias_ + model.item_mean_
        queries = np.pad(model.user_factors_[:n_users], ((0, 0), (0, 1)), constant_values=1)
        vectors = np.column_stack([model.item_factors_, bias])
        vectors = vectors[model.item_factors_.any(axis=1)]
        yield f"{name}, {len(vectors):,} items", queries, vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=128)
    parser.add_argument("--ef", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    results = []
    for name, queries, vectors in problems(arguments.folder, arguments.factors, arguments.users):
        best = _cpu.topk(queries, vectors, None, arguments.n)[0]
        for library in ("usearch", "hnswlib"):
            module = importlib.import_module("usearch.index" if library == "usearch" else library)
            settings = IndexSettings(library, arguments.m, arguments.ef_construction)
            rows = np.arange(len(vectors), dtype=np.int32)
            indexes: dict[str, Any] = {
                "as they stand": _ENGINES[library](module, vectors, settings, arguments.threads, None),
                "one more coordinate": VectorIndex(
                    settings, vectors, rows, n_threads=arguments.threads, caller="bench"
                ),
            }
            for kind, index in indexes.items():
                found = {ef: recall(index.search(queries, arguments.n, ef)[0], best) for ef in arguments.ef}
                results.append({"vectors": name, "library": library, "kind": kind, "recall": found})
                shown = ", ".join(f"{value:.3f} (ef {ef})" for ef, value in found.items())
                print(f"{name:<35} {library:<8} {kind:<20} recall@{arguments.n} {shown}", flush=True)
    given = {name: value for name, value in vars(arguments).items() if name != "folder"}
    write_json("vector_index", {**given, "results": results})


if __name__ == "__main__":
    main()
