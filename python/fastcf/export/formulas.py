"""What exported models compute: each formula once, for PyTorch and for ONNX.

A formula is a function of ``Arrays`` (the functions of a library), of named values (parameters and constants) and of
inputs. Values have the operators ``+ - * / @`` and ``.T``. Row -1 is an unknown user or item: tables have one more row
for it, at their end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf.scores import Identity, Link, Sigmoid, Squash, State
from fastcf.scores.targets import Targets

__all__ = [
    "Arrays",
    "Input",
    "Network",
    "Values",
    "activated",
    "limits_of",
    "normalized",
    "padded",
    "targets_of",
]

Values = Mapping[str, Any]
_TINY = 1e-30  # below any length that is not 0


class Arrays(Protocol):
    """The functions of a library of arrays that formulas use; ``x`` are float32, of shape (n, …)."""

    def activation(self, name: str, x: Any) -> Any:
        """Return g(x) for an activation by its name."""

    def missing(self, x: Any) -> Any:
        """Return where numbers are NaN."""

    def at_least(self, x: Any, number: float) -> Any:
        """Return where numbers are at least one number."""

    def negative(self, rows: Any) -> Any:
        """Return where rows are -1."""

    def where(self, condition: Any, x: Any, other: Any) -> Any:
        """Return x where a condition holds, else other; both may be numbers."""

    def maximum(self, x: Any, number: float) -> Any:
        """Return numbers, or another one where they are less."""

    def log1p(self, x: Any) -> Any:
        """Return log(1 + x)."""

    def absolute(self, x: Any) -> Any:
        """Return |x|."""

    def sqrt(self, x: Any) -> Any:
        """Return the square root."""

    def clipped(self, x: Any, low: float, high: float) -> Any:
        """Return numbers limited to an interval."""

    def sum(self, x: Any) -> Any:
        """Return sums over the last axis, which stays, of length 1."""

    def rows_of(self, table: Any, rows: Any) -> Any:
        """Return rows of a table; row -1 is the last."""

    def part(self, table: Any, begin: int, end: int) -> Any:
        """Return the rows from begin to end of a table."""

    def with_zeros(self, table: Any) -> Any:
        """Return a table with a last row of zeros."""

    def joined(self, parts: list[Any]) -> Any:
        """Return arrays side by side."""

    def of_each(self, x: Any, weights: Any) -> Any:
        """Return the products of vectors (n, k) and matrices (n, k, m), one each, (n, m)."""

    def column(self, x: Any) -> Any:
        """Return a vector as a table of one column."""

    def flat(self, x: Any) -> Any:
        """Return a table of one column as a vector."""

    def repeated(self, step: Callable[[Any], Any], start: Any, rounds: int, tolerance: float) -> Any:
        """Add steps to values until none is larger than the tolerance, at most so many times."""


class Input(NamedTuple):
    """An input: its name, whether it holds rows (int32) or numbers (float32), and its shape, names being free."""

    name: str
    rows: bool
    shape: tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A formula with its values and inputs.

    Attributes
    ----------
    inputs : tuple of Input
        What it is a function of, in order.
    output : tuple of str or int
        The shape of the predictions.
    parameters, constants : dict of str to ndarray
        What training changes, and what it does not; float32, or int32 for rows.
    formula : callable
        Takes ``Arrays``, the values by name, and the inputs; returns scores.
    link : Link
        From scores to predictions.
    limits : tuple of float
        The range of predictions.
    """

    inputs: tuple[Input, ...]
    output: tuple[str | int, ...]
    parameters: dict[str, NDArray[Any]]
    constants: dict[str, NDArray[Any]]
    formula: Callable[..., Any]
    link: Link
    limits: tuple[float, float]

    def predictions(self, arrays: Arrays, values: Values, inputs: tuple[Any, ...], *, clip: bool = True) -> Any:
        """Return the predictions of inputs."""
        scores = self.formula(arrays, values, *inputs)
        return _finished(arrays, scores, self.link, self.limits if clip else (-np.inf, np.inf))


def _finished(arrays: Arrays, scores: Any, link: Link, limits: tuple[float, float]) -> Any:
    """Return the predictions of scores."""
    if isinstance(link, Sigmoid):
        scores = arrays.activation("sigmoid", scores)
    elif isinstance(link, Squash):
        scores = arrays.activation(link.activation, scores) * link.unit + link.mean
    elif not isinstance(link, Identity):
        raise TypeError(f"fastcf.export: the link must be one of fastcf's; got {link!r}")
    return scores if np.isinf(limits).all() else arrays.clipped(scores, *limits)


def activated(arrays: Arrays, x: Any, layers: list[tuple[Any, Any]], activation: str) -> Any:
    """Return the values of layers (weights or None, bias or None), one behind the other."""
    for weights, bias in layers:
        x = x if weights is None else x @ weights
        x = arrays.activation(activation, x if bias is None else x + bias)
    return x


def normalized(arrays: Arrays, x: Any, length: float) -> Any:
    """Return rows of that length; zeros stay."""
    return x * (length / arrays.maximum(arrays.sqrt(arrays.sum(x * x)), _TINY))


def targets_of(arrays: Arrays, ratings: Any, given: Any, targets: Targets, strength: str | None) -> Any:
    """Return the targets of ratings, 0 where none is ``given`` (1, else 0); ``strength`` is that of choices."""
    if not (targets.labels or targets.choices) or (targets.labels and targets.threshold is None):
        return ratings
    least = float(np.finfo(np.float32).tiny) if targets.threshold is None else targets.threshold
    chosen = arrays.where(arrays.at_least(ratings, least), 1.0, 0.0) * given
    if strength in (None, "one"):
        return chosen
    # Where nothing is chosen the logarithm is of 1.
    return chosen * (ratings if strength == "value" else arrays.log1p(ratings * chosen))


def padded(table: NDArray[Any], last: Any = 0) -> NDArray[Any]:
    """Return a table with a last row, that of row -1."""
    return np.concatenate([table, np.full((1, *table.shape[1:]), last, table.dtype)])


def limits_of(state: State) -> tuple[float, float]:
    """Return the range of predictions."""
    low, high = state.rating_range
    return float(low), float(high)
