"""The base of all estimators: scikit-learn's protocol around a recommender, checks of ``fit``, files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin, clone

from fastcf._backend import Backend, resolve_device, single_threaded_blas
from fastcf._parameters import (
    THREADS,
    Constraint,
    DeviceName,
    Settings,
    refuse_ignored,
    set_nested,
    validate_parameters,
)
from fastcf.errors import DivergenceError
from fastcf.models.data_warnings import warn_of_ratings, warn_of_validation
from fastcf.models.outliers import without_outliers
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores import Recommender, State, Targets
from fastcf.scores.queries import names_of, refuse_other_names
from fastcf.scores.stored import read_common, write_common
from fastcf.serialization import Archive, registered_name, save_archive
from fastcf.training.callbacks import Callback
from fastcf.training.checkpoint import Checkpoint
from fastcf.training.loop import Trainer, Training
from fastcf.training.validation import Metric, Validation

__all__ = ["Estimator", "Packed"]

_Own = TypeVar("_Own", bound="Estimator")

_FREE = {"n_threads", "verbose", "device", "random_state"}  # parameters that a training may go on with others of


@dataclass
class Packed:
    """The family's part of a model file: arrays, JSON values and parts.

    Attributes
    ----------
    arrays : dict of str to ndarray or TextTable
        Learnt arrays.
    meta : dict
        JSON values.
    parts : dict of str to Archive
        Whole models inside the file.
    params : dict
        Constructor parameters that are stored otherwise than they are.
    """

    arrays: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Archive] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


class Estimator(Recommender, RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the estimators, which learn from ratings: ids of users and items, and numbers.

    The constructor stores its parameters untouched. ``fit`` checks them and the ratings, learns, and swaps the state of
    the model once, at its end: a failure before leaves the model unchanged.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"n_threads": THREADS, "device": (DeviceName(),)}

    n_threads: int | None
    device: str

    _named_columns: tuple[str, str] | None = None  # of the fit that is going on
    _of_matrix = False  # the same

    # -------------------------------------------------------------------------------------------------------
    # scikit-learn
    # -------------------------------------------------------------------------------------------------------

    @property
    def n_features_in_(self) -> int:
        """Number of columns of ``X``: 2, a user id and an item id; only after ``fit``, as scikit-learn has it."""
        if self._state is None:
            raise AttributeError(f"{type(self).__name__}: n_features_in_ is known after fit only")
        return 2

    @property
    def _estimator_type(self) -> str:
        """What scikit-learn takes the model for: a model of labels as they are is a classifier of 0 and 1.

        Its ``predict`` returns probabilities of label 1 all the same; tools of probabilities ask ``predict_proba``.
        """
        targets = self._targets
        return "classifier" if targets.labels and targets.threshold is None else "regressor"

    def __sklearn_tags__(self) -> Any:  # of scikit-learn 1.6 and later
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.string = True
        if self._estimator_type == "classifier":
            from sklearn.utils import ClassifierTags

            tags.estimator_type, tags.regressor_tags = "classifier", None
            tags.classifier_tags = ClassifierTags(poor_score=True, multi_class=False)
        else:
            tags.regressor_tags.poor_score = True  # on scikit-learn's example data, which have features and no ids
        return tags

    def _more_tags(self) -> dict[str, Any]:  # until 1.5
        return {"poor_score": True, "binary_only": self._estimator_type == "classifier"}

    def set_params(self: _Own, **params: Any) -> _Own:
        """Set parameters; ``solver__cg_steps`` is a parameter of the object that is ``solver``.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter, or the solver or optimiser is a string: shorthand for an object.
        """
        set_nested(self, params)
        return self

    # -------------------------------------------------------------------------------------------------------
    # Fitting
    # -------------------------------------------------------------------------------------------------------

    @property
    def _caller(self) -> str:
        return f"{type(self).__name__}.fit"

    def fit_arguments(self) -> frozenset[str]:
        """Return the names of the arguments of ``fit`` that have an effect with these parameters.

        Returns
        -------
        frozenset of str
            For example "item_features". Code that fits several models passes each the arguments that it uses.
        """
        return frozenset(inspect.signature(self.fit).parameters)

    def _begin_fit(self, X: Any, y: ArrayLike | None, sample_weight: ArrayLike | None) -> tuple[Ratings, Backend]:
        """Check parameters, device and ratings."""
        caller = self._caller
        validate_parameters(self._constraints, self._constrained(), caller)
        backend = resolve_device(self.device, caller)
        ratings = as_ratings(X, y, sample_weight, caller=caller, counted=self._targets.choices)
        self._named_columns, self._of_matrix = names_of(X), scipy.sparse.issparse(X)
        if ratings.weights is not None and not ratings.weights.any():
            raise ValueError(f"{caller}: weights must not all be zero; got {ratings.nnz} zeros")
        targets = self._targets
        warn_of_ratings(ratings, targets, caller)
        if not (targets.labels or targets.choices):
            ratings = without_outliers(ratings, caller)
        return ratings, backend

    def _constrained(self) -> dict[str, Any]:
        """Return the parameters that have constraints; a subclass may have another constructor."""
        return {name: getattr(self, name) for name in self._constraints}

    def _validation_ratings(self, validation: Any, ratings: Ratings, featured: Collection[str] = ()) -> Ratings:
        """Check ratings to measure on beside those to learn from; ``featured`` sides are known by features, too."""
        caller = f"{self._caller}: validation"
        refuse_other_names(self._named_columns, validation[0] if isinstance(validation, tuple) else validation, caller)
        given = validation if isinstance(validation, tuple) else (validation, None)
        if len(given) != 2:
            raise ValueError(f"{caller} must be ratings or a pair (X, y); got a tuple of {len(given)}")
        held_out = as_ratings(*given, caller=caller, counted=self._targets.choices)
        if held_out.weights is not None and not held_out.weights.any():
            raise ValueError(f"{caller}: weights must not all be zero; got {held_out.nnz} zeros")
        warn_of_validation(held_out, ratings, featured, caller)
        return held_out

    def _validation(
        self,
        validation: Any,
        trained: Ratings,
        metric: Metric | None,
        every: int,
        users: int | None,
        *,
        featured: Collection[str] = (),
    ) -> Validation:
        """Return what is measured of held-out ratings after which epochs.

        Sides that are ``featured`` are known by features, too.
        """
        ratings = None if validation is None else self._validation_ratings(validation, trained, featured)
        return Validation.of(ratings, metric, every, users, self._caller)

    def _checkpoint(self, path: str | os.PathLike[str] | None, every: int, backend: Backend, **data: Any) -> Checkpoint:
        """Return the checkpoint of a fit to some data, which refuses those of other data or parameters."""
        checkpoint = Checkpoint(path, every, self._caller)
        params = {name: value for name, value in self.get_params(deep=False).items() if name not in _FREE}
        checkpoint.identify(model=type(self).__name__, device=backend.device, **(params | data))
        return checkpoint

    def _refuse_ignored(self, names: Iterable[str], reason: str) -> None:
        """Refuse parameters that would have no effect."""
        refuse_ignored(self, names, reason, self._caller)

    @property
    def _threads(self) -> int:
        return 0 if self.n_threads is None else int(self.n_threads)

    def _swap(self, state: State) -> None:
        """Replace the state, at once; the state of a fit gets the names of the columns that it was given."""
        names, of_matrix = self._named_columns, self._of_matrix
        self._named_columns, self._of_matrix = None, False
        if names is not None or of_matrix:
            state = state.replaced(feature_names=names, of_matrix=of_matrix)
        object.__setattr__(self, "_state", state)

    def _train(
        self,
        trainer: Trainer,
        *,
        n_epochs: int,
        patience: int | None,
        validation: Validation,
        callbacks: Callback | Iterable[Callback] | None,
        checkpoint: Checkpoint,
        verbose: int | bool | str,
    ) -> None:
        """Train, and replace the state; after Ctrl-C or divergence by the last finite one.

        After any other failure (of a callback, for example) the model stays as it was.
        """
        # The threads of BLAS would wait for each other on a busy machine; native code has its own.
        with single_threaded_blas():
            training = Training(
                trainer,
                name=type(self).__name__,
                n_epochs=n_epochs,
                patience=patience,
                validation=validation,
                callbacks=callbacks,
                checkpoint=checkpoint,
                verbose=verbose,
                n_threads=self.n_threads,
            )
            try:
                training.run()
            except (KeyboardInterrupt, DivergenceError):
                self._swap(training.state)
                raise
            self._swap(training.state)

    # -------------------------------------------------------------------------------------------------------
    # Fitting again
    # -------------------------------------------------------------------------------------------------------

    def settled(self: _Own) -> _Own:
        """Return an unfitted copy whose parameters are what the last ``fit`` has found where it searched them.

        Its ``fit`` searches no more. Of the same ratings it makes the same model, bit for bit; of a few more, one about
        as good as a new search would, in the time of one training.

        Returns
        -------
        estimator
            Of a model without a search, the plain copy. Models inside another are settled, too: members of
            :class:`Blend`, the model of :class:`TemporalModel`.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import fastcf
        >>> ratings = fastcf.data.make_ratings(50, 40, 1_000, random_state=0)
        >>> model = fastcf.MatrixFactorization(4, random_state=0).fit(ratings)
        >>> again = model.settled()
        >>> again.reg == model.reg_, again.n_epochs == model.n_epochs_
        (True, True)
        """
        copied: _Own = clone(self)
        return copied.set_params(**self._found(self._fitted("settled")))

    def shortened(self: _Own, n_fits: int = 1) -> _Own:
        """Return an unfitted copy whose ``fit`` takes less time and shows how good the model is; see :class:`Blend`.

        Parameters
        ----------
        n_fits : int, default 1
            Number of fits, to different parts of the ratings, that show it together: each may be shorter then.

        Returns
        -------
        estimator
            Of models that have no way to it, the plain copy.
        """
        copied: _Own = clone(self)
        return copied

    def _found(self, state: State) -> dict[str, Any]:
        """Return the parameters that the fit of a state has searched, with what it found."""
        return {}

    def _take_parameters(self, given: Estimator) -> None:
        """Take the parameters of a model, also for the models inside; what has been learnt stays."""
        own: Estimator = clone(given)
        self.set_params(**own.get_params(deep=False))

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        include_seen: bool = True,
        metadata: Mapping[str, Any] | None = None,
        extra_arrays: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Write the fitted model to one file, atomically; :func:`fastcf.load` reads it back.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced.
        include_seen : bool, default True
            Whether to keep the rated pairs (4 bytes per rating, 8 where explanations need the ratings). Without them
            the loaded model cannot leave out seen items.
        metadata : mapping, optional
            JSON values of the caller's own, which :func:`fastcf.read_metadata` gives back.
        extra_arrays : mapping of str to array-like, optional
            Arrays of the caller's own, which travel with the model (titles of its items, for example).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If a constructor parameter cannot be stored (a random generator, for example), or has been set since the fit
            to what :func:`fastcf.load` would refuse.
        OSError
            If the file cannot be written; an existing one is left as it was.
        """
        state = self._fitted("save")
        if not include_seen:
            state = state.replaced(seen=None)
        archive = self._with_state(state).to_archive()
        save_archive(path, archive, metadata=metadata, extra_arrays=extra_arrays)

    def to_archive(self) -> Archive:
        """Return the contents of a file of this model.

        Returns
        -------
        Archive

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If a constructor parameter is not as documented.
        """
        state = self._fitted("to_archive")
        name, kind = registered_name(type(self))
        caller = f"{type(self).__name__}.save"
        validate_parameters(self._constraints, self._constrained(), caller)
        for value in self._constrained().values():
            if isinstance(value, Settings):
                value.validate(caller)
        names = [name for name in inspect.signature(kind).parameters if name != "n_threads"]
        params = {
            name: value.to_dict() if isinstance(value, Settings) else value
            for name, value in ((name, getattr(self, name)) for name in names)
        }
        packed = self._pack(state)
        arrays, meta = write_common(state)
        return Archive(
            name, {**params, **packed.params}, {**arrays, **packed.arrays}, {**meta, **packed.meta}, packed.parts
        )

    @classmethod
    def from_archive(cls: type[_Own], archive: Archive) -> _Own:
        """Return the model that an archive holds.

        Parameters
        ----------
        archive : Archive
            The contents of a model file.

        Returns
        -------
        estimator
            A fitted model.

        Raises
        ------
        DataError
            If the archive lacks something or does not fit together.
        """
        with archive.reading(f"parameters do not fit {cls.__name__}"):
            given = {
                name: Settings.from_dict(value) if isinstance(value, dict) else value
                for name, value in cls._unpack_params(archive).items()
            }
            model = cls(**given)
            validate_parameters(cls._constraints, model._constrained(), cls.__name__)
        with archive.reading(f"what {cls.__name__} has learnt is damaged"):
            common = read_common(archive)
            if "targets" not in archive.meta:  # a file of version 1: derived from the parameters
                common = common.replaced(targets=model._targets)
            model._swap(model._unpack(archive, common))
        return model

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        """Return the constructor's parameters of an archive."""
        return dict(archive.params)

    def _pack(self, state: State) -> Packed:
        """Return the contents of a file besides ids, seen items and range."""
        raise NotImplementedError

    def _unpack(self, archive: Archive, common: State) -> State:
        """Return the state of an archive; ``common`` has ids, seen items, range, targets and history, and no scores."""
        raise NotImplementedError

    @property
    def _targets(self) -> Targets:
        """The targets that the parameters define."""
        return Targets()
