"""Groups of users or items, as they are given to retrievers, as arrays of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap
from fastcf.models.popular.groups import plain_labels
from fastcf.preprocessing import FeatureTable
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive

__all__ = ["packed_groups", "unpacked_groups"]


def packed_groups(groups: Any) -> dict[str, Any]:
    """Return groups, a feature table or a pair of ids and labels, as arrays of a file; None as no arrays."""
    if groups is None:
        return {}
    if not isinstance(groups, FeatureTable):
        ids = groups[0] if isinstance(groups[0], IdMap) else IdMap(groups[0])
        return {"grouped_ids": ids.column.ids, "group_labels": plain_labels(groups[1])}
    arrays: dict[str, Any] = {"grouped_ids": groups.ids.column.ids, "groups_width": np.int64(groups.n_features)}
    arrays |= packed_rows("groups", groups.matrix) if groups.is_sparse else {"groups": groups.matrix}
    return arrays if groups.names is None else {**arrays, "group_columns": groups.names}


def unpacked_groups(archive: Archive) -> Any:
    """Return the groups of an archive as they were given; raises DataError or ValueError where they do not fit."""
    if "grouped_ids" not in archive.arrays:
        return None
    ids = archive.ids("grouped_ids")
    if "group_labels" in archive.arrays:
        return ids, archive.array("group_labels", None, (len(ids),))
    names: NDArray[Any] | None = archive.array("group_columns") if "group_columns" in archive.arrays else None
    if "groups" in archive.arrays:
        return FeatureTable(ids, archive.array("groups", np.float32, (len(ids), None)), names)
    width = int(archive.array("groups_width", np.int64, ()))
    if not 0 <= width < 2**31:
        raise ValueError(f"groups_width must be in [0, 2**31); got {width}")
    return FeatureTable(ids, unpacked_rows(archive, "groups", len(ids), width), names)
