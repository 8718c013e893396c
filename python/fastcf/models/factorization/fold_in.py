"""New users and items of a factorisation: their rows solved exactly, given the other side."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastcf._callers import level_outside
from fastcf.models.factorization.breakdown import NO_RATINGS, breakdown_of_draws, breakdown_of_ratings
from fastcf.models.factorization.problem import LearntFactors
from fastcf.models.factorization.row_effects import rated_features
from fastcf.preprocessing import row_means
from fastcf.scores import Breakdown, Compute, FactorScores, Folding, State
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide
from fastcf.scores.targets import logistic_bound

__all__ = ["LabelFolding", "PosteriorFolding", "RatingFolding", "folded_rows"]

Floats = NDArray[np.float32]
_STEPS, _TOLERANCE = 100, 1e-4


def _factors(state: State) -> tuple[FactorScores, LearntFactors]:
    scores, learnt = state.scores.as_factors(), state.learnt
    assert scores is not None
    return scores, learnt


def _with_rows(state: State, by: str, factors: Floats, bias: Floats, **others: Any) -> State:
    """Return a state whose users (or items) have these factors and biases."""
    scores, _ = _factors(state)
    return state.replaced(scores=scores.replaced(**{f"{by}_factors": factors, f"{by}_bias": bias}, **others))


def folded_rows(state: State, by: str) -> tuple[Floats, Floats]:
    """Return the factors and biases of the users (or items) of a state."""
    scores, _ = _factors(state)
    return (scores.user_factors, scores.user_bias) if by == "user" else (scores.item_factors, scores.item_bias)


def _own_centres(
    learnt: LearntFactors, rated: RatedSide, fixed: Floats, compute: Compute
) -> tuple[Floats, Floats | np.float32]:
    """Return the centres of rows, (n_rows, k + 1), and what these say of the entries; zeros where rows have none."""
    effects = None
    if learnt.rated_effects is not None:
        effects = learnt.rated_effects.user if rated.by == "user" else learnt.rated_effects.item
    if effects is None:
        return np.zeros((1, fixed.shape[1] + 1), np.float32), np.float32(0)
    centres, left = _centred(rated, effects, fixed, np.zeros(rated.values.size, np.float32), compute)
    return centres, -left


def _around(state: State, by: str, factors: Floats, bias: Floats, centres: Floats, **others: Any) -> State:
    """Return a state whose users (or items) have these rows around these centres."""
    effects = state.learnt.rated_effects
    if effects is not None:  # nothing is known of the effects of the new rows on those of the other side
        learnt = state.learnt.with_effects(effects._replace(**{"item" if by == "user" else "user": None}))
        state = state.replaced(learnt=learnt)
    return _with_rows(state, by, factors + centres[:, :-1], bias + centres[:, -1], **others)


def _centred(rated: RatedSide, effects: Floats, fixed: Floats, values: Floats, compute: Compute) -> tuple[Any, Floats]:
    """Return the centres of rows, (n_rows, k + 1), by what they rated, and the ratings less what these say."""
    n_rows, k = len(rated.ids), fixed.shape[1]
    centres = np.zeros((n_rows, k + 1), np.float32)
    columns = rated.columns
    if columns.size < len(fixed):  # of a visitor's few items: the effects of others are not read
        distinct, positions = np.unique(columns, return_inverse=True)
        columns, effects = positions.astype(np.int32), effects[:, distinct]
    features = rated_features(rated.indptr, columns, effects.shape[1])
    centres[:, : len(effects)] = features @ effects.T
    rows = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(rated.indptr))
    said = compute.native.predict_pairs(
        rows, rated.columns, np.ascontiguousarray(centres[:, :k]), fixed, np.ascontiguousarray(centres[:, k]),
        n_threads=compute.n_threads,
    )  # fmt: skip
    return centres, values - said


class RatingFolding(Folding):
    r"""Least squares for each row: ``p_u, b_u = argmin ½ Σ_i w (ŷ_ui − y_ui)² + ½ λ n_u^a ‖p_u‖² + ½ λ_b b_u²``.

    With ``rated_input`` the penalty is of p_u and b_u less what the rated items say of them.

    One half-sweep of alternating least squares, with the penalties of the fit (Y. Zhou et al., "Large-scale parallel
    collaborative filtering for the Netflix Prize", AAIM 2008).
    """

    rated_sides = ("user", "item")
    explains_by_ratings = True

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows."""
        scores, learnt = _factors(state)
        users = rated.by == "user"
        n_rows = len(rated.ids)
        factors = np.zeros((n_rows, scores.n_factors), np.float32)
        bias = np.zeros(n_rows, np.float32)
        others: dict[str, Any] = {}
        options: dict[str, Any] = {}
        if users:
            column_offset = scores.item_score
        else:
            column_offset = scores.user_bias
            if scores.item_mean is not None:
                others["item_mean"] = row_means(rated.indptr, rated.values, rated.weights, scores.global_mean)
                options["row_offset"] = others["item_mean"]
        fixed = scores.item_factors if users else scores.user_factors
        centres, predicted = _own_centres(learnt, rated, fixed, compute)
        compute.native.als_update(
            rated.indptr,
            rated.columns,
            rated.values - predicted,
            fixed,
            factors,
            bias if (learnt.bias.user if users else learnt.bias.item) else None,
            weights=rated.weights,
            column_offset=column_offset,
            offset=0.0 if scores.item_mean is not None else scores.global_mean,
            reg=learnt.reg,
            reg_exponent=learnt.reg_exponent,
            bias_reg=learnt.user_bias_reg if users else learnt.item_bias_reg,
            n_threads=compute.n_threads,
            **options,
        )
        return _around(state, rated.by, factors, bias, centres, **others)

    def unexplained(self, state: State) -> str:
        """Return what is missing: the users' ratings."""
        return "" if state.rated is not None else NO_RATINGS

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return the shares of a user's ratings in the solution of these least squares."""
        return breakdown_of_ratings(state, user, items)


class PosteriorFolding(Folding):
    """Every draw of the posterior is extended by the mean of its new rows' posterior."""

    rated_sides = ("user", "item")
    explains_by_ratings = True

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows, draw by draw."""
        scores, learnt = _factors(state)
        draws, posterior = learnt.draws, scores.posterior
        assert draws is not None
        assert posterior is not None
        users = rated.by == "user"
        fixed, fixed_bias, means, precisions, effects = (
            (scores.item_factors, posterior.item_bias_samples, *draws.of("user"))
            if users
            else (scores.user_factors, posterior.user_bias_samples, *draws.of("item"))
        )
        n, n_rows = posterior.n_samples, len(rated.ids)
        others: dict[str, Any] = {}
        offset: Any = np.float32(scores.global_mean)
        if scores.item_mean is not None and users:
            offset = scores.item_mean[rated.columns]
        elif scores.item_mean is not None:
            others["item_mean"] = row_means(rated.indptr, rated.values, rated.weights, scores.global_mean)
            offset = np.repeat(others["item_mean"], np.diff(rated.indptr))
        values = ((rated.values - offset) / np.float32(draws.unit)).astype(np.float32)
        k = scores.n_factors // n
        scale = np.float32(math.sqrt(draws.unit / n))
        factors = np.empty((n_rows, n * k), np.float32)
        biases = np.zeros((n, n_rows), np.float32)
        biased = learnt.bias.user if users else learnt.bias.item
        for sample in range(n):
            block = slice(sample * k, (sample + 1) * k)
            columns = np.ascontiguousarray(fixed[:, block]) / scale
            rows, centres, left = np.empty((n_rows, k), np.float32), np.zeros((1, k + 1), np.float32), values
            if effects is not None:  # solved is what the items rated leave of the rows
                centres, left = _centred(rated, effects[sample], columns, values, compute)
            compute.native.als_update(
                rated.indptr,
                rated.columns,
                left,
                columns,
                rows,
                biases[sample] if biased else None,
                weights=rated.weights,
                column_offset=fixed_bias[sample] / np.float32(draws.unit),
                precision=float(draws.unit**2 / draws.noise_variances[sample]),
                prior=precisions[sample],
                prior_mean=means[sample],
                n_threads=compute.n_threads,
            )
            factors[:, block] = (rows + centres[:, :k]) * scale
            biases[sample] += centres[:, k]
        biases *= np.float32(draws.unit)
        bias = biases.mean(axis=0, dtype=np.float64).astype(np.float32)
        folded = replace(posterior, user_bias_samples=biases) if users else replace(posterior, item_bias_samples=biases)
        if users and posterior.user_noise_variances is not None:  # nothing is known of how predictable they are
            folded = replace(folded, user_noise_variances=np.full(n_rows, posterior.noise_variance, np.float32))
        others["posterior"] = folded
        # Nothing is known of the effects of the new rows on those of the other side.
        draws = draws._replace(item_effects=None) if users else draws._replace(user_effects=None)
        learnt = replace(learnt, draws=draws, posterior=folded)
        return _with_rows(state.replaced(learnt=learnt), rated.by, factors, bias, **others)

    def unexplained(self, state: State) -> str:
        """Return what is missing: the users' ratings."""
        return "" if state.rated is not None else NO_RATINGS

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return the shares of a user's ratings in the draws' solutions, on average."""
        return breakdown_of_draws(state, user, items)


class LabelFolding(Folding):
    """A regularised logistic regression for each row; with ``rated_input`` the penalty is as for ratings.

    Each step replaces the cost by its :func:`quadratic bound <fastcf.scores.targets.logistic_bound>` at the present z:
    least squares, one half-sweep of alternating least squares, which never raise the objective. Steps end when
    no parameter moves by more than 1e-4, or after 100, with a ``ConvergenceWarning`` if rows still move: they do so
    without end where nothing penalises them and their labels are all alike, or separated by the other side's factors.
    """

    rated_sides = ("user", "item")
    explains_by_ratings = True

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows by steps."""
        scores, learnt = _factors(state)
        users = rated.by == "user"
        fixed, column_bias, bias_reg, biased = (
            (scores.item_factors, scores.item_bias, learnt.user_bias_reg, learnt.bias.user)
            if users
            else (scores.user_factors, scores.user_bias, learnt.item_bias_reg, learnt.bias.item)
        )
        (indptr, columns, labels), weights, n_rows = rated.csr, rated.weights, len(rated.ids)
        factors = np.zeros((n_rows, fixed.shape[1]), np.float32)
        bias = np.zeros(n_rows, np.float32)
        rows = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(indptr))
        native, n_threads = compute
        centres, predicted = _own_centres(learnt, rated, fixed, compute)
        for _ in range(_STEPS):
            z = native.predict_pairs(
                rows, columns, factors, fixed, bias, column_bias, None, scores.global_mean, n_threads=n_threads
            )
            bound = logistic_bound(z + predicted)
            before = factors.copy(), bias.copy()
            native.als_update(
                indptr,
                columns,
                (labels - np.float32(0.5)) / bound - predicted,
                fixed,
                factors,
                bias if biased else None,
                weights=bound if weights is None else bound * weights,
                column_offset=column_bias,
                offset=scores.global_mean,
                reg=learnt.reg,
                reg_exponent=learnt.reg_exponent,
                bias_reg=bias_reg,
                n_threads=n_threads,
            )
            moved = np.maximum(np.abs(factors - before[0]).max(axis=1, initial=0), np.abs(bias - before[1]))
            settled = moved <= _TOLERANCE
            if settled.all():
                break
        else:
            warnings.warn(
                f"{caller}: {n_rows - settled.sum():,} of {n_rows:,} {rated.by}s did not converge in {_STEPS} steps, "
                f"the last of which moved parameters by up to {moved.max():.2g}; fit the model with a larger reg or "
                "bias_reg",
                ConvergenceWarning,
                stacklevel=level_outside(),
            )
        return _around(state, rated.by, factors, bias, centres)

    def unexplained(self, state: State) -> str:
        """Return what is missing: the users' labels."""
        return "" if state.rated is not None else NO_RATINGS

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return the shares of a user's labels in the solution of the last step."""
        return breakdown_of_ratings(state, user, items)
