"""Matrix factorisation of labels: probabilities, training, folding in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
import fastcf.plot
from fastcf import MatrixFactorization
from fastcf.data import read_log
from fastcf.metrics import log_loss, roc_auc
from fastcf.solvers import SGD, GradientDescent
from interrupted import fit_interrupted
from reference import mf_gradient

SOLVERS = ("sgd", "minibatch", "gd")


@pytest.fixture(scope="module")
def split():
    ratings = fastcf.data.make_ratings(600, 300, 30_000, random_state=0)
    return fastcf.data.train_test_split(ratings, random_state=0)


def quick(name="sgd", **options):
    epochs = {"sgd": 15, "minibatch": 15, "gd": 60}[name]
    return MatrixFactorization(
        8, cost="logistic", **{"solver": name, "threshold": 4, "n_epochs": epochs, "random_state": 0, **options}
    )


def solver_of(name, rate, schedule="linear", optimizer="adam"):
    """Return the solver of a name with a step size."""
    if name == "sgd":
        return SGD(rate, schedule=schedule)
    kinds = {"adam": fastcf.optimizers.Adam, "gd": fastcf.optimizers.GradientDescent}
    batch_size = "whole" if name == "gd" else 1024
    return GradientDescent(kinds[optimizer](rate, schedule=schedule), batch_size=batch_size)


def bias_model(ratings, threshold=4):
    """Return a model of labels whose factors are as good as zero: of biases alone."""
    solver = SGD(1e-12)  # factors that start small stay small
    return MatrixFactorization(
        1, cost="logistic", solver=solver, threshold=threshold, reg=1.0, init_scale=1e-6, random_state=0
    ).fit(ratings)


def labels_of(ratings):
    return (ratings.values >= 4).astype(np.float32)


def logits(model, ratings):
    users, items = ratings.row_of_entry(), ratings.indices
    products = np.einsum("ek,ek->e", model.user_factors_[users].astype(float), model.item_factors_[items])
    return model.global_mean_ + model.user_bias_[users] + model.item_bias_[items] + products


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("bias", "normalize"), [(True, "global"), (True, None), (False, "global")])
def test_logistic_predictions_follow_equation(split, solver, bias, normalize):
    train, _ = split
    model = quick(solver, bias=bias, normalize=normalize).fit(train)
    z = logits(model, train)
    probabilities = model.predict(train)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expit(z), atol=1e-5)
    both = model.predict_proba(train)
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[:, 1], probabilities)
    np.testing.assert_array_equal(both[:, 0], 1 - probabilities)
    assert model.score(train) == pytest.approx(-log_loss(labels_of(train), probabilities))
    assert model.global_mean_ == (pytest.approx(logit(labels_of(train).mean()), abs=1e-3) if normalize else 0)
    if not bias:
        assert not model.user_bias_.any()
        assert not model.item_bias_.any()
    n = train.users.ids[:3]
    best = model.recommend(n, 4, exclude_seen=False)
    matrix = model.predict_matrix(n)
    np.testing.assert_allclose(best.scores, -np.sort(-matrix, axis=1)[:, :4], atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_beats_biases_on_planted_factors(split, solver):
    train, test = split
    labels = labels_of(test)
    model = MatrixFactorization(8, solver=solver, cost="logistic", threshold=4, random_state=0).fit(train)
    biases = bias_model(train)
    assert np.abs(biases.user_factors_).max() < 1e-5
    assert log_loss(labels, model.predict(test)) < 0.975 * log_loss(labels, biases.predict(test))
    assert roc_auc(labels, model.predict(test)) > roc_auc(labels, biases.predict(test)) + 0.015


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_same_bits_for_any_number_of_threads(split, solver):
    first, *others = (quick(solver, n_threads=n).fit(split[0]) for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(first.user_factors_, other.user_factors_)
        np.testing.assert_array_equal(first.item_bias_, other.item_bias_)
        assert [r["cost"] for r in first.history_] == [r["cost"] for r in other.history_]


def test_logistic_labels_are_ratings_cut_at_threshold(split):
    train, test = split
    users, items, _ = train.to_coo()
    maps = {"user_ids": train.users, "item_ids": train.items}
    labelled = fastcf.Ratings.from_coo(users, items, labels_of(train), **maps)
    cut = quick().fit(train)
    given = quick(threshold=None).fit(labelled)
    np.testing.assert_array_equal(cut.predict(test), given.predict(test))
    assert cut.rating_range_ == (0.0, 1.0)
    message = r"fit: ratings must be 0 or 1 without a threshold; got 0.5 at entry 1"
    with pytest.raises(ValueError, match=message):
        quick(threshold=None).fit([(1, 1), (1, 2), (2, 1)], [1, 0.5, 3])
    with pytest.raises(ValueError, match="fit: validation: ratings must be 0 or 1"):
        quick(threshold=None).fit(labelled, validation=test)
    with pytest.raises(ValueError, match="score: ratings must be 0 or 1"):
        given.score(test)


def test_logistic_gd_cost_is_the_objective_and_falls(split):
    train, _ = split
    model = quick("gd", solver=solver_of("gd", "auto", "constant", "gd"), reg=2.0, n_epochs=40).fit(train)
    costs = [record["cost"] for record in model.history_]
    assert (np.diff(costs) < 1e-4 * costs[0]).all()
    cost, _, _ = mf_gradient(
        train.row_of_entry(), train.indices, labels_of(train).astype(float), np.ones(train.nnz),
        model.user_factors_.astype(float), model.item_factors_.astype(float), model.user_bias_.astype(float),
        model.item_bias_.astype(float), np.full(train.n_items, model.global_mean_), logistic=True, reg=2.0,
        exponent=model.reg_exponent_, bias_regs=(model.user_bias_reg_, model.item_bias_reg_),
    )  # fmt: skip
    assert costs[-1] == pytest.approx(cost, rel=1e-6)
    assert model.history_[-1]["train_log_loss"] == pytest.approx(-model.score(train), rel=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_early_stopping_keeps_the_best_epoch(split, solver):
    train, test = split
    model = quick(solver, solver=solver_of(solver, 0.1, "constant"), reg=0.01, n_epochs=60, patience=4)
    model.fit(train, validation=test)
    losses = [record["validation_log_loss"] for record in model.history_]
    assert "validation_rmse" not in model.history_[0]
    assert model.n_epochs_ == int(np.argmin(losses[1:])) + 1
    assert len(losses) == model.n_epochs_ + 4 + 1 < 60
    assert -model.score(test) == pytest.approx(min(losses[1:]), rel=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_save_load_predicts_identically(split, solver, tmp_path):
    train, test = split
    model = quick(solver).fit(train)
    model.save(tmp_path / "model.safetensors")
    loaded = fastcf.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, MatrixFactorization)
    assert loaded.cost == "logistic"
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    assert loaded.history_ == model.history_
    assert loaded.score(test) == model.score(test)


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_ctrl_c_leaves_a_usable_model(split, solver):
    model = quick(solver)
    fit_interrupted(model, split[0], epoch=3)
    assert len(model.history_) == 1 + 3
    assert np.isfinite(model.predict(split[1])).all()


def test_logistic_divergence_is_reported_and_leaves_finite_parameters(split):
    model = quick(solver=SGD(1e6), reg=0.0)
    with pytest.raises(fastcf.DivergenceError, match=r"MatrixFactorization.fit: training diverged in epoch"):
        model.fit(split[0])
    assert np.isfinite(model.predict(split[1])).all()


def test_logistic_cold_start_is_base_rate_and_known_biases(split):
    train, _ = split
    model = quick().fit(train)
    user, item = train.users.ids[0], train.items.ids[0]
    base = model.global_mean_
    wanted = expit([base, base + model.user_bias_[0], base + model.item_bias_[0]])
    np.testing.assert_allclose(model.predict([(-1, -1), (user, -1), (-1, item)]), wanted, rtol=1e-5)
    with pytest.raises(ValueError, match="predict: strict=True needs known user ids; got -1"):
        model.predict([(-1, item)], strict=True)
    with pytest.raises(NotFittedError):
        quick().predict([(1, 1)])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_labels_nearly_all_alike_give_finite_probabilities(solver, label):
    pairs = [(u, i) for u in range(12) for i in range(5)]
    labels = np.full(len(pairs), label)
    labels[::15] = 1 - label
    model = quick(solver, threshold=None).fit(pairs, labels)
    probabilities = model.predict(pairs)
    assert np.isfinite(model.user_factors_).all()
    assert np.median(np.abs(probabilities - label)) < 0.1


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_scaling_weights_scales_the_penalty(split, solver):
    users, items, values = split[0].to_coo()
    heavy = fastcf.Ratings.from_coo(users, items, values, weights=np.full(values.size, 4.0))
    assert quick(solver).fit(heavy).reg_ == pytest.approx(4 * quick(solver).fit(split[0]).reg_, rel=0.26)  # a neighbour
    one, four = quick(solver, reg=0.75).fit(split[0]), quick(solver, reg=3.0).fit(heavy)
    assert four.user_bias_reg_ == pytest.approx(4 * one.user_bias_reg_, rel=0.02)
    difference = four.predict(split[1]) - one.predict(split[1])
    assert np.sqrt(np.mean(difference**2)) < 0.02


def test_logistic_gradients_are_checked(split):
    report = fastcf.check_gradients(quick(), split[0].take(np.arange(2000)))
    assert report.passed, report
    assert [block.name for block in report.blocks] == ["user_factors", "item_factors", "user_bias", "item_bias"]
    quick(n_epochs=1).fit(split[0], check_gradients=True)


@pytest.mark.parametrize("by", ["user", "item"])
@pytest.mark.parametrize("bias", [True, False])
def test_logistic_fold_in_reaches_the_optimum_of_the_objective(split, by, bias):
    train, test = split
    model = quick(bias=bias, reg=0.7, reg_scaling=0.4, bias_reg=1.5 if bias else "auto").fit(train)
    folded = model.fold_in(test, by=by)
    fixed_users, fixed_items = (folded.users_, model.items_) if by == "user" else (model.users_, folded.items_)
    users = fixed_users.rows(test.users.ids)[test.row_of_entry()]
    items = fixed_items.rows(test.items.ids)[test.indices]
    _, (d_p, d_q, d_bu, d_bi), _ = mf_gradient(
        users, items, labels_of(test).astype(float), np.ones(test.nnz), folded.user_factors_.astype(float),
        folded.item_factors_.astype(float), folded.user_bias_.astype(float), folded.item_bias_.astype(float),
        np.full(len(fixed_items), model.global_mean_), logistic=True, reg=0.7, exponent=0.4,
        bias_regs=(model.user_bias_reg_, model.item_bias_reg_),
    )  # fmt: skip
    slopes, bias_slopes = (d_p, d_bu) if by == "user" else (d_q, d_bi)
    assert np.abs(slopes).max() < 2e-3
    if bias:
        assert np.abs(bias_slopes).max() < 2e-3
    else:
        assert not folded.user_bias_.any()
    assert folded.item_factors_ is model.item_factors_ if by == "user" else folded.seen_ is None


def test_logistic_fold_in_new_users_beats_cold_start_and_cuts_at_threshold(split):
    train, test = split
    old = train.row_of_entry() < 500
    model = quick().fit(train.take(old))
    rest = train.take(~old)
    folded = model.fold_in(rest)
    new = test.take(test.row_of_entry() >= 500)
    assert folded.score(new) > model.score(new) + 0.01
    assert roc_auc(labels_of(new), folded.predict(new)) > roc_auc(labels_of(new), model.predict(new))
    with pytest.raises(NotFittedError):
        quick().fold_in(rest)


@pytest.mark.parametrize("by", ["user", "item"])
def test_logistic_fold_in_says_when_its_steps_run_out(split, by):
    train, test = split
    model = quick(reg=0.01).fit(train)
    with pytest.warns(
        ConvergenceWarning,
        match=rf"MatrixFactorization\.fold_in: \d+ of \d+ {by}s did not converge in 100 steps, .* larger reg",
    ) as caught:
        folded = model.fold_in(test, by=by)
    assert caught[0].filename == __file__
    assert np.isfinite(folded.predict(test)).all()


def test_logistic_partial_fit_says_when_the_steps_of_new_rows_run_out(split):
    model = quick(bias_reg=0.0).fit(split[0])
    liked = [(10_000, item) for item in split[0].items.ids[:5]]
    pairs = [(0, item) for _, item in liked]
    for call, said in (
        (lambda: model.predict(pairs, history=(pairs, [5] * 5)), r"predict: history: 1 of 1 users did not converge"),
        (lambda: model.fold_in(liked, [5] * 5), r"fold_in: 1 of 1 users did not converge"),
        (lambda: model.partial_fit(liked, [5] * 5), r"partial_fit: 1 of \d+ users did not converge"),
    ):
        with pytest.warns(ConvergenceWarning, match=said) as caught:
            call()  # all alike: without a penalty the bias grows and grows
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"solver": "als"}, ValueError, "solver must be 'sgd', 'minibatch' or 'gd' .* for cost='logistic'; got 'als'"),
        ({"normalize": "item"}, ValueError, "normalize must be 'global' or None for cost='logistic'; got 'item'"),
        ({"threshold": "4"}, TypeError, "threshold must be a finite number"),
        ({"threshold": np.nan}, ValueError, "threshold must be a finite number"),
        ({"reg": -1}, ValueError, "reg must be a finite number of at least 0"),
    ],
)
def test_logistic_bad_parameters_raise(split, options, error, message):
    with pytest.raises(error, match=f"MatrixFactorization.fit: {message}"):
        quick().set_params(**options).fit(split[0])


def test_logistic_history_is_shown(split, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    model = quick(n_epochs=2, verbose=2).fit(split[0], validation=split[1])
    printed = capsys.readouterr().out
    assert "train_log_loss" in printed
    assert "validation_log_loss" in printed
    axes = fastcf.plot.plot_history(model)
    assert axes.get_ylabel() == "log-loss"
    assert {line.get_label() for line in axes.lines} >= {"training", "validation"}


def test_logistic_grid_search_finds_the_planted_penalty(split):
    users, items, values = split[0].to_coo()
    search = GridSearchCV(quick(n_epochs=40), {"reg": [1e-3, 0.25, 1e3]}, cv=KFold(3, shuffle=True, random_state=0))
    search.fit(np.stack([users, items], axis=1), values)
    assert search.best_params_ == {"reg": 0.25}


def test_logistic_follows_scikit_learn_conventions(split):
    model = quick().set_params(n_factors=3)
    assert clone(model).get_params() == model.get_params()
    assert clone(model).fit(split[0]).user_factors_.shape[1] == 3


@pytest.mark.parametrize(("name", "threshold"), [("ml-latest-small", 4.0), ("movietweetings-100k", 8.0)])
def test_logistic_learns_on_real_ratings(data_dir, name, threshold):
    ratings = read_log(data_dir / name).to_ratings(duplicates="last")
    train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=1)
    labels = test.values >= threshold
    model = MatrixFactorization(cost="logistic", threshold=threshold, random_state=0).fit(train)
    biases = bias_model(train, threshold)
    loss, auc = log_loss(labels, model.predict(test)), roc_auc(labels, model.predict(test))
    bias_loss, bias_auc = log_loss(labels, biases.predict(test)), roc_auc(labels, biases.predict(test))
    if name == "ml-latest-small":
        assert loss < bias_loss - 0.005
        assert auc > bias_auc + 0.004
    else:  # sparse: the biases are nearly all that can be learnt
        assert loss < bias_loss + 0.004
        assert auc > bias_auc - 0.004
