"""Ratings, matrices and sets where scikit-learn wants rows; models of labels where its tools look for classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingClassifier, VotingClassifier
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score, train_test_split

import fastcf
from fastcf.model_selection import PerUserKFold

R = fastcf.data.make_ratings(90, 40, 1_500, random_state=0)
USERS, ITEMS, Y = R.to_coo()
X = np.stack([USERS, ITEMS], axis=1)
LABELS = (Y >= 4).astype(int)
LIKED = fastcf.MatrixFactorization(2, cost="logistic", reg=1.0, n_epochs=3, random_state=0)
BIAS = fastcf.BiasModel()


# ---------------------------------------------------------------------------------------------------------------
# What is no table of rows
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [BIAS, LIKED.set_params(threshold=None), fastcf.LinearAutoencoder(threshold=4)])
@pytest.mark.parametrize("cv", [KFold(3, shuffle=True, random_state=0), KFold(4)])
def test_sklearn_matrices_cut_by_rows_are_refused(model, cv):
    matrix = fastcf.Ratings.from_coo(USERS, ITEMS, LABELS + 4.0 * (model is not LIKED)).to_scipy()
    with pytest.raises(
        ValueError, match=r"X must have a row for each of .* pass pairs of ids and ratings.* as groups="
    ):
        cross_val_score(clone(model), matrix, cv=cv, error_score="raise")
    with pytest.raises(
        ValueError, match=r"predict: X must have a row for each of the \d+ users of the matrix.* pairs of"
    ):
        clone(model).fit(matrix[:50]).predict(matrix[50:])


def test_sklearn_matrices_cut_in_halves_are_warned_of():
    with pytest.warns(
        UserWarning, match=r"BiasModel.score: \d+ of the \d+ pairs of X were learnt from, the others not"
    ):
        cross_val_score(BIAS, R.to_scipy(), cv=2)
    matrix = R.to_scipy()
    train, test = fastcf.data.train_test_split(R, random_state=0)
    model = clone(BIAS).fit(train.to_scipy())
    assert model.score(test.to_scipy()) == model.score(np.stack(test.to_coo()[:2], axis=1), test.values)
    model.score(train.to_scipy())  # what was learnt, and everything: neither is a cut by rows
    model.score(matrix)
    clone(BIAS).fit(R).score(matrix[:50])  # the ids of Ratings are the caller's
    assert clone(BIAS).fit(matrix).fold_in(matrix[:50]).predict(matrix[:50]).shape == (matrix[:50].nnz,)


def test_sklearn_splitters_refuse_ratings_by_name():
    for call in (
        lambda: list(KFold(3).split(R)),
        lambda: train_test_split(R),
        lambda: cross_val_score(BIAS, R, cv=3),
        lambda: np.asarray(R),
        lambda: np.array([R]),
    ):
        with pytest.raises(TypeError, match=r"Ratings: are no array.*np.stack\(ratings.to_coo\(\)\[:2\], axis=1\)"):
            call()


def test_sklearn_sets_of_pairs_are_refused_by_name():
    pairs = set(map(tuple, X.tolist()))
    with pytest.raises(
        ValueError, match=r"BiasModel.fit: X must have shape \(n, 2\), .*; got a set, which is no array"
    ):
        clone(BIAS).fit(pairs, Y)
    with pytest.raises(ValueError, match=r"PerUserKFold.split: X must have shape .*; got a dict"):
        PerUserKFold(3).split(dict(pairs))
    with pytest.raises(ValueError, match=r"predict: X must have shape .*; got a generator"):
        clone(BIAS).fit(X, Y).predict(row for row in X)


# ---------------------------------------------------------------------------------------------------------------
# Ensembles
# ---------------------------------------------------------------------------------------------------------------


def test_sklearn_bagging_passes_counts_as_weights():
    found = BaggingRegressor(BIAS, n_estimators=3, random_state=0).fit(X, Y)
    parts = []
    for model, rows in zip(found.estimators_, found.estimators_samples_, strict=True):
        counts = np.bincount(rows, minlength=Y.size)
        drawn = np.flatnonzero(counts)
        np.testing.assert_allclose(
            model.predict(X), clone(BIAS).fit(X[drawn], Y[drawn], counts[drawn]).predict(X), rtol=1e-4
        )
        parts.append(model.predict(X))
    np.testing.assert_allclose(found.predict(X), np.mean(parts, axis=0), rtol=1e-6)
    members = BaggingRegressor(fastcf.MatrixFactorization(2, n_epochs=2), n_estimators=2, random_state=0, n_jobs=2)
    assert np.isfinite(members.fit(X, Y).predict(X)).all()


# ---------------------------------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------------------------------


def test_sklearn_models_of_labels_are_classifiers():
    assert is_classifier(LIKED)
    assert not is_regressor(LIKED)
    for other in (clone(LIKED).set_params(threshold=3), fastcf.MatrixFactorization(2), fastcf.LinearAutoencoder()):
        assert is_regressor(other)
        assert not is_classifier(other)
    assert is_classifier(fastcf.Autoencoder((2,), cost="logistic"))


def test_sklearn_tools_for_probabilities_take_models_of_labels():
    model = clone(LIKED).fit(X, LABELS)
    liked = model.predict(X)
    np.testing.assert_allclose(get_scorer("roc_auc")(model, X, LABELS), roc_auc_score(LABELS, liked))
    np.testing.assert_allclose(get_scorer("neg_log_loss")(model, X, LABELS), model.score(X, LABELS), rtol=1e-5)
    assert get_scorer("average_precision")(model, X, LABELS) > LABELS.mean()
    np.testing.assert_allclose(get_scorer("neg_brier_score")(model, X, LABELS), -np.mean((liked - LABELS) ** 2))
    calibrated = CalibratedClassifierCV(LIKED, cv=2).fit(X, LABELS).predict_proba(X)
    assert roc_auc_score(LABELS, calibrated[:, 1]) > 0.6
    for ensemble in (
        VotingClassifier([("one", LIKED), ("two", clone(LIKED).set_params(reg=3.0))], voting="soft"),
        StackingClassifier([("one", LIKED)], cv=2),
        BaggingClassifier(LIKED, n_estimators=2, random_state=0),
    ):
        found = ensemble.fit(X, LABELS).predict_proba(X)
        assert found.shape == (Y.size, 2)
        assert roc_auc_score(LABELS, found[:, 1]) > 0.6
    assert cross_val_predict(LIKED, X, LABELS, cv=2, method="predict_proba").shape == (Y.size, 2)


def test_sklearn_displays_take_models_of_labels():
    pytest.importorskip("matplotlib").use("Agg")
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import DetCurveDisplay, PrecisionRecallDisplay, RocCurveDisplay

    model = clone(LIKED).fit(X, LABELS)
    roc = RocCurveDisplay.from_estimator(model, X, LABELS)
    np.testing.assert_allclose(roc.roc_auc, roc_auc_score(LABELS, model.predict(X)))
    for display in (CalibrationDisplay, DetCurveDisplay, PrecisionRecallDisplay):
        display.from_estimator(model, X, LABELS)
    __import__("matplotlib.pyplot").pyplot.close("all")


def test_sklearn_scores_of_labels_refuse_probabilities():
    model = clone(LIKED).fit(X, LABELS)
    with pytest.raises(ValueError, match="mix of binary and continuous"):
        get_scorer("accuracy")(model, X, LABELS)


def test_the_global_seed_of_numpy_has_no_effect():
    for model in (fastcf.MatrixFactorization(2, n_epochs=2), fastcf.Autoencoder((2,), n_epochs=2)):
        found = []
        for _ in range(2):
            np.random.seed(7)  # noqa: NPY002  # what is tested
            before = np.random.get_state()[1].copy()  # noqa: NPY002
            found.append(clone(model).fit(X, Y).predict(X))
            np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
        assert not np.array_equal(*found)
