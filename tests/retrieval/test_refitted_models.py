"""What is built on a model answers from the state it was built on, whatever becomes of the model."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fastcf
from blends import Curved
from fastcf.retrieval import FeatureRanker, NearestVectors, Popular, RelatedItems, TopPerGroup, TwoStageRecommender
from fastcf.retrieval._index import LIBRARIES

R = fastcf.data.make_ratings(200, 100, 5_000, random_state=0)
USERS, ITEMS, VALUES = R.to_coo()
FIRST = fastcf.Ratings.from_coo(USERS, ITEMS + 1, VALUES)
SECOND = fastcf.Ratings.from_coo(USERS, np.where(ITEMS == 0, 101, ITEMS + 1), VALUES)  # item 1 has gone, 101 is new
ASKED = [7, 3, 199, 10**6]


def mf(**options):
    return fastcf.MatrixFactorization(8, random_state=0, **{"n_epochs": 5, **options})


def rows_of(candidates):
    return [tuple(map(np.ndarray.tolist, candidates.of(row))) for row in range(len(ASKED))]


def library(name):
    if name != "exact":
        pytest.importorskip(name, reason=f"{name} is not installed")
    return name


@pytest.mark.parametrize("index", ["exact", *LIBRARIES])
@pytest.mark.parametrize("kind", [NearestVectors, RelatedItems])
def test_retriever_answers_from_the_state_it_was_built_on(kind, index):
    model = mf().fit(FIRST)
    retriever = kind(model, k=5, index=library(index), n_threads=1).fit(FIRST)
    before, items = rows_of(retriever.retrieve(ASKED)), retriever.items_
    model.fit(SECOND)
    assert rows_of(retriever.retrieve(ASKED)) == before
    assert retriever.items_ is items
    assert 101 not in retriever.items_
    if kind is NearestVectors:
        assert retriever.recall(ASKED) > 0.9
    retriever.fit(SECOND)  # now it follows
    assert 101 in retriever.items_
    assert rows_of(retriever.retrieve(ASKED)) == rows_of(
        kind(model, k=5, index=index, n_threads=1).fit(SECOND).retrieve(ASKED)
    )


def test_nearest_vectors_are_the_best_of_the_old_state():
    model = mf().fit(FIRST)
    nearest = NearestVectors(model, k=3).fit()
    best = model.recommend(7, n=3).items.tolist()
    model.fit(SECOND)
    assert nearest.retrieve([7]).of(0)[0].tolist() == best


def rankers():
    rng = np.random.default_rng(0)
    tables = [fastcf.FeatureTable(range(n), rng.normal(size=(n, 3))) for n in (200, 102)]
    return {
        "factors": mf(),
        "labels": mf(cost="logistic", threshold=3.5),
        "curved": Curved(),
        "linear blend": fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0),
        "mixed blend": fastcf.Blend([mf(), Curved()], random_state=0),
        "features": FeatureRanker(LinearRegression(), *tables),
        "features of users": FeatureRanker(LinearRegression(), tables[0]),
    }


@pytest.mark.parametrize("name", rankers())
def test_two_stage_ranks_by_the_state_it_was_built_on(name):
    ranker, model = rankers()[name].fit(FIRST), mf().fit(FIRST)
    sources = [NearestVectors(model), RelatedItems(model), Popular(50), TopPerGroup((FIRST.items, FIRST.items.ids % 7))]
    two = TwoStageRecommender(sources, ranker).fit(FIRST)
    before = two.recommend(ASKED, 12)
    ranker.fit(SECOND)
    model.fit(SECOND)
    for part, again in zip(before, two.recommend(ASKED, 12), strict=True):
        np.testing.assert_array_equal(part, again)
    assert name == "features" or 101 not in two.items_  # there the ids are those of the tables
    found = two.fit(SECOND).recommend(ASKED, 101, exclude_seen=False)
    assert 101 in found.items
    assert 1 not in found.items


def test_two_stage_refitted_retriever_is_translated_by_ids():
    model = mf().fit(FIRST)
    popular = Popular(200)
    two = TwoStageRecommender([popular], model).fit(FIRST)
    popular.fit(SECOND)
    items, scores, _ = two.recommend(7, 100, exclude_seen=False)
    kept = items >= 0
    assert set(items[kept].tolist()) == set(FIRST.items.ids.tolist()) - {1}
    np.testing.assert_array_equal(scores[kept], model.predict([(7, item) for item in items[kept]]))


def test_retriever_whose_fit_fails_stays_as_it_was():
    model = mf().fit(FIRST)
    nearest = NearestVectors(model, k=3).fit()
    before = rows_of(nearest.retrieve(ASKED))
    nearest.set_params(model=Curved().fit(SECOND))
    with pytest.raises(TypeError, match="a vector per item"):
        nearest.fit()
    assert rows_of(nearest.retrieve(ASKED)) == before
    two = TwoStageRecommender([nearest], model)
    with pytest.raises(TypeError, match="a vector per item"):
        two.fit(FIRST)
    assert not two.__sklearn_is_fitted__()


def test_two_stage_answers_are_of_one_state_while_it_is_refitted():
    model = mf(n_threads=1).fit(FIRST)
    two = TwoStageRecommender([Popular(200)], model).fit(FIRST)
    known = []
    for ratings in (FIRST, SECOND):
        known.append(
            TwoStageRecommender([Popular(200)], mf(n_threads=1).fit(ratings)).fit(ratings).recommend(ASKED, 15)
        )
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            found = two.recommend(ASKED, 15)
            # The source may already be the new one: then an item is missing, but scores are of one state.
            for row, user in enumerate(ASKED):
                pairs = {(i, s) for i, s in zip(found.items[row].tolist(), found.scores[row].tolist(), strict=True)}
                if not any(pairs <= every[row] for every in scored):
                    wrong.append(user)

    scored = []
    for ratings in (FIRST, SECOND):
        fitted = mf(n_threads=1).fit(ratings)
        every = []
        for user in ASKED:
            ids = ratings.items.ids
            every.append(set(zip(ids.tolist(), fitted.predict([(user, item) for item in ids]).tolist(), strict=True)))
            every[-1].add((-1, -np.inf))
        scored.append(every)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        ratings = (SECOND, FIRST)[turn % 2]
        model.fit(ratings)
        two.fit(ratings)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    final = two.recommend(ASKED, 15)
    np.testing.assert_array_equal(final.items, known[0].items)
