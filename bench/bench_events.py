"""Event logs to strengths of users and items: load_events beside the group-by of Polars and of DuckDB.

All sum strengths that halve every 30 days, take the last time of each pair, and put pairs in order of user and item;
the results are compared. Two shapes of a log: in one pairs repeat, in the other hardly any does. The log is an Arrow
table of integers and a dictionary of event names. Peak memory is measured in a process each, above what was resident
before (the table); load_events is also given a stream that makes its batches as they are read, so that nothing else is
in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
os.environ.setdefault("POLARS_MAX_THREADS", str(THREADS))  # Polars reads it once, when it is imported: hence E402

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import pyarrow as pa  # noqa: E402

from common import alternate, write_json  # noqa: E402
from fastcf.data import load_events  # noqa: E402

DAY = 86_400
HALF_LIFE = 30 * DAY
WEIGHTS = {"view": 1.0, "cart": 3.0, "buy": 5.0}
SHAPES = {"pairs repeat": (100_000, 20_000, 30), "pairs are new": (200_000, 50_000, 0)}
BATCH = 1_000_000


def batches(shape: str, n: int) -> Iterator[pa.RecordBatch]:
    """Make the log, batch by batch: popular items, active users, and where pairs repeat, a few items per user."""
    n_users, n_items, own = SHAPES[shape]
    for begin in range(0, n, BATCH):
        rng = np.random.default_rng(begin)
        size = min(BATCH, n - begin)
        users = (n_users * rng.random(size) ** 1.5).astype(np.int32)
        items = (n_items * rng.random(size) ** 2).astype(np.int64)
        if own:
            items = (users.astype(np.int64) * 7919 + rng.integers(0, own, size) ** 2) % n_items
        kinds = np.searchsorted([0.7, 0.85, 1.0], rng.random(size)).astype(np.int8)
        times = 1_600_000_000 + rng.integers(0, 365 * DAY, size)
        events = pa.DictionaryArray.from_arrays(pa.array(kinds), pa.array(list(WEIGHTS)))
        names = ["user", "item", "event", "timestamp"]
        yield pa.record_batch([pa.array(users), pa.array(items.astype(np.int32)), events, pa.array(times)], names)


def stream(shape: str, n: int) -> pa.RecordBatchReader:
    made = batches(shape, n)
    first = next(made)
    return pa.RecordBatchReader.from_batches(first.schema, (batch for part in ([first], made) for batch in part))


def ours(source: Any) -> Any:
    return load_events(source, weights=WEIGHTS, half_life=HALF_LIFE, n_threads=THREADS)


def with_polars(frame: pl.DataFrame) -> pl.DataFrame:
    strength = pl.col("event").cast(pl.String).replace_strict(WEIGHTS, return_dtype=pl.Float64)
    age = (pl.col("timestamp") - pl.col("timestamp").max()).cast(pl.Float64)
    return (
        frame.lazy()
        .with_columns(strength=strength * (age * (np.log(2) / HALF_LIFE)).exp())
        .group_by("user", "item")
        .agg(pl.col("strength").sum().cast(pl.Float32), pl.col("timestamp").max())
        .sort("user", "item")
        .collect()
    )


def with_duckdb(log: pa.Table) -> pa.Table:
    connection = duckdb.connect(config={"threads": THREADS})
    return connection.sql(
        f"""
        with latest as (select max(timestamp) as now from log)
        select "user", item, max(timestamp) as timestamp,
            cast(sum(case event when 'view' then 1.0::double when 'cart' then 3.0 else 5.0 end
            * pow(2.0::double, (timestamp - now)::double / {HALF_LIFE})) as float) as strength
        from log, latest group by "user", item order by "user", item
        """
    ).to_arrow_table()


def check(ratings: Any, other: Any, what: str) -> None:
    """Whether another's result is the same."""
    columns = {name: np.asarray(other[name]) for name in ("user", "item", "strength", "timestamp")}
    users = ratings.users.ids[ratings.row_of_entry()]
    np.testing.assert_array_equal(users, columns["user"], err_msg=what)
    np.testing.assert_array_equal(ratings.items.ids[ratings.indices], columns["item"], err_msg=what)
    np.testing.assert_allclose(ratings.values, columns["strength"], rtol=1e-5, err_msg=what)
    np.testing.assert_array_equal(ratings.timestamps, columns["timestamp"], err_msg=what)


def resident(field: str) -> int:
    """Resident memory of this process in bytes: VmRSS, or VmHWM, its peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def measure_alone(name: str, shape: str, n: int) -> dict[str, Any]:
    """Run one of them once in this process: seconds, and peak memory above what was there before."""
    if name == "stream":
        prepared: Any = stream(shape, n)
    else:
        prepared = pa.Table.from_batches(batches(shape, n))
        if name == "polars":
            prepared = pl.from_arrow(prepared)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = resident("VmRSS"), time.perf_counter()
    {"stream": ours, "table": ours, "polars": with_polars, "duckdb": with_duckdb}[name](prepared)
    return {"seconds": time.perf_counter() - started, "peak_bytes": resident("VmHWM") - before}


def alone(name: str, shape: str, n: int) -> dict[str, Any]:
    arguments = [sys.executable, __file__, "--alone", name, shape, str(n)]
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--stream-events", type=int, default=100_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", nargs=3, metavar=("NAME", "SHAPE", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        name, shape, n = arguments.alone
        print(json.dumps(measure_alone(name, shape, int(n))))
        return
    results = []
    for shape in SHAPES:
        n = arguments.events
        log = pa.Table.from_batches(batches(shape, n))
        frame = pl.from_arrow(log)
        ratings = ours(log)
        check(ratings, with_polars(frame), "Polars")
        check(ratings, with_duckdb(log), "DuckDB")
        fns: dict[str, Callable[[], Any]] = {
            "fastcf": lambda log=log: ours(log),  # type: ignore[misc]  # mypy infers no lambda with defaults
            "Polars": lambda frame=frame: with_polars(frame),  # type: ignore[misc]  # as above
            "DuckDB": lambda log=log: with_duckdb(log),  # type: ignore[misc]  # as above
        }
        seconds = alternate(fns, arguments.repeats)
        middle = {name: median(times) for name, times in seconds.items()}
        print(f"\n{shape}: {n:,} events, {ratings.nnz:,} pairs, {THREADS} threads")
        for name, time_ in middle.items():
            print(
                f"  {name:<8} {time_:7.2f} s {n / time_ / 1e6:7.2f} M events/s {time_ / middle['fastcf']:6.2f} x ours"
            )
        memory = {name: alone(name, shape, n) for name in ("table", "polars", "duckdb")}
        for name, one in memory.items():
            print(f"  peak of {'fastcf' if name == 'table' else name}: {one['peak_bytes'] / 2**20:,.0f} MiB")
        long = alone("stream", shape, arguments.stream_events)
        print(
            f"  a stream of {arguments.stream_events:,} events: {long['seconds']:.1f} s, making them included; "
            f"peak {long['peak_bytes'] / 2**20:,.0f} MiB"
        )
        results.append(
            {
                "shape": shape, "events": n, "pairs": ratings.nnz, "median_seconds": middle, "seconds": seconds,
                "memory": memory, "stream": {"events": arguments.stream_events, **long},
            }
        )  # fmt: skip
        del log, frame, ratings, fns
    versions = {"duckdb": duckdb.__version__, "polars": pl.__version__, "pyarrow": pa.__version__}
    print(f"\n{versions}")
    write_json("events", {"threads": THREADS, "repeats": arguments.repeats, "versions": versions, "results": results})


if __name__ == "__main__":
    main()
