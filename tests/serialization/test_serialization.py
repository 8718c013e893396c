"""Model files: what goes in comes out; what is damaged, cut, foreign or too new is refused with path and reason."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

import fastcf
from fastcf import serialization
from fastcf.serialization import Archive, load, load_archive, register, save, save_model

DTYPES = [np.float32, np.float64, np.int32, np.int64, np.uint64, np.uint8, np.bool_]
NUMBERS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=33))
)
TEXTS = st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), max_size=33).map(
    lambda texts: np.array(texts, dtype=str)
)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_é", min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=12), JSON, max_size=5)
relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def example_arrays():
    return {
        "factors": np.arange(12, dtype=np.float32).reshape(4, 3),
        "indptr": np.arange(5, dtype=np.int64),
        "ids": np.array(["0104257", "żółw", "", "a\0b"]),
        "huge": np.array([2**70, -1], dtype=object),
        "none": np.empty((0, 3), np.float64),
    }


def write_example(path, **changes):
    save_model(path, "Model", {"n_factors": 3, "reg": 0.1, "name": None}, example_arrays(), {"note": "x", **changes})


def assert_same(got, wanted):
    assert got.shape == wanted.shape
    assert got.dtype.kind == wanted.dtype.kind
    if wanted.dtype.kind != "U":
        assert got.dtype == wanted.dtype
    if wanted.dtype.kind == "f":
        assert got.tobytes() == wanted.tobytes()
    else:
        assert np.array_equal(got, wanted)


@relaxed
@given(arrays=st.dictionaries(NAMES, NUMBERS | TEXTS, max_size=5), params=OBJECTS, meta=OBJECTS)
def test_save_model_round_trip_is_identical(tmp_path, arrays, params, meta):
    path = tmp_path / "model.fastcf"
    save_model(path, "Model", params, arrays, meta)
    archive = load_archive(path)
    assert archive.class_name == "Model"
    assert archive.params == params
    assert archive.meta == meta
    assert archive.fastcf_version == fastcf.__version__
    assert archive.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same(archive.arrays[name], array)
        assert archive.arrays[name].flags.c_contiguous


def test_save_model_round_trip_of_odd_arrays_is_identical(tmp_path):
    arrays = {
        **example_arrays(),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(10)[::3],
        "big_endian": np.arange(3, dtype=">i4"),
        "list": [1, 2, 3],
        "surrogate": np.array(["\ud800x"]),
        "one_empty_text": np.array([""]),
        "no_text": np.array([], dtype="<U4"),
        "no_number": np.array([], dtype=object),
    }
    save_model(tmp_path / "m", "Model", {"levels": (1, 2)}, arrays)
    archive = load_archive(tmp_path / "m")
    for name, array in arrays.items():
        assert np.array_equal(archive.arrays[name], array), name
    assert archive.arrays["big_endian"].dtype == np.int32
    assert archive.params == {"levels": [1, 2]}
    assert archive.meta == {}


@pytest.mark.parametrize("flip", [1, 0x80])
def test_load_archive_flipped_byte_is_refused_wherever_it_is(tmp_path, flip):
    path = tmp_path / "model"
    write_example(path)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        with pytest.raises(fastcf.DataError, match="model"):
            load_archive(path)


def test_load_archive_truncated_or_extended_file_is_refused_at_any_length(tmp_path):
    path = tmp_path / "model"
    write_example(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(fastcf.DataError, match="model"):
            load_archive(path)
    path.write_bytes(content + b"x")
    with pytest.raises(fastcf.DataError, match="model"):
        load_archive(path)


@relaxed
@given(content=st.binary(max_size=200))
def test_load_archive_random_bytes_are_refused(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(fastcf.DataError, match="model"):
        load_archive(path)
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(fastcf.DataError, match="model"):
        load_archive(path)


def test_load_archive_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load_archive(tmp_path / "absent")
    with pytest.raises(OSError, match=tmp_path.name):
        load_archive(tmp_path)


def forge(path, tensors, **changes):
    """Write a file whose checksum is right and whose content is not."""
    metadata = {
        "format": "fastcf-model",
        "format_version": "1",
        "fastcf_version": "0.1.0",
        "class": "Model",
        "params": "{}",
        "meta": "{}",
        "texts": "{}",
    }
    metadata = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    metadata["digest"] = serialization._digest(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


BYTES = np.frombuffer(b"abc", np.uint8)


@pytest.mark.parametrize(
    ("tensors", "changes", "reason"),
    [
        ({}, {"format": "other"}, "not a fastcf model"),
        ({}, {"format": None}, "not a fastcf model"),
        ({}, {"format_version": "2", "fastcf_version": "9.1"}, r"written by fastcf 9\.1 in format 2; .*upgrade"),
        ({}, {"class": None}, "header lacks class"),
        ({}, {"params": "[]"}, "parameters must be a JSON object"),
        ({}, {"params": "{"}, "not what fastcf writes"),
        ({}, {"texts": '{"a": "str"}'}, "not what fastcf writes"),
        ({}, {"texts": "[1]"}, "not what fastcf writes"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 2, 1, 3])}, {"texts": '{"a": "str"}'}, "offsets"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 4])}, {"texts": '{"a": "str"}'}, "offsets"),
        ({"a.utf8": BYTES, "a.offsets": np.array([], np.int64)}, {"texts": '{"a": "str"}'}, "offsets"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0.0, 3.0])}, {"texts": '{"a": "str"}'}, "64-bit offsets"),
        ({"a.utf8": BYTES | np.uint8(128), "a.offsets": np.array([0, 3])}, {"texts": '{"a": "str"}'}, "decode"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 3])}, {"texts": '{"a": "int"}'}, "invalid literal"),
    ],
)
def test_load_archive_forged_file_is_refused(tmp_path, tensors, changes, reason):
    path = tmp_path / "model"
    forge(path, tensors, **changes)
    with pytest.raises(fastcf.DataError, match=reason) as caught:
        load_archive(path)
    assert str(path) in str(caught.value)


def test_save_model_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "model"
    write_example(path, note="old")
    before = path.read_bytes()

    def fail(*arguments, **keywords):
        raise OSError("disk full")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                write_example(path, note="new")
    with monkeypatch.context() as patch:
        patch.setattr(serialization, "save_file", fail)
        with pytest.raises(OSError, match="disk full"):
            write_example(path, note="new")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]
    with pytest.raises(FileNotFoundError):
        write_example(tmp_path / "no folder" / "model")


def test_save_model_syncs_file_before_and_folder_after_the_rename(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (calls.append(os.readlink(f"/proc/self/fd/{handle}")), sync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("rename"), replace(old, new)))
    write_example(tmp_path / "model")
    assert len(calls) == 3
    assert calls[0].startswith(str(tmp_path / ".model."))
    assert calls[1:] == ["rename", str(tmp_path)]


def test_save_model_follows_links_and_umask(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "model")
    old = os.umask(0o027)
    try:
        write_example(link)
    finally:
        os.umask(old)
    assert link.is_symlink()
    assert (tmp_path / "real" / "model").stat().st_mode & 0o777 == 0o640
    assert load_archive(link).meta["note"] == "x"


@pytest.mark.parametrize(
    ("params", "arrays", "error", "message"),
    [
        ({"random_state": np.random.default_rng()}, {}, TypeError, "parameter 'random_state' .* JSON; got a Generator"),
        ({}, {"a": np.array([1j])}, TypeError, "array 'a' must hold numbers or strings; got dtype complex128"),
        ({}, {"a": np.array([object()])}, TypeError, "array 'a'"),
        ({}, {"a": np.array([["x"]])}, ValueError, "array 'a' of strings must be one-dimensional"),
        ({}, {"a": np.array(["x"]), "a.utf8": np.zeros(1)}, ValueError, "clash"),
    ],
)
def test_save_model_unstorable_value_is_named(tmp_path, params, arrays, error, message):
    with pytest.raises(error, match=message):
        save_model(tmp_path / "model", "Model", params, arrays)
    assert os.listdir(tmp_path) == []


def test_archive_array_checks_dtype_and_shape():
    archive = Archive("Model", {}, {"a": np.zeros((2, 3), np.float32)}, path="file")
    assert archive.array("a", np.float32, (None, 3)).shape == (2, 3)
    with pytest.raises(fastcf.DataError, match="file: Model needs the array 'b'"):
        archive.array("b")
    with pytest.raises(fastcf.DataError, match="array 'a' must have dtype float64; got float32"):
        archive.array("a", np.float64)
    for shape in [(2,), (None, 4)]:
        with pytest.raises(fastcf.DataError, match=r"must have shape .*; got \(2, 3\)"):
            archive.array("a", None, shape)


def test_load_finds_the_registered_class(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "_classes", {})

    @register
    class Toy:
        def __init__(self, scale=1.0):
            self.scale = scale

        def _to_archive(self):
            return Archive("Toy", {"scale": np.float32(self.scale)}, {"w": self.w_})

        @classmethod
        def _from_archive(cls, archive):
            self = cls(**archive.params)
            self.w_ = archive.array("w", np.float32, (3,))
            return self

    toy = Toy(0.5)
    toy.w_ = np.arange(3, dtype=np.float32)
    save(toy, tmp_path / "toy")
    again = load(str(tmp_path / "toy"))
    assert isinstance(again, Toy)
    assert again.scale == 0.5
    assert np.array_equal(again.w_, toy.w_)
    again.w_[0] = 1  # arrays are the model's own
    monkeypatch.setattr(serialization, "_classes", {})
    with pytest.raises(fastcf.DataError, match="toy: holds a 'Toy', which this fastcf does not know"):
        load(tmp_path / "toy")


def test_model_file_is_plain_safetensors(tmp_path):
    path = tmp_path / "model"
    write_example(path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header["__metadata__"]["class"] == "Model"
    assert header["factors"]["dtype"] == "F32"
    assert b"pickle" not in content


def test_save_extra_arrays_travel_with_the_model(tmp_path):
    model = fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0])
    save(model, tmp_path / "m", extra_arrays={"item_titles": np.array(["Amélie", ""])})
    assert load_archive(tmp_path / "m").arrays["item_titles"].tolist() == ["Amélie", ""]
    assert load(tmp_path / "m").predict([(1, 2)]) == model.predict([(1, 2)])
    with pytest.raises(ValueError, match="names of the model's own; got item_bias"):
        save(model, tmp_path / "m", extra_arrays={"item_bias": np.zeros(2)})


def test_load_ids_that_are_no_ids_are_refused(tmp_path):
    archive = fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0])._to_archive()
    for ids in (np.array([1, 1]), np.array([0.5, 1.5])):
        save_model(tmp_path / "m", "BiasModel", archive.params, {**archive.arrays, "user_ids": ids}, archive.meta)
        with pytest.raises(fastcf.DataError, match="ids must be"):
            load(tmp_path / "m")
    arrays = {name: array for name, array in archive.arrays.items() if name != "item_ids"}
    save_model(tmp_path / "m", "BiasModel", archive.params, arrays, archive.meta)
    with pytest.raises(fastcf.DataError, match="needs the array 'item_ids'"):
        load(tmp_path / "m")
