"""What all factor models share: validation, prediction, recommendation, neighbours, saving."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from fastcf._backend import Backend, ingest, resolve_device
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.metrics import rmse
from fastcf.models._parameters import Constraint, DeviceName, Interval, Nothing, validate_parameters
from fastcf.models._residency import ResidencyMixin
from fastcf.models._results import Neighbours, Recommendations, SeenItems, ids_of, one, padded, positive
from fastcf.models._sklearn import PairRegressor
from fastcf.optimizers import Optimizer
from fastcf.ratings import Ratings, as_ratings
from fastcf.serialization import Archive, save

__all__ = ["FactorModel", "Neighbours", "Recommendations", "SeenItems", "SimilarityMixin"]

Metric = Literal["cosine", "euclidean", "dot"]


_Rows = NDArray[np.int32]
_Model = TypeVar("_Model", bound="FactorModel")


class FactorModel(ResidencyMixin, PairRegressor):
    """Base of the models ``m_i + b_u + b_i + p_u·q_i``. Not to be used by itself.

    A fitted model holds ``users_`` and ``items_`` (:class:`IdMap`), ``user_factors_``, ``item_factors_``,
    ``user_bias_``, ``item_bias_``, ``global_mean_``, ``item_mean_`` (or None), ``rating_range_``, ``device_`` and,
    to leave out what users have rated, ``seen_`` (:class:`SeenItems` or None).
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "n_threads": (Interval(1, 1024, integer=True), Nothing()),
        "device": (DeviceName(),),
    }

    n_threads: int | None
    device: str
    users_: IdMap
    items_: IdMap
    user_factors_: NDArray[np.float32]
    item_factors_: NDArray[np.float32]
    user_bias_: NDArray[np.float32]
    item_bias_: NDArray[np.float32]
    global_mean_: float
    item_mean_: NDArray[np.float32] | None
    rating_range_: tuple[float, float]
    seen_: SeenItems | None
    device_: str

    # -------------------------------------------------------------------------------------------------------
    # For subclasses
    # -------------------------------------------------------------------------------------------------------

    def _begin_fit(self, X: Any, y: ArrayLike | None) -> tuple[Ratings, Backend]:
        """Check parameters, device and ratings; nothing of the model changes before all is known to be good."""
        caller = f"{type(self).__name__}.fit"
        validate_parameters(self._constraints, self.get_params(deep=False), caller)
        backend = resolve_device(self.device, caller)
        ratings = as_ratings(X, y, caller=caller)
        if ratings.weights is not None and not ratings.weights.any():
            raise ValueError(f"{caller}: weights must not all be zero; got {ratings.nnz} zeros")
        return ratings, backend

    def _validation_ratings(self, validation: Any) -> Ratings:
        caller = f"{type(self).__name__}.fit: validation"
        if not isinstance(validation, tuple):
            return as_ratings(validation, caller=caller)
        if len(validation) != 2:
            raise ValueError(f"{caller} must be ratings or a pair (X, y); got a tuple of {len(validation)}")
        return as_ratings(*validation, caller=caller)

    def _remember(self, ratings: Ratings, backend: Backend) -> None:
        """Take over the ratings' ids, range and structure."""
        self.users_, self.items_ = ratings.users, ratings.items
        self.rating_range_ = ratings.rating_range
        self.device_ = backend.device
        self.seen_ = SeenItems(ratings.indptr, ratings.indices)

    @property
    def _threads(self) -> int:
        return self.n_threads or 0

    @property
    def _native(self) -> Any:
        return resolve_device(self.device_, type(self).__name__).module

    def _require_fitted(self, method: str) -> None:
        if not hasattr(self, "user_factors_"):
            raise NotFittedError(f"{type(self).__name__}.{method}: the model must be fitted first; call fit")

    # -------------------------------------------------------------------------------------------------------
    # Prediction
    # -------------------------------------------------------------------------------------------------------

    def _on_scale(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn what the native predictors return into predictions, in place."""
        np.clip(predicted, *self.rating_range_, out=predicted)
        return predicted

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict ratings of pairs.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        strict : bool, default False
            Whether unknown ids are an error. Otherwise an unknown user has no bias and no factors, and so has an
            unknown item, whose mean is the global one: what is known of the other side still counts.

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
        return self._on_scale(self._pair_scores(*self._pair_rows(X, "predict", strict)))

    def _pair_scores(self, users: _Rows, items: _Rows) -> NDArray[np.float32]:
        """Return scores of pairs of rows, before they are predictions and in their order; row -1 is unknown."""
        scores: NDArray[np.float32] = self._native.predict_pairs(
            users, items, *self._parameters, n_threads=self._threads
        )
        return scores

    def predict_matrix(self, users: ArrayLike | None = None, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict the ratings of all items, in the order of ``items_.ids``.

        Parameters
        ----------
        users : array-like of shape (m,), optional
            User ids; by default all, in the order of ``users_.ids``.
        strict : bool, default False
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, n_items), float32
            4 bytes per entry: ask for users in batches where there are many.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`predict`.
        """
        self._require_fitted("predict_matrix")
        if users is None:
            rows = np.arange(len(self.users_), dtype=np.int32)
        else:
            rows = self._rows(self.users_, users, "user", "predict_matrix", strict)
        return self._on_scale(self._block(rows))

    def _block(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return scores of all items for user rows, before they are predictions; row -1 is somebody unknown."""
        scores: NDArray[np.float32] = self._native.predict_block(rows, *self._parameters, n_threads=self._threads)
        return scores

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return minus the root mean squared error, so that larger is better, as scikit-learn's searches expect.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``.

        Returns
        -------
        float
        """
        ratings = as_ratings(X, y, caller=f"{type(self).__name__}.score")
        return -rmse(ratings.values, self.predict(ratings), sample_weight=ratings.weights)

    @property
    def _parameters(self) -> tuple[Any, ...]:
        """What the native predictors take after the rows."""
        biases = self.user_bias_, self.item_bias_
        return self.user_factors_, self.item_factors_, *biases, self.item_mean_, self.global_mean_

    # -------------------------------------------------------------------------------------------------------
    # Recommendation
    # -------------------------------------------------------------------------------------------------------

    def recommend(
        self,
        users: Any,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        strict: bool = False,
        storage: Literal["float32", "float16"] = "float32",
    ) -> Recommendations:
        """Return the ``n`` items with the highest predicted rating for each user.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several. Users unknown to the model get what is best by the items' means and biases.
        n : int, default 10
            How many; at least 1.
        exclude_seen : bool, default True
            Whether to leave out what the user rated in training.
        candidates : array-like, optional
            Item ids to choose from; by default all. Unknown ones cannot be scored and are left out.
        exclude : array-like, optional
            Item ids that nobody gets.
        strict : bool, default False
            Whether unknown user, candidate or excluded ids are an error.
        storage : {"float32", "float16"}, default "float32"
            "float16" rounds factors to half precision before they are multiplied: for large catalogues on a GPU, which
            then has half the bytes to read. Arithmetic is float32. A CPU only loses by it.

        Returns
        -------
        Recommendations
            Ids and scores. Exact, up to ``storage``; ties are broken by the order of ``items_.ids``; ranked before
            predictions are limited to the range of the training ratings. The same for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``n`` is less than 1, if ``storage`` is neither of the two, if seen items are to be left out but were not
            saved with the model, or ``strict`` and an id is unknown.
        """
        caller = f"{type(self).__name__}.recommend"
        self._require_fitted("recommend")
        n = positive(n, caller)
        if storage not in ("float32", "float16"):
            raise ValueError(f"{caller}: storage must be 'float32' or 'float16'; got {storage!r}")
        single = np.ndim(users) == 0
        rows = self._rows(self.users_, one(users) if single else users, "user", "recommend", strict)
        items, scores = self._best(
            rows,
            min(n, len(self.items_)),
            self._seen_rows(rows, caller) if exclude_seen else (None, None),
            self._item_rows(candidates, "candidates", strict),
            self._item_rows(exclude, "exclude", strict),
            storage,
        )
        ids, scores = padded(ids_of(self.items_, items), scores, n, -np.inf)
        return Recommendations(ids[0], scores[0]) if single else Recommendations(ids, scores)

    def _best(
        self, rows: _Rows, n: int, seen: Any, candidates: _Rows | None, excluded: _Rows | None, storage: str = "float32"
    ) -> tuple[_Rows, NDArray[np.float32]]:
        """Return the best item rows of user rows, and their predictions; -1 and -inf where too few remain."""
        known = rows >= 0
        queries = self.user_factors_[np.where(known, rows, 0)]
        queries[~known] = 0
        item_score = self.item_bias_ if self.item_mean_ is None else self.item_bias_ + self.item_mean_
        limits = {"candidates": candidates, "excluded": excluded, "storage": storage, "n_threads": self._threads}
        items, scores = self._native.topk(queries, self._item_table, item_score, n, *seen, **limits)
        base = np.where(known, self.user_bias_[np.where(known, rows, 0)], np.float32(0))
        if self.item_mean_ is None:
            base = base + np.float32(self.global_mean_)
        scores = self._on_scale(scores + base[:, None])
        scores[items < 0] = -np.inf
        return items, scores

    def _seen_rows(self, rows: NDArray[np.int32], caller: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the training items of each of ``rows`` as CSR; unknown users have none."""
        if self.seen_ is None:
            raise ValueError(
                f"{caller}: exclude_seen must be False for a model saved without what users have seen; got True"
            )
        return self.seen_.of(rows)

    def _item_rows(self, ids: ArrayLike | None, name: str, strict: bool) -> NDArray[np.int32] | None:
        if ids is None:
            return None
        rows = self._rows(self.items_, ids, f"item (in {name})", "recommend", strict)
        return np.unique(rows[rows >= 0])

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, include_seen: bool = True) -> None:
        """Write the fitted model to one file, atomically; :func:`fastcf.load` reads it back.

        Parameters
        ----------
        path : path-like
            Where to; an existing file is replaced.
        include_seen : bool, default True
            Whether to keep who rated what in training (4 bytes per rating). Without it the loaded model cannot leave
            out seen items.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError
            If a constructor parameter cannot be stored (a random generator, for example).
        OSError
            If the file cannot be written; an existing one is left as it was.
        """
        self._require_fitted("save")
        kept = self.seen_
        try:
            if not include_seen:
                self.seen_ = None
            save(self, path)
        finally:
            self.seen_ = kept

    _state: ClassVar[tuple[str, ...]] = ("global_mean_", "rating_range_")

    def _to_archive(self) -> Archive:
        arrays: dict[str, NDArray[Any]] = {
            "user_ids": self.users_.ids,
            "item_ids": self.items_.ids,
            "user_factors": self.user_factors_,
            "item_factors": self.item_factors_,
            "user_bias": self.user_bias_,
            "item_bias": self.item_bias_,
        }
        if self.item_mean_ is not None:
            arrays["item_mean"] = self.item_mean_
        return self._archive_of(arrays)

    def _archive_of(self, arrays: dict[str, NDArray[Any]], **changed: Any) -> Archive:
        """Return arrays with what users have seen, what is remembered, and the parameters, some of them changed."""
        if self.seen_ is not None:
            arrays["seen_indptr"], arrays["seen_indices"] = self.seen_
        meta = {name: getattr(self, name) for name in self._state if hasattr(self, name)}
        params = {
            name: value.to_dict() if isinstance(value, Optimizer) else value
            for name, value in self.get_params(deep=False).items()
        }
        return Archive(type(self).__name__, {**params, **changed}, arrays, meta)

    @classmethod
    def _from_archive(cls: type[_Model], archive: Archive) -> _Model:
        model = cls._with_parameters(archive, archive.params)
        model._restore_ids(archive)
        n_users, n_items = len(model.users_), len(model.items_)
        model.user_factors_ = archive.array("user_factors", np.float32, (n_users, None))
        model.item_factors_ = archive.array("item_factors", np.float32, (n_items, model.user_factors_.shape[1]))
        model.user_bias_ = archive.array("user_bias", np.float32, (n_users,))
        model.item_bias_ = archive.array("item_bias", np.float32, (n_items,))
        model.item_mean_ = archive.array("item_mean", np.float32, (n_items,)) if "item_mean" in archive.arrays else None
        model._restore_state(archive)
        return model

    @classmethod
    def _with_parameters(cls: type[_Model], archive: Archive, params: dict[str, Any]) -> _Model:
        try:
            given = {k: Optimizer.from_dict(value) if isinstance(value, dict) else value for k, value in params.items()}
            model = cls(**given)
            validate_parameters(cls._constraints, model.get_params(deep=False), cls.__name__)
        except (TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: parameters do not fit {cls.__name__}: {error}") from error
        return model

    def _restore_ids(self, archive: Archive) -> None:
        """Set the id maps, and what users have seen."""
        try:
            self.users_ = IdMap(archive.array("user_ids"))
            self.items_ = IdMap(archive.array("item_ids"))
        except DataError:
            raise
        except (TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: {error}") from error
        self.seen_ = None
        if "seen_indptr" in archive.arrays:
            indptr = archive.array("seen_indptr", np.int64, (len(self.users_) + 1,))
            indices = archive.array("seen_indices", np.int32, (None,))
            unrated = np.zeros(indices.size, np.float32)
            try:
                ingest.check_ratings(indptr, indices, unrated, len(self.items_), type(self).__name__)
            except ValueError as error:
                raise DataError(f"{archive.path}: seen items are damaged: {error}") from error
            self.seen_ = SeenItems(indptr, indices)

    def _restore_state(self, archive: Archive) -> None:
        try:
            for name in self._state:
                setattr(self, name, archive.meta[name])
            low, high = map(float, archive.meta["rating_range_"])
            self.rating_range_, self.global_mean_ = (low, high), float(archive.meta["global_mean_"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: what {type(self).__name__} remembers is damaged: {error!r}") from error
        self.device_ = resolve_device("auto", type(self).__name__).device


class SimilarityMixin(FactorModel):
    """Adds what only models with factors have: neighbours in the factor space."""

    def similar_items(self, items: Any, n: int = 10, *, metric: Metric = "cosine", strict: bool = False) -> Neighbours:
        """Return the ``n`` items nearest to each of ``items`` in the factor space.

        Parameters
        ----------
        items : id or array-like of shape (m,)
            One item id, or several. Unknown ones have no neighbours: all padding.
        n : int, default 10
            How many; at least 1. An item is not its own neighbour.
        metric : {"cosine", "euclidean", "dot"}, default "cosine"
            Similarity of factor vectors.
        strict : bool, default False
            Whether unknown ids are an error.

        Returns
        -------
        Neighbours
            Exact, in float32 arithmetic; ties are broken by the order of ``items_.ids``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``n`` is less than 1, the metric is unknown, or ``strict`` and an id is unknown.
        """
        return self._similar(
            "similar_items", self.items_ if hasattr(self, "items_") else None, items, n, metric, strict
        )

    def similar_users(self, users: Any, n: int = 10, *, metric: Metric = "cosine", strict: bool = False) -> Neighbours:
        """Return the ``n`` users nearest to each of ``users``; parameters as for :meth:`similar_items`."""
        return self._similar(
            "similar_users", self.users_ if hasattr(self, "users_") else None, users, n, metric, strict
        )

    def _similar(self, method: str, ids: IdMap | None, wanted: Any, n: int, metric: Metric, strict: bool) -> Neighbours:
        caller = f"{type(self).__name__}.{method}"
        self._require_fitted(method)
        assert ids is not None
        n = positive(n, caller)
        if metric not in ("cosine", "euclidean", "dot"):
            raise ValueError(f"{caller}: metric must be 'cosine', 'euclidean' or 'dot'; got {metric!r}")
        single = np.ndim(wanted) == 0
        what = "item" if method == "similar_items" else "user"
        rows = self._rows(ids, one(wanted) if single else wanted, what, method, strict)
        factors = self.item_factors_ if what == "item" else self.user_factors_
        worst = np.inf if metric == "euclidean" else -np.inf
        known = np.flatnonzero(rows >= 0)
        width = min(n, len(ids))
        found = np.full((rows.size, width), -1, np.int32)
        scores = np.full((rows.size, width), worst, np.float32)
        if known.size:
            query_rows = np.ascontiguousarray(rows[known])
            found[known], scores[known] = self._native.nearest(
                factors[query_rows], factors, width, metric, query_rows=query_rows, n_threads=self._threads
            )
        scores[found < 0] = worst
        names, scores = padded(ids_of(ids, found), scores, n, worst)
        return Neighbours(names[0], scores[0]) if single else Neighbours(names, scores)
