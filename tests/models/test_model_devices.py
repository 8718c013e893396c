"""Models on every device: a GPU, real or emulated, learns what the CPU learns."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import fastcf
from fastcf.optimizers import Adam, Momentum
from fastcf.solvers import ALS, SGD, Gibbs


@pytest.fixture(scope="module")
def split():
    ratings = fastcf.data.make_ratings(120, 80, 3_000, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


def rmse(model, test):
    users, items = (
        test.users.ids[np.repeat(np.arange(test.n_users), np.diff(test.indptr))],
        test.items.ids[test.indices],
    )
    return float(np.sqrt(np.mean((model.predict(np.column_stack([users, items])) - test.values) ** 2)))


@pytest.mark.parametrize(
    "options",
    [{}, {"deterministic": False}, {"storage": "float16"}, {"deterministic": False, "storage": "float16"}],
    ids=str,
)
def test_model_sgd_learns_the_same_on_every_device(device, split, options):
    train, test = split
    options = {"n_factors": 8, "n_epochs": 10, "random_state": 0, "solver": SGD(**options)}
    wanted = rmse(fastcf.MatrixFactorization(device="cpu", **options).fit(train), test)
    model = fastcf.MatrixFactorization(device=device, **options).fit(train, validation=test)
    assert model.device_ == device
    assert model.history_[-1]["cost"] < model.history_[0]["cost"]
    assert rmse(model, test) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("deterministic", [True, False])
def test_model_logistic_sgd_learns_the_same_on_every_device(device, split, deterministic):
    train, test = split
    options = {"n_factors": 8, "n_epochs": 10, "random_state": 0, "solver": SGD(deterministic=deterministic)}
    options |= {"cost": "logistic", "threshold": 3.5, "reg": 0.75}  # what is best on held-out labels may differ
    wanted = fastcf.MatrixFactorization(device="cpu", **options).fit(train)
    model = fastcf.MatrixFactorization(device=device, **options).fit(train, validation=test)
    assert model.device_ == device
    assert model.history_[-1]["train_log_loss"] == pytest.approx(wanted.history_[-1]["train_log_loss"], rel=0.03)


@pytest.mark.slow("emu")
def test_model_logistic_penalty_is_estimated_on_every_device(device):
    train = fastcf.data.make_ratings(60, 40, 700, random_state=0)
    options = {"n_factors": 4, "n_epochs": 3, "random_state": 0, "cost": "logistic", "threshold": 3.5}
    wanted, model = (
        fastcf.MatrixFactorization(solver=SGD(0.3), device=where, **options).fit(train) for where in ("cpu", device)
    )
    assert model.device_ == device
    assert model.reg_ == pytest.approx(wanted.reg_, rel=1.5)  # hardly anything to tell penalties apart
    assert -model.score(train) == pytest.approx(-wanted.score(train), rel=0.05)


@pytest.mark.parametrize("options", [{}, {"solver": ALS(cg_steps=3)}, {"normalize": "item"}, {"bias": False}], ids=str)
def test_model_als_learns_the_same_on_every_device(device, split, options):
    train, test = split
    options = {"n_factors": 8, "n_epochs": 5, "reg": 1.5, "random_state": 0, "solver": "als", **options}
    wanted = fastcf.MatrixFactorization(device="cpu", **options).fit(train, validation=test)
    model = fastcf.MatrixFactorization(device=device, **options).fit(train, validation=test)
    assert model.device_ == device
    assert model.n_epochs_ == wanted.n_epochs_
    for name in ("cost", "train_rmse", "validation_rmse"):
        assert model.history_[-1][name] == pytest.approx(wanted.history_[-1][name], rel=1e-3)
    assert rmse(model, test) == pytest.approx(rmse(wanted, test), rel=1e-3)


def test_model_bayes_draws_as_well_on_every_device(device, split):
    train, test = split
    options = {"n_factors": 4, "n_epochs": 40, "random_state": 0, "solver": Gibbs(burn_in=10)}
    wanted = fastcf.MatrixFactorization(device="cpu", **options).fit(train)
    model = fastcf.MatrixFactorization(device=device, **options).fit(train)
    assert model.device_ == device
    assert rmse(model, test) == pytest.approx(rmse(wanted, test), rel=0.02)
    assert model.noise_variance_ == pytest.approx(wanted.noise_variance_, rel=0.1)


@pytest.mark.parametrize("blended", [False, True])
def test_model_recommends_the_same_on_every_device(device, split, blended):
    train, _ = split
    model = fastcf.MatrixFactorization(n_factors=8, n_epochs=3, random_state=0, device="cpu")
    if blended:
        model = fastcf.Blend([model, fastcf.BiasModel(device="cpu")], random_state=0, device="cpu")
    model.fit(train)
    wanted = model.recommend(train.users.ids[:20], n=5)
    there = copy.copy(model)
    there._swap(model.state.replaced(device=device))
    got = there.recommend(train.users.ids[:20], n=5)
    np.testing.assert_array_equal(got.items, wanted.items)
    np.testing.assert_allclose(got.scores, wanted.scores, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "orientation": "user",
            "layers": (6, 4),
            "activation": "selu",
            "tied": True,
            "optimizer": Momentum(0.01),
        },
        {"output_activation": "sigmoid", "dropout": 0.2},
        {"dense_refeeding": 1},
        {"cost": "logistic", "threshold": 4},
    ],
    ids=str,
)
def test_model_autoencoder_learns_the_same_on_every_device(device, split, options):
    train, test = split
    options = {"layers": (6,), "n_epochs": 2, "random_state": 0, "optimizer": Adam(0.01), **options}
    wanted = fastcf.Autoencoder(device="cpu", **options).fit(train, validation=test)
    model = fastcf.Autoencoder(device=device, **options).fit(train, validation=test)
    assert model.device_ == device
    error = "log_loss" if model.cost == "logistic" else "rmse"
    for name in ("cost", f"train_{error}", f"validation_{error}"):
        assert model.history_[-1][name] == pytest.approx(wanted.history_[-1][name], rel=1e-3)
    np.testing.assert_allclose(model.predict_matrix(), wanted.predict_matrix(), atol=0.01)
    np.testing.assert_allclose(model.encode(test), wanted.encode(test), atol=0.01)
    user = train.users.ids[0]
    assert model.recommend(user, 3).items.shape == (3,)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": Momentum(0.01), "activation": "relu", "dropout": 0.2, "reg": 5.0},
        {"cost": "logistic", "threshold": 3.0, "normalize": False},
    ],
    ids=str,
)
def test_model_two_tower_learns_the_same_on_every_device(device, split, options):
    train, test = split
    features = np.random.default_rng(0).normal(size=(train.n_items, 5))
    options = {"n_epochs": 2, "batch_size": 128, "random_state": 0, "optimizer": Adam(0.01), **options}
    fit = {"validation": test, "item_features": (train.items.ids, features)}
    wanted = fastcf.TwoTower((8,), (6, 5), 4, device="cpu", **options).fit(train, **fit)
    model = fastcf.TwoTower((8,), (6, 5), 4, device=device, **options).fit(train, **fit)
    assert model.device_ == device
    for name, value in model.history_[-1].items():
        if name not in ("seconds", "epoch"):
            assert value == pytest.approx(wanted.history_[-1][name], rel=1e-3)
    np.testing.assert_allclose(model.predict_matrix(), wanted.predict_matrix(), atol=0.01)
    np.testing.assert_allclose(model.item_vectors(features), wanted.item_vectors(features), atol=0.01)
