"""Rules of lists against plain Python: stock, boosts, quotas, what single users do not get; models fitted again."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from choice_models import CHOICE_MODELS
from fastcf import IdMap, Ratings, Recommender
from fastcf.retrieval import Popular, TopItems, TwoStageRecommender
from fastcf.scores import FactorScores, SeenItems, State
from fastcf.serving import Rules

N_USERS, N_ITEMS = 6, 90
ITEMS = [f"i{item:02}" for item in range(N_ITEMS)]
RATINGS = fastcf.data.make_ratings(60, 40, 900, random_state=0)


def whole_model(rng):
    """Return a model whose scores are whole numbers, exact and often tied, and its scores."""
    users, items = rng.integers(-2, 3, (N_USERS, 3)), rng.integers(-2, 3, (N_ITEMS, 3))
    bias = rng.integers(-2, 3, N_USERS), rng.integers(-2, 3, N_ITEMS)
    scores = FactorScores(*(part.astype(np.float32) for part in (users, items, *bias)), 3.0)
    mask = rng.random((N_USERS, N_ITEMS)) < 0.2
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    seen = SeenItems(indptr, np.nonzero(mask)[1].astype(np.int32))
    model = Recommender()
    model._state = State(IdMap(range(N_USERS)), IdMap(ITEMS), seen, scores, (-np.inf, np.inf), "cpu")
    return model, users @ items.T + bias[0][:, None] + bias[1] + 3.0, mask


def some_rules(rng):
    """Return the arguments of rules, of ids of which some are unknown."""
    known = [*ITEMS, "x", "y"]
    given = {}
    if rng.random() < 0.5:
        given["candidates"] = rng.choice(known, 60, replace=False)
    if rng.random() < 0.5:
        given["exclude"] = rng.choice(known, 10).tolist()
    if rng.random() < 0.5:
        given["exclude_for"] = {int(user): rng.choice(known, 5).tolist() for user in rng.choice(9, 4, replace=False)}
    if rng.random() < 0.6:
        given["boosts"] = {str(item): float(rng.integers(-3, 4)) for item in rng.choice(known, 30, replace=False)}
    if rng.random() < 0.6:
        n_kinds = int(rng.choice([1, 2, 30]))
        of_items = {str(i): rng.integers(n_kinds, size=rng.integers(0, 4)) for i in rng.choice(known, 70, False)}
        given["categories"] = {i: own.tolist() if own.size != 1 else int(own[0]) for i, own in of_items.items()}
        used = sorted({int(one) for own in of_items.values() for one in own})
        limits = {kind: int(rng.integers(0, 4)) for kind in used if rng.random() < 0.7}
        given["quotas"] = int(rng.integers(0, 4)) if rng.random() < 0.5 else limits
    return given


def plain_list(scores, items, user, n, given, left_out=()):
    """Return the list of one user by rules, item by item."""
    limits = given.get("quotas", {})
    boosts, kinds, taken, out = given.get("boosts", {}), given.get("categories", {}), {}, []
    for row in sorted(range(len(items)), key=lambda row: (-scores[row] - boosts.get(items[row], 0), row)):
        item = items[row]
        if item in left_out or item not in given.get("candidates", items) or item in given.get("exclude", ()):
            continue
        if item in given.get("exclude_for", {}).get(user, ()):
            continue
        own = np.unique(kinds.get(item, [])).tolist()
        most = limits if isinstance(limits, dict) else dict.fromkeys(own, limits)
        if any(taken.get(kind, 0) >= most.get(kind, np.inf) for kind in own):
            continue
        taken |= {kind: taken.get(kind, 0) + 1 for kind in own}
        out.append(row)
        if len(out) == n:
            break
    return out


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 100]), st.booleans(), st.booleans())
def test_rules_equal_plain_python(seed, n, exclude_seen, own_candidates):
    rng = np.random.default_rng(seed)
    model, scores, seen = whole_model(rng)
    given_rules = some_rules(rng)
    users = rng.permutation(N_USERS).tolist()
    options = {}
    if own_candidates:
        options["candidates"] = [rng.choice(ITEMS, 30, replace=False).tolist() for _ in users]
    found = model.recommend(users, n, exclude_seen=exclude_seen, rules=Rules(**given_rules), **options)
    for place, user in enumerate(users):
        left_out = {ITEMS[row] for row in np.flatnonzero(seen[user])} if exclude_seen else set()
        if own_candidates:
            left_out |= set(ITEMS) - set(options["candidates"][place])
        wanted = plain_list(scores[user], ITEMS, user, n, given_rules, left_out)
        padding = n - len(wanted)
        assert found.items[place].tolist() == [ITEMS[row] for row in wanted] + [""] * padding
        assert found.scores[place].tolist() == scores[user][wanted].tolist() + [-np.inf] * padding
    alone = model.recommend(
        users[0],
        n,
        exclude_seen=exclude_seen,
        rules=Rules(**given_rules),
        candidates=(options["candidates"][0] if own_candidates else None),
    )
    assert alone.items.tolist() == found.items[0].tolist()


@pytest.mark.parametrize("name", [name for name in CHOICE_MODELS if name != "softmax"])
def test_rules_of_every_family_equal_plain_python(name):
    model = CHOICE_MODELS[name](threshold=4).fit(RATINGS)
    rng = np.random.default_rng(0)
    items = model.items_.ids.tolist()
    given = {
        "exclude": rng.choice(items, 5, replace=False).tolist(),
        "boosts": {item: float(value) for item, value in zip(items[::3], rng.normal(0, 0.2, 14), strict=True)},
        "categories": {item: item % 4 for item in items if item % 5},
        "quotas": {0: 1, 1: 3, 2: 2},
        "exclude_for": {3: items[:10], 7: items[20:]},
    }
    state, users = model.state, [3, 7, 11, 59]
    compute = model._compute(state, "test")
    rows = state.users.rows(users)
    for part in (given, {"exclude": given["exclude"]}, {"boosts": given["boosts"]}):
        found = model.recommend(users, 12, rules=Rules(**part))
        everything = np.tile(np.arange(len(items), dtype=np.int32), len(users))
        table = state.scores.listed(np.repeat(rows, len(items)), everything, compute).reshape(len(users), -1)
        for place, (user, row) in enumerate(zip(users, rows, strict=True)):
            seen = {items[i] for i in state.seen.of(rows[place : place + 1])[1]}
            unlisted = {items[i] for i in np.flatnonzero(np.isneginf(table[place]))}
            wanted = plain_list(table[place], items, user, 12, part, seen | unlisted)
            got = state.items.rows(found.items[place][found.mask[place]])
            boosts = np.array([part.get("boosts", {}).get(item, 0) for item in items])
            assert got.size == len(wanted), (name, row)
            order = (table[place] + boosts)[got]
            np.testing.assert_allclose(order, (table[place] + boosts)[wanted], atol=1e-5)
            pairs = [(user, item) for item in found.items[place][found.mask[place]]]
            np.testing.assert_allclose(found.scores[place][found.mask[place]], model.predict(pairs), atol=1e-5)


def test_rules_are_never_those_of_another_models_rows():
    users, items, values = RATINGS.to_coo()
    mirrored = Ratings.from_coo(users, 39 - items, values)
    kinds = dict.fromkeys(range(20, 40), "a")
    given = {"exclude": range(20), "boosts": {30: 2.0}, "categories": kinds, "quotas": 3}
    rules, model = Rules(**given), fastcf.MatrixFactorization(4, n_epochs=3, random_state=0)
    for ratings in (RATINGS, mirrored, RATINGS):
        model.fit(ratings)
        got = model.recommend(range(60), 8, rules=rules)
        np.testing.assert_array_equal(got.items, model.recommend(range(60), 8, rules=Rules(**given)).items)
        assert not np.isin(got.items[got.mask], range(20)).any()
        assert got.mask.sum(axis=1).max() == 3


def test_rules_are_resolved_once_for_a_model_and_again_for_other_items():
    rules = Rules(exclude=[1, 2])
    first, same, other = IdMap([1, 2, 3]), IdMap([1, 2, 3]), IdMap([3, 2])
    resolved = rules.over(first, "test")
    assert rules.over(first, "test") is resolved
    assert rules.over(same, "test") is resolved
    assert rules.over(other, "test").offset.values.tolist() == [0, -np.inf]
    assert rules.over(first, "test") is resolved
    for _ in range(10):
        rules.over(IdMap(np.arange(np.random.default_rng(0).integers(5, 9))), "test")
    assert rules.over(first, "test").offset.values.tolist() == [-np.inf, -np.inf, 0]
    assert pickle.loads(pickle.dumps(rules)).over(other, "test").offset.values.tolist() == [0, -np.inf]
    model = fastcf.BiasModel().fit(RATINGS)
    assert rules.prepare(model) is rules


def test_rules_do_not_change_with_the_callers_arrays():
    ids, values = np.arange(5), np.ones(5, np.float32)
    rules = Rules(boosts=(ids, values), exclude=ids[:2])
    ids[:] = 7
    values[:] = 9
    assert ids.flags.writeable
    assert rules.over(IdMap(range(6)), "test").offset.values.tolist() == [-np.inf, -np.inf, 1, 1, 1, 0]


def test_rules_serve_threads_while_a_model_is_fitted_again():
    first = fastcf.MatrixFactorization(4, n_epochs=2, random_state=0).fit(RATINGS)
    users, items, values = RATINGS.to_coo()
    other = Ratings.from_coo(users, 100 - items, values)
    rules, failures = Rules(exclude=[50, 95], categories=dict.fromkeys(range(101), 0), quotas=4), []

    def ask():
        for _ in range(50):
            got = first.recommend([1, 2], 6, rules=rules)
            if np.isin(got.items[got.mask], [50, 95]).any() or (got.mask.sum(axis=1) > 4).any():
                failures.append(got)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for ratings in (other, RATINGS, other):
        first.fit(ratings)
    for thread in threads:
        thread.join()
    assert not failures


def test_rules_for_users_given_by_their_history():
    model = fastcf.MatrixFactorization(4, solver="als", n_epochs=3, random_state=0).fit(RATINGS)
    rules = Rules(exclude_for=([0, 0, 70], [5, 6, 7]))
    pairs, values = [(0, 1), (0, 2)], [5.0, 4.0]
    rows = model.recommend(history=(pairs, values), n=40, rules=rules)  # row 0 is no user 0
    assert {5, 6, 7} <= set(rows.items[0].tolist())
    ids = model.recommend(history=Ratings.from_coo([70, 70], [1, 2], values), n=40, rules=rules)
    assert 7 not in ids.items[0].tolist()
    assert {5, 6} <= set(ids.items[0].tolist())
    assert not {1, 2} & set(ids.items[0].tolist())


def test_min_score_is_compared_with_predictions_not_with_boosts():
    model, scores, seen = whole_model(np.random.default_rng(3))
    boosted = {ITEMS[int(np.argmin(scores[0]))]: 100.0, ITEMS[int(np.argmax(np.where(seen[0], -9, scores[0])))]: 99.0}
    found = model.recommend(0, 90, rules=Rules(boosts=boosted), min_score=2, exclude_seen=False)
    assert found.items[0] == list(boosted)[1]
    assert found.mask.sum() == (scores[0] >= 2).sum()
    assert (found.scores[found.mask] >= 2).all()
    assert not found.mask[found.mask.sum() :].any()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 60]))
def test_rules_of_two_steps_equal_plain_python(seed, n):
    rng = np.random.default_rng(seed)
    model, scores, seen = whole_model(rng)
    sources = [("top", TopItems(model, k=50)), ("popular", Popular(k=60))]
    users, rows = np.nonzero(seen)
    ratings = Ratings.from_coo(users, np.array(ITEMS)[rows], np.ones(users.size))
    recommender = TwoStageRecommender(sources, model).fit(ratings)
    given_rules = some_rules(rng)
    asked = list(range(N_USERS))
    unruled = recommender.recommend(asked, 90)
    found = recommender.recommend(asked, n, rules=Rules(**given_rules))
    for user in asked:
        pool = set(unruled.items[user][np.isfinite(unruled.scores[user])].tolist())
        wanted = plain_list(scores[user], ITEMS, user, n, given_rules, set(ITEMS) - pool)
        padding = n - len(wanted)
        assert found.items[user].tolist() == [ITEMS[row] for row in wanted] + [""] * padding
        assert found.scores[user].tolist() == scores[user][wanted].tolist() + [-np.inf] * padding
        assert ((found.found_by[user] > 0) == (np.arange(n) < len(wanted))).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"quotas": 3}, ValueError, "categories must be given with quotas; got None"),
        ({"categories": {1: 2}}, ValueError, "quotas must be given with categories; got None"),
        ({"categories": {1: "a"}, "quotas": -1}, ValueError, "quotas must be an integer of at least 0.*got -1"),
        ({"categories": {1: "a"}, "quotas": {"a": 1.5}}, ValueError, "quotas must be an integer.*got 1.5"),
        ({"categories": {1: "a"}, "quotas": {"b": 1}}, ValueError, "categories of items; got 'b', which no item has"),
        ({"categories": ([1], ["a", "b"]), "quotas": 1}, ValueError, "one entry per item; got 2 for 1 items"),
        ({"categories": ([1, 2], [["a", "b"]]), "quotas": 1}, ValueError, "one entry per item; got 1 for 2 items"),
        ({"boosts": ([1, 2], [1.0])}, ValueError, "boosts must have one value per item; got 1 for 2 items"),
        ({"boosts": {1: np.inf}}, ValueError, "boosts must be finite; got inf at entry 0"),
        ({"boosts": {1: "much"}}, TypeError, "boosts must be real numbers"),
        ({"boosts": [1.0]}, TypeError, "boosts must be a mapping or a tuple of two arrays; got list"),
        ({"exclude": [1.5]}, TypeError, "exclude must be integers or strings"),
        ({"exclude_for": ([1, 2], [3])}, ValueError, "one item per user; got 1 for 2"),
    ],
)
def test_bad_rules_are_refused(arguments, error, message):
    with pytest.raises(error, match=f"Rules: .*{message}"):
        Rules(**arguments)


def test_rules_of_ids_of_another_kind_are_refused_by_name():
    model = fastcf.BiasModel().fit(RATINGS)
    with pytest.raises(
        TypeError, match=r"BiasModel\.recommend: rules: exclude must be integers, or their decimal texts"
    ):
        model.recommend(1, rules=Rules(exclude=["film"]))
    assert 7 not in model.recommend(1, 40, rules=Rules(exclude=["7"])).items


def test_items_of_several_categories_count_in_each():
    model = fastcf.BiasModel().fit(RATINGS)
    first, second, third, fourth = model.recommend(1, 4).items.tolist()
    genres = {first: ["crime", "drama"], second: "drama", third: ["crime"], fourth: ["drama", "drama", "war"]}
    pairs = [(item, genre) for item, own in genres.items() for genre in ([own] if isinstance(own, str) else own)]
    column = np.array([*genres.values(), None], dtype=object)[:-1]  # as a table has a column of lists
    arrays = {item: np.array(own, dtype=str, ndmin=1) for item, own in genres.items()}
    forms = [genres, arrays, (list(genres), list(genres.values())), (np.array(list(genres)), column)]
    for categories in (*forms, tuple(map(list, zip(*pairs, strict=True)))):
        rules = Rules(candidates=list(genres), categories=categories, quotas={"crime": 1, "drama": 2})
        assert model.recommend(1, 4, rules=rules).items.tolist() == [first, second, -1, -1]


def test_rules_without_anything_change_nothing():
    model = fastcf.BiasModel().fit(RATINGS)
    plain = model.recommend([1, 2, 99], 40)
    for rules in (Rules(), Rules(exclude=[]), Rules(boosts={}), Rules(categories={}, quotas=1), Rules(exclude_for={})):
        got = model.recommend([1, 2, 99], 40, rules=rules)
        np.testing.assert_array_equal(got.items, plain.items)
        np.testing.assert_array_equal(got.scores, plain.scores)
    assert not model.recommend([1, 2], rules=Rules(candidates=[])).mask.any()
