"""A user's perceptron in float64 NumPy, as plain as its equations: what the native one must equal."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import expit

from reference import mix64, optimizer_trace
from reference_autoencoder import random_key
from reference_network import activation, activation_slope

MASK = 2**64 - 1
WEIGHT_STREAM, ORDER_STREAM = 0x77656967, 0x6F726465


def words(key, stream, n):
    """Return the first n words of one of a user's random streams."""
    own = random_key(key, stream)
    return [mix64(own ^ mix64(i)) for i in range(n)]


def drawn(seed, user_key, layers, low, high, y, w):
    """Return the first parameters of a user with such targets; ``user_key`` is what stands for their id."""
    key = random_key(seed, user_key)
    parameters = []
    for layer, shape in enumerate(itertools.pairwise(layers)):
        uniform = np.array([(word >> 11) * 2.0**-53 for word in words(key, WEIGHT_STREAM + layer, np.prod(shape))])
        a, b = (float(np.float32(limit[layer])) for limit in (low, high))
        parameters.append(((a + (b - a) * uniform).reshape(shape), np.zeros(shape[1])))
    if len(y):
        ones = len(y) * np.average(y, axis=0, weights=w)
        parameters[-1] = parameters[-1][0], np.log((ones + 0.5) / (len(y) - ones + 0.5))
    return parameters


def order(seed, user_key, n, epoch):
    """Return the entries of a user in the order of an epoch."""
    key, entries = random_key(seed, user_key), list(range(n))
    for i, word in zip(range(n - 1, 0, -1), words(key, ORDER_STREAM + epoch, n), strict=False):
        j = (word * (i + 1)) >> 64
        entries[i], entries[j] = entries[j], entries[i]
    return np.array(entries, int)


def targets(ratings, levels):
    """Return (n, K): the ratings themselves, or which level each of them is."""
    ratings = np.asarray(ratings, np.float64)[:, None]
    return ratings if len(levels) == 0 else (ratings == np.asarray(levels)[None, :]).astype(float)


def forward(parameters, x, kind):
    """Return what goes into each layer's activation; ``parameters`` holds a pair of weights and bias per layer."""
    products, h = [], np.asarray(x, np.float64)
    for layer, (weights, bias) in enumerate(parameters):
        products.append(h @ weights + bias)
        h = activation(kind, products[-1]) if layer < len(parameters) - 1 else expit(products[-1])
    return products, h


def cost_and_gradient(parameters, x, y, w, kind):
    """Return −Σ w Σ_k [y log h + (1 − y) log(1 − h)] / Σ w and its gradient, by back-propagation."""
    w = np.ones(len(x)) if w is None else np.asarray(w, np.float64)
    products, h = forward(parameters, x, kind)
    z = products[-1]
    cost = (w[:, None] * (np.logaddexp(0, z) - y * z)).sum() / w.sum()
    delta = w[:, None] * (h - y) / w.sum()
    gradients = []
    for layer in range(len(parameters) - 1, -1, -1):
        below = x if layer == 0 else activation(kind, products[layer - 1])
        gradients.append((np.asarray(below, np.float64).T @ delta, delta.sum(0)))
        if layer > 0:
            delta = delta @ parameters[layer][0].T * activation_slope(kind, products[layer - 1])
    return cost, gradients[::-1]


def pack(parameters, layout, bias):
    """Return the row that native code keeps a network in."""
    size, weights, biases = layout
    row = np.zeros(size)
    for layer, (weight, b) in enumerate(parameters):
        row[weights[layer] : weights[layer] + weight.size] = weight.ravel()
        if bias:
            row[biases[layer] : biases[layer] + b.size] = b
    return row


def unpack(row, layers, layout, bias):
    _, weights, biases = layout
    row = np.asarray(row, np.float64)
    return [
        (
            row[weights[layer] : weights[layer] + np.prod(shape)].reshape(shape),
            row[biases[layer] : biases[layer] + shape[1]] if bias else np.zeros(shape[1]),
        )
        for layer, shape in enumerate(itertools.pairwise(layers))
    ]


def trained(
    row, layers, layout, data, *, activation, bias, levels, reg, optimizer, rate, batch_size, seed, key, epochs,
    rounding=0.0,
):  # fmt: skip
    """Return a user's parameters after some epochs, and each epoch's cost; ``data``: features, ratings, weights.

    ``rounding``: errors of the gradients, as a share of their largest element: what less precise numbers would do.
    """
    noise = np.random.default_rng(seed)
    x, ratings, w = data
    n, y = len(ratings), targets(data[1], levels)
    penalised = np.zeros(layout[0])
    for layer, shape in enumerate(itertools.pairwise(layers)):
        penalised[layout[1][layer] : layout[1][layer] + np.prod(shape)] = 1
    batches = [
        shuffled[begin : begin + batch_size]
        for epoch in range(epochs)
        for shuffled in [order(seed, key, n, epoch)]
        for begin in range(0, n, batch_size)
    ]
    losses = []

    def gradient_at(point, step):
        rows = batches[step - 1]
        own = None if w is None else w[rows]
        cost, gradient = cost_and_gradient(unpack(point, layers, layout, bias), x[rows], y[rows], own, activation)
        losses.append(cost * (len(rows) if w is None else own.sum()))
        packed = pack(gradient, layout, bias) + reg / n * penalised * point
        return packed + rounding * np.abs(packed).max() * noise.standard_normal(packed.shape) if rounding else packed

    name, constants = optimizer
    points = optimizer_trace(name, row, gradient_at, [rate] * len(batches), **constants)
    per_epoch = len(batches) // epochs
    total = n if w is None else w.sum()
    costs = [
        sum(losses[e * per_epoch : (e + 1) * per_epoch]) / total
        + reg / (2 * n) * (penalised * points[(e + 1) * per_epoch] ** 2).sum()
        for e in range(epochs)
    ]
    return points[-1], costs
