"""Scores of factors with biases and offsets: ``m_i + b_u + b_i + p_u·q_i``."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.links import Compute, Floats, Identity, Link
from fastcf.scores.protocol import Contributions, Found, ItemSide, Rows, Scores, Selection
from fastcf.scores.seen import read_only
from fastcf.scores.vectors import VectorTable

__all__ = ["FactorScores", "Posterior"]

# Item factors on a device, by their scores; kept outside of the scores, which can be copied meanwhile.
_resident: weakref.WeakKeyDictionary[FactorScores, Any] = weakref.WeakKeyDictionary()
# Tables for neighbours, users' and items', by their scores; copies and files of scores are without.
_tables: weakref.WeakKeyDictionary[FactorScores, tuple[VectorTable, VectorTable]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Posterior:
    """The posterior of factors whose mean is the model: standard deviations of predictions.

    Attributes
    ----------
    user_bias_samples, item_bias_samples : ndarray of shape (n_samples, n_users), (n_samples, n_items), float32
        Biases of each draw. The factors of the draws are side by side in the scores.
    noise_variance : float
        Mean variance of a rating of weight 1 around its prediction.
    user_noise_variances : ndarray of shape (n_users,), float32, optional
        The same of each user's ratings, where users differ.
    """

    user_bias_samples: Floats
    item_bias_samples: Floats
    noise_variance: float
    user_noise_variances: Floats | None = None

    def __post_init__(self) -> None:
        for name in ("user_bias_samples", "item_bias_samples", "user_noise_variances"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies of arrays can be written to
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def n_samples(self) -> int:
        """Number of draws."""
        return len(self.user_bias_samples)


@dataclass(frozen=True, eq=False)
class FactorScores(Scores):
    """Scores ``m_i + b_u + b_i + p_u·q_i``. A row of -1 has no factors and no bias, and the global mean as offset.

    Attributes
    ----------
    user_factors, item_factors : ndarray of shape (n_users, k), (n_items, k), float32
        p_u and q_i.
    user_bias, item_bias : ndarray of shape (n_users,), (n_items,), float32
        b_u and b_i.
    global_mean : float
        m_i where there are no means by item, or where the item is unknown.
    item_mean : ndarray of shape (n_items,), float32, optional
        m_i.
    link : Link
        From scores to predictions.
    posterior : Posterior, optional
        The posterior of the deviations.
    user_centre, item_centre : ndarray of shape (k,), float32, optional
        What was taken off the vectors of users and items to make them factors. Neighbours are those of the vectors
        as they were. None: nothing.
    """

    shown: ClassVar[tuple[str, ...]] = (
        "user_factors", "item_factors", "user_bias", "item_bias", "global_mean", "item_mean",
    )  # fmt: skip

    user_factors: Floats
    item_factors: Floats
    user_bias: Floats
    item_bias: Floats
    global_mean: float
    item_mean: Floats | None = None
    link: Link = field(default_factory=Identity)
    posterior: Posterior | None = None
    user_centre: Floats | None = None
    item_centre: Floats | None = None

    def __post_init__(self) -> None:
        arrays = "user_factors", "item_factors", "user_bias", "item_bias", "item_mean", "user_centre", "item_centre"
        for name in arrays:
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array))

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies of arrays can be written to
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return len(self.user_factors)

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return len(self.item_factors)

    @property
    def linear(self) -> bool:
        """Whether predictions are the scores."""
        return self.link.linear

    @property
    def n_factors(self) -> int:
        """Length of the vectors."""
        return int(self.user_factors.shape[1])

    @property
    def compares_items(self) -> bool:
        """Whether there are factors."""
        return self.n_factors > 0

    @property
    def compares_users(self) -> bool:
        """Whether there are factors."""
        return self.n_factors > 0

    @property
    def user_vectors(self) -> VectorTable:
        """The vectors of users, for neighbours; searches of the same scores share it."""
        return self._vector_tables[0]

    @property
    def item_vectors(self) -> VectorTable:
        """The same of items."""
        return self._vector_tables[1]

    @property
    def _vector_tables(self) -> tuple[VectorTable, VectorTable]:
        tables = _tables.get(self)
        if tables is None:
            users, items = (self.user_factors, self.user_centre), (self.item_factors, self.item_centre)
            tables = _tables.setdefault(self, (VectorTable(*users), VectorTable(*items)))
        return tables

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the items whose vectors are nearest to those of item rows."""
        return self.item_vectors.nearest(items, n, metric, compute)

    def user_neighbours(self, users: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the users whose vectors are nearest to those of user rows."""
        return self.user_vectors.nearest(users, n, metric, compute)

    @property
    def item_score(self) -> Floats:
        """The constant of an item's score: its bias, and its mean if there is one."""
        return self.item_bias if self.item_mean is None else self.item_bias + self.item_mean

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The arguments of the native predictors after the rows."""
        return (
            self.user_factors,
            self.item_factors,
            self.user_bias,
            self.item_bias,
            self.item_mean,
            self.global_mean,
        )

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows."""
        scores: Floats = compute.native.predict_pairs(users, items, *self.parameters, n_threads=compute.n_threads)
        return scores

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        scores: Floats = compute.native.predict_block(users, *self.parameters, n_threads=compute.n_threads)
        return scores

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows by the native top-k search: scores are compared, never stored."""
        known = users >= 0
        safe = np.where(known, users, 0)
        queries = self.user_factors[safe]
        queries[~known] = 0
        items, scores = compute.native.topk(
            queries,
            _resident.get(self, self.item_factors),
            selection.with_offset(self.item_score),
            selection.n,
            *selection.seen,
            candidates=selection.candidates,
            storage=selection.storage,
            n_threads=compute.n_threads,
        )
        base = np.where(known, self.user_bias[safe], np.float32(0))
        if self.item_mean is None:
            base = base + np.float32(self.global_mean)
        return items, scores + base[:, None]

    def search(self, users: Rows, k: int, seen: tuple[Any, ...], compute: Compute) -> Found:
        """Return the best items of known user rows by what differs between items: products and item scores.

        Without items that have neither a vector nor a bias.
        """
        item_score = self.item_score
        if self.unknown_items.size:
            item_score = item_score.copy()
            item_score[self.unknown_items] = -np.inf
        items, scores = compute.native.topk(
            self.user_factors[users],
            _resident.get(self, self.item_factors),
            item_score,
            k,
            *seen,
            n_threads=compute.n_threads,
        )
        return items, scores

    @property
    def unknown_items(self) -> Rows:
        """Rows of items without vector and bias, ascending; none if no item has vectors."""
        unknown = self.item_vectors.unknown
        kept: Rows = unknown[self.item_bias[unknown] == 0] if unknown.size < self.n_items else unknown[:0]
        return kept

    @property
    def explains(self) -> bool:
        """Whether there are no factors: all is constants then."""
        return self.n_factors == 0

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return the constants, and no rows."""
        return Contributions(self.constants(user, items), np.empty(0, np.int32), np.empty((0, items.size)))

    def constants(self, user: int, items: Rows) -> dict[str, NDArray[np.float64]]:
        """Return all but the products ``p_u·q_i``: m_i, b_u and b_i of a user row and item rows, by name."""
        known, n = items >= 0, items.size
        mean = np.full(n, float(self.global_mean))
        if self.item_mean is not None:
            mean[known] = self.item_mean[items[known]]
        bias = np.zeros(n)
        bias[known] = self.item_bias[items[known]]
        of_user = float(self.user_bias[user]) if user >= 0 else 0.0
        name = "mean" if self.item_mean is None else "item mean"
        found = {name: mean, "user bias": np.full(n, of_user), "item bias": bias}
        return {name: values for name, values in found.items() if values.any()}

    def item_vectors_of(self, items: Rows) -> NDArray[np.float64]:
        """Return the factors of item rows in float64, (m, k); 0 of unknown ones."""
        return np.where(items[:, None] >= 0, self.item_factors[items].astype(np.float64), 0.0)

    def as_factors(self) -> FactorScores | None:
        """Return these scores."""
        return self

    def item_side(self) -> ItemSide:
        """Return the item side."""
        bias = self.item_bias.astype(np.float64)
        if self.item_mean is None:
            return ItemSide(self.item_factors, bias, self.global_mean, 0.0)
        return ItemSide(self.item_factors, bias + self.item_mean, 0.0, self.global_mean)

    def user_side(self, users: Rows) -> tuple[Floats, NDArray[np.float64]]:
        """Return the user side of user rows."""
        known, safe = users >= 0, np.where(users >= 0, users, 0)
        factors = np.where(known[:, None], self.user_factors[safe], np.float32(0))
        return factors, np.where(known, self.user_bias[safe].astype(np.float64), 0.0)

    def replaced(self, **changes: Any) -> FactorScores:
        """Return scores with other arrays in place of some."""
        return replace(self, **changes)

    @property
    def has_deviations(self) -> bool:
        """Whether there is a posterior."""
        return self.posterior is not None

    def deviations(self, users: Rows, items: Rows) -> Floats:
        """Return the standard deviations of ratings of pairs of rows: the spread of the draws and the noise.

        Only for scores with a ``posterior``.
        """
        assert self.posterior is not None
        posterior = self.posterior
        n = posterior.n_samples
        deviations = np.empty(users.size, np.float32)
        step = max(1, (1 << 22) // max(1, self.n_factors))  # pairs at once: two arrays of 16 MB
        for begin in range(0, users.size, step):
            u, i = users[begin : begin + step], items[begin : begin + step]
            known_user, known_item = u >= 0, i >= 0
            products = np.einsum(
                "esk,esk->es",
                self.user_factors[u].reshape(u.size, n, -1),
                self.item_factors[i].reshape(u.size, n, -1),
            )
            samples = n * products * (known_user & known_item)[:, None]
            samples += posterior.user_bias_samples[:, u].T * known_user[:, None]
            samples += posterior.item_bias_samples[:, i].T * known_item[:, None]
            noise = np.full(u.size, posterior.noise_variance)
            if posterior.user_noise_variances is not None:
                noise[known_user] = posterior.user_noise_variances[u[known_user]]
            deviations[begin : begin + step] = np.sqrt(samples.var(axis=1, dtype=np.float64) + noise)
        return deviations

    @property
    def resident(self) -> bool:
        """True."""
        return True

    @contextlib.contextmanager
    def on_device(self, compute: Compute) -> Iterator[None]:
        """Keep the item factors in the device's memory while a ``with`` block runs."""
        before = _resident.get(self)
        _resident[self] = compute.native.DeviceArray(np.ascontiguousarray(self.item_factors))
        try:
            yield
        finally:
            if before is None:
                _resident.pop(self, None)
            else:
                _resident[self] = before
