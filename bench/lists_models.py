"""The models of bench_lists.py. A line in ``MODELS`` adds one, with its defaults or with the parameters given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastcf
from fastcf import Ratings
from fastcf.data import Truth
from lists_protocols import Exam, Task

__all__ = ["MODELS", "Lists", "Way", "available", "lists_of_scores", "perfect", "seen_by"]

Lists = Callable[[Exam], Any]
THRESHOLD = "the threshold of the set"


@dataclass(frozen=True)
class Way:
    """A model and what it learns from.

    ``name`` is a class of fastcf; ``low_ratings``: whether it gets the low ratings, too. Parameters that are
    ``THRESHOLD`` get the set's; ``members`` are what a blend is made of; ``known_only``: it cannot compute new users,
    so that T1 is not for it.
    """

    name: str
    low_ratings: bool = False
    parameters: tuple[tuple[str, Any], ...] = ()
    members: tuple[Way, ...] = ()
    known_only: bool = False

    def build(self, threshold: float, seed: int) -> Any:
        """Return the model, not fitted."""
        kind = getattr(fastcf, self.name)
        given = {name: threshold if value is THRESHOLD else value for name, value in self.parameters}
        if "random_state" in inspect.signature(kind).parameters:
            given["random_state"] = seed
        members = [[member.build(threshold, seed) for member in self.members]] if self.members else []
        return kind(*members, **given)

    def __call__(self, task: Task, seed: int) -> Lists:
        """Fit the model; return what makes lists."""
        model = self.build(task.threshold, seed).fit(task.rated if self.low_ratings else task.train)
        return lambda exam: model.recommend(
            exam.users, task.length, history=exam.rated if self.low_ratings else exam.history
        )


def way(
    name: str, *, low_ratings: bool = False, members: tuple[Way, ...] = (), known_only: bool = False, **parameters: Any
) -> Way:
    """Return a model of choices, or of all ratings."""
    return Way(name, low_ratings, tuple(parameters.items()), members, known_only)


def lists_of_scores(
    score: Callable[[np.ndarray], np.ndarray], task: Task, exam: Exam, users_at_once: int = 512
) -> np.ndarray:
    """Return the ids of the items of the highest scores that each user of an exam has not chosen; ties by id.

    ``score`` returns the scores of all items of ``task.train`` for positions of ``exam.users``. Where a user has chosen
    nearly all items, some of these stand at the end of the list.
    """
    seen, n = seen_by(task, exam), min(task.length, task.train.n_items)
    lists = np.empty((exam.users.size, n), np.int64)
    for begin in range(0, exam.users.size, users_at_once):
        rows = np.arange(begin, min(begin + users_at_once, exam.users.size))
        scores = np.array(score(rows), np.float64)
        entries = slice(seen.indptr[begin], seen.indptr[rows[-1] + 1])
        scores[np.repeat(rows - begin, seen.user_counts()[rows]), seen.indices[entries]] = -np.inf
        # Items of at least the n-th score, by user, score and row.
        users, found = np.nonzero(scores >= np.partition(scores, -n, axis=1)[:, [-n]])
        order = np.lexsort((-scores[users, found], users))
        place = np.arange(users.size) - np.searchsorted(users, users)
        lists[rows] = found[order][place < n].reshape(-1, n)
    return task.train.items.ids[lists]


def seen_by(task: Task, exam: Exam) -> Ratings:
    """Return what the users of an exam have chosen so far, a row each."""
    if exam.history is not None:
        return exam.history
    rows = task.train.users.rows(exam.users)
    counts = task.train.user_counts()[rows]
    entries = np.repeat(task.train.indptr[rows] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    indptr = np.concatenate([[0], np.cumsum(counts)])
    users = fastcf.IdMap(exam.users)
    return Ratings(indptr, task.train.indices[entries], task.train.values[entries], users=users, items=task.train.items)


def popular(task: Task, seed: int) -> Lists:
    """The items chosen most."""
    counts = task.train.item_counts()

    return lambda exam: lists_of_scores(lambda rows: np.tile(counts, (rows.size, 1)), task, exam)


def perfect(truth: Truth) -> Callable[[Task, int], Lists]:
    """Lists by the true probabilities of made-up ratings."""

    def fit(task: Task, seed: int) -> Lists:
        of_items = task.train.items.ids
        return lambda exam: lists_of_scores(lambda rows: truth.log_weights(exam.users[rows])[:, of_items], task, exam)

    return fit


LINEAR, IMPLICIT = way("LinearAutoencoder"), way("ImplicitFactorization")
LINEAR_WITH_LOW = way("LinearAutoencoder", low_ratings=True, threshold=THRESHOLD)
IMPLICIT_WITH_LOW = way("ImplicitFactorization", low_ratings=True, threshold=THRESHOLD)

# Entries whose classes or parameters this version lacks are left out.
MODELS: dict[str, Callable[[Task, int], Lists]] = {
    "Popular": popular,
    "MatrixFactorization": way("MatrixFactorization", low_ratings=True),
    "Autoencoder of labels": way(
        "Autoencoder", low_ratings=True, cost="logistic", threshold=THRESHOLD, known_only=True
    ),
    "Autoencoder of labels, by user": way(
        "Autoencoder", low_ratings=True, cost="logistic", threshold=THRESHOLD, orientation="user"
    ),
    "Autoencoder of choices": way("Autoencoder", cost="multinomial"),
    "ItemNeighbours": way("ItemNeighbours"),
    "UserNeighbours": way("UserNeighbours"),
    "ImplicitFactorization": IMPLICIT,
    "ImplicitFactorization, BPR": way("ImplicitFactorization", solver="bpr"),
    "ImplicitFactorization, sampled softmax": way("ImplicitFactorization", solver="sampled"),
    "LinearAutoencoder": LINEAR,
    "LinearAutoencoder, 200 neighbours": way("LinearAutoencoder", neighbours=200),
    "Blend of LinearAutoencoder and ImplicitFactorization": way("Blend", members=(LINEAR, IMPLICIT), metric="ndcg@10"),
    "LinearAutoencoder with low ratings": LINEAR_WITH_LOW,
    "Blend of both, with low ratings": way(
        "Blend", low_ratings=True, members=(LINEAR_WITH_LOW, IMPLICIT_WITH_LOW), metric="ndcg@10", threshold=THRESHOLD
    ),
    "LinearAutoencoder with low ratings, 200 neighbours": way(
        "LinearAutoencoder", low_ratings=True, threshold=THRESHOLD, neighbours=200
    ),
}


def _there(entry: Callable[[Task, int], Lists]) -> bool:
    """Whether this version of fastcf has the classes and parameters that an entry needs."""
    if not isinstance(entry, Way):
        return True
    if not hasattr(fastcf, entry.name) or not all(map(_there, entry.members)):
        return False
    return {name for name, _ in entry.parameters} <= set(inspect.signature(getattr(fastcf, entry.name)).parameters)


def available(protocol: str) -> dict[str, Callable[[Task, int], Lists]]:
    """Return the models that this version of fastcf has and that a protocol is for."""
    there = {name: entry for name, entry in MODELS.items() if _there(entry)}
    return {name: entry for name, entry in there.items() if protocol != "T1" or not getattr(entry, "known_only", False)}
