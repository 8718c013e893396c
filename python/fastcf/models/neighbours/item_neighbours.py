"""Items like those that a user chose."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastcf._parameters import Constraint
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.neighbours.scores import NeighbourScores
from fastcf.models.neighbours.settings import CONSTRAINTS, similarity_of, unused
from fastcf.models.neighbours.similarity import neighbour_rows
from fastcf.scores import Choices, Compute, Folding, ItemWeightScores, State
from fastcf.scores.histories import Histories
from fastcf.scores.queries import RatedSide
from fastcf.scores.seen import read_only_rows
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive, register

__all__ = ["ItemNeighbours"]


class ItemNeighbourFolding(Folding):
    """New users by their history: nothing has to be computed."""

    rated_sides = ("user",)
    why = ", whose neighbours are of items: fit again for new items"

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Take the histories of the rated rows."""
        old = state.scores
        assert isinstance(old, NeighbourScores)
        return state.replaced(scores=replace(old, sums=old.sums.with_histories(rated.choices)))


def item_scores(history: Any, neighbours: Any, base: Any) -> NeighbourScores:
    """Return the scores of histories; row i of ``neighbours`` has the items whose choice speaks for item i."""
    weights = read_only_rows(neighbours.T.tocsr())
    return NeighbourScores(
        ItemWeightScores(read_only_rows(history), weights, base=base), read_only_rows(neighbours), of_items=True
    )


@register
@dataclass(eq=False, repr=False)
class ItemNeighbours(Estimator):
    r"""Neighbourhoods of items: ``s_ui = Σ_{j ∈ H(u) ∩ N(i)} x_uj s_ij``.

    H(u) are the items that a user chose, x their strengths, and N(i) the ``n_neighbours`` items most similar to i by
    the users that they have in common. A baseline that is quick to train and to explain.

    Parameters
    ----------
    n_neighbours : int, default 20
        How many items may speak for one; at least 1.
    similarity : {"cosine", "tfidf", "bm25", "rp3beta"}, default "cosine"
        With rows and columns of the equations being items and users: x_iu the strength of a choice, d and n sums and
        numbers of choices of an item or a user, N and M the numbers of items and users.

        - "cosine": ``Σ_u x_iu x_ju / (‖x_i‖ ‖x_j‖ + shrinkage)``.
        - "tfidf": the same of ``√v_u x_iu``, with ``v_u = log((1 + N) / (1 + n_u))²`` divided by the mean of these:
          users of many choices say less.
        - "bm25": ``idf_i idf_j Σ_u t_iu t_ju``, with ``t_iu = x_iu (k1 + 1) / (x_iu + k1 (1 − b + b d_u / d̄))`` and
          ``idf_i = log(1 + (M − n_i + ½) / (n_i + ½))``.
        - "rp3beta": ``d_j^−alpha d_i^−beta Σ_u x_iu n_u^−alpha x_ju``: a random walk from j by a user to i.
    shrinkage : float, default 10
        For "cosine" and "tfidf": the larger, the less items that few users chose are trusted; at least 0, in units of
        squared strengths.
    alpha, beta : float, default 0.6, 0.2
        For "rp3beta": how much active users and popular items of the history count less, and how much popular items are
        passed over; at least 0.
    k1, b : float, default 1.2, 0.75
        For "bm25": where the strength of a choice saturates, at least 0; and how much choices of active users count
        less, from 0 to 1.
    threshold : float, optional
        Values of at least this are choices. None: values above 0. Other entries were seen and not chosen: they are not
        recommended.
    strength : {"one", "value", "log"}, default "one"
        The strength of a choice of value v: 1, v, or log(1 + v), times its weight.
    n_threads, device
        As for :class:`MatrixFactorization`.

    Attributes
    ----------
    users_, items_, seen_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`.

    Notes
    -----
    Parameters that the similarity does not use are refused. Scores have no unit; they rank. Where neighbours say
    nothing, lists go on by popularity: those scores are at most 1e-12. Users without choices, and unknown users, get
    the most popular items. ``similar_items`` returns N(i), whatever its ``metric``. ``history=`` and ``fold_in`` need
    no computation. Similarities come from a sparse product that is never stored, and are the same bits for any number
    of threads. The file holds the users' choices, also without seen items.

    References
    ----------
    P. Cremonesi, Y. Koren and R. Turrin, "Performance of recommender algorithms on top-N recommendation tasks", RecSys
    2010 (cosine, shrinkage). S. Robertson and H. Zaragoza, "The probabilistic relevance framework: BM25 and beyond",
    2009. B. Paudel et al., "Updatable, accurate, diverse, and scalable recommendations for interactive applications",
    ACM TiiS 7(1), 2016 (RP3beta).

    Examples
    --------
    >>> import fastcf
    >>> pairs = [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("cat", "tea"), ("dan", "salt")]
    >>> model = fastcf.ItemNeighbours().fit(pairs)
    >>> model.recommend("cat", n=1).items.tolist()
    ['milk']
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {**CONSTRAINTS, **Estimator._constraints}

    n_neighbours: int = 20
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

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> ItemNeighbours:
        """Find the neighbours of all items.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`; without ``y`` pairs are choices, and repeated ones count.

        Returns
        -------
        ItemNeighbours
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
        history = Histories(chosen.indptr, chosen.indices, chosen.values).positive().to_scipy(chosen.n_items)
        by_item = history.T.tocsr()
        rows = np.arange(chosen.n_items, dtype=np.int32)
        n = min(int(self.n_neighbours), chosen.n_items)
        compute = Compute(backend.module, self._threads)
        found = similarity_of(self).learn(by_item).nearest(by_item, n, compute, rows)
        base = np.bincount(history.indices, history.data, chosen.n_items).astype(np.float32)
        state = State.of(
            chosen,
            backend,
            item_scores(history, neighbour_rows(found, chosen.n_items), base),
            rating_range=(-np.inf, np.inf),
            targets=self._targets,
            folding=ItemNeighbourFolding(),
        )
        self._swap(state)
        return self

    @property
    def _targets(self) -> Choices:
        return Choices(threshold=self.threshold, strength=self.strength)

    def _pack(self, state: State) -> Packed:
        scores = state.scores
        assert isinstance(scores, NeighbourScores)
        rows = packed_rows("history", scores.sums.history) | packed_rows("neighbours", scores.neighbours)
        assert scores.sums.base is not None
        return Packed({**rows, "base": scores.sums.base})

    def _unpack(self, archive: Archive, common: State) -> State:
        n_users, n_items = len(common.users), len(common.items)
        history = unpacked_rows(archive, "history", n_users, n_items)
        neighbours = unpacked_rows(archive, "neighbours", n_items, n_items)
        scores = item_scores(history, neighbours, archive.array("base", np.float32, (n_items,)))
        return common.replaced(scores=scores, folding=ItemNeighbourFolding())
