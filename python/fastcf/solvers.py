"""Solvers of matrix factorisation, of ratings and of choices, as objects with their parameters."""

from fastcf.models.factorization.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver
from fastcf.models.implicit.solvers import (
    BPR,
    Cholesky,
    ConjugateGradients,
    ImplicitSolver,
    Sampled,
    Subspaces,
    as_implicit_solver,
)

__all__ = [
    "ALS",
    "BPR",
    "SGD",
    "Cholesky",
    "ConjugateGradients",
    "Gibbs",
    "GradientDescent",
    "ImplicitSolver",
    "Sampled",
    "Solver",
    "Subspaces",
    "as_implicit_solver",
    "as_solver",
]
