"""Files of retrievers with an approximate index: time to load one against time to build the index, and its size.

A factorisation of made-up ratings, whose items are indexed by usearch and hnswlib. A file holds the model and the
graph; loading checks both and hands the graph to the library.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import fastcf
from common import write_json
from fastcf.retrieval import NearestVectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--ratings", type=int, default=4_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    ratings = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=0)
    model = fastcf.MatrixFactorization(arguments.factors, n_epochs=5, random_state=0).fit(ratings)
    asked = ratings.users.ids[:1_000]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        model.save(path, include_seen=False)
        alone = path.stat().st_size / 2**20
        for library in ("usearch", "hnswlib"):
            started = time.perf_counter()
            retriever = NearestVectors(model, 100, index=library, n_threads=arguments.threads).fit()
            built = time.perf_counter() - started
            started = time.perf_counter()
            retriever.save(path)
            saved = time.perf_counter() - started
            started = time.perf_counter()
            loaded = fastcf.load(path)
            load = time.perf_counter() - started
            np.testing.assert_array_equal(retriever.retrieve(asked).indices, loaded.retrieve(asked).indices)
            sizes = {"model_mib": alone, "file_mib": path.stat().st_size / 2**20}
            times = {"build_s": built, "save_s": saved, "load_s": load, "load_of_build": load / built}
            results.append({"library": library, **times, **sizes})
            print(
                ", ".join(
                    f"{name} {value:.3g}" if isinstance(value, float) else value for name, value in results[-1].items()
                ),
                flush=True,
            )
    write_json("index_files", {**vars(arguments), "results": results})


if __name__ == "__main__":
    main()
