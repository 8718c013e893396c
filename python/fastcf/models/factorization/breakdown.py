"""What scores of a factorisation are made of: shares of the user's ratings, by the equations that fold users in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastcf.models.factorization.problem import Draws, LearntFactors
from fastcf.scores import Breakdown, FactorScores, State
from fastcf.scores.normal_equations import shares_of_ratings
from fastcf.scores.protocol import Rows
from fastcf.scores.results import ids_of
from fastcf.scores.targets import logistic_bound

__all__ = ["NO_RATINGS", "bounds_of_labels", "breakdown_of_draws", "breakdown_of_ratings"]

Wide = NDArray[np.float64]

NO_RATINGS = (
    "the model does not hold the ratings of its users, as after partial_fit and in files without seen items; pass the "
    "user's ratings as history="
)


def breakdown_of_ratings(state: State, user: int, items: Rows) -> Breakdown:
    """Return what the scores of a user row are made of, by the least squares of :class:`RatingFolding`.

    Of labels y, by the last step of :class:`LabelFolding` from the user's vector: least squares of ``(y − ½) / a`` with
    weights a, the curvature of the bound at the present score. Around a centre a share has in addition
    ``z·A⁻¹ Λ e_j / √n``, Λ being the penalties and e_j the effect of the rated item.
    """
    scores, learnt = state.scores, state.learnt
    assert isinstance(scores, FactorScores)
    assert state.rated is not None
    rated, targets, weights = state.rated.entries(user)
    base, columns = scores.constants(user, items), scores.item_vectors_of(rated)
    if state.targets.labels:
        bounds = bounds_of_labels(scores, user, rated)
        targets, weights = (targets - 0.5) / bounds, weights * bounds
    targets = targets - _offsets(scores, rated)
    biased = learnt.bias.user
    penalties = np.full(scores.n_factors + biased, learnt.reg * max(rated.size, 1) ** learnt.reg_exponent)
    if biased:
        penalties[-1] = learnt.user_bias_reg
    shares = shares_of_ratings(
        _with_bias(columns, biased, 1.0),
        targets,
        weights,
        np.diag(penalties),
        _with_bias(scores.item_vectors_of(items), biased, 0.0).T,
    )
    values, effects = shares.values, learnt.rated_effects
    if effects is not None and effects.user is not None:
        values = values + effects.user[:, rated].T @ (penalties[:, None] * shares.solved) / math.sqrt(
            max(rated.size, 1)
        )
    return Breakdown(base, "item", ids_of(state.items, rated), values)


def breakdown_of_draws(state: State, user: int, items: Rows) -> Breakdown:
    """Return the same by the least squares of each draw of :class:`PosteriorFolding`, on average.

    With Λ and μ the prior of a draw and E its effects of what was rated, a share has in addition ``z·A⁻¹ Λ E_j / √n``,
    and the prior adds ``z·A⁻¹ Λ μ``, the taste of an average user.
    """
    scores, learnt = state.scores, state.learnt
    assert isinstance(scores, FactorScores)
    assert state.rated is not None
    base = scores.constants(user, items)
    rated, values, weights = state.rated.entries(user)
    total = np.zeros((rated.size, items.size))
    if user >= 0:
        weights = weights / _relative_noise(scores, user)
        total, base["average taste"] = _of_draws(scores, learnt, (rated, values, weights), items)
    return Breakdown(base, "item", ids_of(state.items, rated), total)


def _of_draws(
    scores: FactorScores, learnt: LearntFactors, ratings: tuple[Rows, Wide, Wide], items: Rows
) -> tuple[Wide, Wide]:
    """Return the shares of ratings, and what the prior adds: the mean over the draws."""
    draws, posterior = learnt.draws, scores.posterior
    assert isinstance(draws, Draws)
    assert posterior is not None
    rated, values, weights = ratings
    means, precisions, effects = draws.of("user")
    n, biased = posterior.n_samples, learnt.bias.user
    k = scores.n_factors // n
    scale = math.sqrt(draws.unit / n)
    columns, wanted = scores.item_vectors_of(rated) / scale, scores.item_vectors_of(items) / scale
    offsets = scores.item_mean[rated] if scores.item_mean is not None else scores.global_mean
    total, prior = np.zeros((rated.size, items.size)), np.zeros(items.size)
    for draw in range(n):
        own = slice(draw * k, (draw + 1) * k)
        precision = draws.unit**2 / float(draws.noise_variances[draw])
        spread = precisions[draw].astype(np.float64)
        shares = shares_of_ratings(
            _with_bias(columns[:, own], biased, 1.0),
            (values - offsets - posterior.item_bias_samples[draw, rated]) / draws.unit,
            weights * precision,
            spread,
            _with_bias(wanted[:, own], biased, 0.0).T,
        )
        pulled = spread @ shares.solved
        total += shares.values
        prior += means[draw] @ pulled
        if effects is not None:
            total += effects[draw][:, rated].T @ pulled / math.sqrt(max(rated.size, 1))
    return total * (draws.unit / n), prior * (draws.unit / n)


def _relative_noise(scores: FactorScores, user: int) -> float:
    """Return the variance of a user's ratings around their predictions, over the mean of all users."""
    posterior = scores.posterior
    if posterior is None or posterior.user_noise_variances is None:
        return 1.0
    return float(posterior.user_noise_variances[user]) / posterior.noise_variance


def bounds_of_labels(scores: FactorScores, user: int, rated: Rows) -> Wide:
    """Return ``(σ(z) − ½) / z`` at the scores z of a user's entries."""
    z = scores.item_vectors_of(rated) @ scores.user_factors[user] + _offsets(scores, rated) + scores.user_bias[user]
    return logistic_bound(z)


def _offsets(scores: FactorScores, rated: Rows) -> Wide:
    """Return what the targets of known items are without: means and biases of items."""
    offsets: Wide = scores.item_score[rated].astype(np.float64)
    return offsets if scores.item_mean is not None else offsets + scores.global_mean


def _with_bias(vectors: Wide, biased: bool, value: float) -> Wide:
    """Return vectors with a further number, which a bias is multiplied by, where there are biases."""
    return np.column_stack([vectors, np.full(len(vectors), value)]) if biased else vectors
