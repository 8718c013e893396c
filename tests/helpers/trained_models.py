"""Small models of every solver and network that is trained by epochs, for tests of what they share."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastcf
from fastcf.optimizers import Adam
from fastcf.solvers import ALS, BPR, SGD, Gibbs, GradientDescent, Sampled

MF, Implicit = fastcf.MatrixFactorization, fastcf.ImplicitFactorization
_SEEDED = {"n_epochs": 5, "random_state": 3}

MODELS: dict[str, Any] = {
    "sgd": MF(4, **_SEEDED),
    "sgd of labels": MF(4, cost="logistic", threshold=4, reg=1.0, **_SEEDED),
    "sgd around centres": MF(4, solver=SGD(rated_input=True), reg=1.0, **_SEEDED),
    "als": MF(4, solver="als", **_SEEDED),
    "als around centres": MF(4, solver=ALS(cg_steps=2, rated_input=True), reg=2.0, bias="user", **_SEEDED),
    "als by cg": MF(4, solver=ALS(cg_steps=2), normalize="item", **_SEEDED),
    "minibatch": MF(4, solver=GradientDescent(Adam(), batch_size=64), bias="item", **_SEEDED),
    "gd": MF(4, solver="gd", **_SEEDED),
    "bayes": MF(4, solver=Gibbs(burn_in=2, thin=1), **_SEEDED),
    "bayes of ratings only": MF(4, solver=Gibbs(burn_in=2, rated_input=False, user_noise=False), **_SEEDED),
    "falling rate": MF(4, solver=SGD(schedule="cosine"), **_SEEDED),
    "autoencoder": fastcf.Autoencoder((6,), dropout=0.1, **_SEEDED),
    "autoencoder of labels": fastcf.Autoencoder((6,), cost="logistic", threshold=4, **_SEEDED),
    "autoencoder of choices": fastcf.Autoencoder((6,), cost="multinomial", threshold=4, **_SEEDED),
    "two towers": fastcf.TwoTower((6,), (6,), 4, dropout=0.1, batch_size=64, **_SEEDED),
    "two towers of choices": fastcf.TwoTower(
        (6,), (6,), 4, cost="softmax", threshold=4, optimizer="momentum", batch_size=64, **_SEEDED
    ),
    "perceptron": fastcf.UserPerceptron((3,), threshold=4, features="mf", **_SEEDED),
    "perceptron of levels": fastcf.UserPerceptron((3,), targets="levels", features="mf", **_SEEDED),
    "implicit als": Implicit(4, threshold=4, **_SEEDED),
    "implicit als, exact": Implicit(4, solver="cholesky", threshold=4, reg=0.1, **_SEEDED),
    "bpr": Implicit(4, solver=BPR(), threshold=4, **_SEEDED),
    "sampled": Implicit(4, solver=Sampled(), threshold=4, **_SEEDED),
}
"""By name; they are to be cloned."""


def split(weights: bool = False) -> tuple[fastcf.Ratings, fastcf.Ratings]:
    """Return ratings of 60 users and 40 items to learn from, and some held out, these with weights if asked."""
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    if weights:
        users, items, values = held_out.to_coo()
        drawn = np.random.default_rng(0).exponential(size=values.size).astype(np.float32)
        held_out = fastcf.Ratings.from_coo(users, items, values, weights=drawn)
    return train, held_out


def bits(model: Any) -> dict[str, bytes]:
    """Return all that a model has learnt, and the models inside, as bytes."""

    def of(archive: Any) -> dict[str, bytes]:
        own = {name: np.asarray(array).tobytes() for name, array in archive.arrays.items()}
        inner = {f"{part}/{name}": array for part, each in archive.parts.items() for name, array in of(each).items()}
        return own | inner

    return of(model.to_archive())


def same_bits(one: Any, other: Any) -> bool:
    """Return whether two models have learnt the same, bit by bit, and have the same history but for its seconds."""

    def history(model: Any) -> list[dict[str, Any]]:
        return [{name: value for name, value in record.items() if name != "seconds"} for record in model.history_]

    return bits(one) == bits(other) and history(one) == history(other) and one.n_epochs_ == other.n_epochs_
