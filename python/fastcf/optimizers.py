"""Optimisers of gradient-trained models: objects that carry step size, schedule and constants."""

from fastcf.training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    AdaDelta,
    AdaGrad,
    Adam,
    GradientDescent,
    Momentum,
    Nesterov,
    Optimizer,
    as_optimizer,
    learning_rate_at,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "GradientDescent",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "as_optimizer",
    "learning_rate_at",
]
