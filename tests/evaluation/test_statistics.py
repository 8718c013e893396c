"""Estimates over users: against plain resampling, scipy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from fastcf.evaluation.measures import area_under_curve
from fastcf.evaluation.slices import moments, ratio_of_moments
from fastcf.evaluation.statistics import Estimate, compared, holm

seeds = st.integers(0, 10_000)


def users(seed, n=40):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, n).astype(float)
    return rng, rng.random(n) * counts, counts


def interval(estimate, other=None, **options):
    settings = {"n_resamples": 400, "confidence": 0.9, "seed": 3} | options
    return compared([estimate], [other], **settings)


@given(seeds, st.booleans())
def test_estimate_of_sums_is_their_ratio_and_its_influence_is_the_derivative(seed, root):
    _, total, count = users(seed)
    one = Estimate.of_sums(total, count, root)

    def figure(weights):
        ratio = (weights @ total) / (weights @ count)
        return np.sqrt(ratio) if root else ratio

    ones = np.ones(total.size)
    assert one.value == pytest.approx(figure(ones))
    step = 1e-6
    for user in range(3):
        nudge = step * (np.arange(total.size) == user)
        slope = (figure(ones + nudge) - figure(ones - nudge)) / (2 * step)
        assert one.influence[user] == pytest.approx(slope, abs=1e-6)
    assert one.influence.sum() == pytest.approx(0, abs=1e-12)


def test_interval_is_that_of_a_plain_bootstrap_over_users():
    rng, total, count = users(0, 200)
    found = interval(Estimate.of_sums(total, count), n_resamples=4000).values[0]
    draws = rng.integers(200, size=(4000, 200))
    plain = np.quantile(total[draws].sum(axis=1) / count[draws].sum(axis=1), (0.05, 0.95))
    assert found[0] == total.sum() / count.sum()
    assert found[1:] == pytest.approx(plain, rel=0.02)


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        values = rng.exponential(size=150)
        _, low, high = interval(Estimate.of_sums(values, np.ones(150)), seed=trial).values[0]
        inside += low <= 1 <= high
    assert 0.83 < inside / 200 < 0.95  # of 90 %


@given(seeds)
def test_p_value_of_means_of_users_is_that_of_the_paired_t_test(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.random(30), rng.random(30)
    ones = np.ones(30)
    a, b = Estimate.of_sums(one, ones), Estimate.of_sums(other, ones)
    found = compared([a, b], [b, b], n_resamples=10, confidence=0.9, seed=0)
    assert found.p_values[0] == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert np.isnan(found.p_values[1])
    assert np.isnan(found.differences[1]).all()
    assert found.differences[0, 0] == pytest.approx(one.mean() - other.mean())


def test_differences_are_paired():
    rng = np.random.default_rng(2)
    easy = rng.random(300)
    better = easy + 0.05 + 0.01 * rng.standard_normal(300)
    ones = np.ones(300)
    a, b = Estimate.of_sums(better, ones), Estimate.of_sums(easy, ones)
    found = compared([a], [b], n_resamples=500, confidence=0.95, seed=0)
    width, own = np.ptp(found.differences[0, 1:]), np.ptp(found.values[0, 1:])
    assert width < own / 10
    assert found.p_values[0] < 1e-10


def test_equal_models_do_not_differ():
    _, total, count = users(4)
    found = compared(
        [Estimate.of_sums(total, count)], [Estimate.of_sums(total, count)], n_resamples=50, confidence=0.9, seed=0
    )
    assert found.differences[0].tolist() == [0, 0, 0]
    assert found.p_values[0] == 1


def test_what_has_no_users_has_no_interval():
    alone = Estimate(0.3, np.full(5, np.nan))
    found = compared([alone, None], [alone, alone], n_resamples=50, confidence=0.9, seed=0)
    assert found.values[0, 0] == 0.3
    assert np.isnan(found.values[0, 1:]).all()
    assert np.isnan(found.values[1]).all()


def test_a_single_user_has_no_interval():
    alone = Estimate.of_sums(np.array([3.0, 0.0]), np.array([2.0, 0.0]))
    found = compared([alone], [None], n_resamples=20, confidence=0.9, seed=0)
    assert found.values[0, 0] == 1.5
    assert np.isnan(found.values[0, 1:]).all()


def test_holm_multiplies_the_smallest_by_how_many_there_are():
    assert holm(np.array([0.01, np.nan, 0.04, 0.03])).tolist() == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]
    assert np.isnan(holm(np.full(2, np.nan))).all()


@settings(max_examples=15)
@given(seeds, st.booleans())
def test_area_under_curve_is_scikit_learns_and_its_influence_is_the_derivative(seed, tied):
    rng = np.random.default_rng(seed)
    true = (rng.random(40) < 0.4).astype(float)
    true[:2] = 0, 1
    scores = rng.integers(0, 6, 40).astype(float) if tied else rng.random(40)
    weights = rng.random(40) + 0.1
    area, influence = area_under_curve(true, scores, weights)
    assert area == pytest.approx(roc_auc_score(true, scores, sample_weight=weights))
    step = 1e-5
    for entry in range(4):
        factor = 1 + step * (np.arange(40) == entry)
        up, down = (roc_auc_score(true, scores, sample_weight=weights * each) for each in (factor, 2 - factor))
        assert influence[entry] == pytest.approx((up - down) / (2 * step), abs=1e-6)
    assert np.isnan(area_under_curve(np.ones(3), np.ones(3), np.ones(3))[0])


@given(seeds)
def test_moments_of_slices_give_the_ratio_and_its_error_over_users(seed):
    rng = np.random.default_rng(seed)
    rows, slices = rng.integers(0, 30, 200), rng.integers(0, 3, 200)
    total, count = rng.random(200), rng.random(200) + 0.5
    found = ratio_of_moments(moments(rows, slices, 4, total, count), False, 1.0)
    assert np.isnan(found[3]).all()
    for place in range(3):
        own = slices == place
        t, c = (np.bincount(rows[own], part[own], 30) for part in (total, count))
        ratio = t.sum() / c.sum()
        error = np.sqrt(((t - ratio * c) ** 2).sum()) / c.sum()
        assert found[place] == pytest.approx([ratio, max(ratio - error, 0), ratio + error])
