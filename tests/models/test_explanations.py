"""Explanations of all families: contributions add up to the score, and are what the equations say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastcf
import reference
from choice_models import CHOICE_MODELS
from fastcf import MatrixFactorization, Ratings
from fastcf.solvers import Gibbs
from trained_models import MODELS

N_USERS, N_ITEMS = 60, 40
RATINGS = fastcf.data.make_ratings(N_USERS, N_ITEMS, 900, random_state=0)
GENRES = fastcf.FeatureTable(
    range(N_ITEMS + 2), np.random.default_rng(0).normal(size=(N_ITEMS + 2, 3)), names=["crime", "love", "year"]
)
AGES = fastcf.FeatureTable(range(N_USERS), np.random.default_rng(1).normal(size=(N_USERS, 2)))
QUICK: dict[str, Any] = {"n_epochs": 4, "random_state": 0}

# Beside the models that tests share: what else explains, with the arguments of its fit.
OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "bias": (fastcf.BiasModel(), {}),
    "popular by mean": (fastcf.Popular("mean"), {}),
    "user regression": (fastcf.UserRegression(), {"item_features": GENRES}),
    "item regression of labels": (
        fastcf.ItemRegression(cost="logistic", threshold=4),
        {"user_features": AGES},
    ),
    "mixed regression": (fastcf.MixedRegression(), {"user_features": AGES, "item_features": GENRES}),
    "mixed regression of items": (fastcf.MixedRegression(), {"item_features": GENRES}),
    "blend of ratings": (
        fastcf.Blend([MatrixFactorization(3, solver="als", **QUICK), fastcf.Autoencoder((4,), **QUICK)], reg=0.1),
        {},
    ),
}
CASES = [*MODELS, *CHOICE_MODELS, *OTHERS]
NETWORKS = {
    "autoencoder", "autoencoder of labels", "autoencoder of choices", "two towers", "two towers of choices",
    "perceptron", "perceptron of levels", "bpr", "sampled", "implicit-bpr", "implicit-sampled", "multinomial",
    "softmax",
}  # fmt: skip
# Stored vectors that are not those of the users' normal equations given the items.
TRAINED_OTHERWISE = {
    "sgd", "sgd of labels", "als", "als by cg", "minibatch", "gd", "bayes", "bayes of ratings only", "falling rate",
    "implicit als", "implicit-cg", "implicit-subspaces", "sgd around centres", "als around centres",
}  # fmt: skip
WITHOUT_HISTORY = {"item regression of labels", "blend of ratings"}


def fitted(name: str) -> Any:
    if name in OTHERS:
        model, arguments = OTHERS[name]
        return clone(model).fit(RATINGS, **arguments)
    if name in MODELS:
        return clone(MODELS[name]).fit(RATINGS)
    model = CHOICE_MODELS[name](threshold=4)
    arguments = {"item_features": GENRES} if name == "softmax" else {}
    return model.fit(RATINGS, **arguments)


def assert_adds_up(explanation: fastcf.Explanation, *, exact: bool) -> None:
    parts = sum(explanation.base.values()) + explanation.contributions.sum() + explanation.rest
    assert parts + explanation.unexplained == pytest.approx(explanation.score, abs=1e-12)
    assert explanation.exact or not exact
    assert ("unexplained" in repr(explanation)) == (not explanation.exact)
    if exact:
        assert parts == pytest.approx(explanation.score, abs=1e-5 * max(1, abs(explanation.score)))
    amounts = np.abs(explanation.contributions)
    assert (np.diff(amounts) <= 0).all()
    assert (amounts > 0).all()


@pytest.mark.parametrize("name", CASES)
def test_contributions_add_up_to_what_the_model_predicts_or_it_says_why_not(name, tmp_path):
    model = fitted(name)
    if name in NETWORKS:
        assert not hasattr(model, "explain")
        with pytest.raises(AttributeError, match=f"{type(model).__name__} has no explain: .*explain with|take the"):
            model.explain  # noqa: B018
        return
    user, items = 7, [*range(0, N_ITEMS, 3), 999]
    pairs = [(user, item) for item in items]
    found = model.explain(user, items, n=None)
    assert [(each.user, each.item) for each in found] == pairs
    np.testing.assert_array_equal([each.prediction for each in found], model.predict(pairs))
    for each in found:
        assert_adds_up(each, exact=name not in TRAINED_OTHERWISE)
        assert (each.n_rest, each.rest) == (0, 0)
        for member in each.members.values():
            assert_adds_up(member, exact=False)
    if model.state.scores.link.linear:
        np.testing.assert_array_equal([each.score for each in found], model.predict(pairs, clip=False))

    few = model.explain(user, items[2], n=2)
    assert few.ids.tolist() == found[2].ids[:2].tolist()
    assert few.rest == pytest.approx(found[2].contributions[2:].sum())
    assert few.n_rest == max(0, found[2].ids.size - 2)
    by_item = model.explain(user, items, n=None, by="item")
    assert {each.kind for each in by_item} == {"item"}
    for each in by_item:
        assert_adds_up(each, exact=name not in TRAINED_OTHERWISE)
    assert_adds_up(model.explain("nobody" if model.users_.kind == "str" else -5, 3), exact=True)

    model.save(tmp_path / "model")
    again = fastcf.load(tmp_path / "model").explain(user, items, n=None)
    assert [each.to_dicts() for each in again] == [each.to_dicts() for each in found]


@pytest.mark.parametrize("name", [name for name in CASES if name not in NETWORKS | WITHOUT_HISTORY])
def test_predictions_for_a_history_are_explained_without_a_rest(name):
    model = fitted(name)
    pairs, values = [(0, 3), (0, 8), (0, 21), (1, 3), (0, 999)], [5.0, 2.0, 4.0, 1.0, 3.0]
    items = list(range(N_ITEMS))
    found = model.explain(0, items, history=(pairs, values), n=None)
    predicted = model.predict([(0, item) for item in items], history=(pairs, values))
    np.testing.assert_array_equal([each.prediction for each in found], predicted)
    for each in found:
        assert_adds_up(each, exact=True)
        if each.kind == "item":
            assert set(each.ids.tolist()) <= {3, 8, 21}
    assert_adds_up(model.explain(1, 3, history=(pairs, values)), exact=True)


# ---------------------------------------------------------------------------------------------------------------
# What single contributions are
# ---------------------------------------------------------------------------------------------------------------


def of_each(explanation: fastcf.Explanation) -> dict[Any, float]:
    return dict(zip(explanation.ids.tolist(), explanation.contributions.tolist(), strict=True))


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    bias=st.sampled_from([True, False, "user", "item"]),
    normalize=st.sampled_from(["global", "item", None]),
    scaling=st.sampled_from([0.0, 0.4, 1.0]),
    weighted=st.booleans(),
)
def test_factors_shares_are_those_of_the_normal_equations(seed, bias, normalize, scaling, weighted):
    random = np.random.default_rng(seed)
    weights = random.exponential(size=RATINGS.nnz).astype(np.float32) if weighted else None
    model = MatrixFactorization(
        3, bias=bias, normalize=normalize, reg_scaling=scaling, reg=0.5, n_epochs=2, random_state=seed
    ).fit(RATINGS, sample_weight=weights)
    row, item = int(random.integers(N_USERS)), int(random.integers(N_ITEMS))
    entries = slice(RATINGS.indptr[row], RATINGS.indptr[row + 1])
    rated, n = RATINGS.indices[entries], int(np.diff(RATINGS.indptr)[row])
    mean = model.item_mean_ if normalize == "item" else np.full(N_ITEMS, model.global_mean_)
    targets = RATINGS.values[entries] - mean[rated] - model.item_bias_[rated]
    each_alone = np.diag(targets)  # in one row each, the others' targets being 0
    solutions = reference.als_rows(
        (np.arange(n + 1) * n, np.tile(rated, n), each_alone.ravel()),
        np.tile(np.ones(n) if weights is None else weights[entries], n),
        model.item_factors_, np.zeros(n), np.zeros(N_ITEMS), 0.0,
        reg=0.5, exponent=scaling, bias_reg=model.user_bias_reg_ if bias in (True, "user") else None, precision=1.0,
    )  # fmt: skip
    shares = solutions[:, :3] @ model.item_factors_[item].astype(np.float64)
    why = model.explain(row, item, n=None)
    found = of_each(why)
    np.testing.assert_allclose([found.get(j, 0.0) for j in rated.tolist()], shares, atol=1e-8)
    stored = float(model.user_factors_[row].astype(np.float64) @ model.item_factors_[item])
    assert why.unexplained == pytest.approx(stored - shares.sum(), abs=1e-5)
    known = {"mean": model.global_mean_, "item mean": mean[item], "user bias": model.user_bias_[row]}
    for name, value in why.base.items():
        assert value == pytest.approx({**known, "item bias": model.item_bias_[item]}[name])


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([1.0, 3.0]), strength=st.sampled_from(["one", "log"]))
def test_implicit_shares_are_those_of_the_normal_equations_of_all_items(seed, alpha, strength):
    model = fastcf.ImplicitFactorization(
        3, alpha=alpha, strength=strength, threshold=3, solver="cholesky", n_epochs=2, random_state=seed, reg=0.1
    ).fit(RATINGS)
    random = np.random.default_rng(seed)
    row, item = int(random.integers(N_USERS)), int(random.integers(N_ITEMS))
    entries = slice(RATINGS.indptr[row], RATINGS.indptr[row + 1])
    chosen = RATINGS.values[entries] >= 3
    rated, values = RATINGS.indices[entries][chosen], RATINGS.values[entries][chosen].astype(np.float64)
    weights = alpha * (np.log1p(values) if strength == "log" else np.ones(values.size))
    Q = model.item_factors_.astype(np.float64)
    unobserved = model.unobserved_weight_
    penalty = model.reg_ * (weights.sum() + unobserved * N_ITEMS) ** model.reg_scaling
    matrix = Q[rated].T @ (weights[:, None] * Q[rated]) + unobserved * Q.T @ Q + penalty * np.eye(3)
    found = of_each(model.explain(row, item, n=None))
    expected = weights * (Q[rated] @ np.linalg.solve(matrix, Q[item]))
    np.testing.assert_allclose([found.get(j, 0.0) for j in rated.tolist()], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"neighbours": 6}])
def test_linear_contributions_are_inputs_times_weights(options):
    model = fastcf.LinearAutoencoder(threshold=4, low_weight=0.5, **options).fit(RATINGS)
    entries = slice(RATINGS.indptr[5], RATINGS.indptr[6])
    rated, values = RATINGS.indices[entries], RATINGS.values[entries]
    weights = model.item_weights_ if not options else model.item_weights_.toarray()
    found = of_each(model.explain(5, 11, n=None))
    expected = np.where(values >= 4, 1.0, 0.5) * weights[rated, 11]
    np.testing.assert_allclose([found.get(j, 0.0) for j in rated.tolist()], expected, rtol=1e-6)


@pytest.mark.parametrize("solver", ["als", Gibbs(burn_in=2), Gibbs(burn_in=2, rated_input=False)], ids=str)
@pytest.mark.parametrize("normalize", ["global", "item"])
def test_a_changed_rating_changes_its_own_contribution_only(solver, normalize):
    model = MatrixFactorization(4, solver=solver, normalize=normalize, **QUICK).fit(RATINGS)
    pairs, values = [(0, 3), (0, 8), (0, 21)], np.array([5.0, 2.0, 4.0])
    before = model.explain(0, 30, history=(pairs, values), n=None)
    after = model.explain(0, 30, history=(pairs, values - [0, 0, 2]), n=None)
    one, other = of_each(before), of_each(after)
    assert one[3] == pytest.approx(other[3], abs=1e-9)
    assert one[8] == pytest.approx(other[8], abs=1e-9)
    bias = before.base.get("user bias", 0.0) - after.base.get("user bias", 0.0)
    assert one[21] - other[21] == pytest.approx(before.score - after.score - bias, abs=1e-5)


def test_regressions_name_their_features(tmp_path):
    model = fastcf.MixedRegression().fit(RATINGS, user_features=AGES, item_features=GENRES)
    why = model.explain(3, N_ITEMS + 1, n=None)  # an item that nobody rated
    assert set(why.ids.tolist()) == {"item crime", "item love", "item year", "user 0", "user 1"}
    crime = float(GENRES.matrix[N_ITEMS + 1, 0]) * (model.item_weights_[0] + model.user_factors_[3, 0])
    assert of_each(why)["item crime"] == pytest.approx(crime, rel=1e-5)
    assert why.base["item bias"] == pytest.approx(0, abs=1e-6)
    by_user = fastcf.UserRegression().fit(RATINGS, item_features=GENRES)
    by_user.save(tmp_path / "model")
    found = of_each(fastcf.load(tmp_path / "model").explain(3, 8))
    expected = by_user.coef_[3] * GENRES.matrix[8]
    assert found == pytest.approx(dict(zip(["crime", "love", "year"], expected.tolist(), strict=True)), rel=1e-6)


def test_blends_are_explained_by_member_and_over_members_by_item():
    model = CHOICE_MODELS["blend"](threshold=4).fit(RATINGS)
    why = model.explain(2, 9, n=None)
    assert why.kind == "member"
    assert set(why.members) == set(why.ids.tolist())
    linear = why.members["linear"]
    states = {member.name: member.state for member in model.state.learnt.members}
    row = states["linear"].scores.block(np.array([2], np.int32), model._compute(model.state, ""))[0].astype(np.float64)
    shown = of_each(why)
    weight = dict(zip(states, model.weights_.tolist(), strict=True))["linear"]
    assert shown["linear"] == pytest.approx(weight * (row[9] - row.mean()) / row.std(), rel=1e-4)
    by_item = of_each(model.explain(2, 9, n=None, by="item"))
    scale = weight / row.std()
    only_linear = of_each(linear)
    if "rated" in why.members:
        assert set(by_item) == set(only_linear) | set(why.members["rated"].ids.tolist())
    else:
        assert by_item == pytest.approx({one: scale * value for one, value in only_linear.items()}, rel=1e-4)


def test_user_neighbours_are_named_also_for_a_history():
    pairs = [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("cat", "tea"), ("dan", "salt")]
    model = fastcf.UserNeighbours().fit(pairs)
    why = model.explain("cat", "milk")
    assert why.kind == "user"
    assert sorted(why.ids.tolist()) == ["ann", "bob"]
    found = model.explain(0, "milk", history=([(0, "tea")], [1.0]))
    assert sorted(found.ids.tolist()) == ["ann", "bob"]


# ---------------------------------------------------------------------------------------------------------------
# The result, and bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", ["integers", "texts"])
def test_an_explanation_is_a_text_and_a_table(ids):
    users, items, values = RATINGS.to_coo()
    if ids == "texts":
        items = np.array([f"film {item}" for item in items])
    model = fastcf.BiasModel().fit(Ratings.from_coo(users, items, values))
    model = MatrixFactorization(3, **QUICK).fit(Ratings.from_coo(users, items, values))
    item = "film 4" if ids == "texts" else 4
    why = model.explain(3, item, n=2)
    lines = repr(why).splitlines()
    assert lines[0].startswith(f"Explanation(user=3, item={item!r}, score=")
    assert lines[1].endswith("  mean")
    assert lines[4].endswith(f"  item {why.ids[0]}")
    table = why.to_dicts()
    assert [row["kind"] for row in table] == [*why.base, "item", "item", "rest", "unexplained"]
    assert table[0]["id"] == ("" if ids == "texts" else -1)
    assert table[3]["id"] == why.ids[0]
    assert sum(row["contribution"] for row in table) == pytest.approx(why.score)
    assert len(why.to_frame()) == len(table)
    assert "Explanation: " in why._repr_html_()


def test_bad_input_is_named(tmp_path):
    model = MatrixFactorization(3, **QUICK)
    with pytest.raises(NotFittedError, match=r"MatrixFactorization\.explain: the model must be fitted first"):
        model.explain(0, 1)
    model.fit(RATINGS)
    for arguments, options, message in [
        (([0, 1], 3), {}, "user must be one id; got an array of shape"),
        ((0, 3), {"n": 0}, "n must be"),
        ((0, 3), {"by": "member"}, "by must be 'item' or None; got 'member'"),
        ((-9, 3), {"strict": True}, "strict=True needs known user ids; got -9"),
        ((0, [3, 999]), {"strict": True}, "strict=True needs known item ids; got 999 at entry 1"),
    ]:
        with pytest.raises(ValueError, match=rf"MatrixFactorization\.explain: {message}"):
            model.explain(*arguments, **options)
    model.save(tmp_path / "model", include_seen=False)
    without = fastcf.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"does not hold the ratings of its users, .* pass .* as history="):
        without.explain(0, 3)
    assert without.explain(0, 3, history=([(0, 5)], [4.0])).ids.tolist() == [5]
    model.partial_fit([(0, 3)], [4.0])
    with pytest.raises(ValueError, match="as after partial_fit"):
        model.explain(0, 3)


@pytest.mark.parametrize("name", ["seen_values", "seen_weights"])
def test_damaged_ratings_of_a_file_are_named(name):
    weights = np.random.default_rng(0).exponential(size=RATINGS.nnz)
    archive = MatrixFactorization(3, **QUICK).fit(RATINGS, sample_weight=weights).to_archive()
    MatrixFactorization.from_archive(archive).explain(0, 3)
    with pytest.raises(fastcf.DataError, match=rf"array '{name}' must have shape \({RATINGS.nnz},\); got"):
        MatrixFactorization.from_archive(replace(archive, arrays={**archive.arrays, name: archive.arrays[name][1:]}))


def test_items_of_other_rows_of_a_history_and_nothing_asked():
    model = fastcf.LinearAutoencoder(threshold=4).fit(RATINGS)
    assert model.explain(0, []) == []
    assert model.explain(-1, 5).base == pytest.approx({"popularity": float(model.predict([(-1, 5)])[0])})
