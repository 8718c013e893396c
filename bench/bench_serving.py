"""Serving from one process and from several: latencies of one user's list, by rules, of neighbours; mapped models.

Latencies are of single calls on one thread, the variants in turn, so that a noisy minute hits all of them; beside them
stand the milliseconds of the processor, which other programs change less. Memory is what processes have of their own
that load the same file and answer, and their shares (PSS) of that file where it is mapped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from common import write_json
from fastcf import _cpu
from fastcf.serving import NeighbourTable, Rules

_PROCESS = """
import sys, fastcf
path, mmap, users = sys.argv[1], sys.argv[2] == "mapped", [int(user) for user in sys.argv[3].split(",")]
model = fastcf.load(path, mmap=mmap)
model.n_threads = 1
for user in users:
    model.recommend(user)
print("ready", flush=True)
sys.stdin.readline()
"""


_Times = dict[str, list[tuple[float, float]]]


def latencies(calls: dict[str, Callable[[int], Any]], n: int) -> _Times:
    """Return the milliseconds of ``n`` calls each, in turn, and the thread's; the first two rounds do not count."""
    found: _Times = {name: [] for name in calls}
    for round_ in range(-2, n):
        for name in calls if round_ % 2 == 0 else reversed(calls):
            begin, cpu = time.perf_counter(), time.thread_time()
            calls[name](round_)
            if round_ >= 0:
                found[name].append((1e3 * (time.perf_counter() - begin), 1e3 * (time.thread_time() - cpu)))
    return found


def summary(found: _Times, base: str) -> dict[str, dict[str, float]]:
    """Return p50 and p99 of each variant, and the median of its differences to ``base``, round by round."""
    table = {name: np.array(times).T for name, times in found.items()}
    return {
        name: {
            "p50_ms": round(float(np.percentile(wall, 50)), 3),
            "p99_ms": round(float(np.percentile(wall, 99)), 3),
            "fastest_ms": round(float(wall.min()), 3),
            "cpu_p50_ms": round(float(np.percentile(cpu, 50)), 3),
            "cpu_p99_ms": round(float(np.percentile(cpu, 99)), 3),
            "cpu_more_than_base_ms": round(float(np.median(cpu - table[base][1])), 3),
        }
        for name, (wall, cpu) in table.items()
    }


def lists(model: Any, ratings: Any, n_calls: int, rng: np.random.Generator) -> dict[str, Any]:
    """Measure one user's top ten, plainly and by rules."""
    items, n_items = ratings.items.ids, ratings.n_items
    out = np.sort(rng.choice(items, n_items // 10, replace=False))
    kinds = (items, rng.zipf(1.3, n_items) % 50)
    boosts = (rng.choice(items, n_items // 20, replace=False), rng.normal(0, 0.3, n_items // 20))
    of_users = (rng.choice(ratings.users.ids, 100_000), rng.choice(items, 100_000))
    rules = {
        "rules: 10 % excluded": Rules(exclude=out),
        "rules: 10 % excluded, boosts of 5 %": Rules(exclude=out, boosts=boosts),
        "rules: at most 2 of a category": Rules(categories=kinds, quotas=2),
        "rules: all, and 100,000 pairs excluded": Rules(
            exclude=out, boosts=boosts, categories=kinds, quotas=2, exclude_for=of_users
        ),
    }
    resolving = {}
    for name, each in rules.items():
        begin = time.perf_counter()
        each.prepare(model)
        resolving[name] = round(1e3 * (time.perf_counter() - begin), 2)
    users = rng.choice(ratings.users.ids, n_calls + 2).tolist()
    rated = [(0, int(item)) for item in rng.choice(items, 20, replace=False)]
    values = [4.0] * 20

    def ruled(each: Rules) -> Callable[[int], Any]:
        return lambda call: model.recommend(users[call], rules=each)

    calls: dict[str, Callable[[int], Any]] = {
        "recommend": lambda call: model.recommend(users[call]),
        **{name: ruled(each) for name, each in rules.items()},
        "history of 20 items": lambda call: model.recommend(history=(rated, values)),
    }
    alone = latencies({"recommend": calls["recommend"]}, n_calls)
    found = latencies(calls, n_calls)
    slow = latencies(
        {"recommend": calls["recommend"], "exclude= of 10 %": lambda call: model.recommend(users[call], exclude=out)},
        max(3, n_calls // 20),
    )
    return {
        "alone": summary(alone, "recommend"),
        "lists": summary(found, "recommend"),
        "without_rules": summary(slow, "recommend"),
        "resolving_rules_ms": resolving,
    }


def neighbours(model: Any, ratings: Any, n_calls: int, rng: np.random.Generator, table_items: int) -> dict[str, Any]:
    """Measure the ten nearest of one item: vectors normalised at each call, kept, and looked up in a table."""
    asked = rng.choice(ratings.items.ids, n_calls + 2).tolist()
    factors = np.ascontiguousarray(model.item_factors_)
    rows = ratings.items.rows(asked)
    few = fastcf.data.make_ratings(1_000, table_items, 20_000, random_state=0)
    small = fastcf.MatrixFactorization(model.n_factors, n_epochs=1, random_state=0).fit(few)
    begin = time.perf_counter()
    table = NeighbourTable.of(small, n=50)
    seconds = time.perf_counter() - begin
    of_table = rng.choice(few.items.ids, n_calls + 2).tolist()
    begin = time.perf_counter()
    model.similar_items(asked[0])
    first = 1e3 * (time.perf_counter() - begin)
    calls: dict[str, Callable[[int], Any]] = {
        "normalised at each call": lambda call: _cpu.nearest(
            factors[rows[call : call + 1]], factors, 10, "cosine", rows[call : call + 1], n_threads=1
        ),
        "similar_items": lambda call: model.similar_items(asked[call]),
        "NeighbourTable": lambda call: table.similar_items(of_table[call]),
    }
    found = summary(latencies(calls, n_calls), "similar_items")
    return {"similar": found, "first_similar_ms": round(first, 1), "table": {"items": table_items, "seconds": seconds}}


def shares(processes: list[Any], path: str) -> tuple[float, float]:
    """Return the megabytes of processes that are their own, and their shares (PSS) of a mapped file."""
    own = shared = 0
    for process in processes:
        inside = False
        for line in Path(f"/proc/{process.pid}/smaps").read_text(encoding="utf-8").splitlines():
            name, *rest = line.split()
            if not name.endswith(":"):
                inside = line.endswith(path)
            elif name == "Anonymous:":
                own += 1024 * int(rest[0])
            elif name == "Pss:" and inside:
                shared += 1024 * int(rest[0])
    return own / 1e6, shared / 1e6


def memory(path: str, small: str, users: list[int], n: int) -> dict[str, Any]:
    """Measure what ``n`` processes take that answer from one file, copied and mapped, and from a small one."""
    found: dict[str, Any] = {"file_mb": round(os.path.getsize(path) / 1e6, 1), "processes": n}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for kind, file in (("small", small), ("copied", path), ("mapped", path)):
        command = [sys.executable, "-c", _PROCESS, file, kind, ",".join(map(str, users))]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            for _ in range(n)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                if process.stdout.readline() != "ready\n":
                    raise SystemExit("a process that was to answer has failed")
            own, shared = shares(processes, file)
            found[kind] = {"own_mb": round(own, 1), "shares_of_file_mb": round(shared, 1)}
        finally:
            for process in processes:
                process.communicate("\n")
    for kind in ("copied", "mapped"):
        found[f"{kind}_more_than_small_mb"] = round(sum(found[kind].values()) - sum(found["small"].values()), 1)
    return found


def loading(path: str, repeats: int) -> dict[str, Any]:
    """Measure how long a model takes to load."""
    options = {"copied": {}, "mapped": {"mmap": True}, "mapped, verified": {"mmap": True, "verify": True}}

    def load(given: dict[str, Any]) -> Callable[[int], Any]:
        return lambda call: fastcf.load(path, **given)

    return summary(latencies({name: load(given) for name, given in options.items()}, repeats), "copied")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--ratings", type=int, default=2_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--table-items", type=int, default=20_000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    ratings = fastcf.data.make_ratings(arguments.users, arguments.items, arguments.ratings, random_state=0)
    model = fastcf.MatrixFactorization(arguments.factors, n_epochs=1, random_state=0).fit(ratings)
    model.n_threads = 1
    load_before = os.getloadavg()
    payload = {
        **vars(arguments),
        **lists(model, ratings, arguments.calls, rng),
        **neighbours(model, ratings, max(5, arguments.calls // 5), rng, arguments.table_items),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.fastcf")
        model.save(path)
        payload["loading"] = loading(path, 10)
        small = os.path.join(folder, "small.fastcf")
        fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0]).save(small)
        users = rng.choice(ratings.users.ids, 20).tolist()
        payload["memory"] = memory(path, small, users, arguments.processes)
    payload["load_average"] = {"before": load_before, "after": os.getloadavg()}
    for part in ("alone", "lists", "without_rules", "similar", "loading"):
        for name, figures in payload[part].items():
            print(f"{part:14} {name:40} {figures}")
    print(payload["resolving_rules_ms"], payload["first_similar_ms"], payload["table"], payload["memory"])
    write_json("serving", payload)


if __name__ == "__main__":
    main()
