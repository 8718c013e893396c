"""Several models compared on the same held-out ratings: :func:`evaluate` returns an :class:`Evaluation`."""

from fastcf.evaluation.runs import Interrupted, evaluate
from fastcf.evaluation.slices import SliceTable
from fastcf.evaluation.table import Evaluation, UserValues

__all__ = ["Evaluation", "Interrupted", "SliceTable", "UserValues", "evaluate"]
