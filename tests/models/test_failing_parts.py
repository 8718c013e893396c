"""Errors of a part of a composed model name the part, and keep their class."""

from __future__ import annotations

import errno
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import fastcf
from fastcf._callers import errors_of
from fastcf.models.factorization import matrix_factorization
from fastcf.models.two_tower import baseline
from fastcf.retrieval import FeatureRanker, Popular, TwoStageRecommender

MADE = fastcf.data.make_ratings(30, 20, 300, random_state=0)
TRAIN = fastcf.Ratings.from_coo(*MADE.to_coo(), timestamps=np.full(MADE.nnz, 86_400))
FEATURES = MADE.items.ids, np.eye(MADE.n_items, 2)


class Diverging(fastcf.BiasModel):
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        raise fastcf.DivergenceError("Diverging.fit: no more")


class FailingRidge(Ridge):
    def fit(self, X: Any, y: Any) -> Any:
        raise ValueError("no more")


class FailingSource(Popular):
    failing = "fit"

    def fit(self, X: Any, y: Any = None) -> Any:
        if self.failing == "fit":
            raise RuntimeError("no more")
        return super().fit(X, y)

    def retrieve(self, users: Any, **options: Any) -> Any:
        raise RuntimeError("no more")


def blend(*members: Any) -> fastcf.Blend:
    return fastcf.Blend([fastcf.BiasModel(), *members], random_state=0)


COMPOSED: dict[str, tuple[Any, str]] = {
    "blend": (blend(("worst", Diverging())), r"Blend\.fit: the member 'worst': Diverging\.fit: no more"),
    "blend, by class": (blend(Diverging()), r"Blend\.fit: the member 'diverging': Diverging\.fit: no more"),
    "blend of a blend": (
        blend(("inner", blend(Diverging()))),
        r"Blend\.fit: the member 'inner': Blend\.fit: the member 'diverging': Diverging\.fit: no more",
    ),
    "temporal": (fastcf.TemporalModel(Diverging()), r"TemporalModel\.fit: model: Diverging\.fit: no more"),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_divergence_inside_names_the_part(name):
    model, message = COMPOSED[name]
    with pytest.raises(fastcf.DivergenceError, match=f"^{message}$"):
        model.fit(TRAIN)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_training_that_diverges_in_a_blend_names_the_member():
    member = fastcf.MatrixFactorization(4, solver=fastcf.solvers.SGD(1e6), reg=1.0, n_epochs=3)
    with pytest.raises(fastcf.DivergenceError, match=r"^Blend\.fit: the member 'wild': MatrixFactorization"):
        blend(("wild", member)).fit(TRAIN)


def test_factorization_of_a_perceptron_is_named(monkeypatch):
    def failing(*arguments: Any) -> None:
        raise fastcf.DivergenceError("no more")

    monkeypatch.setattr(matrix_factorization, "searched", failing)
    with pytest.raises(fastcf.DivergenceError, match=r"^UserPerceptron\.fit: the factorization of features='mf': no"):
        fastcf.UserPerceptron(features="mf", threshold=4).fit(TRAIN)


def test_baseline_of_towers_is_named(monkeypatch):
    monkeypatch.setattr(baseline, "BiasModel", Diverging)
    with pytest.raises(fastcf.DivergenceError, match=r"^TwoTower\.fit: the baseline: Diverging\.fit: no more"):
        fastcf.TwoTower().fit(TRAIN)


def test_regressor_of_a_ranker_is_named():
    ranker = FeatureRanker(FailingRidge(), item_features=FEATURES)
    with pytest.raises(ValueError, match=r"^FeatureRanker\.fit: the regressor: no more"):
        ranker.fit(TRAIN)


def test_retrievers_and_ranker_are_named(monkeypatch):
    ranker = FeatureRanker(Ridge(), item_features=FEATURES).fit(TRAIN)
    source = FailingSource(k=5)
    recommender = TwoStageRecommender([Popular(k=5), ("bad", source)], ranker)
    with pytest.raises(RuntimeError, match=r"^TwoStageRecommender\.fit: the retriever 'bad': no more"):
        recommender.fit(TRAIN)
    source.failing = "retrieve"
    recommender.fit(TRAIN)
    with pytest.raises(RuntimeError, match=r"^TwoStageRecommender\.recommend: the retriever 'bad': no more"):
        recommender.recommend(TRAIN.users.ids[:2])

    def failing(*arguments: Any) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(Ridge, "predict", failing)
    with pytest.raises(RuntimeError, match=r"^TwoStageRecommender\.recommend: the ranker: the regressor: no more"):
        TwoStageRecommender([Popular(k=5)], ranker).fit(TRAIN).recommend(TRAIN.users.ids[:2])


def test_new_rows_that_a_member_cannot_compute_name_it(monkeypatch):
    def failing(*arguments: Any) -> None:
        raise ValueError("no more")

    model = blend(("mf", fastcf.MatrixFactorization(4, reg=1.0, n_epochs=3))).fit(TRAIN)
    monkeypatch.setattr(type(model.models_["mf"].state.folding), "fold_ratings", failing)
    with pytest.raises(ValueError, match=r"^the member 'mf': no more"):
        model.fold_in(TRAIN)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("x must be y"), "the part: x must be y"),
        (MemoryError(), "the part"),
        (OSError(errno.ENOENT, "none", "a file"), "[Errno 2] the part: none: 'a file'"),
        (KeyError(3), "3"),
    ],
)
def test_messages_of_all_kinds_of_errors(error, shown):
    with pytest.raises(type(error)) as caught, errors_of("the part"):
        raise error
    assert caught.value is error
    assert str(caught.value) == shown
    if isinstance(error, KeyError) and hasattr(error, "add_note"):
        assert error.__notes__ == ["in the part"]


def test_interruptions_stay_as_they_are():
    with pytest.raises(KeyboardInterrupt) as caught, errors_of("the part"):
        raise KeyboardInterrupt
    assert caught.value.args == ()
