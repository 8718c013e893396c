"""The masked autoencoder as a model: against a plain forward pass, its own promises, and the bias model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf._backend import resolve_device
from fastcf.models.autoencoder import trainer
from fastcf.optimizers import OPTIMIZERS
from reference_autoencoder import parameters_of, run

NORMALIZE = ("bias", "item", "user", "global", None)
BOUNDS = {"sigmoid": (0, 1), "tanh": (-1, 1)}
SMOOTH = ("identity", "sigmoid", "tanh")


def model_of(**options):
    given = {"layers": (6,), "n_epochs": 4, "reg": 5.0, "random_state": 0, "rated_input": 30.0, **options}
    return fastcf.Autoencoder(**given)


def steps(learning_rate, kind=fastcf.optimizers.GradientDescent, **options):
    return kind(learning_rate, **options)


@pytest.fixture(scope="module")
def ratings():
    """Ratings of 60 users and 40 items with ids of both kinds; user 5 and item 7 have none."""
    numbered = fastcf.data.make_ratings(60, 40, 1_000, random_state=3)
    users, items, values = numbered.to_coo()
    named = fastcf.Ratings.from_coo([f"u{u:02d}" for u in users], items * 10 - 50, values)
    return named.take((named.row_of_entry() != 5) & (named.indices != 7))


@pytest.fixture(scope="module", params=["item", "user"])
def fitted(request, ratings):
    return model_of(orientation=request.param, layers=(6, 4), activation="tanh").fit(ratings)


def pairs_of(ratings, *more):
    users, items, values = ratings.to_coo()
    pairs = np.empty((users.size + len(more), 2), object)
    pairs[:, 0], pairs[:, 1] = [*users, *(u for u, _ in more)], [*items, *(i for _, i in more)]
    return pairs, values


# ---------------------------------------------------------------------------------------------------------------
# Predictions
# ---------------------------------------------------------------------------------------------------------------


def scale_of(ratings, normalize, output):
    """Mean, unit, and offsets of users and items, as the docstring has them."""
    users, items, values = ratings.row_of_entry(), ratings.indices, ratings.values.astype(float)
    weights = np.ones(values.size) if ratings.weights is None else ratings.weights
    of_users, of_items = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    if output in BOUNDS:
        low, high = BOUNDS[output]
        unit = (values.max() - values.min()) / (high - low)
        return values.min() - low * unit, unit, of_users, of_items
    if normalize is None:
        return 0.0, 1.0, of_users, of_items
    mean = np.average(values, weights=weights)
    if normalize == "bias":
        biases = fastcf.BiasModel().fit(ratings)
        mean, of_users, of_items = biases.global_mean_, biases.user_bias_, biases.item_bias_
    for name, rows, offsets in (("user", users, of_users), ("item", items, of_items)):
        if normalize == name:
            total = np.bincount(rows, weights, offsets.size)
            offsets += np.bincount(rows, weights * (values - mean), offsets.size) / np.maximum(total, 1e-9)
    left = values - mean - of_users[users] - of_items[items]
    return mean, np.sqrt(np.average(left**2, weights=weights)), of_users, of_items


def forward(model, ratings):
    """f(x) of all users and items by a plain forward pass, on the scale of ratings and unlimited; and the offsets."""
    mean, unit, users, items = scale_of(ratings, model.normalize, model.output_activation)
    rows, columns, values = ratings.row_of_entry(), ratings.indices, ratings.values
    x = np.zeros(ratings.shape)
    x[rows, columns] = (values - mean - users[rows] - items[columns]) / unit
    r = np.zeros(ratings.shape)
    r[rows, columns] = 1
    fed, r = (x, r) if model.orientation == "user" else (x.T, r.T)
    given = None
    if model.rated_input:
        given = model.rated_input * r / np.sqrt(np.maximum(r.sum(1, keepdims=True), 1))
    out = run(parameters_of(model), fed, model.layers, model.activation, model.output_activation, given=given)[0]
    out = out if model.orientation == "user" else out.T
    empty = run(parameters_of(model), 0 * fed[:1], model.layers, model.activation, model.output_activation)[0][0]
    return mean + users[:, None] + items + unit * out, mean, users, items, unit * empty


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("normalize", "output"),
    [*((normalize, "identity") for normalize in NORMALIZE), *(("bias", output) for output in BOUNDS),
     ("global", "selu"), (None, "selu"), (None, "relu")],
)  # fmt: skip
def test_autoencoder_predicts_what_a_plain_forward_pass_does(ratings, orientation, tied, normalize, output):
    model = model_of(
        layers=(6, 4), activation="elu", orientation=orientation, tied=tied, normalize=normalize,
        output_activation=output,
    ).fit(ratings)  # fmt: skip
    wanted, mean, users, items, empty = forward(model, ratings)
    low, high = model.rating_range_
    np.testing.assert_allclose(model.predict_matrix(), wanted.clip(low, high), atol=2e-4)
    known, nobody = ratings.users.ids[2], ("nobody", 98765)
    got = model.predict([(known, 98765), ("nobody", 30), nobody])
    user, item, bounded = 2, int(ratings.items.rows([30])[0]), output != "identity"
    by_user = ratings.mean if bounded else mean + users[user]
    by_item = ratings.mean if bounded else mean + items[item]
    if orientation == "user":
        by_item = mean + items[item] + empty[item]  # an unknown user has rated nothing
    else:
        by_user = mean + users[user] + empty[user]
    wanted = np.array([by_user, by_item, ratings.mean if bounded else mean])
    np.testing.assert_allclose(got, wanted.clip(low, high), atol=2e-4)
    np.testing.assert_allclose(model.predict_matrix(["nobody"])[0], model.predict(
        [("nobody", one) for one in ratings.items.ids]), atol=2e-5)  # fmt: skip
    found = model.recommend(["u01", "nobody"], 5, exclude_seen=False)
    for user, ids, scores in zip(("u01", "nobody"), *found, strict=True):
        np.testing.assert_allclose(scores, model.predict([(user, one) for one in ids]), atol=2e-5)


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("normalize", "output"), [("bias", "identity"), ("item", "identity"), ("bias", "sigmoid")])
def test_autoencoder_validation_rmse_is_that_of_predictions(ratings, orientation, weighted, normalize, output):
    if weighted:
        weights = np.random.default_rng(0).uniform(0.2, 2, ratings.nnz)
        ratings = fastcf.Ratings.from_coo(*ratings.to_coo(), weights=weights)
    train, rest = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    pairs, values = pairs_of(rest, ("nobody", 30), ("u02", 98765), ("nobody", 98765), ("u05", 30), ("u03", 20))
    y = np.append(values, [1.5, 4, 2, 5, 3])
    model = model_of(orientation=orientation, normalize=normalize, output_activation=output, input_dropout=0.3)
    model.fit(train, validation=(pairs, y))
    kept = model.history_[model.n_epochs_]["validation_rmse"]
    assert kept == min(record["validation_rmse"] for record in model.history_[1:])
    assert kept == pytest.approx(fastcf.metrics.rmse(y, model.predict(pairs)), abs=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"orientation": "user", "tied": True, "layers": (6, 4)}, {"output_activation": "sigmoid", "dropout": 0.3},
     {"normalize": "item", "dense_refeeding": 1, "rated_input": 0}],
)  # fmt: skip
def test_autoencoder_history_holds_the_objective_at_the_parameters(ratings, weighted, options):
    """At those of every epoch, from epoch 0 on, whatever is dropped in training."""
    if weighted:
        weights = np.random.default_rng(0).uniform(0.2, 2, ratings.nnz)
        ratings = fastcf.Ratings.from_coo(*ratings.to_coo(), weights=weights)
    views = []

    class Look(fastcf.callbacks.Callback):
        def on_train_begin(self, view):
            views.append((view, view.state))

        def on_epoch_end(self, view, record):
            views.append((view, view.state))

    model = model_of(init="glorot", reg=7.0, batch_size=16, rated_output=False, **options)
    model.fit(ratings, callbacks=Look())
    assert [record["epoch"] for record in model.history_] == [0, 1, 2, 3, 4]
    assert [record["learning_rate"] is None for record in model.history_] == [True, False, False, False, False]
    total = ratings.nnz if ratings.weights is None else float(ratings.weights.sum())
    for record, (view, _) in zip(model.history_, views, strict=True):
        for name in ("orientation", "normalize", "output_activation", "layers", "activation", "rated_input", "tied"):
            setattr(view, name, getattr(model, name))
        wanted, *_ = forward(view, ratings)
        wanted = wanted[ratings.row_of_entry(), ratings.indices]
        error = np.average((wanted - ratings.values) ** 2, weights=ratings.weights)
        assert record["train_rmse"] == pytest.approx(np.sqrt(error), rel=1e-4)
        penalised = [view.input_weights_, *view.hidden_weights_]
        penalised += [] if model.tied else [view.output_weights_]
        penalised += [] if view.rated_weights_ is None else [view.rated_weights_]
        penalised += [view.output_bias_] if model.normalize == "bias" and model.output_activation == "identity" else []
        penalty = 7.0 / 2 * sum(float((array.astype(float) ** 2).sum()) for array in penalised) / total
        assert record["cost"] == pytest.approx(error / model.scale_.unit**2 + penalty, rel=1e-4)
    assert model.history_[-1]["cost"] < model.history_[0]["cost"]


def test_autoencoder_cost_of_many_ratings_is_that_of_some_whole_rows(ratings, monkeypatch):
    """More ratings than are measured: rows are drawn by the seed, the same ones for all epochs."""
    whole = model_of(input_dropout=0.0).fit(ratings).history_
    monkeypatch.setattr(trainer, "n_measured", lambda n: 300)
    first, again, other = (model_of(input_dropout=0.0, random_state=seed).fit(ratings).history_ for seed in (0, 0, 1))
    for one, same, exact in zip(first, again, whole, strict=True):
        assert one["train_rmse"] == same["train_rmse"] != exact["train_rmse"]
        assert one["train_rmse"] == pytest.approx(exact["train_rmse"], rel=0.2)
        assert one["cost"] == pytest.approx(exact["cost"], rel=0.4)
    assert first[-1]["train_rmse"] < first[0]["train_rmse"] != other[0]["train_rmse"]


def test_autoencoder_what_nobody_rated_is_predicted_like_the_unknown(ratings, fitted):
    np.testing.assert_allclose(
        fitted.predict([("u02", int(ratings.items.ids[7])), ("u05", 30)]),
        fitted.predict([("u02", 98765), ("nobody", 30)]),
        atol=1e-5,
    )


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_autoencoder_constant_ratings_are_predicted():
    for n in (1, 3):
        ratings = fastcf.Ratings.from_coo(range(n), range(n), [3.0] * n)
        for options in ({}, {"normalize": "global"}, {"output_activation": "tanh"}, {"orientation": "user"}):
            model = fastcf.Autoencoder(random_state=0, **options).fit(ratings)
            np.testing.assert_allclose(model.predict([(0, 0), (5, 5), (0, 5), (5, 0)]), 3, atol=1e-3)


# ---------------------------------------------------------------------------------------------------------------
# What must not matter, and what must
# ---------------------------------------------------------------------------------------------------------------


def everything(model):
    arrays = model.input_weights_, model.output_weights_, model.output_bias_, model.user_factors_, model.item_factors_
    return [*arrays, *model.hidden_weights_, *model.hidden_biases_, model.predict_matrix()]


def assert_same(first, second):
    for one, other in zip(everything(first), everything(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [{}, {"orientation": "user", "dropout": 0.3, "tied": True},
     {"dense_refeeding": 1, "activation": "selu", "alpha_dropout": True, "dropout": 0.2, "layers": (8, 5)}],
)  # fmt: skip
def test_autoencoder_same_seed_same_bits(ratings, options):
    first = model_of(n_threads=1, **options).fit(ratings)
    assert_same(first, model_of(n_threads=2, **options).fit(ratings))
    assert (first.predict(ratings) != model_of(random_state=1, **options).fit(ratings).predict(ratings)).any()


def test_autoencoder_permuting_ratings_changes_nothing(ratings):
    users, items, values = ratings.to_coo()
    order = np.random.default_rng(0).permutation(users.size)
    whole = fastcf.Ratings.from_coo(users, items, values)
    shuffled = fastcf.Ratings.from_coo(users[order], items[order], values[order])
    assert_same(model_of().fit(whole), model_of().fit(shuffled))


@pytest.mark.parametrize("orientation", ["item", "user"])
def test_autoencoder_renaming_rows_permutes_nothing_but_their_order(ratings, orientation):
    """Steps along the gradient of all rows at once do not depend on the rows' order."""
    users, items, values = ratings.to_coo()
    by_user = orientation == "user"
    names = np.unique(users if by_user else items)
    new = dict(zip(names.tolist(), np.random.default_rng(1).permutation(names).tolist(), strict=True))
    renamed = [new[one] for one in (users if by_user else items).tolist()]
    pairs = (renamed, items) if by_user else (users, renamed)
    options = {"orientation": orientation, "optimizer": steps(0.3), "batch_size": 100}
    first, second = (
        model_of(**options, input_dropout=0.0).fit(fastcf.Ratings.from_coo(*each, values))
        for each in ((users, items), pairs)
    )
    np.testing.assert_allclose(
        second.predict(list(zip(*pairs, strict=True))), first.predict(list(zip(users, items, strict=True))), atol=1e-5
    )


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
@pytest.mark.parametrize(("normalize", "output"), [("global", "identity"), ("bias", "sigmoid")])
def test_autoencoder_weight_two_is_the_same_ratings_twice(optimizer, normalize, output):
    users, items, values = fastcf.data.make_ratings(40, 30, 500, random_state=1).to_coo()
    twice = users < 15
    copies = (users[twice] + 1000, items[twice], values[twice])
    doubled = fastcf.Ratings.from_coo(
        *(np.concatenate(two) for two in zip((users, items, values), copies, strict=True))
    )
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=1 + twice)
    options = {
        "orientation": "user", "batch_size": 1000, "input_dropout": 0.0, "init": "normal",
        "normalize": normalize, "output_activation": output, "rated_output": False,  # effects are a row's own
        "optimizer": steps(2.0) if optimizer == "gd" else steps(0.01, fastcf.optimizers.Adam),
    }  # fmt: skip
    first, second = (model_of(**options).fit(each) for each in (doubled, weighted))
    pairs = np.stack([users, items], axis=1)
    np.testing.assert_allclose(second.predict(pairs), first.predict(pairs), atol=1e-4)
    unweighted = model_of(**options).fit(fastcf.Ratings.from_coo(users, items, values))
    assert np.abs(unweighted.predict(pairs) - first.predict(pairs)).max() > 1e-3


@settings(max_examples=100)
@given(
    activation=st.sampled_from(SMOOTH),
    output=st.sampled_from(SMOOTH),
    orientation=st.sampled_from(["item", "user"]),
    layers=st.sampled_from([(5,), (4, 3), (3, 4, 2)]),
    normalize=st.sampled_from(NORMALIZE[:-1]),
    tied=st.booleans(),
    weighted=st.booleans(),
    dropout=st.sampled_from([0.0, 0.4]),
    alpha=st.booleans(),
    input_dropout=st.sampled_from([0.0, 0.5]),
    refeeding=st.sampled_from([0, 2]),
    seed=st.integers(0, 1000),
)
def test_autoencoder_gradients_are_right(
    activation, output, orientation, layers, normalize, tied, weighted, dropout, alpha, input_dropout, refeeding, seed
):
    users, items, values = fastcf.data.make_ratings(15, 12, 90, random_state=seed).to_coo()
    weights = np.random.default_rng(seed).uniform(0.3, 2, users.size) if weighted else None
    model = fastcf.Autoencoder(
        layers, orientation=orientation, activation=activation, output_activation=output, tied=tied, dropout=dropout,
        alpha_dropout=alpha and dropout > 0, input_dropout=input_dropout, dense_refeeding=refeeding,
        normalize="bias" if output in BOUNDS else normalize, reg=2.0, random_state=seed,
        n_threads=1,
    )  # fmt: skip
    ratings = fastcf.Ratings.from_coo(users, items, values, weights=weights)
    report = fastcf.check_gradients(model, ratings, max_coordinates=8)
    assert report.passed, report


@pytest.mark.parametrize(
    ("options", "said"),
    [({"tied": True}, "tied=True"), ({"dense_refeeding": 1}, "dense_refeeding"),
     ({"cost": "multinomial", "reg": 1.0}, "cost='multinomial'")],
)  # fmt: skip
def test_autoencoder_centres_are_refused_where_there_are_none(ratings, options, said):
    with pytest.raises(ValueError, match=rf"rated_output must be False or 'auto' with {said}; got True"):
        model_of(rated_output=True, **options).fit(ratings)
    by_default, without = (model_of(rated_output=value, **options).fit(ratings) for value in ("auto", False))
    np.testing.assert_array_equal(by_default.output_weights_, without.output_weights_)


@pytest.mark.parametrize("orientation", ["item", "user"])
def test_autoencoder_centres_help_where_tastes_choose(orientation):
    made = fastcf.data.make_ratings(400, 300, 12_000, choice=1.0, noise=0.7, random_state=0)
    train, test = fastcf.data.train_test_split(made, random_state=0)
    errors = [
        -fastcf.Autoencoder((16,), orientation=orientation, rated_output=rated_output, random_state=0)
        .fit(train)
        .score(test)
        for rated_output in (True, False)
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("orientation", ["item", "user"])
def test_autoencoder_every_optimizer_lowers_the_error(ratings, optimizer, orientation):
    model = model_of(orientation=orientation, optimizer=optimizer, n_epochs=15, input_dropout=0.2, batch_size=8)
    model.fit(ratings, check_gradients=True)
    errors = [record["train_rmse"] for record in model.history_]
    assert errors[-1] < errors[0]
    assert model.learning_rate_ > 0


@pytest.mark.parametrize(("n_items", "wanted"), [(40, 128), (16_383, 128), (16_384, 256), (90_000, 1024)])
def test_autoencoder_batches_grow_with_the_rows(n_items, wanted):
    ratings = fastcf.Ratings.from_coo(np.arange(n_items) % 7, np.arange(n_items), 1.0 + np.arange(n_items) % 5)
    model = fastcf.Autoencoder((1,), n_epochs=1, random_state=0).fit(ratings)
    assert model.batch_size_ == wanted
    assert fastcf.Autoencoder((1,), n_epochs=1, batch_size=50).fit(ratings).batch_size_ == 50


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "inverse", "exponential"])
def test_autoencoder_step_sizes_follow_the_schedule(ratings, schedule):
    decay = 0.2 if schedule in ("inverse", "exponential") else None
    model = model_of(optimizer=steps(0.01, fastcf.optimizers.Adam, schedule=schedule, decay=decay)).fit(ratings)
    wanted = [fastcf.optimizers.learning_rate_at(schedule, 0.01, epoch, 4, 0.2) for epoch in range(4)]
    assert [record["learning_rate"] for record in model.history_] == [None, *wanted]


@pytest.mark.parametrize(
    ("options", "batch_size", "rate"),
    [
        ({}, 40, 1), ({}, 20, 1 / 2), ({}, 14, 1 / 3), ({}, 8, 1 / 4), ({"orientation": "user"}, 20, 1 / 3),
        ({"tied": True}, 8, 1), ({"optimizer": "adagrad"}, 8, 1), ({"optimizer": "momentum"}, 8, 1),
    ],
)  # fmt: skip
def test_autoencoder_output_weights_take_smaller_steps_under_adam(ratings, options, batch_size, rate):
    problem = model_of(**options)._problem(ratings, None, resolve_device("cpu", "test"), 0)
    assert replace(problem, batch_size=batch_size).output_rate == pytest.approx(rate)


@pytest.mark.parametrize("init", ["lecun", "glorot", "normal", "uniform"])
@pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu"])
def test_autoencoder_every_activation_and_init_learns(ratings, init, activation):
    model = model_of(activation=activation, init=init, n_epochs=40, layers=(8, 8), input_dropout=0.2, batch_size=8)
    assert model.fit(ratings).score(ratings) > fastcf.BiasModel().fit(ratings).score(ratings)


# ---------------------------------------------------------------------------------------------------------------
# Codes, reconstructions, new rows
# ---------------------------------------------------------------------------------------------------------------


def test_autoencoder_codes_are_the_encoders_values(ratings, fitted):
    codes = fitted.encode(ratings)
    mean, unit, users, items = scale_of(ratings, "bias", "identity")
    x = np.zeros(ratings.shape)
    rows, columns = ratings.row_of_entry(), ratings.indices
    x[rows, columns] = (ratings.values - mean - users[rows] - items[columns]) / unit
    r = np.zeros(ratings.shape)
    r[rows, columns] = fitted.rated_input
    x, r = (x, r) if fitted.orientation == "user" else (x.T, r.T)
    given = r / np.sqrt(np.maximum((r > 0).sum(1, keepdims=True), 1))
    _, (_, _, steps, _, _) = run(parameters_of(fitted), x, fitted.layers, "tanh", "identity", given=given)
    np.testing.assert_allclose(codes, np.tanh(steps[1][1]), atol=2e-3)  # biases are computed row by row
    assert codes.shape == (60 if fitted.orientation == "user" else 40, 4)
    assert codes.dtype == np.float32
    pairs, values = pairs_of(ratings)
    given = fitted.encode(pairs, values)  # without rows that have no ratings
    rated = np.diff(ratings.indptr if fitted.orientation == "user" else ratings.by_item().indptr) > 0
    np.testing.assert_allclose(given, codes[rated], atol=1e-6)


def test_autoencoder_reconstruction_is_the_prediction(ratings, fitted):
    out = fitted.reconstruct(ratings)
    assert out.shape == ratings.shape
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, fitted.predict_matrix(), atol=5e-3)
    some = (
        ratings.take(ratings.row_of_entry() < 3) if fitted.orientation == "user" else ratings.take(ratings.indices < 3)
    )
    pairs, values = pairs_of(some)
    few = fitted.reconstruct(pairs, values)
    expected = out[:3] if fitted.orientation == "user" else out[:, :3]
    np.testing.assert_allclose(few, expected, atol=1e-5)


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize(
    ("normalize", "output"),
    [*((normalize, "identity") for normalize in NORMALIZE), ("bias", "sigmoid"), ("global", "selu")],
)
def test_autoencoder_folding_in_what_it_was_trained_on_changes_nothing(ratings, orientation, normalize, output):
    model = model_of(orientation=orientation, normalize=normalize, output_activation=output).fit(ratings)
    folded = model.fold_in(ratings, by=orientation)
    # Biases are fitted together; each alone is the same within the tolerance of the fit.
    tolerance = 5e-3 if (normalize, output) == ("bias", "identity") else 1e-5
    np.testing.assert_allclose(folded.predict_matrix(), model.predict_matrix(), atol=tolerance)
    assert (folded.users_, folded.items_) == (model.users_, model.items_)


def test_autoencoder_new_rows_are_answered_for(ratings, fitted, tmp_path):
    by = fitted.orientation
    old = ratings.users.ids[:3] if by == "user" else ratings.items.ids[:3]
    columns = ratings.items.ids if by == "user" else ratings.users.ids
    first = np.flatnonzero(ratings.row_of_entry() == 1 if by == "user" else ratings.indices == 1)
    users, items, values = ratings.to_coo()
    new = "newcomer" if by == "user" else 777
    pairs = [(new, i) if by == "user" else (u, new) for u, i in zip(users[first], items[first], strict=True)]
    unknown = (new, 98765) if by == "user" else ("nobody", new)
    before = fitted.predict_matrix()
    folded = fitted.fold_in([*pairs, unknown], [*values[first], 3.0], by=by)
    np.testing.assert_array_equal(fitted.predict_matrix(), before)
    twin = [(old[1], c) if by == "user" else (c, old[1]) for c in columns]
    same = [(new, c) if by == "user" else (c, new) for c in columns]
    np.testing.assert_allclose(folded.predict(same), fitted.predict(twin), atol=5e-3)
    np.testing.assert_allclose(
        folded.encode(pairs, values[first]), fitted.encode(ratings)[1:2], atol=1e-5
    )  # the network is the same
    with pytest.raises(ValueError, match="strict=True needs known"):
        fitted.fold_in([*pairs, unknown], [*values[first], 3.0], by=by, strict=True)
    with pytest.raises(ValueError, match="strict=True needs known"):
        fitted.encode([*pairs, unknown], [*values[first], 3.0], strict=True)
    if by == "user":
        found = folded.recommend(new, 5)
        assert not set(found.items) & set(items[first])
    folded.save(tmp_path / "folded")
    np.testing.assert_array_equal(fastcf.load(tmp_path / "folded").predict(same), folded.predict(same))


def test_autoencoder_folds_in_one_side_only(ratings, fitted):
    other = "item" if fitted.orientation == "user" else "user"
    message = rf"Autoencoder\.fold_in: by must be '{fitted.orientation}', the rows of the network; got '{other}'"
    with pytest.raises(ValueError, match=message):
        fitted.fold_in(ratings, by=other)
    with pytest.raises(ValueError, match=r"Autoencoder\.fold_in: by must be 'user' or 'item'; got 'both'"):
        fitted.fold_in(ratings, by="both")


def test_autoencoder_histories_of_queries_are_rows_folded_in(ratings):
    """By user; a network by item has a vector for each of its users and none for others."""
    few = ratings.take(ratings.row_of_entry() < 4)
    users, items, values = few.to_coo()
    new = fastcf.Ratings.from_coo([f"new {user}" for user in users], items, values)
    for options in ({}, {"output_activation": "sigmoid"}, {"cost": "logistic", "threshold": 4}):
        model = model_of(orientation="user", **options).fit(ratings)
        folded = model.fold_in(new)
        np.testing.assert_array_equal(model.predict(new, history=new), folded.predict(new))
        for mine, theirs in zip(model.recommend(history=new, n=5), folded.recommend(new.users.ids, 5), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    by_item = model_of().fit(ratings)
    with pytest.raises(ValueError, match=r"Autoencoder\.recommend: .* new items only, the rows of the network"):
        by_item.recommend(history=new)


def test_autoencoder_answers_by_its_fit_whatever_parameters_are_set(ratings, tmp_path):
    model = model_of(orientation="user", activation="elu").fit(ratings)
    wanted, codes = model.predict(ratings), model.encode(ratings)
    model.set_params(orientation="item", activation="relu", output_activation="tanh", cost="logistic", layers=(3,))
    model.save(tmp_path / "model")
    for one in (model, fastcf.load(tmp_path / "model")):
        np.testing.assert_array_equal(one.predict(ratings), wanted)
        np.testing.assert_array_equal(one.encode(ratings), codes)
        np.testing.assert_array_equal(one.reconstruct(ratings), model.fold_in(ratings).predict_matrix())
        assert one.history_ == model.history_


def test_autoencoder_attributes_are_views_of_what_was_learnt(ratings, fitted):
    for name in ("input_weights_", "output_weights_", "rated_weights_", "output_bias_", "user_factors_"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(fitted, name)[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        fitted.scale_.rows[0] = 0
    with pytest.raises(AttributeError, match="is a view of what fit has learnt"):
        fitted.reg_ = 1.0
    assert {"scale_", "hidden_weights_", "mean_rating_", "batch_size_", "learning_rate_"} <= set(dir(fitted))


def test_autoencoder_subclass_of_a_users_own_behaves_as_its_base(ratings, tmp_path):
    class Mine(fastcf.Autoencoder):
        """Adds nothing."""

    base, mine = (kind((6,), n_epochs=2, random_state=0).fit(ratings) for kind in (fastcf.Autoencoder, Mine))
    np.testing.assert_array_equal(mine.predict(ratings), base.predict(ratings))
    mine.save(tmp_path / "mine")
    loaded = fastcf.load(tmp_path / "mine")
    assert type(loaded) is fastcf.Autoencoder
    np.testing.assert_array_equal(loaded.predict(ratings), base.predict(ratings))
    assert type(mine.fold_in(ratings, by="item")) is Mine


# ---------------------------------------------------------------------------------------------------------------
# Defaults
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize("shape", [(300, 100, 12_000), (300, 100, 900)])
def test_dropped_inputs_follow_the_ratings_of_a_row(shape, orientation):
    ratings = fastcf.data.make_ratings(*shape, random_state=1)
    model = model_of(orientation=orientation, n_epochs=1).fit(ratings)
    by_user = orientation == "user"
    counts = np.bincount(ratings.row_of_entry() if by_user else ratings.indices).astype(float)
    per_column = ratings.nnz / (ratings.n_items if by_user else ratings.n_users)
    half = 30 * max(1, 30 / per_column) ** 2
    kept = counts / 2 * np.minimum(1, np.sqrt(half / np.maximum(counts, 1)))
    np.testing.assert_allclose(model.input_dropout_, 1 - kept.sum() / ratings.nnz, rtol=1e-6)
    assert model.input_dropout_ > 0.55 or per_column < 30


def test_dropped_inputs_of_a_number_are_the_same_in_all_rows(ratings):
    assert model_of(input_dropout=0.25, n_epochs=1).fit(ratings).input_dropout_ == pytest.approx(0.25)
    labels = model_of(cost="logistic", threshold=3.5, n_epochs=1).fit(ratings)
    assert labels.input_dropout_ == 0.5


@pytest.mark.parametrize("orientation", ["item", "user"])
@pytest.mark.parametrize(("unit", "offset"), [(1.0, 2_000.0), (1.0, 100_000.0), (1_000.0, 0.0), (1e-3, -5.0)])
def test_autoencoder_follows_neither_scale_nor_offset(ratings, orientation, unit, offset):
    moved = ratings.with_values((ratings.values.astype(np.float64) * unit + offset).astype(np.float32))
    plain = model_of(orientation=orientation, n_epochs=20).fit(ratings).predict(ratings)
    found = model_of(orientation=orientation, n_epochs=20).fit(moved).predict(moved)
    # Float32 holds 100,000 to 0.008, and -5 to a twentieth of a thousandth of ratings of some thousandths.
    atol = 0.02 if abs(offset) > 1_000 else 0.002
    np.testing.assert_allclose((found.astype(np.float64) - offset) / unit, plain, atol=atol)
