"""Any model of ratings beside effects of the time at which users rated, and items were rated."""

from fastcf.models.temporal.temporal_model import TemporalModel

__all__ = ["TemporalModel"]
