"""Errors by the number of ratings that were learnt from: how a model does where there is little to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastcf.data.slices import CUTS, slices_by_count
from fastcf.plot._canvas import axes_of, colour, legend, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastcf.ratings import Ratings

__all__ = ["draw_by_count", "plot_error_by_count"]

_CERTAIN = 1.96  # standard errors on both sides of a mean: 95 %


def draw_by_count(
    names: Sequence[str], series: Mapping[str, NDArray[np.float64]], ax: Axes | None, caller: str
) -> Axes:
    """Draw values with intervals over slices of counts: a line per series of (value, lower, upper), (slices, 3)."""
    ax = axes_of(ax, caller)
    places = np.arange(len(names))
    for n, (name, table) in enumerate(series.items()):
        value, low, high = table.T
        shift = (n - (len(series) - 1) / 2) * min(0.12, 0.6 / len(series))  # so that bars do not hide each other
        bars = np.abs(np.stack([value - low, high - value]))
        ax.errorbar(
            places + shift, value, bars, color=colour(n), marker=marker(n), markersize=5, linewidth=1.2, label=name
        )
    ax.set_xticks(places, names)
    legend(ax)
    tidy(ax)
    return ax


def _rmse(errors: NDArray[np.float64], of: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return the root mean squared error of each slice with its interval, (n, 3); NaN where nothing is."""
    table = np.full((n, 3), np.nan)
    for place in range(n):
        squared = errors[of == place] ** 2
        if squared.size:
            error = _CERTAIN * squared.std() / np.sqrt(squared.size)
            table[place] = np.sqrt(np.maximum(squared.mean() + np.array([0, -error, error]), 0))
    return table


def plot_error_by_count(
    models: Any,
    train: Ratings,
    held_out: Ratings,
    ax: Axes | None = None,
    *,
    by: str = "user",
    cuts: Sequence[int] = CUTS,
) -> Axes:
    """Plot the RMSE of fitted models over the number of training ratings of the user, or of the item.

    Parameters
    ----------
    models : fitted model, or mapping of str to such
        Whatever predicts the pairs of ratings.
    train, held_out : Ratings
        What the models learnt from, and what to predict.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    by : {"user", "item"}, default "user"
        Whose ratings are counted.
    cuts : sequence of int, default (1, 10, 30, 100, 300)
        The least count of each slice. Empty slices at both ends are not drawn.

    Returns
    -------
    matplotlib.axes.Axes
        With bars of two standard errors on both sides, over ratings.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If ``by`` or ``cuts`` are not as described, or nothing is held out.

    See Also
    --------
    fastcf.evaluate : The same of any measure, with intervals over users: ``evaluate(...).plot("rmse", by="user")``.

    Examples
    --------
    >>> ax = plot_error_by_count({"mf": model, "biases": baseline}, train, test)  # doctest: +SKIP
    """
    caller = "plot_error_by_count"
    if by not in ("user", "item"):
        raise ValueError(f"{caller}: by must be 'user' or 'item'; got {by!r}")
    if held_out.nnz == 0:
        raise ValueError(f"{caller}: held_out must not be empty; got 0 ratings")
    ids, known = (held_out.users, train.users) if by == "user" else (held_out.items, train.items)
    counts = train.user_counts() if by == "user" else train.item_counts()
    rows = known.rows(ids)
    slices = slices_by_count(np.where(rows >= 0, counts[rows], 0), cuts, caller)
    of = slices.of[held_out.row_of_entry() if by == "user" else held_out.indices]
    first, last = int(of.min()), int(of.max()) + 1
    several: Mapping[str, Any] = models if isinstance(models, Mapping) else {type(models).__name__: models}
    series = {
        name: _rmse(np.asarray(model.predict(held_out), np.float64) - held_out.values, of, len(slices.names))[
            first:last
        ]
        for name, model in several.items()
    }
    ax = draw_by_count(slices.names[first:last], series, ax, caller)
    ax.set(xlabel=f"training ratings of the {by}", ylabel="RMSE")
    return ax
