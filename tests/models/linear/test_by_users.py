"""Weights solved in a system of the users against the closed form in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf._backend import resolve_device
from fastcf.models.linear.by_users import few_users, weights_by_users
from fastcf.models.linear.problem import LinearProblem
from fastcf.scores import Choices, Compute


def problem_of(n_users, n_items, n_entries, seed, *, low=True, **options) -> LinearProblem:
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_users * n_items, min(n_entries, n_users * n_items), replace=False)
    values = rng.integers(0 if low else 1, 3, cells.size).astype(np.float32)
    values[0] = 1
    ids = {"user_ids": fastcf.IdMap(range(n_users)), "item_ids": fastcf.IdMap(range(n_items))}
    ratings = fastcf.Ratings.from_coo(*np.divmod(cells, n_items), values, **ids)
    chosen = Choices(strength=options.pop("strength", "one")).of_training(ratings, "test")
    compute = Compute(resolve_device("cpu", "test").module, 2)
    given = {"reg": 2.0, "dropout": 0.4, "user_exponent": 0.5, "low_weight": 0.3, **options}
    return LinearProblem.of(chosen, compute, "test", **given)


def closed_form(problem):
    """Return the weights by the system of the items, dense and in float64."""
    indptr, indices, inputs = problem.histories
    z, x = np.zeros((2, indptr.size - 1, problem.n_items))
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    z[rows, indices], x[rows, indices] = inputs, problem.strengths
    weighted = z.T * problem.user_weights
    ridge = problem.dropout / (1 - problem.dropout) * (weighted @ z).diagonal() + problem.penalty
    inverse = np.linalg.inv(weighted @ z + np.diag(ridge))
    products = inverse @ (weighted @ x)
    weights = products - inverse * (products.diagonal() / inverse.diagonal())
    np.fill_diagonal(weights, 0)
    return weights


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 3, 2), (2, 33, 20), (10, 40, 150), (31, 100, 900)]),
    st.booleans(),
    st.sampled_from(["one", "value"]),
    st.sampled_from([0.0, 0.4, 0.8]),
    st.integers(0, 10**6),
)
def test_weights_are_the_closed_form(sizes, low, strength, dropout, seed):
    problem = problem_of(*sizes, seed, low=low, strength=strength, dropout=dropout)
    assert few_users(problem)
    np.testing.assert_allclose(weights_by_users(problem), closed_form(problem), atol=1e-6)


def test_blocks_of_columns_and_threads_make_no_difference(monkeypatch):
    problem = problem_of(20, 80, 500, 0)
    whole = weights_by_users(problem)
    for n_threads in (1, 4):
        again = weights_by_users(replace(problem, compute=problem.compute._replace(n_threads=n_threads)))
        np.testing.assert_array_equal(again, whole)
    monkeypatch.setattr("fastcf.models.linear.by_users._COLUMNS", 7)
    np.testing.assert_array_equal(weights_by_users(problem), whole)


def test_what_has_no_penalty_is_left_to_the_system_of_items():
    assert weights_by_users(problem_of(10, 40, 150, 0, reg=0.0, dropout=0.0)) is None


def test_many_users_are_not_few():
    assert not few_users(problem_of(40, 41, 300, 0))
