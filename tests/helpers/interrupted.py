"""Ctrl-C in the middle of training."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

from fastcf._backend import host
from fastcf.callbacks import Callback


def fit_interrupted(model: Any, ratings: Any, epoch: int, **options: Any) -> None:
    """Press Ctrl-C after an epoch of ``fit``, which must end by KeyboardInterrupt."""

    class Press(Callback):
        def on_epoch_end(self, model: Any, record: dict[str, Any]) -> None:
            if record["epoch"] == epoch:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings, callbacks=[Press()], **options)
    finally:
        signal.signal(signal.SIGINT, before)


def check_interrupted_within(model: Any, ratings: Any, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C at a call of ``feature_effects`` in ``fit``: the model is that of the last epoch that ended."""
    of_epochs: list[Any] = []
    calls = 0
    native = host.feature_effects

    class Remember(Callback):
        def on_train_begin(self, model: Any) -> None:
            of_epochs.append(model.predict(ratings))

        def on_epoch_end(self, model: Any, record: dict[str, Any]) -> None:
            of_epochs.append(model.predict(ratings))

    def pressed(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        native(*arguments, **options)
        calls += 1
        if calls == call:
            raise KeyboardInterrupt

    monkeypatch.setattr(host, "feature_effects", pressed)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ratings, callbacks=[Remember()])
    np.testing.assert_array_equal(model.predict(ratings), of_epochs[-1])
