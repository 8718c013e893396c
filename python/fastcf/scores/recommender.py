"""Predictions, recommendations, neighbours and new rows of all fitted models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if

from fastcf._backend import resolve_device
from fastcf._parameters import Interval, OneOf, check_n_threads, positive_count
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores.candidates import named_items, neighbours_among, with_own
from fastcf.scores.explanations import Explanation, explained, explanations
from fastcf.scores.links import Compute
from fastcf.scores.lists import best_lists, compacted
from fastcf.scores.protocol import Rows, Selection
from fastcf.scores.queries import (
    as_history,
    asked_ids,
    one,
    pair_rows,
    rated_side,
    refuse_cut_matrix,
    refuse_other_names,
    rows_of,
    warn_of_cut_matrix,
    warn_of_scale,
)
from fastcf.scores.results import Neighbours, Recommendations, below, ids_of, padded
from fastcf.scores.rules import RuleSet
from fastcf.scores.seen import SeenItems, seen_in
from fastcf.scores.state import State
from fastcf.scores.vectors import METRICS

__all__ = ["Recommender"]

Metric = Literal["cosine", "euclidean", "dot"]
_Own = TypeVar("_Own", bound="Recommender")


def _has(question: Callable[[State], bool]) -> Callable[[Any], bool]:
    """Return a condition for ``available_if``: a method is there before a fit, and after it where the state says so."""

    def there(model: Recommender) -> bool:
        state = model._state
        return state is None or question(state)

    return there


def _why_unexplained(state: State | None) -> str:
    """Return why a model explains no scores; before a fit, and where it does, nothing."""
    return "" if state is None or state.folding.explains_by_ratings else state.folding.unexplained(state)


def _predicts_labels(model: Recommender) -> bool:
    """Return whether a model predicts probabilities of labels; before a fit, whether it will."""
    state = model._state
    targets = getattr(model, "_targets", None) if state is None else state.targets
    return targets is None or targets.labels


class Recommender:
    """A fitted model: ids, seen items and scores, in one immutable state that every method reads once.

    While a model is fitted again in one thread, others get answers of the old state or of the new one, never of both.

    Attributes
    ----------
    users_, items_ : IdMap
        The caller's ids behind the rows.
    seen_ : SeenItems or None
        Which items each user rated in training; they are left out of recommendations.
    rating_range_ : tuple of float
        Limits of predictions.
    device_ : str
        The device of the model.
    classes_ : ndarray of shape (2,), int64
        0 and 1, the columns of ``predict_proba``; only of models that learn labels as they are, without a threshold.
    """

    n_threads: int | None = None
    _state: State | None = None

    users_: IdMap
    items_: IdMap
    seen_: SeenItems | None
    rating_range_: tuple[float, float]
    device_: str

    # -------------------------------------------------------------------------------------------------------
    # The state
    # -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Everything learnt. Raises NotFittedError before ``fit``."""
        return self._fitted("state")

    def _fitted(self, method: str) -> State:
        state = self._state
        if state is None:
            raise NotFittedError(f"{type(self).__name__}.{method}: the model must be fitted first; call fit")
        return state

    def _with_state(self: _Own, state: State) -> _Own:
        """Return a copy of this model with another state."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._state = state
        return other

    def with_seen(self: _Own, X: Any, y: ArrayLike | None = None) -> _Own:
        """Return a copy of the fitted model for which users have seen what some ratings hold, and nothing else.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``; unknown users and items are left out.

        Returns
        -------
        model of the same class
            It shares everything but ``seen_`` with this one.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described.
        """
        state = self._fitted("with_seen")
        caller = f"{type(self).__name__}.with_seen"
        refuse_other_names(state.feature_names, X, caller)
        ratings = as_ratings(X, y, caller=caller)
        return self._with_state(state.replaced(seen=seen_in(ratings, state.users, state.items)))

    def __sklearn_is_fitted__(self) -> bool:
        return self._state is not None

    def __getattr__(self, name: str) -> Any:
        if name == "state":  # the property raised an AttributeError, which NotFittedError is
            return self._fitted("state")
        if name.endswith("_") and not name.startswith("_"):
            state = self._state
            if state is None:
                raise AttributeError(f"{type(self).__name__}: {name} is known after fit only")
            with contextlib.suppress(AttributeError):
                return state.attribute(name[:-1])
        if name == "explain":
            raise AttributeError(f"{type(self).__name__} has no explain: {_why_unexplained(self._state)}")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.endswith("_") and not name.startswith("_"):
            state = self._state
            if state is not None and name[:-1] in state.attributes():
                raise AttributeError(
                    f"{type(self).__name__}: {name} is a view of what fit has learnt and cannot be set; fit again"
                )
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        state = self._state
        learnt = [] if state is None else [f"{name}_" for name in state.attributes()]
        return sorted({*super().__dir__(), *learnt})

    def _compute(self, state: State, caller: str) -> Compute:
        return Compute(resolve_device(state.device, caller).module, check_n_threads(self.n_threads, caller))

    # -------------------------------------------------------------------------------------------------------
    # Prediction
    # -------------------------------------------------------------------------------------------------------

    @overload
    def predict(
        self, X: Any, *, history: Any = ..., clip: bool = ..., strict: bool = ..., return_std: Literal[False] = ...
    ) -> NDArray[np.float32]: ...
    @overload
    def predict(
        self, X: Any, *, history: Any = ..., clip: bool = ..., strict: bool = ..., return_std: Literal[True]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

    def predict(
        self, X: Any, *, history: Any = None, clip: bool = True, strict: bool = False, return_std: bool = False
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict the ratings of pairs, or for a model of labels the probabilities of label 1.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        history : Ratings, SciPy sparse matrix of shape (m, n_items) or tuple (pairs, values), optional
            Ratings of new users, one row per user: predict for these, computed as by :meth:`fold_in` without a copy of
            the model. The users of ``X`` are then row numbers, or ids where the history is ``Ratings``. Columns of a
            matrix are the model's items; pairs are (row number, item id).
        clip : bool, default True
            Whether predictions are limited to the range of the training ratings.
        strict : bool, default False
            Whether unknown ids are an error. Otherwise unknown users and items have no bias and no factors, unknown
            items the global mean; the other side of the pair still counts.
        return_std : bool, default False
            Whether to return the standard deviation of each rating too; only after ``solver="bayes"``.

        Returns
        -------
        ndarray of shape (n,), float32, or a tuple of two
            Predictions; with ``return_std`` also the posterior standard deviations of the ratings, including the noise
            of a rating of weight 1. The same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If ``X`` does not have two columns, ``history`` is not as described or the model cannot compute new users
            from their ratings, ``strict`` and an id is unknown, or the model has no standard deviations.
        """
        caller = f"{type(self).__name__}.predict"
        state = self._fitted("predict")
        compute = self._compute(state, caller)
        if return_std and not state.scores.has_deviations:
            raise ValueError(f"{caller}: return_std needs a model fitted with solver='bayes'")
        if history is not None:
            state = self._of_newcomers(state, history, compute, caller, strict)
        refuse_other_names(state.feature_names, X, caller)
        if state.of_matrix:
            refuse_cut_matrix(state.users, X, caller)
        rows = pair_rows(X, state.users, state.items, caller, strict=strict, n_threads=self.n_threads)
        predicted = self._predictions(state, state.scores.pairs(*rows, compute), compute, clip)
        return (predicted, state.scores.deviations(*rows)) if return_std else predicted

    @staticmethod
    def _predictions(state: State, scores: NDArray[np.float32], compute: Compute, clip: bool) -> NDArray[np.float32]:
        predicted = state.scores.link.predictions(scores, compute)
        return np.clip(predicted, *state.rating_range, out=predicted) if clip else predicted

    def predict_matrix(
        self, users: ArrayLike | None = None, *, clip: bool = True, strict: bool = False
    ) -> NDArray[np.float32]:
        """Predict the ratings of all items, in the order of ``items_.ids``.

        Parameters
        ----------
        users : array-like of shape (m,), optional
            User ids; by default all, in the order of ``users_.ids``.
        clip, strict
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, n_items), float32
            4 bytes per entry: pass many users in batches.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`predict`.
        """
        caller = f"{type(self).__name__}.predict_matrix"
        state = self._fitted("predict_matrix")
        compute = self._compute(state, caller)
        if users is None:
            rows = np.arange(len(state.users), dtype=np.int32)
        else:
            rows = rows_of(state.users, users, "user", caller, strict=strict, n_threads=self.n_threads)
        return self._predictions(state, state.scores.block(rows, compute), compute, clip)

    @available_if(_predicts_labels)  # type: ignore[untyped-decorator]  # scikit-learn's
    def predict_proba(self, X: Any, *, history: Any = None, strict: bool = False) -> NDArray[np.float32]:
        """Predict the probabilities of both labels; only models of labels have this.

        Parameters
        ----------
        X, history, strict
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n, 2), float32
            The probabilities of label 0 and of label 1, which :meth:`predict` returns.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`predict`.
        """
        state = self._fitted("predict_proba")
        if not state.targets.labels:  # fitted again meanwhile
            raise AttributeError(f"{type(self).__name__}: predict_proba is there for models of labels only")
        liked: NDArray[np.float32] = self._with_state(state).predict(X, history=history, strict=strict)
        return np.stack([1 - liked, liked], axis=1)

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the quality of the model on held-out ratings: larger is better.

        Minus the root mean squared error; for a model of labels minus the log-loss; for a model of choices the NDCG@10
        of its lists, from which it leaves out what users chose in training, except the entries of ``X``.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``; a model of labels or of choices cuts them at its threshold, if it has one. Pairs of
            ids may be repeated: each counts, for a model of choices the largest value.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights of the pairs, or of the stored entries. A choice of weight 0 is none.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`predict`.
        """
        caller = f"{type(self).__name__}.score"
        state = self._fitted("score")
        refuse_other_names(state.feature_names, X, caller)
        if state.of_matrix:
            refuse_cut_matrix(state.users, X, caller)
            if state.seen is not None:
                warn_of_cut_matrix(state.seen, X, caller)
        return state.targets.score(self._with_state(state), X, y, sample_weight, caller)

    # -------------------------------------------------------------------------------------------------------
    # Recommendation
    # -------------------------------------------------------------------------------------------------------

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        history: Any = None,
        exclude_seen: bool = True,
        candidates: Any = None,
        exclude: Any = None,
        min_score: float | None = None,
        rules: RuleSet | None = None,
        strict: bool = False,
        storage: Literal["float32", "float16"] = "float32",
    ) -> Recommendations:
        """Return the ``n`` items with the highest predicted rating for each user.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several. Unknown users get the best items by means and biases. With a
            ``history`` its row numbers (its ids, where it is ``Ratings``); by default all its rows.
        n : int, default 10
            Number of items per user; at least 1.
        history : Ratings, SciPy sparse matrix of shape (m, n_items) or tuple (pairs, values), optional
            Ratings of new users, as for :meth:`predict`; their items count as seen.
        exclude_seen : bool, default True
            Whether to leave out what the user rated in training.
        candidates : array-like, or one per user, optional
            Item ids to choose from; by default all. Unknown ones cannot be scored and are left out. A list of lists, or
            an array of shape (m, k), has the candidates of each user: only the scores of these are computed.
        exclude : array-like, or one per user, optional
            Item ids to leave out: for all users, or a list for each.
        min_score : float, optional
            Recommend only items whose prediction is at least this: a rating, or a probability. Lists may be shorter.
        rules : fastcf.serving.Rules, optional
            What is in stock, how many of a category a list may have, what is boosted, what single users do not get:
            prepared once, for many calls. Boosts change the order of items, not their predictions.
        strict : bool, default False
            Whether unknown user, candidate or excluded ids are an error.
        storage : {"float32", "float16"}, default "float32"
            "float16" rounds factors to half precision before they are multiplied: for large catalogues on a GPU, which
            then has half the bytes to read. Arithmetic is float32. On a CPU it is slower.

        Returns
        -------
        Recommendations
            Ids and predictions. Exact, up to ``storage``; ties are broken by the order of ``items_.ids``; ranked before
            predictions are limited to the range of the training ratings, so that several of the first may have its
            highest rating as their score. The same for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If ``n`` is less than 1, neither users nor a history is given, the history is not as described, ``storage``
            or ``min_score`` is not as described, there are lists of candidates but not one per user, seen items are to
            be left out but were not saved with the model, or ``strict`` and an id is unknown.
        """
        caller = f"{type(self).__name__}.recommend"
        state = self._fitted("recommend")
        n = positive_count(n, caller)
        if storage not in ("float32", "float16"):
            raise ValueError(f"{caller}: storage must be 'float32' or 'float16'; got {storage!r}")
        if min_score is not None and not Interval().accepts(min_score):
            raise ValueError(f"{caller}: min_score must be {Interval()} or None; got {min_score!r}")
        compute = self._compute(state, caller)
        if history is not None:
            state = self._of_newcomers(state, history, compute, caller, strict)
        if users is None and history is None:
            raise ValueError(f"{caller}: users must be given where there is no history; got None")
        wanted = state.users if users is None else users
        single = not isinstance(wanted, IdMap) and np.ndim(wanted) == 0
        known: dict[str, Any] = {"strict": strict, "n_threads": self.n_threads}
        rows = rows_of(state.users, one(wanted) if single else wanted, "user", caller, **known)
        allowed, own = named_items(state.items, candidates, rows.size, "candidates", caller, **known)
        excluded, own_excluded = named_items(state.items, exclude, rows.size, "exclude", caller, **known)
        seen = _seen_rows(state, rows, caller) if exclude_seen else (None, None)
        seen = with_own(seen, own_excluded, len(state.items))
        over = None if rules is None else rules.over(state.items, caller)
        if over is not None and (history is None or isinstance(history, Ratings)):  # else users are row numbers
            dismissed = over.excluded_for(one(wanted) if single else wanted, caller, compute.n_threads)
            seen = with_own(seen, dismissed, len(state.items))
        selection = Selection(min(n, len(state.items)), seen, allowed, excluded, storage)
        items, scores = best_lists(state.scores, rows, selection, own, over, compute)
        scores = self._predicted(state, items, scores, compute)
        if min_score is not None:
            items, scores = compacted(~below(scores, min_score), items, scores)
        items, scores = padded(items, scores, n, -np.inf)
        ids = ids_of(state.items, items)
        asked = asked_ids(wanted, caller)
        return Recommendations(ids[0], scores[0], asked) if single else Recommendations(ids, scores, asked)

    @classmethod
    def _predicted(
        cls, state: State, items: Rows, scores: NDArray[np.float32], compute: Compute
    ) -> NDArray[np.float32]:
        """Return the predictions of lists of item rows from their scores; -inf where the row is -1."""
        none = items < 0
        scores[none] = 0
        scores = cls._predictions(state, scores, compute, True)
        scores[none] = -np.inf
        return scores

    def _of_newcomers(self, state: State, history: Any, compute: Compute, caller: str, strict: bool) -> State:
        """Return a state of the users of a history."""
        sides, why = state.folding.rated_sides, state.folding.why
        if sides and "user" not in sides:
            raise ValueError(f"{caller}: history must be None for a model that computes new items only{why}")
        ratings = state.targets.of_ratings(as_history(history, state.items, caller), f"{caller}: history")
        return self._folded(state, ratings, "user", compute, f"{caller}: history", strict, strangers=True)

    # -------------------------------------------------------------------------------------------------------
    # Neighbours
    # -------------------------------------------------------------------------------------------------------

    @available_if(_has(lambda state: state.scores.compares_items))  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    def similar_items(
        self,
        items: Any,
        n: int = 10,
        *,
        metric: Metric = "cosine",
        candidates: Any = None,
        exclude: Any = None,
        strict: bool = False,
    ) -> Neighbours:
        """Return the ``n`` items nearest to each of ``items``: by their vectors, or by the weights between items.

        Available where scores have a vector per item, or weights between items.

        Parameters
        ----------
        items : id or array-like of shape (m,)
            One item id, or several. Unknown ones have no neighbours: all padding.
        n : int, default 10
            How many; at least 1. An item is not its own neighbour. Items without training data, whose vectors are
            zeros, neither have neighbours nor are any.
        metric : {"cosine", "euclidean", "dot"}, default "cosine"
            Similarity of the vectors as they are: cosine, distance ‖v_k − v_i‖ (the smallest first), or inner product.
            Weights between items are taken as they are.
        candidates, exclude : array-like, or one per item, optional
            Ids that may be neighbours, by default all, and ids that may not; for all of ``items``, or a list for each.
            Unknown ones are left out. With few candidates all others are compared, too.
        strict : bool, default False
            Whether unknown ids are an error, also of candidates and of what is excluded.

        Returns
        -------
        Neighbours
            Exact, in float32 arithmetic; ties are broken by the order of ``items_.ids``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``n`` is less than 1, the metric is unknown, there are lists of ids and not one for each, or ``strict``
            and an id is unknown.
        """
        return self._similar("item", items, n, metric, (candidates, exclude), strict)

    @available_if(_has(lambda state: state.scores.compares_users))  # type: ignore[untyped-decorator]  # the same
    def similar_users(
        self,
        users: Any,
        n: int = 10,
        *,
        metric: Metric = "cosine",
        candidates: Any = None,
        exclude: Any = None,
        strict: bool = False,
    ) -> Neighbours:
        """Return the ``n`` users nearest to each of ``users``, by their vectors.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several. Unknown ones have no neighbours: all padding.
        n, metric, candidates, exclude, strict
            As for :meth:`similar_items`, of users.

        Returns
        -------
        Neighbours
            As for :meth:`similar_items`.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`similar_items`.
        """
        return self._similar("user", users, n, metric, (candidates, exclude), strict)

    def _similar(
        self, side: str, wanted: Any, n: int, metric: Metric, named: tuple[Any, Any], strict: bool
    ) -> Neighbours:
        """Return the neighbours of "item" or "user" ids; ``named`` are candidates, and what is excluded."""
        state = self._fitted(f"similar_{side}s")
        caller = f"{type(self).__name__}.similar_{side}s"
        compute = self._compute(state, caller)
        of_items = side == "item"
        ids = state.items if of_items else state.users
        nearest = state.scores.item_neighbours if of_items else state.scores.user_neighbours
        n = positive_count(n, caller)
        if metric not in METRICS:
            raise ValueError(f"{caller}: metric must be 'cosine', 'euclidean' or 'dot'; got {metric!r}")
        single = np.ndim(wanted) == 0
        rows = rows_of(ids, one(wanted) if single else wanted, side, caller, strict=strict, n_threads=self.n_threads)
        worst = np.inf if metric == "euclidean" else -np.inf
        chosen, excluded = (
            named_items(ids, each, rows.size, name, caller, what=side, of=side, strict=strict, n_threads=self.n_threads)
            for name, each in zip(("candidates", "exclude"), named, strict=True)
        )
        known = np.flatnonzero(rows >= 0)
        width = min(n, len(ids))
        found = np.full((rows.size, width), -1, np.int32)
        scores = np.full((rows.size, width), worst, np.float32)
        if known.size:
            found[known], scores[known] = neighbours_among(
                lambda asked, most: nearest(asked, most, metric, compute),
                np.ascontiguousarray(rows[known]),
                known,
                n,
                len(ids),
                chosen,
                excluded,
            )
        scores[found < 0] = worst
        found, scores = padded(found, scores, n, worst)
        names = ids_of(ids, found)
        asked = asked_ids(wanted, caller)
        return Neighbours(names[0], scores[0], asked) if single else Neighbours(names, scores, asked)

    # -------------------------------------------------------------------------------------------------------
    # Explanations
    # -------------------------------------------------------------------------------------------------------

    @available_if(lambda model: not _why_unexplained(model._state))  # type: ignore[untyped-decorator]  # the same
    def explain(
        self,
        user: Any,
        items: Any,
        *,
        n: int | None = 10,
        by: Literal["item"] | None = None,
        history: Any = None,
        strict: bool = False,
    ) -> Explanation | list[Explanation]:
        """Return what a user's score of an item is made of: constants, and what items, features or members add to it.

        Available where that is exact: not for autoencoders, two towers, perceptrons, and factors of sampled costs, in
        which items do not add up.

        Parameters
        ----------
        user : id
            The user. An unknown one has constants only.
        items : id or array-like of shape (m,)
            One item, or several.
        n : int, optional
            How many contributions to return, the largest by amount; the others are summed. None: all.
        by : {"item"}, optional
            "item": by items of the user's history only, which are summed over the members of a blend; all else is
            constant. By default as the model is made, a blend by its members.
        history : Ratings, SciPy sparse matrix of shape (m, n_items) or tuple (pairs, values), optional
            Ratings of new users, as for :meth:`predict`: explain what is predicted for one of these.
        strict : bool, default False
            Whether unknown ids are an error.

        Returns
        -------
        Explanation, or list of Explanation for several items
            In float64, of the score that is limited and turned into a prediction afterwards. The parts add up to it.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If ``user`` is not one id, ``n`` is less than 1, the history is not as described, ``strict`` and an id is
            unknown, or the model does not hold the user's ratings and there is no history.

        Notes
        -----
        What contributes, by family:

        - linear item models and neighbourhoods: what is fed times the weight, per item of the history or neighbour;
        - factors: with A the matrix of the user's normal equations, ``p_u = A⁻¹ Σ_j w_j t_j q_j`` is a sum over the
          ratings j, whose targets t are without means and biases, and so is the score: ``w_j t_j q_i·A⁻¹ q_j``. That is
          the vector which ``history=`` computes. The stored vector of training is another where it is not the solution
          of these equations: after SGD, other gradient steps, or ALS whose last half-sweep were the items.
          ``unexplained`` is the difference, 0 for a history. Of labels, the equations are those of the last step from
          the user's vector; of draws, the mean over them, with what the prior adds as a constant;
        - regressions: each feature times its weight;
        - blends: each member's score times its weight, and the explanation of each;
        - means, biases, popularity: constants.

        The method is that of Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets",
        ICDM 2008, section 5. Time: n k² + k³ operations for a user of n ratings, times the draws.

        Examples
        --------
        >>> import fastcf
        >>> chosen = [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("eve", "tea"), ("eve", "jam")]
        >>> model = fastcf.LinearAutoencoder(reg=1.0).fit(chosen)
        >>> why = model.explain("eve", "milk")
        >>> why.ids.tolist()
        ['tea', 'jam']
        >>> bool(abs(why.contributions.sum() - why.score) < 1e-5)
        True
        """
        caller = f"{type(self).__name__}.explain"
        state = self._fitted("explain")
        n = None if n is None else positive_count(n, caller)
        if by not in (None, "item"):
            raise ValueError(f"{caller}: by must be 'item' or None; got {by!r}")
        if np.ndim(user) != 0:
            raise ValueError(f"{caller}: user must be one id; got an array of shape {np.shape(user)}")
        compute = self._compute(state, caller)
        if history is not None:
            state = self._of_newcomers(state, history, compute, caller, strict)
        single = np.ndim(items) == 0
        known: dict[str, Any] = {"strict": strict, "n_threads": self.n_threads}
        rows = rows_of(state.items, one(items) if single else items, "item", caller, **known)
        row = int(rows_of(state.users, one(user), "user", caller, **known)[0])
        found = explained(state, row, rows, compute, caller)
        if by == "item":
            found = found._replace(breakdown=found.breakdown.by_item(ids_of(state.items, rows[:0])))
        asked = asked_ids(one(items) if single else items, caller).tolist()
        made = explanations(found, asked_ids(one(user), caller).tolist()[0], asked, n)
        return made[0] if single else made

    # -------------------------------------------------------------------------------------------------------
    # New rows
    # -------------------------------------------------------------------------------------------------------

    @available_if(_has(lambda state: bool(state.folding.rated_sides or state.folding.featured_sides)))  # type: ignore[untyped-decorator]  # the same
    def fold_in(
        self: _Own,
        X: Any = None,
        y: ArrayLike | None = None,
        *,
        by: str = "user",
        user_features: Any = None,
        item_features: Any = None,
        strict: bool = False,
    ) -> _Own:
        """Return a model of the users (or items) of new ratings, or one with more rows, given by their features.

        The other side is held fixed. Each family documents how it computes new rows, and whether from ratings or from
        features. For predictions without a copy of the model, pass the ratings as ``history`` to :meth:`predict` and
        :meth:`recommend`.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2), optional
            Ratings of the new rows, as for ``fit``; known rows are computed again, from these alone.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        by : {"user", "item"}, default "user"
            The side of the new rows.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Features of new users and items, or new features of known ones, for models of features. ``y``, ``by`` and
            ``strict`` are of ratings, and refused here.
        strict : bool, default False
            Whether an unknown id of the other side is an error. Otherwise its ratings are left out.

        Returns
        -------
        model of the same class
            It predicts, recommends and is saved like any other; what has not changed is shared with this model, not
            copied. Made of ratings, its users (or items) are those of ``X``, in ascending order of their ids, and
            ``seen_`` are the ratings of ``X`` where ``by="user"``, else None. Made of features, its ids are this
            model's, followed by the new ones. The same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If ratings or features are not as described, the model computes no new rows of that kind, or ``strict`` and
            an id is unknown.
        """
        caller = f"{type(self).__name__}.fold_in"
        state = self._fitted("fold_in")
        compute = self._compute(state, caller)
        given = {"user": user_features, "item": item_features}
        given = {side: features for side, features in given.items() if features is not None}
        if (X is None) == (not given):
            sides = [f"{side}_features" for side in state.folding.featured_sides] or ["X"]
            got = "None" if X is None else "both ratings and features"
            raise ValueError(f"{caller}: {' or '.join(sides)} must be given; got {got}")
        if X is not None:
            if not OneOf(("user", "item")).accepts(by):
                raise ValueError(f"{caller}: by must be 'user' or 'item'; got {by!r}")
            refuse_other_names(state.feature_names, X, caller)
            given_ratings = as_ratings(X, y, caller=caller, counted=state.targets.choices)
            ratings = state.targets.of_ratings(given_ratings, caller)
            return self._with_state(self._folded(state, ratings, by, compute, caller, strict))
        for name, chosen in (("y", y is not None), ("by", by != "user"), ("strict", strict)):
            if chosen:
                raise ValueError(f"{caller}: {name} must not be given with features, where it has no effect")
        for side in given:
            if side not in state.folding.featured_sides:
                raise ValueError(f"{caller}: {side}_features must be None for {type(self).__name__}; got a table")
        tables: dict[str, FeatureTable] = {
            side: state.folding.table(side, features, caller) for side, features in given.items()
        }
        return self._with_state(state.folding.fold_features(state, tables, compute, caller))

    def _folded(
        self, state: State, ratings: Any, by: str, compute: Compute, caller: str, strict: bool, strangers: bool = False
    ) -> State:
        """Return a state of the users (or items) of some targets; ``strangers``: whatever their ids, they are new."""
        folding = state.folding
        if by not in folding.rated_sides:
            sides = " or ".join(map(repr, folding.rated_sides))
            if not sides:
                raise ValueError(f"{caller}: {type(self).__name__} computes no new rows from ratings{folding.why}")
            raise ValueError(f"{caller}: by must be {sides}{folding.why}; got {by!r}")
        fixed = state.items if by == "user" else state.users
        rated = rated_side(ratings, by, fixed, caller, strict=strict, n_threads=self.n_threads)
        folded = folding.fold_ratings(state, replace(rated, strangers=strangers), compute, caller)
        if not (state.targets.choices or state.targets.labels):
            warn_of_scale(ratings, state.rating_range, caller)
        if by == "item":
            return folded.replaced(seen=rated.seen, items=rated.ids, rated=None)
        kept = rated if folding.explains_by_ratings else None
        return folded.replaced(seen=rated.seen, users=rated.ids, rated=kept, of_matrix=False)

    # -------------------------------------------------------------------------------------------------------
    # Devices and files
    # -------------------------------------------------------------------------------------------------------

    @available_if(_has(lambda state: state.scores.resident))  # type: ignore[untyped-decorator]  # the same
    @contextlib.contextmanager
    def on_device(self) -> Iterator[None]:
        """Keep the item factors on the GPU while a ``with`` block runs, for many calls of :meth:`recommend`.

        Otherwise each call uploads them. On a CPU nothing happens. Available where scores are factors.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Notes
        -----
        4 bytes of the GPU's memory per factor. A model that is fitted again in the block answers from its new factors,
        which are then uploaded by each call.

        Examples
        --------
        >>> import fastcf
        >>> model = fastcf.MatrixFactorization(n_factors=4).fit(fastcf.data.make_ratings(50, 30, 500, random_state=0))
        >>> with model.on_device():
        ...     lists = [model.recommend(user, n=3).items for user in (0, 1)]
        """
        state = self._fitted("on_device")
        if state.device == "cpu":
            yield
            return
        with state.scores.on_device(self._compute(state, f"{type(self).__name__}.on_device")):
            yield


def _seen_rows(state: State, rows: Rows, caller: str) -> tuple[NDArray[np.int64], Rows]:
    """Return the training items of user rows as compressed rows; unknown users have none."""
    if state.seen is None:
        raise ValueError(
            f"{caller}: exclude_seen must be False for a model that does not know what users have seen; got True"
        )
    return state.seen.of(rows)
