"""Coverage, novelty, popularity, diversity and serendipity of lists, against plain loops."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf.metrics import beyond_accuracy, beyond_accuracy_by_user

N_ITEMS = 14


def cosine(v, w):
    return float(v @ w) / math.sqrt(float(v @ v) * float(w @ w))


def loop(lists, users, train, vectors, expected, relevant):
    """Return the figures of each user, and how often each item is listed, by their definitions."""
    rows, columns = train.row_of_entry(), train.items.ids[train.indices]
    n_users = len(set(rows.tolist()))
    raters = {item: int((columns == item).sum()) for item in train.items.ids.tolist()}
    each = []
    for user, items, plain in zip(users, lists, expected, strict=True):
        pairs = [cosine(vectors[i], vectors[j]) for i, j in combinations(items, 2) if i in vectors and j in vectors]
        wanted = relevant.get(user)
        each.append({
            "mean_popularity": np.mean([raters[i] / n_users for i in items]),
            "novelty": np.mean([-math.log2(max(raters[i], 1) / n_users) for i in items]),
            "diversity": 1 - np.mean(pairs) if pairs else math.nan,
            "serendipity": len(set(items) & wanted - set(plain)) / len(items) if wanted else math.nan,
        })  # fmt: skip
    return each, {item: sum(item in items for items in lists) for item in train.items.ids.tolist()}


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6), strings=st.booleans(), sparse=st.booleans())
def test_beyond_accuracy_equals_a_loop(seed, k, strings, sparse):
    rng = np.random.default_rng(seed)
    name = (lambda ids: [f"i{i}" for i in ids]) if strings else (lambda ids: [int(i) for i in ids])
    catalogue = fastcf.IdMap(name(range(N_ITEMS)))
    pairs = rng.choice(9 * 7, 30, replace=False)  # items 7..13 have no ratings
    train = fastcf.Ratings.from_coo(pairs // 7, name(pairs % 7), np.ones(30), item_ids=catalogue)
    held = rng.choice(9 * N_ITEMS, 25, replace=False)
    held_out = fastcf.Ratings.from_coo(held // N_ITEMS, name(held % N_ITEMS), rng.integers(1, 6, 25))
    users = rng.permutation(12)[:8]  # some are unknown
    lists = [name(rng.permutation(N_ITEMS)[:6]) for _ in users]
    expected = [name(rng.permutation(N_ITEMS)[:k]) for _ in users]
    matrix = rng.integers(-2, 3, (N_ITEMS - 2, 3)).astype(float)
    vectors = {i: v for i, v in zip(name(range(N_ITEMS - 2)), matrix, strict=True) if v.any()}
    table = name(range(N_ITEMS - 2)), scipy.sparse.csr_array(matrix) if sparse else matrix
    relevant = {}
    for user, item, value in zip(*held_out.to_coo(), strict=True):
        if value >= 3:
            relevant.setdefault(user, set()).add(item)
    given = {"k": k, "vectors": table, "expected": expected, "held_out": held_out, "threshold": 3}
    each, counts = loop([one[:k] for one in lists], users, train, vectors, expected, relevant)
    got = beyond_accuracy_by_user(lists, users, train, **given)
    for field in each[0]:
        np.testing.assert_allclose(getattr(got, field), [one[field] for one in each], rtol=1e-9, atol=1e-9)
    assert dict(zip(got.catalogue.ids.tolist(), got.counts.tolist(), strict=True)) == counts
    means = beyond_accuracy(lists, users, train, **given)
    for field in each[0]:
        defined = [one[field] for one in each if not math.isnan(one[field])]
        assert getattr(means, field) == pytest.approx(np.mean(defined) if defined else math.nan, nan_ok=True)
    assert means.coverage == np.mean([count > 0 for count in counts.values()])
    differences = [abs(a - b) for a in counts.values() for b in counts.values()]
    assert means.gini == pytest.approx(sum(differences) / (2 * N_ITEMS * sum(counts.values())))
    assert means.n_users == 8
    short = beyond_accuracy(lists, users, train, k=k)
    assert (short.novelty, short.diversity, short.serendipity) == (means.novelty, None, None)


def test_beyond_accuracy_of_recommenders():
    ratings = fastcf.data.make_ratings(60, 40, 1_000, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    popular, model = fastcf.Popular().fit(train), fastcf.MatrixFactorization(4, random_state=0).fit(train)
    given = {"k": 5, "vectors": (model.items_, model.item_factors_), "expected": popular, "held_out": test}
    same = beyond_accuracy(popular, None, train, **given)
    assert same == beyond_accuracy(popular.recommend(train.users.ids, 5), None, train, **given)
    assert same.serendipity == 0  # all is expected
    other = beyond_accuracy(model, None, train, **given)
    assert other.n_users == same.n_users == 60
    assert other.novelty > same.novelty
    assert other.mean_popularity < same.mean_popularity
    assert other.serendipity > 0
    staged = fastcf.retrieval.TwoStageRecommender([fastcf.retrieval.Popular(k=20)], ranker=model).fit(train)
    assert beyond_accuracy(staged, None, train).n_users == 60


def test_beyond_accuracy_leaves_out_padding():
    train = fastcf.Ratings.from_coo([1, 1, 2], [-1, 4, 4], [5.0, 5, 5])
    padded = fastcf.Recommendations(
        np.array([[4, -1], [-1, -1]]), np.array([[2, -np.inf], [-np.inf] * 2], np.float32), np.array([1, 2])
    )
    got = beyond_accuracy_by_user(padded, None, train, k=2)
    np.testing.assert_equal(got.mean_popularity, [1.0, np.nan])
    assert got.counts.tolist() == [0, 1]
    assert got.means().mean_popularity == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": None}, TypeError, "train must be Ratings, one or more; got NoneType"),
        ({"k": 3}, ValueError, "k must be an integer from 1 to 2, the length of the lists; got 3"),
        ({"k": 0}, ValueError, "k must be an integer from 1 to"),
        ({"catalogue": [1]}, ValueError, "catalogue must hold all listed items; it lacks 2"),
        ({"expected": [[1, 2]]}, ValueError, "expected and held_out must be given together; got expected alone"),
        ({"threshold": 3}, ValueError, "threshold must be None without held_out, which it cuts; got 3"),
        ({"vectors": [[1.0]]}, TypeError, r"vectors must be a FeatureTable or a pair \(ids, matrix\); got list"),
        ({"users": [7, 7]}, ValueError, "users must be distinct, a list each; got 2 lists of user 7"),
    ],
)
def test_beyond_accuracy_refuses_what_it_cannot_tell(options, error, message):
    train = fastcf.Ratings.from_coo([7, 8], [1, 2], [5.0, 3.0])
    arguments = {"recommended": [[1, 2]], "users": [7], "train": train, "k": 2, **options}
    with pytest.raises(error, match=f"beyond_accuracy: {message}"):
        beyond_accuracy(**arguments)


def test_lists_of_other_users_are_refused():
    held_out = fastcf.Ratings.from_coo([7, 8], [1, 2], [5.0, 3.0])
    found = fastcf.Recommendations(np.array([[1], [2]]), np.ones((2, 1), np.float32), np.array([7, 8]))
    assert fastcf.metrics.ranking(found, ["7", "8"], held_out).recall == 1
    with pytest.raises(ValueError, match="ranking: users must be those that recommended was made for; got others"):
        fastcf.metrics.ranking(found, [8, 7], held_out)


def test_lists_of_a_history_are_of_the_users_who_are_given():
    train = fastcf.data.make_ratings(30, 40, 600, random_state=0)
    model = fastcf.LinearAutoencoder().fit(train)
    held_out = fastcf.Ratings.from_coo([70, 80], train.items.ids[:2], [5.0, 3.0])
    found = model.recommend(history=train.to_scipy()[:2], n=40)  # users are row numbers
    assert fastcf.metrics.ranking(found, [70, 80], held_out).n_users == 2
    with pytest.raises(ValueError, match="users must be as many as lists"):
        fastcf.metrics.ranking(found, [70], held_out)
