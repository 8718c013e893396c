"""Scores of a network per user over features of items."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host, single_threaded_blas
from fastcf.models.perceptron.networks import NetworkShape, group_pairs
from fastcf.scores import Compute, Identity, Link, Scores, Selection
from fastcf.scores.blocks import batches, best_of_blocks

__all__ = ["PerceptronScores", "expected"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]


def expected(outputs: Floats, levels: Floats | None) -> Floats:
    """Return the predictions of outputs (n, K): the probability, or the mean of the levels by the outputs."""
    if levels is None:
        return outputs[:, 0]
    mean: Floats = outputs @ levels / outputs.sum(axis=1)
    return mean


@dataclass(frozen=True, eq=False)
class PerceptronScores(Scores):
    """Predictions of networks: a probability, or a rating. Users without a trained network get the base rate.

    Fields are documented by :class:`UserPerceptron`; features of unknown items count as 0.
    """

    shown: ClassVar[tuple[str, ...]] = (
        "parameters", "coefs", "intercepts", "item_features", "levels", "base_rate", "n_ratings", "global_mean",
    )  # fmt: skip

    parameters: Floats
    shape: NetworkShape
    item_features: Floats
    levels: Floats | None
    base_rate: Floats
    n_ratings: NDArray[np.int64]
    link: Link = field(default_factory=Identity)

    def __post_init__(self) -> None:
        for name in ("parameters", "item_features", "levels", "base_rate", "n_ratings"):
            array = getattr(self, name)
            if array is not None and array.flags.writeable:
                view = array.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return len(self.parameters)

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return len(self.item_features)

    @property
    def coefs(self) -> list[Floats]:
        """The weights of each layer, of shape (n_users, inputs, outputs)."""
        return [place.of(self.parameters) for place in self.shape.layout.coefs]

    @property
    def intercepts(self) -> list[Floats]:
        """The biases of each layer, of shape (n_users, outputs); none without bias units."""
        return [place.of(self.parameters) for place in self.shape.layout.intercepts]

    @property
    def global_mean(self) -> float:
        """The prediction of the base rate."""
        return float(expected(self.base_rate[None], self.levels)[0])

    def _known(self, users: Rows) -> NDArray[np.bool_]:
        """Whether each user row has a trained network."""
        return (users >= 0) & (self.n_ratings[users] > 0)

    def outputs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the outputs h(x) of pairs of rows, (n, K)."""
        out = np.tile(self.base_rate, (users.size, 1))
        pairs = group_pairs(users, items, self._known(users))
        with single_threaded_blas():
            out[pairs.entries] = host.perceptron_predict(
                self.parameters, self.item_features, *pairs[:3], **self.shape._asdict(), n_threads=compute.n_threads
            )
        return out

    def _outputs_of_all(self, users: Rows, compute: Compute) -> Floats:
        """Return the outputs of all items for each user row, (m n_items, K)."""
        known = self._known(users)
        some = np.ascontiguousarray(users[known])
        with single_threaded_blas():
            found: Floats = host.perceptron_predict(
                self.parameters, self.item_features, some, **self.shape._asdict(), n_threads=compute.n_threads
            )
        if known.all():
            return found
        size = self.n_items, self.base_rate.size
        everything = np.broadcast_to(self.base_rate, (users.size, *size)).copy()
        everything[known] = found.reshape(-1, *size)
        return everything.reshape(-1, size[1])

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the predictions of pairs of rows."""
        return expected(self.outputs(users, items, compute), self.levels)

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the predictions of all items for user rows."""
        scores = np.empty((users.size, self.n_items), np.float32)
        for batch in batches(users.size, self.n_items * self.base_rate.size):
            own = np.ascontiguousarray(users[batch])
            scores[batch] = expected(self._outputs_of_all(own, compute), self.levels).reshape(own.size, -1)
        return scores

    def best(self, users: Rows, selection: Selection, compute: Compute) -> tuple[Rows, Floats]:
        """Return the best items of user rows."""
        return best_of_blocks(self, users, selection, compute)
