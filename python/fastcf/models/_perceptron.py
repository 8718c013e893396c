"""What fitted perceptrons, one per user, do: predict, rank, take in new items, be saved."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from fastcf._backend import host, single_threaded_blas
from fastcf.errors import DataError
from fastcf.gradient_check import Objective
from fastcf.ids import IdMap, as_id_array
from fastcf.models._dense_scores import DenseScores
from fastcf.models._results import Recommendations
from fastcf.models.base import FactorModel
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.serialization import Archive

__all__ = [
    "Pairs",
    "PerceptronScores",
    "factors_as_features",
    "group_pairs",
    "parameter_layout",
    "perceptron_objective",
    "unit_scale",
    "user_keys",
]

_Model = TypeVar("_Model", bound="PerceptronScores")


class Pairs(NamedTuple):
    """Pairs of user and item rows as native code takes them: by user, and where each of them came from."""

    networks: NDArray[np.int32]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    entries: NDArray[np.int64]


class Place(NamedTuple):
    """Where in a row of parameters an array begins, and its shape."""

    begin: int
    shape: tuple[int, ...]

    def of(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the array of every row."""
        return rows[..., self.begin : self.begin + math.prod(self.shape)].reshape(*rows.shape[:-1], *self.shape)


class Layout(NamedTuple):
    """How a network lies in a row of ``size`` numbers; what is nobody's is 0."""

    size: int
    coefs: list[Place]
    intercepts: list[Place]


def parameter_layout(native: Any, network: dict[str, Any]) -> Layout:
    """Return the layout of a network of this shape."""
    layers = network["layers"]
    size, weights, biases = native.perceptron_layout(layers, network["bias"])
    shapes = itertools.pairwise(layers)
    return Layout(
        size,
        [Place(begin, shape) for begin, shape in zip(weights, shapes, strict=True)],
        [Place(begin, (outputs,)) for begin, outputs in zip(biases, layers[1:], strict=False)],
    )


def perceptron_objective(
    native: Any, network: dict[str, Any], features: NDArray[Any], rated: tuple[Any, ...], reg: float, seed: int
) -> Objective:
    """Return the objective of a user who rated some items, at random parameters; ``rated``: items, ratings, weights."""
    layout = parameter_layout(native, network)
    places = {f"coefs_{n}": place for n, place in enumerate(layout.coefs)}
    places.update({f"intercepts_{n}": place for n, place in enumerate(layout.intercepts)})
    random = np.random.default_rng(seed)
    start = {name: random.normal(0, 1 / np.sqrt(place.shape[0]), place.shape) for name, place in places.items()}
    items, ratings, weights = rated
    x, y = np.ascontiguousarray(features, np.float64), ratings.astype(np.float64)

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        row, gradient = np.zeros(layout.size), np.empty(layout.size)
        for name, place in places.items():
            place.of(row)[...] = at[name]
        with single_threaded_blas():
            cost = native.perceptron_gradient(x, items, y, row, gradient, weights, reg=reg, **network)
        return cost, {name: place.of(gradient) for name, place in places.items()}

    return Objective(start, evaluate, 1e-6 if network["activation"] == "relu" else 1e-5)


def group_pairs(users: NDArray[np.int32], items: NDArray[np.int32], known: NDArray[np.bool_]) -> Pairs:
    """Sort the pairs whose user is known by user."""
    entries = np.flatnonzero(known)
    entries = entries[np.argsort(users[entries], kind="stable")]
    networks, counts = np.unique(users[entries], return_counts=True)
    indptr = np.zeros(networks.size + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return Pairs(networks.astype(np.int32), indptr, np.ascontiguousarray(items[entries]), entries)


def _word_of(value: int) -> int:
    high = value >> 64
    return (value if high in (0, -1) else value ^ high) & (2**64 - 1)


def user_keys(ids: IdMap) -> NDArray[np.uint64]:
    """Return a number per id that depends on nothing else; what is random about a user is seeded by it."""
    values = ids.ids
    if values.dtype.kind in "iu":
        return values.astype(np.uint64)
    if values.dtype.kind == "O":  # some are integers beyond 64 bits; those within keep the key that they have elsewhere
        return np.array([_word_of(value) for value in values.tolist()], np.uint64)
    letters = np.ascontiguousarray(values).view(np.uint32).reshape(values.size, -1)
    keys = np.zeros(values.size, np.uint64)
    for column in letters.T:  # 0 fills up the shorter ids, and counts for nothing
        mixed = (keys ^ column) * np.uint64(0x100000001B3)
        keys = np.where(column > 0, mixed ^ (mixed >> np.uint64(29)), keys)
    return keys


def factors_as_features(model: FactorModel) -> FeatureTable:
    """Return what a fitted factor model knows of its items: their biases and factors."""
    bias = model.item_bias_ if model.item_mean_ is None else model.item_bias_ + model.item_mean_
    return FeatureTable(model.items_, np.column_stack([bias, model.item_factors_]))


def unit_scale(table: FeatureTable) -> NDArray[np.float32]:
    """Return one over the root mean square of each feature of a dense table."""
    squares = np.mean(np.square(table.matrix, dtype=np.float64), axis=0)
    return (1 / np.sqrt(np.where(squares > 0, squares, 1))).astype(np.float32)


class PerceptronScores(DenseScores):
    """A network per user over the features of items."""

    _state: ClassVar[tuple[str, ...]] = (*DenseScores._state, "history_", "n_epochs_", "learning_rate_", "reg_")

    hidden: Any
    activation: str
    bias: bool
    init: Any
    parameters_: NDArray[np.float32]
    item_features_: NDArray[np.float32]
    feature_scale_: NDArray[np.float32] | None
    levels_: NDArray[np.float32] | None
    base_rate_: NDArray[np.float32]
    n_ratings_: NDArray[np.int64]

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.hidden)

    def _shape(self, n_features: int, levels: NDArray[np.float32] | None) -> dict[str, Any]:
        """Return the shape of a network as native code takes it."""
        return {
            "layers": [n_features, *self._sizes, 1 if levels is None else levels.size],
            "activation": self.activation,
            "bias": bool(self.bias),
            "levels": [] if levels is None else levels.tolist(),
        }

    @property
    def _network(self) -> dict[str, Any]:
        return self._shape(self.item_features_.shape[1], self.levels_)

    @property
    def _host(self) -> Any:
        """The host's module: networks this small are trained and asked there, wherever the rest runs."""
        return host

    @property
    def coefs_(self) -> list[NDArray[np.float32]]:
        """The weights of each layer, of shape (n_users, inputs, outputs)."""
        return [place.of(self.parameters_) for place in parameter_layout(self._host, self._network).coefs]

    @property
    def intercepts_(self) -> list[NDArray[np.float32]]:
        """The biases of each layer, of shape (n_users, outputs); none without bias units."""
        return [place.of(self.parameters_) for place in parameter_layout(self._host, self._network).intercepts]

    def _require_fitted(self, method: str) -> None:
        if not hasattr(self, "parameters_"):
            raise NotFittedError(f"{type(self).__name__}.{method}: the model must be fitted first; call fit")

    # -------------------------------------------------------------------------------------------------------
    # Prediction
    # -------------------------------------------------------------------------------------------------------

    def _known(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each user row has a network that has seen a rating."""
        return (users >= 0) & (self.n_ratings_[users] > 0)

    def _outputs(self, users: NDArray[np.int32], items: NDArray[np.int32] | None) -> NDArray[np.float32]:
        """Return h(x) of pairs of rows (n, K), or of all items for each user (m n_items, K)."""
        options = {**self._network, "n_threads": self._threads}
        arrays = self.parameters_, self.item_features_
        known = self._known(users)
        with single_threaded_blas():
            if items is not None:
                out = np.tile(self.base_rate_, (users.size, 1))
                pairs = group_pairs(users, items, known)
                out[pairs.entries] = self._host.perceptron_predict(*arrays, *pairs[:3], **options)
                return out
            shape = users.size, len(self.items_), self.base_rate_.size
            if known.all():
                all_known: NDArray[np.float32] = self._host.perceptron_predict(*arrays, users, **options)
                return all_known
            everything = np.broadcast_to(self.base_rate_, shape).copy()
            some = np.ascontiguousarray(users[known])
            everything[known] = self._host.perceptron_predict(*arrays, some, **options).reshape(-1, *shape[1:])
            return everything.reshape(-1, shape[2])

    def _expected(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what to expect of outputs (n, K): the probability, or the rating."""
        if self.levels_ is None:
            return outputs[:, 0]
        expected: NDArray[np.float32] = outputs @ self.levels_ / outputs.sum(axis=1)
        return expected

    def predict_proba(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict probabilities: the networks' outputs h(x).

        Parameters
        ----------
        X, strict
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n,), float32
            That a pair's rating is liked. With ``targets="levels"`` of shape (n, K): that it is each of ``levels_``,
            every one asked by itself, so that a row need not add up to 1.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`predict`.
        """
        self._require_fitted("predict_proba")
        users, items = self._pair_rows(X, "predict_proba", strict)
        outputs = self._outputs(users, items)
        return outputs[:, 0] if self.levels_ is None else outputs

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict what to expect of pairs: the probability that they are liked, or the rating.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        strict : bool, default False
            Whether unknown ids are an error. Otherwise an unknown user, and one without training ratings, gets the
            base rate ``base_rate_``; an unknown item is one whose features are 0.

        Returns
        -------
        ndarray of shape (n,), float32
            With ``targets="levels"`` the mean of the levels by their probabilities, these divided by their sum. The
            same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``X`` does not have two columns, or ``strict`` and an id is unknown.
        """
        self._require_fitted("predict")
        return self._pair_scores(*self._pair_rows(X, "predict", strict))

    def _pair_scores(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        return self._expected(self._outputs(users, items))

    def _block(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        scores = np.empty((rows.size, len(self.items_)), np.float32)
        for batch in self._batches(rows.size, len(self.items_) * self.base_rate_.size):
            own = np.ascontiguousarray(rows[batch])
            scores[batch] = self._expected(self._outputs(own, None)).reshape(own.size, -1)
        return scores

    def recommend(self, users: Any, n: int = 10, *, min_score: float | None = None, **options: Any) -> Recommendations:
        """Return the ``n`` items that each user is most likely to like, or expected to rate highest.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several. To users unknown to the model all items are the same.
        n : int, default 10
            How many; at least 1.
        min_score : float, optional
            Leave out items predicted to be less than this: a probability, or with ``targets="levels"`` a rating.
        **options
            ``exclude_seen``, ``candidates``, ``exclude`` and ``strict``, as for every model, see
            :meth:`MatrixFactorization.recommend`. (``storage`` changes nothing here.)

        Returns
        -------
        Recommendations
            Ids and what :meth:`predict` says; ties are broken by the order of ``items_.ids``. The same for any number
            of threads.

        Raises
        ------
        NotFittedError, ValueError
            As for every model.
        """
        items, scores = super().recommend(users, n, **options)
        if min_score is None:
            return Recommendations(items, scores)
        less = scores < min_score
        items[less], scores[less] = "" if items.dtype.kind == "U" else -1, -np.inf
        return Recommendations(items, scores)

    # -------------------------------------------------------------------------------------------------------
    # New items
    # -------------------------------------------------------------------------------------------------------

    def _given_features(self, item_features: Any, caller: str) -> FeatureTable:
        """Return the features that were given: a table, or a fitted factor model's."""
        if isinstance(item_features, FactorModel) and hasattr(item_features, "item_factors_"):
            return factors_as_features(item_features)
        return as_feature_table(item_features, caller, "item_features")

    @staticmethod
    def _dense(table: FeatureTable, scale: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the features dense and scaled, and not the caller's memory."""
        matrix = table.matrix.toarray() if table.is_sparse else table.matrix
        return np.array(matrix if scale is None else matrix * scale, np.float32, order="C")

    def fold_in(self: _Model, *, item_features: Any) -> _Model:
        """Return a model that knows more items, by their features; the networks stay as they are.

        Parameters
        ----------
        item_features : FeatureTable, tuple (ids, matrix) or fitted factor model
            Features of the new items, in the columns and on the scale of those that the model was fitted with. Items
            that the model knows get these features instead of their own.

        Returns
        -------
        UserPerceptron
            Its items are this model's, then the new ones; users, networks and ``seen_`` are shared with this model, not
            copied. It predicts, recommends and is saved like any other.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the features are not as described.
        """
        caller = f"{type(self).__name__}.fold_in"
        self._require_fitted("fold_in")
        table = self._given_features(item_features, caller)
        wanted = self.item_features_.shape[1]
        if table.n_features != wanted:
            raise ValueError(f"{caller}: item_features must have {wanted} features; got {table.n_features}")
        new, rows = self._dense(table, self.feature_scale_), self.items_.rows(table.ids.ids)
        features = np.concatenate([self.item_features_, new[rows < 0]])
        features[rows[rows >= 0]] = new[rows >= 0]
        ids = [each.tolist() for each in (self.items_.ids, table.ids.ids[rows < 0])]
        folded = copy.copy(self)
        folded.items_ = IdMap(as_id_array(np.array([*ids[0], *ids[1]], object), caller, "ids"))
        folded.item_features_ = features
        return folded

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _to_archive(self) -> Archive:
        arrays: dict[str, NDArray[Any]] = {
            "user_ids": self.users_.ids,
            "item_ids": self.items_.ids,
            "parameters": self.parameters_,
            "item_features": self.item_features_,
            "base_rate": self.base_rate_,
            "n_ratings": self.n_ratings_,
        }
        for name, array in (("levels", self.levels_), ("feature_scale", self.feature_scale_)):
            if array is not None:
                arrays[name] = array
        return self._archive_of(arrays, hidden=list(self._sizes))

    @classmethod
    def _from_archive(cls: type[_Model], archive: Archive) -> _Model:
        model = cls._with_parameters(archive, archive.params)
        model.hidden = model._sizes
        model.init = tuple(model.init) if isinstance(model.init, list) else model.init
        model._restore_ids(archive)
        n_users, n_items = len(model.users_), len(model.items_)
        features = model.item_features_ = archive.array("item_features", np.float32, (n_items, None))
        model.base_rate_ = archive.array("base_rate", np.float32, (None,))
        model.n_ratings_ = archive.array("n_ratings", np.int64, (n_users,))
        k, width = model.base_rate_.size, features.shape[1]
        model.levels_ = archive.array("levels", np.float32, (k,)) if "levels" in archive.arrays else None
        scale = archive.array("feature_scale", np.float32, (width,)) if "feature_scale" in archive.arrays else None
        model.feature_scale_ = scale
        if (model.levels_ is None and k != 1) or not (k and width):
            raise DataError(f"{archive.path}: networks must have inputs, and an output per level; got {width} and {k}")
        size = parameter_layout(model._host, model._network).size
        model.parameters_ = archive.array("parameters", np.float32, (n_users, size))
        model._restore_state(archive)
        return model
