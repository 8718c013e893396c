"""The masked autoencoder of labels, and the biases in log-odds that it begins with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf._backend import resolve_device
from fastcf.models.bias import fit_label_biases, log_odds_of_rows, start_label_biases
from fastcf.scores.targets import with_values
from reference_autoencoder import parameters_of, run

NORMALIZE = ("bias", "item", "user", "global", None)


def model_of(**options):
    given = {
        "cost": "logistic",
        "threshold": 4,
        "layers": (6,),
        "n_epochs": 4,
        "reg": 5.0,
        "random_state": 0,
        "rated_input": 30.0,
    }
    return fastcf.Autoencoder(**{**given, **options})


@pytest.fixture(scope="module")
def ratings():
    """Ratings of 60 users and 40 items; the sixth user and the eighth item have none."""
    numbered = fastcf.data.make_ratings(60, 40, 1_000, random_state=3)
    users, items, values = numbered.to_coo()
    named = fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, values)
    return named.take((named.row_of_entry() != 5) & (named.indices != 7))


@pytest.fixture(scope="module")
def split(ratings):
    return fastcf.data.train_test_split(ratings, 0.2, random_state=0)


def cut(ratings):
    return with_values(ratings, (ratings.values >= 4).astype(np.float32))


def with_weights(ratings):
    weights = np.random.default_rng(0).uniform(0.2, 2, ratings.nnz)
    return fastcf.Ratings.from_coo(*ratings.to_coo(), weights=weights)


# ---------------------------------------------------------------------------------------------------------------
# Biases in log-odds
# ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    reg=st.sampled_from([0.05, 1.0, 20.0]),
    weighted=st.booleans(),
    soft=st.booleans(),
)
def test_log_odds_of_rows_are_the_lowest_cost(seed, reg, weighted, soft):
    rng = np.random.default_rng(seed)
    n_rows, n = 5, 60
    rows = rng.integers(0, n_rows - 1, n).astype(np.int32)  # the last row has nothing
    offsets = rng.normal(0, 3, n).astype(np.float32)
    labels = rng.random(n).astype(np.float32) if soft else (rng.random(n) < 0.8).astype(np.float32)
    weights = rng.uniform(0.1, 3, n).astype(np.float32) if weighted else None
    w = np.ones(n) if weights is None else weights

    def cost(b):
        z = offsets + b[rows]
        gradient = np.bincount(rows, w * (expit(z) - labels), n_rows) + reg * b
        return (w * (np.logaddexp(0, z) - labels * z)).sum() + reg / 2 * b @ b, gradient

    wanted = minimize(cost, np.zeros(n_rows), jac=True, tol=1e-10).x
    got = log_odds_of_rows(rows, offsets, labels, weights, reg, np.zeros(n_rows, np.float32))
    assert got[-1] == 0
    np.testing.assert_allclose(got, wanted, atol=0.05)  # steps end at a hundredth
    assert cost(got.astype(float))[0] <= cost(np.zeros(n_rows))[0] + 1e-6


def test_label_biases_are_better_than_their_start(ratings):
    labels = cut(ratings)
    backend = resolve_device("cpu", "test")
    users, items, y = labels.row_of_entry(), labels.indices, labels.values

    def cost(of):
        z = of.mean + of.users[users] + of.items[items]
        penalty = of.user_reg * (of.users**2).sum() + of.item_reg * (of.items**2).sum()
        return (np.logaddexp(0, z) - y * z).sum() + penalty / 2

    start, found = start_label_biases(labels, backend), fit_label_biases(labels, backend)
    assert start.user_reg == found.user_reg > 0

    def objective(b):
        return cost(found._replace(mean=b[0], users=b[1 : 1 + labels.n_users], items=b[1 + labels.n_users :]))

    begun = np.concatenate([[found.mean], found.users, found.items]).astype(float)
    lowest = minimize(objective, begun, tol=1e-6).fun
    assert lowest <= cost(found) <= lowest + 0.06 * (cost(start) - lowest) + 1e-3


# ---------------------------------------------------------------------------------------------------------------
# Predictions
# ---------------------------------------------------------------------------------------------------------------


def forward(model, ratings):
    """Log-odds of all users and items by a plain forward pass; and what an empty row adds."""
    scale, rows, columns = model.scale_, ratings.row_of_entry(), ratings.indices
    by_user = model.orientation == "user"
    users, items = (scale.rows, scale.columns) if by_user else (scale.columns, scale.rows)
    begun = scale.mean + users[:, None].astype(float) + items
    x, r = np.zeros(ratings.shape), np.zeros(ratings.shape)
    labels = ratings.values >= model.threshold
    x[rows, columns] = (labels - expit(begun[rows, columns])) / scale.unit
    r[rows, columns] = 1
    fed, r = (x, r) if by_user else (x.T, r.T)
    given = model.rated_input * r / np.sqrt(np.maximum(r.sum(1, keepdims=True), 1)) if model.rated_input else None
    out = run(parameters_of(model), fed, model.layers, model.activation, "identity", given=given)[0]
    empty = run(parameters_of(model), 0 * fed[:1], model.layers, model.activation, "identity")[0][0]
    return begun + (out if by_user else out.T), empty


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_probabilities_are_those_of_a_plain_forward_pass(ratings, orientation, tied, normalize):
    model = model_of(layers=(6, 4), orientation=orientation, tied=tied, normalize=normalize).fit(ratings)
    wanted, empty = forward(model, ratings)
    np.testing.assert_allclose(model.predict_matrix(), expit(wanted), atol=1e-4)
    liked = model.predict(ratings)
    np.testing.assert_array_equal(model.predict_proba(ratings), np.stack([1 - liked, liked], axis=1))
    assert model.rating_range_ == (0, 1)
    scale, known = model.scale_, int(ratings.items.rows([30])[0])
    users, items = (scale.rows, scale.columns) if orientation == "user" else (scale.columns, scale.rows)
    by_item = scale.mean + items[known] + (empty[known] if orientation == "user" else 0)
    by_user = scale.mean + users[2] + (empty[2] if orientation == "item" else 0)
    got = model.predict([(ratings.users.ids[2], 98765), ("nobody", 30), ("nobody", 98765)])
    np.testing.assert_allclose(got, expit([by_user, by_item, scale.mean]), atol=1e-4)


def test_offsets_are_log_odds(ratings):
    labels = ratings.values >= 4
    for normalize, rows in (("item", ratings.indices), ("user", ratings.row_of_entry())):
        scale = model_of(normalize=normalize, orientation=normalize, n_epochs=1).fit(ratings).scale_
        assert scale.mean == pytest.approx(logit((labels.sum() + 0.5) / (labels.size + 1)), abs=1e-3)
        shares = np.bincount(rows, labels) / np.maximum(np.bincount(rows), 1)
        by_row = expit(scale.mean + scale.rows)
        rated = np.bincount(rows) > 10
        assert np.corrcoef(by_row[rated], shares[rated])[0, 1] > 0.99
        assert np.abs(by_row - expit(scale.mean))[rated].max() > 0.05
    for normalize, mean in (("global", logit((labels.sum() + 0.5) / (labels.size + 1))), (None, 0.0)):
        scale = model_of(normalize=normalize, n_epochs=1).fit(ratings).scale_
        assert scale.mean == pytest.approx(mean, abs=1e-6)
        assert not scale.rows.any()
        assert not scale.columns.any()


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_log_loss_is_that_of_predictions(split, orientation, weighted):
    train, rest = split
    train = with_weights(train) if weighted else train
    users, items, values = rest.to_coo()
    pairs = np.array([*zip(users, items, strict=True), ("nobody", 30), ("u01", 999)], object)
    y = np.append(values, [5, 1])
    steps = fastcf.optimizers.Adam(0.03)
    model = model_of(orientation=orientation, n_epochs=12, optimizer=steps, reg=1.0, patience=12)
    model.fit(train, validation=(pairs, y))
    kept = model.history_[model.n_epochs_]["validation_log_loss"]
    assert kept == min(record["validation_log_loss"] for record in model.history_[1:])
    assert kept == pytest.approx(fastcf.metrics.log_loss(y >= 4, model.predict(pairs)), abs=1e-5)
    assert model.score(pairs, y) == pytest.approx(-kept, abs=1e-5)


@pytest.mark.parametrize("orientation", ["item", "user"])
def test_history_holds_the_objective_at_the_parameters(ratings, orientation):
    """At those of the last epoch and, where the steps have no length, of epoch 0."""
    weighted = with_weights(ratings)
    options = {"orientation": orientation, "batch_size": 16, "init": "glorot", "reg": 7.0, "dropout": 0.2}
    options["rated_output"] = False  # effects are not shown
    still = fastcf.optimizers.GradientDescent(1e-30)
    for optimizer, epoch in (("adam", -1), (still, 0)):
        model = model_of(optimizer=optimizer, **options).fit(weighted)
        z = forward(model, weighted)[0][weighted.row_of_entry(), weighted.indices]
        loss = np.average(np.logaddexp(0, z) - (weighted.values >= 4) * z, weights=weighted.weights)
        assert model.history_[epoch]["train_log_loss"] == pytest.approx(loss, rel=1e-4)
        tables = model.input_weights_, model.output_weights_, model.rated_weights_, model.output_bias_
        squares = sum(float((array.astype(float) ** 2).sum()) for array in (*tables, *model.hidden_weights_))
        penalty = 7.0 / 2 * squares / float(weighted.weights.sum())
        assert model.history_[epoch]["cost"] == pytest.approx(2 * loss + penalty, rel=1e-4)


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_gradients_are_right(split, orientation, normalize):
    model = model_of(orientation=orientation, normalize=normalize, layers=(4, 3), dropout=0.2)
    report = fastcf.check_gradients(model, with_weights(split[0]), tolerance=1e-6)
    assert report.passed, report
    model.fit(split[0], check_gradients=True)


def test_gradients_are_checked_on_the_labels(split):
    given, cut_before = model_of().objective(split[0], 3), model_of(threshold=None).objective(cut(split[0]), 3)
    cost, slopes = given.evaluate(given.parameters)
    wanted, wanted_slopes = cut_before.evaluate(given.parameters)
    assert cost == wanted
    for name, slope in slopes.items():
        np.testing.assert_array_equal(slope, wanted_slopes[name])
    with pytest.raises(ValueError, match=r"ratings must lie in \[0, 1\] for cost='logistic' without a threshold"):
        fastcf.check_gradients(model_of(threshold=None), split[0])


def test_labels_may_be_given_cut_or_lie_between(split):
    train, test = split
    by_threshold, by_label = model_of().fit(train), model_of(threshold=None).fit(cut(train))
    np.testing.assert_array_equal(by_threshold.predict(test), by_label.predict(test))
    soft = fastcf.Ratings.from_coo(*train.to_coo()[:2], (train.values - train.values.min()) / np.ptp(train.values))
    assert model_of(threshold=None).fit(soft).predict_proba(test).min() > 0
    assert not hasattr(fastcf.Autoencoder((6,), n_epochs=1).fit(train), "predict_proba")
    with pytest.raises(NotFittedError):
        model_of().predict_proba(test)
    almost = (np.arange(train.nnz) > 0).astype(np.float32)
    one_kind = fastcf.Ratings.from_coo(*train.to_coo()[:2], almost)
    assert model_of(threshold=None).fit(one_kind).predict(test).mean() > 0.9


def test_thresholds_cut_alike_whatever_their_type(ratings):
    """3.3 is less in float32, which ratings are: a threshold out of np.arange is to cut as one typed in."""
    tenths = fastcf.Ratings.from_coo(*ratings.to_coo()[:2], np.where(ratings.values >= 4, 3.3, 3.2))
    for threshold in (3.3, np.float32(3.3), np.float64(3.3)):
        model = model_of(threshold=threshold, n_epochs=1).fit(tenths)
        assert model.mean_rating_ == pytest.approx(np.mean(ratings.values >= 4))


def test_labels_are_learnt_beyond_biases():
    ratings = fastcf.data.make_ratings(500, 300, 20_000, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    model = fastcf.Autoencoder((32,), cost="logistic", threshold=4, random_state=0).fit(train)
    labels = cut(train)
    biases = fit_label_biases(labels, resolve_device("cpu", "test"))
    known = labels.users.rows(test.users.ids)[test.row_of_entry()], labels.items.rows(test.items.ids)[test.indices]
    assert min(rows.min() for rows in known) >= 0
    by_biases = expit(biases.mean + biases.users[known[0]] + biases.items[known[1]])
    assert np.log2(model.reg_ / 250) == pytest.approx(round(np.log2(model.reg_ / 250)))  # the first penalty, or doubled
    assert model.score(test) > 0.005 - fastcf.metrics.log_loss(test.values >= 4, by_biases)


# ---------------------------------------------------------------------------------------------------------------
# New rows, files, lists
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_rows_folded_in_again_are_predicted_alike(ratings, orientation, normalize):
    model = model_of(orientation=orientation, normalize=normalize).fit(ratings)
    folded = model.fold_in(ratings, by=orientation)
    atol = 0.03 if normalize == "bias" else 5e-3  # biases are computed row by row, to a hundredth
    np.testing.assert_allclose(folded.predict(ratings), model.predict(ratings), atol=atol)
    everything = model.reconstruct(ratings)
    np.testing.assert_allclose(everything, model.predict_matrix(), atol=atol)
    assert model.encode(ratings).shape == (40 if orientation == "item" else 60, 6)


@pytest.mark.parametrize("orientation", ["item", "user"])
def test_a_file_gives_the_same_model(ratings, orientation, tmp_path):
    model = model_of(orientation=orientation).fit(ratings)
    model.save(tmp_path / "model")
    loaded = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(ratings), model.predict_proba(ratings))
    few = ratings.take(np.arange(200))
    np.testing.assert_array_equal(
        loaded.fold_in(few, by=orientation).predict_proba(few), model.fold_in(few, by=orientation).predict_proba(few)
    )
    assert loaded.reg_ == model.reg_ == 5


def test_recommendations_are_ranked_by_probability(ratings):
    model = model_of().fit(ratings)
    found = model.recommend(ratings.users.ids[:4], 5, exclude_seen=False)
    for user, items, scores in zip(ratings.users.ids[:4], *found, strict=True):
        np.testing.assert_allclose(scores, model.predict([(user, item) for item in items]), atol=1e-6)
        assert (np.diff(scores) <= 0).all()


def test_same_bits_for_any_number_of_threads(ratings):
    one, two = (model_of(n_threads=n).fit(ratings).predict_proba(ratings) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
