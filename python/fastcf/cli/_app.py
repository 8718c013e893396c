"""The command group; failures end in one line on standard error and an exit code, without a traceback."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click

from fastcf._version import __version__
from fastcf.cli._compare import compare
from fastcf.cli._convert import convert
from fastcf.cli._demo import demo
from fastcf.cli._explain import explain
from fastcf.cli._info import info
from fastcf.cli._predict import evaluate, predict
from fastcf.cli._query import recommend, similar
from fastcf.cli._reading import as_flags
from fastcf.cli._search import search
from fastcf.cli._serve import serve
from fastcf.cli._train import train
from fastcf.errors import DeviceError, DivergenceError

__all__ = ["INTERRUPTED", "main"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


def _one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else error.filename
        return error.strerror if name is None else f"{name}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory" + (f": {error}" if str(error) else "")
    return as_flags(" ".join(str(error).split()))


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning on one line of standard error, without its place in the code."""
    click.echo(f"Note: {as_flags(' '.join(str(message).split()))}", err=True)


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


for _command in (demo, compare, train, search, evaluate, predict, recommend, similar, explain, serve, convert, info):
    main.add_command(_command)
