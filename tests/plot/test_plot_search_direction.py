"""The plot of a search whose scores are errors: the least is the best."""

from __future__ import annotations

import pytest

import fastcf
from fastcf.model_selection import GridSearch


def test_plot_search_marks_the_least_error():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    ratings = fastcf.data.make_ratings(80, 50, 1_500, random_state=0)
    search = GridSearch(fastcf.BiasModel(), {"user_reg": [0.1, 10.0, 1e5]}, metric="rmse", cv=2).fit(ratings)
    for results, name in ((search, "rmse"), (search.cv_results_, "score")):
        ax = fastcf.plot.plot_sweep(results, "user_reg")
        star = next(line for line in ax.lines if line.get_marker() == "*")
        assert star.get_xdata()[0] == search.best_params_["user_reg"]
        assert star.get_ydata()[0] == -search.best_score_
        assert ax.get_ylabel() == f"minus mean {name}"
    pyplot.close("all")
