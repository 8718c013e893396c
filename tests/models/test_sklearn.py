"""Estimators of id pairs in scikit-learn's hands: searches, pipelines, ensembles, DataFrames, copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.stats
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

import fastcf
from planted import BY_ROW, CASES, DATA, FILMS, N_USERS, Case


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


# ---------------------------------------------------------------------------------------------------------------
# Searches
# ---------------------------------------------------------------------------------------------------------------


def test_sklearn_grid_search_finds_the_planted_setting(case):
    search = case.search(n_jobs=1)
    assert {name: search.best_params_[name] for name in case.best} == case.best
    scores = np.sort(search.cv_results_["mean_test_score"])
    assert scores[-1] > 0.97 * scores[-2], "scores are minus errors: the best must be well ahead"
    X, y, *_ = DATA[case.data]
    assert search.score(X, y) == search.best_estimator_.score(X, y) > search.best_score_
    assert search.n_features_in_ == 2


@pytest.mark.parametrize("name", ["sgd", "als", "gd", "minibatch", "bayes"])
def test_sklearn_grid_search_finds_the_planted_number_of_factors(name):
    X, y, *_ = DATA["factors"]
    model = CASES[name].make()
    if name != "bayes":  # its priors are learnt
        model.set_params(reg=0.6)
    search = GridSearchCV(model, {"n_factors": [1, 3]}, cv=BY_ROW).fit(X, y)
    assert search.best_params_ == {"n_factors": 3}
    worse, better = search.cv_results_["mean_test_score"]
    assert better > 0.7 * worse


@pytest.mark.parametrize("name", ["bias", "sgd", "als", "user-features"])
def test_sklearn_grid_search_in_processes_gives_the_same(name):
    here, there = CASES[name].search(n_jobs=1), CASES[name].search(n_jobs=2)
    assert there.best_params_ == here.best_params_
    np.testing.assert_array_equal(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_sklearn_randomized_search_finds_the_planted_setting(n_jobs):
    X, y, *_ = DATA["factors"]
    choices = {"reg": scipy.stats.loguniform(1e-4, 1e4), "n_factors": [1, 12]}
    search = RandomizedSearchCV(
        fastcf.MatrixFactorization(solver="als", n_epochs=8, random_state=0),
        choices,
        n_iter=20,
        cv=BY_ROW,
        random_state=0,
        n_jobs=n_jobs,
    ).fit(X, y)
    assert search.best_params_["n_factors"] == 12
    assert 0.2 < search.best_params_["reg"] < 5


def test_sklearn_searches_score_by_any_metric():
    X, y, *_ = DATA["biases"]
    scores = cross_val_score(fastcf.BiasModel(), X, y, cv=BY_ROW, scoring="neg_root_mean_squared_error")
    np.testing.assert_allclose(scores, cross_val_score(fastcf.BiasModel(), X, y, cv=BY_ROW), rtol=1e-5)
    assert (cross_val_score(fastcf.BiasModel(), X, y, cv=BY_ROW, scoring="r2") > 0.1).all()


def test_sklearn_searches_score_labels():
    X, y, *_ = DATA["factors"]
    labels = (y >= 3).astype(float)
    model = CASES["labels-sgd"].make()
    given = cross_val_score(model.set_params(threshold=None), X, labels, cv=BY_ROW)
    np.testing.assert_array_equal(given, cross_val_score(clone(model).set_params(threshold=3), X, y, cv=BY_ROW))
    assert (given > -0.6).all()
    right = make_scorer(lambda y, predicted: accuracy_score(y, predicted >= 0.5))
    assert (cross_val_score(model, X, labels, cv=BY_ROW, scoring=right) > 0.7).all()
    assert (cross_val_score(model, X, labels, cv=BY_ROW, scoring=make_scorer(roc_auc_score)) > 0.75).all()


def test_sklearn_probabilities_of_labels_are_cross_validated():
    X, y, *_ = DATA["factors"]
    labels = (y >= 3).astype(int)
    model = fastcf.MatrixFactorization(2, cost="logistic", reg=1.0, n_epochs=2, random_state=0)
    found = cross_val_predict(model, X, labels, cv=3, method="predict_proba")
    np.testing.assert_array_equal(found[:, 1], cross_val_predict(model, X, labels, cv=3))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert model.fit(X, labels).classes_.tolist() == [0, 1]
    cut = clone(model).set_params(threshold=1).fit(X, labels)  # scikit-learn would number the ratings
    assert not hasattr(cut, "classes_")
    assert not hasattr(fastcf.BiasModel().fit(X, labels), "classes_")


def test_sklearn_optimizers_can_be_searched():
    data = DATA["factors"]
    slow, fast = fastcf.optimizers.AdaDelta(epsilon=1e-14), fastcf.optimizers.Adam()
    solver = fastcf.solvers.GradientDescent(batch_size="whole")
    model = fastcf.MatrixFactorization(3, solver=solver, n_epochs=200, random_state=0)
    search = GridSearchCV(model, {"solver__optimizer": [slow, fast]}, cv=BY_ROW).fit(data.X, data.y)
    assert search.best_params_ == {"solver__optimizer": fast}
    assert solver.optimizer == "adam"


# ---------------------------------------------------------------------------------------------------------------
# Pipelines and ensembles
# ---------------------------------------------------------------------------------------------------------------


def test_sklearn_pipeline_picks_columns_and_is_searched():
    X, y, *_ = DATA["factors"]
    log = np.column_stack([np.arange(y.size), X])  # a column before the ids, a timestamp say
    pipe = make_pipeline(
        FunctionTransformer(lambda rows: rows[:, 1:]),
        fastcf.MatrixFactorization(3, solver="als", n_epochs=8, random_state=0),
    )
    search = GridSearchCV(pipe, {"matrixfactorization__reg": [1e-4, 0.6, 1e3]}, cv=BY_ROW).fit(log, y)
    assert search.best_params_ == {"matrixfactorization__reg": 0.6}
    plain = fastcf.MatrixFactorization(3, solver="als", n_epochs=8, random_state=0, reg=0.6).fit(X, y)
    np.testing.assert_array_equal(search.predict(log), plain.predict(X))


def test_sklearn_pipeline_hands_features_on():
    X, y, *_ = DATA["features"]
    pipe = make_pipeline(FunctionTransformer(), fastcf.UserRegression()).fit(X, y, userregression__item_features=FILMS)
    plain = fastcf.UserRegression().fit(X, y, item_features=FILMS)
    np.testing.assert_array_equal(pipe.predict(X), plain.predict(X))


def test_sklearn_ratings_can_be_transformed():
    X, y, *_ = DATA["biases"]
    scaled = TransformedTargetRegressor(fastcf.BiasModel(), transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(scaled.predict(X), fastcf.BiasModel().fit(X, y).predict(X), atol=0.02)


def test_sklearn_models_are_regressors_for_ensembles(case):
    assert is_regressor(case.make())
    if case.fit:
        return  # ensembles hand every model the same arguments
    data = DATA["factors"]
    X, y = data.X, data.y
    models = [("bias", fastcf.BiasModel()), ("model", case.make())]
    vote = VotingRegressor(models).fit(X, y)
    parts = [model.fit(X, y).predict(X) for _, model in models]
    np.testing.assert_allclose(vote.predict(X), np.mean(parts, axis=0), rtol=1e-5)
    stack = StackingRegressor([("bias", fastcf.BiasModel()), ("model", fastcf.BiasModel(user_reg=1e6))], cv=BY_ROW)
    assert stack.fit(X, y).score(X, y) > 0  # R², which scikit-learn's own estimators score by


# ---------------------------------------------------------------------------------------------------------------
# DataFrames
# ---------------------------------------------------------------------------------------------------------------

KINDS = {
    "integers": lambda rows: rows,
    "strings": lambda rows: rows.astype(str),
    "mixed": lambda rows: np.stack([rows[:, 0].astype(str).astype(object), rows[:, 1].astype(object)], axis=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["bias", "sgd", "bayes"])
def test_sklearn_data_frames_are_id_pairs(name, kind):
    pandas = pytest.importorskip("pandas")
    data = DATA[CASES[name].data]
    X = KINDS[kind](data.X)
    frame = pandas.DataFrame(X, columns=["user", "item"]).infer_objects()
    labels = np.random.default_rng(0).permutation(len(frame))  # of the rows; they must not matter
    frame.index, series = labels, pandas.Series(data.y, index=labels, name="rating")
    model, plain = CASES[name].make().fit(frame, series), CASES[name].make().fit(X, data.y)
    np.testing.assert_array_equal(model.predict(frame), plain.predict(X))
    np.testing.assert_array_equal(model.predict(frame.head(7), strict=True), plain.predict(X[:7]))
    assert model.score(frame, series) == plain.score(X, data.y)
    assert isinstance(model.users_.ids[0], np.int64 if kind == "integers" else str)


def test_sklearn_data_frames_of_features_and_searches():
    pandas = pytest.importorskip("pandas")
    X, y, *_ = DATA["features"]
    frame = pandas.DataFrame({"user": [f"u{u}" for u in X[:, 0]], "item": X[:, 1]})
    search = GridSearchCV(fastcf.UserRegression(), {"reg": [1e-6, 3.0, 1e6]}, cv=BY_ROW)
    search.fit(frame, pandas.Series(y), item_features=FILMS)
    assert search.best_params_ == {"reg": 3.0}
    assert search.predict(frame).shape == y.shape


def test_sklearn_data_frames_with_other_columns_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": [1, 2], "item": [3, 4], "time": [5, 6]})
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\), user and item ids; got \(2, 3\)"):
        fastcf.BiasModel().fit(frame, [1.0, 2.0])


# ---------------------------------------------------------------------------------------------------------------
# What an estimator must and must not do
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy, copy.copy])
def test_sklearn_copies_of_fitted_models_predict_identically(case, copied):
    model = case.fitted()
    again = copied(model)
    X = DATA[case.data].X
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    mine, theirs = model.recommend([0, 1, 999], 5), again.recommend([0, 1, 999], 5)
    np.testing.assert_array_equal(theirs.items, mine.items)
    np.testing.assert_array_equal(theirs.scores, mine.scores)


def test_sklearn_deep_copy_is_independent(case):
    model = case.fitted()
    X = DATA[case.data].X
    before = model.predict(X)
    other = copy.deepcopy(model)
    for name in {"user_factors_", "user_bias_", "weights_"} & set(dir(other)):
        array = getattr(other, name)
        assert not np.may_share_memory(array, getattr(model, name))
        while array is not None:  # views are read-only: write to what they look at
            if isinstance(array, np.ndarray) and array.flags.owndata:
                array.flags.writeable = True
                array[:] = 7
            array = array.base if isinstance(array, np.ndarray) else None
    np.testing.assert_array_equal(model.predict(X), before)


def test_sklearn_fit_changes_neither_parameters_nor_data(case):
    data = DATA[case.data]
    model = case.make()
    held = dict(model.get_params())
    X, y = np.asfortranarray(data.X), data.y.copy()
    X.flags.writeable = y.flags.writeable = False
    model.fit(X, y, **case.fit)
    assert all(model.get_params()[name] is value for name, value in held.items())
    np.testing.assert_array_equal(X, data.X)
    np.testing.assert_array_equal(y, data.y)
    np.testing.assert_array_equal(model.predict(X), case.fitted().predict(data.X))
    assert not hasattr(clone(model), "users_")


def test_sklearn_fitted_is_what_check_is_fitted_takes_for_fitted(case):
    model = case.make()
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    assert not hasattr(model, "n_features_in_")
    model = case.fitted()
    check_is_fitted(model)
    assert model.n_features_in_ == 2


def test_sklearn_fit_again_forgets_the_first(case):
    data = DATA[case.data]
    model = case.fitted()
    names = set(dir(model))
    half = data.X[:, 0] < N_USERS // 2
    model.fit(data.X[half], data.y[half], **case.fit)
    fresh = case.make().fit(data.X[half], data.y[half], **case.fit)
    assert set(dir(fresh)) == names
    np.testing.assert_array_equal(model.predict(data.X), fresh.predict(data.X))
