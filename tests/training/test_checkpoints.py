"""Checkpoints: what was killed goes on to the same bits, what is of another training is refused, files are whole.

FASTCF_KILLS=50 kills that many trainings, and twice as many writers, instead of a few.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from sklearn.base import clone

import fastcf
from fastcf.callbacks import Callback, CSVLogger, EarlyStopping
from fastcf.serialization import load_archive
from fastcf.training.checkpoint import Checkpoint
from killed_trainings import Forks, train
from trained_models import MODELS, same_bits, split

TRAIN, HELD_OUT = split()
N_KILLS = int(os.environ.get("FASTCF_KILLS", "4"))


class Killed(Exception):  # noqa: N818 - stands for the signal
    pass


class Kill(Callback):
    """Fail after an epoch as if the process were killed then, before its checkpoint is written; count epochs."""

    def __init__(self, after=None):
        self.after, self.epochs = after, []

    def on_epoch_end(self, view, record):
        self.epochs.append(record["epoch"])
        if record["epoch"] == self.after:
            raise Killed


@pytest.fixture
def path(tmp_path):
    return tmp_path / "training.checkpoint"


def killed(model, path, *, after, train=TRAIN, **options):
    with pytest.raises(Killed):
        clone(model).fit(train, checkpoint=path, callbacks=Kill(after), **options)


# ---------------------------------------------------------------------------------------------------------------
# The same bits
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_killed_training_goes_on_to_the_same_bits(name, every, path):
    model = MODELS[name]
    validated = {"validation": HELD_OUT} if every == 1 else {}
    whole = clone(model).fit(TRAIN, **validated)
    for after in (1, 4):
        killed(model, path, after=after, checkpoint_every=every, **validated)
    watch = Kill()
    again = clone(model).fit(TRAIN, checkpoint=path, checkpoint_every=every, callbacks=watch, **validated)
    assert watch.epochs == ([4, 5] if every == 1 else [3, 4, 5])
    assert same_bits(again, whole)
    finished = Kill()
    once_more = clone(model).fit(TRAIN, checkpoint=path, checkpoint_every=every, callbacks=finished, **validated)
    assert finished.epochs == []
    assert same_bits(once_more, whole)


@pytest.mark.parametrize("after", [1, 3, 5, 6])
def test_early_stopping_and_the_best_epoch_go_on(after, path):
    figures = [0.0, 1.0, 2.0, 5.0, 4.0, 3.0, 2.0, 1.0, 9.0]  # the third epoch is the best; the seventh is the last

    def figure(recommender, held_out):
        return figures[recommender.records[-1]["epoch"]]

    model = clone(MODELS["minibatch"]).set_params(n_epochs=8, patience=4)
    options = {"validation": HELD_OUT, "validation_metric": figure}
    whole = clone(model).fit(TRAIN, **options)
    killed(model, path, after=after, **options)
    again = clone(model).fit(TRAIN, checkpoint=path, **options)
    assert (again.n_epochs_, again.history_[-1]["epoch"]) == (3, 7)
    assert same_bits(again, whole)
    ended = clone(model).fit(TRAIN, checkpoint=path, **options)
    assert same_bits(ended, whole)


def test_training_stopped_by_a_callback_has_ended(path):
    class Stop(Callback):
        def on_epoch_end(self, view, record):
            return record["epoch"] == 2

    first = clone(MODELS["sgd"]).fit(TRAIN, checkpoint=path, callbacks=Stop())
    again = clone(MODELS["sgd"]).fit(TRAIN, checkpoint=path)
    assert again.n_epochs_ == 2
    assert same_bits(first, again)


def test_seed_that_is_drawn_is_kept(path):
    model = clone(MODELS["sgd"]).set_params(random_state=None)
    killed(model, path, after=3)
    first = clone(model).fit(TRAIN, checkpoint=path)
    second = clone(model).set_params(random_state=np.random.default_rng(1)).fit(TRAIN, checkpoint=path)
    assert same_bits(first, second)
    other = clone(model).fit(TRAIN, checkpoint=path.with_suffix(".other"))
    assert not same_bits(first, other)


@pytest.mark.parametrize("name", ["sgd of labels", "implicit als"])
def test_penalty_is_estimated_once(name, path, monkeypatch):
    model = clone(MODELS[name]).set_params(reg="auto", n_epochs=2)
    whole = clone(model).fit(TRAIN)
    killed(model, path, after=1)

    def fails(*args):
        raise AssertionError("estimated again")

    monkeypatch.setattr("fastcf.models.factorization.matrix_factorization.searched", fails)
    monkeypatch.setattr("fastcf.models.implicit.implicit_factorization.estimated_reg", fails)
    assert same_bits(clone(model).fit(TRAIN, checkpoint=path), whole)


def test_threads_and_verbosity_may_be_others(path, capsys):
    killed(MODELS["sgd"], path, after=3)
    again = clone(MODELS["sgd"]).set_params(n_threads=1, verbose=2).fit(TRAIN, checkpoint=path)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["3", "4", "5"]
    assert same_bits(again.set_params(verbose=0), clone(MODELS["sgd"]).fit(TRAIN))


def test_interrupted_training_goes_on(path):
    class Press(Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 3:
                raise KeyboardInterrupt

    model = clone(MODELS["als"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(TRAIN, checkpoint=path, callbacks=Press())
    assert model.n_epochs_ == 3
    assert same_bits(model.fit(TRAIN, checkpoint=path), clone(MODELS["als"]).fit(TRAIN))


def test_log_is_that_of_an_undisturbed_training(path, tmp_path):
    logs = [tmp_path / name for name in ("whole.csv", "killed.csv")]
    clone(MODELS["sgd"]).fit(TRAIN, validation=HELD_OUT, callbacks=CSVLogger(logs[0]))
    with pytest.raises(Killed):
        clone(MODELS["sgd"]).fit(
            TRAIN, validation=HELD_OUT, checkpoint=path, checkpoint_every=2, callbacks=[CSVLogger(logs[1]), Kill(4)]
        )
    clone(MODELS["sgd"]).fit(
        TRAIN, validation=HELD_OUT, checkpoint=path, checkpoint_every=2, callbacks=[CSVLogger(logs[1])]
    )
    rows = [[line.rpartition(",")[0] for line in log.read_text().splitlines()] for log in logs]  # without seconds
    assert rows[0] == rows[1]


# ---------------------------------------------------------------------------------------------------------------
# Of another training
# ---------------------------------------------------------------------------------------------------------------


def refused(model, path, message, error=ValueError, train=TRAIN, **options):
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        model.fit(train, checkpoint=path, **options)
    assert path.read_bytes() == before


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
@pytest.mark.parametrize("name", ["sgd", "autoencoder", "two towers", "perceptron", "implicit als"])
def test_checkpoint_of_others_is_refused_by_name(name, path, monkeypatch):
    model = MODELS[name]
    killed(model, path, after=2, validation=HELD_OUT)
    head = rf"^{type(model).__name__}.fit: checkpoint must be of the same training; that in {path} has other "
    users, items, values = TRAIN.to_coo()
    trains = {
        "value": fastcf.Ratings.from_coo(users, items, np.where(np.arange(values.size) == 7, 3.25, values)),
        "weights": fastcf.Ratings.from_coo(users, items, values, weights=np.ones(values.size)),
        "ids": fastcf.Ratings.from_coo(users + 1, items, values),
    }
    for other in trains.values():
        refused(clone(model), path, head + "ratings; delete the file", train=other, validation=HELD_OUT)
    refused(clone(model), path, head + "validation; delete", validation=trains["value"])
    refused(clone(model), path, head + "validation.*; delete")
    if name != "implicit als":
        refused(
            clone(model), path, head + r"validation_metric \((None|'rmse'), not 'ndcg@5'\)",
            validation=HELD_OUT, validation_metric="ndcg@5",
        )  # fmt: skip
    for parameter, value in {"n_epochs": 7, "random_state": 4, "reg": 0.5}.items():
        changed = clone(model).set_params(**{parameter: value})
        refused(changed, path, rf"{head}{parameter} \(.*, not {value}\); delete", validation=HELD_OUT)
    stopping = EarlyStopping(3)
    refused(clone(model), path, head + "stopping", validation=HELD_OUT, callbacks=stopping)
    monkeypatch.setattr("fastcf.training.checkpoint.__version__", "99.0")
    message = "checkpoint must be of this version of fastcf, 99.0; .* was written by"
    refused(clone(model), path, message, validation=HELD_OUT)


def test_checkpoint_of_another_model_or_solver_is_refused(path):
    killed(MODELS["sgd"], path, after=2)
    refused(clone(MODELS["als"]), path, r"has other solver \('sgd', not 'als'\)")
    refused(clone(MODELS["implicit als"]), path, r"has other model \('MatrixFactorization', not 'Impl.*\), .*threshold")
    first, second = (clone(MODELS["minibatch"]).set_params(solver__batch_size=size) for size in (64, 65))
    os.unlink(path)
    killed(first, path, after=2)
    refused(second, path, "has other solver")


@pytest.mark.parametrize("name", ["two towers", "perceptron"])
def test_checkpoint_of_other_features_is_refused(name, path):
    rng = np.random.default_rng(0)
    tables = [fastcf.FeatureTable(TRAIN.items.ids, rng.normal(size=(TRAIN.n_items, 3))) for _ in range(2)]
    model = clone(MODELS[name])
    if name == "perceptron":
        model.set_params(features="given")
    killed(model, path, after=2, item_features=tables[0])
    refused(clone(model), path, "has other item_features; delete", item_features=tables[1])
    clone(model).fit(TRAIN, item_features=tables[0], checkpoint=path)


def test_files_that_are_no_checkpoints(path, tmp_path):
    model = clone(MODELS["sgd"]).fit(TRAIN)
    model.save(path)
    refused(clone(model), path, "holds a MatrixFactorization and no checkpoint; pass another path", fastcf.DataError)
    path.write_bytes(b"nothing of the kind")
    refused(clone(model), path, "is not a fastcf model", fastcf.DataError)
    os.unlink(path)
    killed(model, path, after=2)
    with pytest.raises(fastcf.DataError, match="holds a checkpoint and no model; pass it as checkpoint="):
        fastcf.load(path)
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    refused(clone(model), path, "is damaged", fastcf.DataError)
    watch = Kill()
    with pytest.raises(FileNotFoundError):
        model.fit(TRAIN, checkpoint=tmp_path / "none" / "here", callbacks=watch)
    assert watch.epochs == []


def test_checkpoint_is_written_when_it_is_due(path):
    epochs = []

    class Look(Callback):
        def on_epoch_end(self, view, record):
            epochs.append(load_archive(path).meta["history"][-1]["epoch"])

    clone(MODELS["sgd"]).set_params(n_epochs=8).fit(TRAIN, checkpoint=path, checkpoint_every=3, callbacks=Look())
    assert epochs == [0, 0, 0, 3, 3, 3, 6, 6]
    assert load_archive(path).meta["history"][-1]["epoch"] == 8
    assert load_archive(path).meta["ended"]


# ---------------------------------------------------------------------------------------------------------------
# kill -9
# ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forks():
    process = Forks()
    yield process
    process.close()


def test_processes_killed_at_random_go_on_to_the_same_bits(forks, tmp_path):
    random = np.random.default_rng(0 if N_KILLS < 10 else None)
    names = random.permutation(list(MODELS))[:N_KILLS].tolist()
    whole, model = tmp_path / "whole", tmp_path / "model"
    kills = 0
    for name in names:
        started = time.perf_counter()
        assert forks.run("train", name, tmp_path / f"{name}-alone", model) == 0
        seconds = time.perf_counter() - started
        train(name, str(tmp_path / f"{name}-here"), str(whole))
        for number in range(-(-N_KILLS // len(names))):
            model.unlink()
            task = "train", name, tmp_path / f"{name}-{number}", model
            for kill_after in (*random.uniform(0, seconds, 2), None):
                status = forks.run(*task, kill_after=kill_after)
                kills += status == signal.SIGKILL
            assert status == 0
            assert same_bits(fastcf.load(model), fastcf.load(whole)), (name, number)
    assert kills >= N_KILLS / 2


def test_writers_killed_at_random_leave_whole_files(forks, tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "writes"
    n_read = 0
    for _ in range(2 * N_KILLS):
        assert forks.run("write", path, kill_after=random.uniform(0.02, 0.2)) == signal.SIGKILL
        if path.exists():
            position = Checkpoint(path, 1, "read").position
            assert (position.arrays["parameters"] == position.saved).all()
            assert os.listdir(tmp_path) == ["writes"]  # what a killed writer left has been removed
            n_read += 1
    assert n_read > 0
