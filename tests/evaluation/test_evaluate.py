"""Comparing models: the figures of a loop by hand, splits, all kinds of models, failures, the table."""

import functools
import pickle
import warnings

import numpy as np
import pytest

import fastcf
from fastcf.data import leave_n_out, split_by_time, split_users, train_test_split
from fastcf.metrics import as_scorer, ranking_by_user, rmse
from fastcf.retrieval import NearestVectors, TopItems, TwoStageRecommender

FEW = {"n_resamples": 50}


@pytest.fixture(scope="module")
def ratings():
    made = fastcf.data.make_ratings(150, 80, 4500, choice=1.0, random_state=0)
    return fastcf.Ratings.from_coo(*made.to_coo(), timestamps=np.arange(made.nnz))


@pytest.fixture(scope="module")
def models():
    return {
        "popular": fastcf.Popular(threshold=4),
        "biases": fastcf.BiasModel(),
        "factors": fastcf.MatrixFactorization(4, n_epochs=5, random_state=3),
        "likes": fastcf.MatrixFactorization(4, n_epochs=3, cost="logistic", threshold=4, reg=1.0),
        "linear": fastcf.LinearAutoencoder(threshold=4),
    }


@pytest.fixture(scope="module")
def table(models, ratings):
    return fastcf.evaluate(models, ratings, metrics=["rmse", "log_loss", "auc", "ndcg", "recall"], **FEW)


def figure(table, model, metric):
    return table.values[table.models.index(model), table.metrics.index(metric), 0]


def test_figures_are_those_of_a_loop_by_hand(table, models, ratings):
    train, test = train_test_split(ratings, random_state=0)
    liked = test.take(test.values >= 4)
    for name, model in models.items():
        fitted = fastcf.evaluation.candidates.clone(model)
        if "random_state" in fitted.get_params() and fitted.random_state is None:
            fitted.random_state = 0
        fitted.fit(train)
        lists = ranking_by_user(fitted, None, liked, k=10)
        assert figure(table, name, "ndcg@10") == pytest.approx(lists.ndcg.mean()), name
        assert figure(table, name, "recall@10") == pytest.approx(lists.recall.mean()), name
        assert figure(table, name, "auc") == pytest.approx(as_scorer("auc", "", threshold=4)(fitted, test)), name
        if name in ("biases", "factors"):
            assert figure(table, name, "rmse") == pytest.approx(rmse(test.values, fitted.predict(test)))
        else:
            assert np.isnan(figure(table, name, "rmse"))
        if name == "likes":
            assert figure(table, name, "log_loss") == pytest.approx(as_scorer("log_loss", "")(fitted, test))
        else:
            assert np.isnan(figure(table, name, "log_loss"))
        if name == "linear":
            own = table.user_values("ndcg@10")
            assert own.users.tolist() == lists.users.tolist()
            assert own.values[:, own.models.index(name)] == pytest.approx(lists.ndcg)


def test_figures_of_the_catalogue_are_those_of_their_scorers(models, ratings):
    few = {name: models[name] for name in ("popular", "linear")}
    names = ["coverage", "gini", "novelty", "mean_popularity", "diversity", "serendipity"]
    table = fastcf.evaluate(few, ratings, metrics=names, k=(3, 10), **FEW)
    train, test = train_test_split(ratings, random_state=0)
    for name, model in few.items():
        fitted = fastcf.evaluation.candidates.clone(model).fit(train)
        for metric in table.metrics:
            assert figure(table, name, metric) == pytest.approx(as_scorer(metric, "", threshold=4)(fitted, test))
    assert figure(table, "popular", "coverage@3") < figure(table, "linear", "coverage@3")
    assert table.best("gini@10") == table.best("mean_popularity@10") == "linear"  # the least
    assert table.user_values("novelty@3").values.shape == (
        test.take(test.values >= 4).user_counts().astype(bool).sum(),
        2,
    )
    with pytest.raises(ValueError, match="metric"):
        table.user_values("coverage@3")


def test_table_compares_with_the_baseline_and_is_readable(table):
    assert table.models == ("popular", "biases", "factors", "likes", "linear")
    assert table.baselines["ndcg@10"] == "popular"
    assert table.baselines["rmse"] == "biases"  # popular has none
    assert np.isnan(table.differences[0]).all()
    ndcg = table.metrics.index("ndcg@10")
    assert table.differences[1:, ndcg, 0] == pytest.approx(table.values[1:, ndcg, 0] - table.values[0, ndcg, 0])
    assert (table.values[..., 1] <= table.values[..., 0] + 1e-12)[~np.isnan(table.values[..., 1])].all()
    assert table.best("ndcg@10") == "linear"
    assert table.best("rmse") == min(("biases", "factors"), key=lambda name: figure(table, name, "rmse"))
    text = str(table)
    assert "*: differs from popular, by RMSE from biases, by log-loss from likes (p < 0.05)" in text
    assert [line.split()[0] for line in text.splitlines()[4:]] == list(table.models)
    assert "<b>linear" not in table._repr_html_()
    assert table._repr_html_().count("<b>") == len(table.metrics)


def test_table_is_handed_on(table):
    frame = pytest.importorskip("pandas") and table.to_frame()
    assert len(frame) == len(table.models) * len(table.metrics)
    one = frame[(frame.model == "factors") & (frame.metric == "rmse")].iloc[0]
    assert one.value == figure(table, "factors", "rmse")
    assert one.lower < one.value < one.upper
    assert one.difference == one.value - figure(table, "biases", "rmse")
    assert one.difference_lower < one.difference < one.difference_upper
    assert one.fit_seconds > 0
    assert set(table.slices.to_frame().columns) == {"model", "metric", "side", "slice", "n", "value", "lower", "upper"}
    users = table.user_values("rmse").to_frame()
    assert set(users.columns) == {"user", "model", "value"}
    again = pickle.loads(pickle.dumps(table))
    assert np.array_equal(again.values, table.values, equal_nan=True)
    with pytest.raises(ValueError, match="metric must be one of"):
        table.user_values("auc")


def test_slices_add_up_to_the_whole(table, ratings):
    rows = table.slices.to_frame() if pytest.importorskip("pandas") else None
    for side in ("user", "item"):
        own = rows[(rows.model == "factors") & (rows.metric == "rmse") & (rows.side == side)]
        assert own.n.sum() == table.protocol.n_held_out
        whole = np.sqrt((own.value**2 * own.n).sum() / own.n.sum())
        assert whole == pytest.approx(figure(table, "factors", "rmse"))
    hits = rows[(rows.model == "linear") & (rows.metric == "recall@10") & (rows.side == "item")]
    _, test = train_test_split(ratings, random_state=0)
    assert hits.n.sum() == (test.values >= 4).sum()
    assert rows[(rows.metric == "ndcg@10") & (rows.side == "item")].empty


def test_slices_count_the_training_ratings():
    users, items = np.repeat(np.arange(40), 20), np.tile(np.arange(20), 40)
    full = fastcf.Ratings.from_coo(users, items, 1.0 + (users + items) % 5)
    few = fastcf.Ratings.from_coo([40, 40, 41], [0, 1, 2], [3, 4, 5])
    held_out = fastcf.Ratings.from_coo([0, 40, 41, 42], [50, 3, 3, 3], [3, 4, 5, 1])
    train = fastcf.Ratings.from_coo(*(np.concatenate(pair) for pair in zip(full.to_coo(), few.to_coo(), strict=True)))
    both = fastcf.Ratings.from_coo(
        *(np.concatenate(pair) for pair in zip(train.to_coo(), held_out.to_coo(), strict=True))
    )
    found = fastcf.evaluate(
        fastcf.BiasModel(), both, split=lambda _: (train, held_out), metrics="rmse", cuts=(1, 2, 10), **FEW
    )
    rows = found.slices
    counts = {(side, name): n for side, name, n in zip(rows.sides, rows.slices, rows.n, strict=True)}
    assert counts == {
        ("user", "0"): 1, ("user", "1"): 1, ("user", "2–9"): 1, ("user", "10+"): 1, ("item", "0"): 1, ("item", "10+"): 3
    }  # fmt: skip


@pytest.mark.parametrize(
    "split",
    [
        "train_test_split",
        "leave_n_out",
        "split_by_time",
        "split_items",
        "k_folds",
        functools.partial(leave_n_out, n=0.2),
        lambda ratings: leave_n_out(ratings, 2, by="time"),
        lambda ratings: split_by_time(ratings, 0.3),
    ],
)
def test_splits_by_name_and_by_function(split, ratings):
    found = fastcf.evaluate({"b": fastcf.BiasModel()}, ratings, split=split, **FEW)
    assert found.metrics == ("rmse", "mae", "ndcg@10", "recall@10")
    if split == "k_folds":
        assert found.protocol.n_held_out == ratings.nnz
        sides = found.slices.sides == "user"
        assert found.slices.n[sides & (found.slices.metrics == "rmse")].sum() == ratings.nnz


def test_new_users_are_folded_in(ratings):
    models = {"popular": fastcf.Popular(), "linear": fastcf.LinearAutoencoder(), "biases": fastcf.BiasModel()}
    found = fastcf.evaluate(models, ratings, split="split_users", metrics=["ndcg", "rmse"], **FEW)
    train, shown, held_out = split_users(ratings, random_state=0)
    users = held_out.users.ids[held_out.user_counts() > 0]
    linear = fastcf.LinearAutoencoder().fit(train)
    lists = linear.recommend(users, 10, history=shown)
    assert figure(found, "linear", "ndcg@10") == pytest.approx(ranking_by_user(lists, users, held_out).ndcg.mean())
    predicted = fastcf.BiasModel().fit(train).predict(held_out, history=shown)
    assert figure(found, "biases", "rmse") == pytest.approx(rmse(held_out.values, predicted))
    assert found.n_users[0] == users.size


def test_repeats_average_the_figures_of_a_user(ratings):
    model = {"b": fastcf.BiasModel()}
    twice = fastcf.evaluate(model, ratings, metrics=["rmse", "recall"], repeats=2, random_state=5, **FEW)
    alone = [fastcf.evaluate(model, ratings, metrics=["rmse", "recall"], random_state=seed, **FEW) for seed in (5, 6)]
    squares = [each.values[0, 0, 0] ** 2 for each in alone]
    assert twice.values[0, 0, 0] == pytest.approx(np.sqrt(np.mean(squares)))  # parts of the same size
    figures = {}
    for each in alone:
        own = each.user_values("recall@10")
        for user, value in zip(own.users.tolist(), own.values[:, 0], strict=True):
            figures.setdefault(user, []).append(value)
    means = [np.mean(values) for values in figures.values()]
    assert twice.values[0, 1, 0] == pytest.approx(np.mean(means))


def test_evaluate_is_deterministic_and_leaves_models_alone(models, ratings):
    some = {name: models[name] for name in ("factors", "likes")}
    runs = [fastcf.evaluate(some, ratings, metrics=["rmse", "log_loss", "ndcg"], **FEW) for _ in range(2)]
    for name in ("values", "differences", "p_values"):
        assert np.array_equal(*(getattr(run, name) for run in runs), equal_nan=True)
    assert not any(model.__sklearn_is_fitted__() for model in some.values())
    assert some["likes"].random_state is None
    other = fastcf.evaluate(some, ratings, metrics=["rmse"], random_state=1, **FEW)
    assert figure(other, "factors", "rmse") != figure(runs[0], "factors", "rmse")


def test_a_failing_model_does_not_lose_the_others(ratings):
    class Broken(fastcf.BiasModel):
        def fit(self, X, y=None, sample_weight=None):
            raise ArithmeticError("no luck")

    with pytest.warns(UserWarning, match="evaluate: bad failed: ArithmeticError: no luck"):
        found = fastcf.evaluate({"bad": Broken(), "b": fastcf.BiasModel()}, ratings, metrics="rmse", **FEW)
    assert found.models == ("b",)
    assert found.errors == {"bad": "ArithmeticError: no luck"}
    assert found.baselines == {"rmse": "b"}
    assert "bad failed: ArithmeticError: no luck" in str(found)
    with pytest.raises(ArithmeticError, match="no luck"):
        fastcf.evaluate({"bad": Broken()}, ratings)


def test_retrievers_two_stages_functions_and_others(ratings):
    factors = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0)
    sources = [NearestVectors(factors, k=80), fastcf.retrieval.Popular(k=80)]

    class Mean:
        def fit(self, ratings):
            self.mean = ratings.mean
            return self

        def predict(self, ratings):
            return np.full(ratings.nnz, self.mean)

    models = {
        "model": factors,
        "top": TopItems(factors),
        "two": TwoStageRecommender(sources, ranker=factors),
        "popular": fastcf.retrieval.Popular(k=20),
        "function": lambda train: fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(train),
        "mean": Mean(),
    }
    found = fastcf.evaluate(models, ratings, metrics=["rmse", "ndcg"], **FEW)
    ndcg = [figure(found, name, "ndcg@10") for name in ("model", "top", "two", "function")]
    assert ndcg == pytest.approx([ndcg[0]] * 4)
    assert figure(found, "function", "rmse") == figure(found, "model", "rmse")
    assert np.isnan(figure(found, "mean", "ndcg@10"))
    train, test = train_test_split(ratings, random_state=0)
    assert figure(found, "mean", "rmse") == pytest.approx(rmse(test.values, np.full(test.nnz, train.mean)))
    assert not factors.__sklearn_is_fitted__()


def test_functions_and_scorers_are_metrics(ratings):
    def length(recommender, held_out):
        return float(recommender.recommend(held_out.users.ids[:3], n=4).items.shape[1])

    length.greater_is_better = False
    found = fastcf.evaluate(fastcf.BiasModel(), ratings, metrics=[length, as_scorer("mae", ""), "score"], **FEW)
    assert found.metrics == ("length", "mae", "score")
    assert found.values[0, :, 0].tolist()[0] == 4
    assert np.isnan(found.values[0, 0, 1:]).all()
    assert found.greater_is_better == {"length": False, "mae": False, "score": True}
    both = fastcf.evaluate(fastcf.BiasModel(), ratings, metrics=["mae"], **FEW)
    assert found.values[0, 1, 0] == pytest.approx(both.values[0, 0, 0])


def test_weights_of_held_out_ratings_count(ratings):
    users, items, values = ratings.to_coo()
    weighted = fastcf.Ratings.from_coo(users, items, values, weights=1 + (np.arange(values.size) % 3))
    found = fastcf.evaluate(fastcf.BiasModel(), weighted, metrics="rmse", **FEW)
    train, test = train_test_split(weighted, random_state=0)
    predicted = fastcf.BiasModel().fit(train).predict(test)
    assert found.values[0, 0, 0] == pytest.approx(rmse(test.values, predicted, sample_weight=test.weights))


def test_a_split_of_the_callers_own_is_taken_and_what_it_leaks_is_said(ratings):
    train, test = train_test_split(ratings, random_state=0)
    given = fastcf.evaluate(fastcf.BiasModel(), ratings, split=(train, test), metrics="rmse", **FEW)
    same = fastcf.evaluate(fastcf.BiasModel(), ratings, metrics="rmse", **FEW)
    assert (given.values == same.values).all()
    for split in ((ratings, test), lambda whole: [(whole, test)], (train, test, test)):
        with pytest.warns(fastcf.DataWarning, match=rf"evaluate: {test.nnz} of the {test.nnz} held-out pairs are"):
            fastcf.evaluate(fastcf.BiasModel(), ratings, split=split, metrics="rmse", **FEW)


def test_head_speaks_of_models_that_have_figures(ratings):
    assert "differs" not in str(fastcf.evaluate(fastcf.BiasModel(), ratings, metrics="rmse", **FEW))
    models = {"bad": fastcf.BiasModel(user_reg=-1), "one": fastcf.BiasModel(), "two": fastcf.BiasModel(user_reg=9)}
    with pytest.warns(UserWarning, match="bad failed"):
        assert "*: differs from one (" in str(fastcf.evaluate(models, ratings, metrics="rmse", **FEW))


def test_evaluate_names_models_of_a_list(ratings):
    found = fastcf.evaluate(
        [fastcf.BiasModel(), ("mine", fastcf.BiasModel()), fastcf.BiasModel(), fastcf.Popular(by="mean")], ratings,
        metrics=["ndcg"], k=(3, 5), **FEW,
    )  # fmt: skip
    assert found.models == ("BiasModel()", "mine", "BiasModel() (2)", "Popular(by='mean')")
    assert found.metrics == ("ndcg@3", "ndcg@5")


def test_evaluate_says_what_is_wrong(ratings):
    model = fastcf.BiasModel()
    wrong = [
        (TypeError, "ratings must be Ratings; got int", {"ratings": 3}),
        (ValueError, "models must hold one or more models", {"models": []}),
        (TypeError, "models must be objects with a method fit", {"models": [3]}),
        (TypeError, "models must be objects .* got the class BiasModel", {"models": fastcf.BiasModel}),
        (TypeError, "a function .* must return what it has fitted; got None", {"models": lambda train: None}),
        (ValueError, "metric 'ndcg' must have the length .* 1 to 9999.*; got 'ndcg@10000'", {"k": 10000}),
        (ValueError, "split must be 'train_test_split'.* or a function .*; got 'thirds'", {"split": "thirds"}),
        (TypeError, "split must return ratings", {"split": lambda ratings: [3]}),
        (ValueError, "split must leave ratings on both sides", {"split": lambda ratings: (ratings, ratings.take([]))}),
        (ValueError, "repeats must be 1 for a split without", {"split": "split_by_time", "repeats": 2}),
        (ValueError, "repeats must be an integer of at least 1", {"repeats": 0}),
        (ValueError, "there is no metric 'ndgc'", {"metrics": ["ndgc"]}),
        (ValueError, "metrics must have different names; got 'ndcg@10' twice", {"metrics": ["ndcg", "ndcg@10"]}),
        (ValueError, "metrics must be such .* got 'log_loss', by which none can", {"metrics": ["log_loss"]}),
        (ValueError, "metrics must hold one or more", {"metrics": []}),
        (ValueError, "k must be an integer of at least 1", {"k": 0}),
        (ValueError, "baseline must be the name of a model, .*; got 'x'", {"baseline": "x"}),
        (ValueError, "confidence must be", {"confidence": 1.0}),
        (ValueError, "random_state must be", {"random_state": None}),
        (ValueError, "threshold must be a finite number", {"threshold": "high"}),
        (ValueError, "cuts must be ascending integers", {"cuts": (3, 1)}),
        (
            ValueError,
            "threshold must be given where models have different ones.*; got 3, 4",
            {"models": [fastcf.Popular(threshold=3), fastcf.Popular(threshold=4)]},
        ),
    ]
    for kind, message, changed in wrong:
        arguments = {"models": model, "ratings": ratings} | changed
        with pytest.raises(kind, match=f"evaluate: {message}"):
            fastcf.evaluate(**arguments)


def test_models_that_cannot_compute_new_users_say_so(ratings):
    retriever = fastcf.retrieval.Popular()
    two_stages = TwoStageRecommender([retriever], ranker=fastcf.BiasModel())
    fits = []

    class Counted(fastcf.BiasModel):
        def fit(self, X, y=None, sample_weight=None):
            fits.append(X)
            return super().fit(X, y, sample_weight)

    models = {"biases": Counted(), "retriever": retriever, "two": two_stages}
    with pytest.raises(
        ValueError,
        match=r"have a method fold_in.*; got 'retriever' \(a Popular\), 'two' \(a TwoStageRecommender\) without; leave",
    ):
        fastcf.evaluate(models, ratings, split="split_users", metrics="ndcg", **FEW)
    assert fits == []  # nothing was fitted in vain
    made = {"biases": fastcf.BiasModel(), "made": lambda train: fastcf.retrieval.Popular().fit(train)}
    with pytest.warns(UserWarning, match=r"made failed: ValueError: evaluate: models must .*; got a Popular without"):
        found = fastcf.evaluate(made, ratings, split="split_users", metrics="ndcg", **FEW)
    assert found.models == ("biases",)


class _Pressed(fastcf.BiasModel):
    """Presses Ctrl-C in its fit to a part, counted from 1."""

    at = 1
    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        _Pressed.n_fits += 1
        if _Pressed.n_fits == self.at:
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("part", [1, 3])
def test_ctrl_c_keeps_what_was_measured(ratings, part, monkeypatch):
    monkeypatch.setattr(_Pressed, "n_fits", 0)
    monkeypatch.setattr(_Pressed, "at", part)
    models = {"popular": fastcf.Popular(), "biases": fastcf.BiasModel(), "slow": _Pressed(), "last": fastcf.Popular()}
    options = {"metrics": ["rmse", "ndcg", "coverage"], **FEW}
    with pytest.raises(KeyboardInterrupt) as stopped:
        fastcf.evaluate(models, ratings, repeats=4, baseline="slow", **options)
    assert isinstance(stopped.value, fastcf.evaluation.Interrupted)
    table = stopped.value.table
    rest = [] if part == 3 else ["slow", "last"]
    assert list(table.errors) == rest
    assert table.protocol.baseline == ("slow" if part == 3 else "popular")
    whole = {name: model for name, model in models.items() if name not in rest and name != "slow"}
    wanted = fastcf.evaluate(whole, ratings, repeats=max(part - 1, 1), **options)
    for name in whole:
        np.testing.assert_array_equal(table.values[table.models.index(name)], wanted.values[wanted.models.index(name)])
    assert ("last failed: not measured when Ctrl-C was pressed" in str(table)) == (part == 1)
    assert table.protocol.n_held_out == wanted.protocol.n_held_out


@pytest.mark.parametrize("during", ["the fits", "the bootstrap"])
def test_ctrl_c_in_the_bootstrap_leaves_out_the_intervals(ratings, during, monkeypatch):
    def pressed(n_users, n_resamples, seed):
        yield from [np.ones((1, n_users))] * min(n_resamples, 1)
        if n_resamples:
            raise KeyboardInterrupt

    monkeypatch.setattr("fastcf.evaluation.statistics._weights", pressed)
    monkeypatch.setattr(_Pressed, "n_fits", 0)
    models = {"popular": fastcf.Popular(), "biases": fastcf.BiasModel()}
    if during == "the fits":
        models["slow"] = _Pressed()
    options = {"metrics": ["rmse", "ndcg", "coverage", "auc"], **FEW, "threshold": 4}
    with pytest.raises(KeyboardInterrupt) as stopped:
        fastcf.evaluate(models, ratings, **options)
    table = stopped.value.table
    monkeypatch.undo()
    models.pop("slow", None)
    wanted = fastcf.evaluate(models, ratings, **options)
    np.testing.assert_array_equal(table.values[..., 0], wanted.values[..., 0])
    np.testing.assert_array_equal(table.p_values, wanted.p_values)
    assert np.isnan(table.values[..., 1:]).all()
    assert np.isnan(table.differences[..., 1:]).all()
    assert "no intervals: Ctrl-C ended the bootstrap" in str(table)
    assert table.protocol.n_resamples == 0


def test_ctrl_c_before_the_first_model_is_measured(ratings, monkeypatch):
    monkeypatch.setattr(_Pressed, "n_fits", 0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        fastcf.evaluate({"slow": _Pressed(), "b": fastcf.BiasModel()}, ratings, **FEW)
    assert not isinstance(stopped.value, fastcf.evaluation.Interrupted)


def test_table_says_how_many_users_have_no_relevant_items(ratings):
    found = fastcf.evaluate({"b": fastcf.BiasModel()}, ratings, metrics=["rmse", "ndcg"], threshold=5, **FEW)
    _, test = train_test_split(ratings, random_state=0)
    n_users, n_relevant = ((own.user_counts() > 0).sum() for own in (test, test.take(test.values >= 5)))
    assert (found.protocol.n_users, found.protocol.n_without) == (n_users, n_users - n_relevant)
    assert f"{test.nnz} ratings of {n_users} users held out; {n_users - n_relevant} of them have no" in str(found)
    errors = fastcf.evaluate({"b": fastcf.BiasModel()}, ratings, metrics=["rmse"], threshold=5, **FEW)
    assert "no relevant item" not in str(errors)


def test_plots_of_an_evaluation(table):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    ax = table.plot("ndcg@10")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(table.models)
    assert ax.get_xlabel() == "NDCG@10"
    ax = table.plot(by="item")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training ratings of the item", "RMSE")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["biases", "factors"]
    for options, message in (
        ({"metric": "x"}, "metric must be one of"),
        ({"metric": "ndcg@10", "by": "item"}, "by must be"),
    ):
        with pytest.raises(ValueError, match=message):
            table.plot(**options)
    pyplot.close("all")


def test_progress_is_shown_on_request(ratings, capsys):
    fastcf.evaluate(fastcf.BiasModel(), ratings, metrics="rmse", progress=True, **FEW)
    assert "evaluate: 1fit" in capsys.readouterr().err
    fastcf.evaluate(fastcf.BiasModel(), ratings, metrics="rmse", progress=False, **FEW)
    assert capsys.readouterr().err == ""


def test_evaluate_ranks_known_models_on_real_ratings(data_dir):
    ratings = fastcf.data.load_ratings(data_dir / "ml-latest-small")
    models = {"popular": fastcf.Popular(threshold=4), "items": fastcf.ItemNeighbours(threshold=4)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fastcf.evaluate({**models, "biases": fastcf.BiasModel()}, ratings, n_resamples=200)
    assert found.best("ndcg@10") == "items"
    place = found.metrics.index("ndcg@10")
    low, high = found.differences[1, place, 1:]
    assert 0.05 < low < high < 0.2
    assert found.p_values[1, place] < 1e-6
