"""Training by epochs: the loop, stopping, callbacks, optimisers with their schedules, gradient checks.

What users need of it is in :mod:`fastcf.callbacks`, :mod:`fastcf.optimizers` and :mod:`fastcf.gradient_check`.
"""

__all__: list[str] = []
