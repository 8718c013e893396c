"""The exceptions fastcf raises beside Python's own."""

from __future__ import annotations

__all__ = ["DataError", "DeviceError", "DivergenceError", "GradientCheckError"]


class DataError(ValueError):
    """A file does not hold what its format promises; the message names file, line and text."""


class DeviceError(RuntimeError):
    """The requested device cannot be used; the message says why."""


class DivergenceError(FloatingPointError):
    """Training produced non-finite parameters; the message names the epoch and what to change."""


class GradientCheckError(AssertionError):
    """An analytic gradient disagrees with central differences."""
