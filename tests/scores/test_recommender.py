"""The recommender around any scores: predictions, lists, histories, unknown ids, one state per query."""

from __future__ import annotations

import copy
import pickle
import threading
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.exceptions import NotFittedError

import fastcf
from dense import dense_of_factors, dense_of_weights, some_factors, some_weights
from fastcf import IdMap, Ratings, Recommender
from fastcf.scores import Folding, SeenItems, Sigmoid, State, Targets

N_USERS, N_ITEMS = 9, 14
USERS, ITEMS = IdMap([f"u{u}" for u in range(N_USERS)]), IdMap(range(100, 100 + N_ITEMS))


class HistoryFolding(Folding):
    """The history of a row are its ratings."""

    rated_sides = ("user",)
    why = " (of items)"

    def fold_ratings(self, state, rated, compute, caller):
        history = scipy.sparse.csr_array(
            (rated.values, rated.columns, rated.indptr), (len(rated.ids), state.scores.n_items)
        )
        return state.replaced(scores=replace(state.scores, history=history))


@dataclass(frozen=True)
class Learnt:
    shown: ClassVar[tuple[str, ...]] = ("reg",)
    reg: float = 0.5
    hidden: list[int] = field(default_factory=list)


def recommender(scores, **others: Any) -> Recommender:
    model = Recommender()
    seen = scipy.sparse.csr_array(np.random.default_rng(9).random((N_USERS, N_ITEMS)) < 0.3)
    given = {"seen": SeenItems(seen.indptr.astype(np.int64), seen.indices.astype(np.int32)), **others}
    given = {"rating_range": (-1.0, 2.0), "device": "cpu", "learnt": Learnt(), **given}
    model._state = State(USERS, ITEMS, scores=scores, **given)
    return model


def weights_model(seed=0, **others) -> tuple[Recommender, Any]:
    scores = some_weights(np.random.default_rng(seed), N_USERS, N_ITEMS, 0.6)
    return recommender(scores, folding=HistoryFolding(), **others), dense_of_weights(scores)


def labels_model(seed=0) -> tuple[Recommender, Any]:
    scores = some_factors(np.random.default_rng(seed), N_USERS, N_ITEMS, link=Sigmoid())
    model = recommender(scores, targets=Targets("logistic", 4.0), rating_range=(0.1, 0.9))
    return model, expit(dense_of_factors(scores))


def every_pair(users):
    return [(user, item) for user in users for item in ITEMS.ids.tolist()]


# ---------------------------------------------------------------------------------------------------------------
# Predictions
# ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([weights_model, labels_model]))
def test_predictions_are_those_of_the_scores(seed, make):
    model, dense = make(seed)
    pairs = [("u3", 105), ("u3", 7), ("nobody", 105), ("nobody", 7), ("u8", 113)]
    rows = np.array([3, 3, -1, -1, 8]), np.array([5, -1, 5, -1, 13])
    np.testing.assert_allclose(model.predict(pairs, clip=False), dense[rows], atol=1e-4)
    np.testing.assert_allclose(model.predict(pairs), np.clip(dense[rows], *model.rating_range_), atol=1e-4)
    block = model.predict_matrix(["u3", "nobody"], clip=False)
    np.testing.assert_allclose(block, dense[[3, -1], :-1], atol=1e-4)
    assert model.predict_matrix().shape == (N_USERS, N_ITEMS)
    assert model.predict_matrix().max() <= np.float32(model.rating_range_[1])
    for X in (Ratings.from_coo([p[0] for p in pairs], [p[1] for p in pairs], [1.0] * 5), np.array(pairs, object)):
        assert np.isin(model.predict(X), model.predict(pairs)).all()
    assert model.predict([]).shape == (0,)


def test_probabilities_are_there_for_labels_only():
    model, dense = labels_model()
    pairs = every_pair(["u1", "nobody"])
    both = model.predict_proba(pairs)
    np.testing.assert_array_equal(both[:, 1], model.predict(pairs))
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-6)
    assert not hasattr(weights_model()[0], "predict_proba")
    ratings = Ratings.from_coo(["u1", "u2"], [100, 101], [5.0, 1.0])
    predicted = np.clip(dense[[1, 2], [0, 1]], 0.1, 0.9)
    assert model.score(ratings) == pytest.approx(np.mean([np.log(predicted[0]), np.log(1 - predicted[1])]), abs=1e-5)
    other, table = weights_model()
    error = np.clip(table[[1, 2], [0, 1]], -1, 2) - [5, 1]
    assert other.score(ratings) == pytest.approx(-np.sqrt(np.mean(error**2)), abs=1e-5)


def test_strict_refuses_unknown_ids():
    model, _ = weights_model()
    calls = [
        (lambda: model.predict([("u1", 100), ("x", 100)], strict=True), "user ids; got 'x' at entry 1"),
        (lambda: model.predict([("u1", 7)], strict=True), "item ids; got 7 at entry 0"),
        (lambda: model.predict_matrix(["x"], strict=True), "user ids; got 'x'"),
        (lambda: model.recommend("x", strict=True), "user ids; got 'x'"),
        (lambda: model.recommend("u1", candidates=[100, 7], strict=True), r"\(in candidates\) ids; got 7 at entry 1"),
        (lambda: model.recommend("u1", exclude=[7], strict=True), r"\(in exclude\) ids; got 7"),
        (lambda: model.similar_items(7, strict=True), "item ids; got 7"),
        (lambda: model.predict([("n", 100)], history=newcomers(7), strict=True), "item ids; got 7"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=rf"Recommender\.\w+: (history: )?strict=True needs known .*{message}"):
            call()


# ---------------------------------------------------------------------------------------------------------------
# Lists
# ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from([weights_model, labels_model]),
    st.sampled_from([1, 5, N_ITEMS, N_ITEMS + 6]),
    st.booleans(),
    st.sampled_from([None, -0.5, 0.3, 0.8]),
)
def test_lists_are_the_best_that_reach_the_least_score(seed, make, n, exclude_seen, min_score):
    model, dense = make(seed)
    users = ["u0", "nobody", "u8", "u0"]
    candidates, exclude = [*ITEMS.ids[::2], 999], ITEMS.ids[2:4]
    options = {"exclude_seen": exclude_seen, "candidates": candidates, "exclude": exclude, "min_score": min_score}
    items, scores = model.recommend(users, n, **options)
    assert items.shape == scores.shape == (4, n)
    seen = model.seen_
    for row, user in enumerate([0, -1, 8, 0]):
        allowed = np.zeros(N_ITEMS, bool)
        allowed[::2] = True
        allowed[2:4] = False
        if exclude_seen and user >= 0:
            allowed[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
        wanted = np.sort(dense[user, :-1][allowed])[::-1][:n]
        limited = np.clip(wanted, *model.rating_range_)
        if min_score is not None:
            limited = limited[limited >= np.float32(min_score)]
        kept = np.isfinite(scores[row])
        np.testing.assert_allclose(scores[row, kept], limited, atol=1e-4)
        assert kept[: limited.size].all()
        assert (items[row, ~kept] == -1).all()
        found = ITEMS.rows(items[row, kept])
        np.testing.assert_allclose(np.clip(dense[user, found], *model.rating_range_), limited, atol=1e-4)
    alone = model.recommend("u8", n, **options)
    np.testing.assert_array_equal(alone.items, items[2])
    np.testing.assert_array_equal(alone.scores, scores[2])


def test_min_score_is_compared_in_the_precision_of_scores():
    model, _ = labels_model()
    whole = model.recommend("u1", N_ITEMS, exclude_seen=False)
    for place in (0, 3):
        found = model.recommend("u1", N_ITEMS, exclude_seen=False, min_score=float(whole.scores[place]))
        assert np.isfinite(found.scores).sum() == (whole.scores >= whole.scores[place]).sum()
    assert (model.recommend("u1", 3, min_score=1e300).items == -1).all()  # beyond float32, in which scores are
    assert model.recommend("u1", 3, min_score=-1e300).items.tolist() == model.recommend("u1", 3).items.tolist()
    for wrong in ("0.5", np.nan, np.inf, True):
        with pytest.raises(ValueError, match=r"Recommender\.recommend: min_score must be a finite number or None"):
            model.recommend("u1", min_score=wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be an integer of at least 1"),
        ({"n": 2.5}, "n must be an integer"),
        ({"storage": "float64"}, "storage must be 'float32' or 'float16'"),
        ({"users": None}, "users must be given where there is no history"),
    ],
)
def test_bad_lists_raise(options, message):
    with pytest.raises(ValueError, match=rf"Recommender\.recommend: {message}"):
        weights_model()[0].recommend(**{"users": "u1", **options})


def test_lists_need_what_was_seen_or_be_told_not_to():
    model, _ = weights_model(seen=None)
    with pytest.raises(ValueError, match="exclude_seen must be False for a model that does not know"):
        model.recommend("u1")
    assert model.recommend("u1", exclude_seen=False).items.shape == (10,)


def test_neighbours_are_those_of_the_scores():
    model, _ = weights_model()
    weights = model.state.scores.weights.toarray()
    ids, near = model.similar_items([103, 7], 20)
    stored = [other for other in np.flatnonzero(weights[3]).tolist() if other != 3]
    wanted = sorted(stored, key=lambda other: (-weights[3, other], other))
    assert ids[0, : len(wanted)].tolist() == [100 + other for other in wanted]
    np.testing.assert_array_equal(near[0, : len(wanted)], weights[3, wanted])
    assert (ids[0, len(wanted) :] == -1).all()
    assert (ids[1] == -1).all()
    assert not hasattr(model, "similar_users")
    assert not hasattr(model, "on_device")
    assert hasattr(labels_model()[0], "similar_users")


# ---------------------------------------------------------------------------------------------------------------
# Histories
# ---------------------------------------------------------------------------------------------------------------


def newcomers(*more):
    return Ratings.from_coo(
        ["n", "n", "o", "o", *["o"] * len(more)], [102, 101, 113, 100, *more], [1.0, -2, 3, 0.5, *[1.0] * len(more)]
    )


def histories():
    ratings = newcomers()
    entries = [(0, 102), (0, 101), (1, 113), (1, 100)]
    matrix = scipy.sparse.coo_array(([1.0, -2, 3, 0.5], ([0, 0, 1, 1], [2, 1, 13, 0])), (2, N_ITEMS))
    return {
        "ratings": (ratings, ["n", "o"]),
        "csr": (matrix.tocsr(), [0, 1]),
        "csc matrix": (scipy.sparse.csc_matrix(matrix), [0, 1]),
        "pairs": ((np.array(entries), np.array([1.0, -2, 3, 0.5])), [0, 1]),
        "lists": ((entries, [1.0, -2, 3, 0.5]), [0, 1]),
    }


@pytest.mark.parametrize("kind", histories())
def test_histories_answer_as_the_model_folded_in(kind):
    model, _ = weights_model()
    history, users = histories()[kind]
    folded = model.fold_in(newcomers())
    weights = model.state.scores.weights.toarray().astype(np.float64)
    table = np.zeros((2, N_ITEMS))
    table[0, [2, 1]], table[1, [13, 0]] = [1, -2], [3, 0.5]
    wanted = (table @ weights).ravel()
    predicted = model.predict(every_pair(users), history=history, clip=False)
    np.testing.assert_allclose(predicted, wanted, atol=1e-4)
    np.testing.assert_array_equal(predicted, folded.predict(every_pair(["n", "o"]), clip=False))
    best = folded.recommend(["n", "o"], 8)
    for asked in (None, users):
        found = model.recommend(asked, 8, history=history)
        np.testing.assert_array_equal(found.items, best.items)
        np.testing.assert_array_equal(found.scores, best.scores)
    assert not {102, 101} & set(best.items[0].tolist())
    whole = model.recommend(users, N_ITEMS, history=history, exclude_seen=False)
    assert {102, 101} <= set(whole.items[0].tolist())
    one = model.recommend(users[1], 3, history=history)
    np.testing.assert_array_equal(one.items, best.items[1, :3])
    stranger = "x" if kind == "ratings" else 2
    assert (model.predict(every_pair([stranger]), history=history, clip=False) == 0).all()
    assert model.users_ is USERS  # no state was swapped


def test_histories_skip_unknown_items_and_may_be_empty():
    model, _ = weights_model()
    np.testing.assert_array_equal(
        model.predict(every_pair(["n", "o"]), history=newcomers(7, 8)),
        model.predict(every_pair(["n", "o"]), history=newcomers()),
    )
    empty = scipy.sparse.csr_array((3, N_ITEMS), dtype=np.float32)
    assert (model.predict(every_pair([0, 2]), history=empty, clip=False) == 0).all()
    assert model.recommend(history=empty, n=2).items.shape == (3, 2)
    gap = ([(0, 101), (3, 102)], [1.0, 1.0])
    assert model.recommend(history=gap, n=2).items.shape == (4, 2)
    doubled = scipy.sparse.csr_array((np.ones(2, np.float32), [3, 3], [0, 2]), (1, N_ITEMS))  # the same entry twice
    np.testing.assert_array_equal(
        model.predict(every_pair([0]), history=doubled), model.predict(every_pair([0]), history=([(0, 103)], [2.0]))
    )
    small = scipy.sparse.csr_array((np.full(2, 100, np.int8), [3, 3], [0, 2]), (1, N_ITEMS))
    scale = "history: ratings must be of the scale of the training, which was from -1 to 2; got 200"
    with pytest.warns(fastcf.DataWarning, match=scale):
        summed = model.predict(every_pair([0]), history=small)
    with pytest.warns(fastcf.DataWarning, match=scale):
        once = model.predict(every_pair([0]), history=([(0, 103)], [200.0]))
    np.testing.assert_array_equal(summed, once)  # added up as ratings, not in 8 bits


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        (
            np.zeros((2, 2)),
            TypeError,
            r"must be Ratings, a SciPy sparse matrix, or a tuple \(pairs, values\); got ndarray",
        ),
        (([(0, 101)],), TypeError, "got tuple"),
        (scipy.sparse.csr_array((2, 3)), ValueError, r"a column for each of the model's 14 items; got \(2, 3\)"),
        (scipy.sparse.coo_array(np.ones(N_ITEMS)), ValueError, r"a column for each of .* items; got \(14,\)"),
        (scipy.sparse.eye(2, N_ITEMS, format="csr") * 1j, TypeError, "ratings must be real numbers; got dtype complex"),
        (scipy.sparse.eye(2, N_ITEMS, format="csr") * np.nan, ValueError, "ratings must be finite; got nan at entry 0"),
        (scipy.sparse.eye(2, N_ITEMS, format="csr") * 1e300, ValueError, "must be finite as float32; got 1e"),
        (scipy.sparse.eye(2, N_ITEMS, format="csr", dtype=bool), TypeError, "ratings must be real .* got dtype bool"),
        (([("n", 101)], [1.0]), ValueError, "pairs must begin with row numbers from 0.*got 'n'"),
        (([(-1, 101)], [1.0]), ValueError, "row numbers from 0, one per new user; got -1"),
        (([(10**8, 101)], [1.0]), ValueError, "row numbers from 0, one per new user; got 100000000"),
        (([(0, 101)], [1.0, 2.0]), ValueError, "must have as many entries"),
    ],
)
def test_bad_histories_raise(history, error, message):
    model, _ = weights_model()
    for call in (lambda: model.recommend(history=history), lambda: model.predict([(0, 101)], history=history)):
        with pytest.raises(error, match=rf"Recommender\.\w+: history.*{message}"):
            call()


def test_pairs_that_are_none_raise():
    model, _ = weights_model()
    with pytest.raises(ValueError, match=r"Recommender\.predict: X must have two dimensions .* got shape \(14,\)"):
        model.predict(scipy.sparse.coo_array(np.ones(N_ITEMS)))
    pairs = np.ma.array([[1, 101], [2, 102]], mask=[[0, 0], [0, 1]])
    with pytest.raises(TypeError, match=r"a missing value \(masked\) at entry 1"):
        model.predict(pairs)
    with pytest.raises(TypeError, match=r"a missing value \(masked\) at entry 1"):
        fastcf.BiasModel().fit(pairs, [1.0, 2.0])
    assert fastcf.BiasModel().fit(np.ma.array([[1, 101], [2, 102]]), [1.0, 2.0]).users_.ids.tolist() == [1, 2]


def test_models_say_which_new_rows_they_compute():
    model, _ = weights_model()
    with pytest.raises(ValueError, match=r"fold_in: by must be 'user' \(of items\); got 'item'"):
        model.fold_in(newcomers(), by="item")
    with pytest.raises(ValueError, match=r"fold_in: by must be 'user' or 'item'; got 'film'"):
        model.fold_in(newcomers(), by="film")
    with pytest.raises(ValueError, match=r"fold_in: X must be given; got None"):
        model.fold_in()
    labels, _ = labels_model()
    assert not hasattr(labels, "fold_in")
    with pytest.raises(ValueError, match=r"predict: history: Recommender computes no new rows from ratings"):
        labels.predict([("n", 101)], history=newcomers())


# ---------------------------------------------------------------------------------------------------------------
# The state
# ---------------------------------------------------------------------------------------------------------------


def test_attributes_are_views_of_the_state():
    model, _ = labels_model()
    assert model.users_ is USERS
    assert model.reg_ == 0.5
    assert model.item_factors_ is model.state.scores.item_factors
    assert {"users_", "reg_", "item_bias_"} <= set(dir(model))
    assert not {"hidden_", "history_", "n_epochs_"} & set(dir(model))
    for name in ("hidden_", "history_", "n_epochs_", "nothing_", "nothing"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(model, name)
    with pytest.raises(AttributeError, match="reg_ is a view of what fit has learnt and cannot be set"):
        model.reg_ = 1.0
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict_matrix(), model.predict_matrix())


def test_use_before_fit_raises():
    model = Recommender()
    for use in (
        lambda: model.predict([(1, 2)]),
        lambda: model.recommend(1),
        model.predict_matrix,
        lambda: model.score([(1, 2)], [1]),
        lambda: model.similar_items(1),
        lambda: model.fold_in([(1, 2)], [1.0]),
        lambda: model.predict_proba([(1, 2)]),
        lambda: model.state,
    ):
        with pytest.raises(NotFittedError, match=r"Recommender\.\w+: the model must be fitted first"):
            use()
    with pytest.raises(AttributeError, match="users_ is known after fit only"):
        _ = model.users_
    assert not hasattr(model, "item_factors_")


def test_answers_are_of_one_state_while_states_are_swapped():
    model = fastcf.BiasModel()
    states = []
    for seed, shift in ((0, 0), (1, 50)):
        ratings = fastcf.data.make_ratings(40, 30, 500, random_state=seed)
        users, items, values = ratings.to_coo()
        states.append(fastcf.BiasModel().fit(Ratings.from_coo(users, items + shift, values)).state)
    model._swap(states[0])
    known = []
    for state in states:
        model._swap(state)
        known.append([part.tolist() for part in (*model.recommend([1, 2], 30), model.predict_matrix([1, 2]))])
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            best, block = model.recommend([1, 2], 30), model.predict_matrix([1, 2])
            if [part.tolist() for part in best] not in [each[:2] for each in known]:
                wrong.append(best)
            if block.tolist() not in [each[2] for each in known]:
                wrong.append(block)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(2_000):
        model._swap(states[turn % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
