"""The estimators: a folder per family, whose public class is in the file of its name."""

__all__ = ["FAMILIES"]

FAMILIES = {
    "Autoencoder": "autoencoder",
    "BiasModel": "bias",
    "Blend": "blend",
    "ImplicitFactorization": "implicit",
    "ItemNeighbours": "neighbours",
    "ItemRegression": "regression",
    "LinearAutoencoder": "linear",
    "MatrixFactorization": "factorization",
    "MixedRegression": "regression",
    "Popular": "popular",
    "TemporalModel": "temporal",
    "TwoTower": "two_tower",
    "UserNeighbours": "neighbours",
    "UserPerceptron": "perceptron",
    "UserRegression": "regression",
}
"""The family of each estimator: the module of this package that is imported when the class is used or loaded."""
