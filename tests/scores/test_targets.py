"""What models learn of ratings: labels cut at a threshold, in the precision of ratings."""

import numpy as np
import pytest

from fastcf.scores import Targets


@pytest.mark.parametrize(
    ("threshold", "labels"), [(3.1, [0, 1, 1]), (np.float64(3.1), [0, 1, 1]), (1e300, [0, 0, 0]), (-1e300, [1, 1, 1])]
)
def test_labels_are_cut_in_the_precision_of_ratings(threshold, labels):
    ratings = np.array([1, 3.1, 5], np.float32)
    assert Targets("logistic", threshold).of(ratings, "test").tolist() == labels
