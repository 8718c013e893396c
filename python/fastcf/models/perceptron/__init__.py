"""A small neural network per user over features of items."""

from fastcf.models.perceptron.keys import user_keys
from fastcf.models.perceptron.user_perceptron import UserPerceptron

__all__ = ["UserPerceptron", "user_keys"]
