from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as peer

from fastcf.metrics import accuracy, calibration_error, log_loss, mae, rmse, roc_auc

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


@st.composite
def binary_cases(draw):
    size = draw(st.sampled_from([2, 31, 32, 33, 1025]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    true = random.integers(0, 2, size)
    true[:2] = 0, 1
    p = random.random(size).round(draw(st.sampled_from([1, 9])))  # with ties, and certainties
    return true, p, random.uniform(0.1, 2, size) if draw(st.booleans()) else None


@given(binary_cases())
def test_metrics_of_labels_equal_scikit_learn(case):
    true, p, weights = case
    assert log_loss(true, p, sample_weight=weights) == pytest.approx(peer.log_loss(true, p, sample_weight=weights))
    assert roc_auc(true, p, sample_weight=weights) == pytest.approx(peer.roc_auc_score(true, p, sample_weight=weights))
    for threshold in (0.5, 0.3):
        wanted = peer.accuracy_score(true, p >= threshold, sample_weight=weights)
        assert accuracy(true, p, threshold=threshold, sample_weight=weights) == pytest.approx(wanted)


def test_metrics_log_loss_of_fractions_and_certainties():
    assert log_loss([0.25], [0.5]) == pytest.approx(np.log(2))
    assert log_loss([1.0, 0.0], [1.0, 0.0]) == pytest.approx(0, abs=1e-15)
    assert log_loss([1.0], [0.0]) == pytest.approx(-np.log(np.finfo(np.float64).eps))
    assert log_loss([1.0], np.float32([0.0])) == pytest.approx(-np.log(np.finfo(np.float32).eps))


@pytest.mark.parametrize(
    ("metric", "true", "p", "weights", "message"),
    [
        (log_loss, [0, 2], [0.5, 0.5], None, r"log_loss: y_true must lie in \[0, 1\]; got 2.0 at entry 1"),
        (log_loss, [0, 1], [0.5, 1.5], None, r"log_loss: p must lie in \[0, 1\]; got 1.5 at entry 1"),
        (log_loss, [0, 1], [0.5], None, r"log_loss: p must have as many entries as y_true \(2\); got 1"),
        (log_loss, [0], [np.nan], None, "log_loss: p must be finite; got nan at entry 0"),
        (accuracy, [0.5], [0.5], None, r"accuracy: y_true must be 0 or 1; got 0.5 at entry 0"),
        (accuracy, [], [], None, "accuracy: y_true must not be empty"),
        (roc_auc, [1, 3], [0.5, 0.5], None, "roc_auc: y_true must be 0 or 1; got 3.0 at entry 1"),
        (roc_auc, [1, 1], [0.5, 0.5], None, "roc_auc: y_true must hold both labels; got 2 times 1"),
        (roc_auc, [1, 0], [0.5, 0.5], [1, 0], "roc_auc: y_true must hold both labels; got 1 times 1"),
        (roc_auc, [1, 0], [0.5, 0.5], [1, -1], "roc_auc: sample_weight must not be negative"),
        (roc_auc, [1, 0], [0.5, np.inf], None, "roc_auc: score must be finite; got inf at entry 1"),
    ],
)
def test_metrics_bad_labels_raise(metric, true, p, weights, message):
    with pytest.raises(ValueError, match=message):
        metric(true, p, sample_weight=weights)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), n_bins=st.integers(1, 12), weighted=st.booleans())
def test_metrics_calibration_error_equals_a_loop(seed, n, n_bins, weighted):
    rng = np.random.default_rng(seed)
    labels, p = rng.integers(0, 2, n), rng.choice([0.0, 0.05, 0.1, 0.5, 0.73, 0.99, 1.0], n)
    weights = rng.random(n) + 0.1 if weighted else np.ones(n)
    gap = 0.0
    for b in range(n_bins):
        inside = [i for i in range(n) if min(int(p[i] * n_bins), n_bins - 1) == b]
        if inside:
            weight = weights[inside]
            mean_label, mean_p = (np.average(values[inside], weights=weight) for values in (labels, p))
            gap += weight.sum() * abs(mean_label - mean_p)
    got = calibration_error(labels, p, n_bins=n_bins, sample_weight=weights if weighted else None)
    assert got == pytest.approx(gap / weights.sum(), abs=1e-12)


def test_metrics_calibration_error_refuses_bins_that_are_none():
    for n_bins in (0, 2.0, True):
        with pytest.raises(ValueError, match="calibration_error: n_bins must be a positive integer; got"):
            calibration_error([1], [0.5], n_bins=n_bins)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_metrics_thresholds_are_compared_in_the_precision_of_predictions(dtype):
    for threshold in (0.1, 0.3, 0.7, 0.9):
        p = np.array([threshold, np.nextafter(dtype(threshold), dtype(0))], dtype)
        assert accuracy([1, 0], p, threshold=threshold) == 1
    assert accuracy([0, 0], np.float16([0.5, 0.7]), threshold=1e9) == 1  # beyond the range of the dtype
    assert accuracy([1, 0], [1, 0], threshold=0.7) == 1
