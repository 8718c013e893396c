"""Whatever a file holds, loading raises DataError or ends, and what was loaded answers or raises ValueError."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
import kept_files
from damage import damaged
from fastcf.serialization import from_archive, load_archive

NAMES = sorted(name for name in kept_files.MADE if name != "ratings" and "hnswlib" not in name)  # which is compiled


@pytest.fixture(scope="module")
def archives():
    pytest.importorskip("usearch", reason="usearch is not installed")
    return {name: load_archive(kept_files.FILES / "version_2" / f"{name}.fastcf") for name in NAMES}


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of numbers that a damaged model computes with
@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_damaged_archive_is_refused_or_answers(archives, name, data):
    archive = damaged(archives[name], data.draw)
    try:
        model = from_archive(archive)
    except fastcf.DataError:
        return
    with contextlib.suppress(ValueError):  # native code checks its arguments again
        kept_files.says(model)
