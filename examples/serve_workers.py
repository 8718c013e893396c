"""A service of several workers that share one copy of a model: the application, and how it is started.

    FASTCF_MODEL=movies.fastcf gunicorn --preload --workers 4 --worker-class asgi serve_workers:app

With ``--preload`` gunicorn imports this file once, before it forks the workers. The model's file is mapped, so that its
parameters lie in memory once for all processes, and what is computed here is shared, too, until a worker writes to it.
Each worker then looks at the file by itself, and replaces the model when it has been replaced. Workers that are started
one by one (``fastcf serve --workers 4``) share the mapped file all the same.
"""

from __future__ import annotations

import os

from fastapi import Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from fastcf.serving import create_app

path = os.environ.get("FASTCF_MODEL", "movies.fastcf")
key = os.environ.get("FASTCF_KEY")  # what clients must send, if there is one

app = create_app(path, titles=os.environ.get("FASTCF_TITLES"), rules=os.environ.get("FASTCF_RULES"), max_n=100)


@app.middleware("http")
async def check_key(request: Request, answer: RequestResponseEndpoint) -> Response:
    """Refuse requests without the key: whatever FastAPI can be taught, the application takes."""
    if key is not None and request.headers.get("X-Key") != key:
        return Response("the header X-Key is missing or wrong", 401)
    return await answer(request)


served = app.state.service.live.current
print(f"serving a {served.class_name}, version {served.version[:12]}, forked from process {os.getpid()}")
served.catalogue.search("", 1)  # makes the index of titles before the fork
