"""The native autoencoder of choices against a dense one in float64, with all columns in the softmax and with some."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.optimizers import OPTIMIZERS, as_optimizer
from reference import mix64, softmax_cost
from reference_autoencoder import (
    MASK,
    RATES,
    Trace,
    cast,
    dense,
    draw,
    dropped,
    empty,
    flat,
    gradient,
    random_key,
    rated_values,
    rebuilt,
    run,
    shuffled,
)

pytestmark = pytest.mark.every_isa

COLUMN_STREAM = 0x636F6C73


def problem(seed, n_rows, n_columns, layers, tied, dtype=np.float64, rated=False, density=0.3):
    """Return rows of strengths, some stored zeros among them and some rows empty, their inputs and parameters."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_rows, n_columns)) < density
    mask[: n_rows // 5] = False
    indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
    targets = rng.choice([0, 1, 1, 2.5], int(mask.sum())).astype(dtype)
    inputs = rng.normal(0, 1, targets.size).astype(dtype)
    parameters = cast(draw(rng, n_columns, layers, tied, rated=rated), dtype)
    return (indptr, np.nonzero(mask)[1].astype(np.int32)), inputs, targets, parameters


def examples(backend):
    return 6 if hasattr(backend, "emulation") else 40


def asked_columns(csr, rows, n_columns, n_negatives, seed, epoch, number):
    """Return the columns in the softmax of a batch, ascending, and what is added to their scores."""
    if n_negatives == 0:
        return np.arange(n_columns), np.zeros(n_columns)
    counts = np.bincount(csr[1], minlength=n_columns) + 1.0
    key = random_key((mix64(seed) + epoch) & MASK, COLUMN_STREAM)
    uniform = [(mix64(key ^ mix64(number * n_negatives + i)) >> 11) * 2.0**-53 for i in range(n_negatives)]
    drawn = np.searchsorted(np.cumsum(counts) / counts.sum(), uniform, side="right")
    own = np.concatenate([csr[1][csr[0][r] : csr[0][r + 1]] for r in rows] + [np.zeros(0, np.int32)])
    columns = np.union1d(own, drawn).astype(int)
    inclusion = 1 - (1 - counts / counts.sum()) ** n_negatives
    return columns, np.where(np.isin(columns, own), 0, -np.log(inclusion[columns]))


def batch_cost(at, x, given, y, columns, shifts, layers, kind, **options):
    """Return the multinomial cost of dense rows by the scores of some columns, and its gradient by their number."""
    scores, passed = run(at, x, layers, kind, "identity", given=given, **options)
    cost, slopes = softmax_cost(scores[:, columns] + shifts, y[:, columns])
    n = np.count_nonzero(y.sum(1))
    whole = np.zeros_like(scores)
    whole[:, columns] = slopes / max(n, 1)
    return cost, n, gradient(at, passed, whole, layers, kind, "identity")


OPTIONS = {
    "layers": st.sampled_from([(5,), (16,), (4, 3)]),
    "kind": st.sampled_from(["tanh", "selu", "sigmoid"]),
    "tied": st.booleans(),
    "rate": st.sampled_from([0.0, 0.4]),
    "rated_input": st.sampled_from([0.0, 2.0]),
    "n_negatives": st.sampled_from([0, 1, 3, 40]),
}


def test_multinomial_gradient_equals_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        shape=st.sampled_from([(1, 1), (6, 9), (12, 33), (33, 12)]),
        dtype=st.sampled_from([np.float32, np.float64]),
        n_threads=st.sampled_from([1, 2]),
        **OPTIONS,
    )
    def check(seed, shape, dtype, n_threads, layers, kind, tied, rate, rated_input, n_negatives):
        csr, inputs, targets, at = problem(seed, *shape, layers, tied, dtype, bool(rated_input), density=0.15)
        got = empty(at)
        mean = backend.autoencoder_gradient(
            *csr, inputs, targets, shape[1], at, got, layers=layers, activation=kind, tied=tied, dropout=rate,
            rated_input=rated_input, cost="multinomial", n_negatives=n_negatives, seed=seed, n_threads=n_threads,
        )  # fmt: skip
        order = shuffled(shape[0], seed, 0) if rate else np.arange(shape[0])  # which only dropout can tell
        x, y, r = (
            dense(*csr, v.astype(float), shape[1])[order] for v in (inputs, targets, rated_values(csr[0], rated_input))
        )
        columns, shifts = asked_columns(csr, range(shape[0]), shape[1], n_negatives, seed, 0, 0)
        cost, n, wanted = batch_cost(
            cast(at, np.float64), x, r if rated_input else None, y, columns, shifts, layers, kind, rate=rate, seed=seed
        )
        tolerance = 2e-4 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(mean, cost / max(n, 1), rtol=tolerance, atol=tolerance)
        for mine, reference in zip(flat(got), flat(wanted), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=0, atol=tolerance * (1 + np.abs(reference).max(initial=0)))

    check()


@pytest.mark.parametrize("n_negatives", [0, 4])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.slow("emu")
def test_multinomial_gradients_pass_the_check_with_the_penalty(backend, n_negatives, tied):
    layers = (4, 3)
    csr, inputs, targets, start = problem(3, 10, 9, layers, tied, rated=True, density=0.1)
    names = [str(i) for i in range(len(flat(start)))]

    def evaluate(at):
        slopes = empty(start)
        mean = backend.autoencoder_gradient(
            *csr, inputs, targets, 9, rebuilt([at[name] for name in names], start), slopes, layers=layers,
            activation="tanh", tied=tied, dropout=0.3, input_dropout=np.full(10, 0.2), rated_input=1.5, seed=5,
            weight_decay=0.4, penalised_bias=True, cost="multinomial", n_negatives=n_negatives,
        )  # fmt: skip
        return mean, dict(zip(names, flat(slopes), strict=True))

    few = 2 if hasattr(backend, "emulation") else 30
    report = compare_gradients(Objective(dict(zip(names, flat(start), strict=True)), evaluate), max_coordinates=few)
    assert report.passed, report


def test_the_sum_over_a_sample_has_the_expectation_of_the_sum_over_all(backend):
    if hasattr(backend, "emulation"):
        pytest.skip("the sample is drawn on the host, by the same code")
    rng = np.random.default_rng(0)
    n_columns, n_negatives = 60, 7
    csr = np.array([0, 3], np.int64), np.array([2, 30, 31], np.int32)
    scores = rng.normal(0, 1, n_columns)
    wanted = np.exp(scores).sum()
    sums = []
    for seed in range(4000):
        columns, shifts = asked_columns(csr, [0], n_columns, n_negatives, seed, 0, 0)
        sums.append(np.exp(scores[columns] + shifts).sum())
    assert abs(np.mean(sums) - wanted) < 4 * np.std(sums) / np.sqrt(len(sums))


def trained(backend, csr, inputs, targets, at, layers, rates, optimizer, **options):
    constants = as_optimizer(optimizer).constants._asdict()
    trainer = backend.AutoencoderTrainer(
        *csr, inputs, targets, len(at[2]), layers=layers, tied=at[1] is None, lowest=-9.0, highest=9.0,
        output_activation="identity", cost="multinomial", optimizer=constants.pop("name"), **constants, **options,
    )  # fmt: skip
    trainer.set_parameters(at)
    losses = [trainer.epoch(rate) for rate in rates]
    got = empty(at)
    trainer.get_parameters(got)
    return got, losses, trainer


def reference_training(
    at, csr, inputs, targets, layers, kind, optimizer, rates, *, batch_size, decay, n_negatives, input_dropout,
    rated_input, seed, rate,
):  # fmt: skip
    """Return parameters after some epochs and each epoch's cost: as in training of squared errors, but by rows.

    With a sample, rows of weights of columns outside it stand still under adaptive optimisers, and penalties go by
    entries. With all columns every row takes every step.
    """
    n_rows, n_columns = len(csr[0]) - 1, len(at[2])
    still = optimizer in ("adagrad", "adadelta", "adam") and n_negatives > 0
    constants = as_optimizer(optimizer).constants._asdict()
    constants.pop("name")
    history = Trace(optimizer, np.concatenate([a.ravel() for a in flat(at)]), constants)
    shapes, ends = [a.shape for a in flat(at)], np.cumsum([0, *[a.size for a in flat(at)]])
    n_tables = sum(at[i] is not None for i in (0, 1, 5))
    n_weights = n_tables + 1 + len(at[3])
    counted = np.maximum(np.bincount(csr[1], minlength=n_columns), 1)
    n_batches, number, losses = -(-n_rows // batch_size), 0, []
    for epoch, learning_rate in enumerate(rates):
        fed, given = inputs, rated_values(csr[0], rated_input)
        if input_dropout is not None:
            fed, given = (dropped(values, csr[0], input_dropout, seed, epoch) for values in (fed, given))
        x, r, y = (dense(*csr, values, n_columns) for values in (fed, given, targets))
        total, order = 0.0, shuffled(n_rows, seed, epoch)
        for batch, begin in enumerate(range(0, n_rows, batch_size)):
            rows = order[begin : begin + batch_size]
            if not y[rows].any():
                continue
            now = rebuilt([history.point[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes, strict=False)], at)
            columns, shifts = asked_columns(csr, rows, n_columns, n_negatives, seed, epoch, batch)
            cost, _, slopes = batch_cost(
                now, x[rows], r[rows] if rated_input else None, y[rows], columns, shifts, layers, kind, rate=rate,
                seed=seed, number=number,
            )  # fmt: skip
            number, total = number + 1, total + cost
            own = np.concatenate([csr[1][csr[0][row] : csr[0][row + 1]] for row in rows])
            share = (np.bincount(own, minlength=n_columns) * n_batches / counted)[:, None] if still else 1.0
            parts = [np.array(part) for part in flat(slopes)]
            for i, (part, value) in enumerate(zip(parts, flat(now), strict=True)):
                if i < n_tables:
                    part += decay * share * value
                elif n_tables < i < n_weights:
                    part += decay * value
                if still and i <= n_tables:
                    part[np.setdiff1d(np.arange(n_columns), columns)] = np.nan
            history.step(np.concatenate([part.ravel() for part in parts]), learning_rate)
        losses.append(total)
    return rebuilt([history.point[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes, strict=False)], at), losses


def test_multinomial_training_equals_dense_reference(backend):
    @settings(max_examples=examples(backend))
    @given(
        seed=st.integers(0, 2**32 - 1),
        optimizer=st.sampled_from(OPTIMIZERS),
        batch_size=st.sampled_from([1, 4, 100]),
        input_dropout=st.booleans(),
        decay=st.sampled_from([0.0, 0.05]),
        n_threads=st.sampled_from([1, 2]),
        **OPTIONS,
    )
    def check(seed, optimizer, batch_size, input_dropout, decay, n_threads, layers, kind, tied, rate, rated_input,
              n_negatives):  # fmt: skip
        csr, inputs, targets, at = problem(seed, 11, 14, layers, tied, np.float32, bool(rated_input), density=0.15)
        rates = [RATES[optimizer], RATES[optimizer] / 2]
        shares = np.random.default_rng(seed).uniform(0, 0.9, 11).astype(np.float32) if input_dropout else None
        options = {"rated_input": rated_input, "input_dropout": shares, "n_negatives": n_negatives, "seed": seed}
        got, losses, _ = trained(
            backend, csr, inputs, targets, at, layers, rates, optimizer, activation=kind, dropout=rate,
            weight_decay=decay, batch_size=batch_size, n_threads=n_threads, **options,
        )  # fmt: skip
        wanted, sums = reference_training(
            cast(at, np.float64), csr, inputs.astype(float), targets.astype(float), layers, kind, optimizer, rates,
            batch_size=batch_size, decay=decay, rate=rate, **options,
        )  # fmt: skip
        tolerance = 3e-2 if optimizer in ("adagrad", "adadelta", "adam") else 3e-3
        np.testing.assert_allclose(losses, sums, rtol=tolerance, atol=tolerance)
        for mine, reference in zip(flat(got), flat(wanted), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=0, atol=tolerance * (1 + np.abs(reference).max(initial=0)))

    check()


def run_some(backend, n_negatives, n_threads=1):
    layers = (24, 8)
    n = 40 if hasattr(backend, "emulation") else 300
    csr, inputs, targets, at = problem(4, n, n, layers, False, np.float32, rated=True, density=0.05)
    got, losses, _ = trained(
        backend, csr, inputs, targets, at, layers, [0.01] * 2, "adam", activation="tanh", dropout=0.3,
        input_dropout=np.full(n, 0.2, np.float32), rated_input=2.0, weight_decay=0.01, batch_size=32, seed=3,
        n_threads=n_threads, n_negatives=n_negatives,
    )  # fmt: skip
    return [*flat(got), np.array(losses)]


@pytest.mark.parametrize("n_negatives", [0, 20])
def test_multinomial_same_bits_for_any_number_of_threads_and_any_order(backend, n_negatives):
    first = run_some(backend, n_negatives)
    others = [run_some(backend, n_negatives, n) for n in (2, 4)]
    for other in others + in_every_order(backend, lambda: run_some(backend, n_negatives)):
        for mine, reference in zip(other, first, strict=True):
            np.testing.assert_array_equal(mine, reference)


def test_multinomial_cost_of_rows_is_that_of_a_plain_pass(backend):
    layers = (6, 3)
    csr, inputs, targets, at = problem(6, 20, 15, layers, False, np.float32)
    _, _, trainer = trained(
        backend, csr, inputs, targets, at, layers, [], "adam", activation="tanh", dropout=0.5,
        input_dropout=np.full(20, 0.5, np.float32), batch_size=4, seed=3, n_negatives=2,
    )  # fmt: skip
    rows = np.array([7, -1, 0, 19, 7], np.int32)
    indptr, columns = np.array([0, 2, 3, 4, 4, 6]), np.array([1, 5, 14, 0, 3, 4], np.int32)
    strengths = np.array([1, 2, 1, 0.5, 0, 1], np.float32)
    x = np.vstack([dense(*csr, inputs, 15), np.zeros((1, 15))])
    scores = run(cast(at, np.float64), x, layers, "tanh", "identity")[0][rows]
    wanted, _ = softmax_cost(scores, dense(indptr, columns, strengths, 15))
    np.testing.assert_allclose(trainer.multinomial_cost(rows, indptr, columns, strengths, 15), wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r"multinomial_cost: rows must lie in \[-1, 20\); got 20 at entry 0"):
        trainer.multinomial_cost(rows + 13, indptr, columns, strengths, 15)
    with pytest.raises(ValueError, match="multinomial_cost: there must be a compressed row of strengths for each of 4"):
        trainer.multinomial_cost(rows[:4], indptr, columns, strengths, 15)
    with pytest.raises(ValueError, match="multinomial_cost: n_columns must be 15; got 16"):
        trainer.multinomial_cost(rows, indptr, columns, strengths, 16)


def test_multinomial_refuses_what_it_has_no_use_for(backend):
    csr, inputs, targets, at = problem(6, 20, 15, (4,), False, np.float32)
    options = {"layers": (4,), "activation": "tanh", "tied": False, "cost": "multinomial"}
    trainer = {"output_activation": "identity", "batch_size": 4, "lowest": 0.0, "highest": 1.0, "seed": 0}
    for weights, offsets in ((inputs, None), (None, inputs)):
        arrays = {"weights": weights, "offsets": offsets}
        with pytest.raises(ValueError, match="cost='multinomial' goes without weights and offsets"):
            backend.autoencoder_gradient(*csr, inputs, targets, 15, at, empty(at), **arrays, **options)
        with pytest.raises(ValueError, match="cost='multinomial' goes without weights and offsets"):
            backend.AutoencoderTrainer(*csr, inputs, targets, 15, **arrays, **options, **trainer, optimizer="gd")
    with pytest.raises(ValueError, match="n_negatives must not be negative; got -1"):
        backend.autoencoder_gradient(*csr, inputs, targets, 15, at, empty(at), n_negatives=-1, **options)
    with pytest.raises(ValueError, match="'logistic' and 'multinomial' go with output_activation='identity'"):
        backend.autoencoder_gradient(*csr, inputs, targets, 15, at, empty(at), output_activation="selu", **options)
