"""Constraints on constructor parameters: data attached to a class, checked in one place with one sentence."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fastcf._backend import DEVICES, is_device

__all__ = [
    "Boolean",
    "Constraint",
    "DeviceName",
    "Instance",
    "Interval",
    "Nothing",
    "OneOf",
    "RandomSeed",
    "Range",
    "Sizes",
    "validate_parameters",
]


class Constraint(Protocol):
    """What a parameter may be; ``str()`` completes the sentence "must be …"."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` satisfies the constraint."""
        ...


@dataclass(frozen=True)
class Interval:
    """A number in an interval; ``integer`` asks for a whole number. The ends belong to it unless ``open_low``."""

    low: float = -np.inf
    high: float = np.inf
    integer: bool = False
    open_low: bool = False

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is such a number; booleans and NaN are not."""
        kind = numbers.Integral if self.integer else numbers.Real
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
            return False
        try:
            number = float(value)
        except OverflowError:  # an integer beyond float64
            return False
        return (
            np.isfinite(number) and (self.low < number if self.open_low else self.low <= number) and number <= self.high
        )

    def __str__(self) -> str:
        noun = "an integer" if self.integer else "a finite number"
        low, high = (f"{end:.0f}" if self.integer else f"{end:g}" for end in (self.low, self.high))
        least = f" above {low}" if self.open_low else f" of at least {low}"
        most = f" and at most {high}"
        return noun + (least if np.isfinite(self.low) else "") + (most if np.isfinite(self.high) else "")


@dataclass(frozen=True)
class Sizes:
    """A sequence of whole numbers from 1 to ``high``, at least ``least`` of them."""

    high: int
    least: int = 1

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is such a list, tuple or array."""
        if not isinstance(value, (list, tuple, np.ndarray)):
            return False
        return len(value) >= self.least and all(Interval(1, self.high, integer=True).accepts(size) for size in value)

    def __str__(self) -> str:
        return f"a sequence of {'one or more ' if self.least else ''}integers from 1 to {self.high:,}"


@dataclass(frozen=True)
class Range:
    """A pair of numbers, the first at most the second."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is such a list or tuple."""
        if not (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(Interval().accepts, value))):
            return False
        return bool(value[0] <= value[1])

    def __str__(self) -> str:
        return "a pair of finite numbers (low, high), low at most high"


@dataclass(frozen=True)
class OneOf:
    """One of a few strings."""

    options: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is one of them."""
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        return " or ".join(repr(option) for option in self.options)


@dataclass(frozen=True)
class DeviceName:
    """The name of a device."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is one; that it is there is another question."""
        return is_device(value)

    def __str__(self) -> str:
        return DEVICES


@dataclass(frozen=True)
class Boolean:
    """True or False."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is a boolean."""
        return isinstance(value, (bool, np.bool_))

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Instance:
    """An object of a class."""

    kind: type

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is one."""
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return f"an instance of {self.kind.__name__}"


@dataclass(frozen=True)
class Nothing:
    """None."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is None."""
        return value is None

    def __str__(self) -> str:
        return "None"


@dataclass(frozen=True)
class RandomSeed:
    """What NumPy and scikit-learn take as ``random_state``."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is a seed, a generator or None."""
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            return 0 <= int(value) < 2**64
        return value is None or isinstance(value, (np.random.Generator, np.random.RandomState))

    def __str__(self) -> str:
        return "an integer in [0, 2**64), a numpy.random.Generator or RandomState, or None"


def validate_parameters(
    constraints: Mapping[str, tuple[Constraint, ...]], values: Mapping[str, Any], caller: str
) -> None:
    """Check every parameter against its constraints, of which one must hold.

    Raises
    ------
    TypeError
        If a value is of a kind that no constraint takes.
    ValueError
        If it is of the right kind but not allowed.
    """
    for name, allowed in constraints.items():
        value = values[name]
        if any(constraint.accepts(value) for constraint in allowed):
            continue
        wrong_value = isinstance(value, numbers.Real) and any(isinstance(c, (Interval, RandomSeed)) for c in allowed)
        wrong_option = isinstance(value, str) and any(isinstance(c, (OneOf, DeviceName)) for c in allowed)
        sequence = isinstance(value, (list, tuple, np.ndarray))
        wrong_numbers = sequence and any(isinstance(c, (Range, Sizes)) for c in allowed)
        error = ValueError if wrong_value or wrong_option or wrong_numbers else TypeError
        raise error(f"{caller}: {name} must be {', or '.join(str(c) for c in allowed)}; got {value!r}")
