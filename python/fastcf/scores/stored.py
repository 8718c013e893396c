"""Ids, seen items, range, history and factors of a model's state as arrays and JSON values of a file, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import ingest, resolve_device
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.scores.choices import STRENGTHS, Choices
from fastcf.scores.factors import FactorScores
from fastcf.scores.histories import Histories
from fastcf.scores.links import Identity, Link
from fastcf.scores.protocol import Scores
from fastcf.scores.queries import RatedSide
from fastcf.scores.seen import SeenItems
from fastcf.scores.state import State
from fastcf.scores.targets import COSTS, Targets
from fastcf.serialization import Archive

__all__ = [
    "factor_arrays",
    "factors_from",
    "packed_rows",
    "read_common",
    "seen_arrays",
    "seen_from",
    "unpacked_rows",
    "write_common",
]


def write_common(state: State) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and tables of texts, and the JSON values that every model's file holds."""
    arrays: dict[str, Any] = {"user_ids": state.users.column.ids, "item_ids": state.items.column.ids}
    arrays |= seen_arrays(state.seen)
    arrays |= _rated_arrays(state.seen, state.rated)
    limits = [limit if np.isfinite(limit) else None for limit in state.rating_range]
    meta: dict[str, Any] = {"rating_range": limits, "targets": asdict(state.targets)}
    if state.feature_names is not None:
        meta["feature_names"] = list(state.feature_names)
    if state.history:
        meta |= {"history": list(state.history), "n_epochs": state.n_epochs}
    return arrays, meta


def read_common(archive: Archive) -> State:
    """Return a state with the parts common to all models' files, and no scores.

    Raises DataError if something is missing or does not fit together.
    """
    try:
        users, items = archive.ids("user_ids"), archive.ids("item_ids")
        lowest, highest = archive.meta["rating_range"]
        low, high = float(-np.inf if lowest is None else lowest), float(np.inf if highest is None else highest)
        history = tuple(dict(record) for record in archive.meta.get("history", ()))
        n_epochs = int(archive.meta.get("n_epochs", 0))
        targets = _targets(**archive.meta.get("targets", {}))
        names = archive.meta.get("feature_names")
        if names is not None:
            user_column, item_column = (str(name) for name in names)
            names = user_column, item_column
    except DataError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{archive.path}: ids, range, targets or history are damaged: {error!r}") from error
    seen = seen_from(archive, len(users), len(items))
    device = resolve_device("auto", "load").device
    state = State(users, items, seen, Scores(), (low, high), device, targets, history, n_epochs)
    return state.replaced(feature_names=names, rated=_rated_from(archive, users, seen))


def seen_arrays(seen: SeenItems | None) -> dict[str, NDArray[Any]]:
    """Return the arrays of seen items; none where it is not known what users have seen."""
    return {} if seen is None else {"seen_indptr": seen.indptr, "seen_indices": seen.indices}


def seen_from(archive: Archive, n_users: int, n_items: int) -> SeenItems | None:
    """Return the seen items of an archive, None where it has none; raises DataError if they do not fit."""
    if "seen_indptr" not in archive.arrays:
        return None
    indptr = archive.array("seen_indptr", np.int64, (n_users + 1,))
    indices = archive.array("seen_indices", np.int32, (None,))
    try:
        ingest.check_ratings(indptr, indices, None, n_items, archive.class_name)
    except ValueError as error:
        raise DataError(f"{archive.path}: seen items are damaged: {error}") from error
    return SeenItems(indptr, indices)


def _rated_arrays(seen: SeenItems | None, rated: RatedSide | None) -> dict[str, NDArray[Any]]:
    """Return the targets of what users have seen; none where these are not known, or of other pairs."""
    if seen is None or rated is None:
        return {}
    if not (np.array_equal(rated.indptr, seen.indptr) and np.array_equal(rated.columns, seen.indices)):
        return {}
    arrays: dict[str, NDArray[Any]] = {"seen_values": rated.values}
    return arrays if rated.weights is None else {**arrays, "seen_weights": rated.weights}


def _rated_from(archive: Archive, users: IdMap, seen: SeenItems | None) -> RatedSide | None:
    """Return the targets of what users have seen, None where there are none; raises DataError if they do not fit."""
    if seen is None or "seen_values" not in archive.arrays:
        return None
    values, weights = archive.array("seen_values", np.float32, seen.indices.shape), None
    if "seen_weights" in archive.arrays:
        weights = archive.array("seen_weights", np.float32, seen.indices.shape)
    return RatedSide("user", users, *seen, values, weights)


def _targets(
    cost: str = "squared", threshold: float | None = None, soft: bool = False, strength: str = "one"
) -> Targets:
    """Return the targets that a file describes, checked."""
    if cost == "choices":
        known = (*STRENGTHS, "as given")
        if strength not in known:
            raise ValueError(f"strength must be one of {', '.join(map(repr, known))}; got {strength!r}")
        return Choices(threshold=None if threshold is None else float(threshold), strength=strength)
    if cost not in COSTS:
        raise ValueError(f"cost must be {' or '.join(map(repr, COSTS))}; got {cost!r}")
    return Targets(cost, None if threshold is None else float(threshold), bool(soft))


def factor_arrays(scores: FactorScores) -> dict[str, NDArray[Any]]:
    """Return the arrays of scores; their mean is a JSON value of the model's own."""
    arrays: dict[str, NDArray[Any]] = {
        "user_factors": scores.user_factors,
        "item_factors": scores.item_factors,
        "user_bias": scores.user_bias,
        "item_bias": scores.item_bias,
    }
    if scores.item_mean is not None:
        arrays["item_mean"] = scores.item_mean
    return arrays


def factors_from(archive: Archive, common: State, link: Link | None = None) -> FactorScores:
    """Return the scores of an archive; raises DataError where arrays do not fit the ids."""
    n_users, n_items = len(common.users), len(common.items)
    user_factors = archive.array("user_factors", np.float32, (n_users, None))
    item_factors = archive.array("item_factors", np.float32, (n_items, user_factors.shape[1]))
    mean = archive.array("item_mean", np.float32, (n_items,)) if "item_mean" in archive.arrays else None
    return FactorScores(
        user_factors,
        item_factors,
        archive.array("user_bias", np.float32, (n_users,)),
        archive.array("item_bias", np.float32, (n_items,)),
        float(archive.meta["global_mean"]),
        mean,
        link or Identity(),
    )


def packed_rows(name: str, table: Any) -> dict[str, NDArray[Any]]:
    """Return a SciPy array of compressed rows as arrays of a file."""
    return {f"{name}_{part}": array for part, array in Histories.of_scipy(table)._asdict().items()}


def unpacked_rows(archive: Archive, name: str, n_rows: int, n_columns: int) -> Any:
    """Return the compressed rows of a file, checked; raises DataError."""
    indptr = archive.array(f"{name}_indptr", np.int64, (n_rows + 1,))
    indices = archive.array(f"{name}_indices", np.int32, (None,))
    values = archive.array(f"{name}_values", np.float32, (indices.size,))
    try:
        ingest.check_ratings(indptr, indices, values, n_columns, archive.class_name)
    except ValueError as error:
        raise DataError(f"{archive.path}: {name} is damaged: {error}") from error
    return scipy.sparse.csr_array((values, indices, indptr), (n_rows, n_columns))
