"""The estimators: a folder per family, whose public class is in the file of its name."""

__all__ = ["FAMILIES"]

FAMILIES = (
    "autoencoder",
    "bias",
    "blend",
    "factorization",
    "implicit",
    "linear",
    "neighbours",
    "perceptron",
    "popular",
    "regression",
    "temporal",
    "two_tower",
)
"""The families, each a module of this package."""
