"""MatrixFactorization: it learns, stops, survives, and refuses what it should."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import fastcf
from fastcf import MatrixFactorization
from fastcf.callbacks import Callback
from fastcf.solvers import SGD


@pytest.fixture(scope="module")
def split():
    ratings = fastcf.data.make_ratings(800, 400, 40_000, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


def test_mf_learns_what_biases_cannot(split):
    train, test = split
    biases = -fastcf.BiasModel().fit(train).score(test)
    model = MatrixFactorization(n_factors=16, random_state=0).fit(train)
    assert -model.score(test) < 0.97 * biases


@pytest.mark.parametrize(
    ("file", "margin"),
    [
        ("ml-latest-small/ratings.csv", 0.035),
        pytest.param("movietweetings-100k/ratings.dat", -0.005, marks=pytest.mark.slow),
    ],
)
def test_mf_defaults_on_real_sets_keep_margin_to_biases(data_dir, file, margin):
    log = fastcf.data.read_log(data_dir / file)
    order = np.random.default_rng(20261120).permutation(len(log.ratings))
    test, train = order[: order.size // 10], order[order.size // 10 :]
    X = np.empty((order.size, 2), object)
    X[:, 0], X[:, 1] = log.users, log.items
    score = {}
    for model in (fastcf.BiasModel(), MatrixFactorization(random_state=0)):
        model.fit(fastcf.Ratings.from_coo(log.users[train], log.items[train], log.ratings[train], duplicates="last"))
        score[type(model).__name__] = fastcf.metrics.rmse(log.ratings[test], model.predict(X[test]))
    assert score["MatrixFactorization"] < score["BiasModel"] - margin


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": None},
        {"normalize": "item"},
        {"bias": False},
        {"reg_scaling": "count", "reg": 0.05},
        {"reg_scaling": "none", "reg": 2.0},
        {"init": "uniform"},
        {"init_scale": 0.3},
        {"solver": SGD(schedule="cosine")},
        {"solver": SGD(schedule="inverse")},
        {"solver": SGD(schedule="exponential", decay=0.05)},
        {"solver": SGD(0.01, schedule="constant")},
        {"bias_reg": 3.0},
    ],
)
def test_mf_every_option_learns(split, options):
    train, test = split
    model = MatrixFactorization(**{"n_factors": 8, "n_epochs": 20, "reg": 0.3, "random_state": 0, **options}).fit(train)
    spread = float(np.std(test.values))
    assert -model.score(test) < 0.95 * spread
    assert model.history_[-1]["cost"] < model.history_[0]["cost"]


def test_mf_scale_of_ratings_does_not_matter(split):
    train, test = split
    users, items, values = train.to_coo()
    stretched = fastcf.Ratings.from_coo(users, items, 20 * values - 10)
    first = MatrixFactorization(n_factors=8, random_state=0).fit(train).predict(test)
    second = MatrixFactorization(n_factors=8, random_state=0).fit(stretched).predict(test)
    np.testing.assert_allclose(20 * first - 10, second, atol=0.2)


def test_mf_same_seed_same_bits_for_any_number_of_threads():
    ratings = fastcf.data.make_ratings(6_000, 1_500, 700_000, random_state=0)
    first, *others = (
        MatrixFactorization(20, reg=0.3, n_epochs=3, random_state=5, n_threads=n).fit(ratings) for n in (1, 2, 4)
    )
    for other in others:
        np.testing.assert_array_equal(other.user_factors_, first.user_factors_)
        np.testing.assert_array_equal(other.item_bias_, first.item_bias_)
        assert [h["cost"] for h in other.history_] == [h["cost"] for h in first.history_]


def test_mf_seeds_differ_and_none_draws_afresh(split):
    fits = [MatrixFactorization(4, n_epochs=1, random_state=seed).fit(split[0]) for seed in (0, 1, None, None)]
    factors = [fit.user_factors_.tobytes() for fit in fits]
    assert len(set(factors)) == 4
    generator = np.random.default_rng(3)
    again = [MatrixFactorization(4, n_epochs=1, random_state=generator).fit(split[0]) for _ in range(2)]
    assert not np.array_equal(again[0].user_factors_, again[1].user_factors_)


def test_mf_early_stopping_restores_best_epoch(split):
    train, test = split
    options = {"solver": SGD(0.15, schedule="constant"), "reg": 0.0, "patience": 3, "n_epochs": 100}
    model = MatrixFactorization(32, random_state=0, **options).fit(train, validation=test)
    errors = [record["validation_rmse"] for record in model.history_]
    best = 1 + int(np.argmin(errors[1:]))
    assert len(errors) == best + 1 + 3 < 100
    assert model.n_epochs_ == best
    assert -model.score(test) == pytest.approx(errors[best], rel=1e-5)


def test_mf_validation_takes_pairs_and_unknown_ids(split):
    train, _ = split
    pairs = [(0, 1), (10**6, 1), (0, 10**6)]
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(train, validation=(pairs, [3.0, 4.0, 2.0]))
    wanted = fastcf.metrics.rmse([3, 4, 2], model.predict(pairs))
    assert model.history_[model.n_epochs_]["validation_rmse"] == pytest.approx(wanted, rel=1e-5)


def test_mf_history_has_every_field(split):
    model = MatrixFactorization(4, n_epochs=3, random_state=0).fit(split[0])
    assert [record["epoch"] for record in model.history_] == [0, 1, 2, 3]
    for record in model.history_:
        assert set(record) == {"epoch", "cost", "train_rmse", "validation_rmse", "learning_rate", "seconds"}
        assert record["validation_rmse"] is None
    rates = [record["learning_rate"] for record in model.history_]
    assert rates[0] is None
    np.testing.assert_allclose(rates[1:], model.learning_rate_ * np.array([1, 2 / 3, 1 / 3]))


def test_mf_callbacks_see_records_and_can_stop(split):
    class Watch(Callback):
        def __init__(self):
            self.calls = []

        def on_train_begin(self, view):
            self.calls.append("begin")

        def on_epoch_end(self, view, record):
            self.calls.append(record["epoch"])
            return record["epoch"] == 2

        def on_train_end(self, view):
            self.calls.append("end")

    watch = Watch()
    model = MatrixFactorization(4, random_state=0).fit(split[0], callbacks=[watch])
    assert watch.calls == ["begin", 1, 2, "end"]
    assert model.n_epochs_ == 2


def test_mf_divergence_is_reported_and_leaves_finite_parameters(split):
    model = MatrixFactorization(8, solver=SGD(50.0), random_state=0)
    with pytest.raises(fastcf.DivergenceError, match=r"diverged in epoch \d+; lower learning_rate"):
        model.fit(split[0])
    assert np.isfinite(model.user_factors_).all()
    assert np.isfinite(model.predict(split[1])).all()


def test_mf_interrupt_keeps_what_was_learnt(split):
    class Interrupt(Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 3:
                raise KeyboardInterrupt

    model = MatrixFactorization(8, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(split[0], callbacks=[Interrupt()])
    assert model.n_epochs_ == 3
    three = MatrixFactorization(8, solver=SGD(schedule="constant"), random_state=0, n_epochs=3).fit(split[0])
    assert model.predict(split[1]).shape == three.predict(split[1]).shape
    assert -model.score(split[0]) < np.std(split[0].values)


def test_mf_ctrl_c_stops_within_an_epoch():
    ratings = fastcf.data.make_ratings(20_000, 2_000, 2_000_000, random_state=0)
    model = MatrixFactorization(64, n_epochs=100_000, reg=1.0, random_state=0)

    class PressCtrlC(Callback):
        def on_epoch_end(self, view, record):
            if record["epoch"] == 1:
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    # A process started in the background may ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(ratings, callbacks=[PressCtrlC()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < len(model.history_) < 100_000
    assert np.isfinite(model.item_factors_).all()


def test_mf_verbose_shows_progress(split, capsys):
    MatrixFactorization(4, n_epochs=2, random_state=0, verbose=2).fit(split[0], validation=split[1])
    printed = capsys.readouterr().out
    assert "epoch    1" in printed
    assert "validation_rmse" in printed


@pytest.mark.parametrize(
    ("parameter", "value", "error", "message"),
    [
        ("n_factors", 0, ValueError, "n_factors must be an integer of at least 1"),
        ("n_factors", 2.5, ValueError, "n_factors must be an integer"),
        ("n_factors", "many", ValueError, "n_factors must be an integer"),
        ("n_factors", None, TypeError, "n_factors must be an integer"),
        (
            "solver",
            "lbfgs",
            ValueError,
            "solver must be 'sgd' or 'als' or 'bayes' .*, or an instance of Solver; got 'lbfgs'",
        ),
        ("solver", SGD, TypeError, "solver must be .*, or an instance of Solver; got"),
        ("cost", "hinge", ValueError, "cost must be 'squared' or 'logistic'; got 'hinge'"),
        ("threshold", "4", TypeError, "threshold must be a finite number, or None; got '4'"),
        ("normalize", "user", ValueError, "normalize must be 'global' or 'item', or None; got 'user'"),
        ("bias", 1, TypeError, "bias must be True or False, or 'user' or 'item'; got 1"),
        ("bias", "both", ValueError, "bias must be True or False, or 'user' or 'item'; got 'both'"),
        ("reg", -0.1, ValueError, "reg must be a finite number of at least 0, or 'auto'; got -0.1"),
        ("reg", float("nan"), ValueError, "reg must be a finite number"),
        ("bias_reg", "lots", ValueError, "bias_reg must be"),
        ("reg_scaling", 1.5, ValueError, "reg_scaling must be"),
        ("n_epochs", 0, ValueError, "n_epochs must be"),
        ("patience", 0, ValueError, "patience must be"),
        ("init", "zeros", ValueError, "init must be"),
        ("init_scale", -1, ValueError, "init_scale must be"),
        ("random_state", -1, ValueError, "random_state must be"),
        ("random_state", "seed", TypeError, "random_state must be"),
        ("n_threads", 0, ValueError, "n_threads must be"),
        ("verbose", 3, ValueError, "verbose must be"),
        ("verbose", "loud", TypeError, "verbose must be"),
    ],
)
def test_mf_bad_parameters_raise(split, parameter, value, error, message):
    model = MatrixFactorization().set_params(**{parameter: value})
    with pytest.raises(error, match=rf"MatrixFactorization.fit: {message}"):
        model.fit(split[0])


def test_mf_generator_as_seed_cannot_be_saved(split, tmp_path):
    model = MatrixFactorization(2, n_epochs=1, random_state=np.random.default_rng(0)).fit(split[0])
    with pytest.raises(TypeError, match="random_state"):
        model.save(tmp_path / "model.fastcf")
    assert list(tmp_path.iterdir()) == []
