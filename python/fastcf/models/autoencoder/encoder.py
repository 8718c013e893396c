"""Rows of a fitted network: their codes, their factors, and new rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.autoencoder.network import Architecture, Parameters, hidden_values
from fastcf.models.autoencoder.rows import Csr, Scale
from fastcf.scores import Compute, FactorScores, Folding, Identity, Link, Sigmoid, Squash, State
from fastcf.scores.queries import RatedSide

__all__ = ["Network", "NetworkFolding", "network_scores"]

Floats = NDArray[np.float32]
Structure = tuple[NDArray[np.int64], NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network with the scale of its outputs; its attributes are those of :class:`fastcf.Autoencoder`.

    ``empty`` holds the last hidden values of a row without ratings.
    """

    shown: ClassVar[tuple[str, ...]] = (
        "input_weights", "rated_weights", "hidden_weights", "hidden_biases", "output_weights", "output_bias", "scale",
        "mean_rating", "reg", "learning_rate", "batch_size", "input_dropout",
    )  # fmt: skip

    architecture: Architecture
    orientation: str
    scale: Scale
    input_weights: Floats
    output_weights: Floats
    output_bias: Floats
    hidden_weights: tuple[Floats, ...]
    hidden_biases: tuple[Floats, ...]
    rated_weights: Floats | None
    empty: Floats
    mean_rating: float
    reg: float
    learning_rate: float
    batch_size: int
    input_dropout: float

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        orientation: str,
        scale: Scale,
        parameters: Parameters,
        compute: Compute,
        **others: Any,
    ) -> Network:
        """Return a network with read-only parameters, and its values of an empty row."""
        named = {name: array.view() for name, array in parameters.named().items()}
        for view in named.values():
            view.flags.writeable = False
        first, _, bias, weights, biases, rated, _ = own = Parameters.of(named)
        nothing = np.zeros(2, np.int64), np.empty(0, np.int32)
        empty = hidden_values(nothing, np.empty(0, np.float32), own, architecture, compute)[0]
        arrays = first, own.output_table, bias, tuple(weights), tuple(biases), rated
        return cls(architecture, orientation, scale, *arrays, empty, **others)

    @property
    def parameters(self) -> Parameters:
        """The parameters as native code takes them."""
        last = None if self.architecture.tied else self.output_weights
        hidden = self.hidden_weights, self.hidden_biases
        return Parameters(self.input_weights, last, self.output_bias, *hidden, self.rated_weights)

    @property
    def link(self) -> Link:
        """From scores to predictions."""
        if self.scale.logistic:
            return Sigmoid()
        if self.architecture.squashes:
            return Squash(self.architecture.output_activation, self.scale.unit, self.scale.mean)
        return Identity()

    def hidden(self, structure: Structure, inputs: Floats, compute: Compute, *, code: bool = False) -> Floats:
        """Return hidden values of rows, see :func:`hidden_values`."""
        return hidden_values(structure, inputs, self.parameters, self.architecture, compute, code=code)

    def inputs(self, csr: Csr, weights: Floats | None) -> tuple[Floats, Floats]:
        """Return the inputs of new rows, and the offsets of the rows."""
        offsets = self.scale.row_offsets(csr, weights)
        return self.scale.normalised(csr, offsets), offsets

    def codes(self, rated: RatedSide, compute: Compute) -> Floats:
        """Return the encoder's values of new rows."""
        inputs, _ = self.inputs(rated.csr, rated.weights)
        return self.hidden(rated.csr[:2], inputs, compute, code=True)

    def row_factors(self, structure: Structure, inputs: Floats, compute: Compute) -> Floats:
        """Return the factors of rows: hidden values less those of an empty row, in the unit of the scores."""
        factors = self.hidden(structure, inputs, compute)
        factors -= self.empty
        if not self.architecture.squashes:
            factors *= np.float32(self.scale.gain)
        return factors

    def row_bias(self, offsets: Floats) -> Floats:
        """Return the biases of rows with these offsets."""
        return np.zeros_like(offsets) if self.architecture.squashes else offsets


def network_scores(network: Network, structure: Structure, inputs: Floats, compute: Compute) -> FactorScores:
    """Return the scores of a network and of the rows that it was trained on.

    With h_r the last hidden values of row r and h_0 those of an empty row, the network's products are
    ``U_c·h_r + c_c = U_c·(h_r − h_0) + (c_c + U_c·h_0)``: factors and biases, with factors of 0 for an empty row.
    """
    scale, output_weights = network.scale, network.output_weights
    with single_threaded_blas():
        column_bias = network.output_bias + output_weights @ network.empty
    if network.architecture.squashes:
        mean = _place_of(network, compute)
        column_bias -= np.float32(mean)
    else:
        mean = scale.mean
        column_bias = column_bias * np.float32(scale.gain) + scale.columns
    rows = network.row_factors(structure, inputs, compute), network.row_bias(scale.rows)
    columns = output_weights, column_bias
    users, items = (rows, columns) if network.orientation == "user" else (columns, rows)
    return FactorScores(users[0], items[0], users[1], items[1], mean, link=network.link)


def _place_of(network: Network, compute: Compute) -> float:
    """Return the score that is predicted as the mean rating, or nearest to it: by bisection, as g_o rises."""
    wanted = np.float32((network.mean_rating - network.scale.mean) / network.scale.unit)
    high = 32 + 128 * abs(float(wanted))  # where an activation rises it rises by at least a hundredth
    low = -high
    for _ in range(64):
        middle = np.full((1, 1), (low + high) / 2, np.float32)
        place = float(middle[0, 0])
        compute.native.activate(network.architecture.output_activation, middle, n_threads=1)
        low, high = (place, high) if middle[0, 0] < wanted else (low, place)
    return high


class NetworkFolding(Folding):
    """Computes new rows by the network, which does not change.

    Parameters
    ----------
    orientation : {"item", "user"}
        The rows of the network.
    """

    why = ", the rows of the network"

    def unexplained(self, state: State) -> str:
        """Return why there are no contributions of ratings."""
        return (
            "hidden layers are not linear, so that what ratings contribute does not add up to a score; explain with "
            "LinearAutoencoder or ImplicitFactorization, or compare predictions with and without a rating by history="
        )

    def __init__(self, orientation: str) -> None:
        self.rated_sides = (orientation,)

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Compute factors and offsets of the rows."""
        network, scores = state.learnt, state.scores.as_factors()
        assert scores is not None
        inputs, offsets = network.inputs(rated.csr, rated.weights)
        factors = network.row_factors(rated.csr[:2], inputs, compute)
        side = {f"{rated.by}_factors": factors, f"{rated.by}_bias": network.row_bias(offsets)}
        learnt = replace(network, scale=replace(network.scale, rows=offsets))
        return state.replaced(scores=scores.replaced(**side), learnt=learnt)
