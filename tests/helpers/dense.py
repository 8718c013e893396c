"""Scores as dense float64 tables: what every kind of scores must agree with."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from fastcf._backend import resolve_device
from fastcf.scores import Compute, FactorScores, Identity, ItemWeightScores, Scores, Selection
from fastcf.scores.protocol import Offset

COMPUTE = Compute(resolve_device("cpu", "test").module, 2)


def some_factors(
    rng: Any, n_users: int, n_items: int, k: int = 3, *, means: bool = False, link: Any = None
) -> FactorScores:
    def normal(*shape: int) -> Any:
        return rng.normal(0, 1, shape).astype(np.float32)

    return FactorScores(
        normal(n_users, k),
        normal(n_items, k),
        normal(n_users),
        normal(n_items),
        float(np.float32(rng.normal(3, 1))),
        normal(n_items) + 3 if means else None,
        link or Identity(),
    )


def dense_of_factors(scores: FactorScores) -> Any:
    """Return the scores of all pairs of rows, row -1 last on both sides."""

    def with_unknown(array: Any, value: float = 0.0) -> Any:
        more = np.full((1, *array.shape[1:]), value)
        return np.concatenate([array.astype(np.float64), more])

    users, items = with_unknown(scores.user_factors), with_unknown(scores.item_factors)
    mean = np.full(scores.n_items + 1, scores.global_mean)
    if scores.item_mean is not None:
        mean[:-1] = scores.item_mean
    biases = with_unknown(scores.user_bias)[:, None] + with_unknown(scores.item_bias)
    return users @ items.T + biases + mean


def some_weights(
    rng: Any, n_users: int, n_items: int, density: float = 0.3, kind: Any = scipy.sparse.csr_array
) -> ItemWeightScores:
    def sparse(*shape: int) -> Any:
        table = rng.normal(size=shape) * (rng.random(shape) < density)
        return kind(table.astype(np.float32))

    return ItemWeightScores(sparse(n_users, n_items), sparse(n_items, n_items))


def dense_of_weights(scores: ItemWeightScores) -> Any:
    """Return the scores of all pairs of rows, row -1 last on both sides: what is unknown scores 0."""
    table = scores.history.toarray().astype(np.float64) @ scores.weights.toarray()
    return np.pad(table, ((0, 1), (0, 1)))


def some_rows(rng: Any, n: int, size: int) -> Any:
    """Return rows of n, among them -1."""
    return rng.integers(-1, n, size).astype(np.int32)


def some_selection(rng: Any, n_items: int, n: int, n_users: int) -> Selection:
    seen = scipy.sparse.csr_array(rng.random((n_users, n_items)) < 0.3)
    candidates = np.flatnonzero(rng.random(n_items) < 0.7).astype(np.int32) if rng.random() < 0.5 else None
    excluded = np.flatnonzero(rng.random(n_items) < 0.2).astype(np.int32) if rng.random() < 0.5 else None
    rows = seen.indptr.astype(np.int64), seen.indices.astype(np.int32)
    return Selection(n, rows, candidates, excluded, offset=some_offset(rng, n_items))


def some_offset(rng: Any, n_items: int) -> Offset | None:
    """Return none, one that leaves items out, or one that also boosts some."""
    kind = rng.integers(3)
    values = np.where(rng.random(n_items) < 0.3, rng.normal(size=n_items), 0) * (kind == 2)
    values[rng.random(n_items) < 0.2] = -np.inf
    return Offset(values.astype(np.float32), bool(kind == 2)) if kind else None


def assert_agrees(scores: Scores, dense: Any, rng: Any, *, atol: float = 1e-4) -> None:
    """Check pairs, blocks and best items against a table of all pairs, row -1 last on both sides."""
    n_users, n_items = dense.shape[0] - 1, dense.shape[1] - 1
    assert (scores.n_users, scores.n_items) == (n_users, n_items)
    users, items = some_rows(rng, n_users, 40), some_rows(rng, n_items, 40)
    pairs = scores.pairs(users, items, COMPUTE)
    assert pairs.dtype == np.float32
    np.testing.assert_allclose(pairs, dense[users, items], atol=atol)
    assert scores.pairs(users[:0], items[:0], COMPUTE).shape == (0,)
    rows = some_rows(rng, n_users, 7)
    block = scores.block(rows, COMPUTE)
    assert (block.dtype, block.shape) == (np.float32, (7, n_items))
    np.testing.assert_allclose(block, dense[rows, :-1], atol=atol)
    block[:] = 0  # memory of its own
    np.testing.assert_allclose(scores.block(rows, COMPUTE), dense[rows, :-1], atol=atol)
    assert_best(scores, dense, rows, some_selection(rng, n_items, int(rng.integers(1, n_items + 1)), 7), atol)
    assert scores.best(rows[:0], Selection(1), COMPUTE)[0].shape == (0, 1)


def assert_best(scores: Scores, dense: Any, rows: Any, selection: Selection, atol: float) -> None:
    """Check that lists are the best of the dense table, up to ties within rounding."""
    found, best = scores.best(rows, selection, COMPUTE)
    assert found.shape == best.shape == (rows.size, selection.n)
    assert (found.dtype, best.dtype) == (np.int32, np.float32)
    for row, user in enumerate(rows):
        allowed = np.ones(scores.n_items, bool)
        if selection.candidates is not None:
            allowed[:] = False
            allowed[selection.candidates] = True
        if selection.excluded is not None:
            allowed[selection.excluded] = False
        indptr, indices = selection.seen
        if indptr is not None and indices is not None:
            allowed[indices[indptr[row] : indptr[row + 1]]] = False
        table = dense[user, :-1].copy()
        if selection.offset is not None:
            table += selection.offset.values
        allowed &= table > -np.inf
        wanted = np.sort(table[allowed])[::-1][: selection.n]
        n = wanted.size
        assert (found[row, n:] == -1).all()
        assert np.isneginf(best[row, n:]).all()
        assert allowed[found[row, :n]].all()
        assert len(set(found[row, :n].tolist())) == n
        np.testing.assert_allclose(best[row, :n], wanted, atol=atol)
        np.testing.assert_allclose(table[found[row, :n]], wanted, atol=atol)
        assert (np.diff(best[row, :n]) <= 0).all()
