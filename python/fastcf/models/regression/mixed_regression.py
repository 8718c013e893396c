"""Regression with effects of all, of single users and of single items, on known features of either side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import Backend
from fastcf._parameters import Constraint, Interval, OneOf
from fastcf.ids import extended
from fastcf.models.bias import Explained, fit_explained_biases
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.regression.deviations import Residuals, chosen_penalty, shrunk_biases, solved
from fastcf.models.regression.rows import feature_labels, named_features, stored_names
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings
from fastcf.scores import Breakdown, Compute, FactorScores, Folding, SeenItems, State
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.serialization import Archive, register

__all__ = ["MixedRegression"]

Floats = NDArray[np.float32]
_SIDES = ("user", "item")
_MOST_FEATURES = 1000  # that have slopes by default: these are dense, one for each row and feature


@dataclass(frozen=True, eq=False)
class Effects:
    """What users (or items) have in a mixed regression."""

    common: Explained  # what their features explain of their biases
    explained: Floats  # the same, by row of the model
    reg: float  # penalty of a row's own bias
    slope_reg: float  # penalty of its slopes of the other side's features; 0: there are none
    names: NDArray[Any] | None = None  # of the side's own features

    @property
    def n_features(self) -> int:
        """Number of the side's own features."""
        return self.common.weights.size


@dataclass(frozen=True, eq=False)
class LearntEffects:
    """The learnt values of :class:`MixedRegression` other than factors and biases."""

    shown: ClassVar[tuple[str, ...]] = (
        "user_weights", "item_weights", "user_reg", "item_reg", "user_slope_reg", "item_slope_reg",
    )  # fmt: skip

    user: Effects
    item: Effects

    user_weights = property(lambda self: self.user.common.weights)
    item_weights = property(lambda self: self.item.common.weights)
    user_reg = property(lambda self: self.user.reg)
    item_reg = property(lambda self: self.item.reg)
    user_slope_reg = property(lambda self: self.user.slope_reg)
    item_slope_reg = property(lambda self: self.item.slope_reg)

    def of(self, side: str) -> Effects:
        """Return those of a side."""
        return self.user if side == "user" else self.item

    def n_slopes(self, side: str) -> int:
        """Return how many slopes a row of a side has, in its factors; the other side's factors have the features."""
        return 0 if self.of(side).slope_reg == 0 else self.of(_other(side)).n_features

    def new_rows(self, side: str, matrix: Any) -> tuple[Floats, Floats]:
        """Return factors and biases of users (items) with these features and no ratings."""
        slopes = np.zeros((matrix.shape[0], self.n_slopes(side)), np.float32)
        features = dense(matrix) if self.n_slopes(_other(side)) > 0 else slopes[:, :0]
        return _joined(side, slopes, features), self.of(side).common.of(matrix)


def _other(side: str) -> str:
    return "item" if side == "user" else "user"


def _parts(scores: FactorScores, learnt: LearntEffects, side: str) -> tuple[Floats, Floats]:
    """Return the slopes of a side's rows and their own features: users' factors begin with slopes, items' end so.

    Features are among the factors where the other side has slopes.
    """
    n = learnt.n_slopes("user")
    if side == "user":
        return scores.user_factors[:, :n], scores.user_factors[:, n:]
    return scores.item_factors[:, n:], scores.item_factors[:, :n]


def _joined(side: str, slopes: Floats, features: Floats) -> Floats:
    return np.ascontiguousarray(np.hstack([slopes, features] if side == "user" else [features, slopes]))


def _slopes_and_features(
    scores: FactorScores, learnt: LearntEffects, side: str, user: int, items: Rows
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the features of a side of pairs of a user with items, and the other side's slopes of them, (m, n)."""
    of_items = scores.item_vectors_of(items)
    of_user = scores.user_factors[user].astype(np.float64) if user >= 0 else np.zeros(scores.n_factors)
    n = learnt.n_slopes("user")
    of_users = np.broadcast_to(of_user, of_items.shape)
    return (of_users[:, :n], of_items[:, :n]) if side == "item" else (of_items[:, n:], of_users[:, n:])


class MixedFolding(Folding):
    """Biases and slopes of new rows from their ratings; new rows by features have the common effects."""

    rated_sides = _SIDES

    def __init__(self, featured: tuple[str, ...]) -> None:
        self.featured_sides = featured

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows given what all have in common, as ``fit`` does."""
        scores, learnt, side = state.scores.as_factors(), state.learnt, rated.by
        assert scores is not None
        effects, other = learnt.of(side), _other(side)
        ids = state.users if side == "user" else state.items
        rows = np.full(len(rated.ids), -1) if rated.strangers else ids.find(rated.ids, caller)
        known = rows >= 0
        features = np.where(known[:, None], _parts(scores, learnt, side)[1][rows], np.float32(0))
        explained = np.where(known, effects.explained[rows], np.float32(0))
        left = rated.values - np.float32(scores.global_mean) - learnt.of(other).explained[rated.columns]
        left -= np.repeat(explained, np.diff(rated.indptr))
        if side == "item":  # their ratings are what users' own effects leave
            slopes = _parts(scores, learnt, "user")[0]
            own = scores.user_bias - learnt.user.explained
            owner = np.repeat(np.arange(len(rated.ids)), np.diff(rated.indptr))
            left -= own[rated.columns] + np.einsum("ek,ek->e", slopes[rated.columns], features[owner])
        residuals = Residuals(rated.indptr, rated.columns, left.astype(np.float32), rated.weights)
        given = _parts(scores, learnt, other)[1]
        if given.shape[1] == 0:
            slopes, bias = np.empty((len(rated.ids), 0), np.float32), shrunk_biases(residuals, effects.reg)
        else:
            slopes, bias = solved(residuals, given, effects.slope_reg, effects.reg, compute.n_threads, caller)
        changed = {f"{side}_factors": _joined(side, slopes, features), f"{side}_bias": explained + bias}
        learnt = replace(learnt, **{side: replace(effects, explained=explained)})
        return state.replaced(scores=scores.replaced(**changed), learnt=learnt)

    def fold_features(self, state: State, features: Mapping[str, FeatureTable], compute: Compute, caller: str) -> State:
        """Append the rows of tables; known rows get new features and keep their own effects."""
        for side, table in features.items():
            state = self._with_table(state, side, table, f"{caller}: {side}_features")
        return state

    def unexplained(self, state: State) -> str:
        """Return nothing: a score is a sum over features."""
        return ""

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what each feature of an item, and of the user, adds to the scores of a user row.

        A feature counts for all alike and by the slope of the other side. Features of a side without slopes are not
        among the factors: they are one constant.
        """
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        base = scores.constants(user, items)
        labels, terms = [], []
        for side, rows in (("item", items), ("user", np.full(items.size, user, np.int32))):
            effects, known = learnt.of(side), rows >= 0
            explained = np.where(known, effects.explained[rows].astype(np.float64), 0.0)
            base[f"{side} bias"] = base.get(f"{side} bias", 0.0) - explained
            slopes, features = _slopes_and_features(scores, learnt, side, user, items)
            if features.shape[1] == 0:
                base[f"{side} features"] = explained
                continue
            common = effects.common.weights.astype(np.float64)
            terms.append(((common + slopes) * features).T)
            labels.append(feature_labels(effects.names, features.shape[1], f"{side} "))
            base["mean"] = base.get("mean", 0.0) + explained - features @ common  # around the mean of the ratings
        none = np.empty(0, str), np.empty((0, items.size))
        ids, values = (np.concatenate(each) for each in (labels, terms)) if terms else none
        return Breakdown(base, "feature", ids, values)

    @staticmethod
    def _with_table(state: State, side: str, table: FeatureTable, where: str) -> State:
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        effects = learnt.of(side)
        if table.n_features != effects.n_features:
            raise ValueError(f"{where} must have {effects.n_features} features; got {table.n_features}")
        ids = extended(state.users if side == "user" else state.items, table.ids, where)
        rows = ids.rows(table.ids)

        def longer(array: Floats) -> Floats:
            return np.concatenate([array, np.zeros((len(ids) - len(array), *array.shape[1:]), np.float32)])

        slopes, known = map(longer, _parts(scores, learnt, side))
        bias = longer(scores.user_bias if side == "user" else scores.item_bias)
        explained = longer(effects.explained)
        bias -= explained
        explained[rows] = effects.common.of(table.matrix)
        if known.shape[1] > 0:
            known[rows] = dense(table.matrix)
        changed = {f"{side}_factors": _joined(side, slopes, known), f"{side}_bias": bias + explained}
        learnt = replace(learnt, **{side: replace(effects, explained=explained)})
        more: dict[str, Any] = {"items": ids}
        if side == "user":
            more = {"users": ids, "seen": None if state.seen is None else state.seen.padded(len(ids))}
        return state.replaced(scores=scores.replaced(**changed), learnt=learnt, **more)


def dense(matrix: Any) -> Floats:
    """Return a matrix of features as an array."""
    return np.ascontiguousarray(matrix.toarray() if scipy.sparse.issparse(matrix) else matrix)


@register
@dataclass(eq=False, repr=False)
class MixedRegression(Estimator):
    r"""Regression on known features with effects of all, of single users and of single items.

    ``ŷ_ui = μ + α·x_u + β·x_i + (a_u + θ_u·x_i) + (b_i + φ_i·x_u)``: the features of users and items explain a part of
    their ratings for all alike (α, β); a user deviates from that by a bias a_u and slopes θ_u, an item by b_i and φ_i.
    Deviations are shrunk to 0, so that users with few ratings are predicted like all, and those with many by their own
    taste. New users and items have the common effects.

    Minimises, one after the other, weighted squared errors of the ratings plus

    - α, β: penalties by which features may explain as much of users' (items') biases as they leave. Rows count by the
      ratings that they are worth given that these share a bias: generalised least squares;
    - users: ``user_reg Σ a_u² + user_slope_reg Σ ‖θ_u‖²``;
    - items, of what is then left: ``item_reg Σ b_i² + item_slope_reg Σ ‖φ_i‖²``.

    Users come before items, because a user who chooses good items will do so among new ones: fitted together, the
    items' biases would take that from the users'.

    Parameters
    ----------
    user_reg, item_reg : float or "auto", default "auto"
        Penalties of a_u and b_i, in ratings; at least 0. "auto": as :class:`BiasModel` estimates them.
    user_slope_reg, item_slope_reg : float or "auto", default "auto"
        Penalties of θ_u and φ_i, above 0. "auto": those that best predict a fifth of the items (users) from the
        others, of ten values from slopes that explain next to nothing on; with more than 1,000 features there are no
        slopes. A slope penalty must be "auto" where the other side has no features.
    n_threads, device
        As for :class:`MatrixFactorization`.

    Attributes
    ----------
    global_mean_ : float
        μ: the expected rating of an average user and item.
    user_weights_, item_weights_ : ndarray of shape (n_features,), float32
        α and β; of length 0 for a side without features.
    user_factors_ : ndarray of shape (n_users, n_item_features + n_user_features), float32
        θ_u, then x_u, where there are slopes of them.
    item_factors_ : ndarray of shape (n_items, n_item_features + n_user_features), float32
        x_i, then φ_i, where there are slopes.
    user_bias_, item_bias_ : ndarray of float32
        α·x_u + a_u and β·x_i + b_i, around their means over the ratings.
    user_reg_, item_reg_, user_slope_reg_, item_slope_reg_ : float
        The penalties used; 0 for slopes that there are not.
    users_, items_, seen_, rating_range_, device_
        As for every model; users and items of the ratings are followed by the others of the feature tables.

    See Also
    --------
    UserRegression : A regression for each user alone; also for labels.
    TwoTower : Where effects of features interact or are not linear.

    Notes
    -----
    An unknown user or item, one without features, has the mean. New rows: ``fold_in(X)`` and ``history=`` of a query
    solve a row's own effects; ``fold_in(user_features=, item_features=)`` appends rows with the common effects. Known
    rows keep their own effects.

    Features need no common scale for α and β; slopes have one penalty, so bring features to comparable scales, or keep
    them 0 and 1. Slopes need dense features, 4 bytes per item and feature. The result has the same bits for any
    number of threads; nothing is random (what is held out is drawn by a fixed seed).

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley, 1992. A. Gelman and J. Hill, "Data
    Analysis Using Regression and Multilevel/Hierarchical Models", Cambridge University Press, 2007, chapters 12 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> import fastcf
    >>> ratings, truth = fastcf.data.make_ratings(200, 100, 5_000, random_state=0, return_truth=True)
    >>> films = fastcf.FeatureTable(range(100), truth.item_factors)
    >>> known, new = (ratings.take(np.flatnonzero(rows)) for rows in (ratings.indices >= 10, ratings.indices < 10))
    >>> model = fastcf.MixedRegression().fit(known, item_features=films)
    >>> bool(model.score(new) > fastcf.BiasModel().fit(known).score(new))
    True
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "user_reg": (Interval(0), OneOf(("auto",))),
        "item_reg": (Interval(0), OneOf(("auto",))),
        "user_slope_reg": (Interval(0, open_low=True), OneOf(("auto",))),
        "item_slope_reg": (Interval(0, open_low=True), OneOf(("auto",))),
        **Estimator._constraints,
    }

    _: KW_ONLY
    user_reg: float | str = "auto"
    item_reg: float | str = "auto"
    user_slope_reg: float | str = "auto"
    item_slope_reg: float | str = "auto"
    n_threads: int | None = None
    device: str = "auto"

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
    ) -> MixedRegression:
        """Learn all effects.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Features of all users (items) of the ratings, and of as many others as are to be predicted, dense or sparse;
            of at least one side.

        Returns
        -------
        MixedRegression
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, a parameter would be ignored, or features are missing.
        DeviceError
            If ``device="cuda"`` cannot be used.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        if user_features is None and item_features is None:
            raise ValueError(f"{caller}: user_features or item_features must be given; got None (or take BiasModel)")
        if item_features is None:
            self._refuse_ignored(("user_slope_reg",), "without item_features")
        if user_features is None:
            self._refuse_ignored(("item_slope_reg",), "without user_features")
        users = _table(ratings, "user", user_features, caller)
        items = _table(ratings, "item", item_features, caller)
        self._swap(self._state_of(ratings, users, items, backend))
        return self

    def _state_of(self, ratings: Ratings, users: FeatureTable, items: FeatureTable, backend: Backend) -> State:
        compute = Compute(backend.module, self._threads)
        matrices = users.matrix[: ratings.n_users], items.matrix[: ratings.n_items]
        biases = fit_explained_biases(
            ratings, *matrices, backend, user_reg=self.user_reg, item_reg=self.item_reg, n_threads=self._threads
        )
        user_explained, item_explained = biases.users.of(users.matrix), biases.items.of(items.matrix)
        row, column = ratings.row_of_entry(), ratings.indices
        left = ratings.values - np.float32(biases.mean) - user_explained[row] - item_explained[column]
        residuals = Residuals(ratings.indptr, column, left, ratings.weights)
        slopes, bias, user_slope_reg = self._deviations(residuals, matrices[1], biases.user_reg, "user", compute)
        item_matrix = dense(items.matrix) if user_slope_reg > 0 else np.empty((items.n_rows, 0), np.float32)
        none = np.zeros(ratings.n_items, np.float32)
        own = FactorScores(slopes, item_matrix[: ratings.n_items], bias, none, 0.0)
        left = left - own.pairs(row, column, compute)
        view = ratings.by_item()
        weights = None if ratings.weights is None else ratings.weights[view.entries]
        residuals = Residuals(view.indptr, view.indices, left[view.entries], weights)
        item_slopes, item_bias, item_slope_reg = self._deviations(
            residuals, matrices[0], biases.item_reg, "item", compute
        )

        user_matrix = dense(users.matrix) if item_slope_reg > 0 else np.empty((users.n_rows, 0), np.float32)

        def padded(array: Floats, n: int) -> Floats:
            return np.concatenate([array, np.zeros((n - len(array), *array.shape[1:]), np.float32)])

        scores = FactorScores(
            _joined("user", padded(slopes, users.n_rows), user_matrix),
            _joined("item", padded(item_slopes, items.n_rows), item_matrix),
            user_explained + padded(bias, users.n_rows),
            item_explained + padded(item_bias, items.n_rows),
            biases.mean,
        )
        learnt = LearntEffects(
            Effects(biases.users, user_explained, biases.user_reg, user_slope_reg, users.names),
            Effects(biases.items, item_explained, biases.item_reg, item_slope_reg, items.names),
        )
        seen = SeenItems(ratings.indptr, ratings.indices).padded(users.n_rows)
        folding = _folding(learnt)
        return State.of(
            ratings, backend, scores, users=users.ids, items=items.ids, seen=seen, learnt=learnt, folding=folding
        )

    def _deviations(
        self, residuals: Residuals, features: Any, reg: float, side: str, compute: Compute
    ) -> tuple[Floats, Floats, float]:
        """Return slopes, biases and the penalty of slopes of one side's rows."""
        given = getattr(self, f"{side}_slope_reg")
        automatic = isinstance(given, str)
        if features.shape[1] == 0 or (automatic and features.shape[1] > _MOST_FEATURES):
            biases = shrunk_biases(residuals, reg)
            return np.empty((biases.size, 0), np.float32), biases, 0.0
        penalty = chosen_penalty(residuals, features, reg, compute, self._caller) if automatic else float(given)
        return *solved(residuals, features, penalty, reg, compute.n_threads, self._caller), penalty

    def _pack(self, state: State) -> Packed:
        scores = state.scores.as_factors()
        assert scores is not None
        arrays, meta = factor_arrays(scores), {"global_mean": scores.global_mean}
        for side in _SIDES:
            effects = state.learnt.of(side)
            arrays |= {f"{side}_weights": effects.common.weights, f"{side}_explained": effects.explained}
            arrays |= named_features(side, effects.names)
            meta |= {
                f"{side}_centre": effects.common.centre,
                f"{side}_bias_reg": effects.reg,
                f"{side}_slope_penalty": effects.slope_reg,
            }
        return Packed(arrays, meta)

    def _unpack(self, archive: Archive, common: State) -> State:
        scores = factors_from(archive, common)
        effects = []
        for side, n in zip(_SIDES, (len(common.users), len(common.items)), strict=True):
            centre, reg, slope_reg = (
                float(archive.meta[f"{side}_{name}"]) for name in ("centre", "bias_reg", "slope_penalty")
            )
            if not (np.isfinite(centre) and reg >= 0 and slope_reg >= 0):
                raise ValueError(f"{side}s: centre {centre}, penalties {reg} and {slope_reg}")
            weights = archive.array(f"{side}_weights", np.float32, (None,))
            explained = archive.array(f"{side}_explained", np.float32, (n,))
            names = stored_names(archive, side, weights.size)
            effects.append(Effects(Explained(weights, centre), explained, reg, slope_reg, names))
        learnt = LearntEffects(effects[0], effects[1])
        n_features = learnt.n_slopes("user") + learnt.n_slopes("item")
        if scores.user_factors.shape[1] != n_features:
            raise ValueError(f"{n_features} slopes for {scores.user_factors.shape[1]} factors")
        return common.replaced(scores=scores, learnt=learnt, folding=_folding(learnt))


def _folding(learnt: LearntEffects) -> MixedFolding:
    return MixedFolding(tuple(side for side in _SIDES if learnt.of(side).n_features > 0))


def _table(ratings: Ratings, side: str, given: Any, caller: str) -> FeatureTable:
    """Return the features of the ratings' users (items), then of others; of no columns where none are given."""
    ids = ratings.users if side == "user" else ratings.items
    if given is None:
        return FeatureTable(ids, np.empty((len(ids), 0), np.float32))
    table = as_feature_table(given, caller, f"{side}_features")
    return table.extend(ids, caller=caller, what=f"all {side}s of the ratings")
