"""Validation during training: any metric, its best epoch, weights, views, in every family."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import fastcf
from fastcf.callbacks import Callback, EarlyStopping
from fastcf.metrics import as_scorer
from trained_models import MODELS, split

TRAIN, HELD_OUT = split()
RATED = {name for name, model in MODELS.items() if not model._targets.choices} - {"perceptron of levels"}


class Look(Callback):
    """Measure every view by a scorer, and keep what it predicts."""

    def __init__(self, metric="ndcg@5", stop=None):
        self.scorer, self.stop = as_scorer(metric, "Look"), stop
        self.figures, self.predicted = [], []

    def on_train_begin(self, view):
        self._look(view)

    def _look(self, view):
        self.figures.append(self.scorer(view, HELD_OUT))
        self.predicted.append(view.predict(HELD_OUT))

    def on_epoch_end(self, view, record):
        self._look(view)
        return record["epoch"] == self.stop


@pytest.mark.parametrize("name", MODELS)
def test_validation_metric_is_that_of_the_view_and_keeps_the_best_epoch(name):
    look = Look()
    model = clone(MODELS[name]).fit(TRAIN, validation=HELD_OUT, validation_metric="ndcg@5", callbacks=look)
    recorded = [record["validation_ndcg@5"] for record in model.history_]
    assert recorded == look.figures
    best = 5 if name.startswith("bayes") else 1 + int(np.argmax(recorded[1:]))
    assert model.n_epochs_ == best
    np.testing.assert_array_equal(model.predict(HELD_OUT), look.predicted[best])
    assert as_scorer("ndcg@5", "test")(model, HELD_OUT) == recorded[best]


@pytest.mark.parametrize("name", MODELS)
def test_views_have_the_parameters_of_their_epoch(name):
    """A model that is stopped after an epoch is what the view of that epoch was."""
    look = Look(stop=3)
    model = clone(MODELS[name]).fit(TRAIN, callbacks=look)
    np.testing.assert_array_equal(model.predict(HELD_OUT), look.predicted[3])
    for earlier in range(3):
        assert not np.array_equal(look.predicted[earlier], look.predicted[3])


@pytest.mark.parametrize("name", sorted(RATED))
def test_validation_weights_count(name):
    """The error that is recorded is the weighted one of the view's predictions."""
    train, held_out = split(weights=True)
    pairs = zip(held_out.to_coo()[:2], train.to_coo()[:2], strict=True)
    known = np.logical_and(*(np.isin(rows, trained) for rows, trained in pairs))
    held_out = held_out.take(known)  # two towers measure no pairs of which they know nothing
    predicted = []

    class Predict(Callback):
        def on_epoch_end(self, view, record):
            predicted.append(view.predict(held_out))

    model = clone(MODELS[name])
    model.fit(TRAIN, validation=held_out, callbacks=Predict())
    targets = model.state.targets
    error = f"validation_{targets.error}"
    want = [targets.measured(targets.of(held_out.values, ""), each, held_out.weights) for each in predicted]
    assert [record[error] for record in model.history_[1:]] == pytest.approx(want, rel=1e-5)
    plain = clone(MODELS[name]).fit(TRAIN, validation=HELD_OUT.take(known))
    assert plain.history_[1][error] != pytest.approx(want[0], rel=1e-5)
    assert -model.score(held_out) == pytest.approx(want[model.n_epochs_ - 1], rel=1e-5)


def test_validation_weights_that_are_all_zero_are_refused():
    users, items, values = HELD_OUT.to_coo()
    none = fastcf.Ratings.from_coo(users, items, values, weights=np.zeros(values.size))
    with pytest.raises(ValueError, match="validation: weights must not all be zero"):
        fastcf.MatrixFactorization(2, n_epochs=1).fit(TRAIN, validation=none)


def test_validation_weights_count_for_levels():
    """Held-out ratings of weights 2 and 0 are the same as the former twice, and not the latter."""
    users, items, values = HELD_OUT.to_coo()
    weights = np.arange(values.size) % 2
    model = MODELS["perceptron of levels"]
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=2.0 * weights)
    some = HELD_OUT.take(weights > 0)
    errors = [
        [record["validation_log_loss"] for record in clone(model).fit(TRAIN, validation=each).history_]
        for each in (weighted, some)
    ]
    np.testing.assert_allclose(*errors, rtol=1e-6)


@pytest.mark.parametrize("name", ["autoencoder of choices", "two towers of choices"])
def test_validation_weights_of_choices_multiply_their_strengths(name):
    """Choices of weight 0 are none."""
    users, items, values = HELD_OUT.to_coo()
    weights = (np.arange(values.size) % 2).astype(np.float32)
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=weights)
    some = HELD_OUT.take(weights > 0)
    first, second = (clone(MODELS[name]).fit(TRAIN, validation=each).history_ for each in (weighted, some))
    assert [record["validation_log_loss"] for record in first] == [record["validation_log_loss"] for record in second]


def mean_rank(recommender, held_out):
    return float(np.abs(recommender.predict(held_out) - held_out.values).mean())


def test_validation_metric_may_be_a_function_whose_smaller_values_are_better():
    mean_rank.greater_is_better = False
    stopping = EarlyStopping(1)
    model = clone(MODELS["sgd"]).set_params(n_epochs=30)
    model.fit(TRAIN, validation=HELD_OUT, validation_metric=mean_rank, callbacks=stopping)
    figures = [record["validation_mean_rank"] for record in model.history_]
    assert model.n_epochs_ == 1 + int(np.argmin(figures[1:])) == stopping.best_epoch_
    assert all(record["validation_rmse"] is None for record in model.history_)


def test_validation_by_the_models_own_error_records_it_under_the_same_name():
    one, other = clone(MODELS["als"]), clone(MODELS["als"])
    one.fit(TRAIN, validation=HELD_OUT)
    other.fit(TRAIN, validation=HELD_OUT, validation_metric="rmse")
    errors = [[record["validation_rmse"] for record in model.history_] for model in (one, other)]
    np.testing.assert_allclose(*errors, rtol=1e-5)
    assert list(one.history_[0]) == list(other.history_[0])


def test_validation_every_few_epochs_and_of_some_users():
    looked = []

    def look(recommender, held_out):
        looked.append(held_out)
        return len(looked)

    model = clone(MODELS["sgd"]).set_params(n_epochs=8, patience=2)
    watching = {"validation_metric": look, "validation_every": 3, "validation_users": 10}
    model.fit(TRAIN, validation=HELD_OUT, **watching)
    figures = {record["epoch"]: record["validation_look"] for record in model.history_}
    assert figures == {0: 1, 1: None, 2: None, 3: 2, 4: None, 5: None, 6: 3, 7: None, 8: 4}
    assert model.n_epochs_ == 8
    assert all(held_out is looked[0] for held_out in looked)
    assert np.count_nonzero(looked[0].user_counts()) == 10
    looked.clear()
    clone(MODELS["als"]).fit(TRAIN, validation=HELD_OUT, **watching)  # the same users
    assert looked[0].to_coo()[0].tolist() == looked[-1].to_coo()[0].tolist()


def test_patience_of_the_model_follows_the_metric():
    falls = iter([0.0, 5.0, 4.0, 3.0, 2.0, 1.0])

    def falling(recommender, held_out):
        return next(falls)

    model = clone(MODELS["sgd"]).set_params(patience=2)
    model.fit(TRAIN, validation=HELD_OUT, validation_metric=falling)
    assert (model.history_[-1]["epoch"], model.n_epochs_) == (3, 1)


def test_choices_are_validated_by_their_lists():
    model = clone(MODELS["implicit als"]).fit(TRAIN, validation=HELD_OUT)
    figures = [record["validation_ndcg@10"] for record in model.history_]
    assert model.n_epochs_ == 1 + int(np.argmax(figures[1:]))
    assert "validation_ndcg@10" not in clone(MODELS["implicit als"]).fit(TRAIN).history_[0]


def test_checkpoint_must_be_a_path():
    with pytest.raises(TypeError, match=r"fit: checkpoint must be an instance of str, .*; got 3"):
        clone(MODELS["sgd"]).fit(TRAIN, checkpoint=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"validation_metric": "ndcg@5"}, "validation_metric needs validation ratings"),
        ({"validation_every": 2}, "validation_every needs validation ratings"),
        (
            {"validation": HELD_OUT, "validation_every": 2},
            "validation_every needs a validation_metric: the model's own",
        ),
        ({"validation": HELD_OUT, "validation_users": 2}, "validation_users needs a validation_metric"),
        ({"validation": HELD_OUT, "validation_metric": "rsme"}, "there is no metric 'rsme'"),
        ({"validation": HELD_OUT, "validation_every": 0}, "validation_every must be an integer of at least 1"),
        ({"validation": HELD_OUT, "validation_users": 0.5}, "validation_users must be an integer of at least 1"),
        ({"checkpoint_every": 2}, "checkpoint_every needs a checkpoint"),
        ({"checkpoint": "x", "checkpoint_every": 0}, "checkpoint_every must be an integer of at least 1"),
    ],
)
def test_arguments_without_effect_are_refused(given, message):
    with pytest.raises(ValueError, match=f"^MatrixFactorization.fit.*{message}"):
        clone(MODELS["sgd"]).fit(TRAIN, **given)


def test_metric_that_is_no_number_is_an_error_before_training():
    calls = []

    class Count(Callback):
        def on_train_begin(self, view):
            calls.append(1)

    with pytest.raises(ValueError, match="finite"):
        clone(MODELS["sgd"]).fit(
            TRAIN, validation=HELD_OUT, validation_metric=lambda model, held: float("nan"), callbacks=Count()
        )
    assert not calls
