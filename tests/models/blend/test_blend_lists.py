"""Blends that make lists: weights by the NDCG of held-out choices."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from blends import mf, saved
from fastcf.data import train_test_split
from fastcf.metrics import ranking
from fastcf.models.blend.list_weights import list_weights
from fastcf.scores import Compute, FactorScores, Part, SeenItems, StandardScores, WeightedScores


@pytest.fixture(scope="module")
def ratings():
    return fastcf.data.make_ratings(300, 120, 9_000, random_state=0)


def members():
    return [("mf", mf(8, random_state=0)), ("labels", mf(4, cost="logistic", threshold=4.0, random_state=1))]


@pytest.fixture(scope="module")
def blend(ratings):
    return fastcf.Blend(members(), metric="ndcg@5", threshold=4.0, random_state=0).fit(ratings)


def test_weights_are_shares_and_the_blend_is_no_worse_than_its_members(blend):
    assert blend.weights_.sum() == pytest.approx(1)
    assert (blend.weights_ >= 0).all()
    assert blend.validation_ndcg_ >= max(blend.member_ndcg_.values()) - 1e-9
    assert blend.member_ndcg_.keys() == {"mf", "labels"}
    assert not hasattr(blend, "validation_rmse_")
    assert not hasattr(blend, "reg_")


def test_the_measure_is_the_ndcg_of_the_lists(ratings):
    train, held_out = train_test_split(ratings, 0.2, random_state=1)
    blend = fastcf.Blend(members(), metric="ndcg@5", threshold=4.0, random_state=0).fit(train, validation=held_out)
    users = held_out.users.ids
    lists = blend.recommend(users, n=5)
    assert ranking(lists, users, held_out, threshold=4.0).ndcg == pytest.approx(blend.validation_ndcg_, abs=1e-6)
    alone = fastcf.Blend(members()[:1], metric="ndcg@5", threshold=4.0, random_state=0).fit(train, validation=held_out)
    assert alone.weights_.tolist() == [1.0]
    own = alone.models_["mf"].recommend(users, n=5)
    np.testing.assert_array_equal(alone.recommend(users, n=5).items, own.items)


def test_blends_of_lists_are_deterministic_and_come_back_from_files(blend, ratings, tmp_path):
    again = fastcf.Blend(members(), metric="ndcg@5", threshold=4.0, random_state=0, n_threads=1).fit(ratings)
    np.testing.assert_array_equal(again.weights_, blend.weights_)
    users = ratings.users.ids[:20]
    loaded = saved(blend, tmp_path)
    assert loaded.metric == "ndcg@5"
    assert loaded.validation_ndcg_ == blend.validation_ndcg_
    for other in (again, loaded):
        np.testing.assert_array_equal(other.recommend(users).items, blend.recommend(users).items)
        np.testing.assert_array_equal(other.predict(ratings), blend.predict(ratings))
    assert loaded.score(ratings) == blend.score(ratings)


def test_new_users_are_computed_by_each_member_from_the_ratings(blend, ratings):
    users, items, values = ratings.to_coo()
    own = users == ratings.users.ids[7]
    history = fastcf.Ratings.from_coo(np.full(own.sum(), 9_999), items[own], values[own])
    found = blend.recommend(history=history, n=5)
    assert not set(found.items[0]) & set(items[own].tolist())
    parts = [model.fold_in(history).predict_matrix([9_999], clip=False) for model in blend.models_.values()]
    parts[1] = np.log(parts[1] / (1 - parts[1]))  # scores before the link
    wanted = sum(weight * (part - part.mean()) / part.std() for weight, part in zip(blend.weights_, parts, strict=True))
    np.testing.assert_allclose(blend.fold_in(history).predict_matrix([9_999]), wanted, atol=1e-3)


def test_a_useless_member_gets_no_weight():
    rng = np.random.default_rng(0)
    n_users, n_items = 200, 60
    good, bad = rng.normal(size=(2, n_users, n_items)).astype(np.float32)
    chosen = np.argsort(-(good + rng.normal(0, 0.3, good.shape)), axis=1)[:, :4]
    ratings = fastcf.Ratings.from_coo(
        np.repeat(np.arange(n_users), 4), chosen.ravel(), np.ones(4 * n_users), item_ids=fastcf.IdMap(range(n_items))
    )

    def table(scores):
        none = np.zeros(n_users, np.float32), np.zeros(n_items, np.float32), 0.0
        return StandardScores(FactorScores(scores, np.eye(n_items, dtype=np.float32), *none))

    parts = tuple(Part(table(each), 1.0, None, None, (-np.inf, np.inf)) for each in (good, bad))
    sums = WeightedScores(parts, 0.0, n_users, n_items)
    seen = SeenItems(np.zeros(n_users + 1, np.int64), np.empty(0, np.int32))
    compute = Compute(fastcf._backend.resolve_device("cpu", "test").module, 1)
    found = list_weights(sums, ratings, seen, "ndcg", 5, compute)
    assert found.weights[0] > 0.75
    assert found.measure >= found.member_measures[0] > found.member_measures[1]


@pytest.mark.parametrize("metric", ["recall@5", "hit_rate@3", "graded_ndcg@10", "map@5"])
def test_weights_are_those_of_the_best_lists(ratings, metric, tmp_path):
    train, held_out = train_test_split(ratings, 0.2, random_state=0)
    blend = fastcf.Blend(members(), metric=metric, threshold=4.0, random_state=0).fit(train, validation=held_out)
    name = metric.partition("@")[0]
    measure, own = getattr(blend, f"validation_{name}_"), getattr(blend, f"member_{name}_")
    assert measure >= max(own.values()) - 1e-9
    judge = fastcf.metrics.as_scorer(metric, "test", threshold=4.0)
    assert judge(blend, held_out) == pytest.approx(measure, abs=1e-6)
    blend.save(tmp_path / "blend")
    loaded = fastcf.load(tmp_path / "blend")
    assert getattr(loaded, f"member_{name}_") == own
    assert not hasattr(loaded, "validation_ndcg_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": "ndcg"},
            "metric must be 'rmse' or .*, or 'precision@k', .* with k from 1",
        ),
        ({"metric": "coverage@10"}, "metric must be 'rmse' .*; got 'coverage@10'"),
        ({"metric": "auc"}, "metric must be 'rmse' .*; got 'auc'"),
        ({"metric": "mae", "intercept": False}, "intercept .*for metric='mae'"),
        ({"metric": "mae", "threshold": 3.0}, "threshold .*for metric='mae'"),
        ({"metric": "ndcg@0"}, "metric must be"),
        ({"metric": "ndcg@5", "reg": 1.0}, "reg .*for metric='ndcg@5'"),
        ({"metric": "ndcg@5", "non_negative": True}, "non_negative .*for metric='ndcg@5'"),
        ({"threshold": 3.0}, "threshold .*for metric='rmse'"),
        ({"metric": "ndcg@5", "threshold": 99.0}, "some values must be choices"),
    ],
)
def test_wrong_options_are_refused(ratings, options, message):
    with pytest.raises(ValueError, match=message):
        fastcf.Blend([fastcf.BiasModel()], random_state=0, **options).fit(ratings)
