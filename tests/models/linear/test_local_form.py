"""The local form of LinearAutoencoder: the dense form where all are neighbours, and nearly as good with few."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

import fastcf


def some_ratings(seed=0, n_users=60, n_items=25, density=0.25):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < density)
    return fastcf.Ratings.from_coo(users * 3 + 7, items * 10, rng.integers(1, 6, users.size).astype(float))


@pytest.mark.parametrize("options", [{}, {"threshold": 3.0}, {"threshold": 3.0, "low_weight": -0.5, "dropout": 0.0}])
@pytest.mark.parametrize("neighbours", [24, 100])
def test_local_form_of_all_neighbours_is_the_dense_form(options, neighbours):
    ratings = some_ratings()
    dense = fastcf.LinearAutoencoder(reg=10.0, **options).fit(ratings)
    local = fastcf.LinearAutoencoder(reg=10.0, neighbours=neighbours, **options).fit(ratings)
    assert scipy.sparse.issparse(local.item_weights_)
    np.testing.assert_allclose(local.item_weights_.toarray(), dense.item_weights_, rtol=0, atol=2e-6)
    np.testing.assert_allclose(local.predict_matrix(), dense.predict_matrix(), rtol=0, atol=2e-5)
    np.testing.assert_array_equal(local.predict_matrix([-5]), dense.predict_matrix([-5]))
    np.testing.assert_array_equal(local.recommend([7, 10], 5).items, dense.recommend([7, 10], 5).items)
    np.testing.assert_array_equal(local.similar_items(100, 4).ids, dense.similar_items(100, 4).ids)
    compute, items = dense._compute(dense.state, "test"), np.array([3, 7], np.int32)
    found, of_dense = (each.state.scores.contributions(0, items, compute) for each in (local, dense))
    np.testing.assert_array_equal(found.rows, of_dense.rows)
    np.testing.assert_allclose(found.values, of_dense.values, rtol=0, atol=2e-6)


def test_local_form_has_weights_from_the_nearest_items_by_cosine():
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(neighbours=4).fit(ratings)
    chosen = (ratings.to_scipy().toarray() > 0).astype(float)
    gram = chosen.T @ (chosen.sum(axis=1, keepdims=True) ** -0.5 * chosen)
    cosine = gram / np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
    np.fill_diagonal(cosine, -1)
    weights = model.item_weights_.toarray()
    for item in range(ratings.n_items):
        assert set(np.flatnonzero(weights[:, item])) <= set(np.argsort(-cosine[:, item], kind="stable")[:4])


@pytest.mark.parametrize("threshold", [None, 3.0])
def test_local_form_folds_in_learns_on_and_is_kept_by_files(tmp_path, threshold):
    ratings, more = some_ratings(), some_ratings(1, 80, 30)
    model = fastcf.LinearAutoencoder(neighbours=6, threshold=threshold).fit(ratings)
    np.testing.assert_array_equal(model.fold_in(ratings).predict_matrix(), model.predict_matrix())
    lists, known = model.recommend(n=6, history=ratings), model.recommend(ratings.users.ids, 6)
    np.testing.assert_array_equal(lists.items, known.items)
    model.save(tmp_path / "model")
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    loaded.partial_fit(more)
    parts = zip(ratings.to_coo(), more.to_coo(), strict=True)
    both = fastcf.Ratings.from_coo(*map(np.concatenate, parts), duplicates="last")
    np.testing.assert_allclose(loaded.predict(both), clone(model).fit(both).predict(both), atol=1e-5)


def test_local_form_same_bits_for_any_number_of_threads():
    ratings = some_ratings(2, 300, 200, 0.05)
    first, *others = (
        fastcf.LinearAutoencoder(neighbours=20, threshold=2.0, n_threads=n).fit(ratings) for n in (1, 2, 4)
    )
    for other in others:
        np.testing.assert_array_equal(first.item_weights_.toarray(), other.item_weights_.toarray())
        np.testing.assert_array_equal(first.predict_matrix(), other.predict_matrix())


def test_local_form_of_items_that_nobody_chose_has_no_weights():
    ratings = some_ratings()
    items = fastcf.IdMap(np.concatenate([ratings.items.ids, [999]]))
    extended = fastcf.Ratings.from_coo(*ratings.to_coo(), item_ids=items)
    for neighbours in (5, 100):
        model = fastcf.LinearAutoencoder(neighbours=neighbours, reg=1.0).fit(extended)
        assert not model.item_weights_.toarray()[-1].any()
        assert (model.similar_items(999, 3).ids == -1).all()


@pytest.mark.parametrize("neighbours", [0, 2.5])
def test_local_form_refuses_neighbours_that_are_no_number(neighbours):
    with pytest.raises(ValueError, match=r"LinearAutoencoder.fit: neighbours must be"):
        fastcf.LinearAutoencoder(neighbours=neighbours).fit(some_ratings())


def test_local_form_refuses_too_small_a_penalty_and_damaged_weights():
    with pytest.raises(ValueError, match=r"reg and dropout must be large enough .* got reg=0 and dropout=0; raise"):
        fastcf.LinearAutoencoder(reg=0.0, dropout=0.0, neighbours=20).fit(some_ratings(n_users=10))
    archive = fastcf.LinearAutoencoder(neighbours=5).fit(some_ratings()).to_archive()
    archive.arrays["weight_indices"] = archive.arrays["weight_indices"] + 1000
    with pytest.raises(fastcf.DataError, match="weight is damaged"):
        fastcf.LinearAutoencoder.from_archive(archive)


@pytest.mark.parametrize(
    ("file", "threshold", "least"),
    [
        ("ml-latest-small/ratings.csv", 4, 10),
        ("movietweetings-100k/ratings.dat", 8, 5),
        ("goodbooks-2672/ratings.csv", 4, 40),
    ],
)
def test_local_form_is_nearly_as_good_as_the_dense_form_on_real_sets(data_dir, file, threshold, least):
    """The NDCG@10 of held-out choices with 200 neighbours is at least 0.97 of that of the dense form."""
    ratings = fastcf.data.read_log(data_dir / file).to_ratings(duplicates="last")
    held = np.random.default_rng(0).random(ratings.nnz) < 0.1
    kept = ~held & (ratings.item_counts() >= least)[ratings.indices]  # for the time of the test
    held_out = ratings.take(held & (ratings.values >= threshold))
    train = fastcf.Ratings.from_coo(*ratings.take(kept).to_coo())
    dense = fastcf.LinearAutoencoder(threshold=threshold).fit(train)
    local = fastcf.LinearAutoencoder(threshold=threshold, neighbours=200).fit(train)
    assert local.score(held_out) > 0.97 * dense.score(held_out)
