"""Results of searches: how a score depends on parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastcf.plot._canvas import BAND, GREY, MAP, axes_of, colour, is_wide, legend, marker, panels_of, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_search", "plot_sweep"]

_MOST_PANELS = 4
_MOST_CELLS = 12  # values of a parameter up to which a heat map has cells for them
_MOST_TICKS = 6
_TWO_DECADES = 100
_REACH = 6  # times the distance of the median from the best score: what is further below is drawn at the edge
_GROUPS = 5  # into which numbers are cut to see how much they matter

Floats = NDArray[np.float64]


def _order(value: Any) -> tuple[int, Any]:
    return (0, float(value)) if isinstance(value, (int, float, np.number)) else (1, str(value))


@dataclass(frozen=True)
class _Parameter:
    """A parameter of a search: a number per candidate, the values or the places among the names of the values."""

    name: str
    values: Floats
    names: tuple[str, ...]  # of values that are no numbers; empty for numbers

    @classmethod
    def of(cls, name: str, raw: Sequence[Any]) -> _Parameter:
        plain = [value.item() if isinstance(value, np.generic) else value for value in raw]
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in plain):
            return cls(name, np.array(plain, np.float64), ())
        names = [str(value) for value in sorted({str(value): value for value in plain}.values(), key=_order)]
        return cls(name, np.array([names.index(str(value)) for value in plain], np.float64), tuple(names))

    @property
    def wide(self) -> bool:
        """Whether a logarithmic axis shows the values better."""
        return not self.names and is_wide(self.values)

    def levels(self) -> Floats:
        """Return the different values, ascending."""
        return np.unique(self.values)

    def weight(self, scores: Floats) -> float:
        """Return the share of the variance of scores between groups of values."""
        levels = self.levels()
        edges = levels if levels.size <= _GROUPS else np.quantile(self.values, np.linspace(0, 1, _GROUPS + 1)[:-1])
        group = np.searchsorted(edges, self.values, side="right")
        means = {each: scores[group == each].mean() for each in np.unique(group)}
        between = np.array([means[each] for each in group])
        return float(between.var() / scores.var()) if scores.var() > 0 else 0.0

    def label(self, ax: Axes, side: str) -> None:
        """Label an axis with the name, and with the names of values or on a logarithmic scale."""
        short = self.name.rpartition("__")[2] if len(self.name) > 24 else self.name
        ax.set(**{f"{side}label": short})
        if self.names:
            ax.set(**{f"{side}ticks": range(len(self.names)), f"{side}ticklabels": self.names})
        elif self.wide:
            self._scale(ax, side)

    def _scale(self, ax: Axes, side: str) -> None:
        """Make an axis logarithmic, with numbers at the values or at 1, 2 and 5 times powers of ten."""
        from matplotlib.ticker import LogLocator, NullFormatter

        ax.set(**{f"{side}scale": "log"})
        axis = getattr(ax, f"{side}axis")
        levels = self.levels()
        if levels.size <= _MOST_TICKS:
            axis.set_ticks(levels)
        elif levels.max() < _TWO_DECADES * levels.min():
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class _Results:
    """Candidates that were scored: mean scores, their standard errors over folds, and parameters that vary."""

    scores: Floats
    errors: Floats
    parameters: dict[str, _Parameter]
    label: str

    @property
    def floor(self) -> float:
        """The lowest score that is drawn to scale: one bad candidate is not to flatten the others."""
        best = float(self.scores.max())
        reach = _REACH * (best - float(np.median(self.scores)))
        return max(float(self.scores.min()), best - reach) if reach > 0 else float(self.scores.min())

    @property
    def best(self) -> int:
        """The position of the best candidate."""
        return int(np.argmax(self.scores))

    def shown(self, wanted: Sequence[str] | None, most: int, caller: str) -> list[_Parameter]:
        """Return the parameters that are asked for, or those that matter most, first the one that matters most."""
        if wanted is None:
            order = sorted(self.parameters.values(), key=lambda each: -each.weight(self.scores))
            return order[:most]
        unknown = [name for name in wanted if name not in self.parameters]
        if unknown:
            raise ValueError(
                f"{caller}: parameters must be among those that vary, {', '.join(self.parameters)}; got {unknown[0]!r}"
            )
        return [self.parameters[name] for name in wanted]


def _results_of(results: Any, measure: str, caller: str) -> _Results:
    table = getattr(results, "cv_results_", results)
    if not isinstance(table, Mapping) or "params" not in table:
        raise TypeError(f"{caller}: results must be a fitted search or its cv_results_; got {type(results).__name__}")
    key = f"mean_test_{measure}"
    if key not in table:
        known = [name.removeprefix("mean_test_") for name in table if name.startswith("mean_test_")]
        raise ValueError(f"{caller}: measure must be one of {', '.join(map(repr, known))}; got {measure!r}")
    scores = np.asarray(table[key], np.float64)
    kept = np.flatnonzero(np.isfinite(scores))
    if not kept.size:
        raise ValueError(f"{caller}: results must hold a candidate with a score; got none of {scores.size}")
    folds = sum(name.startswith("split") and name.endswith(f"_test_{measure}") for name in table)
    spread = np.asarray(table.get(f"std_test_{measure}", np.full(scores.size, np.nan)), np.float64)
    candidates = [table["params"][n] for n in kept]
    names = list(dict.fromkeys(name for candidate in candidates for name in candidate))
    found = {name: _Parameter.of(name, [candidate.get(name) for candidate in candidates]) for name in names}
    varied = {name: parameter for name, parameter in found.items() if parameter.levels().size > 1}
    name = getattr(getattr(results, "scorer_", None), "name", "score") if measure == "score" else measure
    sign = _sign(scores[kept], np.asarray(table.get(f"rank_test_{measure}", -scores))[kept])
    label = f"mean {name}" if sign > 0 else f"minus mean {name}"
    return _Results(sign * scores[kept], spread[kept] / np.sqrt(max(folds, 1)), varied, label)


def _sign(scores: Floats, ranks: NDArray[Any]) -> int:
    """Return 1 where the candidate of the first rank has the largest score, and -1 where a larger one is worse."""
    return 1 if scores[ranks.argmin()] == scores.max() else -1


def _best_of_levels(results: _Results, parameter: _Parameter) -> NDArray[np.int64]:
    """Return the best candidate of each value of a parameter."""
    return np.array(
        [
            max(np.flatnonzero(parameter.values == level), key=lambda n: results.scores[n])
            for level in parameter.levels()
        ]
    )


def _draw_candidates(ax: Axes, results: _Results, parameter: _Parameter) -> None:
    """Draw a dot per candidate; a triangle at the lower edge, where the score is below what is drawn."""
    x, y, floor = parameter.values, results.scores, results.floor
    low = y < floor
    ax.plot(x[~low], y[~low], "o", color=colour(0), markersize=4, alpha=0.55, linewidth=0, label="candidates")
    if low.any():
        ax.plot(x[low], np.full(int(low.sum()), floor), "v", color=GREY, markersize=5, linewidth=0, label="far lower")


def _draw_marginal(ax: Axes, results: _Results, parameter: _Parameter) -> None:
    _draw_candidates(ax, results, parameter)
    if parameter.levels().size <= _MOST_CELLS:
        best = _best_of_levels(results, parameter)
        ax.plot(parameter.values[best], np.maximum(results.scores[best], results.floor), color=colour(0), linewidth=1.2)
    ax.plot(parameter.values[results.best], results.scores[results.best], "*", color=colour(1), markersize=13)
    parameter.label(ax, "x")
    tidy(ax)


def _cells(results: _Results, x: _Parameter, y: _Parameter) -> Floats | None:
    """Return the best score of each pair of values, (y, x); None where a pair is missing or values are many."""
    across, down = x.levels(), y.levels()
    if max(across.size, down.size) > _MOST_CELLS:
        return None
    table = np.full((down.size, across.size), -np.inf)
    np.maximum.at(table, (np.searchsorted(down, y.values), np.searchsorted(across, x.values)), results.scores)
    return table if np.isfinite(table).all() else None


def _draw_map(ax: Axes, results: _Results, x: _Parameter, y: _Parameter) -> None:
    from matplotlib.patches import Rectangle

    cells = _cells(results, x, y)
    if cells is None:
        order = np.argsort(results.scores)  # the best ones on top
        drawn: Any = ax.scatter(
            x.values[order], y.values[order], c=results.scores[order], cmap=MAP, vmin=results.floor, s=42, linewidth=0
        )
        best: tuple[Any, ...] = x.values[results.best], y.values[results.best]
        x.label(ax, "x")
        y.label(ax, "y")
    else:
        drawn = ax.imshow(cells, cmap=MAP, vmin=results.floor, aspect="auto", origin="lower")
        levels = x.levels(), y.levels()
        best = tuple(float(np.searchsorted(each.levels(), each.values[results.best])) for each in (x, y))
        for parameter, side, values in ((x, "x", levels[0]), (y, "y", levels[1])):
            texts = parameter.names or [f"{value:g}" for value in values]
            ax.set(**{f"{side}ticks": range(len(texts)), f"{side}ticklabels": texts, f"{side}label": parameter.name})
        if cells.size <= 50:
            middle = (results.floor + cells.max()) / 2
            digits = int(np.clip(2 - np.floor(np.log10(np.ptp(cells) or 1.0)), 0, 8))
            for (row, column), value in np.ndenumerate(cells):
                ink = "white" if value < middle else "black"
                ax.text(column, row, f"{value:.{digits}f}", ha="center", va="center", color=ink, size="small")
    if cells is None:
        ax.plot(*best, "o", mfc="none", mec=colour(1), mew=2, markersize=12)
    else:
        ax.add_patch(Rectangle((best[0] - 0.5, best[1] - 0.5), 1, 1, fill=False, edgecolor=colour(1), linewidth=3))
    ax.figure.colorbar(drawn, ax=ax, label=f"best {results.label}" if cells is not None else results.label)
    ax.set_title("the two parameters that matter most", size="medium", loc="left")


def plot_search(results: Any, *, parameters: Sequence[str] | None = None, measure: str = "score") -> Axes:
    """Plot what a search found: the scores over each parameter, and over the two that matter most together.

    Parameters
    ----------
    results : fitted search, or dict
        With ``cv_results_``, or such a table itself: of this package's searches or of scikit-learn's. Candidates
        without a score are left out.
    parameters : sequence of str, optional
        The parameters to draw, the first two on the map; by default the four that explain most of the scores' variance.
    measure : str, default "score"
        The measure to draw, of searches with several: the column ``mean_test_<measure>``. Where the ranks say that
        smaller is better, as for errors, minus the measure is drawn.

    Returns
    -------
    matplotlib.axes.Axes
        The first panel, in a new figure; ``ax.figure.axes`` has all of them. The best candidate is marked in each.
        Lines join the best candidates of each value.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there are no results, no parameter varies, or a name is unknown.

    Examples
    --------
    >>> ax = plot_search(search)  # doctest: +SKIP
    """
    caller = "plot_search"
    found = _results_of(results, measure, caller)
    shown = found.shown(parameters, _MOST_PANELS, caller)
    if not shown:
        raise ValueError(f"{caller}: results must have a parameter that varies; all candidates are alike")
    rows = [[f"{n}" for n in range(len(shown))]]
    if len(shown) > 1:
        rows.append(["map"] * len(shown))
    size = max(6.4, 3.0 * len(shown)), 3.0 + 3.6 * (len(rows) - 1)
    panels = panels_of(rows, caller, figsize=size, height_ratios=[3, 4][: len(rows)])
    for n, parameter in enumerate(shown):
        ax = panels[f"{n}"]
        _draw_marginal(ax, found, parameter)
        if n:
            ax.sharey(panels["0"])
            ax.tick_params(labelleft=False)
    panels["0"].set_ylabel(found.label)
    if len(shown) > 1:
        _draw_map(panels["map"], found, shown[0], shown[1])
    return panels["0"]


def plot_sweep(results: Any, parameter: str, ax: Axes | None = None, *, measure: str = "score") -> Axes:
    """Plot the score over one parameter of a search: the best candidate of each value.

    Parameters
    ----------
    results : fitted search, or dict
        As for :func:`plot_search`.
    parameter : str
        The parameter.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    measure : str, default "score"
        As for :func:`plot_search`.

    Returns
    -------
    matplotlib.axes.Axes
        The band is one standard error over folds on both sides of the mean. Where other parameters vary too, dots are
        the other candidates; of a parameter with more than 12 values then all candidates are dots.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there are no results, or the parameter does not vary.

    Examples
    --------
    >>> ax = plot_sweep(search, "reg")  # doctest: +SKIP
    """
    caller = "plot_sweep"
    found = _results_of(results, measure, caller)
    (one,) = found.shown([parameter], 1, caller)
    ax = axes_of(ax, caller)
    alone = len(found.parameters) == 1
    if alone or one.levels().size <= _MOST_CELLS:
        best = _best_of_levels(found, one)
        x, y, error = one.values[best], found.scores[best], found.errors[best]
        others = np.setdiff1d(np.arange(found.scores.size), best)
        ax.fill_between(x, y - error, y + error, color=colour(0), alpha=BAND, linewidth=0)
        ax.plot(x, y, color=colour(0), marker=marker(0), markersize=4, label=None if alone else "best of each value")
        if others.size:
            ax.plot(one.values[others], found.scores[others], ".", color=GREY, alpha=0.5, label="other candidates")
    else:  # candidates of different values of the other parameters: a line between them would mean nothing
        _draw_candidates(ax, found, one)
    top = found.best
    ax.plot(
        one.values[top], found.scores[top], "*", color=colour(1), markersize=14, label=f"best: {found.scores[top]:.4g}"
    )
    one.label(ax, "x")
    ax.set_ylabel(found.label)
    legend(ax)
    tidy(ax)
    return ax
