"""The command line: ``fastcf demo | train | evaluate | predict | recommend | similar | serve | info``."""

from fastcf.cli._app import main

__all__ = ["main"]
