"""What the events of a log mean: strengths by name, showings, names that are left out, and least durations."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._durations import duration_of
from fastcf.errors import DataError

__all__ = ["EventKinds", "event_name"]

_LEFT_OUT, _UNKNOWN = -1, -2
_MOST_SHOWN = 20  # unknown names in a message


def event_name(value: Any) -> str:
    """Return an event's name as text: numbers and truth values as columns hold them, ``1`` and ``true``."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return str(value)


def _checked_name(value: Any, caller: str, parameter: str) -> str:
    if not isinstance(value, (str, bool, np.bool_, int, np.integer)):
        raise TypeError(f"{caller}: {parameter} must hold names of events, strings or integers; got {value!r}")
    return event_name(value)


def _names(value: Any, caller: str, parameter: str) -> tuple[str, ...]:
    """Return one name or several as text."""
    if value is None:
        return ()
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return tuple(_checked_name(each, caller, parameter) for each in (value if several else (value,)))


class EventKinds(NamedTuple):
    """The kinds of events.

    Attributes
    ----------
    numbers : dict of str to int
        The kind of each name, a row of ``strengths``; -1 for names that are left out.
    strengths : ndarray of shape (n_kinds, 3), float64
        How strong an event is: one of unknown duration, one that is shorter than ``least_duration``, and one that is
        not. 0: shown and not chosen.
    least_duration : float
        0 where durations make no difference.
    unknown : dict of str to int
        Names without a meaning that were met, and how often.
    """

    numbers: dict[str, int]
    strengths: NDArray[np.float64]
    least_duration: float
    unknown: dict[str, int]

    @classmethod
    def of(
        cls,
        weights: Any,
        exposure: Any,
        ignore: Any,
        min_duration: Any,
        caller: str,
    ) -> EventKinds:
        """Check the parameters of :func:`fastcf.data.load_events` that say what events mean.

        Without names, the kind 0 is any event.
        """
        least = 0.0 if min_duration is None else duration_of(min_duration, caller, "min_duration")
        if weights is not None and not isinstance(weights, Mapping):
            kind = type(weights).__name__
            raise TypeError(f"{caller}: weights must map names of events to strengths; got {kind}")
        named = {
            _checked_name(name, caller, "weights"): _strength(name, weight, caller)
            for name, weight in (weights or {}).items()
        }
        shown, left_out = _names(exposure, caller, "exposure"), _names(ignore, caller, "ignore")
        for one, other in (("weights", "ignore"), ("exposure", "ignore"), ("weights", "exposure")):
            names = {"weights": named, "exposure": shown, "ignore": left_out}
            both = sorted(set(names[one]) & set(names[other]))
            if both and not ((one, other) == ("weights", "exposure") and min_duration is not None):
                hint = " (a showing has a weight only where min_duration says from when on it counts)" * (
                    other == "exposure"
                )
                raise ValueError(f"{caller}: {one} and {other} must not both name {both[0]!r}{hint}")
        rows = {name: (weight, 0.0, weight) for name, weight in named.items() if name not in shown}
        rows |= {name: (0.0, 0.0, 0.0 if min_duration is None else named.get(name, 1.0)) for name in shown}
        if not rows and not left_out:
            return cls({}, np.array([[1.0, 0.0, 1.0]]), least, {})
        numbers = {name: kind for kind, name in enumerate(rows)} | dict.fromkeys(left_out, _LEFT_OUT)
        return cls(numbers, np.array([*rows.values()] or [(0.0,) * 3]), least, {})

    def of_names(self, names: Iterable[str], codes: NDArray[Any]) -> NDArray[np.int32]:
        """Return the kinds of events, below 0 where they are left out or unknown, which is counted."""
        names = list(names)
        known = np.array([self.numbers.get(name, _UNKNOWN) for name in names] or [_UNKNOWN], np.int32)
        if (known == _UNKNOWN).any() and codes.size:
            for name, kind, count in zip(names, known, np.bincount(codes, minlength=len(names)), strict=True):
                if kind == _UNKNOWN and count:
                    self.unknown[name] = self.unknown.get(name, 0) + int(count)
        kinds: NDArray[np.int32] = known[codes]
        return kinds

    def check_known(self, where: str) -> None:
        """Raise a DataError that lists the names without a meaning."""
        if not self.unknown:
            return
        found = sorted(self.unknown.items(), key=lambda one: (-one[1], one[0]))
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in found[:_MOST_SHOWN])
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        example = found[0][0]
        raise DataError(
            f"{where}: events without a meaning: {listed}{more}; give each a strength, such as weights={{{example!r}: "
            f"1}}, or say that the item was only shown, exposure={example!r}, or leave it out, ignore={example!r}"
        )


def _strength(name: Any, weight: Any, caller: str) -> float:
    """Return a weight, checked."""
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        raise TypeError(f"{caller}: weights must be positive numbers; got {weight!r} for {name!r}")
    strength = float(weight)
    if math.isfinite(strength) and strength > 0:
        return strength
    remedy = ""
    if strength == 0:
        remedy = f"; exposure={name!r} says that the item was shown and not chosen, ignore={name!r} leaves it out"
    elif strength < 0:
        remedy = f"; ignore={name!r} leaves out events that take a choice back, exposure={name!r} makes zeros of them"
    raise ValueError(f"{caller}: weights must be positive finite numbers; got {weight!r} for {name!r}{remedy}")
