"""LinearAutoencoder: the closed form against least squares per item, lists, new users, files, errors."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

import fastcf
import reference
from fastcf.models.linear import dense
from fastcf.scores import Choices
from fastcf.scores.histories import Histories


def some_ratings(seed=0, n_users=60, n_items=25, density=0.25):
    """Return ratings from 1 to 5 with ids that are not rows."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < density)
    return fastcf.Ratings.from_coo(users * 3 + 7, items * 10, rng.integers(1, 6, users.size).astype(float))


def tables(model, ratings):
    """Return z, x and w of a model's fit, from its parameters."""
    x = np.zeros(ratings.shape)
    stored = np.zeros(ratings.shape, bool)
    rows = ratings.row_of_entry()
    stored[rows, ratings.indices] = True
    x[rows, ratings.indices] = Choices(threshold=model.threshold, strength=model.strength).of(ratings.values, "test")
    z = np.where(stored & (x == 0), np.float32(model.low_weight), x)
    return z, x, stored.sum(axis=1) ** -float(model.user_exponent)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": 3.0},
        {"threshold": 3.0, "low_weight": 0.0},
        {"threshold": 3.0, "low_weight": -0.5, "dropout": 0.0, "reg": 1.0},
        {"strength": "log", "threshold": 2.0, "user_exponent": 0.0, "reg": 2.0},
        {"strength": "value", "user_exponent": 1.0, "reg": 20.0},
    ],
)
def test_weights_equal_least_squares_per_item(options):
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(**{"reg": 10.0, **options}).fit(ratings)
    z, x, w = tables(model, ratings)
    exact = reference.linear_item_weights(z, x, w, model.dropout, model.reg * w.mean())
    assert model.item_weights_.dtype == np.float32
    assert not model.item_weights_.diagonal().any()
    assert np.abs(model.item_weights_ - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize("threshold", [None, 3.0])
def test_weights_are_within_rounding_for_many_items(threshold):
    """Blocks of several sizes, with the default penalties: 2e-6 of the largest weight."""
    ratings = some_ratings(1, 900, 700, 0.05)
    model = fastcf.LinearAutoencoder(threshold=threshold).fit(ratings)
    z, x, w = tables(model, ratings)
    matrix = reference.gram(z, z, w)
    matrix += np.diag(model.dropout / (1 - model.dropout) * matrix.diagonal() + model.reg * w.mean())
    inverse = np.linalg.inv(matrix)
    product = inverse @ reference.gram(z, x, w)
    exact = product - inverse * (product.diagonal() / inverse.diagonal())
    assert np.abs(model.item_weights_ - exact).max() <= 2e-6 * np.abs(exact).max()


def test_scores_are_sums_over_the_history():
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(threshold=3.0).fit(ratings)
    z, x, _ = tables(model, ratings)
    np.testing.assert_allclose(model.predict_matrix(), z @ model.item_weights_, atol=1e-5)
    np.testing.assert_allclose(model.predict_matrix([-5])[0], x.mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(
        model.predict(ratings), model.predict_matrix()[ratings.row_of_entry(), ratings.indices]
    )
    lists = model.recommend(ratings.users.ids, 5)
    for row, user in enumerate(lists.items):
        seen = ratings.items.ids[ratings.indices[ratings.indptr[row] : ratings.indptr[row + 1]]]
        assert not set(user) & set(seen)  # what was rated low as well
    popular = model.recommend(-5, 3, exclude_seen=False).items
    np.testing.assert_array_equal(popular, ratings.items.ids[np.argsort(-x.sum(axis=0), kind="stable")[:3]])


def test_contributions_add_up_to_the_score():
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(threshold=3.0).fit(ratings)
    compute = model._compute(model.state, "test")
    for user in (0, 11):
        found = model.state.scores.contributions(user, np.array([3, 24, -1], np.int32), compute)
        np.testing.assert_array_equal(found.rows, ratings.indices[ratings.indptr[user] : ratings.indptr[user + 1]])
        assert found.values.dtype == np.float64
        expected = [*model.predict_matrix()[user, [3, 24]], 0]
        np.testing.assert_allclose(found.values.sum(axis=0), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("threshold", [None, 3.0])
def test_a_training_user_folded_in_has_the_same_bits(threshold):
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(threshold=threshold).fit(ratings)
    folded = model.fold_in(ratings)
    np.testing.assert_array_equal(folded.predict_matrix(), model.predict_matrix())
    lists, known = model.recommend(n=6, history=ratings), model.recommend(ratings.users.ids, 6)
    np.testing.assert_array_equal(lists.items, known.items)
    np.testing.assert_array_equal(lists.scores, known.scores)
    unknown = model.recommend(n=3, history=([(0, 999), (1, 10)], [5.0, 5.0]))  # item 999 is unknown: no history
    np.testing.assert_array_equal(unknown.items[0], model.recommend(-5, 3).items)
    with pytest.raises(ValueError, match="fold_in: by must be 'user'"):
        model.fold_in(ratings, by="item")


def test_partial_fit_is_a_fit_of_all_entries():
    first, second = some_ratings(0), some_ratings(1, 80, 30)
    model = fastcf.LinearAutoencoder(threshold=3.0).fit(first)
    assert fastcf.LinearAutoencoder(threshold=3.0).partial_fit(first).recommend(7).items.tolist() == (
        model.recommend(7).items.tolist()
    )
    model.partial_fit(second)
    parts = zip(first.to_coo(), second.to_coo(), strict=True)
    both = fastcf.Ratings.from_coo(*map(np.concatenate, parts), duplicates="last")
    whole = fastcf.LinearAutoencoder(threshold=3.0).fit(both)
    np.testing.assert_array_equal(model.users_.ids[: first.n_users], first.users.ids)
    np.testing.assert_allclose(model.predict(both), whole.predict(both), atol=1e-6)
    np.testing.assert_array_equal(np.sort(model.users_.ids), both.users.ids)
    with pytest.raises(ValueError, match=r"partial_fit: the model must hold the histories that it was trained on"):
        model.fold_in(second).partial_fit(first)


def test_partial_fit_keeps_what_was_low_and_counts_pairs():
    first = [(1, 10), (1, 20), (2, 10), (2, 30), (3, 20), (3, 30)]
    model = fastcf.LinearAutoencoder(reg=1.0).fit(first)
    model.partial_fit([(4, 10), (4, 20)])
    whole = fastcf.LinearAutoencoder(reg=1.0).fit([*first, (4, 10), (4, 20)])
    np.testing.assert_array_equal(model.item_weights_, whole.item_weights_)
    low = fastcf.LinearAutoencoder(reg=1.0, low_weight=1.0, threshold=2.0)  # inputs do not tell what was low
    low.fit(first, [1, 2, 2, 1, 2, 2]).partial_fit([(4, 10), (4, 20)], [2, 1])
    whole = clone(low).fit([*first, (4, 10), (4, 20)], [1, 2, 2, 1, 2, 2, 2, 1])
    np.testing.assert_array_equal(low.item_weights_, whole.item_weights_)


def test_items_that_nobody_chose_have_no_weights_and_no_neighbours():
    ratings = some_ratings()
    items = fastcf.IdMap(np.concatenate([ratings.items.ids, [999]]))
    extended = fastcf.Ratings.from_coo(*ratings.to_coo(), item_ids=items)
    for threshold in (None, 3.0):
        plain = fastcf.LinearAutoencoder(threshold=threshold).fit(ratings)
        model = fastcf.LinearAutoencoder(threshold=threshold).fit(extended)
        np.testing.assert_allclose(model.item_weights_[:-1, :-1], plain.item_weights_, atol=1e-7)
        assert not model.item_weights_[-1].any()
        assert not model.item_weights_[:, -1].any()
        assert (model.similar_items(999, 3).ids == -1).all()
        assert 999 not in model.similar_items(ratings.items.ids, ratings.n_items).ids
    without = fastcf.LinearAutoencoder(reg=0.0, dropout=0.1).fit(extended)
    assert not without.item_weights_[-1].any()


def test_similar_items_have_the_largest_weights():
    model = fastcf.LinearAutoencoder().fit(some_ratings())
    found = model.similar_items(100, 4)
    row = model.item_weights_[model.items_.rows([100])[0]].copy()
    row[row == 0] = -np.inf
    order = np.argsort(-row, kind="stable")[:4]
    np.testing.assert_array_equal(found.ids, model.items_.ids[order])
    np.testing.assert_array_equal(found.scores, row[order])


@pytest.mark.parametrize("threshold", [None, 3.0])
def test_same_bits_for_any_number_of_threads(threshold):
    ratings = some_ratings(2, 400, 620, 0.05)
    first, *others = (
        fastcf.LinearAutoencoder(threshold=threshold, n_threads=n_threads).fit(ratings) for n_threads in (1, 2, 4)
    )
    for other in others:
        np.testing.assert_array_equal(first.item_weights_, other.item_weights_)
        np.testing.assert_array_equal(first.predict_matrix(), other.predict_matrix())


@pytest.mark.parametrize("threshold", [None, 3.0])
def test_every_device_has_the_same_weights_and_lists(device, threshold):
    ratings = some_ratings(3, 30, 20)
    model = fastcf.LinearAutoencoder(threshold=threshold, device=device).fit(ratings)
    host = fastcf.LinearAutoencoder(threshold=threshold, device="cpu").fit(ratings)
    np.testing.assert_allclose(model.item_weights_, host.item_weights_, atol=1e-6)
    np.testing.assert_array_equal(
        model.recommend(ratings.users.ids, 5).items, host.recommend(ratings.users.ids, 5).items
    )
    np.testing.assert_array_equal(model.fold_in(ratings).predict_matrix(), model.predict_matrix())


@pytest.mark.parametrize("include_seen", [True, False])
def test_files_keep_scores(tmp_path, include_seen):
    ratings = some_ratings()
    model = fastcf.LinearAutoencoder(threshold=3.0, low_weight=0.2).fit(ratings)
    model.save(tmp_path / "model", include_seen=include_seen)
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    one, other = (each.recommend(ratings.users.ids, 4, exclude_seen=include_seen) for each in (loaded, model))
    np.testing.assert_array_equal(one.items, other.items)
    more = some_ratings(5)
    np.testing.assert_array_equal(
        loaded.partial_fit(more).item_weights_, copy.deepcopy(model).partial_fit(more).item_weights_
    )
    folded = model.fold_in(more)
    folded.save(tmp_path / "folded")
    np.testing.assert_array_equal(fastcf.load(tmp_path / "folded").predict_matrix(), folded.predict_matrix())
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_matrix(), model.predict_matrix())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("item_weights", lambda array: array[:, 1:], "'item_weights' must have shape"),
        ("history_values", lambda array: array[1:], "'history_values' must have shape"),
        ("history_indices", lambda array: array + 1000, "history is damaged"),
        ("base", lambda array: array.astype(float), "'base' must have dtype float32"),
    ],
)
def test_damaged_files_are_refused(name, change, message):
    archive = fastcf.LinearAutoencoder(threshold=3.0).fit(some_ratings()).to_archive()
    archive.arrays[name] = change(archive.arrays[name])
    with pytest.raises(fastcf.DataError, match=message):
        fastcf.LinearAutoencoder.from_archive(archive)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0; got -1"),
        ({"dropout": 1.0}, ValueError, "dropout must be a finite number of at least 0 and below 1; got 1"),
        ({"user_exponent": -1.0}, ValueError, "user_exponent must be"),
        ({"low_weight": 2.0}, ValueError, "low_weight must be"),
        ({"strength": "two"}, ValueError, "strength must be"),
        ({"threshold": 9.0}, ValueError, "some values must be choices, of at least threshold=9"),
    ],
)
def test_bad_parameters_are_refused(options, error, message):
    with pytest.raises(error, match=f"LinearAutoencoder.fit: {message}"):
        fastcf.LinearAutoencoder(**options).fit(some_ratings())


def test_too_small_a_penalty_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"reg and dropout must be large enough .* got reg=0 and dropout=0; raise"):
        fastcf.LinearAutoencoder(reg=0.0, dropout=0.0).fit(some_ratings(n_users=10))


def test_what_does_not_fit_memory_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(dense, "available_memory", lambda: 1000)
    with pytest.raises(
        MemoryError, match=r"weights between 25 items need [\d,]+ bytes of memory, 1,000 are .*neighbours"
    ):
        fastcf.LinearAutoencoder().fit(some_ratings())


@pytest.mark.parametrize(
    ("file", "threshold", "least", "margins"),
    [
        ("ml-latest-small/ratings.csv", 4, 10, (1.7, 1.9)),
        ("movietweetings-100k/ratings.dat", 8, 5, (1.07, 1.1)),
        ("goodbooks-2672/ratings.csv", 4, 40, (2.2, 2.4)),
    ],
)
def test_lists_by_defaults_beat_popularity_on_real_sets(data_dir, file, threshold, least, margins):
    """The NDCG@10 of held-out choices is so many times that of popular items: with choices alone, and told of lows."""
    ratings = fastcf.data.read_log(data_dir / file).to_ratings(duplicates="last")
    held = np.random.default_rng(0).random(ratings.nnz) < 0.1
    common = ratings.item_counts() >= least  # for the time of the test
    kept = ~held & common[ratings.indices]
    held_out = ratings.take(held & (ratings.values >= threshold))
    for chosen, margin in zip((ratings.values >= threshold, True), margins, strict=True):
        train = fastcf.Ratings.from_coo(*ratings.take(kept & chosen).to_coo())
        model = fastcf.LinearAutoencoder(threshold=threshold).fit(train)
        popular = copy.copy(model)
        none = Histories(np.zeros(train.n_users + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
        popular._swap(model.state.replaced(scores=replace(model.state.scores, histories=none)))
        assert model.score(held_out) > margin * popular.score(held_out)
