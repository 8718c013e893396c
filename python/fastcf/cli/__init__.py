"""The command line: ``fastcf demo | train | evaluate | recommend | similar | info``."""

from fastcf.cli.app import main

__all__ = ["main"]
