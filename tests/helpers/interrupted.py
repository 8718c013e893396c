"""Ctrl-C in the middle of training."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

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
