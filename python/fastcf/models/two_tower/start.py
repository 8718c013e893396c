"""Where two towers start: at what a fitted model predicts, instead of at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logit

from fastcf._backend import Backend, single_threaded_blas
from fastcf.models.two_tower.towers import TowerParameters
from fastcf.models.two_tower.trainer import TowerProblem, TowerSettings, TowerTrainer
from fastcf.ratings import Ratings
from fastcf.scores import Compute, Targets
from fastcf.scores.recommender import Recommender

__all__ = ["check_start", "learnt_from"]

_EPOCHS = 3  # over predictions
_SURE = 1e-4  # the least probability of a label that is learnt


def check_start(model: Any, targets: Targets, caller: str) -> Recommender:
    """Return a model whose predictions towers can learn; raises TypeError or ValueError for another."""
    if not isinstance(model, Recommender):
        raise TypeError(f"{caller}: init_from must be a fitted model of fastcf or None; got {model!r}")
    if targets.choices:
        raise ValueError(
            f"{caller}: init_from must be None for cost='softmax', whose scores have no unit; got {model!r}"
        )
    theirs = model._fitted("predict").targets
    if theirs.choices or theirs.labels != targets.labels:
        kind = "labels" if targets.labels else "ratings"
        raise ValueError(f"{caller}: init_from must be a model of {kind}, as this one is; got {model!r}")
    return model


def learnt_from(
    model: Recommender,
    problem: TowerProblem,
    settings: TowerSettings,
    parameters: tuple[TowerParameters, TowerParameters],
    backend: Backend,
) -> tuple[TowerParameters, TowerParameters]:
    """Return the parameters of towers that have learnt a model's predictions, less those of the baseline.

    They do so in three epochs over the pairs of the ratings and as many others, drawn by the seed: users alike, items
    as often as they were rated.
    """
    pairs = _with_others(problem.ratings, settings.seed)
    said = np.asarray(model.predict(pairs), np.float64)
    targets, baseline = Targets(), problem.baseline
    if problem.cost == "logistic":
        targets = Targets("logistic", None, soft=True)
    elif problem.targets.labels:
        said = logit(np.clip(said, _SURE, 1 - _SURE))
    if baseline is not None:
        said += problem.spread.centre - baseline.of_ratings(pairs, Compute(backend.module, settings.n_threads))
    predictions = replace(
        problem,
        ratings=pairs,
        values=said.astype(np.float32),
        targets=targets,
        held_out=None,
        baseline=None,
        bounds=None,
    )
    trainer = TowerTrainer(predictions, replace(settings, n_epochs=_EPOCHS), parameters, backend)
    with single_threaded_blas():
        for epoch in range(_EPOCHS):
            trainer.run_epoch(epoch)
    return trainer.parameters()


def _with_others(ratings: Ratings, seed: int) -> Ratings:
    """Return the pairs of ratings and as many others, as ratings of 0."""
    random, n_items = np.random.default_rng(seed), ratings.n_items
    known = ratings.row_of_entry()
    users = np.concatenate([known, random.choice(np.unique(known), ratings.nnz)])
    items = np.concatenate([ratings.indices, random.choice(ratings.indices, ratings.nnz)])
    pairs = np.unique(users.astype(np.int64) * n_items + items)
    indptr = np.searchsorted(pairs, np.arange(ratings.n_users + 1, dtype=np.int64) * n_items)
    indices = (pairs % n_items).astype(np.int32)
    return Ratings(indptr, indices, np.zeros(pairs.size, np.float32), users=ratings.users, items=ratings.items)
