"""A service in a thread, and a headless browser, for tests of its page and for pictures of it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


def installed_browser() -> str | None:
    """Return the path of an installed browser that can be driven; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Run an application in a thread; yield its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def headless_browser() -> Iterator[Any]:
    """Start the installed browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=installed_browser(), args=["--no-sandbox"])  # of root, too
        try:
            yield browser
        finally:
            browser.close()
