"""Blends whose weights depend on how many ratings an item has: against NumPy, and wherever scores are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from blends import MEMBERS, saved, string_ratings
from commands import run
from fastcf._backend import resolve_device
from fastcf.models.blend import weights as blend_weights_module
from fastcf.models.blend.counts import counts_of, fitted_scale
from fastcf.models.blend.weights import blend_weights
from fastcf.scores import Compute, Selection, blocks

COMPUTE = Compute(resolve_device("cpu", "test").module, 0)
OPTIONS = {"intercept": True, "non_negative": False}


@pytest.fixture(scope="module")
def ratings():
    return string_ratings()


@pytest.fixture
def forced(monkeypatch):
    """Take weights by count wherever they are tried."""
    monkeypatch.setattr(blend_weights_module, "_falls", lambda new, old: True)


# ---------------------------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------------------------


def problem(n, seed, slope):
    """Return two members of which the first is right where support is high, the second where it is low."""
    random = np.random.default_rng(seed)
    truth, of_user, of_item = random.normal(size=(3, n))
    noise = random.normal(0, 0.5, (n, 2)) * np.exp(slope * np.stack([-of_item, of_item], axis=1))
    target = (3 + truth + 0.3 * of_user).astype(np.float32)
    return 3 + truth[:, None] + noise, target, (of_user, of_item)


@settings(max_examples=30)
@given(weighted=st.booleans(), scale=st.sampled_from([0.05, 1.0, 20.0]), seed=st.integers(0, 10**6))
def test_weights_by_support_solve_the_penalised_equations(weighted, scale, seed):
    scores, target, support = problem(400, seed, 0.7)
    scores, target = scale * scores, scale * target
    sample = np.random.default_rng(seed).uniform(0.1, 2, 400).astype(np.float32) if weighted else None
    found = blend_weights(scores, target, sample, "auto", support=support, **OPTIONS)
    assert found.slopes is not None
    assert found.slopes[0] > 0 > found.slopes[1]
    root = np.ones(400) if sample is None else np.sqrt(sample.astype(np.float64))
    centred = scores - np.average(scores, axis=0, weights=root**2)
    spread = np.sqrt(np.average((centred**2).mean(axis=1), weights=root**2))
    of_user, of_item = support
    columns = [scores, centred * of_item[:, None], spread * of_user, spread * of_item, np.ones(400)]
    rows = root[:, None] * np.column_stack(columns)
    penalty = np.sqrt(found.reg) * np.eye(6, 7)
    right = np.concatenate([root * target, np.sqrt(found.reg) * np.array([0.5, 0.5, 0, 0, 0, 0])])
    wanted = np.linalg.lstsq(np.vstack([rows, penalty]), right, rcond=None)[0]
    np.testing.assert_allclose(found.weights, wanted[:2], atol=1e-5)
    np.testing.assert_allclose(found.slopes, wanted[2:4], atol=1e-5)
    predicted = scores @ found.weights + found.intercept + (scores @ found.slopes) * of_item
    predicted += found.count_slopes[0] * of_user + found.count_slopes[1] * of_item
    np.testing.assert_allclose(root * predicted, rows @ wanted, atol=1e-4 * scale)


def test_weights_by_support_are_taken_where_they_pay_only():
    scores, target, support = problem(2_000, 0, 0.0)
    target = (target - 0.3 * support[0]).astype(np.float32)
    assert blend_weights(scores, target, None, "auto", support=support, **OPTIONS).slopes is None
    scores, target, support = problem(2_000, 0, 0.7)
    assert blend_weights(scores, target, None, "auto", support=support, **OPTIONS).slopes is not None
    assert blend_weights(scores, target, None, 1.0, support=support, **OPTIONS).slopes is None


@settings(max_examples=30)
@given(n=st.sampled_from([41, 100, 1_000]), most=st.sampled_from([0, 1, 50, 10**6]), seed=st.integers(0, 99))
def test_support_is_standard_and_limited_to_counts_that_were_judged(n, most, seed):
    counts = np.random.default_rng(seed).integers(0, most + 1, n)
    scale = fitted_scale(counts)
    support = scale(counts)
    assert support.mean() == pytest.approx(0, abs=1e-9)
    assert support.std() == pytest.approx(1 if np.ptp(support) else 0)
    lowest, highest = np.sort(counts)[[19, -20]]
    np.testing.assert_array_equal(scale(np.array([0, 10**9])), scale(np.array([lowest, highest])))
    assert fitted_scale(counts[:40]) is None


# ---------------------------------------------------------------------------------------------------------------
# Blends
# ---------------------------------------------------------------------------------------------------------------


def expected(blend, parts, ratings, pairs, folded=None):
    """Return the scores of pairs by the equation; ``folded`` users have the ratings of another set."""
    by_count = blend.state.learnt.by_count
    items = counts_of(ratings, blend.users_, blend.items_)[1]
    columns = blend.items_.rows([item for _, item in pairs])
    of_item = by_count.scales[1](np.where(columns >= 0, items[columns], 0))
    own = ratings if folded is None else folded
    rows = own.users.rows([user for user, _ in pairs])
    of_user = by_count.scales[0](np.where(rows >= 0, own.user_counts()[rows], 0))
    total = blend.intercept_ + by_count.user_slope * of_user + by_count.item_slope * of_item
    for weight, slope, part in zip(blend.weights_, blend.slopes_, parts, strict=True):
        total = total + (weight + slope * of_item) * part
    return total


@pytest.mark.parametrize("kind", ["linear", "mixed", "nested"])
def test_blend_by_count_follows_its_equation_everywhere(ratings, forced, tmp_path, kind):
    blend = fastcf.Blend(MEMBERS[kind](), random_state=0).fit(ratings)
    assert np.abs(blend.slopes_).min() > 0
    pairs = [(user, item) for user in ("u001", "u017", "nobody") for item in [*blend.items_.ids.tolist(), 12_345]]
    parts = [model.predict(pairs, clip=kind == "mixed") for model in blend.models_.values()]
    wanted = expected(blend, parts, ratings, pairs)
    if kind != "nested":  # the one inside is limited to no range as a member, and to one by itself
        np.testing.assert_allclose(blend.predict(pairs, clip=False), wanted, atol=1e-4)
    for each in (blend, saved(blend, tmp_path)):
        np.testing.assert_array_equal(each.predict(pairs), blend.predict(pairs))
        np.testing.assert_array_equal(each.slopes_, blend.slopes_)
    found = blend.explain("u001", blend.items_.ids[:3])
    for explanation, pair in zip(found, blend.items_.ids[:3], strict=True):
        assert explanation.score == pytest.approx(float(blend.predict([("u001", pair)], clip=False)[0]), abs=1e-4)
    if kind == "mixed":
        return
    scores, rows = blend.state.scores, np.array([0, 5, -1], np.int32)
    assert scores.linear
    joint, every = (
        found(rows, Selection(10), COMPUTE)
        for found in (scores.best, lambda *asked: blocks.best_of_blocks(scores, *asked))
    )
    np.testing.assert_array_equal(joint[0], every[0])
    np.testing.assert_allclose(joint[1], every[1], atol=1e-5)
    users = np.repeat(np.arange(-1, 20, dtype=np.int32), 2)
    items = np.resize(np.arange(-1, 55, dtype=np.int32), users.size)
    np.testing.assert_allclose(
        scores.as_factors().pairs(users, items, COMPUTE), scores.pairs(users, items, COMPUTE), atol=1e-4
    )


def test_blend_by_count_takes_the_counts_of_new_rows(ratings, forced, tmp_path):
    blend = fastcf.Blend(MEMBERS["linear"](), random_state=0).fit(ratings)
    items = ratings.items.ids
    new = fastcf.Ratings.from_coo(["new1"] * 4 + ["new2"], [*items[[3, 9, 20, 41]], items[5]], [5.0, 4, 1, 2, 3])
    folded = blend.fold_in(new)
    pairs = [(user, item) for user in ("new1", "new2", "nobody") for item in items.tolist()]
    parts = [model.predict(pairs, clip=False) for model in folded.models_.values()]
    wanted = expected(blend, parts, ratings, pairs, folded=new)
    np.testing.assert_allclose(folded.predict(pairs, clip=False), wanted, atol=1e-4)
    known = pairs[: 2 * items.size]
    np.testing.assert_array_equal(blend.predict(known, history=new), folded.predict(known))
    np.testing.assert_array_equal(saved(folded, tmp_path).predict(pairs), folded.predict(pairs))


def test_blend_by_count_is_off_where_there_is_nothing_to_go_by(ratings, forced):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    models = MEMBERS["linear"]()
    assert fastcf.Blend(models, by_count=False, random_state=0).fit(train).slopes_ is None
    fitted = [model.set_params(random_state=0).fit(train) for _, model in models[:2]]
    assert fastcf.Blend(fitted, fit_members=False).fit(held_out).slopes_ is None
    for options, reason in (
        ({"reg": 1.0}, r"for reg=1\.0"),
        ({"intercept": False}, "for intercept=False"),
        ({"metric": "mae"}, "for metric='mae'"),
    ):
        assert getattr(fastcf.Blend(models, **options).fit(train), "slopes_", None) is None
        with pytest.raises(ValueError, match=rf"Blend\.fit: by_count must be .* {reason}"):
            fastcf.Blend(models, by_count=False, **options).fit(train)
    with pytest.raises(ValueError, match=r"by_count must be .* with fit_members=False"):
        fastcf.Blend(fitted, fit_members=False, by_count=False).fit(held_out)


def test_command_line_shows_what_counts_add_to_weights(ratings, forced, tmp_path):
    blend = fastcf.Blend(MEMBERS["linear"](), random_state=0).fit(ratings)
    blend.save(tmp_path / "blend")
    shown = run("info", tmp_path / "blend").stdout
    assert "slope by count" in shown
    assert all(f"{number:.4f}" in shown for number in [*blend.weights_, *blend.slopes_])


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("count_scales"),
        lambda arrays: arrays.update(slopes=np.ones(2)),
        lambda arrays: arrays.update(user_counts=-arrays["user_counts"]),
        lambda arrays: arrays.update(count_scales=np.zeros((2, 4))),
    ],
)
def test_damaged_file_of_weights_by_count_is_a_data_error(ratings, forced, tmp_path, damage):
    archive = fastcf.Blend(MEMBERS["linear"](), random_state=0).fit(ratings).to_archive()
    damage(archive.arrays)
    fastcf.serialization.save_archive(tmp_path / "model", archive)
    with pytest.raises(fastcf.DataError, match="model"):
        fastcf.load(tmp_path / "model")
