"""The state of a fitted model: everything learnt, in one immutable object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings
from fastcf.scores.explanations import Breakdown
from fastcf.scores.links import Compute
from fastcf.scores.protocol import Rows, Scores
from fastcf.scores.queries import RatedSide
from fastcf.scores.results import ids_of
from fastcf.scores.seen import SeenItems, frozen
from fastcf.scores.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Folding", "State"]


class Folding:
    """How a family computes new rows of a fitted state. Immutable.

    A family overrides the methods for the sides that it names.
    """

    rated_sides: tuple[str, ...] = ()
    """Sides whose new rows can be computed from their ratings: "user", "item"."""

    featured_sides: tuple[str, ...] = ()
    """Sides whose new rows can be computed from their features."""

    why: str = ""
    """The reason for missing sides, for messages."""

    explains_by_ratings: bool = False
    """Whether explanations take the users' ratings, :attr:`State.rated`; histories bring them."""

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Return a state whose scores (and what belongs to them) are those of the rated rows.

        Ids and seen items are replaced by the caller of this method. Values of ``rated`` are targets.
        """
        raise NotImplementedError

    def table(self, side: str, features: Any, caller: str) -> FeatureTable:
        """Return as a table the features that a caller gave for a side; raises TypeError or ValueError."""
        return as_feature_table(features, caller, f"{side}_features")

    def fold_features(self, state: State, features: Mapping[str, FeatureTable], compute: Compute, caller: str) -> State:
        """Return a state with the rows of feature tables added, by side ("user", "item")."""
        raise NotImplementedError

    def unexplained(self, state: State) -> str:
        """Return why :meth:`breakdown` cannot say what scores of a state are made of, and the remedy; else ""."""
        return "" if state.scores.explains else "the scores are no sums over a history, features or members"

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what the scores of a user row for item rows are made of, by items of the user's history."""
        found = state.scores.contributions(user, items, compute)
        return Breakdown(found.base, "item", ids_of(state.items, found.rows), found.values)


@dataclass(frozen=True, eq=False)
class State:
    """Everything that a model has learnt. A fit, a load or a ``partial_fit`` makes a new one; none ever changes.

    Attributes
    ----------
    users, items : IdMap
        The ids behind the rows of the scores.
    seen : SeenItems or None
        Which items each user rated in training.
    scores : Scores
        The scores.
    rating_range : tuple of float
        Limits of predictions.
    device : str
        The device of the fit, and of queries.
    targets : Targets
        Whether predictions are ratings or probabilities of labels.
    history : tuple of dict
        A record per epoch of training.
    n_epochs : int
        The epoch whose parameters were kept.
    learnt : object
        What else the family of the model has learnt: an immutable object. Its attributes that ``shown`` names are
        attributes of the model, and so are those of the scores.
    folding : Folding
        How new rows are computed.
    feature_names : tuple of two str, optional
        Names of the columns of users and items that the model was fitted to, where these had names.
    of_matrix : bool
        Whether the model was fitted to a SciPy matrix, whose row numbers are its users.
    rated : RatedSide, optional
        The targets that the users' rows were learnt from, where explanations need them and they are known.
    """

    users: IdMap
    items: IdMap
    seen: SeenItems | None
    scores: Scores
    rating_range: tuple[float, float]
    device: str
    targets: Targets = field(default_factory=Targets)
    history: tuple[dict[str, Any], ...] = ()
    n_epochs: int = 0
    learnt: Any = None
    folding: Folding = field(default_factory=Folding)
    feature_names: tuple[str, str] | None = None
    of_matrix: bool = False
    rated: RatedSide | None = None

    def __post_init__(self) -> None:
        for name in ("seen", "scores", "learnt", "rated"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies of arrays can be written to
        self.__dict__.update(state)
        self.__post_init__()

    @classmethod
    def of(cls, ratings: Ratings, backend: Backend, scores: Scores, **others: Any) -> State:
        """Return the state of a model of these ratings: with their ids, range and structure.

        Parameters
        ----------
        ratings : Ratings
            The training ratings.
        backend : Backend
            The device.
        scores : Scores
            The scores.
        **others
            Further attributes, or others in place of those of the ratings.

        Returns
        -------
        State
        """
        seen = SeenItems(ratings.indptr, ratings.indices)
        given = {"seen": seen, "rating_range": ratings.rating_range, **others}
        given = {"users": ratings.users, "items": ratings.items, **given}
        return cls(scores=scores, device=backend.device, **given)

    def replaced(self, **changes: Any) -> State:
        """Return a state with other values in place of some."""
        return replace(self, **changes)

    def attribute(self, name: str) -> Any:
        """Return the attribute of a model named ``name`` and an underscore.

        Raises
        ------
        AttributeError
            If there is none of that name.
        """
        if name == "history" and self.history:
            return [dict(record) for record in self.history]
        for owner, names in self._views():
            if name in names:
                return getattr(owner, name)
        raise AttributeError(name)

    def attributes(self) -> set[str]:
        """Return the names of all attributes, without the underscore."""
        trained = {"history"} if self.history else set()
        return trained.union(*(names for _, names in self._views()))

    @property
    def classes(self) -> NDArray[np.int64]:
        """The labels in the order of their probabilities, for scikit-learn."""
        return np.arange(2)

    @property
    def feature_names_in(self) -> NDArray[np.object_]:
        """The names of the columns of ``X``, for scikit-learn."""
        return np.array(self.feature_names, dtype=object)

    def _views(self) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """Return the objects whose fields models show as attributes, and those fields."""
        yield self, ("users", "items", "seen", "rating_range", "device")
        if self.history:
            yield self, ("n_epochs",)
        if self.targets.labels and self.targets.threshold is None:  # else the ratings are not the classes
            yield self, ("classes",)
        if self.feature_names is not None:
            yield self, ("feature_names_in",)
        for part in (self.learnt, self.scores):
            yield part, getattr(part, "shown", ())
