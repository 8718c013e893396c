"""Masked autoencoders."""

from fastcf.models.autoencoder.autoencoder import Autoencoder

__all__ = ["Autoencoder"]
