"""Learning curves. Needs matplotlib: ``pip install "fastcf[plot]"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import NotFittedError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_history"]

_ERRORS = (("rmse", "RMSE"), ("log_loss", "log-loss"))


def _history_of(model_or_history: Any) -> list[dict[str, Any]]:
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


def _curve(records: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    points = [(record["epoch"], record[name]) for record in records if record.get(name) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def plot_history(model_or_history: Any, ax: Axes | None = None) -> Axes:
    """Plot the learning curves: RMSE or log-loss in training and validation on the left axis, the cost on the right.

    Parameters
    ----------
    model_or_history : fitted model, or sequence of dict
        A model with ``history_``, or such a history: one dict per epoch, from epoch 0 on, with ``epoch`` and any of
        ``cost``, ``train_rmse``, ``validation_rmse``, or ``train_log_loss``, ``validation_log_loss``;
        missing values and None are left out.
    ax : matplotlib.axes.Axes, optional
        The axes; by default of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the RMSE or log-loss (of the cost, where there is neither).

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to get it.
    sklearn.exceptions.NotFittedError
        If the model was not fitted.
    TypeError, ValueError
        If it is no history, or an empty one.

    Examples
    --------
    >>> ax = plot_history([{"epoch": 1, "train_rmse": 1.0}, {"epoch": 2, "train_rmse": 0.9}])  # doctest: +SKIP
    """
    records = _history_of(model_or_history)
    try:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError('plot_history needs matplotlib: pip install "fastcf[plot]"') from error

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    lines = []
    recorded: set[str] = set().union(*records)
    kind, title = next((pair for pair in _ERRORS if f"train_{pair[0]}" in recorded), _ERRORS[0])
    for name, label in ((f"train_{kind}", f"training {title}"), (f"validation_{kind}", f"validation {title}")):
        epochs, values = _curve(records, name)
        if epochs:
            lines += ax.plot(epochs, values, marker="." if len(epochs) < 30 else None, label=label)
    validation_epochs, validation = _curve(records, f"validation_{kind}")
    if validation:
        trained = [n for n, epoch in enumerate(validation_epochs) if epoch > 0] or range(len(validation))
        best = min(trained, key=validation.__getitem__)  # epoch 0 is never kept
        label = f"best: {validation[best]:.4f} in epoch {validation_epochs[best]}"
        lines.append(ax.axvline(validation_epochs[best], color="0.6", linestyle=":", label=label))

    epochs, costs = _curve(records, "cost")
    if epochs:
        cost_axes = ax.twinx() if lines else ax
        lines += cost_axes.plot(epochs, costs, color="0.4", linestyle="--", label="cost")
        cost_axes.set_ylabel("cost")
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if any(_curve(records, f"{part}_{kind}")[0] for part in ("train", "validation")):
        ax.set_ylabel(title)
    ax.legend(handles=lines)
    return ax
