"""The service as an ASGI application: paths, limits, counters, and the page."""

from __future__ import annotations

import contextlib
import numbers
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastcf._parameters import positive_count
from fastcf._version import __version__
from fastcf.serving.beside import read_beside
from fastcf.serving.counters import Counters
from fastcf.serving.live import LiveModel
from fastcf.serving.neighbours import NeighbourTable
from fastcf.serving.refusals import (
    BodyLimit,
    Refusals,
    RequestError,
    on_failure,
    on_http_error,
    on_invalid,
    on_refusal,
)
from fastcf.serving.rules import Rules
from fastcf.serving.served import ServedModel
from fastcf.serving.service import Limits, Service

__all__ = ["create_app"]

_PAGE = Path(__file__).with_name("page")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PATHS = (
    "/recommend",
    "/batch",
    "/similar",
    "/predict",
    "/explain",
    "/search",
    "/seen",
    "/model",
    "/health",
    "/metrics",
    "/",
)


def _check_path_or(name: str, kind: Any, given: Any, where: str) -> None:
    if not isinstance(given, kind | str | os.PathLike | None):
        raise TypeError(f"{where} must be {name} or the path of a file; got {given!r}")


def create_app(
    path: str | os.PathLike[str],
    *,
    titles: str | os.PathLike[str] | None = None,
    title_columns: Mapping[str, str | int] | None = None,
    rules: Rules | str | os.PathLike[str] | None = None,
    neighbours: NeighbourTable | int | str | os.PathLike[str] | None = None,
    n_threads: int | None = 1,
    max_n: int = Limits.n,
    max_batch: int = Limits.batch,
    max_body: int = Limits.body,
    reload_every: float = 1.0,
    page: bool = True,
    counters: str | os.PathLike[str] | None = None,
) -> FastAPI:
    """Return an ASGI application that serves a model file over HTTP; ``fastcf serve`` runs it.

    The model is loaded here, so that workers that are forked later share its memory. Each worker looks at the file in
    a thread of its own and replaces the model when the file has been: a request is answered by one model, the old or
    the new, and names it.

    Parameters
    ----------
    path : path-like
        The model's file. Another one is to take its place by renaming, as ``save`` does it.
    titles : path-like, optional
        A file of titles, as :func:`fastcf.data.read_items` takes it; by default those that the model's file holds.
    title_columns : mapping, optional
        Its columns ``id`` and ``title``, by name or number, where they are not recognised.
    rules : Rules or path-like, optional
        What lists may contain; or a JSON file of the arguments of :class:`fastcf.serving.Rules`, which is watched, too.
    neighbours : NeighbourTable, int or path-like, optional
        Related items to look up instead of computing them: a table of the model's items, a file of one, which is mapped
        and watched, or how many to compute per item whenever the model is loaded, by each worker for itself. A request
        for more neighbours, by another metric or among candidates is answered by the model.
    n_threads : int or None, default 1
        Threads of one request; None: all. Requests are answered side by side, so that more than one thread pays for
        few clients and batches only.
    max_n, max_batch, max_body : int
        The longest list, the most users of a batch and the most bytes of a request: 1000, 256 and 1 MiB by default.
    reload_every : float, default 1.0
        Seconds between looks at the file; 0: it is loaded once.
    page : bool, default True
        Whether there is a page at ``/``, for people who want to judge the model.
    counters : path-like, optional
        A file in which workers that are started one by one count together. Forked workers need none.

    Returns
    -------
    fastapi.FastAPI
        An application; its endpoints are described at ``/openapi.json`` and in the documentation.

    Raises
    ------
    OSError, DataError
        If a file cannot be read, or the neighbours are those of other items than the model's.
    TypeError, ValueError
        If an argument is not as described: a limit or ``neighbours`` is less than 1, or ``reload_every`` negative.
    """
    caller = "create_app"
    counts = {"max_n": max_n, "max_batch": max_batch, "max_body": max_body}
    for name, value in counts.items():
        positive_count(value, caller, name)
    related: Any = neighbours
    if isinstance(related, numbers.Integral):
        related = positive_count(related, caller, "neighbours")
    _check_path_or("Rules", Rules, rules, f"{caller}: rules")
    _check_path_or("a NeighbourTable, a count", NeighbourTable | int, related, f"{caller}: neighbours")
    if not reload_every >= 0:
        raise ValueError(f"{caller}: reload_every must be at least 0 seconds; got {reload_every!r}")
    columns: dict[str, Any] = dict(title_columns or {})

    def load() -> ServedModel:
        return ServedModel.load(path, read_beside(titles, columns, rules, related), n_threads=n_threads)

    def reloaded(served: ServedModel, error: Exception | None) -> None:
        shared.reloaded(served.version, served.loaded_at.timestamp(), error is None)

    shared = Counters(_PATHS, counters)
    files = [file for file in (path, titles, rules, neighbours) if isinstance(file, str | os.PathLike)]
    live = LiveModel(load, files, reload_every, reloaded)
    service = Service(live, Limits(max_n, max_batch, max_body))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shared.join(live.current.version, live.current.loaded_at.timestamp())
        live.start()
        yield
        live.stop()
        shared.leave()

    app = FastAPI(
        title="fastcf",
        version=__version__,
        summary="Recommendations of one model.",
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            RequestError: on_refusal,
            RequestValidationError: on_invalid,
            HTTPException: on_http_error,
            Exception: on_failure,
        },
    )
    app.state.service = service
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Refusals, "description": text}
        for status, text in (
            (404, "An id is unknown to the model."),
            (413, "The request is too large."),
            (422, "A field is not as described."),
            (501, "This model cannot do it."),
        )
    }
    for name, endpoint in (
        ("/recommend", service.recommend),
        ("/batch", service.batch),
        ("/similar", service.similar),
        ("/predict", service.predict),
        ("/explain", service.explain),
    ):
        app.add_api_route(name, endpoint, methods=["POST"], responses=refusals)
    app.add_api_route("/search", service.search, methods=["GET"], responses=refusals)
    app.add_api_route("/seen", service.seen, methods=["GET"], responses=refusals)
    app.add_api_route("/model", service.describe, methods=["GET"])
    app.add_api_route("/health", service.health, methods=["GET"])

    @app.get("/metrics", response_class=PlainTextResponse)
    async def count() -> Response:
        """Counters of all workers, as Prometheus reads them."""
        return PlainTextResponse(shared.text(), media_type="text/plain; version=0.0.4")

    if page:

        @app.get("/", include_in_schema=False)
        async def show() -> Response:
            return FileResponse(_PAGE / "index.html", headers=_PAGE_HEADERS)

        app.mount("/page", StaticFiles(directory=_PAGE), name="page")
    app.add_middleware(BodyLimit, most=max_body)
    app.add_middleware(_Counted, counters=shared)
    return app


class _Counted:
    """Middleware: counts answers and their seconds by path and status."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self.app = app
        self.counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.counters.answered(scope["path"], status, time.perf_counter() - begin)
