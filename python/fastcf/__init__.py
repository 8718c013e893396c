"""fastcf: collaborative filtering at the speed of the machine."""

from fastcf import data
from fastcf._backend import show_config
from fastcf._version import __version__
from fastcf.errors import DataError, DeviceError, DivergenceError, GradientCheckError
from fastcf.ratings import IdMap, Ratings
from fastcf.serialization import load

__all__ = [
    "DataError",
    "DeviceError",
    "DivergenceError",
    "GradientCheckError",
    "IdMap",
    "Ratings",
    "__version__",
    "data",
    "load",
    "show_config",
]
