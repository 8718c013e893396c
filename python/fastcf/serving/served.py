"""A model as it is served: its file's digest, its titles, and what it can be asked. Immutable."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.data.items import stored_titles
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.scores import Neighbours
from fastcf.scores.targets import liked
from fastcf.serialization import Archive, check_finite, from_archive, load_archive
from fastcf.serving.beside import Beside
from fastcf.serving.catalogue import Catalogue
from fastcf.serving.messages import Rated, Scale
from fastcf.serving.neighbours import NeighbourTable
from fastcf.serving.refusals import RequestError

__all__ = ["ServedModel"]

_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_ALONE = Beside()
_STEPS = 20  # of ratings, at most, that a person can choose among


def _as_kind(ids: IdMap, one: int | str) -> int | str | None:
    """Return an id as a map holds it, an integer or a string; None where it cannot be one of the map's."""
    if ids.kind == "str":
        return str(one)
    if isinstance(one, int):
        return one
    return int(one) if _INTEGER.fullmatch(one) else None


def _rows(ids: IdMap, wanted: Sequence[int | str]) -> NDArray[np.int32]:
    """Return the rows of ids; -1 where one is unknown."""
    own = [_as_kind(ids, one) for one in wanted]
    rows = np.full(len(own), -1, np.int32)
    possible = [place for place, one in enumerate(own) if one is not None]
    asked: Any = [own[place] for place in possible]
    if asked:
        rows[possible] = ids.rows(asked, n_threads=1)
    return rows


def _scale_of(model: Any) -> Scale:
    """Return the ratings that histories of a model may have."""
    targets, (low, high) = model.state.targets, model.state.rating_range
    most, least = liked(model)
    kind: Literal["ratings", "labels", "choices"]
    kind = "labels" if targets.labels else "choices" if targets.choices else "ratings"
    if kind != "ratings" or not np.isfinite([low, high]).all():
        return Scale(kind=kind, liked=most, disliked=least)
    even = (step for step in (1.0, 0.5) if low % step == high % step == 0 and high - low <= _STEPS * step)
    step = next(even, (high - low) / _STEPS)
    return Scale(kind=kind, low=low, high=high, step=step or None, liked=most, disliked=least)


def _neighbours_of(
    model: Any, given: NeighbourTable | int | None, archive: Archive, n_threads: int | None
) -> NeighbourTable | None:
    """Return a table of the neighbours of a model's items: the one that is given, or so many as are to be computed."""
    if isinstance(given, int):
        if not hasattr(model, "similar_items"):
            raise DataError(f"{archive.path}: neighbours must be a table's: a {archive.class_name} compares no items")
        return NeighbourTable.of(model, given, n_threads=n_threads)
    if given is not None and given.items_ != model.items_:
        raise DataError(
            f"{archive.path}: the table of neighbours must have the model's {len(model.items_)} items; it is of "
            f"{len(given.items_)} others: make it again, by NeighbourTable.of(model)"
        )
    return given


def _not_in(table: NeighbourTable, n: int, metric: str, filters: Mapping[str, Any]) -> RequestError | None:
    """Return why a table does not hold the neighbours that a request asks for; None where it does."""
    width, remedy = table.rows_.shape[1], "serve a table that holds it"
    if metric != table.metric:
        return RequestError(422, "metric", f"must be {table.metric!r}, that of the table of neighbours", metric, remedy)
    for name, given in filters.items():
        return RequestError(422, name, "must be left out: the table of neighbours is of all items", given)
    if n > width and not table.holds_all:
        return RequestError(422, "n", f"must be at most {width}, the neighbours in the table", n, remedy)
    return None


def _beyond(ids: IdMap) -> int:
    return int(ids.ids.max()) + 1 if len(ids) else 0


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One model, and all that a request needs of it: every answer is made from one of these.

    Attributes
    ----------
    model : fitted model
        Any model that :func:`fastcf.load` returns.
    class_name, fastcf_version : str
        Its class, and the version of fastcf that wrote its file.
    version : str
        The digest of its file.
    metadata : dict
        The caller's own, in its file.
    catalogue : Catalogue
        Its items and their titles.
    beside : Beside
        Rules, and neighbours of the model's items, where there are any.
    loaded_at : datetime
        When it was loaded, UTC.
    """

    model: Any
    class_name: str
    fastcf_version: str
    version: str
    metadata: dict[str, Any]
    catalogue: Catalogue
    beside: Beside
    loaded_at: datetime

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        beside: Beside = _ALONE,
        *,
        n_threads: int | None = None,
    ) -> ServedModel:
        """Map a model file, and verify it.

        Parameters
        ----------
        path : path-like
            The file.
        beside : Beside, optional
            Titles, rules and neighbours; titles are by default those that the file holds.
        n_threads : int, optional
            Threads of one request.

        Returns
        -------
        ServedModel

        Raises
        ------
        OSError, DataError
            As :func:`fastcf.load`; and if the neighbours are those of other items, or the model compares none.
        """
        archive = load_archive(path, mmap=True, verify=True)
        check_finite(archive)
        model = from_archive(archive)
        if not hasattr(model, "recommend"):
            raise DataError(f"{os.fspath(path)}: holds a {archive.class_name}, which makes no lists for users")
        model.set_params(n_threads=n_threads)
        titles = stored_titles(archive, model.items_) if beside.titles is None else beside.titles
        known = None if titles is None else titles.title_of(model.items_.ids).tolist()
        seen = getattr(model, "seen_", None)
        if beside.rules is not None:
            beside.rules.prepare(model)
        counts = None if seen is None else np.bincount(seen.indices, minlength=len(model.items_))
        return cls(
            model,
            archive.class_name,
            archive.fastcf_version,
            archive.digest,
            archive.metadata,
            Catalogue(model.items_, known, counts),
            replace(beside, titles=None, neighbours=_neighbours_of(model, beside.neighbours, archive, n_threads)),
            datetime.now(timezone.utc),
        )

    # -------------------------------------------------------------------------------------------------------
    # What the model can
    # -------------------------------------------------------------------------------------------------------

    @cached_property
    def lacks(self) -> dict[str, str]:
        """What the model cannot do, and why."""
        name, missing = self.class_name, {}
        if not hasattr(self.model, "predict"):
            missing["predict"] = f"{name} makes lists, and predicts no pairs"
        if not hasattr(self.model, "similar_items") and self.beside.neighbours is None:
            missing["similar"] = f"{name} has neither vectors of items nor weights between them"
        try:
            _ = self.model.explain
        except AttributeError as error:  # which says why
            missing["explain"] = str(error)
        if getattr(self.model, "seen_", None) is None:
            missing["seen"] = f"{name} was saved without what users have seen"
        options = inspect.signature(self.model.recommend).parameters
        missing |= {
            option: f"{name} takes no {option}"
            for option in ("candidates", "exclude", "min_score", "strict", "history")
            if option not in options
        }
        if "history" in options and "user" not in self.model.state.folding.rated_sides:
            missing["history"] = f"{name} computes no new users from ratings{self.model.state.folding.why}"
        return missing

    def need(self, ability: str, argument: str = "") -> None:
        """Refuse a request that needs what the model lacks."""
        if ability in self.lacks:
            raise RequestError(501, argument, "must be something that the model can", ability, self.lacks[ability])

    def similar(self, item: Any, n: int, metric: str | None, **filters: Any) -> Neighbours:
        """Return the items nearest to one: from the table of neighbours where it has them, else by the model.

        Without a metric it is that of the table, or the cosine. Refuses a request that neither can answer.
        """
        table = self.beside.neighbours
        if isinstance(table, NeighbourTable):
            metric = metric or table.metric
            wrong = _not_in(table, n, metric, filters)
            if wrong is None:
                return table.similar_items(item, n)
            if not hasattr(self.model, "similar_items"):
                raise wrong
        found: Neighbours = self.model.similar_items(item, n, metric=metric or "cosine", **filters)
        return found

    @cached_property
    def scale(self) -> Scale | None:
        """The ratings that histories may have, and predictions have; None where the model names none."""
        return _scale_of(self.model) if hasattr(self.model, "state") else None

    # -------------------------------------------------------------------------------------------------------
    # From ids to rows, and to what the model's methods take
    # -------------------------------------------------------------------------------------------------------

    def users(self, wanted: Sequence[int | str]) -> NDArray[np.int32]:
        """Return the rows of users; -1 where one is unknown."""
        return _rows(self.model.users_, wanted)

    def items(self, wanted: Sequence[int | str]) -> NDArray[np.int32]:
        """Return the rows of items; -1 where one is unknown."""
        return _rows(self.model.items_, wanted)

    def user_ids(self, wanted: Sequence[int | str]) -> list[int | str]:
        """Return the ids of users as the model holds them, an unknown one as an id that no user has."""
        own = (_as_kind(self.model.users_, one) for one in wanted)
        return [self._no_user if one is None else one for one in own]

    def item_ids(self, wanted: Sequence[int | str]) -> list[int | str]:
        """Return the ids of items as the model holds them, an unknown one as some id that is no item's."""
        own = (_as_kind(self.model.items_, one) for one in wanted)
        return [self._no_item if one is None else one for one in own]

    def titles(self, ids: NDArray[Any]) -> list[str | None]:
        """Return the titles of known items, None where there is none."""
        if not self.catalogue.has_titles or ids.size == 0:
            return [None] * ids.size
        return [self.catalogue.title(row) for row in self.model.items_.rows(ids, n_threads=1).tolist()]

    @cached_property
    def _no_user(self) -> int:
        """An integer that is no user's id."""
        return _beyond(self.model.users_)

    @cached_property
    def _no_item(self) -> int:
        """An integer that is no item's id."""
        return _beyond(self.model.items_)

    def histories(self, given: Sequence[Sequence[Rated]]) -> tuple[scipy.sparse.csr_matrix, list[list[int | str]]]:
        """Return histories as a row of ratings each, and the items of each that are unknown."""
        flat = [rated for history in given for rated in history]
        owners = np.repeat(np.arange(len(given)), [len(history) for history in given])
        rows = self.items([rated.item for rated in flat])
        known = rows >= 0
        usual = 1.0 if self.scale is None else self.scale.liked
        values = np.array([usual if rated.rating is None else rated.rating for rated in flat], np.float32)
        pairs = owners[known] * len(self.model.items_) + rows[known]
        distinct, first = np.unique(pairs, return_index=True)
        if distinct.size < pairs.size:
            twice = np.setdiff1d(np.arange(pairs.size), first)[0]
            again = flat[int(np.flatnonzero(known)[twice])].item
            raise RequestError(
                422, "history", "must have each item once", again, "send the latest rating of an item only"
            )
        matrix = scipy.sparse.csr_matrix(
            (values[known], (owners[known], rows[known])), shape=(len(given), len(self.model.items_))
        )
        unknown: list[list[int | str]] = [[] for _ in given]
        for place in np.flatnonzero(~known):
            unknown[owners[place]].append(flat[place].item)
        return matrix, unknown
