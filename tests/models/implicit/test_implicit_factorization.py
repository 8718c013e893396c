"""Factorisation of choices: its objective, its solvers, its lists, new rows, files, errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fastcf
import reference
from fastcf.callbacks import EarlyStopping
from fastcf.solvers import ALS, Cholesky, ConjugateGradients, Subspaces, as_implicit_solver


@pytest.fixture(scope="module")
def ratings():
    return fastcf.data.make_ratings(300, 200, 9_000, random_state=0)


def fitted(ratings, n_factors=8, **options):
    given = {"threshold": 3.5, "n_epochs": 5, "reg": 0.01, "random_state": 0, **options}
    return fastcf.ImplicitFactorization(n_factors, **given).fit(ratings)


def factors(model, chosen):
    """Return p and q as they were trained."""
    users = np.where(chosen.user_counts()[:, None] > 0, model.user_factors_ + model.mean_user_, 0)
    return users, model.item_factors_


@pytest.mark.parametrize("solver", ["cholesky", "cg", Subspaces(3)], ids=str)
def test_implicit_recorded_costs_are_the_objective_and_fall(ratings, solver):
    model = fitted(ratings, solver=solver, reg_scaling=0.5, alpha=2.0, unobserved_weight=0.3)
    costs = [record["cost"] for record in model.history_]
    assert costs == sorted(costs, reverse=True)
    chosen = ratings.take(ratings.values >= 3.5)
    weights = np.full(chosen.nnz, 2.0)
    expected = reference.implicit_objective(
        chosen.indptr, chosen.indices, weights, *factors(model, chosen), 0.3, 0.01, 0.5
    )
    assert costs[-1] == pytest.approx(expected, rel=1e-5)


def test_implicit_factors_after_an_exact_epoch_are_the_reference_rows(ratings):
    model = fitted(ratings, solver="cholesky", strength="value", alpha=0.5, unobserved_weight=0.1, n_epochs=3)
    chosen = ratings.take(ratings.values >= 3.5)
    weights = 0.5 * chosen.values.astype(np.float64)
    penalties = 0.01 * (np.bincount(chosen.row_of_entry(), weights, chosen.n_users) + 0.1 * chosen.n_items)
    P, Q = factors(model, chosen)
    expected = reference.implicit_rows(chosen.indptr, chosen.indices, weights, Q, penalties, 0.1)
    np.testing.assert_allclose(P, expected, atol=2e-5)


@pytest.mark.parametrize(
    "solver", [ConjugateGradients(60), Subspaces(5), Subspaces(32)], ids=lambda solver: repr(solver)
)
def test_implicit_solvers_agree_with_cholesky(ratings, solver):
    options = {"n_factors": 20, "n_epochs": 10}
    exact, other = (fitted(ratings, solver=each, **options) for each in ("cholesky", solver))
    assert other.history_[-1]["cost"] == pytest.approx(exact.history_[-1]["cost"], rel=2e-3)
    wanted = exact.predict_matrix()
    assert np.abs(other.predict_matrix() - wanted).mean() < 0.02 * np.abs(wanted).mean() + 0.002


def test_implicit_steps_of_conjugate_gradients_come_close_to_cholesky(ratings):
    costs = [fitted(ratings, 20, solver=each, n_epochs=10).history_[-1]["cost"] for each in ("cholesky", "cg")]
    assert costs[1] == pytest.approx(costs[0], rel=0.005)


def test_implicit_solver_of_auto_is_conjugate_gradients():
    assert as_implicit_solver("auto") == as_implicit_solver("cg") == ConjugateGradients()
    assert as_implicit_solver("cholesky") == Cholesky()
    assert as_implicit_solver("subspaces") == Subspaces()
    search = fastcf.ImplicitFactorization(solver=ConjugateGradients()).set_params(solver__n_steps=2)
    assert search.solver == ConjugateGradients(2)


def test_implicit_folding_a_training_user_in_gives_the_trained_row(ratings):
    model = fitted(ratings, solver="cholesky", strength="log", alpha=3.0)
    folded = model.fold_in(ratings)
    np.testing.assert_allclose(folded.user_factors_, model.user_factors_, atol=1e-4)
    lists = model.recommend(ratings.users.ids[:20], 5)
    again = model.recommend(n=5, history=ratings.take(ratings.row_of_entry() < 20))
    np.testing.assert_array_equal(lists.items, again.items[:20])


def test_implicit_new_items_are_the_reference_rows(ratings):
    model = fitted(ratings, solver="cholesky", unobserved_weight=0.1)
    folded = model.fold_in(ratings, by="item")
    chosen = ratings.take(ratings.values >= 3.5)
    by_item = chosen.by_item()
    P = model.user_factors_ + model.mean_user_
    penalties = 0.01 * (chosen.item_counts() + 0.1 * chosen.n_users)
    expected = reference.implicit_rows(by_item.indptr, by_item.indices, np.ones(chosen.nnz), P, penalties, 0.1)
    np.testing.assert_allclose(folded.item_factors_, expected, atol=1e-4)
    np.testing.assert_allclose(folded.item_bias_, expected @ model.mean_user_, atol=1e-4)


def test_implicit_unknown_users_and_users_without_choices_get_the_mean_users_list(ratings):
    users, items, values = ratings.to_coo()
    values[users == users[0]] = 1.0
    model = fitted(fastcf.Ratings.from_coo(users, items, values))
    order = model.items_.ids[np.argsort(-model.item_bias_)[:5]]
    for asked in (10**9, users[0]):
        np.testing.assert_array_equal(model.recommend([asked], n=5, exclude_seen=False).items[0], order)
    popular = np.argsort(-ratings.item_counts())[:40]
    assert np.isin(model.items_.rows(order), popular).all()


def test_implicit_stored_entries_that_were_not_chosen_are_not_recommended(ratings):
    model = fitted(ratings)
    listed = model.recommend(ratings.users.ids, n=10)
    stored = set(zip(*(side.tolist() for side in ratings.to_coo()[:2]), strict=True))
    for user, row in zip(ratings.users.ids.tolist(), listed.items.tolist(), strict=True):
        assert not any((user, item) in stored for item in row)


def test_implicit_low_ratings_count_like_cells_without_an_entry(ratings):
    low = ratings.take(ratings.values >= 3.5)
    assert low.shape == ratings.shape
    with_low, without = fitted(ratings), fitted(low)
    np.testing.assert_array_equal(with_low.item_factors_, without.item_factors_)


def test_implicit_pairs_alone_and_sparse_counts_are_choices(ratings):
    users, items, _ = ratings.to_coo()
    pairs = fitted(np.column_stack([users, items]), threshold=None)
    matrix = scipy.sparse.csr_array((np.ones(ratings.nnz, np.float32), ratings.indices, ratings.indptr), ratings.shape)
    np.testing.assert_array_equal(pairs.item_factors_, fitted(matrix, threshold=None).item_factors_)


def test_implicit_weights_and_values_are_strengths(ratings):
    users, items, values = ratings.to_coo()
    weighted = fastcf.Ratings.from_coo(users, items, np.ones_like(values), weights=values)
    valued = fitted(ratings, threshold=None, strength="value")
    np.testing.assert_array_equal(fitted(weighted, threshold=None).item_factors_, valued.item_factors_)


def test_implicit_axes_diagonalise_the_items_gram_matrix(ratings):
    Q = fitted(ratings).item_factors_.astype(np.float64)
    gram = Q.T @ Q
    spectrum = np.diag(gram)
    assert (np.diff(spectrum) <= 0).all()
    assert np.abs(gram - np.diag(spectrum)).max() < 1e-5 * spectrum[0]


def test_implicit_same_bits_for_any_number_of_threads(ratings):
    for solver in ("cholesky", "cg", Subspaces(5)):
        one = fitted(ratings, 12, solver=solver, n_threads=1)
        for n_threads in (2, 4):
            other = fitted(ratings, 12, solver=solver, n_threads=n_threads)
            np.testing.assert_array_equal(other.user_factors_, one.user_factors_)
            assert other.history_[-1]["cost"] == one.history_[-1]["cost"]


def test_implicit_gradients_are_those_of_the_objective():
    some = fastcf.data.make_ratings(40, 30, 400, random_state=1)
    model = fastcf.ImplicitFactorization(4, threshold=3.5, strength="value", reg=0.1, reg_scaling=0.5)
    report = fastcf.check_gradients(model, some)
    assert report.passed, str(report)


def test_implicit_training_stops_when_the_cost_no_longer_falls(ratings):
    stopping = EarlyStopping(1, min_delta=1.0, monitor="cost")
    model = fastcf.ImplicitFactorization(8, threshold=3.5, reg=0.01, n_epochs=200, random_state=0)
    model.fit(ratings, callbacks=stopping)
    assert stopping.stopped_epoch_ < 200
    assert model.n_epochs_ == stopping.best_epoch_


def test_implicit_callbacks_see_the_current_lists(ratings):
    class Lists(fastcf.callbacks.Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, view, record):
            self.seen.append(view.recommend(ratings.users.ids[:3], n=2).items.copy())

    watched = Lists()
    model = fitted(ratings)
    again = fastcf.ImplicitFactorization(8, threshold=3.5, n_epochs=5, reg=0.01, random_state=0)
    again.fit(ratings, callbacks=watched)
    np.testing.assert_array_equal(watched.seen[-1], model.recommend(ratings.users.ids[:3], n=2).items)
    np.testing.assert_array_equal(again.item_factors_, model.item_factors_)


def test_implicit_files_keep_answers_and_new_rows(ratings, tmp_path):
    model = fitted(ratings, solver=ConjugateGradients(2), strength="log", alpha=2.0)
    model.save(tmp_path / "model")
    loaded = fastcf.load(tmp_path / "model")
    assert loaded.solver == ConjugateGradients(2)
    assert (loaded.reg_, loaded.unobserved_weight_) == (model.reg_, model.unobserved_weight_)
    some = ratings.take(ratings.row_of_entry() < 30)
    np.testing.assert_array_equal(loaded.fold_in(some).predict_matrix(), model.fold_in(some).predict_matrix())
    by_item = loaded.fold_in(some, by="item"), model.fold_in(some, by="item")
    np.testing.assert_array_equal(*(each.item_factors_ for each in by_item))


def halves(ratings):
    """Return ratings without some users and items, and the rest."""
    users, items = ratings.row_of_entry(), ratings.indices
    late = (users >= 280) | (items >= 190) | (np.random.default_rng(0).random(ratings.nnz) < 0.03)
    parts = []
    for chosen in (~late, late):
        ids, films, values = ratings.take(chosen).to_coo()
        parts.append(fastcf.Ratings.from_coo(ids, films, values))
    return parts


def test_implicit_partial_fit_solves_the_rows_that_changed(ratings):
    old, new = halves(ratings)
    options = {"strength": "value", "alpha": 0.5, "unobserved_weight": 0.1}
    model = fitted(old, solver="cholesky", **options)
    before = model.predict_matrix()
    assert model.partial_fit(new) is model
    np.testing.assert_array_equal(model.users_.ids[: old.n_users], old.users.ids)
    assert model.seen_.indices.size == ratings.nnz
    assert set(model.users_.ids) == set(ratings.users.ids)
    assert set(model.items_.ids) == set(ratings.items.ids)

    chose = old.take(old.values >= 3.5).user_counts() > 0  # others have the list of the mean user, who moved
    known = np.isin(old.users.ids, new.users.ids, invert=True), np.isin(old.items.ids, new.items.ids, invert=True)
    known[0][~chose] = False
    assert min(part.sum() for part in known) > 3
    after = model.predict_matrix()[: old.n_users, : old.n_items]
    np.testing.assert_allclose(after[np.ix_(*known)], before[np.ix_(*known)], atol=1e-4)

    chosen = fastcf.Ratings.from_coo(*ratings.to_coo(), user_ids=model.users_, item_ids=model.items_)
    chosen = chosen.take(chosen.values >= 3.5)
    weights = 0.5 * chosen.values.astype(np.float64)
    penalties = 0.01 * (np.bincount(chosen.row_of_entry(), weights, chosen.n_users) + 0.1 * chosen.n_items)
    P, Q = factors(model, chosen)
    changed = model.users_.rows(new.users.ids)
    expected = reference.implicit_rows(chosen.indptr, chosen.indices, weights, Q, penalties, 0.1)
    np.testing.assert_allclose(P[changed], expected[changed], atol=1e-4)
    folded = model.fold_in(chosen)
    np.testing.assert_allclose(folded.user_factors_[changed], model.user_factors_[changed], atol=1e-4)


def test_implicit_partial_fit_comes_close_to_a_fit_of_all(ratings):
    old, new = halves(ratings)
    weight = fitted(ratings, solver="cholesky", n_epochs=15).unobserved_weight_
    options = {"solver": "cholesky", "n_epochs": 15, "unobserved_weight": weight}
    again = fitted(ratings, **options)
    model = fitted(old, **options).partial_fit(new, n_epochs=3)
    chosen = ratings.take(ratings.values >= 3.5)

    def cost(one):
        mine = fastcf.Ratings.from_coo(*chosen.to_coo(), user_ids=one.users_, item_ids=one.items_)
        P, Q = factors(one, mine)
        return reference.implicit_objective(mine.indptr, mine.indices, np.ones(mine.nnz), P, Q, weight, 0.01, 1.0)

    assert cost(model) < 1.02 * cost(again)


def test_implicit_partial_fit_takes_new_values_for_old(ratings):
    old, _ = halves(ratings)
    model = fitted(old)
    user = old.users.ids[0]
    mine = old.items.ids[old.indices[old.indptr[0] : old.indptr[1]]]
    model.partial_fit([(user, item) for item in mine], [1.0] * mine.size)  # nothing is chosen now
    np.testing.assert_array_equal(model.user_factors_[0], 0)
    assert set(model.seen_.indices[model.seen_.indptr[0] : model.seen_.indptr[1]]) == set(model.items_.rows(mine))
    model.partial_fit([(user, mine[0])], [5.0])
    folded = model.fold_in([(user, mine[0])], [5.0]).user_factors_[0]
    assert folded.any()
    np.testing.assert_allclose(model.user_factors_[0], folded, atol=1e-5)


def test_implicit_partial_fit_same_bits_for_any_number_of_threads(ratings):
    old, new = halves(ratings)
    one, two = (fitted(old, 12, n_threads=n).partial_fit(new) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_matrix(), two.predict_matrix())


def test_implicit_partial_fit_goes_on_from_files_and_refuses_what_has_no_choices(ratings, tmp_path):
    old, new = halves(ratings)
    model = fitted(old)
    model.save(tmp_path / "whole")
    model.save(tmp_path / "small", include_seen=False)
    assert (tmp_path / "small").stat().st_size < (tmp_path / "whole").stat().st_size - 8 * (old.values >= 3.5).sum()
    loaded = fastcf.load(tmp_path / "whole").partial_fit(new)
    message = "partial_fit: the model must hold the choices that it was trained on"
    for other in (fastcf.load(tmp_path / "small"), model.fold_in(new), model.fold_in(new, by="item")):
        with pytest.raises(ValueError, match=message):
            other.partial_fit(new)
    with pytest.raises(ValueError, match=message):
        fitted(old, solver="bpr").partial_fit(new)
    with pytest.raises(TypeError, match=r"partial_fit: users must be integers, or their decimal texts"):
        model.partial_fit([("ann", "tea")])
    with pytest.raises(ValueError, match="n_epochs must be an integer of at least 1"):
        model.partial_fit(new, n_epochs=0)
    np.testing.assert_array_equal(model.partial_fit(new).predict_matrix(), loaded.predict_matrix())
    first = fastcf.ImplicitFactorization(8, threshold=3.5, n_epochs=5, reg=0.01, random_state=0).partial_fit(old)
    np.testing.assert_array_equal(first.predict_matrix(), fitted(old).predict_matrix())


def test_implicit_learns_the_same_on_every_device(device):
    ratings = fastcf.data.make_ratings(60, 40, 1_200, random_state=0)
    for solver in ("cholesky", "cg", Subspaces(3)):
        options = {"threshold": 3.5, "n_epochs": 3, "reg": 0.01, "random_state": 0, "solver": solver}
        wanted = fastcf.ImplicitFactorization(7, device="cpu", **options).fit(ratings)
        model = fastcf.ImplicitFactorization(7, device=device, **options).fit(ratings)
        assert model.device_ == device
        assert model.history_[-1]["cost"] == pytest.approx(wanted.history_[-1]["cost"], rel=1e-4)
        np.testing.assert_allclose(model.predict_matrix(), wanted.predict_matrix(), atol=2e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_factors": 0}, ValueError, r"ImplicitFactorization.fit: n_factors must be an integer of at least 1"),
        ({"solver": "als"}, ValueError, r"ImplicitFactorization.fit: solver must be 'auto' or 'cg' or"),
        ({"solver": ALS()}, TypeError, r"ImplicitFactorization.fit: solver must be"),
        ({"alpha": 0.0}, ValueError, r"alpha must be a finite number above 0; got 0.0"),
        ({"unobserved_weight": -1}, ValueError, r"unobserved_weight must be a finite number of at least 0, or 'auto'"),
        ({"reg": "none"}, ValueError, r"reg must be a finite number of at least 0, or 'auto'; got 'none'"),
        ({"reg_scaling": 2}, ValueError, r"reg_scaling must be a finite number of at least 0 and at most 1; got 2"),
        ({"strength": "square"}, ValueError, r"strength must be 'one' or 'value' or 'log'; got 'square'"),
        ({"init_scale": 0}, ValueError, r"init_scale must be a finite number above 0; got 0"),
        ({"threshold": 9}, ValueError, r"some values must be choices, of at least threshold=9; got none"),
    ],
    ids=str,
)
def test_implicit_parameters_that_cannot_be_raise(ratings, options, error, message):
    with pytest.raises(error, match=message):
        fitted(ratings, **options)


def test_implicit_solvers_parameters_that_cannot_be_raise():
    with pytest.raises(ValueError, match="ConjugateGradients: n_steps must be an integer of at least 1"):
        ConjugateGradients(0)
    with pytest.raises(ValueError, match="Subspaces: block_size must be an integer of at least 1"):
        Subspaces(0)
    with pytest.raises(ValueError, match="as_implicit_solver: solver must be one of auto, cg, cholesky"):
        as_implicit_solver("sgd")
    with pytest.raises(TypeError, match="as_implicit_solver: solver must be a name or an ImplicitSolver; got ALS"):
        as_implicit_solver(ALS())


@pytest.mark.parametrize("n", [1, 2, 31, 33])
def test_implicit_few_choices_are_learnt(n):
    one = fastcf.ImplicitFactorization(4, n_epochs=3, random_state=0).fit(np.column_stack([np.arange(n)] * 2))
    assert np.isfinite(one.predict_matrix()).all()
