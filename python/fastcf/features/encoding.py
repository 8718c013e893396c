"""From bags of labels to columns of zeros and ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import MultiLabelBinarizer

__all__ = ["BagEncoder", "frequent_labels"]


def frequent_labels(bags: NDArray[np.object_], min_count: int) -> list[Any]:
    """Return the labels that at least ``min_count`` of the bags hold, ascending."""
    counts = Counter(label for bag in bags for label in set(bag))
    return sorted(label for label, n in counts.items() if n >= min_count)


class BagEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Encodes bags of labels: a column per label, 1 where the bag holds it. One-hot is a bag of one label or none.

    A scikit-learn transformer: its ``MultiLabelBinarizer``, for several columns of bags, without a word about labels
    that it was not fitted on.

    Parameters
    ----------
    min_count : int, default 1
        Labels in fewer rows than this get no column.

    Attributes
    ----------
    labels_ : list of list
        The labels of each column of bags, ascending.
    """

    def __init__(self, min_count: int = 1) -> None:
        self.min_count = min_count

    def fit(self, X: NDArray[np.object_], y: Any = None) -> BagEncoder:
        """Learn the labels of ``X``, tuples in an array of shape (n, k)."""
        self.labels_ = [frequent_labels(bags, self.min_count) for bags in X.T]
        return self

    def transform(self, X: NDArray[np.object_]) -> scipy.sparse.csr_matrix:
        """Return zeros and ones, float32 of shape (n, number of labels); unknown labels are ignored."""
        blocks = []
        for bags, labels in zip(X.T, self.labels_, strict=True):
            known = set(labels)
            kept = [[label for label in bag if label in known] for bag in bags]
            blocks.append(MultiLabelBinarizer(classes=labels, sparse_output=True).fit_transform(kept))
        return scipy.sparse.hstack(blocks, format="csr", dtype=np.float32)

    def get_feature_names_out(self, input_features: Any) -> NDArray[np.object_]:
        """Return ``column_label`` for every label, as scikit-learn's ``OneHotEncoder`` names them."""
        pairs = zip(input_features, self.labels_, strict=True)
        names = [f"{column}_{label}" for column, labels in pairs for label in labels]
        return np.array(names, dtype=object)
