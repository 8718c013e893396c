"""Loading a MovieLens-style CSV: file to ready Ratings, against pandas.read_csv and polars.read_csv alone.

    python bench/bench_text.py                 # 10 M rows, 2 threads
    python bench/bench_text.py --rows 1000000

The file has the columns userId, movieId, rating, timestamp and the size of MovieLens 10M (71,567 users, 10,681 movies
with ids up to 65,133, rows by user). pandas and Polars stop at a table of columns; fastcf goes on to the id maps and
the compressed rows. pandas' C parser knows one thread only.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

COLUMNS = ["userId", "movieId", "rating", "timestamp"]


def write_csv(path: Path, rows: int) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="text", help="name of the JSON file under bench/results")
    args = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)  # read when Polars is imported

    import pandas
    import polars

    from common import alternate, write_json
    from fastcf.data import load_ratings, read_log

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        write_csv(path, args.rows)
        size = path.stat().st_size
        print(f"{args.rows:,} rows, {size / 1e6:.0f} MB, {args.threads} threads, in the page cache")
        seconds = alternate(
            {
                "fastcf.load_ratings": lambda: load_ratings(path, n_threads=args.threads),
                "fastcf.read_log": lambda: read_log(path, n_threads=args.threads),
                "pandas.read_csv": lambda: pandas.read_csv(path, usecols=COLUMNS),
                "polars.read_csv": lambda: polars.read_csv(path, columns=COLUMNS),
            },
            args.repeats,
            warmup=1,
        )
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
    write_json(args.name, {"rows": args.rows, "bytes": size, "threads": args.threads, "results": results})


if __name__ == "__main__":
    main()
