"""Further training of a fitted factorisation on new ratings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from fastcf.errors import DivergenceError
from fastcf.ids import extended
from fastcf.models.factorization.centred import shrink
from fastcf.models.factorization.fold_in import folded_rows
from fastcf.models.factorization.problem import LearntFactors, Parameters, RatedEffects
from fastcf.models.factorization.row_effects import rated_features
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, State
from fastcf.scores.queries import rated_side
from fastcf.scores.seen import SeenItems, union_of_seen

__all__ = ["continued"]

Floats = NDArray[np.float32]
_Centre = tuple[Floats, Floats]  # factors and biases of a side's rows

_STREAM = 24  # of random numbers, see problem.INIT_STREAM
# Share of the first step size of the training: new ratings must not override the old ones. See docs/defaults-sweeps.md.
_RATE = 0.1


def continued(state: State, ratings: Ratings, n_epochs: int, seed: int, compute: Compute, caller: str) -> State:
    """Return the state after stochastic gradient descent over further targets; ``state`` is not changed.

    Known users and items keep their rows, new ones follow. ``seed`` is that of new rows and of the order.

    Raises
    ------
    DivergenceError
        If parameters stop being finite.
    """
    scores, learnt = state.scores.as_factors(), state.learnt
    assert scores is not None
    users = extended(state.users, ratings.users, f"{caller}: users")
    items = extended(state.items, ratings.items, f"{caller}: items")
    new = Ratings.from_coo(
        *ratings.to_coo(),
        timestamps=ratings.timestamps,
        weights=ratings.weights,
        user_ids=users,
        item_ids=items,
    )
    parameters, item_mean = _with_new_rows(state, new, seed, compute, caller)
    low, high = (pick(a, b) for pick, a, b in zip((min, max), state.rating_range, new.rating_range, strict=True))
    reg_share, user_share, item_share = _penalty_shares(state, learnt, new)
    trainer = compute.native.SgdTrainer(
        new.indptr,
        new.indices,
        new.values,
        new.n_items,
        weights=new.weights,
        item_offset=item_mean,
        global_offset=scores.global_mean,
        n_factors=scores.n_factors,
        reg=learnt.reg * reg_share,
        reg_exponent=learnt.reg_exponent,
        user_bias=learnt.bias.user,
        item_bias=learnt.bias.item,
        user_bias_reg=learnt.user_bias_reg * user_share,
        item_bias_reg=learnt.item_bias_reg * item_share,
        lowest=low,
        highest=high,
        cost=state.targets.cost,
        seed=seed,
        n_threads=compute.n_threads,
    )
    seen = None
    if state.seen is not None:
        parts = (state.users, state.items, state.seen), (users, items, SeenItems(new.indptr, new.indices))
        seen = union_of_seen(parts, users, items)
    centres: list[_Centre] = []
    if learnt.rated_effects is not None:
        learnt = learnt.with_effects(_with_new_columns(learnt.rated_effects, new.shape))
        centres = _centres(learnt, seen, parameters)
    trainer.set_parameters(*parameters)
    rate = _RATE * learnt.sgd_rate
    for _ in range(n_epochs):
        if not np.isfinite(trainer.epoch(rate, rate * learnt.sigma)):
            raise DivergenceError(f"{caller}: training diverged; the model is as it was. Lower learning_rate")
        trainer.get_parameters(*parameters)
        for side, (factors, bias) in enumerate(centres):
            counts = (new.user_counts(), new.item_counts())[side]
            bias_reg = (learnt.user_bias_reg * user_share, learnt.item_bias_reg * item_share)[side]
            shrink(parameters[side], factors, counts, rate * learnt.reg * reg_share, learnt.reg_exponent)
            shrink(parameters[2 + side], bias, counts, rate * learnt.sigma * bias_reg, 0.0)
        if centres:
            trainer.set_parameters(*parameters)
    return state.replaced(
        learnt=learnt,
        users=users,
        items=items,
        seen=seen,
        rating_range=(low, high),
        scores=FactorScores(*parameters, scores.global_mean, item_mean, scores.link),
        rated=None,  # joining old and new ratings would take as long as passing over all of them
    )


def _with_new_columns(effects: RatedEffects, shape: tuple[int, int]) -> RatedEffects:
    """Return effects of more items and users, those of the new ones 0."""
    n_columns = shape[::-1]
    return RatedEffects(
        *(
            None if each is None else np.pad(each, ((0, 0), (0, n - each.shape[1])))
            for each, n in zip(effects, n_columns, strict=True)
        )
    )


def _centres(learnt: LearntFactors, seen: SeenItems | None, parameters: Parameters) -> list[_Centre]:
    """Return the centres of users and items by all they have rated.

    Where it is not known which ratings there were, or what they say, rows are drawn to where they are.
    """
    assert learnt.rated_effects is not None
    shape, k = (len(parameters.user_factors), len(parameters.item_factors)), parameters.user_factors.shape[1]
    centres = []
    for side, effects in enumerate(learnt.rated_effects):
        if effects is None or seen is None:
            centres.append((parameters[side].copy(), parameters[2 + side].copy()))
        else:
            found = _centres_of(side, seen, shape, effects)
            centres.append((found[:, :k], found[:, k:].sum(axis=1)))  # 0 without biases
    return centres


def _centres_of(side: int, seen: SeenItems, shape: tuple[int, int], effects: Floats) -> Floats:
    """Return the centres of users, 0, or of items, 1, by the pairs of ``shape`` that were seen: (n_rows, d)."""
    rated = csr_matrix((np.ones(seen.indices.size, np.float32), seen.indices, seen.indptr), shape)
    by_row = rated if side == 0 else rated.T.tocsr()
    centres: Floats = rated_features(by_row.indptr, by_row.indices, effects.shape[1]) @ effects.T
    return centres


def _penalty_shares(state: State, learnt: LearntFactors, ratings: Ratings) -> tuple[float, float, float]:
    """Return the share of new ratings in the penalties of factors, user biases and item biases.

    A row's penalty is divided among its ratings. The new ratings get the share that they would have if all ratings had
    been fitted at once: (n_new / n_all)^(1 - a) of a penalty λ n^a. It is the mean over the new ratings, 1
    for those of new rows. Where it is not known which ratings there were, all count as new.
    """
    if state.seen is None:
        return 1.0, 1.0, 1.0
    old_items = np.bincount(state.seen.indices, minlength=len(state.items))
    sides = (
        (ratings.user_counts(), np.diff(state.seen.indptr), ratings.row_of_entry()),
        (ratings.item_counts(), old_items, ratings.indices),
    )
    of_factors, of_bias = [], []
    for new, old, rows in sides:
        known = np.zeros(new.size)
        known[: old.size] = old
        part = (new / np.maximum(new + known, 1))[rows]
        of_factors.append(float(np.mean(part ** (1 - learnt.reg_exponent))))
        of_bias.append(float(np.mean(part)))
    return sum(of_factors) / 2, of_bias[0], of_bias[1]


def _with_new_rows(
    state: State, ratings: Ratings, seed: int, compute: Compute, caller: str
) -> tuple[Parameters, NDArray[np.float32] | None]:
    """Return the parameters with rows for new users and items, and the items' means; all are copies."""
    scores, learnt = state.scores.as_factors(), state.learnt
    assert scores is not None
    k = scores.n_factors
    scale = 0.1 * float(np.sqrt(learnt.sigma / k))
    mean = scores.item_mean
    if mean is not None:
        new_means = np.full(ratings.n_items - len(state.items), scores.global_mean, np.float32)
        mean = np.concatenate([mean, new_means])
    found: dict[str, Any] = {}
    user_rows = ratings.row_of_entry()
    sides = ("user", state.users, user_rows, ratings.users), ("item", state.items, ratings.indices, ratings.items)
    for stream, (by, old_ids, rows, ids) in enumerate(sides):
        old = len(old_ids)
        # Small random factors first: pairs of rows of zeros have no gradient.
        factors = compute.native.random(len(ids) - old, k, "normal", scale, seed, _STREAM + stream, compute.n_threads)
        bias = np.zeros(len(ids) - old, np.float32)
        new = rows >= old
        if new.any():
            fixed = state.items if by == "user" else state.users
            rated = rated_side(ratings.take(new), by, fixed, caller)
            folded = state.folding.fold_ratings(state, rated, compute, caller)
            solved, solved_bias = (each[old:] for each in folded_rows(folded, by))
            known = solved.any(axis=1)
            factors[known], bias[known] = solved[known], solved_bias[known]
            means = folded.scores.as_factors()
            if by == "item" and mean is not None and means is not None and means.item_mean is not None:
                mean[old:] = means.item_mean[old:]
        before, before_bias = folded_rows(state, by)
        found[f"{by}_factors"] = np.concatenate([before, factors])
        found[f"{by}_bias"] = np.concatenate([before_bias, bias])
    return Parameters(**found), mean
