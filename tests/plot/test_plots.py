"""Pictures: what is drawn, that nothing of matplotlib's settings changes, and what is refused."""

import builtins
import inspect

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import fastcf
from fastcf.data.slices import slices_by_count

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

ESTIMATES = {"a": (0.5, 0.4, 0.6), "b": (np.nan, np.nan, np.nan)}
FAMILIES = {"exact": [(1.0, 9.0)], "index": [(0.5, 0.2, 32), (0.9, 0.9, 64)]}


@pytest.fixture(autouse=True)
def closed():
    from matplotlib import pyplot

    before = matplotlib.rcParams.copy()
    yield pyplot
    assert matplotlib.rcParams == before
    pyplot.close("all")


@pytest.fixture(scope="module")
def parts():
    return fastcf.data.train_test_split(fastcf.data.make_ratings(120, 60, 2400, random_state=0), 0.2, random_state=0)


@pytest.fixture(scope="module")
def model(parts):
    return fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(parts[0])


@pytest.fixture(scope="module")
def search(parts):
    train = parts[0]
    users, items, values = train.to_coo()
    grid = {"n_factors": [2, 4], "reg": [0.01, 0.1, 1.0]}
    estimator = fastcf.MatrixFactorization(n_epochs=2, random_state=0)
    return GridSearchCV(estimator, grid, cv=2).fit(np.stack([users, items], axis=1), values)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_plots_draw_into_given_axes_and_label_them(closed, parts, model, search):
    train, test = parts
    calls = {
        "plot_calibration": lambda ax: fastcf.plot.plot_calibration(test.values, model.predict(test), ax),
        "plot_error_by_count": lambda ax: fastcf.plot.plot_error_by_count(model, train, test, ax),
        "plot_history": lambda ax: fastcf.plot.plot_history(model, ax),
        "plot_intervals": lambda ax: fastcf.plot.plot_intervals(ESTIMATES, ax, label="RMSE", baseline=0.4),
        "plot_items": lambda ax: fastcf.plot.plot_items(model, ax=ax),
        "plot_sweep": lambda ax: fastcf.plot.plot_sweep(search, "reg", ax),
        "plot_tradeoff": lambda ax: fastcf.plot.plot_tradeoff(FAMILIES, ax),
    }
    takes_axes = {n for n in fastcf.plot.__all__ if "ax" in inspect.signature(getattr(fastcf.plot, n)).parameters}
    assert set(calls) == takes_axes
    for name, call in calls.items():
        _, ax = closed.subplots()
        assert call(ax) is ax, name
        assert ax.get_xlabel() or name == "plot_history", name
        assert len(ax.get_lines()) + len(ax.collections), name
        ax.figure.canvas.draw()


def test_plots_make_a_figure_of_their_own(closed, parts, search):
    other, theirs = closed.subplots()
    for ax, panels in ((fastcf.plot.plot_ratings(parts[0]), 2), (fastcf.plot.plot_search(search), 4)):
        assert len(ax.figure.axes) == panels
        assert all(panel.get_xlabel() or panel.get_label() == "<colorbar>" for panel in ax.figure.axes)
        ax.figure.canvas.draw()
    assert other.axes == [theirs]
    assert not theirs.has_data()


def test_plot_calibration_draws_means_of_equal_parts():
    predicted = np.linspace(0.05, 0.95, 100)
    labels = np.arange(100) >= 50
    ax = fastcf.plot.plot_calibration(labels, {"one": predicted, "two": predicted[::-1]}, n_bins=4)
    points = ax.containers[0].lines[0]
    assert points.get_xdata() == pytest.approx(predicted.reshape(4, 25).mean(axis=1))
    assert points.get_ydata() == pytest.approx([0, 0, 1, 1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["as predicted", "one", "two"]
    with pytest.raises(ValueError, match="as many entries as y_true"):
        fastcf.plot.plot_calibration(labels, predicted[1:])
    with pytest.raises(ValueError, match="n_bins must be at least 1"):
        fastcf.plot.plot_calibration(labels, predicted, n_bins=0)


def test_plot_error_by_count_is_the_rmse_of_each_slice(parts, model):
    train, test = parts
    ax = fastcf.plot.plot_error_by_count({"mf": model}, train, test, by="item", cuts=(20, 40))
    counts = train.item_counts()[test.indices]
    errors = model.predict(test) - test.values
    slices = [counts < 20, (counts >= 20) & (counts < 40), counts >= 40]
    wanted = [np.sqrt(np.mean(errors[each].astype(float) ** 2)) for each in slices if each.any()]
    assert ax.containers[0].lines[0].get_ydata() == pytest.approx(wanted)
    with pytest.raises(ValueError, match="by must be 'user' or 'item'"):
        fastcf.plot.plot_error_by_count(model, train, test, by="time")
    with pytest.raises(ValueError, match="held_out must not be empty"):
        fastcf.plot.plot_error_by_count(model, train, test.take(np.zeros(test.nnz, bool)))


def test_slices_by_count():
    slices = slices_by_count([0, 1, 9, 10, 11, 400], (1, 2, 10))
    assert slices.names == ("0", "1", "2–9", "10+")
    assert slices.of.tolist() == [0, 1, 2, 3, 3, 3]
    for cuts in ((), (0, 1), (2, 2), (3, 1), (1.5,), (True,)):
        with pytest.raises(ValueError, match="ascending integers of at least 1"):
            slices_by_count([1], cuts)


def test_plot_search_shows_the_best_scores_of_a_grid_and_sorts_by_importance(search):
    results = search.cv_results_
    ax = fastcf.plot.plot_search(search)
    assert ax.get_xlabel() in ("reg", "n_factors")
    heat = next(panel for panel in ax.figure.axes if panel.images)
    shown = np.sort(np.asarray(heat.images[0].get_array()).ravel())
    assert shown == pytest.approx(np.sort(results["mean_test_score"]))
    ax = fastcf.plot.plot_search(results, parameters=["reg"])
    assert [panel.get_xlabel() for panel in ax.figure.axes] == ["reg"]


def test_plot_search_of_points_that_are_no_grid_and_of_candidates_that_failed(parts):
    results = {
        "params": [{"reg": 10.0**-n, "bias": n % 2 == 0, "solver": "sgd"} for n in range(6)],
        "mean_test_rmse": np.array([-0.9, -0.91, -0.92, -0.93, np.nan, -50.0]),
    }
    ax = fastcf.plot.plot_search(results, measure="rmse", parameters=["reg", "bias"])
    dots, far = ax.get_lines()[:2]
    assert dots.get_ydata().tolist() == [-0.9, -0.91, -0.92, -0.93]
    assert far.get_xdata().tolist() == pytest.approx([1e-5])
    assert ax.get_ylim()[0] > -2
    assert ax.get_xscale() == "log"
    points = next(panel for panel in ax.figure.axes if panel.collections)
    assert [tick.get_text() for tick in points.get_yticklabels()] == ["False", "True"]


def test_plot_sweep_draws_the_best_of_each_value(search):
    results = search.cv_results_
    ax = fastcf.plot.plot_sweep(search, "n_factors")
    line = next(line for line in ax.get_lines() if line.get_label() == "best of each value")
    wanted = [
        max(
            score
            for score, one in zip(results["mean_test_score"], results["params"], strict=True)
            if one["n_factors"] == n
        )
        for n in (2, 4)
    ]
    assert line.get_ydata().tolist() == pytest.approx(wanted)


def test_plot_search_draws_the_searches_of_this_package(parts):
    estimator = fastcf.MatrixFactorization(n_epochs=2, random_state=0)
    search = fastcf.model_selection.GridSearch(estimator, {"n_factors": [2, 4]}, cv=2, random_state=0, refit=False)
    search.fit(parts[0])
    ax = fastcf.plot.plot_search(search)
    assert np.sort(ax.get_lines()[0].get_ydata()) == pytest.approx(np.sort(search.cv_results_["mean_test_score"]))
    assert fastcf.plot.plot_sweep(search, "n_factors").get_xlabel() == "n_factors"


def test_plot_search_refuses_what_it_cannot_draw(search):
    with pytest.raises(TypeError, match="fitted search or its cv_results_; got int"):
        fastcf.plot.plot_search(3)
    with pytest.raises(ValueError, match="measure must be one of 'score'; got 'auc'"):
        fastcf.plot.plot_search(search, measure="auc")
    with pytest.raises(ValueError, match="among those that vary, n_factors, reg; got 'solver'"):
        fastcf.plot.plot_sweep(search, "solver")
    alike = {"params": [{"reg": 1.0}], "mean_test_score": [0.5]}
    with pytest.raises(ValueError, match="a parameter that varies"):
        fastcf.plot.plot_search(alike)
    with pytest.raises(ValueError, match="a candidate with a score; got none of 1"):
        fastcf.plot.plot_search({**alike, "mean_test_score": [np.nan]})


def test_plot_intervals_has_a_row_per_model():
    ax = fastcf.plot.plot_intervals(ESTIMATES, label="RMSE")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    assert texts(ax) == ["0.5000", "–"]
    for wrong in ({}, {"a": (1, 2)}):
        with pytest.raises(ValueError, match="estimates must"):
            fastcf.plot.plot_intervals(wrong)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_plot_items_writes_titles_apart_and_colours_groups(model, method):
    ids = model.items_.ids.tolist()
    titles = {each: f"Film {each}" for each in ids[::2]}
    groups = {each: "even" if each % 4 == 0 else "odd" for each in ids[:40]}
    ax = fastcf.plot.plot_items(model, titles, items=ids[:50], groups=groups, method=method, n_titles=10)
    assert sum(len(drawn.get_offsets()) for drawn in ax.collections) == 50
    assert 1 <= len(texts(ax)) <= 10
    assert all(text.startswith("Film ") for text in texts(ax))
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"other", "odd", "even"}


def test_plot_items_refuses_models_without_vectors(parts, model):
    with pytest.raises(TypeError, match="must be fitted and have item_factors_; got MatrixFactorization"):
        fastcf.plot.plot_items(fastcf.MatrixFactorization())
    with pytest.raises(ValueError, match="at least 3 that the model knows and has vectors of; got 1"):
        fastcf.plot.plot_items(model, items=[model.items_.id_at(0), -7])
    with pytest.raises(ValueError, match="method must be 'pca' or 'tsne'"):
        fastcf.plot.plot_items(model, method="umap")


def test_plot_tradeoff_writes_settings_and_refuses_other_points():
    ax = fastcf.plot.plot_tradeoff(FAMILIES, quality="recall@10")
    assert texts(ax) == ["32", "64"]
    assert ax.get_yscale() == "log"
    for wrong in ({}, {"a": [(1,)]}):
        with pytest.raises(ValueError, match="families must hold points"):
            fastcf.plot.plot_tradeoff(wrong)


def test_plots_say_how_to_get_matplotlib(monkeypatch, parts, model, search):
    real = builtins.__import__

    def without_matplotlib(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    train, test = parts
    calls = [
        lambda: fastcf.plot.plot_calibration(test.values, model.predict(test)),
        lambda: fastcf.plot.plot_error_by_count(model, train, test),
        lambda: fastcf.plot.plot_intervals(ESTIMATES),
        lambda: fastcf.plot.plot_items(model),
        lambda: fastcf.plot.plot_ratings(train),
        lambda: fastcf.plot.plot_search(search),
        lambda: fastcf.plot.plot_sweep(search, "reg"),
        lambda: fastcf.plot.plot_tradeoff(FAMILIES),
    ]
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    for call in calls:
        with pytest.raises(ImportError, match=r'plot_\w+ needs matplotlib: pip install "fastcf\[plot\]"'):
            call()
