"""The gradient checker: it passes what is right and finds what is wrong, and the kernels that train are right."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

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
    report = compare_gradients(broken(kind, ratings))
    assert not report.passed
    assert max(block.epsilon for block in report.blocks) > 1e-3
    assert "FAILED" in str(report)
    with pytest.raises(GradientCheckError, match="fit: the analytic gradient is not that of the cost\ngradient check"):
        report.require("fit")


def test_gradient_check_of_the_untouched_objective_passes(ratings):
    assert compare_gradients(broken("nothing", ratings)).passed


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
    first, second = (check_gradients(model, ratings) for _ in range(2))
    assert first == second
    assert first.passed
    np.testing.assert_array_equal(model.user_factors_, before)


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
