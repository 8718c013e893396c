"""Lists and held-out ratings in the form of information retrieval, for ir-measures, ranx and trec_eval."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcf._tables import Tabular
from fastcf.metrics.lists import MakesLists, Retrieves, as_lists
from fastcf.metrics.rankings import relevant_ratings
from fastcf.ratings import Ratings

__all__ = ["Qrels", "Run", "to_qrels", "to_run"]

_Ids = npt.NDArray[np.object_]  # of texts

_LENGTH = 10  # of the lists that recommenders make by default


@dataclass(frozen=True, eq=False)
class _Pairs(Tabular):
    """Users and items by the texts of their ids, and the number of each pair, which is the last field."""

    query_id: _Ids
    doc_id: _Ids

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return the numbers by user and item, as ranx and ``ir_measures`` take them.

        Returns
        -------
        dict of str to dict of str to float
            Grades are integers.
        """
        nested: dict[str, dict[str, float]] = {}
        for user, item, number in zip(*(column.tolist() for column in self._columns().values()), strict=True):
            nested.setdefault(user, {})[item] = number
        return nested

    def _columns(self, n: int | None = None) -> dict[str, Any]:
        return {each.name: getattr(self, each.name)[:n] for each in fields(self)}

    def _n_rows(self) -> int:
        return int(self.query_id.size)


@dataclass(frozen=True, eq=False)
class Run(_Pairs):
    """Lists of items as the run of a retrieval system; made by :func:`to_run`.

    ``to_frame``, ``to_arrow`` and ``to_dicts`` give a table with these columns, by the names of ir-measures.

    Attributes
    ----------
    query_id, doc_id : ndarray of str objects, shape (n,)
        Users and items, by the texts of their ids; a user's items stand together, best first.
    score : ndarray of shape (n,), float64
        The number of places from an item's to the end of the list: what sorting by score needs, without ties.
    """

    score: npt.NDArray[np.float64]

    def to_trec(self, tag: str = "fastcf") -> str:
        """Return the lines ``user Q0 item rank score tag`` of a run file of TREC.

        Parameters
        ----------
        tag : str, default "fastcf"
            Names the system; without white space.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id or the tag is empty or holds white space, which separates columns.
        """
        _refuse_space("Run.to_trec", self.query_id, self.doc_id, np.array([tag], object))
        starts = np.r_[True, self.query_id[1:] != self.query_id[:-1]] if self.query_id.size else np.empty(0, bool)
        entries = np.arange(self.score.size)
        ranks = entries - np.maximum.accumulate(np.where(starts, entries, 0)) + 1
        columns = zip(self.query_id, self.doc_id, ranks.tolist(), self.score.tolist(), strict=True)
        return "".join(f"{user} Q0 {item} {rank} {score:g} {tag}\n" for user, item, rank, score in columns)


@dataclass(frozen=True, eq=False)
class Qrels(_Pairs):
    """What is relevant to users, as relevance judgements; made by :func:`to_qrels`.

    ``to_frame``, ``to_arrow`` and ``to_dicts`` give a table with these columns, by the names of ir-measures.

    Attributes
    ----------
    query_id, doc_id : ndarray of str objects, shape (n,)
        Users and items, by the texts of their ids.
    relevance : ndarray of shape (n,), int64
        Grades; at least 0.
    """

    relevance: npt.NDArray[np.int64]

    def to_trec(self) -> str:
        """Return the lines ``user 0 item grade`` of a file of judgements of TREC.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is empty or holds white space, which separates columns.
        """
        _refuse_space("Qrels.to_trec", self.query_id, self.doc_id)
        columns = zip(self.query_id, self.doc_id, self.relevance.tolist(), strict=True)
        return "".join(f"{user} 0 {item} {grade}\n" for user, item, grade in columns)


def to_run(recommended: Any, users: npt.ArrayLike | None = None, *, k: int | None = None) -> Run:
    """Return lists in the form of a run.

    Parameters
    ----------
    recommended : Recommendations, array-like of shape (m, n), or a fitted model, recommender or retriever
        Lists, or what makes them, as for :func:`ranking`.
    users : array-like of shape (m,), optional
        The users of the lists, none of them twice. By default the users that ``Recommendations`` were made for.
    k : int, optional
        Number of places, at most n; by default all, and 10 where lists are made.

    Returns
    -------
    Run
        Without padding; a user with an empty list is not in it.

    Raises
    ------
    TypeError, ValueError
        As for :func:`ranking`.

    Notes
    -----
    Predictions are no scores of a run: where they tie, as at the highest rating, each library breaks ties by a rule of
    its own. Scores count places instead.

    Examples
    --------
    >>> import fastcf
    >>> print(fastcf.metrics.to_run([[3, 1]], [7]).to_trec(), end="")
    7 Q0 3 1 2 fastcf
    7 Q0 1 2 1 fastcf
    """
    length = _LENGTH if k is None and isinstance(recommended, (MakesLists, Retrieves)) else k
    lists = as_lists(recommended, users, length or 1, "to_run")
    if length is not None:
        lists = lists.first(length, "to_run")
    owners, places = np.nonzero(lists.given)
    n = lists.items.shape[1]
    return Run(_texts(lists.users)[owners], _texts(lists.items[lists.given]), (n - places).astype(np.float64))


def to_qrels(held_out: Ratings, *, threshold: float | None = None, unit: float | None = None) -> Qrels:
    """Return held-out ratings in the form of relevance judgements.

    Parameters
    ----------
    held_out : Ratings
        Ratings that the model did not learn from.
    threshold : float, optional
        Items that a user rated with at least this are relevant; by default all that they rated. Others are left out.
    unit : float, optional
        The grade of a rating is the rating divided by this, a whole number: 0.5 for half stars. By default every grade
        is 1.

    Returns
    -------
    Qrels

    Raises
    ------
    TypeError, ValueError
        If ``held_out`` is no Ratings, nothing is relevant, or a grade is negative or no whole number.

    Examples
    --------
    >>> import fastcf
    >>> held_out = fastcf.Ratings.from_coo([7, 7, 8], [1, 2, 5], [4.5, 3.0, 4.0])
    >>> fastcf.metrics.to_qrels(held_out, threshold=4, unit=0.5).to_dict()
    {'7': {'1': 9}, '8': {'5': 8}}
    """
    _, relevant = relevant_ratings(held_out, threshold, "to_qrels")
    users, items, values = relevant.to_coo()
    grades = np.ones(values.size, np.int64)
    if unit is not None:
        if not unit > 0:
            raise ValueError(f"to_qrels: unit must be above 0; got {unit!r}")
        exact = values.astype(np.float64) / unit
        grades = np.rint(exact).astype(np.int64)
        wrong = (np.abs(exact - grades) > 1e-4) | (grades < 0)
        if wrong.any():
            raise ValueError(
                f"to_qrels: ratings must be whole numbers of units, at least 0; got {values[wrong][0]:g} with "
                f"unit={unit:g}"
            )
    return Qrels(_texts(users), _texts(items), grades)


def _texts(ids: npt.NDArray[Any]) -> _Ids:
    texts = np.empty(ids.size, object)
    texts[:] = list(map(str, ids.tolist()))
    return texts


def _refuse_space(caller: str, *columns: _Ids) -> None:
    for column in columns:
        for text in column.tolist():
            if len(text.split()) != 1 or text != text.strip():
                raise ValueError(
                    f"{caller}: ids must not be empty or hold white space, which ends a column; got {text!r}"
                )
