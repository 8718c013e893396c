"""Callbacks: who is called when, when training stops, what is shown and written."""

import csv
import io
import json
import logging

import numpy as np
import pytest

from fastcf.callbacks import Callback, CallbackList, CSVLogger, EarlyStopping, JSONLogger, LogHistory, ProgressBar
from fastcf.training.callbacks import as_callbacks
from fastcf.training.progress import PythonLogging


class Model:
    """What callbacks are shown: a view of a training after some epochs, whose error is measured if ``first`` is."""

    name = "Model"
    n_epochs = 5

    def __init__(self, first=None, records=(), monitor="validation_rmse", greater_is_better=False):
        self.records = ({**record(1, first), "epoch": 0}, *records)
        self.monitor = None if first is None else monitor
        self.greater_is_better = greater_is_better


def record(epoch, validation=None, **more):
    values = {"epoch": epoch, "cost": 100.0 / epoch, "train_rmse": 1.0 / epoch, "validation_rmse": validation}
    return {**values, "seconds": 0.01, "learning_rate": 0.05, **more}


def train(callback, validations, **view):
    """Run the loop that a model runs; returns the number of epochs done."""
    model = Model(None if all(value is None for value in validations) else 9.0, **view)
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
    stopping.on_train_begin(Model(4.0))
    for epoch, value in enumerate([3, 2, 2.5, 1], start=1):
        stopping.on_epoch_end(Model(), record(epoch, value))
        kept.append(stopping.improved_)
    assert kept == [True, True, False, True]
    assert stopping.stopped_epoch_ is None
    assert stopping.restore_best


def test_early_stopping_can_watch_the_cost_and_says_what_is_missing():
    assert train(EarlyStopping(monitor="cost"), [None] * 4) == 4
    with pytest.raises(ValueError, match=r"monitor=None needs validation ratings; pass validation ratings to fit$"):
        train(EarlyStopping(), [None])
    with pytest.raises(ValueError, match=r"to hold 'validation_rmse'; pass validation ratings to fit$"):
        train(EarlyStopping(monitor="validation_rmse"), [None])
    with pytest.raises(ValueError, match=r"must hold 'loss'; it does not; monitor='validation_rmse' is there$"):
        train(EarlyStopping(monitor="loss"), [1])
    of_labels = {"epoch": 1, "validation_log_loss": 0.5}
    view = Model(9.0, monitor="validation_log_loss")
    stopping = EarlyStopping(monitor="validation_rmse")
    stopping.on_train_begin(view)
    with pytest.raises(ValueError, match=r"'validation_rmse'; it does not; monitor='validation_log_loss' is there$"):
        stopping.on_epoch_end(view, of_labels)
    stopping = EarlyStopping()
    stopping.on_train_begin(view)
    stopping.on_epoch_end(view, of_labels)
    assert stopping.best_ == 0.5


@pytest.mark.parametrize("greater", [None, True])
def test_early_stopping_follows_the_direction_of_what_is_measured(greater):
    stopping = EarlyStopping(2, greater_is_better=greater)
    assert train(stopping, [1.0, 3.0, 2.0, 3.0, 4.0], greater_is_better=True) == 4
    assert (stopping.best_, stopping.best_epoch_) == (3.0, 2)
    stopping = EarlyStopping(2, monitor="cost")  # which is smaller after each epoch
    assert train(stopping, [1.0, 3.0, 2.0, 3.0], greater_is_better=True) == 4
    assert stopping.best_epoch_ == 4
    assert train(EarlyStopping(2, monitor="cost", greater_is_better=True), [1.0, 1.0, 1.0, 1.0]) == 3
    assert train(EarlyStopping(2, min_delta=1.0), [1.0, 1.5, 2.5, 3.0, 3.2], greater_is_better=True) == 5


def test_early_stopping_counts_epochs_that_are_measured():
    stopping = EarlyStopping(2)
    assert train(stopping, [3.0, None, 2.0, None, None, 2.5, None, 2.1, 1.0]) == 8
    assert (stopping.best_, stopping.best_epoch_, stopping.stopped_epoch_) == (2.0, 3, 8)


def test_early_stopping_goes_on_where_it_was():
    values = [5.0, 4.0, 4.5, None, 4.2, 4.1, 3.0]
    whole = EarlyStopping(3)
    assert train(whole, values) == 6
    for done in range(6):
        stopping = EarlyStopping(3)
        view = Model(9.0, [record(epoch, value) for epoch, value in enumerate(values[:done], start=1)])
        stopping.on_train_begin(view)
        stops = [stopping.on_epoch_end(view, record(epoch, values[epoch - 1])) for epoch in range(done + 1, 7)]
        assert stops.index(True) == 5 - done
        assert (stopping.best_, stopping.best_epoch_, stopping.stopped_epoch_) == (4.0, 2, 6)


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


def test_logs_go_on_after_a_checkpoint(tmp_path):
    done = [record(1, 2.0), record(2, 1.5)]
    for name, make in {"csv": CSVLogger, "json": JSONLogger}.items():
        whole, path = tmp_path / f"whole.{name}", tmp_path / f"part.{name}"
        train(make(whole), [2.0, 1.5, 1.0])
        for append in (False, True):
            for rows in (3, 2):  # killed in epoch 3, or before it
                path.write_bytes(b"".join(whole.read_bytes().splitlines(True)[: rows + (name == "csv")]) + b"3,")
                logger = make(path, append=append)
                view = Model(9.0, done)
                logger.on_train_begin(view)
                logger.on_epoch_end(view, record(3, 1.0))
                logger.on_train_end(view)
                assert path.read_text() == whole.read_text()
        path.unlink()  # a log that was not there before
        logger = make(path)
        logger.on_train_begin(view)
        logger.on_epoch_end(view, record(3, 1.0))
        logger.on_train_end(view)
        assert path.read_text() == whole.read_text()


def test_json_logger_writes_a_line_per_epoch(tmp_path):
    path = tmp_path / "log.jsonl"
    logger = JSONLogger(path)
    logger.on_epoch_end(Model(), record(1))  # before training begins there is no file
    train(logger, [None, 1.5])
    logger = JSONLogger(path, append=True)
    logger.on_train_begin(Model())
    logger.on_epoch_end(Model(), record(1, np.float32(0.5), cost=float("nan"), counts=np.arange(2)))
    logger.on_train_end(Model())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[:2] == [record(1), record(2, 1.5)]
    assert lines[2] == record(1, 0.5, cost=None, counts=[0, 1])


def test_csv_logger_refuses_a_log_of_another_head_before_training(tmp_path):
    path = tmp_path / "log.csv"
    train(CSVLogger(path), [None])
    view = Model()
    view.records = ({"epoch": 0, "cost": 1.0, "train_log_loss": 0.5},)
    with pytest.raises(
        ValueError, match=r"got epoch, cost, train_rmse, .*, without train_log_loss; log to another file"
    ):
        CSVLogger(path, append=True).on_train_begin(view)
    assert len(path.read_text().splitlines()) == 2
    view.records = ({"epoch": 0, "cost": 1.0},)  # fewer columns stay empty
    logger = CSVLogger(path, append=True)
    logger.on_train_begin(view)
    logger.on_epoch_end(view, {"epoch": 1, "cost": 0.5})
    logger.on_train_end(view)
    assert path.read_text().splitlines()[2] == "1,0.5,,,,"


def test_python_logging_has_the_records(caplog):
    with caplog.at_level(logging.INFO, "fastcf"):
        train(PythonLogging(), [2.0, 1.5])
    assert [(entry.name, entry.levelname) for entry in caplog.records] == [("fastcf", "INFO")] * 4
    assert caplog.messages[0] == "Model: training begins"
    assert caplog.messages[2].startswith("Model: epoch    2  cost 50  train_rmse 0.5  validation_rmse 1.5")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fastcf"):
        train(PythonLogging(), [2.0])
    assert not caplog.records


def test_csv_logger_keeps_further_columns_and_rows_at_once(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    logger.on_epoch_end(Model(), record(1))  # before training begins there is no file
    logger.on_train_begin(Model())
    logger.on_epoch_end(Model(), record(1, ndcg=0.5))
    assert (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()[1] == "1,100.0,1.0,,0.01,0.05,0.5"
    logger.on_epoch_end(Model(), record(2, other=1))
    logger.on_train_end(Model())
    logger.on_train_end(Model())
