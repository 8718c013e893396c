"""Names of metrics as they are written in tables and pictures."""

from __future__ import annotations

__all__ = ["title_of"]

_TITLES = {
    "rmse": "RMSE",
    "mae": "MAE",
    "log_loss": "log-loss",
    "auc": "AUC",
    "ndcg": "NDCG",
    "graded_ndcg": "graded NDCG",
    "map": "MAP",
    "mrr": "MRR",
    "gini": "Gini index",
}


def title_of(name: str) -> str:
    """Return the title of a metric: "NDCG@10" of "ndcg@10"."""
    base, at, k = name.partition("@")
    return f"{_TITLES.get(base, base.replace('_', ' '))}{at}{k}"
