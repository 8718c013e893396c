"""The weights of a blend, against the normal equations and what little ratings can say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

import fastcf
from blends import mf, string_ratings
from fastcf.models.blend.weights import blend_weights, convex_weights, ridge_weights


@pytest.fixture(scope="module")
def ratings():
    return string_ratings()


def equations(scores, target, sample, reg, intercept):
    """The objective as rows of a least-squares problem in the weights and, last, the intercept."""
    n, m = scores.shape
    rows = np.sqrt(sample)[:, None] * np.column_stack([scores, np.ones(n)])
    penalty = np.sqrt(reg) * np.eye(m, m + 1)
    right = np.concatenate([np.sqrt(sample) * target, np.full(m, np.sqrt(reg) / m)])
    return np.vstack([rows, penalty])[:, : m + intercept], right


def problem(n, m, weighted, seed):
    random = np.random.default_rng(seed)
    truth = random.normal(3, 1, n)
    scores = truth[:, None] + random.normal(0, 0.7, (n, m))
    sample = random.uniform(0.1, 2, n).astype(np.float32) if weighted else None
    return scores, truth.astype(np.float32), sample, np.ones(n) if sample is None else sample.astype(float)


@settings(max_examples=60)
@given(
    n=st.sampled_from([2, 3, 31, 200]),
    m=st.sampled_from([1, 2, 5]),
    reg=st.sampled_from([1e-3, 1.0, 50.0, 1e4]),
    weighted=st.booleans(),
    intercept=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_blend_weights_solve_the_normal_equations(n, m, reg, weighted, intercept, seed):
    scores, target, weights, sample = problem(n, m, weighted, seed)
    got, constant, used = ridge_weights(scores, target, weights, reg, intercept=intercept, non_negative=False)
    rows, right = equations(scores, target, sample, reg, intercept)
    wanted = np.linalg.solve(rows.T @ rows, rows.T @ right)
    np.testing.assert_allclose(got, wanted[:m], rtol=1e-6, atol=1e-7)
    assert constant == pytest.approx(wanted[m] if intercept else 0, rel=1e-5, abs=1e-6)
    assert used == reg


@settings(max_examples=40)
@given(
    m=st.sampled_from([2, 4]),
    reg=st.sampled_from([1e-3, 1.0, 30.0]),
    weighted=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_blend_non_negative_weights_solve_the_constrained_problem(m, reg, weighted, seed):
    scores, target, weights, sample = problem(40, m, weighted, seed)
    scores[:, 0] = 1.5 * scores[:, 1] - 0.6 * target + 1  # wants a negative weight
    got, _, _ = ridge_weights(scores, target, weights, reg, intercept=False, non_negative=True)
    wanted, _ = nnls(*equations(scores, target, sample, reg, False))
    np.testing.assert_allclose(got, wanted, atol=1e-7)
    free, constant, _ = ridge_weights(scores, target, weights, reg, intercept=True, non_negative=True)
    assert free.min() >= 0
    assert constant == pytest.approx(np.average(target - scores @ free, weights=sample), abs=1e-6)


@settings(max_examples=30)
@given(weighted=st.booleans(), scale=st.sampled_from([1, 20]), seed=st.integers(0, 10**6))
def test_blend_auto_penalty_has_the_least_leave_one_out_error(weighted, scale, seed):
    scores, target, weights, sample = problem(12, 3, weighted, seed)
    _, _, chosen = ridge_weights(scores * scale, target * scale, weights, "auto", intercept=True, non_negative=False)
    chosen /= scale**2  # the penalty has the unit of squared ratings; what is chosen must not depend on it

    def left_out(reg):
        total = 0.0
        for one in range(target.size):
            others = np.arange(target.size) != one
            rows, right = equations(scores[others], target[others], sample[others], reg, True)
            a = np.linalg.lstsq(rows, right, rcond=None)[0]
            total += sample[one] * (target[one] - scores[one] @ a[:-1] - a[-1]) ** 2
        return total

    spread = sample @ ((scores - np.average(scores, axis=0, weights=sample)) ** 2).mean(axis=1)
    assert left_out(chosen) <= min(map(left_out, spread * np.logspace(-6, 2, 33))) * (1 + 1e-5)


@settings(max_examples=30)
@given(m=st.sampled_from([1, 2, 5]), weighted=st.booleans(), scale=st.sampled_from([1, 20]), seed=st.integers(0, 10**6))
def test_blend_convex_weights_are_the_best_of_their_kind(m, weighted, scale, seed):
    scores, target, weights, sample = problem(60, m, weighted, seed)
    scores, target = scores * scale, target * scale
    scores[:, 0] += 2 * scale  # wants a weight of 0, as far as the intercept allows
    got, _ = convex_weights(scores, target, weights, intercept=False)
    assert got.min() >= 0
    assert got.sum() == pytest.approx(1)

    def cost(a):
        return float(sample @ (target - scores @ a) ** 2)

    corners = np.eye(m)
    around = [0.98 * got + 0.02 * corner for corner in corners]
    assert cost(got) <= min(map(cost, [*around, *corners, np.full(m, 1 / m)])) * (1 + 1e-4)


def test_blend_intercept_of_a_convex_combination_is_shrunk():
    random = np.random.default_rng(0)
    scores = random.normal(3, 1, (400, 1))
    noise = random.normal(0, 1, 400)
    noise -= noise.mean()
    for mean in (0.0, 0.02, 0.5):
        target = (scores[:, 0] + noise + mean).astype(np.float32)
        weights, constant = convex_weights(scores, target, None, intercept=True)
        np.testing.assert_allclose(weights, 1)
        wanted = mean * max(0.0, 1 - noise.var() / 400 / mean**2) if mean else 0.0
        assert constant == pytest.approx(wanted, abs=1e-4)


def test_blend_regression_is_taken_where_it_pays_only():
    random = np.random.default_rng(0)
    truth = random.normal(3, 1, 300)
    scores = truth[:, None] + random.normal(0, 0.5, (300, 2))
    options = {"intercept": True, "non_negative": False}
    scores[:, 1] = 3 - scores[:, 1]  # wants a negative weight
    assert blend_weights(scores, truth.astype(np.float32), None, "auto", **options).reg is not None
    target = (scores.mean(axis=1) + random.normal(0, 1, 300)).astype(np.float32)  # the plain average
    found = blend_weights(scores, target, None, "auto", **options)
    assert found.reg is None
    assert found.weights.sum() == pytest.approx(1)
    assert blend_weights(scores, target, None, 1.0, **options).reg == 1.0


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("seed", range(4))
def test_blend_of_one_row_does_not_turn_its_members_round(side, seed):
    # What is held out lowers the mean of the rest: predictions of parts oppose their ratings, without any merit.
    values = np.random.default_rng(seed).integers(1, 6, 12).astype(np.float32)
    rows = np.zeros(12, int), np.arange(12)
    ratings = fastcf.Ratings.from_coo(*(rows if side == "user" else rows[::-1]), values)
    members = [fastcf.BiasModel(), fastcf.MatrixFactorization(n_factors=2, reg=1.0, random_state=0)]
    blend = fastcf.Blend(members, random_state=0).fit(ratings)
    assert blend.weights_.min() >= 0
    assert -blend.score(ratings) < 1.1 * -fastcf.BiasModel().fit(ratings).score(ratings)


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), weighted=st.booleans(), seed=st.integers(0, 2**20))
def test_blend_weights_do_not_depend_on_the_means_of_parts(sizes, weighted, seed):
    scores, target, weights, sample = problem(sum(sizes), 2, weighted, seed)
    part = np.repeat(np.arange(len(sizes)), sizes)
    moves = np.random.default_rng(seed).normal(0, 2, (len(sizes), 3))
    moves -= sample @ moves[part] / sample.sum()  # the mean of all stays
    moved = scores + moves[part, :2], (target + moves[part, 2]).astype(np.float32)
    for reg in ("auto", 1.0):
        options = {"reg": reg, "intercept": True, "non_negative": False, "part": part}
        expected = blend_weights(scores, target, weights, **options)
        got = blend_weights(*moved, weights, **options)
        np.testing.assert_allclose(got.weights, expected.weights, atol=2e-3)
        assert got.intercept == pytest.approx(expected.intercept, abs=1e-2)
    one = blend_weights(scores, target, weights, 1.0, intercept=True, non_negative=False, part=np.zeros(part.size, int))
    wanted, constant, _ = ridge_weights(scores, target, weights, 1.0, intercept=True, non_negative=False)
    np.testing.assert_allclose(one.weights, wanted, rtol=1e-9)
    assert one.intercept == pytest.approx(constant)


@pytest.mark.parametrize(
    ("shape", "seeds"),
    [
        ((40, 30, 500), 6),
        pytest.param((120, 80, 2_000), 4, marks=pytest.mark.slow),
        pytest.param((300, 200, 5_000), 3, marks=pytest.mark.slow),
        pytest.param((600, 400, 20_000), 2, marks=pytest.mark.slow),
    ],
)
def test_blend_of_few_ratings_is_as_good_as_its_best_member(shape, seeds):
    given = {"n_epochs": 20, "reg": 2.0}
    members = [
        ("bias", fastcf.BiasModel()),
        ("sgd", fastcf.MatrixFactorization(4, **given)),
        ("als", fastcf.MatrixFactorization(8, solver="als", **given)),
        ("bayes", fastcf.MatrixFactorization(4, solver="bayes", n_epochs=40)),
    ]
    ratios = []
    for seed in range(seeds):
        made = fastcf.data.make_ratings(*shape, random_state=seed)
        train, test = fastcf.data.train_test_split(made, 0.3, random_state=seed)
        blend = fastcf.Blend(members, random_state=seed).fit(train)
        ratios.append(blend.score(test) / max(model.score(test) for model in blend.models_.values()))
    assert np.mean(ratios) < 1.005


def test_blend_large_penalty_is_the_plain_average(ratings):
    blend = fastcf.Blend([mf(), fastcf.BiasModel()], reg=1e12, random_state=0).fit(ratings)
    np.testing.assert_allclose(blend.weights_, 0.5, atol=1e-6)


def test_blend_of_equal_members_shares_the_weight(ratings):
    blend = fastcf.Blend([fastcf.BiasModel(), fastcf.BiasModel()], reg=0, random_state=0).fit(ratings)
    assert blend.weights_[0] == pytest.approx(blend.weights_[1], abs=1e-9)
