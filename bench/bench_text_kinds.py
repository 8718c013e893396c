"""Loading text that is not plain: how much longer it takes than the same ratings as plain CSV, per kind.

    python bench/bench_text_kinds.py                 # 2 M rows, 2 threads

Every file holds the same rows. Kinds alternate in one process. Dates and quoted fields leave the bulk parser and take
the one for single rows. Decimal commas and line ends in fields are cut field by field, the latter after a serial pass
that looks where records end. Encodings are converted first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any


def write_kinds(folder: Path, rows: int) -> dict[str, tuple[Path, dict[str, Any]]]:
    import numpy as np
    import polars

    from fastcf.data import make_ratings

    scale = min(1.0, rows / 10_000_000)
    ratings = make_ratings(max(2, round(71_567 * scale)), max(2, round(10_681 * scale**0.5)), rows, random_state=0)
    seconds = np.random.default_rng(0).integers(789_652_009, 1_231_131_736, rows)
    table = polars.DataFrame(
        {
            "userId": ratings.row_of_entry() + 1,
            "movieId": ratings.indices + 1,
            "rating": ratings.values.astype(np.float64),
            "timestamp": seconds,
        }
    )
    dated = table.with_columns(polars.from_epoch("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S"))
    noted = table.with_columns(note=polars.lit("so, so"))
    lines = table.with_columns(note=polars.lit("two\nlines"))
    kinds: dict[str, tuple[Path, dict[str, Any]]] = {}

    def add(kind: str, frame: polars.DataFrame, *, options: dict[str, Any] | None = None, **writing: Any) -> Path:
        path = folder / f"{kind.replace(' ', '-')}.csv"
        frame.write_csv(path, **writing)
        kinds[kind] = path, options or {}
        return path

    plain = add("plain", table)
    add("dates", dated)
    add("one quoted column", noted)
    add("all quoted", table, quote_style="always")
    commas = folder / "commas.csv"
    commas.write_bytes(plain.read_bytes().replace(b",", b";").replace(b".", b","))
    kinds["decimal commas"] = commas, {}
    add("fields over lines", lines)
    kinds["latin-1"] = plain, {"encoding": "latin-1"}
    kinds["escapes"] = plain, {"escape": "\\"}
    kinds["milliseconds"] = add("milliseconds", table.with_columns(polars.col("timestamp") * 1000)), {}
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="text-kinds", help="name of the JSON file under bench/results")
    args = parser.parse_args()

    from common import alternate, write_json
    from fastcf.data import load_ratings

    with tempfile.TemporaryDirectory() as folder:
        kinds = write_kinds(Path(folder), args.rows)

        def reader(path: Path, options: dict[str, Any]) -> Any:
            return lambda: load_ratings(path, n_threads=args.threads, **options)

        print(f"{args.rows:,} rows, {args.threads} threads, in the page cache")
        seconds = alternate({kind: reader(*one) for kind, one in kinds.items()}, args.repeats, warmup=1)
        sizes = {kind: path.stat().st_size for kind, (path, _) in kinds.items()}
    plain = median(seconds["plain"])
    results = {}
    for kind, times in seconds.items():
        results[kind] = {
            "bytes": sizes[kind],
            "median_s": median(times),
            "best_s": min(times),
            "times_plain_median": median(times) / plain,
            "seconds": times,
        }
        print(
            f"{kind:18} median {median(times):6.3f} s  best {min(times):6.3f} s  = {median(times) / plain:5.2f} x plain"
        )
    write_json(args.name, {"rows": args.rows, "threads": args.threads, "results": results})


if __name__ == "__main__":
    main()
