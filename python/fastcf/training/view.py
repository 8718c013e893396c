"""The view of a training for callbacks: a recommender over the trainer's current parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastcf.scores import Recommender, State

__all__ = ["TrainingView"]


class TrainingView(Recommender):
    """A recommender over the parameters that a trainer holds after an epoch.

    The parameters are fetched when a callback first looks at them, so that callbacks that read only the record cost
    nothing. After the callback has returned, a view whose parameters were fetched works; others raise RuntimeError.

    Attributes
    ----------
    name : str
        Class of the model that is trained.
    n_epochs : int
        Number of planned epochs.
    records : tuple of dict
        The records so far, from epoch 0, before training; when a training goes on from a checkpoint also those of the
        epochs before.
    monitor : str or None
        The entry of the records that says which epoch is the best: what validation measures.
    greater_is_better : bool
        Whether greater values of it are better.
    """

    def __init__(
        self,
        fetch: Callable[[], State],
        *,
        name: str,
        n_epochs: int,
        n_threads: int | None,
        records: tuple[dict[str, Any], ...],
        monitor: str | None,
        greater_is_better: bool,
    ) -> None:
        self.name = name
        self.n_epochs = n_epochs
        self.n_threads = n_threads
        self.records = records
        self.monitor = monitor
        self.greater_is_better = greater_is_better
        self._fetch: Callable[[], State] | None = fetch
        self._fetched: State | None = None

    @property
    def _state(self) -> State:  # type: ignore[override]  # computed here
        if self._fetched is None:
            if self._fetch is None:
                raise RuntimeError("the view of an epoch can be looked at during its callback only")
            self._fetched = self._fetch()
        return self._fetched

    def close(self) -> None:
        """Refuse to fetch parameters from now on: training continues."""
        self._fetch = None

    def _with_state(self, state: State) -> Recommender:  # type: ignore[override]  # a view belongs to one epoch
        other = Recommender()
        other.n_threads = self.n_threads
        other._state = state
        return other
