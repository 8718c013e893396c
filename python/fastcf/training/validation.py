"""Validation during training: held-out ratings, and what is measured of them after which epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastcf._parameters import Interval, Nothing, validate_parameters
from fastcf.metrics import Scorer, as_scorer
from fastcf.ratings import Ratings

if TYPE_CHECKING:
    from fastcf.scores import Recommender

__all__ = ["Metric", "Validation"]

Metric = str | Callable[..., float] | Scorer
"""What ``validation_metric`` of ``fit`` may be."""

_SEED = 0  # of the users that are looked at: the same in every training


@dataclass(frozen=True)
class Validation:
    """Held-out ratings, and what is measured of them.

    Attributes
    ----------
    ratings : Ratings or None
        The ratings; None: there is no validation.
    scorer : Scorer or None
        What is measured, of a view of the training. None: the trainer measures its own error.
    every : int
        It is measured before training, after each ``every``-th epoch and after the last one.
    """

    ratings: Ratings | None = None
    scorer: Scorer | None = None
    every: int = 1

    @classmethod
    def of(
        cls, ratings: Ratings | None, metric: Metric | None, every: int, users: int | None, caller: str
    ) -> Validation:
        """Return the validation that the arguments of ``fit`` ask for.

        Parameters
        ----------
        ratings : Ratings or None
            Those held out.
        metric : str, callable, Scorer or None
            The metric; None: the model's own error.
        every, users : int, int or None
            Epochs between measurements; how many users, drawn at random, are looked at.
        caller : str
            Heads messages.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or has no effect with the others.
        """
        positive = Interval(1, integer=True)
        constraints = {"validation_every": (positive,), "validation_users": (positive, Nothing())}
        validate_parameters(constraints, {"validation_every": every, "validation_users": users}, caller)
        ignored = {"validation_every": every != 1, "validation_users": users is not None}
        needed = "a validation_metric: the model's own error is measured in passing"
        if ratings is None:
            ignored["validation_metric"], needed = metric is not None, "validation ratings"
        if metric is None or ratings is None:
            for name, given in ignored.items():
                if given:
                    raise ValueError(f"{caller}: {name} needs {needed}; got it without")
            return cls(ratings)
        return cls(_some_users(ratings, users), as_scorer(metric, f"{caller}: validation_metric"), int(every))

    @property
    def of_trainer(self) -> Ratings | None:
        """The ratings whose error the trainer measures."""
        return self.ratings if self.scorer is None else None

    @property
    def name(self) -> str | None:
        """The entry of the records; None where the trainer's own has one."""
        return None if self.scorer is None else f"validation_{self.scorer.name}"

    def described(self) -> dict[str, Any]:
        """Return what identifies it in a checkpoint."""
        metric = None if self.scorer is None else self.scorer.name
        return {"validation": self.ratings, "validation_metric": metric, "validation_every": self.every}

    def measure(self, view: Recommender, record: dict[str, Any], last: bool) -> None:
        """Put the figure into the record of an epoch, if it is measured after this one."""
        if self.scorer is not None and (last or record["epoch"] % self.every == 0):
            assert self.ratings is not None
            record[f"validation_{self.scorer.name}"] = self.scorer(view, self.ratings)


def _some_users(ratings: Ratings, n: int | None) -> Ratings:
    """Return the ratings of ``n`` users, drawn at random; of all if they are no more."""
    users = np.flatnonzero(ratings.user_counts())
    if n is None or users.size <= n:
        return ratings
    chosen = np.random.default_rng(_SEED).choice(users, n, replace=False)
    return ratings.take(np.isin(ratings.row_of_entry(), chosen))
