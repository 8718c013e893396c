"""Requests to ``fastcf serve``: latencies and rates for one client and for several, and what a bare ping costs.

A client is a process with one connection, which asks one request after the other. On a machine with few cores clients
and workers share them: the ping, in the same run, says what a request costs that computes nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from common import write_json
from fastcf.serving import NeighbourTable
from serve_load import Client, Request, big_model, clients, load, memory_of, percentiles, processor_seconds, service

WARM_UP = 20  # requests of a client that are not timed


def requests_of(users: list[int], n_items: int, rng: np.random.Generator) -> dict[str, list[Request]]:
    """Return requests by what they ask for."""
    histories = rng.integers(0, n_items, (200, 20)).tolist()
    return {
        "ping": [Request("/health")],
        "recommend to a user": [Request("/recommend", {"user": user}) for user in users],
        "recommend to a history of 20": [
            Request("/recommend", {"history": [{"item": item} for item in dict.fromkeys(history)]})
            for history in histories
        ],
        "similar": [Request("/similar", {"item": item}) for item in rng.integers(0, n_items, 200).tolist()],
    }


def ask(number: int, results: Any, port: int, wires: list[bytes], seconds: float) -> None:
    """Ask for some seconds; put the seconds of each request into the queue."""
    client, took = Client(port), []
    for place in range(WARM_UP):
        client.ask(wires[place % len(wires)])
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        status, body = client.ask(wires[(len(took) + 37 * number) % len(wires)])
        took.append(time.perf_counter() - begin)
        if status != 200:
            raise RuntimeError(f"status {status}: {body!r}")
    client.close()
    results.put(took)


def measure(
    port: int, pid: int, requests: dict[str, list[Request]], n_clients: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Return latencies, rates and the server's processor time of each kind of request, the kinds in turn."""
    took: dict[str, list[float]] = {name: [] for name in requests}
    rates: dict[str, list[float]] = {name: [] for name in requests}
    busy = dict.fromkeys(requests, 0.0)
    for _ in range(rounds):
        for name, asked in requests.items():
            before = processor_seconds(pid)
            found = clients(n_clients, ask, port, [request.wire for request in asked], seconds)
            busy[name] += processor_seconds(pid) - before
            took[name] += [each for one in found for each in one]
            rates[name].append(sum(len(one) for one in found) / seconds)
    return {
        name: {
            **percentiles(took[name]),
            "per_second": round(float(np.median(rates[name])), 1),
            "processor_ms": round(1e3 * busy[name] / (len(took[name]) + rounds * n_clients * WARM_UP), 3),
            "n": len(took[name]),
        }
        for name in requests
    }


def in_process(path: Path, users: list[int], n: int = 300) -> dict[str, float]:
    """Return the latency of the call behind a request."""
    model = fastcf.load(path)
    model.set_params(n_threads=1)
    for user in users[:WARM_UP]:
        model.recommend(user)
    took, busy = [], time.process_time()
    for user in users[:n]:
        begin = time.perf_counter()
        model.recommend(user)
        took.append(time.perf_counter() - begin)
    return {**percentiles(took), "processor_ms": round(1e3 * (time.process_time() - busy) / n, 3)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--neighbours", type=int, help="per item, in a table that /similar is answered from")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=3.0, help="per kind of request and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="serve")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.fastcf"
        users = big_model(path, args.items, args.factors)
        more = ["--reload-every", "0"]
        if args.neighbours is not None:
            NeighbourTable.of(fastcf.load(path), args.neighbours).save(Path(folder) / "table.fastcf")
            more += ["--neighbours", str(Path(folder) / "table.fastcf")]
        requests = requests_of(users, args.items, np.random.default_rng(0))
        found: dict[str, Any] = {
            "items": args.items,
            "factors": args.factors,
            "neighbours": args.neighbours,
            "load_before": load(),
            "in process": in_process(path, users),
        }
        print("in process:", json.dumps(found["in process"]))
        for workers in args.workers:
            with service(path, "--workers", str(workers), *more) as (port, pid):
                for n in args.clients:
                    name = f"{workers} workers, {n} clients"
                    found[name] = measure(port, pid, requests, n, args.seconds, args.rounds)
                    for kind, figures in found[name].items():
                        print(f"{name}, {kind}: {json.dumps(figures)}")
                found[f"{workers} workers, memory in MiB"] = memory_of(pid)
        found["load_after"] = load()
    print(write_json(args.output, found))


if __name__ == "__main__":
    main()
