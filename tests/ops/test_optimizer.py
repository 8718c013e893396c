"""Optimiser steps against plain traces: whole arrays, rows, and rows nobody touched."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.base
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf import ops
from fastcf.optimizers import (
    OPTIMIZERS,
    AdaDelta,
    AdaGrad,
    Adam,
    GradientDescent,
    Momentum,
    Nesterov,
    Optimizer,
    as_optimizer,
)
from reference import optimizer_trace

pytestmark = [pytest.mark.every_isa, pytest.mark.usefixtures("auto_backend")]

RATES = {"gd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.3, "adadelta": 1.0, "adam": 0.05}
EXACT = ("gd", "momentum", "nesterov", "adagrad")  # rows without a gradient: as with a gradient of zero
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-12}


def trace(name, p, gradient_at, rates):
    constants = as_optimizer(name).constants._asdict()
    return optimizer_trace(constants.pop("name"), p, gradient_at, rates, **constants)


@settings(max_examples=40)
@given(
    name=st.sampled_from(OPTIMIZERS),
    shape=st.sampled_from([(0,), (1,), (31,), (33,), (1025,), (0, 3), (7, 16), (32, 33)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_optimizer_fifty_steps_equal_trace(name, shape, dtype, n_threads, seed):
    random = np.random.default_rng(seed)
    start, target = (random.normal(0, 1, shape).astype(dtype) for _ in range(2))
    curvature = random.uniform(0.1, 2, shape).astype(dtype)
    rates = RATES[name] * random.uniform(0.5, 1, 50)
    points = trace(name, start, lambda p, t: curvature.astype(float) * (p - target), rates)
    p, state = start.copy(), None
    for rate, wanted in zip(rates, points[1:], strict=True):
        gradient = curvature * (p - target)
        p, state = ops.optimizer_step(
            p, gradient, state, optimizer=name, learning_rate=float(rate), n_threads=n_threads
        )
        assert p.dtype == dtype
        np.testing.assert_allclose(p, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert state.step == 50


def sparse_run(name, dtype, n_rows, n_columns, steps, seed, *, n_threads=1, copy=False):
    """Return start, gradients of every step (rows, values), and the result of steps by row, flushed."""
    random = np.random.default_rng(seed)
    shape = (n_rows, n_columns) if n_columns else (n_rows,)
    start = random.normal(0, 1, shape).astype(dtype)
    given_ = []
    p, state = start.copy(), None
    for _ in range(steps):
        rows = np.flatnonzero(random.random(n_rows) < 0.15).astype(np.int32)
        gradient = random.normal(0, 1, (len(rows), *shape[1:])).astype(dtype)
        given_.append((rows, gradient))
        p, state = ops.optimizer_step(
            p, gradient, state, optimizer=name, learning_rate=RATES[name], rows=rows, copy=copy, n_threads=n_threads
        )
    return start, given_, *ops.optimizer_flush(p, state, optimizer=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_columns", [0, 1, 16, 33])
@pytest.mark.parametrize("name", EXACT)
def test_optimizer_steps_by_row_equal_dense_steps_with_zero_gradients(name, n_columns, dtype):
    start, steps, got, state = sparse_run(name, dtype, 40, n_columns, 50, 3)
    p, dense_state = start, None
    for rows, values in steps:
        gradient = np.zeros_like(start)
        gradient[rows] = values
        p, dense_state = ops.optimizer_step(p, gradient, dense_state, optimizer=name, learning_rate=RATES[name])
    np.testing.assert_allclose(got, p, rtol=0, atol=TOLERANCE[dtype] / 2 * (1 + np.abs(p).max()))
    if state.first is not None:
        np.testing.assert_allclose(state.first, dense_state.first, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_columns", [0, 16, 33])
@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov"])
def test_optimizer_weight_decay_on_untouched_rows_equals_hundred_dense_steps(name, n_columns, dtype):
    random = np.random.default_rng(7)
    shape = (40, n_columns) if n_columns else (40,)
    start = random.normal(0, 1, shape).astype(dtype)
    steps, settings = [], {"optimizer": name, "weight_decay": 0.4}
    p, state = start.copy(), None
    for rate in (RATES[name], RATES[name] / 3):  # flushed before it changes
        for _ in range(50):
            rows = np.flatnonzero(random.random(40) < 0.03).astype(np.int32)
            gradient = random.normal(0, 1, (len(rows), *shape[1:])).astype(dtype)
            steps.append((rows, gradient, rate))
            p, state = ops.optimizer_step(p, gradient, state, learning_rate=rate, rows=rows, **settings)
        p, state = ops.optimizer_flush(p, state, learning_rate=rate, **settings)

    def gradient_at(point, t):
        gradient = 0.4 * point
        rows, values, _ = steps[t - 1]
        gradient[rows] += values
        return gradient

    wanted = trace(name, start, gradient_at, [rate for *_, rate in steps])[-1]
    np.testing.assert_allclose(p, wanted, rtol=0, atol=TOLERANCE[dtype] * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_weight_decay_of_whole_arrays_equals_trace(name):
    random = np.random.default_rng(8)
    start, gradients = random.normal(0, 1, (5, 3)), random.normal(0, 1, (20, 5, 3))
    p, state = start, None
    for gradient in gradients:
        p, state = ops.optimizer_step(p, gradient, state, optimizer=name, learning_rate=0.05, weight_decay=0.3)
    wanted = trace(name, start, lambda point, t: gradients[t - 1] + 0.3 * point, [0.05] * 20)[-1]
    np.testing.assert_allclose(p, wanted, rtol=1e-12)


def test_optimizer_very_long_decay_of_a_row_is_exact():
    p, state = np.ones((2, 1)), None
    for _ in range(10_000):
        p, state = ops.optimizer_step(
            p, np.zeros((1, 1)), state, optimizer="gd", learning_rate=1e-3, weight_decay=0.1, rows=[1], copy=False
        )
    p, _ = ops.optimizer_flush(p, state, optimizer="gd", learning_rate=1e-3, weight_decay=0.1)
    np.testing.assert_allclose(p, np.exp(10_000 * np.log1p(-1e-4)), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in EXACT])
def test_optimizer_time_stands_still_for_rows_without_gradient(name, dtype):
    start, steps, got, _ = sparse_run(name, dtype, 40, 5, 50, 4)
    for row in range(40):
        own = [values[list(rows).index(row)] for rows, values in steps if row in rows]
        wanted = trace(name, start[row], lambda p, t, own=own: own[t - 1].astype(float), [RATES[name]] * len(own))[-1]
        np.testing.assert_allclose(got[row], wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_dense_and_row_steps_mix(name):
    random = np.random.default_rng(0)
    start = random.normal(0, 1, (6, 3))
    gradients = random.normal(0, 1, (9, 6, 3))
    p, state = start, None
    for t, gradient in enumerate(gradients):
        rows = np.arange(6) if t % 3 == 1 else None  # all rows named: the same as a dense step
        p, state = ops.optimizer_step(p, gradient, state, optimizer=name, learning_rate=0.1, rows=rows)
    wanted = trace(name, start, lambda p, t: gradients[t - 1], [0.1] * 9)[-1]
    np.testing.assert_allclose(p, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_same_bits_for_any_number_of_threads_and_in_place(auto_backend, name):
    n_rows = 300 if hasattr(auto_backend, "emulation") else 3000  # fibers take their time
    results = [sparse_run(name, np.float32, n_rows, 64, 4, 5, n_threads=n, copy=n > 1)[2] for n in (1, 2, 4)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    n = 7_001 if hasattr(auto_backend, "emulation") else 700_001
    p = np.random.default_rng(0).normal(0, 1, n).astype(np.float32)
    dense = [
        ops.optimizer_step(p, p, None, optimizer=name, learning_rate=0.1, n_threads=n_threads)[0]
        for n_threads in (1, 2, 4)
    ]
    np.testing.assert_array_equal(dense[0], dense[1])
    np.testing.assert_array_equal(dense[0], dense[2])


@pytest.mark.parametrize("n_columns", [0, 5, 16])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_same_bits_in_any_order_of_threads(auto_backend, name, n_columns):
    results = in_every_order(auto_backend, lambda: sparse_run(name, np.float32, 60, n_columns, 5, 6)[2])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_optimizer_copy_decides_whether_inputs_change():
    p, g = np.ones(3), np.ones(3)
    kept, state = ops.optimizer_step(p, g, optimizer="adam", learning_rate=0.1)
    np.testing.assert_array_equal(p, 1)
    first = state.first.copy()
    again, _ = ops.optimizer_step(kept, g, state, optimizer="adam", learning_rate=0.1)
    np.testing.assert_array_equal(state.first, first)
    in_place, _ = ops.optimizer_step(kept, g, state, optimizer="adam", learning_rate=0.1, copy=False)
    assert in_place is kept
    np.testing.assert_array_equal(kept, again)
    assert not np.array_equal(state.first, first)


def test_optimizer_long_silence_of_a_row_is_exact():
    p, state = np.zeros((2, 1)), None
    p, state = ops.optimizer_step(p, np.ones((1, 1)), state, optimizer="momentum", learning_rate=1.0, rows=[0])
    for _ in range(5000):
        p, state = ops.optimizer_step(p, np.ones((1, 1)), state, optimizer="momentum", learning_rate=0.0, rows=[1])
    p, state = ops.optimizer_flush(p, state, optimizer="momentum")
    assert p[0, 0] == pytest.approx(-10.0, rel=1e-14)  # -(1 + 0.9 + 0.9^2 + …)
    assert state.first[0, 0] == pytest.approx(0.0, abs=1e-200)


def test_optimizer_names_and_constants():
    assert as_optimizer("momentum") == Momentum(momentum=0.9)
    assert as_optimizer(Adam(beta1=0.5)) == Adam(beta1=0.5, beta2=0.999, epsilon=1e-8)
    assert [as_optimizer(name).constants.name for name in OPTIMIZERS] == list(OPTIMIZERS)
    kinds = [kind() for kind in (GradientDescent, Momentum, Nesterov, AdaGrad, AdaDelta, Adam)]
    for at, kind in enumerate(kinds):
        assert [kind == other for other in kinds] == [at == other for other in range(6)]
        assert kind == type(kind)()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_is_described_by_its_parameters(name):
    plain = as_optimizer(name)
    assert repr(plain) == f"{type(plain).__name__}()"
    other = type(plain)(0.25, schedule="inverse", decay=0.5)
    assert repr(other) == f"{type(plain).__name__}(learning_rate=0.25, schedule='inverse', decay=0.5)"
    assert other != plain
    assert type(plain)(**other.get_params()) == other
    assert type(plain)().set_params(**other.get_params()) == other
    assert Optimizer.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    assert sklearn.base.clone(other, safe=True) == other
    assert type(plain).__hash__ is None
    with pytest.raises(ValueError, match=rf"set_params: there must be a parameter 'colour'; {type(plain).__name__} has"):
        plain.set_params(colour=1)


def test_optimizer_rates_follow_schedule_and_decay():
    assert Adam().first_rate({"adam": 0.5}) == 0.5
    assert Adam(0.1).first_rate({"adam": 0.5}) == 0.1
    assert [Adam().rate_at(0.4, epoch, 4) for epoch in range(4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert [Adam(schedule="constant").rate_at(0.4, epoch, 4) for epoch in range(4)] == [0.4] * 4
    assert Adam(schedule="inverse").rate_at(1.0, 5, 9) == pytest.approx(1 / 1.5)  # the default of decay is 0.1
    assert Adam(schedule="exponential", decay=0.5).rate_at(1.0, 3, 9) == pytest.approx(0.125)
    assert Adam(schedule="exponential", decay=0.0).rate_at(1.0, 3, 9) == 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Momentum(momentum=1.0),
            ValueError,
            "^Momentum: momentum must be a finite number of at least 0 and below 1; got 1.0",
        ),
        (lambda: Nesterov(momentum=-0.1), ValueError, "^Nesterov: momentum must be .* and below 1; got -0.1"),
        (lambda: Adam(beta2=float("nan")), ValueError, "^Adam: beta2 must be .* and below 1; got nan"),
        (lambda: AdaGrad(epsilon=0.0), ValueError, "^AdaGrad: epsilon must be a finite number of at least 1e-30; got 0"),
        (lambda: AdaDelta(epsilon="small"), TypeError, "^AdaDelta: epsilon must be a finite number .*; got 'small'"),
        (lambda: Adam(0.0), ValueError, "^Adam: learning_rate must be a finite number above 0, or 'auto'; got 0.0"),
        (lambda: Adam("fast"), ValueError, "^Adam: learning_rate must be .*, or 'auto'; got 'fast'"),
        (lambda: Adam(schedule="sawtooth"), ValueError, "^Adam: schedule must be 'constant' or 'linear' .*; got 'saw"),
        (lambda: Adam(schedule="inverse", decay=2), ValueError, "^Adam: decay must be .* at most 1, or None; got 2"),
        (
            lambda: Adam(schedule="cosine", decay=0.1),
            ValueError,
            "^Adam: decay must be None for schedule='cosine', where it has no effect; got 0.1",
        ),
        (lambda: as_optimizer(Adam().set_params(decay=0.2), "fit"), ValueError, "^fit: Adam: decay must be None for"),
        (lambda: Adam(momentum=0.5), TypeError, "momentum"),
        (lambda: Momentum(0.1, 0.9), TypeError, "positional"),
        (lambda: as_optimizer("sgdm"), ValueError, "optimizer must be one of gd, momentum, .*; got 'sgdm'"),
        (lambda: as_optimizer(3), TypeError, "optimizer must be a name or an Optimizer; got 3"),
    ],
)
def test_optimizer_bad_constants_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


P = np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"parameters": P.astype(int)}, TypeError, "parameters must be a float32 or float64 NumPy array; got int64"),
        ({"gradient": P.astype(np.float32)}, TypeError, "gradient must have dtype float64; got float32"),
        ({"gradient": P[:2]}, ValueError, "gradient must have 3 rows of 2; got 2 of 2"),
        ({"gradient": P[:, :1].copy()}, ValueError, "gradient must have 3 rows of 2; got 3 of 1"),
        ({"parameters": P.T}, ValueError, "parameters must be C-contiguous|gradient must have"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be a finite number of at least 0; got -1.0"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be a finite number of at least 0; got -1.0"),
        ({"rows": [0, 3], "gradient": P[:2]}, ValueError, r"rows must lie in \[0, 3\); got 3 at entry 1"),
        ({"rows": [1, 0], "gradient": P[:2]}, ValueError, r"rows must ascend within \[0, 3\); got 0 at entry 1"),
        ({"rows": [1, 1], "gradient": P[:2]}, ValueError, r"rows must ascend within \[0, 3\); got 1 at entry 1"),
        ({"rows": [0.5]}, TypeError, "rows must be a vector of integers; got float64"),
        ({"state": ops.OptimizerState(0, None, None, None)}, ValueError, "first must have the shape of parameters"),
        ({"state": ops.OptimizerState(-1, P, P, None)}, ValueError, "steps count from 1; got 0"),
    ],
)
def test_optimizer_bad_input_raises(arguments, error, message):
    valid = {"parameters": P, "gradient": P, "optimizer": "adam", "learning_rate": 0.1}
    with pytest.raises(error, match=message):
        ops.optimizer_step(**{**valid, **arguments})


def test_optimizer_native_refuses_what_python_never_sends(auto_backend):
    with pytest.raises(ValueError, match="there is no optimizer 'x'"):
        auto_backend.optimizer_step("x", 0, 0, 0, 0.1, 1, P, P)
    with pytest.raises(ValueError, match=r"decays must lie in \[0, 1\)"):
        auto_backend.optimizer_step("momentum", 1, 0, 0, 0.1, 1, P, P, P)
    with pytest.raises(ValueError, match="rows and row_steps must be given together"):
        auto_backend.optimizer_step("gd", 0, 0, 0, 0.1, 1, P.copy(), P, rows=np.int32([0]))
    with pytest.raises(ValueError, match="row_steps must have 3 entries; got 2"):
        auto_backend.optimizer_step(
            "gd", 0, 0, 0, 0.1, 1, P.copy(), P[:1], rows=np.int32([0]), row_steps=np.int64([0, 0])
        )
