"""Two towers that learn choices: lists, popularity, cold items, entries that were not chosen, files."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.special import logsumexp

import fastcf
from fastcf.gradient_check import compare_gradients
from fastcf.models.two_tower.choices import log_weights

N_USERS, N_ITEMS, N_COLD, N_GROUPS = 120, 60, 12, 4


class Shop:
    """Users of four groups who choose items of their group, popular ones more often; cold items have features only."""

    def __init__(self):
        rng = np.random.default_rng(0)
        group = rng.integers(0, N_GROUPS, N_USERS)
        of_item = np.arange(N_ITEMS + N_COLD) % N_GROUPS
        self.group, self.of_item = group, of_item
        popularity = 1 / (1 + np.arange(N_ITEMS) // N_GROUPS)
        chance = np.where(group[:, None] == of_item[:N_ITEMS], 0.9, 0.05) * popularity**0.5
        chosen = rng.random(chance.shape) < chance
        chosen[np.arange(N_USERS), rng.integers(0, N_ITEMS, N_USERS)] = True  # nobody has none
        users, items = np.nonzero(chosen)
        held = rng.random(users.size) < 0.25
        self.ids = np.array([f"i{n:02d}" for n in range(N_ITEMS + N_COLD)])
        self.train = fastcf.Ratings.from_coo(users[~held], self.ids[items[~held]], np.ones((~held).sum(), np.float32))
        self.test = fastcf.Ratings.from_coo(users[held], self.ids[items[held]], np.ones(held.sum(), np.float32))
        features = np.eye(N_GROUPS)[of_item] + 0.2 * rng.standard_normal((N_ITEMS + N_COLD, N_GROUPS))
        self.items = fastcf.FeatureTable(self.ids, features)
        self.users = fastcf.FeatureTable(np.arange(N_USERS), np.eye(N_GROUPS)[group])


@pytest.fixture(scope="module")
def shop():
    return Shop()


def fitted(shop, X=None, y=None, validation=None, features=("item_features",), **options):
    tables = {"item_features": shop.items, "user_features": shop.users}
    given = {"n_epochs": 12, "batch_size": 64, "reg": 10.0, "random_state": 0, "ids": "both", **options}
    optimizer = fastcf.optimizers.Adam(0.01)
    model = fastcf.TwoTower((16,), (16,), 8, cost="softmax", optimizer=optimizer, **given)
    X = shop.train if X is None else X
    return model.fit(X, y, validation=validation, **{name: tables[name] for name in features})


def popular(shop):
    """Return the NDCG@10 of lists of the items chosen most often."""
    counts = np.bincount(shop.train.indices, minlength=shop.train.n_items)
    order = np.argsort(-counts, kind="stable")
    rows = shop.train.users.rows(shop.test.users.ids)
    lists = [
        [i for i in order if i not in set(shop.train.indices[shop.train.indptr[u] : shop.train.indptr[u + 1]])][:10]
        for u in rows
    ]
    return fastcf.metrics.ranking(shop.train.items.ids[np.array(lists)], shop.test.users.ids, shop.test).ndcg


@pytest.mark.parametrize("features", [(), ("item_features",), ("user_features", "item_features")])
@pytest.mark.parametrize("normalize", [True, False])
def test_two_tower_choices_beat_popularity(shop, features, normalize):
    model = fitted(shop, features=features, normalize=normalize, ids="both" if features else "auto", n_epochs=20)
    lists = model.recommend(shop.test.users.ids, candidates=shop.train.items.ids)
    better = fastcf.metrics.ranking(lists, shop.test.users.ids, shop.test).ndcg - popular(shop)
    assert better > (0.1 if normalize else 0.02)
    assert model.score(shop.test) == pytest.approx(
        fastcf.metrics.ranking(model.recommend(shop.test.users.ids), shop.test.users.ids, shop.test).ndcg
    )


def test_two_tower_choices_recommend_cold_items_by_their_features(shop):
    model = fitted(shop, ids="user")
    cold = shop.ids[N_ITEMS:]
    lists = model.recommend(np.arange(N_USERS), 3, candidates=cold)
    group = shop.of_item[[int(name[1:]) for name in lists.items.ravel()]].reshape(-1, 3)
    assert (group == shop.group[:, None]).mean() > 0.8
    new = fastcf.FeatureTable(["new"], np.eye(N_GROUPS)[[2]])
    folded = model.fold_in(item_features=new)
    scores = folded.predict([(user, "new") for user in range(N_USERS)])
    assert scores[shop.group == 2].mean() > scores[shop.group != 2].mean() + 1
    people = model.fold_in(item_features=fastcf.FeatureTable(cold[:1], np.eye(N_GROUPS)[[1]]))
    assert len(people.items_) == len(model.items_)
    with pytest.raises(ValueError, match="computes no new rows from ratings: pass their features"):
        model.recommend(history=([(0, "i01")], [1.0]))


def test_two_tower_choices_of_unknown_users_follow_popularity(shop):
    model = fitted(shop, features=())
    counts = np.bincount(shop.train.indices, minlength=N_ITEMS)
    best = model.recommend("nobody", 10) if model.users_.kind == "str" else model.recommend(99_999, 10)
    rows = shop.train.items.rows(best.items)
    assert counts[rows].mean() > 1.5 * counts.mean()
    assert len(set(best.scores)) == 10


def test_two_tower_choices_low_entries_are_seen_and_not_learnt(shop):
    users, items, values = shop.train.to_coo()
    chosen = fitted(shop, features=(), ids="auto", n_epochs=2)
    lone = next(user for user in range(N_USERS) if "i59" not in items[users == user])
    ratings = fastcf.Ratings.from_coo([*users, lone], [*items, "i59"], [*(4 + values), 2.0])
    model = fitted(shop, ratings, features=(), ids="auto", n_epochs=2, threshold=4.0)
    np.testing.assert_array_equal(model.item_vectors(), chosen.item_vectors())
    assert "i59" not in model.recommend(lone, 60).items
    assert "i59" in model.recommend(lone, 60, exclude_seen=False).items


def test_two_tower_choices_items_that_nobody_chose_come_last(shop):
    users, items, values = shop.train.to_coo()
    ratings = fastcf.Ratings.from_coo([*users, 1, 2], [*items, "low", "low"], [*(4 + values), 1.0, 2.0])
    model = fitted(shop, ratings, features=(), ids="auto", n_epochs=2, threshold=4.0)
    last = model.recommend(np.arange(3, N_USERS), len(model.items_), exclude_seen=False).items[:, -1]
    assert (last == "low").all()  # nobody chose it, and it has no features
    assert "low" not in model.recommend(1, 61).items
    assert (model.similar_items("low", 3).ids == "").all()
    assert model.predict([(3, "low")])[0] == pytest.approx(model.predict([(3, "never heard of")])[0], abs=1e-4)


def test_two_tower_choices_take_pairs_and_strengths(shop):
    users, items, _ = shop.train.to_coo()
    pairs = np.stack([users.astype(str), items], axis=1)
    model = fitted(shop, pairs, features=(), ids="auto", n_epochs=2)
    named = fastcf.Ratings.from_coo(users.astype(str), items, np.ones(items.size))
    np.testing.assert_array_equal(
        fitted(shop, named, features=(), ids="auto", n_epochs=2).item_vectors(), model.item_vectors()
    )
    rng = np.random.default_rng(1)
    strong = fastcf.Ratings.from_coo(users, items, rng.integers(1, 5, users.size))
    by_value = fitted(shop, strong, n_epochs=2, strength="value")
    weighted = fastcf.Ratings.from_coo(users, items, np.ones(users.size), weights=strong.values)
    np.testing.assert_array_equal(fitted(shop, weighted, n_epochs=2).item_vectors(), by_value.item_vectors())
    assert not np.array_equal(fitted(shop, strong, n_epochs=2).item_vectors(), by_value.item_vectors())


def test_two_tower_choices_cost_of_history_is_that_of_all_items_in_one_batch(shop):
    """With all choices in one batch each is drawn against all items that the user did not choose, by popularity."""
    model = fitted(shop, batch_size=100_000, n_epochs=3, reg=20.0, validation=shop.test)
    record = model.history_[-1]
    assert [r["epoch"] for r in model.history_] == [0, 1, 2, 3]
    model = fitted(shop, batch_size=100_000, n_epochs=3, reg=20.0)
    counts = np.bincount(shop.train.indices)
    z = model.predict_matrix(shop.train.users.ids)[:, : counts.size] - model.log_popularity_[: counts.size]
    weights = np.log(counts)
    losses = []
    for user in range(shop.train.n_users):
        chosen = shop.train.indices[shop.train.indptr[user] : shop.train.indptr[user + 1]]
        rest = logsumexp(np.delete(z[user] + weights, chosen))
        losses += list(np.logaddexp(0, rest - z[user, chosen]))
    record = model.history_[-1]
    assert record["train_log_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    squares = sum(float((w.astype(float) ** 2).sum()) for w in (*model.user_weights_, *model.item_weights_))
    assert record["cost"] == pytest.approx(np.mean(losses) + 10.0 * squares / shop.train.nnz, rel=1e-4)
    assert record["validation_log_loss"] is None


def test_two_tower_choices_patience_watches_the_cost_of_held_out_choices(shop):
    model = fitted(shop, n_epochs=40, patience=2, validation=shop.test)
    losses = [record["validation_log_loss"] for record in model.history_]
    assert model.n_epochs_ == int(np.argmin(losses[1:])) + 1 < 40
    assert losses[model.n_epochs_] < losses[0]


def test_two_tower_log_weights_are_those_of_random_batches():
    counts, rng = np.array([0, 1, 5, 60, 134]), np.random.default_rng(0)
    owners = np.repeat(np.arange(5), counts)
    found = np.mean([np.bincount(rng.permutation(owners)[:40], minlength=5) > 0 for _ in range(4000)], axis=0)
    weights = log_weights(counts, 40)
    np.testing.assert_allclose((np.exp(weights) * found)[1:], 40 * counts[1:] / 200, rtol=0.15)
    assert weights[0] == 0
    np.testing.assert_allclose(np.exp(log_weights(counts, 200))[1:], counts[1:])
    np.testing.assert_array_equal(log_weights(counts, 1000), log_weights(counts, 200))


def test_two_tower_popularity_of_new_items_is_what_features_let_expect(shop, tmp_path):
    """Items with the first feature are chosen far more often; a new one counts as popular as these."""
    users, items, _ = shop.train.to_coo()
    rows = np.array([int(name[1:]) for name in items])
    kept = (rows % N_GROUPS == 0) | (np.arange(rows.size) % 5 == 0)
    ratings = fastcf.Ratings.from_coo(users[kept], items[kept], np.ones(kept.sum()))
    model = fitted(shop, ratings, n_epochs=1, ids="user")
    counts = np.bincount(rows[kept], minlength=N_ITEMS)
    met = np.flatnonzero(counts)
    place = model.items_.rows(shop.ids)
    shares = np.log((counts + 0.5) / (counts.sum() + 0.5 * len(model.items_)))
    np.testing.assert_allclose(model.log_popularity_[place[met]], shares[met], atol=1e-5)
    x = np.asarray(shop.items.matrix, float)[shop.items.ids.rows(shop.ids)]
    centred, middle = x[met] - x[met].mean(0), x[met].mean(0)
    slope = np.linalg.solve(centred.T @ centred + np.eye(N_GROUPS), centred.T @ (shares[met] - shares[met].mean()))
    cold = np.setdiff1d(np.arange(N_ITEMS + N_COLD), met)
    wanted = shares[met].mean() + (x - middle) @ slope
    np.testing.assert_allclose(model.log_popularity_[place[cold]], wanted[cold], atol=1e-4)
    new = fastcf.FeatureTable(["b", "a"], np.eye(N_GROUPS)[[0, 1]])
    model.save(tmp_path / "model")
    for one in (model, fastcf.load(tmp_path / "model")):
        folded = one.fold_in(item_features=new)
        expected = shares[met].mean() + (np.eye(N_GROUPS)[[0, 1]] - middle) @ slope
        np.testing.assert_allclose(folded.log_popularity_[folded.items_.rows(["b", "a"])], expected, atol=1e-4)
        assert expected[0] > expected[1] + 0.5


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", [(), ("user_features", "item_features")])
def test_two_tower_gradients_of_choices_are_right(shop, kind, normalize):
    fitted(shop, features=(), ids="auto", n_epochs=1, normalize=normalize).fit(shop.train, check_gradients=True)
    model = fastcf.TwoTower((5,), (4,), 3, cost="softmax", activation="tanh", normalize=normalize, dropout=0.2)
    report = fastcf.check_gradients(model, shop.train, max_coordinates=20)
    assert report.passed, report
    objective = model.objective(
        shop.train, 0, **{n: t for n, t in (("user_features", shop.users), ("item_features", shop.items)) if n in kind}
    )
    wrong = objective.parameters["user_weights_0"].copy()

    def planted(at):
        cost, slopes = objective.evaluate(at)
        return cost, {**slopes, "user_weights_0": slopes["user_weights_0"] * 1.01}

    assert wrong.size
    assert not compare_gradients(objective._replace(evaluate=planted), max_coordinates=5).passed


def test_two_tower_choices_same_seed_same_bits_for_any_number_of_threads(shop):
    first = fitted(shop, dropout=0.1, reg=3.0, n_threads=1, n_epochs=3)
    for n_threads in (2, 4):
        again = fitted(shop, dropout=0.1, reg=3.0, n_threads=n_threads, n_epochs=3)
        np.testing.assert_array_equal(again.predict_matrix(), first.predict_matrix())


def test_two_tower_choices_come_back_from_files(shop, tmp_path):
    users, items, _ = shop.train.to_coo()
    ratings = fastcf.Ratings.from_coo([*users, 0], [*items, "low"], [*np.full(users.size, 4.0), 1.0])
    model = fitted(shop, ratings, features=(), ids="auto", n_epochs=2, threshold=3.0, strength="log")
    model.save(tmp_path / "model")
    again = fastcf.load(tmp_path / "model")
    assert (again.cost, again.threshold, again.strength) == ("softmax", 3.0, "log")
    np.testing.assert_array_equal(again.predict_matrix(), model.predict_matrix())
    np.testing.assert_array_equal(again.recommend(0, 70).items, model.recommend(0, 70).items)
    assert again.state.targets == model.state.targets


def test_two_tower_choices_train_on_from_checkpoints_to_the_same_bits(shop):
    from fastcf.models.two_tower import trainer as module

    kept = []

    class Watched(module.TowerTrainer):
        def run_epoch(self, epoch):
            kept.append(self)
            return super().run_epoch(epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastcf.models.two_tower.two_tower.TowerTrainer", Watched)
        fitted(shop, n_epochs=1)
        fitted(shop, n_epochs=1, random_state=0)
    first, second = kept
    for epoch in range(2):
        first.run_epoch(epoch)
    saved = first.arrays()
    second.set_arrays(saved)
    for trainer in (first, second):
        trainer.run_epoch(3)
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(second.arrays()[name], array)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": "squared", "strength": "value"}, r"TwoTower\.fit: strength .* for cost='squared'"),
        ({"cost": "logistic", "strength": "log"}, r"TwoTower\.fit: strength .* for cost='logistic'"),
        ({"cost": "softmax", "normalize": False, "scale": 3.0}, r"TwoTower\.fit: scale .* for normalize=False"),
        ({"cost": "softmax", "strength": "square"}, r"TwoTower\.fit: strength must be 'one' or 'value' or 'log'"),
        ({"cost": "softmax", "threshold": 9.0}, r"TwoTower\.fit: some values must be choices, of at least threshold=9"),
    ],
)
def test_two_tower_choices_bad_input_raises(shop, options, message):
    with pytest.raises(ValueError, match=message):
        fastcf.TwoTower(**options).fit(shop.train)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_two_tower_choices_refuse_what_is_negative_or_has_no_choice(shop):
    negative = fastcf.Ratings.from_coo([1, 1], [2, 3], [1.0, -1.0])
    with pytest.raises(ValueError, match=r"TwoTower\.fit: values must not be negative where threshold=None"):
        fastcf.TwoTower(cost="softmax").fit(negative)
    none = fastcf.Ratings.from_coo([1], ["i01"], [0.0])
    with pytest.raises(ValueError, match=r"TwoTower\.fit: validation: some values must be choices"):
        fitted(shop, validation=none)


def test_two_tower_choices_of_one_item_or_user_are_learnt():
    for pairs in ([(1, 2)], [(1, 2), (2, 2)], [(1, 2), (1, 3)]):
        model = fastcf.TwoTower((4,), (4,), 2, cost="softmax", random_state=0, n_epochs=2).fit(np.array(pairs))
        assert np.isfinite(model.predict_matrix()).all()
        assert model.history_[-1]["cost"] >= 0
    sparse = scipy.sparse.csr_array(([1.0], ([0], [1])), shape=(2, 2))
    assert np.isfinite(fastcf.TwoTower((4,), (4,), 2, cost="softmax", n_epochs=1).fit(sparse).predict_matrix()).all()
