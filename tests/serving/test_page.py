"""The page in a headless browser: what a person does, by keyboard alone, and what they then see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastcf
from browser import headless_browser, installed_browser, running
from fastcf.data.items import STORED_TITLES

pytest.importorskip("fastapi", reason="the extra fastcf[serve] is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from fastcf.serving import create_app

pytestmark = pytest.mark.skipif(installed_browser() is None, reason="no Chromium is installed")

N_ITEMS = 40
RATINGS = fastcf.data.make_ratings(60, N_ITEMS, 900, random_state=0)
MODELS: dict[str, Any] = {
    "choices": fastcf.LinearAutoencoder(threshold=4).fit(RATINGS),
    "ratings": fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(RATINGS),
    "network of items": fastcf.Autoencoder((6,), orientation="item", n_epochs=1, random_state=0).fit(RATINGS),
}
WORDS = ("Amber", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heath")
TITLES = [f"{WORDS[item % 8]} {item // 8 + 1}: a film with a title of some length" for item in range(N_ITEMS)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The address of a service of each model."""
    folder = tmp_path_factory.mktemp("page")

    def start(names: list[str], found: dict[str, str]) -> Iterator[dict[str, str]]:
        if not names:
            yield found
            return
        path = folder / names[0]
        MODELS[names[0]].save(path, extra_arrays={STORED_TITLES: np.array(TITLES)})
        with running(create_app(path)) as address:
            yield from start(names[1:], {**found, names[0]: address})

    yield from start(list(MODELS), {})


class Reader:
    """A person at the page of a model, who has no mouse."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.address = address
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#recommended li, #user-mode:not([hidden])")

    def tab_to(self, name: str) -> None:
        """Press Tab until what is focused has an accessible name that begins so; its focus must be visible."""
        for _ in range(120):
            self.page.keyboard.press("Tab")
            found = self.page.evaluate(
                """() => { const it = document.activeElement, label = it.labels?.[0]?.textContent;
                           const shown = getComputedStyle(it.matches('.choice input') ? it.nextElementSibling : it);
                           return [it.getAttribute('aria-label') ?? label ?? it.textContent, shown.outlineWidth]; }"""
            )
            if found[0].strip().startswith(name):
                assert found[1] == "3px", f"the focus of {found[0]!r} cannot be seen"
                return
        pytest.fail(f"Tab does not lead to {name!r}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def press_for_a_list(self, *keys: str) -> None:
        """Press keys that ask for another list, and wait until it is there."""
        with self.page.expect_response("**/recommend"):
            self.press(*keys)
        self.page.wait_for_selector("#recommended[aria-busy=false]")

    def add(self, words: str) -> None:
        """Search for words and add the first item found."""
        self.page.keyboard.type(words)
        self.press_for_a_list("Enter")

    @property
    def titles(self) -> list[str]:
        return self.page.locator("#recommended .title").all_inner_texts()

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def leave(self) -> None:
        """Close the page, which must have had no error and asked no other host."""
        self.page.close()
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith(self.address)] == []


@pytest.fixture
def reader(request: pytest.FixtureRequest, browser: Any, addresses: dict[str, str]) -> Iterator[Reader]:
    """A reader of the page of one model, of choices unless a test names another."""
    reader = Reader(browser, addresses[getattr(request, "param", "choices")])
    yield reader
    reader.leave()


def recommended(model: Any, history: dict[int, float] | None = None, n: int = 10) -> list[str]:
    """Return the titles that the model itself recommends."""
    if history:
        pairs = [(0, item) for item in history]
        items = model.recommend(history=(pairs, list(history.values())), n=n).items[0]
    else:
        items = model.recommend(-1, n=n).items  # a stranger
    return [TITLES[row] for row in model.items_.rows(items)]


def test_an_empty_start_shows_what_a_stranger_gets(reader: Reader) -> None:
    assert reader.titles == recommended(MODELS["choices"])
    assert reader.text("#list-title") == "What a stranger gets"
    assert "None yet" in reader.text("#no-picks")
    assert "LinearAutoencoder, 60 users, 40 items, version" in reader.text("#model")


def test_picks_by_keyboard_change_the_list(reader: Reader) -> None:
    model = MODELS["choices"]
    reader.tab_to("Find items")
    for words in ("amber 1", "cedar 2", "dune 3"):
        reader.add(words)
    ids = [int(model.items_.ids[TITLES.index(f"{name}: a film with a title of some length")]) for name in (
        "Amber 1", "Cedar 2", "Dune 3"
    )]  # fmt: skip
    assert reader.titles == recommended(model, dict.fromkeys(ids, 4.0))
    assert reader.text("#list-title") == "Recommended by the picks"
    assert reader.page.locator("#recommended .change").count() > 0
    assert reader.page.evaluate("document.activeElement.id") == "words"  # ready for the next

    reader.tab_to("Remove all")
    reader.tab_to("Remove Amber 1")
    reader.tab_to("Liked")
    reader.press_for_a_list("ArrowRight")
    assert reader.titles == recommended(model, {ids[0]: 3.0, ids[1]: 4.0, ids[2]: 4.0})
    reader.press_for_a_list("Shift+Tab", "Enter")
    assert reader.page.locator("#picks li").count() == 2
    assert reader.page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Remove Cedar 2")


def test_arrow_keys_walk_through_what_was_found(reader: Reader) -> None:
    reader.tab_to("Find items")
    reader.page.keyboard.type("ember")
    reader.page.wait_for_selector("#found button")
    assert reader.page.locator("#found button").count() == 5
    assert reader.text("#found-status") == "5 found"
    third = reader.page.locator("#found button").nth(2).inner_text()
    reader.press("ArrowDown", "ArrowDown", "ArrowDown")
    assert reader.page.evaluate("document.activeElement.textContent") == third
    reader.press("Escape")
    assert reader.page.evaluate("[document.activeElement.id, document.activeElement.value]") == ["words", ""]
    assert reader.page.locator("#found").is_hidden()
    reader.page.keyboard.type("nothing of the kind")
    reader.page.wait_for_selector("#found :text('Nothing found')")


def test_related_items_open_and_close_by_keyboard(reader: Reader) -> None:
    first = reader.titles[0]
    reader.tab_to(f"Related to {first}")
    with reader.page.expect_response("**/similar"):
        reader.press("Enter")
    panel = reader.page.locator("#panel-1")
    panel.locator(".related").wait_for()
    model = MODELS["choices"]
    nearest = model.similar_items(int(model.items_.ids[TITLES.index(first)]), 6).ids
    assert panel.locator(".related > span:first-child, .related > button + span").all_inner_texts() == [
        TITLES[row] for row in model.items_.rows(nearest)
    ]
    related = TITLES[model.items_.rows(nearest[:1])[0]]
    reader.tab_to(f"Pick {related}")
    reader.press_for_a_list("Enter")
    assert reader.page.locator("#picks .title").all_inner_texts() == [related]


def test_an_explanation_opens_and_closes_by_keyboard(reader: Reader) -> None:
    model = MODELS["choices"]
    reader.tab_to("Find items")
    reader.add("amber 1")
    reader.add("birch 2")
    first = reader.titles[0]
    reader.tab_to(f"Why? {first}")
    with reader.page.expect_response("**/explain"):
        reader.press("Enter")
    table = reader.page.locator("#panel-1 table")
    table.wait_for()
    ids = [int(model.items_.ids[TITLES.index(f"{name}: a film with a title of some length")]) for name in (
        "Amber 1", "Birch 2"
    )]  # fmt: skip
    item = int(model.items_.ids[TITLES.index(first)])
    found = model.explain(0, item, history=([(0, one) for one in ids], [4.0, 4.0]))
    assert table.locator("th").all_inner_texts() == [*(TITLES[row] for row in model.items_.rows(found.ids)), "Score"]
    values = [float(text.replace("−", "-")) for text in table.locator(".value").all_inner_texts()]
    assert values == pytest.approx([*found.contributions, found.score], abs=6e-4)
    reader.press("Enter")
    assert table.is_hidden()
    assert reader.page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"


def test_what_the_model_cannot_explain_is_said(browser: Any, addresses: dict[str, str]) -> None:
    reader = Reader(browser, addresses["network of items"])
    reader.tab_to("User id")
    reader.page.keyboard.type("7")
    reader.press_for_a_list("Enter")
    reader.tab_to("Why?")
    with reader.page.expect_response("**/explain"):
        reader.press("Enter")
    reader.page.wait_for_selector("#panel-1 :text('Autoencoder has no explain')")
    reader.leave()


@pytest.mark.parametrize("reader", ["ratings"], indirect=True)
def test_ratings_are_given_by_a_slider_of_the_scale(reader: Reader) -> None:
    model = MODELS["ratings"]
    low, high = model.rating_range_
    reader.tab_to("Find items")
    reader.add("heath 2")
    reader.tab_to("Rating of Heath 2")
    reader.press_for_a_list("Home")
    item = int(model.items_.ids[TITLES.index("Heath 2: a film with a title of some length")])
    assert reader.text("#picks output") == f"{low:g}"
    assert reader.titles == recommended(model, {item: low})
    assert high > low


def test_a_known_user_gets_their_list(reader: Reader) -> None:
    model = MODELS["choices"]
    reader.tab_to("Somebody new")
    reader.press("ArrowRight")
    reader.tab_to("User id")
    reader.page.keyboard.type("7")
    with reader.page.expect_response("**/seen**"):
        reader.press("Enter")
    reader.page.wait_for_selector("#seen:not([hidden])")
    assert reader.titles == [TITLES[row] for row in model.items_.rows(model.recommend(7).items)]
    assert reader.text("#list-title") == "Recommended to user 7"
    reader.tab_to("What this user has rated")
    reader.press("Enter")
    assert reader.page.locator("#seen-items li").count() == int(np.diff(model.seen_.indptr)[model.users_.rows([7])[0]])


@pytest.mark.parametrize("reader", ["network of items"], indirect=True)
def test_a_model_without_histories_has_lists_of_users_only(reader: Reader) -> None:
    reader.page.wait_for_selector("#user-mode:not([hidden])")
    assert "lists of users only" in reader.text("#user-mode")
    reader.tab_to("User id")
    reader.page.keyboard.type("7")
    reader.press_for_a_list("Enter")
    reader.page.wait_for_selector("#recommended li")


def test_a_refusal_is_shown_and_goes_away(reader: Reader) -> None:
    reader.page.route("**/recommend", lambda route: route.abort())
    reader.tab_to("Length")
    reader.press("ArrowDown")
    reader.page.wait_for_selector("#trouble:not([hidden])")
    assert reader.text("#trouble") == "The server cannot be reached."
    reader.page.unroute("**/recommend")
    reader.press("ArrowDown")
    reader.page.wait_for_selector("#trouble", state="hidden")


CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (it) => {
    for (; it; it = it.parentElement) {
      const colour = rgb(getComputedStyle(it).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const it of document.querySelectorAll('body *')) {
    const own = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const disabled = it.closest('button:disabled, noscript');
    if (!own || disabled || !it.checkVisibility() || it.closest('.hidden')) continue;
    const [a, b] = [light(rgb(getComputedStyle(it).color)), light(ground(it))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push([it.textContent.trim(), ratio]);
  }
  return found;
}"""
UNNAMED = """() => [...document.querySelectorAll('button, input, select, ol, ul, section, summary')]
  .filter((it) => it.checkVisibility() && !it.closest('.panel'))
  .filter((it) => !(it.getAttribute('aria-label') || it.labels?.[0]?.textContent.trim() || it.textContent.trim()
    || it.getAttribute('aria-labelledby') || ['picks', 'recommended'].includes(it.id)))
  .map((it) => it.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_at_400_pixels_in_both_schemes(
    browser: Any, addresses: dict[str, str], scheme: str
) -> None:
    reader = Reader(
        browser,
        addresses["choices"],
        viewport={"width": 400, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    reader.tab_to("Find items")
    reader.add("amber 1")
    reader.tab_to(f"Related to {reader.titles[0]}")
    with reader.page.expect_response("**/similar"):
        reader.press("Enter")
    reader.page.wait_for_selector(".related")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert reader.page.evaluate(CONTRAST) == []
    assert reader.page.evaluate(UNNAMED) == []
    smallest = reader.page.evaluate(
        "Math.min(...[...document.querySelectorAll('main *')].map((it) => parseFloat(getComputedStyle(it).fontSize)))"
    )
    assert smallest >= 13
    ground = reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 22, 26)") == (scheme == "dark")
    reader.leave()
