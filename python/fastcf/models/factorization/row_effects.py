"""What a row's features explain of its factors: which columns it rated, and known features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from fastcf._backend import host
from fastcf.ratings import Ratings
from fastcf.scores import Compute

__all__ = ["RowEffects", "RowFeatures", "Side", "rated_features", "sides_of"]

Floats = NDArray[np.float32]
Csr = tuple[NDArray[np.int64], NDArray[np.int32], Floats]

_PRIOR = 1.0, 1.0  # shape and rate of λ


class Side(NamedTuple):
    """The ratings of one side's rows, and the rows that they are of.

    Attributes
    ----------
    csr : tuple of ndarray
        Row pointers, columns, and values less their offsets; in Gibbs sampling in units of their standard deviation.
    rows : ndarray of int32
        Of each rating.
    weights : ndarray of float32, optional
        Of each rating.
    """

    csr: Csr
    rows: NDArray[np.int32]
    weights: Floats | None


def sides_of(ratings: Ratings, values: Floats) -> tuple[Side, Side]:
    """Return the ratings by user and by item, with these values."""
    by_item = ratings.by_item()
    return (
        Side((ratings.indptr, ratings.indices, values), ratings.row_of_entry(), ratings.weights),
        Side(
            (by_item.indptr, by_item.indices, values[by_item.entries]),
            ratings.indices[by_item.entries],
            by_item.weights,
        ),
    )


class RowFeatures(NamedTuple):
    """Features of rows, feature by feature."""

    indptr: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: Floats

    @classmethod
    def rated(cls, side: Side, other: Side) -> RowFeatures:
        """Return which columns the rows of a side rated, each 1/√n in a row of n ratings.

        ``other`` has the same ratings by column.
        """
        shares = _shares(side.csr[0])
        return cls(other.csr[0], other.csr[1], shares[other.csr[1]])

    @classmethod
    def known(cls, table: Any) -> RowFeatures:
        """Return the columns of a matrix of features, (n_rows, n_features), dense or sparse, in a common unit.

        Dense ones are taken from their means; all are divided by their root mean square and by √n_features.
        """
        if not issparse(table):
            table = table - table.mean(axis=0, dtype=np.float64)
        by_feature = csr_matrix(table.T, dtype=np.float64)
        squares = np.asarray(by_feature.multiply(by_feature).sum(axis=1)).ravel()
        scales = np.sqrt(max(by_feature.shape[1], 1) / (np.where(squares > 0, squares, 1) * max(squares.size, 1)))
        values = by_feature.data * np.repeat(scales, np.diff(by_feature.indptr))
        return cls(by_feature.indptr.astype(np.int64), by_feature.indices.astype(np.int32), values.astype(np.float32))


def _shares(indptr: NDArray[np.int64]) -> Floats:
    """Return 1/√n of rows of n ratings."""
    shares: Floats = (1 / np.sqrt(np.maximum(np.diff(indptr), 1))).astype(np.float32)
    return shares


def rated_features(indptr: NDArray[np.int64], columns: NDArray[np.int32], n_columns: int) -> csr_matrix:
    """Return the features of :meth:`RowFeatures.rated` for further rows, (n_rows, n_columns)."""
    values = np.repeat(_shares(indptr), np.diff(indptr))
    return csr_matrix((values, columns, indptr), shape=(len(indptr) - 1, n_columns))


@dataclass
class RowEffects:
    r"""Effects of features on rows: ``x_u ~ N(μ + E f_u, Λ⁻¹)`` with ``E_j ~ N(0, (λ Λ)⁻¹)``, ``λ ~ Gamma(1, rate 1)``.

    Attributes
    ----------
    features : RowFeatures
        f_u of all rows.
    effects : ndarray of shape (d, n_features), float32
        E, d being the number of factors, plus one with biases.
    centres : ndarray of shape (n_rows, k), float32
        The factors of E f_u.
    centre_bias : ndarray of shape (n_rows,), float32
        Its biases.
    biased : bool
        Whether there are any.
    strength : float
        λ.
    """

    features: RowFeatures
    effects: Floats
    centres: Floats
    centre_bias: Floats
    biased: bool
    strength: float = 1.0

    @classmethod
    def of(cls, features: RowFeatures, n_rows: int, k: int, biased: bool) -> RowEffects:
        """Return effects that are all 0."""
        n_features = len(features.indptr) - 1
        return cls(
            features,
            np.zeros((k + biased, n_features), np.float32),
            np.zeros((n_rows, k), np.float32),
            np.zeros(n_rows, np.float32),
            biased,
        )

    @property
    def scatter(self) -> tuple[NDArray[np.float64], int]:
        """The effects' part of the scatter matrix of Λ⁻¹: ``λ E Eᵀ``, and the number of its terms."""
        wide = self.effects.astype(np.float64)
        return self.strength * (wide @ wide.T), wide.shape[1]

    def predictions(self, side: Side, column_factors: Floats, compute: Compute) -> Floats:
        """Return the predictions of the centres for the ratings."""
        predicted: Floats = compute.native.predict_pairs(
            side.rows, side.csr[1], self.centres, column_factors, self.centre_bias, n_threads=compute.n_threads
        )
        return predicted

    def impute(self, known: NDArray[np.bool_], random: np.random.Generator) -> None:
        """Give rows without known features the centres of others, drawn at random."""
        if not known.all() and known.any():
            chosen = random.choice(np.flatnonzero(known), np.count_nonzero(~known))
            self.centres[~known], self.centre_bias[~known] = self.centres[chosen], self.centre_bias[chosen]

    def draw_strength(self, precision: NDArray[np.float64], random: np.random.Generator) -> None:
        """Draw λ given E and Λ."""
        shape, rate = _PRIOR
        wide = self.effects.astype(np.float64)
        squares = float(np.sum((wide @ wide.T) * precision))
        self.strength = float(random.gamma(shape + 0.5 * wide.size, 1 / (rate + 0.5 * squares)))

    def draw(
        self,
        side: Side,
        factors: Floats,
        bias: Floats,
        column_factors: Floats,
        column_bias: Floats,
        *,
        noise_precision: float,
        precision: NDArray[np.float64],
        noise: Floats | None,
        compute: Compute,
    ) -> Floats:
        """Draw E given the ratings and the rows less their centres; update the centres and return their residuals.

        ``noise`` has standard normals, shape (d, n_features). Without it, four entries at a time become what is most
        probable given the others: a sweep of coordinate descent. ``precision`` is Λ, ``noise_precision`` that of a
        rating of weight 1.
        """
        native, n_threads = compute
        indptr, columns, values = side.csr

        def predicted(factors: Floats, bias: Floats, others: Floats) -> Floats:
            """Return inner products and biases, ``others`` of the columns."""
            found: Floats = native.predict_pairs(
                side.rows, columns, factors, column_factors, bias, others, n_threads=n_threads
            )
            return found

        residuals = values - predicted(factors + self.centres, bias + self.centre_bias, column_bias)
        host.feature_effects(
            indptr,
            columns,
            column_factors,
            *self.features,
            self.effects,
            residuals,
            self.centres,
            self.centre_bias if self.biased else None,
            weights=side.weights,
            precision=noise_precision,
            prior=(self.strength * precision).astype(np.float32),
            noise=noise,
            n_threads=n_threads,
        )
        residuals += predicted(factors, bias, column_bias)
        return residuals

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to continue from."""
        return {
            "effects": self.effects.copy(),
            "centres": self.centres.copy(),
            "centre_bias": self.centre_bias.copy(),
            "strength": np.array(self.strength),
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self.effects, self.centres = arrays["effects"].copy(), arrays["centres"].copy()
        self.centre_bias, self.strength = arrays["centre_bias"].copy(), float(arrays["strength"])
