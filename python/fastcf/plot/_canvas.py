"""What all pictures share: axes, colours and markers, scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAND", "GREY", "MAP", "axes_of", "colour", "is_wide", "legend", "marker", "panels_of", "tidy"]

# M. Okabe and K. Ito, "Color universal design", 2008, without the yellow, which is too light for lines on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dvp*"
GREY = "0.45"
"""The colour of what is there to compare with."""
BAND = 0.18
"""The opacity of bands of uncertainty."""
MAP = "viridis"
"""The map of colours of scores: even in lightness, so that it reads in grey too."""

_WIDTH, _HEIGHT = 6.4, 4.0  # inches, of a picture of one panel
_WIDE = 9  # numbers over more than this ratio get a logarithmic axis


def _pyplot(caller: str) -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{caller} needs matplotlib: pip install "fastcf[plot]"') from error
    return plt


def axes_of(ax: Axes | None, caller: str, *, width: float = _WIDTH, height: float = _HEIGHT) -> Axes:
    """Return the axes that are given, or those of a new figure; raises ImportError without matplotlib."""
    plt = _pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def panels_of(layout: Sequence[Sequence[str]], caller: str, **options: Any) -> dict[str, Axes]:
    """Return named axes of a new figure, laid out as ``subplot_mosaic`` does."""
    figure, panels = _pyplot(caller).subplot_mosaic([list(row) for row in layout], layout="constrained", **options)
    figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)
    found: dict[str, Axes] = panels
    return found


def colour(n: int) -> str:
    """Return the colour of the n-th series; they repeat, and then ``marker`` tells them apart."""
    return _COLOURS[n % len(_COLOURS)]


def marker(n: int) -> str:
    """Return the marker of the n-th series."""
    return _MARKERS[(n + n // len(_COLOURS)) % len(_MARKERS)]


def tidy(ax: Axes, *, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw a faint grid behind the data, and no frame above and on the right."""
    ax.grid(True, axis=axis, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Axes, **options: Any) -> None:
    """Draw a legend where there is more than one name."""
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(frameon=False, **options)


def is_wide(values: NDArray[Any]) -> bool:
    """Return whether numbers are all positive and span more than what a linear axis shows."""
    return bool(values.size and values.min() > 0 and values.max() > _WIDE * values.min() and np.unique(values).size > 2)
