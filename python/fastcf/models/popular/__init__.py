"""Popular items: the baseline of lists."""

from fastcf.models.popular.popular import Popular

__all__ = ["Popular"]
