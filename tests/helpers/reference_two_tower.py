"""The two-tower network in float64 NumPy, on dense matrices, as plain as its equations.

A tower's parameters are (first weights of sparse features, first weights of dense features, [weights], [biases]); its
features are the two matrices. Users and items that a batch has more than once go through their towers once: it makes no
difference but to dropout, whose choices belong to the row.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import expit, logsumexp

from reference_autoencoder import DROPOUT_STREAM, MASK, Trace, random_key, shuffled
from reference_network import activation, activation_slope, dropout, normalize, normalize_gradient

RATING_STREAM = 0x6D696E69


def draw(rng, n_sparse, n_dense, layers, scale=0.4):
    """Return a tower's parameters."""
    return (
        rng.normal(0, scale, (n_sparse, layers[0])),
        rng.normal(0, scale, (n_dense, layers[0])),
        [rng.normal(0, scale, pair) for pair in itertools.pairwise(layers)],
        [rng.normal(0, scale, size) for size in layers],
    )


def flat(towers):
    """Return all arrays of both towers in one list."""
    return [array for sparse, dense, weights, biases in towers for array in (sparse, dense, *weights, *biases)]


def rebuilt(arrays, towers):
    """Return such a list as parameters again."""
    arrays, found = list(arrays), []
    for _, _, weights, biases in towers:
        n, m = len(weights), len(biases)
        found.append((arrays[0], arrays[1], arrays[2 : 2 + n], arrays[2 + n : 2 + n + m]))
        arrays = arrays[2 + n + m :]
    return tuple(found)


def cast(towers, dtype):
    return rebuilt([np.array(array, dtype) for array in flat(towers)], towers)


def forward(tower, features, kind, length=0.0, *, rate=0.0, seed=0, number=0):
    """Return a vector per row, and what a backward pass needs; ``number`` numbers dropout's choices."""
    first, second, weights, biases = tower
    sparse, dense = features
    steps, value = [], sparse @ first + dense @ second
    for layer, bias in enumerate(biases):
        fed = value
        z = (value if layer == 0 else value @ weights[layer - 1]) + bias
        last = layer == len(biases) - 1
        value, factor = activation("identity" if last else kind, z), np.ones_like(z)
        if rate and not last:
            value, factor = dropout(value, rate, random_key((seed + number) & MASK, DROPOUT_STREAM + layer))
        steps.append((fed, z, factor))
    return (normalize(value, length) if length else value), (features, steps, value)


def backward(tower, passed, slope, kind, length=0.0):
    """Return the gradient of a tower's parameters, given that of its vectors."""
    _, _, weights, biases = tower
    (sparse, dense), steps, ends = passed
    if length:
        slope = normalize_gradient(ends, slope, length)
    of_weights, of_biases = [None] * len(weights), [None] * len(biases)
    for layer in reversed(range(len(biases))):
        fed, z, factor = steps[layer]
        slope = slope * factor * activation_slope("identity" if layer == len(biases) - 1 else kind, z)
        of_biases[layer] = slope.sum(0)
        if layer > 0:
            of_weights[layer - 1] = fed.T @ slope
            slope = slope @ weights[layer - 1].T
    return sparse.T @ slope, dense.T @ slope, of_weights, of_biases


def in_batch_softmax(scores, indptr, items, offsets, weights=None):
    """Return the cost of choices among the items of a batch, and its gradient by the scores."""
    scores, offsets = scores.astype(np.float64), offsets.astype(np.float64)
    weights = np.ones(items.size) if weights is None else weights.astype(np.float64)
    slopes, cost = np.zeros_like(scores), 0.0
    for user in range(indptr.size - 1):
        chosen, w = (a[indptr[user] : indptr[user + 1]] for a in (items, weights))
        others = np.setdiff1d(np.arange(scores.shape[1]), chosen)
        if others.size == 0:
            continue
        shifted = scores[user, others] + offsets[others]
        rest = logsumexp(shifted)
        cost += (w * np.logaddexp(0, rest - scores[user, chosen])).sum()
        step = w * expit(rest - scores[user, chosen])
        slopes[user, chosen] = -step
        slopes[user, others] = step.sum() * np.exp(shifted - rest)
    return cost, slopes


def cost_and_gradient(
    towers, features, pairs, values, weights, kind, length, loss, centre, *, number=0, offsets=None, **options
):
    """Return sum w loss(z, y) over pairs (users, items) of rows of the features, and its gradient.

    With the loss "softmax", of which ``offsets`` are the items' log-weights, pairs must be ordered by user.
    """
    vectors, passes = zip(
        *(
            forward(tower, given, kind, length, number=2 * number + side, **options)
            for side, (tower, given) in enumerate(zip(towers, features, strict=True))
        ),
        strict=True,
    )
    users, items = pairs
    z = centre + (vectors[0][users] * vectors[1][items]).sum(1)
    w = np.ones(len(values)) if weights is None else weights
    if loss == "softmax":
        scores = vectors[0] @ vectors[1].T
        indptr = np.searchsorted(users, np.arange(len(scores) + 1))
        cost, slope = in_batch_softmax(scores, indptr, np.asarray(items), offsets, w)
        gradient = tuple(
            backward(tower, passed, part, kind, length)
            for tower, passed, part in zip(towers, passes, (slope @ vectors[1], slope.T @ vectors[0]), strict=True)
        )
        return cost, gradient
    if loss == "squared":
        cost, error = 0.5 * w * (z - values) ** 2, w * (z - values)
    else:
        cost, error = w * (np.logaddexp(0, z) - values * z), w * (expit(z) - values)
    slopes = np.zeros_like(vectors[0]), np.zeros_like(vectors[1])
    np.add.at(slopes[0], users, error[:, None] * vectors[1][items])
    np.add.at(slopes[1], items, error[:, None] * vectors[0][users])
    gradient = tuple(
        backward(tower, passed, slope, kind, length)
        for tower, passed, slope in zip(towers, passes, slopes, strict=True)
    )
    return cost.sum(), gradient


def training(
    towers, features, pairs, values, weights, kind, length, loss, centre, *, optimizer, constants, rates, batch_size,
    decay=0.0, seed=0, rate=0.0, shifts=None,
):  # fmt: skip
    """Return parameters after some epochs of a dense optimiser, and each epoch's sum of w loss.

    Every parameter takes every step, also where its gradient is zero: what momentum and gradient descent do. Under
    other optimisers first weights of sparse features that no row of the batch has stay as they are.
    """
    arrays = flat(towers)
    offsets = np.cumsum([0, *(array.size for array in arrays)])
    lazy, n = optimizer in ("adagrad", "adadelta", "adam"), len(values)
    decays = [[True] * (2 + len(weights_)) + [False] * len(biases) for _, _, weights_, biases in towers]
    decays = list(itertools.chain.from_iterable(decays))
    places = 0, 4 + 2 * len(towers[0][2]) - 1  # of the sparse features' weights
    history, counted, losses = Trace(optimizer, np.concatenate([a.ravel() for a in arrays]), constants), 0, []
    for epoch, learning_rate in enumerate(rates):
        order, total = shuffled(n, seed, epoch, RATING_STREAM), 0.0
        for begin in range(0, n, batch_size):
            batch = np.sort(order[begin : begin + batch_size])
            rows, numbers = zip(*(np.unique(side[batch], return_inverse=True) for side in pairs), strict=True)
            taken = [(sparse[r], dense[r]) for (sparse, dense), r in zip(features, rows, strict=True)]
            point = [history.point[a:b].reshape(x.shape) for a, b, x in zip(offsets, offsets[1:], arrays, strict=False)]
            now = rebuilt(point, towers)
            cost, gradient = cost_and_gradient(
                now, taken, numbers, values[batch], None if weights is None else weights[batch], kind, length, loss,
                centre, number=counted, seed=seed, rate=rate,
                offsets=None if shifts is None else shifts[int(len(batch) < batch_size)][rows[1]],
            )  # fmt: skip
            total, counted = total + cost, counted + 1
            slopes = [
                slope / len(batch) + (decay * at if penalised else 0)
                for slope, at, penalised in zip(flat(gradient), point, decays, strict=True)
            ]
            for (sparse, _), place in zip(taken, places, strict=True):
                if lazy:
                    slopes[place][~(sparse != 0).any(0)] = np.nan
            history.step(np.concatenate([s.ravel() for s in slopes]), learning_rate)
        losses.append(total)
    point = [history.point[a:b].reshape(x.shape) for a, b, x in zip(offsets, offsets[1:], arrays, strict=False)]
    return rebuilt(point, towers), losses
