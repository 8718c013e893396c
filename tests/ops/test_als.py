"""Alternating least squares: every row's solution and sample against normal equations in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from backends import BACKENDS

pytestmark = pytest.mark.every_isa

N_COLUMNS = 50
LENGTHS = (0, 1, 2, 3, 5, 8, 16, 31, 32, 33, 50)


def problem(k, biased, *, lengths=LENGTHS, n_columns=N_COLUMNS, seed=0):
    """Return the ratings, and what als_update and the reference take."""
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    indices = np.concatenate([np.sort(rng.choice(n_columns, n, replace=False)) for n in lengths]).astype(np.int32)
    values = (rng.standard_normal(indptr[-1]) + 3).astype(np.float32)
    Q = rng.standard_normal((n_columns, k)).astype(np.float32)
    weights = rng.uniform(0.5, 2, indptr[-1]).astype(np.float32)
    offsets = [rng.standard_normal(n).astype(np.float32) for n in (len(lengths), n_columns)]
    d = k + biased
    root = rng.standard_normal((d, d))
    prior = [root @ root.T / d + np.eye(d), rng.standard_normal(d), rng.standard_normal((len(lengths), d))]
    return (indptr, indices, values), Q, weights, offsets, [array.astype(np.float32) for array in prior]


def solve(backend, csr, Q, biased, **options):
    factors = np.full((len(csr[0]) - 1, Q.shape[1]), 9, np.float32)
    bias = np.full(len(factors), 9, np.float32) if biased else None
    backend.als_update(*csr, Q, factors, bias, **options)
    return np.c_[factors, bias] if biased else factors


def is_cpu(backend):
    """Whether rows of few ratings are drawn through those; a GPU takes the normal equations for every row."""
    return backend.__name__ == "fastcf._cpu"


def assert_close(got, expected, rounding=2e-4):
    scale = np.abs(expected).max() + 1e-30
    assert np.abs(got - expected).max() <= rounding * scale


@settings(max_examples=40)
@given(
    k=st.sampled_from([1, 3, 8, 15, 16, 17, 31, 32, 33, 64, 65]),
    biased=st.booleans(),
    weighted=st.booleans(),
    reg=st.sampled_from([0.3, 3.0]),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
    precision=st.sampled_from([1.0, 2.5]),
    seed=st.integers(0, 99),
)
def test_als_rows_are_the_normal_equations_solution(backend, k, biased, weighted, reg, exponent, precision, seed):
    csr, Q, weights, offsets, _ = problem(k, biased, seed=seed)
    if not weighted:
        weights[:] = 1
    options = {"reg": reg, "bias_reg": 2.0, "precision": precision}
    offset = {"row_offset": offsets[0], "column_offset": offsets[1], "offset": 0.5}
    got = solve(
        backend, csr, Q, biased, weights=weights if weighted else None, reg_exponent=exponent, **options, **offset
    )
    options["bias_reg"] = 2.0 if biased else None
    assert_close(got, reference.als_rows(csr, weights, Q, *offsets, 0.5, exponent=exponent, **options))


@settings(max_examples=25)
@given(k=st.sampled_from([1, 7, 16, 31, 32, 64]), biased=st.booleans(), seed=st.integers(0, 99))
def test_als_rows_with_prior_and_noise_are_draws_of_the_posterior(backend, k, biased, seed):
    csr, Q, weights, offsets, prior = problem(k, biased, seed=seed)
    names = dict(zip(("prior", "prior_mean", "noise"), prior, strict=True))
    normals = backend.random(1, 2 * csr[2].size, "normal", 1.0, seed, 0)[0] if is_cpu(backend) else None
    offset = {"row_offset": offsets[0], "column_offset": offsets[1], "offset": -1.0}
    got = solve(backend, csr, Q, biased, weights=weights, precision=1.5, **names, noise_seed=seed, **offset)
    expected = reference.als_rows(
        csr, weights, Q, *offsets, -1.0, reg=0.0, exponent=0.0, bias_reg=0.0 if biased else None, precision=1.5,
        prior=[*prior, normals],
    )  # fmt: skip
    assert_close(got, expected, 1e-3)


def test_als_draws_of_rows_with_few_ratings_have_the_posterior_moments(backend):
    csr, Q, weights, _, prior = problem(16, True, lengths=[3])
    n = 2000 if backend.__name__ == "fastcf._emu" else 20_000  # emulated, a block takes a millisecond
    indptr = np.arange(n + 1, dtype=np.int64) * 3
    many = indptr, np.tile(csr[1], n), np.tile(csr[2], n)
    noise = np.random.default_rng(0).standard_normal((n, 17)).astype(np.float32)
    options = {"prior": prior[0], "prior_mean": prior[1], "weights": np.tile(weights, n), "precision": 2.0}
    draws = solve(backend, many, Q, True, noise=noise, noise_seed=3, **options).astype(np.float64)
    A = np.c_[Q[csr[1]].astype(np.float64), np.ones(3)]
    covariance = np.linalg.inv(prior[0].astype(np.float64) + 2.0 * A.T @ (weights[:, None] * A))
    mean = covariance @ (prior[0] @ prior[1] + 2.0 * A.T @ (weights * csr[2]))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * np.sqrt(np.diag(covariance).max() / n))
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=6 * np.diag(covariance).max() / np.sqrt(n))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("k", [1, 16, 33])
def test_als_conjugate_gradients_reach_the_exact_solution(backend, k, biased):
    csr, Q, weights, offsets, _ = problem(k, biased)
    options = {"weights": weights, "column_offset": offsets[1], "reg": 1.0, "bias_reg": 1.0}
    assert_close(
        solve(backend, csr, Q, biased, **options, cg_steps=200), solve(backend, csr, Q, biased, **options), 5e-4
    )


def test_als_conjugate_gradient_steps_lower_the_objective_from_where_they_start(backend):
    csr, Q, weights, _, _ = problem(16, False, lengths=[40])
    exact = solve(backend, csr, Q, False, weights=weights, reg=1.0)[0]
    distances = []
    for steps in (1, 2, 4, 8):
        factors = np.zeros((1, 16), np.float32)
        backend.als_update(*csr, Q, factors, weights=weights, reg=1.0, cg_steps=steps)
        distances.append(np.linalg.norm(factors[0] - exact))
    assert distances == sorted(distances, reverse=True)
    again = factors.copy()
    backend.als_update(*csr, Q, again, weights=weights, reg=1.0, cg_steps=8)
    assert np.linalg.norm(again[0] - exact) <= distances[-1]


@pytest.mark.parametrize("biased", [False, True])
def test_als_undetermined_directions_stay_finite(backend, biased):
    csr, Q, _, _, _ = problem(16, biased)
    Q[:, 3] = Q[:, 4]  # never determined
    got = solve(backend, csr, Q, biased)  # reg 0, and rows with fewer ratings than factors
    assert np.isfinite(got).all()
    full = slice(csr[0][-2], csr[0][-1])
    predicted = Q[csr[1][full]] @ got[-1, :16] + (got[-1, 16] if biased else 0)
    columns = np.c_[Q[csr[1][full]], np.ones((50, int(biased)))].astype(np.float64)
    best = columns @ np.linalg.lstsq(columns, csr[2][full], rcond=None)[0]
    np.testing.assert_allclose(predicted, best, atol=2e-3)


@pytest.mark.parametrize("cg_steps", [0, 3])
def test_als_same_bits_for_any_number_of_threads(backend, cg_steps):
    rng = np.random.default_rng(0)
    n_rows = 33 if backend.__name__ == "fastcf._emu" else 1025  # emulated, no number of threads is asked for
    csr, Q, weights, _, _ = problem(33, True, lengths=rng.integers(0, 50, n_rows), n_columns=60)
    options = {"weights": weights, "reg": 0.5, "bias_reg": 1.0, "cg_steps": cg_steps}
    expected = solve(backend, csr, Q, True, n_threads=1, **options)
    for n_threads in (2, 4):
        np.testing.assert_array_equal(solve(backend, csr, Q, True, n_threads=n_threads, **options), expected)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("method", ["exact", "conjugate gradients", "draws"])
def test_als_squared_errors_are_those_of_the_rows_solved(backend, biased, method):
    csr, Q, weights, offsets, prior = problem(33, biased)
    offset = {"row_offset": offsets[0], "column_offset": offsets[1], "offset": 0.5}
    options = {"reg": 0.5, "bias_reg": 1.0, "cg_steps": 3 if method == "conjugate gradients" else 0}
    if method == "draws":
        options = dict(zip(("prior", "prior_mean", "noise"), prior, strict=True))
    squared_errors = np.full(len(LENGTHS), np.nan)
    got = solve(backend, csr, Q, biased, weights=weights, squared_errors=squared_errors, **options, **offset)
    rows = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    columns = np.c_[Q[csr[1]], np.ones((rows.size, int(biased)))].astype(np.float64)
    errors = csr[2] - 0.5 - offsets[0][rows] - offsets[1][csr[1]] - (columns * got[rows]).sum(axis=1)
    expected = np.bincount(rows, weights * errors**2, len(LENGTHS))
    np.testing.assert_allclose(squared_errors, expected, rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.skipif("emu" not in BACKENDS, reason="the emulated backend was not built, or not asked for")
@pytest.mark.parametrize("order", ["backward", "shuffled"])
def test_als_same_bits_in_any_order_of_blocks_and_threads(order):
    emu = BACKENDS["emu"]
    csr, Q, weights, _, prior = problem(9, True, lengths=[5, 8500, 0, 40, 4200], n_columns=9000)
    penalised = {"weights": weights, "reg": 0.5, "bias_reg": 1.0}
    names = dict(zip(("prior", "prior_mean"), prior, strict=False))
    many, many_Q, many_weights, _, _ = problem(250, True, lengths=[3, 50], n_columns=60)  # beyond shared memory
    runs = [
        lambda: solve(emu, csr, Q, True, **penalised),
        lambda: solve(emu, csr, Q, True, **penalised, cg_steps=2),
        lambda: solve(emu, csr, Q, True, weights=weights, **names),
        lambda: solve(emu, many, many_Q, True, weights=many_weights, reg=0.5, bias_reg=1.0),
    ]
    expected = [run() for run in runs]
    emu.emulation.set_order(order, seed=3)
    try:
        for run, result in zip(runs, expected, strict=True):
            np.testing.assert_array_equal(run(), result)
    finally:
        emu.emulation.set_order("forward")


@pytest.mark.parametrize("cg_steps", [0, 60])
def test_als_rows_of_thousands_of_ratings(backend, cg_steps):
    """On a GPU rows beyond 4096 ratings are the work of several blocks, or of larger ones."""
    csr, Q, weights, offsets, _ = problem(5, True, lengths=[3, 8200, 0, 4097, 4096], n_columns=9000)
    options = {"reg": 0.4, "bias_reg": 1.5, "precision": 2.0}
    offset = {"row_offset": offsets[0], "column_offset": offsets[1], "offset": 0.5}
    got = solve(backend, csr, Q, True, weights=weights, reg_exponent=0.5, cg_steps=cg_steps, **options, **offset)
    expected = reference.als_rows(csr, weights, Q, *offsets, 0.5, exponent=0.5, **options)
    for row, wanted in zip(got, expected, strict=True):
        assert_close(row, wanted, 1e-4)


@pytest.mark.parametrize("k", [129, 250])
def test_als_rows_of_many_factors(backend, k):
    csr, Q, weights, offsets, prior = problem(k, True, lengths=[0, 1, 2, 4, 7, 9, 50])
    names = dict(zip(("prior", "prior_mean", "noise"), prior, strict=True))
    options = {"column_offset": offsets[1], "weights": weights, "precision": 1.5, "noise_seed": 1}
    got = solve(backend, csr, Q, True, **names, **options)
    normals = backend.random(1, 2 * csr[2].size, "normal", 1.0, 1, 0)[0] if is_cpu(backend) else None
    expected = reference.als_rows(
        csr, weights, Q, 0 * offsets[0], offsets[1], 0.0, reg=0.0, exponent=0.0, bias_reg=0.0, precision=1.5,
        prior=[*prior, normals],
    )  # fmt: skip
    assert_close(got, expected, 1e-3)


def test_als_conjugate_gradients_with_more_factors_than_shared_memory_holds(backend):
    csr, _, weights, _, _ = problem(1, False, lengths=[4, 0, 7])
    Q = np.random.default_rng(0).standard_normal((N_COLUMNS, 12_000)).astype(np.float32)
    got = np.zeros((3, 12_000), np.float32)
    backend.als_update(*csr, Q, got, weights=weights, reg=2.0, cg_steps=12)
    for row in range(3):
        entries = slice(csr[0][row], csr[0][row + 1])
        A = Q[csr[1][entries]].astype(np.float64)
        dual = A @ A.T / 2.0 + np.diag(1 / weights[entries])
        assert_close(got[row], A.T @ np.linalg.solve(dual, csr[2][entries]) / 2.0)


def test_als_weight_zero_is_as_good_as_absent(backend):
    csr, Q, weights, _, _ = problem(8, True)
    kept = np.arange(weights.size) % 3 != 0
    rows = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    fewer = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(LENGTHS)))]).astype(np.int64)
    for cg_steps in (0, 40):
        options = {"reg": 1.0, "bias_reg": 1.0, "cg_steps": cg_steps}
        got = solve(backend, csr, Q, True, weights=(weights * kept).astype(np.float32), **options)
        expected = solve(backend, (fewer, csr[1][kept], csr[2][kept]), Q, True, weights=weights[kept], **options)
        assert_close(got, expected)


def test_als_one_dense_row_among_empty_ones(backend):
    csr, Q, weights, offsets, _ = problem(8, True, lengths=[0, 0, 1025, 0], n_columns=2000)
    got = solve(backend, csr, Q, True, weights=weights, reg=1.0, bias_reg=1.0, column_offset=offsets[1])
    offsets[0][:] = 0
    expected = reference.als_rows(csr, weights, Q, *offsets, 0.0, reg=1.0, exponent=0.0, bias_reg=1.0, precision=1.0)
    assert_close(got, expected)
    assert not got[[0, 1, 3]].any()


def test_als_no_rows_at_all(backend):
    backend.als_update(
        np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.ones((3, 2), np.float32),
        np.zeros((0, 2), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": np.zeros((2, 4), np.float32)}, "factors must have one row per row of the ratings"),
        ({"column_factors": np.zeros((N_COLUMNS, 3), np.float32)}, "column_factors must have shape"),
        ({"bias": np.zeros(3, np.float32)}, "bias must have"),
        ({"weights": np.zeros(3, np.float32)}, "weights must have"),
        ({"row_offset": np.zeros(3, np.float32)}, "row_offset must have"),
        ({"column_offset": np.zeros(3, np.float32)}, "column_offset must have"),
        ({"reg": -1.0}, "reg and bias_reg must not be negative"),
        ({"precision": 0.0}, "precision must be positive"),
        ({"prior": np.eye(3, dtype=np.float32)}, "prior and prior_mean must have shapes"),
        ({"prior": np.eye(4, dtype=np.float32), "prior_mean": np.zeros(4, np.float32), "cg_steps": 1}, "cg_steps = 0"),
        ({"noise": np.zeros((2, 4), np.float32)}, "noise must have shape"),
        ({"squared_errors": np.zeros(3)}, "squared_errors must have one entry per row"),
        ({"cg_steps": -1}, "cg_steps must not be negative"),
        ({"column_factors": np.zeros((3, 4), np.float32)}, "indices must lie in"),
    ],
)
def test_als_bad_input_raises(backend, arguments, message):
    csr, Q, _, _, _ = problem(4, False)
    valid = {"column_factors": Q, "factors": np.zeros((len(LENGTHS), 4), np.float32)}
    with pytest.raises(ValueError, match=message):
        backend.als_update(*csr, **{**valid, **arguments})


def choices(k, *, lengths=LENGTHS, n_columns=N_COLUMNS, seed=0):
    """Return choices, and factors in the axes in which their Gram matrix is diagonal, with the diagonal."""
    (indptr, indices, _), Q, weights, _, _ = problem(k, False, lengths=lengths, n_columns=n_columns, seed=seed)
    _, basis = np.linalg.eigh(Q.T.astype(np.float64) @ Q)
    Q = (Q @ basis).astype(np.float32)
    return (indptr, indices, None), Q, weights, np.square(Q, dtype=np.float64).sum(axis=0).astype(np.float32)


@settings(max_examples=30)
@given(
    k=st.sampled_from([1, 3, 15, 16, 17, 32, 33, 64, 65]),
    unobserved=st.sampled_from([0.01, 0.3, 2.0]),
    cg_steps=st.sampled_from([0, 300]),
    seed=st.integers(0, 99),
)
def test_als_rows_of_choices_among_all_columns_equal_reference(backend, k, unobserved, cg_steps, seed):
    csr, Q, weights, spectrum = choices(k, seed=seed)
    penalties = np.random.default_rng(seed).uniform(0.5, 3, len(LENGTHS)).astype(np.float32)
    errors = np.full(len(LENGTHS), np.nan)
    options = {"weights": weights, "penalties": penalties, "unobserved": unobserved, "spectrum": spectrum}
    got = solve(backend, csr, Q, False, **options, cg_steps=cg_steps, squared_errors=errors)
    expected = reference.implicit_rows(*csr[:2], weights, Q, penalties, unobserved)
    assert_close(got, expected, 2.5e-3 if cg_steps else 5e-4)  # conjugate gradients end where float32 does
    rows = np.repeat(np.arange(len(LENGTHS)), np.diff(csr[0]))
    left = weights * (1 - (got[rows].astype(np.float64) * Q[csr[1]]).sum(axis=1)) ** 2
    np.testing.assert_allclose(errors, np.bincount(rows, left, len(LENGTHS)), rtol=1e-3, atol=1e-5)


def test_als_preconditioned_steps_come_close_to_the_exact_rows(backend):
    rng = np.random.default_rng(0)
    csr, Q, weights, _ = choices(32, lengths=[40] * 20, n_columns=60)
    Q *= (1 / np.arange(1, 33)).astype(np.float32)  # a spectrum that falls, as learnt ones do
    _, basis = np.linalg.eigh(Q.T.astype(np.float64) @ Q)
    Q = (Q @ basis).astype(np.float32)
    options = {
        "weights": weights,
        "penalties": rng.uniform(0.5, 1, 20).astype(np.float32),
        "unobserved": 0.3,
        "spectrum": np.square(Q).sum(axis=0),
    }
    exact = solve(backend, csr, Q, False, **options)
    near = np.zeros_like(exact)
    backend.als_update(*csr, Q, near, **options, cg_steps=5)
    assert np.abs(near @ Q.T - exact @ Q.T).max() < 0.03 * np.abs(exact @ Q.T).max()


def test_als_only_errors_leaves_rows_alone(backend):
    csr, Q, weights, _ = choices(16)
    factors = np.random.default_rng(1).standard_normal((len(LENGTHS), 16)).astype(np.float32)
    before, errors = factors.copy(), np.full(len(LENGTHS), np.nan)
    backend.als_update(*csr, Q, factors, weights=weights, squared_errors=errors, only_errors=True)
    np.testing.assert_array_equal(factors, before)
    rows = np.repeat(np.arange(len(LENGTHS)), np.diff(csr[0]))
    left = weights * (1 - (factors[rows].astype(np.float64) * Q[csr[1]]).sum(axis=1)) ** 2
    np.testing.assert_allclose(errors, np.bincount(rows, left, len(LENGTHS)), rtol=1e-4, atol=1e-5)


def test_als_refuses_what_does_not_go_with_all_columns(backend):
    csr, Q, _, spectrum = choices(4)
    n = len(LENGTHS)
    with pytest.raises(ValueError, match=r"als_update: spectrum must have 4 entries; got 3"):
        solve(backend, csr, Q, False, spectrum=spectrum[:3])
    with pytest.raises(ValueError, match=rf"als_update: penalties must have {n} entries; got 2"):
        solve(backend, csr, Q, False, penalties=np.ones(2, np.float32))
    with pytest.raises(ValueError, match="als_update: unobserved must not be negative; got -1"):
        solve(backend, csr, Q, False, unobserved=-1.0, spectrum=spectrum)
    with pytest.raises(ValueError, match="als_update: a spectrum goes with neither a bias nor a prior"):
        solve(backend, csr, Q, True, spectrum=spectrum)
    with pytest.raises(ValueError, match="als_update: only_errors needs squared_errors"):
        solve(backend, csr, Q, False, only_errors=True)


def test_als_blocks_by_residuals_converge_to_the_exact_rows(backend):
    csr, Q, weights, spectrum = choices(12)
    penalties = np.full(len(LENGTHS), 1.5, np.float32)
    options = {"weights": weights, "penalties": penalties, "unobserved": 0.3}
    exact = solve(backend, csr, Q, False, **options, spectrum=spectrum)
    factors = np.random.default_rng(0).standard_normal(exact.shape).astype(np.float32)
    factors[0] = 0  # a row without choices
    residuals, errors = np.full(len(weights), 9, np.float32), np.zeros(len(LENGTHS))
    backend.als_update(*csr, Q, factors, weights=weights, residuals=residuals, squared_errors=errors, only_errors=True)
    rows = np.repeat(np.arange(len(LENGTHS)), np.diff(csr[0]))

    def left(x):
        return 1 - (x[rows].astype(np.float64) * Q[csr[1]]).sum(axis=1)

    np.testing.assert_allclose(residuals, left(factors), atol=1e-4)
    np.testing.assert_allclose(errors, np.bincount(rows, weights * left(factors) ** 2, len(LENGTHS)), rtol=1e-4)
    blocks = [slice(0, 5), slice(5, 12)]
    parts = [np.ascontiguousarray(factors[:, block]) for block in blocks]
    for _ in range(60):
        for part, block in zip(parts, blocks, strict=True):
            columns = np.ascontiguousarray(Q[:, block])
            backend.als_update(*csr, columns, part, **options, spectrum=spectrum[block], residuals=residuals)
    assert_close(np.hstack(parts), exact, 2e-3)
    np.testing.assert_allclose(residuals, left(np.hstack(parts)), atol=1e-3)
