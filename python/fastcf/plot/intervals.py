"""Models compared, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastcf.plot._canvas import GREY, axes_of, colour, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_intervals"]


def plot_intervals(
    estimates: Mapping[str, Sequence[float]], ax: Axes | None = None, *, label: str = "", baseline: float | None = None
) -> Axes:
    """Plot values of several models with their intervals, a row each.

    Parameters
    ----------
    estimates : mapping of str to (value, lower end, upper end)
        From top to bottom. Ends that are NaN are not drawn; a model whose value is NaN has an empty row.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    label : str, default ""
        What the values are.
    baseline : float, optional
        A value to compare with: a vertical line.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no estimate, or one is not a triple of numbers.

    Examples
    --------
    >>> ax = plot_intervals({"biases": (0.87, 0.85, 0.89), "mf": (0.84, 0.82, 0.86)}, label="RMSE")  # doctest: +SKIP
    """
    caller = "plot_intervals"
    if not estimates:
        raise ValueError(f"{caller}: estimates must not be empty")
    table = np.array([np.ravel(triple) for triple in estimates.values()], dtype=object)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError(f"{caller}: estimates must be triples (value, lower end, upper end); got {dict(estimates)!r}")
    values, low, high = table.astype(np.float64).T
    ax = axes_of(ax, caller, height=1.2 + 0.36 * len(values))
    rows = np.arange(len(values))
    if baseline is not None:
        ax.axvline(baseline, color=GREY, linestyle=":", linewidth=1.2)
    ax.hlines(rows, low, high, color=colour(0), linewidth=2.5, alpha=0.45)
    ax.plot(values, rows, "o", color=colour(0))
    for row, value in enumerate(values):
        text = "–" if np.isnan(value) else f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"
        ax.annotate(
            text, (1.02, row), xycoords=("axes fraction", "data"), va="center", color="0.25", annotation_clip=False
        )
    ax.set_yticks(rows, list(estimates))
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.set_xlabel(label)
    ax.margins(x=0.05)
    tidy(ax, axis="x")
    ax.tick_params(axis="y", length=0)
    return ax
