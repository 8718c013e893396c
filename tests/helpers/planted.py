"""Ratings of known kinds, and every estimator of id pairs with settings of which one is the best by far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import GridSearchCV, KFold

import fastcf

N_USERS, N_ITEMS = 120, 80
BY_ROW = KFold(3, shuffle=True, random_state=0)


class Planted(NamedTuple):
    """Ratings of a known kind, in random order: id pairs, ratings, the users' and the items' vectors."""

    X: np.ndarray
    y: np.ndarray
    P: np.ndarray
    Q: np.ndarray


def plant(kind: str, density: float, noise: float) -> Planted:
    random = np.random.default_rng(0)
    P, Q = random.normal(size=(N_USERS, 3)), random.normal(size=(N_ITEMS, 3))
    biases = random.normal(size=(N_USERS, 1)) + random.normal(size=(1, N_ITEMS))
    truth = 3 + {"biases": biases, "factors": P @ Q.T + biases, "features": P @ Q.T}[kind]
    users, items = np.nonzero(random.random(truth.shape) < density)
    order = random.permutation(users.size)
    users, items = users[order], items[order]
    return Planted(np.stack([users, items], axis=1), truth[users, items] + random.normal(0, noise, users.size), P, Q)


DATA = {
    "biases": plant("biases", 0.05, 1.5),
    "factors": plant("factors", 0.35, 0.5),
    "features": plant("features", 0.2, 1),
}
BATCHES = fastcf.solvers.GradientDescent
NOISE = np.random.default_rng(1).normal(size=(N_USERS, 9))  # features that mean nothing
FILMS = fastcf.FeatureTable(range(N_ITEMS), np.hstack([DATA["features"].Q, NOISE[:N_ITEMS]]))
PEOPLE = fastcf.FeatureTable(range(N_USERS), np.hstack([DATA["features"].P, NOISE]))


class Case(NamedTuple):
    """An estimator, the data that it fits, and a grid of which ``best`` is the best setting by far."""

    make: Callable[..., Any]
    data: str
    grid: dict[str, list[Any]]
    best: dict[str, Any]
    fit: dict[str, Any] = {}  # noqa: RUF012  # never changed

    def search(self, **options: Any) -> GridSearchCV:
        data = DATA[self.data]
        return GridSearchCV(self.make(), self.grid, cv=BY_ROW, **options).fit(data.X, data.y, **self.fit)

    def fitted(self) -> Any:
        data = DATA[self.data]
        return self.make().fit(data.X, data.y, **self.fit)


def factorisation(solver: Any, n_epochs: int) -> Case:
    def make() -> fastcf.MatrixFactorization:
        return fastcf.MatrixFactorization(12, solver=solver, n_epochs=n_epochs, random_state=0)

    if isinstance(solver, fastcf.solvers.Gibbs):  # its priors are learnt: there is no reg
        return Case(make, "factors", {"n_factors": [1, 12]}, {"n_factors": 12})
    return Case(make, "factors", {"reg": [1e-4, 0.6, 1e3]}, {"reg": 0.6})


def labelled(solver: Any, n_epochs: int) -> Case:
    """Return a factorisation of labels: ratings cut where half of them are label 1.

    Its penalty is given: to estimate it takes several times as long as the rest of a test.
    """

    def make() -> fastcf.MatrixFactorization:
        return fastcf.MatrixFactorization(
            6, solver=solver, cost="logistic", threshold=3.0, reg=0.25, n_epochs=n_epochs, random_state=0
        )

    return Case(make, "factors", {"reg": [1e-4, 0.25, 1e3]}, {"reg": 0.25})


def blended() -> fastcf.Blend:
    members = [("mf", fastcf.MatrixFactorization(12, n_epochs=100)), ("bias", fastcf.BiasModel())]
    return fastcf.Blend(members, random_state=0)


def encoded(orientation: str) -> Case:
    def make() -> fastcf.Autoencoder:
        return fastcf.Autoencoder(
            (12,),
            orientation=orientation,
            activation="tanh",
            reg=20.0,
            optimizer=fastcf.optimizers.Adam(),
            n_epochs=100,
            batch_size=8,
            random_state=0,
        )

    rate = "optimizer__learning_rate"
    return Case(make, "factors", {"reg": [20.0, 1e6], rate: [1e-7, 0.003]}, {"reg": 20.0, rate: 0.003})


def perceptrons() -> fastcf.UserPerceptron:
    """Return networks for labels: ratings cut where half of them are label 1."""
    return fastcf.UserPerceptron((4,), threshold=3.0, n_epochs=60, random_state=0)


# Another family joins the tests of scikit-learn by a line here.
CASES = {
    "bias": Case(fastcf.BiasModel, "biases", {"user_reg": [0, 2.0, 1e6], "item_reg": [2.0]}, {"user_reg": 2.0}),
    "sgd": factorisation("sgd", 100),
    "als": factorisation("als", 8),
    "gd": factorisation("gd", 300),
    "minibatch": factorisation(BATCHES(fastcf.optimizers.Adam(beta1=0.8), batch_size=64), 60),
    "bayes": factorisation(fastcf.solvers.Gibbs(burn_in=15), 40),
    "labels-sgd": labelled("sgd", 60),
    "labels-gd": labelled("gd", 200),
    "labels-minibatch": labelled(BATCHES(batch_size=64), 40),
    "user-features": Case(
        lambda: fastcf.UserRegression(), "features", {"reg": [1e-6, 3.0, 1e6]}, {"reg": 3.0}, {"item_features": FILMS}
    ),
    "item-features": Case(
        lambda: fastcf.ItemRegression(), "features", {"reg": [1e-6, 3.0, 1e6]}, {"reg": 3.0}, {"user_features": PEOPLE}
    ),
    "perceptrons": Case(perceptrons, "features", {"reg": [1e-4, 3.0, 1e4]}, {"reg": 3.0}, {"item_features": FILMS}),
    "two-tower": Case(
        lambda: fastcf.TwoTower(
            (16,),
            (16,),
            8,
            baseline="none",
            optimizer=fastcf.optimizers.Adam(0.01),
            batch_size=64,
            n_epochs=30,
            random_state=0,
        ),
        "features",
        {"reg": [3.0, 1e6]},
        {"reg": 3.0},
        {"user_features": PEOPLE, "item_features": FILMS},
    ),
    "by-item": encoded("item"),
    "by-user": encoded("user"),
    "blend": Case(blended, "factors", {"mf__reg": [1e-4, 0.6, 1e3]}, {"mf__reg": 0.6}),
}
