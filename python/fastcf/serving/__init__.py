"""Serving fitted models: in this process, and over HTTP.

:class:`Rules` say what is in stock, boosted, limited by category or kept from single users. :class:`NeighbourTable`
holds the nearest items of every item. :func:`create_app` makes an ASGI application of a model file, which
``fastcf serve`` runs; it needs FastAPI and uvicorn: ``pip install "fastcf[serve]"``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastcf.serving.neighbours import NeighbourTable
from fastcf.serving.rules import Rules

if TYPE_CHECKING:
    from fastcf.serving.app import create_app

__all__ = ["NeighbourTable", "Rules", "create_app"]


def __getattr__(name: str) -> Any:
    if name != "create_app":
        raise AttributeError(f"module 'fastcf.serving' has no attribute {name!r}")
    try:
        return importlib.import_module("fastcf.serving.app").create_app
    except ImportError as error:
        raise ImportError("fastcf.serving.create_app needs FastAPI: pip install 'fastcf[serve]'") from error
