"""Linear item models."""

from fastcf.models.linear.linear_autoencoder import LinearAutoencoder

__all__ = ["LinearAutoencoder"]
