"""Means and biases."""

from fastcf.models.bias.bias_model import BiasModel
from fastcf.models.bias.biases import Biases, fit_biases
from fastcf.models.bias.label_biases import LabelBiases, fit_label_biases, log_odds_of_rows, start_label_biases

__all__ = [
    "BiasModel",
    "Biases",
    "LabelBiases",
    "fit_biases",
    "fit_label_biases",
    "log_odds_of_rows",
    "start_label_biases",
]
