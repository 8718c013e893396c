"""Two networks, of users' features and of items', whose vectors' product predicts."""

from fastcf.models.two_tower.two_tower import TwoTower

__all__ = ["TwoTower"]
