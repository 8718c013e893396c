"""Lists of factorisations of choices with default parameters on real ratings, and the penalty that is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import fastcf
from fastcf.models.implicit import held_out


@pytest.mark.parametrize(
    ("file", "threshold", "margin"),
    [
        ("ml-latest-small/ratings.csv", 4, 0.06),
        pytest.param("movietweetings-100k/ratings.dat", 8, 0.005, marks=pytest.mark.slow),
        pytest.param("goodbooks-2672/ratings.csv", 4, 0.06, marks=pytest.mark.slow),
    ],
)
def test_implicit_defaults_on_real_sets_beat_popular_items(data_dir, file, threshold, margin):
    ratings = fastcf.data.load_ratings(data_dir / file)
    chosen = ratings.take(ratings.values >= threshold)
    train, test = fastcf.data.train_test_split(chosen, random_state=20261130)
    rows = np.flatnonzero(test.user_counts())[:3000]
    users = test.users.ids[rows]
    unseen = np.where(
        train.take(train.row_of_entry() <= rows[-1]).to_scipy()[rows].toarray() > 0, -1, train.item_counts()
    )
    popular = train.items.ids[np.argsort(-unseen, axis=1)[:, :10]]
    model = fastcf.ImplicitFactorization(random_state=0).fit(train)
    ours = fastcf.metrics.ranking(model.recommend(users, 10), users, test).ndcg
    assert ours > fastcf.metrics.ranking(popular, users, test).ndcg + margin


@dataclass(frozen=True)
class Penalty:
    reg: float


@dataclass(frozen=True)
class Problem:
    choices: fastcf.Ratings
    stored: fastcf.Ratings
    learnt: Penalty
    seed: int = 0


@pytest.mark.parametrize("best", [0.001, 0.02, 0.5])
def test_implicit_penalty_search_finds_the_top_of_a_parabola(monkeypatch, capsys, best):
    ratings = fastcf.data.make_ratings(50, 40, 900, random_state=0)
    tried = []

    def fit(problem):
        tried.append(problem.learnt.reg)
        return problem.learnt.reg

    monkeypatch.setattr(held_out, "list_gain", lambda reg, *_: -(np.log(reg / best) ** 2))
    found = held_out.estimated_reg(Problem(ratings, ratings, Penalty(0.02)), fit, verbose=2)
    assert found == pytest.approx(best, rel=1e-6)
    assert len(tried) == len(set(tried)) <= 8
    lines = capsys.readouterr().out.splitlines()
    shown = [line.removeprefix("ImplicitFactorization, settling reg: reg ").partition(":")[0] for line in lines]
    assert [float(each) for each in shown] == pytest.approx(tried, rel=1e-3)


def test_implicit_penalty_search_keeps_the_first_guess_without_choices_to_hold_out():
    ratings = fastcf.data.make_ratings(20, 20, 60, random_state=0)
    assert held_out.estimated_reg(Problem(ratings, ratings, Penalty(0.02)), lambda problem: None) == 0.02


def test_implicit_gain_of_lists_is_the_ndcg():
    ratings = fastcf.data.make_ratings(80, 150, 3_000, random_state=0)
    kept, left_out = fastcf.data.train_test_split(ratings, random_state=0)
    model = fastcf.ImplicitFactorization(4, reg=0.01, n_epochs=2, random_state=0).fit(kept)
    users = np.flatnonzero(left_out.user_counts())
    problem = SimpleNamespace(compute=model._compute(model.state, "test"))
    wanted = fastcf.metrics.ranking(
        model.recommend(left_out.users.ids[users], 100), left_out.users.ids[users], left_out
    )
    assert held_out.list_gain(model.state, kept, left_out, users, problem) == pytest.approx(wanted.ndcg)


def test_implicit_estimated_penalty_is_the_same_for_any_number_of_threads():
    ratings = fastcf.data.make_ratings(100, 80, 3_000, random_state=0)
    models = [fastcf.ImplicitFactorization(4, n_epochs=2, random_state=0, n_threads=n).fit(ratings) for n in (1, 2, 4)]
    assert len({model.reg_ for model in models}) == 1
