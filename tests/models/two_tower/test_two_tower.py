"""The two-tower model: what it learns and predicts, of users and items that it has met and of others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.special import expit

import fastcf
from fastcf.models.two_tower.towers import Inputs
from fastcf.optimizers import OPTIMIZERS, SCHEDULES, as_optimizer
from reference_two_tower import forward

N_USERS, N_ITEMS, N_OTHERS = 60, 40, 8


class Films:
    """Ratings that follow from features, and features of items that nobody rated, too."""

    def __init__(self):
        rng = np.random.default_rng(0)
        tastes, self.contents = rng.normal(0, 1, (N_USERS, 3)), rng.normal(0, 1, (N_ITEMS + N_OTHERS, 3))
        self.users = np.hstack([tastes, rng.random((N_USERS, 9)) < 0.1]).astype(np.float32)
        self.truth = np.clip(3 + 0.8 * tastes @ self.contents.T, 1, 5)
        mask = rng.random((N_USERS, N_ITEMS)) < 0.5
        users, items = np.nonzero(mask)
        self.ids = np.array([f"i{n:02d}" for n in range(N_ITEMS + N_OTHERS)])
        self.ratings = fastcf.Ratings.from_coo(users * 10 - 50, self.ids[items], self.truth[users, items])
        self.user_features = fastcf.FeatureTable(np.arange(N_USERS) * 10 - 50, scipy.sparse.csr_array(self.users))
        self.item_features = fastcf.FeatureTable(self.ids[::-1].copy(), self.contents[::-1].copy())
        pairs = np.meshgrid(np.arange(N_USERS), np.arange(N_ITEMS, N_ITEMS + N_OTHERS), indexing="ij")
        users, items = (side.ravel() for side in pairs)
        self.unseen = fastcf.Ratings.from_coo(users * 10 - 50, self.ids[items], self.truth[users, items])


@pytest.fixture(scope="module")
def films():
    return Films()


KINDS = {
    "features": {"user_features": True, "item_features": True},
    "ids of users": {"item_features": True},
    "both": {"user_features": True, "item_features": True, "ids": "both"},
    "ids": {},
}


def adam(rate=0.01, **options):
    return fastcf.optimizers.Adam(rate, **options)


def fitted(films, kind="features", validation=None, **options):
    """Return a model whose towers predict all, without a baseline, unless told otherwise."""
    given = dict(KINDS[kind])
    ids = given.pop("ids", "auto")
    tables = {name: getattr(films, name) for name in given}
    fixed = {"baseline": "none", "n_epochs": 15, "batch_size": 64, "optimizer": adam(), "reg": 0.0, "random_state": 0}
    options = {**fixed, **options}
    model = fastcf.TwoTower((16, 8), (12,), 6, ids=ids, **options)
    return model.fit(films.ratings, validation=validation, **tables)


# ---------------------------------------------------------------------------------------------------------------
# Prediction
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("cost", ["squared", "logistic"])
def test_two_tower_predicts_what_a_plain_forward_pass_does(films, kind, normalize, cost):
    threshold = 3.0 if cost == "logistic" else None
    model = fitted(films, kind, normalize=normalize, cost=cost, threshold=threshold, activation="tanh", n_epochs=3)
    inputs = []
    for name, ids, features, n in (
        ("user", model.users_, films.users, N_USERS),
        ("item", model.items_, films.contents[[int(name[1:]) for name in model.items_.ids]], N_ITEMS),
    ):
        x = features if f"{name}_features" in KINDS[kind] else np.empty((len(ids), 0))
        own = np.eye(len(ids), n) if x.shape[1] == 0 or kind == "both" else np.empty((len(ids), 0))
        inputs.append(np.hstack([x[: len(ids)], own]))
    length = np.sqrt(model.scale_ / model.unit_) if normalize else 0.0
    vectors = []
    for weights, biases, x in (
        (model.user_weights_, model.user_biases_, inputs[0]),
        (model.item_weights_, model.item_biases_, inputs[1]),
    ):
        tower = (np.empty((0, weights[0].shape[1])), *(np.asarray(w, float) for w in weights[:1]), weights[1:], biases)
        vectors.append(forward(tower, (np.empty((len(x), 0)), x), "tanh", length)[0] * np.sqrt(model.unit_))
    np.testing.assert_allclose(model.user_vectors(), vectors[0], atol=2e-5)
    np.testing.assert_allclose(model.item_vectors(), vectors[1], atol=2e-5)
    if normalize:
        np.testing.assert_allclose(np.linalg.norm(model.item_vectors(), axis=1), np.sqrt(model.scale_), rtol=1e-4)
    z = model.centre_ + vectors[0] @ vectors[1].T
    wanted = expit(z) if cost == "logistic" else np.clip(z, *model.rating_range_)
    np.testing.assert_allclose(model.predict_matrix(), wanted, atol=1e-4)
    pairs = [(-50, "i03"), (540, "i39")]
    np.testing.assert_allclose(model.predict(pairs), wanted[[0, 59], [3, 39]], atol=1e-4)
    best = model.recommend(-50, 3, exclude_seen=False)
    assert list(best.items) == list(model.items_.ids[np.argsort(-z[0], kind="stable")[:3]])


@pytest.mark.parametrize("kind", ["features", "ids of users", "both"])
def test_two_tower_predicts_items_that_nobody_rated(films, kind):
    model = fitted(films, kind, n_epochs=60)
    assert list(model.items_.ids[:N_ITEMS]) == list(films.ratings.items.ids)
    assert set(model.items_.ids[N_ITEMS:]) == set(films.ids[N_ITEMS:])
    blind = -fastcf.BiasModel().fit(films.ratings).score(films.unseen)
    assert -model.score(films.unseen) < 0.65 * blind
    assert model.seen_.indptr.size == N_USERS + 1
    assert set(films.ids[N_ITEMS:]) & set(model.recommend(-50, 30).items)


def test_two_tower_unknown_ids_count_as_the_average(films):
    model = fitted(films, "ids of users")
    counts = np.diff(films.ratings.indptr)
    average = counts @ model.user_vectors() / counts.sum()
    np.testing.assert_allclose(model.user_average_, average, atol=1e-6)
    wanted = np.clip(model.centre_ + model.item_vectors() @ average, *model.rating_range_)
    np.testing.assert_allclose(model.predict_matrix([99_999])[0], wanted, atol=1e-5)
    by_items = np.bincount(films.ratings.indices) @ model.item_vectors()[:N_ITEMS] / films.ratings.nnz
    lone = np.clip(model.centre_ + model.user_vectors() @ by_items, *model.rating_range_)
    np.testing.assert_allclose(model.predict([(n * 10 - 50, "new") for n in range(N_USERS)]), lone, atol=1e-5)
    both = model.predict([(99_999, "new")])[0]
    assert both == pytest.approx(model.global_mean_, abs=1e-5)
    with pytest.raises(ValueError, match=r"TwoTower\.predict: strict=True needs known item ids; got 'new'"):
        model.predict([(-50, "new")], strict=True)


def test_two_tower_vectors_of_features_are_those_of_their_rows(films):
    model = fitted(films)
    order = films.item_features.ids.rows(model.items_.ids)
    for features in (films.contents[::-1][order], scipy.sparse.csr_array(films.contents[::-1][order])):
        np.testing.assert_allclose(model.item_vectors(features), model.item_vectors(), atol=1e-5)
    np.testing.assert_allclose(model.user_vectors(films.user_features), model.user_vectors(), atol=1e-5)
    np.testing.assert_allclose(model.user_vectors(films.users[:3].tolist()), model.user_vectors()[:3], atol=1e-5)
    assert model.user_vectors(np.empty((0, 12))).shape == (0, 6)


def test_two_tower_folds_in_new_users_and_items(films, tmp_path):
    model = fitted(films, "both")
    new = fastcf.FeatureTable(["new", "i03"], np.stack([films.contents[5], films.contents[7]]))
    people = fastcf.FeatureTable([-50, 9], np.stack([films.users[0], films.users[1]]))
    folded = model.fold_in(user_features=people, item_features=new)
    assert list(folded.items_.ids) == [*model.items_.ids, "new"]
    assert list(folded.users_.ids) == [*model.users_.ids, 9]
    np.testing.assert_allclose(folded.item_vectors()[-1:], model.item_vectors(films.contents[5:6]), atol=1e-5)
    np.testing.assert_allclose(folded.user_vectors()[:-1], model.user_vectors(), atol=1e-5)  # -50 as before, own input
    others = np.arange(N_ITEMS + N_OTHERS) != 3
    np.testing.assert_allclose(folded.item_vectors()[:-1][others], model.item_vectors()[others], atol=1e-5)
    assert not np.allclose(folded.item_vectors()[3], model.item_vectors()[3])
    assert folded.recommend(9, 3).items.shape == (3,)
    assert "new" in folded.similar_items("i05", 60).ids
    folded.save(tmp_path / "model")
    again = fastcf.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_matrix(), folded.predict_matrix())
    np.testing.assert_allclose(again.fold_in(item_features=new).item_vectors(), folded.item_vectors(), atol=1e-6)
    with pytest.raises(ValueError, match=r"TwoTower\.fold_in: user_features or item_features must be given; got None"):
        model.fold_in()


# ---------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------


def test_two_tower_dense_and_sparse_tables_teach_the_same(films):
    wanted = fitted(films, n_epochs=2)
    dense = fastcf.FeatureTable(films.user_features.ids, films.users)
    options = {"baseline": "none", "n_epochs": 2, "batch_size": 64, "optimizer": adam(), "reg": 0.0, "random_state": 0}
    model = fastcf.TwoTower((16, 8), (12,), 6, **options)
    model.fit(films.ratings, user_features=dense, item_features=(films.ids, scipy.sparse.csr_array(films.contents)))
    np.testing.assert_allclose(model.predict_matrix(), wanted.predict_matrix()[:, : N_ITEMS + N_OTHERS][
        :, wanted.items_.rows(model.items_.ids)], atol=1e-4)  # fmt: skip


def test_two_tower_inputs_split_by_how_full_columns_are():
    matrix = np.zeros((20, 4), np.float32)
    matrix[:, 0], matrix[:2, 1], matrix[:15, 3] = 1.5, 2.5, 3.5
    own = np.array([2, 0, -1] + [-1] * 17, np.int32)
    for given in (matrix, scipy.sparse.csr_array(matrix)):
        inputs = Inputs.of(given, 3)
        assert inputs.dense.tolist() == [True, False, False, True, False, False, False]
        indptr, indices, values, n_sparse, dense = inputs.native(given, own)
        assert n_sparse == 5
        np.testing.assert_array_equal(dense, matrix[:, [0, 3]])
        wanted = np.hstack([matrix[:, [1, 2]], np.zeros((20, 3))])
        wanted[0, 4] = wanted[1, 2] = 1
        sparse = scipy.sparse.csr_array((values, indices, indptr), shape=(20, 5))
        np.testing.assert_array_equal(sparse.toarray(), wanted)


@pytest.mark.parametrize("cost", ["squared", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_tower_errors_of_history_are_those_of_predictions(films, cost, weighted):
    weights = np.random.default_rng(0).uniform(0.5, 2, films.ratings.nnz) if weighted else None
    users, items, values = films.ratings.to_coo()
    ratings = fastcf.Ratings.from_coo(users, items, values, weights=weights)
    labels = cost == "logistic"
    model = fastcf.TwoTower((8,), (8,), 4, baseline="none", cost=cost, threshold=3.0 if labels else None, n_epochs=4,
                            batch_size=100, reg=30.0, random_state=0)  # fmt: skip
    tables = {"user_features": films.user_features, "item_features": films.item_features}
    model.fit(ratings, validation=films.unseen, **tables)
    name = "log_loss" if labels else "rmse"
    assert [record["epoch"] for record in model.history_] == [0, 1, 2, 3, 4]
    record = model.history_[model.n_epochs_]
    z = model.centre_ + model.user_vectors().astype(float) @ model.item_vectors().T.astype(float)
    rows = ratings.row_of_entry(), model.items_.rows(ratings.items.ids)[ratings.indices]
    z, y = z[rows], ratings.values >= 3.0 if labels else ratings.values
    losses = np.logaddexp(0, z) - y * z if labels else ((z - y) / model.unit_) ** 2 / 2
    loss = np.average(losses, weights=ratings.weights)
    assert record[f"train_{name}"] == pytest.approx(loss if labels else model.unit_ * np.sqrt(2 * loss), rel=1e-5)
    assert -model.score(films.unseen) == pytest.approx(record[f"validation_{name}"], rel=1e-5)
    squares = sum(float((w.astype(float) ** 2).sum()) for w in (*model.user_weights_, *model.item_weights_))
    assert record["cost"] == pytest.approx(loss + 15.0 * squares / ratings.nnz, rel=1e-5)


def test_two_tower_history_begins_with_the_first_weights(films):
    """Epoch 0 is the objective at the parameters that training starts from; callbacks see the model of that moment."""
    seen = []

    class Watch(fastcf.callbacks.Callback):
        def on_train_begin(self, view):
            seen.append(-view.score(films.ratings))

        def on_epoch_end(self, view, record):
            seen.append(-view.score(films.ratings))

    options = {"dropout": 0.3, "cost": "logistic", "threshold": 3.0, "n_epochs": 3, "reg": 5.0}
    options["baseline"] = "none"  # beside one items have own biases in the end
    given = {"user_features": films.user_features, "item_features": films.item_features}
    model = fastcf.TwoTower((8,), (8,), 4, random_state=0, **options)
    model.fit(films.ratings, callbacks=Watch(), **given)
    np.testing.assert_allclose([record["train_log_loss"] for record in model.history_], seen, rtol=1e-5)
    assert model.history_[0]["learning_rate"] is None
    still = fastcf.TwoTower((8,), (8,), 4, random_state=0, optimizer=adam(1e-30), **options)
    still.fit(films.ratings, **given)
    assert [record["cost"] for record in still.history_] == pytest.approx([model.history_[0]["cost"]] * 4, rel=1e-6)


def test_two_tower_costs_of_many_ratings_are_those_of_a_sample(films, monkeypatch):
    whole = fitted(films, "ids", n_epochs=2, reg=20.0)
    monkeypatch.setattr(fastcf.models.two_tower.trainer, "n_measured", lambda n: n // 2)
    part = fitted(films, "ids", n_epochs=2, reg=20.0)
    np.testing.assert_array_equal(whole.predict_matrix(), part.predict_matrix())
    for one, other in zip(whole.history_, part.history_, strict=True):
        assert one["cost"] == pytest.approx(other["cost"], rel=0.1)
        assert one["cost"] != other["cost"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_tower_every_optimizer_lowers_the_error(films, optimizer):
    rates = {"adam": 0.005, "adagrad": 0.02, "adadelta": 1.0}
    stepper = as_optimizer(optimizer).set_params(learning_rate=rates.get(optimizer, 0.03))
    model = fitted(films, "both", optimizer=stepper, n_epochs=20, reg=1.0)
    assert model.history_[-1]["train_rmse"] < 0.8 * model.history_[0]["train_rmse"]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("init", ["he", "lecun", "glorot", "normal", "uniform"])
def test_two_tower_every_activation_and_init_learns(films, activation, init):
    model = fitted(films, activation=activation, init=init, dropout=0.1, n_epochs=25)
    assert model.history_[-1]["train_rmse"] < 0.95 * model.history_[0]["train_rmse"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_two_tower_step_sizes_follow_the_schedule(films, schedule):
    model = fitted(films, optimizer=adam(schedule=schedule), n_epochs=3)
    wanted = [fastcf.optimizers.learning_rate_at(schedule, 0.01, epoch, 3, 0.1) for epoch in range(3)]
    assert [record["learning_rate"] for record in model.history_] == [None, *wanted]


def test_two_tower_same_seed_same_bits_for_any_number_of_threads(films):
    first = fitted(films, "both", dropout=0.1, reg=3.0, n_threads=1, n_epochs=3)
    for n_threads in (2, 4):
        again = fitted(films, "both", dropout=0.1, reg=3.0, n_threads=n_threads, n_epochs=3)
        np.testing.assert_array_equal(again.predict_matrix(), first.predict_matrix())
    other = fitted(films, "both", dropout=0.1, reg=3.0, random_state=1, n_epochs=3)
    assert not np.array_equal(other.predict_matrix(), first.predict_matrix())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "selu"},
        {"activation": "tanh", "normalize": False, "dropout": 0.3, "cost": "logistic", "threshold": 3.0},
    ],
    ids=str,
)
def test_two_tower_gradients_are_right(films, kind, options):
    fitted(films, kind, n_epochs=1, **options).fit(
        films.ratings,
        check_gradients=True,
        user_features=films.user_features,
        item_features=films.item_features,
    )
    model = fastcf.TwoTower((5,), (4,), 3, **options)
    report = fastcf.check_gradients(model, films.ratings, max_coordinates=20)
    assert report.passed, report
    assert {block.name for block in report.blocks} == {
        f"{side}_{what}_{n}" for side in ("user", "item") for what in ("weights", "biases") for n in range(2)
    }


@pytest.mark.parametrize(("optimizer", "normalize"), [("momentum", True), ("adam", False)])
def test_two_tower_unit_of_ratings_does_not_matter(films, optimizer, normalize):
    stepper = as_optimizer(optimizer).set_params(learning_rate=0.01)
    options = {"optimizer": stepper, "normalize": normalize, "reg": 3.0, "n_epochs": 3}
    wanted = fitted(films, **options).predict_matrix()
    users, items, values = films.ratings.to_coo()
    ratings = fastcf.Ratings.from_coo(users, items, 20 * values - 30)
    model = fastcf.TwoTower((16, 8), (12,), 6, baseline="none", batch_size=64, random_state=0, **options)
    model.fit(ratings, user_features=films.user_features, item_features=films.item_features)
    np.testing.assert_allclose(model.predict_matrix(), 20 * wanted - 30, atol=0.02)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_two_tower_validation_without_features_is_left_out(films):
    users, items, values = films.unseen.to_coo()
    more = fastcf.Ratings.from_coo([*users, 99_999], [*items, "new"], [*values, 1.0])
    wanted = fitted(films, n_epochs=2, validation=films.unseen)
    model = fitted(films, n_epochs=2, validation=more)
    assert model.history_[-1]["validation_rmse"] == wanted.history_[-1]["validation_rmse"]
    with pytest.raises(ValueError, match=r"TwoTower\.fit: validation must have users and items with ratings or feat"):
        fitted(films, validation=fastcf.Ratings.from_coo([99_999], ["new"], [1.0]))


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_two_tower_constant_ratings_are_predicted():
    for value in (4.0, 3.3):
        ratings = fastcf.Ratings.from_coo([1, 1, 2], [3, 4, 3], [value] * 3)
        model = fastcf.TwoTower((4,), (4,), 2, random_state=0).fit(ratings)
        np.testing.assert_allclose(model.predict_matrix(), value, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------------------
# Accuracy
# ---------------------------------------------------------------------------------------------------------------


def test_two_tower_with_defaults_predicts_new_items_better_than_item_blind_models(data_dir):
    log = fastcf.data.read_log(data_dir / "ml-latest-small" / "ratings.csv")
    films = fastcf.data.read_items(data_dir / "ml-latest-small")
    names = sorted({genre for genres in films.genres for genre in genres.split("|")})
    genres = np.array([[name in row.split("|") for name in names] for row in films.genres], np.float32)
    table = fastcf.FeatureTable(films.ids, genres / genres.std(0))
    new = np.random.default_rng(20261121).choice(films.ids, len(films.ids) // 5, replace=False)
    held = np.isin(log.items, new)
    train = fastcf.Ratings.from_coo(log.users[~held], log.items[~held], log.ratings[~held])
    test = fastcf.Ratings.from_coo(log.users[held], log.items[held], log.ratings[held])
    means = np.bincount(train.row_of_entry(), train.values) / np.diff(train.indptr)
    blind = fastcf.metrics.rmse(test.values, means[train.users.rows(test.users.ids)][test.row_of_entry()])
    model = fastcf.TwoTower(random_state=0).fit(train, item_features=table)
    assert -model.score(test) < blind - 0.02
