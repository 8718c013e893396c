"""Costs of choices beside drawn items, and steps along their gradients, as plain as their equations."""

from __future__ import annotations

import numpy as np


def _sampled_slopes(scores, drawn, correction, cost):
    """Return the cost of a choice, by the scores of it and of drawn items, and its derivatives; -1 does not count."""
    own, other = scores[0], scores[1:]
    counted = drawn >= 0
    corrected = np.where(counted, correction[drawn], 0.0)
    if cost == "softmax":
        logits = np.concatenate([[own], np.where(counted, other + corrected, -np.inf)])
        terms = np.exp(logits - logits.max())
        slopes = terms / terms.sum()
        slopes[0] -= 1
        return logits.max() + np.log(terms.sum()) - own, slopes
    if cost == "bpr":
        below = corrected / (1 + np.exp(own - other))  # by how much a pair's cost falls with the difference
        return corrected @ np.logaddexp(0, other - own), np.concatenate([[-below.sum()], below])
    total = np.logaddexp(0, -own) + corrected @ np.logaddexp(0, other)
    return total, np.concatenate([[-1 / (1 + np.exp(own))], corrected / (1 + np.exp(-other))])


def sampled_epoch(
    order,
    drawn,
    weights,
    parameters,
    *,
    cost,
    correction,
    learning_rate,
    bias_learning_rate,
    reg,
    exponent,
    biased=True,
):
    """Take every step of one epoch on choices beside drawn items, in place; weights is {(user, item): weight}.

    ``order`` holds users, items and step numbers, ``drawn`` the items drawn for each choice; choices of one step take
    their slopes before any of them steps. Items have no biases unless ``biased``.
    """
    P, Q, b = parameters
    users, items, steps = order
    n_u = np.bincount(users, minlength=len(P)).astype(float)
    n_i = np.bincount(items, minlength=len(Q)).astype(float)
    for step in range(int(steps[-1]) + 1 if len(steps) else 0):
        members = np.flatnonzero(steps == step)
        taken = []
        for entry in members:
            u, rows = users[entry], np.concatenate([[items[entry]], drawn[entry]])
            _, slopes = _sampled_slopes(Q[rows] @ P[u] + b[rows], drawn[entry], correction, cost)
            taken.append((u, rows, weights[u, rows[0]] * slopes))
        for u, rows, slopes in taken:
            p, moved = P[u].copy(), np.zeros_like(P[u])
            for place, (row, slope) in enumerate(zip(rows, slopes, strict=True)):
                if row < 0:
                    continue
                moved -= learning_rate * slope * Q[row]
                Q[row] -= learning_rate * slope * p
                b[row] -= biased * bias_learning_rate * slope
                if place == 0:
                    Q[row] /= 1 + learning_rate * reg * n_i[row] ** (exponent - 1)
                    b[row] /= 1 + bias_learning_rate * reg * n_i[row] ** (exponent - 1)
            P[u] = (p + moved) / (1 + learning_rate * reg * n_u[u] ** (exponent - 1))


def sampled_cost(users, items, drawn, weights, correction, P, Q, b, *, cost, reg, reg_exponent):
    """Return the cost of choices beside drawn items with its penalty, and the gradients of P, Q and b."""
    P, Q, b, correction = (np.asarray(array, np.float64) for array in (P, Q, b, correction))
    n_u, n_i = np.bincount(users, minlength=len(P)), np.bincount(items, minlength=len(Q))
    pays_u, pays_i = (
        np.float32(reg * np.where(n > 0, n.astype(float) ** reg_exponent, 0))[:, None].astype(float) for n in (n_u, n_i)
    )
    dP, dQ, db = pays_u * P, pays_i * Q, pays_i[:, 0] * b
    total = 0.5 * ((dP * P).sum() + (dQ * Q).sum() + (db * b).sum())
    for u, i, others, weight in zip(users, items, drawn, weights.astype(np.float64), strict=True):
        rows = np.concatenate([[i], others])
        value, slopes = _sampled_slopes(Q[rows] @ P[u] + b[rows], others, correction, cost)
        total += weight * value
        for row, slope in zip(rows, weight * slopes, strict=True):
            if row >= 0:
                dP[u] += slope * Q[row]
                dQ[row] += slope * P[u]
                db[row] += slope
    return total, (dP, dQ, db)
