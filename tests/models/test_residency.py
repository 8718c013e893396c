"""Recommendations from item factors that stay on the device, and in half precision."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.models import _residency

RATINGS = fastcf.data.make_ratings(40, 30, 500, random_state=0)


def fitted(device, **options):
    return fastcf.MatrixFactorization(n_factors=6, n_epochs=2, random_state=0, device=device, **options).fit(RATINGS)


def test_residency_recommends_the_same(device):
    model = fitted(device)
    expected = model.recommend(RATINGS.users.ids, n=5)
    with model.on_device():
        assert (model in _residency._kept) == (device != "cpu")
        for _ in range(2):
            found = model.recommend(RATINGS.users.ids, n=5)
            np.testing.assert_array_equal(found.items, expected.items)
            np.testing.assert_array_equal(found.scores, expected.scores)
        copy = pickle.loads(pickle.dumps(model))
    assert model not in _residency._kept
    np.testing.assert_array_equal(copy.recommend(RATINGS.users.ids, n=5).items, expected.items)


def test_residency_uploads_once(device, monkeypatch):
    if device == "cpu":
        pytest.skip("a CPU has nothing to upload")
    model = fitted(device)
    with model.on_device():
        table = model._item_table
        assert isinstance(table, model._native.DeviceArray)
        with model.on_device():  # within itself
            assert model._item_table is not table
        assert model._item_table is table


def test_residency_a_model_fitted_again_is_seen(device):
    model = fitted(device)
    with model.on_device():
        model.set_params(random_state=1).fit(RATINGS)
        found = model.recommend(RATINGS.users.ids, n=5)
    np.testing.assert_array_equal(found.items, model.recommend(RATINGS.users.ids, n=5).items)


def test_residency_ends_with_an_error(device):
    model = fitted(device)
    with pytest.raises(KeyError), model.on_device():
        raise KeyError
    assert model not in _residency._kept


def test_residency_before_fit_raises(device):
    with pytest.raises(NotFittedError, match=r"MatrixFactorization\.on_device: the model must be fitted first"):
        fastcf.MatrixFactorization(device=device).on_device().__enter__()


def test_recommend_in_half_precision_rounds_the_factors(device):
    model = fitted(device)
    half = model.recommend(RATINGS.users.ids, n=5, storage="float16")
    rounded = fitted(device)
    for name in ("user_factors_", "item_factors_"):
        setattr(rounded, name, getattr(model, name).astype(np.float16).astype(np.float32))
    expected = rounded.recommend(RATINGS.users.ids, n=5)
    np.testing.assert_array_equal(half.items, expected.items)
    np.testing.assert_array_equal(half.scores, expected.scores)


def test_recommend_unknown_storage_raises(device):
    with pytest.raises(ValueError, match="recommend: storage must be 'float32' or 'float16'; got 'half'"):
        fitted(device).recommend(RATINGS.users.ids[0], storage="half")
