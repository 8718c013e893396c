"""Regressions of compressed rows of ratings on known features: the solver, the learnt state, new rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastcf._backend import Backend, host
from fastcf._callers import level_outside
from fastcf._parameters import Boolean, Constraint, Interval, Nothing, OneOf
from fastcf.ids import extended
from fastcf.models.estimator import Estimator, Packed
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings
from fastcf.scores import Breakdown, Compute, FactorScores, Folding, Identity, SeenItems, Sigmoid, State, Targets
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.scores.targets import COSTS, log_odds
from fastcf.serialization import Archive

__all__ = [
    "CONSTRAINTS",
    "RowRegression",
    "feature_labels",
    "fitted_state",
    "loaded_state",
    "named_features",
    "packed",
    "stored_names",
]

Floats = NDArray[np.float32]
Csr = tuple[NDArray[np.int64], NDArray[np.int32], Floats]

CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "cost": (OneOf(COSTS),),
    "reg": (Interval(0),),
    "fit_intercept": (Boolean(),),
    "threshold": (Interval(), Nothing()),
    "solver": (OneOf(("auto", "exact", "gradient")),),
    "max_iter": (Interval(1, 2**31 - 1, integer=True), Nothing()),
    "tol": (Interval(0, open_low=True),),
    **Estimator._constraints,
}
_MAX_ITER = {"exact": 100, "gradient": 10_000}
_OTHER = {"user": "item", "item": "user"}


def _factors(state: State) -> FactorScores:
    scores = state.scores.as_factors()
    assert scores is not None
    return scores


@dataclass(frozen=True)
class RowRegression:
    """How the regression of a row is solved; attributes are parameters of :class:`UserRegression`."""

    cost: str
    reg: float
    fit_intercept: bool
    solver: str
    max_iter: int | None
    tol: float

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> RowRegression:
        """Return the options in an estimator's parameters."""
        max_iter = params["max_iter"]
        return cls(
            str(params["cost"]), float(params["reg"]), bool(params["fit_intercept"]), str(params["solver"]),
            None if max_iter is None else int(max_iter), float(params["tol"]),
        )  # fmt: skip

    @property
    def direct(self) -> bool:
        """Whether equations are solved at once, without iterations."""
        return self.cost == "squared" and self.solver != "gradient"

    def base(self, labels: Floats, weights: Floats | None) -> float:
        """Return the score of rows without ratings: the mean rating, or the log-odds of label 1."""
        if self.cost == "logistic":
            return log_odds(labels, weights)
        return float(np.average(labels.astype(np.float64), weights=weights))

    def solve(
        self, rows: Csr, weights: Floats | None, features: Any, base: float, n_threads: int, caller: str
    ) -> tuple[Floats, Floats, int]:
        """Return the weights of features and the intercept less ``base`` of each row, and the most iterations.

        Both are 0 for rows without ratings of positive weight. Warns where rows do not converge.
        """
        indptr, indices, labels = rows
        n_rows = indptr.size - 1
        coefficients = np.empty((n_rows, features.shape[1]), np.float32)
        intercept = np.empty(n_rows, np.float32)
        if scipy.sparse.issparse(features):
            features = features.indptr.astype(np.int64), features.indices.astype(np.int32), features.data
        solver = "gradient" if self.solver == "gradient" else "exact"
        report = host.regress_rows(
            indptr,
            indices,
            np.ascontiguousarray(labels),
            features,
            coefficients,
            intercept,
            sample_weights=weights,
            cost=self.cost,
            solver=solver,
            reg=self.reg,
            fit_intercept=self.fit_intercept,
            max_iterations=self.max_iter or _MAX_ITER[solver],
            tolerance=self.tol,
            n_threads=n_threads,
        )
        if report["unconverged"]:
            warnings.warn(
                f"{caller}: {report['unconverged']} of {n_rows} regressions did not converge in "
                f"{report['iterations']} iterations; scale the features, raise max_iter or reg, or take solver='exact'",
                ConvergenceWarning,
                stacklevel=level_outside(),
            )
        rated = np.diff(indptr) > 0
        if weights is not None:
            wide = weights.astype(np.float64)
            rated = np.bincount(np.repeat(np.arange(n_rows), np.diff(indptr)), wide, n_rows) > 0
        bias = np.where(rated, intercept - np.float32(base), np.float32(0))
        return coefficients, bias, int(report["iterations"])


@dataclass(frozen=True, eq=False)
class LearntRegressions:
    """The learnt values of regressions; see :class:`UserRegression`."""

    shown: ClassVar[tuple[str, ...]] = ("coef", "intercept", "n_iter")

    coef: Floats
    intercept: Floats
    n_iter: int
    names: NDArray[Any] | None = None  # of the features


class RegressionFolding(Folding):
    """New regressions of one side from ratings, and new rows of the other side from their features."""

    def __init__(self, side: str, regression: RowRegression) -> None:
        other = _OTHER[side]
        self.side, self.regression = side, regression
        self.rated_sides, self.featured_sides = (side,), (other,)
        self.why = f" (new {other}s are known by their features: pass {other}_features)"

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the regressions of the rated rows."""
        scores = _factors(state)
        features = scores.item_factors if self.side == "user" else scores.user_factors
        coef, bias, n_iter = self.regression.solve(
            rated.csr, rated.weights, features, scores.global_mean, compute.n_threads, caller
        )
        scores = scores.replaced(**{f"{self.side}_factors": coef, f"{self.side}_bias": bias})
        return _state_of(self.side, state.replaced(scores=scores), self.regression, n_iter, state.learnt.names)

    def fold_features(self, state: State, features: Mapping[str, FeatureTable], compute: Compute, caller: str) -> State:
        """Append the features of new rows; known rows get new ones."""
        other = _OTHER[self.side]
        table, scores = features[other], _factors(state)
        known = scores.item_factors if other == "item" else scores.user_factors
        if table.n_features != known.shape[1]:
            raise ValueError(f"{caller}: {other}_features must have {known.shape[1]} features; got {table.n_features}")
        ids = extended(state.items if other == "item" else state.users, table.ids, f"{caller}: {other}_features")
        longer = np.concatenate([known, np.empty((len(ids) - len(known), known.shape[1]), np.float32)])
        longer[ids.rows(table.ids)] = _dense(table)
        scores = scores.replaced(**{f"{other}_factors": longer, f"{other}_bias": np.zeros(len(ids), np.float32)})
        if other == "item":
            return state.replaced(items=ids, scores=scores)
        seen = None if state.seen is None else state.seen.padded(len(ids))
        return state.replaced(users=ids, scores=scores, seen=seen)

    def unexplained(self, state: State) -> str:
        """Return nothing: a score is a sum over features."""
        return ""

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what each feature adds to the scores of a user row, and the intercepts."""
        scores = _factors(state)
        of_user = scores.user_factors[user].astype(np.float64) if user >= 0 else np.zeros(scores.n_factors)
        terms = of_user[:, None] * scores.item_vectors_of(items).T
        base = {"intercept": np.asarray(sum(scores.constants(user, items).values(), np.zeros(items.size)))}
        return Breakdown(base, "feature", feature_labels(state.learnt.names, scores.n_factors), terms)


def feature_labels(names: NDArray[Any] | None, n: int, of: str = "") -> NDArray[np.str_]:
    """Return the names of features, or their numbers; ``of``: what comes before each."""
    return np.array([f"{of}{name}" for name in (range(n) if names is None else names.tolist())], dtype=str)


def named_features(side: str, names: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """Return the names of a side's features as arrays of a file."""
    return {} if names is None else {f"{side}_feature_names": names}


def stored_names(archive: Archive, side: str, n: int) -> NDArray[Any] | None:
    """Return the names of a side's features that a file holds; None where it has none."""
    name = f"{side}_feature_names"
    return archive.array(name, None, (n,)) if name in archive.arrays else None


def _dense(table: FeatureTable) -> Floats:
    matrix = table.matrix.toarray() if table.is_sparse else table.matrix
    return np.ascontiguousarray(matrix)


def _state_of(side: str, state: State, regression: RowRegression, n_iter: int, names: NDArray[Any] | None) -> State:
    """Return a state of scores and the other learnt values of regressions."""
    scores = _factors(state)
    users = scores.user_factors, scores.user_bias
    coef, bias = users if side == "user" else (scores.item_factors, scores.item_bias)
    learnt = LearntRegressions(coef, bias + np.float32(scores.global_mean), n_iter, names)
    return state.replaced(learnt=learnt, folding=RegressionFolding(side, regression))


def fitted_state(
    side: str,
    ratings: Ratings,
    backend: Backend,
    given: Any,
    regression: RowRegression,
    targets: Targets,
    n_threads: int,
    caller: str,
) -> State:
    """Solve the regressions of a side ("user" or "item") on the given features of the other, in one native call.

    Raises TypeError or ValueError if features, ratings or parameters are not as :class:`UserRegression` documents.
    """
    other = _OTHER[side]
    if targets.labels and regression.reg == 0:
        raise ValueError(f"{caller}: reg must be above 0 for cost='logistic', where weights may have no bound; got 0")
    targets.check(caller)
    table = as_feature_table(given, caller, f"{other}_features")
    ids = ratings.items if side == "user" else ratings.users
    table = table.extend(ids, caller=caller, what=f"all {other}s of the ratings")
    labels = targets.of_training(ratings, caller).values
    if side == "user":
        rows, weights = (ratings.indptr, ratings.indices, labels), ratings.weights
    else:
        columns = ratings.by_item()
        weights = None if ratings.weights is None else ratings.weights[columns.entries]
        labels = labels[columns.entries] if labels is not ratings.values else columns.values
        rows = columns.indptr, columns.indices, labels
    base = regression.base(labels, weights)
    coef, bias, n_iter = regression.solve(rows, weights, table.matrix, base, n_threads, caller)
    features, none = _dense(table), np.zeros(table.n_rows, np.float32)
    link = Sigmoid() if targets.labels else Identity()
    if side == "user":
        scores = FactorScores(coef, features, bias, none, base, link=link)
        more: dict[str, Any] = {"items": table.ids}
    else:
        scores = FactorScores(features, coef, none, bias, base, link=link)
        seen = SeenItems(ratings.indptr, ratings.indices).padded(table.n_rows)
        more = {"users": table.ids, "seen": seen}
    if targets.labels:
        more["rating_range"] = (0.0, 1.0)
    return _state_of(side, State.of(ratings, backend, scores, targets=targets, **more), regression, n_iter, table.names)


def packed(state: State) -> Packed:
    """Return the contents of a file of regressions."""
    scores = _factors(state)
    return Packed(
        factor_arrays(scores) | named_features(_OTHER[state.folding.side], state.learnt.names),  # type: ignore[attr-defined]  # its own
        {"global_mean": scores.global_mean, "n_iter": state.learnt.n_iter},
        params={**asdict(state.folding.regression), "threshold": state.targets.threshold},  # type: ignore[attr-defined]  # its own
    )


def loaded_state(side: str, archive: Archive, common: State, regression: RowRegression) -> State:
    """Return the state that a file holds."""
    scores = factors_from(archive, common, Sigmoid() if common.targets.labels else Identity())
    names = stored_names(archive, _OTHER[side], scores.n_factors)
    return _state_of(side, common.replaced(scores=scores), regression, int(archive.meta["n_iter"]), names)
