"""The equations of neighbourhood models in float64, and choices to try them on."""

from __future__ import annotations

import numpy as np

import fastcf

PARAMETERS = {
    "cosine": {"shrinkage": 3.0},
    "tfidf": {"shrinkage": 2.0},
    "bm25": {"k1": 1.5, "b": 0.5},
    "rp3beta": {"alpha": 0.7, "beta": 0.3},
}


def similarities(x, kind, shrinkage=10.0, alpha=0.6, beta=0.2, k1=1.2, b=0.75):
    """The equations, of the rows of a dense matrix: s(r, s) of targets r, 0 on the diagonal."""
    x = np.asarray(x, np.float64)
    (n_rows, n_columns), chosen = x.shape, x > 0
    rows, columns = chosen.sum(axis=1), chosen.sum(axis=0)
    if kind in ("cosine", "tfidf"):
        v = np.ones(n_columns)
        if kind == "tfidf":
            v = np.log((1 + n_rows) / (1 + columns)) ** 2
            v /= max(v[columns > 0].mean(), 1e-12)
        x = x * np.sqrt(v)
        norms = np.sqrt((x**2).sum(axis=1))
        below = np.outer(norms, norms) + shrinkage
        table = np.divide(x @ x.T, below, out=np.zeros((n_rows, n_rows)), where=below > 0)
    elif kind == "bm25":
        d = x.sum(axis=0)
        t = x * (k1 + 1) / (x + k1 * (1 - b + b * d / d[d > 0].mean()) + (x == 0))
        idf = np.log(1 + (n_columns - rows + 0.5) / (rows + 0.5))
        table = np.outer(idf, idf) * (t @ t.T)
    else:
        d = np.where(rows > 0, x.sum(axis=1), 1)
        table = d[:, None] ** -beta * d[None, :] ** -alpha * ((x * np.maximum(columns, 1) ** -alpha) @ x.T)
    np.fill_diagonal(table, 0)
    return table


def some_choices(seed, n_users, n_items, strengths):
    rng = np.random.default_rng(seed)
    x = (rng.random((n_users, n_items)) < 0.3) * (rng.choice([0.5, 1.0, 2.0], (n_users, n_items)) if strengths else 1.0)
    x[0, 0] = 1
    users, items = np.nonzero(x)
    ids = {"user_ids": fastcf.IdMap.range(n_users), "item_ids": fastcf.IdMap.range(n_items)}
    return x, fastcf.Ratings.from_coo(users, items, x[users, items], **ids)
