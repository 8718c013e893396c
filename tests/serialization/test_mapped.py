"""Mapped model files: the same bits as copies, shared between processes, and safe against damage."""

from __future__ import annotations

import gc
import json
import mmap
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastcf
from attributes import assert_same_attributes
from choice_models import CHOICE_MODELS
from fastcf import IdMap
from fastcf._texts import TextTable
from fastcf.serialization import Archive, load_archive, save_archive
from fastcf.serving import NeighbourTable
from trained_models import MODELS

RATINGS = fastcf.data.make_ratings(60, 40, 900, random_state=0)
USERS, ITEMS, VALUES = RATINGS.to_coo()
NAMED = fastcf.Ratings.from_coo([f"żółw {user}" for user in USERS], ITEMS * 7, VALUES)
FACTORS = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_mapped(array):
    """Return whether an array lies in a memory map."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return isinstance(array.obj if isinstance(array, memoryview) else array, mmap.mmap)


@pytest.mark.parametrize("name", [*CHOICE_MODELS, "sgd", "bayes", "autoencoder", "two towers", "perceptron"])
def test_mapped_models_answer_with_the_same_bits_as_copies(tmp_path, name):
    model = CHOICE_MODELS[name](threshold=4) if name in CHOICE_MODELS else MODELS[name]
    model.fit(NAMED)
    path = tmp_path / "model"
    model.save(path)
    mapped, copied = fastcf.load(path, mmap=True), fastcf.load(path)
    assert_same_attributes(mapped, copied)
    users = [*NAMED.users.ids[:7].tolist(), "nobody"]
    for got, wanted in zip(mapped.recommend(users, 9), copied.recommend(users, 9), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert is_mapped(mapped.state.seen.indices)
    assert is_mapped(mapped.items_.ids)
    restored = pickle.loads(pickle.dumps(mapped))
    np.testing.assert_array_equal(restored.recommend(users, 9).items, copied.recommend(users, 9).items)
    mapped.save(path)  # over the file that is mapped
    np.testing.assert_array_equal(fastcf.load(path).recommend(users, 9).items, copied.recommend(users, 9).items)


def test_mapped_factors_are_not_copied(tmp_path):
    FACTORS.fit(NAMED).save(tmp_path / "model")
    model = fastcf.load(tmp_path / "model", mmap=True)
    for name in ("user_factors_", "item_factors_", "user_bias_", "item_bias_"):
        assert is_mapped(getattr(model, name)), name
        assert not getattr(model, name).flags.writeable
    assert is_mapped(model.users_.column.ids.utf8)
    assert not is_mapped(fastcf.load(tmp_path / "model").item_factors_)


@given(st.sets(st.text(max_size=5), max_size=40), st.lists(st.text(max_size=5), max_size=40), st.booleans())
def test_mapped_ids_are_found_as_others(texts, asked, ascend):
    rows = sorted(texts) if ascend else list(texts)
    mapped, built = IdMap.mapped(TextTable.of(rows)), IdMap(np.array(rows, dtype=object) if rows else np.empty(0, "U1"))
    np.testing.assert_array_equal(mapped.rows([*asked, *rows]), built.rows([*asked, *rows]))
    assert len(mapped) == len(rows)
    if rows:
        assert pickle.loads(pickle.dumps(mapped)) == mapped


@given(
    st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40),
    st.lists(st.integers(-(2**63), 2**64), max_size=40),
    st.booleans(),
)
def test_mapped_integers_are_found_as_others(ids, asked, ascend):
    rows = np.array(sorted(ids) if ascend else list(ids), np.int64)
    mapped, built = IdMap.mapped(rows), IdMap(rows)
    for wanted in (asked, rows, [str(each) for each in asked]):
        if len(wanted):
            np.testing.assert_array_equal(mapped.rows(wanted), built.rows(wanted))
    assert mapped == built


@pytest.mark.parametrize("ids", [TextTable.of(["b", "a", "b"]), np.int64([3, 1, 3]), TextTable.of(["a", "a"])])
def test_mapped_ids_that_are_not_distinct_are_refused(ids):
    with pytest.raises(ValueError, match="IdMap: ids must be distinct"):
        IdMap.mapped(ids)


def test_verify_compares_the_checksum_and_looks_for_what_is_not_finite(tmp_path):
    path = tmp_path / "model"
    FACTORS.fit(RATINGS).save(path, extra_arrays={"mine": [np.nan, np.inf]})
    for options in ({}, {"mmap": True}, {"mmap": True, "verify": True}, {"verify": False}):
        fastcf.load(path, **options)
    content = bytearray(path.read_bytes())
    content[content.index(FACTORS.item_factors_.tobytes())] ^= 1
    path.write_bytes(content)
    for options in ({"mmap": True}, {"verify": False}):
        fastcf.load(path, **options)
    for options in ({}, {"mmap": True, "verify": True}):
        with pytest.raises(fastcf.DataError, match="does not match its checksum"):
            fastcf.load(path, **options)
    archive = FACTORS.to_archive()
    factors = archive.arrays["item_factors"].copy()
    factors[3, 2] = np.nan
    save_archive(
        path, Archive(archive.class_name, archive.params, archive.arrays | {"item_factors": factors}, archive.meta)
    )
    fastcf.load(path, mmap=True)
    for options in ({}, {"mmap": True, "verify": True}):
        with pytest.raises(fastcf.DataError, match="'item_factors' must hold finite numbers; got nan at entry 14"):
            fastcf.load(path, **options)


def forged(path, change):
    """Rewrite the header of a file by ``change``, which gets it as a dictionary."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    head = json.dumps(header).encode()
    head += b" " * (-(len(head) + 8) % 64)
    path.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + length :])


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2**40, 4]},
        {"shape": [-1, 4]},
        {"shape": [0] * 70},
        {"shape": [0, 2**70]},
        {"shape": "four"},
        {"data_offsets": [0, 2**63]},
        {"data_offsets": [64, 0]},
        {"data_offsets": [0.5, 1]},
        {"dtype": "F8_E4M3"},
        {"dtype": 7},
        {"data_offsets": [2, 642], "shape": [40, 4]},
    ],
)
def test_mapped_file_whose_header_lies_is_refused(tmp_path, entry):
    path = tmp_path / "model"
    FACTORS.fit(RATINGS).save(path)
    forged(path, lambda header: header["item_factors"].update(entry))
    with pytest.raises(fastcf.DataError, match="model"):
        fastcf.load(path, mmap=True)


@relaxed
@given(st.data())
def test_mapped_file_of_any_damage_is_refused_or_answers(tmp_path, data):
    """Nothing that a file holds may end the process: it is refused, or says something."""
    path = tmp_path / "model"
    name = data.draw(st.sampled_from(["sgd", "linear", "item-neighbours", "named"]))
    if not (tmp_path / name).exists():
        model = CHOICE_MODELS[name](threshold=4) if name in CHOICE_MODELS else FACTORS
        model.fit(NAMED if name == "named" else RATINGS).save(tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + 4] = data.draw(st.binary(min_size=1, max_size=4))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        model = fastcf.load(path, mmap=True)
    except fastcf.DataError:
        return
    try:
        model.recommend(model.users_.ids[:5], 5, exclude_seen=model.seen_ is not None)
        if hasattr(model, "similar_items"):
            model.similar_items(model.items_.ids[:5], 5)
    except (ValueError, OverflowError):  # numbers that no score has, for example
        pass


def test_neighbour_table_is_saved_mapped_and_pickled(tmp_path):
    model = FACTORS.fit(NAMED)
    table = NeighbourTable.of(model, n=12, metric="euclidean")
    table.save(tmp_path / "table", metadata={"made": "today"})
    assert load_archive(tmp_path / "table").metadata == {"made": "today"}
    wanted = model.similar_items(NAMED.items.ids, 12, metric="euclidean")
    for other in (
        fastcf.load(tmp_path / "table"),
        fastcf.load(tmp_path / "table", mmap=True),
        pickle.loads(pickle.dumps(table)),
    ):
        got = other.similar_items(NAMED.items.ids, 12)
        np.testing.assert_array_equal(got.ids, wanted.ids)
        np.testing.assert_array_equal(got.scores, wanted.scores)
    assert is_mapped(fastcf.load(tmp_path / "table", mmap=True).rows_)
    archive = table.to_archive()
    for change, message in (
        ({"rows": table.rows_ + 100}, r"must lie in \[-1, 40\)"),
        ({"rows": table.rows_[:5]}, "must have shape"),
        ({"item_ids": np.zeros(40, np.int64)}, "ids are damaged"),
    ):
        save_archive(tmp_path / "bad", Archive("NeighbourTable", archive.params, archive.arrays | change))
        for mapped in (False, True):
            with pytest.raises(fastcf.DataError, match=message):
                fastcf.load(tmp_path / "bad", mmap=mapped)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not say what is mapped")
def test_map_goes_with_its_model_without_waiting_for_garbage(tmp_path):
    path = tmp_path / "model"
    fastcf.Blend([("one", FACTORS), ("two", fastcf.BiasModel())], random_state=0).fit(RATINGS).save(path)

    def maps():
        return Path("/proc/self/maps").read_text(encoding="utf-8").count(os.fspath(path))

    gc.disable()
    try:
        model = fastcf.load(path, mmap=True, verify=True)
        model.recommend([1, 2], 3)
        assert maps() == 1
        del model
        assert maps() == 0
    finally:
        gc.enable()


_ASK = """
import sys, fastcf
model = fastcf.load(sys.argv[1], mmap=True)
model.recommend(list(range(0, 3000, 7)), 5)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say who shares memory")
def test_mapped_model_is_shared_between_processes(tmp_path):
    path = tmp_path / "model"
    ratings = fastcf.data.make_ratings(3_000, 30_000, 60_000, random_state=0)
    model = fastcf.MatrixFactorization(32, n_epochs=1, random_state=0).fit(ratings)
    model.save(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _ASK, os.fspath(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
        shares, whole = zip(*(share_of(process.pid, path) for process in processes), strict=True)
    finally:
        for process in processes:
            process.communicate("\n")
    size = path.stat().st_size
    assert min(whole) > 0.5 * size  # each reads it
    assert sum(shares) < 1.1 * size  # and all have one copy


def share_of(process, path):
    """Return the bytes of a mapped file in a process: its share of them, and all."""
    shares = {"Pss": 0, "Rss": 0}
    inside = False
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            inside = line.endswith(os.fspath(path))
        elif inside and name[:-1] in shares:
            shares[name[:-1]] += 1024 * int(rest[0])
    return shares["Pss"], shares["Rss"]
