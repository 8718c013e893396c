"""Hyperparameters settled on held-out ratings and labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import fastcf
from fastcf import MatrixFactorization
from fastcf._backend import resolve_device
from fastcf.metrics import rmse
from fastcf.models.factorization import held_out_search, matrix_factorization
from fastcf.models.factorization.fold_in import RatingFolding
from fastcf.models.factorization.held_out_search import searched
from fastcf.models.factorization.plan import Plan
from fastcf.models.factorization.walk import Hyperparameters, Walk
from fastcf.models.held_out import Part
from fastcf.scores import Targets
from fastcf.solvers import ALS, SGD, as_solver


def plan_of(cost="squared", seed=7, **options):
    """Return the plan of a fit; ``init`` and so on are those of the estimator."""
    model, solver = MatrixFactorization(cost=cost, **options), SGD()
    auto = solver.auto[cost]
    backend = resolve_device("cpu", "test")
    return Plan(model, solver, auto, Targets(cost, None), backend, RatingFolding(), seed, 1)


def ratings_of(n, weights=None):
    users, items = np.divmod(np.arange(n), 100)
    return fastcf.Ratings.from_coo(users, items, np.arange(n) % 5.0, weights=weights)


def recorded(monkeypatch):
    """Let the search record what it holds out, and train nothing."""
    seen = []

    def losses(part, values, compute, *, labels):
        seen.append((part.kept, part.held_out, values))
        return np.full(part.held_out.nnz, 1 + np.log(values.reg) ** 2)

    monkeypatch.setattr(Plan, "settle", lambda self, kept: None)
    monkeypatch.setattr(Plan, "trained_scores", lambda self, kept, settled, values: values)
    monkeypatch.setattr(Part, "losses", losses)
    return seen


@pytest.mark.parametrize(("n", "n_folds"), [(3, 3), (10, 10), (205, 10), (4_000, 5), (20_000, 3), (60_000, 1)])
def test_search_holds_out_tenths_in_turn(monkeypatch, n, n_folds):
    ratings, seen = ratings_of(n), recorded(monkeypatch)
    first = Hyperparameters(1.0, 5, 2)
    assert tuple(searched(ratings, plan_of(), first, ["reg"])) == pytest.approx(first)
    assert len(seen) == 3 * n_folds  # the first guess and its neighbours
    times = np.zeros(n, int)
    for kept, held_out, _ in seen[:n_folds]:
        assert kept.shape == held_out.shape == ratings.shape
        assert held_out.nnz == max(n // 10, 1)
        assert kept.nnz + held_out.nnz == n
        times[held_out.row_of_entry() * 100 + held_out.indices] += 1
        assert not times[kept.row_of_entry() * 100 + kept.indices].max(initial=0) > n_folds - 1
    assert times.max() == 1
    before = seen[0][1].indices
    seen.clear()
    searched(ratings, plan_of(), first, ["reg"])
    np.testing.assert_array_equal(seen[0][1].indices, before)


def test_search_of_few_ratings_leaves_the_first_guess(monkeypatch):
    seen, first = recorded(monkeypatch), Hyperparameters(0.3, 5, 2)
    assert searched(ratings_of(2), plan_of(), first, ["reg"]) == first
    weights = np.r_[np.ones(2), np.zeros(500)]
    assert searched(ratings_of(502, weights), plan_of(), first, ["reg"]) == first
    assert not seen


def test_search_never_holds_out_ratings_of_weight_zero(monkeypatch):
    seen = recorded(monkeypatch)
    searched(
        ratings_of(400, (np.arange(400) % 3 != 0).astype(np.float32)), plan_of(), Hyperparameters(1, 5, 2), ["reg"]
    )
    assert seen
    assert all(held_out.weights.all() for _, held_out, _ in seen)


def test_search_of_much_takes_whole_users_at_random(monkeypatch):
    monkeypatch.setattr(held_out_search, "_MOST", 5_000)
    seen = recorded(monkeypatch)
    searched(ratings_of(20_000), plan_of(), Hyperparameters(1.0, 5, 2), ["reg"])
    kept, held_out, _ = seen[0]
    assert kept.nnz + held_out.nnz == 5_000
    counts = kept.user_counts() + held_out.user_counts()
    assert set(counts) == {0, 100}
    assert counts[:50].sum() < 5_000


@pytest.mark.parametrize("solver", ["sgd", "als", "minibatch", "gd"])
def test_what_is_given_is_not_searched(solver):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    given = {"n_factors": 3, "reg": 0.7, "n_epochs": 6}
    for name in given:
        model = MatrixFactorization(solver=solver, random_state=0, **{**given, name: "auto"}).fit(ratings)
        found = {"n_factors": model.n_factors_, "reg": model.reg_, "n_epochs": model.n_epochs_}
        assert {key: value for key, value in found.items() if key != name} == {
            key: value for key, value in given.items() if key != name
        }
        assert model.user_factors_.shape[1] == model.n_factors_


@pytest.mark.parametrize(
    ("options", "said"), [({"reg": 0.5}, True), ({}, False), ({"solver": SGD(rated_input=True), "reg": 0.5}, False)]
)
def test_a_given_penalty_is_said_to_leave_out_centres(caplog, options, said):
    caplog.set_level("INFO", "fastcf")
    fastcf.MatrixFactorization(2, n_epochs=2, random_state=0, **options).fit(ratings_of(300))
    assert any("reg is given: rows are penalised around zero" in message for message in caplog.messages) == said


def test_what_was_settled_is_logged(caplog):
    caplog.set_level("INFO", "fastcf")
    model = MatrixFactorization(random_state=0).fit(fastcf.data.make_ratings(60, 40, 900, random_state=0))
    (line,) = [record.message for record in caplog.records if record.message.startswith("settled")]
    rated_input = model.rated_effects_ is not None
    settled = (
        f"reg {model.reg_:.4g}, n_epochs {model.n_epochs_}, n_factors {model.n_factors_}, rated_input {rated_input}"
    )
    assert line.endswith(settled)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_search_has_the_same_bits_for_any_threads(cost):
    ratings = fastcf.data.make_ratings(80, 60, 1_500, random_state=0)
    options = {"cost": cost, "threshold": 4 if cost == "logistic" else None, "random_state": 3}
    models = [MatrixFactorization(n_threads=n, **options).fit(ratings) for n in (1, 3)]
    assert models[0].reg_ == models[1].reg_
    np.testing.assert_array_equal(models[0].user_factors_, models[1].user_factors_)


@pytest.mark.parametrize(("scale", "offset"), [(20.0, 0.0), (1.0, 2000.0), (1e-3, -5.0)])
def test_search_follows_neither_scale_nor_offset(scale, offset):
    ratings = fastcf.data.make_ratings(100, 60, 2_500, levels=None, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = test.to_coo()
    X = np.stack([users, items], axis=1)
    plain = MatrixFactorization(random_state=0).fit(train)
    moved = fastcf.Ratings.from_coo(*train.to_coo()[:2], scale * train.values + offset)
    other = MatrixFactorization(random_state=0).fit(moved)
    assert other.reg_ == pytest.approx(scale * plain.reg_, rel=0.5)
    errors = [rmse(values, plain.predict(X)), rmse(scale * values + offset, other.predict(X)) / scale]
    assert errors[1] == pytest.approx(errors[0], rel=0.02)


@pytest.mark.parametrize("solver", ["sgd", "als", "minibatch", "gd"])
def test_dense_ratings_are_predicted_nearly_to_their_noise(solver):
    truth = {"n_factors": 1, "noise": 0.3, "signal": 0.8, "levels": None, "popularity": 0.0, "activity": 0.3}
    ratings = fastcf.data.make_ratings(80, 60, 3_200, random_state=0, **truth)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    model = MatrixFactorization(solver=solver, random_state=0).fit(train)
    assert -model.score(test) < 1.15 * 0.3


def test_penalty_of_labels_grows_where_factors_have_nothing_to_learn():
    something, nothing = (
        fastcf.data.make_ratings(300, 150, 12_000, n_factors=n_factors, random_state=0) for n_factors in (8, 0)
    )
    options = {"cost": "logistic", "threshold": 4, "n_factors": 16, "n_epochs": 20, "random_state": 0}
    model = MatrixFactorization(**options).fit(nothing)
    assert model.reg_ > 1.5 * MatrixFactorization(**options).fit(something).reg_
    biases = MatrixFactorization(reg=1e6, **options).fit(nothing)
    np.testing.assert_allclose(model.predict(nothing), biases.predict(nothing), atol=0.02)


@pytest.mark.parametrize("solver", ["sgd", "gd"])
def test_search_ctrl_c_leaves_what_was_there(monkeypatch, solver):
    ratings = fastcf.data.make_ratings(100, 50, 2_000, random_state=0)
    model = MatrixFactorization(4, solver=solver, cost="logistic", threshold=4, n_epochs=3, random_state=0)

    def press(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(matrix_factorization, "searched", press)
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings)
        assert not hasattr(model, "history_")  # nothing was learnt yet
    model.fit(ratings)
    before = model.predict(ratings)
    with monkeypatch.context() as patch:
        patch.setattr(matrix_factorization, "searched", press)
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings.take(np.arange(500)))
    np.testing.assert_array_equal(model.predict(ratings), before)


def test_penalty_of_labels_scale_follows_the_exponent():
    ratings = fastcf.data.make_ratings(300, 150, 12_000, random_state=0)
    losses = {}
    for scaling in ("none", 0.5, "count"):
        train, test = fastcf.data.train_test_split(ratings, random_state=0)
        model = MatrixFactorization(
            8, n_epochs=20, cost="logistic", threshold=4, reg_scaling=scaling, random_state=0
        ).fit(train)
        losses[scaling] = -model.score(test)
        assert model.reg_ == pytest.approx({"none": 6.0, 0.5: 0.65, "count": 0.07}[scaling], rel=0.7)
    assert max(losses.values()) < 1.05 * losses[0.5]


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_bias_penalties_of_labels_are_in_the_unit_of_z(spread):
    random = np.random.default_rng(0)
    users, items = np.divmod(random.choice(2000 * 500, 100_000, replace=False), 500)
    z = random.normal(0, spread, 2000)[users] + random.normal(0, 0.5, 500)[items] + 0.3
    labels = (random.random(z.size) < expit(z)).astype(np.float32)
    model = MatrixFactorization(1, cost="logistic", solver=SGD(1e-9), reg=1.0, n_epochs=1, random_state=0)
    model.fit(np.stack([users, items], axis=1), labels)
    assert model.user_bias_reg_ == pytest.approx(1 / spread**2, rel=0.15)
    assert model.item_bias_reg_ == pytest.approx(4, rel=0.2)


def test_search_does_not_train_as_long_as_very_many_given_epochs(monkeypatch):
    trained = []
    honest = Plan.trained_scores

    def counted(plan, ratings, settled, values):
        trained.append(values.n_epochs)
        return honest(plan, ratings, settled, values)

    monkeypatch.setattr(Plan, "trained_scores", counted)
    made = fastcf.data.make_ratings(60, 40, 700, random_state=0)
    model = MatrixFactorization(2, n_epochs=5_000, random_state=0).fit(made)
    assert trained
    assert max(trained) <= 400
    assert model.n_epochs_ == 5_000


@pytest.mark.parametrize("solver", ["minibatch", "gd"])
@pytest.mark.parametrize(("cost", "surrogate", "times"), [("squared", ALS, 1.0), ("logistic", SGD, 1.25)])
def test_slow_solvers_search_by_a_faster_one(solver, cost, surrogate, times, monkeypatch):
    trained, found = [], []
    honest, walked = Plan.trained_scores, Walk.run

    def counted(plan, ratings, settled, values):
        trained.append((type(plan.solver), values.n_epochs))
        return honest(plan, ratings, settled, values)

    def run(walk):
        found.append(walked(walk))
        return found[-1]

    monkeypatch.setattr(Plan, "trained_scores", counted)
    monkeypatch.setattr(Walk, "run", run)
    made = fastcf.data.make_ratings(60, 40, 700, random_state=0)
    threshold = None if cost == "squared" else 4
    model = MatrixFactorization(solver=solver, cost=cost, threshold=threshold, random_state=0).fit(made)
    first = surrogate().first(cost, made).n_epochs
    assert set(trained) == {(surrogate, first if surrogate is ALS else 2 * first)}
    assert model.reg_ == pytest.approx(times * found[0].reg)
    assert model.n_factors_ == found[0].n_factors
    assert model.n_epochs_ == as_solver(solver).first(cost, made).n_epochs
    given = MatrixFactorization(3, solver=solver, cost=cost, threshold=threshold, reg=0.7, random_state=0).fit(made)
    assert given.reg_ == 0.7


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_search_shows_its_trainings(monkeypatch, capsys, verbose):
    recorded(monkeypatch)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    first = Hyperparameters(1.0, 5, 2)
    searched(ratings_of(205), plan_of(), first, ["reg"], verbose)
    out, shown = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == (3 if verbose == 2 else 0)
    assert all(line.startswith("MatrixFactorization, settling reg: reg ") for line in lines)
    assert ("MatrixFactorization, settling reg: 30training" in shown) == (verbose == 1)
    assert (shown == "") == (verbose != 1)


# Five films by four people, of which 15 ratings are known: the table by which courses explain factors.
_NONE = np.nan
COURSE = np.array(
    [[5, 5, 0, 0], [5, _NONE, _NONE, 0], [_NONE, 4, 0, _NONE], [0, 0, 5, 4], [0, 0, 5, _NONE]], dtype=np.float32
)


def course():
    films, people = np.nonzero(~np.isnan(COURSE))
    return fastcf.Ratings.from_coo(people, films, COURSE[films, people])


@pytest.mark.parametrize("solver", ["sgd", "als", "minibatch", "gd"])
def test_table_of_fifteen_ratings_is_learnt_by_default_and_fitted_by_a_small_penalty(solver):
    table = course()
    assert -fastcf.MatrixFactorization(solver=solver, random_state=0).fit(table).score(table) < 0.5
    close = fastcf.MatrixFactorization(2, solver=solver, reg=0.001, n_epochs=1_000, random_state=0).fit(table)
    assert -close.score(table) < 0.02
    assert close.predict([[0, 2]])[0] > 3  # romance for one who likes romance
    assert close.predict([[3, 2]])[0] < 2
