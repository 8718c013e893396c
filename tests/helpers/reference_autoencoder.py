"""The masked autoencoder in float64 NumPy, on dense matrices: what the sparse, native one must equal."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import expit

from reference import mix64, optimizer_trace
from reference_network import activation, activation_slope, dropout

MASK = 2**64 - 1
RATES = {"gd": 0.05, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.05, "adadelta": 0.5, "adam": 0.01}
EFFECT_STEPS, EFFECT_PENALTY, EFFECT_RATE = 8, 2.0, 0.1
DROPOUT_STREAM, INPUT_STREAM, ROW_STREAM = 0x64726F70, 0x696E7075, 0x726F7773


def random_key(seed, stream):
    return mix64(mix64(seed & MASK) ^ (stream * 0xD1342543DE82EF95 & MASK))


def shuffled(n, seed, epoch, stream=ROW_STREAM):
    """Return rows in the order of an epoch."""
    key, order = random_key((mix64(seed) + epoch) & MASK, stream), list(range(n))
    for drawn, i in enumerate(range(n - 1, 0, -1)):
        j = (mix64(key ^ mix64(drawn)) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return np.array(order, int)


def sizes(layers):
    return [*layers, *layers[-2::-1]]


def draw(rng, n_columns, layers, tied, scale=0.3, rated=False, n_effects=None):
    """Return parameters as native code takes them; with ``n_effects``, effects of so many rows."""
    widths = sizes(layers)
    weights = [rng.normal(0, scale, pair) for pair in itertools.pairwise(widths)]
    if tied:
        weights = weights[: len(layers) - 1]
    return (
        rng.normal(0, scale, (n_columns, layers[0])),
        None if tied else rng.normal(0, scale, (n_columns, layers[0])),
        rng.normal(0, scale, n_columns),
        weights,
        [rng.normal(0, scale, width) for width in widths],
        rng.normal(0, scale, (n_columns, layers[0])) if rated else None,
        None if n_effects is None else rng.normal(0, scale, (n_effects, layers[0])),
    )


def cast(parameters, dtype):
    """Return a copy of all arrays."""
    first, last, bias, weights, biases, rated, effects = parameters
    return (
        first.astype(dtype),
        None if last is None else last.astype(dtype),
        bias.astype(dtype),
        [array.astype(dtype) for array in weights],
        [array.astype(dtype) for array in biases],
        None if rated is None else rated.astype(dtype),
        None if effects is None else effects.astype(dtype),
    )


def flat(parameters):
    """Return all arrays in one list."""
    first, last, bias, weights, biases, rated, effects = parameters
    tables = [table for table in (first, last, rated) if table is not None]
    return [*tables, bias, *weights, *biases, *([] if effects is None else [effects])]


def rebuilt(arrays, parameters):
    """Return such a list as parameters again."""
    arrays = list(arrays)
    first, last, rated = (None if parameters[i] is None else arrays.pop(0) for i in (0, 1, 5))
    bias, n = arrays.pop(0), len(parameters[3])
    effects = None if parameters[6] is None else arrays.pop()
    return first, last, bias, arrays[:n], arrays[n:], rated, effects


def empty(parameters):
    """Return such parameters, all NaN."""
    return rebuilt([np.full_like(a, np.nan) for a in flat(parameters)], parameters)


def shares_of(indptr, indices, n_columns):
    """Return (n_columns, n_rows): what the effects of a row's entries add to the centres of columns, 1/√n each."""
    rated = dense(indptr, indices, np.ones(len(indices)), n_columns).T
    return rated / np.sqrt(np.maximum(rated.sum(1, keepdims=True), 1))


def with_centres(parameters, shares):
    """Return parameters whose output weights have their centres, and no effects."""
    first, last, *others, effects = parameters
    return (first, last if effects is None else last + shares @ effects, *others, None)


def parameters_of(model):
    """Return a fitted model's parameters, in float64."""
    ends = model.input_weights_, None if model.tied else model.output_weights_, model.output_bias_, model.rated_weights_
    *arrays, rated = [None if array is None else array.astype(float) for array in ends]
    hidden = ([a.astype(float) for a in each] for each in (model.hidden_weights_, model.hidden_biases_))
    return *arrays, *hidden, rated, None


def matrices(parameters, layers):
    """Return each hidden layer's weights (inputs, outputs), None for the first, and whose gradient they have."""
    _, last, _, weights, *_ = parameters
    found = [(None, -1, False)]
    half = len(layers) - 1
    found += [(weights[i], i, False) for i in range(half)]
    if last is None:
        found += [(weights[i].T, i, True) for i in reversed(range(half))]
    else:
        found += [(weights[half + i], half + i, False) for i in range(half)]
    return found


def run(parameters, x, layers, kind, output, *, given=None, rate=0.0, alpha=False, seed=0, number=0):
    """Return f(x) and what a backward pass needs; `given` is what is fed for being rated."""
    first, last, bias, _, biases, rated, _ = parameters
    steps, value = [], x @ first
    if given is not None:
        value = value + given @ rated
    for layer, (weights, _, _) in enumerate(matrices(parameters, layers)):
        fed = value
        z = (value if weights is None else value @ weights) + biases[layer]
        value, factor = activation(kind, z), np.ones_like(z)
        if rate and layer < len(layers):
            key = random_key((seed + number) & MASK, DROPOUT_STREAM + layer)
            value, factor = dropout(value, rate, key, alpha)
        steps.append((fed, z, factor))
    z = value @ (first if last is None else last).T + bias
    return activation(output, z), (x, given, steps, value, z)


def gradient(parameters, passed, slope, layers, kind, output):
    """Return the gradient of all parameters, given that of f(x)."""
    first, last, _, weights, biases, rated, _ = parameters
    x, given, steps, hidden, z = passed
    slope = slope * activation_slope(output, z)
    of_bias, of_last = slope.sum(0), slope.T @ hidden
    slope = slope @ (first if last is None else last)
    of_weights, of_biases = [np.zeros_like(w) for w in weights], [None] * len(biases)
    found = matrices(parameters, layers)
    for layer in reversed(range(len(steps))):
        fed, z, factor = steps[layer]
        slope = slope * factor * activation_slope(kind, z)
        of_biases[layer] = slope.sum(0)
        matrix, index, transposed = found[layer]
        if matrix is None:
            break
        product = fed.T @ slope
        of_weights[index] += product.T if transposed else product
        slope = slope @ matrix.T
    of_first = x.T @ slope
    of_rated = None if rated is None else np.zeros_like(rated) if given is None else given.T @ slope
    if last is None:
        return of_first + of_last, None, of_bias, of_weights, of_biases, of_rated, None
    return of_first, of_last, of_bias, of_weights, of_biases, of_rated, None


def dropped(inputs, indptr, shares, seed, epoch):
    """Return the inputs of stored entries, some of them dropped: a share of each row's."""
    key = random_key((mix64(seed) + epoch) & MASK, INPUT_STREAM)
    rate = np.repeat(np.asarray(shares, float), np.diff(indptr))
    keep = np.array([(mix64(key ^ mix64(n)) >> 11) * 2.0**-53 >= rate[n] for n in range(len(inputs))], bool)
    return np.where(keep, inputs / (1 - rate), 0.0)


def rated_values(indptr, rated_input):
    """Return what stored entries are fed for being rated."""
    n = np.diff(indptr)
    return np.repeat(rated_input / np.sqrt(np.maximum(n, 1)), n)


def dense(indptr, indices, values, n_columns):
    x = np.zeros((len(indptr) - 1, n_columns))
    for r in range(len(indptr) - 1):
        x[r, indices[indptr[r] : indptr[r + 1]]] = values[indptr[r] : indptr[r + 1]]
    return x


def masked_cost(
    parameters, csr, inputs, targets, weights, layers, kind, output, *, given=None, cost="squared", offsets=None,
    shares=None, **options,
):  # fmt: skip
    """Return the masked sum of costs, their mean, and its gradient; `given`: of stored entries, for being rated.

    The costs are squared errors or, with cost="logistic", twice softplus(z) - y z of z = f(x) + offsets. Where there
    are effects, `shares` are those of :func:`shares_of`.
    """
    if parameters[6] is not None:
        whole = with_centres(parameters, shares)
        *means, slopes = masked_cost(
            whole, csr, inputs, targets, weights, layers, kind, output, given=given, cost=cost, offsets=offsets,
            **options,
        )  # fmt: skip
        return *means, (*slopes[:6], shares.T @ slopes[1])
    indptr, indices = csr
    n_columns = len(parameters[2])
    x, y = (dense(indptr, indices, values, n_columns) for values in (inputs, targets))
    w = dense(indptr, indices, np.ones(len(inputs)) if weights is None else weights, n_columns)
    if given is not None:
        given = dense(indptr, indices, given, n_columns)
    predicted, passed = run(parameters, x, layers, kind, output, given=given, **options)
    total = w.sum()
    if cost == "logistic":
        z = predicted + dense(indptr, indices, np.zeros(len(inputs)) if offsets is None else offsets, n_columns)
        error = w * (expit(z) - y)
        sum_of = 2 * (w * (np.logaddexp(0, z) - y * z)).sum()
    else:
        error = w * (predicted - y)
        sum_of = (error * (predicted - y)).sum()
    if total == 0:
        return 0.0, 0.0, gradient(parameters, passed, 0 * error, layers, kind, output)
    return sum_of, sum_of / total, gradient(parameters, passed, 2 * error / total, layers, kind, output)


def training(
    parameters, csr, inputs, targets, weights, layers, kind, output, *, optimizer, constants, rates, batch_size,
    decay=0.0, penalised_bias=False, refeeding=0, input_dropout=None, rated_input=0.0, seed=0, rate=0.0, alpha=False,
    cost="squared", offsets=None, rated_output=False, output_rate=1.0,
):  # fmt: skip
    """Return parameters after some epochs of a dense optimiser, and each epoch's sum of squared errors.

    Every parameter takes every step, also where its gradient is zero: what momentum and gradient descent do. Under
    other optimisers rows of columns without ratings in a batch stay as they are, and penalties of the others go by how
    many of the column's ratings are in the batch. With ``rated_output`` effects begin at zero and take eight steps an
    epoch, each along the sum of the gradients since the last one; output weights are returned with their centres.
    """
    indptr, indices = csr
    counted, losses = 0, []
    options = {"rate": rate, "alpha": alpha, "seed": seed}
    lazy = optimizer in ("adagrad", "adadelta", "adam")
    arrays = flat(parameters)
    shapes = [a.shape for a in arrays]
    ends = np.cumsum([0, *[a.size for a in arrays]])
    shares_of_rate = np.repeat([output_rate if a is parameters[1] else 1.0 for a in arrays], [a.size for a in arrays])

    n_tables = 1 + sum(parameters[i] is not None for i in (0, 1, 5))
    penalised = [True] * (n_tables - 1) + [penalised_bias]
    penalised += [True] * len(parameters[3]) + [False] * len(parameters[4])
    of_rated = n_tables - 2 if rated_input else -1
    rated = np.maximum(np.bincount(indices, minlength=len(parameters[2])), 1)
    n_batches = -(-(len(indptr) - 1) // batch_size)
    history = Trace(optimizer, np.concatenate([a.ravel() for a in arrays]), constants)
    shares = shares_of(indptr, indices, len(parameters[2]))
    effects = Trace(optimizer, np.zeros((len(indptr) - 1, layers[0])), constants)
    followed, summed, distance = 0, 0.0, -(-n_batches // EFFECT_STEPS)

    def now_whole():
        now = rebuilt(unpack(history.point), parameters)
        return with_centres((*now[:6], effects.point), shares) if rated_output else now

    def step_effects(learning_rate):
        nonlocal followed, summed
        if rated_output and followed:
            slopes = shares.T @ summed + followed * decay * EFFECT_PENALTY * effects.point
            effects.step(slopes, EFFECT_RATE * learning_rate)
        followed, summed = 0, 0.0

    def take(gradient_, columns, learning_rate, again=False):
        parts = [np.array(g, np.float64) for g in flat(gradient_)]
        now = unpack(history.point)
        here = np.bincount(columns, minlength=len(parameters[2]))
        share = (0 * here if again else n_batches * here / rated) if lazy else np.ones(len(here))
        for i, part in enumerate(parts):
            if penalised[i] and i < n_tables:
                part += decay * ((share if part.ndim == 1 else np.reshape(share, (-1, 1))) * now[i])
            elif penalised[i]:
                part += decay * now[i]
            if lazy and i < n_tables:
                part[(here == 0) | (again and i == of_rated)] = np.nan
        history.step(np.concatenate([p.ravel() for p in parts]), shares_of_rate * learning_rate)

    def unpack(point):
        return [point[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes, strict=False)]

    for epoch, learning_rate in enumerate(rates):
        order = shuffled(len(indptr) - 1, seed, epoch)
        fed, given = inputs, rated_values(indptr, rated_input)
        if input_dropout is not None:
            fed, given = (dropped(values, indptr, input_dropout, seed, epoch) for values in (fed, given))
        loss = 0.0
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            entries = np.concatenate([np.arange(indptr[r], indptr[r + 1]) for r in rows]).astype(int)
            part = np.concatenate([[0], np.cumsum([indptr[r + 1] - indptr[r] for r in rows])]), indices[entries]
            chosen = None if weights is None else weights[entries]
            if (len(entries) if chosen is None else chosen.sum()) == 0:
                continue
            now = now_whole()
            total, _, slopes = masked_cost(
                now, part, fed[entries], targets[entries], chosen, layers, kind, output, number=counted,
                given=given[entries] if rated_input else None, cost=cost,
                offsets=None if offsets is None else offsets[entries], **options,
            )  # fmt: skip
            x, r = (dense(*part, values[entries], len(parameters[2])) for values in (fed, given))
            again = run(now, x, layers, kind, output, number=counted, given=r if rated_input else None, **options)[0]
            loss, counted = loss + total, counted + 1
            take(slopes, part[1], learning_rate)
            if rated_output:
                followed, summed = followed + 1, summed + slopes[1]
                if followed == distance:
                    step_effects(learning_rate)
            for _ in range(refeeding):
                now = rebuilt(unpack(history.point), parameters)
                answer, passed = run(now, again, layers, kind, output, number=counted, **options)
                counted += 1
                slopes = gradient(now, passed, 2 * (answer - again) / again.size, layers, kind, output)
                take(slopes, np.arange(len(parameters[2])), learning_rate, again=True)
                again = answer
        step_effects(learning_rate)
        losses.append(loss)
    return now_whole(), losses


class Trace:
    """An optimiser whose gradients come one by one."""

    def __init__(self, name, point, constants):
        self.name, self.constants, self.point = name, constants, np.array(point)
        self._start, self._gradients, self._rates = np.array(point), [], []

    def step(self, gradient_, rate):
        self._gradients.append(gradient_)
        self._rates.append(rate)
        points = optimizer_trace(
            self.name, self._start, lambda p, t: self._gradients[t - 1], self._rates, **self.constants
        )
        self.point = points[-1]
