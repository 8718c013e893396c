"""Similarities of the rows of a sparse matrix by what they have in common, and the nearest rows by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.scores import Compute
from fastcf.scores.histories import Histories

__all__ = ["SIMILARITIES", "Similarity", "neighbour_rows"]

Floats = NDArray[np.float32]
Found = tuple[NDArray[np.int32], Floats]

SIMILARITIES = ("cosine", "tfidf", "bm25", "rp3beta")
"""Names of the similarities."""


@dataclass(frozen=True)
class Similarity:
    """A similarity of the rows r of a matrix X, whose columns c are what they may have in common.

    With d_r and n_r the sum and the number of the entries of a row, d_c and n_c those of a column, and N rows:

    - "cosine": ``Σ_c x_rc x_sc / (‖x_r‖ ‖x_s‖ + shrinkage)``;
    - "tfidf": the same of ``√v_c x_rc``, v_c = log((1 + N) / (1 + n_c))², divided by the mean of these;
    - "bm25": ``idf_r idf_s Σ_c t_rc t_sc``, ``t_rc = x_rc (k1 + 1) / (x_rc + k1 (1 − b + b d_c / d̄))``: the columns are
      documents, and what rows they have are their terms; ``idf_r = log(1 + (M − n_r + ½) / (n_r + ½))`` of M columns;
    - "rp3beta": ``d_s^−alpha d_r^−beta Σ_c x_rc n_c^−alpha x_sc``: a walk of three steps, from s by a column to r,
      whose target counts less the more it is met anyway.

    Attributes
    ----------
    kind : str
        One of ``SIMILARITIES``.
    shrinkage : float
        Of "cosine" and "tfidf".
    alpha, beta : float
        Of "rp3beta".
    k1, b : float
        Of "bm25".

    References
    ----------
    P. Cremonesi, Y. Koren and R. Turrin, "Performance of recommender algorithms on top-N recommendation tasks", RecSys
    2010. S. Robertson and H. Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009. B. Paudel et
    al., "Updatable, accurate, diverse, and scalable recommendations for interactive applications", ACM TiiS 7(1),
    2016.
    """

    kind: str
    shrinkage: float
    alpha: float
    beta: float
    k1: float
    b: float

    def learn(self, x: Any) -> Corpus:
        """Return what the similarities of rows with those of ``x`` need: a CSR array without stored zeros."""
        n_rows, n_columns = x.shape
        columns: Floats | None = None
        if self.kind == "tfidf":
            counts = np.bincount(x.indices, minlength=n_columns)
            squares = np.log((1 + n_rows) / (1 + counts)) ** 2
            columns = (squares / max(float(squares[counts > 0].mean()), 1e-12)).astype(np.float32)
        elif self.kind == "bm25":
            sums = np.bincount(x.indices, x.data, minlength=n_columns)
            lengths = 1 - self.b + self.b * sums / max(float(sums[sums > 0].mean()), 1e-12)
            columns = lengths.astype(np.float32)
        elif self.kind == "rp3beta":
            columns = (np.maximum(np.bincount(x.indices, minlength=n_columns), 1.0) ** -self.alpha).astype(np.float32)
        by_column = self._table(x, columns).T.tocsr()
        return Corpus(self, columns, by_column, self._scale(x, columns, self.alpha))

    def _table(self, x: Any, columns: Floats | None) -> Any:
        """Return rows with the values that are multiplied."""
        if self.kind != "bm25":
            return x
        assert columns is not None
        values = x.data * np.float32(self.k1 + 1) / (x.data + np.float32(self.k1) * columns[x.indices])
        return scipy.sparse.csr_array((values.astype(np.float32), x.indices, x.indptr), x.shape)

    def _scale(self, x: Any, columns: Floats | None, exponent: float) -> Floats:
        """Return the scale of each row; ``exponent``: of "rp3beta"."""
        rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
        if self.kind == "rp3beta":
            sums = np.bincount(rows, x.data, x.shape[0])
            scale = np.float_power(np.where(sums > 0, sums, 1), exponent)
        elif self.kind == "bm25":
            counts = np.diff(x.indptr)
            scale = 1 / np.log1p((x.shape[1] - counts + 0.5) / (counts + 0.5))
        else:
            squares = x.data.astype(np.float64) ** 2 * (1 if columns is None else columns[x.indices])
            scale = np.sqrt(np.bincount(rows, squares, x.shape[0]))
        return np.asarray(scale, np.float32)


@dataclass(frozen=True, eq=False)
class Corpus:
    """The rows that others are compared with.

    Attributes
    ----------
    similarity : Similarity
        The similarity.
    columns : ndarray of shape (n_columns,), float32, or None
        What a column counts, or its length.
    by_column : SciPy CSR array of shape (n_columns, n_rows), float32
        The values, a row per column.
    scale : ndarray of shape (n_rows,), float32
        The scale of each row.
    """

    similarity: Similarity
    columns: Floats | None
    by_column: Any
    scale: Floats

    def nearest(self, x: Any, n: int, compute: Compute, itself: NDArray[np.int32] | None = None) -> Found:
        """Return the nearest rows of the rows of ``x``, and their similarities: tables with -1 and -inf for none.

        ``itself``: the row of the corpus that each is, which it does not get; -1 for none.
        """
        kind = self.similarity.kind
        exponent = self.similarity.beta if kind == "rp3beta" else 0.0
        found: Found = compute.native.cooccurrence(
            *Histories.of_scipy(self.similarity._table(x, self.columns)),
            *Histories.of_scipy(self.by_column),
            self.by_column.shape[1],
            n,
            weights=self.columns if kind in ("tfidf", "rp3beta") else None,
            row_scale=self.similarity._scale(x, self.columns, exponent),
            column_scale=self.scale,
            shrinkage=self.similarity.shrinkage if kind in ("cosine", "tfidf") else 0.0,
            left_out=itself,
            n_threads=compute.n_threads,
        )
        return found


def neighbour_rows(found: Found, n_columns: int) -> Any:
    """Return tables of neighbours and similarities as a CSR array of shape (rows, n_columns), columns ascending."""
    ids, similarities = found
    there = ids >= 0
    indptr = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(there.sum(axis=1), out=indptr[1:])
    table = scipy.sparse.csr_array((similarities[there], ids[there], indptr), (len(ids), n_columns))
    table.sort_indices()
    return table
