"""Fit several models to the same parts and measure them on the same held-out ratings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from fastcf._parameters import Interval, positive_count
from fastcf._thresholds import reaches
from fastcf.data.slices import CUTS, slices_by_count
from fastcf.evaluation.candidates import fitted, named_models, refuse_known_only, thresholds_of
from fastcf.evaluation.measures import DEFAULTS, Exam, Gains, Metric, metrics_of
from fastcf.evaluation.parts import Part, parts_of
from fastcf.evaluation.table import Costs, Evaluation, Protocol, assembled
from fastcf.ids import IdMap
from fastcf.ratings import Ratings

__all__ = ["Interrupted", "evaluate"]

_CALLER = "evaluate"


def _threshold(given: Any, models: dict[str, Any]) -> float | None:
    if given is None:
        return None
    if given != "auto":
        if not Interval().accepts(given):
            raise ValueError(f"{_CALLER}: threshold must be a finite number, 'auto' or None; got {given!r}")
        return float(given)
    found = sorted(thresholds_of(models))
    if len(found) > 1:
        raise ValueError(
            f"{_CALLER}: threshold must be given where models have different ones, or what is relevant would "
            f"differ; got {', '.join(f'{each:g}' for each in found)}"
        )
    return found[0] if found else None


def _relevant(part: Part, threshold: float | None) -> Ratings:
    held_out = part.held_out
    chosen = held_out.values > 0 if threshold is None else reaches(held_out.values, threshold)
    return held_out.take(chosen)


def _check(repeats: Any, n_resamples: Any, confidence: Any, random_state: Any) -> None:
    for name, value in (("repeats", repeats), ("n_resamples", n_resamples)):
        positive_count(value, _CALLER, name)
    between = Interval(0, 1, open_low=True, open_high=True)
    if not between.accepts(confidence):
        raise ValueError(f"{_CALLER}: confidence must be {between}; got {confidence!r}")
    seed = Interval(0, 2**32 - 1, integer=True)
    if not seed.accepts(random_state):
        raise ValueError(f"{_CALLER}: random_state must be {seed}; got {random_state!r}")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`evaluate`, after some models had been measured.

    Attributes
    ----------
    table : Evaluation
        The table of all whole parts of the split; where the first part was not finished, of the models that were
        measured on it. ``errors`` names the others. Ctrl-C during the bootstrap leaves out the intervals.
    """

    def __init__(self, table: Evaluation) -> None:
        super().__init__(f"{_CALLER}: interrupted; the attribute table has what was measured before")
        self.table = table


class _Run:
    """A model's gains and costs, added up over parts; what stopped it, if something did."""

    def __init__(self, metrics: Sequence[Metric], n_users: int) -> None:
        self.gains = {metric.name: Gains.empty(n_users) for metric in metrics}
        self.costs: list[Costs] = []
        self.error: BaseException | None = None

    def add(self, model: Any, exam: Exam, metrics: Sequence[Metric], seed: int) -> None:
        """Fit the model to a part and measure it."""
        try:
            recommender, used = fitted(model, exam.part, seed, _CALLER)
            seconds = exam.add(recommender, metrics, self.gains, _CALLER)
        except Exception as error:  # whatever a model raises, the others go on
            self.error = error
            return
        self.costs.append(Costs(used.seconds, seconds, used.memory))

    def merge(self, other: _Run) -> None:
        """Add what another part gave."""
        for name, gains in other.gains.items():
            self.gains[name].merge(gains)
        self.costs += other.costs
        self.error = self.error or other.error


class _Comparison:
    """The models that are compared, and what they got on whole parts."""

    def __init__(self, named: dict[str, Any], metrics: Sequence[Metric], users: IdMap) -> None:
        self.named, self.metrics, self.users = named, metrics, users
        self.runs: dict[str, _Run] = {}
        self.slices: tuple[str, ...] = ()
        self.n_held_out = 0
        self.tested, self.counted = np.zeros((2, len(users)), bool)

    def add(self, exam: Exam, seed: int, bar: Any) -> None:
        """Measure all models on a part; after an error a model is not tried any more.

        An interrupted part is dropped, but for the models that were measured on the first one.
        """
        found: dict[str, _Run] = {}
        try:
            for name, model in self.named.items():
                bar.set_postfix_str(name)
                if name not in self.runs or self.runs[name].error is None:
                    run = _Run(self.metrics, len(self.users))
                    run.add(model, exam, self.metrics, seed)
                    found[name] = run
                bar.update()
        except KeyboardInterrupt:
            if not self.runs:
                self._take(exam, found)
            raise
        self._take(exam, found)

    def _take(self, exam: Exam, found: dict[str, _Run]) -> None:
        for name, run in found.items():
            if name in self.runs:
                self.runs[name].merge(run)
            else:
                self.runs[name] = run
        self.slices = exam.names
        self.n_held_out += exam.part.held_out.nnz
        self.tested[exam.rows[exam.part.held_out.user_counts() > 0]] = True
        self.counted[exam.rows[exam.relevant.user_counts() > 0]] = True

    @property
    def finished(self) -> list[str]:
        """The models that have figures."""
        return [name for name, run in self.runs.items() if run.error is None]

    def interrupted(self, baseline: str | None, n_resamples: int, confidence: float, seed: int) -> Interrupted:
        """Return what to raise after Ctrl-C: with intervals, unless it is pressed again while these are computed."""
        try:
            return Interrupted(self.table(baseline, n_resamples, confidence, seed, strict=False))
        except KeyboardInterrupt:
            return Interrupted(self.table(baseline, 0, confidence, seed, strict=False))

    def table(
        self, baseline: str | None, n_resamples: int, confidence: float, seed: int, *, strict: bool
    ) -> Evaluation:
        """Return the table of all models that have figures."""
        errors = {name: f"{type(run.error).__name__}: {run.error}" for name, run in self.runs.items() if run.error}
        unfinished = dict.fromkeys(self.named.keys() - self.runs.keys(), "not measured when Ctrl-C was pressed")
        first = next(iter(self.named)) if baseline is None else baseline
        return assembled(
            {name: self.runs[name].gains for name in self.finished},
            {name: self.runs[name].costs for name in self.finished},
            errors | {name: unfinished[name] for name in self.named if name in unfinished},
            self.metrics,
            Protocol(
                users=self.users,
                slices=self.slices,
                n_held_out=self.n_held_out,
                n_users=int(self.tested.sum()),
                n_without=int((self.tested & ~self.counted).sum()),
                baseline=self.finished[0] if first in unfinished else first,
                n_resamples=n_resamples,
                confidence=confidence,
                seed=seed,
            ),
            strict=strict,
        )


def evaluate(
    models: Any,
    ratings: Ratings,
    *,
    split: str | Callable[..., Any] | tuple[Ratings, ...] = "train_test_split",
    metrics: Any = None,
    k: int | Sequence[int] = 10,
    threshold: float | str | None = "auto",
    baseline: str | None = None,
    repeats: int = 1,
    cuts: Sequence[int] = CUTS,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
    progress: bool | None = None,
) -> Evaluation:
    """Compare models: fit each to the same training ratings and measure all on the same held-out ones.

    Parameters
    ----------
    models : mapping of str to model, or list of models
        Estimators of ratings, labels or choices, retrievers, two-stage recommenders, or other objects with ``fit`` and
        with ``predict``, ``recommend`` or ``retrieve``. Copies are fitted; the models given do not change. What
        retrievers and two-stage recommenders are built on is fitted first, to the same ratings. A function is called
        with the training ratings and returns something fitted:
        ``lambda train: TwoTower().fit(train, item_features=films)``. In a list, models are named by what they look
        like, and pairs (name, model) by their names.
    ratings : Ratings
        All ratings.
    split : str, callable or tuple of Ratings, default "train_test_split"
        A function of :mod:`fastcf.data`, by its name and with its defaults: ``"train_test_split"``, ``"leave_n_out"``,
        ``"split_by_time"``, ``"split_users"`` (new users, who show a part of their ratings: models fold these in, which
        retrievers and two-stage recommenders cannot),
        ``"split_items"``, ``"k_folds"``. A function is called with the ratings, and with ``random_state`` if it has a
        parameter of that name that is None: ``functools.partial(fastcf.data.leave_n_out, n=0.2)``. It returns (train,
        held_out), (train, shown, held_out), or several of these. A tuple (train, held_out) is taken as it is.
    metrics : sequence of str, callable or Scorer, optional
        As :func:`fastcf.metrics.as_scorer` takes them; those of lists may be without a length, ``"ndcg"``, and get all
        of ``k``. By default RMSE, MAE, log-loss, NDCG and recall, as far as some model can be measured by them.
    k : int or sequence of int, default 10
        Lengths of lists.
    threshold : float, "auto" or None, default "auto"
        Held-out ratings of at least this are relevant, and labels 1. "auto": the threshold of the models, of which
        those that have one must have the same. None, and where no model has one: ratings above 0 are relevant, and
        labels must be 0 and 1.
    baseline : str, optional
        The name of the model that others are compared with; by default the first. Metrics that do not measure it
        compare with the first model that they measure.
    repeats : int, default 1
        How often the split is made, with ``random_state``, ``random_state + 1``, …. Users' figures are averaged over
        repeats, and so over folds.
    cuts : sequence of int, default (1, 10, 30, 100, 300)
        Slices of users and items begin at these numbers of training ratings.
    n_resamples : int, default 1000
        Resamples of the bootstrap.
    confidence : float, default 0.95
        Of the intervals.
    random_state : int, default 0
        Seed of the split and of the bootstrap, and of models whose own ``random_state`` is None.
    progress : bool, optional
        Whether a bar is shown; by default on a terminal.

    Returns
    -------
    Evaluation
        The table: prints as text, shows itself in notebooks, and has ``to_frame()``, ``plot()``, ``slices``,
        ``user_values``. The same figures for the same seed and any number of threads, if the models' are.

    Warns
    -----
    UserWarning
        If a model fails: it has no figures, its error is in ``errors``, the others go on.
    DataWarning
        If held-out pairs of a split of your own are trained on.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, no model can be measured by a metric that is named, or thresholds differ.
    Exception
        The first model's error, if all fail.
    Interrupted
        After Ctrl-C, if some model has been measured: a KeyboardInterrupt whose ``table`` has what was finished.

    Notes
    -----
    Intervals are percentiles of a bootstrap over users: a user's ratings, which are not independent, stay together. All
    models get the same resamples. RMSE, MAE, log-loss and accuracy are means over held-out ratings, metrics of lists
    means over users with relevant items. P-values are those of Student's t of paired users, on linearised differences,
    corrected by Holm for the number of models compared with the baseline, each metric for itself. The area under the
    ROC curve is resampled in its linear form. Functions and "score" give one figure, without an interval, and so does
    any metric for which a single user counts.

    Lists leave out what a recommender leaves out by default: what users have seen in training.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", 1993. M. D. Smucker, J. Allan and B. Carterette,
    "A comparison of statistical significance tests for information retrieval evaluation", CIKM 2007.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> models = {"biases": fastcf.BiasModel(), "factors": fastcf.MatrixFactorization(8, n_epochs=5)}
    >>> table = fastcf.evaluate(models, ratings, metrics=["rmse"])
    >>> table.models, table.metrics
    (('biases', 'factors'), ('rmse',))
    """
    if not isinstance(ratings, Ratings):
        raise TypeError(f"{_CALLER}: ratings must be Ratings; got {type(ratings).__name__}")
    _check(repeats, n_resamples, confidence, random_state)
    slices_by_count([], cuts, _CALLER)
    named = named_models(models, _CALLER)
    if baseline is not None and baseline not in named:
        raise ValueError(f"{_CALLER}: baseline must be the name of a model, {', '.join(named)}; got {baseline!r}")
    least = _threshold(threshold, named)
    lengths = [positive_count(each, _CALLER, "k") for each in np.atleast_1d(np.asarray(k, object)).tolist()]
    wanted = DEFAULTS if metrics is None else [metrics] if isinstance(metrics, str) or callable(metrics) else metrics
    measured = metrics_of(wanted, lengths, least, _CALLER)

    comparison = _Comparison(named, measured, ratings.users)
    asked = baseline, n_resamples, float(confidence), random_state
    with tqdm(desc=_CALLER, unit="fit", disable=None if progress is None else not progress) as bar:
        try:
            for seed, part in parts_of(ratings, split, repeats, random_state, _CALLER):
                refuse_known_only(named, part, _CALLER)
                comparison.add(Exam(part, ratings.users, _relevant(part, least), least, cuts), seed, bar)
        except KeyboardInterrupt:
            if not comparison.finished:
                raise
            raise comparison.interrupted(*asked) from None
    failed = {name: run.error for name, run in comparison.runs.items() if run.error is not None}
    if len(failed) == len(named):
        raise next(iter(failed.values()))
    try:
        found = comparison.table(*asked, strict=metrics is not None)
    except KeyboardInterrupt:
        raise comparison.interrupted(baseline, 0, *asked[2:]) from None
    for name, error in found.errors.items():
        warnings.warn(f"{_CALLER}: {name} failed: {error}", UserWarning, stacklevel=2)
    return found
