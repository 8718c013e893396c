"""Precision, recall, NDCG and the like of recommended lists, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

import fastcf
import reference_lists
from fastcf.metrics import ranking, ranking_by_user


def loop(lists, users, held_out, k, threshold):
    """Return the means by the book, a user at a time."""
    rated = {}
    for user, item, value in zip(*held_out.to_coo(), strict=True):
        if threshold is None or value >= threshold:
            rated.setdefault(user, {})[item] = float(value)
    wanted = [(items, rated[user]) for user, items in zip(users, lists, strict=True) if user in rated]
    scores = [reference_lists.list_measures(items, gains, k) for items, gains in wanted]
    means = {name: np.mean([one[name] for one in scores]) for name in scores[0]}
    means["hit_rate"] = means.pop("hit")
    return {**means, "n_users": len(scores), "n_without": len(lists) - len(scores)}


@given(
    seed=st.integers(0, 2**32 - 1),
    strings=st.booleans(),
    n=st.integers(1, 8),
    threshold=st.sampled_from([None, 3.0]),
)
def test_ranking_equals_a_loop(seed, strings, n, threshold):
    rng = np.random.default_rng(seed)
    of = (lambda ids: [f"i{i}" for i in ids]) if strings else (lambda ids: [int(i) - 3 for i in ids])
    pairs = rng.choice(15 * 12, 60, replace=False)
    held_out = fastcf.Ratings.from_coo(of(pairs // 12), of(pairs % 12), rng.integers(-1, 6, 60))
    users = of(rng.choice(20, 10, replace=False))  # some are unknown
    lists = [of(rng.choice(16, n, replace=False)) for _ in users]  # and so are some items
    several = range(1, n + 1)
    got = ranking(lists, users, held_out, k=several, threshold=threshold)
    assert list(got) == list(several)
    for k in several:
        assert got[k]._asdict() == pytest.approx(loop(lists, users, held_out, k, threshold), rel=1e-12)
    assert ranking(lists, users, held_out, threshold=threshold) == got[n]


def test_ranking_by_user_has_the_means_of_ranking_and_recall_of_what_fits():
    rng = np.random.default_rng(0)
    pairs = rng.choice(15 * 12, 60, replace=False)
    held_out = fastcf.Ratings.from_coo(pairs // 12, pairs % 12, rng.integers(1, 6, 60))
    users = rng.permutation(20)  # some are unknown
    lists = [rng.choice(16, 3, replace=False) for _ in users]
    each, means = (
        ranking_by_user(lists, users, held_out, k=2, threshold=3),
        ranking(lists, users, held_out, k=2, threshold=3),
    )
    assert each.means() == means
    assert np.mean(each.hit) == means.hit_rate
    assert (each.users.size, each.n_without) == (means.n_users, means.n_without)
    for position, user in enumerate(each.users):
        wanted = held_out.items.ids[held_out.indices[(held_out.row_of_entry() == held_out.users.rows([user])[0])
                                                     & (held_out.values >= 3)]]  # fmt: skip
        found = np.isin(lists[users.tolist().index(user)][:2], wanted).sum()
        assert each.n_relevant[position] == wanted.size
        assert each.recall[position] == found / wanted.size
        assert each.capped_recall[position] == found / min(2, wanted.size)
    assert [user for user in users if user in each.users] == each.users.tolist()
    with pytest.raises(ValueError, match="ranking_by_user: users must be as many as lists"):
        ranking_by_user(lists, users[1:], held_out)


def test_ranking_takes_what_models_recommend():
    ratings = fastcf.data.make_ratings(60, 30, 1_000, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    model = fastcf.MatrixFactorization(n_factors=4, random_state=0).fit(train)
    users = test.users.ids
    found = model.recommend(users, 30)  # fewer are left: lists end in padding
    assert np.isinf(found.scores).any()
    scores = ranking(found, users, test, k=10)
    lists = [[i for i, s in zip(*one, strict=True) if s > -np.inf] for one in zip(*found, strict=True)]
    wanted = loop([one + [None] * 10 for one in lists], users, test, 10, None)
    assert scores._asdict() == pytest.approx(wanted, rel=1e-12)
    assert scores.n_users == len(np.unique(test.row_of_entry()))
    assert ranking(found, users, test).recall == 1  # whatever is left is recommended


def test_padding_is_no_item():
    """-1 is padding in a list of integers, and may be an id."""
    held_out = fastcf.Ratings.from_coo([1], [-1], [5.0])
    padded = fastcf.Recommendations(np.array([[4, -1]]), np.array([[2.0, -np.inf]], np.float32))
    assert ranking(padded, [1], held_out).recall == 0
    assert ranking([[4, -1]], [1], held_out).recall == 1


def test_ndcg_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    held_out = fastcf.Ratings.from_coo(np.repeat(np.arange(20), 3), rng.permuted(np.tile(np.arange(9), (20, 1)),
                                       axis=1)[:, :3].ravel(), np.ones(60))  # fmt: skip
    scores = rng.random((20, 9))
    relevant = np.zeros((20, 9))
    relevant[held_out.row_of_entry(), held_out.items.ids[held_out.indices]] = 1
    for k in (1, 4, 9):
        got = ranking(np.argsort(-scores, axis=1), np.arange(20), held_out, k=k).ndcg
        assert got == pytest.approx(ndcg_score(relevant, scores, k=k), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1, 2]], [7, 8]), ValueError, r"users must be as many as lists \(1\); got 2"),
        (([1, 2], [7]), ValueError, r"recommended must have shape \(m, n\), neither of them 0; got \(2,\)"),
        (([[1, 1]], [7]), ValueError, "lists must not hold an item twice; that of user 7 does"),
        (([[1, 2]], [9]), ValueError, "some user must have relevant ratings in held_out; none has"),
        (([[1], [1], [9]], [7, 7, 8]), ValueError, "users must be distinct, a list each; got 2 lists of user 7"),
        (([[1.5, 2]], [7]), TypeError, "recommended must be integers or strings; got dtype float64"),
    ],
)
def test_ranking_refuses_what_it_cannot_compare(arguments, error, message):
    held_out = fastcf.Ratings.from_coo([7, 8], [1, 2], [5.0, 3.0])
    with pytest.raises(error, match=message):
        ranking(*arguments, held_out)


def test_ranking_refuses_bad_cuts():
    held_out = fastcf.Ratings.from_coo([7, 8], [1, 2], [5.0, 3.0])
    for k in (0, 3, True, 1.0, [1, 3], [1, 0], []):
        with pytest.raises(ValueError, match=r"k must (be an integer from 1 to|hold one or more integers)"):
            ranking([[1, 2]], [7], held_out, k=k)
    with pytest.raises(TypeError, match="held_out must be Ratings; got list"):
        ranking([[1, 2]], [7], [])
    with pytest.raises(ValueError, match="some user must have relevant"):
        ranking([[1, 2]], [7], held_out, threshold=6)


def test_ranking_lets_recommenders_make_lists():
    ratings = fastcf.data.make_ratings(60, 40, 1_000, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    relevant = test.take(test.values >= 4)
    users = test.users.ids[relevant.user_counts() > 0]
    model = fastcf.MatrixFactorization(n_factors=4, random_state=0).fit(train)
    sources = [fastcf.retrieval.Popular(k=30), fastcf.retrieval.TopItems(model, k=20)]
    staged = fastcf.retrieval.TwoStageRecommender(sources, ranker=model).fit(train)
    for maker in (model, staged, fastcf.Popular().fit(train)):
        found = maker.recommend(users, n=7)
        wanted = ranking(found, users, test, k=7, threshold=4)
        got = ranking(maker, None, test, k=7, threshold=4)
        assert got == wanted._replace(n_without=int((test.user_counts() > 0).sum() - users.size))
        assert ranking(maker, users, test, threshold=4) == ranking(
            maker.recommend(users, n=10), users, test, threshold=4
        )
        assert ranking(found, held_out=test, threshold=4) == wanted  # lists tell whose they are
    for retriever in sources:  # best first, however they are stored
        got = ranking(retriever, users, test, k=[3, 50], threshold=4)
        found = retriever.retrieve(users)
        lists = [[*found.of(u)[0], *[-1] * 50][:50] for u in range(users.size)]
        assert got[3] == ranking([row[:3] for row in lists], users, test, threshold=4)
        assert got[50].recall == np.mean([np.isin(relevant_items(relevant, user), row).mean()
                                          for user, row in zip(users, lists, strict=True)])  # fmt: skip
    assert ranking(sources[1], users, test, threshold=4) == ranking(model, users, test, threshold=4)
    with pytest.raises(ValueError, match="users must be given with lists of ids; got None"):
        ranking([[1, 2]], held_out=test)


def relevant_items(relevant, user):
    row = relevant.users.rows([user])[0]
    return relevant.items.ids[relevant.indices[relevant.indptr[row] : relevant.indptr[row + 1]]]


def test_ranking_compares_thresholds_in_the_precision_of_ratings():
    held_out = fastcf.Ratings.from_coo([1, 1], [1, 2], [0.7, 0.3])
    assert ranking([[1]], [1], held_out, threshold=0.7).precision == 1
    assert ranking([[1]], [1], held_out, threshold=0.3).recall == 0.5
    with pytest.raises(ValueError, match="some user must have relevant"):
        ranking([[1]], [1], held_out, threshold=1e39)
