"""Models inside a model file: what is equal is stored once, and descriptions that do not fit are refused."""

from __future__ import annotations

import gc
import json
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import fastcf
from fastcf.serialization import Archive, load_archive, register, save_archive
from fastcf.serialization import archive as registry
from fastcf.serialization.tensors import digest

SMALL = st.sampled_from(
    [np.arange(2), np.arange(3), np.array(["a", "ż"]), np.zeros(2), -np.zeros(2), np.array([np.nan])]
)


def archives(depth):
    below = st.dictionaries(st.sampled_from("xyz"), archives(depth - 1), max_size=3) if depth else st.just({})
    return st.builds(
        Archive,
        st.sampled_from("AB"),
        st.dictionaries(st.sampled_from("pq"), st.integers(0, 1), max_size=1),
        st.dictionaries(st.sampled_from("abc"), SMALL, max_size=2),
        st.dictionaries(st.sampled_from("mn"), st.integers(0, 1), max_size=1),
        below,
    )


def described(archive):
    """Return all that an archive and its parts hold, as comparable values."""
    arrays = {
        name: (array.dtype.kind, array.shape, array.tobytes() if array.dtype.kind != "U" else array.tolist())
        for name, array in ((name, archive.array(name)) for name in archive.arrays)
    }
    parts = [(name, described(part)) for name, part in archive.parts.items()]
    return archive.class_name, archive.params, archive.meta, arrays, parts


@settings(max_examples=100, deadline=None)
@given(archive=archives(3))
def test_parts_come_back_whatever_they_share(tmp_path_factory, archive):
    path = tmp_path_factory.mktemp("parts") / "file"
    save_archive(path, archive)
    loaded = load_archive(path)
    assert described(loaded) == described(archive)
    by_content = {}

    def look(part):
        known = by_content.setdefault(json.dumps(described(part), default=repr), part)
        assert known is part  # equal parts are one object
        for inner in part.parts.values():
            look(inner)

    for part in loaded.parts.values():
        look(part)


def test_equal_parts_are_stored_once_and_are_one_model(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    made = []

    @register
    class Part:
        @classmethod
        def from_archive(cls, archive):
            made.append(archive)
            return cls()

        def to_archive(self):
            raise NotImplementedError

    big = Archive("Part", {}, {"w": np.arange(1000.0)})
    around = Archive("Around", {}, {}, {}, {"model": big})
    save_archive(tmp_path / "m", Archive("Whole", {}, {}, {}, {"one": around, "two": big, "other": around}))
    assert (tmp_path / "m").stat().st_size < 2 * 8_000
    loaded = load_archive(tmp_path / "m")
    assert loaded.parts["one"] is loaded.parts["other"]
    assert loaded.parts["one"].model("model") is loaded.model("two")
    assert len(made) == 1


def rewritten(path, parts):
    """Replace the description of a file's parts; the checksum is right."""
    tensors = load_file(path)
    with open(path, "rb") as file:
        metadata = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
    metadata["parts"] = json.dumps(parts)
    del metadata["digest"]
    metadata["digest"] = digest(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


PART = {"class": "M", "params": {}, "meta": {}, "shared": [], "parts": {}}


@pytest.mark.parametrize(
    "parts",
    [
        {"a": {"same": ["b"]}, "b": PART},  # of a later one
        {"a": {"same": ["a"]}},  # of itself
        {"a": {**PART, "parts": {"b": {"same": ["a"]}}}},  # of the one around it
        {"a": {"same": []}},
        {"a": {"same": "a"}},
        {"a": {"same": [["a"]]}},
        {"a": {"same": None}},
        {"a": {**PART, "class": ["M"]}},
        {"a": {**PART, "shared": [["x"]]}},
        {"a": {**PART, "shared": 3}},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused(tmp_path, parts):
    save_archive(tmp_path / "m", Archive("Whole", {}, {}))
    rewritten(tmp_path / "m", parts)
    with pytest.raises(fastcf.DataError, match="m: is not what fastcf writes"):
        load_archive(tmp_path / "m")


def test_parts_that_multiply_are_refused_before_they_are_made(tmp_path):
    parts = {"0": PART}
    for level in range(1, 60):  # each holds the one before twice: 2 to the power of 60 parts
        inner = {"x": {"same": [str(level - 1)]}, "y": {"same": [str(level - 1)]}}
        parts[str(level)] = {**PART, "parts": inner}
    save_archive(tmp_path / "m", Archive("Whole", {}, {}))
    rewritten(tmp_path / "m", parts)
    with pytest.raises(fastcf.DataError, match="must have at most 10000 parts"):
        load_archive(tmp_path / "m")


def test_missing_part_is_named():
    with pytest.raises(fastcf.DataError, match="file: Whole needs the part 'ranker', which the file lacks"):
        Archive("Whole", {}, {}, path="file").model("ranker")


def test_saved_arrays_are_given_back_at_once(tmp_path):
    part = Archive("Part", {}, {"w": np.arange(1000.0)})
    archive = Archive("Whole", {}, {}, parts={"one": part})
    left = weakref.ref(part.arrays["w"])
    gc.disable()
    try:
        save_archive(tmp_path / "model", archive)
        del part, archive
        assert left() is None
    finally:
        gc.enable()
