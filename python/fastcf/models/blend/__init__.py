"""The weighted average of several models."""

from fastcf.models.blend.blend import Blend

__all__ = ["Blend"]
