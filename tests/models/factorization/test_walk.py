"""The walk over hyperparameters, on losses that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf.models.factorization import walk as walks
from fastcf.models.factorization.walk import Hyperparameters, Walk

FREE = ("reg", "n_epochs", "n_factors")
START = Hyperparameters(1.0, 20, 32)
NEAR = 1e-3  # halfway between two penalties neither saves enough for a step, and the parabola ends there


def bowl(best, seen=None):
    """Return losses that grow with the squared distances of logarithms from the best hyperparameters."""

    def losses(values):
        if seen is not None:
            seen.append(values)
        return np.full(100, 1.0 + sum(np.log(a / b) ** 2 for a, b in zip(values[:3], best[:3], strict=True)))

    return losses


@settings(deadline=None)
@given(away=st.floats(-4, 4), first=st.floats(1e-3, 1e3))
def test_walk_finds_the_penalty_between_its_neighbours(away, first):
    best = Hyperparameters(first * np.exp(away), 20, 32)
    found = Walk(bowl(best), START._replace(reg=first), ["reg"]).run()
    assert found.reg == pytest.approx(best.reg, rel=NEAR)
    assert found[1:3] == (20, 32)


@settings(deadline=None)
@given(reg=st.floats(0.05, 20), epochs=st.integers(-2, 1), factors=st.integers(-5, 1))
def test_walk_finds_the_bottom_of_a_bowl(reg, epochs, factors):
    best = Hyperparameters(reg, round(20 * 2.0**epochs), round(32 * 2.0**factors))
    seen = []
    walk = Walk(bowl(best, seen), START, FREE)
    with pytest.MonkeyPatch.context() as patch:  # far corners cost more than a search may take
        patch.setattr(walks, "_BUDGET", np.inf)
        found = walk.run()
    assert found.reg == pytest.approx(best.reg, rel=NEAR)
    assert found[1:] == best[1:]
    assert len(seen) == len(set(seen)) == walk.n_tried


@pytest.mark.parametrize("fixed", FREE)
def test_walk_leaves_what_is_not_free(fixed):
    found = Walk(bowl(Hyperparameters(3.0, 80, 8)), START, [name for name in FREE if name != fixed]).run()
    assert getattr(found, fixed) == getattr(START, fixed)
    assert found != START


def test_walk_needs_more_than_chance_for_more_epochs_and_factors():
    noise = np.random.default_rng(0).normal(size=(1000, 1000))

    def losses(values):  # as good everywhere, but for chance
        place = hash((values.n_epochs, values.n_factors)) % 1000
        return (
            1.0 + np.square(np.log(values.reg)) + 0.1 * (noise[place] - noise[place].mean()) - 1e-4 * values.n_factors
        )

    assert tuple(Walk(losses, START, FREE).run()) == pytest.approx(START, rel=0.05)


@pytest.mark.parametrize("growth", [1, 2])
def test_walk_ends_where_it_would_cost_too_much(growth):
    seen = []
    Walk(bowl(Hyperparameters(1.0, 10**6, 10**6), seen), START, ("n_epochs", "n_factors"), growth).run()
    assert sum(n / 20 * (k / 32) ** growth for _, n, k, _ in seen) <= 32


def test_walk_leaves_what_diverges():
    def losses(values):
        return np.full(10, np.inf if values.reg < 2 else 1 + np.log(values.reg / 5) ** 2)

    assert Walk(losses, START._replace(reg=1.9), FREE).run().reg == pytest.approx(5, rel=0.3)
    assert Walk(lambda values: np.full(10, np.inf), START, FREE).run() == START


def test_walk_keeps_a_penalty_of_zero():
    def losses(values):
        assert values.reg == 0
        return np.full(10, 1.0 + abs(values.n_epochs - 40))

    assert Walk(losses, START._replace(reg=0.0), FREE).run()[:2] == (0.0, 40)
