"""What is in a set of ratings: how high they are, and how unevenly they are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastcf.plot._canvas import GREY, colour, panels_of, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastcf.ratings import Ratings

__all__ = ["plot_ratings"]

_BARS = 30
_HEAD = 0.2  # of the items, whose share of the ratings is written


def _draw_values(ax: Axes, ratings: Ratings) -> None:
    values, counts = np.unique(ratings.values, return_counts=True)
    if values.size <= _BARS:
        gaps = np.diff(values)
        ax.bar(values, counts / counts.sum(), width=0.8 * (gaps.min() if gaps.size else 1.0), color=colour(0))
        if values.size <= 12:
            ax.set_xticks(values, [f"{value:g}" for value in values])
    else:
        weights = np.full(ratings.nnz, 1 / ratings.nnz)
        ax.hist(ratings.values, bins=_BARS, weights=weights, color=colour(0), edgecolor="white")
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    ax.set(xlabel="rating", ylabel="share of the ratings", title=f"{ratings.nnz:,} ratings, mean {ratings.mean:.3g}")
    tidy(ax, axis="y")


def _tail(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of those with the most ratings, and the share of the ratings that they have."""
    ordered = np.sort(counts)[::-1]
    shares = np.concatenate([[0], np.cumsum(ordered)]) / max(int(ordered.sum()), 1)
    return np.linspace(0, 1, shares.size), shares


def _draw_tails(ax: Axes, ratings: Ratings) -> None:
    sides = (("items", ratings.item_counts(), "-"), ("users", ratings.user_counts(), "--"))
    for n, (name, counts, line) in enumerate(sides):
        x, y = _tail(counts)
        head = f"{100 * _HEAD:.0f} % have {100 * np.interp(_HEAD, x, y):.0f} %; median {np.median(counts):g}"
        ax.plot(x, y, line, color=colour(n), label=f"{name}: {head}")
    ax.axvline(_HEAD, color=GREY, linestyle=":", linewidth=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    ax.set(xlabel="share of items or users, most ratings first", ylabel="share of the ratings")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), title=f"{ratings.n_items:,} items, {ratings.n_users:,} users")
    ax.legend(frameon=False, loc="lower right")
    tidy(ax)


def plot_ratings(ratings: Ratings) -> Axes:
    """Plot the distribution of ratings, and the long tail: how few items and users have most of them.

    Parameters
    ----------
    ratings : Ratings
        At least one rating.

    Returns
    -------
    matplotlib.axes.Axes
        The panel of the distribution, in a new figure; ``ax.figure.axes`` has both.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there are no ratings.

    Examples
    --------
    >>> ax = plot_ratings(fastcf.data.load_ratings("ml-latest-small"))  # doctest: +SKIP
    """
    caller = "plot_ratings"
    if ratings.nnz == 0:
        raise ValueError(f"{caller}: ratings must not be empty; got 0")
    panels = panels_of([["values", "tails"]], caller, figsize=(10, 4.2))
    _draw_values(panels["values"], ratings)
    _draw_tails(panels["tails"], ratings)
    return panels["values"]
