"""UserRegression and ItemRegression: the equation, cold start through features, files, scikit-learn's conventions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler

import fastcf
from fastcf import FeatureTable, ItemRegression, UserRegression
from fastcf.data import read_items
from fastcf.serialization import Archive
from fastcf.serialization.version_1 import upgraded

N_MORE = 5  # items (users) with features that the ratings do not know
MODELS = {
    "user": lambda **options: UserRegression(**options),
    "user-logistic": lambda **options: UserRegression(cost="logistic", threshold=3.5, **options),
    "item": lambda **options: ItemRegression(**options),
    "item-logistic": lambda **options: ItemRegression(cost="logistic", threshold=3.5, **options),
}


@pytest.fixture(scope="module")
def ratings():
    numbered = fastcf.data.make_ratings(60, 40, 1_200, random_state=3)
    users, items, values = numbered.to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, values.size)
    return fastcf.Ratings.from_coo([f"u{u:03d}" for u in users], items * 10 - 50, values, weights=weights)


@pytest.fixture(scope="module")
def features(ratings):
    """Keyword argument of ``fit`` by the kind of model; ids in no particular order."""
    random = np.random.default_rng(1)
    items = random.permutation([*ratings.items.ids, *range(100_000, 100_000 + N_MORE)])
    users = random.permutation([*ratings.users.ids, *(f"v{n}" for n in range(N_MORE))])
    return {
        "item_features": FeatureTable(items, random.normal(0, 1, (items.size, 6))),
        "user_features": (users, random.normal(0, 1, (users.size, 6))),
    }


def _fit(name, ratings, features, **options):
    key = "item_features" if name.startswith("user") else "user_features"
    return MODELS[name](**options).fit(ratings, **{key: features[key]})


@pytest.fixture(scope="module", params=MODELS)
def model(request, ratings, features):
    return _fit(request.param, ratings, features)


def _expected(model, user, item):
    """The equation, from the public attributes."""
    u, i = model.users_.rows([user])[0], model.items_.rows([item])[0]
    z = model.global_mean_ + (model.user_bias_[u] if u >= 0 else 0) + (model.item_bias_[i] if i >= 0 else 0)
    if u >= 0 and i >= 0:
        z += model.user_factors_[u].astype(float) @ model.item_factors_[i].astype(float)
    return expit(z) if model.cost == "logistic" else np.clip(z, *model.rating_range_)


def test_user_regression_predictions_follow_equation(model):
    pairs = [
        ("u001", 0),
        ("u017", 110),
        ("nobody", 20),
        ("u001", 12345),
        ("nobody", 12345),
        ("u004", 100_002),
        ("v1", 0),
    ]
    got = model.predict(pairs)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [_expected(model, *pair) for pair in pairs], rtol=1e-5)
    matrix = model.predict_matrix(["u001", "nobody"])
    assert matrix.shape == (2, len(model.items_))
    pairs = [(user, item) for user in ("u001", "nobody") for item in model.items_.ids]
    np.testing.assert_allclose(matrix.ravel(), model.predict(pairs), rtol=1e-5)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_user_regression_weights_are_scikit_learns(ratings, features, fit_intercept, sparse, cost):
    table = features["item_features"]
    given = FeatureTable(table.ids, scipy.sparse.csr_array(table.matrix)) if sparse else table
    threshold = 3.5 if cost == "logistic" else None
    model = UserRegression(cost=cost, reg=2.0, fit_intercept=fit_intercept, threshold=threshold)
    model.fit(ratings, item_features=given)
    known = table.align(ratings.items).astype(float)
    compared = 0
    for user in range(ratings.n_users):
        entries = slice(ratings.indptr[user], ratings.indptr[user + 1])
        X, y, w = known[ratings.indices[entries]], ratings.values[entries], ratings.weights[entries]
        if cost == "squared":
            peer = Ridge(alpha=2.0, fit_intercept=fit_intercept).fit(X, y.astype(float), w)
        elif len(np.unique(y >= 3.5)) == 2:
            options = {"solver": "newton-cholesky", "tol": 1e-8, "fit_intercept": fit_intercept}
            peer = LogisticRegression(C=1 / 2.0, **options)
            peer.fit(X, y >= 3.5, w)
        else:
            continue
        compared += 1
        np.testing.assert_allclose(model.coef_[user], np.ravel(peer.coef_), atol=2e-5)
        np.testing.assert_allclose(model.intercept_[user], np.ravel(peer.intercept_)[0], atol=5e-5)
    assert compared > 20


def test_item_regression_is_user_regression_of_the_transposed_ratings(ratings, features):
    ids, matrix = features["user_features"]
    users, items, values = ratings.to_coo()
    turned = fastcf.Ratings.from_coo(items, users, values, weights=ratings.weights)
    for options in ({}, {"cost": "logistic", "threshold": 3.5}):
        one = ItemRegression(**options).fit(ratings, user_features=(ids, matrix))
        other = UserRegression(**options).fit(turned, item_features=(ids, matrix))
        np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)
        np.testing.assert_allclose(one.intercept_, other.intercept_, atol=1e-6)
        pairs = [("u001", 0), ("v3", 20), ("nobody", 0), ("u001", 77_777)]
        np.testing.assert_allclose(one.predict(pairs), other.predict([(i, u) for u, i in pairs]), atol=1e-6)


def test_user_regression_cold_start(ratings, features):
    more = fastcf.IdMap([*ratings.users.ids, "silent"])
    users, items, values = ratings.to_coo()
    known = fastcf.Ratings.from_coo(users, items, values, user_ids=more)
    for options, base in (({}, values.mean()), ({"cost": "logistic", "threshold": 3.5}, None)):
        if base is None:
            ones = (values >= 3.5).sum()
            base = (ones + 0.5) / (values.size + 1)
        for fit_intercept in (False, True):
            model = UserRegression(fit_intercept=fit_intercept, **options)
            model.fit(known, item_features=features["item_features"])
            got = model.predict([("silent", 0), ("nobody", 0), ("silent", 100_001), ("nobody", 99)])
            np.testing.assert_allclose(got, base, rtol=1e-5)
            assert np.all(model.coef_[-1] == 0)
            assert model.intercept_[-1] == pytest.approx(model.global_mean_, rel=1e-6)
            assert np.allclose(model.intercept_[:-1], 0, atol=1e-6) != fit_intercept


def test_user_regression_recommends_best_unseen_also_what_nobody_rated(model, ratings):
    users = ["u000", "u007", "nobody"]
    got = model.recommend(users, 7)
    matrix = model.predict_matrix(users)
    rows = {user: ratings.users.rows([user])[0] for user in users}
    for place, user in enumerate(users):
        row = rows[user]
        seen = ratings.indices[ratings.indptr[row] : ratings.indptr[row + 1]] if row >= 0 else []
        unseen = np.delete(matrix[place], seen)
        found = model.items_.rows(got.items[place])
        n = min(7, unseen.size)
        assert not set(found[:n]) & set(seen)
        np.testing.assert_allclose(got.scores[place, :n], matrix[place, found[:n]], rtol=1e-5)
        np.testing.assert_allclose(got.scores[place, :n], np.sort(unseen)[::-1][:7], rtol=1e-5)
        assert np.all(got.scores[place, n:] == -np.inf)
    if isinstance(model, UserRegression):
        fresh = model.recommend("u000", 3, candidates=range(100_000, 100_000 + N_MORE))
        assert np.all(fresh.items >= 100_000)
    else:
        assert np.all(np.isfinite(model.recommend("v0", 10).scores))


def test_user_regression_save_load_predicts_identically(model, ratings, tmp_path):
    model.save(tmp_path / "model.fastcf")
    loaded = fastcf.load(tmp_path / "model.fastcf")
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(ratings), model.predict(ratings))
    np.testing.assert_array_equal(loaded.coef_, model.coef_)
    assert loaded.n_iter_ == model.n_iter_
    mine, theirs = model.recommend(["u001", "nobody"], 5), loaded.recommend(["u001", "nobody"], 5)
    np.testing.assert_array_equal(mine.items, theirs.items)
    np.testing.assert_array_equal(mine.scores, theirs.scores)
    small = tmp_path / "small.fastcf"
    model.save(small, include_seen=False)
    assert fastcf.load(small).recommend("u001", 3, exclude_seen=False).items.shape == (3,)


@pytest.mark.parametrize("name", MODELS)
def test_user_regression_new_rows_from_ratings_are_those_of_a_fit(name, ratings, features):
    model = _fit(name, ratings, features, **({} if name.endswith("logistic") else {"solver": "gradient", "tol": 1e-9}))
    by = "user" if name.startswith("user") else "item"
    folded = model.fold_in(ratings, by=by)
    np.testing.assert_allclose(folded.coef_, model.coef_, atol=1e-6)
    np.testing.assert_allclose(folded.intercept_, model.intercept_, atol=1e-6)
    np.testing.assert_allclose(folded.predict(ratings), model.predict(ratings), atol=1e-5)
    few = ratings.take(ratings.row_of_entry() < 3) if by == "user" else ratings.take(ratings.indices < 3)
    small = model.fold_in(few, by=by)
    rated = small.intercept_ != np.float32(small.global_mean_)
    assert rated.sum() == 3
    np.testing.assert_array_equal(small.coef_[:3], folded.coef_[:3])
    assert small.global_mean_ == model.global_mean_
    other = "item" if by == "user" else "user"
    with pytest.raises(ValueError, match=rf"fold_in: by must be '{by}' \(new {other}s are known by .*; got '{other}'"):
        model.fold_in(ratings, by=other)


@pytest.mark.parametrize("name", ["user", "user-logistic"])
def test_user_regression_history_is_a_fold_in(name, ratings, features):
    model = _fit(name, ratings, features)
    folded = model.fold_in(ratings)
    pairs = [("u001", 0), ("u017", 100_002), ("nobody", 20)]
    np.testing.assert_array_equal(model.predict(pairs, history=ratings), folded.predict(pairs))
    mine, theirs = model.recommend(["u001", "u004"], 5, history=ratings), folded.recommend(["u001", "u004"], 5)
    np.testing.assert_array_equal(mine.items, theirs.items)
    np.testing.assert_array_equal(mine.scores, theirs.scores)
    with pytest.raises(ValueError, match=r"history must be None for .* new items only \(new users are known by"):
        _fit("item", ratings, features).recommend(["u001"], history=ratings)


@pytest.mark.parametrize("name", MODELS)
def test_user_regression_new_rows_from_features(name, ratings, features, tmp_path):
    model = _fit(name, ratings, features)
    key = "item_features" if name.startswith("user") else "user_features"
    new = np.random.default_rng(2).normal(size=(3, 6))
    known = model.items_.ids[4] if name.startswith("user") else model.users_.ids[4]
    ids = [555, int(known), 556] if name.startswith("user") else ["w1", str(known), "w2"]
    more = model.fold_in(**{key: (ids, new)})
    if name.startswith("user"):
        assert more.items_.ids.tolist() == [*model.items_.ids.tolist(), 555, 556]
        pairs = [("u001", 555), ("u001", ids[1]), ("u001", 556)]
        z = new @ model.coef_[1] + model.intercept_[1]
        before, after = model.predict([("u003", 0)]), more.predict([("u003", 0)])
    else:
        assert more.users_.ids.tolist() == [*model.users_.ids.tolist(), "w1", "w2"]
        pairs = [("w1", -50), (ids[1], -50), ("w2", -50)]
        z = new @ model.coef_[0] + model.intercept_[0]
        before, after = model.predict([("u003", 0)]), more.predict([("u003", 0)])
        assert more.seen_.indptr.size == len(more.users_) + 1
    wanted = expit(z) if model.cost == "logistic" else np.clip(z, *model.rating_range_)
    np.testing.assert_allclose(more.predict(pairs), wanted, rtol=1e-4)
    np.testing.assert_array_equal(before, after)
    more.save(tmp_path / "more")
    np.testing.assert_array_equal(fastcf.load(tmp_path / "more").predict(pairs), more.predict(pairs))
    with pytest.raises(ValueError, match=f"fold_in: {key} must have 6 features; got 2"):
        model.fold_in(**{key: (ids, new[:, :2])})


def test_user_regression_ignored_parameters_of_version_1_get_their_defaults():
    params = {"cost": "squared", "solver": "exact", "max_iter": 7, "tol": 1e-3, "reg": 2.0}
    for name in ("UserRegression", "ItemRegression"):
        direct = upgraded(Archive(name, params, {}), {}).params
        assert (direct["max_iter"], direct["tol"], direct["reg"]) == (None, 1e-8, 2.0)
        for changed in ({"solver": "gradient"}, {"cost": "logistic"}):
            kept = upgraded(Archive(name, {**params, **changed}, {}), {}).params
            assert (kept["max_iter"], kept["tol"]) == (7, 1e-3)


class Own(UserRegression):
    """A user's own subclass."""


def test_user_regression_subclass_behaves_as_its_base(ratings, features, tmp_path):
    base = UserRegression(reg=2.0).fit(ratings, item_features=features["item_features"])
    own = Own(reg=2.0).fit(ratings, item_features=features["item_features"])
    own.save(tmp_path / "own")
    for model in (own, fastcf.load(tmp_path / "own"), own.fold_in(ratings)):
        assert isinstance(model, UserRegression)
    np.testing.assert_array_equal(fastcf.load(tmp_path / "own").predict(ratings), base.predict(ratings))


def test_user_regression_arrays_cannot_be_written(model):
    for array in (model.coef_, model.user_factors_, model.item_factors_):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(AttributeError, match="cannot be set"):
        model.coef_ = 1


def test_user_regression_predict_proba_only_for_labels(model, ratings):
    if model.cost == "logistic":
        got = model.predict_proba(ratings)
        np.testing.assert_array_equal(got[:, 1], model.predict(ratings))
        np.testing.assert_array_equal(got[:, 0], 1 - got[:, 1])
        assert got.min() >= 0
        assert got.max() <= 1
    else:
        assert not hasattr(model, "predict_proba")


def test_user_regression_score(model, ratings):
    users, items, values = ratings.to_coo()
    pairs = np.array(list(zip(users, items, strict=True)), object)
    if model.cost == "logistic":
        labels = values >= 3.5
        wanted = -fastcf.metrics.log_loss(labels, model.predict(pairs))
        base = np.full(values.size, labels.mean())
        assert wanted > -fastcf.metrics.log_loss(labels, base)
        assert fastcf.metrics.roc_auc(labels, model.predict(pairs)) > 0.6
    else:
        wanted = -fastcf.metrics.rmse(values, model.predict(pairs))
        assert wanted > -values.std()
    assert model.score(pairs, values) == pytest.approx(wanted)


@pytest.mark.parametrize("name", MODELS)
def test_user_regression_same_bits_for_any_number_of_threads(name, ratings, features):
    first, *others = (_fit(name, ratings, features, n_threads=n) for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(other.coef_, first.coef_)
        np.testing.assert_array_equal(other.intercept_, first.intercept_)
        np.testing.assert_array_equal(other.predict(ratings), first.predict(ratings))


@pytest.mark.parametrize("name", MODELS)
def test_user_regression_order_of_ratings_and_of_features_changes_nothing(name, ratings, features):
    users, items, values = ratings.to_coo()
    random = np.random.default_rng(0)
    order = random.permutation(users.size)
    shuffled = fastcf.Ratings.from_coo(users[order], items[order], values[order], weights=ratings.weights[order])
    table, (ids, matrix) = features["item_features"], features["user_features"]
    rows, people = random.permutation(table.n_rows), random.permutation(ids.size)
    mixed = {
        "item_features": (table.ids.ids[rows], table.matrix[rows]),
        "user_features": (ids[people], matrix[people]),
    }
    first, second = _fit(name, ratings, features), _fit(name, shuffled, mixed)
    np.testing.assert_array_equal(first.predict(ratings), second.predict(ratings))


@pytest.mark.parametrize("name", MODELS)
def test_user_regression_follows_scikit_learn_conventions(name, ratings, features):
    model = MODELS[name](reg=0.3, n_threads=1)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert "reg=0.3" in repr(model)
    with pytest.raises(NotFittedError, match="must be fitted first"):
        model.predict([("u001", 0)])
    fitted = _fit(name, ratings, features)
    before = fitted.predict(ratings)
    key = "item_features" if name.startswith("user") else "user_features"
    with pytest.raises(ValueError, match="ratings must be finite"):
        fitted.fit([("u001", 0)], [np.nan], **{key: features[key]})
    with pytest.raises(ValueError, match="must have features"):
        fitted.fit([("u999", 77_777)], [1.0], **{key: features[key]})
    np.testing.assert_array_equal(fitted.predict(ratings), before)


def test_user_regression_grid_search_finds_the_planted_penalty():
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (40, 10))
    weights = random.normal(0, 0.5, (80, 10))  # noise variance 1 over weight variance 1/4: the best penalty is 4
    users, items = np.nonzero(random.random((80, 40)) < 0.5)
    values = (weights[users] * features[items]).sum(axis=1) + random.normal(0, 1, users.size)
    search = GridSearchCV(UserRegression(), {"reg": [0.01, 4.0, 400.0]}, cv=KFold(3, shuffle=True, random_state=0))
    search.fit(np.stack([users, items], axis=1), values, item_features=FeatureTable(range(40), features))
    assert search.best_params_ == {"reg": 4.0}


def test_user_regression_gradient_solver_agrees_and_says_when_it_does_not_converge(ratings, features):
    for name in ("user", "item-logistic"):
        exact, slow = (_fit(name, ratings, features, solver=solver) for solver in ("exact", "gradient"))
        np.testing.assert_allclose(slow.coef_, exact.coef_, atol=1e-5)
        assert slow.n_iter_ > exact.n_iter_
        with pytest.warns(ConvergenceWarning, match=r"\.fit: \d+ of \d+ regressions did not converge in 3 iterations"):
            _fit(name, ratings, features, solver="gradient", max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _fit("user", ratings, features, solver="auto").n_iter_ == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cost": "hinge"}, ValueError, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        ({"reg": -1}, ValueError, "reg must be a finite number of at least 0; got -1"),
        ({"reg": "auto"}, TypeError, "reg must be a finite number"),
        ({"cost": "logistic", "reg": 0, "threshold": 3}, ValueError, "reg must be above 0 for cost='logistic'"),
        ({"threshold": 3.5}, ValueError, "threshold must be None for cost='squared'; got 3.5"),
        (
            {"cost": "logistic"},
            ValueError,
            r"ratings must lie in \[0, 1\] for cost='logistic' without a threshold; got",
        ),
        ({"solver": "newton"}, ValueError, "solver must be 'auto' or 'exact' or 'gradient'; got 'newton'"),
        ({"tol": 0}, ValueError, "tol must be a finite number above 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be an integer of at least 1"),
        ({"device": "gpu"}, ValueError, "device must be"),
        (
            {"max_iter": 7},
            ValueError,
            "max_iter must be None where cost='squared' is solved directly, .* no effect; got 7",
        ),
        ({"tol": 1e-3}, ValueError, "tol must be 1e-08 where cost='squared' is solved directly"),
        (
            {"solver": "exact", "max_iter": 7},
            ValueError,
            "max_iter must be None where cost='squared' is solved directly",
        ),
        ({"solver": "exact", "tol": 1e-3}, ValueError, "tol must be 1e-08 where cost='squared' is solved directly"),
    ],
)
def test_user_regression_bad_parameters_raise(ratings, features, options, error, message):
    with pytest.raises(error, match=f"UserRegression.fit: {message}"):
        UserRegression(**options).fit(ratings, item_features=features["item_features"])
    with pytest.raises(error, match=f"ItemRegression.fit: {message}"):
        ItemRegression(**options).fit(ratings, user_features=features["user_features"])


def test_user_regression_bad_features_raise(ratings, features):
    ids = ratings.items.ids
    with pytest.raises(
        ValueError, match=r"UserRegression.fit: all items of the ratings must have features; 1 of \d+ have"
    ):
        UserRegression().fit(ratings, item_features=(ids[1:], np.ones((ids.size - 1, 2))))
    users = ratings.users.ids[1:]
    with pytest.raises(ValueError, match=r"ItemRegression.fit: all users of the ratings must have features"):
        ItemRegression().fit(ratings, user_features=(users, np.ones((users.size, 2))))
    with pytest.raises(TypeError, match=r"ItemRegression.fit: all users of the ratings must be integers"):
        ItemRegression().fit(ratings, user_features=(ids, np.ones((ids.size, 2))))
    with pytest.raises(TypeError, match=r"UserRegression.fit: item_features must be a FeatureTable or a pair"):
        UserRegression().fit(ratings, item_features=np.ones((ids.size, 2)))
    with pytest.raises(ValueError, match=r"UserRegression.fit: item_features: FeatureTable: matrix must be finite"):
        UserRegression().fit(ratings, item_features=(ids, np.full((ids.size, 2), np.nan)))
    with pytest.raises(TypeError, match="item_features"):
        UserRegression().fit(ratings)


def test_user_regression_without_features_predicts_means(ratings):
    model = UserRegression().fit(ratings, item_features=(ratings.items, np.empty((ratings.n_items, 0))))
    entries = slice(ratings.indptr[4], ratings.indptr[5])
    mean = np.average(ratings.values[entries], weights=ratings.weights[entries])
    assert model.predict([(ratings.users.ids[4], 0)])[0] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_user_regression_learns_on_real_ratings(data_dir, cost):
    """Item means and genres, per user: better than the user's mean, and than the item's."""
    folder = data_dir / "ml-latest-small"
    if not folder.is_dir():
        pytest.skip("ml-latest-small is not among the rating sets")
    train, test = fastcf.data.train_test_split(fastcf.data.load_ratings(folder), random_state=0)
    films = read_items(folder / "movies.csv")
    genres = np.array(
        [[genre in row.split("|") for genre in ("Action", "Comedy", "Drama", "Horror")] for row in films.genres]
    )
    bias = fastcf.BiasModel().fit(train)
    mean = np.zeros(films.ids.size)
    rows = bias.items_.rows(films.ids)
    mean[rows >= 0] = bias.item_bias_[rows[rows >= 0]]
    table = FeatureTable(films.ids, np.column_stack([StandardScaler().fit_transform(genres), mean / mean.std()]))
    threshold = 4.0 if cost == "logistic" else None
    model = UserRegression(cost=cost, reg=10.0, threshold=threshold).fit(train, item_features=table)
    if cost == "squared":
        assert -model.score(test) < 0.90
    else:
        assert fastcf.metrics.roc_auc(test.values >= 4, model.predict(test)) > 0.75
