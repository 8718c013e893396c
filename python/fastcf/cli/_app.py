"""The command group; failures end in one line on standard error and an exit code, without a traceback."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

import click

from fastcf._version import __version__
from fastcf.errors import DeviceError, DivergenceError

__all__ = ["INTERRUPTED", "main"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

# In the order of use: the module, and what the list of commands says of each, the first sentence of its help.
_COMMANDS = {
    "demo": ("_demo", "Show every step: ratings, models, lists, predictions."),
    "compare": ("_compare", "Fit several models to a part of RATINGS and measure them on the rest."),
    "train": ("_train", "Train a model on RATINGS, a file or folder, and save it."),
    "search": ("_search", "Find good parameters of a model on folds of RATINGS, a file or folder."),
    "evaluate": ("_predict", "Measure the errors of MODEL, or its lists, on RATINGS."),
    "predict": ("_predict", "Predict the ratings of PAIRS by MODEL, as CSV."),
    "recommend": ("_query", "Recommend to users of MODEL, or to a visitor, what they have not rated."),
    "similar": ("_query", "Find the items of MODEL that are most similar to others."),
    "explain": ("_explain", "Show what a user's score of an item in MODEL is made of."),
    "serve": ("_serve", "Serve MODEL over HTTP, with a page at / to try it."),
    "convert": ("_convert", "Convert RATINGS to a file that every command opens in milliseconds."),
    "info": ("_info", "Describe a model, a file of ratings, or this installation."),
}


def _one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else error.filename
        return error.strerror if name is None else f"{name}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory" + (f": {error}" if str(error) else "")
    return _with_flags(str(error))


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning on one line of standard error, without its place in the code."""
    click.echo(f"Note: {_with_flags(str(message))}", err=True)


def _with_flags(message: str) -> str:
    """Return a message of the library on one line, with its arguments as options of the command line."""
    from fastcf.cli._reading import as_flags

    return as_flags(" ".join(message.split()))


class _LazyCommand(click.Command):
    """A command whose module is imported when the command is invoked or asked for its own help."""

    def __init__(self, name: str, module: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._module = module

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(importlib.import_module(f"fastcf.cli.{self._module}"), str(self.name))
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return self.load().make_context(*args, **kwargs)


class _Commands(click.Group):
    """Turns errors that users can cause into messages; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _note
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise  # click handles it: the reader has closed the pipe
        except (ValueError, OSError, MemoryError, DeviceError, DivergenceError) as error:
            raise click.ClickException(_one_line(error)) from error
        except ImportError as error:
            if "pip install" not in str(error):
                raise
            raise click.ClickException(_one_line(error)) from error  # an optional library

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of use, not of the alphabet


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Start with 'fastcf demo'. 'fastcf COMMAND --help' explains a command.",
)
@click.version_option(__version__, prog_name="fastcf")
def main() -> None:
    """Collaborative filtering.

    Train models on files of ratings, measure their errors, and get recommendations.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a title that the terminal cannot show is no reason to stop


for _name, (_module, _help) in _COMMANDS.items():
    main.add_command(_LazyCommand(_name, _module, _help))
