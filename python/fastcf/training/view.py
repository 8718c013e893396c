"""The view of a training for callbacks: a recommender over the trainer's current parameters."""

from __future__ import annotations

from collections.abc import Callable

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
    """

    def __init__(self, name: str, n_epochs: int, fetch: Callable[[], State], n_threads: int | None) -> None:
        self.name = name
        self.n_epochs = n_epochs
        self.n_threads = n_threads
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
