"""How the step size changes while a model is trained."""

from __future__ import annotations

import math

__all__ = ["SCHEDULES", "learning_rate_at"]

SCHEDULES = ("constant", "linear", "cosine", "inverse", "exponential")


def learning_rate_at(schedule: str, initial: float, epoch: int, n_epochs: int, decay: float) -> float:
    """Return the learning rate of an epoch.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine", "inverse", "exponential"}
        With t the epoch from 0 and T the number of epochs: ``a``; ``a (1 - t/T)``; ``a (1 + cos(pi t/T)) / 2``;
        ``a / (1 + decay t)``; ``a (1 - decay)^t``.
    initial : float
        a, the rate of the first epoch.
    epoch : int
        t, from 0.
    n_epochs : int
        T; the linear and cosine schedules end just above 0.
    decay : float
        For the last two; the others ignore it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the schedule is unknown.

    Examples
    --------
    >>> [round(learning_rate_at("linear", 0.1, epoch, 4, 0.0), 3) for epoch in range(4)]
    [0.1, 0.075, 0.05, 0.025]
    """
    if schedule == "constant":
        return initial
    if schedule == "linear":
        return initial * (1 - epoch / n_epochs)
    if schedule == "cosine":
        return initial * (1 + math.cos(math.pi * epoch / n_epochs)) / 2
    if schedule == "inverse":
        return initial / (1 + decay * epoch)
    if schedule == "exponential":
        return initial * (1 - decay) ** epoch
    raise ValueError(f"learning_rate_at: schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")
