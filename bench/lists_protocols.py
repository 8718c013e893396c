"""The two protocols by which lists are compared: new users (T1) and known users (T2).

Choices are the ratings of at least 4 of 5, or 8 of 10. The others are "low" ratings, which some models get, too.

T1, as D. Liang et al. ("Variational autoencoders for collaborative filtering", WWW 2018) have it: users with five
choices or more are cut 80/10/10 at random. Models learn from the first part. Users of the other two show 80 % of their
choices, at random, and all their low ratings; lists are measured on the rest, restricted to items with a choice in
training. NDCG@100, recall@20 of min(20, choices held out).

T2: each user's choices are cut 80/10/10 at random, all low ratings are training ratings. Users with one choice are in
training only. Lists are of all items that the user did not choose in training. NDCG@10, recall@10 of the choices held
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastcf import IdMap, Ratings
from fastcf.data import leave_n_out, read_log, split_users
from fastcf.metrics import ranking_by_user

__all__ = ["PROTOCOLS", "Exam", "Task", "measure", "read", "task"]

LEAST_CHOICES = 5  # of a user in T1
PROTOCOLS = {"T1": (100, 20, "capped_recall"), "T2": (10, 10, "recall")}
"""Places of NDCG, places of recall, and which recall it is."""


@dataclass(frozen=True, eq=False)
class Exam:
    """Users whose lists are measured.

    ``users`` are ids, ascending. ``history`` and ``rated`` (with low ratings) have a row for each of them in T1, over
    the items of ``Task.train`` and ``Task.rated``; None in T2, where models know the users.
    """

    users: np.ndarray
    held_out: Ratings
    history: Ratings | None
    rated: Ratings | None


@dataclass(frozen=True, eq=False)
class Task:
    """One split of a set: ``train`` has choices, ``rated`` low ratings as well; neither has empty rows or columns."""

    protocol: str
    train: Ratings
    rated: Ratings
    threshold: float
    validation: Exam
    test: Exam

    @property
    def length(self) -> int:
        """The number of items that a list must have."""
        return max(PROTOCOLS[self.protocol][:2])


def read(folder: Path) -> tuple[Ratings, float]:
    """Return the ratings of a set and the least rating that is a choice."""
    ratings = read_log(folder).to_ratings(duplicates="last")
    return ratings, 4.0 if ratings.rating_range[1] <= 5 else 8.0


def _part(*parts: Ratings, users: Any = None, items: IdMap | None = None) -> Ratings:
    """Return the union of parts: without empty rows and columns, or of these users and items only."""
    columns = [np.concatenate(each) for each in zip(*(part.to_coo() for part in parts), strict=True)]
    if items is not None:
        known = items.rows(columns[1]) >= 0
        columns = [column[known] for column in columns]
    if users is not None:
        own = np.isin(columns[0], users)
        columns = [column[own] for column in columns]
    return Ratings.from_coo(*columns, user_ids=None if users is None else IdMap(users), item_ids=items)


def _tested(held_out: Ratings) -> np.ndarray:
    return held_out.users.ids[held_out.user_counts() > 0]


def _new_users(choices: Ratings, low: Ratings, threshold: float, rng: np.random.Generator) -> Task:
    keep = choices.user_counts() >= LEAST_CHOICES
    choices, low = (part.take(keep[part.row_of_entry()]) for part in (choices, low))
    rest, *test = split_users(choices, 0.1, rng, shown=0.8)
    rest, *validation = split_users(rest, 1 / 9, rng, shown=0.8)
    train = _part(rest)
    rated = _part(rest, low.take((rest.user_counts() > 0)[low.row_of_entry()]))

    def exam(shown: Ratings, held_out: Ratings) -> Exam:
        held_out = held_out.take(rest.item_counts()[held_out.indices] > 0)
        users = _tested(held_out)
        return Exam(
            users,
            held_out,
            _part(shown, users=users, items=train.items),
            _part(shown, low, users=users, items=rated.items),
        )

    return Task("T1", train, rated, threshold, exam(*validation), exam(*test))


def _known_users(choices: Ratings, low: Ratings, threshold: float, rng: np.random.Generator) -> Task:
    rest, test = leave_n_out(choices, 0.1, rng)
    rest, validation = leave_n_out(rest, 1 / 9, rng)
    exams = (Exam(_tested(part), part, None, None) for part in (validation, test))
    return Task("T2", _part(rest), _part(rest, low), threshold, *exams)


def task(ratings: Ratings, threshold: float, protocol: str, seed: int) -> Task:
    """Return one split of a set."""
    chosen = ratings.values >= threshold
    make = {"T1": _new_users, "T2": _known_users}[protocol]
    return make(ratings.take(chosen), ratings.take(~chosen), threshold, np.random.default_rng([seed, 20261130]))


def measure(task: Task, exam: Exam, lists: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the users that count, their NDCG and their recall."""
    k_ndcg, k_recall, which = PROTOCOLS[task.protocol]
    found = ranking_by_user(lists, exam.users, exam.held_out, k=k_ndcg)
    recall = ranking_by_user(lists, exam.users, exam.held_out, k=k_recall)
    return found.users, found.ndcg, getattr(recall, which)
