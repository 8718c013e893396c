"""Trainers of factorisations: what they hold goes into arrays and back, and training goes on to the same bits."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.factorization.problem import Parameters
from fastcf.optimizers import AdaDelta, AdaGrad, Momentum, Nesterov
from fastcf.solvers import ALS, SGD, Gibbs, GradientDescent

RATINGS = fastcf.data.make_ratings(120, 80, 3_000, random_state=0)
TRAIN, TEST = fastcf.data.train_test_split(RATINGS, random_state=0)
SOLVERS = {
    "sgd": SGD(),
    "als": ALS(),
    "als-cg": ALS(cg_steps=2),
    "bayes": Gibbs(burn_in=1),
    "bayes-thin": Gibbs(burn_in=0, thin=2),
    "adam": GradientDescent(batch_size=100),
    "momentum": GradientDescent(Momentum(), batch_size=100),
    "nesterov": GradientDescent(Nesterov(), batch_size="whole"),
    "adagrad": GradientDescent(AdaGrad(), batch_size=64),
    "adadelta": GradientDescent(AdaDelta(), batch_size="whole"),
}
LABELS = {"cost": "logistic", "threshold": 4.0, "reg": 1.0}
CASES = [(name, {}) for name in SOLVERS] + [
    (name, LABELS) for name, solver in SOLVERS.items() if not isinstance(solver, (ALS, Gibbs))
]


def trainers(name, n, options, validation=TEST):
    """Return so many trainers of the same problem, which start from the same parameters."""
    made = []
    kind = type(SOLVERS[name])

    class Keep(kind):
        def trainer(self, problem, start):
            for _ in range(n):
                made.append(super().trainer(problem, Parameters(*(array.copy() for array in start))))
            return super().trainer(problem, start)

    solver = Keep(**SOLVERS[name].get_params(deep=False))
    model = MatrixFactorization(5, solver=solver, n_epochs=6, random_state=0, **options)
    model.fit(TRAIN, validation=validation)
    return model, made[-n:]  # fits that settle "auto" come before


def run(trainer, epoch):
    """Run an epoch as the training loop does: it measures after each, which brings deferred steps up to date."""
    trainer.run_epoch(epoch)
    return trainer.measure()


def scores_of(trainer):
    scores = trainer.finish((), 0).scores
    return {name: getattr(scores, name) for name in ("user_factors", "item_factors", "user_bias", "item_bias")}


def assert_same_scores(first, second):
    for name, array in scores_of(first).items():
        np.testing.assert_array_equal(scores_of(second)[name], array, err_msg=name)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_trainer_goes_on_from_its_arrays_to_the_same_bits(name, options):
    _, (straight, begun, continued) = trainers(name, 3, options)
    for epoch in range(6):
        run(straight, epoch)
    for epoch in range(3):
        run(begun, epoch)
    arrays = begun.arrays()
    held = {key: np.array(array, copy=True) for key, array in arrays.items()}
    for epoch in range(3, 6):  # what was returned is a copy
        run(begun, epoch)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, held[key], err_msg=key)
    continued.set_arrays(held)
    for epoch in range(3, 6):
        run(continued, epoch)
    assert_same_scores(begun, straight)
    assert_same_scores(continued, straight)
    assert continued.measure() == straight.measure()


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_trainer_measures_and_finishes_without_changing_anything(name, options):
    _, (plain, watched) = trainers(name, 2, options)
    for epoch in range(6):
        run(plain, epoch)
        run(watched, epoch)
        assert watched.measure() == watched.measure()
        before = copy.deepcopy(scores_of(watched))
        watched.finish((), epoch).scores.user_factors  # noqa: B018  # fetched
        for array, again in zip(before.values(), scores_of(watched).values(), strict=True):
            np.testing.assert_array_equal(array, again)
    assert_same_scores(watched, plain)


@pytest.mark.parametrize("name", [name for name, solver in SOLVERS.items() if not isinstance(solver, Gibbs)])
def test_trainer_restores_the_parameters_saved_last(name):
    _, (trainer,) = trainers(name, 1, {})
    run(trainer, 0)
    saved, measured = scores_of(trainer), trainer.measure()
    trainer.save_best()
    run(trainer, 1)
    assert not np.array_equal(scores_of(trainer)["user_factors"], saved["user_factors"])
    trainer.restore_best()
    for key, array in saved.items():
        np.testing.assert_array_equal(scores_of(trainer)[key], array)
    assert trainer.measure() == measured


@pytest.mark.parametrize("name", SOLVERS)
def test_trainer_says_whether_there_is_a_best_epoch(name):
    for validation in (TEST, None):
        _, (trainer,) = trainers(name, 1, {}, validation)
        assert trainer.validated == (validation is not None)
        assert trainer.restorable == (not isinstance(SOLVERS[name], Gibbs))
        record = trainer.measure()
        assert (record["validation_rmse"] is None) == (validation is None)
