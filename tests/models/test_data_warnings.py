"""Ratings from which a fit is sure to mislead are reported once, and others are not."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import fastcf
from fastcf import DataWarning, FeatureTable, Ratings

MADE = fastcf.data.make_ratings(60, 40, 900, random_state=0)
TRAIN, TEST = fastcf.data.train_test_split(MADE, random_state=0)
FILMS = FeatureTable(MADE.items.ids, np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32))


def valued(values):
    """The made ratings with other values."""
    return Ratings(MADE.indptr, MADE.indices, np.asarray(values, np.float32), users=MADE.users, items=MADE.items)


def warned(fit):
    """The texts of the warnings of a call, all of which must point at the line that calls the library."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    found = [one for one in caught if one.category is DataWarning]
    assert all(one.filename == __file__ for one in found)
    return [str(one.message) for one in found]


def small(name):
    """A model of each family that learns from ratings, quick to fit, and further arguments of its ``fit``."""
    options = {
        "MatrixFactorization": {"n_factors": 4, "n_epochs": 1},
        "ImplicitFactorization": {"n_factors": 4, "n_epochs": 1},
        "Autoencoder": {"layers": (4,), "n_epochs": 1},
        "UserPerceptron": {"threshold": 3.5, "n_epochs": 1},
        "TwoTower": {"user_layers": (4,), "item_layers": (4,), "n_factors": 3, "n_epochs": 1},
        "Blend": {"models": [("a", fastcf.BiasModel()), ("b", fastcf.MatrixFactorization(4, n_epochs=1))]},
    }
    return getattr(fastcf, name)(**options.get(name, {}))


WITH_VALIDATION = sorted(
    name
    for name in fastcf.__all__
    if hasattr(getattr(fastcf, name), "fit") and "validation" in inspect.signature(getattr(fastcf, name).fit).parameters
)


def fit(name, ratings=TRAIN, **options):
    if name == "UserPerceptron":
        options["item_features"] = FILMS
    return small(name).fit(ratings, **options)


def test_data_warnings_cover_every_family_with_validation():
    assert WITH_VALIDATION == [
        "Autoencoder",
        "Blend",
        "ImplicitFactorization",
        "MatrixFactorization",
        "TwoTower",
        "UserPerceptron",
    ]


@pytest.mark.parametrize("name", WITH_VALIDATION)
def test_data_warnings_name_the_number_of_validation_ratings_that_are_trained_on(name):
    part = Ratings.from_coo(*(np.r_[a, b[:7]] for a, b in zip(TEST.to_coo(), TRAIN.to_coo(), strict=True)))
    (text,) = warned(lambda: fit(name, validation=part))
    assert text.startswith(f"{name}.fit: validation: 7 of its {part.nnz} pairs are trained on")
    assert "train_test_split" in text
    assert not warned(lambda: fit(name, validation=TEST))
    assert not warned(lambda: fit(name))


@pytest.mark.parametrize("name", [name for name in WITH_VALIDATION if name != "Blend"])
def test_data_warnings_of_a_single_validation_rating(name):
    (text,) = warned(lambda: fit(name, validation=TEST.take([0])))
    assert text.startswith(f"{name}.fit: validation holds a single rating")


@pytest.mark.parametrize("name", [name for name in WITH_VALIDATION if name != "TwoTower"])
def test_data_warnings_of_validation_of_strangers(name):
    users, items, values = TEST.to_coo()
    (text,) = warned(lambda: fit(name, validation=Ratings.from_coo(users + 1000, items, values)))
    assert f"{name}.fit: validation: none of its users has ratings that are trained on" in text
    assert f"such as {MADE.users.id_at(0)!r}" in text
    found = warned(lambda: fit(name, validation=Ratings.from_coo(users, items + 1000, values)))
    if name == "UserPerceptron":  # whose items are known by features
        assert not found
    else:
        assert len(found) == 1
        assert "none of its items" in found[0]


def test_data_warnings_know_ids_without_training_ratings_from_trained_ones():
    left = TRAIN.row_of_entry() >= 30
    cut, others = TRAIN.take(left), MADE.take(MADE.row_of_entry() < 30)  # the same ids, rows without entries
    assert others.users == cut.users
    (text,) = warned(lambda: fit("MatrixFactorization", cut, validation=others))
    assert "none of its users" in text


def test_data_warnings_leave_new_users_and_items_with_features_alone():
    users, items, values = TEST.to_coo()
    people = FeatureTable(np.r_[MADE.users.ids, MADE.users.ids + 1000], np.ones((120, 2), np.float32))
    held = Ratings.from_coo(users + 1000, items, values)
    assert not warned(lambda: fit("TwoTower", validation=held, user_features=people))


VALUES = {
    "seconds since 1970": 1.2e9 + 1e6 * np.arange(900) % 7e8,
    "milliseconds since 1970": 1.2e12 + 1e9 * np.arange(900),
    "microseconds since 1970": 1.2e15 + 1e12 * np.arange(900),
    "nanoseconds since 1970": 1.2e18 + 1e14 * np.arange(900),
    "dates as yyyymmdd": 20100101 + np.arange(900) % 28,
    "the item ids": MADE.items.ids[MADE.indices],
    "the user ids": MADE.users.ids[MADE.row_of_entry()],
    "ids or row numbers": np.random.default_rng(0).permutation(900),
}


@pytest.mark.parametrize("what", VALUES)
def test_data_warnings_of_values_that_are_no_ratings(what):
    found = warned(lambda: fastcf.BiasModel().fit(valued(VALUES[what])))
    assert len(found) == 1
    assert f"look like {what} and not like ratings" in found[0]
    assert not warned(lambda: fastcf.ImplicitFactorization(4, n_epochs=1).fit(valued(VALUES[what])))  # all are choices


def test_data_warnings_of_large_different_integers():
    ids = np.random.default_rng(0).choice(10**6, 900, replace=False) + 1000
    (text,) = warned(lambda: fastcf.BiasModel().fit(valued(ids)))
    assert "ids or row numbers" in text


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).permutation(900) * 2,  # counts
        np.random.default_rng(0).integers(1, 10**6, 900),
        np.random.default_rng(0).uniform(1000, 2000, 900),
        MADE.values + 100_000,
        1950 + np.arange(900) % 70,  # years
        MADE.items.ids[MADE.indices] + (np.arange(900) == 899),
    ],
    ids=["counts", "durations", "prices", "offset", "years", "nearly ids"],
)
def test_data_warnings_spare_what_may_be_ratings(values):
    assert not warned(lambda: fastcf.BiasModel().fit(valued(values)))


def test_data_warnings_of_equal_ratings():
    (text,) = warned(lambda: fit("MatrixFactorization", valued(np.full(900, 5))))
    assert text.startswith("MatrixFactorization.fit: all 900 ratings are 5, so that")
    assert "LinearAutoencoder" in text
    assert not warned(lambda: fastcf.LinearAutoencoder().fit(valued(np.ones(900))))
    with pytest.raises(ValueError, match="labels must be of two classes"):
        fastcf.MatrixFactorization(4, cost="logistic").fit(valued(np.ones(900)))


def test_data_warnings_come_once_from_models_that_fit_others():
    times = valued(VALUES["seconds since 1970"])
    assert len(warned(lambda: fit("Blend", times))) == 1
    perceptron = fastcf.UserPerceptron(features="mf", threshold=1.3e9, n_epochs=1)
    assert len(warned(lambda: perceptron.fit(times))) == 1


def test_data_warnings_of_a_blend_of_fitted_members():
    members = [("bias", fastcf.BiasModel().fit(TRAIN))]
    (text,) = warned(lambda: fastcf.Blend(members, fit_members=False).fit(TRAIN))
    assert "the member 'bias' was fitted to" in text


@pytest.mark.parametrize("name", ["ml-latest-small", "movietweetings-100k", "goodbooks-2672"])
def test_data_warnings_are_silent_on_real_ratings(name, data_dir):
    log = fastcf.data.read_log(data_dir / name)
    train, test = fastcf.data.train_test_split(log.to_ratings(duplicates="last"), random_state=0)
    model = fastcf.MatrixFactorization(2, n_epochs=1, random_state=0)
    assert not warned(lambda: model.fit(train, validation=test))
