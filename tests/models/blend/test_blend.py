"""The blend of models: its fits, and its rankings against its predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from blends import MEMBERS, Curved, Own, mf, saved, string_ratings
from fastcf._backend import resolve_device
from fastcf.models.blend import fitting
from fastcf.models.blend.weights import ridge_weights
from fastcf.scores import Compute, Selection, blocks


@pytest.fixture(scope="module")
def ratings():
    return string_ratings()


COMPUTE = Compute(resolve_device("cpu", "test").module, 0)


@pytest.fixture(scope="module", params=MEMBERS)
def blend(request, ratings):
    return fastcf.Blend(MEMBERS[request.param](), random_state=0).fit(ratings)


# ---------------------------------------------------------------------------------------------------------------
# Fitting
# ---------------------------------------------------------------------------------------------------------------


def test_blend_holds_out_fits_and_fits_again(ratings, monkeypatch):
    monkeypatch.setattr(fitting, "_MOST_FOLDS", 1)
    blend = fastcf.Blend(MEMBERS["linear"](), validation_fraction=0.2, random_state=5).fit(ratings)
    first = fastcf.Blend(MEMBERS["linear"](), validation_fraction=0.2, random_state=5, refit=False).fit(ratings)
    assert blend.n_validation_ == round(0.2 * ratings.nnz)
    np.testing.assert_array_equal(blend.weights_, first.weights_)
    assert (blend.validation_rmse_, blend.member_rmse_) == (first.validation_rmse_, first.member_rmse_)
    assert blend.models_["bias"].seen_.indices.size == ratings.nnz
    assert first.models_["bias"].seen_.indices.size == ratings.nnz - blend.n_validation_
    assert blend.seen_.indices.size == first.seen_.indices.size == ratings.nnz  # what was held out was rated, too
    assert not hasattr(blend.models[0][1], "users_")  # clones are fitted
    assert all(getattr(each, "random_state", None) is None for each in blend.models_.values())
    assert all(each.n_threads is None for each in blend.models_.values())


def test_parts_of_few_ratings_share_the_draws_of_a_member(ratings, monkeypatch):
    fits = []
    honest = fastcf.MatrixFactorization.fit

    def counted(model, X, *arguments, **options):
        fits.append((X.nnz == ratings.nnz, model.n_epochs))
        return honest(model, X, *arguments, **options)

    monkeypatch.setattr(fastcf.MatrixFactorization, "fit", counted)
    blend = fastcf.Blend([("bayes", mf(solver="bayes", n_epochs=50, reg="auto")), fastcf.BiasModel()], random_state=0)
    blend.fit(ratings)
    assert fits == [(False, 15)] * 5 + [(True, 50)]
    assert blend.models_["bayes"].n_epochs == 50


def test_blend_that_is_shortened_fits_its_members_once(ratings):
    blend = fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0)
    assert not blend.shortened().refit
    fitted = [model.fit(ratings) for _, model in MEMBERS["linear"]()]
    assert repr(fastcf.Blend(fitted, fit_members=False).shortened()) == repr(fastcf.Blend(fitted, fit_members=False))


def test_blend_of_given_validation_ratings_matches_the_equation(ratings):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    users, items, values = held_out.to_coo()
    pairs = np.empty((users.size, 2), object)
    pairs[:, 0], pairs[:, 1] = users, items
    members = [("mf", mf(random_state=3)), ("bias", fastcf.BiasModel())]
    blend = fastcf.Blend(members, reg=2.0).fit(train, validation=(pairs, values))
    fitted = [model.fit(train) for _, model in members]
    scores = np.stack([model.predict(held_out) for model in fitted], axis=1).astype(float)
    weights, constant, _ = ridge_weights(scores, values, None, 2.0, intercept=True, non_negative=False)
    np.testing.assert_allclose(blend.weights_, weights, atol=5e-3)  # members were limited to the range here
    wanted = np.clip(scores @ blend.weights_ + blend.intercept_, *train.rating_range)
    inside = (scores < train.rating_range[1]).all(axis=1)
    np.testing.assert_allclose(blend.predict(held_out)[inside], wanted[inside], atol=1e-5)
    assert constant == pytest.approx(blend.intercept_, abs=2e-2)
    assert blend.validation_rmse_ == pytest.approx(-blend.score(held_out), abs=1e-6)
    assert blend.member_rmse_["bias"] == pytest.approx(-fitted[1].score(held_out), abs=1e-6)
    assert blend.validation_rmse_ <= min(blend.member_rmse_.values())
    assert blend.seen_.indices.size == train.nnz


def test_blend_takes_fitted_members_as_they_are(ratings):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    members = [("mf", mf(random_state=0).fit(train)), ("bias", fastcf.BiasModel().fit(train))]
    blend = fastcf.Blend(members, fit_members=False, reg=1.0).fit(held_out)
    assert blend.models_["mf"].state is members[0][1].state
    assert blend.models is members
    fresh = fastcf.Blend([("mf", mf(random_state=0)), ("bias", fastcf.BiasModel())], reg=1.0)
    np.testing.assert_array_equal(fresh.fit(train, validation=held_out).predict(ratings), blend.predict(ratings))
    assert blend.seen_.indices.size == ratings.nnz
    np.testing.assert_array_equal(blend.seen_.indices, ratings.indices)
    with pytest.warns(UserWarning, match=r"was fitted to 2,000 of the 2,500 ratings") as warned:
        fastcf.Blend(members, fit_members=False).fit(ratings)
    assert [name for each in warned for name in ("'mf'", "'bias'") if name in str(each.message)] == ["'mf'", "'bias'"]


def test_blend_hands_features_to_members_that_take_them(ratings):
    films = fastcf.FeatureTable([*ratings.items.ids, 7_777], np.random.default_rng(0).normal(size=(61, 3)))
    models = [mf(), fastcf.UserRegression(reg=20)]
    blend = fastcf.Blend(models, random_state=0).fit(ratings, item_features=films)
    assert 7_777 in blend.items_  # which the factorisation does not know
    pairs = [("u001", 7_777), ("nobody", 7_777), ("nobody", 1)]
    parts = [weight * each.predict(pairs) for weight, each in zip(blend.weights_, blend.models_.values(), strict=True)]
    np.testing.assert_allclose(blend.predict(pairs), sum(parts) + blend.intercept_, atol=1e-4)
    users = ["u001", "nobody"]
    matrix = blend.predict_matrix(users)
    best = blend.recommend(users, 61, exclude_seen=False)
    columns = blend.items_.rows(best.items.ravel()).reshape(2, 61)
    np.testing.assert_allclose(best.scores, np.take_along_axis(matrix, columns, axis=1), atol=1e-5)
    np.testing.assert_allclose(matrix[0, blend.items_.rows([7_777])[0]], blend.predict(pairs)[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"Blend.fit: user_features must be None where no member"):
        fastcf.Blend(models).fit(ratings, item_features=films, user_features=films)


def test_blend_of_labels_takes_probabilities(ratings):
    users, items, values = ratings.to_coo()
    labels = fastcf.Ratings.from_coo(users, items, (values >= 4).astype(float))
    likes = mf(4, cost="logistic")
    blend = fastcf.Blend([("likes", likes), ("bias", fastcf.BiasModel())], random_state=0).fit(labels)
    assert not blend.state.scores.linear
    parts = blend.models_["likes"].predict(labels), blend.models_["bias"].predict(labels)
    np.testing.assert_array_equal(parts[0], blend.models_["likes"].predict_proba(labels)[:, 1])
    wanted = np.clip(np.stack(parts, axis=1) @ blend.weights_ + blend.intercept_, 0, 1)
    inside = (parts[1] > 0) & (parts[1] < 1)  # elsewhere the bias model's predictions are limited here
    np.testing.assert_allclose(blend.predict(labels)[inside], wanted[inside], atol=1e-5)
    assert fastcf.metrics.roc_auc(labels.values, blend.predict(labels)) > 0.7


def test_blend_weighs_ratings(ratings):
    users, items, values = ratings.to_coo()
    heavy = values >= 4
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=np.where(heavy, 1.0, 0.0))
    blend = fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0).fit(weighted)
    assert blend.predict(ratings).mean() > values[heavy].mean() - 0.2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_blend_same_seed_gives_the_same_bits(ratings, n_threads):
    first = fastcf.Blend(MEMBERS["mixed"](), random_state=1).fit(ratings)
    again = fastcf.Blend(MEMBERS["mixed"](), random_state=1, n_threads=n_threads).fit(ratings)
    other = fastcf.Blend(MEMBERS["mixed"](), random_state=2).fit(ratings)
    np.testing.assert_array_equal(first.predict(ratings), again.predict(ratings))
    np.testing.assert_array_equal(first.weights_, again.weights_)
    assert first.validation_rmse_ != other.validation_rmse_


def test_blend_interrupted_while_fitting_again_can_be_used(ratings, monkeypatch):
    def interrupted(self, X, y=None):
        if X is ratings:
            raise KeyboardInterrupt
        return fastcf.BiasModel.fit(self, X, y)

    class Interrupted(fastcf.BiasModel):
        fit = interrupted

    blend = fastcf.Blend([("mf", mf()), ("bias", Interrupted())], random_state=0)
    with pytest.raises(KeyboardInterrupt):
        blend.fit(ratings)
    assert blend.models_["mf"].seen_.indices.size == ratings.nnz
    assert blend.models_["bias"].seen_.indices.size < ratings.nnz
    assert blend.recommend("u001", 3).scores.shape == (3,)


@pytest.mark.parametrize("n", [12, 900, 2_500, 12_000, 30_000])
def test_folds_hold_out_as_many_ratings_as_weights_need(n):
    made = fastcf.data.make_ratings(300, 200, n, random_state=0)
    folds = fitting.folds_of(made, 0.1, 0, "test", one=False)
    held_out = [fold.held_out.nnz for fold in folds]
    assert len(set(held_out)) == 1
    assert all(fold.train.nnz + fold.held_out.nnz == n for fold in folds)
    keys = [np.ravel_multi_index((own.row_of_entry(), own.indices), made.shape) for _, own in folds]
    assert len(np.unique(np.concatenate(keys))) == sum(held_out)  # no rating twice
    assert len(folds) == {12: 5, 900: 5, 2_500: 5, 12_000: 5, 30_000: 2}[n]
    assert len(fitting.folds_of(made, 0.1, 0, "test", one=True)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, fastcf.DivergenceError, ValueError])
def test_blend_whose_member_cannot_be_fitted_again(ratings, error, monkeypatch):
    monkeypatch.setattr(fitting, "_MOST_FOLDS", 1)
    fits = []

    class Failing(fastcf.BiasModel):
        def fit(self, X, y=None):
            fits.append(X)
            if len(fits) == 4:
                raise error("no more")
            return super().fit(X, y)

    blend = fastcf.Blend([("bias", Failing()), ("mf", mf())], random_state=0).fit(ratings)
    before = blend.state
    with pytest.raises(error, match="no more"):
        blend.set_params(random_state=1).fit(ratings)
    if error is ValueError:
        assert blend.state is before
    else:  # the blend of the first members, the others not being fitted again
        assert blend.state is not before
        assert [each.seen_.indices.size for each in blend.models_.values()] == [2_250, 2_250]
        first = fastcf.Blend([("bias", fastcf.BiasModel()), ("mf", mf())], refit=False, random_state=1).fit(ratings)
        np.testing.assert_array_equal(blend.predict(ratings), first.predict(ratings))


def test_blend_failed_fit_leaves_the_fitted_model_as_it_was(ratings):
    blend = fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0).fit(ratings)
    before = blend.predict(ratings)
    with pytest.raises(ValueError, match="validation_fraction"):
        blend.fit([(1, 2)], [3.0])
    np.testing.assert_array_equal(blend.predict(ratings), before)


def test_blend_says_what_it_does(ratings, capsys):
    fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0, verbose=2).fit(ratings)
    shown = capsys.readouterr().out
    assert "matrixfactorization: fitted to 2,250 ratings in" in shown
    assert "biasmodel: fitted to 2,500 ratings in" in shown
    assert "Blend: validation RMSE" in shown
    for verbose in (0, False, True):  # the bar is for terminals
        fastcf.Blend([mf(), fastcf.BiasModel()], random_state=0, verbose=verbose).fit(ratings)
        assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------------------------------------------------
# Prediction and ranking
# ---------------------------------------------------------------------------------------------------------------


def test_blend_predicts_the_weighted_sum_also_for_unknown_ids(blend):
    pairs = [("u001", 0), ("u017", 110), ("nobody", 20), ("u001", 12345), ("nobody", 12345)]
    parts = [weight * each.predict(pairs) for weight, each in zip(blend.weights_, blend.models_.values(), strict=True)]
    np.testing.assert_allclose(blend.predict(pairs), sum(parts) + blend.intercept_, atol=1e-5)
    assert blend.predict(pairs).dtype == np.float32
    assert blend.predict(np.empty((0, 2), int)).shape == (0,)


def test_blend_predict_matrix_agrees_with_predict(blend, monkeypatch):
    users = ["u003", "nobody", "u001"]
    pairs = [(user, item) for user in users for item in blend.items_.ids.tolist()]
    wanted = blend.predict(pairs).reshape(3, -1)
    np.testing.assert_allclose(blend.predict_matrix(users), wanted, atol=1e-6)
    whole = blend.predict_matrix()
    assert whole.shape == (len(blend.users_), len(blend.items_))
    monkeypatch.setattr(blocks, "_BATCH_BYTES", 1)
    np.testing.assert_array_equal(blend.predict_matrix(), whole)


@pytest.mark.parametrize("batch_bytes", [1, 1 << 24])
@pytest.mark.parametrize("n", [1, 7, 60, 80])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_blend_recommends_the_best_by_prediction(blend, ratings, monkeypatch, batch_bytes, n, exclude_seen):
    monkeypatch.setattr(blocks, "_BATCH_BYTES", batch_bytes)
    users = ["u005", "nobody", "u001", "u005"]
    candidates = [*ratings.items.ids[::2], 999_999]
    got = blend.recommend(users, n, exclude_seen=exclude_seen, candidates=candidates, exclude=candidates[:3])
    assert got.items.shape == got.scores.shape == (4, n)
    scores = blend.predict_matrix(users, clip=False)
    allowed = np.isin(blend.items_.ids, candidates[3:])
    for row, user in enumerate(users):
        seen = ratings.items.ids[ratings.to_scipy()[ratings.users.rows([user])[0]].indices] if user != "nobody" else []
        possible = np.flatnonzero(allowed & ~np.isin(blend.items_.ids, seen if exclude_seen else []))
        best = possible[np.argsort(-scores[row, possible], kind="stable")][:n]
        found = got.scores[row] > -np.inf
        assert found.sum() == best.size
        np.testing.assert_array_equal(got.items[row, found], blend.items_.ids[best])
        limited = np.clip(scores[row, best], *blend.rating_range_)
        np.testing.assert_allclose(got.scores[row, found], limited, atol=1e-5)
        assert (got.items[row, ~found] == -1).all()
    alone = blend.recommend("u001", n, exclude_seen=exclude_seen, candidates=candidates, exclude=candidates[:3])
    np.testing.assert_array_equal(alone.items, got.items[2])
    np.testing.assert_array_equal(alone.scores, got.scores[2])


@pytest.mark.parametrize("kind", ["linear", "nested"])
def test_blend_ranks_natively_what_it_would_rank_by_scores(ratings, kind):
    scores = fastcf.Blend(MEMBERS[kind](), random_state=0).fit(ratings).state.scores
    assert scores.linear
    rows = np.array([0, 5, -1], np.int32)
    joint = scores.best(rows, Selection(10), COMPUTE)
    every = blocks.best_of_blocks(scores, rows, Selection(10), COMPUTE)
    np.testing.assert_array_equal(joint[0], every[0])
    np.testing.assert_allclose(joint[1], every[1], atol=1e-5)


@settings(max_examples=50)
@given(m=st.integers(0, 4), width=st.sampled_from([1, 2, 33]), levels=st.integers(1, 5), data=st.data())
def test_blend_best_columns_are_those_of_a_stable_sort(m, width, levels, data):
    n = data.draw(st.integers(1, width))
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, levels, (m, width)).astype(np.float32)
    scores[scores == 0] = -np.inf
    columns, best = blocks.best_of_table(scores, n)
    np.testing.assert_array_equal(columns, np.argsort(-scores, axis=1, kind="stable")[:, :n])
    np.testing.assert_array_equal(best, np.take_along_axis(scores, columns, axis=1))


def test_blend_of_no_users_is_empty(blend):
    assert blend.recommend([], 5).items.shape == (0, 5)
    assert blend.predict_matrix([]).shape == (0, len(blend.items_))


def test_blend_of_members_with_other_users_and_items(ratings):
    users, items, values = ratings.to_coo()
    early, late = users < "u080", items > 100
    train = [fastcf.Ratings.from_coo(users[part], items[part], values[part]) for part in (early, late)]
    members = [mf(random_state=0).fit(train[0]), Curved().fit(train[1])]
    rest = fastcf.Ratings.from_coo(users[~early & ~late], items[~early & ~late], values[~early & ~late])
    for pair in (members, [members[0], mf(normalize="item", random_state=0).fit(train[1])]):
        blend = fastcf.Blend(pair, fit_members=False).fit(rest)
        assert (len(blend.users_), len(blend.items_)) == (ratings.n_users, ratings.n_items)
        pairs = [(user, item) for user in ("u001", "u100", "nobody") for item in blend.items_.ids.tolist()]
        wanted = blend.predict(pairs).reshape(3, -1)
        np.testing.assert_allclose(blend.predict_matrix(["u001", "u100", "nobody"]), wanted, atol=1e-5)
        best = blend.recommend(["u001", "u100", "nobody"], 5, exclude_seen=False)
        columns = blend.items_.rows(best.items.ravel()).reshape(3, 5)
        np.testing.assert_allclose(np.take_along_axis(wanted, columns, axis=1), best.scores, atol=1e-5)
        every = blend.recommend(blend.users_.ids, len(blend.items_))
        left = np.isfinite(every.scores).sum(axis=1)
        np.testing.assert_array_equal(left, ratings.n_items - np.diff(ratings.indptr))  # all were seen by one of them
    numbered = fastcf.BiasModel().fit(fastcf.data.make_ratings(20, 10, 100, random_state=0))
    with pytest.raises(ValueError, match=r"ids of one kind in users_; got strings in 'matrix.*' and integers in 'bias"):
        fastcf.Blend([members[0], numbered], fit_members=False).fit(rest)


@pytest.mark.parametrize("fit_members", [True, False])
def test_blend_member_that_is_fitted_again_does_not_change_the_blend(ratings, tmp_path, fit_members):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    members = [("mf", mf(random_state=0)), ("bias", fastcf.BiasModel())]
    if not fit_members:
        for _, member in members:
            member.fit(train)
    blend = fastcf.Blend(members, fit_members=fit_members, random_state=0).fit(held_out)
    before, best = blend.predict(ratings), blend.recommend(["u001", "u002"], 5)
    other = fastcf.Ratings.from_coo(["z1", "z2", "z2"], [1, 1, 2], [1.0, 2.0, 3.0])
    for member in [*blend.models_.values(), *(member for _, member in members)]:
        member.fit(other)
    blend.models_["mf"].set_params(n_factors=77)
    for again in (blend, saved(blend, tmp_path)):
        np.testing.assert_array_equal(again.predict(ratings), before)
        np.testing.assert_array_equal(again.recommend(["u001", "u002"], 5).items, best.items)
        assert again.models_["mf"].n_factors == 4
        assert again.models_["mf"].predict([("u001", 0)]) != members[0][1].predict([("u001", 0)])
    with pytest.raises(AttributeError, match="weights_ is a view"):
        blend.weights_ = np.array([0.3, 0.4])
    with pytest.raises(ValueError, match="read-only"):
        blend.weights_[0] = 1


def test_blend_of_a_subclass_of_a_users_own_is_that_of_its_base(ratings, tmp_path):
    own = fastcf.Blend([("mf", Own(4, n_epochs=5, reg=1.0)), ("bias", fastcf.BiasModel())], random_state=0).fit(ratings)
    base = fastcf.Blend([("mf", mf()), ("bias", fastcf.BiasModel())], random_state=0).fit(ratings)
    assert own.state.scores.linear
    for model in (own, saved(own, tmp_path)):
        np.testing.assert_array_equal(model.predict(ratings), base.predict(ratings))
        np.testing.assert_array_equal(model.recommend("u001").items, base.recommend("u001").items)

    class OwnBlend(fastcf.Blend):
        pass

    blend = OwnBlend([("mf", mf()), ("bias", fastcf.BiasModel())], random_state=0).fit(ratings)
    loaded = saved(blend, tmp_path)
    assert type(loaded) is fastcf.Blend
    np.testing.assert_array_equal(loaded.predict(ratings), base.predict(ratings))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "solvers"),
    [("ml-latest-small/ratings.csv", ("sgd", "bayes")), ("movietweetings-100k/ratings.dat", ("sgd", "als"))],
)
def test_blend_on_real_sets_is_no_worse_than_its_best_member(data_dir, file, solvers):
    log = fastcf.data.read_log(data_dir / file)
    order = np.random.default_rng(20261120).permutation(len(log.ratings))
    test, train = order[: order.size // 10], order[order.size // 10 :]
    X = np.empty((order.size, 2), object)
    X[:, 0], X[:, 1] = log.users, log.items
    known = fastcf.Ratings.from_coo(log.users[train], log.items[train], log.ratings[train], duplicates="last")
    members = [(solver, fastcf.MatrixFactorization(solver=solver)) for solver in solvers]
    blend = fastcf.Blend(members, random_state=0).fit(known)

    def error(model):
        return fastcf.metrics.rmse(log.ratings[test], model.predict(X[test]))

    assert error(blend) <= min(error(member) for member in blend.models_.values())


@pytest.mark.parametrize("metric", ["mae", "log_loss"])
def test_weights_of_the_least_error(metric, tmp_path):
    made = fastcf.data.make_ratings(60, 40, 1500, random_state=0)
    labels = metric == "log_loss"
    values = (made.values >= 4).astype(np.float32) if labels else made.values
    users, items, _ = made.to_coo()
    whole = fastcf.Ratings.from_coo(users, items, values, weights=np.linspace(0.1, 2, made.nnz))
    train, held_out = fastcf.data.train_test_split(whole, 0.3, random_state=0)
    cost = {"cost": "logistic"} if labels else {}
    members = [
        ("few", fastcf.MatrixFactorization(2, n_epochs=3, **cost)),
        ("many", fastcf.MatrixFactorization(8, n_epochs=8, **cost)),
        ("bias", fastcf.BiasModel()),
    ]
    blend = fastcf.Blend(members, metric=metric, random_state=0).fit(train, validation=held_out)
    error, own = getattr(blend, f"validation_{metric}_"), getattr(blend, f"member_{metric}_")
    judge = fastcf.metrics.as_scorer(metric, "test")
    assert error == pytest.approx(judge(blend, held_out), rel=1e-5)
    assert own == pytest.approx({name: judge(model, held_out) for name, model in blend.models_.items()}, rel=1e-5)
    assert error <= min(own.values())
    assert blend.weights_.min() >= 0
    assert blend.weights_.sum() == pytest.approx(1)
    blend.save(tmp_path / "blend")
    loaded = fastcf.load(tmp_path / "blend")
    assert getattr(loaded, f"validation_{metric}_") == error
    assert not hasattr(loaded, "reg_")
    np.testing.assert_array_equal(loaded.predict(held_out), blend.predict(held_out))


def test_log_loss_needs_labels(ratings):
    with pytest.raises(ValueError, match=r"Blend.fit: validation: ratings must lie in \[0, 1\]"):
        fastcf.Blend([fastcf.BiasModel()], metric="log_loss", random_state=0).fit(ratings)
