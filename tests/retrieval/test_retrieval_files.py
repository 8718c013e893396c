"""Retrievers, indexes and two-stage recommenders in files and pickles: answers stay, and hostile files are refused."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

import fastcf
from fastcf.retrieval import FeatureRanker, NearestVectors, Popular, RelatedItems, TwoStageRecommender
from fastcf.retrieval._graph import Graph, IndexSettings
from fastcf.retrieval._index import VectorIndex
from fastcf.serialization import Archive, from_archive, load_archive, register, save_archive
from fastcf.serialization import archive as registry
from retrievers import ASKED, LATEST, MODEL, RATINGS, RETRIEVERS, fitted, rows_of, two_stage

INDEXED = [name for name in RETRIEVERS if " by " in name and "weights" not in name and "country" not in name]


def again(model, folder, **options):
    model.save(folder / "file", **options)
    return fastcf.load(folder / "file")


def recommended(recommender, users=ASKED, n=8):
    return [part.tolist() for part in recommender.recommend(users, n)]


@pytest.mark.parametrize("name", RETRIEVERS)
def test_retriever_answers_the_same_from_a_file_and_from_a_pickle(name, tmp_path):
    retriever = fitted(name)
    wanted = rows_of(retriever.retrieve(ASKED))
    unseen = rows_of(retriever.retrieve(ASKED, exclude_seen=False))
    for found in (again(retriever, tmp_path), pickle.loads(pickle.dumps(retriever))):
        assert type(found) is type(retriever)
        assert rows_of(found.retrieve(ASKED)) == wanted
        assert rows_of(found.retrieve(ASKED, exclude_seen=False)) == unseen
        assert (found.users_, found.items_) == (retriever.users_, retriever.items_)
        assert rows_of(again(found, tmp_path).retrieve(ASKED)) == wanted  # saved once more


@pytest.mark.parametrize("name", RETRIEVERS)
def test_loaded_retriever_is_fitted_again_with_the_same_parameters(name, tmp_path):
    retriever = RETRIEVERS[name]().set_params(n_threads=1).fit(RATINGS)
    loaded = again(retriever, tmp_path).set_params(n_threads=1)
    plain = {key: value for key, value in retriever.get_params().items() if isinstance(value, (str, int, float))}
    assert {key: loaded.get_params()[key] for key in plain} == plain
    assert rows_of(loaded.fit(RATINGS).retrieve(ASKED)) == rows_of(retriever.retrieve(ASKED))


@pytest.mark.parametrize("name", ["nearest", "related, latest", "top"])
def test_retriever_is_saved_as_it_was_at_fit(name, tmp_path):
    retriever = fitted(name)
    wanted = rows_of(retriever.retrieve(ASKED))
    retriever.set_params(model=fastcf.MatrixFactorization(3, n_epochs=1, random_state=1).fit(LATEST))
    assert rows_of(again(retriever, tmp_path).retrieve(ASKED)) == wanted


def test_two_stage_recommends_the_same_from_a_file_and_from_a_pickle(tmp_path):
    recommender = two_stage()
    wanted = recommended(recommender)
    for found in (again(recommender, tmp_path), pickle.loads(pickle.dumps(recommender))):
        assert recommended(found) == wanted
        assert list(found.retrievers_) == list(recommender.retrievers_)
        assert found.names_of(3) == recommender.names_of(3)
    loaded = again(recommender, tmp_path)
    assert recommended(loaded.fit(RATINGS)) == wanted


def test_two_stage_stores_a_shared_model_once_and_loads_one(tmp_path):
    loaded = again(two_stage(), tmp_path)
    with safe_open(tmp_path / "file", framework="numpy") as file:
        names = list(file.keys())
    assert sum(name.endswith("item_factors") for name in names) == 1
    assert sum(name.endswith("user_ids") for name in names) == 1  # of the recommender, the model and all retrievers
    sources = dict(loaded.retrievers)
    assert loaded.ranker is sources["nearestvectors"].model
    assert loaded.ranker is sources["relateditems"].model
    assert loaded.items_ is sources["nearestvectors"].items_  # rows need no translation
    assert loaded.users_ is loaded.ranker.users_ is sources["popular"].users_


def test_two_stage_of_string_ids_and_a_blend(tmp_path):
    users, items, values = RATINGS.to_coo()
    ratings = fastcf.Ratings.from_coo([f"u{u}" for u in users], [f"żółw {i}" for i in items], values)
    blend = fastcf.Blend([fastcf.MatrixFactorization(4, n_epochs=3), fastcf.BiasModel()], random_state=0).fit(ratings)
    recommender = TwoStageRecommender([NearestVectors(blend, 9), Popular(9)], blend).fit(ratings)
    wanted = recommended(recommender, ["u3", "u77", "nobody"])
    loaded = again(recommender, tmp_path)
    assert recommended(loaded, ["u3", "u77", "nobody"]) == wanted
    assert loaded.ranker is loaded.retrievers[0][1].model


def test_retrieval_files_have_metadata_and_arrays_of_the_callers_own(tmp_path):
    own = {"data": "shop", "week": 7}
    for model in (fitted("popular"), two_stage()):
        again(model, tmp_path, metadata=own, extra_arrays={"titles": np.array(["a", "ż"])})
        assert fastcf.read_metadata(tmp_path / "file") == own
        assert load_archive(tmp_path / "file").arrays["titles"].tolist() == ["a", "ż"]


@pytest.mark.parametrize("kind", [NearestVectors(MODEL), TwoStageRecommender([Popular()], MODEL)])
def test_retrieval_save_before_fit_is_refused(kind, tmp_path):
    with pytest.raises(NotFittedError, match=rf"{type(kind).__name__}\.save: .* must be fitted first"):
        kind.save(tmp_path / "file")


def test_feature_ranker_is_pickled_and_has_no_files(tmp_path):
    table = fastcf.FeatureTable(RATINGS.items, np.random.default_rng(0).normal(size=(RATINGS.n_items, 3)))
    ranker = FeatureRanker(LinearRegression(), item_features=table).fit(RATINGS)
    recommender = two_stage(ranker)
    for each in (ranker, recommender):
        with pytest.raises(TypeError, match=r"FeatureRanker\.save: .* LinearRegression .*; pickle it"):
            each.save(tmp_path / "file")
    assert recommended(pickle.loads(pickle.dumps(recommender))) == recommended(recommender)


class Newest:
    """A user's own retriever: the same items for everybody."""

    def __init__(self, ids):
        self.items = fastcf.IdMap(ids)

    def fit(self, X, y=None):
        return self

    def retrieve(self, users, *, exclude_seen=True):
        n, m = len(self.items), len(users)
        rows = np.tile(np.arange(n, dtype=np.int32), m)
        return fastcf.retrieval.Candidates(np.arange(m + 1) * n, rows, np.ones(n * m, np.float32), self.items)


def test_users_own_retriever_is_saved_where_it_is_registered(tmp_path, monkeypatch):
    recommender = TwoStageRecommender([Newest([4, 5, 6]), Popular(3)], MODEL).fit(RATINGS)
    with pytest.raises(
        TypeError, match=r"TwoStageRecommender\.save: 'newest' must have the method to_archive, .*; got Newest; pickle"
    ):
        recommender.save(tmp_path / "file")
    assert recommended(pickle.loads(pickle.dumps(recommender))) == recommended(recommender)

    monkeypatch.setattr(registry, "_classes", dict(registry._classes))

    @register
    class Registered(Newest):
        def to_archive(self):
            return Archive("Registered", {}, {"ids": self.items.column.ids})

        @classmethod
        def from_archive(cls, archive):
            return cls(archive.array("ids"))

    recommender = TwoStageRecommender([Registered([4, 5, 6]), Popular(3)], MODEL).fit(RATINGS)
    assert recommended(again(recommender, tmp_path)) == recommended(recommender)


def test_subclass_of_a_retriever_is_saved_as_its_base(tmp_path):
    class Fewer(Popular):
        """A user's own subclass."""

    retriever = Fewer(4).fit(RATINGS)
    loaded = again(retriever, tmp_path)
    assert type(loaded) is Popular
    assert rows_of(loaded.retrieve(ASKED)) == rows_of(retriever.retrieve(ASKED))


# ---------------------------------------------------------------------------------------------------------------
# Hostile files; see also tests/serialization/test_damaged_archives.py
# ---------------------------------------------------------------------------------------------------------------

MOST = {name: fitted(name).to_archive() for name in RETRIEVERS} | {"two stages": two_stage().to_archive()}


@pytest.mark.parametrize("name", INDEXED)
def test_graph_that_leaves_itself_is_refused(name):
    archive = MOST[name]
    n = len(archive.arrays["graph_keys"])

    def refused(message, **changes):
        with pytest.raises(fastcf.DataError, match=message):
            from_archive(replace(archive, arrays={**archive.arrays, **changes}))

    base, upper, levels = (archive.arrays[f"graph_{each}"] for each in ("base", "upper", "levels"))
    for value in (-1, n):
        links = base.copy()
        links[0, 1] = value
        refused(rf"neighbours must be nodes in \[0, {n}\)", graph_base=links)
    for count in (-1, base.shape[1]):
        links = base.copy()
        links[3, 0] = count
        refused("lists must have 0 to", graph_base=links)
    if len(upper):
        links = upper.copy()
        links[0, :2] = 1, int(np.flatnonzero(levels == 0)[0])  # which does not lie on level 1
        refused("neighbours must lie on the level of their list", graph_upper=links)
        refused("the entry must be a node of the highest level", graph_entry=np.int64(np.argmin(levels)))
    refused("the entry must be a node", graph_entry=np.int64(n))
    refused("keys of nodes must be", graph_keys=np.zeros(n, np.int32))
    refused("shape", graph_levels=levels + np.int32(1))
    refused("indexed rows must be in", indexed_rows=archive.arrays["indexed_rows"] + np.int32(1000))
    moved = levels.copy()
    moved[:2] += np.array([-9, 9], np.int32)
    refused("levels of nodes must be from 0 to", graph_levels=moved)


@pytest.mark.parametrize("index", [{}, {"library": "annoy", "m": 3, "ef_construction": 9}, 3, {"library": "usearch"}])
def test_index_of_other_settings_is_refused(index):
    archive = next(MOST[name] for name in INDEXED)
    with pytest.raises(fastcf.DataError, match="what NearestVectors has learnt is damaged"):
        from_archive(replace(archive, meta={**archive.meta, "index": index}))


@pytest.mark.parametrize("library", sorted({name.split(" by ")[1].split(",")[0] for name in INDEXED}))
@pytest.mark.parametrize("n", [1, 2, 33, 1025])
def test_index_of_a_graph_searches_like_the_one_that_built_it(library, n):
    rng = np.random.default_rng(n)
    vectors, rows = rng.standard_normal((n + 3, 6)).astype(np.float32), np.arange(1, n + 1, dtype=np.int32)
    settings = IndexSettings(library, 3, 40)
    built = VectorIndex(settings, vectors, rows, n_threads=1, caller="test")
    queries = rng.standard_normal((40, 6)).astype(np.float32)
    stored = VectorIndex.stored(Archive("Index", {}, built.arrays), settings, vectors)
    for other in (stored, pickle.loads(pickle.dumps(built))):
        for mine, theirs in zip(built.search(queries, 9, 20), other.search(queries, 9, 20), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for name, array in built.arrays.items():
            np.testing.assert_array_equal(other.arrays[name], array)
    assert n < 100 or built.arrays["graph_levels"].max() > 1


@given(data=st.data())
def test_graph_check_accepts_no_list_that_leaves_the_graph(data):
    """Against a plain loop over all lists."""
    n, m = data.draw(st.integers(0, 6)), 2
    numbers = st.integers(-1, n)
    levels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int32)
    keys = np.array(data.draw(st.permutations(range(n))), np.int32)

    def lists(rows, width):
        table = np.array([[data.draw(numbers) for _ in range(width)] for _ in range(rows)], np.int32)
        return table.reshape(rows, width)

    graph = Graph(keys, levels, lists(n, 1 + 2 * m), lists(int(levels.sum()), 1 + m), data.draw(st.integers(-1, n)))
    places = [(node, 0) for node in range(n)] + [(node, k) for node in range(n) for k in range(1, levels[node] + 1)]
    every = [*graph.base.tolist(), *graph.upper.tolist()]
    fine = n == 0 or (0 <= graph.entry < n and levels[graph.entry] == levels.max())
    for (_, level), (count, *nodes) in zip(places, every, strict=True):
        fine &= 0 <= count <= len(nodes)
        fine &= all(0 <= node < n and levels[node] >= level for node in nodes[: max(0, count)])
    if fine:
        graph.check()
    else:
        with pytest.raises(ValueError, match="must"):
            graph.check()


def test_file_of_an_index_without_its_library_names_the_remedy(monkeypatch, tmp_path):
    pytest.importorskip("usearch", reason="usearch is not installed")
    fitted("related by usearch").save(tmp_path / "file")
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ImportError, match=r"load: index='usearch' needs the package usearch: pip install"):
        fastcf.load(tmp_path / "file")


def test_file_with_a_wrong_kind_of_part_is_refused(tmp_path):
    archive = MOST["two stages"]
    for name, part, message in (
        ("ranker", MOST["popular"], "ranker must have a method predict"),
        ("retriever popular", MODEL.to_archive(), "retrievers must be a list"),
    ):
        save_archive(tmp_path / "file", replace(archive, parts={**archive.parts, name: part}))
        with pytest.raises(fastcf.DataError, match=message):
            fastcf.load(tmp_path / "file")
    for name in archive.parts:
        parts = {each: part for each, part in archive.parts.items() if each != name}
        with pytest.raises(fastcf.DataError, match=f"needs the part '{name}'"):
            from_archive(replace(archive, parts=parts))
    assert RelatedItems.from_archive(MOST["related"]).k == 6
