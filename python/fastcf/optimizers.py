"""Optimisers of gradient-trained models, and how their step size changes while a model is trained."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "GradientDescent",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "as_optimizer",
    "learning_rate_at",
]

SCHEDULES = ("constant", "linear", "cosine", "inverse", "exponential")


class _Constants(NamedTuple):
    """What native code takes: a name and up to three constants."""

    name: str
    decay: float = 0.0
    second_decay: float = 0.0
    epsilon: float = 0.0


class Optimizer:
    """What all optimisers are: constants, hashable and comparable. The state of a training lies elsewhere.

    The formulas use p for a parameter, g for its gradient and a for the learning rate.
    """

    name: ClassVar[str]

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return name and fields, for files; :meth:`from_dict` takes them."""
        return {"name": self.name, **vars(self)}

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Optimizer:
        """Return the optimiser of :meth:`to_dict`'s result; raises ValueError or TypeError where it is none."""
        constants = dict(fields)
        name = constants.pop("name", None)
        if name not in _KINDS:
            raise ValueError(f"Optimizer: name must be one of {', '.join(_KINDS)}; got {name!r}")
        return _KINDS[name](**constants)


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent: ``p <- p - a g``.

    Rows without a gradient stay as they are.

    References
    ----------
    A. Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.
    """

    name: ClassVar[str] = "gd"


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum: ``v <- b v - a g``, ``p <- p + v``.

    A row without a gradient goes on with its velocity. Steps by row do that when the row is next looked at, in closed
    form: the same numbers to rounding.

    Parameters
    ----------
    momentum : float, default 0.9
        b, in [0, 1).

    References
    ----------
    B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    momentum: float = 0.9
    name: ClassVar[str] = "momentum"

    def __post_init__(self) -> None:
        _fraction(self, "momentum")

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.momentum)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's accelerated gradient: ``v <- b v - a g(p + b v)``, ``p <- p + v``.

    The parameters of a model are the points looked ahead to, p + b v, at which gradients are taken. Rows without a
    gradient as for :class:`Momentum`.

    Parameters
    ----------
    momentum : float, default 0.9
        b, in [0, 1).

    References
    ----------
    Y. Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k^2)", 1983; I. Sutskever,
    J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    name: ClassVar[str] = "nesterov"


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad: ``s <- s + g^2``, ``p <- p - a g / (sqrt(s) + e)``.

    Rows without a gradient stay as they are.

    Parameters
    ----------
    epsilon : float, default 1e-8
        e, above 0.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12, 2011.
    """

    epsilon: float = 1e-8
    name: ClassVar[str] = "adagrad"

    def __post_init__(self) -> None:
        _small(self)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, epsilon=self.epsilon)


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """AdaDelta: steps in the parameter's own unit, from running averages of squared gradients and squared steps.

    ``s <- r s + (1 - r) g^2``, ``d = g sqrt(t + e) / sqrt(s + e)``, ``t <- r t + (1 - r) d^2``, ``p <- p - a d``; the
    paper's a is 1. Steps by row: time stands still for a row while it has no gradient.

    Parameters
    ----------
    rho : float, default 0.95
        r, in [0, 1).
    epsilon : float, default 1e-6
        e, above 0.

    References
    ----------
    M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    rho: float = 0.95
    epsilon: float = 1e-6
    name: ClassVar[str] = "adadelta"

    def __post_init__(self) -> None:
        _fraction(self, "rho")
        _small(self)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.rho, epsilon=self.epsilon)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: running averages of gradients and of their squares, corrected for having begun at 0.

    ``m <- b1 m + (1 - b1) g``, ``v <- b2 v + (1 - b2) g^2``, ``p <- p - a m' / (sqrt(v') + e)`` with
    ``m' = m / (1 - b1^t)`` and ``v' = v / (1 - b2^t)``. Steps by row: time stands still for a row while it has no
    gradient, and t counts the row's own steps.

    Parameters
    ----------
    beta1, beta2 : float, default 0.9, 0.999
        b1, b2, in [0, 1).
    epsilon : float, default 1e-8
        e, above 0.

    References
    ----------
    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        _fraction(self, "beta1")
        _fraction(self, "beta2")
        _small(self)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.beta1, second_decay=self.beta2, epsilon=self.epsilon)


_KINDS: dict[str, type[Optimizer]] = {
    kind.name: kind for kind in (GradientDescent, Momentum, Nesterov, AdaGrad, AdaDelta, Adam)
}
OPTIMIZERS = tuple(_KINDS)


def as_optimizer(optimizer: str | Optimizer, caller: str = "as_optimizer") -> Optimizer:
    """Return an optimiser from its name, with default constants, or as it is.

    Parameters
    ----------
    optimizer : {"gd", "momentum", "nesterov", "adagrad", "adadelta", "adam"} or Optimizer
        What to use.
    caller : str
        Named in error messages.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor an optimiser.

    Examples
    --------
    >>> as_optimizer("adam")
    Adam(beta1=0.9, beta2=0.999, epsilon=1e-08)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"{caller}: optimizer must be a name or an Optimizer; got {optimizer!r}")
    if optimizer not in _KINDS:
        raise ValueError(f"{caller}: optimizer must be one of {', '.join(_KINDS)}; got {optimizer!r}")
    return _KINDS[optimizer]()


def _number(optimizer: Optimizer, name: str) -> float:
    value = getattr(optimizer, name)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{type(optimizer).__name__}: {name} must be a number; got {value!r}")
    return float(value)


def _fraction(optimizer: Optimizer, name: str) -> None:
    if not 0 <= _number(optimizer, name) < 1:
        raise ValueError(f"{type(optimizer).__name__}: {name} must lie in [0, 1); got {getattr(optimizer, name)!r}")


def _small(optimizer: Optimizer) -> None:
    """Small, but not so small that float32 would make it 0 and divide by it."""
    if not 1e-30 <= _number(optimizer, "epsilon") < math.inf:
        value = getattr(optimizer, "epsilon")  # noqa: B009  # the base class has none
        raise ValueError(f"{type(optimizer).__name__}: epsilon must be at least 1e-30 and finite; got {value!r}")


def learning_rate_at(schedule: str, initial: float, epoch: int, n_epochs: int, decay: float) -> float:
    """Return the learning rate of an epoch.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine", "inverse", "exponential"}
        With t the epoch from 0 and T the number of epochs: ``a``; ``a (1 - t/T)``; ``a (1 + cos(pi t/T)) / 2``;
        ``a / (1 + decay t)``; ``a (1 - decay)^t``.
    initial : float
        a, the rate of the first epoch.
    epoch : int
        t, from 0.
    n_epochs : int
        T; the linear and cosine schedules end just above 0.
    decay : float
        For the last two; the others ignore it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the schedule is unknown.

    Examples
    --------
    >>> [round(learning_rate_at("linear", 0.1, epoch, 4, 0.0), 3) for epoch in range(4)]
    [0.1, 0.075, 0.05, 0.025]
    """
    if schedule == "constant":
        return initial
    if schedule == "linear":
        return initial * (1 - epoch / n_epochs)
    if schedule == "cosine":
        return initial * (1 + math.cos(math.pi * epoch / n_epochs)) / 2
    if schedule == "inverse":
        return initial / (1 + decay * epoch)
    if schedule == "exponential":
        return initial * (1 - decay) ** epoch
    raise ValueError(f"learning_rate_at: schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")
