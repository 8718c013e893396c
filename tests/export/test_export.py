"""Exported models predict what the models predict, under ONNX Runtime and in PyTorch.

Both compute in float32 and sum in another order: scores agree to a few roundings of the largest one.
"""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.export import to_onnx, to_torch

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install fastcf[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")

HAS_TORCH = importlib.util.find_spec("torch") is not None
R = fastcf.data.make_ratings(60, 40, 900, random_state=0)
SEEDED = {"n_epochs": 4, "random_state": 3}
MF = fastcf.MatrixFactorization
TOLERANCE = 5e-6  # times the largest score

SCORED = {
    "factors": MF(4, **SEEDED),
    "item means": MF(4, normalize="item", **SEEDED),
    "labels": MF(4, cost="logistic", threshold=4, **SEEDED),
    "draws": MF(4, solver=fastcf.solvers.Gibbs(burn_in=1, thin=1), **SEEDED),
    "biases": fastcf.BiasModel(),
    "implicit": fastcf.ImplicitFactorization(4, threshold=4, **SEEDED),
    "blend": fastcf.Blend([MF(3, **SEEDED), fastcf.BiasModel()], random_state=0),
    "autoencoder": fastcf.Autoencoder((6,), **SEEDED),
    "squashed": fastcf.Autoencoder((6,), output_activation="tanh", **SEEDED),
    "towers": fastcf.TwoTower((6,), (6,), 4, batch_size=64, **SEEDED),
    "perceptron": fastcf.UserPerceptron((3,), threshold=4, features="mf", **SEEDED),
    "levels": fastcf.UserPerceptron((3,), targets="levels", bias=False, features="mf", **SEEDED),
}


def onnx_predictions(path, **inputs):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["predictions"], inputs)
    assert found.dtype == np.float32
    return found


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * max(1.0, np.abs(wanted).max(initial=0)))


def assert_predicts(model, path, inputs, wanted):
    """Compare the network of a model in both runtimes."""
    to_onnx(model, path, graph="network")
    assert_close(onnx_predictions(path, **inputs), wanted)
    if HAS_TORCH:
        import torch

        module = to_torch(model)
        given = (torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in module.inputs)
        assert_close(module(*given).detach().numpy(), wanted)


@pytest.mark.parametrize("name", SCORED)
def test_onnx_predicts_pairs_known_and_unknown(name, tmp_path):
    model = SCORED[name].fit(R)
    users, items = (axis.reshape(-1) for axis in np.meshgrid([*range(60), 99], [*range(40), 77], indexing="ij"))
    rows = {"users": model.users_.rows(users), "items": model.items_.rows(items)}
    to_onnx(model, tmp_path / "m.onnx")
    found = onnx_predictions(tmp_path / "m.onnx", **rows)
    assert_close(found, model.predict(np.stack([users, items], axis=1)))
    none = {side: of_side[:0] for side, of_side in rows.items()}
    assert onnx_predictions(tmp_path / "m.onnx", **none).shape == (0,)


@pytest.mark.parametrize("name", [name for name in SCORED if name not in ("perceptron", "levels")])
def test_onnx_predicts_all_items_of_users(name, tmp_path):
    model = SCORED[name].fit(R)
    to_onnx(model, tmp_path / "m.onnx", graph="predict_matrix")
    users = np.array([0, 59, 7, -1], np.int32)
    wanted = model.predict_matrix([0, 59, 7, 99])
    assert_close(onnx_predictions(tmp_path / "m.onnx", users=users), wanted)


# ---------------------------------------------------------------------------------------------------------------
# Autoencoders
# ---------------------------------------------------------------------------------------------------------------

NEW = fastcf.data.make_ratings(20, 40, 300, random_state=5)
ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu")
AUTOENCODERS = {
    "plain": {},
    "tied, deep": {"layers": (6, 5, 4), "tied": True},
    "deep": {"layers": (6, 4)},
    **{f"as they are, {name}": {"normalize": None, "activation": name} for name in ACTIVATIONS},
    "means of users": {"normalize": "user"},
    "means of items": {"normalize": "item"},
    "without which": {"rated_input": 0.0},
    "by item": {"orientation": "item"},
    "sigmoid of outputs": {"output_activation": "sigmoid"},
    "tanh of outputs": {"output_activation": "tanh"},
    "labels": {"cost": "logistic", "threshold": 4},
    "labels, users": {"cost": "logistic", "threshold": 4, "normalize": "user"},
    "labels, items": {"cost": "logistic", "threshold": 4, "normalize": "item"},
    "choices": {"cost": "multinomial", "threshold": 4},
    "choices by value": {"cost": "multinomial", "strength": "value", "rated_input": 1.0},
    "choices by logarithm": {"cost": "multinomial", "threshold": 3, "strength": "log"},
}


def dense(ratings, n_rows, n_columns):
    table = np.full((n_rows, n_columns), np.nan, np.float32)
    table[ratings.row_of_entry(), ratings.items.ids[ratings.indices]] = ratings.values
    return table


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_autoencoder_network_predicts_new_rows(name, tmp_path):
    options = {"layers": (6,), "orientation": "user", **SEEDED, **AUTOENCODERS[name]}
    model = fastcf.Autoencoder(**options).fit(R)
    if options["orientation"] == "item":
        given, wanted = dense(R, 60, 40).T, model.reconstruct(R).T
    else:
        given, wanted = dense(NEW, 20, 40), model.reconstruct(NEW)
    assert_predicts(model, tmp_path / "m.onnx", {"ratings": np.ascontiguousarray(given)}, wanted)


@pytest.mark.parametrize("name", ["plain", "labels", "choices", "means of users"])
def test_autoencoder_network_takes_rows_without_ratings_and_no_rows(name, tmp_path):
    model = fastcf.Autoencoder(**{"layers": (6,), "orientation": "user", **SEEDED, **AUTOENCODERS[name]}).fit(R)
    empty = np.full((1, 40), np.nan, np.float32)
    assert_predicts(model, tmp_path / "m.onnx", {"ratings": empty}, model.predict_matrix([99]))
    assert_predicts(model, tmp_path / "m.onnx", {"ratings": empty[:0]}, np.empty((0, 40), np.float32))


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed: pip install fastcf[torch]")
def test_torch_module_has_the_weights_and_learns():
    import torch

    model = fastcf.Autoencoder((6, 4), orientation="user", **SEEDED).fit(R)
    module = to_torch(model)
    weights = dict(module.named_parameters())
    np.testing.assert_array_equal(weights["input_weights"].detach().numpy(), model.input_weights_)
    np.testing.assert_array_equal(weights["hidden_weights_0"].detach().numpy(), model.hidden_weights_[0])
    ratings = torch.from_numpy(dense(R, 60, 40))
    given = ~torch.isnan(ratings)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    costs = []
    for _ in range(20):
        cost = (module(ratings, clip=False)[given] - ratings[given]).square().mean()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < 0.99 * costs[0]
    assert (module(ratings) <= 5).all()
    again = to_torch(model)  # which has its own weights
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again(ratings), module(ratings))
    assert not np.array_equal(again.input_weights.detach().numpy(), model.input_weights_)


# ---------------------------------------------------------------------------------------------------------------
# Two towers, perceptrons
# ---------------------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
USERS = fastcf.FeatureTable(range(62), RANDOM.normal(size=(62, 3)))
ITEMS = fastcf.FeatureTable(range(41), RANDOM.normal(size=(41, 5)))
STRANGERS = {
    "user": fastcf.FeatureTable([900], USERS.matrix[:1] + 1),
    "item": fastcf.FeatureTable([800], -ITEMS.matrix[:1]),
}
CHOICES = {"cost": "softmax", "threshold": 4}
TOWERS = {
    "ids": ({}, ()),
    "features": ({}, ("user", "item")),
    "of items": ({"item_layers": (5, 4)}, ("item",)),
    "of users": ({"normalize": False}, ("user",)),
    "and ids": ({"ids": "both"}, ("user", "item")),
    "no baseline": ({"baseline": "none"}, ("user", "item")),
    "labels": ({"cost": "logistic", "threshold": 4}, ("item",)),
    "choices": (CHOICES, ()),
    "choices, features": (CHOICES, ("user", "item")),
}


@pytest.mark.parametrize("name", TOWERS)
def test_towers_predict_known_and_new_pairs(name, tmp_path):
    options, sides = TOWERS[name]
    tables = {side: {"user": USERS, "item": ITEMS}[side] for side in sides}
    options = {"user_layers": (6,), "item_layers": (6,), "n_factors": 4, "batch_size": 64, **SEEDED, **options}
    model = fastcf.TwoTower(**options).fit(R, **{f"{side}_features": table for side, table in tables.items()})
    users, items = (axis.reshape(-1) for axis in np.meshgrid(model.users_.ids, model.items_.ids, indexing="ij"))
    users, items = np.append(users, [900, 900, 5]), np.append(items, [800, 7, 800])
    ids = {"user": users, "item": items}
    inputs = {"users": model.users_.rows(users), "items": model.items_.rows(items)}
    folded = model
    if sides:
        folded = model.fold_in(**{f"{side}_features": STRANGERS[side] for side in sides})
    for side in sides:
        rows, new = tables[side].ids.rows(ids[side]), STRANGERS[side].matrix
        inputs[f"{side}_features"] = np.where((rows >= 0)[:, None], tables[side].matrix[rows], new)
    assert_predicts(model, tmp_path / "m.onnx", inputs, folded.predict(np.stack([users, items], axis=1)))


@pytest.mark.parametrize("name", ["perceptron", "levels"])
def test_perceptrons_predict_new_items(name, tmp_path):
    model = SCORED[name].fit(R)
    features = RANDOM.normal(size=(5, model.item_features_.shape[1])).astype(np.float32)
    folded = model.fold_in(item_features=fastcf.FeatureTable(range(700, 705), features))
    users = np.array([0, 59, 7, 7, -1], np.int32)
    to_onnx(model, tmp_path / "m.onnx", graph="network")
    found = onnx_predictions(tmp_path / "m.onnx", users=users, item_features=features)
    wanted = folded.predict([(0, 700), (59, 701), (7, 702), (7, 703), (99, 704)])
    assert_close(found, wanted)


# ---------------------------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------------------------


def test_export_refuses_what_it_cannot_do(tmp_path, monkeypatch):
    neighbours, biases = fastcf.ItemNeighbours(threshold=4).fit(R), fastcf.BiasModel().fit(R)
    path = tmp_path / "m.onnx"
    for model, graph, kind, message in (
        (
            neighbours,
            "predict",
            TypeError,
            "model must have factors and biases for graph='predict'; got ItemNeighbours",
        ),
        (
            SCORED["levels"].fit(R),
            "predict_matrix",
            TypeError,
            "model must .* for graph='predict_matrix'; got UserPerceptron",
        ),
        (
            biases,
            "network",
            TypeError,
            "model must be an Autoencoder, a TwoTower or a UserPerceptron .*; got BiasModel",
        ),
        (biases, "scores", ValueError, "graph must be 'predict', 'predict_matrix' or 'network'; got 'scores'"),
        (fastcf.BiasModel(), "predict", NotFittedError, "model must be fitted first"),
        ("model", "predict", TypeError, "model must be a model of this package; got str"),
    ):
        with pytest.raises(kind, match=f"fastcf.export.to_onnx: {message}"):
            to_onnx(model, path, graph=graph)
    with pytest.raises(TypeError, match=r"fastcf\.export\.to_torch: model must be an Autoencoder or a TwoTower"):
        to_torch(biases)
    monkeypatch.setattr("fastcf.export.runtimes._LARGEST", 100)
    with pytest.raises(ValueError, match="must have less than 2 GiB"):
        to_onnx(biases, path)
    assert not path.exists()


@pytest.mark.parametrize(("module", "library"), [("onnx_graph", "onnx"), ("torch_modules", "torch")])
def test_export_names_a_missing_library(module, library, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, f"fastcf.export.{module}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    model = SCORED["autoencoder"].fit(R)
    with pytest.raises(ImportError, match=rf"needs {library}, an optional extra: pip install 'fastcf\[{library}\]'"):
        to_onnx(model, tmp_path / "m") if library == "onnx" else to_torch(model)
