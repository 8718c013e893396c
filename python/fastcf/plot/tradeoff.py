"""What accuracy costs: recall against time, for example, of several retrieval indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastcf.plot._canvas import axes_of, colour, is_wide, legend, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_tradeoff"]


def plot_tradeoff(
    families: Mapping[str, Sequence[Sequence[Any]]],
    ax: Axes | None = None,
    *,
    quality: str = "recall",
    cost: str = "milliseconds per query",
) -> Axes:
    """Plot the cost of several settings of several methods against their quality.

    Parameters
    ----------
    families : mapping of str to sequence of (quality, cost) or (quality, cost, setting)
        The points of each method; neighbours are joined by a line in the order given. A setting is written beside its
        point.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    quality, cost : str
        What the axes show. Costs over more than a factor of 9 get a logarithmic axis.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no point, or one is neither a pair nor a triple.

    Examples
    --------
    >>> ax = plot_tradeoff({"exact": [(1.0, 8.4)], "hnsw": [(0.8, 0.5, 512), (0.9, 1.0, 1024)]})  # doctest: +SKIP
    """
    caller = "plot_tradeoff"
    sizes = {len(point) for points in families.values() for point in points}
    if not sizes or not sizes <= {2, 3}:
        raise ValueError(f"{caller}: families must hold points (quality, cost) or (quality, cost, setting)")
    ax = axes_of(ax, caller, height=4.0 + 0.22 * len(families))
    typical = {name: float(np.median([point[1] for point in points])) for name, points in families.items() if points}
    middle = np.median([typical[name] for name, points in families.items() if len(points) > 1] or [0])
    for n, (name, points) in enumerate(families.items()):
        x, y = (np.array([float(point[side]) for point in points]) for side in (0, 1))
        ax.plot(x, y, color=colour(n), marker=marker(n), markersize=9 if len(points) == 1 else 5, label=name)
        for point in points:
            if len(point) == 3:
                beside = (0, 6) if typical[name] >= middle else (0, -14)
                ax.annotate(
                    str(point[2]),
                    (point[0], point[1]),
                    beside,
                    textcoords="offset points",
                    ha="center",
                    color=colour(n),
                    size="small",
                )
    costs = np.array([float(point[1]) for points in families.values() for point in points])
    if is_wide(costs):
        ax.set_yscale("log")
    ax.set(xlabel=quality, ylabel=cost)
    ax.margins(0.08)
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    tidy(ax)
    return ax
