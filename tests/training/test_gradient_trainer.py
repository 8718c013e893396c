"""Training by gradients: epochs against NumPy for every optimiser, in batches and all at once."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from backends import in_every_order
from fastcf.optimizers import OPTIMIZERS, Momentum, as_optimizer
from reference import optimizer_trace

pytestmark = pytest.mark.every_isa

RATES = {"gd": 0.05, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.1, "adadelta": 1.0, "adam": 0.02}
REG, USER_BIAS_REG, ITEM_BIAS_REG = 0.1, 0.5, 0.25


def make_csr(random, n_users, n_items, density, *, labels=False, dense_row=False):
    mask = random.random((n_users, n_items)) < density
    if dense_row:
        mask[0] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    values = random.integers(0, 2, indices.size) if labels else random.normal(3, 1, indices.size)
    return indptr, indices, values.astype(np.float32)


def make_trainer(backend, csr, n_items, k, method="gd", **options):
    name, decay, second_decay, epsilon = as_optimizer(method).constants
    defaults = {
        "n_factors": k, "reg": REG, "reg_exponent": 1.0, "user_bias": True, "item_bias": True,
        "user_bias_reg": USER_BIAS_REG, "item_bias_reg": ITEM_BIAS_REG, "lowest": -10.0, "highest": 10.0, "seed": 7,
        "n_threads": 1, "optimizer": name, "decay": decay, "second_decay": second_decay, "epsilon": epsilon,
    }  # fmt: skip
    return backend.GradientTrainer(*csr, n_items, **{**defaults, **options})


def make_parameters(random, n_users, n_items, k, scale=0.3):
    shapes = (n_users, k), (n_items, k), (n_users,), (n_items,)
    return [random.normal(0, scale, shape).astype(np.float32) for shape in shapes]


def fetch(trainer, parameters):
    fetched = [np.empty_like(array) for array in parameters]
    trainer.get_parameters(*fetched)
    return fetched


class Plain:
    """The problem in float64: parameters as one vector, and the gradient of a batch, NaN for rows without a rating."""

    def __init__(self, parameters, ratings, counts, offset, *, logistic, exponent, bias):
        self.shapes = [p.shape for p in parameters]
        self.ratings, self.offset, self.logistic, self.bias = ratings, offset, logistic, bias
        shares = [np.where(n > 0, REG * np.maximum(n, 1.0) ** (exponent - 1), 0) for n in counts]
        self.shares = [
            *shares,
            *(
                np.where(n > 0, r / np.maximum(n, 1), 0)
                for n, r in zip(counts, (USER_BIAS_REG, ITEM_BIAS_REG), strict=True)
            ),
        ]
        self.losses = []

    def split(self, flat):
        ends = np.cumsum([np.prod(shape) for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), self.shapes, strict=True)]

    def gradient(self, flat, pairs, scale):
        P, Q, b_u, b_i = self.split(flat)
        E, C = np.zeros((2, len(P), len(Q)))
        loss = 0.0
        for u, i in pairs:
            y, w = self.ratings[u, i]
            z = self.offset[i] + b_u[u] + b_i[i] + P[u] @ Q[i]
            C[u, i] = 1
            E[u, i] = w * ((1 / (1 + np.exp(-z)) if self.logistic else z) - y)
            loss += w * (np.logaddexp(0, z) - y * z if self.logistic else (z - y) ** 2 / 2)
        self.losses.append(loss)
        n_u, n_i = C.sum(axis=1), C.sum(axis=0)
        s_p, s_q, s_u, s_i = self.shares
        parts = [
            E @ Q + (n_u * s_p)[:, None] * P,
            E.T @ P + (n_i * s_q)[:, None] * Q,
            E.sum(axis=1) + n_u * s_u * b_u if self.bias[0] else 0 * b_u,
            E.sum(axis=0) + n_i * s_i * b_i if self.bias[1] else 0 * b_i,
        ]
        for part, n in zip(parts, (n_u, n_i, n_u, n_i), strict=True):
            part[n == 0] = np.nan
        return scale * np.concatenate([part.ravel() for part in parts])


@settings(max_examples=60)
@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    n_users=st.sampled_from([1, 5, 31, 33]),
    n_items=st.sampled_from([1, 2, 32]),
    k=st.sampled_from([1, 15, 16, 17, 33]),
    density=st.sampled_from([0.05, 0.3]),
    batch_size=st.sampled_from([0, 1, 7, 31, 10_000]),
    weighted=st.booleans(),
    bias=st.tuples(st.booleans(), st.booleans()),
    by_item=st.booleans(),
    logistic=st.booleans(),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
def test_gradient_trainer_epochs_equal_trace(backend, **case):
    check_epochs(backend, **case)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("batch_size", [0, 1, 31])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradient_trainer_epochs_equal_trace_with_everything_on(backend, optimizer, batch_size, logistic):
    check_epochs(
        backend, optimizer, n_users=33, n_items=32, k=17, density=0.1, batch_size=batch_size, weighted=True,
        bias=(True, True), by_item=True, logistic=logistic, exponent=0.5, seed=1,
    )  # fmt: skip


def check_epochs(
    backend, optimizer, n_users, n_items, k, density, batch_size, weighted, bias, by_item, logistic, exponent, seed
):
    random = np.random.default_rng(seed)
    csr = make_csr(random, n_users, n_items, density, labels=logistic, dense_row=True)
    rows = np.repeat(np.arange(n_users), np.diff(csr[0]))
    weights = random.uniform(0, 2, rows.size).astype(np.float32) if weighted else None
    offset = random.normal(1, 0.5, n_items).astype(np.float32) if by_item else None
    trainer = make_trainer(
        backend, csr, n_items, k, optimizer, weights=weights, item_offset=offset, global_offset=1.5, user_bias=bias[0],
        item_bias=bias[1], reg_exponent=exponent, batch_size=batch_size, seed=seed,
        cost="logistic" if logistic else "squared",
    )  # fmt: skip
    parameters = make_parameters(random, n_users, n_items, k)
    trainer.set_parameters(*parameters)
    for array, wanted in zip(parameters[2:], bias, strict=True):
        array *= wanted

    ratings = {
        (u, i): (np.float64(y), np.float64(w))
        for u, i, y, w in zip(rows, csr[1], csr[2], weights if weighted else np.ones(rows.size), strict=True)
    }
    counts = np.diff(csr[0]), np.bincount(csr[1], minlength=n_items)
    means = offset.astype(float) if by_item else np.full(n_items, 1.5)
    plain = Plain(parameters, ratings, counts, means, logistic=logistic, exponent=exponent, bias=bias)
    # The gradient of all ratings is their sum (rows without any: zero), that of a batch their mean.
    learning_rate = RATES[optimizer] / (10 if batch_size == 0 and optimizer in ("gd", "momentum", "nesterov") else 1)
    batches, losses = [], []
    for _ in range(2):
        order = trainer.order()
        pairs = list(zip(order[0], order[1], strict=True))
        assert sorted(pairs) == sorted(ratings)
        steps = order[2]
        sizes = np.bincount(steps)
        assert (sizes[:-1] == batch_size).all()
        batches += [[pairs[e] for e in np.flatnonzero(steps == step)] for step in range(len(sizes))]
        losses.append(trainer.epoch(learning_rate, learning_rate / 2))
    rates = np.concatenate([np.full(p.size, learning_rate / (1 + (p.ndim == 1))) for p in parameters])

    def gradient_at(flat, t):
        scale = 1 / len(batches[t - 1]) if batch_size else 1
        return plain.gradient(flat, batches[t - 1], scale)

    flat = np.concatenate([p.ravel() for p in parameters])
    points = optimizer_trace(optimizer, flat, gradient_at, [rates] * len(batches), **_constants(optimizer))
    assert sum(losses) == pytest.approx(sum(plain.losses), rel=1e-3)
    got = fetch(trainer, parameters)
    for name, have, want in zip("PQbc", got, plain.split(points[-1]), strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-3, atol=2e-4, err_msg=name)
    assert all(wanted or not array.any() for array, wanted in zip(got[2:], bias, strict=True))
    squares = [np.float64(array) ** 2 for array in got]
    penalty = sum(
        (REG * np.where(n > 0, np.maximum(n, 1.0) ** exponent, 0) @ s).sum()
        for n, s in zip(counts, squares[:2], strict=True)
    )
    penalty += USER_BIAS_REG * squares[2][counts[0] > 0].sum() + ITEM_BIAS_REG * squares[3][counts[1] > 0].sum()
    assert trainer.penalty() == pytest.approx(penalty / 2, rel=1e-5, abs=1e-6)


def _constants(optimizer):
    constants = as_optimizer(optimizer).constants._asdict()
    constants.pop("name")
    return constants


@pytest.fixture(scope="module")
def large(backend):
    if hasattr(backend, "emulation"):  # which takes some 40 us per rating, and more per batch
        return fastcf.data.make_ratings(60, 40, 900, random_state=1)
    return fastcf.data.make_ratings(3_000, 800, 120_000, random_state=1)


@pytest.mark.parametrize("batch_size", [0, 1000, 50_000])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradient_trainer_same_bits_for_any_number_of_threads(backend, large, optimizer, batch_size):
    parameters = make_parameters(np.random.default_rng(0), large.n_users, large.n_items, 20, 0.1)
    results = []
    for n_threads in (1, 2, 4):
        trainer = make_trainer(
            backend, (large.indptr, large.indices, large.values), large.n_items, 20, optimizer, batch_size=batch_size,
            n_threads=n_threads, global_offset=large.mean, reg_exponent=0.5,
        )  # fmt: skip
        trainer.set_parameters(*parameters)
        rate = RATES[optimizer] * (1e-3 if batch_size == 0 and optimizer in ("gd", "momentum", "nesterov") else 0.1)
        losses = [trainer.epoch(rate, rate) for _ in range(2)]
        results.append((losses, trainer.penalty(), fetch(trainer, parameters)))
    for losses, penalty, fetched in results[1:]:
        assert losses == results[0][0]
        assert penalty == results[0][1]
        for have, want in zip(fetched, results[0][2], strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("batch_size", [0, 40])
def test_gradient_trainer_same_bits_in_any_order_of_threads(backend, batch_size):
    random = np.random.default_rng(0)
    csr, parameters = make_csr(random, 12, 10, 0.5, dense_row=True), make_parameters(random, 12, 10, 17)

    def train():
        trainer = make_trainer(backend, csr, 10, 17, "nesterov", batch_size=batch_size)
        trainer.set_parameters(*parameters)
        losses = [trainer.epoch(0.01, 0.01) for _ in range(2)]
        return losses, trainer.penalty(), fetch(trainer, parameters)

    results = in_every_order(backend, train)
    for losses, penalty, fetched in results[1:]:
        assert (losses, penalty) == results[0][:2]
        for have, want in zip(fetched, results[0][2], strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_gradient_trainer_cost_falls_monotonically_with_safe_rate(backend, large, cost):
    values = large.values if cost == "squared" else (large.values > large.mean).astype(np.float32)
    trainer = make_trainer(
        backend, (large.indptr, large.indices, values), large.n_items, 8, cost=cost, reg_exponent=0.0, reg=1.0,
        global_offset=large.mean if cost == "squared" else 0.0,
    )  # fmt: skip
    trainer.set_parameters(*make_parameters(np.random.default_rng(0), large.n_users, large.n_items, 8, 0.1))
    costs, rate = [], 2e-4 if large.n_users == 3_000 else 5e-3
    for _ in range(30):
        penalty = trainer.penalty()
        costs.append(trainer.epoch(rate, rate) + penalty)
    assert (np.diff(costs) < 0).all()
    assert costs[-1] < 0.95 * costs[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradient_trainer_batches_learn(backend, large, optimizer):
    size = 20 if hasattr(backend, "emulation") else 500
    trainer = make_trainer(
        backend, (large.indptr, large.indices, large.values), large.n_items, 8, optimizer, batch_size=size,
        global_offset=large.mean, reg=0.02, reg_exponent=1.0, user_bias_reg=1.0, item_bias_reg=1.0,
    )  # fmt: skip
    trainer.set_parameters(*make_parameters(np.random.default_rng(0), large.n_users, large.n_items, 8, 0.1))
    rates = {"gd": 2.0, "momentum": 0.3, "nesterov": 0.3, "adagrad": 0.1, "adadelta": 1.0, "adam": 0.01}
    losses = [trainer.epoch(rates[optimizer], rates[optimizer]) for _ in range(8)]
    assert losses[-1] < 0.8 * losses[0]


def test_gradient_trainer_order_depends_on_seed_and_epoch(backend, large):
    csr = large.indptr, large.indices, large.values
    first, second = (make_trainer(backend, csr, large.n_items, 2, seed=seed, batch_size=1000) for seed in (1, 2))
    order = first.order()
    assert not np.array_equal(order[0], second.order()[0])
    first.epoch(1e-6, 1e-6)
    assert not np.array_equal(order[0], first.order()[0])


def test_gradient_trainer_best_parameters_come_back_and_momentum_is_gone(backend):
    random = np.random.default_rng(0)
    trainer = make_trainer(backend, make_csr(random, 30, 20, 0.5), 20, 8, Momentum(momentum=0.9), batch_size=10)
    with pytest.raises(RuntimeError, match="nothing was saved"):
        trainer.restore_best()
    parameters = make_parameters(random, 30, 20, 8)
    trainer.set_parameters(*parameters)
    trainer.epoch(0.05, 0.05)
    saved = fetch(trainer, parameters)
    trainer.save_best()
    trainer.epoch(0.05, 0.05)
    assert not np.array_equal(fetch(trainer, parameters)[0], saved[0])
    trainer.restore_best()
    for have, want in zip(fetch(trainer, parameters), saved, strict=True):
        np.testing.assert_array_equal(have, want)
    trainer.epoch(0.0, 0.0)
    for have, want in zip(fetch(trainer, parameters), saved, strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_trainer_validation_counts_unknown_rows_clips_and_sums(backend, weighted):
    random = np.random.default_rng(0)
    offset = random.normal(3, 1, 20).astype(np.float32)
    trainer = make_trainer(
        backend, make_csr(random, 30, 20, 0.5), 20, 8, item_offset=offset, global_offset=2.5, lowest=2.0, highest=4.0
    )
    P, Q, b_u, b_i = parameters = make_parameters(random, 30, 20, 8)
    trainer.set_parameters(*parameters)
    users, items = random.integers(-1, 30, 200).astype(np.int32), random.integers(-1, 20, 200).astype(np.int32)
    labels = random.integers(0, 2, 200).astype(np.float32)
    weights = random.random(200).astype(np.float32) if weighted else None
    w = 1.0 if weights is None else weights.astype(float)
    trainer.set_validation(users, items, labels, weights)
    z = np.where(items < 0, 2.5, offset[items] + b_i[items]) + np.where(users < 0, 0, b_u[users])
    z += np.where((users < 0) | (items < 0), 0, (P[users] * Q[items]).sum(axis=1))
    squared = (w * (np.clip(z, 2, 4) - labels) ** 2).sum()
    assert trainer.validation_squared_error() == pytest.approx(squared, rel=1e-5)
    assert trainer.validation_log_loss() == pytest.approx((w * (np.logaddexp(0, z) - labels * z)).sum(), rel=1e-5)
    with pytest.raises(ValueError, match=r"users must lie in \[-1, 30\); got 30 at entry 0"):
        trainer.set_validation(np.int32([30]), np.int32([0]), np.float32([1]))
    with pytest.raises(ValueError, match="equal lengths; got 1, 2 and 1"):
        trainer.set_validation(np.int32([0]), np.int32([0, 1]), np.float32([1]))
    with pytest.raises(ValueError, match=r"GradientTrainer.set_validation: weights must have 2 entries; got 1"):
        trainer.set_validation(np.int32([0, 1]), np.int32([0, 1]), np.float32([1, 0]), np.float32([1]))


@pytest.mark.parametrize("batch_size", [0, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradient_trainer_sample_sums_errors_and_moves_nothing(backend, optimizer, batch_size):
    random = np.random.default_rng(0)
    csr, parameters = make_csr(random, 30, 20, 0.5), make_parameters(random, 30, 20, 8)
    users, items = np.repeat(np.arange(30), np.diff(csr[0])).astype(np.int32), csr[1]
    labels = random.integers(0, 2, items.size).astype(np.float32)

    def trained(looks, n_threads=1):
        trainer = make_trainer(
            backend, csr, 20, 8, optimizer, global_offset=2.5, lowest=2.0, highest=4.0, batch_size=batch_size,
            n_threads=n_threads,
        )  # fmt: skip
        trainer.set_parameters(*parameters)
        trainer.set_sample(users, items, labels)
        seen = []
        for _ in range(2):
            trainer.epoch(0.01, 0.01)
            if looks:
                seen.append((trainer.sample_squared_error(), trainer.sample_log_loss()))
        return fetch(trainer, parameters), seen

    got, seen = trained(True)
    P, Q, b_u, b_i = (array.astype(float) for array in got)
    z = 2.5 + b_u[users] + b_i[items] + (P[users] * Q[items]).sum(axis=1)
    assert seen[-1][0] == pytest.approx(((z - labels) ** 2).sum(), rel=1e-5)
    assert seen[-1][1] == pytest.approx((np.logaddexp(0, z) - labels * z).sum(), rel=1e-5)
    for have, want in zip(got, trained(False)[0], strict=True):
        np.testing.assert_array_equal(have, want)
    assert trained(True, 2)[1] == seen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_factors": 0}, "n_factors must be positive; got 0"),
        ({"batch_size": -1}, "batch_size must not be negative; got -1"),
        ({"cost": "hinge"}, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        ({"optimizer": "sgdm"}, "there is no optimizer 'sgdm'"),
        ({"optimizer": "adam", "decay": 1.0}, r"decays must lie in \[0, 1\); got 1 and 0"),
        ({"lowest": 2.0, "highest": 1.0}, "lowest must not exceed highest; got 2 and 1"),
        ({"weights": np.ones(3, np.float32)}, "weights must have 4 entries; got 3"),
        ({"item_offset": np.ones(3, np.float32)}, "item_offset must have 2 entries; got 3"),
    ],
)
def test_gradient_trainer_bad_input_raises(backend, arguments, message):
    csr = np.int64([0, 2, 4]), np.int32([0, 1, 0, 1]), np.ones(4, np.float32)
    with pytest.raises(ValueError, match=f"GradientTrainer: {message}"):
        make_trainer(backend, csr, 2, 3, **arguments)


def test_gradient_trainer_wrong_parameters_raise(backend):
    random = np.random.default_rng(0)
    trainer = make_trainer(backend, make_csr(random, 5, 4, 0.5), 4, 3)
    P, Q, b_u, b_i = make_parameters(random, 5, 4, 3)
    with pytest.raises(ValueError, match=r"user_factors must have shape \(5, 3\); got \(5, 2\)"):
        trainer.set_parameters(P[:, :2].copy(), Q, b_u, b_i)
    with pytest.raises(ValueError, match="item_bias must have 4 entries; got 0"):
        trainer.set_parameters(P, Q, b_u, None)


@pytest.mark.parametrize("batch_size", [0, 1000])
def test_gradient_trainer_interrupt_stops_early_and_keeps_what_was_learnt(batch_size):
    script = f"""
import os, signal, threading, time

import numpy as np
import fastcf
from fastcf import _cpu

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background may ignore it
data = fastcf.data.make_ratings(20_000, 3_000, 1_000_000, random_state=1)
trainer = _cpu.GradientTrainer(
    data.indptr, data.indices, data.values, data.n_items, global_offset=data.mean, n_factors=64, reg=0.02,
    reg_exponent=1.0, user_bias=True, item_bias=True, user_bias_reg=1.0, item_bias_reg=1.0, lowest=1.0, highest=5.0,
    optimizer="momentum", decay=0.9, batch_size={batch_size}, seed=1, n_threads=2,
)
shapes = (data.n_users, 64), (data.n_items, 64), data.n_users, data.n_items
random = np.random.default_rng(0)
parameters = [random.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]
trainer.set_parameters(*parameters)
started = time.perf_counter()
trainer.epoch(1e-6, 1e-6)
whole = time.perf_counter() - started
sent = []

def interrupt():
    time.sleep(0.3)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    while True:
        trainer.epoch(1e-6, 1e-6)
except KeyboardInterrupt:
    seconds = time.perf_counter() - sent[0]
    learnt = [np.empty_like(array) for array in parameters]
    trainer.get_parameters(*learnt)
    finite = all(np.isfinite(array).all() for array in learnt)
    print(seconds < max(10, 2 * whole), finite, np.array_equal(learnt[0], parameters[0]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "True", "False"]
