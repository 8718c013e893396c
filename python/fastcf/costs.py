"""Costs of models, as objects with their parameters."""

from fastcf.models.autoencoder.costs import Multinomial

__all__ = ["Multinomial"]
