"""``fastcf serve``: a model over HTTP."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any

import click

from fastcf.cli._titles import TitleFile, titles_options

__all__ = ["listening", "serve"]


_PATIENCE = 60
"""Seconds before a worker that does not answer its parent is replaced; on a busy machine the default of 5 is short."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, for all workers.

    Connections that it accepts send at once what is written to them: an answer is written in two parts, and the second
    would otherwise wait for 40 ms until the client acknowledges the first. asyncio asks for that only where it has made
    the socket itself, which it does for one worker and not for several.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # which accepted connections inherit
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise click.ClickException(f"--host {host} --port {port}: {error.strerror or error}") from error
    return bound


def _count_or_file(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    """Return a number, or the name of a file."""
    return int(value) if value is not None and value.isdecimal() else value


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 is all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8000,
    show_default=True,
    help="Port to listen at; 0: any that is free.",
)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Processes that answer."
)
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Threads of one request."
)
@titles_options
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    help="JSON file of what is in stock, boosted or limited: arguments of fastcf.serving.Rules.",
)
@click.option(
    "--neighbours",
    callback=_count_or_file,
    metavar="N|FILE",
    help="Look up related items: N per item, computed when MODEL is loaded, or a saved NeighbourTable.",
)
@click.option("--max-n", type=click.IntRange(1), metavar="N", default=1000, show_default=True, help="The longest list.")
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    metavar="N",
    default=256,
    show_default=True,
    help="The most users of a batch.",
)
@click.option(
    "--reload-every",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="How often to look whether MODEL was replaced; 0: never.",
)
@click.option("--no-page", is_flag=True, help="Without the page at /.")
@click.option("--access-log", is_flag=True, help="Print a line per request.")
def serve(
    model: Path,
    host: str,
    port: int,
    workers: int,
    threads: int,
    titles: TitleFile | None,
    rules: Path | None,
    neighbours: int | str | None,
    max_n: int,
    max_batch: int,
    reload_every: float,
    no_page: bool,
    access_log: bool,
) -> None:
    """Serve MODEL over HTTP, with a page at / to try it.

    When MODEL is replaced, as train and save do it, the new one is served
    without a break. Needs FastAPI and uvicorn: pip install "fastcf[serve]".

    Example: fastcf serve movies.fastcf --workers 2
    """
    try:
        import uvicorn

        from fastcf.serving.app import create_app
        from fastcf.serving.workers import log_to_stderr, settings_for_workers
    except ImportError as error:
        raise ImportError("serve needs FastAPI and uvicorn: pip install 'fastcf[serve]'") from error
    settings: dict[str, Any] = {
        "path": str(model),
        "n_threads": threads,
        "neighbours": neighbours,
        "max_n": max_n,
        "max_batch": max_batch,
        "reload_every": reload_every,
        "page": not no_page,
    }
    if titles is not None:
        settings |= {"titles": str(titles.path), "title_columns": titles.columns}
    if rules is not None:
        settings["rules"] = str(rules)
    with listening(host, port) as bound:
        app = create_app(**settings)  # in this process, so that what is wrong with the files is said once
        served = app.state.service.live.current
        where = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
        click.echo(
            f"{served.class_name} of {len(served.model.items_):,} items, version {served.version[:12]}, at {where} "
            f"({workers} worker{'s' if workers > 1 else ''}); Ctrl-C ends"
        )
        options: dict[str, Any] = {"fd": bound.fileno(), "log_level": "warning", "access_log": access_log}
        if access_log:
            options["log_level"] = "info"
        if workers == 1:
            log_to_stderr()
            uvicorn.run(app, **options)
            return
        del app, served
        options |= {"factory": True, "workers": workers, "timeout_worker_healthcheck": _PATIENCE}
        with tempfile.NamedTemporaryFile(prefix="fastcf-counters-") as counters:
            settings_for_workers(**settings, counters=counters.name)
            uvicorn.run("fastcf.serving.workers:app_of_environment", **options)
