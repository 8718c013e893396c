"""Going on with a fitted factorisation when new ratings arrive."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._random import seed_from
from fastcf.errors import DivergenceError
from fastcf.ids import IdMap
from fastcf.models._fold_in import FoldInMixin
from fastcf.models._parameters import Interval, validate_parameters
from fastcf.models._results import SeenItems
from fastcf.ratings import Ratings, as_ratings

__all__ = ["PartialFitMixin"]

_Model = TypeVar("_Model", bound="PartialFitMixin")
_STREAM = 24  # of random numbers, see _INIT_STREAM of the model
# Of the step size that training began with: what is known must not be overrun by what is new. See docs/defaults.md.
_RATE = 0.1


class PartialFitMixin(FoldInMixin):
    """Adds ``partial_fit`` to models whose parameters stochastic gradient descent can carry on."""

    _cost: ClassVar[str]
    solver: str
    n_factors: int | str
    sgd_rate_: float
    reg_exponent_: float
    sigma_: float
    random_state: Any

    def partial_fit(self: _Model, X: Any, y: ArrayLike | None = None, *, n_epochs: int = 1) -> _Model:
        """Learn from further ratings, starting from what is known; new users and items extend the id maps.

        New rows begin where ``fold_in`` puts them. Then stochastic gradient descent passes over the new ratings, at
        a tenth of the step size that training began with, whatever the solver was; of the penalties, they get the part
        that would be theirs if all had been there at once. The old ratings are not needed,
        and not remembered but for whom they belong to (``seen_``).

        Parameters
        ----------
        X, y
            The new ratings, as for ``fit``. A pair rated before is simply rated again.
        n_epochs : int, default 1
            Passes over the new ratings. More forget more of the old: right where tastes have changed.

        Returns
        -------
        model
            Itself. ``users_`` and ``items_`` keep their rows and get new ones at the end.

        Raises
        ------
        TypeError, ValueError
            If the ratings are not as described, ids are of another kind than the model's, or the model was trained by
            ``solver="bayes"``, whose draws cannot go on without the old ratings: use ``fold_in``.
        DivergenceError
            If parameters stop being finite; the model is then as it was.

        Warns
        -----
        ConvergenceWarning
            Where ``fold_in`` does.

        Notes
        -----
        Before ``fit`` it is ``fit``. The same bits for any number of threads.
        """
        caller = f"{type(self).__name__}.partial_fit"
        if not hasattr(self, "user_factors_"):
            fitted: _Model = self.fit(X, y)
            return fitted
        validate_parameters({"n_epochs": (Interval(1, integer=True),)}, {"n_epochs": n_epochs}, caller)
        if hasattr(self, "draws_"):
            raise ValueError(f"{caller}: the model must not be one of solver='bayes'; refit it, or use fold_in")
        ratings = as_ratings(X, y, caller=caller)
        users, items = (
            _extended(known, new.ids, f"{caller}: {what}")
            for known, new, what in (
                (self.users_, ratings.users, "users"),
                (self.items_, ratings.items, "items"),
            )
        )
        ratings = Ratings.from_coo(
            *ratings.to_coo(),
            timestamps=ratings.timestamps,
            weights=ratings.weights,
            user_ids=users,
            item_ids=items,
            caller=caller,
        )
        targets = self._targets(ratings, caller)
        seed = seed_from(self.random_state, caller)
        arrays = self._with_new_rows(ratings, seed)
        parameters, item_mean = arrays[:4], arrays[4]
        low, high = (
            pick(a, b) for pick, a, b in zip((min, max), self.rating_range_, targets.rating_range, strict=True)
        )
        reg_share, user_share, item_share = self._penalty_shares(targets, n_old=(len(self.users_), len(self.items_)))
        trainer = self._native.SgdTrainer(
            targets.indptr,
            targets.indices,
            targets.values,
            targets.n_items,
            weights=targets.weights,
            item_offset=item_mean,
            global_offset=self.global_mean_,
            n_factors=parameters[0].shape[1],
            reg=self.reg_ * reg_share,
            reg_exponent=self.reg_exponent_,
            user_bias=self.bias,
            item_bias=self.bias,
            user_bias_reg=self.user_bias_reg_ * user_share,
            item_bias_reg=self.item_bias_reg_ * item_share,
            lowest=low,
            highest=high,
            cost=self._cost,
            seed=seed,
            n_threads=self._threads,
        )
        trainer.set_parameters(*parameters)
        rate = _RATE * self.sgd_rate_
        for _ in range(n_epochs):
            if not np.isfinite(trainer.epoch(rate, rate * self.sigma_)):
                raise DivergenceError(f"{caller}: training diverged; the model is as it was. Lower learning_rate")
        trainer.get_parameters(*parameters)
        self.user_factors_, self.item_factors_, self.user_bias_, self.item_bias_ = parameters
        self.item_mean_, self.rating_range_ = item_mean, (low, high)
        if self.seen_ is not None:
            self.seen_ = _seen_union(self.seen_, ratings)
        self.users_, self.items_ = users, items
        return self

    def _penalty_shares(self, ratings: Ratings, n_old: tuple[int, int]) -> tuple[float, float, float]:
        """Return what part of the penalties of factors, user biases and item biases falls to new ratings.

        A row's penalty is shared out among its ratings. The old ones had their part, so the new ones are given no
        more than if all had been there at once: (n_new / n_all)^(1 - a) of a penalty λ n^a. It is the mean over the
        new ratings, 1 for those of new rows. Where it is not known who rated what, everything is taken for new.
        """
        if self.seen_ is None:
            return 1.0, 1.0, 1.0
        new = np.diff(ratings.indptr), np.bincount(ratings.indices, minlength=ratings.n_items)
        old = np.diff(self.seen_.indptr), np.bincount(self.seen_.indices, minlength=n_old[1])
        rows = ratings.row_of_entry(), ratings.indices
        of_factors, of_bias = [], []
        for side in (0, 1):
            known = np.zeros(new[side].size)
            known[: n_old[side]] = old[side]
            part = (new[side] / np.maximum(new[side] + known, 1))[rows[side]]
            of_factors.append(float(np.mean(part ** (1 - self.reg_exponent_))))
            of_bias.append(float(np.mean(part)))
        return sum(of_factors) / 2, of_bias[0], of_bias[1]

    def _targets(self, ratings: Ratings, caller: str) -> Ratings:
        """Return what is to be predicted of ratings: themselves."""
        return ratings

    def _with_new_rows(self, ratings: Ratings, seed: int) -> tuple[Any, ...]:
        """Return the parameters with rows for new users and items, and the items' means; all are copies."""
        old_users, old_items = len(self.users_), len(self.items_)
        k = self.user_factors_.shape[1]
        scale = 0.1 * float(np.sqrt(self.sigma_ / k))
        mean = self.item_mean_
        if mean is not None:
            mean = np.concatenate([mean, np.full(ratings.n_items - old_items, self.global_mean_, np.float32)])
        sides: list[NDArray[np.float32]] = []
        biases: list[NDArray[np.float32]] = []
        user_rows = ratings.row_of_entry()
        for stream, (by, old, rows, ids, factors, bias) in enumerate(
            (
                ("user", old_users, user_rows, ratings.users, self.user_factors_, self.user_bias_),
                ("item", old_items, ratings.indices, ratings.items, self.item_factors_, self.item_bias_),
            )
        ):
            n_new = len(ids) - old
            # Small random factors first: a row of zeros that meets a row of zeros would stay where it is.
            more = self._native.random(n_new, k, "normal", scale, seed, _STREAM + stream, self._threads)
            more_bias = np.zeros(n_new, np.float32)
            new = rows >= old
            if new.any():
                folded = self.fold_in(ratings.take(new), by=by)
                found = (folded.users_ if by == "user" else folded.items_).rows(ids.ids[old:])
                solved = folded.user_factors_ if by == "user" else folded.item_factors_
                known = (found >= 0) & solved[found].any(axis=1)
                more[known] = solved[found[known]]
                more_bias[known] = (folded.user_bias_ if by == "user" else folded.item_bias_)[found[known]]
                if by == "item" and mean is not None and folded.item_mean_ is not None:
                    mean[old:] = folded.item_mean_[found]
            sides.append(np.concatenate([factors, more]))
            biases.append(np.concatenate([bias, more_bias]))
        return (*sides, *biases, mean)


def _extended(known: IdMap, ids: NDArray[Any], where: str) -> IdMap:
    """Return the map with the ids that it lacks at the end."""
    if (known.ids.dtype.kind == "U") != (ids.dtype.kind == "U"):
        kinds = ("strings", "integers") if known.ids.dtype.kind == "U" else ("integers", "strings")
        raise TypeError(f"{where} must have ids that are {kinds[0]}, as the model's; got {kinds[1]}")
    new = ids[known.rows(ids) < 0]
    return known if new.size == 0 else IdMap(np.concatenate([known.ids, new]))


def _seen_union(seen: SeenItems, ratings: Ratings) -> SeenItems:
    """Return which items each user has rated, before or now."""
    old_rows = np.repeat(np.arange(seen.indptr.size - 1), np.diff(seen.indptr))
    rows = np.concatenate([old_rows, ratings.row_of_entry()])
    items = np.concatenate([seen.indices, ratings.indices])
    union = Ratings.from_coo(
        rows,
        items,
        np.ones(rows.size, np.float32),
        duplicates="last",
        user_ids=IdMap.range(ratings.n_users),
        item_ids=IdMap.range(ratings.n_items),
    )
    return SeenItems(union.indptr, union.indices)
