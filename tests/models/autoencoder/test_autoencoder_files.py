"""The masked autoencoder's files and conventions, training that ends before its time, bad input, real ratings."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from fastcf.serialization import Archive, save_archive
from fastcf.serialization.version_1 import upgraded
from interrupted import fit_interrupted

OPTIONS = {
    "default": {},
    "deep": {"orientation": "user", "layers": [6, 4, 5], "activation": "selu", "dropout": 0.2, "alpha_dropout": True},
    "tied": {"tied": True, "layers": (5, 3), "normalize": "item", "optimizer": fastcf.optimizers.Adam(beta1=0.8)},
    "bounded": {"output_activation": "sigmoid", "tied": True},
    "raw": {"normalize": None, "orientation": "user", "dense_refeeding": 1},
}


def model_of(name="default", **options):
    given = {
        "layers": (6,),
        "n_epochs": 4,
        "random_state": 0,
        "orientation": "item",
        "rated_input": 30.0,
        **OPTIONS[name],
        **options,
    }
    return fastcf.Autoencoder(**given)


@pytest.fixture(scope="module")
def ratings():
    users, items, values = fastcf.data.make_ratings(60, 40, 1_000, random_state=3).to_coo()
    return fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, values)


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("copied", ["file", "pickle", "copy"])
def test_autoencoder_loaded_is_the_same(ratings, tmp_path, name, copied):
    model = model_of(name).fit(ratings)
    if copied == "file":
        model.save(tmp_path / "model")
        again = fastcf.load(tmp_path / "model")
        assert again.layers == tuple(model.layers)
        again.layers = model.layers
    else:
        again = pickle.loads(pickle.dumps(model)) if copied == "pickle" else copy.deepcopy(model)
    assert isinstance(again, fastcf.Autoencoder)
    assert str(again.get_params()) == str(model.get_params())
    by, pairs = model.orientation, [("u03", 20), ("nobody", 20), ("u03", 98765), ("nobody", 98765)]
    for act in (
        lambda one: one.predict(ratings),
        lambda one: one.predict(pairs),
        lambda one: one.predict_matrix(["u01", "nobody"]),
        lambda one: one.encode(ratings),
        lambda one: one.reconstruct(ratings),
        lambda one: one.fold_in(ratings, by=by).predict_matrix(),
        lambda one: one.recommend(["u01", "nobody"], 5).items,
        lambda one: one.recommend(["u01", "nobody"], 5).scores,
        lambda one: one.similar_items(20, 5).scores,
        lambda one: one.similar_users("u02", 5).scores,
        lambda one: one.fit(ratings).predict(ratings),  # last: trained again
    ):
        np.testing.assert_array_equal(act(again), act(model))
    for attribute in ("global_mean_", "mean_rating_", "rating_range_", "n_epochs_", "learning_rate_"):
        assert getattr(again, attribute) == getattr(model, attribute)


def test_autoencoder_file_holds_tied_weights_once(ratings, tmp_path):
    sizes = {}
    for tied in (False, True):
        model = model_of(tied=tied, layers=(64, 64)).fit(ratings)
        model.save(tmp_path / "model", include_seen=False)
        sizes[tied] = (tmp_path / "model").stat().st_size
        with pytest.raises(ValueError, match="exclude_seen must be False"):
            fastcf.load(tmp_path / "model").recommend("u01")
    assert sizes[False] - sizes[True] > 0.9 * 4 * 64 * (60 + 64)


def shorter(array):
    """Return an array, or a table of ids, without its last entry."""
    return array.take(np.arange(len(array) - 1))


ARRAYS = (
    "user_ids", "item_ids", "user_factors", "item_factors", "user_bias", "item_bias", "output_bias", "row_offsets",
    "column_offsets", "input_weights", "hidden_weights_0", "hidden_weights_1", "hidden_biases_0", "hidden_biases_2",
)  # fmt: skip
DAMAGE = {
    **{f"no {name}": lambda params, meta, arrays, name=name: arrays.pop(name) for name in ARRAYS},
    **{
        f"short {name}": lambda params, meta, arrays, name=name: arrays.update({name: shorter(arrays[name])})
        for name in ARRAYS
    },
    "float64": lambda params, meta, arrays: arrays.update(output_bias=arrays["output_bias"].astype(float)),
    "layers": lambda params, meta, arrays: params.update(layers=[6, 5]),
    "more layers": lambda params, meta, arrays: params.update(layers=[6, 4, 4]),
    "no layers": lambda params, meta, arrays: params.update(layers=[]),
    "layers of text": lambda params, meta, arrays: params.update(layers="64"),
    "activation": lambda params, meta, arrays: params.update(activation="step"),
    "a parameter too many": lambda params, meta, arrays: params.update(colour=1),
    "orientation": lambda params, meta, arrays: params.update(orientation="user"),
    "scale of two": lambda params, meta, arrays: meta.update(scale=[1.0, 2.0]),
    "scale of text": lambda params, meta, arrays: meta.update(scale=["a", 1.0, 2.0]),
    "unit of nothing": lambda params, meta, arrays: meta.update(scale=[1.0, 0.0, 2.0]),
    "negative penalty": lambda params, meta, arrays: meta.update(scale=[1.0, 1.0, -2.0]),
    "no scale": lambda params, meta, arrays: meta.pop("scale"),
    "no mean": lambda params, meta, arrays: meta.pop("mean_rating"),
    **{
        f"{key} of text": lambda params, meta, arrays, key=key: meta.update({key: "three"})
        for key in ("global_mean", "reg", "learning_rate", "batch_size")
    },
    "mean of text": lambda params, meta, arrays: meta.update(mean_rating="three"),
}


def test_autoencoder_parameters_without_effect_are_dropped_from_files_of_version_1():
    scheduled = {"learning_rate": 0.01, "schedule": "inverse", "decay": 0.3, "optimizer": "momentum", "min_delta": 0.1}
    for given, wanted in (
        ({"output_activation": "sigmoid", "normalize": "item"}, {"normalize": "bias"}),
        ({"output_activation": "selu", "normalize": "global"}, {"normalize": "global"}),
        ({"alpha_dropout": True, "dropout": 0.0}, {"alpha_dropout": False}),
        ({"alpha_dropout": True, "dropout": 0.1}, {"alpha_dropout": True}),
    ):
        own = {"output_activation": "identity", "normalize": "bias", "alpha_dropout": False, "dropout": 0.0, **given}
        params = upgraded(Archive("Autoencoder", {**scheduled, **own, "n_threads": 2}, {}), {}).params
        assert params.items() >= {**own, **wanted}.items()
        assert params.keys() == {*own, "optimizer"}
        settings = params["optimizer"]["params"]
        assert settings == {"learning_rate": 0.01, "schedule": "inverse", "decay": 0.3}


@pytest.fixture(scope="module")
def archive(ratings):
    return model_of(layers=(6, 4)).fit(ratings).to_archive()


@pytest.mark.parametrize("damage", DAMAGE)
def test_autoencoder_damaged_file_is_a_data_error(archive, tmp_path, damage):
    params, meta, arrays = dict(archive.params), json.loads(json.dumps(archive.meta)), dict(archive.arrays)
    DAMAGE[damage](params, meta, arrays)
    save_archive(tmp_path / "model", Archive("Autoencoder", params, arrays, meta))
    with pytest.raises(fastcf.DataError, match="model"):
        fastcf.load(tmp_path / "model")


# ---------------------------------------------------------------------------------------------------------------
# Training that ends before its time
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_autoencoder_interrupted_keeps_what_was_learnt(ratings, name):
    constant = fastcf.optimizers.Adam(schedule="constant")
    given = {"reg": 400.0, **OPTIONS[name], "optimizer": constant}
    model = model_of(name, n_epochs=50, **given)
    fit_interrupted(model, ratings, epoch=3)
    assert (len(model.history_), model.n_epochs_) == (4, 3)
    whole = model_of(name, n_epochs=3, **given).fit(ratings)
    np.testing.assert_array_equal(model.predict_matrix(), whole.predict_matrix())
    assert model.recommend("u01", 3, exclude_seen=False).items.shape == (3,)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
@pytest.mark.parametrize("options", [{}, {"reg": 0.0}, {"validation": True}])
@pytest.mark.parametrize("optimizer", ["GradientDescent", "Momentum", "Adam"])
def test_autoencoder_divergence_is_an_error_and_parameters_stay_finite(ratings, optimizer, options):
    options = dict(options)
    held_out = ratings if options.pop("validation", False) else None
    steps = getattr(fastcf.optimizers, optimizer)(1e30)
    model = model_of(activation="elu", optimizer=steps, batch_size=8, **options)
    with pytest.raises(fastcf.DivergenceError, match=r"Autoencoder\.fit: training diverged in epoch 1; lower"):
        model.fit(ratings, validation=held_out)
    assert model.n_epochs_ == 0
    for array in (model.input_weights_, model.output_weights_, model.output_bias_, model.predict_matrix()):
        assert np.isfinite(array).all()


def test_autoencoder_patience_keeps_the_best_epoch(ratings):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    steps = fastcf.optimizers.Adam(0.03)
    model = model_of(n_epochs=200, reg=0.0, input_dropout=0.0, patience=3, layers=(32,), optimizer=steps)
    model.fit(train, validation=held_out)
    errors = [record["validation_rmse"] for record in model.history_[1:]]
    assert len(errors) == model.n_epochs_ + 3 < 200
    assert model.n_epochs_ == 1 + int(np.argmin(errors))
    assert -model.score(held_out) == pytest.approx(min(errors), abs=1e-5)


def test_autoencoder_callbacks_see_every_epoch(ratings):
    class Stop(fastcf.callbacks.Callback):
        def on_epoch_end(self, model, record):
            return record["epoch"] == 2

    model = model_of().fit(ratings, callbacks=[Stop()])
    assert [record["epoch"] for record in model.history_] == [0, 1, 2]
    keys = {"epoch", "cost", "train_rmse", "validation_rmse", "seconds", "learning_rate"}
    assert all(set(record) == keys for record in model.history_)


def test_autoencoder_callbacks_that_look_change_nothing(ratings):
    class Look(fastcf.callbacks.Callback):
        def __init__(self):
            self.lists = []

        def on_epoch_end(self, view, record):
            self.lists.append(view.recommend("u01", 5, exclude_seen=False).scores)

    look = Look()
    model = model_of(n_epochs=3).fit(ratings, callbacks=look)
    np.testing.assert_array_equal(model.predict(ratings), model_of(n_epochs=3).fit(ratings).predict(ratings))
    np.testing.assert_array_equal(look.lists[-1], model.recommend("u01", 5, exclude_seen=False).scores)
    assert (look.lists[0] != look.lists[-1]).any()


@pytest.mark.parametrize(
    "failing",
    [{"optimizer": "lbfgs"}, {"patience": 3}, {"alpha_dropout": True}, {"device": "cuda:99"}, {"callbacks": 3}],
    ids=str,
)
def test_autoencoder_failing_fit_leaves_the_model_as_it_was(ratings, failing):
    model = model_of().fit(ratings)
    before, history = model.state, model.history_
    options = dict(failing)
    given = {"callbacks": options.pop("callbacks")} if "callbacks" in options else {}
    model.set_params(**options)
    with pytest.raises((ValueError, TypeError, fastcf.errors.DeviceError)):
        model.fit(ratings.take(np.arange(50)), **given)
    assert model.state is before
    assert model.history_ == history


def test_autoencoder_old_states_stay_as_they_are_when_the_model_is_fitted_again(ratings):
    model, twin = model_of().fit(ratings), model_of().fit(ratings)
    old = model.state
    model.set_params(random_state=1).fit(ratings)
    assert model.state is not old
    for name in ("user_factors", "item_factors", "user_bias", "item_bias"):
        np.testing.assert_array_equal(getattr(old.scores, name), getattr(twin.state.scores, name))
    np.testing.assert_array_equal(old.learnt.input_weights, twin.input_weights_)


# ---------------------------------------------------------------------------------------------------------------
# scikit-learn's conventions, and bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_autoencoder_follows_scikit_learn_conventions(name):
    model = model_of(name, n_threads=1)
    again = clone(model)
    assert str(again.get_params()) == str(model.get_params())
    assert again.set_params(n_threads=2, layers=(3,)).layers == (3,)
    assert "n_threads=1" in repr(model)
    assert "reg=" not in repr(model)


def test_autoencoder_works_in_grid_search():
    users, items, values = fastcf.data.make_ratings(60, 30, 900, random_state=0).to_coo()
    search = GridSearchCV(
        model_of(), {"layers": [(4,), [8, 4]], "orientation": ["item", "user"]},
        cv=KFold(3, shuffle=True, random_state=0),
    )  # fmt: skip
    search.fit(np.stack([users, items], axis=1), values)
    assert tuple(search.best_params_["layers"]) in ((4,), (8, 4))
    assert -2 < search.best_score_ < 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": ()}, ValueError, r"layers must be a sequence of one or more integers from 1 to 1,048,576; got \("),
        ({"layers": (8, 0)}, ValueError, r"layers must be .*; got \(8, 0\)"),
        ({"layers": (8.5,)}, ValueError, r"layers must be .*; got \(8.5,\)"),
        ({"layers": (2**20 + 1,)}, ValueError, "layers must be"),
        ({"layers": 64}, TypeError, "layers must be .*; got 64"),
        ({"layers": "64"}, TypeError, "layers must be .*; got '64'"),
        ({"orientation": "items"}, ValueError, "orientation must be 'auto' or 'item' or 'user'; got 'items'"),
        ({"activation": "step"}, ValueError, "activation must be 'identity' or .* 'selu'; got 'step'"),
        ({"output_activation": "step"}, ValueError, "output_activation must be .*; got 'step'"),
        ({"tied": 1}, TypeError, "tied must be True or False; got 1"),
        ({"dropout": 1.0}, ValueError, "dropout must be .*; got 1.0"),
        ({"input_dropout": -0.1}, ValueError, "input_dropout must be .*; got -0.1"),
        ({"alpha_dropout": "yes"}, TypeError, "alpha_dropout must be True or False"),
        ({"dense_refeeding": -1}, ValueError, "dense_refeeding must be an integer"),
        ({"normalize": "mean"}, ValueError, "normalize must be 'bias' or 'item' or 'user' or 'global', or None; got"),
        ({"normalize": "item", "output_activation": "selu"}, ValueError,
         "normalize must be 'global' or None with output_activation='selu'; got 'item'"),
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0, or 'auto'; got -1.0"),
        ({"reg": "much"}, ValueError, "reg must be"),
        ({"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic' or 'multinomial', or .*; got 'hinge'"),
        ({"threshold": 4.0}, ValueError, "threshold must be None for cost='squared'; got 4.0"),
        ({"cost": "logistic"}, ValueError, r"ratings must lie in \[0, 1\] for cost='logistic' without a threshold"),
        ({"cost": "logistic", "threshold": 4, "output_activation": "sigmoid"}, ValueError,
         "output_activation must be 'identity' for cost='logistic'; got 'sigmoid'"),
        ({"cost": "logistic", "threshold": 4, "dense_refeeding": 1}, ValueError,
         "dense_refeeding must be 0 for cost='logistic'; got 1"),
        ({"dropout": 0.0, "alpha_dropout": True}, ValueError,
         "alpha_dropout must be False with dropout=0, where it has no effect; got True"),
        *(({"normalize": given, "output_activation": output}, ValueError,
           f"normalize must be 'bias' with output_activation='{output}', where it has no effect; got {given!r}")
          for output in ("sigmoid", "tanh") for given in ("item", "user", "global", None)),
        *(({"normalize": given, "output_activation": "elu"}, ValueError, "normalize must be 'global' or None with")
          for given in ("bias", "item", "user")),
        ({"patience": 3}, ValueError, "patience needs validation ratings"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be"),
        ({"optimizer": 3}, TypeError, "optimizer must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, or 'auto'; got 0"),
        ({"n_epochs": 0}, ValueError, "n_epochs must be"),
        ({"patience": 0}, ValueError, "patience must be"),
        ({"init": "he"}, ValueError, "init must be"),
        ({"random_state": -1}, ValueError, "random_state must be"),
        ({"n_threads": 0}, ValueError, "n_threads must be"),
        ({"verbose": 3}, ValueError, "verbose must be"),
    ],
)  # fmt: skip
def test_autoencoder_bad_parameters_raise(ratings, options, error, message):
    model = fastcf.Autoencoder(**options)
    with pytest.raises(error, match=rf"Autoencoder\.fit: {message}"):
        model.fit(ratings)
    assert not hasattr(model, "users_")
    if options.keys() & {"alpha_dropout", "normalize"}:
        with pytest.raises(error):
            fastcf.check_gradients(model, ratings)


def test_autoencoder_parameters_of_other_versions_are_refused():
    for name in ("learning_rate", "schedule", "decay", "min_delta"):
        with pytest.raises(TypeError, match=name):
            fastcf.Autoencoder(**{name: 0.1})
    for name, value in (("learning_rate", 0.0), ("schedule", "step"), ("decay", 1.5)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            fastcf.optimizers.Adam(**{name: value})


def test_autoencoder_bad_ratings_raise(ratings):
    model = model_of().fit(ratings)
    before = model.predict(ratings)
    for X, y, error, message in (
        ([(1, 2), (1, 3)], [1.0, np.nan], ValueError, r"fit: ratings must be finite.*got nan at entry 1"),
        ([(1, 2), (1, 2)], [1.0, 2.0], ValueError, "duplicate"),
        (np.empty((0, 2), int), np.empty(0), ValueError, "must not be empty"),
        ([(1, 2), (1, 3)], None, ValueError, "y must hold the ratings"),
    ):
        with pytest.raises(error, match=rf"Autoencoder\.fit.*{message}|{message}"):
            model.fit(X, y)
    with pytest.raises(ValueError, match=r"fit: weights must not all be zero"):
        model.fit(fastcf.Ratings.from_coo([1, 2], [3, 4], [9.0, 10.0], weights=[0.0, 0.0]))
    with pytest.raises(ValueError, match=r"fit: validation must be ratings or a pair"):
        model.fit(ratings, validation=(1, 2, 3))
    np.testing.assert_array_equal(model.predict(ratings), before)


def test_autoencoder_use_before_fit_raises(ratings):
    model = fastcf.Autoencoder()
    for method, arguments in (
        ("predict", [[(1, 1)]]), ("predict_matrix", []), ("recommend", [1]), ("similar_items", [1]),
        ("encode", [ratings]), ("reconstruct", [ratings]), ("fold_in", [ratings]), ("save", ["nowhere"]),
    ):  # fmt: skip
        with pytest.raises(NotFittedError, match=rf"Autoencoder\.{method}: the model must be fitted first; call fit"):
            getattr(model, method)(*arguments)


# ---------------------------------------------------------------------------------------------------------------
# Accuracy
# ---------------------------------------------------------------------------------------------------------------


def test_autoencoder_with_defaults_beats_the_biases_on_real_ratings(data_dir):
    log = fastcf.data.read_log(data_dir / "ml-latest-small" / "ratings.csv")
    order = np.random.default_rng(20261120).permutation(len(log.ratings))
    test, train = order[: order.size // 10], order[order.size // 10 :]
    X = np.empty((order.size, 2), object)
    X[:, 0], X[:, 1] = log.users, log.items
    ratings = fastcf.Ratings.from_coo(log.users[train], log.items[train], log.ratings[train], duplicates="last")

    def error(model):
        return fastcf.metrics.rmse(log.ratings[test], model.fit(ratings).predict(X[test]))

    assert error(fastcf.Autoencoder(random_state=0)) < error(fastcf.BiasModel()) - 0.015
