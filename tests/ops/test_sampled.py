"""Steps on choices beside drawn items against their reference, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from backends import BACKENDS
from reference_sampled import sampled_epoch

pytestmark = pytest.mark.every_isa

COSTS = ["bpr", "logistic", "softmax"]


def _choices(random, n_users, n_items, density, dense_row=False):
    mask = random.random((n_users, n_items)) < density
    if dense_row and n_users:
        mask[0] = True
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int32)
    return indptr, indices, random.uniform(0.5, 2, indices.size).astype(np.float32)


def _trainer(backend, choices, n_items, k, **options):
    defaults = {
        "n_factors": k, "reg": 0.1, "reg_exponent": 0.5, "item_bias": True, "seed": 7,
        "n_threads": 1,
    }  # fmt: skip
    return backend.SampledTrainer(*choices, n_items, **{**defaults, **options})


def _parameters(random, n_users, n_items, k):
    shapes = (n_users, k), (n_items, k), (n_items,)
    return [random.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]


def _set(trainer, parameters):
    trainer.set_parameters(parameters[0], parameters[1], None, parameters[2])


def _fetch(trainer, parameters):
    fetched = [np.empty_like(array) for array in parameters]
    trainer.get_parameters(fetched[0], fetched[1], None, fetched[2])
    return fetched


@settings(max_examples=50)
@given(
    n_users=st.sampled_from([0, 1, 3, 4, 31, 32, 33]),
    n_items=st.sampled_from([1, 2, 32, 33, 70]),
    k=st.sampled_from([1, 16, 17, 33, 64, 80, 96, 128, 130]),
    n_drawn=st.sampled_from([1, 1, 2, 5]),
    density=st.sampled_from([0.05, 0.3, 1.0]),
    dense_row=st.booleans(),
    item_bias=st.booleans(),
    cost=st.sampled_from(COSTS),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    blocks=st.sampled_from([0, 1, 2, 3, 4]),
    seed=st.integers(0, 2**64 - 1),
)
def test_sampled_epochs_match_reference(
    backend, n_users, n_items, k, n_drawn, density, dense_row, item_bias, cost, power, blocks, seed
):
    random = np.random.default_rng(seed)
    choices = _choices(random, n_users, n_items, density, dense_row)
    trainer = _trainer(
        backend, choices, n_items, k, cost=cost, n_drawn=n_drawn, popularity_power=power, item_bias=item_bias,
        item_blocks=blocks, seed=seed,
    )  # fmt: skip
    parameters = _parameters(random, n_users, n_items, k)
    _set(trainer, parameters)
    parameters[2] *= item_bias
    expected = [array.astype(np.float64) for array in parameters]
    rows = np.repeat(np.arange(n_users), np.diff(choices[0]))
    weights = dict(zip(zip(rows, choices[1], strict=True), choices[2].astype(np.float64), strict=True))
    correction = trainer.correction().astype(np.float64)
    for _ in range(2):
        order, drawn = trainer.order(), trainer.drawn().reshape(-1, n_drawn)
        assert sorted(zip(order[0], order[1], strict=True)) == sorted(weights)
        assert len(drawn) == len(order[0])
        for user, items in zip(order[0], drawn, strict=True):
            assert not any((user, item) in weights for item in items)
        trainer.epoch(0.05, 0.03)
        sampled_epoch(
            order, drawn, weights, expected, cost=cost, correction=correction, learning_rate=0.05,
            bias_learning_rate=0.03, reg=0.1, exponent=0.5, biased=item_bias,
        )  # fmt: skip
    got = _fetch(trainer, parameters)
    for name, have, want in zip("PQb", got, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=3e-4, atol=3e-5, err_msg=name)
    squares = [np.float64(array) ** 2 for array in got]
    n_u, n_i = np.diff(choices[0]), np.bincount(choices[1], minlength=n_items)
    penalty = 0.05 * sum((np.sqrt(n)[:, None] * s).sum() for n, s in ((n_u, squares[0]), (n_i, squares[1])))
    penalty += 0.05 * (np.sqrt(n_i) * squares[2]).sum() if item_bias else 0.0
    assert trainer.penalty() == pytest.approx(penalty, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("blocks", [1, 4, 5])
def test_sampled_items_are_drawn_by_the_power_of_their_choices(backend, blocks):
    random = np.random.default_rng(0)
    n_items = 60
    popularity = 0.02 + 0.5 * random.random(n_items) ** 3
    mask = random.random((400, n_items)) < popularity
    mask[:, 7] = False
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    choices = (indptr, np.nonzero(mask)[1].astype(np.int32), np.ones(mask.sum(), np.float32))
    trainer = _trainer(backend, choices, n_items, 2, n_drawn=4, popularity_power=0.5, item_blocks=blocks)
    _set(trainer, _parameters(random, 400, n_items, 2))
    counted = np.zeros(n_items)
    state = trainer.get_state()
    for epoch in range(40):
        trainer.set_state({**state, "epochs": np.array([epoch])})
        drawn = trainer.drawn()
        shares = trainer.correction()
        counted += np.bincount(drawn[drawn >= 0], minlength=n_items) * shares
    powers = np.sqrt(mask.sum(axis=0))
    # A draw for a choice of user u counts where u has not chosen the item.
    wanted = 4 * 40 * powers / powers.sum() * (mask.sum(axis=1) @ ~mask)
    # Blocks meet by chance: their part of the spread does not shrink with the number of draws.
    np.testing.assert_allclose(counted, wanted, rtol=0.1 if blocks == 1 else 0.45, atol=20)
    assert counted.sum() == pytest.approx(wanted.sum(), rel=0.02 if blocks == 1 else 0.1)
    assert counted[7] == 0


def test_sampled_exact_and_shared_bits_of_filters_agree(backend):
    """Few choices among many items share bits; a user of many has a bit for each item."""
    random = np.random.default_rng(0)
    n_items = 3000
    chosen = [np.sort(random.choice(300, n, replace=False)) for n in (3, 30, 120, 250)]
    indptr = np.concatenate([[0], np.cumsum([c.size for c in chosen])]).astype(np.int64)
    items = np.concatenate(chosen).astype(np.int32)
    trainer = _trainer(backend, (indptr, items, np.ones(items.size, np.float32)), n_items, 4, n_drawn=32, item_blocks=1)
    order, drawn = trainer.order(), trainer.drawn().reshape(-1, 32)
    masked = (drawn < 0).mean(axis=1)
    for user, of_user in enumerate(chosen):
        share = of_user.size / np.unique(items).size
        assert masked[order[0] == user].mean() == pytest.approx(share, abs=0.1)
    parameters = _parameters(random, 4, n_items, 4)
    _set(trainer, parameters)
    wanted = [array.astype(np.float64) for array in parameters]
    weights = {(u, i): 1.0 for u, of_user in enumerate(chosen) for i in of_user}
    trainer.epoch(0.05, 0.0)
    sampled_epoch(
        order, drawn, weights, wanted, cost="bpr", correction=trainer.correction(), learning_rate=0.05,
        bias_learning_rate=0.0, reg=0.1, exponent=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(_fetch(trainer, parameters)[1], wanted[1], rtol=3e-4, atol=3e-5)


@pytest.fixture(scope="module")
def large(backend):
    """Choices of several tiles; an emulated GPU has more tiles and less speed."""
    if backend.__name__.endswith("_emu"):
        return fastcf.data.make_ratings(200, 300, 4_000, random_state=1)
    return fastcf.data.make_ratings(8_000, 2_000, 800_000, random_state=1)


@pytest.mark.parametrize(("k", "cost", "n_drawn"), [(20, "bpr", 1), (128, "bpr", 1), (16, "softmax", 3)])
def test_sampled_same_bits_for_any_number_of_threads(backend, large, k, cost, n_drawn):
    choices = (large.indptr, large.indices, np.ones_like(large.values))
    parameters = _parameters(np.random.default_rng(0), large.n_users, large.n_items, k)
    results = []
    for n_threads in (1, 2, 4):
        trainer = _trainer(backend, choices, large.n_items, k, cost=cost, n_drawn=n_drawn, n_threads=n_threads)
        _set(trainer, parameters)
        for _ in range(2):
            trainer.epoch(0.05, 0.05)
        results.append(_fetch(trainer, parameters))
    for fetched in results[1:]:
        for have, want in zip(fetched, results[0], strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("order", ["backward", "shuffled"])
@pytest.mark.skipif("emu" not in BACKENDS, reason="only an emulated GPU's threads can be reordered")
def test_sampled_same_bits_for_any_order_of_threads(order):
    backend = BACKENDS["emu"]
    random = np.random.default_rng(0)
    choices = _choices(random, 40, 60, 0.3)
    parameters = _parameters(random, 40, 60, 20)
    results = []
    try:
        for each in ("forward", order):
            backend.emulation.set_order(each, 3)
            trainer = _trainer(backend, choices, 60, 20, n_drawn=2, item_blocks=4)
            _set(trainer, parameters)
            trainer.epoch(0.05, 0.05)
            results.append(_fetch(trainer, parameters))
    finally:
        backend.emulation.set_order("forward")
    for have, want in zip(*results, strict=True):
        np.testing.assert_array_equal(have, want)


def test_sampled_bad_input_raises(backend):
    random = np.random.default_rng(0)
    choices = _choices(random, 5, 6, 0.5)
    for options, message in [
        ({"n_drawn": 0}, r"n_drawn must lie in \[1, 256\]; got 0"),
        ({"popularity_power": -1.0}, "popularity_power must be at least 0; got -1"),
        ({"n_factors": 0}, "n_factors must be positive"),
        ({"cost": "hinge"}, "cost"),
    ]:
        with pytest.raises(ValueError, match=message):
            _trainer(backend, choices, 6, **{"k": 4, **options}) if "n_factors" not in options else _trainer(
                backend, choices, 6, 0
            )
    trainer = _trainer(backend, choices, 6, 4)
    parameters = _parameters(random, 5, 6, 4)
    with pytest.raises(ValueError, match=r"SampledTrainer.set_parameters: item_factors must have shape \(6, 4\)"):
        trainer.set_parameters(parameters[0], parameters[0], None, parameters[2])
    with pytest.raises(RuntimeError, match="nothing was saved"):
        trainer.restore_best()
    one = np.zeros(1, np.int32)
    for users, items, drawn, message in [
        (one + 5, one, one[:, None], r"users must lie in \[0, 5\)"),
        (one, one - 1, one[:, None], r"items must lie in \[0, 6\)"),
        (one, one, one[:, None] - 2, r"drawn must lie in \[-1, 6\)"),
        (one, one, np.zeros((2, 1), np.int32), "equal lengths"),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.set_sample(users, items, drawn, np.ones(1, np.float32), np.ones(6, np.float32))


def test_sampled_sample_cost_is_that_of_the_op(backend):
    random = np.random.default_rng(3)
    choices = _choices(random, 20, 30, 0.3)
    trainer = _trainer(backend, choices, 30, 5, n_drawn=2, cost="softmax")
    parameters = _parameters(random, 20, 30, 5)
    _set(trainer, parameters)
    users = np.repeat(np.arange(20, dtype=np.int32), np.diff(choices[0]))
    drawn = random.integers(-1, 30, (users.size, 2)).astype(np.int32)
    correction = trainer.correction()
    trainer.set_sample(users, choices[1], drawn, choices[2], correction)
    wanted = backend.choice_cost(users, choices[1], drawn, choices[2], correction, *parameters, cost="softmax")
    assert trainer.sample_cost() == pytest.approx(wanted, rel=1e-6)


def test_sampled_training_goes_on_to_the_same_bits(backend):
    random = np.random.default_rng(0)
    choices = _choices(random, 30, 40, 0.3)
    parameters = _parameters(random, 30, 40, 8)
    first, second = (_trainer(backend, choices, 40, 8) for _ in range(2))
    _set(first, parameters)
    first.epoch(0.05, 0.05)
    first.save_best()
    second.set_state(first.get_state())
    first.epoch(0.05, 0.05)
    second.epoch(0.05, 0.05)
    for have, want in zip(_fetch(first, parameters), _fetch(second, parameters), strict=True):
        np.testing.assert_array_equal(have, want)
    first.restore_best()
    second.restore_best()
    for have, want in zip(_fetch(first, parameters), _fetch(second, parameters), strict=True):
        np.testing.assert_array_equal(have, want)
