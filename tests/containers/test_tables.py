"""Ratings and lists as tables of other libraries, and as files."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest

import fastcf
from fastcf import Neighbours, Ratings, Recommendations
from fastcf.data import detect_format, load_ratings, read_log

STRINGS = Ratings.from_coo(
    ["ann", "bob", "ann"], ["x", "x", "y"], [5.0, 3.0, 4.5], timestamps=[3, 2, 1], weights=[1.0, 0.5, 0.0]
)
NUMBERS = Ratings.from_coo([7, -1, 7], [2**63 + 1, 5, 5], [5.0, 3.0, 4.5])
ROWS = [
    {"user": "ann", "item": "x", "rating": 5.0, "timestamp": 3, "weight": 1.0},
    {"user": "ann", "item": "y", "rating": 4.5, "timestamp": 1, "weight": 0.0},
    {"user": "bob", "item": "x", "rating": 3.0, "timestamp": 2, "weight": 0.5},
]
NUMBER_ROWS = [
    {"user": -1, "item": 5, "rating": 3.0},
    {"user": 7, "item": 5, "rating": 4.5},
    {"user": 7, "item": 2**63 + 1, "rating": 5.0},
]
LISTS = Recommendations(
    np.array([["a", "b"], ["b", ""]]), np.array([[3, 2], [1, -np.inf]], np.float32), np.array([7, 8])
)
LIST_ROWS = [
    {"user": 7, "rank": 1, "item": "a", "score": 3.0},
    {"user": 7, "rank": 2, "item": "b", "score": 2.0},
    {"user": 8, "rank": 1, "item": "b", "score": 1.0},
]
TABLES = {"strings": (STRINGS, ROWS), "numbers": (NUMBERS, NUMBER_ROWS), "lists": (LISTS, LIST_ROWS)}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_library_hold_the_same(kind):
    pa, pd, pl = (pytest.importorskip(name) for name in ("pyarrow", "pandas", "polars"))
    table, rows = TABLES[kind]
    assert table.to_dicts() == rows
    assert json.loads(json.dumps(table.to_dicts())) == rows
    assert table.to_arrow().to_pylist() == rows
    assert table.to_frame().to_dict("records") == rows
    assert table.to_frame("polars").to_dicts() == rows
    assert pa.table(table).to_pylist() == rows  # by the protocol
    assert pl.DataFrame(table).to_dicts() == rows
    assert isinstance(table.to_frame("pandas"), pd.DataFrame)
    assert list(table.to_arrow().column_names) == list(rows[0])


@pytest.mark.parametrize("ratings", [STRINGS, NUMBERS], ids=["strings", "numbers"])
def test_tables_of_ratings_come_back(ratings):
    pytest.importorskip("pyarrow")
    more = {"timestamp": "timestamp", "weight": "weight"} if ratings.weights is not None else {}
    for table in (ratings, ratings.to_arrow(), ratings.to_frame("polars"), ratings.to_frame()):
        assert_same(Ratings.from_arrow(table, **more), ratings)


def assert_same(first, second):
    assert (first.users, first.items) == (second.users, second.items)
    for name in ("indptr", "indices", "values", "timestamps", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_tables_of_lists_leave_out_padding_and_keep_minus_one():
    ratings = Ratings.from_coo([1, 1, 2, 2, 3], [-1, 5, -1, 6, 5], [5.0, 4, 3, 2, 1])
    model = fastcf.BiasModel().fit(ratings)
    found = model.recommend([1, 2, 99], n=5)
    assert found.items.shape == (3, 5)
    rows = found.to_dicts()
    assert [(row["user"], row["rank"]) for row in rows] == [(1, 1), (2, 1), (99, 1), (99, 2), (99, 3)]
    assert {row["item"] for row in rows if row["user"] == 99} == {-1, 5, 6}
    assert all(np.isfinite(row["score"]) for row in rows)
    assert model.recommend(2, n=5).to_dicts() == [{"user": 2, "rank": 1, "item": 5, "score": rows[1]["score"]}]
    assert model.recommend([], n=5).to_dicts() == []
    assert model.recommend([1], n=5, min_score=99).to_dicts() == []
    everyone = model.recommend(history=ratings, n=1)
    assert [row["user"] for row in everyone.to_dicts()] == [1, 2, 3]


def test_tables_of_neighbours():
    ratings = fastcf.data.make_ratings(50, 30, 500, random_state=0)
    model = fastcf.MatrixFactorization(4, n_epochs=2, random_state=0).fit(ratings)
    found = model.similar_items([3, 12345], n=2, metric="euclidean")
    rows = found.to_dicts()
    assert [(row["query"], row["rank"]) for row in rows] == [(3, 1), (3, 2)]
    assert [row["id"] for row in rows] == found.ids[0].tolist()
    assert isinstance(found, Neighbours)
    assert list(model.similar_users(3, n=1).to_dicts()[0]) == ["query", "rank", "id", "score"]


def test_lists_unpack_copy_and_are_iterated_like_pairs():
    items, scores = LISTS
    assert items is LISTS.items
    assert scores is LISTS.scores
    again = pickle.loads(pickle.dumps(LISTS))
    assert again.to_dicts() == LIST_ROWS
    assert (
        Recommendations(LISTS.items, LISTS.scores).to_dicts()[2]["user"] == 1
    )  # positions, where nobody was asked for
    assert LISTS.mask.tolist() == [[True, True], [True, False]]
    with pytest.raises(AttributeError):
        LISTS.items = items


def test_tables_in_notebooks_are_short_and_escaped():
    hostile = Recommendations(np.array(["<script>"]), np.array([1.25], np.float32), "a&b")
    assert hostile._repr_html_().count("<tr>") == 2
    assert "&lt;script&gt;" in hostile._repr_html_()
    assert "<td>a&amp;b</td><td>1</td>" in hostile._repr_html_()
    shown = fastcf.data.make_ratings(50, 30, 500, random_state=0)._repr_html_()
    assert "Ratings: 500 rows, 10 shown" in shown
    assert shown.count("<tr>") == 11
    assert "Recommendations: 3 rows<" in LISTS._repr_html_()


def test_tables_without_a_library_name_it(monkeypatch):
    for name, call, how in (
        ("pyarrow", LISTS.to_arrow, r"pip install 'fastcf\[arrow\]'"),
        ("pyarrow", LISTS.__arrow_c_stream__, r"pip install 'fastcf\[arrow\]'"),
        ("pandas", LISTS.to_frame, "pip install pandas"),
        ("polars", lambda: LISTS.to_frame("polars"), "pip install polars"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ImportError, match=rf"Recommendations\.to_\w+ needs {name}: {how}"):
                call()
    with pytest.raises(ValueError, match="library must be 'pandas' or 'polars'; got 'dask'"):
        LISTS.to_frame("dask")


def test_tables_of_ids_beyond_64_bits():
    pytest.importorskip("pyarrow")
    huge = Ratings.from_coo([2**70, 1], [1, 2], [3.0, 4.0])
    assert huge.to_dicts()[1]["user"] == 2**70
    with pytest.raises(TypeError, match="to_arrow: ids must be texts, or integers of at most 64 bits"):
        huge.to_arrow()


# ----------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("ratings", [STRINGS, NUMBERS, Ratings.from_coo([2**70], [""], [0.0])])
def test_saved_ratings_come_back(tmp_path, ratings, mmap):
    path = tmp_path / "r.fastcf"
    ratings.save(path)
    loaded = Ratings.load(path, mmap=mmap)
    assert_same(loaded, ratings)
    assert repr(loaded) == repr(ratings)
    assert not loaded.values.flags.writeable
    assert_same(pickle.loads(pickle.dumps(loaded)), ratings)
    assert_same(loaded.take(np.ones(ratings.nnz, bool)), ratings)
    loaded.save(path)  # over what is mapped
    assert_same(Ratings.load(path, mmap=not mmap), ratings)


def test_saved_ratings_train_the_same_model(tmp_path):
    ratings = fastcf.data.make_ratings(50, 30, 500, random_state=0)
    ratings.save(tmp_path / "r.fastcf")
    for build in (
        lambda: fastcf.MatrixFactorization(4, n_epochs=2, random_state=0),
        lambda: fastcf.LinearAutoencoder(threshold=4),
    ):
        fresh, mapped = build().fit(ratings), build().fit(Ratings.load(tmp_path / "r.fastcf"))
        np.testing.assert_array_equal(fresh.predict_matrix(), mapped.predict_matrix())


def test_saved_ratings_are_a_layout_of_the_loaders(tmp_path):
    path = tmp_path / "r.fastcf"
    STRINGS.save(path)
    assert detect_format(path).format == "fastcf"
    assert_same(load_ratings(path), STRINGS)
    assert read_log(path).timestamps.tolist() == [3, 1, 2]
    with pytest.raises(ValueError, match="separator must not be given for a file of fastcf"):
        load_ratings(path, separator=",")


def test_saved_ratings_and_models_are_told_apart(tmp_path):
    STRINGS.save(tmp_path / "r.fastcf")
    fastcf.BiasModel().fit(STRINGS.take([0, 2])).save(tmp_path / "m.fastcf")
    with pytest.raises(fastcf.DataError, match=r"r\.fastcf: holds Ratings and no model; read them with fastcf"):
        fastcf.load(tmp_path / "r.fastcf")
    for mmap in (True, False):
        with pytest.raises(fastcf.DataError, match=r"m\.fastcf: holds a BiasModel, not Ratings; load it with fast"):
            Ratings.load(tmp_path / "m.fastcf", mmap=mmap)


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_ratings_that_are_damaged_are_data_errors(tmp_path, mmap):
    path = tmp_path / "r.fastcf"
    NUMBERS.save(path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(fastcf.DataError, match=r"r\.fastcf: "):
            Ratings.load(path, mmap=mmap)
    path.write_bytes(b"userId,movieId,rating\n1,2,3\n")
    with pytest.raises(fastcf.DataError, match="is not a f"):
        Ratings.load(path, mmap=mmap)
    with pytest.raises(FileNotFoundError):
        Ratings.load(tmp_path / "none", mmap=mmap)
    random = np.random.default_rng(0)
    for _ in range(300):  # any byte may be any other: an error, or ratings that are within bounds
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(changed)
        try:
            loaded = Ratings.load(path, mmap=mmap)
        except fastcf.DataError:
            continue
        assert mmap
        assert loaded.indices.max() < loaded.n_items
        assert np.isfinite(loaded.values).all()
