"""From arrays of ids and ratings to compressed rows: Ratings.from_coo beside SciPy and pandas.

Ours numbers the ids, sorts by user and item, refuses duplicates and checks every value. The peers number the ids with
``numpy.unique`` or ``pandas.factorize(sort=True)``, then call ``scipy.sparse.coo_matrix(...).tocsr()`` and sort the
indices; they run on one thread, so ours is timed on one thread and on all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

from common import alternate, write_json
from fastcf import Ratings
from fastcf.ratings import ItemView

N_USERS, N_ITEMS = 71_567, 10_681  # the shape of MovieLens-10M


def make_lists(n: int) -> dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]]:
    """Return the same ratings shuffled, ordered by user, with ids far apart, and with string ids."""
    rng = np.random.default_rng(0)
    # Item popularity falls as a power, activity is log-normal; repeated pairs are dropped.
    items = np.minimum(N_ITEMS * rng.random(int(1.6 * n)) ** 2.2, N_ITEMS - 1).astype(np.int64)
    activity = np.cumsum(rng.lognormal(0.0, 1.0, N_USERS))
    users = np.searchsorted(activity, rng.random(items.size) * activity[-1])
    key = np.unique(users * N_ITEMS + items)
    key = rng.permutation(key)[:n]
    users, items = key // N_ITEMS + 1, key % N_ITEMS * 6 + 1
    values = (rng.integers(1, 11, key.size) / 2).astype(np.float32)
    order = np.argsort(key)
    few = slice(0, n // 5)
    return {
        "shuffled": (users, items, values),
        "by user": (users[order], items[order], values[order]),
        "sparse ids": (users * 1_000_003, items * 1_000_003, values),
        "strings (a fifth)": (users[few].astype("<U7"), np.char.zfill(items[few].astype("<U7"), 7), values[few]),
    }


def with_scipy(number: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]) -> Callable[..., Any]:
    def build(users: NDArray[Any], items: NDArray[Any], values: NDArray[np.float32]) -> Any:
        user_codes, user_ids = number(users)
        item_codes, item_ids = number(items)
        shape = len(user_ids), len(item_ids)
        matrix = scipy.sparse.coo_matrix((values, (user_codes.astype(np.int32), item_codes.astype(np.int32))), shape)
        matrix = matrix.tocsr()
        matrix.sort_indices()
        return matrix

    return build


def numpy_codes(ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    unique, codes = np.unique(ids, return_inverse=True)
    return codes, unique


def pandas_codes(ids: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    codes, unique = pd.factorize(ids.astype(object) if ids.dtype.kind == "U" else ids, sort=True)
    return codes, unique


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    arguments = parser.parse_args()
    results = []
    for name, data in make_lists(arguments.ratings).items():
        peers = {"numpy.unique + scipy": with_scipy(numpy_codes), "pandas.factorize + scipy": with_scipy(pandas_codes)}
        ours, theirs = Ratings.from_coo(*data), peers["numpy.unique + scipy"](*data)
        for mine, other in ((ours.indptr, theirs.indptr), (ours.indices, theirs.indices), (ours.values, theirs.data)):
            np.testing.assert_array_equal(mine, other)
        fns: dict[str, Callable[[], Any]] = {
            f"fastcf, threads={k}": lambda k=k, data=data: Ratings.from_coo(*data, n_threads=k)  # type: ignore[misc]  # mypy infers no lambda with defaults
            for k in arguments.threads
        }
        fns |= {peer: lambda build=build, data=data: build(*data) for peer, build in peers.items()}  # type: ignore[misc]  # as above
        fns["fastcf, by_item"] = lambda ours=ours: ItemView(ours.indptr, ours.indices, ours.values, ours.n_items)  # type: ignore[misc]  # as above
        fns["scipy, tocsc"] = theirs.tocsc
        seconds = alternate(fns, arguments.repeats)
        best = {label: min(times) for label, times in seconds.items()}
        mine = min(time for label, time in best.items() if label.startswith("fastcf, threads"))
        print(f"\n{name}: {data[2].size:,} ratings, {ours.n_users:,} x {ours.n_items:,}")
        for label, time in best.items():
            ratio = f"{time / mine:6.1f} x ours" if label in peers else ""
            print(f"  {label:<26} {time:7.3f} s {time / data[2].size * 1e9:7.1f} ns per rating {ratio}")
        results.append(
            {"input": name, "n": data[2].size, "shape": ours.shape, "best_seconds": best, "seconds": seconds}
        )
    print(f"\nNumPy {np.__version__}, SciPy {scipy.__version__}, pandas {pd.__version__}")
    write_json("csr", {"repeats": arguments.repeats, "results": results})


if __name__ == "__main__":
    main()
