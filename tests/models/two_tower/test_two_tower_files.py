"""The two-tower model's files and conventions, training that ends before its time, bad input."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from fastcf.optimizers import as_optimizer
from fastcf.serialization import Archive, save_archive
from fastcf.serialization.version_1 import upgraded
from interrupted import fit_interrupted

OPTIONS = {
    "default": {},
    "hybrid": {"ids": "both", "activation": "tanh", "dropout": 0.2, "scale": 2.5},
    "labels": {"cost": "logistic", "threshold": 3.0, "normalize": False, "item_layers": [5, 4]},
    "towers alone": {"baseline": "none", "ids": "item"},
    "momentum": {"ids": "user", "optimizer": fastcf.optimizers.Momentum(momentum=0.8), "reg": 3.0},
}


CONSTANT = fastcf.optimizers.Adam(schedule="constant")


def model_of(name="default", **options):
    given = {"n_epochs": 4, "batch_size": 64, "random_state": 0, **OPTIONS[name], **options}
    return fastcf.TwoTower(**{"user_layers": (6,), "item_layers": (5, 4), "n_factors": 3, **given})


@pytest.fixture(scope="module")
def ratings():
    users, items, values = fastcf.data.make_ratings(60, 40, 1_000, random_state=3).to_coo()
    return fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, values)


@pytest.fixture(scope="module")
def tables(ratings):
    rng = np.random.default_rng(0)
    users = scipy.sparse.random_array((61, 20), density=0.2, rng=rng, format="csr")
    return {
        "user_features": ([*ratings.users.ids, "new"], users),
        "item_features": ([*ratings.items.ids, 7], rng.normal(size=(ratings.n_items + 1, 4))),
    }


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("copied", ["file", "pickle", "copy"])
def test_two_tower_loaded_is_the_same(ratings, tables, tmp_path, name, copied):
    model = model_of(name).fit(ratings, **tables)
    if copied == "file":
        model.save(tmp_path / "model")
        again = fastcf.load(tmp_path / "model")
        assert (again.user_layers, again.item_layers) == (tuple(model.user_layers), tuple(model.item_layers))
        again.item_layers = model.item_layers
    else:
        again = pickle.loads(pickle.dumps(model)) if copied == "pickle" else copy.deepcopy(model)
    assert isinstance(again, fastcf.TwoTower)
    assert str(again.get_params()) == str(model.get_params())
    pairs = [("u03", 20), ("nobody", 20), ("new", 7), ("u03", 98765), ("nobody", 98765)]
    for act in (
        lambda one: one.predict(pairs),
        lambda one: one.predict_matrix(),
        lambda one: one.user_vectors(),
        lambda one: one.user_vectors(tables["user_features"]),
        lambda one: one.item_vectors(tables["item_features"][1]),
        lambda one: one.recommend("u03", 3).items,
        lambda one: one.fold_in(item_features=([99], [[1.0, 0, 2, 0]])).item_factors_,
    ):
        np.testing.assert_array_equal(act(again), act(model))
    assert again.history_ == model.history_
    assert (again.centre_, again.scale_, again.learning_rate_) == (model.centre_, model.scale_, model.learning_rate_)


DAMAGE = {
    "no weights": lambda params, meta, arrays: arrays.pop("user_weights_1"),
    "weights of another shape": lambda params, meta, arrays: arrays.update(item_weights_1=np.zeros((3, 3), "f4")),
    "biases of another size": lambda params, meta, arrays: arrays.update(item_biases_0=np.zeros(3, "f4")),
    "no average": lambda params, meta, arrays: arrays.pop("item_average"),
    "average of another size": lambda params, meta, arrays: arrays.update(user_average=np.zeros(2, "f4")),
    "dense of text": lambda params, meta, arrays: arrays.update(user_dense=np.array(["a"] * 20)),
    "too few inputs": lambda params, meta, arrays: arrays.update(item_dense=np.zeros(2, bool)),
    "own inputs that are not there": lambda params, meta, arrays: arrays.update(item_own=np.full(41, 3, "i4")),
    "own inputs of too few": lambda params, meta, arrays: arrays.update(item_own=np.full(2, -1, "i4")),
    "more own inputs than inputs": lambda params, meta, arrays: meta.update(user_own_inputs=1000),
    "negative own inputs": lambda params, meta, arrays: meta.update(user_own_inputs=-1),
    "no layers": lambda params, meta, arrays: params.update(user_layers=[]),
    "other layers": lambda params, meta, arrays: params.update(user_layers=[7]),
    "activation": lambda params, meta, arrays: params.update(activation="step"),
    "a parameter too many": lambda params, meta, arrays: params.update(colour=1),
    "scale of nothing": lambda params, meta, arrays: meta.update(scale=0.0),
    "scale of text": lambda params, meta, arrays: meta.update(scale="two"),
    "negative unit": lambda params, meta, arrays: meta.update(unit=-1.0),
    "no centre": lambda params, meta, arrays: meta.pop("centre"),
    "centre of nothing": lambda params, meta, arrays: meta.update(centre=None),
}


@pytest.fixture(scope="module")
def archive(ratings, tables):
    return model_of(item_layers=(5, 4)).fit(ratings, **tables).to_archive()


@pytest.mark.parametrize("damage", DAMAGE)
def test_two_tower_damaged_file_is_a_data_error(archive, tmp_path, damage):
    params, meta, arrays = dict(archive.params), json.loads(json.dumps(archive.meta)), dict(archive.arrays)
    DAMAGE[damage](params, meta, arrays)
    save_archive(tmp_path / "model", replace(archive, params=params, arrays=arrays, meta=meta))
    with pytest.raises(fastcf.DataError, match="model"):
        fastcf.load(tmp_path / "model")


@pytest.mark.parametrize("name", OPTIONS)
def test_two_tower_folded_in_states_share_the_towers(ratings, tables, name):
    model = model_of(name).fit(ratings, **tables)
    before = model.predict_matrix()
    folded = model.fold_in(item_features=([99], [[1.0, 0, 2, 0]]))
    assert folded.item_weights_[0] is model.item_weights_[0]
    np.testing.assert_array_equal(model.predict_matrix(), before)
    if model.state.learnt.baseline is not None:
        return  # which takes ratings
    for wrong in ({"X": ratings}, {"X": ratings, "by": "item"}):
        with pytest.raises(
            ValueError, match=r"TwoTower\.fold_in: TwoTower computes no new rows from ratings: pass their"
        ):
            model.fold_in(**wrong)
    with pytest.raises(ValueError, match=r"TwoTower\.recommend: history: TwoTower computes no new rows from ratings"):
        model.recommend(n=2, history=ratings)


def test_two_tower_parameters_of_version_1_are_refitted(ratings):
    """Scale of plain products had no effect; step size and schedule go into the optimiser."""
    old = {"user_layers": [6], "item_layers": [5], "n_factors": 3, "normalize": False, "scale": 2.5, "n_threads": 2}
    old |= {"optimizer": "momentum", "learning_rate": 0.02, "schedule": "constant", "decay": 0.1, "min_delta": 0.0}
    params = upgraded(Archive("TwoTower", old, {}), {}).params
    steps = fastcf.optimizers.Optimizer.from_dict(params.pop("optimizer"))
    assert steps == fastcf.optimizers.Momentum(0.02, schedule="constant")
    model = fastcf.TwoTower(**params, optimizer=steps, n_epochs=1, random_state=0).fit(ratings)
    assert model.learning_rate_ == 0.02


class Own(fastcf.TwoTower):
    """A user's own subclass."""


def test_two_tower_subclass_behaves_as_its_base(ratings, tmp_path):
    options = {"user_layers": (6,), "item_layers": (5,), "n_factors": 3, "n_epochs": 2, "random_state": 0}
    base, own = (kind(**options).fit(ratings) for kind in (fastcf.TwoTower, Own))
    own.save(tmp_path / "own")
    for model in (own, fastcf.load(tmp_path / "own")):
        np.testing.assert_array_equal(model.predict(ratings), base.predict(ratings))
    assert isinstance(own.state, type(base.state))


# ---------------------------------------------------------------------------------------------------------------
# Training that ends before its time
# ---------------------------------------------------------------------------------------------------------------


def test_two_tower_interrupted_keeps_what_was_learnt(ratings):
    model = model_of(n_epochs=50, optimizer=CONSTANT)
    fit_interrupted(model, ratings, epoch=3)
    assert (len(model.history_), model.n_epochs_) == (4, 3)
    whole = model_of(n_epochs=3, optimizer=CONSTANT).fit(ratings)
    np.testing.assert_array_equal(model.predict_matrix(), whole.predict_matrix())


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_two_tower_divergence_is_an_error_and_parameters_stay_finite(ratings, tables, optimizer):
    stepper = as_optimizer(optimizer).set_params(learning_rate=1e30)
    model = model_of(normalize=False, activation="identity", optimizer=stepper)
    with pytest.raises(fastcf.DivergenceError, match=r"TwoTower\.fit: training diverged in epoch 1; lower"):
        model.fit(ratings, **tables)
    assert model.n_epochs_ == 0
    for array in (*model.user_weights_, *model.item_biases_, model.predict_matrix()):
        assert np.isfinite(array).all()


def test_two_tower_old_state_answers_until_the_new_one_is_complete(ratings):
    model = model_of().fit(ratings)
    before, answers = model.predict_matrix(), []

    class Ask(fastcf.callbacks.Callback):
        def on_epoch_end(self, view, record):
            answers.append((model.predict_matrix(), view.predict_matrix()))

    model.set_params(random_state=1).fit(ratings, callbacks=Ask())
    assert len(answers) == 4
    for old, new in answers:
        np.testing.assert_array_equal(old, before)
        assert not np.array_equal(new, before)
    np.testing.assert_array_equal(model.predict_matrix(), answers[-1][1])


def test_two_tower_patience_keeps_the_best_epoch(ratings):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    stepper = fastcf.optimizers.Adam(0.02)
    model = model_of(n_epochs=200, reg=0.0, patience=3, user_layers=(64,), item_layers=(64,), optimizer=stepper)
    model.fit(train, validation=held_out)
    errors = [record["validation_rmse"] for record in model.history_]
    assert len(errors) == model.n_epochs_ + 4 < 200
    assert model.n_epochs_ == 1 + int(np.argmin(errors[1:]))


def test_two_tower_callbacks_see_every_epoch(ratings):
    class Stop(fastcf.callbacks.Callback):
        def on_epoch_end(self, model, record):
            return record["epoch"] == 2

    for name, error in (("default", "rmse"), ("labels", "log_loss")):
        model = model_of(name).fit(ratings, callbacks=[Stop()])
        assert [record["epoch"] for record in model.history_] == [0, 1, 2]
        keys = {"epoch", "cost", f"train_{error}", f"validation_{error}", "seconds", "learning_rate"}
        assert set(model.history_[0]) == keys


# ---------------------------------------------------------------------------------------------------------------
# scikit-learn's conventions, and bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_two_tower_follows_scikit_learn_conventions(name):
    model = model_of(name, n_threads=1)
    again = clone(model)
    assert str(again.get_params()) == str(model.get_params())
    assert again.set_params(n_threads=2, user_layers=(3,)).user_layers == (3,)
    assert "n_threads=1" in repr(model)


def test_two_tower_works_in_grid_search(tables, ratings):
    users, items, values = ratings.to_coo()
    X = np.empty((users.size, 2), object)
    X[:, 0], X[:, 1] = users, items
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(model_of(), {"user_layers": [(4,), [8, 4]], "reg": [0.0, 10.0]}, cv=folds)
    search.fit(X, values, item_features=tables["item_features"])
    assert tuple(search.best_params_["user_layers"]) in ((4,), (8, 4))
    assert -2 < search.best_score_ < 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"user_layers": ()}, ValueError, r"user_layers must be a sequence of one or more integers .*; got \(\)"),
        ({"item_layers": (8, 0)}, ValueError, r"item_layers must be .*; got \(8, 0\)"),
        ({"n_factors": 0}, ValueError, "n_factors must be an integer of at least 1 and at most 65536; got 0"),
        ({"ids": "users"}, ValueError, "ids must be 'auto' or 'none' or 'user' or 'item' or 'both'; got 'users'"),
        (
            {"ids": "none"},
            ValueError,
            "user_features must be given with ids='none', without which users have no inputs",
        ),
        ({"ids": "user"}, ValueError, "item_features must be given with ids='user'"),
        ({"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic' or 'softmax'; got 'hinge'"),
        ({"threshold": 3.0}, ValueError, "threshold must be None for cost='squared'; got 3.0"),
        ({"cost": "logistic"}, ValueError, r"ratings must lie in \[0, 1\] for cost='logistic' without a threshold"),
        ({"activation": "step"}, ValueError, "activation must be"),
        ({"normalize": 1}, TypeError, "normalize must be True or False; got 1"),
        ({"scale": 0.0}, ValueError, "scale must be a finite number above 0, or 'auto'; got 0.0"),
        ({"dropout": 1.0}, ValueError, "dropout must be .*; got 1.0"),
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0; got -1.0"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, or 'auto'; got 0"),
        ({"n_epochs": 0}, ValueError, "n_epochs must be"),
        ({"patience": 0}, ValueError, "patience must be"),
        ({"patience": 3}, ValueError, "patience needs validation ratings"),
        (
            {"normalize": False, "scale": 2.0},
            ValueError,
            "scale must be 'auto' for normalize=False, .*; got 2.0",
        ),
        ({"init": "small"}, ValueError, "init must be"),
        ({"random_state": -1}, ValueError, "random_state must be"),
        ({"n_threads": 0}, ValueError, "n_threads must be"),
        ({"verbose": 3}, ValueError, "verbose must be"),
    ],
)
def test_two_tower_bad_parameters_raise(ratings, options, error, message):
    model = fastcf.TwoTower(**options)
    with pytest.raises(error, match=rf"TwoTower\.fit: {message}"):
        model.fit(ratings)
    assert not hasattr(model, "users_")


def test_two_tower_bad_features_raise(ratings, tables):
    ids, matrix = tables["item_features"]
    for given, error, message in (
        ({"item_features": matrix}, TypeError, r"fit: item_features must be a FeatureTable or a pair \(ids, matrix\)"),
        (
            {"item_features": (ids[1:], matrix[1:])},
            ValueError,
            "fit: all items of the ratings must have features; 1 of",
        ),
        ({"item_features": (ids, matrix * np.nan)}, ValueError, "fit: item_features: .* must be finite"),
        ({"validation": (1, 2, 3)}, ValueError, "fit: validation must be ratings or a pair"),
    ):
        with pytest.raises(error, match=rf"TwoTower\.{message}"):
            model_of().fit(ratings, **given)
    model = model_of().fit(ratings, item_features=tables["item_features"])
    before = model.predict(ratings)
    for call, message in (
        (lambda: model.item_vectors(matrix[:, :3]), r"item_vectors: features must have the 4 features that .*; got 3"),
        (lambda: model.item_vectors(np.full((2, 4), np.inf)), "item_vectors: features: .* must be finite"),
        (
            lambda: model.user_vectors([[1.0]]),
            "user_vectors: features must be None for a model whose users have only ids",
        ),
        (lambda: model.fold_in(user_features=(["x"], [[1.0]])), "fold_in: user_features must be None for a model"),
        (lambda: model.fold_in(item_features=([99], [[1.0]])), "fold_in: item_features must have the 4 features"),
        (lambda: model.fold_in(y=[1.0], item_features=(ids, matrix)), "fold_in: y must not be given with features"),
        (lambda: model.fold_in(by="item", item_features=(ids, matrix)), "fold_in: by must not be given with features"),
        (lambda: model.fold_in(strict=True, item_features=(ids, matrix)), "fold_in: strict must not be given"),
        (lambda: model.fit(ratings, item_features=(ids[1:], matrix[1:])), "fit: all items of the ratings must have"),
    ):
        with pytest.raises(ValueError, match=rf"TwoTower\.{message}"):
            call()
    np.testing.assert_array_equal(model.predict(ratings), before)


def test_two_tower_predict_proba_is_for_labels_only(ratings):
    assert not hasattr(model_of().fit(ratings), "predict_proba")
    model = model_of("labels", item_layers=(4,)).fit(ratings)
    np.testing.assert_array_equal(model.predict_proba(ratings)[:, 1], model.predict(ratings))
    np.testing.assert_array_equal(model.predict_proba(ratings).sum(axis=1), 1)
    assert 0 < model.predict_proba(ratings).min() < model.predict_proba(ratings).max() < 1


def test_two_tower_use_before_fit_raises():
    model = fastcf.TwoTower()
    for method, arguments in (
        ("predict", [[(1, 1)]]), ("predict_matrix", []), ("recommend", [1]), ("similar_items", [1]),
        ("user_vectors", []), ("item_vectors", []), ("fold_in", []), ("save", ["nowhere"]),
    ):  # fmt: skip
        with pytest.raises(NotFittedError, match=rf"TwoTower\.{method}: the model must be fitted first; call fit"):
            getattr(model, method)(*arguments)
