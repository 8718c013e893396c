from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastcf.metrics import mae, rmse

SIZES = st.sampled_from([1, 31, 32, 33, 1025])
VALUES = st.floats(-1e6, 1e6)


@st.composite
def cases(draw):
    size = draw(SIZES)
    true, predicted = draw(arrays(np.float64, size, elements=VALUES)), draw(arrays(np.float64, size, elements=VALUES))
    weights = draw(st.none() | arrays(np.float64, size, elements=st.floats(0.125, 8)))
    return true, predicted, weights


@given(cases())
def test_metrics_equal_reference(case):
    true, predicted, weights = case
    w = np.ones_like(true) if weights is None else weights
    difference = predicted - true
    expected_rmse = np.sqrt((w * difference**2).sum() / w.sum())
    assert rmse(true, predicted, sample_weight=weights) == pytest.approx(expected_rmse, rel=1e-12)
    expected_mae = (w * np.abs(difference)).sum() / w.sum()
    assert mae(true, predicted, sample_weight=weights) == pytest.approx(expected_mae, rel=1e-12)


def test_metrics_lists_and_other_dtypes():
    assert rmse([3, 5], [4, 5]) == pytest.approx(np.sqrt(0.5))
    assert mae(np.float32([3, 5]), np.int8([4, 5])) == pytest.approx(0.5)
    assert isinstance(rmse([1], [2]), float)
    assert isinstance(mae([1], [2]), float)


def test_metrics_weight_zero_drops_rating():
    assert rmse([1.0, 100.0], [2.0, 0.0], sample_weight=[1, 0]) == 1.0


@pytest.mark.parametrize("metric", [rmse, mae])
@pytest.mark.parametrize(
    ("true", "predicted", "weights", "error", "message"),
    [
        ([], [], None, ValueError, "y_true must not be empty"),
        ([1.0], [1.0, 2.0], None, ValueError, r"y_pred must have as many entries as y_true \(1\); got 2"),
        ([1.0, np.nan], [1.0, 2.0], None, ValueError, "y_true must be finite; got nan at entry 1"),
        ([1.0, 2.0], [np.inf, 2.0], None, ValueError, "y_pred must be finite; got inf at entry 0"),
        ([[1.0]], [1.0], None, ValueError, "y_true must have 1 dimension; got 2"),
        (["a"], [1.0], None, TypeError, "y_true must hold numbers"),
        ([1.0], [1.0], [1.0, 1.0], ValueError, r"sample_weight must have as many entries as y_true \(1\); got 2"),
        ([1.0, 2.0], [1.0, 2.0], [1.0, -1.0], ValueError, r"sample_weight must not be negative; got -1.0 at entry 1"),
        ([1.0], [1.0], [0.0], ValueError, "sample_weight must have a positive sum; got 0.0"),
    ],
)
def test_metrics_bad_input_raises(metric, true, predicted, weights, error, message):
    with pytest.raises(error, match=f"{metric.__name__}: {message}"):
        metric(true, predicted, sample_weight=weights)
