"""Model files: what goes in comes out; what is damaged, cut, foreign or too new is refused with path and reason."""

import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

import fastcf
from fastcf.serialization import (
    Archive,
    files,
    from_archive,
    load,
    load_archive,
    register,
    registered_name,
    save_archive,
)
from fastcf.serialization import archive as registry
from fastcf.serialization.tensors import digest

DTYPES = [np.float32, np.float64, np.int32, np.int64, np.uint64, np.uint8, np.bool_]
NUMBERS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=33))
)
TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=33).map(
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


def write(path, params, arrays, meta=None, **options):
    save_archive(path, Archive("Model", params, arrays, meta or {}), **options)


def write_example(path, **changes):
    write(path, {"n_factors": 3, "reg": 0.1, "name": None}, example_arrays(), {"note": "x", **changes})


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
def test_save_archive_round_trip_is_identical(tmp_path, arrays, params, meta):
    path = tmp_path / "model.fastcf"
    write(path, params, arrays, meta)
    archive = load_archive(path)
    assert archive.class_name == "Model"
    assert archive.params == params
    assert archive.meta == meta
    assert archive.fastcf_version == fastcf.__version__
    assert archive.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same(archive.array(name), array)
        assert archive.array(name).flags.c_contiguous


def test_save_archive_round_trip_of_odd_arrays_is_identical(tmp_path):
    arrays = {
        **example_arrays(),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(10)[::3],
        "big_endian": np.arange(3, dtype=">i4"),
        "list": [1, 2, 3],
        "one_empty_text": np.array([""]),
        "no_text": np.array([], dtype="<U4"),
        "no_number": np.array([], dtype=object),
    }
    write(tmp_path / "m", {"levels": (1, 2)}, arrays)
    archive = load_archive(tmp_path / "m")
    for name, array in arrays.items():
        assert np.array_equal(archive.array(name), array), name
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
        "format_version": "2",
        "fastcf_version": "0.1.0",
        "class": "Model",
        "params": "{}",
        "meta": "{}",
        "parts": "{}",
        "metadata": "{}",
        "texts": "{}",
    }
    metadata = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    metadata["digest"] = digest(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


def nested_parts(depth):
    """Return a description of parts within parts."""
    begin = '{"a": {"class": "M", "params": {}, "meta": {}, "shared": [], "parts": '
    return begin * depth + "{}" + "}}" * depth


BYTES = np.frombuffer(b"abc", np.uint8)


@pytest.mark.parametrize(
    ("tensors", "changes", "reason"),
    [
        ({}, {"format": "other"}, "not a fastcf model"),
        ({}, {"format": None}, "not a fastcf model"),
        ({}, {"format_version": "3", "fastcf_version": "9.1"}, r"written by fastcf 9\.1 in format 3; .*upgrade"),
        ({}, {"format_version": "9" * 5000}, "in format 999.*upgrade"),
        ({}, {"format_version": "0"}, "damaged: its header has the format version '0'"),
        ({}, {"format_version": "two"}, "damaged: its header has the format version 'two'"),
        ({}, {"format_version": "²"}, "damaged: its header has the format version '²'"),
        ({}, {"format_version": None}, "damaged: its header has the format version ''"),
        ({}, {"class": None}, "header lacks class"),
        ({}, {"parts": None, "metadata": None}, "header lacks parts, metadata"),
        ({}, {"params": "[]"}, "parameters, meta and parts must be JSON objects"),
        ({}, {"meta": "3"}, "parameters, meta and parts must be JSON objects"),
        ({}, {"metadata": "[]"}, "parameters, meta and parts must be JSON objects"),
        ({}, {"parts": "[]"}, "parameters, meta and parts must be JSON objects"),
        ({}, {"parts": '{"a": 3}'}, "not what fastcf writes"),
        ({}, {"meta": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"}, "not what fastcf writes: RecursionError"),
        ({}, {"parts": nested_parts(5_000)}, "not what fastcf writes"),
        ({}, {"parts": '{"a": {"class": "Model"}}'}, "not what fastcf writes"),
        (
            {},
            {"parts": '{"a": {"class": "M", "params": {}, "meta": {}, "shared": ["gone"], "parts": {}}}'},
            "needs the array 'gone'",
        ),
        (
            {},
            {"parts": '{"a": {"class": "M", "params": [], "meta": {}, "shared": [], "parts": {}}}'},
            "parameters, meta and parts must be JSON objects",
        ),
        ({}, {"params": "{"}, "not what fastcf writes"),
        ({}, {"texts": '{"a": "str"}'}, "not what fastcf writes"),
        ({}, {"texts": "[1]"}, "not what fastcf writes"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 2, 1, 3])}, {"texts": '{"a": "str"}'}, "offsets"),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 4])}, {"texts": '{"a": "str"}'}, "offsets"),
        ({"a.utf8": BYTES, "a.offsets": np.array([], np.int64)}, {"texts": '{"a": "str"}'}, "offsets"),
        (
            {"a.utf8": BYTES, "a.offsets": np.array([0.0, 3.0])},
            {"texts": '{"a": "str"}'},
            "offsets must have dtype int64",
        ),
        (
            {"a.utf8": BYTES | np.uint8(128), "a.offsets": np.array([0, 3])},
            {"texts": '{"a": "str"}'},
            "texts must be UTF-8; entry 0 is not",
        ),
        ({"a.utf8": BYTES, "a.offsets": np.array([0, 3])}, {"texts": '{"a": "int"}'}, "invalid literal"),
    ],
)
def test_load_archive_forged_file_is_refused(tmp_path, tensors, changes, reason):
    path = tmp_path / "model"
    forge(path, tensors, **changes)
    with pytest.raises(fastcf.DataError, match=reason) as caught:
        load_archive(path)
    assert str(path) in str(caught.value)


def test_save_archive_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
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
        patch.setattr(files, "_write", fail)
        with pytest.raises(OSError, match="disk full"):
            write_example(path, note="new")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]
    with pytest.raises(FileNotFoundError):
        write_example(tmp_path / "no folder" / "model")


def test_save_archive_syncs_file_before_and_folder_after_the_rename(tmp_path, monkeypatch):
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


def test_save_archive_follows_links_and_umask(tmp_path):
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
def test_save_archive_unstorable_value_is_named(tmp_path, params, arrays, error, message):
    with pytest.raises(error, match=message):
        write(tmp_path / "model", params, arrays)
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
    monkeypatch.setattr(registry, "_classes", {})

    @register
    class Toy:
        def __init__(self, scale=1.0):
            self.scale = scale

        def to_archive(self):
            return Archive("Toy", {"scale": np.float32(self.scale)}, {"w": self.w_})

        @classmethod
        def from_archive(cls, archive):
            self = cls(**archive.params)
            self.w_ = archive.array("w", np.float32, (3,))
            return self

    toy = Toy(0.5)
    toy.w_ = np.arange(3, dtype=np.float32)
    save_archive(tmp_path / "toy", toy.to_archive())
    again = load(str(tmp_path / "toy"))
    assert isinstance(again, Toy)
    assert again.scale == 0.5
    assert np.array_equal(again.w_, toy.w_)
    again.w_[0] = 1  # arrays are the model's own
    monkeypatch.setattr(registry, "_classes", {})
    with pytest.raises(fastcf.DataError, match="toy: holds a 'Toy', unknown to this fastcf"):
        load(tmp_path / "toy")
    for name in ("BiasModel", "Blend"):  # known without being imported
        with pytest.raises(fastcf.DataError, match=rf"known: .*\b{name}\b"):
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
    model.save(tmp_path / "m", extra_arrays={"item_titles": np.array(["Amélie", ""])})
    assert load_archive(tmp_path / "m").arrays["item_titles"].tolist() == ["Amélie", ""]
    assert load(tmp_path / "m").predict([(1, 2)]) == model.predict([(1, 2)])
    with pytest.raises(ValueError, match="names of the model's own; got item_bias"):
        model.save(tmp_path / "m", extra_arrays={"item_bias": np.zeros(2)})
    for name in ("a/b", "~x", "__metadata__"):
        with pytest.raises(ValueError, match=f"save: extra_arrays must have names without '/' .*; got '{name}'"):
            model.save(tmp_path / "m", extra_arrays={name: np.zeros(2)})


def test_extra_arrays_are_never_taken_for_optional_ones_of_the_model(tmp_path):
    """Of a model and of the models inside it: an extra array may be called what another model would store."""
    ratings = fastcf.data.make_ratings(20, 15, 150, random_state=0)
    model = fastcf.MatrixFactorization(2, n_epochs=1, random_state=0).fit(ratings)
    means = fastcf.MatrixFactorization(2, n_epochs=1, normalize="item", random_state=0).fit(ratings)
    with pytest.warns(UserWarning, match="was fitted to"):
        blend = fastcf.Blend([("means", means), ("bias", model)], fit_members=False).fit(ratings)
    extra = {
        "item_mean": np.full(ratings.n_items, 100, np.float32),
        "user_bias_samples": np.zeros((2, ratings.n_users), np.float32),
        "seen_indptr": np.zeros(ratings.n_users + 1, np.int64),
        "seen_indices": np.zeros(0, np.int32),
    }
    for each in (model, blend):
        each.save(tmp_path / "m", include_seen=False, extra_arrays=extra)
        loaded = load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.predict(ratings), each.predict(ratings))
        assert loaded.seen_ is None
        archive = load_archive(tmp_path / "m")
        assert sorted(archive.extra) == sorted(extra)
        for name, array in extra.items():
            np.testing.assert_array_equal(archive.array(name), array)


def test_load_ids_that_are_no_ids_are_refused(tmp_path):
    archive = fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0]).to_archive()
    for ids in (np.array([1, 1]), np.array([0.5, 1.5])):
        save_archive(tmp_path / "m", replace(archive, arrays={**archive.arrays, "user_ids": ids}))
        with pytest.raises(fastcf.DataError, match="ids must be"):
            load(tmp_path / "m")
    arrays = {name: array for name, array in archive.arrays.items() if name != "item_ids"}
    save_archive(tmp_path / "m", replace(archive, arrays=arrays))
    with pytest.raises(fastcf.DataError, match="needs the array 'item_ids'"):
        load(tmp_path / "m")


# ---------------------------------------------------------------------------------------------------------------
# Format 2
# ---------------------------------------------------------------------------------------------------------------


def header_of(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :], 8 + length


@relaxed
@given(arrays=st.dictionaries(NAMES, NUMBERS | TEXTS, max_size=8), params=OBJECTS)
def test_model_file_tensors_begin_at_multiples_of_64_bytes(tmp_path, arrays, params):
    path = tmp_path / "model"
    write(path, params, arrays)
    header, content, start = header_of(path)
    assert start % 64 == 0
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        if name.startswith("~"):
            assert not any(content[begin:end])
            assert end - begin < 64
        else:
            assert (start + begin) % 64 == 0
    ends = sorted(entry["data_offsets"] for entry in entries.values())
    assert [begin for begin, _ in ends] == [0, *(end for _, end in ends[:-1])][: len(ends)]  # no gaps, no overlap
    assert not any(name.startswith("~") for name in load_archive(path).arrays)


def test_model_file_bits_can_be_mapped(tmp_path):
    model = fastcf.MatrixFactorization(3, n_epochs=2, random_state=0).fit(fastcf.data.make_ratings(30, 20, 200))
    model.save(tmp_path / "model")
    header, _, start = header_of(tmp_path / "model")
    begin, end = header["item_factors"]["data_offsets"]
    mapped = np.memmap(tmp_path / "model", np.float32, "r", start + begin, (end - begin) // 4)
    np.testing.assert_array_equal(mapped.reshape(-1, 3), model.item_factors_)


def nest(depth, random):
    """Return an archive whose parts have parts, some arrays of which are those of the whole."""
    arrays = {"ids": np.arange(5), "own": random.normal(size=3), "text": np.array(["a", "żółw"])}
    parts = {}
    if depth:
        parts = {name: nest(depth - 1, random) for name in ("first", "a/b ~", "")}
    return Archive(f"Depth{depth}", {"depth": depth}, arrays, {"note": depth}, parts)


def assert_same_archive(got, wanted):
    assert (got.class_name, got.params, got.meta) == (wanted.class_name, wanted.params, wanted.meta)
    assert got.arrays.keys() == wanted.arrays.keys()
    for name, array in wanted.arrays.items():
        assert_same(got.array(name), array)
    assert list(got.parts) == list(wanted.parts)
    for name, part in wanted.parts.items():
        assert_same_archive(got.parts[name], part)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_parts_come_back_as_they_were_and_what_they_share_is_stored_once(tmp_path, depth):
    path, whole = tmp_path / "model", nest(depth, np.random.default_rng(0))
    save_archive(path, whole)
    assert_same_archive(load_archive(path), whole)
    header, *_ = header_of(path)
    assert sum(name.split("/")[-1] == "ids" for name in header) == 1
    assert sum(name.split("/")[-1] == "own" for name in header) == sum(3**d for d in range(depth + 1))


def test_parts_share_nothing_that_only_looks_the_same(tmp_path):
    part = Archive("Part", {}, {"a": np.zeros(2, np.int32), "b": np.array([np.nan]), "c": np.zeros(2)})
    save_archive(
        tmp_path / "m",
        Archive("Whole", {}, {"a": np.zeros(2), "b": np.array([np.nan]), "c": -np.zeros(2)}, {}, {"x": part}),
    )
    loaded = load_archive(tmp_path / "m")
    assert loaded.parts["x"].arrays["a"].dtype == np.int32
    for archive, signs in ((loaded, True), (loaded.parts["x"], False)):
        np.testing.assert_array_equal(np.signbit(archive.arrays["c"]), signs)


def test_model_file_has_metadata_of_the_callers_own(tmp_path):
    model = fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0])
    own = {"data": "MovieLens", "split": {"seed": 3, "share": 0.1}, "counts": [1, 2], "share": np.float32(0.5)}
    model.save(tmp_path / "m", metadata=own)
    assert load_archive(tmp_path / "m").metadata == {**own, "share": 0.5}
    assert load(tmp_path / "m").predict([(1, 2)]) == model.predict([(1, 2)])
    with pytest.raises(TypeError, match="metadata 'what' must be storable as JSON; got a object"):
        model.save(tmp_path / "m", metadata={"what": object()})
    assert load_archive(tmp_path / "m").metadata["data"] == "MovieLens"  # the old file stays


def test_model_file_unknown_arrays_and_values_are_ignored(tmp_path):
    model = fastcf.MatrixFactorization(3, n_epochs=2, random_state=0).fit(fastcf.data.make_ratings(30, 20, 200))
    archive = model.to_archive()
    arrays = {**archive.arrays, "neighbours": np.arange(3), "texts": np.array(["a"])}
    more = replace(archive, arrays=arrays, meta={**archive.meta, "horizon": 5}, parts={"tree": Archive("Tree", {}, {})})
    save_archive(tmp_path / "m", more)
    np.testing.assert_array_equal(load(tmp_path / "m").predict_matrix(), model.predict_matrix())


def test_model_file_does_not_say_how_many_threads_there_were(tmp_path):
    ratings = fastcf.data.make_ratings(30, 20, 200, random_state=0)
    contents = []
    for n_threads in (1, 2, None):
        model = fastcf.MatrixFactorization(3, n_epochs=2, random_state=0, n_threads=n_threads).fit(ratings)
        for record in model.state.history:
            record["seconds"] = 0.0
        model.save(tmp_path / "m")
        contents.append((tmp_path / "m").read_bytes())
        assert load(tmp_path / "m").n_threads is None
    assert contents[0] == contents[1] == contents[2]
    assert b"n_threads" not in contents[0]


SETTINGS = [
    fastcf.solvers.SGD(0.01, schedule="inverse", decay=0.25, deterministic=False, storage="float16"),
    fastcf.solvers.ALS(cg_steps=2),
    fastcf.solvers.GradientDescent(fastcf.optimizers.Adam(0.02, beta2=0.99, schedule="cosine"), batch_size=64),
    fastcf.solvers.GradientDescent("momentum", batch_size="whole"),
    fastcf.solvers.Gibbs(burn_in=1, thin=2),
]


@pytest.mark.parametrize("solver", SETTINGS, ids=lambda solver: type(solver).__name__)
def test_model_file_keeps_settings(tmp_path, solver):
    model = fastcf.MatrixFactorization(3, solver=solver, n_epochs=5, random_state=0, bias="user")
    model.fit(fastcf.data.make_ratings(30, 20, 200, random_state=0)).save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert loaded.solver == solver
    assert type(loaded.solver) is type(solver)
    assert loaded.get_params(deep=False) == model.get_params(deep=False)


@pytest.mark.parametrize(
    "described",
    [
        {"settings": "solvers.Newton", "params": {}},
        {"settings": "solvers.ALS", "params": {"cg_steps": -1}},
        {"settings": "solvers.ALS", "params": {"steps": 1}},
        {"settings": "optimizers.Adam", "params": {}},
        {"params": {}},
        {"settings": "solvers.ALS", "params": 3},
        {"settings": ["solvers.ALS"], "params": {}},
        {},
    ],
    ids=str,
)
def test_load_of_settings_that_are_none_is_a_data_error(tmp_path, described):
    model = fastcf.MatrixFactorization(3, solver=fastcf.solvers.ALS(), n_epochs=2, random_state=0)
    archive = model.fit(fastcf.data.make_ratings(30, 20, 200, random_state=0)).to_archive()
    save_archive(tmp_path / "m", replace(archive, params={**archive.params, "solver": described}))
    with pytest.raises(fastcf.DataError, match="parameters do not fit MatrixFactorization"):
        load(tmp_path / "m")


class Renamed(fastcf.BiasModel):
    """A user's own subclass."""


def test_subclass_is_saved_as_its_base(tmp_path):
    model = Renamed(user_reg=3.0).fit([(1, 2), (3, 4)], [4.0, 2.0])
    model.save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert type(loaded) is fastcf.BiasModel
    assert loaded.user_reg == 3.0
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    assert type(Renamed.from_archive(load_archive(tmp_path / "m"))) is Renamed


def test_subclass_with_a_constructor_of_its_own_is_saved_as_its_base(tmp_path):
    class Strict(fastcf.BiasModel):
        def __init__(self, strictness=2.0):
            super().__init__(user_reg=strictness, item_reg=strictness)
            self.strictness = strictness

    model = Strict(5.0).fit([(1, 2), (3, 4)], [4.0, 2.0])
    model.save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert (loaded.user_reg, loaded.item_reg) == (5.0, 5.0)
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())


def test_class_that_is_not_registered_is_not_loaded(tmp_path):
    class Foreign:
        pass

    with pytest.raises(TypeError, match="save: Foreign must be registered"):
        registered_name(Foreign)
    with pytest.raises(fastcf.DataError, match="holds a 'Foreign', unknown to this fastcf"):
        from_archive(Archive("Foreign", {}, {}, path="m"))
