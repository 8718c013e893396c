r"""Ten items out of a million: exhaustive, by approximate indexes, and in two steps. Latency, throughput and recall.

Run ``python bench/bench_two_stage.py --plots docs/images``; needs usearch, hnswlib and matplotlib. All search the same
vectors in one process, with the same number of threads, a few users each in turn; how well, is counted against the
exhaustive ranking by the same scores.

The vectors are made up, but not as independent Gaussian noise, which no catalogue looks like.
Items come in 2,000 groups with Pareto-distributed sizes; the f-th of 64 factors has the scale (1 + f)^-1/2, as the
spectra of factorisations fall; an item is its group's centre plus 0.6 times a deviation of the same spectrum, times a
log-normal length (sigma 0.3), with a normal bias (sigma 0.3). A user is a mixture of three groups' centres with
Dirichlet weights plus such a deviation, and has rated 50 items of these groups, popular ones more often.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import fastcf
from common import alternate, write_json
from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TopPerGroup, TwoStageRecommender
from fastcf.scores import FactorScores, SeenItems, State

GROUPS = 2_000
GROUPS_PER_GENRE = 40
AT_A_TIME = 50  # single users in a row, before the next method has its turn

Search = Callable[[Any], np.ndarray]


def make_catalogue(n_items: int, n_users: int, k: int) -> tuple[Any, fastcf.Ratings, np.ndarray]:
    """Return a factor model, ratings and the genres of items; see above."""
    rng = np.random.default_rng(20261121)
    spectrum = (1 + np.arange(k)) ** -0.5

    def deviations(n: int) -> np.ndarray:
        return rng.standard_normal((n, k), dtype=np.float32) * spectrum.astype(np.float32)

    centres = deviations(GROUPS)
    share = rng.pareto(1.5, GROUPS) + 0.05
    share /= share.sum()
    group = np.sort(rng.choice(GROUPS, n_items, p=share))
    items = centres[group] + np.float32(0.6) * deviations(n_items)
    items *= np.exp(0.3 * rng.standard_normal((n_items, 1))).astype(np.float32)
    favourites = rng.choice(GROUPS, (n_users, 3), p=share)
    weights = rng.dirichlet(np.ones(3), n_users).astype(np.float32)
    users = np.einsum("ugk,ug->uk", centres[favourites], weights) + np.float32(0.6) * deviations(n_users)

    size = np.bincount(group, minlength=GROUPS)
    begin = np.cumsum(size) - size
    chosen = favourites[np.arange(n_users)[:, None], rng.integers(0, 3, (n_users, 50))]
    rated = begin[chosen] + (size[chosen] * rng.random(chosen.shape) ** 3).astype(np.int64)
    rated = np.minimum(rated, n_items - 1)  # an empty group at the end
    owners = np.repeat(np.arange(n_users), 50)
    values = rng.integers(1, 6, owners.size).astype(np.float32)
    times = rng.integers(0, 10**6, owners.size)
    maps = {"user_ids": fastcf.IdMap.range(n_users), "item_ids": fastcf.IdMap.range(n_items)}
    columns = owners, rated.reshape(-1), values
    ratings = fastcf.Ratings.from_coo(*columns, timestamps=times, duplicates="last", **maps)

    item_bias = (0.3 * rng.standard_normal(n_items)).astype(np.float32)
    scores = FactorScores(users, items, np.zeros(n_users, np.float32), item_bias, 3.5)
    seen = SeenItems(ratings.indptr, ratings.indices)
    model = fastcf.Recommender()
    model._state = State(ratings.users, ratings.items, seen, scores, (-100.0, 100.0), "cpu")
    return model, ratings, group // GROUPS_PER_GENRE


def one_step(retriever: NearestVectors, ef: int) -> Search:
    """Return the search of ten by an index alone, which knows nothing of seen items."""
    model, index = retriever.model, retriever.index_
    queries = np.column_stack([model.user_factors_, np.ones(len(model.users_), np.float32)])

    def search(users: Any) -> np.ndarray:
        return index.search(queries[np.atleast_1d(users)], 10, ef)[0]  # type: ignore[union-attr]  # there is an index

    return search


def recall(found: np.ndarray, best: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), best.tolist(), strict=True)]))


def latencies(searches: dict[str, Search], users: np.ndarray) -> dict[str, list[float]]:
    """Return the seconds of every single user's search, a few users of each method in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}

    def run(name: str, some: np.ndarray) -> Callable[[], None]:
        def block() -> None:
            for user in some.tolist():
                start = time.perf_counter()
                searches[name](user)
                seconds[name].append(time.perf_counter() - start)

        return block

    for search in searches.values():
        search(int(users[0]))
    for turn, some in enumerate(np.array_split(users, max(1, users.size // AT_A_TIME))):
        names = list(searches) if turn % 2 == 0 else list(searches)[::-1]
        for name in names:
            run(name, some)()
    return seconds


def plot(results: list[dict[str, Any]], title: str, path: Path) -> None:
    from fastcf.plot import plot_tradeoff

    families: dict[str, list[tuple[Any, ...]]] = {}
    for row in results:
        if row["family"] is not None:
            families.setdefault(row["family"], []).append((row["recall"], row["median_ms"], row["setting"]))
    axes = plot_tradeoff(
        families, quality="recall@10 against the exhaustive ranking", cost="median latency of one user, ms"
    )
    axes.figure.suptitle(title)
    axes.figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--single", type=int, default=1_000, help="users asked one by one")
    parser.add_argument("--repeats", type=int, default=3, help="of the batch of all users")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=128)
    parser.add_argument("--ef", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024])
    parser.add_argument("--candidates", type=int, nargs="+", default=[25, 50, 100, 200, 400, 800])
    parser.add_argument("--plots", type=Path)
    arguments = parser.parse_args()
    threads = arguments.threads
    model, ratings, genres = make_catalogue(arguments.items, arguments.users, arguments.factors)
    model.n_threads = threads
    users = ratings.users.ids
    options: dict[str, Any] = {
        "m": arguments.m, "ef_construction": arguments.ef_construction, "ef": 1, "n_threads": threads
    }  # fmt: skip
    best = {seen: model.recommend(users, 10, exclude_seen=seen).items for seen in (False, True)}

    searches: dict[str, Search] = {"exhaustive": lambda asked: model.recommend(asked, 10).items}
    families: dict[str, tuple[str | None, str, bool]] = {"exhaustive": ("exhaustive", "", True)}
    built: dict[str, float] = {}
    indexes = {}
    for library in ("usearch", "hnswlib"):
        start = time.perf_counter()
        indexes[library] = NearestVectors(model, index=library, **options).fit()
        built[library] = time.perf_counter() - start
        print(f"{library}: index built in {built[library]:.0f} s", flush=True)
        for ef in arguments.ef:
            searches[f"{library}, ef {ef}"] = one_step(indexes[library], ef)
            families[f"{library}, ef {ef}"] = (f"{library} alone, by ef", str(ef), False)
    start = time.perf_counter()
    related = RelatedItems(model, 5, 20, index="usearch", **options).fit(ratings)
    built["related items"] = time.perf_counter() - start
    others = [related, TopPerGroup((ratings.items, genres), 3, 30), Popular(100)]
    sizes: dict[str, float] = {}
    for family, more in (("nearest vectors", []), ("four retrievers", others)):
        for k in arguments.candidates:
            nearest = NearestVectors(model, k, index="usearch", **options)
            nearest.index_, nearest._indexed = indexes["usearch"].index_, indexes["usearch"]._indexed
            two_stage = TwoStageRecommender([nearest, *more], model, n_threads=threads).fit(ratings)
            name = f"two steps, {family}, {k}"
            searches[name] = lambda asked, recommender=two_stage: recommender.recommend(asked, 10).items
            families[name] = (f"two steps: {family}, by candidates of the index", str(k), True)
            sizes[name] = two_stage._merge(users[:1000], True, "")[1].size / min(1000, users.size)
    only = TwoStageRecommender(others, model, n_threads=threads).fit(ratings)
    searches["two steps, no vectors of users"] = lambda asked: only.recommend(asked, 10).items
    families["two steps, no vectors of users"] = (None, "", True)  # far to the left of the others
    sizes["two steps, no vectors of users"] = only._merge(users[:1000], True, "")[1].size / min(1000, users.size)

    with threadpool_limits(threads):
        single = latencies(searches, users[: arguments.single])
        found: dict[str, np.ndarray] = {}

        def batch(name: str) -> Callable[[], None]:
            return lambda: found.__setitem__(name, searches[name](users))

        together = alternate({name: batch(name) for name in searches}, arguments.repeats)
    results = []
    print("| | candidates | recall@10 | median, ms | p99, ms | users/s |\n|---|---|---|---|---|---|")
    for name, seconds in single.items():
        family, setting, seen = families[name]
        median, slow = (float(x) * 1e3 for x in np.percentile(seconds, [50, 99]))
        row = {
            "name": name,
            "family": family,
            "setting": setting,
            "without_seen": seen,
            "candidates": sizes.get(name),
            "recall": recall(found[name], best[seen]),
            "median_ms": median,
            "p99_ms": slow,
            "users_per_second": users.size / float(np.median(together[name])),
            "batch_seconds": together[name],
        }
        results.append(row)
        shown = f"{sizes[name]:.0f}" if name in sizes else ""
        print(
            f"| {name} | {shown} | {row['recall']:.3f} | {median:.2f} | {slow:.2f} | {row['users_per_second']:,.0f} |"
        )
    write_json("two_stage", {**vars(arguments), "built_seconds": built, "results": results})
    if arguments.plots:
        title = f"Ten of {arguments.items:,} items x {arguments.factors} factors, {threads} threads"
        plot(results, title, arguments.plots / "two-stage.png")


if __name__ == "__main__":
    main()
