"""Means and biases."""

from fastcf.models.bias.bias_model import BiasModel
from fastcf.models.bias.biases import Biases, fit_biases
from fastcf.models.bias.explained import Explained, ExplainedBiases, fit_explained_biases, row_sums, spread_of
from fastcf.models.bias.label_biases import LabelBiases, fit_label_biases, log_odds_of_rows, start_label_biases

__all__ = [
    "BiasModel",
    "Biases",
    "Explained",
    "ExplainedBiases",
    "LabelBiases",
    "fit_biases",
    "fit_explained_biases",
    "fit_label_biases",
    "log_odds_of_rows",
    "row_sums",
    "spread_of",
    "start_label_biases",
]
