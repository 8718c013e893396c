"""What every factor model does: prediction, recommendation, neighbours, files, scikit-learn's conventions."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from attributes import assert_same_attributes, public
from choice_models import CHOICE_MODELS
from fastcf.serialization import save_archive

MODELS = {
    "bias": lambda **options: fastcf.BiasModel(**options),
    "mf": lambda **options: fastcf.MatrixFactorization(n_factors=5, n_epochs=5, random_state=0, **options),
    "mf-item": lambda **options: fastcf.MatrixFactorization(
        n_factors=5, n_epochs=5, random_state=0, normalize="item", bias=False, **options
    ),
    "autoencoder": lambda **options: fastcf.Autoencoder((5,), n_epochs=5, random_state=0, **options),
    "autoencoder-user": lambda **options: fastcf.Autoencoder(
        (6, 4), n_epochs=5, random_state=0, orientation="user", normalize="item", **options
    ),
    "implicit": lambda **options: fastcf.ImplicitFactorization(5, reg=0.01, n_epochs=5, random_state=0, **options),
    "two-tower": lambda **options: fastcf.TwoTower((6,), (5,), 4, n_epochs=5, random_state=0, **options),
    **CHOICE_MODELS,
}

CHOICES = ("implicit", *CHOICE_MODELS)  # learn which items are chosen, not their ratings
RATINGS = tuple(name for name in MODELS if name not in CHOICES)


@pytest.fixture(scope="module")
def ratings():
    numbered = fastcf.data.make_ratings(120, 60, 2_500, random_state=3)
    users, items, values = numbered.to_coo()
    return fastcf.Ratings.from_coo([f"u{u:03d}" for u in users], items * 10 - 50, values)


@pytest.fixture(scope="module", params=MODELS)
def model(request, ratings):
    return MODELS[request.param]().fit(ratings)


def _expected(model, user, item):
    """The equation, from the public attributes."""
    u, i = model.users_.rows([user])[0], model.items_.rows([item])[0]
    offset = model.item_mean_[i] if model.item_mean_ is not None and i >= 0 else model.global_mean_
    value = offset + (model.user_bias_[u] if u >= 0 else 0) + (model.item_bias_[i] if i >= 0 else 0)
    if u >= 0 and i >= 0:
        value += model.user_factors_[u].astype(float) @ model.item_factors_[i].astype(float)
    return np.clip(value, *model.rating_range_)


def test_predict_follows_equation_also_for_unknown_ids(model, ratings):
    if not hasattr(model, "item_factors_"):
        return  # another equation
    pairs = [("u001", 0), ("u017", 110), ("nobody", 20), ("u001", 12345), ("nobody", 12345)]
    got = model.predict(pairs)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [_expected(model, *pair) for pair in pairs], rtol=1e-5)


def test_predict_of_ratings_sparse_matrix_and_pairs_agree(model, ratings):
    users, items, _ = ratings.to_coo()
    pairs = np.empty((users.size, 2), object)
    pairs[:, 0], pairs[:, 1] = users, items
    np.testing.assert_array_equal(model.predict(ratings), model.predict(pairs))


def test_predict_matrix_agrees_with_predict(model, ratings):
    matrix = model.predict_matrix(["u005", "nobody"])
    assert matrix.shape == (2, ratings.n_items)
    pairs = [(user, item) for user in ("u005", "nobody") for item in ratings.items.ids]
    np.testing.assert_allclose(matrix.ravel(), model.predict(pairs), rtol=1e-5)
    assert model.predict_matrix().shape == ratings.shape


def test_predict_strict_names_the_unknown_id(model):
    with pytest.raises(ValueError, match=r"predict: strict=True needs known user ids; got 'nobody' at entry 1"):
        model.predict([("u001", 0), ("nobody", 0)], strict=True)
    with pytest.raises(ValueError, match=r"recommend: strict=True needs known user ids"):
        model.recommend("nobody", strict=True)


def test_predict_of_nothing_is_empty(model):
    assert model.predict([]).shape == (0,)
    assert model.predict(np.empty((0, 2), int)).shape == (0,)


def test_predict_wrong_shape_raises(model):
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\)"):
        model.predict(np.ones((3, 3), int))


def test_recommend_is_best_unseen_by_prediction(model, ratings):
    users = ratings.users.ids[:40]
    got = model.recommend(users, 7)
    matrix = model.predict_matrix(users)
    for row, user in enumerate(range(40)):
        seen = ratings.indices[ratings.indptr[user] : ratings.indptr[user + 1]]
        unseen = np.delete(matrix[row], seen)
        found = min(7, unseen.size)
        rows = ratings.items.rows(got.items[row, :found])
        assert not set(rows) & set(seen)
        np.testing.assert_allclose(got.scores[row, :found], matrix[row, rows], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got.scores[row, :found], np.sort(unseen)[::-1][:7], rtol=1e-5, atol=1e-6)


def test_recommend_one_user_is_a_row_of_many(model, ratings):
    one, many = model.recommend("u011", 5), model.recommend(["u010", "u011"], 5)
    np.testing.assert_array_equal(one.items, many.items[1])
    np.testing.assert_array_equal(one.scores, many.scores[1])
    everyone = model.recommend(ratings.users.ids, 5)
    np.testing.assert_array_equal(everyone.items[11], one.items)


def test_recommend_candidates_and_exclusions(model, ratings):
    candidates = [0, 10, 20, 30, 99999]
    got = model.recommend("nobody", 4, candidates=candidates, exclude=[10])
    assert set(got.items[:3]) == {0, 20, 30}
    assert got.items[3] == -1
    assert got.scores[3] == -np.inf
    with pytest.raises(ValueError, match="candidates"):
        model.recommend("u001", candidates=[99999], strict=True)


def test_recommend_pads_when_too_few_remain(model, ratings):
    got = model.recommend("u001", 1000)
    assert got.items.shape == (1000,)
    n_seen = np.diff(ratings.indptr)[1]
    assert np.count_nonzero(np.isfinite(got.scores)) == ratings.n_items - n_seen
    np.testing.assert_array_equal(got.items[~np.isfinite(got.scores)], -1)


def test_recommend_pads_strings_with_empty_text():
    model = fastcf.BiasModel().fit([("a", "x"), ("b", "y")], [1.0, 2.0])
    got = model.recommend("a", 3)
    assert got.items.tolist() == ["y", "", ""]


def test_recommend_bad_n_raises(model):
    for n in (0, -1, 2.5, True, 2**31):
        with pytest.raises(ValueError, match=f"n must be an integer of at least 1 and at most 2147483647; got {n}"):
            model.recommend("u001", n)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_similar_items_match_brute_force(ratings, metric):
    model = MODELS["mf"]().fit(ratings)
    Q = model.item_factors_.astype(float)
    got = model.similar_items(ratings.items.ids[:10], 6, metric=metric)
    for row in range(10):
        if metric == "euclidean":
            score = -np.linalg.norm(Q - Q[row], axis=1)
        else:
            norms = np.linalg.norm(Q, axis=1) * np.linalg.norm(Q[row]) if metric == "cosine" else 1
            score = Q @ Q[row] / norms
        score[row] = -np.inf
        best = np.sort(score)[::-1][:6]
        np.testing.assert_allclose(got.scores[row], -best if metric == "euclidean" else best, rtol=1e-3, atol=1e-5)
        assert ratings.items.ids[row] not in got.ids[row]
    one = model.similar_items(ratings.items.ids[3], 6, metric=metric)
    np.testing.assert_array_equal(one.ids, got.ids[3])


def test_similar_users_and_unknown_ids(ratings):
    model = MODELS["mf"]().fit(ratings)
    got = model.similar_users(["u001", "nobody"], 3)
    assert (got.ids[0] != "").all()
    assert got.ids[1].tolist() == ["", "", ""]
    assert (got.scores[1] == -np.inf).all()
    assert model.similar_users("nobody", 2, metric="euclidean").scores.tolist() == [np.inf, np.inf]
    with pytest.raises(ValueError, match="metric must be"):
        model.similar_users("u001", metric="manhattan")


@pytest.mark.parametrize("name", MODELS)
def test_model_methods_before_fit_raise_not_fitted(name):
    model = MODELS[name]()
    for call in (
        lambda: model.predict([(1, 1)]),
        lambda: model.predict_matrix(),
        lambda: model.recommend(1),
        lambda: model.save("nowhere"),
    ):
        with pytest.raises(NotFittedError, match="must be fitted first"):
            call()


def test_model_same_for_ratings_sparse_and_pairs(ratings):
    matrix = scipy.sparse.random(30, 20, 0.4, format="csr", random_state=0, dtype=np.float32)
    rows, columns = matrix.tocoo().row, matrix.tocoo().col
    pairs = np.stack([rows, columns], axis=1)
    first = MODELS["mf"]().fit(fastcf.Ratings.from_scipy(matrix))
    for X, y in ((matrix, None), (pairs, matrix.tocoo().data)):
        again = MODELS["mf"]().fit(X, y)
        np.testing.assert_array_equal(again.predict(pairs), first.predict(pairs))


@pytest.mark.parametrize("name", MODELS)
def test_model_permuting_order_of_ratings_changes_nothing(name, ratings):
    users, items, values = ratings.to_coo()
    order = np.random.default_rng(0).permutation(users.size)
    shuffled = fastcf.Ratings.from_coo(users[order], items[order], values[order])
    first, second = (MODELS[name]().fit(r) for r in (ratings, shuffled))
    np.testing.assert_array_equal(first.predict(ratings), second.predict(ratings))


@pytest.mark.parametrize("name", MODELS)
def test_model_unit_weights_change_nothing(name, ratings):
    users, items, values = ratings.to_coo()
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=np.ones(users.size, np.float32))
    first, second = (MODELS[name]().fit(r) for r in (ratings, weighted))
    np.testing.assert_allclose(first.predict(ratings), second.predict(ratings), rtol=1e-5)


# A softmax over all items learns that nobody chooses an item without choices.
@pytest.mark.parametrize("name", [name for name in MODELS if name != "multinomial"])
def test_model_items_without_ratings_get_cold_start_value(name, ratings):
    keep = ratings.indices != 7
    model = MODELS[name]().fit(ratings.take(keep))
    item = ratings.items.ids[7]
    unknown = model.predict([("u001", 99999)])
    np.testing.assert_allclose(model.predict([("u001", item)]), unknown, rtol=1e-5)


def test_model_save_load_predicts_identically(model, ratings, tmp_path):
    model.save(tmp_path / "model.fastcf")
    loaded = fastcf.load(tmp_path / "model.fastcf")
    assert type(loaded) is type(model)
    assert str(loaded.get_params()) == str(model.get_params())  # members of a blend are compared by what they show
    np.testing.assert_array_equal(loaded.predict(ratings), model.predict(ratings))
    mine, theirs = model.recommend(["u001", "nobody"], 5), loaded.recommend(["u001", "nobody"], 5)
    np.testing.assert_array_equal(mine.items, theirs.items)
    np.testing.assert_array_equal(mine.scores, theirs.scores)
    assert {"users_", "seen_", "rating_range_", "device_", "n_features_in_"} <= public(model)
    assert_same_attributes(loaded, model)


def test_model_saved_without_seen_items_says_so(model, tmp_path):
    model.save(tmp_path / "small.fastcf", include_seen=False)
    loaded = fastcf.load(tmp_path / "small.fastcf")
    assert loaded.recommend("u001", exclude_seen=False).items.shape == (10,)
    with pytest.raises(ValueError, match="exclude_seen must be False"):
        loaded.recommend("u001")
    assert model.seen_ is not None


@pytest.mark.parametrize("name", MODELS)
def test_model_follows_scikit_learn_conventions(name):
    model = MODELS[name](n_threads=1)
    copy = clone(model)
    assert str(copy.get_params()) == str(model.get_params())
    assert copy.set_params(n_threads=2).n_threads == 2
    assert "n_threads=1" in repr(model)


def test_model_works_in_grid_search(ratings):
    numbered = fastcf.data.make_ratings(60, 30, 900, random_state=0)
    users, items, values = numbered.to_coo()
    search = GridSearchCV(
        fastcf.MatrixFactorization(n_epochs=3, random_state=0),
        {"n_factors": [2, 4]},
        cv=KFold(3, shuffle=True, random_state=0),
    )
    search.fit(np.stack([users, items], axis=1), values)
    assert search.best_params_["n_factors"] in (2, 4)
    assert -2 < search.best_score_ < 0


TWICE = scipy.sparse.coo_matrix(([1.0, 2.0], ([0, 0], [1, 1])))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ([(1, 2), (1, 3)], [1.0, np.nan], ValueError, r"fit: ratings must be finite.*got nan at entry 1"),
        ([(1, 2), (1, 3)], [1.0, np.inf], ValueError, "must be finite"),
        ([(1, 2), (1, 2)], [1.0, 2.0], ValueError, r"fit: .*hand over Ratings.from_rows\(X, y, duplicates="),
        (TWICE, None, ValueError, r"fit: .*hand over Ratings.from_scipy\(X, duplicates="),
        ([(1, 2), (1, 3)], [1.0], ValueError, "length|entries"),
        (np.empty((0, 2), int), np.empty(0), ValueError, "must not be empty"),
        ([(1, 2, 3)], [1.0], ValueError, r"shape \(n, 2\)"),
        ([(1.5, 2), (1, 3)], [1.0, 2.0], TypeError, "integers or strings|integers.*strings"),
        ([(1, 2), (1, 3)], ["good", "bad"], TypeError, "real numbers"),
        ([(1, 2), (1, 3)], [True, False], TypeError, "real numbers"),
    ],
)
def test_model_bad_ratings_raise(name, X, y, error, message):
    with pytest.raises(error, match=message):
        MODELS[name]().fit(X, y)


@pytest.mark.parametrize("name", RATINGS)
def test_model_of_ratings_needs_values_of_pairs(name):
    with pytest.raises(ValueError, match="y must hold the ratings"):
        MODELS[name]().fit([(1, 2), (1, 3)])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "popular"])  # which computes on the host only
def test_model_cuda_without_gpu_raises_device_error(name, ratings, monkeypatch):
    monkeypatch.setattr(fastcf._backend, "_cuda", lambda _: (None, "there is none"))
    with pytest.raises(fastcf.DeviceError, match=r"fit: device='cuda' cannot be used: "):
        MODELS[name](device="cuda").fit(ratings)
    assert MODELS[name](device="auto").fit(ratings).device_ == "cpu"
    with pytest.raises(ValueError, match=r"device must be 'auto' or 'cpu' or 'cuda'.*; got 'gpu'"):
        MODELS[name](device="gpu").fit(ratings)


def test_predict_of_sparse_matrix_keeps_stored_order(model):
    matrix = scipy.sparse.csc_matrix(([1.0, 1.0, 1.0], ([2, 0, 1], [0, 1, 1])), shape=(3, 2))
    numbered = fastcf.BiasModel().fit(fastcf.data.make_ratings(20, 10, 100, random_state=0))
    entries = matrix.tocoo()
    np.testing.assert_array_equal(
        numbered.predict(matrix), numbered.predict(np.stack([entries.row, entries.col], axis=1))
    )
    assert numbered.predict(scipy.sparse.csr_matrix((3, 3))).shape == (0,)


@pytest.mark.parametrize("name", MODELS)
def test_model_failed_refit_leaves_the_fitted_model_as_it_was(name, ratings):
    model = MODELS[name]().fit(ratings)
    before = model.predict(ratings)
    other = fastcf.Ratings.from_coo([1, 2], [3, 4], [9.0, 10.0], weights=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"fit: weights must not all be zero"):
        model.fit(other)
    np.testing.assert_array_equal(model.predict(ratings), before)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
@pytest.mark.parametrize("name", RATINGS)
@pytest.mark.parametrize("n_ratings", [1, 3])
def test_model_constant_ratings_are_predicted(name, n_ratings):
    ratings = fastcf.Ratings.from_coo(range(n_ratings), range(n_ratings), [3.0] * n_ratings)
    np.testing.assert_allclose(MODELS[name]().fit(ratings).predict([(0, 0), (5, 5)]), 3, atol=1e-3)


# The penalty of an autoencoder is given in ratings: weights say how many there are. Those of choices are strengths.
UNSCALED = [name for name in MODELS if not name.startswith("autoencoder") and name not in CHOICE_MODELS]


@pytest.mark.parametrize("name", UNSCALED)
def test_model_scale_of_weights_does_not_matter(name, ratings):
    users, items, values = ratings.to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, users.size)
    first, second = (
        MODELS[name]().fit(fastcf.Ratings.from_coo(users, items, values, weights=scale * weights)) for scale in (1, 50)
    )
    np.testing.assert_allclose(first.predict(ratings), second.predict(ratings), atol=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_model_few_heavy_weights_do_not_diverge(name, ratings):
    users, items, values = ratings.to_coo()
    weights = np.where(np.random.default_rng(0).random(users.size) < 0.02, 50.0, 1.0)
    model = MODELS[name]().fit(fastcf.Ratings.from_coo(users, items, values, weights=weights))
    assert model.score(ratings) > -1.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_model_works_in_a_forked_child(ratings):
    large = fastcf.data.make_ratings(3_000, 1_000, 400_000, random_state=0)
    model = fastcf.MatrixFactorization(8, n_epochs=2, n_threads=2, random_state=0).fit(large)
    wanted = model.predict(large)
    child = os.fork()
    if child == 0:
        same = np.array_equal(model.predict(large), wanted)
        again = fastcf.MatrixFactorization(8, n_epochs=2, n_threads=2, random_state=0).fit(large)
        os._exit(0 if same and np.array_equal(again.predict(large), wanted) else 1)
    deadline = time.monotonic() + 60
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    if done == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done == (child, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meta": {}}, "ids, range, targets or history are damaged: KeyError"),
        ({"meta": {"rating_range": None}}, "ids, range, targets or history are damaged"),
        ({"meta": {"rating_range": [1, 2, 3]}}, "ids, range, targets or history are damaged"),
        ({"meta": {"targets": {"cost": "squared", "level": 3}}}, "ids, range, targets or history are damaged"),
        ({"meta": {"targets": {"cost": "hinge"}}}, "ids, range, targets or history are damaged"),
        ({"meta": {"targets": {"cost": "logistic", "threshold": "x"}}}, "ids, range, targets or history are damaged"),
        ({"meta": {"targets": 3}}, "ids, range, targets or history are damaged"),
        ({"meta": {"history": 5}}, "ids, range, targets or history are damaged"),
        ({"meta": {"user_reg": "x"}}, "what BiasModel has learnt is damaged"),
        ({"meta": {"global_mean": None}}, "what BiasModel has learnt is damaged"),
        ({"params": {"user_reg": "x"}}, "parameters do not fit BiasModel"),
        ({"params": {"n_threads": "x"}}, "parameters do not fit BiasModel"),
        ({"params": {"colour": 1}}, "parameters do not fit BiasModel"),
    ],
)
def test_load_of_foreign_content_is_a_data_error(ratings, tmp_path, change, message):
    archive = fastcf.BiasModel().fit(ratings).to_archive()
    parts = {"params": archive.params, "meta": archive.meta}
    for name, values in change.items():
        parts[name] = {**parts[name], **values} if values else values
    save_archive(tmp_path / "model", replace(archive, **parts))
    with pytest.raises(fastcf.DataError, match=message):
        fastcf.load(tmp_path / "model")


def test_load_ignores_names_that_are_not_the_models(ratings, tmp_path):
    archive = fastcf.BiasModel().fit(ratings).to_archive()
    save_archive(tmp_path / "model", replace(archive, meta={**archive.meta, "predict": 5}))
    assert callable(fastcf.load(tmp_path / "model").predict)


@pytest.mark.parametrize("n_threads", [1025, 2**31, 10**400])
def test_model_too_many_threads_raise(ratings, n_threads):
    with pytest.raises(ValueError, match="n_threads must be an integer of at least 1 and at most 1024"):
        fastcf.BiasModel(n_threads=n_threads).fit(ratings)
