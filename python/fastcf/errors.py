"""The exceptions and warnings of fastcf beside Python's own."""

from __future__ import annotations

__all__ = ["DataError", "DataWarning", "DeviceError", "DivergenceError", "GradientCheckError"]


class DataError(ValueError):
    """A file does not hold what its format promises; the message names file, line and text."""


class DataWarning(UserWarning):
    """A fit went on with ratings that make its result misleading; the message says what to change."""


class DeviceError(RuntimeError):
    """The requested device cannot be used; the message says why."""


class DivergenceError(FloatingPointError):
    """Training produced non-finite parameters; the message names the epoch and what to change."""


class GradientCheckError(AssertionError):
    """An analytic gradient disagrees with central differences."""
