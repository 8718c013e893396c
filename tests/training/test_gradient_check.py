"""The gradient checker: it passes what is right and finds what is wrong, and the kernels that train are right."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf import GradientCheckError, MatrixFactorization, check_gradients
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.models.factorization import objective as objectives


@pytest.fixture(scope="module")
def ratings():
    made = fastcf.data.make_ratings(60, 40, 700, random_state=0)
    weights = np.random.default_rng(0).uniform(0.2, 3, made.nnz).astype(np.float32)
    return fastcf.Ratings.from_coo(*made.to_coo(), weights=weights)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"normalize": "item"},
        {"normalize": None},
        {"reg": 0.7, "reg_scaling": "none", "bias_reg": 3.0},
        {"reg": 0.7, "reg_scaling": "count"},
        {"reg": 0.0, "bias_reg": 0.0},
        {"n_factors": 1},
        {"n_factors": 33},
    ],
)
def test_gradient_check_passes_for_every_option(ratings, options):
    report = check_gradients(MatrixFactorization(**{"n_factors": 6, **options}), ratings, max_coordinates=None)
    assert report.passed, str(report)
    assert all(block.checked == block.size for block in report.blocks)
    assert len(report.blocks) == (2 if options.get("bias") is False else 4)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("reg_scaling", [0.0, 0.5, 1.0])
def test_gradient_check_passes_for_both_costs_on_the_production_kernels(ratings, cost, reg_scaling):
    labels = fastcf.Ratings.from_coo(
        *ratings.to_coo()[:2], (ratings.values >= 3.5).astype(np.float32), weights=ratings.weights
    )
    model = MatrixFactorization(5, cost=cost, reg_scaling=reg_scaling, reg=0.3)
    report = compare_gradients(model.objective(labels, 3), max_coordinates=None)
    assert report.passed, str(report)


@pytest.mark.usefixtures("auto_backend")
@pytest.mark.parametrize("n_factors", [3, 8])
def test_gradient_check_passes_on_every_device(n_factors):
    small = fastcf.data.make_ratings(12, 8, 50, random_state=0)
    report = check_gradients(MatrixFactorization(n_factors, reg=0.7), small, max_coordinates=None)
    assert report.passed, str(report)


def broken(kind, ratings):
    """An objective whose gradient has one typical mistake."""
    model = MatrixFactorization(4, reg=0.5, reg_scaling="count", bias_reg=2.0)
    right = model.objective(ratings, 0)
    free = model.set_params(reg=0.0).objective(ratings, 0)
    unweighted = fastcf.Ratings.from_coo(*ratings.to_coo())
    unmasked = fastcf.Ratings.from_scipy(scipy.sparse.csr_array(ratings.to_scipy().toarray() + 1))

    def evaluate(at):
        cost, gradients = right.evaluate(at)
        gradients = {name: np.array(values) for name, values in gradients.items()}
        if kind == "sign":
            gradients["item_factors"] *= -1
        elif kind == "missing regularisation":
            gradients["user_factors"] = free.evaluate(at)[1]["user_factors"]
        elif kind == "transposed factor":
            gradients["user_factors"] = gradients["user_factors"][:, ::-1]
        elif kind == "off-by-one user":
            gradients["user_bias"] = np.roll(gradients["user_bias"], 1)
        elif kind == "missing mask":
            whole = MatrixFactorization(4, reg=0.5, reg_scaling="count").objective(unmasked, 0)
            gradients["item_factors"] = whole.evaluate(at)[1]["item_factors"]
        elif kind == "wrong scaling":
            gradients = {name: values / ratings.nnz for name, values in gradients.items()}
        elif kind == "missing weights":
            plain = MatrixFactorization(4, reg=0.5, reg_scaling="count").objective(unweighted, 0)
            gradients["item_bias"] = plain.evaluate(at)[1]["item_bias"]
        return cost, gradients

    return Objective(right.parameters, evaluate)


@pytest.mark.parametrize(
    "kind",
    [
        "sign", "missing regularisation", "transposed factor", "off-by-one user", "missing mask", "wrong scaling",
        "missing weights",
    ],
)  # fmt: skip
def test_gradient_check_catches_a_broken_gradient(ratings, kind):
    report = compare_gradients(broken(kind, ratings), max_coordinates=30)
    assert not report.passed
    assert max(block.epsilon for block in report.blocks) > 1e-3
    assert "FAILED" in str(report)
    with pytest.raises(GradientCheckError, match="fit: the analytic gradient is not that of the cost\ngradient check"):
        report.require("fit")


def test_gradient_check_of_the_untouched_objective_passes(ratings):
    assert compare_gradients(broken("nothing", ratings), max_coordinates=30).passed


def test_gradient_check_report_names_the_worst_coordinate():
    def evaluate(at):
        x = at["x"]
        gradient = 2 * x
        gradient[1, 2] += 0.5
        return float((x**2).sum()), {"x": gradient}

    report = compare_gradients(Objective({"x": np.arange(6.0).reshape(2, 3)}, evaluate), max_coordinates=None)
    (block,) = report.blocks
    assert block.worst == (1, 2)
    assert block.analytic == 10.5
    assert block.numeric == pytest.approx(10.0)
    assert "worst at [1, 2]: 10.5 analytic" in str(report)


def test_gradient_check_in_fit_passes_and_fails_loudly(ratings, monkeypatch):
    model = MatrixFactorization(4, solver="gd", n_epochs=2, random_state=0)
    plain = MatrixFactorization(4, solver="gd", n_epochs=2, random_state=0).fit(ratings)
    model.fit(ratings, check_gradients=True)
    np.testing.assert_array_equal(model.user_factors_, plain.user_factors_)
    honest = objectives.mf_cost_and_gradient

    def dishonest(*args, **kwargs):
        result = honest(*args, **kwargs)
        return result._replace(user_factors=2 * result.user_factors)

    monkeypatch.setattr(objectives, "mf_cost_and_gradient", dishonest)
    with pytest.raises(
        GradientCheckError, match=r"MatrixFactorization.fit: the analytic[\s\S]*user_factors[^\n]*FAILED"
    ):
        MatrixFactorization(4, solver="gd", n_epochs=2).fit(ratings, check_gradients=True)


def test_gradient_check_leaves_the_model_alone_and_repeats_itself(ratings):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(ratings)
    before = model.user_factors_.copy()
    first, second = (check_gradients(model, ratings, max_coordinates=30) for _ in range(2))
    assert first == second
    assert first.passed
    np.testing.assert_array_equal(model.user_factors_, before)


RANDOM = np.random.default_rng(0)
MADE = fastcf.data.make_ratings(40, 30, 400, random_state=0)
FILMS = fastcf.FeatureTable(MADE.items.ids, RANDOM.standard_normal((30, 4)).astype(np.float32))
PEOPLE = fastcf.FeatureTable(MADE.users.ids, (RANDOM.random((40, 5)) < 0.4).astype(np.float32))
BOTH = {"user_features": PEOPLE, "item_features": FILMS}
CHECKED = {
    "squared": (MatrixFactorization(4, reg=0.5), {}),
    "logistic": (MatrixFactorization(4, cost="logistic", threshold=4.0), {}),
    "autoencoder": (fastcf.Autoencoder((6, 4, 6), activation="relu"), {}),
    "tied": (fastcf.Autoencoder((6, 4, 6), activation="selu", tied=True, dropout=0.3), {}),
    "autoencoder of labels": (fastcf.Autoencoder((6,), cost="logistic", threshold=4.0), {}),
    "multinomial": (fastcf.Autoencoder((6,), cost="multinomial", threshold=4.0), {}),
    "two towers of ids": (fastcf.TwoTower((6,), (6,), 4), {}),
    "two towers": (fastcf.TwoTower((6, 5), (6, 5), 4, activation="relu", ids="user"), BOTH),
    "two towers of choices": (fastcf.TwoTower((6,), (6,), 4, cost="softmax", threshold=4.0), BOTH),
    "perceptron": (fastcf.UserPerceptron((4, 3), activation="relu", threshold=4.0), {"item_features": FILMS}),
    "perceptron of levels": (fastcf.UserPerceptron((4,), targets="levels"), {"item_features": FILMS}),
    "als": (fastcf.ImplicitFactorization(4, threshold=4.0), {}),
    "bpr": (fastcf.ImplicitFactorization(4, solver="bpr", threshold=4.0), {}),
}


def planted(objective, block, plant):
    """The objective of one block, the others being fixed, with an error in its gradient."""

    def evaluate(at):
        cost, slopes = objective.evaluate({**objective.parameters, **at})
        return cost, {block: plant(slopes[block])}

    return Objective({block: objective.parameters[block]}, evaluate)


@pytest.mark.parametrize("name", CHECKED)
def test_gradient_check_passes_for_every_model_and_finds_an_error_in_any_block(name):
    model, features = CHECKED[name]
    report = check_gradients(model, MADE, **features, max_coordinates=4)
    assert report.passed, str(report)
    assert report.epsilon < report.tolerance
    objective = model.objective(MADE, 0, **features)
    plants = (lambda slope: 1.001 * slope, lambda slope: slope + 1e-3 * np.abs(slope).max(), lambda slope: -slope)
    for number, block in enumerate(objective.parameters):
        report = compare_gradients(planted(objective, block, plants[number % 3]), max_coordinates=3)
        assert not report.passed, str(report)


@pytest.mark.slow
def test_gradient_check_passes_for_two_towers_of_the_default_size():
    report = check_gradients(fastcf.TwoTower(), MADE, item_features=FILMS, max_coordinates=1)
    assert report.passed, str(report)


def kinked(x, kinks):
    """A sum of hinges at some points and its gradient, right of the kinks."""
    return float(np.maximum(x - kinks, 0).sum()), {"x": (x >= kinks).astype(float)}


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-9, 1e-5, 1e-3])
@pytest.mark.parametrize("side", [-1, 1])
def test_gradient_check_recognises_kinks(distance, side):
    kinks = np.array([0.3, -0.2, 1.7])
    objective = Objective({"x": kinks + side * distance}, lambda at: kinked(at["x"], kinks))
    (block,) = (report := compare_gradients(objective)).blocks
    assert report.passed, str(report)
    assert block.kinks == (3 if distance < 1e-7 else 0)
    assert ("3 at kinks" in str(report)) == (distance < 1e-7)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, 2.0])
def test_gradient_check_catches_slopes_beyond_those_of_a_kink(wrong):
    x = np.zeros(3)
    objective = Objective({"x": x}, lambda at: (kinked(at["x"], 0.0)[0], {"x": np.full(3, wrong)}))
    assert not compare_gradients(objective).passed


@pytest.mark.parametrize("kind", ["clip", "abs", "hinge"])
def test_gradient_check_of_costs_smooth_by_pieces(kind):
    x = np.random.default_rng(0).uniform(-2, 2, 40)
    functions = {
        "clip": lambda x: (float((np.clip(x, -1, 1) ** 3).sum()), {"x": 3 * np.clip(x, -1, 1) ** 2 * (abs(x) < 1)}),
        "abs": lambda x: (float(np.abs(x).sum()), {"x": np.sign(x)}),
        "hinge": lambda x: (float((np.maximum(1 - x, 0) ** 2).sum()), {"x": -2 * np.maximum(1 - x, 0)}),
    }
    report = compare_gradients(Objective({"x": x}, lambda at: functions[kind](at["x"])))
    assert report.passed, str(report)


@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.sampled_from([0.0, 1.0, 1e4, 1e6]),
    frequency=st.floats(0.1, 30.0),
    seed=st.integers(0, 100),
)
@settings(max_examples=40)
def test_gradient_check_follows_curvature_and_rounding(scale, offset, frequency, seed):
    x = np.random.default_rng(seed).uniform(-1, 1, 8)

    def evaluate(at, factor=1.0):
        x = frequency * at["x"]
        return float(scale * np.sin(x).sum() + offset * scale), {"x": factor * scale * frequency * np.cos(x)}

    right = compare_gradients(Objective({"x": x}, evaluate))
    assert right.passed, str(right)
    assert not compare_gradients(Objective({"x": x}, lambda at: evaluate(at, 1.01))).passed


def test_gradient_check_gives_no_verdict_where_rounding_hides_the_gradient():
    def evaluate(at):
        return float(1e12 + np.sin(at["x"]).sum()), {"x": np.cos(at["x"])}

    report = compare_gradients(Objective({"x": np.arange(1.0, 4.0)}, evaluate))
    assert not report.passed
    assert "by rounding" in str(report)
    steady = compare_gradients(Objective({"x": np.ones(2)}, lambda at: (3.0, {"x": np.zeros(2)})))
    assert steady.passed
    assert steady.epsilon == 0


def test_gradient_check_of_blocks_of_very_different_sizes():
    def evaluate(at):
        return float(np.sin(at["x"]).sum() + 1e-9 * np.sin(at["y"]).sum()), {
            "x": np.cos(at["x"]), "y": 1e-9 * np.cos(at["y"]),
        }  # fmt: skip

    report = compare_gradients(Objective({"x": np.ones(3), "y": np.ones(3)}, evaluate))
    assert report.passed, str(report)
    assert report.blocks[1].limit > report.tolerance
    wrong = Objective(
        {"x": np.ones(3), "y": np.ones(3)}, lambda at: (evaluate(at)[0], {"x": np.cos(at["x"]), "y": np.ones(3)})
    )
    assert not compare_gradients(wrong).passed


def test_gradient_check_with_a_step_takes_it():
    report = compare_gradients(
        Objective({"x": np.ones(2)}, lambda at: (float((at["x"] ** 3).sum()), {"x": 3 * at["x"] ** 2})), step=1e-2
    )
    assert report.blocks[0].step == 1e-2
    assert report.epsilon == pytest.approx(1e-4 / 6, rel=1e-3)
    assert not report.passed


def test_gradient_check_takes_features_of_models_that_have_them():
    with pytest.raises(ValueError, match="check_gradients: user_features must be None for UserPerceptron"):
        check_gradients(fastcf.UserPerceptron(threshold=4.0), MADE, user_features=PEOPLE)
    with pytest.raises(ValueError, match="item_features must be None for MatrixFactorization"):
        check_gradients(MatrixFactorization(4), MADE, item_features=FILMS)
    report = check_gradients(fastcf.UserPerceptron((3,), threshold=4.0), MADE, item_features=FILMS)
    assert report.blocks[0].size == 4 * 3


def test_gradient_check_bad_input_is_named(ratings):
    model = MatrixFactorization(4)
    with pytest.raises(TypeError, match="check_gradients: model must be trained by gradients; got BiasModel"):
        check_gradients(fastcf.BiasModel(), ratings)
    for options, message in (
        ({"step": 0.0}, "step must be a finite number above 0"),
        ({"tolerance": np.nan}, "tolerance must be a finite number above 0"),
        ({"max_coordinates": 0}, "max_coordinates must be at least 1 or None"),
    ):
        with pytest.raises(ValueError, match=message):
            check_gradients(model, ratings, **options)
    with pytest.raises(ValueError, match="the gradient of x must have shape"):
        compare_gradients(Objective({"x": np.zeros(3)}, lambda at: (0.0, {"x": np.zeros(2)})))
    with pytest.raises(ValueError, match="must have parameters"):
        compare_gradients(Objective({}, lambda at: (0.0, {})))
