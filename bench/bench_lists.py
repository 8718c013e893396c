"""Lists by default parameters: NDCG and recall of what models recommend to new users (T1) and to known users (T2).

    python bench/bench_lists.py SET... [--seeds 3] [--protocols T1 T2] [--only NAME...] [--peers] [--validation]

SET is a folder of ratings, or one that holds several, or "made-up": ``make_ratings(choice=1)`` of the default size,
where the lists by true probability ("Truth") are the best that there can be. The protocols are described in
lists_protocols.py, the models in lists_models.py, the peers (``implicit`` and irspack, by default and tuned) in
lists_peers.py. ``--validation`` measures on the validation users or choices and never looks at test rows: choose
defaults with it.

Figures are means over users; a user who is tested under several seeds counts once, with the mean. "±" is one standard
error over users. "− best" is the mean difference to the best model of the table, user by user, with its own standard
error: the difference of two models is far more certain than either mean.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lists_models
import lists_protocols
from bench_accuracy import sets_of
from common import write_json
from fastcf import Ratings
from fastcf.data import Truth, make_ratings
from lists_protocols import PROTOCOLS, Task

Entry = Callable[[Task, int], lists_models.Lists]


class Figures:
    """What a model scored: NDCG and recall of each user under each seed, and seconds."""

    def __init__(self) -> None:
        self._of_user: dict[Any, list[tuple[float, float]]] = defaultdict(list)
        self.fit_seconds: list[float] = []
        self.list_seconds: list[float] = []

    def add(self, users: np.ndarray, ndcg: np.ndarray, recall: np.ndarray) -> None:
        """Add the users of one seed."""
        for user, *scores in zip(users.tolist(), ndcg.tolist(), recall.tolist(), strict=True):
            self._of_user[user].append(tuple(scores))

    def table(self) -> np.ndarray:
        """Return the means of each user over seeds, in the order of the ids, (n_users, 2)."""
        return np.array([np.mean(self._of_user[user], axis=0) for user in sorted(self._of_user)])


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return the mean over users and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


def run(task: Task, entries: dict[str, Entry], seed: int, validation: bool, figures: dict[str, Figures]) -> None:
    """Fit all models to one split and add their figures."""
    exam = task.validation if validation else task.test
    for name, entry in entries.items():
        start = time.perf_counter()
        lists_of = entry(task, seed)
        fitted = time.perf_counter()
        lists = lists_of(exam)
        figures[name].fit_seconds.append(fitted - start)
        figures[name].list_seconds.append(time.perf_counter() - fitted)
        figures[name].add(*lists_protocols.measure(task, exam, lists))


def report(figures: dict[str, Figures]) -> dict[str, Any]:
    """Return means, standard errors, and paired differences to the best model."""
    tables = {name: each.table() for name, each in figures.items()}
    best = max(tables, key=lambda name: tables[name][:, 0].mean())
    models = {}
    for name, table in tables.items():
        ndcg, recall = mean_and_error(table[:, 0]), mean_and_error(table[:, 1])
        behind = mean_and_error(table[:, 0] - tables[best][:, 0])
        models[name] = {
            "ndcg": ndcg[0],
            "ndcg_error": ndcg[1],
            "recall": recall[0],
            "recall_error": recall[1],
            "behind_best": behind[0],
            "behind_best_error": behind[1],
            "fit_seconds": float(np.median(figures[name].fit_seconds)),
            "list_seconds": float(np.median(figures[name].list_seconds)),
        }
    differences = {
        f"{one} - {other}": mean_and_error(tables[one][:, 0] - tables[other][:, 0])
        for one in tables
        for other in tables
        if one < other
    }
    return {"users": len(tables[best]), "best": best, "models": models, "ndcg_differences": differences}


def _sets(names: list[str]) -> Iterator[tuple[str, tuple[Ratings, float, Truth | None]]]:
    """Return the sets by name: ratings, the least rating that is a choice, the truth of made-up ones."""
    for name in names:
        if name == "made-up":
            ratings, truth = make_ratings(choice=1.0, random_state=0, return_truth=True)
            yield name, (ratings, ratings.rating_range[0], truth)
        else:
            for folder in sets_of(Path(name)):
                yield folder.name, (*lists_protocols.read(folder), None)


def _entries(protocol: str, arguments: argparse.Namespace) -> dict[str, Entry]:
    """Return the models and peers to measure."""
    entries: dict[str, Entry] = lists_models.available(protocol)
    if arguments.peers:
        import lists_peers

        entries |= lists_peers.peers(arguments.trials)
    if arguments.only:
        entries = {name: entry for name, entry in entries.items() if name.startswith(tuple(arguments.only))}
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET", help="folders of ratings, or of sets, or made-up")
    parser.add_argument("--seeds", type=int, default=3, help="splits and random states, from 0 (default 3)")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only models whose name begins with one of these")
    parser.add_argument("--peers", action="store_true", help="peers too, tuned ones on the validation part")
    parser.add_argument("--trials", type=int, default=10, help="settings tried for each tuned peer (default 10)")
    parser.add_argument("--validation", action="store_true", help="measure on the validation part")
    arguments = parser.parse_args()
    sets = list(_sets(arguments.sets))
    if not sets:
        parser.error(f"{arguments.sets}: no sets of ratings here")
    for name, (ratings, threshold, truth) in sets:
        results: dict[str, Any] = {"seeds": arguments.seeds, "trials": arguments.trials, "threshold": threshold}
        for protocol in arguments.protocols:
            entries = _entries(protocol, arguments)
            if truth is not None:
                entries["Truth"] = lists_models.perfect(truth)
            figures: dict[str, Figures] = {name: Figures() for name in entries}
            for seed in range(arguments.seeds):
                split = lists_protocols.task(ratings, threshold, protocol, seed)
                run(split, entries, seed, arguments.validation, figures)
            found = results[protocol] = report(figures)
            k_ndcg, k_recall, _ = PROTOCOLS[protocol]
            print(f"\n{name}, {protocol}, {found['users']:,} users{', validation' * arguments.validation}\n")
            print(
                f"| model | NDCG@{k_ndcg} | − best | recall@{k_recall} | fit, s | lists, s |\n|---|---|---|---|---|---|"
            )
            for title, model in sorted(found["models"].items(), key=lambda each: -each[1]["ndcg"]):
                print(
                    f"| {title} | {model['ndcg']:.4f} ± {model['ndcg_error']:.4f} "
                    f"| {model['behind_best']:+.4f} ± {model['behind_best_error']:.4f} "
                    f"| {model['recall']:.4f} ± {model['recall_error']:.4f} "
                    f"| {model['fit_seconds']:.2f} | {model['list_seconds']:.2f} |",
                    flush=True,
                )
        print()
        write_json(f"lists-{name}{'-validation' * arguments.validation}", results)


if __name__ == "__main__":
    main()
