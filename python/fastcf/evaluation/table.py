"""The result of an evaluation: models by metrics, with intervals, differences, slices and costs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fastcf._tables import Column, Tabular
from fastcf.evaluation.measures import Gains, Metric
from fastcf.evaluation.slices import SliceTable, ratio_of_moments
from fastcf.evaluation.statistics import Estimate, compared, holm
from fastcf.ids import IdMap
from fastcf.metrics.titles import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Costs", "Evaluation", "Protocol", "UserValues", "assembled"]

Floats = NDArray[np.float64]

_SIGNIFICANT = 0.05


class Costs(NamedTuple):
    """Seconds of a fit and of all lists, and bytes by which memory grew during the fit; NaN where not measured."""

    fit_seconds: float
    recommend_seconds: float
    peak_memory: float


@dataclass(frozen=True)
class Protocol:
    """How models were compared.

    Attributes
    ----------
    users : IdMap
        Of the ratings.
    slices : tuple of str
        The names of the slices.
    n_held_out : int
        Held-out ratings, of all parts.
    n_users : int
        Users who have some.
    n_without : int
        Of these, users without relevant ones, whom metrics of lists do not count.
    baseline : str
        The model that others are compared with.
    n_resamples, seed : int
        Of the bootstrap; 0 resamples where Ctrl-C ended it, and there are no intervals.
    confidence : float
        Of the intervals.
    """

    users: IdMap
    slices: tuple[str, ...]
    n_held_out: int
    n_users: int
    n_without: int
    baseline: str
    n_resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True, eq=False)
class UserValues(Tabular):
    """One metric of each user and model; ``to_frame`` and its like have the columns user, model, value.

    Attributes
    ----------
    users : ndarray of shape (n_users,)
        Ids of the users that count.
    models : tuple of str
        The models.
    values : ndarray of shape (n_users, n_models), float64
        The metric; NaN where there is none.
    """

    users: NDArray[Any]
    models: tuple[str, ...]
    values: Floats

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        wide = len(self.models)
        models = np.tile(np.array(self.models, dtype=object), len(self.users))
        return {"user": np.repeat(self.users, wide)[:n], "model": models[:n], "value": self.values.ravel()[:n]}

    def _n_rows(self) -> int:
        return self.values.size


@dataclass(frozen=True, eq=False)
class Evaluation(Tabular):
    """Models compared by metrics on the same held-out ratings; what :func:`evaluate` returns.

    Prints as text, and shows itself as a table in notebooks, a row per model. ``to_frame``, ``to_arrow`` and
    ``to_dicts`` give a long table, a row per model and metric, with the columns model, metric, value, lower, upper,
    difference, difference_lower, difference_upper, p_value, n_users, fit_seconds, recommend_seconds, peak_memory.

    Attributes
    ----------
    models, metrics : tuple of str
        Names; models that failed are left out.
    values : ndarray of shape (n_models, n_metrics, 3), float64
        The figure and the ends of its interval; NaN where a model cannot be measured by a metric.
    differences : ndarray of shape (n_models, n_metrics, 3), float64
        The figure less the baseline's, and the ends of its interval; NaN for the baseline itself.
    p_values : ndarray of shape (n_models, n_metrics), float64
        Of the differences, two-sided, corrected for the number of models.
    n_users : ndarray of shape (n_metrics,), int64
        Users that count.
    slices : SliceTable
        The figures by the number of training ratings of users and items.
    costs : dict of str to Costs
        Seconds of the fit and of the lists of all tested users, means over parts; bytes of memory at the peak of a fit
        above those before it, the most of all parts.
    errors : dict of str to str
        What stopped models that failed.
    greater_is_better : dict of str to bool
        By metric.
    baselines : dict of str to str
        By metric, the model that others are compared with: ``protocol.baseline``, or the first model that the metric
        measures, where it does not measure that.
    protocol : Protocol
        How it was measured: ``protocol.baseline``, ``protocol.confidence``.
    """

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Floats
    differences: Floats
    p_values: Floats
    n_users: NDArray[np.int64]
    slices: SliceTable
    costs: dict[str, Costs]
    errors: dict[str, str]
    greater_is_better: dict[str, bool]
    baselines: dict[str, str]
    protocol: Protocol
    _of_users: dict[str, Floats] = field(repr=False)

    # -------------------------------------------------------------------------------------------------------
    # Tables
    # -------------------------------------------------------------------------------------------------------

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        wide = len(self.metrics)
        costs = np.array([self.costs[model] for model in self.models], np.float64).reshape(-1, 3)
        columns: dict[str, NDArray[Any]] = {
            "model": np.repeat(np.array(self.models, dtype=object), wide),
            "metric": np.tile(np.array(self.metrics, dtype=object), len(self.models)),
            **{name: self.values[:, :, place].ravel() for place, name in enumerate(("value", "lower", "upper"))},
            **{
                name: self.differences[:, :, place].ravel()
                for place, name in enumerate(("difference", "difference_lower", "difference_upper"))
            },
            "p_value": self.p_values.ravel(),
            "n_users": np.tile(self.n_users, len(self.models)),
            **{name: np.repeat(costs[:, place], wide) for place, name in enumerate(Costs._fields)},
        }
        return {name: column[:n] for name, column in columns.items()}

    def _n_rows(self) -> int:
        return self.values[:, :, 0].size

    def user_values(self, metric: str) -> UserValues:
        """Return a metric of each user, for statistics of your own.

        Parameters
        ----------
        metric : str
            One of ``metrics`` that is a mean over users or over ratings.

        Returns
        -------
        UserValues
            Of errors the user's own mean (or its root, of the RMSE); of lists the user's figure, a mean over parts.

        Raises
        ------
        ValueError
            If there is no such metric, or it has no values of users.
        """
        if metric not in self._of_users:
            known = f"one of {', '.join(map(repr, self._of_users))}" if self._of_users else "one that users have"
            raise ValueError(
                f"Evaluation.user_values: metric must be {known}, a mean over users or ratings; got {metric!r}"
            )
        table = self._of_users[metric]
        tested = ~np.isnan(table).all(axis=1)
        return UserValues(self.protocol.users.ids[tested], self.models, table[tested])

    def best(self, metric: str | None = None) -> str:
        """Return the name of the best model.

        Parameters
        ----------
        metric : str, optional
            By default the first.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If there is no such metric.
        """
        place = self._place(metric, "best")
        figures = self.values[:, place, 0] * (1 if self.greater_is_better[self.metrics[place]] else -1)
        return self.models[int(np.nanargmax(figures))]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the titles and the rows of the table as text.

        Returns
        -------
        tuple of list
            Titles, and a list of cells per model: the figure, half the width of its interval, and ``*`` where it
            differs from the baseline at p < 0.05.
        """
        titles = ["model", *map(title_of, self.metrics), "fit s", "lists s", "MiB"]
        rows = []
        for m, model in enumerate(self.models):
            costs = self.costs[model]
            figures = [self._cell(m, place) for place in range(len(self.metrics))]
            memory = "–" if np.isnan(costs.peak_memory) else f"{costs.peak_memory / 2**20:.0f}"
            seconds = ["–" if np.isnan(each) else f"{each:.3g}" for each in costs[:2]]
            rows.append([model, *figures, *seconds, memory])
        return titles, rows

    def _cell(self, m: int, place: int) -> str:
        value, low, high = self.values[m, place]
        if np.isnan(value):
            return "–"
        interval = "" if np.isnan(low) else f" ± {(high - low) / 2:.4f}"
        mark = "*" if self.p_values[m, place] < _SIGNIFICANT else " "
        return f"{value:.4f}{interval}{mark}"

    def _head(self) -> str:
        n = len(self.models)
        several = f"; *: differs from {self.compared_with()} (p < {_SIGNIFICANT:g})" if n > 1 else ""
        intervals = f"±: half of the {100 * self.protocol.confidence:g} % interval"
        if self.protocol.n_resamples == 0:
            intervals = "no intervals: Ctrl-C ended the bootstrap"
        return (
            f"{n} model{'s'[: n - 1]}, {self.protocol.n_held_out:,} ratings of {self.protocol.n_users:,} users held "
            f"out{self.left_out()}\n{intervals}{several}"
        )

    def compared_with(self) -> str:
        """Return the names of the models that others are compared with, as text.

        Returns
        -------
        str
            The baseline, and where it is not measured by some metrics, or has failed, what stands in for it.
        """
        main = self.protocol.baseline if self.protocol.baseline in self.models else ""
        others = {name: metric for metric, name in self.baselines.items() if name != main}
        if not main and len(others) == 1:
            return next(iter(others))
        instead = [f"by {title_of(metric)} from {name}" for name, metric in others.items()]
        return ", ".join([main, *instead] if main else instead)

    def left_out(self) -> str:
        """Return what to say of users whom lists do not count.

        Returns
        -------
        str
            Begins with ";"; empty where there is no metric of lists, or all users count.
        """
        n = self.protocol.n_without
        if n == 0 or not any("@" in metric for metric in self.metrics):
            return ""
        return f"; {n:,} of them have no relevant item and do not count for lists"

    def __str__(self) -> str:
        titles, rows = self.cells()
        widths = [max(len(row[place]) for row in (titles, *rows)) for place in range(len(titles))]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()

        failed = [f"{name} failed: {error}" for name, error in self.errors.items()]
        return "\n".join(
            [self._head(), line(titles), line(["─" * width for width in widths]), *map(line, rows), *failed]
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        titles, rows = self.cells()
        best = {metric: self.best(metric) for metric in self.metrics}
        head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
        body = ""
        for row in rows:
            leading = [row[0] == best.get(metric) for metric in ("", *self.metrics, "", "", "")]
            texts = (
                f"<b>{html.escape(cell)}</b>" if first else html.escape(cell)
                for cell, first in zip(row, leading, strict=True)
            )
            body += f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}</tr>"
        failed = "".join(f"<p>{html.escape(f'{name} failed: {error}')}</p>" for name, error in self.errors.items())
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div><p>{html.escape(self._head()).replace(chr(10), '<br>')}</p>{table}{failed}</div>"

    # -------------------------------------------------------------------------------------------------------
    # Pictures
    # -------------------------------------------------------------------------------------------------------

    def _place(self, metric: str | None, caller: str) -> int:
        if metric is None:
            return 0
        if metric not in self.metrics:
            known = ", ".join(map(repr, self.metrics))
            raise ValueError(f"Evaluation.{caller}: metric must be one of {known}; got {metric!r}")
        return self.metrics.index(metric)

    def plot(self, metric: str | None = None, ax: Axes | None = None, *, by: str | None = None) -> Axes:
        """Plot the models' figures with their intervals, or over the number of training ratings.

        Parameters
        ----------
        metric : str, optional
            One of ``metrics``; by default the first.
        ax : matplotlib.axes.Axes, optional
            The axes; by default of a new figure.
        by : {"user", "item"}, optional
            Slices by the training ratings of users or of items, a line per model; by default a row per model.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such metric, or no slices of it by ``by``.
        """
        from fastcf.plot.counts import draw_by_count
        from fastcf.plot.intervals import plot_intervals

        place = self._place(metric, "plot")
        name = self.metrics[place]
        if by is None:
            rows = {model: self.values[m, place] for m, model in enumerate(self.models)}
            baseline = float(rows[self.baselines[name]][0])
            return plot_intervals(rows, ax, label=title_of(name), baseline=baseline)
        table = self.slices
        own = (table.metrics == name) & (table.sides == by)
        if not own.any():
            raise ValueError(
                f"Evaluation.plot: by must be 'user', or 'item' for metrics of ratings and recall; got {by!r} for "
                f"{name!r}"
            )
        present = set(table.slices[own].tolist())
        shown = [each for each in self.protocol.slices if each in present]
        series = {}
        for model in dict.fromkeys(table.models[own].tolist()):
            found = {table.slices[row]: table.values[row] for row in np.flatnonzero(own & (table.models == model))}
            series[model] = np.array([found.get(each, np.full(3, np.nan)) for each in shown])
        ax = draw_by_count(shown, series, ax, "Evaluation.plot")
        ax.set(xlabel=f"training ratings of the {by}", ylabel=title_of(name))
        return ax


# -----------------------------------------------------------------------------------------------------------
# From gains
# -----------------------------------------------------------------------------------------------------------


def _user_figures(gains: Gains, metric: Metric) -> Floats:
    """Return a user's own figure, a mean over parts or ratings; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = gains.total / gains.count
    return np.sqrt(ratio) if metric.root else ratio


def _estimate(gains: Gains, metric: Metric) -> Estimate | None:
    if metric.per_rating:
        return Estimate.of_sums(gains.total, gains.count, metric.root) if gains.count.any() else None
    if metric.per_user:
        counted = gains.count > 0
        figures = np.where(counted, _user_figures(gains, metric), 0.0)
        return Estimate.of_sums(figures, counted.astype(np.float64)) if counted.any() else None
    if not gains.figures or np.isnan(gains.figures).any():
        return None
    influence = gains.influence / len(gains.figures)
    return Estimate(float(np.mean(gains.figures)), np.full(influence.size, np.nan) if metric.alone else influence)


def _slice_table(gains: Mapping[str, dict[str, Gains]], metrics: Sequence[Metric], protocol: Protocol) -> SliceTable:
    errors = float(norm.ppf((1 + protocol.confidence) / 2))
    rows: list[tuple[str, str, str, str, float]] = []
    values = [np.empty((0, 3))]
    for model, own in gains.items():
        for metric in metrics:
            for side, sums in own[metric.name].sides.items():
                there = np.flatnonzero(sums[:, 1] > 0)
                rows += [(model, metric.name, side, protocol.slices[n], float(sums[n, 1])) for n in there]
                values.append(ratio_of_moments(sums[there], metric.root, errors))
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], [], []]
    names = [np.array(column, dtype=object) for column in columns[:4]]
    return SliceTable(names[0], names[1], names[2], names[3], np.array(columns[4], np.float64), np.concatenate(values))


def _mean_costs(costs: Sequence[Costs]) -> Costs:
    table = np.array(costs, np.float64)
    return Costs(float(table[:, 0].mean()), float(table[:, 1].mean()), float(table[:, 2].max()))


def assembled(
    gains: Mapping[str, dict[str, Gains]],
    costs: Mapping[str, Sequence[Costs]],
    errors: dict[str, str],
    metrics: Sequence[Metric],
    protocol: Protocol,
    *,
    strict: bool,
) -> Evaluation:
    """Return the table of what models got; ``strict``: a metric without any figure is an error, else it is left out."""
    estimates = {
        (model, metric.name): _estimate(own[metric.name], metric) for model, own in gains.items() for metric in metrics
    }
    shown = [metric for metric in metrics if any(estimates[model, metric.name] is not None for model in gains)]
    missing = [metric.name for metric in metrics if metric not in shown]
    if (missing and strict) or not shown:
        raise ValueError(
            f"evaluate: metrics must be such that some model can be measured by them; got {missing[0]!r}, by which "
            "none can: RMSE and MAE are of ratings, log-loss and accuracy of labels; lists need users with relevant "
            "ratings"
        )
    cells = [(model, metric.name) for model in gains for metric in shown]
    order = [*(name for name in gains if name == protocol.baseline), *gains]
    baselines = {
        metric.name: next(model for model in order if estimates[model, metric.name] is not None) for metric in shown
    }
    found = compared(
        [estimates[cell] for cell in cells],
        [estimates[baselines[name], name] for _, name in cells],
        n_resamples=protocol.n_resamples,
        confidence=protocol.confidence,
        seed=protocol.seed,
    )
    shape = len(gains), len(shown)
    p_values = found.p_values.reshape(shape)
    of_users = {
        metric.name: np.stack([_user_figures(own[metric.name], metric) for own in gains.values()], axis=1)
        for metric in shown
        if metric.per_rating or metric.per_user
    }
    n_users = [
        int((~np.isnan(of_users[each.name])).any(axis=1).sum()) if each.name in of_users else 0 for each in shown
    ]
    return Evaluation(
        models=tuple(gains),
        metrics=tuple(metric.name for metric in shown),
        values=found.values.reshape(*shape, 3),
        differences=found.differences.reshape(*shape, 3),
        p_values=np.stack([holm(column) for column in p_values.T], axis=1),
        n_users=np.array(n_users, np.int64),
        slices=_slice_table(gains, shown, protocol),
        costs={model: _mean_costs(own) for model, own in costs.items()},
        errors=errors,
        greater_is_better={metric.name: metric.scorer.greater_is_better for metric in shown},
        baselines=baselines,
        protocol=protocol,
        _of_users=of_users,
    )
