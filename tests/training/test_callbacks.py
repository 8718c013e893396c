"""Callbacks: who is called when, when training stops, what is shown and written."""

import csv
import io

import pytest

from fastcf.callbacks import Callback, CallbackList, CSVLogger, EarlyStopping, LogHistory, ProgressBar
from fastcf.training.callbacks import as_callbacks


class Model:
    """What callbacks are shown."""

    name = "Model"
    n_epochs = 5


def record(epoch, validation=None, **more):
    values = {"epoch": epoch, "cost": 100.0 / epoch, "train_rmse": 1.0 / epoch, "validation_rmse": validation}
    return {**values, "seconds": 0.01, "learning_rate": 0.05, **more}


def train(callback, validations):
    """Run the loop that a model runs; returns the number of epochs done."""
    model = Model()
    callback.on_train_begin(model)
    try:
        for epoch, validation in enumerate(validations, start=1):
            if callback.on_epoch_end(model, record(epoch, validation)):
                return epoch
        return len(validations)
    finally:
        callback.on_train_end(model)


class Recorder(Callback):
    def __init__(self, name, calls, fails=""):
        self.name, self.calls, self.fails = name, calls, fails

    def _note(self, what):
        self.calls.append((self.name, what))
        if what == self.fails:
            raise RuntimeError(f"{self.name} fails")

    def on_train_begin(self, model):
        self._note("begin")

    def on_epoch_end(self, model, record):
        self._note("epoch")
        return self.name == "stopper"

    def on_train_end(self, model):
        self._note("end")


def test_callback_default_methods_do_nothing():
    assert train(Callback(), [1.0, 2.0]) == 2


def test_callback_list_calls_all_in_order_and_any_may_stop():
    calls = []
    assert train(CallbackList([Recorder("stopper", calls), Recorder("b", calls)]), [1, 1, 1]) == 1
    assert calls == [(name, what) for what in ("begin", "epoch", "end") for name in ("stopper", "b")]
    assert train(CallbackList(), [1, 1]) == 2


def test_callback_list_failure_at_begin_ends_those_begun():
    calls = []
    both = CallbackList([Recorder("a", calls), Recorder("b", calls, fails="begin"), Recorder("c", calls)])
    with pytest.raises(RuntimeError, match="b fails"):
        both.on_train_begin(Model())
    assert calls == [("a", "begin"), ("b", "begin"), ("a", "end")]


def test_callback_list_failure_at_end_still_ends_the_others():
    calls = []
    both = CallbackList([Recorder("a", calls, fails="end"), Recorder("b", calls, fails="end")])
    with pytest.raises(RuntimeError, match="a fails"):
        both.on_train_end(Model())
    assert calls == [("a", "end"), ("b", "end")]


@pytest.mark.parametrize("wrong", [print, Callback, 3])
def test_callback_list_other_objects_are_refused(wrong):
    with pytest.raises(TypeError, match=r"callbacks must be fastcf\.callbacks\.Callback objects; got"):
        CallbackList([wrong])


def test_callbacks_may_be_none_one_or_several():
    one, other = Callback(), EarlyStopping()
    assert as_callbacks(None, "fit") == []
    assert as_callbacks(one, "fit") == [one]
    assert as_callbacks([one, other], "fit") == as_callbacks(iter((one, other)), "fit") == [one, other]
    for wrong in (3, Callback):
        with pytest.raises(TypeError, match=r"^fit: callbacks must be callbacks, one or several, or None; got"):
            as_callbacks(wrong, "fit")


@pytest.mark.parametrize(
    ("validations", "patience", "min_delta", "stops", "best"),
    [
        ([5, 4, 3, 2, 1], 1, 0, 5, 5),
        ([5, 4, 4, 3, 3, 3], 2, 0, 6, 4),
        ([5, 4, 4.5, 4.2, 4.1], 3, 0, 5, 2),
        ([5, 4, 4.5, 3.9, 4.1], 3, 0, 5, 4),
        ([5, 4.9, 4.8, 4.7], 2, 0.5, 3, 1),
        ([float("nan"), float("nan"), 1], 2, 0, 2, None),
        ([1, float("nan"), 0.5, 0.6], 2, 0, 4, 3),
    ],
)
def test_early_stopping_stops_after_patience_and_knows_the_best(validations, patience, min_delta, stops, best):
    stopping = EarlyStopping(patience, min_delta)
    for _ in range(2):  # a second run starts afresh
        assert train(stopping, validations) == stops
        assert stopping.best_epoch_ == best
        assert stopping.best_ == (validations[best - 1] if best else float("inf"))
        assert stopping.stopped_epoch_ == (stops if stops - (best or 0) == patience else None)


def test_early_stopping_improved_marks_when_to_keep_parameters():
    stopping, kept = EarlyStopping(patience=9), []
    stopping.on_train_begin(Model())
    for epoch, value in enumerate([3, 2, 2.5, 1], start=1):
        stopping.on_epoch_end(Model(), record(epoch, value))
        kept.append(stopping.improved_)
    assert kept == [True, True, False, True]
    assert stopping.stopped_epoch_ is None
    assert stopping.restore_best


def test_early_stopping_can_watch_the_cost_and_says_what_is_missing():
    assert train(EarlyStopping(monitor="cost"), [None] * 4) == 4
    with pytest.raises(ValueError, match="must hold 'validation_rmse'; it does not; pass a validation set to fit"):
        train(EarlyStopping(), [None])
    with pytest.raises(ValueError, match=r"must hold 'loss'; it does not$"):
        train(EarlyStopping(monitor="loss"), [1])
    of_labels = {"epoch": 1, "validation_log_loss": 0.5}
    with pytest.raises(ValueError, match=r"'validation_rmse'; it does not; monitor='validation_log_loss' is there$"):
        EarlyStopping().on_epoch_end(Model(), of_labels)
    with pytest.raises(ValueError, match="'validation_log_loss'; it does not; pass a validation set to fit"):
        EarlyStopping(monitor="validation_log_loss").on_epoch_end(Model(), {**of_labels, "validation_log_loss": None})


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 0}, {"patience": 1.5}, {"patience": True}, {"patience": float("inf")}, {"patience": "3"},
        {"patience": None}, {"min_delta": -1}, {"min_delta": float("inf")}, {"min_delta": "1"}, {"monitor": 3},
        {"restore_best": "no"},
    ],
)  # fmt: skip
def test_early_stopping_bad_argument_is_named(arguments):
    with pytest.raises((TypeError, ValueError), match=f"EarlyStopping: {next(iter(arguments))} must be"):
        EarlyStopping(**arguments)
    with pytest.raises(ValueError, match="EarlyStopping: min_delta"):
        EarlyStopping(min_delta=float("nan"))


def test_progress_bar_shows_epochs_and_errors():
    out = io.StringIO()
    train(ProgressBar(file=out, disable=False), [2.0, 1.5])
    last = out.getvalue().rsplit("\r", 1)[-1]
    assert last.startswith("Model")
    assert "2/5" in last
    assert "cost=50, train=0.5, validation=1.5" in last
    assert last.endswith("\n")


def test_progress_bar_is_silent_where_there_is_no_terminal():
    out = io.StringIO()
    train(ProgressBar(3, description="x", file=out), [None])
    assert out.getvalue() == ""
    train(ProgressBar(3, fields=["validation_rmse", "seconds"], file=out, disable=False), [1.5])
    assert "epoch/s, validation=1.5, seconds=0.01]" in out.getvalue()
    ProgressBar().on_epoch_end(Model(), record(1))  # without a beginning: nothing to draw on


def test_log_history_prints_every_nth_epoch(capsys):
    train(LogHistory(every=2), [None, 1.25, 1.0])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "epoch    1  cost 100  train_rmse 1  learning_rate 0.05  seconds 0.01",
        "epoch    2  cost 50  train_rmse 0.5  validation_rmse 1.25  learning_rate 0.05  seconds 0.01",
    ]
    with pytest.raises(ValueError, match="LogHistory: every must be"):
        LogHistory(every=0)


def test_csv_logger_writes_and_appends_rows(tmp_path):
    path = tmp_path / "log.csv"
    train(CSVLogger(path), [None, 1.5])
    train(CSVLogger(path, append=True), [0.5])
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "1"]
    assert [row["validation_rmse"] for row in rows] == ["", "1.5", "0.5"]
    assert list(rows[0]) == ["epoch", "cost", "train_rmse", "validation_rmse", "seconds", "learning_rate"]
    train(CSVLogger(path), [2.0])
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_csv_logger_keeps_further_columns_and_rows_at_once(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    logger.on_epoch_end(Model(), record(1))  # before training begins there is no file
    logger.on_train_begin(Model())
    logger.on_epoch_end(Model(), record(1, ndcg=0.5))
    assert (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()[1] == "1,100.0,1.0,,0.01,0.05,0.5"
    logger.on_epoch_end(Model(), record(2, other=1))
    logger.on_train_end(Model())
    logger.on_train_end(Model())
