"""Float64 NumPy references, as plain as the equations."""

from __future__ import annotations

import numpy as np

__all__ = [
    "als_rows",
    "biases",
    "cooccurrence",
    "errors",
    "merge_candidates",
    "mf_gradient",
    "nearest",
    "optimizer_trace",
    "predict",
    "scores",
    "sgd_epoch",
    "softmax_cost",
    "symmetric_uniform",
    "top_candidates",
    "topk",
    "within_quotas",
]


def scores(queries, items, item_bias=None):
    """Return s(u, i) = <queries_u, items_i> + bias_i and a bound on the rounding of a float32 evaluation."""
    queries, items = np.asarray(queries, np.float64), np.asarray(items, np.float64)
    bias = np.zeros(len(items)) if item_bias is None else np.asarray(item_bias, np.float64)
    k = queries.shape[1]
    size = np.abs(queries) @ np.abs(items).T + np.abs(bias)
    return queries @ items.T + bias, (k + 2) * 2.0**-23 * size + 1e-30


def allowed(n_queries, n_items, seen=None, candidates=None, excluded=None):
    """Return which items each query may get; ``seen`` is one sequence of items per query."""
    mask = np.ones((n_queries, n_items), bool)
    if candidates is not None:
        mask[:] = np.isin(np.arange(n_items), candidates)
    if excluded is not None:
        mask[:, np.asarray(excluded, int)] = False
    for user, row in enumerate(seen if seen is not None else []):
        mask[user, np.asarray(row, int)] = False
    return mask


def topk(score, mask, n, padding=-np.inf):
    """Return the n best allowed items per row: score descending, ties by the smaller item; NaN and -inf never."""
    ids = np.full((len(score), n), -1, np.int64)
    best = np.full((len(score), n), padding)
    for user, row in enumerate(score):
        items = np.flatnonzero(mask[user] & (row > -np.inf))
        order = items[np.argsort(-row[items], kind="stable")][:n]
        ids[user, : len(order)] = order
        best[user, : len(order)] = row[order]
    return ids, best


def cooccurrence(left, right, weights=None, row_scale=None, column_scale=None, shrinkage=0.0):
    """Return s_ij = Σ_u left_iu w_u right_uj / (row_scale_i column_scale_j + shrinkage) of dense matrices."""
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    product = (left if weights is None else left * weights) @ right
    rows = np.ones(len(left)) if row_scale is None else np.asarray(row_scale, np.float64)
    columns = np.ones(right.shape[1]) if column_scale is None else np.asarray(column_scale, np.float64)
    below = np.outer(rows, columns) + shrinkage
    return np.divide(product, below, out=np.zeros_like(product), where=product != 0)


def nearest(queries, items, metric):
    """Return similarities ("dot", "cosine") or distances ("euclidean") of every query to every item."""
    queries, items = np.asarray(queries, np.float64), np.asarray(items, np.float64)
    if metric == "euclidean":
        return np.sqrt(((queries[:, None, :] - items[None, :, :]) ** 2).sum(axis=2))
    product = queries @ items.T
    if metric == "dot":
        return product
    norms = np.sqrt((queries**2).sum(axis=1))[:, None] * np.sqrt((items**2).sum(axis=1))[None, :]
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def predict(
    user_rows,
    item_rows,
    user_factors,
    item_factors,
    user_bias=None,
    item_bias=None,
    item_offset=None,
    global_offset=0.0,
):
    """Return offset_i + b_u + b_i + <p_u, q_i> at pairs, row -1 being unknown, and a bound on float32 rounding."""
    out, bound = np.empty(len(user_rows)), np.empty(len(user_rows))
    k = np.shape(user_factors)[1]
    for entry, (user, item) in enumerate(zip(user_rows, item_rows, strict=True)):
        offset = float(global_offset if item < 0 or item_offset is None else item_offset[item])
        b_u = 0.0 if user < 0 or user_bias is None else float(user_bias[user])
        b_i = 0.0 if item < 0 or item_bias is None else float(item_bias[item])
        terms = np.zeros(0)
        if user >= 0 and item >= 0:
            terms = np.asarray(user_factors[user], np.float64) * np.asarray(item_factors[item], np.float64)
        out[entry] = offset + b_u + b_i + terms.sum()
        bound[entry] = (k + 4) * 2.0**-23 * (abs(offset) + abs(b_u) + abs(b_i) + np.abs(terms).sum()) + 1e-30
    return out, bound


def errors(predictions, ratings, low=-np.inf, high=np.inf):
    """Return the sums of squared and absolute errors of clipped predictions, and their number."""
    difference = np.clip(predictions, low, high) - np.asarray(ratings, np.float64)
    return (difference**2).sum(), np.abs(difference).sum(), len(difference)


def sgd_epoch(
    order, ratings, parameters, *, learning_rate, bias_learning_rate, reg, exponent, bias_regs, logistic_offset=None
):
    """Take every step of one epoch of SGD, in place; ratings is {(user, item): (residual, weight)}.

    ``order`` holds users, items and step numbers; ratings of one step take their errors before any of them steps.
    A side whose ``bias_regs`` is None has no biases. Returns the sum of w e^2. With a ``logistic_offset``,
    ratings hold labels, whose logistic cost is summed.
    """
    P, Q, b_u, b_i = parameters
    users, items, steps = order
    n_u = np.bincount(users, minlength=len(P)).astype(float)
    n_i = np.bincount(items, minlength=len(Q)).astype(float)
    loss = 0.0
    for step in range(int(steps[-1]) + 1 if len(steps) else 0):
        members = np.flatnonzero(steps == step)
        taken = []
        for entry in members:
            u, i = users[entry], items[entry]
            y, w = ratings[u, i]
            z = P[u] @ Q[i] + b_u[u] + b_i[i]
            if logistic_offset is None:
                error, cost = y - z, (y - z) ** 2
            else:
                z += logistic_offset
                error, cost = y - 1 / (1 + np.exp(-z)), np.logaddexp(0, z) - y * z
            taken.append((u, i, w, error, cost))
        for u, i, w, error, cost in taken:
            loss += w * cost
            p, q = P[u].copy(), Q[i].copy()
            P[u] = (p + learning_rate * w * error * q) / (1 + learning_rate * reg * n_u[u] ** (exponent - 1))
            Q[i] = (q + learning_rate * w * error * p) / (1 + learning_rate * reg * n_i[i] ** (exponent - 1))
            for b, row, bias_reg, n in ((b_u, u, bias_regs[0], n_u), (b_i, i, bias_regs[1], n_i)):
                if bias_reg is not None:
                    step = bias_learning_rate * w * error
                    b[row] = (b[row] + step) / (1 + bias_learning_rate * bias_reg / n[row])
    return loss


def mf_gradient(
    users,
    items,
    values,
    weights,
    P,
    Q,
    b_u,
    b_i,
    offset,
    *,
    logistic=False,
    reg=0.0,
    exponent=0.0,
    bias_regs=(0.0, 0.0),
):
    """Return J, [dP, dQ, db_u, db_i] and, for each of these five, the size of what is added up to make it.

    ``offset`` has one entry per item; biases are None for a model without them. The errors of an evaluation in floating
    point are a small multiple of its rounding unit times those sizes.
    """
    P, Q, offset, y, w = (np.asarray(a, np.float64) for a in (P, Q, offset, values, weights))
    n_users, n_items = len(P), len(Q)
    R, Y, W = np.zeros((3, n_users, n_items))
    R[users, items], Y[users, items], W[users, items] = 1, y, w
    bu = np.zeros(n_users) if b_u is None else np.asarray(b_u, np.float64)
    bi = np.zeros(n_items) if b_i is None else np.asarray(b_i, np.float64)
    Z = offset + bu[:, None] + bi + P @ Q.T
    size = np.abs(offset) + np.abs(bu)[:, None] + np.abs(bi) + np.abs(P) @ np.abs(Q).T + np.abs(Y) + 1
    if logistic:
        losses, E = W * (np.logaddexp(0, Z) - Y * Z), W * R * (1 / (1 + np.exp(-Z)) - Y)
    else:
        losses, E = W * (Z - Y) ** 2 / 2, W * R * (Z - Y)
    n_u, n_i = R.sum(axis=1), R.sum(axis=0)
    l_u, l_i = (np.where(n > 0, reg * np.maximum(n, 1) ** exponent, 0)[:, None] for n in (n_u, n_i))
    m_u, m_i = (np.where(n > 0, r, 0) for n, r in zip((n_u, n_i), bias_regs, strict=True))
    penalty = ((l_u * P**2).sum() + (l_i * Q**2).sum() + (m_u * bu**2).sum() + (m_i * bi**2).sum()) / 2
    gradient = [E @ Q + l_u * P, E.T @ P + l_i * Q, E.sum(axis=1) + m_u * bu, E.sum(axis=0) + m_i * bi]
    S = W * R * size
    sizes = [
        (S * size).sum() + penalty,
        S @ np.abs(Q) + l_u * np.abs(P),
        S.T @ np.abs(P) + l_i * np.abs(Q),
        S.sum(axis=1) + m_u * np.abs(bu),
        S.sum(axis=0) + m_i * np.abs(bi),
    ]
    return (R * losses).sum() + penalty, gradient, sizes


def optimizer_trace(name, p, gradient_at, rates, *, decay=0.0, second_decay=0.0, epsilon=0.0):
    """Return the points at which an optimiser takes gradients: the first and the one after each step.

    ``gradient_at(point, t)`` is the gradient of step t, from 1; NaN where there is none, which means zero or, for
    AdaDelta and Adam, that nothing happens to that parameter and its time stands still.
    """
    p = np.array(p, np.float64)
    v, s, own = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    points = [p.copy()]
    for t, rate in enumerate(rates, start=1):
        g = gradient_at(points[-1], t)
        on = ~np.isnan(g)
        g, own = np.where(on, g, 0), own + on
        if name == "gd":
            p = p - rate * g
        elif name in ("momentum", "nesterov"):  # Nesterov takes gradients at p + decay v
            v = decay * v - rate * g
            p = p + v
        elif name == "adagrad":
            s = s + g**2
            p = p - rate * g / (np.sqrt(s) + epsilon)
        elif name == "adadelta":
            s = np.where(on, decay * s + (1 - decay) * g**2, s)
            d = np.sqrt(v + epsilon) / np.sqrt(s + epsilon) * g
            v = np.where(on, decay * v + (1 - decay) * d**2, v)
            p = p - rate * d
        elif name == "adam":
            v = np.where(on, decay * v + (1 - decay) * g, v)
            s = np.where(on, second_decay * s + (1 - second_decay) * g**2, s)
            times = np.maximum(own, 1)
            step = rate * (v / (1 - decay**times)) / (np.sqrt(s / (1 - second_decay**times)) + epsilon)
            p = p - np.where(on, step, 0)
        points.append(p + decay * v if name == "nesterov" else p.copy())
    return points


def biases(users, items, residuals, weights, n_users, n_items, user_reg, item_reg):
    """Return mu, b_u and b_i that minimise sum w (y - mu - b_u - b_i)^2 + user_reg |b_u|^2 + item_reg |b_i|^2."""
    n = len(users)
    design = np.zeros((n, 1 + n_users + n_items))
    design[:, 0] = 1
    design[np.arange(n), 1 + users] = 1
    design[np.arange(n), 1 + n_users + items] = 1
    penalty = np.diag(np.r_[0.0, np.full(n_users, float(user_reg)), np.full(n_items, float(item_reg))])
    normal = design.T @ (weights[:, None] * design) + penalty
    solution = np.linalg.lstsq(normal, design.T @ (weights * residuals), rcond=None)[0]
    return solution[0], solution[1 : 1 + n_users], solution[1 + n_users :]


def mix64(x):
    """The finaliser of SplitMix64, on Python integers."""
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def symmetric_uniform(n, seed, stream):
    """Return the first n numbers of a stream: two per word, the low half first, 24 bits each."""
    key = mix64(mix64(seed) ^ (stream * 0xD1342543DE82EF95 % 2**64))
    words = [mix64(key ^ mix64(i)) for i in range((n + 1) // 2)]
    bits = [half >> 8 for word in words for half in (word % 2**32, word >> 32)]
    return np.array([((b + 2**23) % 2**24 - 2**23 + 0.5) / 2**23 for b in bits][:n])


def als_rows(csr, weights, Q, row_offset, column_offset, offset, *, reg, exponent, bias_reg, precision, prior=None):
    """Return (p_r, b_r) of every row given the columns, by normal equations; no bias where bias_reg is None.

    ``prior`` is (matrix, mean, noise, normals): the row's prior, and standard normals to draw from the posterior with,
    by row and, two per rating, for the ratings' noise, which rows of n <= k / 4 ratings are drawn by; or None: all
    rows are drawn by their normal equations.
    """
    indptr, indices, values = csr
    k, biased = Q.shape[1], bias_reg is not None
    solution = np.zeros((len(indptr) - 1, k + int(biased)))
    for row in range(len(indptr) - 1):
        entries = slice(indptr[row], indptr[row + 1])
        columns, n = indices[entries], indptr[row + 1] - indptr[row]
        if n == 0 and prior is None:
            continue
        A = np.c_[Q[columns].astype(np.float64), np.ones((n, int(biased)))]
        t = values[entries] - offset - row_offset[row] - column_offset[columns]
        if prior is not None and prior[3] is not None and 4 * n <= k:
            root = np.linalg.cholesky(prior[0]).T
            draw = prior[1] + np.linalg.solve(root, prior[2][row])
            variances = 1 / (precision * weights[entries])
            noise = np.sqrt(variances) * prior[3][2 * indptr[row] :][:n]
            gain = np.linalg.solve(prior[0], A.T)
            missed = t - A @ draw - noise
            solution[row] = draw + gain @ np.linalg.solve(A @ gain + np.diag(variances), missed)
            continue
        penalty = reg * float(n) ** exponent if n else 0.0
        matrix = precision * A.T @ (weights[entries][:, None] * A) + np.diag([penalty] * k + [bias_reg] * int(biased))
        right = precision * A.T @ (weights[entries] * t)
        if prior is not None:
            matrix, right = matrix + prior[0], right + prior[0] @ prior[1]
        solution[row] = np.linalg.solve(matrix, right)
        if prior is not None:
            solution[row] += np.linalg.solve(np.linalg.cholesky(matrix).T, prior[2][row])
    return solution


def feature_effects(rows, columns, weights, A, X, effects, residuals, precision, prior, noise):
    """Return effects (d, features) after a sweep, four entries of a feature at once, and the residuals.

    Rows and columns of the ratings; A has the augmented columns, X the features of the rows, (rows, features).
    """
    effects, residuals = effects.astype(np.float64), residuals.astype(np.float64)
    d, n_features = effects.shape
    for first, j in ((first, j) for first in range(0, d, 4) for j in range(n_features)):
        block = np.arange(first, min(first + 4, d))
        seen = X[rows, j][:, None] * A[columns][:, block].astype(np.float64)
        own = precision * seen.T @ (weights[:, None] * seen) + prior[np.ix_(block, block)]
        others = prior[block] @ effects[:, j] - prior[np.ix_(block, block)] @ effects[block, j]
        right = precision * seen.T @ (weights * (residuals + seen @ effects[block, j])) - others
        drawn = np.linalg.solve(own, right) + np.linalg.solve(np.linalg.cholesky(own).T, noise[block, j])
        residuals -= seen @ (drawn - effects[block, j])
        effects[block, j] = drawn
    return effects, residuals


def ridge(features, targets, weights, reg, fit_intercept):
    """Return theta and b of 1/2 sum w (x.theta + b - y)^2 + reg/2 |theta|^2, theta of least norm where many do."""
    X, y, w = (np.asarray(a, np.float64) for a in (features, targets, weights))
    x_mean, y_mean = (np.average(X, axis=0, weights=w), np.average(y, weights=w)) if fit_intercept else (0 * X[0], 0.0)
    root = np.sqrt(w)
    design = np.vstack([root[:, None] * (X - x_mean), np.sqrt(reg) * np.eye(X.shape[1])])
    right = np.concatenate([root * (y - y_mean), np.zeros(X.shape[1])])
    theta = np.linalg.lstsq(design, right, rcond=None)[0]
    return theta, y_mean - x_mean @ theta


def logistic_cost(parameters, features, labels, weights, reg, fit_intercept):
    """Return sum w (softplus(z) - y z) + reg/2 |theta|^2 and its gradient; parameters are theta and, last, b."""
    theta, b = (parameters[:-1], parameters[-1]) if fit_intercept else (parameters, 0.0)
    z = features @ theta + b
    cost = (weights * (np.logaddexp(0, z) - labels * z)).sum() + reg / 2 * theta @ theta
    residual = weights * (1 / (1 + np.exp(-z)) - labels)
    gradient = features.T @ residual + reg * theta
    return cost, np.append(gradient, residual.sum()) if fit_intercept else gradient


def local_weights(Z, X, user_weights, neighbours, reg, diagonal):
    """Return, per item j, the weights b of its neighbours: least sum w (x_j - Z_N b)^2 + sum (diagonal G_ii + reg) b^2.

    Z and X are dense; the least squares are of the stacked matrix, not of its normal equations.
    """
    root = np.sqrt(np.asarray(user_weights, np.float64))[:, None]
    Z, X = root * np.asarray(Z, np.float64), root * np.asarray(X, np.float64)
    weights = []
    for j, own in enumerate(neighbours):
        part = Z[:, own]
        penalty = np.diag(np.sqrt(diagonal * (part**2).sum(axis=0) + reg))
        right = np.concatenate([X[:, j], np.zeros(len(own))])
        weights.append(np.linalg.lstsq(np.vstack([part, penalty]), right, rcond=None)[0])
    return weights


def merge_candidates(lists, users, seen, limit=-1):
    """Return, per user, a dictionary from item to (largest score, bits of the lists it was taken from), by item.

    ``lists`` holds lists of pairs (item, score), item -1 being none; ``users`` the lists of each user, -1 being none;
    ``seen`` the items that each user has seen.
    """
    merged = []
    for own, known in zip(users, seen, strict=True):
        found = {}
        for j, number in enumerate(own):
            fresh = [(i, s) for i, s in (lists[number] if number >= 0 else []) if i >= 0 and i not in known and s == s]
            for item, score in fresh if limit < 0 else fresh[:limit]:
                best, bits = found.get(item, (-np.inf, 0))
                found[item] = max(best, score), bits | 1 << min(j, 63)
        merged.append(dict(sorted(found.items())))
    return merged


def top_candidates(rows, n):
    """Return, per row of scores, the positions of the n best: score descending, ties by position; NaN never."""
    return [
        sorted((e for e, score in enumerate(row) if score == score), key=lambda e, row=row: (-row[e], e))[:n]
        for row in rows
    ]


def within_quotas(items, own, most, n):
    """Return, per list of items, the places of the first n that pass: none of their categories (own) is full yet."""
    found = []
    for row in items:
        taken, places = np.zeros(len(most), int), []
        for place, item in enumerate(row):
            if item >= 0 and len(places) < n and (taken[own[int(item)]] < most[own[int(item)]]).all():
                taken[own[int(item)]] += 1
                places.append(place)
        found.append(places + [-1] * (n - len(places)))
    return found


def implicit_rows(indptr, indices, weights, Q, penalties, unobserved):
    """Return the p_r of every row: least squares of 1 at its choices, and of 0 at all columns, weight unobserved."""
    Q = np.asarray(Q, np.float64)
    gram = Q.T @ Q
    solution = np.zeros((len(indptr) - 1, Q.shape[1]))
    for row in range(len(indptr) - 1):
        entries = slice(indptr[row], indptr[row + 1])
        A, w = Q[indices[entries]], weights[entries].astype(np.float64)
        matrix = A.T @ (w[:, None] * A) + unobserved * gram + float(penalties[row]) * np.eye(Q.shape[1])
        solution[row] = np.linalg.solve(matrix, A.T @ w)
    return solution


def implicit_objective(indptr, indices, weights, P, Q, unobserved, reg, exponent):
    """Return the cost of factors: choices, all cells, penalties."""
    P, Q = np.asarray(P, np.float64), np.asarray(Q, np.float64)
    rows = np.repeat(np.arange(len(P)), np.diff(indptr))
    scores = P @ Q.T
    chosen = np.bincount(rows, weights, len(P)), np.bincount(indices, weights, len(Q))
    penalties = [(n + unobserved * other) ** exponent for n, other in zip(chosen, (len(Q), len(P)), strict=True)]
    penalty = sum((n * (F**2).sum(axis=1)).sum() for n, F in zip(penalties, (P, Q), strict=True))
    return (weights * (1 - scores[rows, indices]) ** 2).sum() + unobserved * (scores**2).sum() + reg * penalty


def gram(z, x, weights):
    """Return Z^T W X of dense tables."""
    return (np.asarray(z, np.float64).T * weights) @ np.asarray(x, np.float64)


def item_scores(history, weights, users, base):
    """Return the scores of dense histories by weights between items; users of row -1 and without entries have base."""
    table = np.asarray(history, np.float64) @ np.asarray(weights, np.float64)
    table[~np.asarray(history, bool).any(axis=1)] = base
    return np.vstack([table, base])[users]


def linear_item_weights(z, x, weights, dropout, penalty):
    """Return B with a zero diagonal, column by column by least squares over the other items.

    Minimises ``Σ_u w_u E (x_uj − Σ_i z̃_ui b_ij)² + penalty Σ_i b_ij²``, where inputs are dropped with probability p
    and the others divided by 1 − p: the expectation adds ``p/(1−p) Σ_u w_u z_ui² b_ij²``.
    """
    z, x = np.asarray(z, np.float64), np.asarray(x, np.float64)
    n = z.shape[1]
    root = np.sqrt(np.asarray(weights, np.float64))[:, None]
    spread = np.sqrt(dropout / (1 - dropout) * ((root * z) ** 2).sum(axis=0) + penalty)
    solution = np.zeros((n, n))
    for j in range(n):
        others = np.delete(np.arange(n), j)
        design = np.vstack([(root * z)[:, others], np.diag(spread[others])])
        right = np.concatenate([root[:, 0] * x[:, j], np.zeros(n - 1)])
        solution[others, j] = np.linalg.lstsq(design, right, rcond=None)[0]
    return solution


def softmax_cost(scores, x):
    """Return the sum over rows of -x . log softmax(scores), and its gradient; x is dense, a row without any costs 0."""
    shifted = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
    sums = np.exp(shifted).sum(axis=1, keepdims=True)
    total = x.sum(axis=1, keepdims=True)
    return (total * np.log(sums)).sum() - (x * shifted).sum(), total * np.exp(shifted) / sums - x
