"""Masked autoencoders."""

from fastcf.models.autoencoder.autoencoder import Autoencoder
from fastcf.models.autoencoder.network import ACTIVATIONS

__all__ = ["ACTIVATIONS", "Autoencoder"]
