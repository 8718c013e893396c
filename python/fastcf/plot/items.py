"""A map of items: the vectors of a model in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf.plot._canvas import axes_of, colour, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_items"]

_MOST_GROUPS = 6  # the others are one
_PLACES = (
    (6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top"),
    (4, 4, "left", "bottom"), (4, -4, "left", "top"), (-4, 4, "right", "bottom"), (-4, -4, "right", "top"),
)  # fmt: skip
_LONGEST = 28  # characters of a title
_MOST_COVERED = 1  # points that a title may hide

Floats = NDArray[np.float64]


def _vectors(model: Any, items: ArrayLike | None, n: int, caller: str) -> tuple[NDArray[Any], Floats]:
    """Return ids and vectors of length 1; without ids those of the items that were rated most."""
    if not hasattr(model, "item_factors_"):
        raise TypeError(f"{caller}: model must be fitted and have item_factors_; got {type(model).__name__}")
    vectors = np.asarray(model.item_factors_, np.float64)
    if items is not None:
        rows = model.items_.rows(items)
        rows = rows[rows >= 0]
    else:
        seen = getattr(model, "seen_", None)
        counts = np.zeros(len(vectors), int) if seen is None else np.bincount(seen.indices, minlength=len(vectors))
        rows = np.argsort(-counts, kind="stable")[:n]
    rows = rows[vectors[rows].any(axis=1)]  # an item without ratings has a vector of zeros
    if rows.size < 3:
        raise ValueError(f"{caller}: items must be at least 3 that the model knows and has vectors of; got {rows.size}")
    chosen = vectors[rows]
    return model.items_.ids[rows], chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def _flat(vectors: Floats, method: str, random_state: int) -> Floats:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        return np.asarray(PCA(2, svd_solver="full").fit_transform(vectors))
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=random_state).fit_transform(vectors))


def _texts(titles: Any, ids: NDArray[Any]) -> list[str]:
    if titles is None:
        return [str(each) for each in ids.tolist()]
    named = titles.title_of(ids).tolist() if hasattr(titles, "title_of") else [titles.get(i, "") for i in ids.tolist()]
    return [text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…" for text in map(str, named)]


def _write(ax: Axes, points: Floats, texts: list[str], n: int) -> None:
    """Write up to ``n`` texts beside their points, the first ones first, where they cover neither texts nor points."""
    from matplotlib.patheffects import withStroke

    figure: Any = ax.figure
    figure.draw_without_rendering()  # so that the places of texts are known
    halo = [withStroke(linewidth=2, foreground="white")]
    pixels = ax.transData.transform(points)
    frame = ax.get_window_extent()
    taken: list[Any] = []
    for place, text in enumerate(texts):
        if len(taken) == n:
            break
        for x, y, horizontal, vertical in _PLACES if text else ():
            label = ax.annotate(
                text, points[place], (x, y), textcoords="offset points", ha=horizontal, va=vertical, size="small",
                color="0.15", path_effects=halo,
            )  # fmt: skip
            box = label.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            covered = ((pixels > box.min) & (pixels < box.max)).all(axis=1).sum()
            if inside and covered <= _MOST_COVERED and not any(box.overlaps(other) for other in taken):
                taken.append(box.padded(1))
                break
            label.remove()


def plot_items(
    model: Any,
    titles: Any = None,
    ax: Axes | None = None,
    *,
    items: ArrayLike | None = None,
    groups: Mapping[Any, str] | None = None,
    method: str = "pca",
    n_items: int = 200,
    n_titles: int = 30,
    random_state: int = 0,
) -> Axes:
    """Plot a map of items: those with vectors in like directions are near each other.

    Parameters
    ----------
    model : fitted model
        With ``item_factors_`` and ``items_``.
    titles : ItemTable or mapping of id to str, optional
        What to write beside the points; by default the ids.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.
    items : array-like, optional
        Ids of the items to draw, in the order in which they get titles; by default those that were rated most.
    groups : mapping of id to str, optional
        Groups of the items, such as genres: points are coloured by them, the six largest apart.
    method : {"pca", "tsne"}, default "pca"
        Principal components, which keep directions and large distances, or t-SNE, which keeps neighbours.
    n_items : int, default 200
        How many of the most rated items are drawn, where ``items`` is not given.
    n_titles : int, default 30
        How many titles are written at most; one that would cover another is left out.
    random_state : int, default 0
        Seed of t-SNE.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If the model has no vectors of items, fewer than 3 items are known, or ``method`` is another one.

    Notes
    -----
    Vectors are divided by their lengths first, so that distances follow cosines, as in ``similar_items``. Computed by
    scikit-learn's ``PCA`` and ``TSNE``.

    Examples
    --------
    >>> ax = plot_items(model, fastcf.data.read_items("ml-latest-small/movies.csv"), method="tsne")  # doctest: +SKIP
    """
    caller = "plot_items"
    if method not in ("pca", "tsne"):
        raise ValueError(f"{caller}: method must be 'pca' or 'tsne'; got {method!r}")
    ids, vectors = _vectors(model, items, n_items, caller)
    ax = axes_of(ax, caller, width=8.0, height=5.6)
    points = _flat(vectors, method, random_state)
    if groups is None:
        ax.scatter(points[:, 0], points[:, 1], s=14, color=colour(0), alpha=0.6, linewidth=0)
    else:
        labels = np.array([groups.get(each, "") or "other" for each in ids.tolist()], dtype=object)
        names, counts = np.unique(labels[labels != "other"], return_counts=True)
        largest = names[np.argsort(-counts, kind="stable")][:_MOST_GROUPS].tolist()
        other = ~np.isin(labels, largest)
        if other.any():
            ax.scatter(points[other, 0], points[other, 1], s=10, color="0.75", linewidth=0, label="other")
        for n, name in enumerate(largest):
            own = points[labels == name]
            ax.scatter(own[:, 0], own[:, 1], s=18, color=colour(n), marker=marker(n), linewidth=0, label=name)
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=1.4)
    ax.margins(0.08)
    ax.set(xticks=[], yticks=[])
    axis = {"pca": "principal component", "tsne": "t-SNE"}[method]
    ax.set(xlabel=f"{axis} 1", ylabel=f"{axis} 2")
    ax.spines[["top", "right"]].set_visible(False)
    _write(ax, points, _texts(titles, ids), n_titles)
    return ax
