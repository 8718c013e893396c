"""``sample_weight`` of fit and score, repeated pairs, and names of columns, for every estimator."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

import fastcf
from fastcf import Ratings
from fastcf.models.estimator import Estimator
from fastcf.retrieval import FeatureRanker

RATINGS = fastcf.data.make_ratings(60, 40, 1_200, random_state=4)
USERS, ITEMS, VALUES = RATINGS.to_coo()
PAIRS = np.stack([USERS, ITEMS], axis=1)
TRAIN, TEST = fastcf.data.train_test_split(RATINGS, random_state=0)
FILMS = fastcf.FeatureTable(RATINGS.items, np.random.default_rng(0).normal(size=(RATINGS.n_items, 3)))
PEOPLE = fastcf.FeatureTable(RATINGS.users, np.random.default_rng(1).normal(size=(RATINGS.n_users, 2)))

MODELS = {
    "autoencoder": lambda: (fastcf.Autoencoder((5,), n_epochs=2, random_state=0), {}),
    "autoencoder of choices": lambda: (fastcf.Autoencoder((5,), n_epochs=2, cost="multinomial", random_state=0), {}),
    "bias": lambda: (fastcf.BiasModel(), {}),
    "blend": lambda: (fastcf.Blend([fastcf.BiasModel(), fastcf.Popular(by="mean")], random_state=0), {}),
    "factors": lambda: (fastcf.MatrixFactorization(4, n_epochs=3, random_state=0), {}),
    "als": lambda: (fastcf.MatrixFactorization(4, solver="als", n_epochs=3, random_state=0), {}),
    "labels": lambda: (fastcf.MatrixFactorization(4, n_epochs=2, cost="logistic", threshold=4, random_state=0), {}),
    "implicit": lambda: (fastcf.ImplicitFactorization(4, reg=0.01, n_epochs=2, strength="value", random_state=0), {}),
    "linear": lambda: (fastcf.LinearAutoencoder(strength="value"), {}),
    "items": lambda: (fastcf.ItemNeighbours(strength="value"), {}),
    "users": lambda: (fastcf.UserNeighbours(strength="value"), {}),
    "popular": lambda: (fastcf.Popular(by="mean"), {}),
    "item regression": lambda: (fastcf.ItemRegression(), {"user_features": PEOPLE}),
    "user regression": lambda: (fastcf.UserRegression(), {"item_features": FILMS}),
    "mixed regression": lambda: (fastcf.MixedRegression(), {"item_features": FILMS, "user_features": PEOPLE}),
    "perceptron": lambda: (
        fastcf.UserPerceptron((3,), threshold=4, n_epochs=2, random_state=0),
        {"item_features": FILMS},
    ),
    "two-tower": lambda: (fastcf.TwoTower((6,), (5,), 4, n_epochs=2, random_state=0), {}),
    "ranker": lambda: (FeatureRanker(Ridge(), item_features=FILMS), {}),
}


def answers(model):
    return model.predict(PAIRS[::7])


@pytest.mark.parametrize("kind", MODELS)
def test_sample_weight_is_the_weights_of_ratings(kind):
    weights = np.random.default_rng(3).integers(0, 4, RATINGS.nnz).astype(np.float32)
    weighted = Ratings.from_coo(USERS, ITEMS, VALUES, weights=weights)
    expected = MODELS[kind]()[0].fit(weighted, **MODELS[kind]()[1])
    order = np.random.default_rng(5).permutation(RATINGS.nnz)
    for X, y, given in (
        (RATINGS, None, weights),
        (RATINGS.to_scipy(), None, weights),
        (PAIRS[order], VALUES[order], weights[order]),
    ):
        model, more = MODELS[kind]()
        model.fit(X, y, sample_weight=given, **more)
        np.testing.assert_array_equal(answers(model), answers(expected))
        assert model.score(X, y, given) == pytest.approx(expected.score(weighted), rel=1e-6)
    plain = MODELS[kind]()[0].fit(RATINGS, **MODELS[kind]()[1])
    assert not np.array_equal(answers(plain), answers(expected))
    with pytest.raises(ValueError, match="sample_weight must be None for ratings that have weights of their own"):
        MODELS[kind]()[0].fit(weighted, sample_weight=weights, **MODELS[kind]()[1])


@pytest.mark.parametrize("kind", ["factors", "als", "bias", "linear", "implicit"])
def test_sample_weight_lets_pairs_be_repeated(kind):
    """A pair drawn twice counts with the sum of its weights."""
    drawn = np.random.default_rng(0).integers(0, RATINGS.nnz, RATINGS.nnz)
    counts = np.bincount(drawn, minlength=RATINGS.nnz)
    model = MODELS[kind]()[0].fit(PAIRS[drawn], VALUES[drawn], sample_weight=np.ones(drawn.size))
    there = counts > 0
    expected = MODELS[kind]()[0].fit(PAIRS[there], VALUES[there], sample_weight=counts[there])
    np.testing.assert_allclose(answers(model), answers(expected), rtol=1e-5)
    with pytest.raises(ValueError, match="or sample_weight"):
        MODELS[kind]()[0].fit(PAIRS[drawn], VALUES[drawn])


def test_score_of_repeated_pairs_counts_each():
    model = fastcf.BiasModel().fit(TRAIN)
    pairs, values = [(1, 2), (1, 2), (3, 4)], [5.0, 1.0, 3.0]
    errors = model.predict(pairs).astype(float) - values
    assert model.score(pairs, values) == pytest.approx(-np.sqrt(np.mean(errors**2)))
    weighted = -np.sqrt(np.average(errors**2, weights=[1, 0, 3]))
    assert model.score(pairs, values, sample_weight=[1, 0, 3]) == pytest.approx(weighted)
    labels = fastcf.MatrixFactorization(2, n_epochs=1, cost="logistic", threshold=4).fit(TRAIN)
    assert labels.score([(1, 2), (1, 2)], [5.0, 1.0]) < 0
    choices = fastcf.LinearAutoencoder(threshold=4).fit(TRAIN)
    once = choices.score([(1, 2), (3, 4)], [5.0, 5.0])
    assert choices.score([(1, 2), (1, 2), (3, 4)], [5.0, 5.0, 5.0]) == once
    assert choices.score([(1, 2), (1, 2), (3, 4)], [5.0, 1.0, 5.0]) == once  # chosen once is chosen


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "sample_weight must have as many entries|weights must have as many entries"),
        (np.full(RATINGS.nnz, -1.0), "finite and non-negative|must not be negative"),
        (np.full(RATINGS.nnz, np.nan), "finite"),
        (np.zeros(RATINGS.nnz), "must not all be zero|positive sum"),
    ],
)
def test_sample_weight_that_does_not_fit_is_refused(weights, message):
    model = fastcf.BiasModel().fit(RATINGS)
    for X, y in ((RATINGS, None), (RATINGS.to_scipy(), None), (PAIRS, VALUES)):
        with pytest.raises(ValueError, match=message):
            fastcf.BiasModel().fit(X, y, sample_weight=weights)
        with pytest.raises(ValueError, match=message):
            model.score(X, y, sample_weight=weights)


def test_sample_weight_is_refused_where_a_regressor_takes_none():
    with pytest.raises(ValueError, match="sample_weight must be None for KNeighborsRegressor, which takes none"):
        FeatureRanker(KNeighborsRegressor(), item_features=FILMS).fit(RATINGS, sample_weight=np.ones(RATINGS.nnz))


def test_every_fit_and_score_takes_sample_weight():
    public = [getattr(fastcf, name) for name in fastcf.__all__]
    estimators = {FeatureRanker, *(each for each in public if inspect.isclass(each) and issubclass(each, Estimator))}
    assert len(estimators) > 10
    for kind in estimators:
        assert list(inspect.signature(kind.fit).parameters)[1:4] == ["X", "y", "sample_weight"], kind
        assert list(inspect.signature(kind.score).parameters)[1:4] == ["X", "y", "sample_weight"], kind


def test_sample_weight_makes_bagging_work():
    model = BaggingRegressor(fastcf.BiasModel(), n_estimators=3, random_state=0).fit(PAIRS, VALUES)
    assert np.isfinite(model.predict(PAIRS[:2])).all()


# ------------------------------------------------------------------------------------------------ names of columns


def frames():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    return [pd.DataFrame({"user": USERS, "item": ITEMS}), pl.DataFrame({"user": USERS, "item": ITEMS})]


@pytest.mark.parametrize("kind", MODELS)
def test_columns_in_another_order_are_refused(kind, tmp_path):
    for frame in frames():
        model, more = MODELS[kind]()
        assert not hasattr(model, "feature_names_in_")
        model.fit(frame, VALUES, **more)
        assert model.feature_names_in_.tolist() == ["user", "item"]
        swapped = frame[["item", "user"]]
        for call in (
            lambda model=model, swapped=swapped: model.predict(swapped),
            lambda model=model, swapped=swapped: model.score(swapped, VALUES),
            lambda model=model, swapped=swapped: model.with_seen(swapped, VALUES),
        ):
            with pytest.raises(
                ValueError, match="must have the columns of fit, 'user', 'item', in this order; got 'item"
            ):
                call()
        np.testing.assert_array_equal(model.predict(frame), model.predict(PAIRS))
        if kind != "ranker":
            model.save(tmp_path / "model.fastcf")
            loaded = fastcf.load(tmp_path / "model.fastcf")
            assert loaded.feature_names_in_.tolist() == ["user", "item"]
            with pytest.raises(ValueError, match="in this order"):
                loaded.predict(swapped)
    model.fit(PAIRS, VALUES, **more)
    assert not hasattr(model, "feature_names_in_")
    model.predict(swapped)


def test_columns_of_other_names_are_refused_everywhere():
    pd = pytest.importorskip("pandas")
    frame = frames()[0]
    other = pd.DataFrame({"user": USERS, "film": ITEMS})
    swapped = frame[["item", "user"]]
    model = fastcf.MatrixFactorization(3, n_epochs=1, random_state=0).fit(frame, VALUES)
    for call in (
        lambda X: model.predict(X),
        lambda X: model.fold_in(X, VALUES),
        lambda X: model.partial_fit(X, VALUES),
        lambda X: fastcf.LinearAutoencoder(threshold=4).fit(frame, VALUES).partial_fit(X, VALUES),
        lambda X: fastcf.Autoencoder((3,), n_epochs=1).fit(frame, VALUES).encode(X, VALUES),
        lambda X: fastcf.MatrixFactorization(3, n_epochs=1).fit(frame, VALUES, validation=(X, VALUES)),
    ):
        for X in (other, swapped):
            with pytest.raises(ValueError, match=r"X must have the columns of fit, 'user', 'item', in this order; got"):
                call(X)
    assert model.partial_fit(frame[:5], VALUES[:5]).feature_names_in_.tolist() == ["user", "item"]
    numbered = pd.DataFrame(PAIRS)
    np.testing.assert_array_equal(model.predict(numbered), model.predict(PAIRS))
