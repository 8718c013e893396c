"""The estimators, one file per model family."""

from fastcf.models.autoencoder import Autoencoder
from fastcf.models.base import FactorModel, Neighbours, Recommendations
from fastcf.models.bias import BiasModel
from fastcf.models.blend import Blend
from fastcf.models.logistic_matrix_factorization import LogisticMatrixFactorization
from fastcf.models.matrix_factorization import MatrixFactorization
from fastcf.models.perceptron import UserPerceptron
from fastcf.models.regression import ItemRegression, UserRegression
from fastcf.models.two_tower import TwoTower

__all__ = [
    "Autoencoder",
    "BiasModel",
    "Blend",
    "FactorModel",
    "ItemRegression",
    "LogisticMatrixFactorization",
    "MatrixFactorization",
    "Neighbours",
    "Recommendations",
    "TwoTower",
    "UserPerceptron",
    "UserRegression",
]
