from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from fastcf import _host
from fastcf._backend import single_threaded_blas
from reference_perceptron import cost_and_gradient, drawn, forward, pack, targets, trained, unpack

pytestmark = pytest.mark.every_isa

OPTIMIZERS = {
    "gd": (0.2, {}),
    "momentum": (0.05, {"decay": 0.9}),
    "nesterov": (0.05, {"decay": 0.9}),
    "adagrad": (0.1, {"epsilon": 1e-8}),
    "adadelta": (1.0, {"decay": 0.95, "epsilon": 1e-6}),
    "adam": (0.02, {"decay": 0.9, "second_decay": 0.999, "epsilon": 1e-8}),
}
LEVELS = [1.0, 2.0, 3.5]
hidden_layers = st.sampled_from([(), (1,), (7,), (16, 3), (5, 4, 6)])


@pytest.fixture(autouse=True)
def one_thread_of_blas():
    with single_threaded_blas():
        yield


class Case:
    """Ratings of a few users, one of whom rated nothing, with features, and a shape of networks."""

    def __init__(self, rng, n_features, hidden, kind="tanh", *, bias=True, levels=(), weighted=False, n_users=5):
        self.levels, self.kind, self.bias = list(levels), kind, bias
        self.layers = [n_features, *hidden, max(1, len(levels))]
        n_items = 30
        self.features = rng.standard_normal((n_items, n_features)).astype(np.float32)
        counts = rng.integers(1, n_items + 1, n_users)
        counts[1 % n_users] = 0
        self.indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.items = np.concatenate([np.sort(rng.choice(n_items, n, replace=False)) for n in counts]).astype(np.int32)
        values = rng.choice(levels, self.items.size) if levels else rng.integers(0, 2, self.items.size)
        self.values = values.astype(np.float32)
        self.weights = rng.uniform(0.2, 2, self.items.size).astype(np.float32) if weighted else None
        if weighted:
            self.weights[rng.random(self.items.size) < 0.2] = 0
        self.keys = rng.integers(0, 2**63, n_users).astype(np.uint64)
        self.layout = _host.perceptron_layout(self.layers, bias)
        self.low, self.high = np.full(len(self.layers) - 1, -0.4, np.float32), np.full(len(hidden) + 1, 0.6, np.float32)
        self.shape = {"layers": self.layers, "activation": kind, "bias": bias, "levels": self.levels}

    def trainer(self, users=None, *, optimizer="adam", n_threads=1, **options):
        """Return a trainer of some users, all by default."""
        users = np.arange(len(self.keys)) if users is None else np.asarray(users)
        entries = np.concatenate([np.arange(self.indptr[u], self.indptr[u + 1]) for u in users])
        indptr = np.concatenate([[0], np.cumsum(np.diff(self.indptr)[users])]).astype(np.int64)
        options = {"reg": 0.3, "batch_size": 4, "seed": 7, **OPTIMIZERS[optimizer][1], **options}
        made = _host.PerceptronTrainer(
            indptr, self.items[entries], self.values[entries], self.features, self.keys[users],
            weights=None if self.weights is None else self.weights[entries], optimizer=optimizer, n_threads=n_threads,
            **self.shape, **options,
        )  # fmt: skip
        made.draw_parameters(self.low, self.high)
        return made

    def parameters(self, trainer, n_users=None):
        rows = np.full((n_users or len(self.keys), self.layout[0]), np.nan, np.float32)
        trainer.get_parameters(rows)
        return rows

    def rated(self, user):
        """Return what a user rated with a weight: features, ratings, weights."""
        entries = slice(self.indptr[user], self.indptr[user + 1])
        items, values = self.items[entries], self.values[entries]
        if self.weights is None:
            return self.features[items].astype(float), values, None
        w = self.weights[entries].astype(float)
        return self.features[items[w > 0]].astype(float), values[w > 0], w[w > 0]

    def start(self, user):
        _, ratings, w = self.rated(user)
        return drawn(7, int(self.keys[user]), self.layers, self.low, self.high, targets(ratings, self.levels), w)


@settings(max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 4, 20]),
    hidden_layers,
    st.sampled_from(["sigmoid", "tanh", "relu"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(list(OPTIMIZERS)),
    st.sampled_from([1, 2, 7, 100]),
    st.sampled_from([0.0, 0.3]),
)
def test_perceptron_trainer_follows_reference(
    seed, n_features, hidden, kind, bias, by_level, weighted, optimizer, batch_size, reg
):
    rng = np.random.default_rng(seed)
    case = Case(rng, n_features, hidden, kind, bias=bias, levels=LEVELS if by_level else (), weighted=weighted)
    trainer = case.trainer(optimizer=optimizer, batch_size=batch_size, reg=reg, n_threads=2)
    rate, constants = OPTIMIZERS[optimizer]
    epochs = 3
    costs = [trainer.epoch(rate)[0] for _ in range(epochs)]
    rows = case.parameters(trainer)
    wanted_costs = []
    for user, key in enumerate(case.keys):
        data = case.rated(user)
        start = case.start(user)
        if len(data[1]) == 0:
            np.testing.assert_allclose(rows[user], pack(start, case.layout, bias), rtol=1e-6)
            continue
        training = partial(
            trained, pack(start, case.layout, bias), case.layers, case.layout, data, activation=kind, bias=bias,
            levels=case.levels, reg=reg, optimizer=(optimizer, constants), rate=rate, batch_size=batch_size, seed=7,
            key=int(key), epochs=epochs,
        )  # fmt: skip
        wanted, cost = training()
        wanted_costs.append(cost)
        # Steps divided by the size of gradients carry the relative rounding of small ones.
        atol = 2e-4 if optimizer in ("adagrad", "adadelta", "adam") else 2e-5
        if not np.allclose(rows[user], wanted, rtol=2e-5, atol=atol):  # does float32 move this training as far?
            atol += 4 * np.abs(training(rounding=5e-7)[0] - wanted).max()
        np.testing.assert_allclose(rows[user], wanted, rtol=2e-5, atol=atol)
    np.testing.assert_allclose(costs, np.mean(wanted_costs, 0) if wanted_costs else 0, rtol=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(OPTIMIZERS)), st.sampled_from(["sigmoid", "tanh"]))
def test_perceptron_trainer_follows_reference_for_fifty_steps(seed, optimizer, kind):
    case = Case(np.random.default_rng(seed), 4, (7,), kind, n_users=1)
    case.indptr = np.array([0, 10], np.int64)
    rng = np.random.default_rng(seed)
    case.items, case.values = np.arange(10, dtype=np.int32), rng.integers(0, 2, 10).astype(np.float32)
    rate, constants = OPTIMIZERS[optimizer]
    trainer = case.trainer(optimizer=optimizer, batch_size=2)
    for _ in range(10):
        trainer.epoch(rate)
    start = case.start(0)
    wanted, _ = trained(
        pack(start, case.layout, True), case.layers, case.layout, case.rated(0), activation=kind, bias=True, levels=[],
        reg=0.3, optimizer=(optimizer, constants), rate=rate, batch_size=2, seed=7, key=int(case.keys[0]), epochs=10,
    )  # fmt: skip
    np.testing.assert_allclose(case.parameters(trainer)[0], wanted, rtol=5e-4, atol=5e-4)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 20]), hidden_layers,
    st.sampled_from(["sigmoid", "tanh", "relu"]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_perceptron_gradient_equals_reference(seed, n_features, hidden, kind, bias, by_level, weighted):
    rng = np.random.default_rng(seed)
    case = Case(rng, n_features, hidden, kind, bias=bias, levels=LEVELS if by_level else (), weighted=weighted)
    x, ratings, w = case.rated(int(np.argmax(np.diff(case.indptr))))
    if len(ratings) == 0:
        return
    row = rng.standard_normal(case.layout[0])
    row = pack(unpack(row, case.layers, case.layout, bias), case.layout, bias)
    gradient = np.full_like(row, np.nan)
    items = np.arange(len(ratings), dtype=np.int32)
    cost = _host.perceptron_gradient(x, items, ratings.astype(float), row, gradient, w, **case.shape)
    wanted, slopes = cost_and_gradient(
        unpack(row, case.layers, case.layout, bias), x, targets(ratings, case.levels), w, kind
    )
    np.testing.assert_allclose(cost, wanted, rtol=1e-12)
    np.testing.assert_allclose(gradient, pack(slopes, case.layout, bias), rtol=1e-9, atol=1e-12)

    whole, decay = np.full_like(row, np.nan), 0.7 / len(ratings)
    layers = unpack(row, case.layers, case.layout, bias)
    cost = _host.perceptron_gradient(x, items, ratings.astype(float), row, whole, w, reg=0.7, **case.shape)
    squares = sum(float((weights**2).sum()) for weights, *_ in layers)
    np.testing.assert_allclose(cost, wanted + decay / 2 * squares, rtol=1e-12)
    for (weights, *_), (before, *rest), (after, *same) in zip(
        layers,
        unpack(gradient, case.layers, case.layout, bias),
        unpack(whole, case.layers, case.layout, bias),
        strict=True,
    ):
        np.testing.assert_allclose(after, before + decay * weights, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(same, rest)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), hidden_layers, st.booleans(), st.booleans())
def test_perceptron_predict_equals_reference(seed, hidden, bias, by_level):
    rng = np.random.default_rng(seed)
    case = Case(rng, 4, hidden, bias=bias, levels=LEVELS if by_level else ())
    rows = case.parameters(case.trainer())
    users = np.array([3, 0], np.int32)
    items = np.array([5, -1, 7, 0], np.int32)
    got = _host.perceptron_predict(rows, case.features, users, np.array([0, 3, 4]), items, **case.shape)
    known = np.vstack([case.features, np.zeros(4)])[items]
    for place, user in enumerate([3, 3, 3, 0]):
        _, h = forward(unpack(rows[user], case.layers, case.layout, bias), known[place : place + 1], "tanh")
        np.testing.assert_allclose(got[place], h[0], rtol=2e-5, atol=1e-6)
    everything = _host.perceptron_predict(rows, case.features, users, **case.shape)
    _, h = forward(unpack(rows[0], case.layers, case.layout, bias), case.features, "tanh")
    np.testing.assert_allclose(everything[len(case.features) :], h, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (10,)])
@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
def test_perceptron_trainer_same_alone_as_among_others(hidden, optimizer):
    case = Case(np.random.default_rng(3), 20, hidden, n_users=40)
    together = case.trainer(optimizer=optimizer)
    for _ in range(4):
        together.epoch(0.05)
    rows = case.parameters(together)
    for user in (0, 17, 39):
        alone = case.trainer([user], optimizer=optimizer)
        for _ in range(4):
            alone.epoch(0.05)
        np.testing.assert_array_equal(case.parameters(alone, 1)[0], rows[user])


def test_perceptron_trainer_same_bits_for_any_number_of_threads():
    case = Case(np.random.default_rng(0), 20, (30, 20), n_users=300)
    results = []
    for n_threads in (1, 2, 4):
        trainer = case.trainer(n_threads=n_threads)
        costs = [trainer.epoch(0.02) for _ in range(3)]
        results.append((costs, case.parameters(trainer)))
    for costs, rows in results[1:]:
        assert costs == results[0][0]
        np.testing.assert_array_equal(rows, results[0][1])


def test_perceptron_trainer_restores_the_best():
    case = Case(np.random.default_rng(0), 4, (5,))
    trainer = case.trainer()
    trainer.epoch(0.1)
    trainer.save_best()
    kept = case.parameters(trainer)
    trainer.epoch(0.1)
    assert (case.parameters(trainer) != kept).any()
    trainer.restore_best()
    np.testing.assert_array_equal(case.parameters(trainer), kept)
    trainer.set_parameters(kept + 1)
    np.testing.assert_array_equal(case.parameters(trainer), kept + 1)


def test_perceptron_trainer_draws_from_the_users_key_alone():
    case = Case(np.random.default_rng(0), 4, (5,))
    first, second = case.parameters(case.trainer(seed=1)), case.parameters(case.trainer(seed=2))
    assert (first != second).any()
    weights = np.concatenate([np.ravel(w) for w, _ in unpack(first[0], case.layers, case.layout, True)])
    assert weights.min() >= np.float32(-0.4)
    assert weights.max() < np.float32(0.6)
    assert len(np.unique(weights)) == weights.size


@pytest.mark.parametrize("n_threads", [1, 2])
def test_perceptron_trainer_stops_on_ctrl_c(n_threads):
    rng = np.random.default_rng(0)
    case = Case(rng, 20, (50,), n_users=2000)
    trainer = case.trainer(n_threads=n_threads, batch_size=1)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist ignores it
    started = time.monotonic()
    timer.start()

    def run():
        while time.monotonic() < started + 60:
            trainer.epoch(0.001)

    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() < started + 15  # less than a second where nothing else runs
    assert np.isfinite(case.parameters(trainer)).all()
    assert np.isfinite(trainer.epoch(0.001)).all()


def test_perceptron_trainer_bad_input_raises():
    case = Case(np.random.default_rng(0), 4, (5,))
    with pytest.raises(ValueError, match="PerceptronTrainer: batch_size must be positive; got 0"):
        case.trainer(batch_size=0)
    with pytest.raises(ValueError, match="PerceptronTrainer: reg must not be negative; got -1"):
        case.trainer(reg=-1.0)
    case.shape["activation"] = "swish"
    with pytest.raises(ValueError, match="there is no activation 'swish'"):
        case.trainer()
    case = Case(np.random.default_rng(0), 4, (5,))
    case.values[2] = 1.5
    with pytest.raises(ValueError, match=r"ratings must lie in \[0, 1\] for one output; got 1.5 at entry 2"):
        case.trainer()
    case.shape["layers"] = [4, 5, 2]
    with pytest.raises(ValueError, match="there must be 1 outputs; got 2"):
        case.trainer()
    case.shape["layers"] = [3, 5, 1]
    with pytest.raises(ValueError, match="features must have 3 columns; got 4"):
        case.trainer()
    trainer = Case(np.random.default_rng(0), 4, (5,)).trainer()
    with pytest.raises(ValueError, match="parameters must have shape"):
        trainer.set_parameters(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"networks must lie in \[0, 5\); got 5 at entry 0"):
        trainer.predict(np.array([5], np.int32))
    with pytest.raises(ValueError, match="indptr must have at least one entry; got 0"):
        trainer.predict(np.array([0], np.int32), np.array([], np.int64), np.array([], np.int32))
    with pytest.raises(ValueError, match=r"items must lie in \[-1, 30\); got 30 at entry 0"):
        trainer.predict(np.array([0], np.int32), np.array([0, 1]), np.array([30], np.int32))


def test_perceptron_without_hidden_layers_is_logistic_regression():
    case = Case(np.random.default_rng(0), 3, ())
    rows = case.parameters(case.trainer())
    (weights, bias), *_ = unpack(rows[0], case.layers, case.layout, True)
    got = _host.perceptron_predict(rows, case.features, np.array([0], np.int32), **case.shape)
    np.testing.assert_allclose(got, expit(case.features @ weights + bias), rtol=1e-5)
