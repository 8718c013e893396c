"""All measures of 100,000 lists of 100 items at two lengths, against the same in NumPy, equal input, one process."""

from __future__ import annotations

import argparse

import numpy as np

import fastcf
from common import alternate, write_json
from fastcf import _host


def numpy_measures(users: np.ndarray, items: np.ndarray, relevant: fastcf.Ratings, k: int) -> np.ndarray:
    """Return the measures of the first ``k`` places, whole arrays at a time."""
    items = items[:, :k]
    keys = relevant.row_of_entry().astype(np.int64) * relevant.n_items + relevant.indices
    wanted = users[:, None].astype(np.int64) * relevant.n_items + items
    places = np.searchsorted(keys, wanted).clip(max=keys.size - 1)
    hits = (keys[places] == wanted) & (items >= 0)
    ordered = np.sort(items, axis=1)
    assert not ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()
    owners = relevant.row_of_entry()
    order = np.lexsort((-relevant.values, owners))
    rank = np.arange(relevant.nnz) - relevant.indptr[owners]
    best = np.zeros((relevant.n_users, k))
    best[owners[rank < k], rank[rank < k]] = relevant.values[order][rank < k]
    place = np.arange(1, k + 1)
    discount = 1 / np.log2(1 + place)
    n = relevant.user_counts()[users]
    most, found = np.minimum(n, k), hits.sum(axis=1)
    fields = (
        found / k,
        found / n,
        found / most,
        found > 0,
        np.where(found > 0, 1 / (1 + hits.argmax(axis=1)), 0.0),
        (hits * hits.cumsum(axis=1) / place).sum(axis=1) / most,
        hits @ discount / discount.cumsum()[most - 1],
        np.where(hits, relevant.values[places], 0.0) @ discount / (best @ discount)[users],
    )
    return np.stack([np.asarray(field, np.float64) for field in fields])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--relevant", type=int, default=10, help="of each user")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    m, n, length = arguments.users, arguments.items, arguments.length
    rng = np.random.default_rng(0)
    keys = np.unique(np.repeat(np.arange(m), arguments.relevant) * n + rng.integers(0, n, m * arguments.relevant))
    relevant = fastcf.Ratings.from_coo(keys // n, keys % n, rng.integers(1, 6, keys.size).astype(np.float32))
    block = relevant.n_items // length  # an item of each block: distinct
    lists = rng.integers(0, block, (m, length)) + np.arange(length) * block
    lists = rng.permuted(lists.astype(np.int32), axis=1)
    users = np.arange(m, dtype=np.int32)
    lengths = np.array([10, length])
    arrays = users, lists, relevant.indptr, relevant.indices, relevant.values, lengths

    got = _host.list_measures(*arrays)[0]
    for fields, k in zip(got, lengths, strict=True):
        np.testing.assert_allclose(fields, numpy_measures(users, lists, relevant, k), rtol=1e-9)
    seconds = alternate(
        {
            "ours": lambda: _host.list_measures(*arrays, n_threads=arguments.threads),
            "ours, 1 thread": lambda: _host.list_measures(*arrays, n_threads=1),
            "NumPy": lambda: [numpy_measures(users, lists, relevant, k) for k in lengths],
        },
        arguments.repeats,
    )
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:<16} {median * 1e3:8.1f} ms  {median / medians['ours']:6.2f} x ours")
    print("written:", write_json("list_measures", {**vars(arguments), "seconds": seconds, "median": medians}))


if __name__ == "__main__":
    main()
