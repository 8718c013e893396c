"""Feature tables side by side, and the simplest one of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from fastcf.features.reading import read_ids
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable

__all__ = ["MAX_DENSITY", "hstack", "identity"]

# A stored entry of a sparse row takes 8 bytes, its column beside its value; an entry of a dense one takes 4.
MAX_DENSITY = 0.5


def hstack(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Join feature tables side by side, by id.

    Parameters
    ----------
    tables : sequence of FeatureTable
        At least one. The rows are those of the first, in its order; the others must have features for all of its ids,
        and what they hold of further ids is left out.

    Returns
    -------
    FeatureTable
        Sparse where a table is and that takes less memory, else dense. Named where all tables are.

    Raises
    ------
    TypeError
        If an entry is no FeatureTable.
    ValueError
        If there is none, or an id of the first has no features in another.

    Examples
    --------
    >>> genres = FeatureTable(["heat", "up"], [[1, 0], [0, 1]], ["crime", "animation"])
    >>> years = FeatureTable(["up", "heat"], [[0.7], [-0.7]], ["year"])
    >>> hstack([genres, years]).matrix
    array([[ 1. ,  0. , -0.7],
           [ 0. ,  1. ,  0.7]], dtype=float32)
    """
    tables = list(tables)
    if not tables:
        raise ValueError("hstack: tables must hold at least one table; got none")
    for position, table in enumerate(tables):
        if not isinstance(table, FeatureTable):
            raise TypeError(f"hstack: tables must be FeatureTables; got {type(table).__name__} at position {position}")
    ids = tables[0].ids
    blocks = [tables[0].matrix]
    for position, table in enumerate(tables[1:], start=1):
        what = f"all ids of the first table, in the one at position {position},"
        blocks.append(table.matrix if table.ids == ids else table.align(ids, caller="hstack", what=what))
    n_features = sum(block.shape[1] for block in blocks)
    stored = sum(block.nnz if scipy.sparse.issparse(block) else block.size for block in blocks)
    matrix: Any
    if stored < MAX_DENSITY * len(ids) * n_features:
        matrix = scipy.sparse.hstack([scipy.sparse.csr_array(block) for block in blocks], format="csr")
    else:
        matrix = np.hstack([block.toarray() if scipy.sparse.issparse(block) else block for block in blocks])
    every = [table.names for table in tables]
    names = [name for some in every if some is not None for name in some]
    return FeatureTable(ids, matrix, names if all(some is not None for some in every) else None)


def identity(ids: IdMap | ArrayLike) -> FeatureTable:
    """Return a feature per id that is 1 for that id alone: what tells each from all others.

    Parameters
    ----------
    ids : IdMap or array-like of shape (n,)
        Distinct ids, for example ``ratings.items``.

    Returns
    -------
    FeatureTable
        Sparse, n rows and n features, named after the ids.

    Raises
    ------
    TypeError, ValueError
        If the ids are not distinct integers or strings.

    Examples
    --------
    >>> identity([7, 9])
    FeatureTable(2 rows x 2 features, sparse, 2 stored: 7, 9)
    """
    id_map = read_ids(ids, "identity", "ids")
    eye = scipy.sparse.identity(len(id_map), dtype=np.float32, format="csr")
    return FeatureTable(id_map, eye, [str(each) for each in id_map.ids.tolist()])
