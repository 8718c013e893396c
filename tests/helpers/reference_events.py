"""Strengths of pairs from a list of events, as plain as their definition."""

from __future__ import annotations

from collections import defaultdict


def strength(kind, duration, strengths, least):
    """The strength of an event by kind and duration, None where that is unknown."""
    unknown, shorter, longer = strengths[kind]
    if duration is None or duration != duration:
        return unknown
    return longer if duration >= least else shorter


def pair_strengths(users, items, strengths, times, half_life, now):
    """The value and the time of each pair: {(user, item): (value, time)}.

    ``strengths`` are those of the events, 0 for showings; ``half_life`` 0: age makes no difference.
    """
    events = defaultdict(list)
    for user, item, weight, time in zip(users, items, strengths, times, strict=True):
        events[user, item].append((weight, time))
    pairs = {}
    for pair, own in events.items():
        chosen = [(weight, time) for weight, time in own if weight > 0]
        value = sum(weight * (0.5 ** ((now - time) / half_life) if half_life else 1.0) for weight, time in chosen)
        pairs[pair] = (max(value, 2.0**-126) if chosen else 0.0, max(time for _, time in chosen or own))
    return pairs
