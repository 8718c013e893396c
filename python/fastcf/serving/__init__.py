"""Serving fitted models: in this process, and over HTTP.

:func:`create_app` makes an ASGI application of a model file, which ``fastcf serve`` runs. It needs FastAPI and
uvicorn: ``pip install "fastcf[serve]"``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcf.serving.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    if name != "create_app":
        raise AttributeError(f"module 'fastcf.serving' has no attribute {name!r}")
    try:
        return importlib.import_module("fastcf.serving.app").create_app
    except ImportError as error:
        raise ImportError("fastcf.serving.create_app needs FastAPI: pip install 'fastcf[serve]'") from error
