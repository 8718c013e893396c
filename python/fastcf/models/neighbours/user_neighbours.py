"""What users like a user chose."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._parameters import Constraint
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.neighbours.scores import NeighbourScores
from fastcf.models.neighbours.settings import CONSTRAINTS, similarity_of, unused
from fastcf.models.neighbours.similarity import SIMILARITIES, Corpus, Similarity, neighbour_rows
from fastcf.scores import Breakdown, Choices, Compute, Folding, ItemWeightScores, State
from fastcf.scores.histories import Histories
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide
from fastcf.scores.results import ids_of
from fastcf.scores.seen import read_only_rows
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive, register

__all__ = ["UserNeighbours"]


@dataclass(frozen=True, eq=False)
class TrainedUsers:
    """The users who can be neighbours.

    Attributes
    ----------
    ids : IdMap
        Their ids.
    choices : SciPy CSR array of shape (n_users, n_items), float32
        What they chose.
    corpus : Corpus
        What similarities to them need.
    n_neighbours : int
        How many neighbours a user gets.
    """

    ids: IdMap
    choices: Any
    corpus: Corpus
    n_neighbours: int

    @classmethod
    def of(cls, ids: IdMap, choices: Any, similarity: Similarity, n_neighbours: int) -> TrainedUsers:
        """Return users who chose."""
        return cls(ids, read_only_rows(choices), similarity.learn(choices), min(n_neighbours, max(1, choices.shape[0])))

    def neighbours(self, choices: Any, rows: NDArray[np.int32] | None, compute: Compute) -> Any:
        """Return the neighbours of users who made some choices: a CSR array.

        ``rows``: their own rows among the trained users, which are not their neighbours; None: they are none of these.
        """
        found = self.corpus.nearest(choices, self.n_neighbours, compute, rows)
        return neighbour_rows(found, len(self.ids))

    def scores(self, neighbours: Any, known: bool) -> NeighbourScores:
        """Return the scores of users with these neighbours; ``known``: they are the trained users themselves."""
        n_items = self.choices.shape[1]
        base = np.bincount(self.choices.indices, self.choices.data, n_items).astype(np.float32)
        table = read_only_rows(neighbours)
        return NeighbourScores(ItemWeightScores(table, self.choices, base=base), table if known else None, False)


class UserNeighbourFolding(Folding):
    """New users by their history: their neighbours are searched among the trained users."""

    rated_sides = ("user",)
    why = ", whose neighbours are of users: fit again for new items"

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Find the neighbours of the rated rows."""
        learnt: TrainedUsers = state.learnt
        choices = rated.choices.to_scipy(learnt.choices.shape[1])
        rows = None if rated.strangers else learnt.ids.rows(rated.ids)
        return state.replaced(scores=learnt.scores(learnt.neighbours(choices, rows, compute), known=False))

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what each neighbour of a user gives to the scores of items."""
        learnt: TrainedUsers = state.learnt
        found = state.scores.contributions(user, items, compute)
        return Breakdown(found.base, "user", ids_of(learnt.ids, found.rows), found.values)


@register
@dataclass(eq=False, repr=False)
class UserNeighbours(Estimator):
    r"""People like you liked: ``s_ui = Σ_{v ∈ N(u)} s_uv x_vi``.

    N(u) are the ``n_neighbours`` users most similar to u by the items that both chose, x_vi the strengths of their
    choices.

    Parameters
    ----------
    n_neighbours : int, default 50
        How many users speak for items; at least 1.
    similarity, shrinkage, alpha, beta, k1, b
        As for :class:`ItemNeighbours`, with users and items exchanged; ``alpha`` and ``beta`` of "rp3beta" are of the
        neighbour and of the user, to whom the latter makes no difference.
    threshold, strength, n_threads, device
        As for :class:`ItemNeighbours`.

    Attributes
    ----------
    users_, items_, seen_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`.

    Notes
    -----
    Parameters that the similarity does not use are refused. Scores have no unit; they rank. Where neighbours say
    nothing, lists go on by popularity: those scores are at most 1e-12. Users without neighbours, and unknown users,
    get the most popular items. ``similar_users`` returns N(u), whatever its ``metric``; a model of ``fold_in`` has
    none, as the neighbours of its users are not among these. ``history=`` and ``fold_in`` search the neighbours of new
    users; for the latter, known ids are trained users, who are not their own neighbours. Similarities come from a
    sparse product that is never stored, and are the same bits for any number of threads. The file holds the users'
    choices, also without seen items.

    References
    ----------
    P. Resnick et al., "GroupLens: an open architecture for collaborative filtering of netnews", CSCW 1994; and those of
    :class:`ItemNeighbours`.

    Examples
    --------
    >>> import fastcf
    >>> pairs = [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("cat", "tea"), ("dan", "salt")]
    >>> model = fastcf.UserNeighbours().fit(pairs)
    >>> model.recommend("cat", n=1).items.tolist()
    ['milk']
    >>> sorted(model.similar_users("cat", n=2).ids.tolist())
    ['ann', 'bob']
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {**CONSTRAINTS, **Estimator._constraints}

    n_neighbours: int = 50
    _: KW_ONLY
    similarity: Literal["cosine", "tfidf", "bm25", "rp3beta"] = "cosine"
    shrinkage: float = 10.0
    alpha: float = 0.6
    beta: float = 0.2
    k1: float = 1.2
    b: float = 0.75
    threshold: float | None = None
    strength: str = "one"
    n_threads: int | None = None
    device: str = "auto"

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> UserNeighbours:
        """Find the neighbours of all users.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`ItemNeighbours.fit`.

        Returns
        -------
        UserNeighbours
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, there is no choice, or a parameter has no effect with this
            similarity.
        DeviceError
            If ``device="cuda"`` cannot be used.
        """
        ratings, backend = self._begin_fit(X, y, sample_weight)
        self._refuse_ignored(unused(self.similarity), f"for similarity={self.similarity!r}")
        chosen = self._targets.of_training(ratings, self._caller)
        choices = Histories(chosen.indptr, chosen.indices, chosen.values).positive().to_scipy(chosen.n_items)
        learnt = TrainedUsers.of(chosen.users, choices, similarity_of(self), int(self.n_neighbours))
        neighbours = learnt.neighbours(
            choices, np.arange(chosen.n_users, dtype=np.int32), Compute(backend.module, self._threads)
        )
        state = State.of(
            chosen,
            backend,
            learnt.scores(neighbours, known=True),
            rating_range=(-np.inf, np.inf),
            targets=self._targets,
            learnt=learnt,
            folding=UserNeighbourFolding(),
        )
        self._swap(state)
        return self

    @property
    def _targets(self) -> Choices:
        return Choices(threshold=self.threshold, strength=self.strength)

    def _pack(self, state: State) -> Packed:
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, NeighbourScores)
        arrays = packed_rows("choices", learnt.choices) | packed_rows("neighbours", scores.sums.history)
        if not scores.compares_users:
            arrays["trained_ids"] = learnt.ids.column.ids
        meta = {"learnt_similarity": asdict(learnt.corpus.similarity), "learnt_neighbours": learnt.n_neighbours}
        return Packed(arrays, meta)

    def _unpack(self, archive: Archive, common: State) -> State:
        known = "trained_ids" not in archive.arrays
        ids = common.users if known else archive.ids("trained_ids")
        choices = unpacked_rows(archive, "choices", len(ids), len(common.items))
        neighbours = unpacked_rows(archive, "neighbours", len(common.users), len(ids))
        meta = archive.meta["learnt_similarity"]
        similarity = Similarity(str(meta["kind"]), *(float(meta[name]) for name in _NUMBERS))
        n_neighbours = int(archive.meta["learnt_neighbours"])
        numbers = [getattr(similarity, name) for name in _NUMBERS]
        if similarity.kind not in SIMILARITIES or not np.isfinite(numbers).all() or min(*numbers, n_neighbours - 1) < 0:
            raise DataError(f"{archive.path}: the similarity of users is damaged: {similarity}, {n_neighbours}")
        learnt = TrainedUsers.of(ids, choices, similarity, n_neighbours)
        scores = learnt.scores(neighbours, known)
        return common.replaced(scores=scores, learnt=learnt, folding=UserNeighbourFolding())


_NUMBERS = ("shrinkage", "alpha", "beta", "k1", "b")
