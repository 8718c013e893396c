"""UserPerceptron: what it learns, what it says of strangers, files, and what it refuses."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MultiLabelBinarizer

import fastcf
from commands import run, write_set
from fastcf.data import read_items, read_log
from fastcf.metrics import log_loss, roc_auc
from fastcf.serialization import Archive, save_archive
from fastcf.serialization.version_1 import upgraded
from interrupted import fit_interrupted

SETTINGS = {
    "liked": {"threshold": 4.0},
    "levels": {"targets": "levels", "hidden": (4, 3), "activation": "sigmoid"},
    "mf": {"threshold": 4.0, "features": "mf", "hidden": ()},
}


@pytest.fixture(scope="module")
def ratings():
    users, items, values = fastcf.data.make_ratings(60, 80, 1_500, random_state=3).to_coo()
    return fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, values)


@pytest.fixture(scope="module")
def films(ratings):
    random = np.random.default_rng(0)
    ids = np.concatenate([[7777], ratings.items.ids[::-1]])  # one that nobody rated, and another order
    return fastcf.FeatureTable(ids, random.standard_normal((ids.size, 6)))


def fitted(name, ratings, films, **options):
    given = {} if name == "mf" else {"item_features": films}
    return fastcf.UserPerceptron(**{"n_epochs": 5, "random_state": 0, **SETTINGS[name], **options}).fit(
        ratings, **given
    )


@pytest.fixture(scope="module", params=SETTINGS)
def model(request, ratings, films):
    return fitted(request.param, ratings, films)


def outputs(model, user, features, activation=None):
    """The equation, from the public attributes."""
    activation = activation or model.activation
    u, h = model.users_.rows([user])[0], np.asarray(features, np.float64)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for layer, (weights, bias) in enumerate(layers):
        z = h @ weights[u] + bias[u]
        hidden = np.tanh if activation == "tanh" else expit
        h = hidden(z) if layer < len(layers) - 1 else expit(z)
    return h


# ---------------------------------------------------------------------------------------------------------------
# Prediction
# ---------------------------------------------------------------------------------------------------------------


def test_user_perceptron_predicts_by_its_equation(model, ratings):
    users, items, _ = ratings.to_coo()
    got = model.predict_proba(ratings)
    rows = model.items_.rows(items)
    for entry in range(0, users.size, 97):
        wanted = outputs(model, users[entry], model.item_features_[rows[entry]])
        np.testing.assert_allclose(got[entry] if model.levels_ is not None else got[entry, 1:], wanted, rtol=1e-4)
    if model.levels_ is None:
        np.testing.assert_array_equal(model.predict(ratings), got[:, 1])
        np.testing.assert_array_equal(got[:, 0], 1 - got[:, 1])
    else:
        np.testing.assert_allclose(model.predict(ratings), got @ model.levels_ / got.sum(1), rtol=1e-6)
        assert got.shape == (ratings.nnz, model.levels_.size)


def test_user_perceptron_strangers_get_the_base_rate(model, ratings):
    base = model.base_rate_ if model.levels_ is not None else model.base_rate_[0]
    both = base if model.levels_ is not None else [1 - base, base]
    np.testing.assert_array_equal(model.predict_proba([("nobody", 20), ("nobody", 12345)]), [both, both])
    assert model.predict([("nobody", 20)])[0] == np.float32(model.global_mean_)
    values = ratings.values
    if model.levels_ is None:
        assert base == np.float32(((values >= 4).sum() + 0.5) / (values.size + 1))
    else:
        np.testing.assert_allclose(base, [((values == x).sum() + 0.5) / (values.size + 1) for x in model.levels_])
    unknown_item = outputs(model, "u05", np.zeros(model.item_features_.shape[1]))
    got = model.predict_proba([("u05", 12345)])[0]
    np.testing.assert_allclose(got if model.levels_ is not None else got[1:], unknown_item, rtol=1e-4)
    with pytest.raises(ValueError, match="strict=True needs known user ids; got 'nobody' at entry 0"):
        model.predict([("nobody", 20)], strict=True)


def test_user_perceptron_matrix_pairs_and_recommendations_agree(model, ratings):
    users = ["u03", "nobody", "u04"]
    matrix = model.predict_matrix(users)
    items = model.items_.ids
    pairs = [(user, item) for user in users for item in items]
    np.testing.assert_allclose(matrix.ravel(), model.predict(pairs), rtol=1e-5)
    got = model.recommend(["u03", "u04"], 5)
    for row, user in enumerate((0, 2)):
        name = model.users_.rows([users[user]])[0]
        seen = model.items_.rows(ratings.items.ids[ratings.indices[ratings.indptr[name] : ratings.indptr[name + 1]]])
        unseen = np.delete(matrix[user], seen)
        np.testing.assert_allclose(got.scores[row], np.sort(unseen)[::-1][:5], rtol=1e-5)
        assert not set(model.items_.rows(got.items[row])) & set(seen)
    one = model.recommend("u03", 5)
    np.testing.assert_array_equal(one.items, got.items[0])
    some = model.recommend("u03", 3, candidates=items[:10], exclude=items[:2], exclude_seen=False)
    assert set(some.items) <= set(items[2:10])


def test_user_perceptron_recommends_nothing_below_the_least_score(model):
    whole = model.recommend(["u03", "u04"], 6)
    least = float(np.median(whole.scores))
    got = model.recommend(["u03", "u04"], 6, min_score=least)
    kept = whole.scores >= least
    np.testing.assert_array_equal(got.items, np.where(kept, whole.items, -1))
    np.testing.assert_array_equal(got.scores, np.where(kept, whole.scores, -np.inf))
    assert (model.recommend("u03", 4, min_score=1e9).items == -1).all()


def test_user_perceptron_small_batches_change_nothing(model, monkeypatch):
    users = ["u03", "nobody", "u04"]
    wanted, best = model.predict_matrix(users), model.recommend(users, 4)
    monkeypatch.setattr(fastcf.scores.blocks, "_BATCH_BYTES", 1)
    np.testing.assert_array_equal(model.predict_matrix(users), wanted)
    np.testing.assert_array_equal(model.recommend(users, 4).items, best.items)


def test_user_perceptron_folds_in_new_items(model, ratings):
    width = model.item_features_.shape[1]
    new = np.random.default_rng(1).standard_normal((2, width))
    known = int(model.items_.ids[5])
    more = model.fold_in(item_features=([999_999, known], new))
    scale = 1 if model.feature_scale_ is None else model.feature_scale_
    for item, features in zip((999_999, known), new * scale, strict=True):
        got = more.predict_proba([("u03", item)])[0]
        got = got if model.levels_ is not None else got[1:]
        np.testing.assert_allclose(got, outputs(model, "u03", features), rtol=1e-4)
    assert len(more.items_) == len(model.items_) + 1
    other = model.items_.ids[7]
    np.testing.assert_array_equal(more.predict([("u03", other)]), model.predict([("u03", other)]))
    assert more.parameters_ is model.parameters_
    assert 999_999 not in model.items_
    everything = more.recommend("u03", len(more.items_))
    assert 999_999 in everything.items
    with pytest.raises(ValueError, match=f"fold_in: item_features must have {width} features; got 1"):
        model.fold_in(item_features=([1], [[1.0]]))


def test_user_perceptron_folds_in_what_a_factorisation_knows(ratings):
    model = fitted("mf", ratings, None)
    factors = fastcf.MatrixFactorization(16, n_epochs=2, random_state=1).fit(ratings)
    assert len(model.fold_in(item_features=factors).items_) == ratings.n_items


def test_user_perceptron_takes_any_model_that_is_factors(ratings):
    bias = fastcf.BiasModel().fit(ratings)
    model = fastcf.UserPerceptron((), threshold=4.0, n_epochs=3).fit(ratings, item_features=bias)
    np.testing.assert_array_equal(model.item_features_[:, 0], bias.item_bias_)
    tower = fastcf.TwoTower((4,), (4,), 2, n_epochs=1, random_state=0).fit(ratings)
    model = fastcf.UserPerceptron(threshold=4.0, n_epochs=1).fit(ratings, item_features=tower)
    np.testing.assert_array_equal(model.item_features_[:, 1:], tower.item_factors_)
    again = model.fold_in(item_features=tower)
    np.testing.assert_array_equal(again.predict(ratings), model.predict(ratings))
    with pytest.raises(TypeError, match="item_features must be a FeatureTable or a pair"):
        model.fit(ratings, item_features=model)
    with pytest.raises(NotFittedError, match="must be fitted first"):
        model.fit(ratings, item_features=fastcf.BiasModel())


def test_user_perceptron_takes_a_fitted_factorisation(ratings):
    options = {"cost": "logistic", "threshold": 4.0, "n_epochs": 3, "random_state": 0}
    factors = fastcf.MatrixFactorization(4, **options).fit(ratings)
    model = fastcf.UserPerceptron(threshold=4.0, n_epochs=3).fit(ratings, item_features=factors)
    assert model.item_features_.shape == (ratings.n_items, 5)
    np.testing.assert_array_equal(model.item_features_[:, 0], factors.item_bias_)


@pytest.mark.parametrize("name", SETTINGS)
def test_user_perceptron_sparse_features_are_dense_ones(name, ratings, films):
    if name == "mf":
        return
    sparse = fastcf.FeatureTable(films.ids, scipy.sparse.csr_array(films.matrix))
    first, second = fitted(name, ratings, films), fitted(name, ratings, sparse)
    np.testing.assert_array_equal(first.parameters_, second.parameters_)


# ---------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------


def test_user_perceptron_same_alone_as_among_others(ratings, films):
    together = fitted("liked", ratings, films)
    for user in ("u00", "u31"):
        row = ratings.users.rows([user])[0]
        alone = fitted("liked", ratings.take(ratings.row_of_entry() == row), films)
        at = alone.users_.rows([user])[0]
        np.testing.assert_array_equal(alone.parameters_[at], together.parameters_[row])
        pair = [(user, 7777)]
        np.testing.assert_array_equal(alone.predict(pair), together.predict(pair))


def test_user_perceptron_same_bits_for_any_number_of_threads(ratings, films):
    first, *others = (fitted("levels", ratings, films, n_threads=n) for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(first.parameters_, other.parameters_)
        np.testing.assert_array_equal(first.predict(ratings), other.predict(ratings))


def test_user_perceptron_random_state_decides(ratings, films):
    first, same, other = (fitted("liked", ratings, films, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.parameters_, same.parameters_)
    assert (first.parameters_ != other.parameters_).any()


def test_user_perceptron_users_without_ratings_get_the_base_rate(ratings, films):
    users, items, values = ratings.to_coo()
    weights = np.where(users == "u07", 0.0, 1.0).astype(np.float32)
    model = fitted("liked", fastcf.Ratings.from_coo(users, items, values, weights=weights), films)
    without = fitted("liked", ratings.take(users != "u07"), films)
    assert model.n_ratings_[model.users_.rows(["u07"])[0]] == 0
    assert model.predict([("u07", 0)])[0] == model.base_rate_[0] == without.predict([("u07", 0)])[0]
    np.testing.assert_allclose(model.predict_matrix(["u07"]), model.base_rate_[0])
    np.testing.assert_array_equal(model.predict_matrix(["u08"]), without.predict_matrix(["u08"]))


def test_user_perceptron_labels_all_alike_are_learnt():
    likes = fastcf.Ratings.from_coo([1, 1, 1, 2], [1, 2, 3, 1], [1.0, 1.0, 1.0, 0.0])
    model = fastcf.UserPerceptron(random_state=0).fit(likes, item_features=([1, 2, 3], np.eye(3)))
    probabilities = model.predict([(1, 1), (2, 1)])
    assert 0.8 < probabilities[0] < 1
    assert 0 < probabilities[1] < 0.4


def test_user_perceptron_scale_of_weights_does_not_matter(ratings, films):
    users, items, values = ratings.to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, users.size)
    first, second = (
        fitted("liked", fastcf.Ratings.from_coo(users, items, values, weights=scale * weights), films)
        for scale in (1, 64)
    )
    np.testing.assert_allclose(first.predict(ratings), second.predict(ratings), atol=1e-4)


def test_user_perceptron_unit_weights_change_nothing(ratings, films):
    users, items, values = ratings.to_coo()
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=np.ones(users.size, np.float32))
    first, second = (fitted("levels", each, films) for each in (ratings, weighted))
    np.testing.assert_allclose(first.predict(ratings), second.predict(ratings), rtol=1e-4)


def test_user_perceptron_history_and_validation(ratings, films):
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    seen = []

    class Watch(fastcf.callbacks.Callback):
        def on_epoch_end(self, model, record):
            seen.append(record)

    model = fastcf.UserPerceptron(threshold=4.0, reg=0.01, n_epochs=60, patience=2, random_state=0)
    model.fit(train, item_features=films, validation=held_out, callbacks=[Watch()])
    assert seen == model.history_[1:]
    assert len(model.history_) < 60
    losses = [record["validation_log_loss"] for record in model.history_]
    assert model.n_epochs_ == 1 + int(np.argmin(losses[1:]))
    np.testing.assert_allclose(-model.score(held_out), min(losses[1:]), rtol=1e-5)
    costs = [record["cost"] for record in model.history_]
    assert costs[-1] < costs[0]
    assert {"epoch", "cost", "train_log_loss", "learning_rate", "seconds"} <= model.history_[0].keys()
    levels = fastcf.UserPerceptron(targets="levels", n_epochs=3, random_state=0)
    levels.fit(train, item_features=films, validation=held_out)
    outputs = np.clip(levels.predict_proba(held_out).astype(float), 1e-7, 1 - 1e-7)
    y = held_out.values[:, None] == levels.levels_
    wanted = -np.where(y, np.log(outputs), np.log1p(-outputs)).sum(1).mean()
    np.testing.assert_allclose(levels.history_[levels.n_epochs_]["validation_log_loss"], wanted, rtol=1e-4)


def objective(model, ratings, activation):
    """The mean of J over users with ratings and the mean loss of ratings, from the public attributes."""
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(float)
    rows, users = model.items_.rows(ratings.items.ids)[ratings.indices], ratings.row_of_entry()
    costs, total = [], 0.0
    for user, name in enumerate(ratings.users.ids):
        own = (users == user) & (weights > 0)
        if not own.any():
            continue
        h = outputs(model, name, model.item_features_[rows[own]], activation)
        y = ratings.values[own, None] >= 4 if model.levels_ is None else ratings.values[own, None] == model.levels_
        loss = weights[own] @ -np.where(y, np.log(h), np.log1p(-h)).sum(axis=1)
        squares = sum((layer[user].astype(float) ** 2).sum() for layer in model.coefs_)
        costs.append(loss / weights[own].sum() + model.reg_ / (2 * own.sum()) * squares)
        total += loss
    return np.mean(costs), total / weights.sum()


@pytest.mark.parametrize("name", ["liked", "levels"])
@pytest.mark.parametrize("weighted", [False, True])
def test_user_perceptron_costs_are_the_objective_at_the_end_of_each_epoch(ratings, films, name, weighted):
    users, items, values = ratings.to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, users.size) * (users != "u07") if weighted else None
    given = fastcf.Ratings.from_coo(users, items, values, weights=weights)
    seen, activation = [], SETTINGS[name].get("activation", "tanh")

    class Watch(fastcf.callbacks.Callback):
        def on_train_begin(self, view):
            seen.append(objective(view, given, activation))

        def on_epoch_end(self, view, record):
            seen.append(objective(view, given, activation))

    model = fastcf.UserPerceptron(**{**SETTINGS[name], "n_epochs": 3, "random_state": 0})
    model.fit(given, item_features=films, callbacks=Watch())
    assert [record["epoch"] for record in model.history_] == [0, 1, 2, 3]
    got = [(record["cost"], record["train_log_loss"]) for record in model.history_]
    np.testing.assert_allclose(got, seen, rtol=1e-5)
    np.testing.assert_allclose(got[-1], objective(model, given, activation), rtol=1e-5)


def test_user_perceptron_costs_of_many_ratings_are_those_of_a_sample(ratings, films, monkeypatch):
    whole = fitted("liked", ratings, films)
    monkeypatch.setattr(fastcf.models.perceptron.trainer, "n_measured", lambda n: n // 2)
    part = fitted("liked", ratings, films)
    np.testing.assert_array_equal(whole.parameters_, part.parameters_)
    for one, other in zip(whole.history_, part.history_, strict=True):
        assert one["cost"] == pytest.approx(other["cost"], rel=0.1)
        assert one["cost"] != other["cost"]


def test_user_perceptron_old_state_answers_until_the_new_one_is_complete(ratings, films):
    model = fitted("liked", ratings, films)
    before, answers = model.predict(ratings), []

    class Ask(fastcf.callbacks.Callback):
        def on_epoch_end(self, view, record):
            answers.append((model.predict(ratings), view.predict(ratings)))

    model.set_params(random_state=1).fit(ratings, item_features=films, callbacks=Ask())
    for old, new in answers:
        np.testing.assert_array_equal(old, before)
        assert not np.array_equal(new, before)
    np.testing.assert_array_equal(model.predict(ratings), answers[-1][1])


def test_user_perceptron_activation_of_version_1_without_hidden_layers_gets_its_default():
    for hidden, activation in (([], "tanh"), ([4], "relu")):
        assert upgraded(Archive("UserPerceptron", {"hidden": hidden, "activation": "relu"}, {}), {}).params == {
            "hidden": hidden, "activation": activation}  # fmt: skip


class Own(fastcf.UserPerceptron):
    """A user's own subclass."""


def test_user_perceptron_subclass_behaves_as_its_base(ratings, films, tmp_path):
    own = Own(threshold=4.0, n_epochs=5, random_state=0).fit(ratings, item_features=films)
    own.save(tmp_path / "own")
    for model in (own, fastcf.load(tmp_path / "own")):
        np.testing.assert_array_equal(model.predict(ratings), fitted("liked", ratings, films).predict(ratings))


def test_user_perceptron_computes_no_new_users(ratings, films):
    model = fitted("levels", ratings, films)
    for call in (model.fold_in, lambda X: model.recommend(history=X), lambda X: model.predict_proba(X, history=X)):
        with pytest.raises(ValueError, match="UserPerceptron computes no new rows from ratings: a new user's network"):
            call(ratings)
    with pytest.raises(ValueError, match="fold_in: user_features must be None for UserPerceptron"):
        model.fold_in(user_features=films)


def test_user_perceptron_arrays_cannot_be_written(model):
    for array in (model.parameters_, model.coefs_[0], model.item_features_, model.base_rate_, model.n_ratings_):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("name", ["liked", "levels"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_user_perceptron_gradients_are_those_of_the_cost(ratings, name, activation, bias):
    model = fastcf.UserPerceptron(**{**SETTINGS[name], "activation": activation, "bias": bias})
    report = fastcf.check_gradients(model, ratings)
    assert report.passed, report
    assert report.blocks[0].name == "coefs_0"


def test_user_perceptron_checks_gradients_before_training(ratings, films):
    weighted = fastcf.Ratings.from_coo(*ratings.to_coo(), weights=np.linspace(0, 2, ratings.nnz))
    fastcf.UserPerceptron(threshold=4.0, n_epochs=1).fit(weighted, item_features=films, check_gradients=True)


@pytest.mark.parametrize("optimizer", [*fastcf.optimizers.OPTIMIZERS, fastcf.optimizers.Adam(beta1=0.5)])
def test_user_perceptron_every_optimizer_learns(ratings, films, optimizer):
    model = fitted("liked", ratings, films, optimizer=optimizer, n_epochs=30, reg=0.1)
    assert model.history_[-1]["cost"] < 0.93 * model.history_[0]["cost"]


@pytest.mark.parametrize("init", ["glorot", "lecun", (-0.5, 0.5), (0.0, 1.0)])
def test_user_perceptron_first_weights_are_drawn_as_asked(ratings, films, init):
    model = fitted("liked", ratings, films, init=init, n_epochs=1, optimizer=fastcf.optimizers.Adam(1e-30))
    limit = {"glorot": np.sqrt(6 / 16), "lecun": np.sqrt(3 / 6)}.get(init if isinstance(init, str) else None)
    low, high = (-limit, limit) if limit else init
    first = model.coefs_[0]
    assert first.shape == (60, 6, 10)
    assert low <= first.min() < low + 0.05 * (high - low)
    assert high >= first.max() > high - 0.05 * (high - low)
    assert len(np.unique(first)) > 0.9 * first.size
    assert np.abs(model.intercepts_[0]).max() < 1e-20


@pytest.mark.parametrize("init", [(0.3, 0.3), (0, 0), (1.0, 1.0 + 1e-12)])
def test_user_perceptron_refuses_a_symmetric_start(ratings, films, init):
    message = "init must have low below high with hidden layers: units whose weights are all equal compute the same"
    with pytest.raises(ValueError, match=f"UserPerceptron.fit: {message}.*; got {re.escape(repr(init))}"):
        fitted("liked", ratings, films, init=init)
    assert fitted("liked", ratings, films, init=init, hidden=()).n_epochs_ == 5  # convex: no symmetry to break


def test_user_perceptron_divergence_is_an_error(ratings, films):
    steps = fastcf.optimizers.GradientDescent(1e30, schedule="constant")
    model = fastcf.UserPerceptron(threshold=4.0, activation="relu", optimizer=steps, n_epochs=20)
    with pytest.raises(fastcf.DivergenceError, match=r"UserPerceptron.fit: training diverged in epoch"):
        model.fit(ratings, item_features=films)


def test_user_perceptron_keeps_what_it_learnt_on_ctrl_c(ratings, films):
    model = fastcf.UserPerceptron(threshold=4.0, n_epochs=50, random_state=0)
    fit_interrupted(model, ratings, epoch=3, item_features=films)
    assert len(model.history_) == 4
    assert np.isfinite(model.predict(ratings)).all()


@pytest.mark.parametrize(
    ("name", "threshold", "margin"), [("ml-latest-small", 4.0, 0.06), ("movietweetings-100k", 8.0, 0.02)]
)
def test_user_perceptron_beats_the_base_rate_on_real_ratings(data_dir, name, threshold, margin):
    ratings = read_log(data_dir / name).to_ratings(duplicates="last")
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    films = read_items(data_dir / name)
    genres = MultiLabelBinarizer().fit_transform([genre.split("|") for genre in films.genres])
    known = np.isin(ratings.items.ids, films.ids)
    ids = np.concatenate([films.ids, ratings.items.ids[~known]])
    table = fastcf.FeatureTable(ids, np.vstack([genres, np.zeros((int((~known).sum()), genres.shape[1]))]))
    model = fastcf.UserPerceptron(threshold=threshold, random_state=0).fit(train, item_features=table)
    labels, p = test.values >= threshold, model.predict(test)
    base = log_loss(labels, np.full(labels.size, model.base_rate_[0]))
    assert log_loss(labels, p) < base - margin
    assert roc_auc(labels, p) > 0.68


# ---------------------------------------------------------------------------------------------------------------
# Files, conventions, bad input
# ---------------------------------------------------------------------------------------------------------------


def test_user_perceptron_save_load_predicts_identically(model, ratings, tmp_path):
    model.save(tmp_path / "model.fastcf")
    loaded = fastcf.load(tmp_path / "model.fastcf")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(ratings), model.predict_proba(ratings))
    mine, theirs = model.recommend(["u01", "nobody"], 5), loaded.recommend(["u01", "nobody"], 5)
    np.testing.assert_array_equal(mine.items, theirs.items)
    learnt = [name for name in dir(model) if name.endswith("_") and not name.startswith("_")]
    assert {"parameters_", "coefs_", "feature_scale_", "reg_", "history_", "n_epochs_"} <= set(learnt)
    for name in learnt:
        if name not in ("users_", "items_", "seen_"):
            np.testing.assert_equal(getattr(loaded, name), getattr(model, name))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(ratings), model.predict(ratings))


def test_user_perceptron_options_survive_files(ratings, films, tmp_path):
    model = fitted("liked", ratings, films, init=(-0.2, 0.3), optimizer=fastcf.optimizers.Adam(beta1=0.5))
    model.save(tmp_path / "model.fastcf", include_seen=False)
    loaded = fastcf.load(tmp_path / "model.fastcf")
    assert loaded.get_params() == model.get_params()
    with pytest.raises(ValueError, match="exclude_seen must be False"):
        loaded.recommend("u01")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": np.zeros((60, 3), np.float32)}, "'parameters' must have shape"),
        ({"n_ratings": np.zeros(60, np.int32)}, "'n_ratings' must have dtype int64"),
        ({"base_rate": np.zeros(2, np.float32)}, "an output per level; got 6 and 2"),
        ({"levels": np.zeros(2, np.float32)}, "'levels' must have shape"),
    ],
)
def test_user_perceptron_damaged_file_is_a_data_error(ratings, films, tmp_path, change, message):
    archive = fitted("liked", ratings, films).to_archive()
    save_archive(tmp_path / "m", replace(archive, arrays={**archive.arrays, **change}))
    with pytest.raises(fastcf.DataError, match=message):
        fastcf.load(tmp_path / "m")


def test_user_perceptron_works_in_a_blend(ratings, films):
    members = [("net", fastcf.UserPerceptron(targets="levels", n_epochs=5)), ("bias", fastcf.BiasModel())]
    blend = fastcf.Blend(members, random_state=0).fit(ratings, item_features=films)
    assert np.isfinite(blend.predict(ratings)).all()
    assert blend.recommend("u01", 3).items.shape == (3,)


def test_user_perceptron_follows_scikit_learn_conventions(ratings, films):
    model = fastcf.UserPerceptron((5,), n_threads=1)
    assert clone(model).get_params() == model.get_params()
    assert "n_threads=1" in repr(model)
    for call in (
        lambda: model.predict([(1, 1)]), lambda: model.predict_proba([(1, 1)]), lambda: model.predict_matrix(),
        lambda: model.recommend(1), lambda: model.fold_in(item_features=films), lambda: model.save("nowhere"),
    ):  # fmt: skip
        with pytest.raises(NotFittedError, match="must be fitted first"):
            call()


def test_user_perceptron_failed_refit_leaves_the_fitted_model_as_it_was(ratings, films):
    model = fitted("liked", ratings, films)
    before = model.predict(ratings)
    with pytest.raises(ValueError, match="all items of the ratings must have features; 1 of 1 have none, first 5"):
        model.fit([(1, 5), (2, 5)], [1.0, 5.0], item_features=films)
    np.testing.assert_array_equal(model.predict(ratings), before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden": (0,)}, ValueError, "hidden must be a sequence of integers from 1 to 65,536; got"),
        ({"hidden": 5}, TypeError, "hidden must be a sequence of integers"),
        ({"activation": "selu"}, ValueError, "activation must be 'tanh' or 'sigmoid' or 'relu'; got 'selu'"),
        ({"targets": "all"}, ValueError, "targets must be 'liked' or 'levels'; got 'all'"),
        ({"init": (1.0, 0.0)}, ValueError, "init must be .* low at most high; got"),
        ({"init": "normal"}, ValueError, "init must be 'glorot' or 'lecun', or a pair"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1"),
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0, or 'auto'; got -1.0"),
        ({"targets": "levels"}, ValueError, "threshold must be None for targets='levels', .*; got 4.0"),
        ({"threshold": None}, ValueError, "ratings must be 0 or 1 without a threshold; got"),
        (
            {"hidden": (), "activation": "relu"},
            ValueError,
            r"activation must be 'tanh' for hidden=\(\), .*; got 'relu'",
        ),
        ({"patience": 2}, ValueError, "patience needs validation ratings"),
        ({"features": "mf"}, ValueError, "item_features must be None for features='mf'; got FeatureTable"),
    ],
)
def test_user_perceptron_bad_options_raise(ratings, films, options, error, message):
    with pytest.raises(error, match=f"UserPerceptron.fit: {message}"):
        fastcf.UserPerceptron(**{"threshold": 4.0, **options}).fit(ratings, item_features=films)


def test_user_perceptron_bad_features_raise(ratings):
    model = fastcf.UserPerceptron(threshold=4.0)
    with pytest.raises(ValueError, match="item_features must be given for features='given'; got NoneType"):
        model.fit(ratings)
    with pytest.raises(TypeError, match=r"item_features must be a FeatureTable or a pair"):
        model.fit(ratings, item_features=[1, 2])
    with pytest.raises(ValueError, match="item_features must have at least one feature; got 0"):
        model.fit(ratings, item_features=(ratings.items.ids, np.empty((ratings.n_items, 0))))
    many = fastcf.Ratings.from_coo(np.zeros(101, int), np.arange(101), np.linspace(1, 5, 101))
    with pytest.raises(ValueError, match="ratings must have at most 100 levels for targets='levels'; got 101"):
        fastcf.UserPerceptron(targets="levels").fit(many, item_features=(np.arange(101), np.eye(101)))


def test_user_perceptron_networks_are_the_same_whatever_the_device(device, ratings, films):
    model = fitted("liked", ratings, films, device=device)
    assert model.device_ == device
    np.testing.assert_array_equal(model.parameters_, fitted("liked", ratings, films, device="cpu").parameters_)
    by_factors = fitted("mf", ratings, films, device=device)
    assert np.isfinite(by_factors.predict(ratings)).all()
    assert by_factors.recommend("u03", 3).items.shape == (3,)


def test_user_perceptron_without_bias_units(ratings, films):
    model = fitted("liked", ratings, films, bias=False)
    assert model.intercepts_ == []
    row = model.users_.rows(["u03"])[0]
    h = np.tanh(model.item_features_ @ model.coefs_[0][row])
    np.testing.assert_allclose(model.predict_matrix(["u03"])[0], expit(h @ model.coefs_[1][row])[:, 0], rtol=1e-4)


@pytest.mark.parametrize("name", ["liked", "levels"])
def test_user_perceptron_files_are_understood_by_commands(name, tmp_path):
    write_set(tmp_path)
    ratings = read_log(tmp_path).to_ratings()
    features = fastcf.FeatureTable(ratings.items, np.random.default_rng(0).standard_normal((ratings.n_items, 3)))
    path = tmp_path / "model.fastcf"
    model = fitted(name, ratings, features)
    model.save(path)
    described = run("info", path).stdout
    assert "labels 0 and 1, 1 for ratings of at least 4" in described if name == "liked" else "0.5 to 5" in described
    assert re.search(r"a user's layers +3, 10, 1" if name == "liked" else r"a user's layers +3, 4, 3, \d+", described)
    assert f"training log-loss {model.history_[-1]['train_log_loss']:.4f}" in described
    error = "log-loss" if name == "liked" else "RMSE"
    evaluated = run("evaluate", path, tmp_path).stdout
    assert error in evaluated
    assert f"{-model.score(ratings):.4f}" in evaluated
    best = json.loads(run("recommend", path, "-u", 13, "-n", 2, "--json").stdout)[0]["results"]
    assert [entry["item"] for entry in best] == model.recommend(13, 2).items.tolist()
