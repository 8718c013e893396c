"""Retrievers against plain Python, and what they promise about order, threads and strangers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import fastcf
from blends import Curved
from fastcf import Ratings
from fastcf.retrieval import Candidates, NearestVectors, Popular, RelatedItems, Retriever, TopPerGroup

COUNTRIES = ["DE", "FR", "", "DE|FR"]
GENRES = ["Comedy", "Drama", "Comedy|Drama", "", "War"]


def made_up(seed, n_users=12, n_items=20, n=80, timestamps=True):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_users * n_items, n, replace=False)
    times = rng.integers(0, 50, n) if timestamps else None
    ratings = rng.integers(1, 6, n).astype(np.float32)
    return Ratings.from_coo(pairs // n_items + 100, pairs % n_items + 1000, ratings, timestamps=times)


def rows_of(candidates):
    """Return a dictionary from item id to score, per user; checks the form on the way."""
    assert candidates.indptr.dtype == np.int64
    assert candidates.indices.dtype == np.int32
    assert candidates.scores.dtype == np.float32
    assert candidates.indptr[-1] == candidates.indices.size == candidates.scores.size
    rows = []
    for begin, end in zip(candidates.indptr, candidates.indptr[1:], strict=False):
        items = candidates.indices[begin:end]
        assert (np.diff(items) > 0).all()
        rows.append(dict(zip(candidates.items.ids[items].tolist(), candidates.scores[begin:end], strict=True)))
    return rows


def assert_rows(candidates, expected):
    for got, wanted in zip(rows_of(candidates), expected, strict=True):
        assert got.keys() == wanted.keys()
        for item, score in wanted.items():
            assert got[item] == pytest.approx(score, rel=1e-5, abs=1e-6)


def entries(ratings):
    """Return (user, item, rating, time) of each rating."""
    times = ratings.timestamps if ratings.timestamps is not None else np.zeros(ratings.nnz, int)
    return list(zip(*(column.tolist() for column in (*ratings.to_coo(), times)), strict=True))


def options_of(by, half_life, shrinkage):
    """Return parameters of a retriever; counts have no shrinkage."""
    return {"by": by, "half_life": half_life} | ({"shrinkage": shrinkage} if by == "mean" else {})


def plain_popularity(log, by, half_life, shrinkage, mean):
    """Return the score of each item of some ratings."""
    latest = max(time for *_, time in log)
    sums = {}
    for _, item, rating, time in log:
        weight = 1.0 if half_life is None else 0.5 ** ((latest - time) / half_life)
        count, total = sums.get(item, (0.0, 0.0))
        sums[item] = count + weight, total + weight * rating
    if by == "count":
        return {item: count for item, (count, _) in sums.items()}
    return {item: (total + shrinkage * mean) / (count + shrinkage) for item, (count, total) in sums.items()}


def weighted_mean(log, half_life):
    latest = max(time for *_, time in log)
    weights = [1.0 if half_life is None else 0.5 ** ((latest - time) / half_life) for *_, time in log]
    return sum(w * rating for w, (_, _, rating, _) in zip(weights, log, strict=True)) / sum(weights)


def first(scores, k, without=()):
    """Return the k best of a dictionary from item to score that are not to be left out."""
    best = sorted((-np.float32(score), item) for item, score in scores.items() if item not in without)
    return {item: scores[item] for _, item in best[:k]}


def union(parts):
    merged = {}
    for part in parts:
        for item, score in part.items():
            merged[item] = max(score, merged.get(item, -np.inf))
    return merged


def seen_by(log):
    seen = {}
    for user, item, *_ in log:
        seen.setdefault(user, set()).add(item)
    return seen


popularity = st.tuples(st.sampled_from(["count", "mean"]), st.sampled_from([None, 8.0]), st.sampled_from([0.0, 5.0]))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), popularity, st.sampled_from([1, 3, 30]), st.booleans(), st.booleans())
def test_popular_equals_plain_python(seed, scoring, k, grouped, exclude_seen):
    by, half_life, shrinkage = scoring
    ratings = made_up(seed)
    log, seen = entries(ratings), seen_by(entries(ratings))
    # one known user is in no table; a stranger is
    country = {user: COUNTRIES[(user + seed) % 4] for user in [*ratings.users.ids.tolist()[1:], 555]}
    groups = (list(country), list(country.values())) if grouped else None
    retriever = Popular(k, user_groups=groups, **options_of(*scoring)).fit(ratings)
    latest = max(time for *_, time in log)
    mean = weighted_mean(log, half_life)
    asked = [*ratings.users.ids.tolist(), 555, 777]
    expected = []
    for user in asked:
        own = [name for name in country.get(user, "").split("|") if name] if grouped else []
        parts = [[e for e in log if name in country.get(e[0], "").split("|")] for name in own] if own else [log]
        # ages are those of all ratings, also within a group
        ages = [[*part, (0, "age", 0.0, latest)] for part in parts if part]
        scores = [plain_popularity(part, by, half_life, shrinkage, mean) for part in ages]
        for each in scores:
            del each["age"]
        without = seen.get(user, set()) if exclude_seen else set()
        expected.append(union(first(each, k, without) for each in scores))
    assert_rows(retriever.retrieve(asked, exclude_seen=exclude_seen), expected)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), popularity, st.sampled_from([1, 3, 30]), st.sampled_from([1, 2, 5]), st.booleans())
def test_top_per_group_equals_plain_python(seed, scoring, k, n_groups, exclude_seen):
    by, half_life, shrinkage = scoring
    ratings = made_up(seed)
    log, seen = entries(ratings), seen_by(entries(ratings))
    items = [*ratings.items.ids.tolist()[1:], 9999]  # one rated item has no genre, one with a genre has no ratings
    genres = {item: GENRES[(item + seed) % 5].split("|") for item in items}
    labels = ["|".join(genres[item]) for item in items]
    retriever = TopPerGroup((items, labels), n_groups, k, **options_of(*scoring)).fit(ratings)
    latest = max(time for *_, time in log)
    scores = plain_popularity(log, by, half_life, shrinkage, weighted_mean(log, half_life))
    asked = [*ratings.users.ids.tolist(), 777]
    expected = []
    for user in asked:
        counts = {}
        for owner, item, _, time in log:
            for genre in genres.get(item, []) if owner == user else []:
                if genre:
                    weight = 1.0 if half_life is None else 0.5 ** ((latest - time) / half_life)
                    counts[genre] = counts.get(genre, 0.0) + weight
        favourites = sorted(counts, key=lambda genre: (-np.float32(counts[genre]), genre))[:n_groups]
        without = seen.get(user, set()) if exclude_seen else set()
        lists = [{i: s for i, s in scores.items() if genre in genres.get(i, [])} for genre in favourites]
        expected.append(union(first(each, k, without) for each in lists))
    assert_rows(retriever.retrieve(asked, exclude_seen=exclude_seen), expected)


def test_top_per_group_takes_feature_tables():
    ratings = made_up(0)
    members = np.random.default_rng(0).random((ratings.n_items, 3)) < 0.5
    names = np.array(["a", "b", "c"])
    labels = ["|".join(names[row]) for row in members]
    by_label = TopPerGroup((ratings.items, labels), 2, 4).fit(ratings)
    for matrix in (members, scipy.sparse.csr_matrix(members * -2.5)):
        table = TopPerGroup(fastcf.FeatureTable(ratings.items, matrix), 2, 4).fit(ratings)
        np.testing.assert_array_equal(table.user_groups_, by_label.user_groups_)
        assert rows_of(table.retrieve(ratings.users.ids)) == rows_of(by_label.retrieve(ratings.users.ids))


def test_groups_of_none_nan_and_nothing_are_no_groups():
    ratings = Ratings.from_coo([1, 1, 2, 3, 4], [1, 2, 2, 3, 3], [1.0] * 5)
    labels = np.array([None, float("nan"), "", "FR"], object)
    retriever = Popular(2, user_groups=([1, 2, 3, 4], labels)).fit(ratings)
    assert retriever.group_names_.tolist() == ["FR"]
    got = rows_of(retriever.retrieve([1, 2, 3, 4], exclude_seen=False))
    assert got == [{2: 2.0, 3: 2.0}] * 3 + [{3: 1.0}]
    nobody = Popular(2, user_groups=([1], [""])).fit(ratings)
    assert rows_of(nobody.retrieve(1, exclude_seen=False)) == [{2: 2.0, 3: 2.0}]


@pytest.fixture(scope="module")
def fitted():
    ratings = fastcf.data.make_ratings(300, 150, 9_000, random_state=1)
    times = np.random.default_rng(1).integers(0, 1000, ratings.nnz)
    users, items, values = ratings.to_coo()
    ratings = Ratings.from_coo(users, items, values, timestamps=times)
    return ratings, fastcf.MatrixFactorization(8, random_state=0).fit(ratings)


def plain_recent(log, user, n, timed):
    own = [(-time if timed else 0, -rating, item) for owner, item, rating, time in log if owner == user]
    return [item for *_, item in sorted(own)[:n]]


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_related_items_are_the_neighbours_of_the_last_ones(fitted, metric, timed, exclude_seen):
    ratings, model = fitted
    log = entries(ratings)
    seen = seen_by(log)
    given = ratings if timed else Ratings.from_coo(*ratings.to_coo())
    retriever = RelatedItems(model, n_recent=3, k=5, metric=metric).fit(given)
    asked = [0, 17, 299, 10**6]
    expected = []
    for user in asked:
        lists = []
        for item in plain_recent(log, user, 3, timed):
            ids, scores = model.similar_items(item, n=10, metric=metric)
            near = dict(zip(ids.tolist(), -scores if metric == "euclidean" else scores, strict=True))
            lists.append(first(near, 5, seen.get(user, set()) if exclude_seen else ()))
        expected.append(union(lists))
    assert_rows(retriever.retrieve(asked, exclude_seen=exclude_seen), expected)


def test_related_items_of_newer_ratings_without_fitting_the_model_again(fitted):
    _, model = fitted
    newer = Ratings.from_coo([5, 5, 7], [3, 10**6, 4], [4.0, 5.0, 5.0], timestamps=[1, 2, 1])
    retriever = RelatedItems(model, n_recent=2, k=4).fit(newer)
    got = rows_of(retriever.retrieve([5, 7, 0]))
    for row, item in zip(got, (3, 4), strict=False):  # the model knows nothing of item 10**6
        assert set(row) <= set(model.similar_items(item, n=8).ids.tolist())
        assert len(row) == 4
    assert got[2] == {}


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_nearest_vectors_are_the_models_own_best(fitted, exclude_seen):
    ratings, model = fitted
    retriever = NearestVectors(model, k=12).fit()
    asked = [0, 17, 10**6, 299]
    got = retriever.retrieve(asked, exclude_seen=exclude_seen)
    best = model.recommend(asked, n=12, exclude_seen=exclude_seen)
    rows = rows_of(got)
    assert rows[2] == {}
    for position in (0, 1, 3):
        assert got.of(position)[0].tolist() == best.items[position].tolist()
    assert retriever.recall(asked) == 1.0
    assert np.isnan(retriever.recall([10**6]))
    everything = NearestVectors(model, k=10**4).fit().retrieve(0)
    assert everything.indptr.tolist() == [0, ratings.n_items - np.diff(ratings.indptr)[0]]


def test_nearest_vectors_leave_out_the_ratings_of_fit(fitted):
    _, model = fitted
    best = model.recommend(3, n=20).items
    later = Ratings.from_coo([3] * 5 + [10**6], [*best[:5], 10**6], [5.0] * 6)  # with strangers on both sides
    got = NearestVectors(model, k=4).fit(later).retrieve(3)
    free = model.recommend(3, n=20, exclude_seen=False).items
    assert got.of(0)[0].tolist() == [item for item in free if item not in best[:5]][:4]


def test_nearest_vectors_of_a_model_that_does_not_know_what_users_have_seen(fitted, tmp_path):
    ratings, model = fitted
    model.save(tmp_path / "m", include_seen=False)
    loaded = fastcf.load(tmp_path / "m")
    nearest = NearestVectors(loaded, 9).fit()
    with pytest.raises(ValueError, match=r"NearestVectors\.retrieve: exclude_seen must be False for a model that"):
        nearest.retrieve([3])
    expected = NearestVectors(model, 9).fit()
    for exclude_seen, retriever in ((False, nearest), (True, NearestVectors(loaded, 9).fit(ratings))):
        got, wanted = (each.retrieve([3], exclude_seen=exclude_seen) for each in (retriever, expected))
        np.testing.assert_array_equal(got.indices, wanted.indices)
    assert nearest.recall([3]) == 1.0


RETRIEVERS = {
    "popular": lambda model, ratings: Popular(9, by="mean"),
    "groups": lambda model, ratings: TopPerGroup((ratings.items, ratings.items.ids % 7), 3, 6),
    "related": lambda model, ratings: RelatedItems(model, 4, 6),
    "nearest": lambda model, ratings: NearestVectors(model, 9),
}


@pytest.mark.parametrize("name", RETRIEVERS)
def test_retrievers_answer_alike_alone_in_any_order_and_on_any_number_of_threads(fitted, name):
    ratings, model = fitted
    retriever = RETRIEVERS[name](model, ratings).fit(ratings)
    assert isinstance(retriever, Retriever)
    users = np.random.default_rng(0).permutation(310)  # the last ten are unknown
    together = rows_of(retriever.retrieve(users))
    assert sum(map(len, together)) > 1000
    for position in (0, 100, int(np.argmax(users == 305))):
        assert rows_of(retriever.retrieve(users[position])) == [together[position]]
    for n_threads in (1, 2, 4):
        assert rows_of(retriever.set_params(n_threads=n_threads).fit(ratings).retrieve(users)) == together
    seen = seen_by(entries(ratings))
    assert not any(seen.get(user, set()) & set(row) for user, row in zip(users.tolist(), together, strict=True))
    nobody = retriever.retrieve([])
    assert nobody.indptr.tolist() == [0]
    assert nobody.indices.size == 0
    assert isinstance(nobody, Candidates)


@pytest.mark.parametrize("name", ["popular", "groups"])
def test_retrievers_do_not_depend_on_the_order_of_ratings(name):
    ratings = made_up(3)
    users, items, values = ratings.to_coo()
    order = np.random.default_rng(0).permutation(ratings.nnz)
    shuffled = Ratings.from_coo(users[order], items[order], values[order], timestamps=ratings.timestamps[order])
    one, other = (RETRIEVERS[name](None, r).fit(r).retrieve(ratings.users.ids) for r in (ratings, shuffled))
    assert rows_of(one) == rows_of(other)


@pytest.mark.parametrize("name", RETRIEVERS)
def test_retrievers_permuted_ids_permute_candidates(fitted, name):
    ratings, _ = fitted
    users, items, values = ratings.to_coo()
    rng = np.random.default_rng(5)
    new_user, new_item = rng.permutation(300), rng.permutation(150)
    options = {"timestamps": ratings.timestamps}
    renamed = Ratings.from_coo(new_user[users], new_item[items], values, **options)
    model = fastcf.MatrixFactorization(4, random_state=0).fit(ratings)
    twin = fastcf.MatrixFactorization(4, random_state=0).fit(renamed)
    moved = {}
    for side, ids, new in (
        ("user_factors", "users_", new_user),
        ("item_factors", "items_", new_item),
        ("item_bias", "items_", new_item),
    ):
        array = getattr(model, f"{side}_")
        moved[side] = np.empty_like(array)
        moved[side][new[getattr(model, ids).ids]] = array
    twin._swap(twin.state.replaced(scores=twin.state.scores.replaced(**moved)))
    kinds = {"groups": lambda m, r, g: TopPerGroup((r.items, g), 3, 6, by="mean")}
    pairs = []
    for m, r, new in ((model, ratings, np.arange(150)), (twin, renamed, new_item)):
        group = np.empty(150, int)
        group[new] = np.arange(150) % 7
        retriever = kinds[name](m, r, group) if name in kinds else RETRIEVERS[name](m, r)
        asked = np.arange(300) if m is model else new_user
        pairs.append(rows_of(retriever.fit(r).retrieve(asked)))
    same = sum(
        {new_item[i] for i in one} == set(other)  # but for ties, which go by row
        for one, other in zip(*pairs, strict=True)
    )
    assert same >= 0.95 * 300


BAD = [
    (lambda m: Popular(0), ValueError, "Popular.fit: k must be an integer of at least 1"),
    (lambda m: Popular(by="sum"), ValueError, "Popular.fit: by must be 'count' or 'mean'; got 'sum'"),
    (lambda m: Popular(half_life=0.0), ValueError, "Popular.fit: half_life must be a positive finite number"),
    (lambda m: Popular(half_life=3.0), ValueError, "Popular.fit: half_life needs ratings with timestamps; got 3.0"),
    (lambda m: Popular(shrinkage=-1.0), ValueError, "shrinkage must be a finite number of at least 0; got -1.0"),
    (lambda m: Popular(shrinkage=3.0), ValueError, "Popular.fit: shrinkage must be 10.0 for by='count', where"),
    (
        lambda m: TopPerGroup(([1], ["a"]), shrinkage=3.0),
        ValueError,
        "TopPerGroup.fit: shrinkage must be 10.0 for by='count'",
    ),
    (lambda m: NearestVectors(m, m=32), ValueError, "NearestVectors.fit: m must be 16 for index='exact', where it has"),
    (lambda m: NearestVectors(m, ef_construction=9), ValueError, "ef_construction must be 128 for index='exact'"),
    (lambda m: RelatedItems(m, ef=9), ValueError, "RelatedItems.fit: ef must be 128 for index='exact'"),
    (lambda m: Popular(user_groups=[1]), TypeError, "user_groups must be a FeatureTable or a pair"),
    (lambda m: Popular(user_groups=([1, 2], ["a"])), ValueError, r"one label, a string or an integer, per id \(2\)"),
    (lambda m: TopPerGroup(None), TypeError, "TopPerGroup.fit: groups must be a FeatureTable or a pair"),
    (lambda m: TopPerGroup(([1], ["a"]), n_groups=0), ValueError, "n_groups must be an integer of at least 1"),
    (lambda m: RelatedItems(m, n_recent=0), ValueError, "RelatedItems.fit: n_recent must be an integer of at least 1"),
    (lambda m: RelatedItems(m, metric="l1"), ValueError, "metric must be 'cosine' or 'euclidean' or 'dot'; got 'l1'"),
    (lambda m: NearestVectors("mf"), TypeError, "NearestVectors.fit: model must be a model of this package; got str"),
    (lambda m: NearestVectors(m, index="annoy"), ValueError, "index must be 'exact' or 'usearch' or 'hnswlib'"),
    (lambda m: NearestVectors(m, ef=0), ValueError, "NearestVectors.fit: ef must be an integer of at least 1 and"),
    (lambda m: NearestVectors(fastcf.BiasModel()), NotFittedError, "NearestVectors.fit: model must be fitted first"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_retrievers_bad_parameters_raise(fitted, make, error, message):
    _, model = fitted
    with pytest.raises(error, match=message):
        make(model).fit(made_up(0, timestamps=False))


@pytest.mark.parametrize("name", RETRIEVERS)
def test_retrievers_before_fit_raise(fitted, name):
    ratings, model = fitted
    with pytest.raises(NotFittedError, match=r"\.retrieve: the retriever must be fitted first; call fit"):
        RETRIEVERS[name](model, ratings).retrieve([1])


def test_retrievers_that_could_not_be_fitted_are_not():
    retriever = Popular(half_life=3.0)
    with pytest.raises(ValueError, match="half_life"):
        retriever.fit(made_up(0, timestamps=False))
    with pytest.raises(NotFittedError):
        retriever.retrieve(1)


def test_nearest_vectors_need_vectors():
    ratings = made_up(0)
    mixed = fastcf.Blend([fastcf.BiasModel(), Curved()], reg=10.0, random_state=0).fit(ratings)  # both have a weight
    for model in (mixed, Curved().fit(ratings)):
        kind = type(model).__name__
        for retriever in (NearestVectors(model), RelatedItems(model)):
            message = rf"{type(retriever).__name__}\.fit: model must have a vector per item; got {kind}"
            with pytest.raises(TypeError, match=message):
                retriever.fit(ratings)


def test_nearest_vectors_of_a_linear_blend_are_its_own_best(fitted):
    ratings, _ = fitted
    members = [fastcf.BiasModel(), fastcf.MatrixFactorization(4, normalize="item")]
    blend = fastcf.Blend(members, random_state=0).fit(ratings)
    found = NearestVectors(blend, 9).fit().retrieve(ratings.users.ids)
    best = blend.recommend(ratings.users.ids, 9).items
    same = sum(set(found.of(row)[0]) == set(best[row]) - {-1} for row in range(len(best)))
    assert same >= 0.99 * len(best)  # but for sums that are rounded otherwise
