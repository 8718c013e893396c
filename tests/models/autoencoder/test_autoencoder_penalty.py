"""The penalty of an autoencoder that is searched on held-out ratings."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf

OPTIONS = {"layers": (16,), "random_state": 0}


def dense(n_users=120, n_items=90, n=5_000, random_state=0):
    """Return the two parts of ratings that are near the product of two factors."""
    found = fastcf.data.make_ratings(
        n_users, n_items, n, n_factors=2, noise=0.3, signal=0.8, levels=None, popularity=0.5, activity=0.3,
        random_state=random_state,
    )  # fmt: skip
    return fastcf.data.train_test_split(found, random_state=0)


@pytest.mark.parametrize("orientation", ["item", "user"])
def test_penalty_follows_dense_ratings(orientation):
    train, test = dense()
    found = fastcf.Autoencoder(orientation=orientation, **OPTIONS).fit(train)
    fixed = fastcf.Autoencoder(orientation=orientation, reg=400.0, **OPTIONS).fit(train)
    assert found.reg_ < 200
    assert -found.score(test) < -0.93 * fixed.score(test)


def test_penalty_stays_where_ratings_say_little():
    random = np.random.default_rng(0)
    cells = random.choice(200 * 150, 4_000, replace=False)
    noise = fastcf.Ratings.from_coo(cells // 150, cells % 150, random.normal(3, 1, 4_000))
    train, test = fastcf.data.train_test_split(noise, random_state=0)
    found = fastcf.Autoencoder(**OPTIONS).fit(train)
    assert found.reg_ >= 200
    assert -found.score(test) < -1.02 * fastcf.BiasModel().fit(train).score(test)


def test_penalty_of_labels_follows_them():
    train, test = dense()
    options = {**OPTIONS, "cost": "logistic", "threshold": 3.5}
    found = fastcf.Autoencoder(**options).fit(train)
    assert found.reg_ < 250
    assert found.score(test) > fastcf.Autoencoder(reg=250.0, **options).fit(train).score(test)


def test_penalty_given_is_not_searched_and_that_of_few_ratings_is_the_first(caplog):
    train, _ = dense(n=1_000)
    with caplog.at_level("INFO"):
        assert fastcf.Autoencoder(reg=30.0, n_epochs=2, **OPTIONS).fit(train).reg_ == 30
        assert fastcf.Autoencoder(n_epochs=2, **OPTIONS).fit(train.take(np.arange(40))).reg_ == 400
        assert "settled" not in caplog.text
        found = fastcf.Autoencoder(n_epochs=2, **OPTIONS).fit(train)
    assert f"reg {found.reg_:.4g}" in caplog.text


@pytest.mark.parametrize("unit", [1.0, 1_000.0])
def test_penalty_is_the_same_for_any_threads_and_units_and_a_settled_copy_searches_no_more(unit, caplog):
    train, _ = dense(60, 40, 1_500)
    moved = train.with_values(train.values * np.float32(unit))
    one, two = (fastcf.Autoencoder(n_threads=n, **OPTIONS).fit(moved) for n in (1, 2))
    assert one.reg_ == two.reg_ == fastcf.Autoencoder(**OPTIONS).fit(train).reg_
    np.testing.assert_array_equal(one.predict(moved), two.predict(moved))
    caplog.clear()
    with caplog.at_level("INFO"):
        again = one.settled().fit(moved)
    assert "settled" not in caplog.text
    np.testing.assert_array_equal(again.predict(moved), one.predict(moved))


def test_penalty_ignores_one_odd_rating_and_weights_of_zero():
    train, _ = dense(60, 40, 1_500)
    zero = np.r_[0.0, np.ones(train.nnz - 1)]
    values = train.values.copy()
    values[0] = 4.9 if values[0] < 3 else 0.6
    users, items, _ = train.to_coo()
    given = [fastcf.Ratings.from_coo(users, items, v, weights=zero) for v in (train.values, values)]
    first, second = (fastcf.Autoencoder(**OPTIONS).fit(each) for each in given)
    assert first.reg_ == second.reg_


def test_penalty_survives_a_checkpoint(tmp_path):
    train, _ = dense(60, 40, 1_500)
    whole = fastcf.Autoencoder(n_epochs=6, **OPTIONS).fit(train)

    class Kill(fastcf.callbacks.Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 3:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fastcf.Autoencoder(n_epochs=6, **OPTIONS).fit(train, checkpoint=tmp_path / "c", callbacks=Kill())
    again = fastcf.Autoencoder(n_epochs=6, **OPTIONS).fit(train, checkpoint=tmp_path / "c")
    assert again.reg_ == whole.reg_
    np.testing.assert_array_equal(again.predict(train), whole.predict(train))
