"""Gibbs sampling told which ratings there are, and of users who differ in noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse import csr_matrix
from sklearn.base import clone

import fastcf
from fastcf import MatrixFactorization
from fastcf.models.factorization.noise import Noise
from fastcf.models.factorization.row_effects import RowEffects, RowFeatures, Side
from fastcf.serialization import save_archive
from fastcf.solvers import Gibbs
from interrupted import check_interrupted_within

SHORT = {"n_epochs": 50, "n_factors": 6, "random_state": 0, "n_threads": 1}
PLAIN = Gibbs(rated_input=False, user_noise=False)


@pytest.fixture(scope="module")
def chosen():
    """Ratings whose choice tells of taste."""
    ratings = fastcf.data.make_ratings(600, 300, 12_000, choice=3.0, noise=0.5, levels=None, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


@pytest.fixture(scope="module")
def fitted(chosen):
    return MatrixFactorization(solver="bayes", **SHORT).fit(chosen[0])


class Stop(fastcf.callbacks.Callback):
    """Interrupts the training after its third epoch."""

    def on_epoch_end(self, view, record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt


def rmse(model, test):
    return -model.score(test)


def test_gibbs_rated_input_lowers_the_error_where_choice_tells_of_taste(chosen, fitted):
    train, test = chosen
    without = MatrixFactorization(solver=Gibbs(rated_input=False), **SHORT).fit(train)
    assert without.draws_.user_effects is None
    assert rmse(fitted, test) < 0.98 * rmse(without, test)


@pytest.mark.parametrize("call", [1, 5, 6, 22])
def test_gibbs_ctrl_c_within_a_draw_leaves_the_one_before(chosen, call, monkeypatch):
    model = MatrixFactorization(solver=Gibbs(burn_in=6), **SHORT)
    check_interrupted_within(model, chosen[0].take(np.arange(2_000)), call, monkeypatch)


def test_gibbs_user_noise_finds_who_is_predictable():
    rng = np.random.default_rng(0)
    users, items, values = fastcf.data.make_ratings(200, 100, 8_000, noise=0.0, levels=None, random_state=0).to_coo()
    noise = np.where(np.arange(200) % 2, 0.2, 1.5)
    ratings = fastcf.Ratings.from_coo(users, items, values + noise[users] * rng.standard_normal(values.size))
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    model = MatrixFactorization(solver="bayes", **SHORT).fit(train)
    found = np.sqrt(model.user_noise_variances_)
    ids = np.asarray(model.users_.ids)
    assert np.median(found[noise[ids] > 1]) == pytest.approx(1.5, rel=0.15)
    assert np.median(found[noise[ids] < 1]) < 0.5
    assert rmse(model, test) < 0.99 * rmse(
        MatrixFactorization(solver=Gibbs(user_noise=False), **SHORT).fit(train), test
    )


def test_gibbs_noise_of_like_users_is_one_variance():
    rng = np.random.default_rng(0)
    counts = np.full(500, 40)
    errors = 0.25 * rng.chisquare(counts)
    noise = Noise(1.0, np.ones(500), by_user=True)
    freedom = []
    for _ in range(60):
        noise.draw(errors, counts, rng)
        freedom.append(noise.freedom)
    assert noise.precision * noise.users.mean() == pytest.approx(4, rel=0.05)
    assert np.median(freedom[20:]) > 60
    noise = Noise(1.0, np.ones(500), by_user=False)
    noise.draw(errors, counts, rng)
    assert noise.precision == pytest.approx(4, rel=0.05)
    assert (noise.users == 1).all()


def test_gibbs_draws_the_effects_around_zero_as_strongly_as_they_are():
    rng = np.random.default_rng(0)
    effects = RowEffects.of(
        RowFeatures(np.zeros(401, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)), 3, 4, True
    )
    root = rng.standard_normal((5, 5))
    precision = root @ root.T + np.eye(5)
    effects.effects[:] = np.linalg.cholesky(np.linalg.inv(9 * precision)) @ rng.standard_normal((5, 400))
    draws = []
    for _ in range(200):
        effects.draw_strength(precision, rng)
        draws.append(effects.strength)
    assert np.mean(draws) == pytest.approx(9, rel=0.1)
    assert np.std(draws) == pytest.approx(9 / np.sqrt(1000), rel=0.3)


def test_gibbs_ratings_less_the_centres_are_what_the_rows_are_drawn_from():
    ratings = fastcf.data.make_ratings(30, 20, 200, random_state=0)
    by_item = ratings.by_item()
    users = Side((ratings.indptr, ratings.indices, ratings.values), ratings.row_of_entry(), None)
    items = Side((by_item.indptr, by_item.indices, ratings.values[by_item.entries]), by_item.indices, None)
    effects = RowEffects.of(RowFeatures.rated(users, items), 30, 3, True)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    P, Q, b, c = normal(30, 3), normal(20, 3), normal(30), normal(20)
    compute = fastcf.scores.Compute(fastcf._backend.resolve_device("cpu", "test").module, 1)
    for _ in range(2):
        left = effects.draw(
            users, P, b, Q, c, noise_precision=2.0, precision=np.eye(4), noise=normal(4, 20), compute=compute
        )
    X = np.zeros((30, 20))
    X[users.rows, ratings.indices] = 1 / np.sqrt(np.diff(ratings.indptr))[users.rows]
    centres = X @ effects.effects.T.astype(np.float64)
    np.testing.assert_allclose(np.c_[effects.centres, effects.centre_bias], centres, atol=1e-4)
    said = (centres[users.rows, :3] * Q[ratings.indices]).sum(axis=1) + centres[users.rows, 3]
    np.testing.assert_allclose(left, ratings.values - said, atol=1e-4)


@pytest.mark.parametrize("by", ["user", "item"])
def test_gibbs_folded_rows_are_near_the_fitted_ones(chosen, fitted, by):
    train, test = chosen
    names = (train.users if by == "user" else train.items).ids
    rows = train.row_of_entry() if by == "user" else train.indices
    users, items, values = train.take(np.isin(rows, np.arange(60))).to_coo()
    folded = fitted.fold_in(fastcf.Ratings.from_coo(users, items, values), by=by)
    told = np.isin(test.to_coo()[0 if by == "user" else 1], names[:60])
    known = test.take(told)
    plain = fastcf.BiasModel().fit(train)
    assert rmse(folded, known) < 1.05 * rmse(fitted, known)
    assert rmse(fitted, known) < rmse(plain, known)


@pytest.mark.parametrize("solver", ["bayes", PLAIN])
def test_gibbs_file_holds_what_folding_in_needs(chosen, tmp_path, solver):
    train, test = chosen
    model = MatrixFactorization(solver=solver, **{**SHORT, "n_epochs": 25}).fit(train)
    model.save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors")
    some = train.take(np.arange(200))
    for one, other in zip(
        loaded.fold_in(some).predict(test, return_std=True), model.fold_in(some).predict(test, return_std=True),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["draws_user_effects", "draws_item_effects", "user_noise_variances"])
def test_gibbs_damaged_file_is_a_data_error(fitted, tmp_path, name):
    archive = fitted.to_archive()
    save_archive(tmp_path / "m", replace(archive, arrays={**archive.arrays, name: archive.arrays[name][:-1]}))
    with pytest.raises(fastcf.DataError, match=name):
        fastcf.load(tmp_path / "m")


def test_gibbs_switches_are_checked():
    for name in ("rated_input", "user_noise"):
        with pytest.raises(TypeError, match=f"Gibbs: {name} must be"):
            Gibbs(**{name: 0.5})


def test_gibbs_known_features_are_in_a_common_unit():
    rng = np.random.default_rng(0)
    table = rng.normal(1990, 10, (50, 3)).astype(np.float32)
    table[:, 2] = 7
    for matrix in (table, scipy.sparse.csr_array(np.where(table > 1995, 1.0, 0.0).astype(np.float32))):
        features = RowFeatures.known(matrix)
        dense = csr_matrix((features.values, features.rows, features.indptr), shape=(3, 50)).toarray()
        np.testing.assert_allclose(np.square(dense).mean(axis=1)[:2], 1 / 3, rtol=1e-4)
        assert not dense[2].any() or scipy.sparse.issparse(matrix)
    np.testing.assert_allclose(RowFeatures.known(table).values[:50].mean(), 0, atol=1e-4)


def test_gibbs_rows_without_ratings_borrow_the_centres_of_others():
    features = RowFeatures(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    effects = RowEffects.of(features, 6, 2, True)
    effects.centres[:] = np.arange(12).reshape(6, 2)
    effects.centre_bias[:] = np.arange(6)
    known = np.array([True, True, False, True, False, False])
    effects.impute(known, np.random.default_rng(0))
    np.testing.assert_array_equal(effects.centres[:, 0], 2 * effects.centre_bias)
    np.testing.assert_array_equal(effects.centre_bias[known], [0, 1, 3])
    assert np.isin(effects.centre_bias[~known], [0, 1, 3]).all()


@pytest.fixture(scope="module")
def described():
    """Ratings of items whose vectors are known, some only by these, and the held-out ratings of those."""
    ratings, truth = fastcf.data.make_ratings(
        300, 200, 9_000, noise=0.3, levels=None, random_state=0, return_truth=True
    )
    films = fastcf.FeatureTable(np.arange(200), truth.item_factors)
    cold = np.isin(ratings.items.ids[ratings.indices], np.arange(150, 200))
    return ratings.take(~cold), ratings.take(cold), films


@pytest.mark.parametrize("solver", ["bayes", PLAIN])
def test_gibbs_features_predict_items_without_ratings(described, solver):
    train, cold, films = described
    model = MatrixFactorization(solver=solver, **SHORT).fit(train, item_features=films, validation=cold)
    assert rmse(model, cold) < 0.85 * rmse(MatrixFactorization(solver=solver, **SHORT).fit(train), cold)
    assert rmse(model, cold) == pytest.approx(model.history_[-1]["validation_rmse"], rel=1e-4)
    assert model.items_.ids.size == 200
    std = model.predict(cold, return_std=True)[1]
    assert np.isfinite(std).all()


def test_gibbs_features_of_both_sides_go_on_from_a_checkpoint_and_are_saved(described, tmp_path):
    train, cold, films = described
    users = train.users.ids, np.random.default_rng(0).standard_normal((300, 2)).astype(np.float32)
    model = MatrixFactorization(4, solver=Gibbs(burn_in=2), n_epochs=6, random_state=0)

    def fit(each, **options):
        return each.fit(train, item_features=films, user_features=users, **options)

    whole = fit(clone(model))
    with pytest.raises(KeyboardInterrupt):
        fit(clone(model), checkpoint=tmp_path / "c", callbacks=Stop())
    resumed = fit(clone(model), checkpoint=tmp_path / "c")
    whole.save(tmp_path / "m")
    for other in (resumed, fastcf.load(tmp_path / "m")):
        np.testing.assert_array_equal(whole.predict(cold), other.predict(cold))


def test_gibbs_features_are_refused_where_they_have_no_effect(described):
    train, _, films = described
    with pytest.raises(ValueError, match="item_features must be None for solver='sgd'"):
        MatrixFactorization(4).fit(train, item_features=films)
    with pytest.raises(ValueError, match="all items of the ratings must have features"):
        MatrixFactorization(4, solver="bayes").fit(train, item_features=(np.arange(5), np.ones((5, 1))))


@pytest.mark.parametrize(("many", "n_factors"), [(901, 32), (900, 64)])
def test_gibbs_takes_more_factors_for_many_ratings_and_says_so(monkeypatch, caplog, many, n_factors):
    monkeypatch.setattr(Gibbs, "_many", many)
    monkeypatch.setattr(Gibbs, "_draws", 3)
    caplog.set_level("INFO", "fastcf")
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    model = MatrixFactorization(solver="bayes", random_state=0).fit(ratings)
    assert (model.n_factors_, model.n_epochs_, model.n_samples_) == (n_factors, 8, 3)
    assert f"by 900 ratings: n_epochs 8, n_factors {n_factors}" in caplog.messages
    assert MatrixFactorization(2, solver="bayes", random_state=0).fit(ratings).n_factors_ == 2


@pytest.mark.parametrize("name", ["ml-latest-small/ratings.csv", "goodbooks-2672/ratings.csv"])
def test_gibbs_eighty_percent_intervals_hold_eighty_percent_of_real_ratings(data_dir, name):
    ratings = fastcf.data.load_ratings(data_dir / name)
    rows = ratings.row_of_entry()
    train, test = fastcf.data.train_test_split(ratings.take(rows < 600), random_state=0)
    model = MatrixFactorization(solver="bayes", **{**SHORT, "n_epochs": 70}).fit(train)
    mean, std = model.predict(test, return_std=True)
    inside = np.mean(np.abs(test.values - mean) <= 1.2815515655 * std)
    assert 0.77 <= inside <= 0.83
