"""Analytic gradients against central differences, in float64, on the code that trains."""

from fastcf.training.gradient_check import BlockCheck, GradientReport, Objective, check_gradients, compare_gradients

__all__ = ["BlockCheck", "GradientReport", "Objective", "check_gradients", "compare_gradients"]
