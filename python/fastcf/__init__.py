"""fastcf: collaborative filtering at the speed of the machine."""

from fastcf import callbacks, data, metrics, ops, optimizers
from fastcf._backend import show_config
from fastcf._version import __version__
from fastcf.errors import DataError, DeviceError, DivergenceError, GradientCheckError
from fastcf.models import BiasModel, MatrixFactorization, Neighbours, Recommendations
from fastcf.ratings import IdMap, Ratings
from fastcf.serialization import load

__all__ = [
    "BiasModel",
    "DataError",
    "DeviceError",
    "DivergenceError",
    "GradientCheckError",
    "IdMap",
    "MatrixFactorization",
    "Neighbours",
    "Ratings",
    "Recommendations",
    "__version__",
    "callbacks",
    "data",
    "load",
    "metrics",
    "ops",
    "optimizers",
    "show_config",
]
