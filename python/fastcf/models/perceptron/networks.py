"""The shape of a user's network: the places of its arrays in a row of parameters, and its objective."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host, single_threaded_blas
from fastcf.training.gradient_check import Objective

__all__ = ["NetworkShape", "Pairs", "group_pairs", "perceptron_objective"]


class Place(NamedTuple):
    """The offset of an array in a row of parameters, and its shape."""

    begin: int
    shape: tuple[int, ...]

    def of(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the array of every row."""
        return rows[..., self.begin : self.begin + math.prod(self.shape)].reshape(*rows.shape[:-1], *self.shape)


class Layout(NamedTuple):
    """The places of a network's arrays in a row of ``size`` numbers; unused numbers are 0."""

    size: int
    coefs: list[Place]
    intercepts: list[Place]

    @property
    def n_weights(self) -> int:
        """Number of weights, with padding; they come first."""
        return self.intercepts[0].begin if self.intercepts else self.size


class NetworkShape(NamedTuple):
    """The shape of a network."""

    layers: list[int]  # features, units of the hidden layers, outputs
    activation: str  # of the hidden layers
    bias: bool  # whether layers have bias units
    levels: list[float]  # output k is whether a rating is levels[k]; empty: one output, whose target is the rating

    @property
    def layout(self) -> Layout:
        """The places of arrays in a row of parameters."""
        size, weights, biases = host.perceptron_layout(self.layers, self.bias)
        shapes = itertools.pairwise(self.layers)
        return Layout(
            size,
            [Place(begin, shape) for begin, shape in zip(weights, shapes, strict=True)],
            [Place(begin, (outputs,)) for begin, outputs in zip(biases, self.layers[1:], strict=False)],
        )


class Pairs(NamedTuple):
    """Pairs of user and item rows as native code takes them, by user; ``entries`` are their original positions."""

    networks: NDArray[np.int32]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    entries: NDArray[np.int64]


def group_pairs(users: NDArray[np.int32], items: NDArray[np.int32], known: NDArray[np.bool_]) -> Pairs:
    """Sort the pairs whose user is known by user."""
    entries = np.flatnonzero(known)
    entries = entries[np.argsort(users[entries], kind="stable")]
    networks, counts = np.unique(users[entries], return_counts=True)
    indptr = np.zeros(networks.size + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return Pairs(networks.astype(np.int32), indptr, np.ascontiguousarray(items[entries]), entries)


def perceptron_objective(
    shape: NetworkShape, features: NDArray[Any], rated: tuple[Any, ...], reg: float, seed: int
) -> Objective:
    """Return the objective of a user who rated some items, at random parameters; ``rated``: items, ratings, weights."""
    layout = shape.layout
    places = {f"coefs_{n}": place for n, place in enumerate(layout.coefs)}
    places.update({f"intercepts_{n}": place for n, place in enumerate(layout.intercepts)})
    random = np.random.default_rng(seed)
    start = {name: random.normal(0, 1 / np.sqrt(place.shape[0]), place.shape) for name, place in places.items()}
    items, ratings, weights = rated
    x, y = np.ascontiguousarray(features, np.float64), ratings.astype(np.float64)

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        row, gradient = np.zeros(layout.size), np.empty(layout.size)
        for name, place in places.items():
            place.of(row)[...] = at[name]
        with single_threaded_blas():
            cost = host.perceptron_gradient(x, items, y, row, gradient, weights, reg=reg, **shape._asdict())
        return cost, {name: place.of(gradient) for name, place in places.items()}

    return Objective(start, evaluate)
