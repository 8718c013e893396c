"""Trainings, which have threads of their own, use one thread of BLAS, also side by side."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastcf
from fastcf.callbacks import Callback
from fastcf.model_selection import GridSearch
from fastcf.models.implicit.trainer import AlternatingTrainer
from fastcf.solvers import Gibbs

R = fastcf.data.make_ratings(30, 20, 300, random_state=0)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Look(Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, view, record):
        self.seen.append(blas_threads())


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, "blas"):
        yield


@pytest.mark.parametrize(
    "model",
    [
        fastcf.ImplicitFactorization(4, n_epochs=1),
        fastcf.MatrixFactorization(4, n_epochs=1, solver="als"),
        fastcf.MatrixFactorization(4, n_epochs=1, solver=Gibbs(burn_in=0)),
        fastcf.Autoencoder([4], n_epochs=1),
        fastcf.TwoTower(n_epochs=1),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'solver', '')}",
)
def test_trainings_use_one_thread_of_blas(model):
    look = Look()
    model.fit(R, callbacks=look)
    assert look.seen == [{1}]
    assert blas_threads() == {2}


def test_fits_side_by_side_use_one_thread_of_blas():
    look = Look()
    model = fastcf.MatrixFactorization(4, n_epochs=2)
    search = GridSearch(model, {"reg": [0.1, 1.0, 2.0]}, cv=2, refit=False, n_jobs=2, random_state=0)
    search.fit(R, callbacks=look)
    assert look.seen == [{1}] * 12
    assert blas_threads() == {2}


def test_estimated_penalties_use_one_thread_of_blas(monkeypatch):
    """Native sweeps call BLAS, too; those of the search for a penalty run outside the training loop."""
    seen = []
    run_epoch = AlternatingTrainer.run_epoch

    def noted(trainer, epoch):
        seen.append(blas_threads())
        return run_epoch(trainer, epoch)

    monkeypatch.setattr(AlternatingTrainer, "run_epoch", noted)
    fastcf.ImplicitFactorization(4, n_epochs=1).fit(fastcf.data.make_ratings(100, 60, 3_000, random_state=0))
    assert len(seen) > 3
    assert set(map(frozenset, seen)) == {frozenset([1])}
