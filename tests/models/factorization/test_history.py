"""The recorded history of a factorisation: epoch 0, and costs that are the objective at one point."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastcf
from fastcf import MatrixFactorization
from fastcf.callbacks import Callback
from fastcf.models.factorization import trainers
from fastcf.optimizers import Momentum, Nesterov
from fastcf.solvers import ALS, SGD, Gibbs, GradientDescent
from fastcf.training import samples
from reference import mf_gradient
from reference_centres import added_cost

SOLVERS = {
    "sgd": SGD(rated_input=False),
    "sgd around centres": SGD(rated_input=True),
    "als": ALS(rated_input=False),
    "als around centres": ALS(rated_input=True),
    "als-cg": ALS(cg_steps=2),
    "minibatch": GradientDescent(batch_size=100),
    "momentum": GradientDescent(Momentum(), batch_size=64),
    "gd": GradientDescent(batch_size="whole"),
    "nesterov": GradientDescent(Nesterov(), batch_size="whole"),
}
BOTH = [name for name in SOLVERS if not name.startswith("als")]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "weighted"])
def ratings(request):
    made = fastcf.data.make_ratings(120, 80, 3_000, random_state=0)
    if not request.param:
        return made
    weights = np.random.default_rng(0).uniform(0.2, 3, made.nnz).astype(np.float32)
    weights[::17] = 0
    return fastcf.Ratings.from_coo(*made.to_coo(), weights=weights)


class Watch(Callback):
    """Keeps the parameters of every epoch."""

    def __init__(self):
        self.seen = []

    def look(self, view):
        self.seen.append({name: getattr(view, f"{name}_") for name in (
            "user_factors", "item_factors", "user_bias", "item_bias", "global_mean", "item_mean",
        )} | {"effects": getattr(view, "rated_effects_", None)})  # fmt: skip

    def on_train_begin(self, view):
        self.look(view)

    def on_epoch_end(self, view, record):
        self.look(view)


def objective(model, ratings, seen):
    """Return the objective and the error in float64 at the parameters of an epoch."""
    labels = model.cost == "logistic"
    values = (ratings.values >= model.threshold).astype(float) if labels else ratings.values.astype(float)
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    users, items = ratings.row_of_entry(), ratings.indices
    mean = seen["item_mean"] if seen["item_mean"] is not None else np.full(ratings.n_items, seen["global_mean"])
    P, Q, b_u, b_i = (seen[name].astype(float) for name in ("user_factors", "item_factors", "user_bias", "item_bias"))
    penalties = {"reg": model.reg_, "exponent": model.reg_exponent_}
    penalties["bias_regs"] = model.user_bias_reg_, model.item_bias_reg_
    cost, *_ = mf_gradient(users, items, values, weights, P, Q, b_u, b_i, mean, logistic=labels, **penalties)
    if seen["effects"] is not None:
        cost += added_cost(users, items, (P, Q), (b_u, b_i), seen["effects"], **penalties)
    z = mean[items] + b_u[users] + b_i[items] + (P[users] * Q[items]).sum(axis=1)
    loss = weights @ (np.logaddexp(0, z) - values * z if labels else (z - values) ** 2) / weights.sum()
    return cost, loss if labels else math.sqrt(loss)


def check(model, ratings, watch):
    error = "train_log_loss" if model.cost == "logistic" else "train_rmse"
    assert [record["epoch"] for record in model.history_] == list(range(len(watch.seen)))
    for record, seen in zip(model.history_, watch.seen, strict=True):
        cost, loss = objective(model, ratings, seen)
        assert record["cost"] == pytest.approx(cost, rel=1e-5)
        assert record[error] == pytest.approx(loss, rel=1e-5)
    assert model.history_[0]["learning_rate"] is None
    assert all(record["seconds"] >= 0 for record in model.history_)


@pytest.mark.parametrize("options", [{}, {"normalize": "item"}, {"normalize": None}, {"bias": False}], ids=str)
@pytest.mark.parametrize("name", SOLVERS)
def test_history_of_ratings_is_the_objective_at_the_parameters_of_the_epoch(ratings, name, options):
    watch = Watch()
    model = MatrixFactorization(5, solver=SOLVERS[name], n_epochs=3, random_state=0, **options)
    check(model.fit(ratings, callbacks=watch), ratings, watch)
    if name != "momentum":  # which overshoots at first
        assert model.history_[-1]["cost"] < model.history_[0]["cost"]


@pytest.mark.parametrize("options", [{}, {"normalize": None}, {"bias": False}, {"reg_scaling": "count"}], ids=str)
@pytest.mark.parametrize("name", BOTH)
def test_history_of_labels_is_the_objective_at_the_parameters_of_the_epoch(ratings, name, options):
    watch = Watch()
    model = MatrixFactorization(
        5, solver=SOLVERS[name], cost="logistic", threshold=4, reg=1.5, n_epochs=3, random_state=0, **options
    )
    check(model.fit(ratings, callbacks=watch), ratings, watch)


@pytest.mark.parametrize("options", [{}, {"normalize": "item"}, {"bias": False}], ids=str)
def test_history_of_gibbs_sampling_is_the_squared_error_of_the_draw(ratings, options):
    """Before the first draw is kept, a view shows the last one."""
    watch = Watch()
    model = MatrixFactorization(5, solver=Gibbs(burn_in=5), n_epochs=6, random_state=0, **options)
    model.fit(ratings, callbacks=watch)
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    users, items = ratings.row_of_entry(), ratings.indices
    for record, seen in zip(model.history_[:6], watch.seen[:6], strict=True):
        mean = seen["item_mean"][items] if seen["item_mean"] is not None else seen["global_mean"]
        products = (seen["user_factors"][users].astype(float) * seen["item_factors"][items]).sum(axis=1)
        errors = mean + seen["user_bias"][users] + seen["item_bias"][items] + products - ratings.values
        assert record["cost"] == pytest.approx(0.5 * weights @ errors**2, rel=1e-4)
        assert record["train_rmse"] == pytest.approx(math.sqrt(weights @ errors**2 / weights.sum()), rel=1e-4)
        assert record["learning_rate"] is None


@pytest.mark.parametrize("name", SOLVERS)
def test_history_holds_validation_errors_of_the_same_epochs(name):
    made = fastcf.data.make_ratings(120, 80, 3_000, random_state=0)
    train, test = fastcf.data.train_test_split(made, random_state=0)
    errors = []

    class Score(Callback):
        def on_train_begin(self, view):
            errors.append(-view.score(test))

        def on_epoch_end(self, view, record):
            errors.append(-view.score(test))

    model = MatrixFactorization(5, solver=SOLVERS[name], n_epochs=4, random_state=0)
    model.fit(train, validation=test, callbacks=Score())
    recorded = [record["validation_rmse"] for record in model.history_]
    np.testing.assert_allclose(recorded, errors, rtol=1e-5)
    assert model.n_epochs_ == 1 + int(np.argmin(recorded[1:]))
    assert -model.score(test) == pytest.approx(recorded[model.n_epochs_], rel=1e-5)


def test_history_does_not_change_what_is_learnt(ratings):
    plain = MatrixFactorization(5, n_epochs=3, random_state=0).fit(ratings)
    watched = MatrixFactorization(5, n_epochs=3, random_state=0).fit(ratings, callbacks=Watch())
    np.testing.assert_array_equal(plain.user_factors_, watched.user_factors_)
    np.testing.assert_array_equal(plain.item_bias_, watched.item_bias_)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("name", BOTH)
def test_history_of_many_ratings_is_estimated_on_a_sample(ratings, name, cost, monkeypatch):
    options = {"solver": SOLVERS[name], "n_epochs": 2, "random_state": 7, "reg": 1.0, "cost": cost}
    options |= {"threshold": 4} if cost == "logistic" else {}
    error = "train_log_loss" if cost == "logistic" else "train_rmse"
    exact = MatrixFactorization(5, **options).fit(ratings)
    monkeypatch.setattr(trainers, "n_measured", lambda n: 1_000)
    watch = Watch()
    model = MatrixFactorization(5, **options).fit(ratings, callbacks=watch)
    np.testing.assert_array_equal(model.user_factors_, exact.user_factors_)  # what is learnt does not depend on it
    chosen = samples.spread_entries(ratings.nnz, 1_000, 7)
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    for record, whole, seen in zip(model.history_, exact.history_, watch.seen, strict=True):
        assert record["cost"] == pytest.approx(whole["cost"], rel=0.08)
        assert record["cost"] != whole["cost"]
        assert record[error] == pytest.approx(whole[error], rel=0.08)
        _, on_sample = objective(model, ratings.take(chosen), seen)
        assert record[error] == pytest.approx(on_sample, rel=1e-5)  # the mean over the sample
        penalty = whole["cost"] - loss_of(whole[error], cost) * weights.sum()
        wanted = loss_of(record[error], cost) * weights.sum() + penalty
        assert record["cost"] == pytest.approx(wanted, rel=1e-4)
    for n_threads in (1, 2, 4):
        again = MatrixFactorization(5, n_threads=n_threads, **options).fit(ratings)
        assert [r["cost"] for r in again.history_] == [r["cost"] for r in model.history_]


def loss_of(error, cost):
    return error if cost == "logistic" else 0.5 * error**2


def test_history_sample_is_as_large_as_documented():
    assert samples.MEASURED_RATINGS == 2**16
    assert f"Above {samples.MEASURED_RATINGS:,} ratings" in MatrixFactorization.__doc__
    assert "a 16th of the ratings, but 16,384 to 65,536" in MatrixFactorization.__doc__
