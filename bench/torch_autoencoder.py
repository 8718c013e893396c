"""The masked autoencoder as a dense PyTorch module, with the same parameters as ours: the peer of its benchmark, and
what its tests compare it with.

A batch is scattered from CSR into dense tensors that are allocated once, of which only the entries of the batch before
are cleared. Everything else is PyTorch's own: dense layers, automatic gradients, its optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DenseAutoencoder", "DenseBatches", "masked_mse", "multinomial_cost", "parameter_groups"]

ACTIVATIONS = {"selu": functional.selu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "identity": lambda z: z}


class DenseAutoencoder(nn.Module):
    """Encoder and decoder that mirrors it; the last layer's outputs are taken as they are.

    Parameters
    ----------
    parameters : tuple
        As native code takes them: input weights (n_columns, layers[0]), output weights of that shape or None where
        tied, output bias, hidden weights (inputs, outputs), hidden biases.
    layers : sequence of int
        Sizes of the encoder's layers.
    activation : str
        Of the hidden layers.
    """

    def __init__(self, parameters: tuple[Any, ...], layers: Sequence[int], activation: str) -> None:
        super().__init__()
        first, last, bias, weights, biases, rated = parameters
        self.activate, self.n_encoding = ACTIVATIONS[activation], len(layers)
        # PyTorch's layout is (outputs, inputs).
        encoder = [np.ascontiguousarray(array.T) for array in (first, *weights[: len(layers) - 1])]
        decoder = [] if last is None else [*(array.T for array in weights[len(layers) - 1 :]), last]
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(array)) for array in (*encoder, *decoder)])
        self.biases = nn.ParameterList([nn.Parameter(torch.tensor(array)) for array in (*biases, bias)])
        self.rated = None if rated is None else nn.Parameter(torch.tensor(rated))

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        n = self.n_encoding
        weights = list(self.weights)
        if len(weights) == n:  # tied
            weights += [weight.T for weight in reversed(weights)]
        for layer, (weight, bias) in enumerate(zip(weights[:-1], self.biases[:-1], strict=True)):
            x = functional.linear(x, weight, bias)
            if layer == 0 and given is not None:
                x = x + given @ self.rated
            x = self.activate(x)
        return functional.linear(x, weights[-1], self.biases[-1])

    def parameters_as_ours(self) -> tuple[Any, ...]:
        """Return copies of the parameters as native code takes them."""
        n = self.n_encoding
        weights = [weight.detach().numpy().copy() for weight in self.weights]
        tied = len(weights) == n
        *hidden, bias = [array.detach().numpy().copy() for array in self.biases]
        between = weights[1:] if tied else weights[1:-1]
        last = None if tied else weights[-1]
        rated = None if self.rated is None else self.rated.detach().numpy().copy()
        return weights[0].T.copy(), last, bias, [array.T.copy() for array in between], hidden, rated


def parameter_groups(model: DenseAutoencoder, weight_decay: float) -> list[dict[str, Any]]:
    """Return what an optimiser of PyTorch takes: weights decay, biases do not."""
    return [
        {"params": [*model.weights, *([] if model.rated is None else [model.rated])], "weight_decay": weight_decay},
        {"params": list(model.biases), "weight_decay": 0.0},
    ]


def masked_mse(predicted: Tensor, x: Tensor, mask: Tensor, n: int) -> Tensor:
    """Return the mean squared error over the ``n`` entries that are rated, where the mask is 1."""
    return ((predicted - x) * mask).square().sum() / n


def multinomial_cost(predicted: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean over rows with choices of −Σ log softmax of what is chosen; all strengths are in ``chosen``."""
    return -(chosen * functional.log_softmax(predicted, 1)).sum() / (chosen.sum(1) > 0).sum()


class DenseBatches:
    """Rows of a CSR matrix as dense batches, and where they are rated."""

    def __init__(self, indptr: Any, indices: Any, values: Any, n_columns: int, batch_size: int) -> None:
        self._indptr, self._indices, self._values, self._n_columns = indptr, indices, values, n_columns
        self._x, self._mask = torch.zeros(2, batch_size, n_columns)
        self._filled = torch.empty(0, dtype=torch.int64)

    def __call__(self, rows: np.ndarray) -> tuple[Tensor, Tensor, int]:
        """Return the batch, its mask and how many entries are rated; they last until the next one is asked for."""
        begins, ends = self._indptr[rows], self._indptr[rows + 1]
        lengths = ends - begins
        n = int(lengths.sum())
        entries = np.arange(n) + np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
        places = np.repeat(np.arange(len(rows)) * self._n_columns, lengths) + self._indices[entries]
        x, mask = self._x.view(-1), self._mask.view(-1)
        for dense in (x, mask):
            dense[self._filled] = 0
        self._filled = torch.from_numpy(places)
        x[self._filled] = torch.from_numpy(self._values[entries])
        mask[self._filled] = 1
        return self._x[: len(rows)], self._mask[: len(rows)], n
