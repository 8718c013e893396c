"""The two-step recommender: merging, provenance, ranking by all kinds of models, and strangers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

import fastcf
from fastcf import IdMap, Ratings
from fastcf.retrieval import (
    Candidates,
    FeatureRanker,
    NearestVectors,
    Popular,
    RelatedItems,
    TopPerGroup,
    TwoStageRecommender,
)


class Fixed:
    """Proposes the same items, given by id, to everybody that it knows."""

    def __init__(self, proposals, items):
        self.proposals, self.items = proposals, items

    def fit(self, X, y=None):
        return self

    def retrieve(self, users, *, exclude_seen=True):
        rows = [np.sort(self.items.rows(self.proposals.get(user, []))) for user in np.asarray(users).tolist()]
        indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        indices = np.concatenate([np.empty(0, np.int32), *rows]).astype(np.int32)
        return Candidates(indptr, indices, np.zeros(indices.size, np.float32), self.items)


@pytest.fixture(scope="module")
def ratings():
    return fastcf.data.make_ratings(300, 150, 9_000, random_state=1)


@pytest.fixture(scope="module")
def model(ratings):
    return fastcf.MatrixFactorization(8, random_state=0).fit(ratings)


def sources(model, ratings):
    groups = ratings.items, ratings.items.ids % 7
    return [NearestVectors(model, 15), RelatedItems(model, 4, 6), TopPerGroup(groups, 2, 8), Popular(10)]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([1, 3, 60]), st.booleans())
def test_two_stage_equals_plain_python(ratings, model, seed, n_sources, n, exclude_seen):
    rng = np.random.default_rng(seed)
    asked = [*rng.integers(0, 300, 20).tolist(), 10**6]
    proposals = [
        {user: rng.permutation(160)[: rng.integers(0, 30)].tolist() for user in set(asked)} for _ in range(n_sources)
    ]
    # each source numbers items in its own way, and knows some that the model does not
    maps = [IdMap(rng.permutation(160)) for _ in range(n_sources)]
    found_in = [Fixed(p, items) for p, items in zip(proposals, maps, strict=True)]
    recommender = TwoStageRecommender([(f"s{r}", s) for r, s in enumerate(found_in)], model).fit(ratings)
    items, scores, found_by = recommender.recommend(asked, n, exclude_seen=exclude_seen)
    assert items.shape == scores.shape == found_by.shape == (21, n)
    for position, user in enumerate(asked):
        seen = set(ratings.to_scipy()[user].indices.tolist()) if user < 300 and exclude_seen else set()
        pool = sorted({item for p in proposals for item in p[user] if item < 150} - seen)
        score = model.predict([(user, item) for item in pool], clip=False)
        order = sorted(range(len(pool)), key=lambda e, score=score: (-score[e], e))[:n]
        best = [pool[e] for e in order]
        assert items[position].tolist() == best + [-1] * (n - len(best))
        finders = [sum(1 << r for r, p in enumerate(proposals) if item in p[user]) for item in best]
        assert found_by[position].tolist() == finders + [0] * (n - len(best))
        predicted = model.predict([(user, item) for item in best]).tolist() if best else []
        assert scores[position].tolist() == predicted + [-np.inf] * (n - len(best))


def test_two_stage_of_everything_is_the_exhaustive_ranking(ratings, model):
    whole = TwoStageRecommender([NearestVectors(model, 150), Popular(5)], model).fit(ratings)
    users = ratings.users.ids
    items, scores, _ = whole.recommend(users, 12)
    best = model.recommend(users, 12)
    np.testing.assert_array_equal(items, best.items)
    np.testing.assert_allclose(scores, best.scores, rtol=1e-5)


def test_two_stage_answers_alike_alone_in_any_order_and_on_any_number_of_threads(ratings, model):
    recommender = TwoStageRecommender(sources(model, ratings), model).fit(ratings)
    users = np.random.default_rng(0).permutation(310)
    found = recommender.recommend(users, 8)
    for position in (0, 99, int(np.argmax(users == 305))):
        for part, alone in zip(found, recommender.recommend(users[position], 8), strict=True):
            np.testing.assert_array_equal(part[position], alone)
    for n_threads in (1, 2, 4):
        for part, again in zip(found, recommender.set_params(n_threads=n_threads).recommend(users, 8), strict=True):
            np.testing.assert_array_equal(part, again)
    backwards = TwoStageRecommender(sources(model, ratings)[::-1], model).fit(ratings).recommend(users, 8)
    np.testing.assert_array_equal(backwards.items, found.items)
    assert all(len(set(row)) == row.size for row in (row[row >= 0] for row in found.items))
    entries = ratings.row_of_entry().astype(np.int64) * 1000 + ratings.indices
    assert not np.isin(users[:, None] * 1000 + found.items, entries).any()


def test_two_stage_in_batches_equals_one_batch(ratings, model, monkeypatch):
    recommender = TwoStageRecommender(sources(model, ratings), model).fit(ratings)
    whole = recommender.recommend(ratings.users.ids, 5)
    monkeypatch.setattr("fastcf.retrieval.two_stage._USERS_AT_ONCE", 7)
    for part, batched in zip(whole, recommender.recommend(ratings.users.ids, 5), strict=True):
        np.testing.assert_array_equal(part, batched)


def test_two_stage_explains_its_scores_by_the_ranker(ratings):
    linear = fastcf.LinearAutoencoder().fit(ratings)
    for ranker in (linear, fastcf.Blend([("linear", linear), ("popular", fastcf.Popular())], metric="ndcg@10")):
        ranker = ranker if ranker is linear else ranker.fit(ratings)
        recommender = TwoStageRecommender([Popular(20)], ranker).fit(ratings)
        items, scores, _ = recommender.recommend(7, 5)
        for why, score in zip(recommender.explain(7, items), scores.tolist(), strict=True):
            assert why.prediction == score
            parts = sum(why.base.values()) + why.contributions.sum() + why.rest
            assert abs(parts - why.score) < 1e-5 * max(1, abs(why.score))
    assert TwoStageRecommender([Popular(20)], linear).fit(ratings).explain(10**6, 1).contributions.size == 0


def test_two_stage_says_why_it_explains_nothing(ratings):
    network = fastcf.Autoencoder((3,), n_epochs=1, random_state=0).fit(ratings)
    recommender = TwoStageRecommender([Popular(5)], network)
    with pytest.raises(NotFittedError):
        recommender.explain(7, 1)
    recommender.fit(ratings)
    assert not hasattr(recommender, "explain")
    with pytest.raises(AttributeError, match="Autoencoder has no explain: hidden layers"):
        recommender.explain(7, 1)


def test_two_stage_names_who_found_what(ratings, model):
    items = ratings.items
    first, second = Fixed({7: [1, 2]}, items), Fixed({7: [2, 3]}, items)
    recommender = TwoStageRecommender([("one", first), ("two", second), Popular(150)], model).fit(ratings)
    found = recommender.recommend(7, 150, exclude_seen=False)
    names = dict(zip(found.items.tolist(), map(recommender.names_of, found.found_by), strict=True))
    popular = set(Popular(150).fit(ratings).retrieve(7, exclude_seen=False).of(0)[0].tolist())
    wanted = {1: ["one"], 2: ["one", "two"], 3: ["two"]}
    assert names.keys() == popular | {1, 2, 3}
    for item, finders in names.items():
        assert finders == wanted.get(item, []) + ["popular"] * (item in popular)
    assert recommender.names_of(0) == []
    twins = TwoStageRecommender([first, second, Popular()], model).fit(ratings)
    assert list(twins.retrievers_) == ["fixed-1", "fixed-2", "popular"]


def test_two_stage_strangers_get_what_is_popular(ratings, model):
    recommender = TwoStageRecommender(sources(model, ratings), model).fit(ratings)
    items, scores, found_by = recommender.recommend([10**6, 3], 10)
    assert set(items[0]) == set(Popular(10).fit(ratings).retrieve(10**6).of(0)[0])
    assert (found_by[0] == 8).all()
    assert np.isfinite(scores).all()
    nothing = TwoStageRecommender([NearestVectors(model)], model).fit(ratings).recommend(10**7, 3)
    assert nothing.items.tolist() == [-1, -1, -1]
    assert np.isneginf(nothing.scores).all()
    assert recommender.recommend("3", 10).items.tolist() == items[1].tolist()  # the same user as 3
    with pytest.raises(
        TypeError, match=r"TwoStageRecommender.recommend: users must be integers, .* got 'x' at entry 1"
    ):
        recommender.recommend(["3", "x"], 3)
    nobody = recommender.recommend([], 3)
    assert nobody.items.shape == nobody.scores.shape == nobody.found_by.shape == (0, 3)


@pytest.mark.parametrize("kind", ["squared", "labels", "elsewhere"])
def test_two_stage_min_score_keeps_what_reaches_it(ratings, kind):
    ranker = {
        "squared": fastcf.MatrixFactorization(4, random_state=0),
        "labels": fastcf.MatrixFactorization(4, cost="logistic", threshold=3.5, random_state=0),
        "elsewhere": Described(ratings.items),
    }[kind]
    if kind != "elsewhere":
        ranker.fit(ratings)
    recommender = TwoStageRecommender([Popular(60)], ranker).fit(ratings)
    users = [0, 5, 299, 10**6]
    whole = recommender.recommend(users, 20)
    least = float(np.median(whole.scores))
    some = recommender.recommend(users, 20, min_score=least)
    kept = whole.scores >= np.float32(least)
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(some.items, np.where(kept, whole.items, -1))
    np.testing.assert_array_equal(some.scores, np.where(kept, whole.scores, -np.inf))
    np.testing.assert_array_equal(some.found_by, np.where(kept, whole.found_by, 0))
    alone = recommender.recommend(users[0], 20, min_score=least)
    np.testing.assert_array_equal(alone.items, some.items[0])
    assert (recommender.recommend(users, 20, min_score=1e300).items == -1).all()
    for wrong in ("much", np.nan, np.inf):
        with pytest.raises(
            ValueError, match=r"TwoStageRecommender\.recommend: min_score must be a finite number or None"
        ):
            recommender.recommend(users, min_score=wrong)


def test_two_stage_text_ids():
    ratings = fastcf.data.make_ratings(40, 30, 600, random_state=0)
    users, items, values = ratings.to_coo()
    named = Ratings.from_coo(np.char.add("u", users.astype(str)), np.char.add("i", items.astype(str)), values)
    model = fastcf.MatrixFactorization(4, random_state=0).fit(named)
    recommender = TwoStageRecommender([NearestVectors(model, 5), Popular(5)], model).fit(named)
    found = recommender.recommend(["u3", "u4", "nobody"], 20, exclude_seen=False)
    assert found.items.dtype == named.items.ids.dtype
    assert (found.items[:, -1] == "").all()
    assert np.isin(found.items[:, 0], named.items.ids).all()


class Described:
    """A ranker from elsewhere: it predicts pairs of ids."""

    def __init__(self, items):
        self.items_ = items

    def predict(self, X):
        assert X.shape[1] == 2
        return -np.asarray(X[:, 1], float)


def test_two_stage_ranks_by_whatever_predicts_pairs(ratings, model):
    recommender = TwoStageRecommender([Popular(20)], Described(ratings.items)).fit(ratings)
    for user in (3, [3, 4]):
        items, scores, _ = recommender.recommend(user, 20)
        np.testing.assert_array_equal(items, np.sort(items, axis=-1))
        np.testing.assert_array_equal(scores, -items)
    assert recommender.recommend(10**7, 2).items[0] >= 0
    assert recommender.recommend([], 2).items.shape == (0, 2)


RANKERS = {
    "bias": lambda ratings: fastcf.BiasModel(),
    "logistic": lambda ratings: fastcf.MatrixFactorization(4, cost="logistic", threshold=3.5, random_state=0),
    "autoencoder": lambda ratings: fastcf.Autoencoder((8,), n_epochs=2, output_activation="sigmoid", random_state=0),
    "linear blend": lambda ratings: fastcf.Blend([fastcf.BiasModel(), fastcf.MatrixFactorization(4)], random_state=0),
    "blend": lambda ratings: fastcf.Blend(
        [fastcf.BiasModel(), fastcf.Autoencoder((8,), n_epochs=2)], non_negative=True, random_state=0
    ),
    "perceptron": lambda ratings: fastcf.UserPerceptron((3,), features="mf", threshold=3.5, n_epochs=2, random_state=0),
    "levels": lambda ratings: fastcf.UserPerceptron((3,), features="mf", targets="levels", n_epochs=2, random_state=0),
    "two towers": lambda ratings: fastcf.TwoTower((8,), (8,), 4, n_epochs=2, random_state=0),
}


@pytest.mark.parametrize("name", RANKERS)
def test_two_stage_ranks_by_any_model_as_the_model_itself_does(ratings, name):
    ranker = RANKERS[name](ratings).fit(ratings)
    recommender = TwoStageRecommender([Popular(150)], ranker).fit(ratings)
    asked = [0, 5, 299, 10**6]
    items, scores, _ = recommender.recommend(asked, 10)
    best = ranker.recommend(asked, 10)
    # block scores and pair scores are summed in another order: what is within rounding may change places
    np.testing.assert_allclose(scores, best.scores, rtol=1e-4, atol=1e-5)
    assert (items == best.items).mean() > 0.9


def features(ratings):
    rng = np.random.default_rng(2)
    users = fastcf.FeatureTable(range(290), rng.normal(size=(290, 3)))  # ten users have none
    items = fastcf.FeatureTable(range(160), rng.normal(size=(160, 4)))  # ten items have no ratings
    return users, items


@pytest.mark.parametrize("sparse", [False, True])
def test_feature_ranker_learns_from_both_sides(ratings, sparse, monkeypatch):
    monkeypatch.setattr("fastcf.retrieval.ranker._BATCH_BYTES", 1000)  # so that there are several batches
    users, items = features(ratings)
    if sparse:
        import scipy.sparse

        users, items = (fastcf.FeatureTable(t.ids, scipy.sparse.csr_matrix(t.matrix)) for t in (users, items))
    ranker = FeatureRanker(LinearRegression(), users, items).fit(ratings)
    dense = [t.matrix.toarray() if sparse else t.matrix for t in (users, items)]
    dense = [np.vstack([m, m.mean(axis=0)]) for m in dense]
    rows, columns, values = ratings.to_coo()
    matrix = np.hstack([dense[0][np.minimum(rows, 290)], dense[1][columns]])
    plain = LinearRegression().fit(matrix, values)
    np.testing.assert_allclose(ranker.predict(ratings), plain.predict(matrix), rtol=1e-4)
    asked = [(3, 155), (295, 2), (10**6, 10**6)]
    matrix = np.hstack([dense[0][[3, -1, -1]], dense[1][[155, 2, -1]]])
    np.testing.assert_allclose(ranker.predict(asked), plain.predict(matrix), rtol=1e-4)
    with pytest.raises(ValueError, match=r"FeatureRanker\.predict: strict=True needs known user ids; got 295"):
        ranker.predict(asked[1:2], strict=True)


def test_two_stage_ranks_by_gradient_boosting(ratings):
    users, items = features(ratings)
    boosting = HistGradientBoostingRegressor(max_iter=10, random_state=0)
    ranker = FeatureRanker(boosting, users, items).fit(ratings)
    recommender = TwoStageRecommender([Popular(30), TopPerGroup((items.ids, items.ids.ids % 3), 1, 30)], ranker)
    found = recommender.fit(ratings).recommend([1, 2, 10**6], 5)
    for row, user in zip(found.items, (1, 2, 10**6), strict=True):
        pool = sorted({item for r in recommender.retrievers_.values() for item in r.retrieve(user).of(0)[0].tolist()})
        predicted = ranker.predict([(user, item) for item in pool])
        assert row.tolist() == [pool[e] for e in np.argsort(-predicted, kind="stable")[:5]]


def test_feature_ranker_draws_ratings_and_uses_weights(ratings):
    _, items = features(ratings)

    class Counting(LinearRegression):
        def fit(self, X, y, sample_weight=None):
            self.rows_, self.weights_ = len(X), sample_weight
            return super().fit(X, y, sample_weight)

    few = FeatureRanker(Counting(), item_features=items, max_ratings=500, random_state=0)
    assert few.fit(ratings).regressor_.rows_ == 500
    first = few.predict([(1, 2)])
    np.testing.assert_array_equal(few.fit(ratings).predict([(1, 2)]), first)
    assert few.set_params(max_ratings=10**9).fit(ratings).regressor_.rows_ == ratings.nnz
    assert few.regressor_.weights_ is None
    weights = np.random.default_rng(0).random(ratings.nnz).astype(np.float32)
    weighted = few.fit(Ratings.from_coo(*ratings.to_coo(), weights=weights))
    np.testing.assert_array_equal(weighted.regressor_.weights_, weights)


def test_feature_ranker_is_a_model_like_others(ratings, tmp_path):
    users, items = features(ratings)
    ranker = FeatureRanker(LinearRegression(), users, items).fit(ratings)
    found = ranker.recommend([3, 10**6], 5, min_score=0.0)
    pairs = [(user, item) for user in (3, 10**6) for item in ranker.items_.ids.tolist()]
    np.testing.assert_allclose(ranker.predict_matrix([3, 10**6]).ravel(), ranker.predict(pairs), rtol=1e-6)
    seen = set(ratings.items.ids[ratings.to_scipy()[3].indices].tolist())
    scores = dict(zip(pairs, ranker.predict(pairs).tolist(), strict=True))
    best = sorted((item for item in ranker.items_.ids.tolist() if item not in seen), key=lambda i: (-scores[3, i], i))
    assert found.items[0].tolist() == best[:5]
    error = fastcf.metrics.rmse(ratings.values, ranker.predict(ratings))
    assert ranker.score(ratings) == pytest.approx(-error)
    blend = fastcf.Blend([("boosted", ranker), ("bias", fastcf.BiasModel())], random_state=0).fit(ratings)
    assert list(blend.models_) == ["boosted", "bias"]
    with pytest.raises(TypeError, match=r"FeatureRanker\.save: files hold no code"):
        ranker.save(tmp_path / "ranker")
    assert not hasattr(ranker, "fold_in")
    with pytest.raises(ValueError, match=r"FeatureRanker computes no new rows from ratings"):
        ranker.predict(pairs, history=ratings)


class Broken(Fixed):
    def __init__(self, result):
        self.result = result

    def retrieve(self, users, *, exclude_seen=True):
        return self.result


MAP = IdMap.range(3)
NONE = np.empty(0, np.float32)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (None, TypeError, "'broken' must return Candidates; got NoneType"),
        (Candidates(np.int64([0]), np.int32([]), NONE, MAP), ValueError, "rows for 2 users; got indptr of shape"),
        (Candidates(np.int64([0, 1, 1]), np.int32([]), NONE, MAP), ValueError, "for 0 indices"),
        (Candidates(np.int64([0, 2, 1]), np.int32([2]), NONE, MAP), ValueError, "must not decrease"),
        (Candidates(np.int64([0, 1, 1]), np.int32([3]), NONE, MAP), ValueError, r"in \[0, 3\); got 3 to 3"),
    ],
)
def test_two_stage_refuses_broken_candidates(ratings, model, result, error, message):
    recommender = TwoStageRecommender([Broken(result)], model).fit(ratings)
    with pytest.raises(error, match=message):
        recommender.recommend([1, 2])


@pytest.mark.parametrize(
    ("retrievers", "ranker", "error", "message"),
    [
        ([], None, ValueError, "retrievers must be a list of 1 to 64 retrievers or pairs .*; got 0"),
        ([Popular()] * 65, None, ValueError, "; got 65"),
        (Popular(), None, TypeError, "retrievers must be a list .*; got Popular"),
        ([("a", Popular()), ("a", Popular())], None, ValueError, r"names of retrievers must differ; got \['a', 'a'\]"),
        (["popular"], None, TypeError, ".*which have the methods fit and retrieve; got"),
        ([Popular()], 3, TypeError, "ranker must have a method predict; got int"),
        (
            [Popular()],
            fastcf.BiasModel(),
            NotFittedError,
            "ranker must be fitted and have items_ .*FeatureRanker.*; got BiasModel",
        ),
    ],
)
def test_two_stage_bad_parameters_raise(ratings, model, retrievers, ranker, error, message):
    with pytest.raises(error, match=f"TwoStageRecommender.fit: {message}" if message[0] != ";" else message):
        TwoStageRecommender(retrievers, ranker or model).fit(ratings)


def test_two_stage_and_feature_ranker_before_fit_and_bad_input_raise(ratings, model):
    recommender = TwoStageRecommender([Popular()], model)
    with pytest.raises(NotFittedError, match=r"recommend: the recommender must be fitted first; call fit"):
        recommender.recommend(1)
    with pytest.raises(NotFittedError, match=r"names_of: the recommender must be fitted first"):
        recommender.names_of(1)
    with pytest.raises(ValueError, match=r"TwoStageRecommender\.recommend: n must be .*; got 0"):
        recommender.fit(ratings).recommend(1, 0)
    with pytest.raises(ValueError, match=r"user_features or item_features must be given; got None for both"):
        FeatureRanker(LinearRegression()).fit(ratings)
    with pytest.raises(NotFittedError, match=r"FeatureRanker\.predict: the model must be fitted first"):
        FeatureRanker(LinearRegression(), item_features=features(ratings)[1]).predict([(1, 2)])
    with pytest.raises(TypeError, match=r"FeatureRanker\.fit: item_features must be a FeatureTable or a pair"):
        FeatureRanker(LinearRegression(), item_features=3).fit(ratings)
