"""Durations: numbers in the unit of the timestamps, or text such as "30d"."""

from __future__ import annotations

import datetime
import math
import numbers
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Duration", "duration_of"]

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]+)\s*")
_MEANING = "a positive finite number in the unit of the timestamps, or text such as '30d' (units s, min, h, d and w)"


def _seconds(text: str) -> float | None:
    match = _TEXT.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        return None
    return float(match[1]) * _UNITS[match[2]]


def duration_of(value: Any, caller: str, name: str) -> float:
    """Return a duration as a number: in seconds where its unit is stated, else in the unit of the timestamps.

    A positive number, text such as ``"30d"``, ``"12h"`` or ``"1.5 min"`` (units s, min, h, d, w), or a difference of
    times. Raises TypeError for anything else, ValueError if it is not positive and finite or its text has another form.
    """
    number: float | None
    if isinstance(value, str):
        number = _seconds(value)
    elif isinstance(value, datetime.timedelta):
        number = value.total_seconds()
    elif isinstance(value, np.timedelta64):
        unit = np.datetime_data(value.dtype)[0]
        number = None if unit in ("Y", "M", "generic") or np.isnat(value) else float(value / np.timedelta64(1, "s"))
    elif not isinstance(value, bool) and isinstance(value, numbers.Real):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond float64
            number = None
    else:
        raise TypeError(f"{caller}: {name} must be {_MEANING}; got {value!r}")
    if number is None or not (math.isfinite(number) and number > 0):
        raise ValueError(f"{caller}: {name} must be {_MEANING}; got {value!r}")
    return number


@dataclass(frozen=True)
class Duration:
    """A duration as a parameter: a positive number, or text such as "30d"."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is such a duration."""
        if isinstance(value, (datetime.timedelta, np.timedelta64)):
            return False  # files of models hold numbers and text
        try:
            duration_of(value, "", "")
        except (TypeError, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return _MEANING
