"""Solvers of matrix factorisation, of ratings and of choices, as objects with their parameters."""

from fastcf.models.factorization.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver
from fastcf.models.implicit.solvers import (
    Cholesky,
    ConjugateGradients,
    ImplicitSolver,
    Subspaces,
    as_implicit_solver,
)

__all__ = [
    "ALS",
    "SGD",
    "Cholesky",
    "ConjugateGradients",
    "Gibbs",
    "GradientDescent",
    "ImplicitSolver",
    "Solver",
    "Subspaces",
    "as_implicit_solver",
    "as_solver",
]
