from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

pytestmark = pytest.mark.every_isa


def reference(loss, z, y, w):
    """Return the sum of weighted losses, and their slopes."""
    if loss == "squared":
        return 0.5 * (w * (z - y) ** 2).sum(), w * (z - y)
    return (w * (np.logaddexp(0, z) - y * z)).sum(), w * (expit(z) - y)


@given(
    st.sampled_from(["squared", "logistic"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 7, 8, 31, 32, 33, 1025, 20_000]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.sampled_from([1.0, 50.0]),
)
def test_loss_gradient_equals_reference(backend, loss, seed, n, dtype, weighted, size):
    rng = np.random.default_rng(seed)
    predicted = (size * rng.standard_normal(n)).astype(dtype)
    target = rng.random(n).astype(dtype) if loss == "logistic" else rng.standard_normal(n).astype(dtype)
    weights = rng.random(n).astype(dtype) if weighted else None
    gradient = np.full(n, np.nan, dtype)
    total = backend.loss_gradient(predicted, target, gradient, weights, loss, 0.25, 2)
    w = 1.0 if weights is None else weights.astype(np.float64)
    wanted, slopes = reference(loss, predicted.astype(np.float64), target.astype(np.float64), w)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(gradient, 0.25 * slopes, rtol=8 * eps, atol=8 * eps)
    # What is left of softplus(z) - y z where both are large carries their rounding.
    large = float((w * np.abs(predicted.astype(np.float64))).sum()) if loss == "logistic" else 0.0
    np.testing.assert_allclose(total, wanted, rtol=16 * eps, atol=2 * eps * large)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_loss_gradient_may_overwrite_the_predictions(backend, loss):
    rng = np.random.default_rng(0)
    predicted, target = (rng.random(1001).astype(np.float32) for _ in range(2))
    apart = np.empty_like(predicted)
    total = backend.loss_gradient(predicted, target, apart, loss=loss)
    assert backend.loss_gradient(predicted, target, predicted, loss=loss) == total
    np.testing.assert_array_equal(predicted, apart)


def test_loss_gradient_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    predicted, target = (rng.standard_normal(400_001).astype(np.float32) for _ in range(2))
    gradient = np.empty_like(predicted)
    assert len({backend.loss_gradient(predicted, target, gradient, n_threads=n) for n in (1, 2, 4)}) == 1


def test_loss_gradient_bad_input_raises(backend):
    x = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="loss_gradient: target and gradient must have 3 entries; got 2 and 3"):
        backend.loss_gradient(x, x[:2], x.copy())
    with pytest.raises(ValueError, match="loss_gradient: weights must have 3 entries; got 1"):
        backend.loss_gradient(x, x, x.copy(), x[:1])
    with pytest.raises(TypeError, match="loss_gradient: target must have dtype float32; got float64"):
        backend.loss_gradient(x, x.astype(np.float64), x.copy())
    with pytest.raises(ValueError, match="loss_gradient: loss must be 'squared' or 'logistic'; got 'hinge'"):
        backend.loss_gradient(x, x, x.copy(), loss="hinge")
