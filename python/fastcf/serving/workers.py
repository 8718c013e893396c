"""The application as each worker process makes it: from settings that its parent has left in the environment."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from fastapi import FastAPI

from fastcf.serving.app import create_app

__all__ = ["app_of_environment", "log_to_stderr", "settings_for_workers"]

_VARIABLE = "FASTCF_SERVE"


def settings_for_workers(**settings: Any) -> None:
    """Leave the arguments of :func:`create_app` to processes that this one starts."""
    os.environ[_VARIABLE] = json.dumps(settings)


def log_to_stderr() -> None:
    """Print on standard error which version is served from when on, and why another is not."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s worker %(process)d: %(message)s"))
    logger = logging.getLogger("fastcf.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def app_of_environment() -> FastAPI:
    """Return the application of the settings that were left."""
    log_to_stderr()
    return create_app(**json.loads(os.environ[_VARIABLE]))
