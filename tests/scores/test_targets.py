"""What models learn of ratings: labels cut at a threshold, in the precision of ratings."""

import numpy as np
import pytest

import fastcf
from fastcf.scores import Targets


@pytest.mark.parametrize(
    ("threshold", "labels"), [(3.1, [0, 1, 1]), (np.float64(3.1), [0, 1, 1]), (1e300, [0, 0, 0]), (-1e300, [1, 1, 1])]
)
def test_labels_are_cut_in_the_precision_of_ratings(threshold, labels):
    ratings = np.array([1, 3.1, 5], np.float32)
    assert Targets("logistic", threshold).of(ratings, "test").tolist() == labels


@pytest.mark.parametrize("threshold", [None, 0.5, 4.0])
def test_labels_that_are_all_alike_raise_and_name_the_models_of_choices(threshold):
    ones = fastcf.Ratings.from_coo([1, 1, 2], [1, 2, 1], np.ones(3, np.float32))
    match = (
        r"fit: labels must be of two classes.*3 labels that are all [01].*LinearAutoencoder or ImplicitFactorization"
    )
    features = [1, 2], np.random.default_rng(0).random((2, 3))
    for model, more in [
        (fastcf.MatrixFactorization(cost="logistic", threshold=threshold), {}),
        (fastcf.Autoencoder(cost="logistic", threshold=threshold), {}),
        (fastcf.TwoTower(cost="logistic", threshold=threshold), {}),
        (fastcf.UserRegression(cost="logistic", threshold=threshold), {"item_features": features}),
        (fastcf.ItemRegression(cost="logistic", threshold=threshold), {"user_features": features}),
        (fastcf.UserPerceptron(threshold=threshold or 0.5), {"item_features": features}),
    ]:
        with pytest.raises(ValueError, match=type(model).__name__ + "." + match):
            model.fit(ones, **more)


def test_labels_of_which_those_with_a_weight_are_alike_raise():
    """So do the same without those of no weight."""
    labels = fastcf.Ratings.from_coo([1, 1, 2, 2], [1, 2, 1, 2], np.float32([1, 0, 1, 0]))
    for model in (
        fastcf.MatrixFactorization(cost="logistic"),
        fastcf.Autoencoder(cost="logistic"),
        fastcf.TwoTower(cost="logistic"),
    ):
        with pytest.raises(ValueError, match=r"labels must be of two classes.*2 labels that are all 1"):
            model.fit(labels, sample_weight=[1, 0, 2, 0])


def test_ratings_that_are_all_alike_may_be_fitted():
    ones = fastcf.Ratings.from_coo([1, 1, 2], [1, 2, 1], np.ones(3, np.float32))
    assert Targets().of_training(ones, "test") is ones
