"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastcf.export.formulas import Network

__all__ = ["NetworkModule"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
}


class _Functions:
    """The functions of PyTorch that formulas use; see :class:`fastcf.export.formulas.Arrays`."""

    def activation(self, name: str, x: Tensor) -> Tensor:
        return _ACTIVATIONS[name](x)

    def missing(self, x: Tensor) -> Tensor:
        return torch.isnan(x)

    def at_least(self, x: Tensor, number: float) -> Tensor:
        return x >= number

    def negative(self, rows: Tensor) -> Tensor:
        return rows < 0

    def where(self, condition: Tensor, x: Any, other: Any) -> Tensor:
        found: Tensor = torch.where(condition, x, other)
        return found.to(torch.float32) if not isinstance(x, Tensor) and not isinstance(other, Tensor) else found

    def maximum(self, x: Tensor, number: float) -> Tensor:
        return x.clamp(min=number)

    def log1p(self, x: Tensor) -> Tensor:
        return torch.log1p(x)

    def absolute(self, x: Tensor) -> Tensor:
        return x.abs()

    def sqrt(self, x: Tensor) -> Tensor:
        return torch.sqrt(x)

    def clipped(self, x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high)

    def sum(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True)

    def rows_of(self, table: Tensor, rows: Tensor) -> Tensor:
        return table[rows]

    def part(self, table: Tensor, begin: int, end: int) -> Tensor:
        return table[begin:end]

    def with_zeros(self, table: Tensor) -> Tensor:
        return torch.cat([table, table.new_zeros(1, table.shape[1])])

    def joined(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, -1)

    def of_each(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.einsum("nk,nkm->nm", x, weights)

    def column(self, x: Tensor) -> Tensor:
        return x[:, None]

    def flat(self, x: Tensor) -> Tensor:
        return x[:, 0]

    def repeated(self, step: Callable[[Tensor], Tensor], start: Tensor, rounds: int, tolerance: float) -> Tensor:
        for _ in range(rounds):
            change = step(start)
            start = start + change
            if change.numel() == 0 or bool(change.detach().abs().max() <= tolerance):
                break
        return start


class NetworkModule(nn.Module):  # type: ignore[misc]  # types of PyTorch are not looked at
    """A network of fastcf as a PyTorch module; :func:`fastcf.export.to_torch` makes it.

    Its parameters have the names and shapes (inputs, outputs) that they have in fastcf; what training does not change
    are buffers.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network
        for name, array in network.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(np.asarray(array))))
        for name, array in network.constants.items():
            self.register_buffer(name, torch.tensor(np.asarray(array)))
        self._names = (*network.parameters, *network.constants)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(each.name for each in self._network.inputs)

    def forward(self, *inputs: Tensor, clip: bool = True) -> Tensor:
        """Return predictions.

        Parameters
        ----------
        *inputs : Tensor
            As ``inputs`` names them: rows as int32 or int64, numbers as float32.
        clip : bool, default True
            Whether predictions are limited to the range of the training ratings; False for training on.
        """
        values = {name: getattr(self, name) for name in self._names}
        predictions: Tensor = self._network.predictions(_Functions(), values, inputs, clip=clip)
        return predictions
