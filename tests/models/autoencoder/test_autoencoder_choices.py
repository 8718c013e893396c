"""The autoencoder of choices: the multinomial cost, lists, new users, files, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

import fastcf
from fastcf.costs import Multinomial
from fastcf.gradient_check import Objective, compare_gradients
from reference_autoencoder import parameters_of, run


def model_of(**options):
    given = {"cost": "multinomial", "threshold": 4, "layers": (6,), "n_epochs": 4, "random_state": 0}
    return fastcf.Autoencoder(**{**given, **options})


@pytest.fixture(scope="module")
def ratings():
    """Ratings of 60 users and 40 items; the sixth user and the eighth item have none, the third user no choice."""
    numbered = fastcf.data.make_ratings(60, 40, 1_000, random_state=3)
    users, items, values = numbered.to_coo()
    named = fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, np.where(users == 2, 1, values))
    return named.take((named.row_of_entry() != 5) & (named.indices != 7))


@pytest.fixture(scope="module")
def blocks():
    """Choices of 300 users among 90 items of three kinds: nine of ten are of the user's own kind."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(300), 12)
    kinds = np.where(rng.random(users.size) < 0.9, users % 3, rng.integers(0, 3, users.size))
    items = kinds + 3 * np.minimum(rng.geometric(0.08, users.size), 30) - 3
    pairs = np.unique(np.stack([users, items], axis=1), axis=0)
    held_out = rng.random(len(pairs)) < 0.2
    return pairs[~held_out], pairs[held_out]


def forward(model, ratings, values=None):
    """Scores of all users and items by a plain forward pass."""
    rows, columns = ratings.row_of_entry(), ratings.indices
    x, r = np.zeros(ratings.shape), np.zeros(ratings.shape)
    x[rows, columns] = ratings.values >= model.threshold if values is None else values
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)
    r[rows, columns] = 1
    rated = 0.0 if model.rated_input == "auto" else model.rated_input
    given = rated * r / np.sqrt(np.maximum(r.sum(1, keepdims=True), 1)) if rated else None
    return run(parameters_of(model), x, model.layers, model.activation, "identity", given=given)[0]


@pytest.mark.parametrize("rated_input", ["auto", 2.0])
@pytest.mark.parametrize("tied", [False, True])
def test_scores_are_those_of_a_plain_forward_pass(ratings, tied, rated_input):
    model = model_of(layers=(6, 4), tied=tied, rated_input=rated_input).fit(ratings)
    wanted = forward(model, ratings)
    np.testing.assert_allclose(model.predict_matrix(), wanted, atol=1e-4)
    assert model.rating_range_ == (-np.inf, np.inf)
    found = model.recommend(ratings.users.ids[:4], 5)
    for row, (user, items, scores) in enumerate(zip(ratings.users.ids[:4], *found, strict=True)):
        own = ratings.indices[ratings.indptr[row] : ratings.indptr[row + 1]]
        unseen = np.setdiff1d(np.arange(ratings.n_items), own)
        best = unseen[np.argsort(-wanted[row, unseen])[:5]]
        np.testing.assert_array_equal(items[: best.size], ratings.items.ids[best])
        own_scores = model.predict([(user, item) for item in items[: best.size]])
        np.testing.assert_allclose(scores[: best.size], own_scores, atol=1e-6)


@pytest.mark.parametrize("strength", ["one", "value", "log"])
def test_history_holds_the_objective_at_the_parameters(ratings, strength):
    y = np.where(ratings.values >= 4, {"one": 1, "value": ratings.values, "log": np.log1p(ratings.values)}[strength], 0)
    still = fastcf.optimizers.GradientDescent(1e-30)
    for optimizer, epoch in (("adam", -1), (still, 0)):
        options = {"optimizer": optimizer, "init": "glorot", "dropout": 0.2, "rated_input": 1.0, "strength": strength}
        model = model_of(reg=7.0, batch_size=16, **options).fit(ratings)
        x = np.zeros(ratings.shape)
        x[ratings.row_of_entry(), ratings.indices] = y
        loss = -(x * log_softmax(forward(model, ratings, y), axis=1)).sum()
        assert model.history_[epoch]["train_log_loss"] == pytest.approx(loss / x.sum(), rel=1e-4)
        tables = model.input_weights_, model.output_weights_, model.rated_weights_, *model.hidden_weights_
        penalty = 7 / 2 * sum(float((array.astype(float) ** 2).sum()) for array in tables)
        n = np.count_nonzero(x.sum(1))
        assert model.history_[epoch]["cost"] == pytest.approx((loss + penalty) / n, rel=1e-4)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_validation_log_loss_is_that_of_held_out_choices(ratings):
    train, rest = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    users, items, values = rest.to_coo()
    pairs = np.array([*zip(users, items, strict=True), ("nobody", 30), ("u01", 999), ("u01", 998)], object)
    y = np.append(values, [5, 5, 1])
    model = model_of(n_epochs=12, optimizer=fastcf.optimizers.Adam(0.05), patience=12)
    model.fit(train, validation=(pairs, y))
    kept = model.history_[model.n_epochs_]["validation_log_loss"]
    assert kept == min(record["validation_log_loss"] for record in model.history_[1:])
    scores = np.vstack([model.predict_matrix(), model.predict([("nobody", item) for item in train.items.ids])])
    place = {user: row for row, user in enumerate([*train.users.ids, "nobody"])}
    chosen = [(place[u], train.items.ids.tolist().index(i)) for (u, i), v in zip(pairs, y, strict=True)
              if v >= 4 and i < 900]  # fmt: skip
    rows, columns = np.array(chosen).T
    assert kept == pytest.approx(-log_softmax(scores.astype(float), axis=1)[rows, columns].mean(), rel=1e-4)
    assert "validation_log_loss" in model_of(n_epochs=1).fit(train, validation=([("u01", 999)], [5])).history_[0]


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_gradients_are_right_and_planted_errors_are_found(ratings, n_negatives):
    model = model_of(cost=Multinomial(n_negatives), layers=(4, 3), dropout=0.2, reg=3.0, rated_input=1.0)
    report = fastcf.check_gradients(model, ratings, tolerance=1e-6)
    assert report.passed, report
    model.fit(ratings, check_gradients=True)
    objective = model.objective(ratings, 3)

    def wrong(at):
        cost, slopes = objective.evaluate(at)
        return cost, {**slopes, "output_weights": slopes["output_weights"] * 1.01}

    planted = Objective(objective.parameters, wrong)
    found = compare_gradients(planted, max_coordinates=20)
    assert not found.passed


def test_lists_are_better_than_popularity(blocks):
    train, held_out = blocks
    popular = np.bincount(train[:, 1], minlength=90)
    truth = fastcf.Ratings.from_coo(*held_out.T, np.ones(len(held_out)))
    by_popularity = []
    for user in truth.users.ids:
        seen = train[train[:, 0] == user, 1]
        order = [i for i in np.argsort(-popular, kind="stable") if i not in seen][:10]
        hits = np.isin(order, held_out[held_out[:, 0] == user, 1])
        ideal = min(10, np.count_nonzero(held_out[:, 0] == user))
        by_popularity.append((hits / np.log2(np.arange(2, 12))).sum() / (1 / np.log2(np.arange(2, ideal + 2))).sum())
    for cost in ("multinomial", Multinomial(20)):
        model = fastcf.Autoencoder((16,), cost=cost, n_epochs=20, batch_size=32, random_state=0).fit(train)
        assert model.score(held_out) > 1.5 * np.mean(by_popularity)


def test_unknown_users_get_popular_items(blocks):
    train, _ = blocks
    model = fastcf.Autoencoder((16,), cost="multinomial", n_epochs=3, random_state=0).fit(train)
    counts = np.bincount(train[:, 1], minlength=90)
    listed = model.recommend(["nobody"] if isinstance(train[0, 0], str) else [10**6], 10).items[0]
    assert np.isin(listed, np.argsort(-counts)[:20]).all()


def test_new_users_by_history_and_folding_in(ratings, blocks):
    model = model_of(rated_input=1.0).fit(ratings)
    folded = model.fold_in(ratings, by="user")
    np.testing.assert_allclose(folded.predict(ratings), model.predict(ratings), atol=1e-4)
    np.testing.assert_allclose(model.reconstruct(ratings), model.predict_matrix(), atol=1e-4)
    assert model.encode(ratings).shape == (ratings.n_users, 6)
    train, _ = blocks
    model = fastcf.Autoencoder((16,), cost="multinomial", n_epochs=20, batch_size=32, random_state=0).fit(train)
    listed = model.recommend(history=([(0, item) for item in (1, 4, 7, 10)], np.ones(4)), n=10).items
    assert (np.ravel(listed) % 3 == 1).sum() >= 8
    assert not np.isin(listed, [1, 4, 7, 10]).any()


@pytest.mark.parametrize("cost", ["multinomial", Multinomial(7)])
def test_a_file_gives_the_same_model(ratings, cost, tmp_path):
    model = model_of(cost=cost, strength="log", tied=True, rated_input=1.0).fit(ratings)
    model.save(tmp_path / "model")
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(ratings), model.predict(ratings))
    few = ratings.take(np.arange(200))
    np.testing.assert_array_equal(loaded.fold_in(few).predict(few), model.fold_in(few).predict(few))
    assert (loaded.cost, loaded.strength, loaded.threshold, loaded.orientation) == (cost, "log", 4, "auto")
    assert loaded.history_ == model.history_
    assert loaded.fit(ratings).history_[-1]["cost"] == model.history_[-1]["cost"]


def test_same_bits_for_any_number_of_threads_and_weights_as_strengths(ratings):
    one, two = (model_of(n_threads=n, dropout=0.2).fit(ratings).predict_matrix() for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    values = ratings.values
    chosen = np.where(values >= 4, 1.0, 0.0).astype(np.float32)
    weighted = fastcf.Ratings(
        ratings.indptr, ratings.indices, chosen, users=ratings.users, items=ratings.items, weights=values
    )
    by_weight = model_of(threshold=None).fit(weighted).predict_matrix()
    np.testing.assert_array_equal(by_weight, model_of(strength="value").fit(ratings).predict_matrix())


def test_negatives_are_sampled_for_large_catalogues():
    assert Multinomial().sampled(1000) == 0
    assert Multinomial().sampled(10**5) > 0
    assert Multinomial(None).sampled(10**5) == 0
    assert Multinomial(9).sampled(10) == 9
    model = fastcf.Autoencoder(cost=Multinomial()).set_params(cost__n_negatives=3)
    assert model.get_params()["cost__n_negatives"] == 3
    with pytest.raises(ValueError, match=r"fastcf\.costs\.Multinomial"):
        fastcf.Autoencoder(cost="multinomial").set_params(cost__n_negatives=3)
    with pytest.raises(ValueError, match="Multinomial: n_negatives must be"):
        Multinomial(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orientation": "item"}, "orientation must be 'user' or 'auto' for cost='multinomial'"),
        ({"output_activation": "sigmoid"}, "output_activation must be 'identity' for cost='multinomial'"),
        ({"dense_refeeding": 1}, "dense_refeeding must be 0 for cost='multinomial'"),
        ({"normalize": None}, "normalize must be 'bias' for cost='multinomial'"),
        ({"alpha_dropout": True}, "alpha_dropout must be False with dropout=0"),
        ({"cost": "squared", "threshold": None, "strength": "log"}, "strength must be 'one' for cost='squared'"),
        ({"cost": "logistic", "strength": "log"}, "strength must be 'one' for cost='logistic'"),
        ({"threshold": 6}, "some values must be choices, of at least threshold=6"),
        ({"strength": "many"}, "strength must be"),
    ],
)
def test_what_has_no_effect_or_no_choice_is_refused(ratings, options, message):
    with pytest.raises(ValueError, match=f"Autoencoder.fit: {message}"):
        model_of(**options).fit(ratings)
