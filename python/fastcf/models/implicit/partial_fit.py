"""New choices of a fitted factorisation: the rows that they change, solved again."""

from __future__ import annotations

import numpy as np

from fastcf.models.implicit.fold_in import solved_rows
from fastcf.models.implicit.problem import centred
from fastcf.ratings import Ratings, merged
from fastcf.scores import Compute, SeenItems, State
from fastcf.scores.histories import Histories
from fastcf.scores.seen import union_of_seen

__all__ = ["continued"]


def continued(state: State, new: Ratings, n_epochs: int, compute: Compute, caller: str) -> State:
    """Return the state after new choices; ``state``, of a model that holds its choices, is not changed.

    Known users and items keep their rows, new ones follow. The users and items of the new entries are solved exactly by
    all their choices, old and new: in each epoch the users, then the items, and at the end the users once more. ``new``
    has strengths, 0 of entries that were not chosen; they replace those of the same pairs.
    """
    scores, learnt = state.scores.as_factors(), state.learnt
    assert scores is not None
    old = Ratings(*learnt.choices, users=state.users, items=state.items)
    weights = np.float32(learnt.alpha) * new.values
    stored = merged(old, Ratings(new.indptr, new.indices, weights, users=new.users, items=new.items), caller)
    choices = stored.take(stored.values > 0)
    users, items = stored.users, stored.items
    changed_users, changed_items = users.rows(new.users), items.rows(new.items)
    of_users = Histories(choices.indptr, choices.indices, choices.values).of(changed_users)
    by_item = choices.by_item()
    of_items = Histories(by_item.indptr, by_item.indices, by_item.values).of(changed_items)

    k = scores.n_factors
    chose = np.diff(learnt.choices.indptr) > 0
    user_factors, item_factors = np.zeros((len(users), k), np.float32), np.zeros((len(items), k), np.float32)
    user_factors[: chose.size][chose] = scores.user_factors[chose] + learnt.mean_user
    item_factors[: len(scores.item_factors)] = scores.item_factors
    for _ in range(n_epochs):
        user_factors[changed_users] = solved_rows(of_users, item_factors, learnt, compute)
        item_factors[changed_items] = solved_rows(of_items, user_factors, learnt, compute)
    user_factors[changed_users] = solved_rows(of_users, item_factors, learnt, compute)

    scores, learnt = centred(user_factors, item_factors, choices, learnt, compute)
    seen = None
    if state.seen is not None:
        parts = (
            (state.users, state.items, state.seen),
            (new.users, new.items, SeenItems(new.indptr, new.indices)),
        )
        seen = union_of_seen(parts, users, items)
    return state.replaced(users=users, items=items, seen=seen, scores=scores, learnt=learnt)
