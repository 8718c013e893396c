"""What a fitted two-tower model does: vectors of features, new users and items, files."""

from __future__ import annotations

import copy
import itertools
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastcf.errors import DataError
from fastcf.ids import joined
from fastcf.models._labels import CostMixin
from fastcf.models._results import SeenItems
from fastcf.models._towers import Inputs, TowerParameters, tower_vectors
from fastcf.models.base import SimilarityMixin
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.serialization import Archive

__all__ = ["TowerVectorsMixin"]

_Model = TypeVar("_Model", bound="TowerVectorsMixin")
_SIDES = ("user", "item")


class TowerVectorsMixin(CostMixin, SimilarityMixin):
    """Vectors, and a factor model made of them.

    With ū and v̄ the mean vectors, ``c + u·v = (c + ū·v̄) + (u − ū)·v̄ + ū·(v − v̄) + (u − ū)·(v − v̄)``: a factor model in
    which somebody unknown, whose factors and bias count as 0, is the average user.
    """

    _state = (*CostMixin._state, "centre_", "scale_", "unit_")

    normalize: bool
    activation: str
    centre_: float
    scale_: float
    unit_: float
    user_average_: NDArray[np.float32]
    item_average_: NDArray[np.float32]
    user_weights_: list[NDArray[np.float32]]
    item_weights_: list[NDArray[np.float32]]
    user_biases_: list[NDArray[np.float32]]
    item_biases_: list[NDArray[np.float32]]
    _inputs: tuple[Inputs, Inputs]
    _own: tuple[NDArray[np.int32], NDArray[np.int32]]
    _layers: Any

    @property
    def _tower_options(self) -> dict[str, Any]:
        length = float(np.sqrt(self.scale_ / self.unit_)) if self.normalize else 0.0
        return {"activation": self.activation, "length": length}

    def _vectors_of(self, side: int, matrix: Any, own: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the vectors of rows of features, some of which have inputs of their own."""
        inputs, name = self._inputs[side], _SIDES[side]
        parameters = TowerParameters(getattr(self, f"{name}_weights_"), getattr(self, f"{name}_biases_"))
        features = inputs.native(matrix, own)
        options = {"n_threads": self._threads, **self._tower_options}
        vectors = tower_vectors(self._native, inputs, features, parameters, **options)
        vectors *= np.float32(np.sqrt(self.unit_))  # the towers know nothing of the ratings' unit
        return vectors

    def _set_vectors(self, users: NDArray[np.float32], items: NDArray[np.float32]) -> None:
        """Set the factor model that vectors make."""
        u, v = self.user_average_, self.item_average_
        self.user_factors_, self.item_factors_ = users - u, items - v
        self.user_bias_, self.item_bias_ = self.user_factors_ @ v, self.item_factors_ @ u
        self.global_mean_ = self.centre_ + float(u.astype(np.float64) @ v)
        self.item_mean_ = None

    def _vectors(self, side: int, features: Any) -> NDArray[np.float32]:
        name = _SIDES[side]
        method = f"{name}_vectors"
        self._require_fitted(method)
        if features is None:
            vectors: NDArray[np.float32] = getattr(self, f"{name}_factors_") + getattr(self, f"{name}_average_")
            return vectors
        if not isinstance(features, (FeatureTable, tuple)):
            n = features.shape[0] if hasattr(features, "shape") else len(features)
            features = (np.arange(n), features)
        table = self._table(side, features, method, "features")
        return self._vectors_of(side, table.matrix, np.full(table.n_rows, -1, np.int32))

    def _table(self, side: int, features: Any, method: str, argument: str) -> FeatureTable:
        caller, wanted = f"{type(self).__name__}.{method}", self._inputs[side].n_features
        table = as_feature_table(features, caller, argument)
        if wanted == 0:
            raise ValueError(
                f"{caller}: {argument} must be None for a model that knows its {_SIDES[side]}s by their ids only; got "
                f"{table!r}"
            )
        if table.n_features != wanted:
            raise ValueError(
                f"{caller}: {argument} must have the {wanted} features that the model was fitted on; got "
                f"{table.n_features}"
            )
        return table

    def user_vectors(self, features: Any = None) -> NDArray[np.float32]:
        """Return users' vectors u, for serving: the prediction is ``centre_`` and the product with an item's vector.

        Parameters
        ----------
        features : array-like or SciPy sparse matrix of shape (m, n_features), or FeatureTable, optional
            Of any users, known or not; nothing but their features counts. By default of all users of the model, with
            what it knows of them beside their features, in the order of ``users_.ids``.

        Returns
        -------
        ndarray of shape (m, n_factors), float32
            Of length ``√scale_`` with ``normalize``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the features are not as described or not as many as in ``fit``.
        """
        return self._vectors(0, features)

    def item_vectors(self, features: Any = None) -> NDArray[np.float32]:
        """Return items' vectors v; as :meth:`user_vectors`."""
        return self._vectors(1, features)

    def fold_in(self: _Model, *, user_features: Any = None, item_features: Any = None) -> _Model:
        """Return a model that also knows other users and items, by their features, without training again.

        Parameters
        ----------
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Features of new users and items, or new features of known ones, who keep what was learnt of them alone.

        Returns
        -------
        TwoTower
            Its ids are this model's, followed by the new ones. The towers are shared with this model, not copied.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If neither is given, or features are not as described or not as many as in ``fit``.
        """
        self._require_fitted("fold_in")
        if user_features is None and item_features is None:
            raise ValueError(
                f"{type(self).__name__}.fold_in: user_features or item_features must be given; got None and None"
            )
        folded = copy.copy(self)
        ids, own, vectors = [self.users_, self.items_], list(self._own), [self.user_vectors(), self.item_vectors()]
        for side, features in enumerate((user_features, item_features)):
            if features is None:
                continue
            table = self._table(side, features, "fold_in", f"{_SIDES[side]}_features")
            rows = ids[side].rows(table.ids.ids)
            new = np.flatnonzero(rows < 0)
            rows[new] = len(ids[side]) + np.arange(new.size)
            own[side] = np.concatenate([own[side], np.full(new.size, -1, np.int32)])
            if new.size:
                ids[side] = joined(ids[side], table.ids.ids[new], f"{type(self).__name__}.fold_in")
            longer = np.concatenate([vectors[side], np.empty((new.size, vectors[side].shape[1]), np.float32)])
            longer[rows] = self._vectors_of(side, table.matrix, own[side][rows])
            vectors[side] = longer
        folded.users_, folded.items_ = ids
        folded._own = own[0], own[1]
        folded._set_vectors(*vectors)
        if self.seen_ is not None:
            more = np.full(len(ids[0]) + 1 - self.seen_.indptr.size, self.seen_.indptr[-1])
            folded.seen_ = SeenItems(np.concatenate([self.seen_.indptr, more]), self.seen_.indices)
        return folded

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _to_archive(self) -> Archive:
        archive = super()._to_archive()
        for n, name in enumerate(_SIDES):
            archive.params[f"{name}_layers"] = self._layers[n][:-1]
            archive.arrays[f"{name}_average"] = getattr(self, f"{name}_average_")
            archive.arrays[f"{name}_dense"], archive.arrays[f"{name}_own"] = self._inputs[n].dense, self._own[n]
            archive.meta[f"{name}_own_inputs"] = self._inputs[n].n_ids
            for what in ("weights", "biases"):
                layers = getattr(self, f"{name}_{what}_")
                archive.arrays.update({f"{name}_{what}_{layer}": array for layer, array in enumerate(layers)})
        return archive

    @classmethod
    def _from_archive(cls: Any, archive: Archive) -> Any:
        model: Any = super()._from_archive(archive)
        inputs, own = [], []
        model.user_layers, model.item_layers = (tuple(sizes[:-1]) for sizes in model._layers)
        try:
            model.centre_, model.scale_, model.unit_ = map(float, (model.centre_, model.scale_, model.unit_))
            n_ids = [int(archive.meta[f"{name}_own_inputs"]) for name in _SIDES]
            if not (np.isfinite(model.centre_) and min(model.scale_, model.unit_) > 0 and min(n_ids) >= 0):
                raise ValueError(f"centre {model.centre_}, scale {model.scale_}, unit {model.unit_}, inputs {n_ids}")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: what {cls.__name__} remembers is damaged: {error!r}") from error
        for name, rows, sizes, ids in zip(_SIDES, (model.users_, model.items_), model._layers, n_ids, strict=True):
            dense = archive.array(f"{name}_dense", np.bool_, (None,))
            numbers = archive.array(f"{name}_own", np.int32, (len(rows),))
            if ids > dense.size or numbers.max(initial=-1) >= ids or numbers.min(initial=0) < -1:
                raise DataError(f"{archive.path}: inputs of {name}s do not fit the {dense.size} of their tower")
            inputs.append(Inputs(dense, ids))
            own.append(numbers)
            shapes = [(dense.size, sizes[0]), *itertools.pairwise(sizes)]
            weights = [archive.array(f"{name}_weights_{n}", np.float32, shape) for n, shape in enumerate(shapes)]
            biases = [archive.array(f"{name}_biases_{n}", np.float32, (size,)) for n, size in enumerate(sizes)]
            setattr(model, f"{name}_weights_", weights)
            setattr(model, f"{name}_biases_", biases)
            setattr(model, f"{name}_average_", archive.array(f"{name}_average", np.float32, (sizes[-1],)))
        model._inputs, model._own = tuple(inputs), tuple(own)
        return model
