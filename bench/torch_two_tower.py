"""The two-tower network as a PyTorch module, with the same parameters as ours: the peer of its benchmark, and what its
tests compare it with.

Features are dense tensors. A batch's distinct users and items may go through their towers once, as ours do, or once per
rating, as is common; both are PyTorch's own layers, automatic gradients and optimisers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TwoTowers", "parameter_groups"]

ACTIVATIONS = {"elu": functional.elu, "relu": functional.relu, "selu": functional.selu, "tanh": torch.tanh}


class TwoTowers(nn.Module):
    """Predicts ``centre + u(x_u)·v(x_i)``.

    Parameters
    ----------
    towers : sequence of two lists of ndarray
        Weights (inputs, outputs) of all layers and then their biases, of the users' tower and of the items'.
    features : sequence of two ndarray of shape (n, n_features), float32
    activation : str
        Of the hidden layers.
    length : float
        That vectors are brought to; 0: they stay as they are.
    centre : float
    distinct : bool
        Whether each row of a batch goes through its tower once.
    """

    def __init__(
        self, towers: Any, features: Any, activation: str, length: float, centre: float, distinct: bool = True
    ) -> None:
        super().__init__()
        halves = [(arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]) for arrays in towers]
        # PyTorch's layout is (outputs, inputs).
        parameter = [[[nn.Parameter(torch.tensor(np.ascontiguousarray(w.T))) for w in weights],
                      [nn.Parameter(torch.tensor(b)) for b in biases]] for weights, biases in halves]  # fmt: skip
        self.weights = nn.ModuleList([nn.ParameterList(weights) for weights, _ in parameter])
        self.biases = nn.ModuleList([nn.ParameterList(biases) for _, biases in parameter])
        self._features = [torch.from_numpy(np.ascontiguousarray(x)) for x in features]
        self._activate, self._length, self._centre, self._distinct = ACTIVATIONS[activation], length, centre, distinct

    def vectors(self, side: int, rows: Tensor) -> Tensor:
        """Return the vectors of rows of one side's features."""
        x = self._features[side][rows]
        weights, biases = list(self.weights[side]), list(self.biases[side])
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = self._activate(functional.linear(x, weight, bias))
        x = functional.linear(x, weights[-1], biases[-1])
        return self._length * functional.normalize(x) if self._length else x

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        sides = []
        for side, rows in enumerate((users, items)):
            if self._distinct:
                rows, places = torch.unique(rows, return_inverse=True)
                sides.append(self.vectors(side, rows)[places])
            else:
                sides.append(self.vectors(side, rows))
        return self._centre + (sides[0] * sides[1]).sum(1)

    def parameters_as_ours(self) -> list[list[Any]]:
        """Return copies of the parameters as they were given."""
        return [
            [*(w.detach().numpy().T.copy() for w in weights), *(b.detach().numpy().copy() for b in biases)]
            for weights, biases in zip(self.weights, self.biases, strict=True)
        ]


def parameter_groups(model: TwoTowers, weight_decay: float) -> list[dict[str, Any]]:
    """Return what an optimiser of PyTorch takes: weights decay, biases do not."""
    return [
        {"params": list(model.weights.parameters()), "weight_decay": weight_decay},
        {"params": list(model.biases.parameters()), "weight_decay": 0.0},
    ]
