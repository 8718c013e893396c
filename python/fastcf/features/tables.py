"""From a table to a feature matrix, learnt once and applied to every later table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastcf.features.encoding import BagEncoder, frequent_labels
from fastcf.features.joining import MAX_DENSITY
from fastcf.features.reading import read_bags, read_categories, read_columns, read_ids, read_numbers, read_years
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable

__all__ = ["TableFeatures"]

_SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler}


@dataclass(eq=False, repr=False)
class TableFeatures(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Turns tables of items or users into feature tables: learns on one table how, and does it to every other.

    Built on scikit-learn's transformers and used like one, except that it takes a table and returns a
    :class:`fastcf.FeatureTable`. A table is a pandas or Polars data frame, an Arrow table, or a dict or named tuple of
    arrays. Columns that are not named are left alone.

    Parameters
    ----------
    id : str, default "id"
        The column of ids: distinct integers or strings.
    one_hot : sequence of str, default ()
        Columns of one category per row: strings, integers or booleans. A feature per category, 0 or 1.
    multi_hot : sequence of str, default ()
        Columns of any number of labels per row: strings such as ``"Action|Comedy"``, or lists of strings. A feature per
        label, 0 or 1.
    numeric : sequence of str, default ()
        Columns of numbers. A feature each, scaled.
    year : sequence of str, default ()
        Columns of titles such as ``"Toy Story (1995)"``. A numeric feature each, the year, scaled like the others.
    separator : str, default "|"
        The text between labels in a string.
    min_count : int, default 1
        Categories and labels in fewer rows than this get no feature.
    scaler : {"standard", "minmax"}, scikit-learn transformer or None, default "standard"
        ``"standard"``: (x − mean) / standard deviation. ``"minmax"``: to [0, 1] over the rows fitted on. Or any
        transformer that keeps the number of columns, such as :class:`fastcf.preprocessing.MeanRangeScaler`; None
        leaves numbers as they are.

    Attributes
    ----------
    transformer_ : sklearn.compose.ColumnTransformer
        The learnt encoders.
    feature_names_in_ : ndarray of str
        The columns read beside the ids.

    Notes
    -----
    What a table leaves open:

    =======================================  =====================================================================
    missing category, or none of the labels  zeros
    category or label not seen in ``fit``    zeros
    missing number, title without a year     the mean of the rows fitted on, which ``scaler="standard"`` makes 0
    missing id, infinite number              refused
    =======================================  =====================================================================

    The result is sparse where that takes less memory on the table fitted on, and then is so for every table. Features
    stand in the order one-hot, multi-hot, numeric, years, the labels of a column ascending. One table gives the same
    features in every library.

    Examples
    --------
    >>> films = {
    ...     "film": ["toy", "heat", "up"],
    ...     "genre": ["Animation|Comedy", "Crime", "Animation"],
    ...     "title": ["Toy Story (1995)", "Heat (1995)", "Up (2009)"],
    ... }
    >>> features = TableFeatures("film", multi_hot=["genre"], year=["title"])
    >>> features.fit_transform(films)
    FeatureTable(3 rows x 4 features, dense: genre_Animation, genre_Comedy, genre_Crime, …)
    >>> features.transform({"film": ["new"], "genre": ["Crime|Western"], "title": ["New"]}).matrix
    array([[0., 0., 1., 0.]], dtype=float32)
    """

    id: str = "id"
    _: KW_ONLY
    one_hot: Sequence[str] = ()
    multi_hot: Sequence[str] = ()
    numeric: Sequence[str] = ()
    year: Sequence[str] = ()
    separator: str = "|"
    min_count: int = 1
    scaler: Any = "standard"

    def fit(self, X: Any, y: Any = None) -> TableFeatures:
        """Learn categories, labels, means and scales of a table.

        Parameters
        ----------
        X : data frame, Arrow table, or dict or named tuple of arrays
            At least one row; every column must have a value that is not missing.
        y : None
            Ignored.

        Returns
        -------
        TableFeatures
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or a column is not as described; the message names it, the value and its row.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> FeatureTable:
        """Learn from a table and return its features: :meth:`fit`, then :meth:`transform`.

        Parameters
        ----------
        X, y
            As for :meth:`fit`.

        Returns
        -------
        FeatureTable
        """
        caller = "TableFeatures.fit"
        self._check_parameters(caller)
        ids, cells = self._read(X, caller)
        columns = [*self.one_hot, *self.multi_hot, *self.numeric, *self.year]
        n_bags = len(self.one_hot) + len(self.multi_hot)
        for position, (name, column) in enumerate(zip(columns, cells.T, strict=True)):
            if all(cell == () or cell != cell for cell in column):
                raise ValueError(f"{caller}: column {name!r} must have a value; all {column.size} are missing")
            if position < n_bags and not frequent_labels(column, self.min_count):
                wanted = f"a label in at least min_count={self.min_count} rows"
                raise ValueError(f"{caller}: column {name!r} must have {wanted}; got none in {column.size} rows")
        encoder = BagEncoder(self.min_count)
        scaler = _SCALERS[self.scaler]() if isinstance(self.scaler, str) else self.scaler
        numbers = make_pipeline(SimpleImputer(strategy="mean"), "passthrough" if scaler is None else clone(scaler))
        transformer = ColumnTransformer(
            [("bags", encoder, list(range(n_bags))), ("numbers", numbers, list(range(n_bags, len(columns))))],
            sparse_threshold=MAX_DENSITY,
        ).set_output(transform="default")  # whatever scikit-learn is set to: data frames cannot be sparse
        matrix = transformer.fit_transform(cells)
        names = list(columns[n_bags : n_bags + len(self.numeric)]) + [f"{name}_year" for name in self.year]
        if n_bags:
            names = [*transformer.named_transformers_["bags"].get_feature_names_out(columns[:n_bags]), *names]
        self.feature_names_in_ = np.array(columns, dtype=object)
        self.feature_names_out_ = np.array(names, dtype=object)
        self.transformer_ = transformer
        return FeatureTable(ids, matrix, names)

    def transform(self, X: Any) -> FeatureTable:
        """Return the features of another table, new items for example.

        Parameters
        ----------
        X : data frame, Arrow table, or dict or named tuple of arrays
            With the columns of the table fitted on; further ones are ignored.

        Returns
        -------
        FeatureTable

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If a column is missing or not of the kind that was fitted.
        """
        caller = "TableFeatures.transform"
        self._check_fitted(caller)
        ids, cells = self._read(X, caller)
        labels = self.transformer_.named_transformers_["bags"].labels_ if self.one_hot else []
        for name, column, known in zip(self.one_hot, cells.T, labels, strict=False):
            new = next((cell[0] for cell in column if cell), None)
            if new is not None and known and type(new) is not type(known[0]):
                kind = type(known[0]).__name__
                raise TypeError(f"{caller}: column {name!r} must hold {kind} values, as in fit; got {new!r}")
        return FeatureTable(ids, self.transformer_.transform(cells), self.feature_names_out_)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features: ``column_label``, the names of numeric columns, ``column_year``.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        self._check_fitted("TableFeatures.get_feature_names_out")
        return self.feature_names_out_.copy()

    def _check_fitted(self, caller: str) -> None:
        if not hasattr(self, "transformer_"):
            raise NotFittedError(f"{caller}: the features must be fitted first; call fit")

    def _check_parameters(self, caller: str) -> None:
        groups = {"one_hot": self.one_hot, "multi_hot": self.multi_hot, "numeric": self.numeric, "year": self.year}
        for name, columns in groups.items():
            if isinstance(columns, str) or not isinstance(columns, Sequence):
                raise TypeError(f"{caller}: {name} must be a list of names of columns; got {columns!r}")
            if len(set(columns)) < len(columns):
                raise ValueError(f"{caller}: {name} must name each column once; got {columns!r}")
        if not any(groups.values()):
            raise ValueError(f"{caller}: {', '.join(groups)} must name at least one column; got none")
        if not isinstance(self.separator, str):
            raise TypeError(f"{caller}: separator must be a string; got {self.separator!r}")
        if not self.separator:
            raise ValueError(f"{caller}: separator must not be empty; got {self.separator!r}")
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, (int, np.integer)):
            raise TypeError(f"{caller}: min_count must be a positive integer; got {self.min_count!r}")
        if self.min_count < 1:
            raise ValueError(f"{caller}: min_count must be a positive integer; got {self.min_count}")
        known = self.scaler is None or hasattr(self.scaler, "fit_transform")
        if not known and not (isinstance(self.scaler, str) and self.scaler in _SCALERS):
            raise ValueError(
                f"{caller}: scaler must be 'standard', 'minmax', a scikit-learn transformer or None; "
                f"got {self.scaler!r}"
            )

    def _read(self, table: Any, caller: str) -> tuple[IdMap, NDArray[np.object_]]:
        """Return ids and, a column per column of the groups in their order, bags and numbers."""
        readers: list[tuple[Sequence[str], Callable[[NDArray[Any], str], NDArray[Any]]]] = [
            (self.one_hot, read_categories),
            (self.multi_hot, partial(read_bags, separator=self.separator)),
            (self.numeric, read_numbers),
            (self.year, read_years),
        ]
        columns = read_columns(table, [self.id, *(name for names, _ in readers for name in names)], caller)
        ids = read_ids(columns[self.id], caller, f"column {self.id!r}")
        read = [reader(columns[name], f"{caller}: column {name!r}") for names, reader in readers for name in names]
        cells = np.empty((len(ids), len(read)), dtype=object)
        for position, column in enumerate(read):
            cells[:, position] = column
        return ids, cells
