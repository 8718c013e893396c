"""Rows around centres that say what they rated: ``rated_input`` of "sgd" and "als"."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone

import fastcf
from attributes import assert_same_attributes
from fastcf import MatrixFactorization
from fastcf.models.factorization.centred import shrink
from fastcf.solvers import ALS, SGD, GradientDescent
from interrupted import check_interrupted_within
from reference_centres import centres

LABELS = {"cost": "logistic", "threshold": 4.0}
MODELS = {
    "sgd": {"solver": SGD(rated_input=True), "reg": 0.6},
    "als": {"solver": ALS(rated_input=True), "reg": 2.0},
    "labels": {"solver": SGD(rated_input=True), "reg": 0.3, "n_epochs": 40, **LABELS},
}
WITHOUT = {
    "sgd": {"solver": SGD(rated_input=False), "reg": 0.3},
    "als": {"solver": ALS(rated_input=False), "reg": 1.0},
    "labels": {"solver": SGD(rated_input=False), "reg": 0.3, "n_epochs": 40, **LABELS},
}
GAIN = {"sgd": 0.03, "als": 0.03, "labels": 0.02}


@pytest.fixture(scope="module")
def chosen():
    """Ratings whose choice tells of taste."""
    ratings = fastcf.data.make_ratings(600, 300, 12_000, choice=3.0, noise=0.5, levels=None, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


def model_of(name, **options):
    given = {"n_factors": 6, "n_epochs": 20, "random_state": 0, "n_threads": 1}
    return MatrixFactorization(**{**given, **MODELS[name], **options})


@pytest.fixture(scope="module", params=list(MODELS))
def fitted(request, chosen):
    return request.param, model_of(request.param).fit(chosen[0])


def error(model, test):
    """Return the root mean squared error, or the log-loss of labels."""
    return -model.score(test)


def test_centres_lower_the_error_where_choice_tells_of_taste(chosen, fitted):
    train, test = chosen
    name, model = fitted
    without = WITHOUT[name]
    least = min(
        error(model_of(name, **{**without, "reg": without["reg"] * times}).fit(train), test)
        for times in (0.6, 1.0, 1.6)
    )
    assert error(model, test) < (1 - GAIN[name]) * least


@pytest.mark.parametrize(("choice", "centred"), [(3.0, True), (0.0, None)])
def test_search_takes_centres_where_they_lower_the_error(choice, centred):
    ratings = fastcf.data.make_ratings(200, 100, 4_000, choice=choice, noise=0.5, levels=None, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    found = MatrixFactorization(6, n_epochs=10, random_state=0).fit(train)
    assert centred is None or (found.rated_effects_ is not None) is centred
    kinds = [
        error(MatrixFactorization(6, solver=SGD(rated_input=each), n_epochs=10, random_state=0).fit(train), test)
        for each in (True, False)
    ]
    assert error(found, test) in kinds
    assert error(found, test) < 1.02 * min(kinds)


@pytest.mark.parametrize("options", [{}, {"bias": "item"}, {"normalize": "item"}], ids=str)
def test_als_solves_items_around_their_centres(chosen, options):
    """The last half of a sweep: least squares of the items, given the users."""
    train = chosen[0]
    model = model_of("als", n_epochs=2, **options).fit(train)
    users, items, values = train.to_coo()
    around = centres(users, items, train.shape, model.rated_effects_)[1]
    mean = np.full(train.n_items, model.global_mean_) if model.item_mean_ is None else model.item_mean_
    P, Q = model.user_factors_.astype(float), model.item_factors_.astype(float)
    for item in range(0, train.n_items, 17):
        of = items == item
        if not of.any():
            continue
        columns = np.c_[P[users[of]], np.ones(of.sum())]
        left = values[of] - mean[item] - model.user_bias_[users[of]]
        penalty = np.diag(np.r_[np.full(6, model.reg_ * of.sum() ** model.reg_exponent_), model.item_bias_reg_])
        wanted = np.linalg.solve(columns.T @ columns + penalty, columns.T @ left + penalty @ around[item])
        np.testing.assert_allclose(np.r_[Q[item], model.item_bias_[item]], wanted, atol=2e-3)


def test_effects_settle_where_the_objective_is_least(chosen):
    model = model_of("als", n_epochs=60).fit(chosen[0])
    costs = [record["cost"] for record in model.history_]
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(costs))
    assert costs[-2] - costs[-1] < 1e-3 * costs[-1]


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 400), min_size=1, max_size=20),
    strength=st.floats(1e-4, 2),
    exponent=st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    biases=st.booleans(),
)
def test_pull_is_what_the_steps_of_an_epoch_add(counts, strength, exponent, biases):
    rng = np.random.default_rng(0)
    n = np.array(counts)
    shape = (n.size,) if biases else (n.size, 3)
    rows, around = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    wanted = rows.astype(float)
    for row, count in enumerate(counts):
        kept = 1 / (1 + strength * max(count, 1) ** (exponent - 1))
        own = np.zeros(shape[1:])
        for _ in range(max(count, 1)):
            own = kept * own + (1 - kept) * around[row]
        wanted[row] += own
    shrink(rows, around, n, strength, exponent)
    np.testing.assert_allclose(rows, wanted, atol=1e-5)


def test_rated_rows_are_folded_in_around_their_centres(chosen, fitted):
    train, test = chosen
    name, model = fitted
    rows = train.take(np.isin(train.indices, np.arange(50)))
    folded = model.fold_in(rows, by="item")
    assert folded.rated_effects_[0] is None
    assert folded.rated_effects_[1] is not None
    if name == "als":  # they were solved last
        np.testing.assert_allclose(folded.item_factors_[:50], model.item_factors_[:50], atol=1e-3)
        np.testing.assert_allclose(folded.item_bias_[:50], model.item_bias_[:50], atol=1e-3)
    some = train.take(train.row_of_entry() < 60)
    known = test.take(test.row_of_entry() < 60)
    again = model.fold_in(some)
    assert again.rated_effects_[1] is None
    assert error(again, known) < 1.05 * error(model, known)


def test_labels_are_folded_in_where_the_objective_is_least(chosen):
    train = chosen[0]
    model = model_of("labels", n_epochs=6).fit(train)
    some = train.take(train.row_of_entry() < 40)
    folded = model.fold_in(some)
    users, items, values = some.to_coo()
    P, b = folded.user_factors_.astype(float), folded.user_bias_.astype(float)
    around = centres(users, items, (len(P), len(model.items_)), (model.rated_effects_[0], np.zeros((7, len(P)))))[0]
    z = model.global_mean_ + b[users] + model.item_bias_[items] + (P[users] * model.item_factors_[items]).sum(axis=1)
    left = expit(z) - (values >= model.threshold)
    penalties = model.reg_ * some.user_counts() ** model.reg_exponent_
    slopes = penalties[:, None] * (P - around[:, :6])
    np.add.at(slopes, users, left[:, None] * model.item_factors_[items])
    assert np.abs(slopes).max() < 2e-3
    bias_slopes = np.bincount(users, left, b.size) + model.user_bias_reg_ * (b - around[:, 6])
    assert np.abs(bias_slopes).max() < 2e-3


def test_file_holds_the_effects(chosen, fitted, tmp_path):
    _, model = fitted
    model.save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors")
    assert_same_attributes(model, loaded)
    some = chosen[0].take(np.arange(300))
    np.testing.assert_array_equal(loaded.fold_in(some).user_factors_, model.fold_in(some).user_factors_)
    part = model.fold_in(some)
    part.save(tmp_path / "part.safetensors")
    assert_same_attributes(part, fastcf.load(tmp_path / "part.safetensors"))


def test_further_ratings_are_learnt_around_the_centres_of_all(chosen, fitted):
    train, test = chosen
    name, _ = fitted
    late = train.row_of_entry() % 3 == 0
    late &= np.arange(train.nnz) % 2 == 0
    model = model_of(name).fit(train.take(~late))
    before = error(model, test)
    frozen = clone(model)
    frozen._swap(model._state)
    users, items, values = train.take(late).to_coo()
    more = fastcf.Ratings.from_coo(np.r_[users, 9_001], np.r_[items, 9_002], np.r_[values, values.mean()])
    model.partial_fit(more, n_epochs=2)
    assert [table.shape for table in model.rated_effects_] == [(7, len(model.items_)), (7, len(model.users_))]
    assert not model.rated_effects_[0][:, -1].any()  # of the new item
    assert error(model, test) < before
    again = model_of(name)
    again._swap(frozen._state)
    np.testing.assert_array_equal(again.partial_fit(more, n_epochs=2).user_factors_, model.user_factors_)
    blind = model_of(name)
    blind._swap(frozen._state.replaced(seen=None))
    assert np.isfinite(blind.partial_fit(more).user_factors_).all()


def test_effects_are_those_of_a_training_that_ended(chosen):
    train, test = chosen
    for model in (
        MatrixFactorization(3, **LABELS, reg=1.0, n_epochs=2),
        MatrixFactorization(3, solver=GradientDescent(), n_epochs=2, reg=1.0),
        MatrixFactorization(3, n_epochs=2, reg=1.0),
    ):
        assert model.fit(train).rated_effects_ is None
    with_best = model_of("sgd", reg=0.02, n_epochs=40).fit(train, validation=test)
    assert with_best.n_epochs_ < 40
    short = with_best.history_[with_best.n_epochs_]["validation_rmse"]
    assert error(with_best, test) == pytest.approx(short, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_centres_are_found_on_every_device(auto_backend, name):
    ratings = fastcf.data.make_ratings(20, 15, 120, random_state=0)
    models = [model_of(name, n_factors=3, n_epochs=2, device=device).fit(ratings) for device in ("cpu", "auto")]
    if name != "als":  # the order of "sgd" depends on the device
        errors = [error(model, ratings) for model in models]
        assert errors[1] == pytest.approx(errors[0], rel=0.05)
    else:
        np.testing.assert_allclose(*(model.item_factors_ for model in models), atol=1e-3)


@pytest.mark.parametrize("call", [1, 4, 5])
@pytest.mark.parametrize("name", MODELS)
def test_ctrl_c_within_an_epoch_leaves_the_one_before(chosen, name, call, monkeypatch):
    check_interrupted_within(model_of(name), chosen[0].take(np.arange(2_000)), call, monkeypatch)


@pytest.mark.parametrize("name", MODELS)
def test_few_of_many_ratings_may_have_weights(name):
    """Costs are measured on a sample of so many, of which none may have a weight."""
    ratings = fastcf.data.make_ratings(1_000, 200, 70_000, random_state=0)
    sample = ratings.row_of_entry() < 2
    fitted = model_of(name, n_epochs=1, n_factors=2).fit(ratings, sample_weight=sample.astype(np.float32))
    assert np.isfinite(fitted.predict(ratings)).all()
    assert np.isfinite([record["cost"] for record in fitted.history_]).all()


def test_what_cannot_be_is_refused(chosen):
    for solver in (SGD, ALS):
        with pytest.raises(ValueError, match="rated_input"):
            MatrixFactorization(solver=solver(rated_input="yes")).fit(chosen[0])
