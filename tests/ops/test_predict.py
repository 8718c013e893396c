from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference

pytestmark = pytest.mark.every_isa


def make_model(rng, n_users, n_items, k, optional=(True, True, True)):
    def bias(given, size):
        return rng.standard_normal(size).astype(np.float32) if given else None

    return {
        "user_factors": rng.standard_normal((n_users, k)).astype(np.float32),
        "item_factors": rng.standard_normal((n_items, k)).astype(np.float32),
        "user_bias": bias(optional[0], n_users),
        "item_bias": bias(optional[1], n_items),
        "item_offset": bias(optional[2], n_items),
        "global_offset": np.float32(3.5),
    }


models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "n_users": st.sampled_from([0, 1, 13, 14, 15, 33]),
        "n_items": st.sampled_from([0, 1, 31, 32, 33, 257]),
        "k": st.sampled_from([0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 64, 100]),
        "optional": st.tuples(st.booleans(), st.booleans(), st.booleans()),
    }
)


@given(models, st.sampled_from([0, 1, 31, 32, 33, 1025]), st.sampled_from([1, 2]))
def test_predict_pairs_equals_reference(backend, shape, n, n_threads):
    rng = np.random.default_rng(shape.pop("seed"))
    model = make_model(rng, **shape)
    users = rng.integers(-1, shape["n_users"], n).astype(np.int32)
    items = rng.integers(-1, shape["n_items"], n).astype(np.int32)
    got = backend.predict_pairs(users, items, **model, n_threads=n_threads)
    expected, bound = reference.predict(users, items, **model)
    assert got.dtype == np.float32
    assert (np.abs(got - expected) <= bound).all()


@given(models, st.sampled_from([0, 1, 14, 33, 300]), st.sampled_from([1, 2]))
def test_predict_block_equals_reference(backend, shape, m, n_threads):
    rng = np.random.default_rng(shape.pop("seed"))
    model = make_model(rng, **shape)
    users = rng.integers(-1, shape["n_users"], m).astype(np.int32)
    got = backend.predict_block(users, **model, n_threads=n_threads)
    assert got.shape == (m, shape["n_items"])
    rows = rng.integers(0, m, 3) if m else []  # the reference is a loop: some rows suffice
    for row in rows:
        items = np.arange(shape["n_items"])
        expected, bound = reference.predict(np.full(len(items), users[row]), items, **model)
        assert (np.abs(got[row] - expected) <= bound).all()


@given(models, st.floats(-1, 3), st.floats(4, 6), st.sampled_from([1, 2]))
def test_predict_evaluate_csr_equals_reference(backend, shape, low, high, n_threads):
    rng = np.random.default_rng(shape.pop("seed"))
    model = make_model(rng, **shape)
    rated = rng.random((shape["n_users"], shape["n_items"])) < 0.3
    rated[: len(rated) // 3] = False  # empty rows
    users, items = np.nonzero(rated)
    indptr = np.concatenate([[0], rated.sum(axis=1).cumsum()]).astype(np.int64)
    values = rng.standard_normal(len(users)).astype(np.float32)
    got = backend.evaluate_csr(indptr, items.astype(np.int32), values, **model, low=low, high=high, n_threads=n_threads)
    exact, bound = reference.predict(users, items, **model)
    squared, absolute, count = reference.errors(exact, values, np.float32(low), np.float32(high))
    error = np.abs(np.clip(exact, low, high) - values)
    assert got[2] == count
    assert abs(got[1] - absolute) <= bound.sum() + 1e-12
    assert abs(got[0] - squared) <= (2 * error * bound + bound**2).sum() + 1e-12


@given(
    models,
    st.sampled_from([0, 1, 31, 33, 1025]),
    st.booleans(),
    st.floats(-1, 3),
    st.floats(4, 6),
    st.sampled_from([1, 2]),
)
def test_predict_evaluate_pairs_equals_reference(backend, shape, n, weighted, low, high, n_threads):
    rng = np.random.default_rng(shape.pop("seed"))
    model = make_model(rng, **shape)
    users = rng.integers(-1, shape["n_users"], n).astype(np.int32)
    items = rng.integers(-1, shape["n_items"], n).astype(np.int32)
    values = rng.standard_normal(n).astype(np.float32)
    weights = rng.random(n).astype(np.float32) if weighted else None
    w = np.ones(n) if weights is None else weights.astype(float)
    given_weights = {} if weights is None else {"weights": weights}
    got = backend.evaluate_pairs(
        users, items, values, **model, **given_weights, low=low, high=high, n_threads=n_threads
    )
    exact, bound = reference.predict(users, items, **model)
    error = np.abs(np.clip(exact, np.float32(low), np.float32(high)) - values)
    assert got[2] == n
    assert abs(got[1] - w @ error) <= w @ bound + 1e-12
    assert abs(got[0] - w @ error**2) <= w @ (2 * error * bound + bound**2) + 1e-12

    labels = rng.random(n).astype(np.float32)
    loss = backend.log_loss_pairs(users, items, labels, **model, **given_weights, n_threads=n_threads)
    expected = w @ (np.logaddexp(0, exact) - labels * exact)
    assert abs(loss - expected) <= w @ bound + 1e-12 * n * np.abs(exact).max(initial=1)


@pytest.mark.slow("emu")
def test_predict_same_bits_for_any_number_of_threads_and_alone(backend):
    rng = np.random.default_rng(3)
    model = make_model(rng, 500, 400, 37)
    users, items = rng.integers(-1, 500, 70_001).astype(np.int32), rng.integers(-1, 400, 70_001).astype(np.int32)
    values = rng.standard_normal(70_001).astype(np.float32)
    indptr = np.linspace(0, 70_001, 501).astype(np.int64)
    columns = np.abs(items)
    pairs = backend.predict_pairs(users, items, **model, n_threads=1)
    block = backend.predict_block(users[:600], **model, n_threads=1)
    sums = backend.evaluate_csr(indptr, columns, values, **model, n_threads=1)
    for n_threads in (2, 4):
        np.testing.assert_array_equal(backend.predict_pairs(users, items, **model, n_threads=n_threads), pairs)
        np.testing.assert_array_equal(backend.predict_block(users[:600], **model, n_threads=n_threads), block)
        assert backend.evaluate_csr(indptr, columns, values, **model, n_threads=n_threads) == sums
    for entry in range(0, 70_001, 7_000):
        alone = backend.predict_pairs(users[entry : entry + 1], items[entry : entry + 1], **model)
        assert alone[0] == pairs[entry]
    alone = backend.predict_block(users[17:18], **model)[0]
    if backend.__name__.endswith("_cuda"):  # cuBLAS chooses by the number of rows
        np.testing.assert_allclose(alone, block[17], rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(alone, block[17])


def test_predict_unknown_rows_get_documented_value(backend):
    model = make_model(np.random.default_rng(0), 3, 2, 4)
    model["user_factors"][:] = np.nan  # must not leak into predictions for unknown users
    users, items = np.int32([-1, -1]), np.int32([1, -1])
    got = backend.predict_pairs(users, items, **model)
    np.testing.assert_array_equal(got, [model["item_offset"][1] + model["item_bias"][1], np.float32(3.5)])
    block = backend.predict_block(np.int32([-1]), **model)
    np.testing.assert_array_equal(block[0], model["item_offset"] + model["item_bias"])
    model = make_model(np.random.default_rng(0), 3, 2, 4)
    known = backend.predict_pairs(np.int32([2]), np.int32([-1]), **model)
    np.testing.assert_array_equal(known, [np.float32(3.5) + model["user_bias"][2]])


ROWS = np.zeros(2, np.int32)
F = np.ones((3, 4), np.float32)
B = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"user_rows": np.int32([0, 3])}, ValueError, r"user_rows must lie in \[-1, 3\); got 3 at entry 1"),
        ({"item_rows": np.int32([-2, 0])}, ValueError, r"item_rows must lie in \[-1, 3\); got -2 at entry 0"),
        ({"item_rows": ROWS[:1]}, ValueError, "as many entries; got 2 and 1"),
        ({"item_rows": ROWS.astype(np.int64)}, TypeError, "item_rows must have dtype int32; got int64"),
        ({"user_factors": F[:, :3].copy()}, ValueError, "as many columns; got 3 and 4"),
        ({"user_factors": F[:, :3]}, ValueError, "user_factors must be C-contiguous"),
        ({"user_bias": B[:2]}, ValueError, "user_bias must have 3 entries; got 2"),
        ({"item_bias": B[:0]}, ValueError, "item_bias must have 3 entries; got 0"),
        ({"item_offset": B.astype(float)}, TypeError, "item_offset must have dtype float32; got float64"),
    ],
)
def test_predict_pairs_bad_input_raises(backend, arguments, error, message):
    valid = {"user_rows": ROWS, "item_rows": ROWS, "user_factors": F, "item_factors": F}
    with pytest.raises(error, match=f"predict_pairs: .*{message}|predict_pairs: {message}"):
        backend.predict_pairs(**{**valid, **arguments})
    for evaluate in (backend.evaluate_pairs, backend.log_loss_pairs):
        with pytest.raises(error, match=f"{evaluate.__name__}: .*{message}|{evaluate.__name__}: {message}"):
            evaluate(**{**valid, **arguments}, values=B[:2])
        with pytest.raises(ValueError, match=f"{evaluate.__name__}: weights must have 2 entries; got 3"):
            evaluate(**valid, values=B[:2], weights=B[:3])


def test_predict_block_bad_input_raises(backend):
    with pytest.raises(ValueError, match=r"predict_block: user_rows must lie in \[-1, 3\); got 3 at entry 0"):
        backend.predict_block(np.int32([3]), F, F)
    with pytest.raises(ValueError, match="predict_block: user_bias must have 3 entries; got 2"):
        backend.predict_block(ROWS, F, F, B[:2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"indptr": np.int64([0, 1])}, "must have one row per user|indptr must end"),
        ({"indptr": np.int64([0, 1, 1])}, r"must have one row per user \(3\); got 2"),
        ({"indices": np.int32([3])}, r"indices must lie in \[0, 3\); got 3 at entry 0"),
        ({"values": np.float32([1, 2])}, "values must have as many entries as indices"),
        ({"values": None}, "values must be given"),
        ({"low": 2.0, "high": 1.0}, "low must not exceed high; got 2 and 1"),
        ({"low": np.nan}, "low must not exceed high"),
    ],
)
def test_predict_evaluate_csr_bad_input_raises(backend, arguments, message):
    valid = {"indptr": np.int64([0, 1, 1, 1]), "indices": np.int32([0]), "values": np.float32([1])}
    with pytest.raises(ValueError, match=message):
        backend.evaluate_csr(**{**valid, **arguments}, user_factors=F, item_factors=F)
