"""The SGD op against its reference: every step of an epoch, in the order the op says it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from backends import BACKENDS
from fastcf import _cpu
from reference import sgd_epoch

pytestmark = pytest.mark.every_isa


def _csr(random, n_users, n_items, density, dense_row=False):
    mask = random.random((n_users, n_items)) < density
    if dense_row and n_users:
        mask[0] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    return indptr, indices, random.normal(3, 1, indices.size).astype(np.float32)


def _trainer(backend, csr, n_items, k, **options):
    defaults = {
        "n_factors": k, "reg": 0.1, "reg_exponent": 1.0, "user_bias": True, "item_bias": True, "user_bias_reg": 0.5,
        "item_bias_reg": 0.25, "lowest": -10.0, "highest": 10.0, "seed": 7, "n_threads": 1,
    }  # fmt: skip
    return backend.SgdTrainer(*csr, n_items, **{**defaults, **options})


def _parameters(random, n_users, n_items, k):
    shapes = (n_users, k), (n_items, k), (n_users,), (n_items,)
    return [random.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]


def _fetch(trainer, parameters):
    fetched = [np.empty_like(array) for array in parameters]
    trainer.get_parameters(*fetched)
    return fetched


@settings(max_examples=60)
@given(
    n_users=st.sampled_from([1, 3, 4, 5, 31, 33]),
    n_items=st.sampled_from([1, 2, 32, 33]),
    k=st.sampled_from([1, 15, 16, 17, 31, 33, 64, 80, 127, 128, 130, 200]),
    density=st.sampled_from([0.05, 0.3, 1.0]),
    dense_row=st.booleans(),
    weighted=st.booleans(),
    user_bias=st.booleans(),
    item_bias=st.booleans(),
    item_offset=st.booleans(),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
    logistic=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
)
def test_sgd_epochs_match_reference(
    backend,
    n_users,
    n_items,
    k,
    density,
    dense_row,
    weighted,
    user_bias,
    item_bias,
    item_offset,
    exponent,
    logistic,
    seed,
):
    random = np.random.default_rng(seed)
    csr = _csr(random, n_users, n_items, density, dense_row)
    if logistic:
        item_offset = False
        csr = (*csr[:2], (csr[2] > 3).astype(np.float32))
    global_offset = -0.75 if logistic else 3.0
    nnz = csr[1].size
    weights = random.uniform(0, 2, nnz).astype(np.float32) if weighted else None
    offset = random.normal(3, 0.5, n_items).astype(np.float32) if item_offset else None
    trainer = _trainer(backend,
        csr, n_items, k, weights=weights, item_offset=offset, global_offset=global_offset, reg_exponent=exponent,
        user_bias=user_bias, item_bias=item_bias, cost="logistic" if logistic else "squared", seed=seed,
    )  # fmt: skip
    parameters = _parameters(random, n_users, n_items, k)
    trainer.set_parameters(*parameters)
    for bias, wanted in zip(parameters[2:], (user_bias, item_bias), strict=True):
        bias *= wanted
    expected = [array.astype(np.float64) for array in parameters]
    rows = np.repeat(np.arange(n_users), np.diff(csr[0]))
    means = offset if item_offset else np.full(n_items, 0.0 if logistic else 3.0, np.float32)
    ratings = {
        (u, i): (np.float64(y) - means[i], w)
        for u, i, y, w in zip(rows, csr[1], csr[2], weights if weighted else np.ones(nnz), strict=True)
    }
    for _ in range(2):
        order = trainer.order()
        assert sorted(zip(order[0], order[1], strict=True)) == sorted(ratings)
        assert np.all(np.diff(order[2]) >= 0)
        loss = trainer.epoch(0.02, 0.03)
        wanted = sgd_epoch(
            order, ratings, expected, learning_rate=0.02, bias_learning_rate=0.03, reg=0.1, exponent=exponent,
            bias_regs=(0.5 if user_bias else None, 0.25 if item_bias else None),
            logistic_offset=global_offset if logistic else None,
        )  # fmt: skip
        assert loss == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    got = _fetch(trainer, parameters)
    for name, have, want in zip("PQbc", got, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-4, atol=2e-5, err_msg=name)
    assert user_bias or not got[2].any()
    assert item_bias or not got[3].any()
    squares = [np.float64(array) ** 2 for array in got]
    n_u, n_i = np.diff(csr[0]), np.bincount(csr[1], minlength=n_items)
    penalty = 0.05 * sum(
        (np.where(n > 0, n.astype(float) ** exponent, 0)[:, None] * s).sum()
        for n, s in ((n_u, squares[0]), (n_i, squares[1]))
    )
    penalty += 0.25 * squares[2][n_u > 0].sum() + 0.125 * squares[3][n_i > 0].sum()
    assert trainer.penalty() == pytest.approx(penalty, rel=1e-5, abs=1e-6)


def test_sgd_many_tiles_cover_every_rating_once(backend):
    random = np.random.default_rng(0)
    csr = _csr(random, 40, 900, 0.3)
    trainer = _trainer(backend, csr, 900, 1000)  # rows of 4 KiB: several item blocks
    users, items, _ = trainer.order()
    rows = np.repeat(np.arange(40), np.diff(csr[0]))
    assert sorted(zip(users, items, strict=True)) == sorted(zip(rows, csr[1], strict=True))


@pytest.fixture(scope="module")
def large(backend):
    """Ratings of several tiles; an emulated GPU has more tiles and less speed."""
    if backend.__name__.endswith("_emu"):
        return fastcf.data.make_ratings(300, 150, 15_000, random_state=1)
    return fastcf.data.make_ratings(20_000, 3_000, 1_500_000, random_state=1)


@pytest.mark.parametrize(("k", "cost"), [(20, "squared"), (64, "squared"), (128, "squared"), (64, "logistic")])
def test_sgd_same_bits_for_any_number_of_threads(backend, large, k, cost):
    values = (large.values > 3).astype(np.float32) if cost == "logistic" else large.values
    results = []
    parameters = _parameters(np.random.default_rng(0), large.n_users, large.n_items, k)
    for n_threads in (1, 2, 4):
        trainer = _trainer(
            backend, (large.indptr, large.indices, values), large.n_items, k, cost=cost, n_threads=n_threads
        )
        trainer.set_parameters(*parameters)
        losses = [trainer.epoch(0.01, 0.01) for _ in range(2)]
        results.append((losses, _fetch(trainer, parameters)))
    for losses, fetched in results[1:]:
        assert losses == results[0][0]
        for have, want in zip(fetched, results[0][1], strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.fixture(params=[name for name in BACKENDS if name != "cpu"])
def gpu(request):
    """A GPU, real or emulated: the CPU neither races nor keeps halves."""
    return BACKENDS[request.param]


def _squared_errors(trainer, parameters, csr):
    P, Q, b_u, b_i = _fetch(trainer, parameters)
    rows = np.repeat(np.arange(len(P)), np.diff(csr[0]))
    return (3 + b_u[rows] + b_i[csr[1]] + (P[rows] * Q[csr[1]]).sum(axis=1) - csr[2]) ** 2


@pytest.mark.parametrize("k", [8, 24, 64, 100, 200, 520])
@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_sgd_on_a_gpu_learns_what_the_cpu_learns(gpu, k, storage, deterministic):
    random = np.random.default_rng(0)
    csr = _csr(random, 60, 400, 0.05)  # many items: runs of one warp seldom meet
    parameters = _parameters(random, 60, 400, k)
    parameters = [parameters[0] / np.float32(k**0.5), parameters[1] / np.float32(k**0.5), *parameters[2:]]
    errors = []
    for module, options in (
        (_cpu, {}),
        (gpu, {"deterministic": deterministic, "storage": storage}),
    ):
        trainer = _trainer(module, csr, 400, k, global_offset=3.0, reg=0.05, **options)
        trainer.set_parameters(*parameters)
        losses = [trainer.epoch(0.02, 0.02) for _ in range(10)]
        assert losses[-1] < losses[0]
        errors.append(np.sqrt(_squared_errors(trainer, parameters, csr).mean()))
    assert errors[1] == pytest.approx(errors[0], rel=0.02)  # the order of steps differs, and so does what is learnt


def test_sgd_halves_are_what_is_learnt(gpu):
    random = np.random.default_rng(0)
    csr = _csr(random, 20, 30, 0.5)
    parameters = _parameters(random, 20, 30, 16)
    trainer = _trainer(gpu, csr, 30, 16, storage="float16")
    trainer.set_parameters(*parameters)
    trainer.epoch(0.01, 0.01)
    for factors in _fetch(trainer, parameters)[:2]:
        np.testing.assert_array_equal(factors, factors.astype(np.float16).astype(np.float32))


def test_sgd_halves_on_the_cpu_raise():
    random = np.random.default_rng(0)
    trainer = _trainer(_cpu, _csr(random, 3, 4, 0.5), 4, 2, storage="float16")
    with pytest.raises(ValueError, match="halves are for GPUs"):
        trainer.epoch(0.01, 0.01)


@pytest.mark.parametrize("order", ["backward", "shuffled"])
@pytest.mark.skipif("emu" not in BACKENDS, reason="only an emulated GPU's threads can be reordered")
def test_sgd_same_bits_for_any_order_of_threads(order):
    backend = BACKENDS["emu"]
    random = np.random.default_rng(0)
    csr = _csr(random, 80, 60, 0.3)
    parameters = _parameters(random, 80, 60, 20)
    results = []
    try:
        for each in ("forward", order):
            backend.emulation.set_order(each, 3)
            trainer = _trainer(backend, csr, 60, 20)
            trainer.set_parameters(*parameters)
            results.append([np.float64(trainer.epoch(0.01, 0.01)), *_fetch(trainer, parameters)])
    finally:
        backend.emulation.set_order("forward")
    for have, want in zip(*results, strict=True):
        np.testing.assert_array_equal(have, want)


def test_sgd_order_of_users_and_epochs_depends_on_seed(backend, large):
    csr = (large.indptr, large.indices, large.values)
    first, second = (_trainer(backend, csr, large.n_items, 8, seed=seed) for seed in (1, 2))
    order = first.order()
    assert not np.array_equal(order[0], second.order()[0])
    first.set_parameters(*_parameters(np.random.default_rng(0), large.n_users, large.n_items, 8))
    first.epoch(0.01, 0.01)
    assert not np.array_equal(order[0], first.order()[0])


def test_sgd_best_parameters_come_back(backend):
    random = np.random.default_rng(0)
    csr = _csr(random, 30, 20, 0.5)
    trainer = _trainer(backend, csr, 20, 8)
    with pytest.raises(RuntimeError, match="nothing was saved"):
        trainer.restore_best()
    parameters = _parameters(random, 30, 20, 8)
    trainer.set_parameters(*parameters)
    trainer.save_best()
    trainer.epoch(0.05, 0.05)
    assert not np.array_equal(_fetch(trainer, parameters)[0], parameters[0])
    trainer.restore_best()
    for have, want in zip(_fetch(trainer, parameters), parameters, strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("weighted", [False, True])
def test_sgd_validation_error_counts_unknown_rows_and_clips(backend, weighted):
    random = np.random.default_rng(0)
    csr = _csr(random, 30, 20, 0.5)
    offset = random.normal(3, 1, 20).astype(np.float32)
    trainer = _trainer(backend, csr, 20, 8, item_offset=offset, global_offset=2.5, lowest=2.0, highest=4.0)
    P, Q, b_u, b_i = parameters = _parameters(random, 30, 20, 8)
    trainer.set_parameters(*parameters)
    users = np.array([0, 5, -1, 7, -1], np.int32)
    items = np.array([3, -1, 4, 19, -1], np.int32)
    y = np.array([3, 2, 4, 5, 1], np.float32)
    weights = np.array([1, 0, 2, 3, 0.5], np.float32) if weighted else None
    trainer.set_validation(users, items, y, weights)
    predicted = [
        (2.5 if i < 0 else offset[i])
        + (b_u[u] if u >= 0 else 0)
        + (b_i[i] if i >= 0 else 0)
        + (P[u] @ Q[i] if u >= 0 and i >= 0 else 0)
        for u, i in zip(users, items, strict=True)
    ]
    wanted = ((np.clip(predicted, 2, 4) - y) ** 2 * (weights if weighted else 1)).sum()
    assert trainer.validation_squared_error() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_sgd_sample_sums_are_of_predictions_as_they_are_and_same_for_any_threads(backend, weighted):
    random = np.random.default_rng(0)
    csr, parameters = _csr(random, 30, 20, 0.5), _parameters(random, 30, 20, 8)
    users, items = np.repeat(np.arange(30), np.diff(csr[0])).astype(np.int32), csr[1]
    labels = random.integers(0, 2, items.size).astype(np.float32)
    weights = random.random(items.size).astype(np.float32) if weighted else None
    w = 1.0 if weights is None else weights.astype(float)
    seen = []
    for n_threads in (1, 2):
        trainer = _trainer(backend, csr, 20, 8, global_offset=2.5, lowest=2.0, highest=2.1, n_threads=n_threads)
        trainer.set_parameters(*parameters)
        trainer.set_sample(users, items, labels, weights)
        trainer.epoch(0.02, 0.03)
        seen.append((trainer.sample_squared_error(), trainer.sample_log_loss()))
    P, Q, b_u, b_i = (array.astype(float) for array in _fetch(trainer, parameters))
    z = 2.5 + b_u[users] + b_i[items] + (P[users] * Q[items]).sum(axis=1)
    wanted = (w * (z - labels) ** 2).sum(), (w * (np.logaddexp(0, z) - labels * z)).sum()
    assert seen[0] == pytest.approx(wanted, rel=1e-5)
    assert seen[1] == seen[0]
    with pytest.raises(ValueError, match=r"SgdTrainer.set_sample: items must lie in \[-1, 20\); got 20 at entry 0"):
        trainer.set_sample(np.int32([0]), np.int32([20]), np.float32([1]))


@pytest.mark.parametrize("side", ["user", "item"])
def test_sgd_side_without_biases_stays_so_at_any_rate(backend, side):
    random = np.random.default_rng(0)
    csr, parameters = _csr(random, 30, 20, 0.5), _parameters(random, 30, 20, 8)
    trainer = _trainer(backend, csr, 20, 8, **{f"{side}_bias": False})
    trainer.set_parameters(*parameters)
    kept, none = (3, 2) if side == "user" else (2, 3)
    for rate in (0.0, 0.05, 0.0):
        before = _fetch(trainer, parameters)
        assert np.isfinite(trainer.epoch(0.01, rate))
        got = _fetch(trainer, parameters)
        assert not got[none].any()
        assert np.array_equal(got[kept], before[kept]) == (rate != 0.05)
        assert np.isfinite(trainer.penalty())


def test_sgd_logistic_validation_counts_unknown_rows(backend):
    random = np.random.default_rng(0)
    csr = _csr(random, 30, 20, 0.5)
    csr = (*csr[:2], (csr[2] > 3).astype(np.float32))
    trainer = _trainer(backend, csr, 20, 8, global_offset=0.5, cost="logistic", lowest=0.0, highest=1.0)
    P, Q, b_u, b_i = parameters = _parameters(random, 30, 20, 8)
    trainer.set_parameters(*parameters)
    users = np.array([0, 5, -1, 7, -1], np.int32)
    items = np.array([3, -1, 4, 19, -1], np.int32)
    y = np.array([0, 1, 1, 0, 1], np.float32)
    trainer.set_validation(users, items, y)
    z = [
        0.5 + (b_u[u] if u >= 0 else 0) + (b_i[i] if i >= 0 else 0) + (P[u] @ Q[i] if u >= 0 and i >= 0 else 0)
        for u, i in zip(users, items, strict=True)
    ]
    wanted = (np.logaddexp(0, z) - y * z).sum()
    assert trainer.validation_log_loss() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("magnitude", [50.0, 90.0, 1e4, 1e30])
def test_sgd_logistic_far_from_zero_stays_finite(backend, magnitude):
    indptr, indices = np.arange(5, dtype=np.int64), np.arange(4, dtype=np.int32)
    labels = np.array([0, 1, 0, 1], np.float32)
    trainer = _trainer(
        backend, (indptr, indices, labels), 4, 1, cost="logistic", reg=0.0, user_bias_reg=0.0, item_bias_reg=0.0
    )
    z = np.array([magnitude, magnitude, -magnitude, -magnitude], np.float32)
    zeros = np.zeros((4, 1), np.float32)
    trainer.set_parameters(zeros, zeros, z, np.zeros(4, np.float32))
    loss = trainer.epoch(0.0, 0.5)
    assert loss == pytest.approx(2.0 * magnitude, rel=1e-6)  # right answers cost nothing, wrong ones |z|
    bias = np.empty(4, np.float32)
    trainer.get_parameters(zeros.copy(), zeros.copy(), bias, np.empty(4, np.float32))
    np.testing.assert_allclose(bias, z + np.float32([-0.5, 0, 0, 0.5]), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.array([0, 99], np.int32)}, "indices must lie in"),
        ({"indices": np.array([0, -1], np.int32)}, "indices must lie in"),
        ({"indptr": np.array([0, 3, 2], np.int64)}, "indptr must"),
        ({"indptr": np.array([1, 2, 2], np.int64)}, "indptr must start at 0"),
        ({"indptr": np.array([0, 1, 5], np.int64)}, "indptr must end"),
        ({"values": np.array([1], np.float32)}, "values must have"),
        ({"weights": np.ones(3, np.float32)}, "weights must have"),
        ({"item_offset": np.ones(3, np.float32)}, "item_offset must have"),
        ({"n_factors": 0}, "n_factors must be positive"),
        ({"lowest": 2.0, "highest": 1.0}, "lowest must not exceed"),
        ({"storage": "float64"}, "storage must be 'float32' or 'float16'; got 'float64'"),
        ({"cost": "hinge"}, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        ({"cost": "logistic", "item_offset": np.ones(2, np.float32)}, "item_offset must be None"),
    ],
)
def test_sgd_bad_arrays_raise_value_error(backend, change, message):
    arrays = {
        "indptr": np.array([0, 1, 2], np.int64),
        "indices": np.array([0, 1], np.int32),
        "values": np.array([1, 2], np.float32),
    }
    options = {**arrays, **change}
    csr = [options.pop(name) for name in ("indptr", "indices", "values")]
    with pytest.raises(ValueError, match=message):
        _trainer(backend, csr, 2, **{"k": options.pop("n_factors", 4), **options})


def test_sgd_bad_dtypes_and_shapes_raise(backend):
    random = np.random.default_rng(0)
    csr = _csr(random, 3, 4, 0.5)
    with pytest.raises(TypeError, match="values must have dtype float32; got float64"):
        _trainer(backend, (csr[0], csr[1], csr[2].astype(np.float64)), 4, 2)
    trainer = _trainer(backend, csr, 4, 2)
    parameters = _parameters(random, 3, 4, 2)
    with pytest.raises(ValueError, match="user_factors must have shape"):
        trainer.set_parameters(parameters[0][:2].copy(), *parameters[1:])
    with pytest.raises(ValueError, match="user_bias must have"):
        trainer.set_parameters(parameters[0], parameters[1])
    with pytest.raises(ValueError, match="C-contiguous"):
        trainer.set_parameters(np.asfortranarray(parameters[0]), *parameters[1:])
    read_only = parameters[0].copy()
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        trainer.get_parameters(read_only, *parameters[1:])
    with pytest.raises(ValueError, match=r"users must lie in \[-1, 3\)"):
        trainer.set_validation(np.array([3], np.int32), np.array([0], np.int32), np.ones(1, np.float32))
