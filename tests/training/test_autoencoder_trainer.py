"""The native autoencoder against a dense one in float64: every option, alone and with others."""

from __future__ import annotations

import contextlib
import signal
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf import _cpu
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.optimizers import OPTIMIZERS, as_optimizer
from reference_autoencoder import (
    RATES,
    cast,
    dense,
    draw,
    empty,
    flat,
    masked_cost,
    rated_values,
    rebuilt,
    run,
    shares_of,
    shuffled,
    training,
)
from reference_network import ACTIVATIONS

pytestmark = pytest.mark.every_isa


def rows_of(rng, n_rows, n_columns, density=0.3):
    mask = rng.random((n_rows, n_columns)) < density
    mask[: n_rows // 5] = False  # rows without ratings
    indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    return indptr, indices


def problem(seed, n_rows, n_columns, layers, tied, weighted, dtype=np.float64, rated=False, effects=False):
    rng = np.random.default_rng(seed)
    csr = rows_of(rng, n_rows, n_columns)
    n = len(csr[1])
    inputs, targets = rng.normal(0, 1, (2, n)).astype(dtype)
    weights = rng.uniform(0, 2, n).astype(dtype) if weighted else None
    return (
        csr,
        inputs,
        targets,
        weights,
        cast(draw(rng, n_columns, layers, tied, rated=rated, n_effects=n_rows if effects else None), dtype),
    )


def as_labels(rng, targets):
    """Return labels for targets, those in between too, and offsets of their log-odds."""
    y = np.clip((targets > 0) + rng.choice([-0.3, 0, 0, 0.3], targets.size), 0, 1)
    return y.astype(targets.dtype), rng.normal(0, 1.5, targets.size).astype(targets.dtype)


def examples(backend):
    """Return how many examples to try: fibers take their time."""
    return 6 if hasattr(backend, "emulation") else 60


class Options(NamedTuple):
    """The options of a network and of its cost."""

    layers: tuple[int, ...]
    kind: str
    output: str
    tied: bool
    weighted: bool
    rate: float
    alpha: bool
    rated_input: float
    cost: str
    rated_output: bool


def options(kinds=ACTIVATIONS, outputs=ACTIVATIONS):
    return st.builds(
        Options,
        layers=st.sampled_from([(5,), (16,), (4, 3), (6, 5, 7)]),
        kind=st.sampled_from(kinds),
        output=st.sampled_from(outputs),
        tied=st.booleans(),
        weighted=st.booleans(),
        rate=st.sampled_from([0.0, 0.0, 0.4]),
        alpha=st.booleans(),
        rated_input=st.sampled_from([0.0, 0.0, 2.0]),
        cost=st.sampled_from(["squared", "squared", "logistic"]),
        rated_output=st.booleans(),
    )


def test_autoencoder_gradient_equals_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        shape=st.sampled_from([(1, 1), (6, 9), (12, 33), (33, 12)]),
        dtype=st.sampled_from([np.float32, np.float64]),
        n_threads=st.sampled_from([1, 2]),
        chosen=options(),
    )
    def check(
        seed,
        shape,
        dtype,
        n_threads,
        chosen,
    ):
        layers, kind, output, tied, weighted, rate, alpha, rated_input, cost, rated_output = chosen
        rated_output = rated_output and not tied
        csr, inputs, targets, weights, at = problem(
            seed, *shape, layers, tied, weighted, dtype, bool(rated_input), rated_output
        )
        offsets = None
        if cost == "logistic":
            output = "identity"
            targets, offsets = as_labels(np.random.default_rng(seed), targets)
        got = empty(at)
        mean = backend.autoencoder_gradient(
            *csr, inputs, targets, shape[1], at, got, weights=weights, layers=layers, activation=kind,
            output_activation=output, tied=tied, dropout=rate, alpha_dropout=alpha, rated_input=rated_input,
            offsets=offsets, cost=cost, rated_output=rated_output, seed=seed, n_threads=n_threads,
        )  # fmt: skip
        order = np.arange(len(csr[0]) - 1)  # one batch: its rows are shuffled, which only dropout can tell
        if rate:
            order = shuffled(len(csr[0]) - 1, seed, 0)
        entries = np.concatenate([np.arange(csr[0][r], csr[0][r + 1]) for r in order]).astype(int)
        permuted = np.concatenate([[0], np.cumsum(np.diff(csr[0])[order])]), csr[1][entries]
        _, wanted_mean, wanted = masked_cost(
            cast(at, np.float64), permuted, inputs[entries].astype(float), targets[entries].astype(float),
            None if weights is None else weights[entries].astype(float), layers, kind, output, rate=rate, alpha=alpha,
            seed=seed, given=rated_values(csr[0], rated_input)[entries] if rated_input else None, cost=cost,
            offsets=None if offsets is None else offsets[entries].astype(float), shares=shares_of(*csr, shape[1]),
        )  # fmt: skip
        tolerance = 2e-4 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(mean, wanted_mean, rtol=tolerance, atol=tolerance)
        for mine, reference in zip(flat(got), flat(wanted), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=0, atol=tolerance * (1 + np.abs(reference).max(initial=0)))

    check()


def penalised(at, bias):
    """Return the arrays that a penalty counts."""
    return [
        at[0],
        *([] if at[1] is None else [at[1]]),
        *([at[2]] if bias else []),
        *at[3],
        *([] if at[5] is None else [at[5]]),
    ]


def test_autoencoder_gradient_has_the_penalty_of_effects(backend):
    csr, inputs, targets, weights, at = problem(12, 5, 30, (4,), False, True, effects=True)
    options = {"layers": (4,), "activation": "tanh", "rated_output": True}
    free, whole = empty(at), empty(at)
    cost = backend.autoencoder_gradient(*csr, inputs, targets, 30, at, free, weights=weights, **options)
    more = backend.autoencoder_gradient(
        *csr, inputs, targets, 30, at, whole, weights=weights, weight_decay=0.3, **options
    )
    squares = sum(float((array**2).sum()) for array in (at[0], at[1])) + 2 * float((at[6] ** 2).sum())
    np.testing.assert_allclose(more - cost, 0.15 * squares, rtol=1e-12)
    np.testing.assert_allclose(whole[6] - free[6], 0.6 * at[6], rtol=0, atol=1e-14)
    np.testing.assert_allclose(whole[1] - free[1], 0.3 * at[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("options", [{"tied": True}, {"dense_refeeding": 1}, {"cost": "multinomial"}])
def test_autoencoder_centres_are_refused_where_there_are_none(backend, options):
    csr, inputs, targets, _, at = problem(8, 6, 5, (3,), False, False, np.float32)
    needed = {"activation": "tanh", "output_activation": "identity", "batch_size": 4, "seed": 3}
    with pytest.raises(ValueError, match="AutoencoderTrainer: rated_output goes without tied weights"):
        backend.AutoencoderTrainer(
            *csr, inputs, np.abs(targets), 5, layers=(3,), lowest=-9.0, highest=9.0, rated_output=True,
            **{"tied": False, **needed, **options},
        )  # fmt: skip
    gradient = backend.autoencoder_gradient
    with pytest.raises(ValueError, match="rated_effects must be given with rated_output, and only then"):
        gradient(*csr, inputs, targets, 5, at, empty(at), layers=(3,), activation="tanh", rated_output=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output_rate": 0.0}, "output_rate must be finite and positive; got 0"),
        ({"output_rate": np.inf}, "output_rate must be finite and positive; got inf"),
        ({"output_rate": 0.5, "tied": True}, "output_rate goes without tied weights"),
        ({"output_rate": 0.5, "optimizer": "momentum", "decay": 0.9, "weight_decay": 0.1}, "which keep one rate"),
    ],
)
def test_autoencoder_output_rates_that_cannot_be_are_refused(backend, options, said):
    csr, inputs, targets, _, _ = problem(8, 6, 5, (3,), False, False, np.float32)
    needed = {"activation": "tanh", "output_activation": "identity", "batch_size": 4, "seed": 3, "tied": False}
    with pytest.raises(ValueError, match=f"AutoencoderTrainer: .*{said}"):
        backend.AutoencoderTrainer(
            *csr, inputs, targets, 5, layers=(3,), lowest=-9.0, highest=9.0, **{**needed, **options}
        )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("rated", [False, True])
def test_autoencoder_gradient_has_the_penalty_of_training(backend, bias, dense, tied, rated):
    csr, inputs, targets, weights, at = problem(11, 3, 40, (4, 3), tied, True, rated=rated)  # most columns are empty
    options = {"layers": (4, 3), "activation": "tanh", "tied": tied, "rated_input": 1.5 * rated, "dense": dense}
    free, whole = empty(at), empty(at)
    cost = backend.autoencoder_gradient(*csr, inputs, targets, 40, at, free, weights=weights, **options)
    with_penalty = backend.autoencoder_gradient(
        *csr, inputs, targets, 40, at, whole, weights=weights, weight_decay=0.3, penalised_bias=bias, **options
    )
    squares = sum(float((array**2).sum()) for array in penalised(at, bias))
    np.testing.assert_allclose(with_penalty - cost, 0.15 * squares, rtol=1e-12)
    counted = {id(array) for array in penalised(at, bias)}
    for array, without, slopes in zip(flat(at), flat(free), flat(whole), strict=True):
        expected = 0.3 * array if id(array) in counted else np.zeros_like(array)
        np.testing.assert_allclose(slopes - without, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("decay", [0.0, 0.4])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("output", ["identity", "sigmoid", "selu"])
@pytest.mark.parametrize("kind", ["selu", "tanh", "elu"])
@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.slow("emu")
def test_autoencoder_gradients_pass_the_check(backend, cost, kind, output, tied, dense, decay):
    layers, centred = (4, 3), not (tied or dense)
    csr, inputs, targets, weights, start = problem(3, 10, 9, layers, tied, True, rated=True, effects=centred)
    of_cost = {"cost": cost}
    if cost == "logistic":
        if dense or output != "identity":
            with pytest.raises(ValueError, match="cost='logistic' and 'multinomial' go with"):
                backend.autoencoder_gradient(
                    *csr, inputs, targets, 9, start, empty(start), layers=layers, activation=kind,
                    output_activation=output, tied=tied, rated_input=1.5, dense=dense, cost=cost,
                )  # fmt: skip
            return
        targets, of_cost["offsets"] = as_labels(np.random.default_rng(4), targets)
    options = {"layers": layers, "activation": kind, "output_activation": output, "tied": tied, "dense": dense}
    options.update(
        dropout=0.3,
        input_dropout=np.full(10, 0.2),
        rated_input=1.5,
        rated_output=centred,
        alpha_dropout=kind == "selu",
        seed=5,
        weight_decay=decay,
    )
    names = [str(i) for i in range(len(flat(start)))]

    def evaluate(at):
        gradient = empty(start)
        parameters = rebuilt([at[name] for name in names], start)
        mean = backend.autoencoder_gradient(
            *csr, inputs, targets, 9, parameters, gradient, weights=weights, **of_cost, **options
        )
        return mean, dict(zip(names, flat(gradient), strict=True))

    few = 2 if hasattr(backend, "emulation") else 50
    report = compare_gradients(Objective(dict(zip(names, flat(start), strict=True)), evaluate), max_coordinates=few)
    assert report.passed, report


def trained(backend, csr, inputs, targets, weights, at, layers, epochs, rates, optimizer="momentum", **options):
    constants = as_optimizer(optimizer).constants._asdict()
    trainer = backend.AutoencoderTrainer(
        *csr, inputs, targets, len(at[2]), weights=weights, layers=layers, tied=at[1] is None, lowest=-9.0,
        highest=9.0, optimizer=constants.pop("name"), **constants, **options,
    )  # fmt: skip
    trainer.set_parameters(at)
    losses = [trainer.epoch(rate) for rate in rates[:epochs]]
    got = empty(at)
    trainer.get_parameters(got)
    return got, losses, trainer


def test_autoencoder_training_equals_dense_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        optimizer=st.sampled_from(OPTIMIZERS),
        batch_size=st.sampled_from([1, 4, 100]),
        refeeding=st.sampled_from([0, 0, 1, 2]),
        input_dropout=st.booleans(),
        decay=st.sampled_from([0.0, 0.05]),
        penalised_bias=st.booleans(),
        n_threads=st.sampled_from([1, 2]),
        output_rate=st.sampled_from([1.0, 0.25]),
        chosen=options(kinds=["selu", "sigmoid", "tanh"], outputs=["identity", "selu"]),
    )
    def check(
        seed,
        optimizer,
        batch_size,
        refeeding,
        input_dropout,
        decay,
        penalised_bias,
        n_threads,
        output_rate,
        chosen,
    ):
        layers, kind, output, tied, weighted, rate, alpha, rated_input, cost, rated_output = chosen
        csr, inputs, targets, weights, at = problem(seed, 11, 14, layers, tied, weighted, np.float32, bool(rated_input))
        rated_output = rated_output and not tied and not refeeding
        if tied or optimizer in ("momentum", "nesterov") or (optimizer == "gd" and decay):
            output_rate = 1.0
        offsets = None
        if cost == "logistic":
            output, refeeding = "identity", 0
            targets, offsets = as_labels(np.random.default_rng(seed), targets)
        n_rows = len(csr[0]) - 1
        shares = np.random.default_rng(seed).uniform(0, 0.9, n_rows).astype(np.float32) if input_dropout else None
        rates = [RATES[optimizer], RATES[optimizer] / 2, RATES[optimizer] / 2]
        got, losses, _ = trained(
            backend, csr, inputs, targets, weights, at, layers, 3, rates, optimizer, activation=kind,
            output_activation=output, dropout=rate, alpha_dropout=alpha, input_dropout=shares,
            rated_input=rated_input, offsets=offsets, cost=cost, rated_output=rated_output,
            dense_refeeding=refeeding, weight_decay=decay, penalised_bias=penalised_bias, batch_size=batch_size,
            output_rate=output_rate, seed=seed, n_threads=n_threads,
        )  # fmt: skip
        constants = as_optimizer(optimizer).constants._asdict()
        wanted, sums = training(
            cast(at, np.float64), csr, inputs.astype(float), targets.astype(float),
            None if weights is None else weights.astype(float), layers, kind, output, optimizer=constants.pop("name"),
            constants=constants, rates=rates, batch_size=batch_size, decay=decay, penalised_bias=penalised_bias,
            refeeding=refeeding, input_dropout=shares, rated_input=rated_input, seed=seed, rate=rate,
            alpha=alpha, cost=cost, offsets=None if offsets is None else offsets.astype(float),
            rated_output=rated_output, output_rate=output_rate,
        )  # fmt: skip
        # Rounding grows from step to step; adaptive steps divide by gradients that may be nearly zero.
        tolerance = 3e-2 if optimizer in ("adagrad", "adadelta", "adam") else 3e-3
        np.testing.assert_allclose(losses, sums, rtol=tolerance, atol=tolerance)
        for mine, reference in zip(flat(got), flat(wanted), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=0, atol=tolerance * (1 + np.abs(reference).max(initial=0)))

    check()


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "nesterov"])
def test_autoencoder_hundred_steps_with_decay_equal_a_dense_optimizer(backend, optimizer):
    layers = (6, 4)
    csr, inputs, targets, _, at = problem(1, 25, 60, layers, False, False, np.float32, rated=True)
    rates = [RATES[optimizer]] * (1 if hasattr(backend, "emulation") else 4)  # of 20 steps and more
    options = {"batch_size": 1, "seed": 2, "rated_input": 0.7}
    got, *_ = trained(
        backend, csr, inputs, targets, None, at, layers, len(rates), rates, optimizer, activation="tanh",
        output_activation="identity", weight_decay=0.1, **options,
    )  # fmt: skip
    constants = as_optimizer(optimizer).constants._asdict()
    wanted, _ = training(
        cast(at, np.float64), csr, inputs.astype(float), targets.astype(float), None, layers, "tanh", "identity",
        optimizer=constants.pop("name"), constants=constants, rates=rates, decay=0.1, **options,
    )  # fmt: skip
    for mine, reference in zip(flat(got), flat(wanted), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-3)


def run_some(backend, n_threads=1):
    layers = (24, 8)
    n = 40 if hasattr(backend, "emulation") else 400
    csr, inputs, targets, _, at = problem(4, n, n, layers, False, False, np.float32, rated=True)
    got, losses, _ = trained(
        backend, csr, inputs, targets, None, at, layers, 2, [0.01] * 2, activation="selu", output_activation="identity",
        dropout=0.3, input_dropout=np.full(n, 0.2, np.float32), rated_input=2.0, rated_output=True, weight_decay=0.01,
        batch_size=16, seed=3, n_threads=n_threads,
    )  # fmt: skip
    return [*flat(got), np.array(losses)]


def test_autoencoder_same_bits_for_any_number_of_threads_and_any_order(backend):
    first = run_some(backend)
    others = [run_some(backend, n) for n in (2, 4)] + in_every_order(backend, lambda: run_some(backend))
    for other in others:
        for mine, reference in zip(other, first, strict=True):
            np.testing.assert_array_equal(mine, reference)


def test_autoencoder_ctrl_c_leaves_centres_of_the_effects():
    rng = np.random.default_rng(0)
    csr = rows_of(rng, 1_500, 800, 0.05)
    values = rng.normal(0, 1, csr[1].size).astype(np.float32)
    at = cast(draw(rng, 800, (24,), False), np.float32)
    trainer = _cpu.AutoencoderTrainer(
        *csr, values, values, 800, layers=[24], activation="tanh", output_activation="identity", tied=False,
        rated_output=True, batch_size=256, lowest=-9.0, highest=9.0, seed=1, n_threads=1,
        **as_optimizer("adam").constants.options,
    )  # fmt: skip
    shares = shares_of(*csr, 800)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for moment in rng.uniform(5e-4, 2e-2, 40):
            trainer.set_parameters(at)
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, moment)
                for _ in range(20):
                    trainer.epoch(0.01)
                signal.setitimer(signal.ITIMER_REAL, 0)
            whole, parts = ([each.copy() for each in (at[0], at[1])] for _ in range(2))
            effects = np.zeros((1_500, 24), np.float32)
            trainer.get_parameters((*whole, *at[2:]))
            trainer.get_parameters((*parts, *at[2:6], effects))
            np.testing.assert_allclose(whole[1], parts[1] + shares @ effects, atol=1e-4)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("weighted", [False, True])
def test_autoencoder_validation_is_the_error_of_clipped_predictions(backend, weighted):
    layers = (6, 3)
    csr, inputs, targets, _, at = problem(6, 20, 15, layers, False, False, np.float32, rated=True)
    _, _, trainer = trained(
        backend, csr, inputs, targets, None, at, layers, 0, [], activation="tanh", output_activation="identity",
        dropout=0.5, rated_input=1.5, batch_size=4, seed=3,
    )  # fmt: skip
    assert trainer.validation_squared_error() == trainer.validation_log_loss() == 0  # nothing is held out yet
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(-1, 20, 100).astype(np.int32), rng.integers(-1, 15, 100).astype(np.int32)
    offsets, values = rng.normal(0, 8, (2, 100)).astype(np.float32)
    weights = rng.random(100).astype(np.float32) if weighted else None
    w = 1.0 if weights is None else weights.astype(float)
    trainer.set_validation(rows, columns, offsets, values, weights, 2.0)
    x = np.vstack([dense(*csr, inputs, 15), np.zeros((1, 15))])
    given = np.vstack([dense(*csr, rated_values(csr[0], 1.5), 15), np.zeros((1, 15))])
    outputs = run(cast(at, np.float64), x, layers, "tanh", "identity", given=given)[0]
    predicted = np.clip(offsets + 2 * np.where(columns < 0, 0, outputs[rows, columns]), -9, 9)
    np.testing.assert_allclose(trainer.validation_squared_error(), (w * (predicted - values) ** 2).sum(), rtol=1e-4)
    labels, z = (values > 0).astype(np.float32), offsets + 2 * np.where(columns < 0, 0, outputs[rows, columns])
    trainer.set_validation(rows, columns, offsets, labels, weights, 2.0)
    wanted = (w * (np.logaddexp(0, z) - labels * z)).sum()
    np.testing.assert_allclose(trainer.validation_log_loss(), wanted, rtol=1e-4)


def test_autoencoder_hidden_values_equal_reference(backend):
    layers = (6, 4, 3)
    for tied in (False, True):
        csr, inputs, _, _, at = problem(6, 20, 15, layers, tied, False, np.float32, rated=not tied)
        rated_input = 0.0 if tied else 1.5
        given = None if tied else dense(*csr, rated_values(csr[0], rated_input), 15)
        _, (_, _, steps, hidden, _) = run(
            cast(at, np.float64), dense(*csr, inputs, 15), layers, "selu", "identity", given=given
        )
        options = {"layers": layers, "activation": "selu", "tied": tied, "rated_input": rated_input}
        got = backend.autoencoder_hidden(*csr, inputs, at[0], at[3], at[4], at[5], depth=5, **options)
        np.testing.assert_allclose(got, hidden, atol=1e-4)
        code = backend.autoencoder_hidden(*csr, inputs, at[0], at[3], at[4], at[5], depth=3, **options)
        np.testing.assert_allclose(code, steps[3][0], atol=1e-4)


def test_autoencoder_best_parameters_come_back(backend):
    layers = (5,)
    csr, inputs, targets, _, at = problem(8, 12, 10, layers, True, False, np.float32)
    got, _, trainer = trained(
        backend, csr, inputs, targets, None, at, layers, 2, [0.02] * 2, activation="selu", output_activation="selu",
        batch_size=4, seed=3,
    )  # fmt: skip
    trainer.save_best()
    trainer.epoch(0.02)
    trainer.restore_best()
    back = empty(at)
    trainer.get_parameters(back)
    for mine, reference in zip(flat(back), flat(got), strict=True):
        np.testing.assert_array_equal(mine, reference)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layers": []}, ValueError, "layers must not be empty"),
        ({"layers": [0]}, ValueError, r"layers must lie in \[1, 2\^20\]; got 0"),
        ({"activation": "step"}, ValueError, "there is no activation 'step'"),
        ({"dropout": 1.0}, ValueError, r"dropout must lie in \[0, 1\); got 1"),
        ({"input_dropout": np.full(12, -0.5, np.float32)}, ValueError, r"input_dropout must lie in \[0, 1\); got -0.5"),
        ({"input_dropout": np.zeros(3, np.float32)}, ValueError, "input_dropout must have 12 entries; got 3"),
        ({"rated_input": -1.0}, ValueError, "rated_input must be finite and not negative; got -1"),
        ({"rated_input": np.inf}, ValueError, "rated_input must be finite and not negative; got inf"),
        ({"batch_size": 0}, ValueError, "batch_size must be positive; got 0"),
        ({"dense_refeeding": -1}, ValueError, "dense_refeeding must not be negative; got -1"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must not be negative; got -1"),
        ({"lowest": 10.0}, ValueError, "lowest must not exceed highest; got 10 and 9"),
        ({"targets": np.zeros(3, np.float32)}, ValueError, "targets must have .* entries; got 3"),
        ({"weights": np.zeros(3, np.float32)}, ValueError, "weights must have .* entries; got 3"),
        ({"n_columns": 3}, ValueError, r"indices must lie in \[0, 3\)"),
    ],
)
def test_autoencoder_trainer_bad_input_raises(backend, change, error, message):
    csr, inputs, targets, *_ = problem(8, 12, 10, (5,), True, False, np.float32)
    valid = {
        "indptr": csr[0], "indices": csr[1], "inputs": inputs, "targets": targets, "n_columns": 10, "layers": [5],
        "activation": "selu", "output_activation": "identity", "tied": False, "batch_size": 4, "lowest": -9.0,
        "highest": 9.0, "seed": 0,
    }  # fmt: skip
    with pytest.raises(error, match=f"AutoencoderTrainer: {message}"):
        backend.AutoencoderTrainer(**{**valid, **change})


def test_autoencoder_trainer_refuses_parameters_of_other_shapes(backend):
    csr, inputs, targets, _, at = problem(8, 12, 10, (5, 3), False, False, np.float32)
    _, _, trainer = trained(
        backend, csr, inputs, targets, None, at, (5, 3), 0, [], activation="selu", output_activation="selu",
        batch_size=4, seed=3,
    )  # fmt: skip
    wrong = [
        ((at[0][:5], *at[1:]), r"input_weights must have shape \(10, 5\); got \(5, 5\)"),
        ((at[0], None, *at[2:]), r"output_weights must have shape \(10, 5\); got \(0, 0\)"),
        ((*at[:2], at[2][:3], *at[3:]), "output_bias must have 10 entries; got 3"),
        ((*at[:3], at[3][:1], at[4], None, None), "there must be 2 hidden weights and 3 hidden biases; got 1 and 3"),
        ((*at[:3], at[3][::-1], at[4], None, None), r"hidden weights 0 must have shape \(5, 3\); got \(3, 5\)"),
        ((*at[:4], at[4][::-1][:2] + at[4][:1], None, None), None),
        ((*at[:6], at[0]), r"rated_effects must have shape \(0, 0\); got \(10, 5\)"),
        ((*at[:5], at[0], None), r"rated_weights must have shape \(0, 0\); got \(10, 5\)"),
        (at[:5], "parameters must be seven; got 5"),
    ]
    for parameters, message in wrong:
        if message is None:  # the biases (5,), (3,), (5,) read backwards fit again
            trainer.set_parameters(parameters)
            continue
        with pytest.raises(ValueError, match=message):
            trainer.set_parameters(parameters)
