"""Whatever a file holds, loading raises DataError or ends, and what was loaded answers or raises ValueError."""

from __future__ import annotations

import contextlib
import functools
import importlib.util

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
import kept_files
from damage import damaged
from fastcf.serialization import from_archive, load_archive

NAMES = sorted(name for name in kept_files.MADE if name != "ratings" and "hnswlib" not in name)  # which is compiled


@functools.cache  # no fixture: Hypothesis shows what a test is given, and refuses as much as this
def kept(name):
    return load_archive(kept_files.FILES / "version_2" / f"{name}.fastcf")


@pytest.mark.skipif(importlib.util.find_spec("usearch") is None, reason="usearch is not installed")
@pytest.mark.filterwarnings("ignore")  # a damaged model may warn of whatever it computes
@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_damaged_archive_is_refused_or_answers(name, data):
    archive = damaged(kept(name), data.draw)
    try:
        model = from_archive(archive)
    except fastcf.DataError:
        return
    with contextlib.suppress(ValueError):  # native code checks its arguments again
        kept_files.says(model)
