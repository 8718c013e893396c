"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.exceptions import NotFittedError

from fastcf.metrics import as_scorer
from fastcf.metrics.titles import title_of
from fastcf.plot._canvas import GREY, axes_of, colour, legend, marker, panels_of, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_history"]

_PARTS = (("train", "training"), ("validation", "validation"))
_DOTS = 30  # epochs up to which each of them gets a dot

Record = dict[str, Any]


class _Curve(NamedTuple):
    epochs: list[int]
    values: list[float]


def _history_of(model_or_history: Any) -> list[Record]:
    history = model_or_history
    if not isinstance(history, Sequence):
        if not hasattr(history, "history_"):
            if hasattr(history, "fit"):
                raise NotFittedError(f"plot_history: this {type(history).__name__} has no history yet; call fit first")
            raise TypeError(f"plot_history: expected a fitted model or its history_; got {type(history).__name__}")
        history = history.history_
    records = list(history)
    for n, record in enumerate(records):
        if not isinstance(record, dict) or "epoch" not in record:
            raise TypeError(
                f"plot_history: each record must be a dict with the key 'epoch'; got {record!r} at entry {n}"
            )
    if not records:
        raise ValueError("plot_history: the history is empty: no epoch was trained")
    return records


def _curve(records: list[Record], name: str) -> _Curve:
    points = [(record["epoch"], record[name]) for record in records if record.get(name) is not None]
    return _Curve([epoch for epoch, _ in points], [value for _, value in points])


def _measures(records: list[Record]) -> list[str]:
    """Return what was measured, training errors first, in the order of the records."""
    names = list(dict.fromkeys(name for record in records for name, value in record.items() if value is not None))
    found = [name.removeprefix(f"{part}_") for part, _ in _PARTS for name in names if name.startswith(f"{part}_")]
    return list(dict.fromkeys(found))


def _greater_is_better(measure: str) -> bool:
    """Return the direction of a metric; greater values of what is no metric of this package are better."""
    try:
        return as_scorer(measure, "plot_history").greater_is_better
    except ValueError:
        return True


def _best(curve: _Curve, measure: str) -> int:
    """Return the position of the best epoch; epoch 0, which is never kept, only where there is no other."""
    trained = [n for n, epoch in enumerate(curve.epochs) if epoch > 0] or range(len(curve.epochs))
    better = max if _greater_is_better(measure) else min
    return better(trained, key=curve.values.__getitem__)


def _draw_measure(ax: Axes, records: list[Record], measure: str) -> None:
    for n, (part, label) in enumerate(_PARTS):
        curve = _curve(records, f"{part}_{measure}")
        if curve.epochs:
            dots = marker(n) if len(curve.epochs) < _DOTS else None
            ax.plot(*curve, color=colour(n), linestyle="-" if n else "--", marker=dots, markersize=4, label=label)
    curve = _curve(records, f"validation_{measure}")
    if curve.epochs:
        best = _best(curve, measure)
        label = f"best: {curve.values[best]:.4f} in epoch {curve.epochs[best]}"
        ax.axvline(curve.epochs[best], color=GREY, linestyle=":", label=label)
    ax.set_ylabel(title_of(measure))
    legend(ax)


def _draw_cost(ax: Axes, records: list[Record]) -> None:
    curve = _curve(records, "cost")
    dots = marker(2) if len(curve.epochs) < _DOTS else None
    ax.plot(*curve, color=colour(2), marker=dots, markersize=4, label="cost")
    ax.set_ylabel("training cost")


def plot_history(model_or_history: Any, ax: Axes | None = None) -> Axes:
    """Plot the learning curves: a panel for each measure, with training and validation, and one for the cost.

    Parameters
    ----------
    model_or_history : fitted model, or sequence of dict
        A model with ``history_``, or such a history: one dict per epoch, from epoch 0 on, with ``epoch`` and any of
        ``cost``, ``train_<measure>`` and ``validation_<measure>``, such as ``validation_rmse`` or
        ``validation_ndcg@10``. Missing values and None are left out.
    ax : matplotlib.axes.Axes, optional
        Axes for the first panel alone; by default a new figure has all panels.

    Returns
    -------
    matplotlib.axes.Axes
        The first panel; ``ax.figure.axes`` has all of them, from top to bottom.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to get it.
    sklearn.exceptions.NotFittedError
        If the model was not fitted.
    TypeError, ValueError
        If it is no history, or one without any value.

    Notes
    -----
    The best epoch of a validation measure, which is marked, is that of the least value of an error, such as RMSE, MAE
    and log-loss, and that of the largest value of all others.

    Examples
    --------
    >>> ax = plot_history([{"epoch": 1, "train_rmse": 1.0}, {"epoch": 2, "train_rmse": 0.9}])  # doctest: +SKIP
    """
    caller = "plot_history"
    records = _history_of(model_or_history)
    names = [*_measures(records), *(["cost"] if _curve(records, "cost").epochs else [])]
    if not names:
        raise ValueError(f"{caller}: the history must have a cost or a measure; got {', '.join(records[0])} alone")
    if ax is None:
        panels = panels_of([[name] for name in names], caller, sharex=True, figsize=(6.4, 1.2 + 2.4 * len(names)))
    else:
        panels = {names[0]: axes_of(ax, caller)}
    for name, panel in panels.items():
        if name == "cost":
            _draw_cost(panel, records)
        else:
            _draw_measure(panel, records, name)
        tidy(panel)
    last = list(panels.values())[-1]
    last.set_xlabel("epoch")
    last.locator_params(axis="x", integer=True)
    return panels[names[0]]
