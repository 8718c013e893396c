"""Loading a MovieLens-style CSV: file to ready Ratings, against pandas.read_csv and polars.read_csv.

    python bench/bench_text.py                 # integer ids, 10 M rows, 2 threads
    python bench/bench_text.py --ids strings   # strings
    python bench/bench_text.py --rows 1000000

With integer ids the file has the columns userId, movieId, rating, timestamp and the size of MovieLens 10M (71,567
users, 10,681 movies with ids up to 65,133, rows by user); pandas and Polars stop at a table of columns. With strings it
has ids like user-123456-x of 200,000 users and item-12345 of 50,000 items, rows in random order, without timestamps;
Polars goes on to categories, as the ids are numbered then. fastcf goes on to the id maps and the compressed rows. The C
parser of pandas knows one thread only.

Peak memory of strings is stated beside that of the same file with integer ids, each loaded by a process of its own, and
asserted: at most 8 bytes a row more, beside 128 bytes and its characters for each distinct id and thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

COLUMNS = ["userId", "movieId", "rating", "timestamp"]
LONGEST = 16  # characters of an id
LOAD = """
import json, re, sys
from fastcf.data import load_ratings

def peak():  # of this process: getrusage knows its parent's too
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

before = peak()
ratings = load_ratings(sys.argv[1], n_threads=int(sys.argv[2]), duplicates="last")
print(json.dumps([peak() - before, ratings.n_users + ratings.n_items]))
"""


def write_integers(path: Path, rows: int) -> None:
    import numpy as np
    import polars

    from fastcf.data import make_ratings

    scale = min(1.0, rows / 10_000_000)
    n_users, n_items = max(2, round(71_567 * scale)), max(2, round(10_681 * scale**0.5))
    ratings = make_ratings(n_users, n_items, rows, random_state=0)
    rng = np.random.default_rng(0)
    movies = np.sort(rng.choice(65_133, n_items, replace=False)) + 1
    table = polars.DataFrame(
        {
            "userId": ratings.row_of_entry() + 1,
            "movieId": movies[ratings.indices],
            "rating": ratings.values.astype(np.float64),
            "timestamp": rng.integers(789_652_009, 1_231_131_736, rows),
        }
    )
    table.write_csv(path)


def write_strings(path: Path, rows: int, *, as_integers: bool = False) -> None:
    """Write a log in random order; ``as_integers``: with the numbers of the ids alone."""
    import numpy as np
    import polars

    rng = np.random.default_rng(0)
    numbers = {"userId": rng.integers(100_000, 300_000, rows), "movieId": rng.integers(10_000, 60_000, rows)}
    table = polars.DataFrame({**numbers, "rating": rng.integers(1, 11, rows) / 2})
    if not as_integers:
        user, item = polars.col("userId"), polars.col("movieId")
        table = table.with_columns(
            polars.format("user-{}-x", user).alias("userId"), polars.format("item-{}", item).alias("movieId")
        )
    table.write_csv(path)


def peak_bytes(path: Path, threads: int) -> tuple[int, int]:
    """Return the bytes that loading takes at its peak, and the number of distinct ids, from a process of its own."""
    folder = Path(__file__).resolve().parent
    command = [sys.executable, "-c", LOAD, str(path), str(threads)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    peak, n_ids = json.loads(answer)
    return peak, n_ids


def memory(folder: Path, path: Path, rows: int, threads: int) -> dict[str, Any]:
    """State the peak memory of strings beside that of integers, and assert the bound on it."""
    other = folder / "integers.csv"
    write_strings(other, rows, as_integers=True)
    strings, n_ids = peak_bytes(path, threads)
    integers, _ = peak_bytes(other, threads)
    mapped = path.stat().st_size - other.stat().st_size  # pages of the file, which count as resident
    allowed = 8 * rows + n_ids * (128 + LONGEST) * threads
    more = strings - integers - mapped
    print(
        f"peak memory: strings {strings / 1e6:.0f} MB, integers {integers / 1e6:.0f} MB; beside {mapped / 1e6:.0f} MB "
        f"of file {more / rows:.1f} bytes a row more, allowed are {allowed / rows:.1f}"
    )
    assert more <= allowed, "strings take too much memory"
    return {"strings_bytes": strings, "integers_bytes": integers, "more_bytes_per_row": more / rows, "distinct": n_ids}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", choices=["integers", "strings"], default="integers")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", help="name of the JSON file under bench/results; by default text or text_strings")
    args = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)  # read when Polars is imported

    import pandas
    import polars

    from common import alternate, write_json
    from fastcf.data import load_ratings, read_log

    strings = args.ids == "strings"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        (write_strings if strings else write_integers)(path, args.rows)
        size = path.stat().st_size
        columns = COLUMNS[: 3 if strings else 4]
        kinds = {"userId": polars.Categorical, "movieId": polars.Categorical} if strings else {}
        print(f"{args.rows:,} rows, {size / 1e6:.0f} MB, {args.threads} threads, in the page cache")
        seconds = alternate(
            {
                "fastcf.load_ratings": lambda: load_ratings(path, n_threads=args.threads, duplicates="last"),
                "fastcf.read_log": lambda: read_log(path, n_threads=args.threads),
                "pandas.read_csv": lambda: pandas.read_csv(path, usecols=columns),
                "polars.read_csv": lambda: polars.read_csv(path, columns=columns).cast(kinds),
            },
            args.repeats,
            warmup=1,
        )
        peaks = memory(Path(folder), path, args.rows, args.threads) if strings else None
    ours = seconds["fastcf.load_ratings"]
    versions = {"pandas": pandas.__version__, "polars": polars.__version__}
    results = {}
    for name, times in seconds.items():
        results[name] = {
            "best_s": min(times),
            "median_s": median(times),
            "gb_per_s": size / min(times) / 1e9,
            "times_load_ratings_best": min(times) / min(ours),
            "times_load_ratings_median": median(times) / median(ours),
            "seconds": times,
        }
        version = versions.get(name.partition(".")[0], "")
        print(
            f"{name:20} {version:8} best {min(times):6.3f} s  median {median(times):6.3f} s  "
            f"= {min(times) / min(ours):5.2f} x load_ratings (best), {median(times) / median(ours):5.2f} x (median)"
        )
    measured = {"ids": args.ids, "rows": args.rows, "bytes": size, "threads": args.threads, "results": results}
    write_json(
        args.name or ("text_strings" if strings else "text"),
        {**measured, "peak_memory": peaks} if strings else measured,
    )


if __name__ == "__main__":
    main()
