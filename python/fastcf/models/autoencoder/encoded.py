"""What a fitted autoencoder does: predict as a factor model, encode and reconstruct rows, fold in, be saved."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import single_threaded_blas
from fastcf.errors import DataError
from fastcf.models._fold_in import FoldInMixin
from fastcf.models._labels import CostMixin, labelled
from fastcf.models._network import Parameters, hidden_shapes
from fastcf.models._network_rows import Scale, TrainingRows
from fastcf.ratings import as_ratings
from fastcf.serialization import Archive

__all__ = ["EncodedMixin"]

_Model = TypeVar("_Model", bound="EncodedMixin")


class EncodedMixin(CostMixin, FoldInMixin):
    """A row's hidden values, and a factor model made of them.

    With h_r the last hidden values of row r and h_0 those of an empty row, the network's products are
    ``U_c·h_r + c_c = U_c·(h_r − h_0) + (c_c + U_c·h_0)``: a factor model in which a row of zeros is an empty one.
    """

    scale_: Scale
    mean_rating_: float
    input_weights_: NDArray[np.float32]
    rated_weights_: NDArray[np.float32] | None
    output_weights_: NDArray[np.float32]
    output_bias_: NDArray[np.float32]
    hidden_weights_: list[NDArray[np.float32]]
    hidden_biases_: list[NDArray[np.float32]]
    layers: Any
    orientation: str
    activation: str
    output_activation: str
    tied: bool
    rated_input: float

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.layers)

    @property
    def _squashes(self) -> bool:
        """Whether outputs are not what the last layer's products are."""
        return self.output_activation != "identity"

    @property
    def _network_options(self) -> dict[str, Any]:
        return {
            "layers": list(self._sizes),
            "activation": self.activation,
            "tied": self.tied,
            "rated_input": float(self.rated_input),
        }

    def _learnt(self, parameters: Parameters, rows: TrainingRows, inputs: NDArray[np.float32]) -> None:
        """Take over the network's parameters and what follows from them."""
        first, last, bias, weights, biases, rated = parameters
        self.input_weights_, self.output_bias_, self.rated_weights_ = first, bias, rated
        self.output_weights_ = first if last is None else last
        self.hidden_weights_, self.hidden_biases_ = weights, biases
        empty = self._remember_empty()
        scale = self.scale_
        column_bias = bias + self.output_weights_ @ empty
        if self._squashes:
            row_bias, self.global_mean_ = np.zeros_like(scale.rows), self._place_of(self.mean_rating_)
            column_bias -= np.float32(self.global_mean_)
        else:
            row_bias, self.global_mean_ = scale.rows, scale.mean
            column_bias = column_bias * np.float32(scale.gain) + scale.columns
        self.item_mean_ = None
        factors = self._row_factors(rows.csr[:2], inputs)
        if self.orientation == "user":
            self.user_factors_, self.item_factors_ = factors, self.output_weights_
            self.user_bias_, self.item_bias_ = row_bias, column_bias
        else:
            self.user_factors_, self.item_factors_ = self.output_weights_, factors
            self.user_bias_, self.item_bias_ = column_bias, row_bias

    def _place_of(self, rating: float) -> float:
        """Return where g_o, which rises, comes to a rating, or nearest to it: by bisection."""
        wanted = np.float32((rating - self.scale_.mean) / self.scale_.unit)
        high = 32 + 128 * abs(float(wanted))  # no activation is flatter than by a hundredth but where it ends
        low = -high
        for _ in range(64):
            middle = np.full((1, 1), (low + high) / 2, np.float32)
            place = float(middle[0, 0])
            self._native.activate(self.output_activation, middle, n_threads=1)
            low, high = (place, high) if middle[0, 0] < wanted else (low, place)
        return high

    def _remember_empty(self) -> NDArray[np.float32]:
        """Return the hidden values of a row without ratings, which are kept."""
        nothing = np.zeros(2, np.int64), np.empty(0, np.int32)
        empty: NDArray[np.float32] = self._hidden(nothing, np.empty(0, np.float32))[0]
        self._empty_values = empty
        return empty

    def _hidden(
        self, structure: tuple[Any, ...], inputs: NDArray[np.float32], code: bool = False
    ) -> NDArray[np.float32]:
        """Return the last hidden values of rows, or the encoder's."""
        depth = len(self._sizes) if code else 2 * len(self._sizes) - 1
        with single_threaded_blas():
            values: NDArray[np.float32] = self._native.autoencoder_hidden(
                *structure,
                inputs,
                self.input_weights_,
                self.hidden_weights_,
                self.hidden_biases_,
                self.rated_weights_,
                depth=depth,
                n_threads=self._threads,
                **self._network_options,
            )
        return values

    def _row_factors(self, structure: tuple[Any, ...], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        factors = self._hidden(structure, inputs)
        factors -= self._empty_values
        if not self._squashes:
            factors *= np.float32(self.scale_.gain)
        return factors

    def _on_scale(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._squashes:
            rows = predicted.reshape(1, -1) if predicted.ndim == 1 else predicted
            self._native.activate(self.output_activation, rows, n_threads=self._threads)
            predicted *= np.float32(self.scale_.unit)
            predicted += np.float32(self.scale_.mean)
        return super()._on_scale(predicted)

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict ratings of pairs, from the training ratings of their user (or item, where the model is item-based).

        Parameters
        ----------
        X, strict
            As for every model, see :meth:`MatrixFactorization.predict`.

        Returns
        -------
        ndarray of shape (n,), float32
            Within the range of the training ratings. An unknown row (user of a user-based model, item of an item-based
            one) is predicted as an empty one, f(0); where the other side is unknown the network knows nothing, and the
            means and biases that are known are what is said (with an ``output_activation``, ``mean_rating_``).
        """
        return super().predict(X, strict=strict)

    def encode(self, X: Any, y: ArrayLike | None = None, *, strict: bool = False) -> NDArray[np.float32]:
        """Return the codes of rows: what the encoder makes of their ratings.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``: of users or, where the model is item-based, of items. Training ratings or new ones.
        strict : bool, default False
            Whether ratings of unknown items (users) are an error; otherwise they are left out.

        Returns
        -------
        ndarray of shape (n_rows, layers[-1]), float32
            In the order of the ids of ``X`` (ascending): ``Ratings.users`` or ``Ratings.items``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described, or ``strict`` and an id is unknown.
        """
        self._require_fitted("encode")
        caller = f"{type(self).__name__}.encode"
        ratings = as_ratings(X, y, caller=caller)
        ratings = labelled(ratings, self._labels(ratings, caller))
        _, csr, weights = self._known_entries(ratings, self.orientation, "encode", strict)
        inputs = self.scale_.normalised(csr, self.scale_.row_offsets(csr, weights))
        return self._hidden(csr[:2], inputs, code=True)

    def reconstruct(self, X: Any, y: ArrayLike | None = None, *, strict: bool = False) -> NDArray[np.float32]:
        """Return f(x): the predicted ratings of whole rows, given their ratings.

        Parameters
        ----------
        X, y, strict
            As for :meth:`encode`.

        Returns
        -------
        ndarray of shape (n_rows, n_items), float32
            Where the model is item-based (n_users, n_rows): always users by items. 4 bytes per entry.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`encode`.
        """
        self._require_fitted("reconstruct")
        return self.fold_in(X, y, by=self.orientation, strict=strict).predict_matrix()

    def fold_in(self: _Model, X: Any, y: ArrayLike | None = None, *, by: str = "user", strict: bool = False) -> _Model:
        """Return a model of the users (or items) of new ratings: these go through the network, which stays as it is.

        Parameters
        ----------
        X, y
            Ratings of the new rows, as for ``fit``; rows that the model knows are worked out afresh, from these alone.
        by : {"user", "item"}, default "user"
            Whose rows are new: those that the network is fed, the model's ``orientation``.
        strict : bool, default False
            Whether an id of the other side that the model does not know is an error. Otherwise its ratings are left
            out: the network has no place for them.

        Returns
        -------
        Autoencoder
            Its users (or items) are those of ``X``, in ascending order of their ids; the network and the other side are
            shared with this model, not copied. It predicts, recommends and is saved like any other. ``seen_`` are the
            ratings of ``X`` where ``by="user"``, else None.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described, ``by`` is not the model's orientation, or ``strict`` and an id is
            unknown.
        """
        caller = f"{type(self).__name__}.fold_in"
        self._require_fitted("fold_in")
        ratings = as_ratings(X, y, caller=caller)
        folded: _Model = super().fold_in(labelled(ratings, self._labels(ratings, caller)), by=by, strict=strict)
        return folded

    def _fold(self, folded: Any, by: str, csr: tuple[Any, ...], weights: NDArray[np.float32] | None) -> None:
        if by != self.orientation:
            raise ValueError(
                f"{type(self).__name__}.fold_in: by must be {self.orientation!r}, whose ratings the network is fed; "
                f"got {by!r}"
            )
        offsets = self.scale_.row_offsets(csr, weights)
        factors = self._row_factors(csr[:2], self.scale_.normalised(csr, offsets))
        bias = np.zeros_like(offsets) if self._squashes else offsets
        folded.scale_ = self.scale_._replace(rows=offsets)
        if by == "user":
            folded.user_factors_, folded.user_bias_ = factors, bias
        else:
            folded.item_factors_, folded.item_bias_ = factors, bias

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _to_archive(self) -> Archive:
        archive = super()._to_archive()
        archive.params["layers"] = list(self._sizes)
        archive.arrays["output_bias"] = self.output_bias_
        archive.arrays["row_offsets"], archive.arrays["column_offsets"] = self.scale_.rows, self.scale_.columns
        if not self.tied:  # otherwise they are the output weights, which the factors are
            archive.arrays["input_weights"] = self.input_weights_
        if self.rated_weights_ is not None:
            archive.arrays["rated_weights"] = self.rated_weights_
        for name, arrays in (("hidden_weights", self.hidden_weights_), ("hidden_biases", self.hidden_biases_)):
            archive.arrays.update({f"{name}_{n}": array for n, array in enumerate(arrays)})
        row_reg = self.scale_.row_reg
        archive.meta["scale"] = [self.scale_.mean, self.scale_.unit, None if np.isinf(row_reg) else row_reg]
        return archive

    @classmethod
    def _from_archive(cls: Any, archive: Archive) -> Any:
        model: Any = super()._from_archive(archive)
        n_rows, n_columns = len(model.users_), len(model.items_)
        columns = model.item_factors_
        if model.orientation == "item":
            n_rows, n_columns, columns = n_columns, n_rows, model.user_factors_
        sizes = model.layers = model._sizes
        if columns.shape[1] != sizes[0]:
            raise DataError(f"{archive.path}: factors must have {sizes[0]} columns; got {columns.shape[1]}")
        try:
            mean, unit, row_reg = archive.meta["scale"]
            rest = float(mean), float(unit), np.inf if row_reg is None else float(row_reg)
            if not (np.isfinite(rest[0]) and rest[1] > 0 and rest[2] >= 0):
                raise ValueError(f"a scale of {rest}")
            model.mean_rating_ = float(model.mean_rating_)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: what {cls.__name__} remembers is damaged: {error!r}") from error
        rows, offsets = (
            archive.array(f"{side}_offsets", np.float32, (n,)) for side, n in (("row", n_rows), ("column", n_columns))
        )
        model.scale_ = Scale(rest[0], rest[1], rows, offsets, rest[2], model._is_logistic)
        model.output_weights_ = columns
        first = columns if model.tied else archive.array("input_weights", np.float32, (n_columns, sizes[0]))
        bias = archive.array("output_bias", np.float32, (n_columns,))
        model.rated_weights_ = None
        if model.rated_input:
            model.rated_weights_ = archive.array("rated_weights", np.float32, (n_columns, sizes[0]))
        shapes = hidden_shapes(sizes, model.tied)
        weights = [archive.array(f"hidden_weights_{n}", np.float32, shape) for n, shape in enumerate(shapes.weights)]
        biases = [archive.array(f"hidden_biases_{n}", np.float32, shape) for n, shape in enumerate(shapes.biases)]
        model.input_weights_, model.output_bias_ = first, bias
        model.hidden_weights_, model.hidden_biases_ = weights, biases
        model._remember_empty()
        return model
