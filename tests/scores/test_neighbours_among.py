"""Candidates and exclusions of neighbours: the lists are those of all neighbours without what is not allowed."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from fastcf.scores import candidates as named

RATINGS = fastcf.data.make_ratings(40, 30, 500, random_state=0)
MODELS = {
    "factors": fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(RATINGS),
    "weights": fastcf.LinearAutoencoder(threshold=4.0).fit(RATINGS),
    "neighbours": fastcf.ItemNeighbours(threshold=4.0, n_neighbours=5).fit(RATINGS),
}
ALL = RATINGS.items.ids


def filtered(model, item, n, metric, allowed):
    """The same by all neighbours of one item."""
    ids, scores = model.similar_items(item, len(ALL), metric=metric)
    kept = [(i, s) for i, s in zip(ids.tolist(), scores.tolist(), strict=True) if np.isfinite(s) and i in allowed]
    return kept[:n]


def check(model, items, metric, allowed, **options):
    found = model.similar_items(items, 6, metric=metric, **options)
    for row, (item, own) in enumerate(zip(items, allowed, strict=True)):
        mask = found.mask[row]
        got = list(zip(found.ids[row][mask].tolist(), found.scores[row][mask].tolist(), strict=True))
        assert got == filtered(model, item, 6, metric, set(own))


@pytest.mark.parametrize("cells", [1 << 23, 40])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
@pytest.mark.parametrize("name", MODELS)
def test_neighbours_among_candidates_and_without_others(name, metric, cells, monkeypatch):
    monkeypatch.setattr(named, "_CELLS", cells)
    model, items = MODELS[name], ALL[[3, 0, 17, 5]]
    random = np.random.default_rng(0)
    few, out = random.choice(ALL, 8, replace=False), random.choice(ALL, 10, replace=False)
    check(model, items, metric, [few] * 4, candidates=few)
    check(model, items, metric, [set(ALL) - set(out)] * 4, exclude=out)
    check(model, items, metric, [set(few) - set(out)] * 4, candidates=few, exclude=out)
    lists = [out[:n] for n in (3, 0, 7, 1)]
    check(model, items, metric, [set(ALL) - set(own) for own in lists], exclude=[own.tolist() for own in lists])
    check(model, items, metric, lists, candidates=[own.tolist() for own in lists])
    check(model, items, metric, [ALL] * 4, exclude=[])
    check(model, items, metric, [[]] * 4, candidates=[])


def test_neighbours_among_of_one_item_unknown_ids_and_users():
    model = MODELS["factors"]
    first = model.similar_items(3, 1).ids[0]
    without = model.similar_items(3, 2, exclude=[first, 10**6])
    assert first not in without.ids
    assert without.ids[0] == model.similar_items(3, 2).ids[1]
    assert not model.similar_items(10**6, 2, exclude=[first]).mask.any()
    users = model.similar_users([1, 2], 3, exclude=[[4, 5], []])
    assert not np.isin(users.ids[0], [4, 5]).any()
    with pytest.raises(ValueError, match=r"strict=True needs known item \(in exclude\) ids; got 1000000"):
        model.similar_items(3, exclude=[10**6], strict=True)
    with pytest.raises(ValueError, match=r"must be ids for all users, or a list of ids for each of the 2 users"):
        model.similar_users([1, 2], exclude=[[4]])
