"""Merging candidate lists and cutting them to the best ten, against the same in NumPy, equal input, one process.

NumPy sorts all pairs of user and item at once, and then all scores; it uses one thread, ours is shown with one too.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from common import alternate, write_json
from fastcf import _host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, default=4, help="of each user")
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--seen", type=int, default=100)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    m, n_lists, length, n = arguments.users, arguments.lists, arguments.length, arguments.n
    rng = np.random.default_rng(0)
    size = m * n_lists * length
    items = (arguments.items * rng.random(size) ** 3).astype(np.int32)  # some items are in many lists
    list_indptr = np.arange(m * n_lists + 1, dtype=np.int64) * length
    user_indptr = np.arange(m + 1, dtype=np.int64) * n_lists
    user_lists = np.arange(m * n_lists, dtype=np.int32)
    seen = np.sort((arguments.items * rng.random((m, arguments.seen)) ** 3).astype(np.int32), axis=1)
    seen_indptr, seen_indices = np.arange(m + 1, dtype=np.int64) * arguments.seen, seen.reshape(-1)
    owners = np.repeat(np.arange(m), n_lists * length) * arguments.items
    bits = np.uint64(1) << np.tile(np.repeat(np.arange(n_lists), length), m).astype(np.uint64)
    results: dict[str, Any] = {}

    def merge(threads: int) -> Any:
        results["merged"] = _host.merge_candidates(
            list_indptr, items, None, user_indptr, user_lists, seen_indptr, seen_indices, n_threads=threads
        )
        return results["merged"]

    def numpy_merge() -> None:
        keys, inverse = np.unique(owners + items, return_inverse=True)
        found = np.zeros(keys.size, np.uint64)
        np.bitwise_or.at(found, inverse, bits)
        known = np.repeat(np.arange(m), arguments.seen) * arguments.items + seen_indices
        fresh = ~np.isin(keys, known)
        results["numpy merged"] = keys[fresh] % arguments.items, found[fresh]

    merge(1)
    indptr, merged_items, _, merged_bits = results["merged"]
    numpy_merge()
    assert np.array_equal(results["numpy merged"][0], merged_items)
    assert np.array_equal(results["numpy merged"][1], merged_bits)
    scores = rng.random(merged_items.size, dtype=np.float32)
    rows = np.repeat(np.arange(m), np.diff(indptr))

    def numpy_best() -> None:
        order = np.lexsort((-scores, rows))
        place = np.arange(order.size) - np.repeat(indptr[:-1], np.diff(indptr))
        results["numpy best"] = order[place < n]

    numpy_best()
    best = _host.top_candidates(indptr, scores, n)
    assert np.array_equal(results["numpy best"], best[best >= 0])
    seconds = alternate(
        {
            "merge": lambda: merge(arguments.threads),
            "merge, 1 thread": lambda: merge(1),
            "merge, NumPy": numpy_merge,
            "best": lambda: _host.top_candidates(indptr, scores, n, arguments.threads),
            "best, 1 thread": lambda: _host.top_candidates(indptr, scores, n, 1),
            "best, NumPy": numpy_best,
        },
        arguments.repeats,
        warmup=1,
    )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        ours = medians[name.split(",")[0]]
        print(f"{name:<16} {median * 1e3:8.1f} ms  {median / ours:6.2f} x ours")
    print("written:", write_json("candidates", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
