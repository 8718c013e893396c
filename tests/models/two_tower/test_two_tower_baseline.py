"""Two towers beside a baseline: what is added, vectors that are served, new rows, files, items' own biases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

import fastcf

OPTIONS = {"n_epochs": 2, "batch_size": 128, "random_state": 0}
LABELS = {"cost": "logistic", "threshold": 3.5}


@pytest.fixture(scope="module")
def ratings():
    users, items, values = fastcf.data.make_ratings(60, 40, 1_000, random_state=3).to_coo()
    weights = np.random.default_rng(0).uniform(0.5, 2, values.size)
    return fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10, values, weights=weights)


@pytest.fixture(scope="module")
def tables(ratings):
    random = np.random.default_rng(1)
    return {
        "user_features": fastcf.FeatureTable([*ratings.users.ids, "new"], random.normal(size=(61, 3))),
        "item_features": fastcf.FeatureTable([7, *ratings.items.ids], random.normal(size=(ratings.n_items + 1, 4))),
    }


def towers(**options):
    return fastcf.TwoTower((8,), (6,), 3, **{**OPTIONS, **options})


@pytest.fixture(scope="module", params=["both", "item_features", "user_features", "ids"])
def fitted(request, ratings, tables):
    given = {name: table for name, table in tables.items() if request.param in ("both", name)}
    return towers().fit(ratings, **given), given


def test_two_tower_with_a_small_scale_is_its_baseline(ratings, fitted):
    _, given = fitted
    model = towers(scale=1e-6).fit(ratings, **given)
    baseline = fastcf.MixedRegression().fit(ratings, **given) if given else fastcf.BiasModel().fit(ratings)
    np.testing.assert_array_equal(model.items_.ids, baseline.items_.ids)
    np.testing.assert_array_equal(model.users_.ids, baseline.users_.ids)
    if "user_features" in given and "item_features" in given:
        new = [("new", 7), ("u03", 7)]  # known items differ: their biases are fitted beside their slopes
        np.testing.assert_allclose(model.predict(new), baseline.predict(new), atol=1e-4)
    else:
        np.testing.assert_allclose(model.predict_matrix(), baseline.predict_matrix(), atol=1e-4)


def labels_of(ratings):
    return ratings.with_values((ratings.values >= LABELS["threshold"]).astype(np.float32))


@pytest.mark.parametrize("name", ["both", "user_features", "ids"])
def test_two_tower_of_labels_with_a_small_scale_is_its_baseline_as_log_odds(ratings, tables, name):
    given = {each: table for each, table in tables.items() if name in ("both", each)}
    labels = labels_of(ratings)
    model = towers(scale=1e-6, **LABELS).fit(ratings, **given)
    baseline = fastcf.MixedRegression().fit(labels, **given) if given else fastcf.BiasModel().fit(labels)
    scores = baseline.state.scores.as_factors()
    f = baseline.global_mean_ + baseline.user_bias_[:, None] + baseline.item_bias_.astype(float)
    f += scores.user_factors.astype(float) @ scores.item_factors.T
    mean = np.average(labels.values, weights=labels.weights)
    wanted = expit(logit(mean) + (f - mean) / (mean * (1 - mean)))
    # Half a label of each kind moves the log-odds of the mean a little. Known items' own biases are fitted apart.
    columns = model.items_.rows([7]) if name == "both" else slice(None)
    np.testing.assert_allclose(model.predict_matrix()[:, columns], wanted[:, columns], atol=2e-3)


def test_two_tower_of_labels_adds_to_its_baseline(ratings, tables, tmp_path):
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = held_out.to_coo()
    held_out = fastcf.Ratings.from_coo(users, items, values)
    model = towers(n_epochs=3, **LABELS).fit(train, validation=held_out, **tables)
    last = model.history_[model.n_epochs_]
    assert -model.score(held_out) == pytest.approx(last["validation_log_loss"], 1e-5)
    assert model.history_[-1]["train_log_loss"] < model.history_[0]["train_log_loss"]
    z = model.centre_ + model.user_vectors().astype(float) @ model.item_vectors().T
    np.testing.assert_allclose(model.predict_matrix(), expit(z), atol=1e-5)
    model.save(tmp_path / "model")
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    new = fastcf.FeatureTable([99], tables["item_features"].matrix[:1])
    same = [("u03", 7)]  # of the same features, and nobody rated it either
    np.testing.assert_allclose(loaded.fold_in(item_features=new).predict([("u03", 99)]), model.predict(same), atol=1e-5)
    again = loaded.fold_in(train)
    assert again.score(train) > model.score(train) - 0.02
    of_user = users == "u05"
    history = np.stack([np.zeros(of_user.sum(), int), items[of_user]], 1), values[of_user]
    np.testing.assert_array_equal(
        loaded.recommend(history=history, n=3).items, model.recommend(history=history, n=3).items
    )


def test_two_tower_of_labels_measures_the_bound_of_its_cost(ratings):
    """The objective is that of weighted least squares around the baseline; the error is the log-loss."""
    model = towers(reg=0, **LABELS).fit(ratings)
    none = towers(reg=0, scale=1e-6, **LABELS).fit(ratings)
    labels, rows = labels_of(ratings).values, (ratings.row_of_entry(), ratings.indices)
    at, z = (logit(each.predict_matrix().astype(float))[rows] for each in (none, model))
    bound = np.tanh(np.abs(at) / 2) / (2 * np.abs(at))
    weights = ratings.weights * bound
    wanted = (labels - 0.5) / bound - at
    cost = np.average(0.5 * ((z - at - wanted) / model.unit_) ** 2, weights=weights)
    assert model.history_[-1]["cost"] == pytest.approx(cost, rel=1e-3)
    loss = np.average(np.logaddexp(0, z) - labels * z, weights=ratings.weights)
    assert model.history_[-1]["train_log_loss"] == pytest.approx(loss, rel=1e-3)


def test_two_tower_vectors_hold_the_baseline(fitted):
    model, given = fitted
    z = model.centre_ + model.user_vectors().astype(float) @ model.item_vectors().T
    np.testing.assert_allclose(model.predict_matrix(), np.clip(z, *model.rating_range_), atol=1e-4)
    for name, side, vectors in (("user", model.users_, model.user_vectors), ("item", model.items_, model.item_vectors)):
        if f"{name}_features" in given and len(given) == 2:
            table = given[f"{name}_features"]
            new = "new" if name == "user" else 7
            of_features = vectors(table.matrix[table.ids.rows([new])])[0]
            np.testing.assert_allclose(of_features, vectors()[side.rows([new])[0]], atol=1e-5)


def test_two_tower_items_biases_take_what_towers_leave(ratings, tables):
    """The weighted mean error of an item is what its penalty withholds: reg times its own bias over its weight."""
    model = towers().fit(ratings, item_features=tables["item_features"])
    baseline = fastcf.MixedRegression().fit(ratings, item_features=tables["item_features"])
    z = model.centre_ + (model.user_vectors().astype(float) @ model.item_vectors().T)
    rows = ratings.row_of_entry(), model.items_.rows(ratings.items.ids)[ratings.indices]
    left = np.bincount(rows[1], ratings.weights * (ratings.values - z[rows]), len(model.items_))
    totals = np.bincount(rows[1], ratings.weights, len(model.items_))
    matrix = tables["item_features"].align(model.items_)
    explained = matrix @ baseline.item_weights_
    explained -= np.average(explained, weights=totals)
    own = model.item_vectors()[:, -1] - explained
    np.testing.assert_allclose(left, baseline.item_reg_ * own, atol=2e-3 * totals.max())


def test_two_tower_beside_a_baseline_folds_in_and_is_loaded(fitted, tmp_path):
    model, given = fitted
    model.save(tmp_path / "model", include_seen=False)
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    np.testing.assert_array_equal(loaded.user_vectors(), model.user_vectors())
    for name, new in (("user_features", "later"), ("item_features", 99)):
        if name in given:
            table = fastcf.FeatureTable([new], given[name].matrix[:1])
            same = given[name].ids.ids[0]  # of the same features
            more = loaded.fold_in(**{name: table})
            known = model.users_ if name == "user_features" else model.items_
            assert len(more.users_ if name == "user_features" else more.items_) == len(known) + 1
            pairs = [("u03", 99)] if name == "item_features" else [("later", 20)]
            np.testing.assert_allclose(more.predict(pairs), model.fold_in(**{name: table}).predict(pairs), atol=1e-6)
            if same == 7:  # nobody rated it either
                np.testing.assert_allclose(more.predict(pairs), model.predict([("u03", 7)]), atol=1e-5)


def test_two_tower_beside_a_baseline_folds_in_ratings(ratings, fitted):
    model, given = fitted
    users, items, values = ratings.to_coo()
    again = model.fold_in(ratings)  # solved beside the towers, which training did not have yet
    assert list(again.users_.ids) == list(ratings.users.ids)
    assert again.score(ratings) > model.score(ratings) - 0.02
    some = users == "u05"
    rows = np.zeros(some.sum(), int)
    history = np.stack([rows, items[some]], 1), values[some]
    by_history = model.recommend(history=history, n=3)
    assert len(by_history.items[0] if by_history.items.ndim > 1 else by_history.items) == 3
    stranger = model.fold_in(fastcf.Ratings.from_coo(["x"] * some.sum(), items[some], values[some]))
    z = stranger.centre_ + stranger.user_vectors().astype(float) @ stranger.item_vectors().T
    np.testing.assert_allclose(stranger.predict_matrix(), np.clip(z, *stranger.rating_range_), atol=1e-4)
    pairs = [("x", item) for item in items[some]]
    assert fastcf.metrics.rmse(values[some], stranger.predict(pairs)) < values[some].std() + 0.1
    by_item = model.fold_in(ratings, by="item")
    assert by_item.score(ratings) > model.score(ratings) - 0.05
    if "user_features" in given:  # features first, then ratings
        table = given["user_features"]
        later = model.fold_in(user_features=fastcf.FeatureTable(["x"], table.matrix[:1]))
        both = later.fold_in(fastcf.Ratings.from_coo(["x"] * some.sum(), items[some], values[some]))
        assert not np.array_equal(both.predict(pairs), stranger.predict(pairs))


def test_two_tower_validation_beside_a_baseline_is_that_of_predictions(ratings, tables):
    train, held_out = fastcf.data.train_test_split(ratings, random_state=0)
    users, items, values = held_out.to_coo()
    held_out = fastcf.Ratings.from_coo(users, items, values)
    model = towers(n_epochs=3).fit(train, validation=held_out, **tables)
    record = model.history_[model.n_epochs_]
    assert -model.score(held_out) == pytest.approx(record["validation_rmse"], 1e-5)


def test_two_tower_has_no_baseline_where_none_is_wanted(ratings, tables):
    with pytest.raises(ValueError, match="baseline must be"):
        towers(baseline="some").fit(ratings)
    for options in ({"baseline": "none"}, {"baseline": "none", **LABELS}, {"cost": "softmax", "threshold": 3.5}):
        assert towers(**options).fit(ratings, **tables).user_vectors().shape[1] == 3


def test_two_tower_batches_grow_with_the_ratings(ratings, monkeypatch):
    monkeypatch.setattr("fastcf.models.two_tower.two_tower._LEAST_BATCH", 4)
    auto, wanted = towers(batch_size="auto").fit(ratings), towers(batch_size=10).fit(ratings)  # of 1,000 ratings
    np.testing.assert_array_equal(auto.predict_matrix(), wanted.predict_matrix())
    monkeypatch.setattr("fastcf.models.two_tower.two_tower._LARGEST_BATCH", 6)
    few, wanted = towers(batch_size="auto").fit(ratings), towers(batch_size=6).fit(ratings)
    np.testing.assert_array_equal(few.predict_matrix(), wanted.predict_matrix())


def test_two_tower_beside_a_baseline_does_not_lose_to_it_on_a_real_set(data_dir):
    made = fastcf.data.load_ratings(data_dir / "ml-latest-small")
    often = np.bincount(made.indices, minlength=made.n_items)[made.indices] >= 20
    made = made.take(np.flatnonzero(often))
    films = fastcf.features.movielens(data_dir / "ml-latest-small").items
    items = np.random.default_rng(0).permutation(np.unique(made.indices))
    held = np.isin(made.indices, items[: items.size // 10])
    train, test = made.take(np.flatnonzero(~held)), made.take(np.flatnonzero(held))
    model = fastcf.TwoTower((64,), (64,), 16, random_state=0).fit(train, item_features=films)
    baseline = fastcf.MixedRegression().fit(train, item_features=films)
    assert -model.score(test) < -baseline.score(test)
