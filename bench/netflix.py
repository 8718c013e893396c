"""The study of Kuchaiev and Ginsburg (2017) on the Netflix Prize data, from the original files to its tables.

    python bench/netflix.py FOLDER [--sets "3 months"] [--ablate full] [--only "deep, tied"] [--epochs 100]
        [--limit 5000]

FOLDER holds training_set/mv_*.txt or combined_data_*.txt, as published. The set itself cannot be had with this project.

Splits are the authors' (Training deep autoencoders for collaborative filtering, and the data converter beside their
code): training ratings of 3 months, 6 months or a year, or all, tested on the month that follows. That month's ratings
by users and of items of the training part are divided by a coin each into dev and test; the coin's seed is ours.

The ablation follows a poster, Alhadlaq and Kunna's, which repeats the study: one layer of 128, 256 or 512; 128-256-256,
then with tied weights, with dropout, with dense re-feeding; and what the poster leaves to future work, other
activations, momenta and rates. The poster's figures are of the full set, 480,189 users. By default the rows run on "3
months", which is quick, and no figure stands beside them; ``--ablate full`` compares like with like. Settings are those
of bench_ablation.py's "the study's settings": by user, raw ratings, SELU also at the end, momentum 0.9 at a constant
rate of 0.005, batches of 32, no penalty. Every set then has the network that the authors name for it, with dropout and
one dense re-feeding, in batches of 128. Theirs drops values of the code only; `Autoencoder` drops those of every layer
of the encoder. Predictions are clipped to 1 to 5, as everywhere here.

The dev part chooses the epoch, and the row of the ablation whose test error is printed; the test part chooses nothing.
"reported" was not measured here: for the authors' networks it is their README's test RMSE, for the ablation on the full
set the poster's dev RMSE, and its 0.943 on test for the best row. With ``--ablate full`` the figures of other models of
the full set are printed below, as the study has them. Each finished row becomes a line of a JSONL file and is not run
again while epochs, limit and seed stay the same: stop the program whenever you like. The table is printed after every
row, bars are drawn on a terminal.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastcf
from bench_ablation import DEEP, STUDY
from common import RESULTS, environment
from fastcf.callbacks import ProgressBar
from fastcf.data import RatingLog, read_log
from fastcf.optimizers import Momentum

# First and last day of the training part; of the test month.
SPLITS = {
    "3 months": ("2005-09-01", "2005-11-30", "2005-12-01", "2005-12-31"),
    "6 months": ("2005-06-01", "2005-11-30", "2005-12-01", "2005-12-31"),
    "1 year": ("2004-06-01", "2005-05-31", "2005-06-01", "2005-06-30"),
    "full": ("1999-12-01", "2005-11-30", "2005-12-01", "2005-12-31"),
}
PEERS = {  # test RMSE on the full set, as Kuchaiev and Ginsburg report it
    "AutoRec by item": 0.936,
    "AutoRec by user": 0.965,
    "recurrent recommender network": 0.922,
    "their deep autoencoder": 0.910,
}


class Row(NamedTuple):
    """A row of the table: a network on a set, and what has been reported of it."""

    set: str
    network: str
    options: dict[str, Any]
    reported_dev: float | None = None
    reported_test: float | None = None


def ablation(ablated: str) -> tuple[Row, ...]:
    """Return the rows of the ablation on a set; the poster's figures are of the full one only."""

    def deep(name: str, reported: float | None = None, **options: Any) -> Row:
        return row(f"deep, {name}", {"layers": DEEP, **options}, reported)

    def row(name: str, options: dict[str, Any], reported: float | None = None) -> Row:
        return Row(ablated, name, options, reported if ablated == "full" else None)

    return (
        row("one layer, 128", {"layers": (128,)}, 1.084),
        row("one layer, 256", {"layers": (256,)}),
        row("one layer, 512", {"layers": (512,)}),
        row("deep", {"layers": DEEP}, 0.951),
        deep("tied", 0.984, tied=True),
        deep("dropout 0.2", 0.939, dropout=0.2),
        *(deep(f"dropout {share}", dropout=share) for share in (0.5, 0.65, 0.8)),
        deep("re-feeding", 0.947, dense_refeeding=1),
        *(deep(kind, activation=kind, output_activation=kind) for kind in ("relu", "leaky_relu", "elu")),
        *(deep(f"momentum {share}", optimizer=momentum(0.005, share)) for share in (0.0, 0.5, 0.99)),
        *(deep(f"rate {rate}", optimizer=momentum(rate, 0.9)) for rate in (0.0005, 0.001, 0.01)),
    )


def momentum(rate: float, share: float) -> Momentum:
    return Momentum(rate, momentum=share, schedule="constant")


REPORTED_BEST_TEST = 0.943  # of the ablation on the full set


def final(name: str, layers: tuple[int, ...], dropout: float, reported: float) -> Row:
    options = {"layers": layers, "dropout": dropout, "dense_refeeding": 1, "batch_size": 128}
    return Row(name, "the authors' network", options, None, reported)


FINAL = (
    final("3 months", DEEP, 0.65, 0.9373),
    final("6 months", (256, 256, 512), 0.8, 0.9207),
    final("1 year", (256, 256, 512), 0.8, 0.9225),
    final("full", (512, 512, 1024), 0.8, 0.9099),
)


class Parts(NamedTuple):
    """A set, split."""

    train: fastcf.Ratings
    dev: fastcf.Ratings
    test: fastcf.Ratings


def seconds(day: str) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))


def some_users(log: RatingLog, n_users: int, seed: int) -> RatingLog:
    """Return the ratings of some users, drawn at random; for trials."""
    users = np.unique(log.users)
    kept = np.random.default_rng(seed).permutation(users)[:n_users]
    return rows_of(log, np.isin(log.users, kept))


def rows_of(log: RatingLog, mask: np.ndarray, *, dated: bool = True) -> RatingLog:
    times = log.timestamps[mask] if dated and log.timestamps is not None else None
    return RatingLog(log.users[mask], log.items[mask], log.ratings[mask], times)


def split(log: RatingLog, name: str, seed: int) -> Parts:
    """Return the parts of a set: by time, then the test month by a coin per rating."""
    first, last, first_test, last_test = map(seconds, SPLITS[name])
    times = log.timestamps
    if times is None:
        raise ValueError("split: ratings must have dates; got none")
    train = rows_of(log, (times >= first) & (times <= last), dated=False).to_ratings()
    month = rows_of(log, (times >= first_test) & (times <= last_test), dated=False)
    known = (train.users.rows(month.users) >= 0) & (train.items.rows(month.items) >= 0)
    heads = np.random.default_rng(seed).random(known.size) < 0.5
    return Parts(train, rows_of(month, known & heads).to_ratings(), rows_of(month, known & ~heads).to_ratings())


def run(row: Row, parts: Parts, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a network and measure it."""
    options = {**STUDY, **row.options}
    model = fastcf.Autoencoder(
        **options, n_epochs=arguments.epochs, random_state=arguments.seed, n_threads=arguments.threads,
        device=arguments.device,
    )  # fmt: skip
    started = time.perf_counter()
    bar = ProgressBar(description=f"{row.set}: {row.network}", fields=("train_rmse", "validation_rmse"))
    model.fit(parts.train, validation=parts.dev, callbacks=[bar])
    history = model.history_[1:]  # after each epoch of training
    best = min(history, key=lambda record: record["validation_rmse"])
    return {
        **key(row, arguments), "options": {name: str(value) for name, value in options.items()},
        "ratings": [part.nnz for part in parts], "users": parts.train.n_users, "items": parts.train.n_items,
        "dev_rmse": best["validation_rmse"], "best_epoch": best["epoch"], "train_rmse": best["train_rmse"],
        "test_rmse": -model.score(parts.test), "seconds": time.perf_counter() - started, "device": model.device_,
        "dev_curve": [record["validation_rmse"] for record in history], "environment": environment(),
    }  # fmt: skip


def key(row: Row, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what tells a result from others."""
    return {
        "set": row.set, "network": row.network, "epochs": arguments.epochs, "limit": arguments.limit,
        "seed": arguments.seed,
    }  # fmt: skip


def finished(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file; a last line that was cut off does not count."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return results


def append(path: Path, result: dict[str, Any]) -> None:
    """Add a line to a file, on a line of its own also where the last one was cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_off = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * cut_off + json.dumps(result) + "\n")


def result_of(row: Row, results: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any] | None:
    wanted = key(row, arguments)
    return next((r for r in results if {name: r.get(name) for name in wanted} == wanted), None)


def table(rows: Sequence[Row], results: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Return what has been measured beside what has been reported."""

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    found = [(row, result) for row in rows if (result := result_of(row, results, arguments)) is not None]
    ablated = [result for row, result in found if row.reported_test is None]
    best = min(ablated, key=lambda r: r["dev_rmse"], default=None)
    lines = [
        "| set | network | epoch | train | dev | reported dev | test | reported test | minutes |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row, result in found:
        test, reported = None, row.reported_test
        if row.reported_test is not None:
            test = result["test_rmse"]
        elif result is best:
            test, reported = result["test_rmse"], REPORTED_BEST_TEST if row.set == "full" else None
        lines.append(
            f"| {row.set} | {row.network} | {result['best_epoch']} | {cell(result['train_rmse'])} | "
            f"{cell(result['dev_rmse'])} | {cell(row.reported_dev)} | {cell(test)} | {cell(reported)} | "
            f"{result['seconds'] / 60:.1f} |"
        )
    if arguments.ablate == "full":
        lines += [
            "",
            "Reported test RMSE on the full set: " + ", ".join(f"{n} {v:.3f}" for n, v in PEERS.items()) + ".",
        ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(SPLITS), default=list(SPLITS), metavar="SET")
    parser.add_argument(
        "--ablate",
        choices=list(SPLITS),
        default="3 months",
        metavar="SET",
        help="what the ablation runs on, one of SETS",
    )
    parser.add_argument("--only", nargs="+", metavar="NETWORK", help="networks by name; all by default")
    parser.add_argument("--epochs", type=int, default=100, help="at most, per network (default 100)")
    parser.add_argument("--limit", type=int, metavar="USERS", help="so many users only, for a trial")
    parser.add_argument("--seed", type=int, default=0, help="of coins, first weights and orders")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--results", type=Path, default=RESULTS / "netflix.jsonl")
    arguments = parser.parse_args(argv)
    every = (*ablation(arguments.ablate), *FINAL)
    names = {row.network for row in every}
    if arguments.only and (unknown := set(arguments.only) - names):
        parser.error(f"--only: there is no network {sorted(unknown)[0]!r}; there are {', '.join(sorted(names))}")
    rows = [
        row for row in every
        if row.set in arguments.sets and (not arguments.only or row.network in arguments.only)
    ]  # fmt: skip
    results = finished(arguments.results)
    log: RatingLog | None = None
    for name in SPLITS:
        missing = [row for row in rows if row.set == name and result_of(row, results, arguments) is None]
        if not missing:
            continue
        if log is None:
            log = read_log(arguments.folder, format="netflix", n_threads=arguments.threads)
            if arguments.limit:
                log = some_users(log, arguments.limit, arguments.seed)
        parts = split(log, name, arguments.seed)
        print(
            f"{name}: {parts.train.n_users:,} users, {parts.train.n_items:,} items; ratings: "
            f"{parts.train.nnz:,} training, {parts.dev.nnz:,} dev, {parts.test.nnz:,} test",
            flush=True,
        )
        for row in missing:
            results.append(run(row, parts, arguments))
            append(arguments.results, results[-1])
            print(table(rows, results, arguments) + "\n", flush=True)
    print(table(rows, results, arguments))


if __name__ == "__main__":
    main()
