"""Factorisation of choices by sampled costs: what is learnt, gradients, new users, files, errors."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from fastcf.metrics import ranking
from fastcf.solvers import BPR, Sampled, as_implicit_solver

SOLVERS = [BPR(), BPR(n_negatives=2, popularity_power=1.0), Sampled(), Sampled("logistic", n_negatives=4)]


def _blocks(seed=0, n_users=240, n_items=120, n_blocks=4):
    """Users who choose mostly among the items of their own block, popular ones more often; and what is held out."""
    random = np.random.default_rng(seed)
    popularity = 1 / (5 + np.arange(n_items // n_blocks))
    chances = np.where(
        np.arange(n_users)[:, None] % n_blocks == np.arange(n_items) % n_blocks,
        3.0 * np.repeat(popularity, n_blocks)[:n_items],
        0.15 * np.repeat(popularity, n_blocks)[:n_items],
    )
    mask = random.random((n_users, n_items)) < np.minimum(chances, 0.9)
    held_out = mask & (random.random(mask.shape) < 0.25)
    parts = []
    for part in (mask & ~held_out, held_out):
        users, items = np.nonzero(part)
        parts.append(fastcf.Ratings.from_coo(users, items, np.ones(users.size, np.float32)))
    return parts


@pytest.fixture(scope="module")
def blocks():
    return _blocks()


def _model(solver, n_factors=8, **options):
    return fastcf.ImplicitFactorization(
        n_factors, solver=solver, **{"n_epochs": 60, "reg": 0.01, "random_state": 0, **options}
    )


def _ndcg(model, held_out, users=None):
    users = held_out.users.ids if users is None else users
    return ranking(model.recommend(users, n=10).items, users, held_out, k=10).ndcg


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_sampled_solvers_learn_blocks(blocks, solver):
    train, held_out = blocks
    model = _model(solver).fit(train)
    popular = np.argsort(-train.item_counts(), kind="stable")
    users = held_out.users.ids
    chosen = [set(row.tolist()) for row in np.split(train.indices, train.indptr[1:-1])]
    rows = train.users.rows(users)
    lists = np.array([[i for i in popular if i not in chosen[row]][:10] for row in rows])
    baseline = ranking(train.items.ids[lists], users, held_out, k=10).ndcg
    assert _ndcg(model, held_out) > 1.4 * baseline
    costs = [record["cost"] for record in model.history_]
    assert costs[-1] < 0.8 * costs[0]
    assert model.history_[1]["learning_rate"] == 0.05


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_sampled_gradients_are_those_of_the_cost(solver):
    ratings = fastcf.data.make_ratings(30, 25, 300, random_state=0)
    model = _model(solver, 3, threshold=3, strength="value", reg=0.1, reg_scaling=0.5)
    report = fastcf.check_gradients(model, ratings)
    assert report.passed, report
    assert [block.name for block in report.blocks] == ["user_factors", "item_factors", "item_bias"]


def test_sampled_same_seed_same_bits(blocks):
    train, _ = blocks
    first, *others = (
        _model("bpr", n_epochs=3, n_threads=n, random_state=seed).fit(train)
        for n, seed in ((1, 5), (2, 5), (4, 5), (1, 6))
    )
    for model in others[:2]:
        np.testing.assert_array_equal(model.item_factors_, first.item_factors_)
        np.testing.assert_array_equal(model.user_factors_, first.user_factors_)
        np.testing.assert_array_equal(model.item_bias_, first.item_bias_)
    assert not np.array_equal(others[2].item_factors_, first.item_factors_)


@pytest.mark.parametrize("solver", ["bpr", "sampled"])
def test_sampled_new_users_get_lists_as_good_as_training_users(blocks, solver):
    train, held_out = blocks
    model = _model(solver).fit(train)
    users = held_out.users.ids
    known = _ndcg(model, held_out)
    folded = model.fold_in(train.take(np.isin(train.row_of_entry(), train.users.rows(users))))
    new = ranking(folded.recommend(users, n=10).items, users, held_out, k=10).ndcg
    assert new > known - 0.03
    # A new user's vector is the same alone and among others.
    user = train.users.ids[3]
    one = train.take(train.row_of_entry() == 3)
    alone = model.fold_in(fastcf.Ratings.from_coo(*one.to_coo()))
    together = model.fold_in(train)
    np.testing.assert_array_equal(alone.user_factors_[0], together.user_factors_[together.users_.rows([user])[0]])


def test_sampled_unknown_users_get_popular_items(blocks):
    train, _ = blocks
    model = _model("bpr").fit(train)
    lists = model.recommend(["nobody"] if train.users.ids.dtype.kind == "U" else [10**6], n=10).items[0]
    popular = train.items.ids[np.argsort(-train.item_counts())[:30]]
    assert np.isin(lists, popular).mean() > 0.7


@pytest.mark.parametrize("solver", ["bpr", Sampled("logistic", popularity_power=1.0)], ids=repr)
def test_sampled_models_come_back_from_files(blocks, solver, tmp_path):
    train, _ = blocks
    model = _model(solver, n_epochs=2).fit(train)
    model.save(tmp_path / "model")
    back = fastcf.load(tmp_path / "model")
    assert back.get_params() == model.get_params()
    users = train.users.ids[:20]
    np.testing.assert_array_equal(back.recommend(users).items, model.recommend(users).items)
    np.testing.assert_array_equal(back.fold_in(train).user_factors_, model.fold_in(train).user_factors_)
    assert (back.reg_, back.learning_rate_) == (model.reg_, model.learning_rate_)
    assert model.learning_rate_ == 0.05


def test_sampled_entries_not_chosen_may_be_drawn_and_are_not_recommended():
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    model = _model("bpr", threshold=4, n_epochs=3).fit(ratings)
    lists = model.recommend(ratings.users.ids, n=40)
    seen = [set(row.tolist()) for row in np.split(ratings.indices, ratings.indptr[1:-1])]
    for row, items in enumerate(ratings.items.rows(lists.items.ravel()).reshape(lists.items.shape)):
        assert not seen[row] & set(items[items >= 0].tolist())


def test_sampled_solvers_have_names():
    assert as_implicit_solver("bpr") == BPR()
    assert as_implicit_solver("sampled") == Sampled()
    search = fastcf.ImplicitFactorization(solver=BPR()).set_params(solver__n_negatives=3)
    assert search.solver == BPR(n_negatives=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "bpr", "alpha": 2.0}, r"fit: alpha must be 1.0 for solver='bpr'"),
        ({"solver": Sampled(), "unobserved_weight": 0.1}, r"unobserved_weight must be 'auto' for solver=Sampled\(\)"),
        ({"solver": "warp"}, "solver must be"),
        ({"solver": "bpr", "n_epochs": 0}, "n_epochs must be"),
    ],
)
def test_sampled_parameters_without_effect_raise(blocks, options, message):
    with pytest.raises(ValueError, match=message):
        fastcf.ImplicitFactorization(4, **options).fit(blocks[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BPR(0.0), "learning_rate must be"),
        (lambda: BPR(n_negatives=0), "BPR: n_negatives must be an integer of at least 1 and at most 256; got 0"),
        (lambda: Sampled(n_negatives=257), "Sampled: n_negatives must be"),
        (lambda: Sampled("bpr"), "cost must be 'softmax' or 'logistic'; got 'bpr'"),
        (lambda: Sampled(popularity_power=-1), "popularity_power must be"),
        (lambda: BPR(decay=0.5), "decay must be None for schedule='linear'"),
    ],
)
def test_sampled_bad_settings_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sampled_step_size_too_large_diverges_by_name(blocks):
    with pytest.raises(fastcf.DivergenceError, match="lower learning_rate"):
        _model(Sampled("logistic", learning_rate=1e6)).fit(blocks[0])


@pytest.mark.parametrize("solver", ["bpr", "sampled"])
def test_sampled_steps_follow_the_strengths(solver):
    ratings = fastcf.data.make_ratings(120, 60, 2_500, choice=1.5, random_state=3)
    users, items, _ = ratings.to_coo()
    counts = np.random.default_rng(0).geometric(0.02, users.size).astype(np.float32)
    plays = fastcf.Ratings.from_coo(users, items, counts)
    model = fastcf.ImplicitFactorization(8, solver=solver, strength="value", n_epochs=5, random_state=0).fit(plays)
    costs = [record["cost"] for record in model.history_]
    assert costs[-1] < costs[0]
    assert model.learning_rate_ == pytest.approx(0.05 / max(counts.mean(), counts.max() / 3))
    alike = fastcf.ImplicitFactorization(8, solver=solver, n_epochs=2, random_state=0).fit(plays)
    assert alike.learning_rate_ == pytest.approx(0.05)
