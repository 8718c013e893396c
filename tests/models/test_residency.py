"""Recommendations from item factors that stay on the device, and in half precision."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.scores import factors

RATINGS = fastcf.data.make_ratings(40, 30, 500, random_state=0)


def fitted(device, **options):
    return fastcf.MatrixFactorization(n_factors=6, n_epochs=2, random_state=0, device=device, **options).fit(RATINGS)


def test_residency_recommends_the_same(device):
    model = fitted(device)
    expected = model.recommend(RATINGS.users.ids, n=5)
    with model.on_device():
        assert (model.state.scores in factors._resident) == (device != "cpu")
        for _ in range(2):
            found = model.recommend(RATINGS.users.ids, n=5)
            np.testing.assert_array_equal(found.items, expected.items)
            np.testing.assert_array_equal(found.scores, expected.scores)
        copy = pickle.loads(pickle.dumps(model))
    assert model.state.scores not in factors._resident
    np.testing.assert_array_equal(copy.recommend(RATINGS.users.ids, n=5).items, expected.items)


def test_residency_uploads_once(device, monkeypatch):
    if device == "cpu":
        pytest.skip("a CPU has nothing to upload")
    model = fitted(device)
    scores = model.state.scores
    with model.on_device():
        table = factors._resident[scores]
        assert type(table).__name__ == "DeviceArray"
        with model.on_device():  # within itself
            assert factors._resident[scores] is not table
        assert factors._resident[scores] is table


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
    assert model.state.scores not in factors._resident


def test_residency_before_fit_raises(device):
    with pytest.raises(NotFittedError, match=r"MatrixFactorization\.on_device: the model must be fitted first"):
        fastcf.MatrixFactorization(device=device).on_device().__enter__()


def test_recommend_in_half_precision_rounds_the_factors(device):
    model = fitted(device)
    half = model.recommend(RATINGS.users.ids, n=5, storage="float16")
    rounded, scores = fitted(device), model.state.scores
    names = "user_factors", "item_factors"
    both = {name: getattr(scores, name).astype(np.float16).astype(np.float32) for name in names}
    rounded._swap(replace(model.state, scores=replace(scores, **both)))
    expected = rounded.recommend(RATINGS.users.ids, n=5)
    np.testing.assert_array_equal(half.items, expected.items)
    np.testing.assert_array_equal(half.scores, expected.scores)


def test_recommend_unknown_storage_raises(device):
    with pytest.raises(ValueError, match="recommend: storage must be 'float32' or 'float16'; got 'half'"):
        fitted(device).recommend(RATINGS.users.ids[0], storage="half")
