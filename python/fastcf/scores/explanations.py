"""Explanations of scores: what constants, entries of a history, features and members add to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._tables import Column, Tabular
from fastcf.scores.links import Compute
from fastcf.scores.protocol import Rows

if TYPE_CHECKING:
    from fastcf.scores.state import State

__all__ = ["Breakdown", "Explained", "Explanation", "MemberShare", "explained", "explanations"]

Wide = NDArray[np.float64]

_ROUNDING = 1e-5  # of a score: what is not worth a line


class MemberShare(NamedTuple):
    """A member of a blend.

    Attributes
    ----------
    scale : ndarray of shape (m,), float64, or None
        What the member's score is multiplied by in the blend's; None where the member counts by its predictions, which
        are no multiples of its scores.
    explained : Explained or None
        Its own scores; None where the member cannot tell.
    """

    scale: Wide | None
    explained: Explained | None


@dataclass(frozen=True, eq=False)
class Breakdown:
    """What the scores of a user for m items are made of: constants, and terms that differ from user to user.

    Attributes
    ----------
    base : mapping of str to ndarray of shape (m,), float64
        The constants by name: means and biases.
    kind : {"item", "user", "feature", "member"}
        What the terms are of: items of the user's history, neighbours, features, members of a blend.
    ids : ndarray of shape (n,)
        Whose terms they are: the caller's ids, or names.
    values : ndarray of shape (n, m), float64
        The terms.
    members : mapping of str to MemberShare
        Of a blend.
    """

    base: Mapping[str, Wide]
    kind: str
    ids: NDArray[Any]
    values: Wide
    members: Mapping[str, MemberShare] = field(default_factory=dict)

    @property
    def total(self) -> Wide:
        """The sum of all, (m,)."""
        total: Wide = sum(self.base.values(), self.values.sum(axis=0))
        return total

    def by_item(self, no_ids: NDArray[Any]) -> Breakdown:
        """Return what items of the history give over all members of a blend; all other terms are constants.

        Constants are those of the model itself, or one of each member. ``no_ids``: an empty array of item ids.
        """
        if self.kind == "item":
            return self
        m = self.values.shape[1]
        if self.kind != "member":
            name = f"{self.kind}s"
            return Breakdown({**self.base, name: self.values.sum(axis=0)}, "item", no_ids, np.empty((0, m)))
        base, ids, values = dict(self.base), [no_ids], [np.empty((0, m))]
        for name, whole in zip(self.ids.tolist(), self.values, strict=True):
            scale, inner = self.members[name]
            rest = whole
            if scale is not None and inner is not None:
                own = inner.breakdown.by_item(no_ids)
                ids.append(own.ids)
                values.append(scale * own.values)
                rest = whole - values[-1].sum(axis=0)
            base[name] = rest
        return Breakdown(base, "item", *_summed(np.concatenate(ids), np.concatenate(values)))


def _summed(ids: NDArray[Any], values: Wide) -> tuple[NDArray[Any], Wide]:
    """Return distinct ids, in the order in which they first occur, and the sums of their values."""
    place: dict[Any, int] = {}
    rows = np.array([place.setdefault(one, len(place)) for one in ids.tolist()], np.int64)
    sums = np.zeros((len(place), values.shape[1]))
    np.add.at(sums, rows, values)
    first = np.unique(rows, return_index=True)[1]
    return ids[first], sums


class Explained(NamedTuple):
    """The scores of a user for m items, and what they are made of.

    Attributes
    ----------
    breakdown : Breakdown
        The constants and the terms.
    scores, predictions : ndarray of shape (m,), float64
        Scores, and what the model predicts.
    """

    breakdown: Breakdown
    scores: Wide
    predictions: Wide


def explained(state: State, user: int, items: Rows, compute: Compute, caller: str) -> Explained:
    """Return what the scores of a user row for item rows are made of; raises ValueError where the state cannot tell."""
    why = state.folding.unexplained(state)
    if why:
        raise ValueError(f"{caller}: {why}")
    scores = state.scores.pairs(np.full(items.size, user, np.int32), items, compute)
    breakdown = state.folding.breakdown(state, user, items, compute)
    wide = scores.astype(np.float64)
    predictions = np.clip(state.scores.link.predictions(scores, compute), *state.rating_range)
    return Explained(breakdown, wide, predictions.astype(np.float64))


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Tabular):
    """Why a user's score of an item is what it is: :meth:`fastcf.Recommender.explain`.

    ``score`` is the sum of ``base``, ``contributions``, ``rest`` and ``unexplained``, in float64. The text of an
    explanation, ``print(explanation)``, has a line for each; ``to_frame``, ``to_arrow`` and ``to_dicts`` give a table
    of the same with the columns kind, id and contribution, where constants have no id: -1, or "" among strings.

    Attributes
    ----------
    user, item : id
        The user and the item, as they were asked for.
    score : float
        The score before the link and before it is limited: a rating, log-odds of a label, or what ranks lists.
    prediction : float
        What ``predict`` returns.
    base : dict of str to float
        Constants: "mean", "user bias", "item bias", ...
    kind : {"item", "user", "feature", "member"}
        What the contributions are of: items of the user's history, neighbours of the user, features, members of a
        blend.
    ids : ndarray of shape (n,)
        Ids of these items or users, or names of features and members, the largest contribution by amount first.
    contributions : ndarray of shape (n,), float64
        What each adds to the score; those of exactly 0 are left out.
    rest : float
        The sum of the smaller ones that ``n`` left out.
    n_rest : int
        How many these are.
    unexplained : float
        What is left of the score: rounding, and what the family documents, see :meth:`fastcf.Recommender.explain`.
    exact : bool
        Whether that is nothing but rounding.
    members : dict of str to Explanation
        Of a blend: what each member's own score is made of, in the member's own units, for members that can tell.
    """

    user: Any
    item: Any
    score: float
    prediction: float
    base: dict[str, float]
    kind: str
    ids: NDArray[Any]
    contributions: Wide
    rest: float
    n_rest: int
    unexplained: float
    members: dict[str, Explanation] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding is unexplained: at most 1e-5, or that share of a score above 1."""
        return abs(self.unexplained) <= _ROUNDING * max(1.0, abs(self.score))

    def __repr__(self) -> str:
        head = f"Explanation(user={self.user!r}, item={self.item!r}, score={self.score:.4g}"
        head += ")" if np.isclose(self.score, self.prediction) else f", prediction={self.prediction:.4g})"
        lines = [(value, name) for name, value in self.base.items()]
        lines += [
            (value, f"{self.kind} {one}")
            for one, value in zip(self.ids.tolist(), self.contributions.tolist(), strict=True)
        ]
        if self.n_rest:
            lines.append((self.rest, f"{self.n_rest:,} more {self.kind}{'' if self.n_rest == 1 else 's'}"))
        if not self.exact:
            lines.append((self.unexplained, "unexplained"))
        return "\n".join([head, *(f"{value:+12.4f}  {name}" for value, name in lines)])

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        after = [("rest", self.rest)] if self.n_rest else []
        after.append(("unexplained", self.unexplained))
        kinds = [*self.base, *[self.kind] * self.ids.size, *(name for name, _ in after)]
        values = [*self.base.values(), *self.contributions.tolist(), *(value for _, value in after)]
        none: Any = "" if self.ids.dtype.kind in "UTO" and not _are_numbers(self.ids) else -1
        ids = np.full(len(kinds), none, dtype=object if self.ids.dtype.kind == "O" else self.ids.dtype)
        ids[len(self.base) : len(self.base) + self.ids.size] = self.ids
        return {"kind": np.array(kinds)[:n], "id": ids[:n], "contribution": np.array(values)[:n]}

    def _n_rows(self) -> int:
        return len(self.base) + self.ids.size + bool(self.n_rest) + 1


def _are_numbers(ids: NDArray[Any]) -> bool:
    """Return whether an array of objects holds integers."""
    return ids.dtype.kind == "O" and ids.size > 0 and isinstance(ids.flat[0], int)


def explanations(found: Explained, user: Any, items: Sequence[Any], n: int | None) -> list[Explanation]:
    """Return an explanation for each item, with the ``n`` largest terms; None: all."""
    return [_of_item(found, place, user, item, n) for place, item in enumerate(items)]


def _of_item(found: Explained, place: int, user: Any, item: Any, n: int | None) -> Explanation:
    breakdown, values = found.breakdown, found.breakdown.values[:, place]
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[: np.count_nonzero(values)]
    shown, left = (order, order[:0]) if n is None else (order[:n], order[n:])
    score = float(found.scores[place])
    return Explanation(
        user,
        item,
        score,
        float(found.predictions[place]),
        {name: float(each[place]) for name, each in breakdown.base.items()},
        breakdown.kind,
        breakdown.ids[shown],
        values[shown],
        float(values[left].sum()),
        int(left.size),
        score - float(breakdown.total[place]),
        {
            name: _of_item(member.explained, place, user, item, n)
            for name, member in breakdown.members.items()
            if member.explained is not None
        },
    )
