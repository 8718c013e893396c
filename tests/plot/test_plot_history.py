"""Learning curves: what is drawn, and what is said when it cannot be."""

import builtins
import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.plot import plot_history

HISTORY = [
    {"epoch": 1, "cost": 9.0, "train_rmse": 1.0, "validation_rmse": 1.1},
    {"epoch": 2, "cost": 8.0, "train_rmse": 0.9, "validation_rmse": 1.0},
    {"epoch": 3, "cost": 7.0, "train_rmse": 0.8, "validation_rmse": 1.05},
]


class Estimator(BaseEstimator):
    def fit(self, X, y=None):
        self.history_ = HISTORY
        return self


@pytest.fixture
def plt():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def curves(ax):
    return {line.get_label(): list(line.get_ydata()) for line in ax.get_lines() if not line.get_label().startswith("_")}


def panels(ax):
    return {panel.get_ylabel(): panel for panel in ax.figure.axes}


def test_plot_history_has_a_panel_for_each_measure_and_one_for_the_cost(plt):
    ax = plot_history(Estimator().fit(None))
    drawn = curves(ax)
    assert drawn["training"] == [1.0, 0.9, 0.8]
    assert drawn["validation"] == [1.1, 1.0, 1.05]
    assert "best: 1.0000 in epoch 2" in drawn
    found = panels(ax)
    assert list(found) == ["RMSE", "training cost"]
    assert found["RMSE"] is ax
    assert list(found["training cost"].get_lines()[0].get_ydata()) == [9.0, 8.0, 7.0]
    assert [panel.get_xlabel() for panel in found.values()] == ["", "epoch"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", *list(drawn)[2:]]
    ax.figure.canvas.draw()


def test_plot_history_marks_the_best_epoch_of_each_measure_in_its_direction(plt):
    values = zip([0.9, 0.8, 0.85], [0.1, 0.2, 0.3], strict=True)
    ax = plot_history(
        [{"epoch": n, "validation_rmse": e, "validation_ndcg@10": q} for n, (e, q) in enumerate(values, 1)]
    )
    found = panels(ax)
    assert list(found) == ["RMSE", "NDCG@10"]
    assert "best: 0.8000 in epoch 2" in curves(found["RMSE"])
    assert "best: 0.3000 in epoch 3" in curves(found["NDCG@10"])
    for name, epoch in (("calibration_error", 1), ("of_my_own", 2)):
        ax = plot_history([{"epoch": n, f"validation_{name}": n / 10} for n in (1, 2)])
        assert f"in epoch {epoch}" in list(curves(ax))[-1]


def test_plot_history_begins_at_epoch_0_which_is_never_the_best(plt):
    start = {"epoch": 0, "cost": 10.0, "train_rmse": 1.2, "validation_rmse": 0.5}
    ax = plot_history([start, *HISTORY])
    drawn = curves(ax)
    assert drawn["validation"] == [0.5, 1.1, 1.0, 1.05]
    assert list(ax.get_lines()[0].get_xdata()) == [0, 1, 2, 3]
    assert "best: 1.0000 in epoch 2" in drawn
    assert "best: 0.5000 in epoch 0" in curves(plot_history([start]))


def test_plot_history_of_a_model(plt):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    model = fastcf.MatrixFactorization(4, n_epochs=4, random_state=0).fit(train, validation=test)
    drawn = curves(plot_history(model))
    assert len(drawn["training"]) == 5
    assert any(label.endswith(f"in epoch {model.n_epochs_}") for label in drawn if label.startswith("best: "))


def test_plot_history_draws_the_first_panel_into_given_axes(plt):
    _, ax = plt.subplots()
    assert plot_history(HISTORY, ax=ax) is ax
    assert ax.figure.axes == [ax]
    assert "validation" in curves(ax)


def test_plot_history_skips_what_is_missing(plt):
    ax = plot_history([{"epoch": 1, "cost": 3.0}, {"epoch": 2, "cost": 2.0, "validation_rmse": None}])
    assert curves(ax) == {"cost": [3.0, 2.0]}
    assert ax.get_ylabel() == "training cost"
    with pytest.raises(ValueError, match="must have a cost or a measure; got epoch alone"):
        plot_history([{"epoch": 1}])


def test_plot_history_begins_with_epoch_0_where_the_history_does(plt):
    ratings = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    train, validation = fastcf.data.train_test_split(ratings, random_state=0)
    for options, name in (({}, "RMSE"), ({"cost": "logistic", "threshold": 4.0, "reg": 1.0}, "log-loss")):
        model = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0, **options).fit(train, validation=validation)
        ax = plot_history(model)
        assert ax.get_ylabel() == name
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert list(lines["validation"].get_xdata()) == [0, 1, 2, 3]
        key = "validation_rmse" if name == "RMSE" else "validation_log_loss"
        assert list(lines["validation"].get_ydata()) == [record[key] for record in model.history_]
        best = model.history_[model.n_epochs_]  # which is never epoch 0
        assert f"best: {best[key]:.4f} in epoch {best['epoch']}" in lines


def test_plot_history_without_history_says_why(plt):
    with pytest.raises(NotFittedError, match="this Estimator has no history yet; call fit first"):
        plot_history(Estimator())
    with pytest.raises(ValueError, match="the history is empty"):
        plot_history([])
    with pytest.raises(TypeError, match="expected a fitted model or its history_; got int"):
        plot_history(3)
    with pytest.raises(TypeError, match="at entry 1"):
        plot_history([{"epoch": 1}, {"cost": 1}])


def test_plot_history_without_matplotlib_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without_matplotlib(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r'pip install "fastcf\[plot\]"'):
        plot_history(HISTORY)


def test_plot_comes_with_fastcf_and_matplotlib_with_the_first_plot():
    code = "import sys, fastcf; fastcf.plot.plot_history; print('plot' in dir(fastcf), 'matplotlib' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "False"]
