"""Pictures of data, training, searches and models. Needs matplotlib: ``pip install "fastcf[plot]"``.

Every function draws into the ``ax`` it is given, or into a new figure, and returns axes. None changes matplotlib's
settings.
"""

from fastcf.plot.calibration import plot_calibration
from fastcf.plot.counts import plot_error_by_count
from fastcf.plot.history import plot_history
from fastcf.plot.intervals import plot_intervals
from fastcf.plot.items import plot_items
from fastcf.plot.ratings import plot_ratings
from fastcf.plot.search import plot_search, plot_sweep
from fastcf.plot.tradeoff import plot_tradeoff

__all__ = [
    "plot_calibration",
    "plot_error_by_count",
    "plot_history",
    "plot_intervals",
    "plot_items",
    "plot_ratings",
    "plot_search",
    "plot_sweep",
    "plot_tradeoff",
]
