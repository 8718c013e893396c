"""Solvers of matrix factorisation, as objects with their parameters."""

from fastcf.models.factorization.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver

__all__ = ["ALS", "SGD", "Gibbs", "GradientDescent", "Solver", "as_solver"]
