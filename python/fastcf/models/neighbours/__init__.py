"""Neighbourhood models: lists by what similar items or similar users were chosen with."""

from fastcf.models.neighbours.item_neighbours import ItemNeighbours
from fastcf.models.neighbours.user_neighbours import UserNeighbours

__all__ = ["ItemNeighbours", "UserNeighbours"]
