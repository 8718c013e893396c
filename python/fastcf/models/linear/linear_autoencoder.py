"""Linear item models in closed form."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastcf._parameters import Constraint, Interval, Nothing, OneOf, validate_parameters
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.linear.dense import dense_weights
from fastcf.models.linear.local import local_weights
from fastcf.models.linear.problem import Floats, LinearProblem, inputs_of
from fastcf.ratings import Ratings, as_ratings, merged
from fastcf.scores import Choices, Compute, DenseWeightScores, Folding, ItemWeightScores, SeenItems, State, Targets
from fastcf.scores.choices import STRENGTHS
from fastcf.scores.histories import Histories
from fastcf.scores.queries import RatedSide, refuse_other_names
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive, register

__all__ = ["LinearAutoencoder"]


@dataclass(frozen=True)
class LearntLinear:
    """The learnt values of :class:`LinearAutoencoder` beside weights and inputs.

    Attributes
    ----------
    low_weight : float
        g, with which new histories are read.
    strengths : ndarray of float32, optional
        x of the entries of the histories, from which ``partial_fit`` learns again; None for users of ``fold_in``.
    """

    low_weight: float
    strengths: Floats | None


class LinearFolding(Folding):
    """Histories of new users: their scores are products of these and the weights."""

    rated_sides = ("user",)

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Return the state of new histories."""
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, DenseWeightScores | ItemWeightScores)
        histories = Histories(rated.indptr, rated.columns, inputs_of(rated.values, learnt.low_weight))
        return state.replaced(scores=scores.with_histories(histories), learnt=LearntLinear(learnt.low_weight, None))


@register
@dataclass(eq=False, repr=False)
class LinearAutoencoder(Estimator):
    r"""Learns what users choose: a score is a sum over the items of the user's history, ``ŝ_ui = Σ_j z_uj b_ji``.

    The weights B minimise ``Σ_u w_u ‖x_u − Bᵀ z̃_u‖² + λ s ‖B‖²`` with a zero diagonal, so that no item predicts itself;
    z̃ are the inputs z of which a share p was dropped at random. The solution is exact: no iterations and no seed.

    Parameters
    ----------
    reg : float, default 150.0
        λ, at least 0, in units of a user of mean weight: s is the mean of w_u. More for few users and many items.
    dropout : float, default 0.4
        p, from 0 to below 1: the share of a history that is forgotten, on average over all such histories. It penalises
        weights of items by how often they were chosen, p/(1 − p) of the diagonal of the Gram matrix.
    user_exponent : float, default 0.5
        a, at least 0, of the weight of a user, ``w_u = n_u^−a`` with n_u the number of the user's entries. 0: users who
        chose much weigh more, 1: all weigh the same.
    low_weight : float, default 0.3
        g, from -1 to 1: the input of entries that were not chosen (see ``threshold``), where choices have their
        strength. Users look for items before they rate them low: a positive number helps. The target is 0, and they
        are not recommended.
    neighbours : int, optional
        m: the local form, for catalogues of more items than a dense matrix has room for: an item has weights from its m
        nearest items only, by the cosine of the Gram matrix. 8 m bytes an item. With 200 lists are about as good as
        with all. By default weights are dense.
    threshold : float, optional
        Values of at least this are choices, others were seen and not chosen. By default values above 0 are choices,
        those of 0 were seen and not chosen.
    strength : {"one", "value", "log"}, default "one"
        How much a choice of value v counts: 1, v or log(1 + v); times the weight of the entry.
    n_threads, device
        As for :class:`MatrixFactorization`.

    Attributes
    ----------
    item_weights_ : ndarray or SciPy CSR array of shape (n_items, n_items), float32
        B: row j holds what item j of a history gives to others. 0 from and to items without choices. With
        ``neighbours`` a CSR array with as many entries per column.
    users_, items_, seen_, rating_range_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`. ``seen_`` holds all stored entries. Scores have no
        limits.

    See Also
    --------
    MatrixFactorization : Learns how users rate.

    Notes
    -----
    With Z the inputs, X the targets, and W = diag(w): ``C = (ZᵀWZ + p/(1−p) diag(ZᵀWZ) + λ s I)⁻¹`` and
    ``B = C (ZᵀWX) − C diag(μ)``, ``μ_j = (C ZᵀWX)_jj / C_jj``. Where all entries are choices, or g = 0, Z = X and
    ``b_ij = −C_ij / C_jj``. n_items³ floating-point operations and one float32 matrix of n_items² in memory; three
    times as many and two matrices where there are entries that were not chosen. The same bits for any number of
    threads.

    The local form solves the same least squares for the weights of each item's m nearest items, the others being 0:
    ``b_N = (Z_NᵀWZ_N + p/(1−p) diag(Z_NᵀWZ_N) + λ s I)⁻¹ Z_NᵀW x_j``. m³/6 multiply-adds an item, and the sparse sums
    of Gram matrices, about Σ n_u². It is the dense form where m is at least the number of other items.

    Users without a history get the popular items: their score is the mean of x over all users. A new user's scores are
    a product: ``history=`` and ``fold_in`` are exact, and a training user who is folded in has the scores of
    training, bit for bit. The model keeps the histories, and saves them even with ``include_seen=False``.

    References
    ----------
    H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019 (the closed form); H. Steck, "Autoencoders
    that don't overfit towards the identity", NeurIPS 2020 (dropout).

    Examples
    --------
    >>> import fastcf
    >>> chosen = [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("eve", "tea"), ("eve", "jam")]
    >>> model = fastcf.LinearAutoencoder(reg=1.0).fit(chosen)
    >>> model.recommend("eve", n=1).items.tolist()
    ['milk']
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "reg": (Interval(0),),
        "dropout": (Interval(0, 1, open_high=True),),
        "user_exponent": (Interval(0),),
        "low_weight": (Interval(-1, 1),),
        "neighbours": (Interval(1, integer=True), Nothing()),
        "threshold": (Interval(), Nothing()),
        "strength": (OneOf(STRENGTHS),),
        **Estimator._constraints,
    }

    _: KW_ONLY
    reg: float = 150.0
    dropout: float = 0.4
    user_exponent: float = 0.5
    low_weight: float = 0.3
    neighbours: int | None = None
    threshold: float | None = None
    strength: str = "one"
    n_threads: int | None = None
    device: str = "auto"

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> LinearAutoencoder:
        """Compute the weights.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`; without ``y``, each pair is a choice, and repeated pairs count.

        Returns
        -------
        LinearAutoencoder
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, nothing was chosen, or ``reg`` and ``dropout`` are too
            small to solve for the weights in float32.
        MemoryError
            If the matrices do not fit the memory that is available; nothing was allocated then.
        DeviceError
            If ``device="cuda"`` cannot be used.
        KeyboardInterrupt
            After Ctrl-C; the model is then as it was.
        """
        ratings, backend = self._begin_fit(X, y, sample_weight)
        chosen = self._targets.of_training(ratings, self._caller)
        self._learn(chosen, self._targets, Compute(backend.module, self._threads), backend.device, self._caller)
        return self

    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> LinearAutoencoder:
        """Learn again from the histories of the model and from new ones.

        Parameters
        ----------
        X, y, sample_weight
            The new choices, as for ``fit``. Where a pair is known, the new value takes the place of the old one.

        Returns
        -------
        LinearAutoencoder
            Itself: the same as a fit of all entries, in as much time. ``users_`` and ``items_`` keep their rows and get
            new ones at the end.

        Raises
        ------
        TypeError, ValueError
            As for ``fit``; or if the model is one of ``fold_in``, which does not have the histories of the training.
        MemoryError, DeviceError, KeyboardInterrupt
            As for ``fit``.

        Notes
        -----
        Before ``fit`` it is ``fit``.
        """
        state = self._state
        if state is None:
            return self.fit(X, y, sample_weight)
        caller = f"{type(self).__name__}.partial_fit"
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, DenseWeightScores | ItemWeightScores)
        if learnt.strengths is None:
            raise ValueError(
                f"{caller}: the model must hold the histories that it was trained on; got one of fold_in, which holds "
                "those of its users; call partial_fit of the model that was fitted"
            )
        validate_parameters(self._constraints, self._constrained(), caller)
        refuse_other_names(state.feature_names, X, caller)
        new = state.targets.of_ratings(as_ratings(X, y, sample_weight, caller=caller, counted=True), caller)
        indptr, indices, _ = scores.histories
        old = Ratings(indptr, indices, learnt.strengths, users=state.users, items=state.items)
        chosen = merged(old, new, caller)
        self._learn(chosen, state.targets, self._compute(state, caller), state.device, caller)
        return self

    def _learn(self, chosen: Ratings, targets: Targets, compute: Compute, device: str, caller: str) -> None:
        """Compute the weights of strengths, and swap the state."""
        problem = LinearProblem.of(
            chosen,
            compute,
            caller,
            reg=float(self.reg),
            dropout=float(self.dropout),
            user_exponent=float(self.user_exponent),
            low_weight=float(self.low_weight),
        )
        scores: DenseWeightScores | ItemWeightScores
        if self.neighbours is None:
            scores = DenseWeightScores(problem.histories, dense_weights(problem), problem.base)
        else:
            weights = local_weights(problem, int(self.neighbours))
            scores = ItemWeightScores.of_histories(problem.histories, weights, problem.base)
        self._swap(
            State(
                chosen.users,
                chosen.items,
                SeenItems(chosen.indptr, chosen.indices),
                scores,
                (-np.inf, np.inf),
                device,
                targets,
                learnt=LearntLinear(float(self.low_weight), chosen.values),
                folding=LinearFolding(),
            )
        )

    @property
    def _targets(self) -> Choices:
        return Choices(threshold=self.threshold, strength=self.strength)

    def _pack(self, state: State) -> Packed:
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, DenseWeightScores | ItemWeightScores)
        assert scores.base is not None
        n_items = scores.n_items
        arrays = packed_rows("history", scores.histories.to_scipy(n_items)) | {"base": scores.base}
        if isinstance(scores, DenseWeightScores):
            arrays["item_weights"] = scores.item_weights
        else:
            arrays |= packed_rows("weight", scores.weight_rows.to_scipy(n_items))
        if learnt.strengths is not None:
            arrays["history_strengths"] = learnt.strengths
        return Packed(arrays, {"low_weight": learnt.low_weight})

    def _unpack(self, archive: Archive, common: State) -> State:
        n_items = len(common.items)
        histories = Histories.of_scipy(unpacked_rows(archive, "history", len(common.users), n_items))
        strengths = None
        if "history_strengths" in archive.arrays:
            strengths = archive.array("history_strengths", np.float32, (histories.indices.size,))
        base = archive.array("base", np.float32, (n_items,))
        scores: DenseWeightScores | ItemWeightScores
        if "item_weights" in archive.arrays:
            weights = archive.array("item_weights", np.float32, (n_items, n_items))
            scores = DenseWeightScores(histories, weights, base)
        else:
            scores = ItemWeightScores.of_histories(histories, unpacked_rows(archive, "weight", n_items, n_items), base)
        learnt = LearntLinear(float(archive.meta["low_weight"]), strengths)
        return common.replaced(scores=scores, learnt=learnt, folding=LinearFolding())
