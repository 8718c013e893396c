"""Cost and gradient of matrix factorisation against the equations in float64, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from backends import in_every_order
from fastcf import Ratings, ops
from fastcf.ratings import IdMap

pytestmark = [pytest.mark.every_isa, pytest.mark.usefixtures("auto_backend")]

NAMES = ("user_factors", "item_factors", "user_bias", "item_bias")


def make_ratings(random, n_users, n_items, density, *, dense_row=False, weighted=False, labels=False):
    mask = random.random((n_users, n_items)) < density
    mask[: n_users // 4] = False  # empty rows, and one that rates everything
    if dense_row and n_users:
        mask[-1] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    values = random.random(indices.size) if labels else random.normal(3, 1, indices.size)
    if labels:
        values[::2] = np.round(values[::2])
    return Ratings(
        indptr, indices, values.astype(np.float32), users=IdMap.range(n_users), items=IdMap.range(n_items),
        weights=random.uniform(0, 2, indices.size).astype(np.float32) if weighted else None,
    )  # fmt: skip


def make_parameters(random, n_users, n_items, k, dtype, *, bias=True, scale=0.5):
    shapes = [(n_users, k), (n_items, k), (n_users,), (n_items,)]
    drawn = [random.normal(0, scale, shape).astype(dtype) for shape in shapes]
    return drawn if bias else [*drawn[:2], None, None]


def expected(ratings, parameters, offset, options):
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights
    names = {"reg": "reg", "reg_exponent": "exponent"}
    return reference.mf_gradient(
        ratings.row_of_entry(), ratings.indices, ratings.values, weights, *parameters, offset,
        logistic=options["cost"] == "logistic", bias_regs=(options["user_bias_reg"], options["item_bias_reg"]),
        **{new: options[old] for old, new in names.items()},
    )  # fmt: skip


@settings(max_examples=60)
@given(
    n_users=st.sampled_from([0, 1, 31, 32, 33, 130]),
    n_items=st.sampled_from([0, 1, 31, 32, 33, 1025]),
    k=st.sampled_from([0, 1, 3, 4, 8, 15, 16, 17, 31, 32, 33, 64, 100, 130]),
    density=st.sampled_from([0.0, 0.05, 0.4]),
    dense_row=st.booleans(),
    weighted=st.booleans(),
    bias=st.booleans(),
    by_item=st.booleans(),
    cost=st.sampled_from(["squared", "logistic"]),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
    reg=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_mf_gradient_equals_reference(auto_backend, **case):
    if hasattr(auto_backend, "emulation"):  # which takes some 40 us per rating
        case["n_users"] = min(case["n_users"], 32)
    check_gradient(**case)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 33, 64, 100])
@pytest.mark.parametrize("n_items", [33, 1025])
def test_mf_gradient_equals_reference_with_everything_on(auto_backend, n_items, k, dtype, cost):
    n_users = 12 if hasattr(auto_backend, "emulation") else 130
    check_gradient(
        n_users=n_users, n_items=n_items, k=k, density=0.4, dense_row=True, weighted=True, bias=True, by_item=True,
        cost=cost, exponent=0.5, reg=0.3, dtype=dtype, n_threads=2, seed=k,
    )  # fmt: skip


def check_gradient(
    n_users, n_items, k, density, dense_row, weighted, bias, by_item, cost, exponent, reg, dtype, n_threads, seed
):
    random = np.random.default_rng(seed)
    ratings = make_ratings(
        random, n_users, n_items, density, dense_row=dense_row, weighted=weighted, labels=cost == "logistic"
    )
    parameters = make_parameters(random, n_users, n_items, k, dtype, bias=bias)
    offset = random.normal(1, 1, n_items).astype(dtype) if by_item else np.full(n_items, 0.75, dtype)
    options = {"cost": cost, "reg": reg, "reg_exponent": exponent, "user_bias_reg": reg / 2, "item_bias_reg": 2 * reg}
    offsets = {"item_offset": offset} if by_item else {"global_offset": 0.75}
    before = [None if p is None else p.copy() for p in parameters]
    got = ops.mf_cost_and_gradient(ratings, *parameters, **options, **offsets, n_threads=n_threads)
    cost_, gradient, sizes = expected(ratings, parameters, offset, options)
    unit = float(np.finfo(dtype).eps)
    terms = k + 12
    assert abs(got.cost - cost_) <= unit * terms * sizes[0] + 1e-12
    longest = max([0, *np.diff(ratings.indptr), *np.diff(ratings.by_item().indptr)])
    for name, have, want, size, old, new in zip(NAMES, got[2:], gradient, sizes[1:], before, parameters, strict=True):
        if have is None:
            assert not bias
            continue
        assert have.dtype == dtype
        assert have.shape == want.shape
        assert (np.abs(have - want) <= unit * (terms + longest) * size + 1e-30).all(), name
        np.testing.assert_array_equal(old, new)
    predicted = ops.mf_predict(ratings, *parameters, cost=cost, **offsets, n_threads=n_threads)
    users, items = ratings.row_of_entry(), ratings.indices
    z = offset[items].astype(float) + np.einsum(
        "ek,ek->e", *(p[r].astype(float) for p, r in zip(parameters[:2], (users, items), strict=True))
    )
    if bias:
        z += parameters[2][users].astype(float) + parameters[3][items]
    wanted = 1 / (1 + np.exp(-z)) if cost == "logistic" else z
    np.testing.assert_allclose(predicted, wanted, rtol=0, atol=unit * terms * 10 * (1 + np.abs(z).max(initial=0)))
    assert predicted.dtype == dtype


@pytest.mark.parametrize("k", [3, 16, 200, 520])  # the last: wider than a GPU keeps in registers
@pytest.mark.parametrize(("n_users", "n_items"), [(3, 1700), (1700, 3)])
def test_mf_gradient_of_rows_with_very_many_ratings_equals_reference(n_users, n_items, k):
    """A GPU cuts them; some begin where a part of another ends."""
    check_gradient(
        n_users=n_users, n_items=n_items, k=k, density=0.7, dense_row=True, weighted=True, bias=True, by_item=True,
        cost="squared", exponent=0.5, reg=0.3, dtype=np.float64, n_threads=2, seed=k,
    )  # fmt: skip


def test_mf_gradient_of_very_many_rows_equals_reference():
    check_gradient(
        n_users=8_300, n_items=2, k=3, density=0.02, dense_row=True, weighted=False, bias=True, by_item=False,
        cost="squared", exponent=0.0, reg=0.3, dtype=np.float64, n_threads=2, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_mf_gradient_agrees_with_central_differences(cost, weighted, exponent):
    random = np.random.default_rng(5)
    ratings = make_ratings(random, 12, 9, 0.5, weighted=weighted, labels=cost == "logistic")
    parameters = make_parameters(random, 12, 9, 5, np.float64)
    options = {"cost": cost, "reg": 0.1, "reg_exponent": exponent, "user_bias_reg": 0.3, "item_bias_reg": 0.2}
    offset = random.normal(0, 1, 9)
    got = ops.mf_cost_and_gradient(ratings, *parameters, **options, item_offset=offset)
    step = 1e-5
    for name, parameter, gradient in zip(NAMES, parameters, got[2:], strict=True):
        numeric = np.empty_like(parameter)
        for at in np.ndindex(parameter.shape):
            kept = parameter[at]
            costs = []
            for shifted in (kept + step, kept - step):
                parameter[at] = shifted
                costs.append(ops.mf_cost_and_gradient(ratings, *parameters, **options, item_offset=offset).cost)
            parameter[at] = kept
            numeric[at] = (costs[0] - costs[1]) / (2 * step)
        error = np.linalg.norm(gradient - numeric) / (np.linalg.norm(gradient) + np.linalg.norm(numeric))
        assert error < 1e-7, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mf_gradient_same_bits_for_any_number_of_threads(auto_backend, dtype):
    random = np.random.default_rng(0)
    n_users = 10 if hasattr(auto_backend, "emulation") else 400
    ratings = make_ratings(random, n_users, 1000, 0.4, dense_row=True, weighted=True)
    parameters = make_parameters(random, n_users, 1000, 33, dtype)
    results = [
        ops.mf_cost_and_gradient(ratings, *parameters, reg=0.1, reg_exponent=1.0, n_threads=n) for n in (1, 2, 4)
    ]
    for result in results[1:]:
        assert result.cost == results[0].cost
        for have, want in zip(result[2:], results[0][2:], strict=True):
            np.testing.assert_array_equal(have, want)
    predicted = [ops.mf_predict(ratings, *parameters, n_threads=n) for n in (1, 2, 4)]
    np.testing.assert_array_equal(predicted[0], predicted[1])
    np.testing.assert_array_equal(predicted[0], predicted[2])


def test_mf_gradient_same_bits_in_any_order_of_threads(auto_backend):
    random = np.random.default_rng(0)
    ratings = make_ratings(random, 9, 700, 0.3, dense_row=True, weighted=True)
    parameters = make_parameters(random, 9, 700, 70, np.float32)
    results = in_every_order(auto_backend, lambda: ops.mf_cost_and_gradient(ratings, *parameters, reg=0.1))
    for result in results[1:]:
        assert result.cost == results[0].cost
        for have, want in zip(result[2:], results[0][2:], strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mf_gradient_logistic_is_accurate_for_large_predictions(dtype):
    z = np.array([-800, -90, -30, -8, -1e-3, 0, 1e-3, 0.5, 2, 8, 30, 90, 800], dtype)
    n = len(z)
    for label in (0.0, 1.0, 0.25):
        ratings = Ratings(
            np.arange(n + 1), np.zeros(n, np.int32), np.full(n, label, np.float32),
            users=IdMap.range(n), items=IdMap.range(1),
        )  # fmt: skip
        got = ops.mf_cost_and_gradient(
            ratings, z[:, None].copy(), np.ones((1, 1), dtype), np.zeros(n, dtype), np.zeros(1, dtype), cost="logistic"
        )
        exact = z.astype(np.float64)
        with np.errstate(over="ignore"):
            slope = 1 / (1 + np.exp(-exact)) - label
        np.testing.assert_allclose(got.user_bias, slope, rtol=0, atol=2 * np.finfo(dtype).eps)
        assert got.cost == pytest.approx(
            (np.logaddexp(0, exact) - label * exact).sum(), rel=4 * float(np.finfo(dtype).eps)
        )
        assert np.isfinite(got.cost)


def test_mf_gradient_not_finite_parameters_give_not_finite_cost():
    random = np.random.default_rng(0)
    ratings = make_ratings(random, 8, 6, 0.9, labels=True)
    for bad in (np.nan, np.inf):
        for cost in ("squared", "logistic"):
            parameters = make_parameters(random, 8, 6, 4, np.float32)
            parameters[0][7, 0] = bad
            assert not np.isfinite(ops.mf_cost_and_gradient(ratings, *parameters, cost=cost, reg=0.1).cost)


def test_mf_gradient_takes_scipy_matrices_and_keeps_rows():
    matrix = scipy.sparse.csr_matrix(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))
    got = ops.mf_cost_and_gradient(matrix, np.zeros((3, 2)), np.ones((3, 2)))
    assert got.cost == pytest.approx(7.0)
    np.testing.assert_array_equal(got.user_factors, [[-2, -2], [0, 0], [-4, -4]])
    np.testing.assert_array_equal(ops.mf_predict(matrix, np.ones((3, 2)), np.ones((3, 2))), [2, 2, 2])


MATRIX = scipy.sparse.csr_matrix(np.array([[1.0, 2.0], [0.0, 3.0], [4.0, 0.0]]))
P, Q = np.ones((3, 4)), np.ones((2, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ratings": np.ones((2, 2))}, TypeError, "ratings must be Ratings or a SciPy sparse matrix; got ndarray"),
        ({"user_factors": P.astype(int)}, TypeError, "user_factors must be a float32 or float64 NumPy arr.*int64"),
        ({"item_factors": Q.tolist()}, TypeError, "item_factors must be a float32 or float64 NumPy array; got list"),
        ({"item_factors": Q.astype(np.float32)}, TypeError, "item_factors must have dtype float64; got float32"),
        ({"item_factors": Q[:, :3].copy()}, ValueError, "as many columns; got 4 and 3"),
        ({"item_factors": Q[:1]}, ValueError, r"indices must lie in \[0, 1\)|item_indptr must have 2 entries; got 3"),
        ({"user_factors": P[:2]}, ValueError, "indptr must have 3 entries; got 4"),
        ({"user_factors": P[:, ::2]}, ValueError, "user_factors must be C-contiguous"),
        ({"user_bias": np.ones(3)}, ValueError, "user_bias and item_bias must be given together"),
        ({"user_bias": np.ones(2), "item_bias": np.ones(2)}, ValueError, "user_bias must have 3 entries; got 2"),
        ({"item_offset": np.ones(3)}, ValueError, "item_offset must have 2 entries; got 3"),
        ({"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        ({"cost": "logistic"}, ValueError, r"labels must lie in \[0, 1\] for .*; got ratings from 1.0 to 4.0"),
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0; got -1.0"),
        ({"item_bias_reg": np.nan}, ValueError, "item_bias_reg must be a finite number of at least 0; got nan"),
        ({"reg_exponent": 1.5}, ValueError, r"reg_exponent must lie in \[0, 1\]; got 1.5"),
    ],
)  # fmt: skip
def test_mf_gradient_bad_input_raises(arguments, error, message):
    valid = {"ratings": MATRIX, "user_factors": P, "item_factors": Q}
    with pytest.raises(error, match=message):
        ops.mf_cost_and_gradient(**{**valid, **arguments})


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.int64([0, 2, 1, 4]), "by user: indptr must not decrease"),
        (1, np.int32([0, 1, 2, 0]), r"indices must lie in \[0, 2\); got 2 at entry 2"),
        (2, np.ones(3), "values must have 4 entries; got 3"),
        (3, np.int64([0, 2, 5]), "by item: indptr must end"),
        (4, np.int32([0, 2, 0, -1]), r"item_users must lie in \[0, 3\); got -1 at entry 3"),
        (5, np.int64([0, 3, 1, 4]), r"item_entries must lie in \[0, 4\); got 4 at entry 3"),
    ],
)
def test_mf_gradient_damaged_structure_raises(auto_backend, position, value, message):
    arguments = [
        np.int64([0, 2, 3, 4]), np.int32([0, 1, 1, 0]), np.ones(4), np.int64([0, 2, 4]), np.int32([0, 2, 0, 1]),
        np.int64([0, 3, 1, 2]), P, Q,
    ]  # fmt: skip
    assert auto_backend.mf_gradient(*arguments)[0] == pytest.approx(4 * 3**2 / 2)
    arguments[position] = value
    with pytest.raises(ValueError, match=message):
        auto_backend.mf_gradient(*arguments)
