"""Output links: from scores, by which items are ranked, to predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["ACTIVATIONS", "Compute", "Identity", "Link", "Sigmoid", "Squash"]

Floats = NDArray[np.float32]

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu")
"""Names of the activations of networks, computed natively."""


class Compute(NamedTuple):
    """The device and the threads that compute scores.

    Attributes
    ----------
    native : module
        The native module of the device.
    n_threads : int
        Threads to use; 0: :func:`fastcf.get_num_threads`.
    """

    native: Any
    n_threads: int


class Link(Protocol):
    """An increasing function of scores."""

    @property
    def linear(self) -> bool:
        """Whether predictions are the scores."""
        ...

    def predictions(self, scores: Floats, compute: Compute) -> Floats:
        """Return the predictions of scores of any shape; may overwrite them."""
        ...


@dataclass(frozen=True)
class Identity:
    """Predictions are the scores: ratings."""

    @property
    def linear(self) -> bool:
        """True."""
        return True

    def predictions(self, scores: Floats, compute: Compute) -> Floats:
        """Return the scores."""
        return scores


@dataclass(frozen=True)
class Sigmoid:
    """Scores are log-odds, predictions the probabilities of label 1."""

    @property
    def linear(self) -> bool:
        """False."""
        return False

    def predictions(self, scores: Floats, compute: Compute) -> Floats:
        """Return ``1 / (1 + exp(-score))``, in place."""
        return expit(scores, out=scores)  # type: ignore[no-any-return]  # SciPy ships no types


@dataclass(frozen=True)
class Squash:
    """Predictions are ``mean + unit g(score)`` with a squashing function g of a network's output.

    Attributes
    ----------
    activation : str
        Name of g, one of ``ACTIVATIONS``.
    unit, mean : float
        The scale of the ratings.
    """

    activation: str
    unit: float
    mean: float

    @property
    def linear(self) -> bool:
        """False."""
        return False

    def predictions(self, scores: Floats, compute: Compute) -> Floats:
        """Return the predictions, in place."""
        rows = scores.reshape(1, -1) if scores.ndim == 1 else scores
        compute.native.activate(self.activation, rows, n_threads=compute.n_threads)
        scores *= np.float32(self.unit)
        scores += np.float32(self.mean)
        return scores
