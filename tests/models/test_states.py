"""The state of a fitted model: attributes are views of it, it never changes, and copies and files keep it."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastcf
from attributes import assert_same_attributes, public
from choice_models import CHOICE_MODELS
from fastcf.solvers import ALS, Gibbs, GradientDescent

RATINGS = fastcf.data.make_ratings(60, 40, 900, random_state=0)
MODELS = {
    "bias": lambda: fastcf.BiasModel(),
    "sgd": lambda: fastcf.MatrixFactorization(4, n_epochs=3, random_state=0),
    "item": lambda: fastcf.MatrixFactorization(4, solver=ALS(), normalize="item", n_epochs=3, random_state=0),
    "labels": lambda: fastcf.MatrixFactorization(
        4, solver=GradientDescent(), cost="logistic", threshold=4, reg=1.0, n_epochs=3, random_state=0
    ),
    "bayes": lambda: fastcf.MatrixFactorization(4, solver=Gibbs(burn_in=2), n_epochs=5, random_state=0),
    **CHOICE_MODELS,
}
COMMON = {"users_", "items_", "seen_", "rating_range_", "device_", "n_features_in_"}
FACTORS = {"user_factors_", "item_factors_", "user_bias_", "item_bias_", "global_mean_", "item_mean_"}
TRAINED = {"history_", "n_epochs_", "reg_", "reg_exponent_", "user_bias_reg_", "item_bias_reg_", "learning_rate_"}
TRAINED |= {"sgd_rate_", "sigma_", "n_factors_"}
CENTRED = {"rated_effects_"}
DRAWN = {"draws_", "n_samples_", "noise_variance_", "user_noise_variances_", "user_bias_samples_", "item_bias_samples_"}
SOLVED = COMMON | FACTORS | {"history_", "n_epochs_", "reg_", "mean_user_"}
NETWORK = {"history_", "n_epochs_", "reg_", "learning_rate_", "batch_size_", "mean_rating_", "scale_", "output_bias_"}
NETWORK |= {
    "input_dropout_",
    "hidden_biases_",
    "hidden_weights_",
    "input_weights_",
    "output_weights_",
    "rated_weights_",
}
TOWERS = {"history_", "n_epochs_", "learning_rate_", "centre_", "scale_", "unit_", "log_popularity_"}
TOWERS |= {f"{side}_{part}_" for side in ("user", "item") for part in ("average", "biases", "weights")}
ATTRIBUTES = {
    "bias": COMMON | FACTORS | {"user_reg_", "item_reg_", "noise_variance_", "n_iter_"},
    "sgd": COMMON | FACTORS | TRAINED | CENTRED,
    "item": COMMON | FACTORS | TRAINED | CENTRED,
    "labels": COMMON | FACTORS | TRAINED | CENTRED,
    "bayes": COMMON | FACTORS | TRAINED | DRAWN,
    **dict.fromkeys(("linear", "linear-local"), COMMON | {"item_weights_"}),
    **dict.fromkeys(("implicit-cg", "implicit-cholesky", "implicit-subspaces"), SOLVED | {"unobserved_weight_"}),
    **dict.fromkeys(("implicit-bpr", "implicit-sampled"), SOLVED | {"learning_rate_"}),
    **dict.fromkeys(("item-neighbours", "user-neighbours"), COMMON),
    "popular": COMMON | {"group_names_"},
    "multinomial": COMMON | FACTORS | NETWORK,
    "softmax": COMMON | FACTORS | TOWERS,
    "blend": COMMON | {"member_ndcg_", "models_", "n_validation_", "validation_ndcg_", "weights_"},
}
COMPARES_ITEMS = {*MODELS} - {"bias", "user-neighbours", "popular", "blend"}
COMPARES_USERS = {*MODELS} - {"bias", "linear", "linear-local", "item-neighbours", "popular", "blend"}
FOLDS = {*MODELS} - {"softmax"}  # by ratings; towers take features
HISTORY = [(0, 1), (0, 2), (5, 3)], [5.0, 4.0, 1.0]
IN_HOST_MEMORY = {"linear", "linear-local", "item-neighbours", "user-neighbours", "popular", "blend"}


def arrays_of(value):
    """Return all arrays in a value: an array, a tuple of some, a map of ids."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, fastcf.IdMap):
        return [value.ids]
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_of(part)]
    return []


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return MODELS[name]().fit(RATINGS)


def test_state_has_the_documented_attributes(name, model):
    assert public(model) == ATTRIBUTES[name]
    for attribute in ATTRIBUTES[name]:
        assert hasattr(model, attribute)
    assert not hasattr(model, "nothing_")
    with pytest.raises(AttributeError, match=rf"{type(model).__name__} has no attribute 'nothing_'"):
        model.nothing_  # noqa: B018  # the look is what is tested


def test_state_before_fit_has_no_attributes(name):
    fresh = MODELS[name]()
    assert not any(hasattr(fresh, attribute) for attribute in ATTRIBUTES[name])
    assert public(fresh) <= {"n_features_in_"}  # a property, which raises
    assert not fresh.__sklearn_is_fitted__()
    with pytest.raises(NotFittedError, match="must be fitted first"):
        fresh.state  # noqa: B018  # the same
    with pytest.raises(AttributeError, match="users_ is known after fit only"):
        fresh.users_  # noqa: B018  # the same


def test_state_attributes_cannot_be_set(name, model):
    before = model.state
    for attribute in ATTRIBUTES[name] - {"n_features_in_", "models_"}:  # properties
        with pytest.raises(AttributeError, match=f"{attribute} is a view of what fit has learnt and cannot be set"):
            setattr(model, attribute, None)
    with pytest.raises(AttributeError):
        model.n_features_in_ = 3
    assert model.state is before
    model.note = model.own_ = 5  # a user's own
    assert (model.note, model.own_) == (5, 5)
    del model.note, model.own_


def test_state_is_immutable(model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.state.users = None
    for part in filter(None, (model.state.scores, model.state.learnt)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.reg = 5.0
    with pytest.raises(AttributeError):
        model.state = None


@pytest.mark.parametrize(
    "copied",
    [
        lambda model, _: model,
        lambda model, _: pickle.loads(pickle.dumps(model)),
        lambda model, _: copy.copy(model),
        lambda model, _: copy.deepcopy(model),
        lambda model, folder: (model.save(folder / "m"), fastcf.load(folder / "m"))[1],
        lambda model, _: model.fold_in(*HISTORY),
    ],
    ids=["fitted", "pickled", "copied", "deep copied", "loaded", "folded in"],
)
def test_state_arrays_are_read_only(name, model, copied, tmp_path):
    try:
        again = copied(model, tmp_path)
    except ValueError:
        assert name not in FOLDS  # and this is the copy by fold_in
        return
    looked_at = set()
    for attribute in public(again):
        for array in arrays_of(getattr(again, attribute)):
            looked_at.add(attribute)
            assert not array.flags.writeable, attribute
            if array.size:
                with pytest.raises(ValueError, match="read-only"):
                    array.flat[0] = 0
    wanted = {"user_factors_", "item_factors_", "user_bias_", "item_bias_"} & ATTRIBUTES[name]
    assert {"users_", "items_", "seen_"} | wanted <= looked_at


@pytest.mark.parametrize("again", [lambda m: pickle.loads(pickle.dumps(m)), copy.copy, copy.deepcopy])
def test_state_is_kept_by_copies(model, again):
    copied = again(model)
    assert_same_attributes(copied, model)
    np.testing.assert_array_equal(copied.predict_matrix(), model.predict_matrix())
    fresh = again(clone(model))
    assert not hasattr(fresh, "users_")
    fresh.fit(RATINGS.take(np.arange(300)))
    assert not hasattr(clone(fresh), "users_")


def test_state_is_kept_by_files(model, tmp_path):
    model.save(tmp_path / "m")
    assert_same_attributes(fastcf.load(tmp_path / "m"), model)


def test_state_of_a_copy_is_its_own(name, model):
    """A copy shares what was learnt, and a fit of one leaves the other as it is."""
    for again in (copy.copy(model), copy.deepcopy(model)):
        before = model.predict_matrix()
        again.fit(RATINGS.take(np.arange(400)))
        assert again.state is not model.state
        np.testing.assert_array_equal(model.predict_matrix(), before)


def test_state_of_before_stays_valid(name):
    model = MODELS[name]().fit(RATINGS)
    before, predicted, history = model.state, model.predict(RATINGS), getattr(model, "history_", None)
    half = RATINGS.take(np.arange(450))
    model.fit(half)
    assert model.state is not before
    old = copy.copy(model)
    old._swap(before)
    np.testing.assert_array_equal(old.predict(RATINGS), predicted)
    assert getattr(old, "history_", None) == history


def test_history_is_a_copy(model):
    if not hasattr(model, "history_"):
        return
    first = model.history_
    first[0]["cost"] = None
    first.clear()
    assert model.history_[0]["cost"] is not None
    assert model.history_ is not model.history_


# Other parameters than those of the fit.
LINEAR = {"reg": 5.0, "low_weight": 0.1, "threshold": 4, "neighbours": 3}
SOLVER = {"n_factors": 9, "solver": "auto", "alpha": 3.0, "reg": 0.5, "threshold": 4, "strength": "value"}
NEAR = {"n_neighbours": 3, "similarity": "bm25", "b": 0.1, "threshold": 4, "strength": "value"}
OTHER = {
    "linear": LINEAR,
    "linear-local": LINEAR,
    **{name: SOLVER for name in CHOICE_MODELS if name.startswith("implicit")},
    "item-neighbours": NEAR,
    "user-neighbours": NEAR,
    "popular": {"by": "mean", "threshold": None, "shrinkage": 3.0},
    "multinomial": {"layers": (3,), "cost": "squared", "n_epochs": 1},
    "softmax": {"n_factors": 2, "cost": "squared", "n_epochs": 1},
    "blend": {"metric": "rmse", "models": [("bias", fastcf.BiasModel())]},
}


def test_state_does_not_follow_parameters_set_later(name, tmp_path):
    """What was fitted is saved, whatever the parameters are meanwhile."""
    model = MODELS[name]().fit(RATINGS)
    predicted = model.predict_matrix()
    folded = model.fold_in(*HISTORY).predict_matrix() if name in FOLDS else None
    if name in CHOICE_MODELS:
        model.set_params(**OTHER[name])
    elif name != "bias":
        other = {"cost": "squared", "threshold": None} if name == "labels" else {"cost": "logistic", "threshold": 4}
        model.set_params(**other, bias=False, n_factors=9, normalize=None, solver="sgd")
    else:
        model.set_params(user_reg=5.0)
    model.save(tmp_path / "m")
    loaded = fastcf.load(tmp_path / "m")
    for each in (model, copy.deepcopy(model), loaded):
        np.testing.assert_array_equal(each.predict_matrix(), predicted)
        if name in FOLDS:
            np.testing.assert_array_equal(each.fold_in(*HISTORY).predict_matrix(), folded)
        assert hasattr(each, "predict_proba") == (name == "labels")
    assert loaded.score(RATINGS) == model.score(RATINGS)


def test_methods_are_those_of_the_state(name, model):
    assert hasattr(model, "predict_proba") == (name == "labels")
    assert hasattr(model, "similar_items") == (name in COMPARES_ITEMS)
    assert hasattr(model, "similar_users") == (name in COMPARES_USERS)
    assert hasattr(model, "on_device") == (name not in IN_HOST_MEMORY)
    assert hasattr(model, "fold_in")
    fresh = MODELS[name]()
    assert hasattr(fresh, "predict_proba") == (name == "labels")
    with pytest.raises(NotFittedError):
        fresh.fold_in([(0, 1)], [1.0])


def test_save_without_seen_leaves_the_model_alone(model, tmp_path):
    before = model.state
    model.save(tmp_path / "m", include_seen=False)
    assert model.state is before
    assert model.seen_ is not None
    assert fastcf.load(tmp_path / "m").seen_ is None


def test_recommender_dir_lists_methods_and_what_was_learnt(name, model):
    listed = dir(model)
    assert listed == sorted(set(listed))
    assert {"predict", "recommend", "fold_in", "save", "state", *ATTRIBUTES[name]} <= set(listed)
    assert {"predict", "recommend", "fit"} <= set(dir(MODELS[name]()))


class Ours(fastcf.MatrixFactorization):
    """A subclass of a user's own, with a parameter and an attribute more."""

    def __init__(self, strength=1.0, n_factors=4):
        super().__init__(n_factors, reg=strength, n_epochs=3, random_state=0)
        self.strength = strength

    def fit(self, X, y=None, **options):
        super().fit(X, y, **options)
        self.note_ = len(self.history_)
        return self


def test_subclass_behaves_as_its_base(tmp_path):
    base = fastcf.MatrixFactorization(4, reg=2.0, n_epochs=3, random_state=0).fit(RATINGS)
    ours = Ours(2.0).fit(RATINGS)
    np.testing.assert_array_equal(ours.predict_matrix(), base.predict_matrix())
    assert ours.note_ == 4
    assert clone(ours).get_params() == {"strength": 2.0, "n_factors": 4}
    again = pickle.loads(pickle.dumps(ours))
    assert (type(again), again.note_) == (Ours, 4)
    folded = ours.fold_in([(0, 1)], [5.0])
    assert type(folded) is Ours
    ours.save(tmp_path / "m")
    loaded = fastcf.load(tmp_path / "m")
    assert type(loaded) is fastcf.MatrixFactorization
    assert loaded.get_params() == base.get_params()
    np.testing.assert_array_equal(loaded.predict_matrix(), base.predict_matrix())
    ours.partial_fit(RATINGS.take(np.arange(30)))
    ours.bias, ours.bias_reg = False, 3.0
    with pytest.raises(ValueError, match=r"^Ours\.fit: bias_reg must be 'auto' for bias=False"):
        ours.fit(RATINGS)


def test_subclass_of_labels_estimates_its_penalty():
    class Liked(fastcf.MatrixFactorization):
        def __init__(self, level=4.0):
            super().__init__(2, cost="logistic", threshold=level, n_epochs=2, random_state=0)
            self.level = level

    base = fastcf.MatrixFactorization(2, cost="logistic", threshold=4.0, n_epochs=2, random_state=0).fit(RATINGS)
    np.testing.assert_array_equal(Liked().fit(RATINGS).predict_matrix(), base.predict_matrix())
