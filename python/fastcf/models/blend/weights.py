"""What a blend is made of: the scores of its members, and the weights of these."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.exceptions import NotFittedError

from fastcf.ids import IdMap, distinct
from fastcf.models._dense_scores import DenseScores, Found, Rows, Seen
from fastcf.models._gibbs import PosteriorMixin
from fastcf.models._results import SeenItems
from fastcf.models.base import FactorModel
from fastcf.models.logistic_matrix_factorization import LogisticMatrixFactorization
from fastcf.models.regression import ItemRegression, UserRegression

__all__ = ["BlendedScores", "is_linear", "pair_scores", "ridge_weights", "union_of_ids", "union_of_seen"]

_Floats = NDArray[np.float64]

# Penalties that "auto" tries, in units of the members' mean squared spread, summed over the validation ratings: from
# hardly any to so much that nothing but the plain average is left.
_PENALTIES = np.logspace(-6, 2, 33)
_ROUNDING = 1e-6  # relative, of scores in float32
_INHERITED = ("predict_matrix", "recommend", "_best", "_block", "_parameters", "_pair_rows")


# ---------------------------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------------------------


def _least_left_out(rows: _Floats, left: _Floats, leverage: _Floats) -> float:
    """Return the penalty of the least leave-one-out error of the regression of ``left`` on ``rows``.

    Leaving a row out changes its residual e to e / (1 − h), h being its leverage: what the intercept has of it,
    ``leverage``, and ``x (XᵀX + λI)⁻¹ xᵀ``. Along the eigenvectors of XᵀX a penalty costs one pass over the rows;
    ``RidgeCV`` of scikit-learn, which finds the same, takes five times as long for a million rows of 4 columns.
    """
    lengths, vectors = np.linalg.eigh(rows.T @ rows)
    lengths = np.maximum(lengths, 0)
    turned = rows @ vectors
    squares, along = turned**2, turned.T @ left
    penalties = _PENALTIES * (float(lengths.mean()) or 1.0)

    def error(penalty: float) -> float:
        shrunk = 1 / (lengths + penalty)
        kept = np.maximum(1 - leverage - squares @ shrunk, np.finfo(np.float64).tiny)
        return float((((left - turned @ (along * shrunk)) / kept) ** 2).sum())

    return float(min(penalties, key=error))


def ridge_weights(
    scores: _Floats,
    target: NDArray[np.float32],
    sample_weight: NDArray[np.float32] | None,
    reg: float | str,
    *,
    intercept: bool,
    non_negative: bool,
) -> tuple[_Floats, float, float]:
    """Return the weights of columns of scores, the intercept, and the penalty; see :class:`fastcf.Blend`."""
    n_members = scores.shape[1]
    values = target.astype(np.float64)
    sample = np.ones(values.size) if sample_weight is None else sample_weight.astype(np.float64)
    centre = np.average(scores, axis=0, weights=sample) if intercept else np.zeros(n_members)
    middle = float(np.average(values, weights=sample)) if intercept else 0.0
    # What the average leaves over is regressed on the scores: its coefficients are the weights less 1/M.
    root = np.sqrt(sample)
    rows = root[:, None] * (scores - centre)
    left = root * (values - middle) - rows.mean(axis=1)
    if isinstance(reg, str):
        reg = _least_left_out(rows, left, sample / sample.sum() if intercept else np.zeros(values.size))
    # Of several solutions the one nearest to the average is taken, so that members that are alike (as far as float32
    # tells) share their weight, also without a penalty.
    penalised = np.vstack([rows, np.sqrt(reg) * np.eye(n_members)])
    right = np.concatenate([left, np.zeros(n_members)])
    triangle: NDArray[Any] = np.asarray(np.linalg.qr(np.column_stack([penalised, right]), mode="r"))  # as good as all
    few, last = triangle[:, :-1], triangle[:, -1]
    weights = 1 / n_members + np.linalg.lstsq(few, last, rcond=_ROUNDING)[0]
    if non_negative and weights.min() < 0:
        weights, _ = nnls(few, last + few.sum(axis=1) / n_members)
    return weights, middle - float(centre @ weights), float(reg)


# ---------------------------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------------------------


def is_linear(member: FactorModel) -> bool:
    """Whether a member's scores are ``m_i + b_u + b_i + p_u·q_i``, known before they are limited to a range."""
    kind = type(member)
    if any(getattr(kind, name) is not getattr(FactorModel, name) for name in _INHERITED):
        return False
    if kind.predict not in (FactorModel.predict, PosteriorMixin.predict):
        return False
    return kind._on_scale is FactorModel._on_scale or (
        kind in (UserRegression, ItemRegression) and member.cost == "squared"
    )


def pair_scores(member: Any, X: Any, n_threads: int | None) -> _Floats:
    """Return a member's scores of pairs: of linear ones before they are limited, of models of labels probabilities."""
    if is_linear(member):
        rows = member._pair_rows(X, "predict", False)
        scores = member._native.predict_pairs(*rows, *member._parameters, n_threads=n_threads or member._threads)
    elif isinstance(member, LogisticMatrixFactorization):  # whose predictions are labels
        scores = member.predict_proba(X)
    else:
        scores = member.predict(X)
    return np.asarray(scores, np.float64)


def _stranger(ids: IdMap) -> Any:
    """Return an id that a map does not hold."""
    if ids.ids.dtype.kind == "U":
        return "?" * (ids.ids.dtype.itemsize // 4 + 1)
    return int(ids.ids.max()) + 1


def _named(ids: IdMap, rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return the ids of rows; a stranger's where the row is -1."""
    known = rows >= 0
    named = ids.ids[np.where(known, rows, 0)].astype(object)
    named[~known] = _stranger(ids)
    return named


def _block_scores(
    member: Any, users: IdMap, rows: NDArray[np.int32], items: IdMap, n_threads: int | None
) -> NDArray[np.float32]:
    """Return a member's scores of all ``items`` for rows of ``users``; row -1 is somebody unknown."""
    if is_linear(member):
        own = rows if member.users_ is users else member.users_.rows(_named(users, rows))
        block = member._native.predict_block(own, *member._parameters, n_threads=n_threads or member._threads)
    else:
        block = member.predict_matrix(_named(users, rows))
    if member.items_ is items:
        return np.asarray(block, np.float32)
    columns = member.items_.rows(items.ids)
    missing = columns < 0
    scores: NDArray[np.float32] = np.asarray(block, np.float32)[:, np.where(missing, 0, columns)]
    if missing.any():  # whatever it does not know is the same to it
        pairs = np.empty((rows.size, 2), object)
        pairs[:, 0], pairs[:, 1] = _named(users, rows), _stranger(member.items_)
        scores[:, missing] = pair_scores(member, pairs, n_threads)[:, None]
    return scores


def _joint_items(
    members: Iterable[tuple[Any, float]], items: IdMap
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Return the item side of weighted linear members as that of one factor model.

    Returns
    -------
    tuple of ndarray of shape (n_items, K), ndarray of shape (n_items,) and float
        The members' factors side by side; the weighted sum of their biases and item means; that of the means of those
        without item means.
    """
    blocks = []
    bias = np.zeros(len(items))
    mean = 0.0
    for member, weight in members:
        rows = None if member.items_ is items else member.items_.rows(items.ids)
        factors, own = member.item_factors_, member.item_bias_.astype(np.float64)
        if member.item_mean_ is not None:
            own = own + member.item_mean_
        unknown = 0.0 if member.item_mean_ is None else member.global_mean_
        if rows is not None:
            missing = rows < 0
            factors = factors[np.where(missing, 0, rows)]
            factors[missing] = 0
            own = np.where(missing, unknown, own[np.where(missing, 0, rows)])
        blocks.append(factors)
        bias += weight * own
        mean += weight * member.global_mean_ if member.item_mean_ is None else 0.0
    return np.ascontiguousarray(np.concatenate(blocks, axis=1)), bias.astype(np.float32), mean


def _joint_users(
    members: Iterable[tuple[Any, float]], users: IdMap, rows: NDArray[np.int32]
) -> tuple[NDArray[np.float32], _Floats]:
    """Return the user side likewise, for rows of ``users``: factors times weights, and biases."""
    blocks = []
    bias = np.zeros(rows.size)
    for member, weight in members:
        own = rows if member.users_ is users else member.users_.rows(_named(users, rows))
        known, safe = own >= 0, np.where(own >= 0, own, 0)
        blocks.append(np.where(known[:, None], member.user_factors_[safe] * np.float32(weight), np.float32(0)))
        bias += np.where(known, weight * member.user_bias_[safe].astype(np.float64), 0.0)
    return np.ascontiguousarray(np.concatenate(blocks, axis=1)), bias


# ---------------------------------------------------------------------------------------------------------------
# Ids
# ---------------------------------------------------------------------------------------------------------------


def union_of_ids(members: Mapping[str, Any], attribute: str, caller: str) -> IdMap:
    """Return the map of all ids that members know; it is the first member's where all agree."""
    maps: list[IdMap] = [getattr(member, attribute) for member in members.values()]
    first = maps[0]
    if all(each == first for each in maps):
        return first
    text = [each.ids.dtype.kind == "U" for each in maps]
    if any(text) and not all(text):
        names = list(members)
        raise ValueError(
            f"{caller}: members must have ids of one kind in {attribute}; got strings in {names[text.index(True)]!r} "
            f"and integers in {names[text.index(False)]!r}"
        )
    ids = np.concatenate([each.ids if all(text) else each.ids.astype(object) for each in maps])
    return distinct(ids) if all(text) else IdMap(np.unique(ids))


def union_of_seen(parts: Iterable[tuple[IdMap, IdMap, SeenItems]], users: IdMap, items: IdMap) -> SeenItems:
    """Return who has seen what by any of the parts, in the rows of ``users`` and ``items``; others are left out."""

    def pairs() -> Iterator[NDArray[np.int32]]:
        for own_users, own_items, seen in parts:
            user_rows = np.repeat(users.rows(own_users.ids), np.diff(seen.indptr))
            item_rows = items.rows(own_items.ids)[seen.indices]
            yield np.stack([user_rows, item_rows])[:, (user_rows >= 0) & (item_rows >= 0)]

    rows, columns = np.concatenate(list(pairs()), axis=1)
    matrix = scipy.sparse.csr_matrix((np.ones(rows.size, bool), (rows, columns)), (len(users), len(items)))
    matrix.sum_duplicates()
    return SeenItems(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))


# ---------------------------------------------------------------------------------------------------------------
# Prediction
# ---------------------------------------------------------------------------------------------------------------


class BlendedScores(DenseScores):
    """Adds predictions and rankings by the weighted scores of ``models_``."""

    models_: dict[str, Any]
    weights_: _Floats
    intercept_: float
    _joint: tuple[list[Any], list[Any], tuple[NDArray[np.float32], NDArray[np.float32], float]] | None

    def _require_fitted(self, method: str) -> None:
        if not hasattr(self, "weights_"):
            raise NotFittedError(f"Blend.{method}: the model must be fitted first; call fit")

    def _weighted(self) -> Iterator[tuple[Any, float]]:
        """Return the members that have a weight, and it."""
        for member, weight in zip(self.models_.values(), self.weights_.tolist(), strict=True):
            if weight != 0:
                yield member, weight

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict ratings of pairs.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        strict : bool, default False
            Whether ids that no member knows are an error. Otherwise each member predicts what it can of them.

        Returns
        -------
        ndarray of shape (n,), float32
            Within the range of the training ratings. The same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``X`` does not have two columns, or ``strict`` and an id is unknown.
        """
        self._require_fitted("predict")
        users, _ = self._pair_rows(X, "predict", strict)
        total = np.full(users.size, self.intercept_)
        if users.size:
            for member, weight in self._weighted():
                total += weight * pair_scores(member, X, self.n_threads)
        return self._on_scale(total.astype(np.float32))

    def _pair_scores(self, users: Rows, items: Rows) -> NDArray[np.float32]:
        total = np.full(users.size, self.intercept_)
        pairs: Any = None
        for member, weight in self._weighted():
            if is_linear(member) and member.users_ is self.users_ and member.items_ is self.items_:
                total += weight * member._pair_scores(users, items).astype(np.float64)
                continue
            if pairs is None:
                pairs = np.stack([_named(self.users_, users), _named(self.items_, items)], axis=1)
            total += weight * pair_scores(member, pairs, self.n_threads)
        return total.astype(np.float32)

    def _block(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        scores = np.empty((rows.size, len(self.items_)), np.float32)
        for batch in self._batches(rows.size, len(self.items_)):
            total = np.full(scores[batch].shape, self.intercept_)
            for member, weight in self._weighted():
                block = _block_scores(member, self.users_, rows[batch], self.items_, self.n_threads)
                total += np.multiply(block, weight, dtype=np.float64)
            scores[batch] = total
        return scores

    def _best(
        self, rows: Rows, n: int, seen: Seen, candidates: Rows | None, excluded: Rows | None, storage: str = "float32"
    ) -> Found:
        members = [member for member, _ in self._weighted()]
        if not members or not all(map(is_linear, members)):
            return super()._best(rows, n, seen, candidates, excluded)
        pick = functools.partial(self._best_of_joint, storage=storage)
        width = sum(member.item_factors_.shape[1] for member in members)
        return self._best_by(pick, width, rows, n, seen, candidates, excluded)

    def _best_of_joint(
        self, rows: Rows, n: int, seen: Seen, candidates: Rows | None, excluded: Rows | None, storage: str
    ) -> Found:
        """Search a batch of users natively, in the one factor model that linear members amount to."""
        factors, item_score, mean = self._joined_items()
        queries, bias = _joint_users(self._weighted(), self.users_, rows)
        limits = {"candidates": candidates, "excluded": excluded, "storage": storage, "n_threads": self._threads}
        items, scores = self._native.topk(queries, factors, item_score, n, *seen, **limits)
        return items, scores + (bias + (self.intercept_ + mean)).astype(np.float32)[:, None]

    def _joined_items(self) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Return the item side of linear members, made on first use; again where a member has learnt since."""
        learnt = [array for member, _ in self._weighted() for array in (member.item_factors_, member.item_bias_)]
        key = [*map(id, learnt), *self.weights_.tolist()]
        if self._joint is None or self._joint[0] != key:
            self._joint = key, learnt, _joint_items(self._weighted(), self.items_)  # who is kept keeps its id
        return self._joint[2]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: None if name == "_joint" else value for name, value in state.items()}
