"""The training loop, with a trainer whose measurements are written down in advance."""

from __future__ import annotations

import logging
import math
import os
import signal
import time

import numpy as np
import pytest

import fastcf
from fastcf import IdMap
from fastcf.callbacks import Callback, CallbackList, EarlyStopping
from fastcf.models.estimator import Estimator
from fastcf.scores import FactorScores, SeenItems, State
from fastcf.solvers import SGD
from fastcf.training.checkpoint import Checkpoint
from fastcf.training.unread import unread_history
from fastcf.training.validation import Validation

NOTHING = SeenItems(np.zeros(3, np.int64), np.zeros(0, np.int32))


class Script:
    """A trainer whose only parameter is the number of the epoch; it answers with that for every pair.

    ``costs`` and ``validation`` hold what epochs 1, 2, … measure; None: there is no validation error. ``failing`` maps
    the number of an epoch to the error that it raises.
    """

    def __init__(self, costs=None, validation=None, *, restorable=True, rate=0.1, failing=None, monitor="rmse"):
        self.costs = costs or [10.0 - epoch for epoch in range(1, 10)]
        self.validation = validation
        self.validated = validation is not None
        self.restorable = restorable
        self.rate = rate
        self.failing = failing or {}
        self.monitor = monitor
        self.parameter = self.best = 0
        self.fetched = 0
        self.calls = []

    def run_epoch(self, epoch):
        self.calls.append(epoch)
        self.parameter = epoch + 1
        if self.parameter in self.failing:
            raise self.failing[self.parameter]
        return self.rate

    def measure(self):
        epoch = self.parameter
        cost = self.costs[epoch - 1] if epoch else 11.0
        error = (99.0 if epoch == 0 else self.validation[epoch - 1]) if self.validated else None
        return {"cost": cost, f"train_{self.monitor}": 1.0, f"validation_{self.monitor}": error}

    def save_best(self):
        self.best = self.parameter

    def restore_best(self):
        self.parameter = self.best

    def arrays(self):
        return {"parameter": np.array([self.parameter, self.best])}

    def set_arrays(self, arrays):
        self.parameter, self.best = arrays["parameter"].tolist()

    def finish(self, history, n_epochs):
        self.fetched += 1
        none = np.zeros((2, 0), np.float32)
        scores = FactorScores(none, none, np.zeros(2, np.float32), np.zeros(2, np.float32), float(self.parameter))
        ids = IdMap.range(2)
        return State(ids, ids, NOTHING, scores, (-math.inf, math.inf), "cpu", history=history, n_epochs=n_epochs)


class Scripted(Estimator):
    """An estimator that is trained by a given trainer."""

    def __init__(self, n_epochs=6, patience=None, verbose=0, n_threads=None):
        self.n_epochs = n_epochs
        self.patience = patience
        self.verbose = verbose
        self.n_threads = n_threads

    def fit(self, trainer, callbacks=None, *, validation=None, checkpoint=None, checkpoint_every=1):
        self._train(
            trainer,
            n_epochs=self.n_epochs,
            patience=self.patience,
            validation=Validation() if validation is None else validation,
            callbacks=callbacks,
            checkpoint=Checkpoint(checkpoint, checkpoint_every, "Scripted.fit"),
            verbose=self.verbose,
        )
        return self


def epochs(model):
    return [record["epoch"] for record in model.history_]


def kept(model):
    """Return the epoch whose parameters the model holds; it must say so itself."""
    held = int(model.predict([(0, 0)])[0])
    assert held == model.n_epochs_
    return held


class Watch(Callback):
    def __init__(self, stop=None, fails=None, name="watch", calls=None):
        self.stop, self.fails, self.name = stop, fails or {}, name
        self.calls = [] if calls is None else calls
        self.records = []

    def _note(self, what):
        self.calls.append((self.name, what))
        if what in self.fails:
            raise self.fails[what]

    def on_train_begin(self, view):
        self._note("begin")

    def on_epoch_end(self, view, record):
        self.records.append(record)
        self._note(record["epoch"])
        return record["epoch"] == self.stop

    def on_train_end(self, view):
        self._note("end")


# ---------------------------------------------------------------------------------------------------------------
# Epochs and history
# ---------------------------------------------------------------------------------------------------------------


def test_loop_runs_all_epochs_and_records_from_epoch_0():
    trainer, watch = Script(), Watch()
    model = Scripted().fit(trainer, watch)
    assert trainer.calls == [0, 1, 2, 3, 4, 5]
    assert epochs(model) == [0, 1, 2, 3, 4, 5, 6]
    assert kept(model) == 6
    assert [record["cost"] for record in model.history_] == [11.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0]
    assert [record["learning_rate"] for record in model.history_] == [None] + [0.1] * 6
    assert list(model.history_[0]) == ["epoch", "cost", "train_rmse", "validation_rmse", "learning_rate", "seconds"]
    assert all(0 <= record["seconds"] < 10 for record in model.history_)
    assert watch.calls == [("watch", what) for what in ("begin", 1, 2, 3, 4, 5, 6, "end")]
    assert watch.records == model.history_[1:]


def test_unread_history_is_measured_where_divergence_is_recognised():
    with unread_history():
        trainer = Script()
        model = Scripted().fit(trainer)
        read = Scripted().fit(Script(), Watch())
        validated = Scripted().fit(Script(validation=[9.0, 8, 7, 6, 5, 4]))
    assert [record["cost"] for record in model.history_] == [11.0, 9.0, None, None, None, None, 4.0]
    assert [list(record) for record in model.history_] == [list(record) for record in read.history_]
    assert epochs(model) == [0, 1, 2, 3, 4, 5, 6]
    assert kept(model) == 6
    assert trainer.best == 1  # never parameters that were not measured
    for other in (read, validated, Scripted().fit(Script())):
        assert [record["cost"] for record in other.history_] == [11.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0]


@pytest.mark.parametrize("costs", [[1.0, math.nan, math.nan, math.nan], [1.0, 2.0, 3.0, 2e6]])
def test_divergence_is_recognised_in_an_unread_history(costs):
    model = Scripted(n_epochs=4)
    with (
        unread_history(),
        pytest.raises(fastcf.errors.DivergenceError, match=r"epoch 4.*parameters of epoch 1 are kept"),
    ):
        model.fit(Script(costs))
    assert kept(model) == 1


def test_checkpoints_read_the_history(tmp_path):
    with unread_history():
        model = Scripted().fit(Script(), checkpoint=tmp_path / "training")
    assert [record["cost"] for record in model.history_] == [11.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0]


def test_loggers_read_the_history(caplog):
    with caplog.at_level(logging.INFO, "fastcf"), unread_history():
        model = Scripted().fit(Script())
    assert None not in [record["cost"] for record in model.history_]


def test_loop_callback_stops_after_an_epoch():
    trainer = Script()
    model = Scripted().fit(trainer, Watch(stop=2))
    assert trainer.calls == [0, 1]
    assert kept(model) == 2


@pytest.mark.parametrize("make", [lambda a, b: None, lambda a, b: a, lambda a, b: [a, b], lambda a, b: iter((a, b))])
def test_loop_takes_no_callback_one_or_several(make):
    calls = []
    first, second = Watch(name="first", calls=calls), Watch(name="second", calls=calls)
    given = make(first, second)
    number = {type(None): 0, Watch: 1}.get(type(given), 2)
    Scripted(1).fit(Script(), given)
    names = ["first", "second"][:number]
    assert calls == [(name, what) for what in ("begin", 1, "end") for name in names]


@pytest.mark.parametrize("wrong", [3, Watch, [Watch], [3], "watch"])
def test_loop_other_callbacks_are_refused_before_training(wrong):
    trainer = Script()
    with pytest.raises(TypeError, match="callbacks must be"):
        Scripted().fit(trainer, wrong)
    assert trainer.calls == []


@pytest.mark.parametrize("silent", [0, False, np.False_])
def test_loop_is_silent(silent, capsys):
    Scripted(2, verbose=silent).fit(Script())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True, np.True_])
def test_loop_shows_a_progress_bar(verbose, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    Scripted(2, verbose=verbose).fit(Script())
    out, err = capsys.readouterr()
    assert out == ""
    assert "Scripted" in err
    assert "2/2" in err


@pytest.mark.parametrize("long", [False, True])
def test_loop_shows_a_bar_of_long_trainings(long, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    if long:
        monkeypatch.setattr("fastcf.training.loop._LONG", 0.0)
    Scripted(2, verbose="auto").fit(Script())
    out, err = capsys.readouterr()
    assert out == ""
    assert ("2/2" in err) == long


def test_loop_prints_a_line_per_epoch(capsys):
    Scripted(3, verbose=2).fit(Script(validation=[3.0, 2.0, 1.0]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1"], ["epoch", "2"], ["epoch", "3"]]
    assert "validation_rmse 2" in lines[1]


# ---------------------------------------------------------------------------------------------------------------
# The best epoch, and stopping
# ---------------------------------------------------------------------------------------------------------------

VALLEY = [5.0, 3.0, 2.0, 4.0, 6.0, 7.0]  # the third epoch is the best


@pytest.mark.parametrize("monitor", ["rmse", "log_loss"])
def test_loop_restores_the_best_epoch_by_validation(monitor):
    model = Scripted().fit(Script(validation=VALLEY, monitor=monitor))
    assert kept(model) == 3
    assert epochs(model) == [0, 1, 2, 3, 4, 5, 6]


def test_loop_never_restores_epoch_0():
    assert kept(Scripted().fit(Script(validation=[100.0, 101, 102, 103, 104, 105]))) == 1


def test_loop_validation_errors_that_are_no_numbers_are_not_the_best():
    assert kept(Scripted().fit(Script(validation=[math.nan, 3.0, math.nan, 4.0, math.nan, 5.0]))) == 2
    assert kept(Scripted().fit(Script(validation=[math.nan] * 6))) == 6


def test_loop_first_of_equal_epochs_is_the_best():
    assert kept(Scripted().fit(Script(validation=[3.0, 2.0, 2.0, 2.0, 3.0, 2.0]))) == 2


@pytest.mark.parametrize(("patience", "stops"), [(1, 4), (2, 5), (3, 6), (9, 6)])
def test_loop_patience_stops_and_restores(patience, stops):
    model = Scripted(patience=patience).fit(Script(validation=VALLEY))
    assert epochs(model)[-1] == stops
    assert kept(model) == 3


def test_loop_patience_without_validation_is_an_error():
    trainer = Script()
    model = Scripted(patience=2)
    with pytest.raises(ValueError, match=r"^Scripted.fit: patience needs validation ratings, whose error it watches"):
        model.fit(trainer)
    assert trainer.calls == []
    assert not hasattr(model, "history_")
    with pytest.raises(ValueError, match="patience needs a solver with a best epoch"):
        model.fit(Script(validation=VALLEY, restorable=False))


def test_loop_draws_that_are_averaged_have_no_best_epoch():
    assert kept(Scripted().fit(Script(validation=VALLEY, restorable=False))) == 6
    stopping = EarlyStopping(1)
    model = Scripted().fit(Script(validation=VALLEY, restorable=False), stopping)
    assert (stopping.best_epoch_, stopping.stopped_epoch_) == (3, 4)
    assert kept(model) == 4


@pytest.mark.parametrize("given", [list, CallbackList, lambda own: CallbackList([CallbackList(own)])])
@pytest.mark.parametrize("restore", [True, False])
def test_loop_early_stopping_decides_whether_the_best_epoch_is_restored(restore, given):
    stopping = EarlyStopping(2, restore_best=restore)
    model = Scripted().fit(Script(validation=VALLEY), given([stopping]))
    assert epochs(model)[-1] == stopping.stopped_epoch_ == 5
    assert kept(model) == (3 if restore else 5)


@pytest.mark.parametrize("validation", [None, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], ids=["alone", "validated"])
@pytest.mark.parametrize("restore", [True, False])
def test_loop_early_stopping_by_cost_restores_also_without_validation(restore, validation):
    stopping = EarlyStopping(2, monitor="cost", restore_best=restore)
    model = Scripted().fit(Script(costs=VALLEY, validation=validation), stopping)
    assert epochs(model)[-1] == stopping.stopped_epoch_ == 5
    assert kept(model) == (3 if restore else 5)


def test_loop_early_stopping_restores_where_nothing_stopped():
    stopping = EarlyStopping(99, monitor="cost")
    assert kept(Scripted().fit(Script(costs=VALLEY), stopping)) == 3
    assert stopping.stopped_epoch_ is None


@pytest.mark.parametrize(("patience", "own", "stops"), [(1, 9, 4), (9, 1, 3), (3, 3, 5), (2, 9, 5)])
def test_loop_patience_and_callback_are_both_honoured(patience, own, stops):
    """Validation falls until epoch 3, cost until epoch 2."""
    costs = [5.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    stopping = EarlyStopping(own, monitor="cost", restore_best=False)
    model = Scripted(patience=patience).fit(Script(costs, VALLEY), stopping)
    assert epochs(model)[-1] == stops
    assert kept(model) == stops
    model = Scripted(patience=patience).fit(Script(costs, VALLEY), EarlyStopping(own, monitor="cost"))
    assert kept(model) == 2


def test_loop_first_early_stopping_that_restores_decides():
    costs = [5.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    last, cost, error = EarlyStopping(9, restore_best=False), EarlyStopping(9, monitor="cost"), EarlyStopping(9)
    assert kept(Scripted().fit(Script(costs, VALLEY), [last, cost, error])) == 2
    assert kept(Scripted().fit(Script(costs, VALLEY), [last, error, cost])) == 3


def test_loop_min_delta_belongs_to_the_callback():
    falling = [5.0, 4.9, 4.8, 4.0, 3.95, 3.9]
    stopping = EarlyStopping(2, min_delta=0.5)
    assert kept(Scripted().fit(Script(validation=falling), stopping)) == 1
    assert stopping.stopped_epoch_ == 3


def test_loop_early_stopping_without_what_it_watches_is_an_error_and_ends_the_others():
    watch = Watch()
    with pytest.raises(ValueError, match="monitor=None needs validation ratings; pass validation ratings to fit"):
        Scripted().fit(Script(), [watch, EarlyStopping()])
    assert watch.calls[-1] == ("watch", "end")


# ---------------------------------------------------------------------------------------------------------------
# Failures
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, 9e7])
@pytest.mark.parametrize(("at", "good"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 4), (6, 4)])
def test_loop_divergence_keeps_the_last_epoch_that_was_saved(bad, at, good):
    costs = [9.0] * 6
    costs[at - 1] = bad
    watch = Watch()
    model = Scripted()
    if at == 1 and bad == 9e7:
        return  # the first epoch is what others are compared with
    with pytest.raises(
        fastcf.DivergenceError,
        match=rf"^Scripted.fit: training diverged in epoch {at}; lower learning_rate \(0.1\) or raise reg. "
        rf"The parameters of epoch {good} are kept$",
    ):
        model.fit(Script(costs), watch)
    assert kept(model) == good
    assert epochs(model) == list(range(at))
    assert watch.calls[-1] == ("watch", "end")


@pytest.mark.parametrize(("at", "good"), [(2, 1), (5, 3), (6, 3)])
def test_loop_divergence_keeps_the_best_epoch_where_there_is_one(at, good):
    costs = [9.0] * 6
    costs[at - 1] = math.nan
    model = Scripted()
    with pytest.raises(fastcf.DivergenceError, match=f"in epoch {at}; .* of epoch {good} are kept"):
        model.fit(Script(costs, VALLEY))
    assert kept(model) == good


def test_loop_costs_without_a_step_size_may_rise_but_not_to_infinity():
    assert kept(Scripted().fit(Script([1.0, 1e9, 1e9, 1e9, 1e9, 1e9], rate=None))) == 6
    with pytest.raises(fastcf.DivergenceError, match="diverged in epoch 2; raise reg"):
        Scripted().fit(Script([1.0, math.inf], rate=None))


def test_loop_cost_of_zero_is_no_explosion():
    assert kept(Scripted().fit(Script([0.0, 0.0, 1e-9, 1e-8, 1e-7, 1e-6]))) == 6


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError("none left")], ids=repr)
def test_loop_failing_fit_leaves_the_old_state(error):
    model = Scripted(3).fit(Script())
    before = model.state
    watch = Watch()
    with pytest.raises(type(error), match=str(error)):
        model.fit(Script(failing={2: error}), watch)
    assert model.state is before
    assert watch.calls == [("watch", what) for what in ("begin", 1, "end")]
    with pytest.raises(type(error), match=str(error)):
        model.fit(Script(), Watch(fails={2: error}))
    assert model.state is before


def test_loop_failing_first_fit_leaves_the_model_unfitted():
    model = Scripted(3)
    with pytest.raises(RuntimeError, match="broken"):
        model.fit(Script(), Watch(fails={1: RuntimeError("broken")}))
    assert not hasattr(model, "history_")
    assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize("where", ["begin", 2, "end"])
def test_loop_error_of_a_callback_ends_the_others(where):
    calls = []
    first = Watch(name="first", calls=calls)
    second = Watch(name="second", calls=calls, fails={where: RuntimeError("second fails")})
    third = Watch(name="third", calls=calls)
    with pytest.raises(RuntimeError, match="second fails"):
        Scripted(3).fit(Script(), [first, second, third])
    assert ("first", "end") in calls
    assert (("third", "end") in calls) == (where != "begin")
    assert sum(call == ("first", "end") for call in calls) == 1


@pytest.mark.parametrize("during", ["epoch", "callback"])
@pytest.mark.parametrize("validation", [None, VALLEY], ids=["alone", "validated"])
def test_loop_ctrl_c_keeps_what_was_learnt(during, validation):
    model = Scripted().fit(Script())
    watch = Watch()
    if during == "epoch":
        trainer, callbacks = Script(validation=validation, failing={5: KeyboardInterrupt()}), watch
    else:
        trainer, callbacks = Script(validation=validation), [watch, Watch(fails={4: KeyboardInterrupt()})]
    with pytest.raises(KeyboardInterrupt):
        model.fit(trainer, callbacks)
    assert epochs(model) == [0, 1, 2, 3, 4]
    assert model.n_epochs_ == 4
    assert model.predict([(0, 0)])[0] == (5 if during == "epoch" else 4)  # an epoch may end halfway
    assert watch.calls[-1] == ("watch", "end")


def test_loop_signal_between_epochs_is_a_keyboard_interrupt():
    class Press(Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 2:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    model = Scripted()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(Script(), Press())
    finally:
        signal.signal(signal.SIGINT, before)
    assert kept(model) == 2


# ---------------------------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------------------------


def test_view_is_fetched_only_by_a_callback_that_looks():
    trainer = Script(validation=VALLEY)
    Scripted(verbose=2).fit(trainer, [Watch(), EarlyStopping(9), EarlyStopping(9, monitor="cost")])
    assert trainer.fetched == 1  # for the model itself

    class Look(Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] in (2, 5):
                assert (view.name, view.n_epochs) == ("Scripted", 6)
                view.predict([(0, 0)])
                view.recommend(0, 1)
                assert view.n_epochs_ == record["epoch"]

    trainer = Script()
    Scripted().fit(trainer, [Look(), Look()])
    assert trainer.fetched == 1 + 2  # once for both


def test_view_has_the_parameters_and_the_history_of_its_epoch():
    seen = []

    class Look(Callback):
        def on_train_begin(self, view):
            seen.append(("begin", view.predict([(0, 0)])[0], [record["epoch"] for record in view.history_]))

        def on_epoch_end(self, view, record):
            assert view.history_[-1] == record
            seen.append((record["epoch"], view.predict([(0, 0)])[0], [record["epoch"] for record in view.history_]))

        def on_train_end(self, view):
            seen.append(("end", view.predict([(0, 0)])[0], [record["epoch"] for record in view.history_]))

    Scripted(3).fit(Script(validation=[3.0, 1.0, 2.0]), Look())
    assert seen == [
        ("begin", 0.0, [0]),
        (1, 1.0, [0, 1]),
        (2, 2.0, [0, 1, 2]),
        (3, 3.0, [0, 1, 2, 3]),
        ("end", 2.0, [0, 1, 2, 3]),  # the best epoch is back
    ]


def test_view_is_no_estimator_and_not_the_model():
    class Look(Callback):
        def on_epoch_end(self, view, record):
            assert isinstance(view, fastcf.Recommender)
            assert not isinstance(view, Estimator)
            assert not hasattr(view, "fit")
            assert not hasattr(view, "save")
            with pytest.raises(AttributeError, match="is a view of what fit has learnt"):
                view.global_mean_ = 5.0

    Scripted(1).fit(Script(), Look())


def test_view_used_later_raises_unless_it_was_looked_at():
    views = []

    class Keep(Callback):
        def on_train_begin(self, view):
            views.append(view)

        def on_epoch_end(self, view, record):
            views.append(view)
            if record["epoch"] == 2:
                view.predict([(0, 0)])

        def on_train_end(self, view):
            views.append(view)

    Scripted(3).fit(Script(), Keep())
    for number, view in enumerate(views):
        if number == 2:
            assert view.predict([(0, 0)])[0] == 2
            assert view.n_epochs_ == 2
            continue
        for name in ("predict_matrix", "history_", "state"):
            with pytest.raises(RuntimeError, match="the view of an epoch can be looked at during its callback only"):
                getattr(view, name)()
    assert len(views) == 5


def test_view_predicts_what_the_model_would_after_that_epoch():
    ratings = fastcf.data.make_ratings(80, 50, 1_500, random_state=0)
    solver = SGD(schedule="constant")
    answers = {}

    class Look(Callback):
        def on_epoch_end(self, view, record):
            answers[record["epoch"]] = view.predict(ratings), view.recommend(ratings.users.ids, 5), view

    options = {"n_factors": 4, "solver": solver, "reg": 0.5, "random_state": 0}
    model = fastcf.MatrixFactorization(n_epochs=4, **options).fit(ratings, callbacks=Look())
    for epoch, (predicted, lists, view) in answers.items():
        after = fastcf.MatrixFactorization(n_epochs=epoch, **options).fit(ratings)
        np.testing.assert_array_equal(predicted, after.predict(ratings))
        np.testing.assert_array_equal(lists.items, after.recommend(ratings.users.ids, 5).items)
        np.testing.assert_array_equal(view.predict(ratings), predicted)  # also now
        np.testing.assert_array_equal(view.user_factors_, after.user_factors_)
        newcomer = ([(0, 3), (0, 4)], [5.0, 1.0])
        np.testing.assert_array_equal(
            view.fold_in(*newcomer).predict([(0, 7)]), after.fold_in(*newcomer).predict([(0, 7)])
        )
        assert view.score(ratings) == after.score(ratings)
    np.testing.assert_array_equal(model.predict(ratings), answers[4][0])


def test_view_copies_do_not_change_with_the_trainer():
    held = {}

    class Look(Callback):
        def on_epoch_end(self, view, record):
            held[record["epoch"]] = view.item_factors_

    ratings = fastcf.data.make_ratings(80, 50, 1_500, random_state=0)
    fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(ratings, callbacks=Look())
    assert not np.array_equal(held[1], held[2])
    assert not np.array_equal(held[2], held[3])
    for array in held.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_model_of_before_answers_while_it_is_trained_again():
    ratings = fastcf.data.make_ratings(80, 50, 1_500, random_state=0)
    model = fastcf.MatrixFactorization(4, n_epochs=2, random_state=0).fit(ratings)
    before = model.predict(ratings)

    class Ask(Callback):
        def on_epoch_end(self, view, record):
            np.testing.assert_array_equal(model.predict(ratings), before)
            assert not np.array_equal(view.predict(ratings), before)
            assert len(model.history_) == 3

    model.set_params(n_epochs=3, random_state=1).fit(ratings, callbacks=Ask())
    assert len(model.history_) == 4
    assert not np.array_equal(model.predict(ratings), before)
