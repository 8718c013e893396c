"""Measures of lists by their definitions, a list at a time."""

from __future__ import annotations

import math


def list_measures(items, gains, k):
    """Return the measures of the first ``k`` places of a list of items, None being none.

    ``gains`` has the gain of each relevant item, and one item at least.
    """
    hits = [item in gains for item in items[:k]] + [False] * (k - len(items))
    most = min(k, len(gains))
    discounts = [1 / math.log2(j + 2) for j in range(k)]
    positive = {item: max(float(gain), 0.0) for item, gain in gains.items()}
    best = sorted(positive.values(), reverse=True)[:k]
    ideal = sum(gain * discount for gain, discount in zip(best, discounts, strict=False))
    graded = sum(positive[items[j]] * discounts[j] for j in range(k) if hits[j])
    return {
        "precision": sum(hits) / k,
        "recall": sum(hits) / len(gains),
        "capped_recall": sum(hits) / most,
        "hit": float(any(hits)),
        "reciprocal_rank": 1 / (1 + hits.index(True)) if any(hits) else 0.0,
        "average_precision": sum(sum(hits[: j + 1]) / (j + 1) for j in range(k) if hits[j]) / most,
        "ndcg": sum(discount for hit, discount in zip(hits, discounts, strict=True) if hit) / sum(discounts[:most]),
        "graded_ndcg": graded / ideal if ideal else 0.0,
    }
