"""Files of format version 2 say what they said when they were written, and files from the future are refused.

Sums are added in another order at other instruction sets: numbers are compared to 1e-5.
"""

from __future__ import annotations

import importlib
import importlib.util
import re

import numpy as np
import pytest

import fastcf
import kept_files
from fastcf.models import FAMILIES
from fastcf.serialization import archive as registry
from fastcf.serialization import load_archive

FOLDER = kept_files.FILES / "version_2"
NAMES = sorted(path.stem for path in FOLDER.glob("*.fastcf"))


def loaded(name, folder=FOLDER):
    for library in ("usearch", "hnswlib"):
        if library in name and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    return kept_files.load(folder / f"{name}.fastcf")


def assert_says(model, name):
    said = kept_files.plain(kept_files.says(model))
    with np.load(FOLDER / f"{name}.npz") as expected:
        assert set(said) == set(expected.files)
        for key in expected.files:
            if expected[key].dtype.kind == "f":
                np.testing.assert_allclose(said[key], expected[key], rtol=1e-5, atol=1e-5, err_msg=key)
            else:
                np.testing.assert_array_equal(said[key], expected[key], err_msg=key)


def test_version_2_has_a_file_of_every_class():
    for module in (*(f"models.{family}" for family in FAMILIES.values()), "retrieval", "serving"):
        importlib.import_module(f"fastcf.{module}")
    stored = {load_archive(FOLDER / f"{name}.fastcf").class_name for name in NAMES}
    own = {
        name
        for name, kind in registry._classes.items()
        if kind.__module__.startswith("fastcf.")  # others are those of tests
    }
    assert own <= stored, "add the class to tests/helpers/kept_files.py, and run it"
    assert set(kept_files.MADE) == set(NAMES)


@pytest.mark.every_isa
@pytest.mark.parametrize("name", NAMES)
def test_version_2_file_says_what_it_said(name):
    assert_says(loaded(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_version_2_file_saved_again_says_the_same(name, tmp_path):
    loaded(name).save(tmp_path / f"{name}.fastcf")
    assert_says(loaded(name, tmp_path), name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ratings"])
def test_version_2_file_mapped_says_the_same(name):
    loaded(name)  # skips where a library is missing
    assert_says(fastcf.load(FOLDER / f"{name}.fastcf", mmap=True), name)


@pytest.mark.parametrize("name", NAMES)
def test_version_2_file_has_metadata(name):
    assert fastcf.read_metadata(FOLDER / f"{name}.fastcf") == kept_files.OWN


def page_reader():
    """Return the reader that the page on the format shows."""
    page = kept_files.FILES.parents[1] / "docs" / "file-format.md"
    if not page.is_file():
        pytest.skip("the source tree is not here")
    names = {}
    exec(re.search(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1], names)
    return names["read"]


@pytest.mark.parametrize("name", NAMES)
def test_file_format_page_reads_every_file(name, tmp_path):
    read, path = page_reader(), FOLDER / f"{name}.fastcf"
    metadata, arrays = read(path)
    archive = load_archive(path)
    assert metadata["class"] == archive.class_name
    whole = {each: array for each, array in arrays.items() if "/" not in each}
    assert whole.keys() == archive.arrays.keys()
    for each, array in whole.items():
        assert np.array_equal(array, archive.array(each).tolist() if isinstance(array, list) else archive.array(each))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(AssertionError, match="damaged"):
        read(tmp_path / "damaged")


def test_files_from_the_future_are_refused_with_the_remedy():
    future = kept_files.FILES / "future"
    with pytest.raises(fastcf.DataError, match=r"written by fastcf 9\.1\.0 in format 3; fastcf .* upgrade fastcf"):
        fastcf.load(future / "format_3.fastcf")
    with pytest.raises(fastcf.DataError, match=r"written by fastcf 9\.1\.0 in format 3"):
        fastcf.read_metadata(future / "format_3.fastcf")
    with pytest.raises(
        fastcf.DataError, match=r"holds a 'Transformer', unknown to this fastcf .* by fastcf 9\.1\.0\): upgrade fastcf"
    ):
        fastcf.load(future / "new_class.fastcf")


def test_file_of_a_later_version_in_this_format_is_read():
    future = kept_files.FILES / "future" / "more_in_format_2.fastcf"
    for mmap in (False, True):
        assert_says(fastcf.load(future, mmap=mmap), "bias")
    archive = load_archive(future)
    assert archive.fastcf_version == "9.1.0"
    assert archive.parts["later"].class_name == "Later"


def test_threads_of_what_computes_nothing_are_refused():
    assert fastcf.load(FOLDER / "two_stages.fastcf", n_threads=2).n_threads == 2
    with pytest.raises(ValueError, match="load: n_threads must be None for a NeighbourTable"):
        fastcf.load(FOLDER / "neighbour_table.fastcf", n_threads=2)
