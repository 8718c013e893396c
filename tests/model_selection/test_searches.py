"""Searches over folds of ratings: the table, its independence of workers, stopping, halving, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from fastcf import data
from fastcf._backend import resolve_device
from fastcf.metrics import as_scorer, rmse
from fastcf.model_selection import (
    GridSearch,
    HalvingSearch,
    MedianStopping,
    OptunaSearch,
    PerUserKFold,
    PerUserSplit,
    RandomSearch,
    TimeSplit,
)
from fastcf.solvers import SGD, Gibbs
from planted import DATA

R = data.make_ratings(120, 80, 3_000, timestamps=True, random_state=0)
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")
MODEL = fastcf.MatrixFactorization(4, n_epochs=6)
SPACE = {"reg": scipy.stats.loguniform(0.01, 30), "n_factors": [2, 4]}


def table_of(search):
    """The results without the times."""
    return {name: column for name, column in search.cv_results_.items() if name not in TIMES}


def assert_same_table(one, other):
    found, wanted = table_of(one), table_of(other)
    assert list(found) == list(wanted)
    for name in found:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


# ---------------------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------------------


def test_search_gives_the_table_of_plain_loops():
    grid = {"reg": [0.1, 1.0, 10.0], "n_factors": [2, 4]}
    search = GridSearch(MODEL, grid, metric="rmse", cv=3, random_state=5).fit(R)
    found = search.cv_results_
    folds = list(data.k_folds(R, 3, 5))
    for row, params in enumerate(found["params"]):
        for fold, (train, test) in enumerate(folds):
            model = clone(MODEL).set_params(**params, random_state=5).fit(train)
            assert found[f"split{fold}_test_score"][row] == rmse(test.values, model.predict(test))
    scores = np.stack([found[f"split{fold}_test_score"] for fold in range(3)])
    np.testing.assert_allclose(found["mean_test_score"], scores.mean(axis=0))
    np.testing.assert_allclose(found["std_test_score"], scores.std(axis=0))
    assert search.best_index_ == found["mean_test_score"].argmin()
    assert search.best_params_ == found["params"][search.best_index_]
    assert search.best_score_ == found["mean_test_score"].min()
    np.testing.assert_array_equal(found["rank_test_score"], scipy.stats.rankdata(found["mean_test_score"], "min"))
    assert found["param_reg"].tolist() == [params["reg"] for params in found["params"]]
    assert set(found["status"]) == {"complete"}
    best = clone(MODEL).set_params(**search.best_params_, random_state=5).fit(R)
    np.testing.assert_array_equal(search.best_estimator_.predict(R), best.predict(R))
    assert search.best_estimator_.random_state is None
    assert len(pd.DataFrame(found)) == 6


@pytest.mark.parametrize(
    "model",
    [
        fastcf.MatrixFactorization(4, n_epochs=5),
        fastcf.MatrixFactorization(4, n_epochs=5, normalize="item", bias="user"),
        fastcf.MatrixFactorization(4, n_epochs=5, solver="als", normalize=None),
        fastcf.MatrixFactorization(4, n_epochs=5, cost="logistic", threshold=3, reg=1.0),
        fastcf.MatrixFactorization(4, n_epochs=5, solver=Gibbs(burn_in=2)),
        fastcf.Autoencoder([4], n_epochs=5),
        fastcf.ImplicitFactorization(4, n_epochs=5),
        fastcf.Blend([("mf", fastcf.MatrixFactorization(4, n_epochs=5)), ("bias", fastcf.BiasModel())]),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'solver', '')}-{getattr(model, 'normalize', '')}",
)
def test_models_of_searches_have_the_bits_of_others(model):
    """What fits share, and leave out, changes nothing of what is learnt."""
    alone, found = [], []

    def noted(fitted, held_out):
        found.append(fitted.predict(held_out))
        return float(np.square(found[-1] - held_out.values).mean())

    train, test = data.train_test_split(R, random_state=0)
    models = [clone(model).set_params(random_state=seed) for seed in (0, 1)]
    for each in models:
        own = train.take(np.ones(train.nnz, bool))  # shares nothing
        alone.append(clone(each).fit(own).predict(test))
    seeds = {"random_state": [0, 1, 0]}
    GridSearch(model, seeds, metric=noted, cv=(train, test), refit=False, n_jobs=1).fit(R)
    for seed, predicted in zip(seeds["random_state"], found, strict=True):
        np.testing.assert_array_equal(predicted, alone[seed])


def test_biases_are_computed_once_per_fold(monkeypatch):
    counted = []
    module = resolve_device("cpu", "test").module
    fit_biases = module.fit_biases

    def counting(*args, **options):
        counted.append(1)
        return fit_biases(*args, **options)

    monkeypatch.setattr(module, "fit_biases", counting)
    ratings = data.make_ratings(40, 30, 600, random_state=1)
    grid = {"reg": [0.1, 1.0], "n_factors": [2, 3]}
    GridSearch(MODEL, grid, cv=3, n_jobs=1, refit=False, random_state=0).fit(ratings)
    assert len(counted) == 3


def test_search_agrees_with_scikit_learn():
    grid = {"user_reg": [0.1, 1.0, 10.0]}
    users, items, y = R.to_coo()
    X = np.stack([users, items], axis=1)
    for cv in (PerUserKFold(3, random_state=1), KFold(3, shuffle=True, random_state=1)):
        theirs = GridSearchCV(fastcf.BiasModel(), grid, cv=cv).fit(X, y)
        ours = GridSearch(fastcf.BiasModel(), grid, cv=cv).fit(X, y)
        assert {*theirs.cv_results_} <= {*ours.cv_results_}
        np.testing.assert_allclose(
            ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-6
        )
        assert ours.best_params_ == theirs.best_params_


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=5)
def test_search_depends_on_the_seed_and_not_on_workers(seed):
    made = [
        RandomSearch(MODEL, SPACE, 6, cv=2, stopping=stopping, n_jobs=n_jobs, random_state=seed).fit(R)
        for stopping in (None, MedianStopping(startup=2))
        for n_jobs in (1, 3, "auto")
    ]
    for one, other in ((0, 1), (0, 2), (3, 4), (3, 5)):
        assert_same_table(made[one], made[other])
    assert all(isinstance(params["reg"], float) for params in made[0].cv_results_["params"])


def test_search_takes_lists_functions_and_scorers():
    held = []

    def worst(model, ratings):
        held.append(ratings.nnz)
        return float(np.abs(model.predict(ratings) - ratings.values).max())

    worst.greater_is_better = False
    search = GridSearch(MODEL, {"reg": [0.1, 10.0]}, metric=worst, cv=2, n_jobs=1, random_state=0).fit(R)
    assert held == [1500] * 4
    assert search.best_score_ == search.cv_results_["mean_test_score"].min()
    relevant = as_scorer("ndcg@5", "test", threshold=4)
    lists = GridSearch(
        fastcf.LinearAutoencoder(threshold=4), {"reg": [1.0, 50.0]}, metric="ndcg@5", cv=2, random_state=0
    )
    same = clone(lists).set_params(metric=relevant)
    assert_same_table(lists.fit(R), same.fit(R))
    assert lists.best_score_ == lists.cv_results_["mean_test_score"].max() > 0


def test_search_reaches_solvers_and_members_of_blends():
    model = fastcf.MatrixFactorization(4, solver=fastcf.solvers.SGD(), n_epochs=4)
    grid = [{"solver__learning_rate": [0.01, 0.05]}, {"solver": [fastcf.solvers.ALS()], "solver__cg_steps": [3]}]
    search = GridSearch(model, grid, cv=2, random_state=0).fit(R)
    assert search.cv_results_["param_solver__cg_steps"].mask.tolist() == [True, True, False]
    assert model.solver == fastcf.solvers.SGD()
    blend = fastcf.Blend([("mf", MODEL), ("bias", fastcf.BiasModel())])
    members = GridSearch(blend, {"mf__n_factors": [2, 3], "bias": ["drop", fastcf.BiasModel()]}, cv=2, random_state=0)
    assert members.fit(R).cv_results_["mean_test_score"].size == 4


# ---------------------------------------------------------------------------------------------------------------
# Folds
# ---------------------------------------------------------------------------------------------------------------


def test_search_takes_every_kind_of_folds():
    by_time = data.split_by_time(R, 0.2)
    for cv, same in (
        (2, list(data.k_folds(R, 2, 3))),
        (PerUserSplit(0.2, random_state=1), data.leave_n_out(R, 0.2, 1)),
        (TimeSplit(0.2), by_time),
        (lambda ratings: data.split_by_time(ratings, 0.2), by_time),
        (PerUserSplit(1, by="time"), [data.leave_n_out(R, by="time")]),
    ):
        made = [GridSearch(MODEL, {"reg": [0.1, 1.0]}, cv=each, random_state=3).fit(R) for each in (cv, same)]
        assert_same_table(*made)
        assert made[0].n_splits_ == sum(name.startswith("split") for name in made[0].cv_results_)


def test_search_shows_histories_of_held_out_users():
    split = data.split_users(R, 0.3, 0)
    search = GridSearch(MODEL, {"reg": [0.1, 1.0]}, cv=split, metric="rmse", stopping="median", random_state=0).fit(R)
    for row, reg in enumerate((0.1, 1.0)):
        model = clone(MODEL).set_params(reg=reg, random_state=0).fit(split.train)
        wanted = rmse(split.held_out.values, model.predict(split.held_out, history=split.shown))
        np.testing.assert_allclose(search.cv_results_["split0_test_score"][row], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (1, "GridSearch.fit: cv must be an integer of at least 2; got 1"),
        ("five", "GridSearch.fit: cv must be a number of folds, a splitter"),
        ([], "GridSearch.fit: cv must be a number of folds"),
        ((R, R.take([])), "GridSearch.fit: cv must leave ratings on both sides; the test part is empty"),
        (TimeSplit(0.1), "TimeSplit.split_ratings: ratings must have timestamps; got none"),
    ],
)
def test_search_refuses_other_folds(cv, message):
    without = fastcf.Ratings.from_coo(*R.to_coo())
    with pytest.raises((TypeError, ValueError), match=message):
        GridSearch(MODEL, {"reg": [0.1]}, cv=cv).fit(without)


# ---------------------------------------------------------------------------------------------------------------
# Stopping
# ---------------------------------------------------------------------------------------------------------------


PLANTED = fastcf.Ratings.from_rows(*DATA["factors"][:2])
ALS = fastcf.MatrixFactorization(3, solver="als", n_epochs=6)
REGS = [1e3, 2e3, 0.6, 0.5, 5e3, 1e4, 0.8, 2e4]


def test_median_stopping_gives_up_what_is_behind():
    plain = GridSearch(ALS, {"reg": REGS}, cv=3, random_state=0).fit(PLANTED)
    search = clone(plain).set_params(stopping=MedianStopping(startup=2)).fit(PLANTED)
    status, scores = search.cv_results_["status"], search.cv_results_["mean_test_score"]
    assert 0 < np.count_nonzero(status == "stopped") < 8
    assert np.isnan(scores[status == "stopped"]).all()
    assert np.isnan(search.cv_results_["split1_test_score"][status == "stopped"]).all()
    complete = status == "complete"
    np.testing.assert_array_equal(scores[complete], plain.cv_results_["mean_test_score"][complete])
    assert search.best_params_ == plain.best_params_
    assert search.cv_results_["rank_test_score"][status == "stopped"].min() > np.count_nonzero(complete)


def test_median_stopping_ends_a_training_early():
    seen = []

    class Log(fastcf.callbacks.Callback):
        def on_epoch_end(self, view, record):
            seen.append(record["epoch"])

    cv = data.train_test_split(PLANTED, random_state=0)
    search = GridSearch(ALS, {"reg": REGS}, cv=cv, stopping=MedianStopping((0.5,), startup=1), n_jobs=1, random_state=0)
    search.fit(PLANTED, callbacks=Log())
    stopped = np.count_nonzero(search.cv_results_["status"] == "stopped")
    assert stopped > 0
    assert len(seen) == (8 - stopped) * 6 + stopped * 3 + 6


def test_median_stopping_works_by_folds_without_epochs():
    grid = {"user_reg": [1.0, 2.0, 3.0, 1e5, 1e6], "item_reg": [2.0, 1e6]}
    search = GridSearch(fastcf.BiasModel(), grid, cv=3, stopping=MedianStopping(startup=3), random_state=0).fit(R)
    assert "stopped" in search.cv_results_["status"]
    with pytest.raises(ValueError, match="stopping must be None where it has no effect: BiasModel has no epochs"):
        search.set_params(cv=data.train_test_split(R, random_state=0)).fit(R)


@pytest.mark.parametrize("at", [(), (0.0, 1.0), (0.5, 0.5), (0.5, 2.0), 0.5])
def test_median_stopping_refuses_other_shares(at):
    with pytest.raises((TypeError, ValueError), match="at must be a sequence of ascending numbers above 0"):
        MedianStopping(at)


# ---------------------------------------------------------------------------------------------------------------
# Halving and Optuna
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["users", "n_epochs"])
def test_halving_keeps_the_best_third_with_more_resources(resource):
    search = HalvingSearch(MODEL, SPACE, 9, resource=resource, metric="rmse", cv=2, random_state=0).fit(R)
    found = search.cv_results_
    assert found["iter"].tolist() == [0] * 9 + [1] * 3
    wanted = {"users": [1 / 3, 1.0], "n_epochs": [2, 6]}[resource]
    np.testing.assert_allclose(np.unique(found["n_resources"]), wanted)
    first = np.argsort(found["mean_test_score"][:9], kind="stable")[:3]
    kept = [{**found["params"][row], **({"n_epochs": 6} if resource == "n_epochs" else {})} for row in first]
    assert found["params"][9:] == kept
    assert search.best_index_ == 9 + found["mean_test_score"][9:].argmin()
    last = GridSearch(
        MODEL,
        [{name: [value] for name, value in params.items()} for params in kept],
        metric="rmse",
        cv=2,
        random_state=0,
    ).fit(R)
    np.testing.assert_array_equal(found["mean_test_score"][9:], last.cv_results_["mean_test_score"])
    assert_same_table(search, clone(search).set_params(n_jobs=2).fit(R))


def test_halving_has_as_many_rounds_as_resources_and_candidates_allow():
    for options, wanted in (
        ({"n_candidates": 4, "factor": 2}, [3, 6]),
        ({"n_candidates": 5, "factor": 2, "min_resources": 4}, [6]),
        ({"n_candidates": 8, "factor": 2, "max_resources": 12}, [3, 6, 12]),
        ({"n_candidates": 1}, [6]),
    ):
        search = HalvingSearch(MODEL, SPACE, resource="n_epochs", cv=2, refit=False, random_state=0, **options).fit(R)
        assert np.unique(search.cv_results_["n_resources"]).tolist() == wanted
        assert not hasattr(search, "best_estimator_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"resource": "epochs"},
            "resource must be 'users', or a parameter of MatrixFactorization that is not searched",
        ),
        ({"resource": "n_factors"}, "resource must be 'users', or a parameter of .* not searched; got 'n_factors'"),
        ({"resource": "bias"}, "max_resources must be given where bias is no integer"),
        ({"max_resources": 5}, "for resource='users': max_resources must be None; got 5"),
        ({"min_resources": 1.5}, "min_resources must be at most 1.0"),
        ({"factor": 1}, "factor must be an integer of at least 2; got 1"),
    ],
)
def test_halving_refuses_other_resources(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        HalvingSearch(MODEL, SPACE, 9, cv=2, **options).fit(R)


def test_optuna_search_is_repeatable_and_tells_the_study():
    optuna = pytest.importorskip("optuna")
    space = {
        "reg": optuna.distributions.FloatDistribution(0.01, 100, log=True),
        "n_factors": optuna.distributions.IntDistribution(1, 4),
    }
    search = OptunaSearch(MODEL, space, 12, batch_size=4, metric="rmse", cv=2, random_state=0).fit(R)
    assert_same_table(search, clone(search).set_params(n_jobs=2).fit(R))
    trials = search.study_.trials
    np.testing.assert_array_equal([trial.value for trial in trials], search.cv_results_["mean_test_score"])
    assert search.study_.best_params == search.best_params_
    stopped = clone(search).set_params(stopping=MedianStopping(startup=4)).fit(R)
    pruned = [trial.state.name == "PRUNED" for trial in stopped.study_.trials]
    np.testing.assert_array_equal(pruned, stopped.cv_results_["status"] == "stopped")
    other = OptunaSearch(MODEL, space, 3, sampler=optuna.samplers.RandomSampler(seed=1), cv=2, random_state=0)
    assert_same_table(other.fit(R), clone(other).fit(R))


def test_optuna_search_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r"OptunaSearch.fit: needs Optuna: pip install 'fastcf\[search\]'"):
        OptunaSearch(MODEL, {}).fit(R)


# ---------------------------------------------------------------------------------------------------------------
# Failures
# ---------------------------------------------------------------------------------------------------------------


def test_search_says_what_folds_of_the_callers_own_leak():
    train, test = data.train_test_split(R, random_state=0)
    for cv in ((R, test), lambda whole: [(train, test), (whole, test)]):
        with pytest.warns(fastcf.DataWarning, match=rf"GridSearch.fit: cv: {test.nnz} of the {test.nnz} held-out"):
            GridSearch(fastcf.BiasModel(), {"user_reg": [1.0]}, cv=cv).fit(R)


@pytest.mark.parametrize("metric", ["score", "ndcg@5", "coverage@5", "auc"])
def test_search_refuses_candidates_measured_by_thresholds_of_their_own(metric):
    grid = {"threshold": [3.0, 4.0]}
    with pytest.raises(ValueError, match=r"GridSearch.fit: metric must have a threshold where 'threshold' is searched"):
        GridSearch(fastcf.Popular(), grid, metric=metric, cv=2).fit(R)
    found = GridSearch(fastcf.Popular(), grid, metric=as_scorer("ndcg@5", "", threshold=4), cv=2, random_state=0).fit(R)
    assert len(found.cv_results_["params"]) == 2


def test_search_lends_seeds_that_models_of_other_packages_take():
    class Other(BaseEstimator):
        def __init__(self, random_state=None):
            self.random_state = random_state

        def fit(self, ratings):
            self.value_ = np.random.RandomState(self.random_state).normal()
            return self

    def value(model, _):
        return model.value_

    assert np.isfinite(GridSearch(Other(), {}, metric=value, cv=2).fit(R).best_score_)


def test_optuna_search_takes_lists_and_names_other_spaces():
    pytest.importorskip("optuna")
    found = OptunaSearch(fastcf.BiasModel(), {"user_reg": [1.0, 5.0]}, 2, cv=2, random_state=0).fit(R)
    assert {params["user_reg"] for params in found.cv_results_["params"]} <= {1.0, 5.0}
    solvers = [SGD(schedule="cosine"), fastcf.solvers.ALS()]
    search = OptunaSearch(MODEL, {"solver": solvers, "n_factors": [1, 2]}, 6, metric="rmse", cv=2, random_state=0)
    found = search.fit(R)
    assert {type(params["solver"]) for params in found.cv_results_["params"]} == set(map(type, solvers))
    assert {trial.params["solver"] for trial in found.study_.trials} == set(map(repr, solvers))
    assert_same_table(found, clone(search).fit(R))
    with pytest.raises(ValueError, match="solver of param_distributions must hold values of different texts"):
        OptunaSearch(MODEL, {"solver": [SGD(), SGD()]}, 2, cv=2, random_state=0).fit(R)
    for space in (scipy.stats.loguniform(1, 5), "15", []):
        with pytest.raises(TypeError, match="user_reg of param_distributions must be a distribution of optuna"):
            OptunaSearch(fastcf.BiasModel(), {"user_reg": space}, 2, cv=2, random_state=0).fit(R)


def test_search_ranks_failed_candidates_last_and_warns():
    search = GridSearch(MODEL, {"solver": ["sgd", "bayes"], "reg": [0.5]}, cv=2, random_state=0)
    with pytest.warns(
        FitFailedWarning, match="1 of 2 candidates have failed and are ranked last, the first by ValueErr"
    ):
        search.fit(R)
    assert search.cv_results_["status"].tolist() == ["complete", "failed"]
    assert search.cv_results_["rank_test_score"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="reg must be 'auto' for solver='bayes'"):
        clone(search).set_params(on_error="raise").fit(R)
    with pytest.raises(
        ValueError, match="a candidate must be fitted on every fold; of 1, 1 have failed, the first by Va"
    ):
        search.set_params(param_grid={"solver": ["bayes"], "reg": [0.5]}).fit(R)


def test_search_refuses_what_it_cannot_set_before_the_first_fit():
    def never(model, ratings):
        raise AssertionError

    for grid, message in (
        ({"lambda": [1.0]}, "there must be a parameter 'lambda'"),
        ({"solver__learning_rate": [0.1]}, "solver__learning_rate needs an object as solver"),
    ):
        with pytest.raises(ValueError, match=message):
            GridSearch(MODEL, grid, metric=never).fit(R)
    for options, message in (
        ({"metric": "recal@5"}, "GridSearch.fit: there is no metric 'recal@5'"),
        ({"n_jobs": "all"}, "GridSearch.fit: n_jobs must be an integer of at least 1, or -1, or 'auto'; got 'all'"),
        ({"n_jobs": 0}, "GridSearch.fit: n_jobs must be an integer of at least 1, or -1, or 'auto'; got 0"),
        ({"on_error": "ignore"}, "on_error must be 'warn' or 'raise'"),
        ({"stopping": "mean"}, "stopping must be 'median', or an instance of MedianStopping, or None"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            GridSearch(MODEL, {"reg": [1.0]}, **options).fit(R)
    with pytest.raises(ValueError, match="y must hold the ratings"):
        GridSearch(MODEL, {"reg": [1.0]}).fit(np.stack(R.to_coo()[:2], axis=1))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_search_ends_where_it_is_interrupted(n_jobs):
    calls = []

    def interrupted(model, held_out):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        GridSearch(MODEL, {"reg": list(range(40))}, metric=interrupted, cv=2, n_jobs=n_jobs, random_state=0).fit(R)
    assert len(calls) < 40


def test_search_shows_progress(capsys):
    GridSearch(MODEL, {"reg": [0.5, 1.0]}, metric="rmse", cv=2, random_state=0, verbose=2).fit(R)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 4
    assert out[0].startswith("fold 0  reg=0.5: rmse ")
