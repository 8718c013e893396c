"""Network layers in float64 NumPy, as plain as their equations."""

from __future__ import annotations

import numpy as np
import scipy.special

from reference import mix64

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def activation(kind, z):
    """Return g(z)."""
    z = np.asarray(z, np.float64)
    negative = np.minimum(z, 0)
    return {
        "identity": lambda: z,
        "sigmoid": lambda: scipy.special.expit(z),
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0),
        "leaky_relu": lambda: np.where(z < 0, 0.01 * z, z),
        "elu": lambda: np.where(z < 0, np.expm1(negative), z),
        "selu": lambda: SELU_SCALE * np.where(z < 0, SELU_ALPHA * np.expm1(negative), z),
    }[kind]()


def activation_slope(kind, z):
    """Return g'(z); where g has a kink, the slope of its left side."""
    z = np.asarray(z, np.float64)
    negative = np.minimum(z, 0)
    y = activation(kind, z)
    return {
        "identity": lambda: np.ones_like(z),
        "sigmoid": lambda: y * scipy.special.expit(-z),
        "tanh": lambda: 1 / np.cosh(z) ** 2,
        "relu": lambda: (z > 0).astype(float),
        "leaky_relu": lambda: np.where(z > 0, 1, 0.01),
        "elu": lambda: np.where(z > 0, 1, np.exp(negative)),
        "selu": lambda: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(negative)),
    }[kind]()


def normalize(x, length=1.0):
    """Return rows of one length; rows of zeros stay zero."""
    x = np.asarray(x, np.float64)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(length * x, norm, out=np.zeros_like(x), where=norm > 0)


def normalize_gradient(x, slope, length=1.0):
    """Return the gradient by x, given that by the normalised rows: each row's Jacobian, transposed, times the slope."""
    x, slope = np.asarray(x, np.float64), np.asarray(slope, np.float64)
    out = np.zeros_like(x)
    for r in range(len(x)):
        norm = np.linalg.norm(x[r])
        if norm > 0:
            direction = x[r] / norm
            out[r] = length / norm * (np.eye(x.shape[1]) - np.outer(direction, direction)) @ slope[r]
    return out


ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu")


def dropout(x, rate, key, alpha=False):
    """Return what comes out, and what its gradient is to be multiplied by."""
    x = np.asarray(x, np.float64)
    keep = np.array([(mix64(key ^ mix64(n)) >> 11) * 2.0**-53 >= rate for n in range(x.size)], bool)
    keep = keep.reshape(x.shape)
    if not alpha:
        return keep * x / (1 - rate), keep / (1 - rate)
    limit = -SELU_SCALE * SELU_ALPHA
    a = (1 - rate + limit**2 * rate * (1 - rate)) ** -0.5
    return a * np.where(keep, x, limit) - a * rate * limit, a * keep
