"""The native two-tower network against a dense one in float64: every option, alone and with others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.optimizers import OPTIMIZERS, as_optimizer
from reference_network import ACTIVATIONS
from reference_two_tower import cast, cost_and_gradient, draw, flat, forward, rebuilt, training

pytestmark = pytest.mark.every_isa

RATES = {"gd": 0.03, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.02, "adadelta": 0.5, "adam": 0.005}
KINDS = {"dense": (0, 5), "sparse": (9, 0), "mixed": (7, 3)}


def features_of(rng, n, kind):
    """Return sparse and dense features; the first row of the former is empty."""
    n_sparse, n_dense = KINDS[kind]
    sparse = np.where(rng.random((n, n_sparse)) < 0.3, rng.normal(0, 1, (n, n_sparse)), 0)
    sparse[0] = 0
    return sparse, rng.normal(0, 1, (n, n_dense))


def native(features, dtype):
    sparse, dense = features
    rows = scipy.sparse.csr_array(sparse.astype(dtype))
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
    return indptr, indices, rows.data, sparse.shape[1], np.ascontiguousarray(dense, dtype)


class Problem:
    """Ratings, features and first weights, drawn; towers end in vectors of four."""

    def __init__(self, seed, shape, kinds, layers, loss, weighted, dtype=np.float32):
        rng = np.random.default_rng(seed)
        mask = rng.random(shape) < 0.4
        mask[-1] = False
        self.pairs = np.nonzero(mask)
        n = len(self.pairs[0])
        self.values = (rng.normal(0, 1, n) if loss == "squared" else rng.integers(0, 2, n)).astype(dtype)
        self.weights = rng.uniform(0, 2, n).astype(dtype) if weighted else None
        self.features = [features_of(rng, rows, kind) for rows, kind in zip(shape, kinds, strict=True)]
        self.features = [tuple(np.array(part, dtype) for part in given) for given in self.features]
        self.towers = cast([draw(rng, *KINDS[kind], (*sizes, 4)) for kind, sizes in zip(kinds, layers, strict=True)],
                           dtype)  # fmt: skip
        indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
        self.csr = indptr, self.pairs[1].astype(np.int32), self.values
        self.layers = {"user_layers": [*layers[0], 4], "item_layers": [*layers[1], 4]}
        self.native = [native(given, dtype) for given in self.features]
        self.loss, self.offsets = loss, rng.uniform(0, 3, (2, shape[1])).astype(dtype)  # of full batches, and the last

    def shifts(self, kind=slice(None)):
        """Return the items' log-weights as native code takes them; only the softmax cost has any."""
        return self.offsets[kind] if self.loss == "softmax" else None

    def wide(self):
        """Return what the reference takes, in float64."""
        weights = None if self.weights is None else self.weights.astype(float)
        features = [tuple(part.astype(float) for part in given) for given in self.features]
        return cast(self.towers, float), features, self.pairs, self.values.astype(float), weights


def empty(towers):
    return rebuilt([np.full_like(array, np.nan) for array in flat(towers)], towers)


def examples(backend):
    """Return how many examples to try: fibers take their time."""
    return 6 if hasattr(backend, "emulation") else 50


OPTIONS = {
    "kinds": st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(list(KINDS))),
    "layers": st.tuples(*[st.sampled_from([(), (5,), (6, 3)])] * 2),
    "activation": st.sampled_from(ACTIVATIONS),
    "length": st.sampled_from([0.0, 1.0, 1.7]),
    "loss": st.sampled_from(["squared", "logistic", "softmax"]),
    "weighted": st.booleans(),
    "rate": st.sampled_from([0.0, 0.0, 0.4]),
}


def assert_close(got, wanted, tolerance):
    for mine, reference in zip(flat(got), flat(wanted), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=tolerance * (1 + np.abs(reference).max(initial=0)))


def test_two_tower_gradient_equals_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        shape=st.sampled_from([(1, 1), (6, 9), (33, 12)]),
        dtype=st.sampled_from([np.float32, np.float64]),
        n_threads=st.sampled_from([1, 2]),
        **OPTIONS,
    )
    def check(seed, shape, dtype, n_threads, kinds, layers, activation, length, loss, weighted, rate):
        problem = Problem(seed, shape, kinds, layers, loss, weighted, dtype)
        got = empty(problem.towers)
        cost = backend.two_tower_gradient(
            *problem.csr, *problem.native, problem.towers, got, weights=problem.weights, activation=activation,
            dropout=rate, length=length, cost=loss, centre=0.3, seed=seed, n_threads=n_threads,
            offsets=problem.shifts(0), **problem.layers,
        )  # fmt: skip
        wanted_cost, wanted = cost_and_gradient(
            *problem.wide(), activation, length, loss, 0.3, rate=rate, seed=seed, offsets=problem.offsets[0]
        )
        # Dividing by the length of a short vector makes much of its rounding.
        tolerance = 2e-3 if dtype == np.float32 else 1e-10
        np.testing.assert_allclose(cost, wanted_cost, rtol=tolerance, atol=tolerance)
        assert_close(got, wanted, tolerance)

    check()


@pytest.mark.parametrize("kinds", [("mixed", "mixed"), ("sparse", "dense")])
def test_two_tower_gradient_has_the_penalty_of_training(backend, kinds):
    problem = Problem(5, (10, 9), kinds, ((5, 4), (6,)), "squared", True, np.float64)
    free, whole = empty(problem.towers), empty(problem.towers)
    arguments = {"weights": problem.weights, "activation": "tanh", **problem.layers}
    cost = backend.two_tower_gradient(*problem.csr, *problem.native, problem.towers, free, **arguments)
    with_penalty = backend.two_tower_gradient(
        *problem.csr, *problem.native, problem.towers, whole, weight_decay=0.3, **arguments
    )
    squares = sum(float((a**2).sum()) for tower in problem.towers for a in (*tower[:2], *tower[2]))
    np.testing.assert_allclose(with_penalty - cost, 0.15 * squares, rtol=1e-12)
    for tower, without, slopes in zip(problem.towers, free, whole, strict=True):
        for array, a, b in zip(
            (*tower[:2], *tower[2]), (*without[:2], *without[2]), (*slopes[:2], *slopes[2]), strict=True
        ):
            np.testing.assert_allclose(b - a, 0.3 * array, rtol=0, atol=1e-13)
        for a, b in zip(without[3], slopes[3], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("decay", [0.0, 0.4])
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("length", [0.0, 1.7])
@pytest.mark.parametrize("activation", ["selu", "tanh", "elu"])
@pytest.mark.slow("emu")
def test_two_tower_gradients_pass_the_check(backend, activation, length, loss, decay):
    problem = Problem(3, (10, 9), ("mixed", "mixed"), ((5, 4), (6,)), loss, True, np.float64)
    names = [str(i) for i in range(len(flat(problem.towers)))]
    idle = [names[-1]] if loss == "softmax" and length == 0 else []  # adds one number to all scores of a user

    def evaluate(at):
        parameters, gradient = rebuilt([{**start, **at}[name] for name in names], problem.towers), empty(problem.towers)
        cost = backend.two_tower_gradient(
            *problem.csr, *problem.native, parameters, gradient, weights=problem.weights, activation=activation,
            dropout=0.3, length=length, cost=loss, centre=0.3, seed=5, weight_decay=decay, offsets=problem.shifts(0),
            **problem.layers,
        )  # fmt: skip
        slopes = dict(zip(names, flat(gradient), strict=True))
        assert all(np.abs(slopes[name]).max() < 1e-12 for name in idle)
        return cost, {name: slopes[name] for name in at}

    few = 1 if hasattr(backend, "emulation") else 10
    start = dict(zip(names, flat(problem.towers), strict=True))
    checked = {name: array for name, array in start.items() if name not in idle}
    report = compare_gradients(Objective(checked, evaluate), max_coordinates=few)
    assert report.passed, report


def trainer_of(backend, problem, optimizer="momentum", **options):
    constants = as_optimizer(optimizer).constants._asdict()
    given = {"activation": "tanh", "batch_size": 16, "lowest": -9.0, "highest": 9.0, "seed": 3, "cost": problem.loss}
    given |= {"offsets": problem.shifts(), **options}
    trainer = backend.TwoTowerTrainer(
        *problem.csr, len(problem.features[1][0]), *problem.native, weights=problem.weights,
        optimizer=constants.pop("name"), **constants, **problem.layers, **given,
    )  # fmt: skip
    trainer.set_parameters(problem.towers)
    return trainer


def learnt(trainer, problem):
    got = empty(problem.towers)
    trainer.get_parameters(got)
    return got


def test_two_tower_training_equals_dense_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        optimizer=st.sampled_from(OPTIMIZERS),
        batch_size=st.sampled_from([7, 16, 1000]),
        decay=st.sampled_from([0.0, 0.05]),
        n_threads=st.sampled_from([1, 2]),
        **{**OPTIONS, "activation": st.sampled_from(["selu", "sigmoid", "tanh"])},
    )
    def check(
        seed, optimizer, batch_size, decay, n_threads, kinds, layers, activation, length, loss, weighted, rate
    ):  # fmt: skip
        problem = Problem(seed, (11, 14), kinds, layers, loss, weighted)
        rates = [RATES[optimizer], RATES[optimizer] / 2, RATES[optimizer] / 2]
        trainer = trainer_of(
            backend, problem, optimizer, activation=activation, dropout=rate, length=length, centre=0.3,
            weight_decay=decay, batch_size=batch_size, seed=seed, n_threads=n_threads,
        )  # fmt: skip
        losses = [trainer.epoch(rate_) for rate_ in rates]
        constants = as_optimizer(optimizer).constants._asdict()
        wanted, sums = training(
            *problem.wide(), activation, length, loss, 0.3, optimizer=constants.pop("name"), constants=constants,
            rates=rates, batch_size=batch_size, decay=decay, seed=seed, rate=rate, shifts=problem.offsets,
        )  # fmt: skip
        # Rounding grows from step to step; adaptive steps divide by gradients that may be nearly zero.
        tolerance = 5e-2 if optimizer in ("adagrad", "adadelta", "adam") else 5e-3
        np.testing.assert_allclose(losses, sums, rtol=tolerance, atol=tolerance)
        assert_close(learnt(trainer, problem), wanted, tolerance)

    check()


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "nesterov"])
def test_two_tower_sparse_features_learn_what_dense_ones_do(backend, optimizer):
    problem = Problem(1, (25, 30), ("sparse", "sparse"), ((6,), (5, 6)), "squared", False)
    rates = [RATES[optimizer]] * (1 if hasattr(backend, "emulation") else 4)
    trainer = trainer_of(backend, problem, optimizer, weight_decay=0.1, length=1.5)
    for rate in rates:
        trainer.epoch(rate)
    sparse = learnt(trainer, problem)
    problem.features = [(given[1], given[0]) for given in problem.features]
    problem.native = [native(given, np.float32) for given in problem.features]
    problem.towers = tuple((tower[1], tower[0], *tower[2:]) for tower in problem.towers)
    trainer = trainer_of(backend, problem, optimizer, weight_decay=0.1, length=1.5)
    for rate in rates:
        trainer.epoch(rate)
    dense = learnt(trainer, problem)
    assert_close(tuple((tower[1], tower[0], *tower[2:]) for tower in dense), sparse, 1e-4)


def run_some(backend, loss, n_threads=1):
    n = 40 if hasattr(backend, "emulation") else 300
    problem = Problem(4, (n, n), ("mixed", "sparse"), ((32, 16), (24,)), loss, True)
    trainer = trainer_of(
        backend, problem, "adam", weight_decay=0.01, dropout=0.2, length=1.5, batch_size=512, n_threads=n_threads
    )
    losses = [trainer.epoch(0.01) for _ in range(2)]
    trainer.set_validation(*(rows.astype(np.int32) for rows in problem.pairs), problem.values)
    return [*flat(learnt(trainer, problem)), np.array([*losses, trainer.validation_squared_error()])]


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_two_tower_same_bits_for_any_number_of_threads_and_any_order(backend, loss):
    first = run_some(backend, loss)
    others = [run_some(backend, loss, n) for n in (2, 4)] + in_every_order(backend, lambda: run_some(backend, loss))
    for other in others:
        for mine, reference in zip(other, first, strict=True):
            np.testing.assert_array_equal(mine, reference)


@pytest.mark.parametrize(("length", "weighted"), [(0.0, False), (2.0, True)])
def test_two_tower_vectors_and_validation_equal_reference(backend, length, weighted):
    problem = Problem(6, (20, 15), ("mixed", "dense"), ((6, 3), (4,)), "squared", False)
    towers, features, *_ = problem.wide()
    vectors = [forward(tower, given, "tanh", length)[0] for tower, given in zip(towers, features, strict=True)]
    for side, name in enumerate(("user_layers", "item_layers")):
        got = backend.tower_vectors(
            problem.native[side], problem.towers[side], layers=problem.layers[name], activation="tanh", length=length
        )
        np.testing.assert_allclose(got, vectors[side], atol=1e-5)

    trainer = trainer_of(backend, problem, length=length, centre=0.4, dropout=0.5, lowest=-1.0, highest=1.5)
    rng = np.random.default_rng(0)
    users, items = rng.integers(-1, 19, 100).astype(np.int32), rng.integers(-1, 15, 100).astype(np.int32)
    values = rng.integers(0, 2, 100).astype(np.float32)
    weights = rng.random(100).astype(np.float32) if weighted else None
    w = 1.0 if weights is None else weights.astype(float)
    trainer.set_validation(users, items, values, weights)
    vectors = [np.vstack([side, np.zeros(4)]) for side in vectors]
    z = 0.4 + (vectors[0][users] * vectors[1][items]).sum(1)
    wanted = (w * (np.clip(z, -1, 1.5) - values) ** 2).sum()
    np.testing.assert_allclose(trainer.validation_squared_error(), wanted, rtol=1e-4)
    np.testing.assert_allclose(trainer.validation_log_loss(), (w * (np.logaddexp(0, z) - values * z)).sum(), rtol=1e-4)


def test_two_tower_best_parameters_come_back(backend):
    problem = Problem(8, (12, 10), ("mixed", "mixed"), ((5,), (5,)), "squared", False)
    trainer = trainer_of(backend, problem, weight_decay=0.1)
    with pytest.raises(RuntimeError, match=r"TwoTowerTrainer\.restore_best: nothing was saved"):
        trainer.restore_best()
    trainer.epoch(0.05)
    got = learnt(trainer, problem)
    trainer.save_best()
    trainer.epoch(0.05)
    trainer.restore_best()
    for mine, reference in zip(flat(learnt(trainer, problem)), flat(got), strict=True):
        np.testing.assert_array_equal(mine, reference)
    squares = sum(float((a.astype(float) ** 2).sum()) for tower in got for a in (*tower[:2], *tower[2]))
    np.testing.assert_allclose(trainer.penalty(), 0.05 * squares, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"user_layers": []}, ValueError, "layers must not be empty"),
        ({"item_layers": [0]}, ValueError, r"layers must lie in \[1, 2\^20\]; got 0"),
        ({"item_layers": [3, 5]}, ValueError, "both towers must end in vectors of one size; got 4 and 5"),
        ({"activation": "step"}, ValueError, "there is no activation 'step'"),
        ({"dropout": 1.0}, ValueError, r"dropout must lie in \[0, 1\); got 1"),
        ({"length": -1.0}, ValueError, "length must not be negative; got -1"),
        ({"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic' or 'softmax'; got 'hinge'"),
        (
            {"cost": "softmax"},
            ValueError,
            r"offsets must have shape \(2, 10\) for the softmax cost, else none; got \(0,",
        ),
        ({"offsets": np.zeros((2, 10), np.float32)}, ValueError, r"for the softmax cost, else none; got \(2, 10\)"),
        ({"batch_size": 0}, ValueError, "batch_size must be positive; got 0"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must not be negative; got -1"),
        ({"lowest": 10.0}, ValueError, "lowest must not exceed highest; got 10 and 9"),
        ({"values": None}, ValueError, "ratings must have values"),
        ({"weights": np.zeros(3, np.float32)}, ValueError, "weights must have .* entries; got 3"),
        ({"n_items": 11}, ValueError, r"all users and items of the ratings \(12 and 11\) must have features"),
        ({"user_features": ()}, ValueError, "features must have five parts; got 0"),
    ],
)
def test_two_tower_trainer_bad_input_raises(backend, change, error, message):
    problem = Problem(8, (12, 10), ("mixed", "mixed"), ((5,), (5,)), "squared", False)
    valid = {
        "indptr": problem.csr[0], "indices": problem.csr[1], "values": problem.values, "n_items": 10,
        "user_features": problem.native[0], "item_features": problem.native[1], **problem.layers,
        "activation": "selu", "batch_size": 4, "lowest": -9.0, "highest": 9.0, "seed": 0,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        backend.TwoTowerTrainer(**{**valid, **change})


def test_two_tower_refuses_features_and_parameters_of_other_shapes(backend):
    problem = Problem(8, (12, 10), ("mixed", "mixed"), ((5, 3), (5,)), "squared", False)
    trainer = trainer_of(backend, problem)
    user, item = problem.towers
    wrong = [
        ((user,), "parameters must be those of two towers; got 1"),
        ((user[:3], item), "parameters of a tower must be four; got 3"),
        (((user[0][:3], *user[1:]), item), r"sparse_weights must have shape \(7, 5\); got \(3, 5\)"),
        (((user[0], user[1][:1], *user[2:]), item), r"dense_weights must have shape \(3, 5\); got \(1, 5\)"),
        ((user, (*item[:2], item[2], item[3][:1])), "there must be 1 hidden weights and 2 hidden biases; got 1 and 1"),
    ]
    for parameters, message in wrong:
        with pytest.raises(ValueError, match=rf"TwoTowerTrainer\.set_parameters: {message}"):
            trainer.set_parameters(parameters)
    indptr, indices, values, n_sparse, dense = problem.native[0]
    options = {"layers": problem.layers["user_layers"], "activation": "tanh"}
    with pytest.raises(ValueError, match=r"tower_vectors: feature values must have .* entries; got 1"):
        backend.tower_vectors((indptr, indices, values[:1], n_sparse, dense), user, **options)
    with pytest.raises(ValueError, match="tower_vectors: dense features must have 12 rows; got 3"):
        backend.tower_vectors((indptr, indices, values, n_sparse, dense[:3]), user, **options)
    with pytest.raises(ValueError, match=r"tower_vectors: indices must lie in \[0, 2\)"):
        backend.tower_vectors((indptr, indices, values, 2, dense), user, **options)
