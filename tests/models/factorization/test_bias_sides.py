"""Biases of one side alone: ``bias="user"`` and ``bias="item"``."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import fastcf
import reference
from fastcf import MatrixFactorization
from fastcf.models.bias import start_label_biases
from fastcf.solvers import ALS, Gibbs, GradientDescent

SOLVERS = {
    "sgd": {"solver": "sgd", "n_epochs": 20},
    "als": {"solver": "als", "n_epochs": 8},
    "als-cg": {"solver": ALS(cg_steps=3), "n_epochs": 8},
    "bayes": {"solver": Gibbs(burn_in=10), "n_epochs": 30},
    "minibatch": {"solver": GradientDescent(batch_size=256), "n_epochs": 20},
    "gd": {"solver": "gd", "n_epochs": 80},
}
COSTS = [(name, "squared") for name in SOLVERS] + [(name, "logistic") for name in ("sgd", "minibatch", "gd")]
SIDES = ("user", "item")
OTHER = {"user": "item", "item": "user"}
LABELS = {"cost": "logistic", "threshold": 4.0, "reg": 1.5}


@pytest.fixture(scope="module")
def split():
    """Ratings in which users and items have strong biases."""
    made = fastcf.data.make_ratings(300, 200, 15_000, random_state=0)
    users, items, _ = made.to_coo()
    random = np.random.default_rng(0)
    b_u, b_i = random.normal(0, 0.7, 300), random.normal(0, 0.7, 200)
    factors = random.normal(0, 0.3, (300, 3)), random.normal(0, 1, (200, 3))
    truth = 3.5 + b_u[users] + b_i[items] + (factors[0][users] * factors[1][items]).sum(axis=1)
    ratings = fastcf.Ratings.from_coo(users, items, truth + random.normal(0, 0.4, users.size))
    return fastcf.data.train_test_split(ratings, random_state=0)


def make(name, cost, **options):
    labels = LABELS if cost == "logistic" else {}
    return MatrixFactorization(**{"n_factors": 4, "random_state": 0, **SOLVERS[name], **labels, **options})


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), COSTS)
def test_bias_of_one_side_leaves_the_other_side_at_zero(split, name, cost, side):
    train, _ = split
    model = make(name, cost, bias=side).fit(train)
    assert not getattr(model, f"{OTHER[side]}_bias_").any()
    assert getattr(model, f"{side}_bias_").all()
    assert getattr(model, f"{OTHER[side]}_bias_reg_") == 0
    if name != "bayes":
        assert getattr(model, f"{side}_bias_reg_") > 0
    if name == "bayes":
        assert not getattr(model, f"{OTHER[side]}_bias_samples_").any()
        assert getattr(model, f"{side}_bias_samples_").all()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("normalize", ["global", "item", None])
@pytest.mark.parametrize("name", SOLVERS)
def test_bias_of_one_side_with_every_offset(split, name, normalize, side):
    train, test = split
    model = make(name, "squared", bias=side, normalize=normalize).fit(train)
    assert not getattr(model, f"{OTHER[side]}_bias_").any()
    assert -model.score(test) < 0.8 * np.std(test.values)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), COSTS)
def test_bias_of_one_side_predicts_better_than_none(split, name, cost, side):
    train, test = split
    few = {"n_factors": 1}
    none = make(name, cost, bias=False, **few).fit(train).score(test)
    assert make(name, cost, bias=side, **few).fit(train).score(test) > none


@pytest.mark.parametrize("side", SIDES)
def test_bias_of_one_side_starts_at_its_least_squares_solution(split, side):
    """As without factors: one side's rows are independent of each other."""
    train, _ = split
    model = make("sgd", "squared", bias=side, bias_reg=2.0, normalize="item", n_epochs=1)
    started = {}

    class Look(fastcf.callbacks.Callback):
        def on_train_begin(self, view):
            started["bias"] = getattr(view, f"{side}_bias_")
            started["other"] = getattr(view, f"{OTHER[side]}_bias_")

    model.fit(train, callbacks=Look())
    residuals = train.values - model.item_mean_[train.indices]
    rows = train.row_of_entry() if side == "user" else train.indices
    n = train.n_users if side == "user" else train.n_items
    mean = residuals.mean()
    for _ in range(200):  # the mean stands beside them, and joins them at last
        bias = np.bincount(rows, residuals - mean, n) / (np.bincount(rows, minlength=n) + 2.0)
        mean = (residuals - bias[rows]).mean()
    np.testing.assert_allclose(started["bias"], bias + mean, atol=0.05)  # training goes on from a rough fit
    assert not started["other"].any()


@pytest.mark.parametrize("side", SIDES)
def test_bias_of_one_side_of_labels_starts_alone(split, side):
    train, _ = split
    labels = fastcf.Ratings.from_coo(*train.to_coo()[:2], (train.values >= 4).astype(np.float32))
    backend = fastcf._backend.resolve_device("cpu", "test")
    biases = start_label_biases(labels, backend, (side == "user", side == "item"))
    own, other = (biases.users, biases.items) if side == "user" else (biases.items, biases.users)
    assert own.all()
    assert not other.any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("side", SIDES)
def test_bias_of_one_side_passes_the_gradient_check(split, side, cost, weighted):
    train = split[0].take(np.arange(800))
    if weighted:
        weights = np.random.default_rng(0).uniform(0.2, 3, train.nnz).astype(np.float32)
        train = fastcf.Ratings.from_coo(*train.to_coo(), weights=weights)
    model = make("sgd", cost, bias=side, bias_reg=1.5, reg=0.7)
    report = fastcf.check_gradients(model, train, max_coordinates=None)
    assert report.passed, str(report)
    assert [block.name for block in report.blocks] == ["user_factors", "item_factors", f"{side}_bias"]
    model.set_params(n_epochs=1).fit(train, check_gradients=True)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), [each for each in COSTS if each[0] != "bayes"])
def test_bias_of_one_side_has_the_recorded_cost(split, name, cost, side):
    train, _ = split
    model = make(name, cost, bias=side, n_epochs=3, **({} if cost == "logistic" else {"reg": 0.8})).fit(train)
    labels = cost == "logistic"
    values = (train.values >= 4).astype(float) if labels else train.values
    wanted, *_ = reference.mf_gradient(
        train.row_of_entry(), train.indices, values, np.ones(train.nnz), model.user_factors_, model.item_factors_,
        model.user_bias_, model.item_bias_, np.full(train.n_items, model.global_mean_), logistic=labels, reg=model.reg_,
        exponent=model.reg_exponent_, bias_regs=(model.user_bias_reg_, model.item_bias_reg_),
    )  # fmt: skip
    assert model.history_[-1]["cost"] == pytest.approx(wanted, rel=1e-5)
    assert not getattr(model, f"{OTHER[side]}_bias_").any()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reg_scaling", ["none", "count"])
def test_bias_of_one_side_is_where_the_objective_has_its_least_value(split, side, reg_scaling):
    """Sweeps of ALS end where the gradient of the objective is zero."""
    train = split[0].take(np.arange(3_000))
    model = make("als", "squared", bias=side, reg=2.0, bias_reg=1.0, reg_scaling=reg_scaling, n_epochs=300).fit(train)
    _, (_, _, d_user, d_item), _ = reference.mf_gradient(
        train.row_of_entry(), train.indices, train.values, np.ones(train.nnz), model.user_factors_, model.item_factors_,
        model.user_bias_, model.item_bias_, np.full(train.n_items, model.global_mean_), reg=2.0,
        exponent=model.reg_exponent_, bias_regs=(1.0, 1.0),
    )  # fmt: skip
    assert np.abs(d_user if side == "user" else d_item).max() < 0.02


@pytest.mark.parametrize("by", SIDES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), COSTS)
def test_bias_of_one_side_folds_in_new_rows(split, name, cost, side, by):
    train, test = split
    model = make(name, cost, bias=side).fit(train)
    users, items, values = test.to_coo()
    pairs = (users + 10_000, items) if by == "user" else (users, items + 10_000)  # rows that the model does not know
    new = fastcf.Ratings.from_coo(*pairs, values)
    folded = model.fold_in(new, by=by)
    assert not getattr(folded, f"{OTHER[side]}_bias_").any()
    assert getattr(folded, f"{side}_bias_").any()
    assert folded.score(new) > model.score(new)  # fitted to these very ratings


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), COSTS)
def test_bias_of_one_side_survives_files_and_other_parameters(split, name, cost, side, tmp_path):
    train, test = split
    model = make(name, cost, bias=side, n_epochs=12).fit(train)
    model.save(tmp_path / "m")
    loaded = fastcf.load(tmp_path / "m")
    assert loaded.bias == side
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    copy.copy(model).set_params(bias=True).save(tmp_path / "n")  # saved as it was fitted
    other = fastcf.load(tmp_path / "n")
    for again in (loaded, other):
        np.testing.assert_array_equal(again.fold_in(test).predict(test), model.fold_in(test).predict(test))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), COSTS)
def test_bias_of_one_side_same_bits_for_any_number_of_threads(split, name, cost, side):
    first, *others = (make(name, cost, bias=side, n_epochs=12, n_threads=n).fit(split[0]) for n in (1, 2, 4))
    assert not getattr(first, f"{OTHER[side]}_bias_").any()
    for other in others:
        for attribute in ("user_factors_", "item_factors_", "user_bias_", "item_bias_"):
            np.testing.assert_array_equal(getattr(other, attribute), getattr(first, attribute))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "cost"), [each for each in COSTS if each[0] != "bayes"])
def test_bias_of_one_side_stays_alone_in_partial_fit(split, name, cost, side):
    train, test = split
    model = make(name, cost, bias=side).fit(train)
    model.partial_fit([(0, 1), (10_000, 1), (10_000, 20_000), (0, 20_000)], [5.0, 1.0, 4.0, 2.0], n_epochs=3)
    assert not getattr(model, f"{OTHER[side]}_bias_").any()
    assert np.isfinite(model.score(test))


@pytest.mark.parametrize("name", ["als", "minibatch"])
def test_bias_of_one_side_learns_the_same_on_every_device(device, name):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    for side in SIDES:
        here, there = (
            make(name, "squared", bias=side, n_epochs=3, device=where).fit(ratings) for where in ("cpu", device)
        )
        assert not getattr(there, f"{OTHER[side]}_bias_").any()
        np.testing.assert_allclose(there.predict_matrix(), here.predict_matrix(), atol=1e-3)
