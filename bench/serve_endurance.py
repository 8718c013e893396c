"""Serve under load while the model is replaced every few seconds, and check every answer.

Several models are saved beforehand, and each is served alone to record its answers. While clients then ask several
workers, the served file is replaced by one model after the other. Every request must be answered; every answer must be,
as a whole, the one recorded of the version that it names; the memory of the workers must stay what it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from common import write_json
from fastcf.serialization import load_archive
from serve_load import Client, Request, clients, load, memory_of, percentiles, service

MODELS = 4
REQUESTS = 40  # of each kind


def save_models(folder: Path, n_items: int, n_factors: int) -> list[Path]:
    """Save models that differ in everything but their size, with titles of their own."""
    paths = []
    for version in range(MODELS):
        ratings = fastcf.data.make_ratings(2_000, n_items, 3 * n_items, random_state=version)
        model = fastcf.MatrixFactorization(n_factors, n_epochs=1, reg=0.1, random_state=version).fit(ratings)
        paths.append(folder / f"version-{version}.fastcf")
        titles = np.array([f"Film {item} of version {version}" for item in model.items_.ids])
        model.save(paths[-1], extra_arrays={"item_titles": titles})
    return paths


def requests_of(n_items: int, rng: np.random.Generator) -> list[Request]:
    """Return requests of every kind."""
    found = []
    for _ in range(REQUESTS):
        users, items = rng.integers(0, 2_500, 5).tolist(), rng.choice(n_items, 8, replace=False).tolist()
        history = [{"item": item, "rating": float(1 + item % 5)} for item in items]
        found += [
            Request("/recommend", {"user": users[0]}),
            Request("/recommend", {"history": history, "n": 20}),
            Request("/batch", {"users": users, "n": 5}),
            Request("/similar", {"item": items[0]}),
            Request("/predict", {"user": users[1], "items": items}),
            Request("/explain", {"history": history, "item": users[0]}),
            Request(f"/search?words=film+{items[1] % 100}&n=5"),
        ]
    return found


def without_version(body: bytes) -> tuple[str, Any]:
    """Return the version that an answer names, and the rest of it."""
    answer = json.loads(body)
    return answer.pop("version"), answer


def expected(paths: list[Path], requests: list[Request]) -> dict[str, list[Any]]:
    """Return what each version answers to each request, asked where nothing is ever replaced."""
    known: dict[str, list[Any]] = {}
    for path in paths:
        version = load_archive(path).digest
        with service(path, "--reload-every", "0", "--no-page") as (port, _):
            client = Client(port)
            answers = [without_version(client.ask(request.wire)[1]) for request in requests]
            client.close()
        assert {named for named, _ in answers} == {version}
        known[version] = [answer for _, answer in answers]
    return known


def ask(number: int, results: Any, port: int, requests: list[Request], known: dict[str, list[Any]], end: float) -> None:
    """Ask until a moment; put into the queue what went wrong, and how long answers took."""
    client, rng = Client(port), np.random.default_rng(number)
    found: dict[str, Any] = {"failed": [], "mixed": [], "seconds": [], "versions": {}}
    wires = [request.wire for request in requests]
    while time.time() < end:
        which = int(rng.integers(len(wires)))
        begin = time.perf_counter()
        try:
            status, body = client.ask(wires[which])
        except (OSError, ValueError) as error:
            found["failed"].append(f"{requests[which]}: {error!r}")
            client.close()
            continue
        found["seconds"].append(time.perf_counter() - begin)
        if status != 200:
            found["failed"].append(f"{requests[which]}: {status} {body[:200]!r}")
            continue
        version, answer = without_version(body)
        found["versions"][version] = found["versions"].get(version, 0) + 1
        if version not in known or known[version][which] != answer:
            found["mixed"].append(f"{requests[which]}: {version}, {body[:200]!r}")
    client.close()
    results.put(found)


def replace_every(paths: list[Path], served: Path, seconds: float, stop: threading.Event) -> int:
    """Replace the served file by one model after the other until told to stop; return how often."""
    times = 0
    while not stop.wait(seconds):
        times += 1
        copied = served.with_name("next.fastcf")
        shutil.copyfile(paths[times % len(paths)], copied)
        os.replace(copied, served)
    return times


def main() -> None:
    """Run, print and write; the exit code is 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--replace-every", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--output", default="serve_endurance")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = save_models(folder, args.items, args.factors)
        requests = requests_of(args.items, np.random.default_rng(0))
        known = expected(paths, requests)
        served = folder / "served.fastcf"
        shutil.copyfile(paths[0], served)
        with service(served, "--workers", str(args.workers), "--reload-every", "0.5", "--no-page") as (port, pid):
            stop, times = threading.Event(), []
            memory: list[tuple[float, float]] = []
            begin = time.time()

            def watch() -> None:
                while not stop.wait(min(5.0, 2 * args.minutes)):
                    memory.append((time.time() - begin, memory_of(pid)["Pss"]))

            replacing = threading.Thread(
                target=lambda: times.append(replace_every(paths, served, args.replace_every, stop))
            )
            watching = threading.Thread(target=watch)
            replacing.start()
            watching.start()
            end = begin + 60 * args.minutes
            found = clients(args.clients, ask, port, requests, known, end)
            stop.set()
            replacing.join()
            watching.join()
            counters = Client(port).ask(Request("/metrics").wire)[1].decode()
    reloads = [line for line in counters.splitlines() if line.startswith("fastcf_reloads_total")]
    late = [pss for at, pss in memory if at > 0.2 * 60 * args.minutes]
    half = len(late) // 2
    versions: dict[str, int] = {}
    for one in found:
        for version, count in one["versions"].items():
            versions[version] = versions.get(version, 0) + count
    failed, mixed = ([each for one in found for each in one[what]] for what in ("failed", "mixed"))
    result = {
        "minutes": args.minutes,
        "items": args.items,
        "factors": args.factors,
        "workers": args.workers,
        "clients": args.clients,
        "replacements": times[0],
        "requests": sum(len(one["seconds"]) for one in found),
        "failed": len(failed),
        "mixed": len(mixed),
        "examples": (failed + mixed)[:5],
        "answers_by_version": versions,
        "reloads": reloads,
        **percentiles([each for one in found for each in one["seconds"]]),
        "memory_mib": {
            "median_of_first_half": float(np.median(late[:half])),
            "median_of_second_half": float(np.median(late[half:])),
            "most": max(pss for _, pss in memory),
            "by_second": [(round(at), pss) for at, pss in memory],
        },
        "load": load(),
    }
    print(json.dumps({name: value for name, value in result.items() if name != "memory_mib"}, indent=1))
    print({name: value for name, value in result["memory_mib"].items() if name != "by_second"})
    print(write_json(args.output, result))
    raise SystemExit(bool(failed or mixed or len(versions) < min(MODELS, times[0])))


if __name__ == "__main__":
    main()
