"""Constructor parameters: constraints as data attached to a class, and settings objects made of parameters."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np

from fastcf._backend import DEVICES, is_device
from fastcf._durations import Duration
from fastcf._processors import MOST_THREADS

__all__ = [
    "THREADS",
    "VERBOSE",
    "Boolean",
    "Constraint",
    "DeviceName",
    "Instance",
    "Interval",
    "Nothing",
    "OneOf",
    "RandomSeed",
    "Range",
    "Settings",
    "Sizes",
    "check_n_threads",
    "positive_count",
    "refuse_ignored",
    "validate_parameters",
]


class Constraint(Protocol):
    """A constraint of a parameter; ``str()`` completes the sentence "must be …"."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` satisfies the constraint."""
        ...


@dataclass(frozen=True)
class Interval:
    """A number in an interval; ``integer``: a whole number. The ends are included unless they are open."""

    low: float = -np.inf
    high: float = np.inf
    integer: bool = False
    open_low: bool = False
    open_high: bool = False

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is such a number; booleans and NaN are not."""
        kind = numbers.Integral if self.integer else numbers.Real
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
            return False
        try:
            number = float(value)
        except OverflowError:  # an integer beyond float64
            return False
        above = self.low < number if self.open_low else self.low <= number
        below = number < self.high if self.open_high else number <= self.high
        return bool(np.isfinite(number) and above and below)

    def __str__(self) -> str:
        noun = "an integer" if self.integer else "a finite number"
        low, high = (f"{end:.0f}" if self.integer else f"{end:g}" for end in (self.low, self.high))
        if low == high:
            return low
        least = f" above {low}" if self.open_low else f" of at least {low}"
        most = f" and below {high}" if self.open_high else f" and at most {high}"
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
class ListMeasure:
    """The name of a measure of lists of k items, such as "ndcg@10"."""

    names: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` satisfies the constraint."""
        return isinstance(value, str) and self.length(value) > 0

    def length(self, value: str) -> int:
        """Return k, or 0 where ``value`` is no such name."""
        name, _, k = value.partition("@")
        return int(k) if name in self.names and k.isdecimal() and k.isascii() and len(k) <= 4 else 0

    def __str__(self) -> str:
        names = [f"'{name}@k'" for name in self.names]
        return f"{' or '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)} with k from 1 to 9999"


@dataclass(frozen=True)
class DeviceName:
    """The name of a device."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is one; the device may be unavailable."""
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


THREADS: tuple[Constraint, ...] = (Interval(1, MOST_THREADS, integer=True), Nothing())
"""The constraint of ``n_threads``."""

VERBOSE: tuple[Constraint, ...] = (Interval(0, 2, integer=True), Boolean())
"""The constraint of ``verbose``."""


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
        counts, options = (Duration, Interval, RandomSeed), (Duration, OneOf, ListMeasure, DeviceName)
        wrong_value = isinstance(value, numbers.Real) and any(isinstance(c, counts) for c in allowed)
        wrong_option = isinstance(value, str) and any(isinstance(c, options) for c in allowed)
        sequence = isinstance(value, (list, tuple, np.ndarray))
        wrong_numbers = sequence and any(isinstance(c, (Range, Sizes)) for c in allowed)
        error = ValueError if wrong_value or wrong_option or wrong_numbers else TypeError
        raise error(f"{caller}: {name} must be {', or '.join(str(c) for c in allowed)}; got {value!r}")


def check_n_threads(n_threads: Any, caller: str) -> int:
    """Return the number of threads for native code: ``n_threads``, or 0 (the default) for None.

    Raises
    ------
    TypeError, ValueError
        If it is neither None nor an integer of at least 1. More than 1,024 are 1,024.
    """
    if n_threads is None:
        return 0
    validate_parameters({"n_threads": (Interval(1, integer=True), Nothing())}, {"n_threads": n_threads}, caller)
    return min(int(n_threads), MOST_THREADS)


def positive_count(n: Any, caller: str, name: str = "n") -> int:
    """Return ``n``, checked to be an integer of at least 1.

    Raises
    ------
    ValueError
        If it is not.
    """
    allowed = Interval(1, 2**31 - 1, integer=True)
    if not allowed.accepts(n):
        raise ValueError(f"{caller}: {name} must be {allowed}; got {n!r}")
    return int(n)


def refuse_ignored(
    owner: object, names: Iterable[str], reason: str, caller: str, defaults: Mapping[str, Any] | None = None
) -> None:
    """Refuse parameters ``names`` that would have no effect: each must have its default value, else ValueError.

    ``defaults`` are by default those of the owner's constructor. ``reason`` is for the message: "for solver='als'".
    """
    known = dict(defaults or {})
    for kind in () if defaults else reversed(type(owner).__mro__):  # a subclass may have another constructor
        if "__init__" in vars(kind) and kind is not object:
            parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]  # of a class, not an instance
            known |= {name: parameter.default for name, parameter in parameters.items()}
    for name in names:
        value, default = getattr(owner, name), known[name]
        if value is not default and not (type(value) is type(default) and value == default):
            raise ValueError(f"{caller}: {name} must be {default!r} {reason}, where it has no effect; got {value!r}")


class Settings:
    """A group of parameters as an object: an optimiser or a solver. Subclasses are dataclasses; fields are parameters.

    Follows scikit-learn's protocol of parameters, so that a search reaches them as ``solver__cg_steps`` and ``clone``
    copies them. Two objects are equal if class and parameters are.
    """

    parameter: ClassVar[str]
    """The parameter of an estimator that takes them."""

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {}
    _kinds: ClassVar[dict[str, type[Settings]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Settings._kinds[cls._kind()] = cls

    @classmethod
    def _kind(cls) -> str:
        """Return the name of the class in files: the last two parts for this package's, all of it for a user's own."""
        if cls.__module__.startswith("fastcf."):
            return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
        return f"{cls.__module__}.{cls.__qualname__}"

    def __post_init__(self) -> None:
        self.validate()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default True
            Whether also those of settings among them, as ``name__parameter``.

        Returns
        -------
        dict
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]  # of subclasses
        if deep:
            for name, value in list(own.items()):
                if isinstance(value, Settings):
                    own.update({f"{name}__{key}": inner for key, inner in value.get_params().items()})
        return own

    def set_params(self, **params: Any) -> Any:
        """Set parameters, those of settings among them as ``name__parameter``.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        Settings
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        set_nested(self, params)
        return self

    def validate(self, caller: str = "") -> None:
        """Check the parameters.

        Parameters
        ----------
        caller : str, default ""
            Heads messages, before the name of the class.

        Raises
        ------
        TypeError, ValueError
            If a parameter is not as documented.
        """
        validate_parameters(self._constraints, self.get_params(deep=False), self._named(caller))

    @classmethod
    def chosen(cls, given: Any, named: Mapping[str, Callable[[], Any]], caller: str) -> Any:
        """Return settings of this class as they are, checked, or those that a name stands for.

        Parameters
        ----------
        given : str or Settings
            The name, or the settings.
        named : mapping of str to callable
            Makes the settings of each name.
        caller : str
            Heads messages.

        Raises
        ------
        ValueError
            If the name is unknown, or a parameter of the settings is not as documented.
        TypeError
            If it is neither a name nor settings of this class.
        """
        if isinstance(given, cls):
            given.validate(caller)
            return given
        if not isinstance(given, str):
            article = "an" if cls.__name__[0] in "AEIO" else "a"
            raise TypeError(f"{caller}: {cls.parameter} must be a name or {article} {cls.__name__}; got {given!r}")
        if given not in named:
            raise ValueError(f"{caller}: {cls.parameter} must be one of {', '.join(named)}; got {given!r}")
        return named[given]()

    def _named(self, caller: str) -> str:
        """Return the head of messages: the caller, if any, and the class."""
        return f"{caller}: {type(self).__name__}" if caller else type(self).__name__

    def to_dict(self) -> dict[str, Any]:
        """Return class and parameters as JSON values; :meth:`from_dict` reads them.

        Returns
        -------
        dict
        """
        params = {
            name: value.to_dict() if isinstance(value, Settings) else value
            for name, value in self.get_params(deep=False).items()
        }
        return {"settings": self._kind(), "params": params}

    @staticmethod
    def from_dict(described: Mapping[str, Any]) -> Any:
        """Return the object that :meth:`to_dict` described.

        Parameters
        ----------
        described : mapping
            Class and parameters.

        Returns
        -------
        Settings

        Raises
        ------
        TypeError, ValueError, KeyError
            If it describes none.
        """
        if described["settings"] not in Settings._kinds:
            raise ValueError(f"settings of an unknown kind: {described['settings']!r}")
        params = {
            name: Settings.from_dict(value) if isinstance(value, dict) else value
            for name, value in described["params"].items()
        }
        return Settings._kinds[described["settings"]](**params)

    def __repr__(self) -> str:
        defaults = {each.name: each.default for each in fields(self)}  # type: ignore[arg-type]  # the same
        own = self.get_params(deep=False)
        shown = ", ".join(f"{name}={own[name]!r}" for name in own if own[name] != defaults[name])
        return f"{type(self).__name__}({shown})"


def set_nested(owner: Any, params: Mapping[str, Any]) -> None:
    """Set parameters of an object with ``get_params``; ``name__parameter`` is one of the settings object ``name``.

    Raises
    ------
    ValueError
        If there is no such parameter, or ``name`` is a string: a shorthand has no parameters.
    """
    valid = owner.get_params(deep=False)
    kind = type(owner).__name__
    for key, value in params.items():
        name, _, inner = key.partition("__")
        if name not in valid:
            raise ValueError(f"{kind}.set_params: there must be a parameter {name!r}; {kind} has {', '.join(valid)}")
        if not inner:
            setattr(owner, name, value)
            continue
        target = params.get(name, getattr(owner, name))
        if isinstance(target, str) and (example := example_of(name, target)):
            raise ValueError(
                f"{kind}.set_params: {key} needs an object as {name}: a string is shorthand for its defaults; got "
                f"{name}={target!r}: pass {name}=fastcf.{name}s.{example}({inner}=...)"
            )
        if not hasattr(target, "set_params"):
            raise ValueError(f"{kind}.set_params: {key} needs an object with parameters as {name}; got {target!r}")
    for key, value in params.items():
        name, _, inner = key.partition("__")
        if inner:
            getattr(owner, name).set_params(**{inner: value})


def example_of(parameter: str, shorthand: str) -> str | None:
    """Return the name of the class of settings of a shorthand; None if it is none."""
    for kind in Settings._kinds.values():
        if shorthand in getattr(kind, "shorthands", ()) and parameter == getattr(kind, "parameter", None):
            return kind.__name__
    return None
