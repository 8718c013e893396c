"""Towers that start at a fitted model's predictions: ``fit(init_from=)``."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.optimizers import Adam

LABELS = {"cost": "logistic", "threshold": 3.5}
KINDS = {
    "ratings": {},
    "ratings alone": {"baseline": "none"},
    "labels": LABELS,
    "labels alone": {"baseline": "none", **LABELS},
}


@pytest.fixture(scope="module")
def ratings():
    return fastcf.data.make_ratings(80, 50, 2_000, random_state=3)


@pytest.fixture(scope="module")
def films(ratings):
    return fastcf.FeatureTable([*ratings.items.ids, 900], np.random.default_rng(1).normal(size=(51, 6)))


@pytest.fixture(scope="module")
def models(ratings):
    return {
        name: fastcf.MatrixFactorization(4, reg=0.5, n_epochs=20, random_state=0, **options).fit(ratings)
        for name, options in (("ratings", {}), ("labels", LABELS))
    }


def towers(**options):
    return fastcf.TwoTower(
        (16,), (16,), 8, **{"n_epochs": 2, "batch_size": 64, "scale": 2.0, "reg": 1.0, "random_state": 0, **options}
    )


def scores(model):
    predicted = model.predict_matrix().astype(float)
    return logit(predicted) if model.cost == "logistic" else predicted


@pytest.mark.parametrize("kind", KINDS)
def test_towers_start_near_the_predictions_of_a_model(ratings, films, models, kind):
    options = KINDS[kind]
    start = models[kind.split()[0]]
    given = {"item_features": films, "init_from": start}
    still = towers(optimizer=Adam(1e-30), **options)  # first weights stay as they are
    found = towers(optimizer=Adam(0.01), **options).fit(ratings, **given)
    random = still.fit(ratings, item_features=films)
    error = next(name for name in found.history_[0] if name.startswith("train_"))
    assert found.history_[0][error] < random.history_[0][error]
    wanted = scores(start)
    rows = found.items_.rows(ratings.items.ids)
    distance = [np.sqrt(np.mean((scores(model)[:, rows] - wanted) ** 2)) for model in (found, random)]
    assert distance[0] < distance[1]


def test_towers_started_by_a_model_are_the_same_for_any_number_of_threads(ratings, films, models):
    several = [
        towers(n_threads=n).fit(ratings, item_features=films, init_from=models["ratings"]).predict_matrix()
        for n in (1, 3)
    ]
    np.testing.assert_array_equal(*several)
    random = towers().fit(ratings, item_features=films).predict_matrix()
    assert not np.array_equal(several[0], random)


def test_checkpoint_of_towers_says_what_they_started_from(ratings, films, models, tmp_path):
    given = {"item_features": films, "checkpoint": tmp_path / "file"}
    wanted = towers(n_epochs=3).fit(ratings, item_features=films, init_from=models["ratings"])

    class Stop(fastcf.callbacks.Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        towers(n_epochs=3).fit(ratings, init_from=models["ratings"], callbacks=Stop(), **given)
    with pytest.raises(ValueError, match="has other init_from"):
        towers(n_epochs=3).fit(ratings, **given)
    again = towers(n_epochs=3).fit(ratings, init_from=models["ratings"], **given)
    np.testing.assert_array_equal(again.predict_matrix(), wanted.predict_matrix())


def test_what_towers_cannot_start_from_is_refused(ratings, films, models):
    def fit(start, **options):
        towers(**options).fit(ratings, item_features=films, init_from=start)

    with pytest.raises(TypeError, match=r"TwoTower\.fit: init_from must be a fitted model"):
        fit(np.zeros(3))
    with pytest.raises(NotFittedError):
        fit(fastcf.BiasModel())
    with pytest.raises(ValueError, match="init_from must be a model of ratings"):
        fit(models["labels"])
    with pytest.raises(ValueError, match="init_from must be a model of labels"):
        fit(models["ratings"], **LABELS)
    with pytest.raises(ValueError, match="init_from must be None for cost='softmax'"):
        fit(models["ratings"], cost="softmax", threshold=4.0, scale="auto")
