"""Rows penalised around centres, in float64: the centres, and what their objective adds to that of rows around zero."""

from __future__ import annotations

import numpy as np


def centres(users, items, shape, effects):
    """Return the centres of users and of items, (rows, d), by the pairs that there are: sums of effects over √n."""
    rated = np.zeros(shape)
    rated[users, items] = 1
    return [
        (known / np.sqrt(np.maximum(known.sum(axis=1, keepdims=True), 1))) @ np.asarray(table, np.float64).T
        for known, table in zip((rated, rated.T), effects, strict=True)
    ]


def added_cost(users, items, factors, biases, effects, *, reg, exponent, bias_regs):
    """Return the penalties of rows around their centres and of effects, less those of rows around zero.

    ``factors`` and ``biases`` are of users and of items. An effect pays twice what the rows of a typical rating do.
    """
    counts = [np.bincount(rows, minlength=len(table)) for rows, table in zip((users, items), factors, strict=True)]
    typical = np.exp(0.5 * (np.log(counts[0][users]).mean() + np.log(counts[1][items]).mean()))
    around = centres(users, items, [len(table) for table in factors], effects)
    added = 0.0
    for n, table, bias, centre, effect, bias_reg in zip(
        counts, factors, biases, around, effects, bias_regs, strict=True
    ):
        k = table.shape[1]
        own = np.where(n > 0, reg * np.maximum(n, 1.0) ** exponent, 0)
        added += own @ ((table - centre[:, :k]) ** 2 - table**2).sum(axis=1)
        added += 2 * reg * typical**exponent * np.sum(effect[:k].astype(np.float64) ** 2)
        if effect.shape[0] > k:
            added += bias_reg * np.sum(((bias - centre[:, k]) ** 2 - bias**2)[n > 0])
            added += 2 * bias_reg * np.sum(effect[k].astype(np.float64) ** 2)
    return 0.5 * added
