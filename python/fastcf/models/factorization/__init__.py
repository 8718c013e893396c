"""Matrix factorisation and its solvers."""

from fastcf.models.factorization.matrix_factorization import MatrixFactorization
from fastcf.models.factorization.solvers import ALS, SGD, Gibbs, GradientDescent, Solver, as_solver

__all__ = ["ALS", "SGD", "Gibbs", "GradientDescent", "MatrixFactorization", "Solver", "as_solver"]
