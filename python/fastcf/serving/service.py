"""What each endpoint answers: a request in, an answer of one model out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastcf.scores import Explanation
from fastcf.serving.live import LiveModel
from fastcf.serving.messages import (
    BatchAnswer,
    BatchRequest,
    ExplainAnswer,
    ExplainRequest,
    HealthAnswer,
    ListedItem,
    ModelAnswer,
    PredictAnswer,
    Predicted,
    PredictRequest,
    RecommendAnswer,
    RecommendRequest,
    ScoreParts,
    SearchAnswer,
    Share,
    SimilarAnswer,
    SimilarRequest,
    TitledItem,
    Visitor,
    VisitorList,
    json_id,
)
from fastcf.serving.refusals import RequestError
from fastcf.serving.served import ServedModel

__all__ = ["Limits", "Service"]

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for.

    Attributes
    ----------
    n : int
        Items of a list.
    batch : int
        Users, or histories, of a batch.
    body : int
        Bytes of a request.
    """

    n: int = 1000
    batch: int = 256
    body: int = 1 << 20


class Service:
    """Answers requests, each from one :class:`ServedModel`. The docstrings of its endpoints are those of OpenAPI.

    Parameters
    ----------
    live : LiveModel
        The model.
    limits : Limits
        What is refused.
    """

    def __init__(self, live: LiveModel, limits: Limits) -> None:
        self.live = live
        self.limits = limits

    # -------------------------------------------------------------------------------------------------------
    # Lists
    # -------------------------------------------------------------------------------------------------------

    def recommend(self, asked: RecommendRequest) -> RecommendAnswer:
        """The items with the highest scores for a user, or for a visitor given by a history."""
        served = self.live.current
        users = None if asked.user is None else [asked.user]
        (found,) = self._lists(served, asked, users, [asked.history or []])
        return RecommendAnswer(version=served.version, **dict(found))

    def batch(self, asked: BatchRequest) -> BatchAnswer:
        """The lists of many users, or of many histories, in the order in which they were asked for."""
        served = self.live.current
        n = len(asked.users or asked.histories or ())
        if n > self.limits.batch:
            argument = "users" if asked.users is not None else "histories"
            requirement = f"must have at most {self.limits.batch} entries"
            raise RequestError(413, argument, requirement, n, "ask in several requests")
        return BatchAnswer(version=served.version, lists=self._lists(served, asked, asked.users, asked.histories))

    def _lists(
        self,
        served: ServedModel,
        asked: RecommendRequest | BatchRequest,
        users: Sequence[int | str] | None,
        histories: Sequence[Sequence[Any]] | None,
    ) -> list[VisitorList]:
        """Return the lists of users or, where there are none, of histories."""
        self._check_n(asked.n)
        options: dict[str, Any] = {"exclude_seen": asked.exclude_seen}
        if served.beside.rules is not None:
            options["rules"] = served.beside.rules
        if asked.min_score is not None:
            served.need("min_score", "min_score")
            options["min_score"] = asked.min_score
        options |= self._filters(served, asked, asked.strict)
        if users is not None:
            rows = self._users(served, users, asked.strict)
            lists = [
                VisitorList(user=json_id(user), known=bool(row >= 0), items=[])
                for user, row in zip(users, rows, strict=True)
            ]
            options["users"] = served.user_ids(users)
        else:
            assert histories is not None
            options["history"], unknown = self._histories(served, histories, asked.strict)
            lists = [
                VisitorList(known=len(unknown[row]) < len(history), unknown_items=unknown[row], items=[])
                for row, history in enumerate(histories)
            ]
        if not lists:
            return []
        found = _by_model("user" if users is not None else "history", served.model.recommend, n=asked.n, **options)
        for each, items, scores in zip(lists, found.items, found.scores, strict=True):
            each.items = _listed(served, items, scores)
        return lists

    def similar(self, asked: SimilarRequest) -> SimilarAnswer:
        """The items that are nearest to one."""
        served = self.live.current
        served.need("similar")
        self._check_n(asked.n)
        (row,) = served.items([asked.item])
        if row < 0:
            raise _unknown("item", asked.item)
        options = self._filters(served, asked, False)
        own = served.model.items_.id_at(int(row))
        found = _by_model("item", served.similar, own, asked.n, asked.metric, **options)
        items = _listed(served, found.ids, found.scores)
        return SimilarAnswer(
            version=served.version, item=json_id(own), title=served.catalogue.title(int(row)), items=items
        )

    # -------------------------------------------------------------------------------------------------------
    # Predictions
    # -------------------------------------------------------------------------------------------------------

    def predict(self, asked: PredictRequest) -> PredictAnswer:
        """The predictions of items for a user, or for a visitor given by a history."""
        served = self.live.current
        served.need("predict")
        rows = served.items(asked.items)
        self._refuse_unknown("items", asked.items, rows, asked.strict)
        known, unknown, options = self._visitor(served, asked, asked.strict)
        who = 0 if asked.user is None else served.user_ids([asked.user])[0]
        own = [served.model.items_.id_at(int(row)) if row >= 0 else None for row in rows]
        items = served.item_ids(asked.items)
        predicted: NDArray[np.float32] = np.empty(0, np.float32)
        if items:
            pairs = np.empty((len(items), 2), dtype=object)
            pairs[:, 0], pairs[:, 1] = [who] * len(items), items
            predicted = _by_model("items", served.model.predict, pairs, **options)
        return PredictAnswer(
            version=served.version,
            user=None if asked.user is None else json_id(asked.user),
            known=known,
            unknown_items=unknown,
            predictions=[
                Predicted(
                    item=json_id(asked.items[place] if one is None else one),
                    prediction=_shortest(predicted[place]),
                    known=one is not None,
                    title=None if one is None else served.catalogue.title(int(rows[place])),
                )
                for place, one in enumerate(own)
            ],
        )

    def explain(self, asked: ExplainRequest) -> ExplainAnswer:
        """What a score is made of: what each item of the history, feature or member adds to it."""
        served = self.live.current
        served.need("explain")
        self._check_n(asked.n)
        (row,) = served.items([asked.item])
        if row < 0:
            raise _unknown("item", asked.item)
        known, unknown, options = self._visitor(served, asked, False)
        who = 0 if asked.user is None else served.user_ids([asked.user])[0]
        own = served.model.items_.id_at(int(row))
        argument = "history" if asked.user is None else "user"
        found = _by_model(argument, served.model.explain, who, own, n=asked.n, by=asked.by, **options)
        return ExplainAnswer(
            version=served.version,
            user=None if asked.user is None else json_id(asked.user),
            item=json_id(own),
            title=served.catalogue.title(int(row)),
            known=known,
            unknown_items=unknown,
            **dict(self._parts(served, found)),
        )

    def _parts(self, served: ServedModel, found: Explanation) -> ScoreParts:
        """Return an explanation as an answer has it, and those of members in it."""
        titles = served.titles(found.ids) if found.kind == "item" else [None] * found.ids.size
        shares = zip(found.ids.tolist(), titles, found.contributions.tolist(), strict=True)
        return ScoreParts(
            score=found.score,
            prediction=found.prediction,
            base=found.base,
            kind=found.kind,
            shares=[Share(id=json_id(one), title=title, value=value) for one, title, value in shares],
            rest=found.rest,
            n_rest=found.n_rest,
            unexplained=found.unexplained,
            members={name: self._parts(served, member) for name, member in found.members.items()},
        )

    def _visitor(
        self, served: ServedModel, asked: Visitor, strict: bool
    ) -> tuple[bool, list[int | str], dict[str, Any]]:
        """Return whether a visitor is known, the unknown items of a history, and the history as the model takes it."""
        if asked.user is not None:
            (row,) = self._users(served, [asked.user], strict)
            return bool(row >= 0), [], {}
        assert asked.history is not None
        history, (unknown,) = self._histories(served, [asked.history], strict)
        return len(unknown) < len(asked.history), unknown, {"history": history}

    # -------------------------------------------------------------------------------------------------------
    # The model
    # -------------------------------------------------------------------------------------------------------

    def search(self, words: str = "", n: int = 10) -> SearchAnswer:
        """Items whose titles have words that begin so, or whose id is the text; the most frequent ones first."""
        served = self.live.current
        self._check_n(n)
        rows = served.catalogue.search(words, n)
        return SearchAnswer(version=served.version, items=self._titled(served, rows))

    def seen(self, user: str, n: int = 10) -> SearchAnswer:
        """What a user rated in training: the items that the lists of this user leave out."""
        served = self.live.current
        served.need("seen")
        self._check_n(n)
        (row,) = self._users(served, [user], strict=True)
        begin, end = served.model.seen_.indptr[row : row + 2]
        rows = served.model.seen_.indices[begin : min(end, begin + n)].tolist()
        return SearchAnswer(version=served.version, items=self._titled(served, rows))

    @staticmethod
    def _titled(served: ServedModel, rows: Sequence[int]) -> list[TitledItem]:
        ids, catalogue = served.model.items_, served.catalogue
        return [TitledItem(item=json_id(ids.id_at(row)), title=catalogue.title(row)) for row in rows]

    async def describe(self) -> ModelAnswer:
        """The model: its version, size, ratings that histories may have, and what it cannot do."""
        served = self.live.current
        return ModelAnswer(
            version=served.version,
            model=served.class_name,
            fastcf_version=served.fastcf_version,
            n_users=len(served.model.users_),
            n_items=len(served.model.items_),
            titles=served.catalogue.has_titles,
            loaded_at=served.loaded_at.isoformat(timespec="seconds"),
            scale=served.scale,
            lacks=served.lacks,
            limits=asdict(self.limits),
            metadata=served.metadata,
            files=dict(served.beside.digests),
        )

    async def health(self) -> HealthAnswer:
        """Whether this worker can answer, and why a newer file is not served, if there is one."""
        return HealthAnswer(version=self.live.current.version, reload_error=self.live.error)

    # -------------------------------------------------------------------------------------------------------
    # Checks
    # -------------------------------------------------------------------------------------------------------

    def _check_n(self, n: int) -> None:
        if not 1 <= n <= self.limits.n:
            raise RequestError(422, "n", f"must be from 1 to {self.limits.n}", n, "ask for a shorter list")

    def _refuse_unknown(
        self, argument: str, wanted: Sequence[int | str], rows: NDArray[np.int32], strict: bool
    ) -> None:
        if strict and (rows < 0).any():
            raise _unknown(argument, wanted[int(np.argmax(rows < 0))])

    def _users(self, served: ServedModel, wanted: Sequence[int | str], strict: bool) -> NDArray[np.int32]:
        rows = served.users(wanted)
        self._refuse_unknown("user", wanted, rows, strict)
        return rows

    def _filters(
        self, served: ServedModel, asked: RecommendRequest | BatchRequest | SimilarRequest, strict: bool
    ) -> dict[str, Any]:
        """Return the candidates and the excluded items that are given, as far as they are known."""
        filters: dict[str, Any] = {}
        for name, wanted in (("candidates", asked.candidates), ("exclude", asked.exclude)):
            if wanted is not None:
                served.need(name, name)
                rows = served.items(wanted)
                self._refuse_unknown(name, wanted, rows, strict)
                filters[name] = served.model.items_.ids[rows[rows >= 0]]
        return filters

    def _histories(
        self, served: ServedModel, given: Sequence[Sequence[Any]], strict: bool
    ) -> tuple[Any, list[list[int | str]]]:
        served.need("history", "history")
        matrix, unknown = served.histories(given)
        first = next((items[0] for items in unknown if items), None)
        if strict and first is not None:
            raise _unknown("history", first)
        return matrix, unknown


def _unknown(argument: str, value: int | str) -> RequestError:
    remedy = "GET /search finds items" if argument != "user" else "ask with a history, or without strict"
    return RequestError(404, argument, "must be known to the model", value, remedy)


def _by_model(argument: str, method: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
    """Call a model's method, whose ValueErrors and TypeErrors say what is wrong with its arguments."""
    try:
        return method(*args, **options)
    except (ValueError, TypeError) as error:
        raise RequestError.by_model(error, argument) from error


def _shortest(value: np.float32) -> float:
    """Return a number as the shortest text that reads back as the same float32."""
    return float(str(value))


def _listed(served: ServedModel, ids: NDArray[Any], scores: NDArray[np.float32]) -> list[ListedItem]:
    """Return a list of items without its padding."""
    found = np.isfinite(scores)
    kept = ids[found]
    titles = served.titles(kept)
    return [
        ListedItem(item=json_id(one), score=_shortest(score), title=title)
        for one, score, title in zip(kept.tolist(), scores[found], titles, strict=True)
    ]
