"""Optimisers of gradient-trained models, with their step size and how it changes while a model is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from fastcf._parameters import Constraint, Interval, Nothing, OneOf, Settings

__all__ = [
    "OPTIMIZERS",
    "SCHEDULED",
    "SCHEDULES",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "GradientDescent",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "as_optimizer",
    "check_schedule",
    "learning_rate_at",
    "scheduled_rate",
]

SCHEDULES = ("constant", "linear", "cosine", "inverse", "exponential")
_DECAYING = ("inverse", "exponential")
_DECAY = 0.1

_FRACTION: tuple[Constraint, ...] = (Interval(0, 1, open_high=True),)
# Large enough not to be 0 in float32: it is a divisor.
_SMALL: tuple[Constraint, ...] = (Interval(1e-30),)


class _Constants(NamedTuple):
    """The arguments of native code: a name and up to three constants."""

    name: str
    decay: float = 0.0
    second_decay: float = 0.0
    epsilon: float = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of native trainers."""
        return {"optimizer": self.name, **{key: value for key, value in self._asdict().items() if key != "name"}}


SCHEDULED: dict[str, tuple[Constraint, ...]] = {
    "learning_rate": (Interval(0, open_low=True), OneOf(("auto",))),
    "schedule": (OneOf(SCHEDULES),),
    "decay": (Interval(0, 1), Nothing()),
}
"""Constraints of settings with a step size and a schedule."""


def check_schedule(settings: Any, caller: str) -> None:
    """Refuse a ``decay`` where the schedule of some settings has none; raises ValueError."""
    if settings.decay is not None and settings.schedule not in _DECAYING:
        raise ValueError(
            f"{caller}: decay must be None for schedule={settings.schedule!r}, where it has "
            f"no effect; got {settings.decay!r}"
        )


def scheduled_rate(settings: Any, first: float, epoch: int, n_epochs: int) -> float:
    """Return the step size of an epoch by the schedule of some settings, ``first`` being that of the first epoch."""
    decay = _DECAY if settings.decay is None else settings.decay
    return learning_rate_at(settings.schedule, first, epoch, n_epochs, decay)


@dataclass(repr=False)
class Optimizer(Settings):
    """Base class of the optimisers: a step size, a schedule, and constants. Trainers hold the state of a training.

    The formulas use p for a parameter, g for its gradient and a for the learning rate.

    Parameters
    ----------
    learning_rate, schedule, decay
        As for :class:`GradientDescent`.
    """

    name: ClassVar[str]
    parameter: ClassVar[str] = "optimizer"
    shorthands: ClassVar[tuple[str, ...]] = ()
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = SCHEDULED

    learning_rate: float | str = "auto"
    schedule: str = field(default="linear", kw_only=True)
    decay: float | None = field(default=None, kw_only=True)

    def validate(self, caller: str = "") -> None:
        """Check the parameters; ``decay`` is refused where the schedule has none."""
        super().validate(caller)
        check_schedule(self, self._named(caller))

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name)

    def first_rate(self, defaults: Mapping[str, float]) -> float:
        """Return the step size of the first epoch: ``learning_rate`` or, for "auto", the default by name.

        Parameters
        ----------
        defaults : mapping of str to float
            By the name of the optimiser.

        Returns
        -------
        float
        """
        return defaults[self.name] if isinstance(self.learning_rate, str) else float(self.learning_rate)

    def rate_at(self, first: float, epoch: int, n_epochs: int) -> float:
        """Return the step size of an epoch.

        Parameters
        ----------
        first : float
            The step size of the first epoch: ``learning_rate``, or the value of "auto".
        epoch, n_epochs : int
            The epoch, from 0, and how many there are.

        Returns
        -------
        float
        """
        return scheduled_rate(self, first, epoch, n_epochs)


@dataclass(repr=False)
class GradientDescent(Optimizer):
    """Gradient descent: ``p <- p - a g``. Rows without a gradient stay as they are.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        a in the first epoch, above 0; the model documents what "auto" is.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`learning_rate_at`.
    decay : float or None, default None
        The constant of the last two schedules, in [0, 1]; None is 0.1. Refused for the others.

    References
    ----------
    A. Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.
    """

    name: ClassVar[str] = "gd"
    shorthands: ClassVar[tuple[str, ...]] = ("gd",)


@dataclass(repr=False)
class Momentum(Optimizer):
    """Momentum: ``v <- b v - a g``, ``p <- p + v``.

    A row without a gradient keeps moving with its velocity. Steps by row are deferred until the row is next read, and
    then taken in closed form: the same numbers up to rounding.

    Parameters
    ----------
    momentum : float, default 0.9
        b, in [0, 1).
    learning_rate, schedule, decay
        As for :class:`GradientDescent`.

    References
    ----------
    B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    name: ClassVar[str] = "momentum"
    shorthands: ClassVar[tuple[str, ...]] = ("momentum",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {**Optimizer._constraints, "momentum": _FRACTION}

    momentum: float = field(default=0.9, kw_only=True)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.momentum)


@dataclass(repr=False)
class Nesterov(Optimizer):
    """Nesterov's accelerated gradient: ``v <- b v - a g(p + b v)``, ``p <- p + v``.

    The parameters of a model are the points looked ahead to, p + b v, at which gradients are taken. Rows without a
    gradient as for :class:`Momentum`.

    Parameters
    ----------
    learning_rate, momentum, schedule, decay
        As for :class:`Momentum`.

    References
    ----------
    Y. Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k^2)", 1983; I. Sutskever,
    J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    name: ClassVar[str] = "nesterov"
    shorthands: ClassVar[tuple[str, ...]] = ("nesterov",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = Momentum._constraints

    momentum: float = field(default=0.9, kw_only=True)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.momentum)


@dataclass(repr=False)
class AdaGrad(Optimizer):
    """AdaGrad: ``s <- s + g^2``, ``p <- p - a g / (sqrt(s) + e)``. Rows without a gradient stay as they are.

    Parameters
    ----------
    epsilon : float, default 1e-8
        e, at least 1e-30.
    learning_rate, schedule, decay
        As for :class:`GradientDescent`.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12, 2011.
    """

    name: ClassVar[str] = "adagrad"
    shorthands: ClassVar[tuple[str, ...]] = ("adagrad",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {**Optimizer._constraints, "epsilon": _SMALL}

    epsilon: float = field(default=1e-8, kw_only=True)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, epsilon=self.epsilon)


@dataclass(repr=False)
class AdaDelta(Optimizer):
    """AdaDelta: steps in the parameter's own unit, from running averages of squared gradients and squared steps.

    ``s <- r s + (1 - r) g^2``, ``d = g sqrt(t + e) / sqrt(s + e)``, ``t <- r t + (1 - r) d^2``, ``p <- p - a d``; the
    paper's a is 1. Steps by row: the averages of a row change only where it has a gradient.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        a in the first epoch, above 0; "auto" is 1.
    rho : float, default 0.95
        r, in [0, 1).
    epsilon : float, default 1e-6
        e, at least 1e-30.
    schedule, decay
        As for :class:`GradientDescent`.

    References
    ----------
    M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    name: ClassVar[str] = "adadelta"
    shorthands: ClassVar[tuple[str, ...]] = ("adadelta",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **Optimizer._constraints,
        "rho": _FRACTION,
        "epsilon": _SMALL,
    }

    rho: float = field(default=0.95, kw_only=True)
    epsilon: float = field(default=1e-6, kw_only=True)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.rho, epsilon=self.epsilon)


@dataclass(repr=False)
class Adam(Optimizer):
    """Adam: running averages of gradients and of their squares, corrected for their start at 0.

    ``m <- b1 m + (1 - b1) g``, ``v <- b2 v + (1 - b2) g^2``, ``p <- p - a m' / (sqrt(v') + e)`` with
    ``m' = m / (1 - b1^t)`` and ``v' = v / (1 - b2^t)``. Steps by row: the averages of a row change only where it has a
    gradient, and t counts the row's own steps.

    Parameters
    ----------
    beta1, beta2 : float, default 0.9, 0.999
        b1, b2, in [0, 1).
    epsilon : float, default 1e-8
        e, at least 1e-30.
    learning_rate, schedule, decay
        As for :class:`GradientDescent`.

    References
    ----------
    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    name: ClassVar[str] = "adam"
    shorthands: ClassVar[tuple[str, ...]] = ("adam",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **Optimizer._constraints,
        "beta1": _FRACTION,
        "beta2": _FRACTION,
        "epsilon": _SMALL,
    }

    beta1: float = field(default=0.9, kw_only=True)
    beta2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)

    @property
    def constants(self) -> _Constants:
        """Name and constants as native code takes them."""
        return _Constants(self.name, decay=self.beta1, second_decay=self.beta2, epsilon=self.epsilon)


_KINDS: dict[str, type[Optimizer]] = {
    kind.name: kind for kind in (GradientDescent, Momentum, Nesterov, AdaGrad, AdaDelta, Adam)
}
OPTIMIZERS = tuple(_KINDS)


def as_optimizer(optimizer: str | Optimizer, caller: str = "as_optimizer") -> Optimizer:
    """Return an optimiser from its name, with default parameters, or as it is, checked.

    Parameters
    ----------
    optimizer : {"gd", "momentum", "nesterov", "adagrad", "adadelta", "adam"} or Optimizer
        The name is shorthand for the object with its defaults.
    caller : str
        Named in error messages.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If the name is unknown, or a parameter of the object is not as documented.
    TypeError
        If it is neither a name nor an optimiser.

    Examples
    --------
    >>> as_optimizer("adam")
    Adam()
    """
    chosen: Optimizer = Optimizer.chosen(optimizer, _KINDS, caller)
    return chosen


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
