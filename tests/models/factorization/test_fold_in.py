"""Folding new users and items into a fitted factorisation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf
import reference
from fastcf import MatrixFactorization
from fastcf.solvers import Gibbs

QUICK = {
    "sgd": {"n_epochs": 20},
    "als": {"n_epochs": 10},
    "bayes": {"n_epochs": 40, "solver": Gibbs(burn_in=10)},
}


@pytest.fixture(scope="module")
def parts():
    """Ratings of old users and items to train on, and those of new users and of new items, each with some held out."""
    ratings = fastcf.data.make_ratings(900, 400, 50_000, random_state=0)
    users, items = ratings.row_of_entry(), ratings.indices
    rest, held_out = fastcf.data.train_test_split(ratings, test_size=0.2, random_state=0)
    ids = np.stack([users, items], axis=1)

    def of(part, mask):
        u, i, v = part.to_coo()
        chosen = mask(u, i)
        return np.stack([u[chosen], i[chosen]], axis=1), v[chosen]

    assert len(ids) == ratings.nnz
    return {
        "train": of(rest, lambda u, i: (u < 800) & (i < 350)),
        "user": (of(rest, lambda u, i: (u >= 800) & (i < 350)), of(held_out, lambda u, i: (u >= 800) & (i < 350))),
        "item": (of(rest, lambda u, i: (u < 800) & (i >= 350)), of(held_out, lambda u, i: (u < 800) & (i >= 350))),
    }


@pytest.mark.parametrize("by", ["user", "item"])
@pytest.mark.parametrize("solver", QUICK)
@pytest.mark.parametrize("normalize", ["global", "item"])
def test_fold_in_new_rows_are_predicted_nearly_as_well_as_trained_ones(parts, solver, by, normalize):
    options = {"normalize": normalize, "random_state": 0, "solver": solver, **QUICK[solver]}
    model = MatrixFactorization(8, **options).fit(*parts["train"])
    (X, y), (X_test, y_test) = parts[by]
    folded = model.fold_in(X, y, by=by)
    error = fastcf.metrics.rmse(y_test, folded.predict(X_test))
    whole = MatrixFactorization(8, **options).fit(
        np.concatenate([parts["train"][0], X]), np.concatenate([parts["train"][1], y])
    )
    assert error < 1.03 * fastcf.metrics.rmse(y_test, whole.predict(X_test))
    assert error < 0.95 * fastcf.metrics.rmse(y_test, model.predict(X_test))  # what cold start says


@pytest.mark.parametrize("by", ["user", "item"])
def test_fold_in_rows_are_the_least_squares_solution(parts, by):
    model = MatrixFactorization(5, reg=0.7, reg_scaling=0.3, bias_reg=2.0, n_epochs=3, random_state=0)
    model.fit(*parts["train"])
    side, other = (0, 1) if by == "user" else (1, 0)
    X, y = parts[by][0]
    known = (model.items_ if by == "user" else model.users_).rows(X[:, other]) >= 0
    X, y = X[known], y[known]
    folded = model.fold_in(X, y, by=by)
    ids = (folded.users_ if by == "user" else folded.items_).ids
    rows = np.searchsorted(ids, X[:, side])
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(ids)))])
    columns = (model.items_ if by == "user" else model.users_).rows(X[order, other])
    fixed, offset = (model.item_factors_, model.item_bias_) if by == "user" else (model.user_factors_, model.user_bias_)
    expected = reference.als_rows(
        (indptr, columns, y[order]), np.ones(len(y)), fixed, np.zeros(len(ids)), offset, model.global_mean_,
        reg=0.7, exponent=0.3, bias_reg=2.0, precision=1.0,
    )  # fmt: skip
    factors, bias = (
        (folded.user_factors_, folded.user_bias_) if by == "user" else (folded.item_factors_, folded.item_bias_)
    )
    np.testing.assert_allclose(np.c_[factors, bias], expected, atol=1e-4)


@pytest.mark.parametrize("solver", QUICK)
def test_fold_in_leaves_the_model_alone_and_shares_the_other_side(parts, solver, tmp_path):
    model = MatrixFactorization(4, random_state=0, **{"solver": solver, **QUICK[solver]}).fit(*parts["train"])
    before = model.predict(parts["train"][0])
    X, y = parts["user"][0]
    folded = model.fold_in(X, y)
    np.testing.assert_array_equal(model.predict(parts["train"][0]), before)
    assert folded.item_factors_ is model.item_factors_
    assert folded.users_.ids.tolist() == sorted(set(X[:, 0].tolist()))
    best = folded.recommend(folded.users_.ids[0], 5)
    assert not set(best.items.tolist()) & set(X[X[:, 0] == folded.users_.ids[0], 1].tolist())
    folded.save(tmp_path / "folded.safetensors")
    loaded = fastcf.load(tmp_path / "folded.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), folded.predict(X))
    again = loaded.fold_in(X, y)
    np.testing.assert_array_equal(again.user_factors_, folded.user_factors_)


def test_fold_in_known_rows_are_solved_afresh_from_the_given_ratings_alone(parts):
    X, y = parts["train"]
    model = MatrixFactorization(4, solver="als", n_epochs=30, random_state=0).fit(X, y)
    folded = model.fold_in(X, y)
    np.testing.assert_allclose(folded.user_factors_, model.user_factors_, atol=2e-2)
    one = model.fold_in(X[:1], y[:1])
    assert len(one.users_) == 1


def test_fold_in_unknown_columns_are_left_out_or_refused(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0).fit(*parts["train"])
    X = [[10_000, 3], [10_000, 99_999], [10_001, 99_999]]
    folded = model.fold_in(X, [4.0, 1.0, 2.0])
    np.testing.assert_array_equal(folded.user_factors_[0], model.fold_in(X[:1], [4.0]).user_factors_[0])
    assert not folded.user_factors_[1].any()
    with pytest.raises(ValueError, match="fold_in: strict=True needs known item ids; got 99999"):
        model.fold_in(X, [4.0, 1.0, 2.0], strict=True)


def test_fold_in_bad_input_is_named(parts):
    model = MatrixFactorization(4, n_epochs=2, random_state=0)
    with pytest.raises(NotFittedError, match="fold_in"):
        model.fold_in([[1, 2]], [3.0])
    model.fit(*parts["train"])
    with pytest.raises(ValueError, match="by must be 'user' or 'item'; got 'film'"):
        model.fold_in([[1, 2]], [3.0], by="film")
    with pytest.raises(ValueError, match=r"fold_in: ratings must be finite; got nan at entry 0"):
        model.fold_in([[1, 2]], [np.nan])
