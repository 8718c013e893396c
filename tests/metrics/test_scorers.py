"""Scorers: every name gives the figure of its function; functions are metrics too."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastcf
from fastcf.metrics import as_scorer, ranking

ALL = ["rmse", "mae", "log_loss", "auc", "accuracy", "calibration_error"]
LISTS = {
    "precision": "precision",
    "recall": "recall",
    "capped_recall": "capped_recall",
    "hit_rate": "hit_rate",
    "mrr": "reciprocal_rank",
    "map": "average_precision",
    "ndcg": "ndcg",
    "graded_ndcg": "graded_ndcg",
}


@pytest.fixture(scope="module")
def parts():
    return fastcf.data.train_test_split(fastcf.data.make_ratings(80, 40, 1500, random_state=0), 0.2, random_state=0)


@pytest.fixture(scope="module")
def model(parts):
    return fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(parts[0])


@pytest.fixture(scope="module")
def labels(parts):
    return fastcf.MatrixFactorization(4, cost="logistic", threshold=4, n_epochs=3, random_state=0).fit(parts[0])


def absolute_error(recommender, held_out):
    return float(np.abs(recommender.predict(held_out) - held_out.values).mean())


absolute_error.greater_is_better = False


@pytest.mark.parametrize("name", LISTS)
def test_scorer_of_lists_is_ranking(parts, model, name):
    test = parts[1]
    users = test.users.ids[np.diff(test.indptr) > 0]
    for k in (5, 20):
        scorer = as_scorer(f"{name}@{k}", "test")
        assert (scorer.name, scorer.greater_is_better, scorer.lists) == (f"{name}@{k}", True, True)
        assert scorer(model, test) == getattr(ranking(model.recommend(users, k), users, test), LISTS[name])
        cut = as_scorer(f"{name}@{k}", "test", threshold=4)(model, test)
        assert cut == getattr(ranking(model, None, test, k=k, threshold=4), LISTS[name])
        assert pickle.loads(pickle.dumps(scorer))(model, test) == scorer(model, test)


@pytest.mark.parametrize("name", ["coverage", "gini", "novelty", "mean_popularity"])
def test_scorer_of_the_catalogue_is_beyond_accuracy(parts, labels, name):
    train, test = parts
    scorer = as_scorer(f"{name}@5", "test")
    assert (scorer.name, scorer.lists) == (f"{name}@5", True)
    assert scorer.greater_is_better is (name in ("coverage", "novelty"))
    liked = test.take(test.values >= 4)
    users = liked.users.ids[liked.user_counts() > 0]
    wanted = getattr(fastcf.metrics.beyond_accuracy(labels, users, train, k=5), name)
    assert scorer(labels, test) == pytest.approx(wanted, rel=1e-12)
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    source = fastcf.retrieval.NearestVectors(labels, k=30).fit(train)
    two_stages = fastcf.retrieval.TwoStageRecommender([source], ranker=labels).fit(train)
    users = test.users.ids[test.user_counts() > 0]
    for recommender in (source, two_stages):
        wanted = getattr(fastcf.metrics.beyond_accuracy(recommender, users, train, k=5), name)
        assert scorer(recommender, test) == pytest.approx(wanted, rel=1e-12)


def test_scorer_of_the_catalogue_needs_what_was_seen(parts, model):
    class Lists:
        def recommend(self, users, n=10):
            return model.recommend(users, n)

    with pytest.raises(TypeError, match=r"Scorer gini@5: recommender must have items_ and seen_.*; got Lists without"):
        as_scorer("gini@5", "test")(Lists(), parts[1])
    with pytest.raises(ValueError, match="Scorer coverage@5: some user must have relevant ratings"):
        as_scorer("coverage@5", "test", threshold=9)(model, parts[1])


def test_training_is_validated_by_coverage(parts):
    model = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0)
    model.fit(parts[0], validation=parts[1], validation_metric="gini@5", validation_every=2)
    measured = {record["epoch"]: record["validation_gini@5"] for record in model.history_}
    assert measured.pop(1) is None
    measured.pop(0)  # before training
    assert model.n_epochs_ == min(measured, key=measured.get)  # the least is the best


@pytest.mark.parametrize("name", ALL)
def test_scorer_of_predictions_is_its_function(parts, model, labels, name):
    test = parts[1]
    function = getattr(fastcf.metrics, {"auc": "roc_auc"}.get(name, name))
    scorer = as_scorer(name, "test")
    assert (scorer.greater_is_better, scorer.lists) == (name in ("auc", "accuracy"), False)
    liked = test.values >= 4
    assert scorer(labels, test) == function(liked, labels.predict(test))
    if name in ("rmse", "mae"):
        assert scorer(model, test) == function(test.values, model.predict(test))
    if name == "auc":
        assert as_scorer(name, "test", threshold=4)(model, test) == function(liked, model.predict(test))
        with pytest.raises(
            ValueError, match="Scorer auc: held_out must hold labels 0 and 1, or there must be a thresh"
        ):
            scorer(model, test)


def test_scorer_counts_the_weights_of_ratings(parts, model):
    test = parts[1]
    weights = np.random.default_rng(0).random(test.nnz).astype(np.float32)
    weighted = fastcf.Ratings(
        test.indptr, test.indices, test.values, users=test.users, items=test.items, weights=weights
    )
    wanted = fastcf.metrics.rmse(test.values, model.predict(test), sample_weight=weights)
    assert as_scorer("rmse", "test")(model, weighted) == wanted


def test_scorer_takes_what_models_learn_as_relevant(parts, labels):
    train, test = parts
    users = test.users.ids
    chosen = test.take(test.values >= 4)
    wanted = ranking(labels.recommend(users, 10), users, chosen).ndcg
    assert as_scorer("ndcg@10", "test")(labels, test) == wanted
    implicit = fastcf.ImplicitFactorization(4, threshold=4, random_state=0).fit(train)
    assert as_scorer("ndcg@10", "test")(implicit, test) == pytest.approx(implicit.score(test))
    assert as_scorer("score", "test")(implicit, test) == implicit.score(test)
    with pytest.raises(
        ValueError, match=r"Scorer rmse: recommender must predict ratings or labels; got Implicit.*ndcg@"
    ):
        as_scorer("rmse", "test")(implicit, test)
    assert 0 < as_scorer("auc", "test")(implicit, test) < 1


def test_scorer_of_a_function(parts, model):
    scorer = as_scorer(absolute_error, "test")
    assert (scorer.name, scorer.greater_is_better, scorer.lists) == ("absolute_error", False, True)
    assert scorer(model, parts[1]) == pytest.approx(as_scorer("mae", "test")(model, parts[1]))
    assert as_scorer(scorer, "test") is scorer
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    for wrong, error in (
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("good", TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=r"Scorer <lambda>: the metric must be a (finite )?number; got"):
            as_scorer(lambda recommender, held_out, wrong=wrong: wrong, "test")(model, parts[1])


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@x", "ndcg@", "ndcg@99999", "rmse@10", "r2", ""])
def test_scorer_refuses_unknown_names(name):
    unknown = r"fit: there is no metric .*; there are 'rmse', .*'ndcg@10': precision@k"
    length = rf"fit: metric 'ndcg' must have the length of lists, .* from 1 to 9999, as in 'ndcg@10'; got '{name}'"
    with pytest.raises(ValueError, match=length if name.startswith("ndcg") else unknown):
        as_scorer(name, "fit")


def test_scorer_refuses_what_cannot_be_measured(model, parts):
    with pytest.raises(TypeError, match="fit: a metric must be a function or a name"):
        as_scorer(10, "fit")
    with pytest.raises(TypeError, match="Scorer ndcg@10: recommender must have a method recommend; got int"):
        as_scorer("ndcg@10", "fit")(7, parts[1])
    with pytest.raises(TypeError, match="Scorer rmse: held_out must be Ratings; got list"):
        as_scorer("rmse", "fit")(model, [])
