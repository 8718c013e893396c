"""Whether predictions mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf.plot._canvas import GREY, axes_of, colour, legend, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]

_CERTAIN = 1.96  # standard errors on both sides of a mean: 95 %


def _bins(true: NDArray[np.float64], predicted: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    """Return mean prediction, mean truth and its standard error of bins of equally many predictions, (bins, 3)."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, n_bins) if part.size]
    spread = [true[part].std(ddof=1) / np.sqrt(part.size) if part.size > 1 else np.nan for part in parts]
    means = [(predicted[part].mean(), true[part].mean()) for part in parts]
    return np.column_stack([np.array(means), np.array(spread)])


def plot_calibration(
    y_true: ArrayLike,
    predicted: ArrayLike | Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    n_bins: int = 10,
) -> Axes:
    """Plot the mean of what was true over what was predicted: of labels, how often; of ratings, how high.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels 0 and 1, or ratings.
    predicted : array-like of shape (n,), or mapping of str to such
        Probabilities of label 1, or predicted ratings; of several models by their names.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    n_bins : int, default 10
        Predictions are sorted and cut into this many parts of equal size; each is a point, with a bar of two standard
        errors on both sides.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If lengths differ, there is nothing to draw, or ``n_bins`` is less than 1.

    See Also
    --------
    sklearn.calibration.calibration_curve : Shares of label 1 by bins of equal width or of equal size.

    Examples
    --------
    >>> ax = plot_calibration(test.values, {"mf": model.predict(test)})  # doctest: +SKIP
    """
    caller = "plot_calibration"
    if n_bins < 1:
        raise ValueError(f"{caller}: n_bins must be at least 1; got {n_bins!r}")
    true = np.asarray(y_true, np.float64)
    several: Mapping[str, Any] = predicted if isinstance(predicted, Mapping) else {"model": predicted}
    tables = {}
    for name, values in several.items():
        one = np.asarray(values, np.float64)
        if one.shape != true.shape or true.ndim != 1 or not true.size:
            raise ValueError(
                f"{caller}: predicted must have as many entries as y_true, at least 1; got shapes {one.shape} and "
                f"{true.shape}"
            )
        tables[name] = _bins(true, one, n_bins)
    labels = bool(((true == 0) | (true == 1)).all())
    ax = axes_of(ax, caller, height=5.4)
    ends = [float(extreme(table[:, :2])) for extreme in (np.min, np.max) for table in tables.values()]
    low, high = (0.0, 1.0) if labels else (min(ends), max(ends))
    ax.plot((low, high), (low, high), color=GREY, linestyle=":", label="as predicted")
    for n, (name, table) in enumerate(tables.items()):
        means, truth, error = table.T
        ax.errorbar(
            means, truth, _CERTAIN * error, color=colour(n), marker=marker(n), markersize=5, linewidth=1.2, label=name
        )
    what = ("probability of label 1", "share of label 1") if labels else ("rating", "mean rating")
    ax.set(xlabel=f"predicted {what[0]}", ylabel=f"observed {what[1]}")
    edge = 0.05 * (high - low) or 1.0
    ax.set(xlim=(low - edge, high + edge), ylim=(low - edge, high + edge), aspect="equal")
    legend(ax)
    tidy(ax)
    return ax
