"""The solvers of MatrixFactorization beside "sgd": alternating least squares and Gibbs sampling."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import sklearn.base

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.factorization.gibbs import draw_normal_wishart
from fastcf.serialization import save_archive
from fastcf.solvers import ALS, Gibbs, GradientDescent
from interrupted import fit_interrupted

SOLVERS = ("als", "bayes")
QUICK = {
    "als": {"solver": "als", "n_epochs": 5},
    "bayes": {"solver": Gibbs(burn_in=10), "n_epochs": 30, "n_factors": 8},
}


@pytest.fixture(scope="module")
def split():
    ratings = fastcf.data.make_ratings(800, 400, 40_000, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


def quick(name, **options):
    return MatrixFactorization(random_state=0, **{"n_factors": 8, **QUICK[name], **options})


# --------------------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_with_defaults_beats_the_biases_clearly(split, solver):
    train, test = split
    biases = -fastcf.BiasModel().fit(train).score(test)
    assert -MatrixFactorization(solver=solver, random_state=0).fit(train).score(test) < 0.97 * biases


@pytest.mark.parametrize(
    ("solver", "limits"),
    [
        ("als", {"ml-latest-small/ratings.csv": 0.835}),
        pytest.param(
            "bayes",
            {"ml-latest-small/ratings.csv": 0.816, "movietweetings-100k/ratings.dat": 1.53},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_solver_with_defaults_on_real_sets_stays_below_the_limit(data_dir, solver, limits):
    for file, limit in limits.items():
        log = fastcf.data.read_log(data_dir / file)
        order = np.random.default_rng(20261120).permutation(len(log.ratings))
        test, train = order[: order.size // 10], order[order.size // 10 :]
        X = np.empty((order.size, 2), object)
        X[:, 0], X[:, 1] = log.users, log.items
        ratings = fastcf.Ratings.from_coo(log.users[train], log.items[train], log.ratings[train], duplicates="last")
        model = MatrixFactorization(solver=solver, random_state=0).fit(ratings)
        assert fastcf.metrics.rmse(log.ratings[test], model.predict(X[test])) < limit


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("options", [{"normalize": None}, {"normalize": "item"}, {"bias": False}])
def test_solver_learns_with_every_offset(split, solver, options):
    train, test = split
    scores = [-quick(solver, **options).fit(data).score(test) for data in (train, train.take(np.arange(2000)))]
    assert scores[0] < 0.95 * scores[1]


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_same_bits_for_any_number_of_threads(split, solver):
    models = [quick(solver, n_threads=n, n_factors=20).fit(split[0]) for n in (1, 2, 4)]
    for model in models[1:]:
        for name in ("user_factors_", "item_factors_", "user_bias_", "item_bias_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(models[0], name))


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_scale_of_the_ratings_does_not_matter(split, solver):
    train, test = split
    stretched = fastcf.Ratings.from_coo(*train.to_coo()[:2], train.values * 20 - 7)
    first = quick(solver).fit(train).predict(test)
    second = quick(solver).fit(stretched).predict(test)
    np.testing.assert_allclose(second, first * 20 - 7, atol=0.3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_weight_zero_is_as_good_as_absent(split, solver):
    train = split[0]
    users, items, values = train.to_coo()
    rng = np.random.default_rng(0)
    kept = rng.random(values.size) < 0.9
    spoilt = np.where(kept, values, 100.0 * rng.random(values.size)).astype(np.float32)
    weights = kept.astype(np.float32)
    weighted = fastcf.Ratings.from_coo(users, items, spoilt, weights=weights)
    model = quick(solver, normalize=None).fit(weighted)
    test = split[1]
    assert -model.score(test) < 1.1 * -quick(solver, normalize=None).fit(train).score(test)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_saved_and_loaded_model_predicts_the_same(split, solver, tmp_path):
    train, test = split
    model = quick(solver).fit(train)
    model.save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    np.testing.assert_array_equal(
        loaded.recommend(train.users.ids[:5]).items, model.recommend(train.users.ids[:5]).items
    )
    if solver == "bayes":
        for one, other in zip(loaded.predict(test, return_std=True), model.predict(test, return_std=True), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_ctrl_c_leaves_a_usable_model(split, solver):
    model = quick(solver)
    fit_interrupted(model, split[0], epoch=3)
    assert len(model.history_) == 1 + 3
    assert np.isfinite(model.predict(split[1])).all()
    assert -model.score(split[1]) < -fastcf.BiasModel().fit(split[0].take(np.arange(500))).score(split[1])


# ---------------------------------------------------------------------------------------------------------- als


@pytest.mark.parametrize("cg_steps", [None, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_als_objective_never_rises(split, cg_steps, bias):
    model = quick("als", n_epochs=12, solver=ALS(cg_steps), bias=bias, init_scale=0.5).fit(split[0])
    costs = [record["cost"] for record in model.history_]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(costs))


def test_als_cost_is_the_objective(split):
    train = split[0]
    model = quick("als", reg=0.8, reg_scaling="count", bias_reg=2.0).fit(train)
    rows, columns = train.row_of_entry(), train.indices
    P, Q = model.user_factors_.astype(float), model.item_factors_.astype(float)
    predicted = model.global_mean_ + model.user_bias_[rows] + model.item_bias_[columns] + (P[rows] * Q[columns]).sum(1)
    errors = train.values - predicted
    counts = np.bincount(rows, minlength=len(P)), np.bincount(columns, minlength=len(Q))
    penalty = 0.8 * (counts[0] @ (P**2).sum(1) + counts[1] @ (Q**2).sum(1))
    penalty += 2.0 * ((model.user_bias_.astype(float) ** 2).sum() + (model.item_bias_.astype(float) ** 2).sum())
    assert model.history_[-1]["cost"] == pytest.approx(0.5 * ((errors**2).sum() + penalty), rel=1e-5)


def test_als_validation_keeps_the_best_sweep(split):
    train, test = split
    model = quick("als", n_epochs=10, reg=0.5, reg_scaling="none", n_factors=40).fit(train, validation=test)
    errors = [record["validation_rmse"] for record in model.history_]
    assert model.n_epochs_ == 1 + int(np.argmin(errors[1:]))
    assert -model.score(test) == pytest.approx(min(errors[1:]), rel=1e-5)


# -------------------------------------------------------------------------------------------------------- bayes


def test_bayes_validation_error_is_that_of_the_mean_of_the_draws(split):
    train, test = split
    for normalize in ("global", "item", None):
        model = quick("bayes", normalize=normalize).fit(train, validation=test)
        assert -model.score(test) == pytest.approx(model.history_[-1]["validation_rmse"], rel=1e-4)


def test_bayes_errors_may_rise_from_nothing():
    """One rating, which the biases explain wholly at first: draws that leave an error do not diverge."""
    assert MatrixFactorization(solver="bayes", random_state=0).fit([("a", "x")], [3.0]).predict([("a", "x")]) == 3


def test_bayes_standard_deviations_are_calibrated():
    ratings = fastcf.data.make_ratings(600, 300, 30_000, noise=0.7, levels=None, random_state=1)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    model = MatrixFactorization(8, solver="bayes", random_state=0).fit(train)
    mean, std = model.predict(test, return_std=True)
    z = (test.values - mean) / std
    assert 0.9 < z.std() < 1.1
    assert 0.92 < (np.abs(z) < 1.96).mean() < 0.98
    assert np.sqrt(model.noise_variance_) == pytest.approx(0.7, rel=0.1)
    assert (std**2 > model.user_noise_variances_[train.users.rows(test.to_coo()[0])]).all()


def test_bayes_standard_deviations_of_unknown_rows_are_finite(split):
    model = quick("bayes").fit(split[0])
    known = split[0].users.ids[0], split[0].items.ids[0]
    pairs = np.array([known, (10**9, known[1]), (known[0], 10**9), (10**9, 10**9)])
    mean, std = model.predict(pairs, return_std=True)
    assert mean.shape == std.shape == (4,)
    assert std[3] == pytest.approx(np.sqrt(model.noise_variance_), rel=1e-5)
    assert std[1] >= std[3] * (1 - 1e-6)
    assert np.minimum(std[0], std[2]) >= np.sqrt(model.user_noise_variances_[0]) * (1 - 1e-6)


def test_bayes_thinned_draws_are_fewer(split):
    model = quick("bayes", n_epochs=31, solver=Gibbs(burn_in=10, thin=5)).fit(split[0])
    assert model.n_samples_ == 5
    assert model.user_factors_.shape[1] == 5 * 8
    with pytest.raises(ValueError, match="burn_in of Gibbs must be less than n_epochs, 31; got 31"):
        quick("bayes", n_epochs=31, solver=Gibbs(burn_in=31)).fit(split[0])


def test_bayes_refit_by_another_solver_forgets_the_draws(split):
    model = quick("bayes").fit(split[0])
    model.set_params(solver="als", n_epochs=2).fit(split[0])
    with pytest.raises(ValueError, match="return_std needs a model fitted with solver='bayes'"):
        model.predict(split[1], return_std=True)


def test_bayes_damaged_file_is_a_data_error(split, tmp_path):
    model = quick("bayes").fit(split[0])
    archive = model.to_archive()
    fewer = {name: archive.arrays[name][:-1] for name in ("user_bias_samples", "item_bias_samples")}
    save_archive(tmp_path / "model.safetensors", replace(archive, arrays={**archive.arrays, **fewer}))
    with pytest.raises(fastcf.DataError, match="the factors are not those of 19 samples"):
        fastcf.load(tmp_path / "model.safetensors")


def test_bayes_normal_wishart_draws_have_the_posterior_moments():
    rng = np.random.default_rng(0)
    rows = rng.multivariate_normal([1.0, -2.0, 0.5], np.diag([1.0, 0.25, 4.0]), size=500)
    draws = [draw_normal_wishart(rows, rng) for _ in range(3000)]
    means, precisions = (np.array(part) for part in zip(*draws, strict=True))
    n, d = rows.shape
    centred = rows - rows.mean(axis=0)
    inverse_scale = np.eye(d) + centred.T @ centred + 2 * n / (2 + n) * np.outer(rows.mean(axis=0), rows.mean(axis=0))
    np.testing.assert_allclose(means.mean(axis=0), n / (2 + n) * rows.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(precisions.mean(axis=0), (d + n) * np.linalg.inv(inverse_scale), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(np.cov(means.T), inverse_scale / (2 + n) / (n - 1), rtol=0.15, atol=2e-4)


# -------------------------------------------------------------------------------------------------- gd, minibatch

OPTIMIZERS = ("gd", "momentum", "nesterov", "adagrad", "adadelta", "adam")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_minibatch_with_every_optimizer_learns(split, optimizer):
    train, test = split
    biases = -fastcf.BiasModel().fit(train).score(test)
    model = MatrixFactorization(16, solver=GradientDescent(optimizer, batch_size=256), init_scale=0.1, random_state=0)
    assert -model.fit(train, validation=test).score(test) < (0.999 if optimizer == "adadelta" else 0.98) * biases
    costs = [record["cost"] for record in model.history_]
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("solver", ["gd", "minibatch"])
def test_gradient_solver_with_defaults_beats_the_biases_clearly(split, solver):
    train, test = split
    biases = -fastcf.BiasModel().fit(train).score(test)
    model = MatrixFactorization(solver=solver, random_state=0).fit(train)
    assert -model.score(test) < 0.97 * biases
    assert model.history_[-1]["learning_rate"] < model.history_[1]["learning_rate"] == model.learning_rate_


@pytest.mark.parametrize("weighted", [False, True])
def test_gd_cost_falls_in_every_epoch_with_the_safe_rate(split, weighted):
    train = split[0]
    if weighted:
        weights = np.random.default_rng(0).uniform(0.1, 3, train.nnz).astype(np.float32)
        train = fastcf.Ratings.from_coo(*train.to_coo(), weights=weights)
    solver = GradientDescent(fastcf.optimizers.GradientDescent(schedule="constant"), batch_size="whole")
    model = MatrixFactorization(8, solver=solver, n_epochs=60, init_scale=0.3)
    costs = [record["cost"] for record in model.set_params(random_state=0).fit(train).history_]
    assert all(after < before for before, after in itertools.pairwise(costs))


def test_gradient_solver_same_bits_for_any_number_of_threads(split):
    for solver in ("gd", "minibatch"):
        models = [
            MatrixFactorization(20, solver=solver, n_epochs=3, random_state=0, n_threads=n).fit(split[0])
            for n in (1, 2, 4)
        ]
        for model in models[1:]:
            np.testing.assert_array_equal(model.user_factors_, models[0].user_factors_)
            np.testing.assert_array_equal(model.item_bias_, models[0].item_bias_)


def test_gradient_solver_keeps_its_optimizer_through_clone_and_file(split, tmp_path):
    chosen = fastcf.optimizers.Adam(beta1=0.8)
    model = MatrixFactorization(4, solver=GradientDescent(chosen), n_epochs=2, random_state=0)
    assert sklearn.base.clone(model).solver.optimizer == chosen
    model.fit(split[0]).save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors")
    assert loaded.solver.optimizer == chosen
    np.testing.assert_array_equal(loaded.predict(split[1]), model.predict(split[1]))
    plain = MatrixFactorization(4, solver="minibatch", n_epochs=2, random_state=0).fit(split[0])
    assert not np.array_equal(plain.user_factors_, model.user_factors_)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"optimizer": "sgd"},
            ValueError,
            "^GradientDescent: optimizer must be 'gd' or .*, or an instance of Optimizer; got",
        ),
        ({"optimizer": 3}, TypeError, "^GradientDescent: optimizer must be 'gd' or"),
        (
            {"batch_size": 0},
            ValueError,
            "^GradientDescent: batch_size must be an integer of at least 1, or 'whole'; got 0",
        ),
        ({"batch_size": "half"}, ValueError, "^GradientDescent: batch_size must be"),
    ],
)
def test_gradient_solver_bad_parameters_are_named(split, options, error, message):
    with pytest.raises(error, match=message):
        GradientDescent(**options)
    solver = GradientDescent().set_params(**options)
    with pytest.raises(error, match=message.replace("^", "^MatrixFactorization.fit: ")):
        MatrixFactorization(4, solver=solver).fit(split[0])
