"""Small models of choices, of every family and solver, for what all models do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastcf
from fastcf.solvers import BPR, Cholesky, ConjugateGradients, Sampled, Subspaces


def factorisation(solver: Any) -> Callable[..., fastcf.ImplicitFactorization]:
    def make(**options: Any) -> fastcf.ImplicitFactorization:
        return fastcf.ImplicitFactorization(5, solver=solver, reg=0.01, n_epochs=3, random_state=0, **options)

    return make


def blended(**options: Any) -> fastcf.Blend:
    members = [
        ("linear", fastcf.LinearAutoencoder(threshold=options.get("threshold"))),
        ("rated", fastcf.MatrixFactorization(3, n_epochs=3)),
    ]
    return fastcf.Blend(members, metric="ndcg@10", random_state=0, **options)


CHOICE_MODELS: dict[str, Callable[..., Any]] = {
    "linear": lambda **options: fastcf.LinearAutoencoder(**options),
    "linear-local": lambda **options: fastcf.LinearAutoencoder(neighbours=8, **options),
    "implicit-cg": factorisation(ConjugateGradients(2)),
    "implicit-cholesky": factorisation(Cholesky()),
    "implicit-subspaces": factorisation(Subspaces(2)),
    "implicit-bpr": factorisation(BPR()),
    "implicit-sampled": factorisation(Sampled(n_negatives=4)),
    "item-neighbours": lambda **options: fastcf.ItemNeighbours(8, **options),
    "user-neighbours": lambda **options: fastcf.UserNeighbours(8, **options),
    "popular": lambda **options: fastcf.Popular(**options),
    "multinomial": lambda **options: fastcf.Autoencoder(
        (5,), cost="multinomial", n_epochs=3, random_state=0, **options
    ),
    "softmax": lambda **options: fastcf.TwoTower((6,), (5,), 4, cost="softmax", n_epochs=3, random_state=0, **options),
    "blend": blended,
}
