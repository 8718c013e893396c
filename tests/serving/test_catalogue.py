"""The search for titles: against a plain one, word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcf.ids import IdMap
from fastcf.serving.catalogue import Catalogue

TITLES = [
    "Toy Story (1995)",
    "Amélie",
    "Story of Toys",
    "The Matrix",
    "Batman & Robin",
    "",
    "千と千尋の神隠し",
    "batman",
]
COUNTS = np.array([5, 1, 9, 7, 2, 0, 3, 2])
CATALOGUE = Catalogue(IdMap([10, 11, 12, 13, 14, 15, 16, 17]), TITLES, COUNTS)


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("toy", [2, 0]),  # the most frequent first
        ("toy st", [2, 0]),
        ("STORY  (19", [0]),
        ("amelie", [1]),
        ("Améli", [1]),
        ("bat", [4, 7]),
        ("atm", [4, 7]),  # no word begins so
        ("千尋", [6]),
        ("17", [7]),  # an id
        ("19", [0]),
        ("nothing", []),
        ("", [2, 3, 0]),
        (" ( ", [2, 3, 0]),
    ],
)
def test_titles_are_found_by_the_beginnings_of_words(words: str, rows: list[int]) -> None:
    assert CATALOGUE.search(words, 3) == rows


def test_no_more_are_found_than_were_asked_for() -> None:
    assert CATALOGUE.search("toy", 1) == [2]
    assert CATALOGUE.search("", 100) == [2, 3, 0, 6, 4, 7, 1, 5]


def test_ids_are_searched_where_there_are_no_titles() -> None:
    texts = Catalogue(IdMap(["ab-1", "ab-2", "cd"]))
    assert texts.search("ab", 5) == [0, 1]
    assert texts.search("ab-2", 5) == [1]
    assert (texts.title(0), texts.has_titles) == (None, False)
    assert Catalogue(IdMap([7, 70, 8])).search("7", 5) == [0, 1]
    assert Catalogue(IdMap([2**70])).search(str(2**70), 5) == [0]


def test_an_empty_catalogue_has_nothing() -> None:
    assert Catalogue(IdMap(np.empty(0, np.int64))).search("a", 3) == []


WORDS = st.lists(st.sampled_from(["ab", "abc", "b", "ca", "cab"]), max_size=3)


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS.filter(bool), st.integers(1, 5))
def test_search_agrees_with_a_plain_one(titles: list[list[str]], words: list[str], n: int) -> None:
    catalogue = Catalogue(IdMap(np.arange(100, 100 + len(titles))), [" ".join(title) for title in titles])

    def among(fits: object) -> list[int]:
        return [row for row, title in enumerate(titles) if all(fits(word, title) for word in words)][:n]  # type: ignore[operator]

    wanted = among(lambda word, title: any(each.startswith(word) for each in title))
    assert catalogue.search(" ".join(words), n) == (wanted or among(lambda word, title: word in " ".join(title)))
