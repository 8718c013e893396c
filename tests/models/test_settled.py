"""Models fitted again with what a search has found: the same bits without the search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.models.factorization import matrix_factorization
from fastcf.models.implicit import implicit_factorization
from fastcf.solvers import ALS, Gibbs
from trained_models import bits

MADE = fastcf.data.make_ratings(30, 20, 300, random_state=0)
DAYS = 86_400 * (1 + np.random.default_rng(0).integers(0, 20, MADE.nnz))
TRAIN = fastcf.Ratings.from_coo(*MADE.to_coo(), timestamps=DAYS)
MF = fastcf.MatrixFactorization

SEARCHED: dict[str, Any] = {
    "sgd": MF(random_state=0),
    "labels": MF(cost="logistic", threshold=4, random_state=0),
    "als": MF(n_factors=4, solver="als", random_state=0),
    "als without centres": MF(n_factors=4, n_epochs=3, solver=ALS(rated_input=False), random_state=0),
    "gd": MF(n_factors=3, n_epochs=20, solver="gd", random_state=0),
    "implicit": fastcf.ImplicitFactorization(4, threshold=4, random_state=0),
    "blend": fastcf.Blend([MF(4, n_epochs=3), ("biases", fastcf.BiasModel())], random_state=0),
    "blend of a blend": fastcf.Blend(
        [("inner", fastcf.Blend([MF(2, n_epochs=3), ("left out", "drop")], refit=False)), MF(3, n_epochs=2)],
        random_state=0,
    ),
    "temporal": fastcf.TemporalModel(MF(4, n_epochs=3, random_state=0), user_reg=4.0, item_reg=8.0),
    "temporal, its penalties too": fastcf.TemporalModel(MF(4, n_epochs=3, random_state=0), user_period="1d"),
    "temporal of a blend": fastcf.TemporalModel(fastcf.Blend([MF(4, n_epochs=3), fastcf.BiasModel()], random_state=0)),
}
GIVEN: dict[str, Any] = {
    "bayes": MF(4, solver=Gibbs(burn_in=2), n_epochs=4, random_state=0),
    "biases": fastcf.BiasModel(),
}


@pytest.mark.parametrize("name", [*SEARCHED, *GIVEN])
def test_settled_model_makes_the_same_bits_without_a_search(name, monkeypatch, tmp_path):
    model = clone((SEARCHED | GIVEN)[name]).fit(TRAIN)
    model.save(tmp_path / "model")

    def refused(*arguments: Any) -> None:
        raise AssertionError("a search")

    monkeypatch.setattr(matrix_factorization, "searched", refused)
    monkeypatch.setattr(implicit_factorization, "estimated_reg", refused)
    for each in (model, fastcf.load(tmp_path / "model")):
        settled = each.settled()
        assert not settled.__sklearn_is_fitted__()
        assert bits(settled.fit(TRAIN)) == bits(model)
    if name in SEARCHED:
        with pytest.raises(AssertionError, match="a search"):
            clone(model).fit(TRAIN)
    else:
        assert repr(model.settled()) == repr(model)


class Stop(fastcf.callbacks.Callback):
    """Ends a training before its first epoch, or after its third."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_begin(self, view: Any) -> None:
        if self.at == 0:
            raise KeyboardInterrupt

    def on_epoch_end(self, view: Any, record: dict[str, Any]) -> None:
        if record["epoch"] == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["sgd", "labels", "als"])
@pytest.mark.parametrize("at", [0, 3])
def test_settled_model_after_ctrl_c_has_the_epochs_that_were_found(name, at, tmp_path):
    whole, stopped = (clone(SEARCHED[name]) for _ in range(2))
    whole.fit(TRAIN)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(TRAIN, callbacks=[Stop(at)])
    assert stopped.n_epochs_ == at
    stopped.save(tmp_path / "model")
    for each in (stopped, fastcf.load(tmp_path / "model")):
        assert bits(each.settled().fit(TRAIN)) == bits(whole)


def test_settled_model_keeps_the_best_epoch_again():
    train, test = fastcf.data.train_test_split(TRAIN, test_size=0.3, random_state=0)
    model = MF(4, reg=1e-3, random_state=0).fit(train, validation=test)
    assert 0 < model.n_epochs_ < len(model.history_) - 1
    assert bits(model.settled().fit(train, validation=test)) == bits(model)


def test_shortened_model_is_trained_for_less_time():
    def epochs(model):
        return model.shortened().n_epochs

    assert epochs(MF(solver="bayes")) == 45
    assert epochs(MF(solver=Gibbs(burn_in=5, thin=2), n_epochs=200)) == 85
    assert epochs(MF(solver="bayes", n_epochs=30)) == 30
    assert [epochs(fastcf.Autoencoder(n_epochs=n)) for n in (4, 20, 60)] == [4, 15, 30]
    assert repr(MF(5).shortened()) == repr(MF(5))
    draws = [MF(solver="bayes").shortened(n_fits).n_epochs - 5 for n_fits in (1, 2, 3, 4, 5)]
    assert draws == [40, 20, 13, 10, 10]
    assert MF(solver=Gibbs(thin=2)).shortened(5).n_epochs == 25


def test_settled_blend_of_fitted_members_has_them():
    members = [fastcf.BiasModel().fit(TRAIN), MF(4, random_state=0).fit(TRAIN)]
    model = fastcf.Blend(members, fit_members=False)
    with pytest.warns(fastcf.DataWarning, match="was fitted to"):
        assert bits(model.fit(TRAIN).settled().fit(TRAIN)) == bits(model)


def test_shortened_temporal_model_holds_a_shortened_one():
    assert repr(fastcf.TemporalModel(MF(solver="bayes")).shortened()) == repr(
        fastcf.TemporalModel(MF(solver="bayes", n_epochs=45))
    )
    assert fastcf.TemporalModel(MF(solver="bayes")).shortened(4).model.n_epochs == 15


def test_settled_before_fit_raises():
    with pytest.raises(NotFittedError, match=r"BiasModel\.settled: the model must be fitted first"):
        fastcf.BiasModel().settled()
