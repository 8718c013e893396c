"""fastcf: collaborative filtering.

Names are loaded when they are first used, so that ``import fastcf`` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastcf._version import __version__
from fastcf.models import FAMILIES

if TYPE_CHECKING:
    from fastcf import (
        callbacks,
        data,
        evaluation,
        export,
        features,
        metrics,
        model_selection,
        ops,
        optimizers,
        plot,
        preprocessing,
        retrieval,
        serving,
        solvers,
    )
    from fastcf._backend import show_config
    from fastcf._threads import get_num_threads, num_threads, set_num_threads
    from fastcf.errors import DataError, DataWarning, DeviceError, DivergenceError, GradientCheckError
    from fastcf.evaluation import Evaluation, evaluate
    from fastcf.models.autoencoder import Autoencoder
    from fastcf.models.bias import BiasModel
    from fastcf.models.blend import Blend
    from fastcf.models.factorization import MatrixFactorization
    from fastcf.models.implicit import ImplicitFactorization
    from fastcf.models.linear import LinearAutoencoder
    from fastcf.models.neighbours import ItemNeighbours, UserNeighbours
    from fastcf.models.perceptron import UserPerceptron
    from fastcf.models.popular import Popular
    from fastcf.models.regression import ItemRegression, MixedRegression, UserRegression
    from fastcf.models.temporal import TemporalModel
    from fastcf.models.two_tower import TwoTower
    from fastcf.preprocessing import FeatureTable
    from fastcf.ratings import IdMap, Ratings
    from fastcf.scores import Explanation, Neighbours, Recommendations, Recommender
    from fastcf.serialization import load, read_metadata
    from fastcf.training.gradient_check import GradientReport, check_gradients

_HOMES = {name: f"models.{family}" for name, family in FAMILIES.items()} | {
    "DataError": "errors",
    "DataWarning": "errors",
    "DeviceError": "errors",
    "DivergenceError": "errors",
    "Evaluation": "evaluation",
    "Explanation": "scores",
    "FeatureTable": "preprocessing",
    "GradientCheckError": "errors",
    "GradientReport": "training.gradient_check",
    "IdMap": "ratings",
    "Neighbours": "scores",
    "Ratings": "ratings",
    "Recommendations": "scores",
    "Recommender": "scores",
    "check_gradients": "training.gradient_check",
    "evaluate": "evaluation",
    "get_num_threads": "_threads",
    "load": "serialization",
    "num_threads": "_threads",
    "read_metadata": "serialization",
    "set_num_threads": "_threads",
    "show_config": "_backend",
}
_MODULES = (
    "callbacks",
    "costs",
    "data",
    "evaluation",
    "export",
    "features",
    "metrics",
    "model_selection",
    "ops",
    "optimizers",
    "plot",
    "preprocessing",
    "retrieval",
    "serving",
    "solvers",
)

__all__ = [
    "Autoencoder",
    "BiasModel",
    "Blend",
    "DataError",
    "DataWarning",
    "DeviceError",
    "DivergenceError",
    "Evaluation",
    "Explanation",
    "FeatureTable",
    "GradientCheckError",
    "GradientReport",
    "IdMap",
    "ImplicitFactorization",
    "ItemNeighbours",
    "ItemRegression",
    "LinearAutoencoder",
    "MatrixFactorization",
    "MixedRegression",
    "Neighbours",
    "Popular",
    "Ratings",
    "Recommendations",
    "Recommender",
    "TemporalModel",
    "TwoTower",
    "UserNeighbours",
    "UserPerceptron",
    "UserRegression",
    "__version__",
    "callbacks",
    "check_gradients",
    "costs",
    "data",
    "evaluate",
    "evaluation",
    "export",
    "features",
    "get_num_threads",
    "load",
    "metrics",
    "model_selection",
    "num_threads",
    "ops",
    "optimizers",
    "plot",
    "preprocessing",
    "read_metadata",
    "retrieval",
    "serving",
    "set_num_threads",
    "show_config",
    "solvers",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"fastcf.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"fastcf.{name}")
    else:
        raise AttributeError(f"module 'fastcf' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
