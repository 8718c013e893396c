"""Refusals: what is wrong with a request, as one JSON object, and the limit of a request's size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException as ApiError
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit", "Refusal", "RequestError", "on_failure", "on_http_error", "on_invalid", "on_refusal"]

_SHOWN = 200  # characters of a value
_MESSAGE = re.compile(r"(?P<caller>\w+\.\w+): (?P<requirement>.*?)(?:; got (?P<value>.*))?", re.DOTALL)


class Refusal(BaseModel):
    """Why a request is refused.

    Attributes
    ----------
    caller : str
        What was asked: method and path of the request.
    argument : str
        The field that is wrong, ``history.0.rating``; "" where it is the request as a whole.
    requirement : str
        What it must be.
    value : object
        What it was, shortened.
    remedy : str
        What to do.
    """

    caller: str = Field(description="Method and path of the request.")
    argument: str = Field(description='The field, "history.0.rating"; "" for the whole request.')
    requirement: str = Field(description="What it must be.")
    value: Any = Field(default=None, description="What it was, shortened.")
    remedy: str = Field(default="", description="What to do.")


class Refusals(BaseModel):
    """The answer to a request that is refused."""

    errors: list[Refusal]


class RequestError(ApiError):
    """A request that cannot be answered: a status, and why."""

    def __init__(self, status: int, argument: str, requirement: str, value: Any = None, remedy: str = "") -> None:
        super().__init__(status, requirement)
        self.argument, self.requirement, self.value, self.remedy = argument, requirement, value, remedy

    @classmethod
    def by_model(cls, error: Exception, argument: str) -> RequestError:
        """Return the refusal that a ValueError or TypeError of a model's method stands for."""
        match = _MESSAGE.fullmatch(str(error))
        if match is None:
            return cls(422, argument, str(error))
        return cls(422, argument, match["requirement"], match["value"], "see the documentation of the model's class")


def _short(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if value is None or isinstance(value, (bool, int)):
        return value
    text = (value if isinstance(value, str) else repr(value)).encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _answer(request: Request, status: int, refusals: Sequence[dict[str, Any]]) -> JSONResponse:
    caller = f"{request.method} {request.url.path}"
    errors = [Refusal(caller=caller, **each).model_dump() for each in refusals]
    return JSONResponse({"errors": errors}, status)


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    """Answer what the service refuses."""
    assert isinstance(error, RequestError)
    why = {"argument": error.argument, "requirement": error.requirement, "remedy": error.remedy}
    return _answer(request, error.status_code, [{**why, "value": _short(error.value)}])


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose fields are not as described."""
    assert isinstance(error, RequestValidationError)
    refusals = [
        {
            "argument": ".".join(str(part) for part in each["loc"][1:]),
            "requirement": each["msg"].removeprefix("Value error, "),
            "value": _short(each.get("input")),
            "remedy": "GET /openapi.json describes every field",
        }
        for each in error.errors()
    ]
    return _answer(request, 422, refusals)


_ROUTING = {
    404: ("the path must be one of those that GET /openapi.json lists", "look for a misspelt path"),
    405: ("the method must be one that this path has", "GET /openapi.json lists the methods of every path"),
}


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a wrong path or method, and whatever else the framework refuses."""
    assert isinstance(error, HTTPException)
    requirement, remedy = _ROUTING.get(error.status_code, (str(error.detail), ""))
    return _answer(request, error.status_code, [{"argument": "", "requirement": requirement, "remedy": remedy}])


async def on_failure(request: Request, error: Exception) -> JSONResponse:
    """Answer where the server itself has failed; the server's log has the traceback."""
    why = {"argument": "", "requirement": "the server failed", "value": type(error).__name__}
    return _answer(request, 500, [{**why, "remedy": "the server's log has the traceback"}])


class BodyLimit:
    """Middleware: a request whose body is longer than a limit is answered with 413, and not read to its end.

    Parameters
    ----------
    app : ASGI application
        Gets the other requests.
    most : int
        Bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not stated.isdigit() or int(stated) > self.most:
            await self._refuse(scope, receive, send, stated.decode("latin-1"))
            return
        length = 0

        async def counted() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > self.most:  # of a body sent in pieces, whose length is not stated
                raise RequestError(*self._why(f"more than {self.most:,}"))
            return message

        await self.app(scope, counted, send)

    def _why(self, got: str) -> tuple[int, str, str, str, str]:
        return 413, "body", f"must have at most {self.most:,} bytes", got, "ask for less in one request"

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, got: str) -> None:
        answer = await on_refusal(Request(scope), RequestError(*self._why(got)))
        await answer(scope, receive, send)
