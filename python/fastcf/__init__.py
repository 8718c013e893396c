"""fastcf: collaborative filtering at the speed of the machine."""

from fastcf import callbacks, data, features, metrics, ops, optimizers, plot, preprocessing, retrieval
from fastcf._backend import show_config
from fastcf._version import __version__
from fastcf.errors import DataError, DeviceError, DivergenceError, GradientCheckError
from fastcf.gradient_check import GradientReport, check_gradients
from fastcf.models import (
    Autoencoder,
    BiasModel,
    Blend,
    ItemRegression,
    LogisticMatrixFactorization,
    MatrixFactorization,
    Neighbours,
    Recommendations,
    TwoTower,
    UserPerceptron,
    UserRegression,
)
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import IdMap, Ratings
from fastcf.serialization import load

__all__ = [
    "Autoencoder",
    "BiasModel",
    "Blend",
    "DataError",
    "DeviceError",
    "DivergenceError",
    "FeatureTable",
    "GradientCheckError",
    "GradientReport",
    "IdMap",
    "ItemRegression",
    "LogisticMatrixFactorization",
    "MatrixFactorization",
    "Neighbours",
    "Ratings",
    "Recommendations",
    "TwoTower",
    "UserPerceptron",
    "UserRegression",
    "__version__",
    "callbacks",
    "check_gradients",
    "data",
    "features",
    "load",
    "metrics",
    "ops",
    "optimizers",
    "plot",
    "preprocessing",
    "retrieval",
    "show_config",
]
