"""Draw the pictures of the page in docs/serving.md: ``page.py FOLDER``, a folder of ratings with titles.

It needs Chromium, and the extras ``fastcf[serve]`` and ``fastcf[test]``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

import fastcf
from fastcf.serving import create_app

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "helpers"))

from browser import headless_browser, running  # noqa: E402 - of the tests

PICKS = ("toy story", "monsters inc", "matrix")


def save(page: Any, name: str) -> None:
    """Write what is seen as a picture of few colours, which is small."""
    Image.open(io.BytesIO(page.screenshot())).quantize(160).save(HERE / name, optimize=True)


def main(ratings: Path) -> None:
    """Train a model, serve it, do what a person does, and take pictures."""
    model = fastcf.LinearAutoencoder(threshold=4).fit(fastcf.data.load_ratings(ratings))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        titles = fastcf.data.detect_format(ratings).items
        app = create_app(Path(folder) / "model", titles=titles)
        with running(app) as address, headless_browser() as browser:
            page = browser.new_page(viewport={"width": 1100, "height": 760}, reduced_motion="reduce")
            page.goto(address)
            page.wait_for_selector("#recommended li")
            save(page, "page-start.png")
            for words in PICKS:
                page.locator("#words").fill(words)
                with page.expect_response("**/recommend"):
                    page.locator("#words").press("Enter")
                page.wait_for_selector("#recommended[aria-busy=false]")
            save(page, "page-picks.png")
            page.set_viewport_size({"width": 400, "height": 860})
            page.locator("#recommended button", has_text="Why?").first.click()
            page.wait_for_selector("#panel-1 table")
            page.evaluate("document.querySelector('#list').scrollIntoView()")
            save(page, "page-why.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
