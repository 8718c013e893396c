"""Where ratings come from: synthetic ones."""

from fastcf.data.synthetic import Truth, make_ratings

__all__ = ["Truth", "make_ratings"]
