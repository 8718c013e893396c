"""Factorisations of choices among all cells."""

from fastcf.models.implicit.implicit_factorization import ImplicitFactorization

__all__ = ["ImplicitFactorization"]
