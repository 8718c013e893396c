"""Arrays of random numbers: against the quantile function in float64, and their independence of threads and length."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import reference
from backends import in_every_order

pytestmark = pytest.mark.every_isa

seeds = st.integers(0, 2**64 - 1)


def random(backend, rows, cols, distribution="normal", scale=1.0, seed=0, stream=0, n_threads=1):
    return backend.random(rows, cols, distribution, scale, seed, stream, n_threads)


@given(n=st.integers(0, 700), seed=seeds, stream=seeds)
def test_random_uniform_is_the_bits_of_the_stream(backend, n, seed, stream):
    np.testing.assert_array_equal(
        random(backend, 1, n, "uniform", seed=seed, stream=stream)[0], reference.symmetric_uniform(n, seed, stream)
    )


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_random_normal_is_the_quantile_of_the_uniform(backend, seed, scale):
    uniform = random(backend, 1, 1000, "uniform", seed=seed)[0].astype(np.float64)
    expected = scale * np.sqrt(2) * scipy.special.erfinv(uniform)
    np.testing.assert_allclose(random(backend, 1, 1000, "normal", scale, seed)[0], expected, rtol=2e-6)


@given(
    rows=st.integers(0, 40), cols=st.integers(0, 40), seed=seeds, distribution=st.sampled_from(["normal", "uniform"])
)
def test_random_first_numbers_of_a_longer_array_are_those_of_a_shorter(backend, rows, cols, seed, distribution):
    long = random(backend, 1, 1600, distribution, seed=seed)[0]
    np.testing.assert_array_equal(
        random(backend, rows, cols, distribution, seed=seed), long[: rows * cols].reshape(rows, cols)
    )


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_random_on_the_device_is_the_same(backend, distribution):
    held = backend.random_on_device(13, 7, distribution, 0.5, 3, 4)
    assert (held.shape, held.dtype) == ((13, 7), np.float32)
    np.testing.assert_array_equal(held.numpy(), random(backend, 13, 7, distribution, 0.5, 3, 4))
    with pytest.raises(ValueError, match="random: scale must be finite"):
        backend.random_on_device(1, 1, distribution, np.inf, 0)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_random_same_bits_for_any_number_of_threads(backend, distribution):
    expected = random(backend, 501, 777, distribution, seed=5)
    for n_threads in (2, 3, 4):
        np.testing.assert_array_equal(random(backend, 501, 777, distribution, seed=5, n_threads=n_threads), expected)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_random_same_bits_in_any_order_of_threads(backend, distribution):
    first, *others = in_every_order(backend, lambda: random(backend, 3, 411, distribution, seed=8))
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("distribution", "law"), [("normal", scipy.stats.norm()), ("uniform", scipy.stats.uniform(-1, 2))]
)
def test_random_numbers_follow_their_law_without_correlation(backend, distribution, law):
    numbers = random(backend, 1000, 1000, distribution, seed=20).astype(np.float64)
    assert scipy.stats.kstest(numbers.ravel(), law.cdf).pvalue > 1e-3
    assert len(np.unique(numbers)) > 900_000
    for lag in (1, 2, 64, 1000):
        series = numbers.ravel()
        assert abs(np.corrcoef(series[:-lag], series[lag:])[0, 1]) < 5e-3
    other = random(backend, 1000, 1000, distribution, seed=20, stream=1)
    assert abs(np.corrcoef(numbers.ravel(), other.ravel())[0, 1]) < 5e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": -1}, "rows and cols must not be negative"),
        ({"distribution": "cauchy"}, "distribution must be 'normal' or 'uniform'; got 'cauchy'"),
        ({"scale": float("nan")}, "scale must be finite"),
    ],
)
def test_random_bad_argument_is_named(backend, arguments, message):
    with pytest.raises(ValueError, match=f"random: {message}"):
        random(backend, **{"rows": 2, "cols": 2, **arguments})
