"""Moments as int64 seconds since 1970: what the numbers of a column mean, and which objects are moments.

Dates and times are seconds since 1970 in UTC; those without a zone are taken as UTC; fractions are dropped. What a
number means is decided for a column as a whole, by its magnitude: below 1e11 it is seconds (until the year 5138), then
milliseconds, from 1e14 on microseconds, from 1e17 on nanoseconds. A column whose numbers belong to several of these,
or could all be days written as YYYYMMDD, also with a time of day as in YYYYMMDDHHMMSS, is refused until ``time_unit``
says what they are.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import ingest

__all__ = ["TIME_UNITS", "as_seconds", "check_time_unit", "moments"]

TIME_UNITS = ("auto", "s", "ms", "us", "ns", "date")
"""Values of ``time_unit``; ``"date"``: days as numbers YYYYMMDD, or with a time of day."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_BOUNDS = {"s": 10**11, "ms": 10**14, "us": 10**17}  # each unit's numbers are below
_CERTAIN_BITS = 1 << 36  # below 1e11
_DAY_BITS = 1 << 24, 1 << 25  # the numbers 19000101 to 21001231 lie between
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_DIGITS = (8, 10, 12, 14)  # of YYYYMMDD, and with HH, HHMM or HHMMSS behind


def check_time_unit(unit: str, caller: str) -> None:
    """Refuse what is no unit."""
    if unit not in TIME_UNITS:
        raise ValueError(f"{caller}: time_unit must be one of {', '.join(map(repr, TIME_UNITS))}; got {unit!r}")


def _unit_of(number: int) -> str:
    return next((unit for unit, bound in _BOUNDS.items() if number < bound), "ns")


def _dates(values: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return numbers YYYYMMDD, all with as much of HHMMSS behind, as seconds; None where one is no such moment."""
    if values.size == 0:
        return values
    n_digits = len(str(int(values.max())))
    if n_digits not in _DIGITS or values.min() < 10 ** (n_digits - 1):
        return None
    hour, minute, second = np.zeros((3, values.size), np.int64)
    days, clock = np.divmod(values, 10 ** (n_digits - 8))
    for unit, place in zip((hour, minute, second), range(n_digits - 10, -1, -2), strict=False):
        unit[:] = clock // 10**place % 100
    months, day = np.divmod(days, 100)
    year, month = np.divmod(months, 100)
    if month.min() < 1 or month.max() > 12 or day.min() < 1 or hour.max() > 23 or max(minute.max(), second.max()) > 59:
        return None
    since = (year - 1970) * 12 + month - 1
    dates = since.astype("datetime64[M]").astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    if (dates.astype("datetime64[M]").astype(np.int64) != since).any():
        return None
    seconds: NDArray[np.int64] = dates.astype("datetime64[s]").astype(np.int64) + 3600 * hour + 60 * minute + second
    return seconds


def _may_be_dates(low: int, high: int, numbers: NDArray[np.int64]) -> bool:
    """Whether all numbers look like dates of the last and of this century; YYYYMMDDHH are seconds of 2030 and later."""
    if len(str(low)) not in _DIGITS or len(str(low)) == 10 or len(str(high)) != len(str(low)):
        return False
    scale = 10 ** (len(str(low)) - 4)
    return low // scale >= _FIRST_YEAR and high // scale <= _LAST_YEAR and _dates(numbers) is not None


def as_seconds(
    values: NDArray[np.int64], unit: str, where: str, *, bits: int | None = None, has_dates: bool = False
) -> NDArray[np.int64]:
    """Return int64 timestamps, numbers or dates in seconds, as seconds.

    ``unit`` is one of `TIME_UNITS`, ``bits`` all values or-ed, where that is known, and ``has_dates`` whether some were
    dates. Raises ValueError if the unit of the numbers is not clear, or is not ``unit``.
    """
    if unit == "date":
        dates = _dates(values)
        if dates is None or has_dates:
            raise ValueError(
                f"{where}: timestamps must be numbers YYYYMMDD, or all of them YYYYMMDDHHMMSS, for time_unit='date'"
            )
        return dates
    if unit != "auto":
        if unit != "s" and has_dates:
            raise ValueError(f"{where}: some timestamps are dates, which time_unit={unit!r} does not fit")
        return values // _PER_SECOND[unit] if unit != "s" else values
    if bits is None:
        bits = int(np.bitwise_or.reduce(values)) if values.size else 0
    if 0 <= bits < _CERTAIN_BITS and not _DAY_BITS[0] <= bits < _DAY_BITS[1]:
        return values
    numbers = values[values != 0]
    if numbers.size == 0:
        return values
    low, high = int(numbers.min()), int(numbers.max())
    if not has_dates and low > 0 and _may_be_dates(low, high, numbers):
        number = "seconds" if high < _BOUNDS["s"] else "milliseconds"
        unit = "s" if number == "seconds" else "ms"
        raise ValueError(
            f"{where}: timestamps such as {low} may be dates; time_unit='date' reads dates, time_unit={unit!r} {number}"
        )
    sizes = np.abs(numbers.astype(np.float64))
    nearest, largest = int(sizes.min()), int(sizes.max())
    unit = _unit_of(largest)
    if unit == "s":
        return values
    if _unit_of(nearest) != unit:
        raise ValueError(
            f"{where}: timestamps must be of one unit; got {nearest} and {largest}; time_unit='s' keeps numbers as "
            "they are, time_unit='ms' takes them as milliseconds"
        )
    return values // _PER_SECOND[unit]


def moments(vector: NDArray[Any], caller: str, name: str, unit: str) -> NDArray[np.int64]:
    """Return an array of objects, datetimes, dates, numbers or texts, as int64 seconds.

    Raises
    ------
    TypeError
        If an entry is of another type.
    ValueError
        If an entry is missing, a text that is no moment, or does not fit int64; the message names it.
    """
    values: list[Any] = vector.tolist()
    if all(isinstance(value, str) for value in values):
        numbers, bits, has_dates, bad = ingest.parse_moments(values)
        if bad >= 0:
            raise ValueError(
                f"{caller}: {name} must be numbers, or dates like 2018-07-07 or 2018-07-07T22:09:11Z; "
                f"got {values[bad]!r} at entry {bad}"
            )
        return as_seconds(numbers, unit, f"{caller}: {name}", bits=bits, has_dates=has_dates)
    has_dates = False
    result = np.empty(len(values), np.int64)
    for entry, value in enumerate(values):
        if value is None or value != value:  # NaN, NaT
            raise ValueError(f"{caller}: {name} must have no missing values; got {value} at entry {entry}")
        if isinstance(value, datetime.datetime):
            aware = value if value.tzinfo is not None else value.replace(tzinfo=datetime.timezone.utc)
            since = aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
            result[entry] = since // datetime.timedelta(seconds=1)
            has_dates = True
        elif isinstance(value, datetime.date):
            result[entry] = 86400 * (value.toordinal() - datetime.date(1970, 1, 1).toordinal())
            has_dates = True
        elif isinstance(value, (int, float, np.integer)) and not isinstance(value, bool):
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"{caller}: {name} must fit int64; got {value} at entry {entry}")
            result[entry] = math.floor(value)
        else:
            raise TypeError(f"{caller}: {name} must be numbers, dates or datetimes; got {value!r} at entry {entry}")
    return as_seconds(result, unit, f"{caller}: {name}", has_dates=has_dates)
