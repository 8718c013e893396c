"""Solvers of factorisations of choices: their parameters and their trainers.

A solver is a class in this file: parameters with constraints, ``unused`` parameters of the estimator, and ``trainer``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fastcf._parameters import Constraint, Interval, Settings
from fastcf.models.implicit.problem import Problem
from fastcf.models.implicit.trainer import AlternatingTrainer
from fastcf.training.loop import Trainer

__all__ = ["SOLVERS", "Cholesky", "ConjugateGradients", "ImplicitSolver", "Subspaces", "as_implicit_solver"]


class ImplicitSolver(Settings):
    """Base class of the solvers of :class:`fastcf.ImplicitFactorization`.

    A solver holds its parameters. Strings are shorthand for the objects with their defaults: "cg" for
    ``ConjugateGradients()``, "cholesky" for ``Cholesky()``, "subspaces" for ``Subspaces()``.
    """

    parameter: ClassVar[str] = "solver"
    shorthands: ClassVar[tuple[str, ...]] = ()

    unused: ClassVar[tuple[str, ...]] = ()
    """Parameters of the estimator that have no effect with this solver."""

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        raise NotImplementedError


@dataclass(repr=False)
class Cholesky(ImplicitSolver):
    """Alternating least squares with exact solutions: every sweep solves all items, then all users.

    A row of n choices takes n k² / 2 + k³ / 6 multiply-adds, one of fewer than k / 4 choices n² k / 2 + n³ / 6.

    References
    ----------
    Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("cholesky",)

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem)


@dataclass(repr=False)
class ConjugateGradients(ImplicitSolver):
    """Alternating least squares whose rows take a few steps of conjugate gradients from where they are.

    A row of n choices takes 2 n k multiply-adds a step. Steps are preconditioned: in the axes in which the Gram matrix
    of the other side is diagonal, that diagonal is close to the row's matrix.

    Parameters
    ----------
    n_steps : int, default 3
        Steps a row and sweep, at least 1.

    References
    ----------
    G. Takács, I. Pilászy and D. Tikk, "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering", RecSys 2011.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("cg",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"n_steps": (Interval(1, 2**31 - 1, integer=True),)}

    n_steps: int = 3

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem, cg_steps=self.n_steps)


@dataclass(repr=False)
class Subspaces(ImplicitSolver):
    """Alternating least squares by blocks of factors: each is solved exactly while the others stand still.

    For many factors, where systems of all of them take long: a row of n choices takes n k b / 2 + k b² / 6
    multiply-adds for blocks of b factors, and memory for a number per choice.

    Parameters
    ----------
    block_size : int, default 64
        Factors solved at a time, at least 1; k or more is "cholesky".

    References
    ----------
    S. Rendle, W. Krichene, L. Zhang and Y. Koren, "iALS++: speeding up matrix factorization with subspace
    optimization", arXiv:2110.14044, 2021. Blocks are of the axes in which the Gram matrix is diagonal, so that only
    the choices join them.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("subspaces",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"block_size": (Interval(1, 65536, integer=True),)}

    block_size: int = 64

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem, block=self.block_size)


_NAMED: dict[str, tuple[type[ImplicitSolver], dict[str, Any]]] = {
    "cg": (ConjugateGradients, {}),
    "cholesky": (Cholesky, {}),
    "subspaces": (Subspaces, {}),
}
SOLVERS = ("auto", *_NAMED)


def as_implicit_solver(solver: str | ImplicitSolver, caller: str = "as_implicit_solver") -> ImplicitSolver:
    """Return a solver from its name, with default parameters, or as it is, checked.

    Parameters
    ----------
    solver : {"auto", "cg", "cholesky", "subspaces"} or ImplicitSolver
        The name is shorthand for the object with its defaults; "auto" is "cg".
    caller : str
        Named in error messages.

    Returns
    -------
    ImplicitSolver

    Raises
    ------
    ValueError
        If the name is unknown, or a parameter of the object is not as documented.
    TypeError
        If it is neither a name nor a solver.
    """
    if isinstance(solver, ImplicitSolver):
        solver.validate(caller)
        return solver
    if not isinstance(solver, str):
        raise TypeError(f"{caller}: solver must be a name or an ImplicitSolver; got {solver!r}")
    if solver not in SOLVERS:
        raise ValueError(f"{caller}: solver must be one of {', '.join(SOLVERS)}; got {solver!r}")
    kind, options = _NAMED["cg" if solver == "auto" else solver]
    return kind(**options)
