"""Solvers as objects: parameters, shorthands, files, and every combination that would have no effect."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
import sklearn.base
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from fastcf import MatrixFactorization
from fastcf._parameters import Settings
from fastcf.models.factorization import matrix_factorization
from fastcf.optimizers import Adam, Momentum
from fastcf.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver

RATINGS = fastcf.data.make_ratings(60, 40, 800, random_state=0)
LABELS = {"cost": "logistic", "threshold": 4.0, "reg": 1.0}
SOLVERS = {
    "sgd": SGD(),
    "als": ALS(),
    "bayes": Gibbs(),
    "minibatch": GradientDescent(),
    "gd": GradientDescent(batch_size="whole"),
}
OTHERS = {
    "sgd": SGD(0.5, schedule="inverse", decay=0.25, deterministic=False, storage="float16"),
    "als": ALS(cg_steps=3),
    "bayes": Gibbs(burn_in=3, thin=2),
    "minibatch": GradientDescent(Adam(0.01, beta1=0.8), batch_size=7),
    "gd": GradientDescent("momentum", batch_size="whole"),
}


def mf(**options):
    return MatrixFactorization(**{"n_factors": 3, "n_epochs": 2, "random_state": 0, **options})


# ---------------------------------------------------------------------------------------------------------------
# Objects
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_name_is_shorthand_for_the_object_with_its_defaults(name):
    assert as_solver(name) == SOLVERS[name]
    epochs = {"n_epochs": 25} if name == "bayes" else {}
    one, other = (mf(solver=solver, **epochs).fit(RATINGS) for solver in (name, SOLVERS[name]))
    np.testing.assert_array_equal(one.user_factors_, other.user_factors_)
    np.testing.assert_array_equal(one.predict_matrix(), other.predict_matrix())
    assert one.solver == name


@pytest.mark.parametrize("name", OTHERS)
def test_solver_is_described_by_its_parameters(name):
    plain, other = SOLVERS[name], OTHERS[name]
    kind = type(other)
    assert other != plain
    assert other == kind(**other.get_params(deep=False))
    assert other != 3
    assert kind.__hash__ is None
    with pytest.raises(TypeError, match="unhashable"):
        hash(other)
    assert eval(repr(other), {kind.__name__: kind, "Adam": Adam}) == other
    assert Settings.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    assert Settings.from_dict(other.to_dict()) is not other
    for copied in (copy.deepcopy(other), pickle.loads(pickle.dumps(other)), sklearn.base.clone(other)):
        assert copied == other
        assert type(copied) is kind
    assert list(other.get_params(deep=False)) == list(inspect.signature(kind).parameters)
    assert kind().set_params(**other.get_params(deep=False)) == other


def test_solver_repr_shows_what_differs_from_the_defaults():
    assert repr(SGD()) == "SGD()"
    assert repr(OTHERS["sgd"]) == (
        "SGD(learning_rate=0.5, schedule='inverse', decay=0.25, deterministic=False, storage='float16')"
    )
    assert repr(OTHERS["minibatch"]) == "GradientDescent(optimizer=Adam(learning_rate=0.01, beta1=0.8), batch_size=7)"
    assert "solver=ALS(cg_steps=3)" in repr(MatrixFactorization(solver=ALS(3)))


def test_solver_equality_is_of_class_and_parameters():
    assert GradientDescent(Adam()) == GradientDescent(Adam())
    assert GradientDescent(Adam()) != GradientDescent("adam")
    assert GradientDescent(Adam(0.1)) != GradientDescent(Adam(0.2))
    assert ALS() != Gibbs()
    assert fastcf.optimizers.GradientDescent() != GradientDescent()

    class Own(ALS):
        pass

    assert Own() != ALS()


def test_solvers_and_optimizers_of_one_name_are_told_apart_in_files():
    for kind in (GradientDescent, fastcf.optimizers.GradientDescent):
        assert type(Settings.from_dict(kind().to_dict())) is kind


def test_a_class_of_the_same_name_does_not_take_the_place_of_a_solver():
    described = ALS(3).to_dict()
    made = type("ALS", (ALS,), {"__module__": "somewhere.solvers", "parameter": "solver"})
    assert type(Settings.from_dict(described)) is ALS
    assert type(Settings.from_dict(made(3).to_dict())) is made


def test_own_solver_of_a_name_is_loaded_as_it_was_defined_last(tmp_path):
    _, last = (type("Own", (ALS,), {"__module__": "notebook"}) for _ in range(2))
    mf(solver=last(3)).fit(RATINGS).save(tmp_path / "m")
    assert type(fastcf.load(tmp_path / "m").solver) is last


@pytest.mark.parametrize(
    ("described", "error"),
    [
        ({"settings": "solvers.Newton", "params": {}}, ValueError),
        ({"settings": "solvers.ALS", "params": {"steps": 3}}, TypeError),
        ({"settings": "solvers.ALS", "params": {"cg_steps": 0}}, ValueError),
        ({"settings": "solvers.ALS"}, KeyError),
        ({"params": {}}, KeyError),
    ],
)
def test_solver_from_what_describes_none_raises(described, error):
    with pytest.raises(error):
        Settings.from_dict(described)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(0), ValueError, "^SGD: learning_rate must be a finite number above 0, or 'auto'; got 0"),
        (lambda: SGD(float("nan")), ValueError, "^SGD: learning_rate must be"),
        (lambda: SGD(True), (TypeError, ValueError), "^SGD: learning_rate must be"),
        (lambda: SGD(schedule="sawtooth"), ValueError, "^SGD: schedule must be"),
        (lambda: SGD(schedule="inverse", decay=2), ValueError, "^SGD: decay must be"),
        (lambda: SGD(schedule="inverse", decay=-0.1), ValueError, "^SGD: decay must be"),
        (lambda: SGD(deterministic=1), TypeError, "^SGD: deterministic must be True or False; got 1"),
        (lambda: SGD(storage="float64"), ValueError, "^SGD: storage must be 'float32' or 'float16'; got 'float64'"),
        (lambda: ALS(0), ValueError, "^ALS: cg_steps must be an integer of at least 1 and .*, or None; got 0"),
        (lambda: ALS(2**31), ValueError, "^ALS: cg_steps must be an integer of at least 1 and at most 2147483647"),
        (lambda: ALS(1.5), ValueError, "^ALS: cg_steps must be"),
        (lambda: ALS("3"), TypeError, "^ALS: cg_steps must be"),
        (lambda: Gibbs(burn_in=-1), ValueError, "^Gibbs: burn_in must be an integer of at least 0; got -1"),
        (lambda: Gibbs(thin=0), ValueError, "^Gibbs: thin must be an integer of at least 1; got 0"),
        (lambda: GradientDescent("sgd"), ValueError, "^GradientDescent: optimizer must be 'gd' or"),
        (lambda: GradientDescent(Adam), TypeError, "^GradientDescent: optimizer must be 'gd' or"),
        (lambda: GradientDescent(batch_size=0), ValueError, "^GradientDescent: batch_size must be"),
        (lambda: GradientDescent(batch_size=None), TypeError, "^GradientDescent: batch_size must be"),
        (lambda: as_solver("lbfgs"), ValueError, "^as_solver: solver must be one of sgd, als, bayes, .*; got 'lbfgs'"),
        (lambda: as_solver(3), TypeError, "^as_solver: solver must be a name or a Solver; got 3"),
        (lambda: as_solver(ALS().set_params(cg_steps=0)), ValueError, "^as_solver: ALS: cg_steps must be"),
    ],
)
def test_solver_bad_parameters_raise_when_they_are_given(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_decay_is_refused_where_the_schedule_has_none(schedule):
    message = f"decay must be None for schedule='{schedule}', where it has no effect; got 0.1"
    for kind in (SGD, Adam):
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: {message}"):
            kind(schedule=schedule, decay=0.1)
    with pytest.raises(ValueError, match=rf"^MatrixFactorization.fit: SGD: {message}"):
        mf(solver=SGD().set_params(schedule=schedule, decay=0.1)).fit(RATINGS)
    inner = GradientDescent(Adam().set_params(schedule=schedule, decay=0.1))
    with pytest.raises(ValueError, match=rf"^.*Adam: {message}"):
        mf(solver=inner).fit(RATINGS)


# ---------------------------------------------------------------------------------------------------------------
# Parameters of parameters
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "name", "example"),
    [
        ("als", "cg_steps", "ALS"),
        ("sgd", "learning_rate", "SGD"),
        ("bayes", "burn_in", "Gibbs"),
        ("minibatch", "optimizer", "GradientDescent"),
        ("gd", "batch_size", "GradientDescent"),
    ],
)
def test_parameter_of_a_string_names_the_object_to_pass(solver, name, example):
    model = MatrixFactorization(solver=solver)
    with pytest.raises(
        ValueError,
        match=rf"^MatrixFactorization.set_params: solver__{name} needs an object as solver.*got solver='{solver}': "
        rf"pass solver=fastcf.solvers.{example}\({name}=\.\.\.\)$",
    ):
        model.set_params(**{f"solver__{name}": 3})
    assert model.solver == solver


def test_parameter_of_a_string_inside_a_solver_names_the_object_to_pass():
    model = MatrixFactorization(solver=GradientDescent("momentum"))
    with pytest.raises(
        ValueError,
        match=r"GradientDescent.set_params: optimizer__learning_rate needs an object as optimizer.*"
        r"pass optimizer=fastcf.optimizers.Momentum\(learning_rate=\.\.\.\)$",
    ):
        model.set_params(solver__optimizer__learning_rate=0.1)


def test_parameters_of_parameters_are_listed_set_and_cloned():
    model = MatrixFactorization(solver=GradientDescent(Adam(0.1), batch_size=7))
    params = model.get_params()
    assert params["solver__batch_size"] == 7
    assert params["solver__optimizer__learning_rate"] == 0.1
    assert params["solver__optimizer"] is model.solver.optimizer
    assert "solver__batch_size" not in model.get_params(deep=False)
    cloned = sklearn.base.clone(model)
    assert cloned.solver == model.solver
    assert cloned.solver is not model.solver
    assert cloned.solver.optimizer is not model.solver.optimizer
    cloned.set_params(solver__optimizer__learning_rate=0.3, solver__batch_size=9)
    assert cloned.solver == GradientDescent(Adam(0.3), batch_size=9)
    assert model.solver == GradientDescent(Adam(0.1), batch_size=7)
    model.set_params(solver=ALS(), solver__cg_steps=2)  # the parameter of the new one
    assert model.solver == ALS(2)
    assert MatrixFactorization().set_params(solver__cg_steps=3, solver=ALS()).solver == ALS(3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"colour": 1}, "MatrixFactorization.set_params: there must be a parameter 'colour'; .* has bias, bias_reg"),
        ({"solver__colour": 1}, "ALS.set_params: there must be a parameter 'colour'; ALS has cg_steps"),
        ({"reg__x": 1}, "set_params: reg__x needs an object with parameters as reg; got 'auto'"),
        ({"cost__x": 1}, "set_params: cost__x needs an object with parameters as cost; got 'squared'"),
        (
            {"solver__cg_steps": 1, "solver": "newton"},
            "solver__cg_steps needs an object with parameters as solver; got",
        ),
        ({"n_threads__x": 1}, "set_params: n_threads__x needs an object with parameters as n_threads; got None"),
    ],
)
def test_setting_parameters_that_are_not_there_raises(params, message):
    with pytest.raises(ValueError, match=message):
        MatrixFactorization(solver=ALS()).set_params(**params)


def test_bad_parameters_set_later_are_found_by_fit():
    model = mf(solver=ALS()).set_params(solver__cg_steps=0)
    with pytest.raises(ValueError, match=r"^MatrixFactorization.fit: ALS: cg_steps must be an integer of at least 1"):
        model.fit(RATINGS)
    model = mf(solver=GradientDescent(Momentum())).set_params(solver__optimizer__momentum=1.0)
    with pytest.raises(
        ValueError, match=r"Momentum: momentum must be a finite number of at least 0 and below 1; got 1.0"
    ):
        model.fit(RATINGS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"n_epochs": -1}, "n_epochs must be"), ({"solver__cg_steps": 0}, "ALS: cg_steps must be"), ({"bias": 3}, "bias")],
)
def test_save_refuses_parameters_that_could_not_be_loaded(wrong, message, tmp_path):
    model = mf(solver=ALS()).fit(RATINGS)
    model.save(tmp_path / "m")
    model.set_params(**wrong)
    with pytest.raises((TypeError, ValueError), match=f"MatrixFactorization.save: {message}"):
        model.save(tmp_path / "m")
    assert fastcf.load(tmp_path / "m").n_epochs == 2


def test_searches_reach_parameters_of_parameters():
    users, items, values = RATINGS.to_coo()
    X = np.stack([users, items], axis=1)
    folds = KFold(3, shuffle=True, random_state=0)
    grid = {"solver__optimizer__learning_rate": [1e-6, 0.02], "solver__batch_size": [50]}
    model = mf(solver=GradientDescent(Adam()), n_epochs=20)
    search = GridSearchCV(model, grid, cv=folds, error_score="raise").fit(X, values)
    assert set(search.best_params_) == set(grid)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]
    assert model.solver == GradientDescent(Adam())
    search = GridSearchCV(mf(solver=ALS(), n_epochs=1), {"solver__cg_steps": [1, None]}, cv=folds).fit(X, values)
    assert search.cv_results_["mean_test_score"][0] != search.cv_results_["mean_test_score"][1]


def test_fit_does_not_change_the_solver():
    solver = GradientDescent(Adam(), batch_size=50)
    model = mf(solver=solver)
    model.fit(RATINGS)
    assert model.solver is solver
    assert solver == GradientDescent(Adam(), batch_size=50)


# ---------------------------------------------------------------------------------------------------------------
# What has no effect is refused
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["bayes", Gibbs(burn_in=1)], ids=str)
@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("reg", 0.1, "auto"),
        ("reg", 0.0, "auto"),
        ("bias_reg", 1.0, "auto"),
        ("reg_scaling", "count", "auto"),
        ("reg_scaling", 0.0, "auto"),
        ("patience", 3, None),
    ],
)
def test_penalties_and_patience_are_refused_by_gibbs_sampling(solver, name, value, default):
    model = mf(solver=solver, n_epochs=25, **{name: value})
    with pytest.raises(
        ValueError,
        match=rf"^MatrixFactorization.fit: {name} must be {default!r} for solver=.*, where it has no effect; got",
    ):
        model.fit(RATINGS, validation=RATINGS)


@pytest.mark.parametrize("solver", SOLVERS)
def test_threshold_is_refused_without_labels(solver):
    with pytest.raises(ValueError, match=r"^MatrixFactorization.fit: threshold must be None for cost='squared'; got 4"):
        mf(solver=solver, threshold=4, n_epochs=25).fit(RATINGS)


@pytest.mark.parametrize("solver", ["als", "bayes", ALS(2), Gibbs(1)], ids=str)
def test_solvers_of_ratings_refuse_labels(solver):
    with pytest.raises(
        ValueError,
        match=r"^MatrixFactorization.fit: solver must be 'sgd', 'minibatch' or 'gd' .* for cost='logistic'; got",
    ):
        mf(solver=solver, cost="logistic", threshold=4, n_epochs=25).fit(RATINGS)


@pytest.mark.parametrize("solver", ["sgd", "minibatch", "gd"])
def test_item_means_are_refused_for_labels(solver):
    with pytest.raises(ValueError, match="normalize must be 'global' or None for cost='logistic'; got 'item'"):
        mf(solver=solver, normalize="item", **LABELS).fit(RATINGS)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [0, 0.0, np.float32(0), 1e-50])
def test_init_scale_of_zero_is_refused_with_the_reason(solver, scale):
    with pytest.raises(
        ValueError, match=r"^MatrixFactorization.fit: init_scale must be above 0, for factors that start at zero"
    ):
        mf(solver=solver, init_scale=scale, n_epochs=25).fit(RATINGS)


@pytest.mark.parametrize("options", [{}, LABELS], ids=["ratings", "labels"])
@pytest.mark.parametrize("value", [0.0, 1.0, 2])
def test_bias_penalty_is_refused_without_biases(options, value):
    with pytest.raises(
        ValueError,
        match=r"^MatrixFactorization.fit: bias_reg must be 'auto' for bias=False, where it has no effect; got",
    ):
        mf(bias=False, bias_reg=value, **options).fit(RATINGS)
    for side in ("user", "item"):
        assert getattr(mf(bias=side, bias_reg=value, **options).fit(RATINGS), f"{side}_bias_reg_") == value


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "bayes"])
def test_patience_is_refused_without_validation_ratings(solver):
    with pytest.raises(ValueError, match=r"^MatrixFactorization.fit: patience needs validation ratings"):
        mf(solver=solver, patience=2).fit(RATINGS)


def test_patience_is_refused_before_hyperparameters_are_searched(monkeypatch):
    monkeypatch.setattr(matrix_factorization, "searched", lambda *arguments: pytest.fail("estimated"))
    with pytest.raises(ValueError, match=r"^MatrixFactorization.fit: patience needs validation ratings"):
        mf(patience=2, cost="logistic", threshold=4).fit(RATINGS)


def test_burn_in_must_leave_epochs():
    with pytest.raises(ValueError, match="burn_in of Gibbs must be less than n_epochs, 5; got 5"):
        mf(solver=Gibbs(burn_in=5), n_epochs=5).fit(RATINGS)
    assert mf(solver=Gibbs(burn_in=4), n_epochs=5).fit(RATINGS).n_samples_ == 1
    auto = mf(solver=Gibbs(burn_in=2, thin=50), n_epochs="auto").fit(RATINGS)
    assert (auto.n_epochs_, auto.n_samples_) == (102, 2)
    shortened = {
        burn_in: mf(solver=Gibbs(burn_in=burn_in), n_epochs="auto").shortened().n_epochs for burn_in in (5, 200)
    }
    assert shortened == {5: 45, 200: 240}


@pytest.mark.parametrize("solver", SOLVERS)
def test_parameters_of_a_solver_are_none_of_the_estimators(solver):
    own = ["cg_steps", "optimizer", "learning_rate", "schedule", "decay", "batch_size", "burn_in", "thin"]
    own += ["deterministic", "storage", "min_delta"]
    for name in own:
        with pytest.raises(TypeError, match=name):
            MatrixFactorization(solver=solver, **{name: 1})
        with pytest.raises(ValueError, match=f"there must be a parameter '{name}'"):
            MatrixFactorization(solver=solver).set_params(**{name: 1})
    for kind in (SGD, ALS, Gibbs, GradientDescent):
        takes = set(inspect.signature(kind).parameters)
        for name in set(own) - takes:
            with pytest.raises(TypeError, match=name):
                kind(**{name: 1})


def test_estimator_has_at_most_seventeen_parameters_and_three_own_classes():
    assert len(inspect.signature(MatrixFactorization).parameters) <= 17
    own = [base.__name__ for base in MatrixFactorization.__mro__ if base.__module__.startswith("fastcf.")]
    assert own == ["MatrixFactorization", "Estimator", "Recommender"]
    assert not hasattr(fastcf, "LogisticMatrixFactorization")


@pytest.mark.parametrize("name", SOLVERS)
def test_refused_fit_leaves_the_model_as_it_was(name):
    model = mf(solver=name, n_epochs=25).fit(RATINGS)
    before = model.state
    for wrong in ({"threshold": 3}, {"init_scale": 0.0}, {"bias": False, "bias_reg": 1.0}, {"n_epochs": 0}):
        broken = copy.copy(model).set_params(**wrong)
        with pytest.raises(ValueError, match=r"MatrixFactorization\.fit"):
            broken.fit(RATINGS)
        assert broken.state is before


def test_own_solver_needs_a_class_only():
    class Slow(SGD):
        """A solver of a user's own."""

        def trainer(self, problem, start):
            assert problem.n_epochs == 2
            return super().trainer(problem, start)

    assert issubclass(Slow, Solver)
    model = mf(solver=Slow(0.01)).fit(RATINGS)
    np.testing.assert_array_equal(model.user_factors_, mf(solver=SGD(0.01)).fit(RATINGS).user_factors_)
