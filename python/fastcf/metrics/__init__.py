"""Metrics: errors of predictions, how well lists are ranked, and scorers that compute either by name.

Errors: :func:`rmse`, :func:`mae`; of labels :func:`log_loss`, :func:`accuracy`, :func:`roc_auc`,
:func:`calibration_error`. Lists: :func:`ranking`, :func:`ranking_by_user`; beside their accuracy
:func:`beyond_accuracy`, :func:`beyond_accuracy_by_user`; for ir-measures and ranx :func:`to_run`, :func:`to_qrels`. By
name: :func:`as_scorer`.
"""

from fastcf.metrics.beyond_accuracy import (
    BeyondAccuracy,
    UserBeyondAccuracy,
    beyond_accuracy,
    beyond_accuracy_by_user,
)
from fastcf.metrics.predictions import accuracy, calibration_error, log_loss, mae, rmse, roc_auc
from fastcf.metrics.rankings import RankingScores, UserRankings, ranking, ranking_by_user
from fastcf.metrics.runs import Qrels, Run, to_qrels, to_run
from fastcf.metrics.scorers import Scorer, as_scorer

__all__ = [
    "BeyondAccuracy",
    "Qrels",
    "RankingScores",
    "Run",
    "Scorer",
    "UserBeyondAccuracy",
    "UserRankings",
    "accuracy",
    "as_scorer",
    "beyond_accuracy",
    "beyond_accuracy_by_user",
    "calibration_error",
    "log_loss",
    "mae",
    "ranking",
    "ranking_by_user",
    "rmse",
    "roc_auc",
    "to_qrels",
    "to_run",
]
