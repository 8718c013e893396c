"""Solvers of matrix factorisation: objects that hold what only they use."""

from fastcf.models.factorization.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver

__all__ = ["ALS", "SGD", "Gibbs", "GradientDescent", "Solver", "as_solver"]
