"""scikit-learn's own checks of estimators: which hold, and which cannot hold where X holds ids, and why."""

from __future__ import annotations

import unittest
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

import fastcf
from choice_models import CHOICE_MODELS
from planted import CASES

_WIDTH = "hands over tables of features of other widths; X has two columns"
_VALUES = "hands over real numbers, or the same two whole numbers again and again; X holds ids, each pair once"
_SPARSE = "takes a sparse X for features; here it holds the ratings themselves, users x items, and y must be None"
_WORDS = "wants scikit-learn's own words; the error raised here says what X or y must be"

# Checks that cannot hold for id pairs, and why. Of those, ``adapted`` runs all that do not look at X itself.
NOT_FOR_PAIRS = {
    "check_complex_data": _WIDTH,
    "check_dict_unchanged": _WIDTH,
    "check_dont_overwrite_parameters": _WIDTH,
    "check_dtype_object": _WIDTH,
    "check_estimators_dtypes": _WIDTH,
    "check_estimators_nan_inf": _WIDTH,
    "check_estimators_pickle": _WIDTH,
    "check_f_contiguous_array_estimator": _WIDTH,
    "check_fit2d_predict1d": _WIDTH,
    "check_fit_score_takes_y": _WIDTH,
    "check_methods_sample_order_invariance": _WIDTH,
    "check_methods_subset_invariance": _WIDTH,
    "check_n_features_in_after_fitting": _WIDTH,
    "check_pipeline_consistency": _WIDTH,
    "check_positive_only_tag_during_fit": _WIDTH,
    "check_regressor_data_not_an_array": _WIDTH,
    "check_regressors_int": _WIDTH,
    "check_regressors_no_decision_function": _WIDTH,
    "check_regressors_train": _WIDTH,
    "check_supervised_y_2d": _WIDTH,
    "check_all_zero_sample_weights_error": _WIDTH,
    "check_sample_weight_equivalence_on_dense_data": _WIDTH,
    "check_sample_weights_list": _WIDTH,
    "check_sample_weights_not_overwritten": _VALUES,
    "check_estimators_fit_returns_self": _VALUES,
    "check_estimators_overwrite_params": _VALUES,
    "check_estimators_partial_fit_n_features": _VALUES,
    "check_fit_check_is_fitted": _VALUES,
    "check_fit_idempotent": _VALUES,
    "check_n_features_in": _VALUES,
    "check_readonly_memmap_input": _VALUES,
    "check_estimator_sparse_array": _SPARSE,
    "check_estimator_sparse_data": _SPARSE,
    "check_estimator_sparse_matrix": _SPARSE,
    "check_estimator_sparse_tag": _SPARSE,
    "check_estimators_empty_data_messages": _WORDS,
    "check_fit2d_1feature": _WORDS,
    "check_fit2d_1sample": _WORDS,
    "check_requires_y_none": _WORDS,
}
# Regressions on known features need those in fit, which the checks cannot know: whatever fits, fails.
_FEATURES = "calls fit without the features of items or users that it needs"
NOT_WITHOUT_FEATURES = {
    **NOT_FOR_PAIRS,
    "check_fit1d": _FEATURES,
    "check_sample_weights_not_an_array": _FEATURES,
    "check_sample_weights_pandas_series": _FEATURES,
    "check_sample_weights_shape": _FEATURES,
    "check_non_transformer_estimators_n_iter": _FEATURES,
    "check_supervised_y_no_nan": _FEATURES,
}
# What cannot hold even where features have been turned into pairs.
_SOLVED = "wants an iteration at least; n_iter_ is 0 where equations are solved at once"
_PROBABILITIES = {
    "check_regressors_no_decision_function": "wants only classifiers to have predict_proba; those would have to learn "
    "from the labels themselves, not from ratings cut at a threshold, and give a column to each label"
}
_FEW = "fits one or two ratings; a blend needs two for its weights and one for its members"
NOT_ADAPTED = {
    "blend": dict.fromkeys(("check_pipeline_consistency", "check_estimators_pickle", "check_fit2d_1sample"), _FEW),
    "bayes": {"check_fit_score_takes_y": "calls partial_fit, which draws of a posterior do not have"},
    "labels-sgd": _PROBABILITIES,
    "labels-gd": _PROBABILITIES,
    "labels-minibatch": _PROBABILITIES,
    "perceptrons": _PROBABILITIES,
    "user-features": {"check_non_transformer_estimators_n_iter": _SOLVED},
    "item-features": {"check_non_transformer_estimators_n_iter": _SOLVED},
}


_ALPHA = {"check_regressors_train": "sets alpha, which has no effect with this solver or similarity, and is refused"}
_GONE_ON = {"check_fit_score_takes_y": "calls partial_fit, which sampled costs do not have"}
NOT_ADAPTED_CHOICES = {
    "implicit-bpr": _ALPHA | _GONE_ON,
    "implicit-sampled": _ALPHA | _GONE_ON,
    "item-neighbours": _ALPHA,
    "user-neighbours": _ALPHA,
    "blend": {**NOT_ADAPTED["blend"], "check_fit2d_1feature": _FEW},
}

# Models that need features, by name: fastcf loads a class when it is asked for.
NEEDS = {"item_features": {"MixedRegression", "UserPerceptron", "UserRegression"}, "user_features": {"ItemRegression"}}


class _PairsOfFeatures:
    """Turns rows of features into id pairs, so that checks which know features only reach ``fit`` and ``predict``."""

    @staticmethod
    def _pairs(X: Any) -> np.ndarray:
        codes = np.array([zlib.crc32(row.tobytes()) for row in check_array(X, dtype=np.float64, order="C")])
        return np.stack([codes % 7, codes // 7], axis=1)

    def fit(self, X: Any, y: Any = None) -> Any:
        return self._fit_pairs(super().fit, *check_X_y(X, y, y_numeric=True, estimator=self))

    def _fit_pairs(self, fit: Callable[..., Any], X: Any, y: Any) -> Any:
        self.width_ = X.shape[1]
        if getattr(self, "threshold", None) is not None:
            y = y - np.median(y) + self.threshold  # half of them are label 1
        pairs = self._pairs(X)
        known = {}
        for name, ids in (("item_features", pairs[:, 1]), ("user_features", pairs[:, 0])):
            if NEEDS[name] & {base.__name__ for base in type(self).__mro__}:
                ids = np.unique(ids)
                known[name] = fastcf.FeatureTable(ids, ids[:, None] % 5)
        return fit(fastcf.Ratings.from_rows(pairs, y, duplicates="mean"), **known)

    def _checked_pairs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = check_array(X)
        if X.shape[1] != self.width_:
            name = type(self).__name__
            raise ValueError(f"X has {X.shape[1]} features, but {name} is expecting {self.width_} features as input")
        return self._pairs(X)

    def predict(self, X: Any, **options: Any) -> Any:
        return super().predict(self._checked_pairs(X), **options)  # predict_proba, too, asks here

    def score(self, X: Any, y: Any) -> float:
        return -float(np.mean((self.predict(X) - y) ** 2))

    @property
    def n_features_in_(self) -> int:
        return self.width_


class _PartlyFitted(_PairsOfFeatures):
    def partial_fit(self, X: Any, y: Any) -> Any:
        if not hasattr(self, "width_"):
            return self.fit(X, y)
        self.predict(X)
        return self._fit_pairs(super().partial_fit, *check_X_y(X, y, y_numeric=True))


def adapted(model: Any) -> Any:
    """Return an estimator like ``model`` that turns rows of features into id pairs."""
    kind = type(model)
    name = f"Adapted{kind.__name__}"
    if name not in globals():  # where pickles look for it
        base = _PartlyFitted if hasattr(kind, "partial_fit") else _PairsOfFeatures
        own = {"__module__": __name__, "__qualname__": name}
        if "predict_proba" in vars(kind):  # where it is no view of ``predict``
            own["predict_proba"] = lambda self, X: kind.predict_proba(self, self._checked_pairs(X))
        globals()[name] = type(name, (base, kind), own)
    return globals()[name](**model.get_params(deep=False))


def checks_of(estimator: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(estimator_checks, "estimator_checks_generator"):  # from scikit-learn 1.6 on
        return estimator_checks.estimator_checks_generator(estimator)
    return estimator_checks.check_estimator(estimator, generate_only=True)


def failures(estimator: Any) -> tuple[dict[str, Exception], set[str]]:
    """Run every check; return what failed, by name, and the names of all that ran."""
    failed: dict[str, Exception] = {}
    ran = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks judge them
        for instance, check in checks_of(estimator):
            name = check.func.__name__
            try:
                check(instance)
            except unittest.SkipTest:
                continue
            except Exception as error:
                failed[name] = error
            ran.add(name)
    return failed, ran


def judge(estimator: Any, expected: dict[str, str]) -> None:
    failed, ran = failures(estimator)
    assert len(ran) > 30
    surprising = {name: error for name, error in failed.items() if name not in expected}
    assert not surprising, "\n".join(f"{name}: {error!r}" for name, error in surprising.items())


@pytest.mark.parametrize("name", CASES)
def test_sklearn_checks_of_estimators(name):
    case, model = CASES[name], CASES[name].make()
    if getattr(model, "threshold", None) is not None:
        model.set_params(threshold=1.5)  # between the values that checks use
    judge(model, NOT_WITHOUT_FEATURES if case.fit else NOT_FOR_PAIRS)


@pytest.mark.parametrize("name", CASES)
def test_sklearn_checks_of_estimators_reach_fit_by_an_adapter(name):
    judge(adapted(CASES[name].make()), NOT_ADAPTED.get(name, {}))


@pytest.mark.parametrize("name", CHOICE_MODELS)
def test_sklearn_checks_of_models_of_choices(name):
    judge(CHOICE_MODELS[name](), NOT_FOR_PAIRS)
    share = {"validation_fraction": 0.5} if name == "blend" else {}  # a tenth of 20 pairs may hold no choice
    half = CHOICE_MODELS[name](threshold=0.0, **share)  # of the values are choices, see _fit_pairs
    judge(adapted(half), NOT_ADAPTED_CHOICES.get(name, {}))


def test_sklearn_checks_listed_as_failing_do_fail():
    failed, ran = failures(fastcf.MatrixFactorization(2, n_epochs=2, random_state=0))
    assert sorted(ran & NOT_FOR_PAIRS.keys()) == sorted(failed)
