"""Requests and answers of the service: what ``GET /openapi.json`` describes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, StrictStr, model_validator

__all__ = [
    "BatchAnswer",
    "BatchRequest",
    "ExplainAnswer",
    "ExplainRequest",
    "HealthAnswer",
    "ListedItem",
    "ModelAnswer",
    "PredictAnswer",
    "PredictRequest",
    "Predicted",
    "Rated",
    "RecommendAnswer",
    "RecommendRequest",
    "Scale",
    "ScoreParts",
    "SearchAnswer",
    "Share",
    "SimilarAnswer",
    "SimilarRequest",
    "TitledItem",
    "Visitor",
    "VisitorList",
    "json_id",
]

_EXACT = 2**53  # JavaScript, whose numbers are float64, rounds integers beyond this


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be Unicode text, without half of a surrogate pair") from error
    return text


Id = Annotated[
    StrictInt | Annotated[StrictStr, AfterValidator(_encodable)], Field(description='An id; 7 and "7" are the same.')
]


def json_id(one: Any) -> int | str:
    """Return an id as JSON has it: an integer, as text where some readers of JSON would round it."""
    if isinstance(one, str):
        return one
    number = int(one)
    return number if -_EXACT < number < _EXACT else str(number)


_REFUSING = ConfigDict(extra="forbid", strict=True)  # a misspelt field would be ignored


# ---------------------------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------------------------


class Rated(BaseModel):
    """An item of a visitor's history."""

    model_config = _REFUSING

    item: Id
    rating: FiniteFloat | None = Field(
        default=None, description="By default, the rating of what was chosen: see GET /model."
    )


class _ListRequest(BaseModel):
    model_config = _REFUSING

    n: int = Field(default=10, ge=1, description="How many items.")
    exclude_seen: bool = Field(
        default=True, description="Whether to leave out what was rated in training or in the history."
    )
    candidates: list[Id] | None = Field(default=None, description="Only these items.")
    exclude: list[Id] | None = Field(default=None, description="None of these items.")
    min_score: FiniteFloat | None = Field(default=None, description="Only items of at least this score.")
    strict: bool = Field(default=False, description="Whether an unknown user or item is an error (404).")


class Visitor(BaseModel):
    """Whom a query is about: a user of the training ratings, or a visitor given by a history."""

    model_config = _REFUSING

    user: Id | None = Field(default=None, description="A user; an unknown one gets the answer of a cold start.")
    history: list[Rated] | None = Field(default=None, description="A visitor's items; may be empty.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Visitor:
        if (self.user is None) == (self.history is None):
            raise ValueError("either user or history must be given")
        return self


class RecommendRequest(Visitor, _ListRequest):
    """Asks for the best items of one user or visitor."""


class BatchRequest(_ListRequest):
    """Asks for the best items of many users."""

    users: list[Id] | None = None
    histories: list[list[Rated]] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> BatchRequest:
        if (self.users is None) == (self.histories is None):
            raise ValueError("either users or histories must be given")
        return self


class SimilarRequest(BaseModel):
    """Asks for the items that are most similar to one."""

    model_config = _REFUSING

    item: Id
    n: int = Field(default=10, ge=1, description="How many items.")
    metric: Literal["cosine", "euclidean", "dot"] | None = Field(
        default=None, description="By default that of the table of neighbours, or cosine."
    )
    candidates: list[Id] | None = Field(default=None, description="Only these items.")
    exclude: list[Id] | None = Field(default=None, description="None of these items.")


class PredictRequest(Visitor):
    """Asks for predictions of one user or visitor."""

    items: list[Id] = Field(description="The items to predict.")
    strict: bool = Field(default=False, description="Whether an unknown user or item is an error (404).")


class ExplainRequest(Visitor):
    """Asks what the score of an item is made of."""

    item: Id
    n: int = Field(default=10, ge=1, description="How many of the largest shares; the others are summed.")
    by: Literal["item"] | None = Field(default=None, description="Of a blend: by items of the history, not by members.")


# ---------------------------------------------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------------------------------------------


class _Answer(BaseModel):
    version: str = Field(description="The digest of the model that gave this whole answer.")


class ListedItem(BaseModel):
    """An item of a list."""

    item: int | str
    score: float
    title: str | None = None


class VisitorList(BaseModel):
    """The list of one user or visitor."""

    user: int | str | None = Field(default=None, description="The user who was asked for; null for a history.")
    known: bool = Field(description="Whether the model knows the user, or items of the history.")
    unknown_items: list[int | str] = Field(default=[], description="Items of the history that the model does not know.")
    items: list[ListedItem] = Field(description="The best first; may be fewer than were asked for.")


class RecommendAnswer(_Answer, VisitorList):
    """Answers a :class:`RecommendRequest`."""


class BatchAnswer(_Answer):
    """Answers a :class:`BatchRequest`."""

    lists: list[VisitorList]


class SimilarAnswer(_Answer):
    """Answers a :class:`SimilarRequest`."""

    item: int | str
    title: str | None = None
    items: list[ListedItem] = Field(description="The nearest first; of the Euclidean metric scores are distances.")


class Predicted(BaseModel):
    """A prediction."""

    item: int | str
    prediction: float
    known: bool = Field(description="Whether the model knows the item.")
    title: str | None = None


class PredictAnswer(_Answer):
    """Answers a :class:`PredictRequest`."""

    user: int | str | None = None
    known: bool
    unknown_items: list[int | str] = []
    predictions: list[Predicted]


class Share(BaseModel):
    """What one item, user, feature or member adds to a score."""

    id: int | str = Field(description="Of the item or user, or the name of the feature or member.")
    title: str | None = None
    value: float


class ScoreParts(BaseModel):
    """A score, which is the sum of base, shares, rest and unexplained."""

    score: float = Field(description="Before it is limited or turned into a probability.")
    prediction: float
    base: dict[str, float] = Field(description="Constants: mean, biases, ...")
    kind: str = Field(description='What the shares are of: "item", "user", "feature" or "member".')
    shares: list[Share] = Field(description="The largest first.")
    rest: float = Field(description="The sum of the smaller ones.")
    n_rest: int = Field(description="How many these are.")
    unexplained: float = Field(description="What the parts do not account for.")
    members: dict[str, ScoreParts] = Field(description="Of a blend: the parts of its members, in their own units.")


class ExplainAnswer(_Answer, ScoreParts):
    """Answers an :class:`ExplainRequest`."""

    user: int | str | None = None
    item: int | str
    title: str | None = None
    known: bool
    unknown_items: list[int | str] = []


class TitledItem(BaseModel):
    """An item and its title."""

    item: int | str
    title: str | None = None


class SearchAnswer(_Answer):
    """Items found by the words of their titles."""

    items: list[TitledItem]


class Scale(BaseModel):
    """Ratings that histories may have, and that a model of ratings predicts."""

    kind: Literal["ratings", "labels", "choices"]
    low: float | None = Field(default=None, description="The lowest rating of a model of ratings.")
    high: float | None = None
    step: float | None = None
    liked: float = Field(description="The rating of an item without one.")
    disliked: float = Field(description="A rating that says the opposite.")


class ModelAnswer(_Answer):
    """What is served."""

    model: str = Field(description="The class of the model.")
    fastcf_version: str = Field(description="The version of fastcf that wrote the file.")
    n_users: int
    n_items: int
    titles: bool = Field(description="Whether items have titles.")
    loaded_at: str = Field(description="When this worker loaded the model, UTC.")
    scale: Scale | None = Field(description="Null where the model takes no histories and predicts nothing.")
    lacks: dict[str, str] = Field(description="What this model cannot do (501), and why.")
    limits: dict[str, int]
    metadata: dict[str, Any] = Field(description="The metadata of the model's file.")
    files: dict[str, str] = Field(
        description="Digests of files beside the model's: titles, rules, neighbours; new ones when replaced."
    )


class HealthAnswer(_Answer):
    """Whether the worker can answer."""

    status: Literal["ok"] = "ok"
    reload_error: str | None = Field(
        default=None, description="Why the file that is there now is not served; else null."
    )
