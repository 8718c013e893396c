"""The peers of bench_lists.py: ``implicit`` (ALS, BPR) and irspack (iALS), by default and tuned on validation."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

import lists_protocols
from fastcf import Ratings
from lists_models import Lists, lists_of_scores, seen_by
from lists_protocols import Exam, Task

__all__ = ["peers"]

Fit = Callable[..., Lists]
Draw = Callable[[np.random.Generator], dict[str, Any]]


def _ones(ratings: Ratings) -> scipy.sparse.csr_matrix:
    matrix = ratings.to_scipy().astype(np.float32)
    matrix.data[:] = 1
    return matrix


def _choices(task: Task, exam: Exam) -> scipy.sparse.csr_matrix:
    return _ones(seen_by(task, exam))


def implicit_als(task: Task, seed: int, **settings: Any) -> Lists:
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(random_state=seed, **settings)
    model.fit(_ones(task.train), show_progress=False)

    def lists(exam: Exam) -> np.ndarray:
        rows = np.arange(exam.users.size) if exam.history is not None else task.train.users.rows(exam.users)
        found, _ = model.recommend(
            rows,
            _choices(task, exam),
            N=min(task.length, task.train.n_items),
            filter_already_liked_items=True,
            recalculate_user=exam.history is not None,
        )
        return task.train.items.ids[found]

    return lists


def implicit_bpr(task: Task, seed: int, **settings: Any) -> Lists:
    """BPR computes no new users: in T1 it learns from the shown histories, too."""
    from implicit.bpr import BayesianPersonalizedRanking

    histories = [exam.history for exam in (task.validation, task.test) if exam.history is not None]
    model = BayesianPersonalizedRanking(random_state=seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own about BLAS threads
        model.fit(scipy.sparse.vstack([_ones(part) for part in (task.train, *histories)]).tocsr(), show_progress=False)
    first = task.train.n_users
    offsets = {}
    for exam in (task.validation, task.test):
        offsets[id(exam)] = first
        first += exam.users.size

    def lists(exam: Exam) -> np.ndarray:
        rows = task.train.users.rows(exam.users)
        if exam.history is not None:
            rows = offsets[id(exam)] + np.arange(exam.users.size)
        found, _ = model.recommend(
            rows, _choices(task, exam), N=min(task.length, task.train.n_items), filter_already_liked_items=True
        )
        return task.train.items.ids[found]

    return lists


def irspack_ials(task: Task, seed: int, **settings: Any) -> Lists:
    from irspack import IALSRecommender

    model = IALSRecommender(_ones(task.train).astype(np.float64), random_seed=seed, **settings)
    model.start_learning()
    for _ in range(model.train_epochs):  # as `learn` does, without its bar
        model.run_epoch()

    def lists(exam: Exam) -> np.ndarray:
        if exam.history is not None:
            histories = _ones(exam.history).astype(np.float64)
            return lists_of_scores(lambda rows: model.get_score_cold_user(histories[rows]), task, exam)
        users = task.train.users.rows(exam.users).astype(np.int64)
        return lists_of_scores(lambda rows: model.get_score(users[rows]), task, exam)

    return lists


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _als_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "factors": int(rng.choice([16, 32, 64, 128])),
        "regularization": _log_uniform(rng, 1e-2, 1e2),
        "alpha": _log_uniform(rng, 1, 100),
        "iterations": int(rng.choice([10, 20, 30])),
    }


def _bpr_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "factors": int(rng.choice([16, 32, 64, 128])),
        "regularization": _log_uniform(rng, 1e-3, 0.3),
        "learning_rate": _log_uniform(rng, 3e-3, 0.1),
        "iterations": int(rng.choice([50, 100, 200])),
    }


def _ials_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "n_components": int(rng.choice([16, 32, 64, 128, 256])),
        "alpha0": _log_uniform(rng, 3e-3, 1),
        "reg": _log_uniform(rng, 1e-4, 0.1),
        "train_epochs": int(rng.choice([8, 16, 32])),
    }


@dataclass(frozen=True)
class Tuned:
    """A peer with the best settings by NDCG on the validation part of the split: of its defaults and random ones."""

    fit: Fit
    draw: Draw
    trials: int

    def __call__(self, task: Task, seed: int) -> Lists:
        """Fit once per setting; return the best model."""
        rng = np.random.default_rng([seed, 7])
        best, best_lists = -1.0, None
        for settings in ({}, *(self.draw(rng) for _ in range(self.trials))):
            lists = self.fit(task, seed, **settings)
            ndcg = lists_protocols.measure(task, task.validation, lists(task.validation))[1].mean()
            if ndcg > best:
                best, best_lists = ndcg, lists
        assert best_lists is not None
        return best_lists


_PEERS: dict[str, tuple[str, Fit, Draw]] = {
    "implicit ALS": ("implicit", implicit_als, _als_settings),
    "implicit BPR": ("implicit", implicit_bpr, _bpr_settings),
    "irspack iALS": ("irspack", irspack_ials, _ials_settings),
}


def peers(trials: int) -> dict[str, Callable[[Task, int], Lists]]:
    """Return the peers that are installed, by default and tuned."""
    missing = sorted({package for package, _, _ in _PEERS.values() if importlib.util.find_spec(package) is None})
    if missing:
        raise SystemExit(f"bench_lists.py: --peers needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    found: dict[str, Callable[[Task, int], Lists]] = {}
    for name, (_, fit, draw) in _PEERS.items():
        found[name] = fit
        found[f"{name}, tuned"] = Tuned(fit, draw, trials)
    return found
