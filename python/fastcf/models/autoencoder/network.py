"""The network of an autoencoder: its shape, its parameters and their first values, the hidden values of rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.scores import Compute

__all__ = ["INITS", "Architecture", "Parameters", "draw_parameters", "hidden_values"]

Floats = NDArray[np.float32]

INITS = ("small", "lecun", "glorot", "normal", "uniform")
_STREAM = 32  # of random numbers: the first weights; other families have those below
_SMALL = 0.05  # of "normal" and "uniform"
_ENDS = 0.1  # of "small": how large the weights of both ends are, compared with "lecun"


@dataclass(frozen=True)
class Architecture:
    """The shape of a network: an encoder of some layers, the decoder that mirrors it, and their activations.

    The attributes are parameters of :class:`fastcf.Autoencoder`.
    """

    layers: tuple[int, ...]
    activation: str
    output_activation: str
    tied: bool
    rated_input: float

    @property
    def squashes(self) -> bool:
        """Whether outputs are not the last layer's products."""
        return self.output_activation != "identity"

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that all native functions of networks take."""
        return {
            "layers": list(self.layers),
            "activation": self.activation,
            "tied": self.tied,
            "rated_input": self.rated_input,
        }

    @property
    def hidden_weights(self) -> list[tuple[int, int]]:
        """Shapes (inputs, outputs) of the weights between hidden layers; a tied decoder has no others."""
        shapes = list(itertools.pairwise(self._widths))
        return shapes[: len(self.layers) - 1] if self.tied else shapes

    @property
    def hidden_biases(self) -> list[tuple[int]]:
        """Shapes of the biases of hidden layers."""
        return [(width,) for width in self._widths]

    @property
    def _widths(self) -> list[int]:
        return [*self.layers, *self.layers[-2::-1]]


class Parameters(NamedTuple):
    """The parameters of a network, in the order in which native code takes them.

    As the attributes of :class:`fastcf.Autoencoder`, but ``output_weights`` is None where they are the input weights.
    With ``rated_effects`` (n_rows, layers[0]), output weights are their differences to the centres that these effects
    give them; with None they are whole, as those of fitted networks are.
    """

    input_weights: NDArray[Any]
    output_weights: NDArray[Any] | None
    output_bias: NDArray[Any]
    hidden_weights: Sequence[NDArray[Any]]
    hidden_biases: Sequence[NDArray[Any]]
    rated_weights: NDArray[Any] | None
    rated_effects: NDArray[Any] | None = None

    @property
    def output_table(self) -> NDArray[Any]:
        """U, also where it is V."""
        return self.input_weights if self.output_weights is None else self.output_weights

    def named(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name; those of hidden layers are numbered."""
        arrays = {name: value for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        for name in ("hidden_weights", "hidden_biases"):
            arrays |= {f"{name}_{n}": array for n, array in enumerate(getattr(self, name))}
        return arrays

    @classmethod
    def of(cls, named: Mapping[str, NDArray[Any]]) -> Parameters:
        """Return the parameters that :meth:`named` returned."""
        weights = [array for name, array in named.items() if name.startswith("hidden_weights")]
        biases = [array for name, array in named.items() if name.startswith("hidden_biases")]
        ends = named["input_weights"], named.get("output_weights"), named["output_bias"]
        return cls(*ends, weights, biases, named.get("rated_weights"), named.get("rated_effects"))

    def empty_like(self) -> Parameters:
        """Return parameters of the same shapes, not filled."""
        return Parameters.of({name: np.empty_like(array) for name, array in self.named().items()})


def draw_parameters(
    architecture: Architecture, n_columns: int, init: str, squares: float, seed: int, compute: Compute
) -> Parameters:
    """Draw first weights; biases are 0. ``squares`` is the mean sum of squares of a row's inputs."""
    stream = _STREAM

    def weights(shape: tuple[int, int], inputs: float, outputs: float, factor: float = 1.0) -> Floats:
        nonlocal stream
        stream += 1
        scale = {
            "small": factor / math.sqrt(inputs),
            "lecun": 1 / math.sqrt(inputs),
            "glorot": math.sqrt(6 / (inputs + outputs)),
            "normal": _SMALL,
            "uniform": _SMALL,
        }[init]
        kind = "uniform" if init in ("glorot", "uniform") else "normal"
        drawn: Floats = compute.native.random(*shape, kind, scale, seed, stream, compute.n_threads)
        return drawn

    width, known = architecture.layers[0], max(squares, 1e-12)
    table = n_columns, width
    first = weights(table, known, width, _ENDS)
    last = None if architecture.tied else weights(table, width, known, _ENDS)
    hidden = [weights(shape, *shape) for shape in architecture.hidden_weights]
    rated = weights(table, architecture.rated_input**2, width, _ENDS) if architecture.rated_input else None
    biases = [np.zeros(shape, np.float32) for shape in architecture.hidden_biases]
    return Parameters(first, last, np.zeros(n_columns, np.float32), hidden, biases, rated)


def hidden_values(
    structure: tuple[NDArray[np.int64], NDArray[np.int32]],
    inputs: Floats,
    parameters: Parameters,
    architecture: Architecture,
    compute: Compute,
    *,
    code: bool = False,
) -> Floats:
    """Return the last hidden values of compressed rows, or the encoder's, given the inputs of their entries."""
    n_layers = len(architecture.layers)
    with single_threaded_blas():
        values: Floats = compute.native.autoencoder_hidden(
            *structure,
            inputs,
            parameters.input_weights,
            parameters.hidden_weights,
            parameters.hidden_biases,
            parameters.rated_weights,
            depth=n_layers if code else 2 * n_layers - 1,
            n_threads=compute.n_threads,
            **architecture.options,
        )
    return values
