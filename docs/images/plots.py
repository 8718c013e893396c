"""Draw the pictures of docs/plots.md and docs/evaluation.md: ``python docs/images/plots.py FOLDER [NAME...]``.

FOLDER holds ml-latest-small; NAME is a picture such as "history". Needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

import fastcf
from fastcf import plot
from fastcf.model_selection import GridSearch

HERE = Path(__file__).resolve().parent


class Pictures:
    """What the pictures are drawn from; each method draws one."""

    def __init__(self, folder: Path) -> None:
        self.ratings = fastcf.data.load_ratings(folder)
        self.films = fastcf.data.read_items(folder / "movies.csv")
        self.train, self.test = fastcf.data.train_test_split(self.ratings, random_state=0)
        self.baseline = fastcf.BiasModel().fit(self.train)
        self.model = fastcf.MatrixFactorization(random_state=0).fit(self.train, validation=self.test)
        self._search: Any = None
        self._evaluation: Any = None

    def search(self) -> Any:
        """Return a grid search over two parameters."""
        if self._search is None:
            grid = {"reg": [0.05, 0.1, 0.2, 0.4, 0.8, 1.6], "n_factors": [4, 16, 64]}
            search = GridSearch(fastcf.MatrixFactorization(random_state=0), grid, cv=3, refit=False, random_state=0)
            self._search = search.fit(self.train)
        return self._search

    def evaluation(self) -> Any:
        """Return four models compared."""
        if self._evaluation is None:
            models = {
                "popular": fastcf.Popular(threshold=4),
                "biases": fastcf.BiasModel(),
                "factors": fastcf.MatrixFactorization(),
                "linear": fastcf.LinearAutoencoder(threshold=4, neighbours=50),
            }
            self._evaluation = fastcf.evaluate(models, self.ratings, metrics=["rmse", "ndcg", "recall"])
            print(self._evaluation)
        return self._evaluation

    def plot_models(self) -> Any:
        """Models with intervals."""
        return self.evaluation().plot("ndcg@10")

    def plot_models_by_count(self) -> Any:
        """Models by the number of ratings of the item."""
        return self.evaluation().plot("rmse", by="item")

    def plot_history(self) -> Any:
        """Learning curves."""
        return plot.plot_history(self.model)

    def plot_ratings(self) -> Any:
        """The ratings."""
        return plot.plot_ratings(self.ratings)

    def plot_search(self) -> Any:
        """A search."""
        return plot.plot_search(self.search())

    def plot_sweep(self) -> Any:
        """One of its parameters."""
        return plot.plot_sweep(self.search(), "reg")

    def plot_error_by_count(self) -> Any:
        """Errors by the number of ratings of the item."""
        models = {"BiasModel": self.baseline, "MatrixFactorization": self.model}
        return plot.plot_error_by_count(models, self.train, self.test, by="item")

    def plot_calibration(self) -> Any:
        """Probabilities of a rating of at least 4."""
        model = fastcf.MatrixFactorization(cost="logistic", threshold=4, random_state=0).fit(self.train)
        return plot.plot_calibration(self.test.values >= 4, model.predict(self.test))

    def plot_items(self) -> Any:
        """A map of films."""
        model = fastcf.ImplicitFactorization(32, threshold=4, random_state=0).fit(self.train)
        genres = {
            film: text.split("|")[0] for film, text in zip(self.films.ids.tolist(), self.films.genres, strict=True)
        }
        return plot.plot_items(model, self.films, groups=genres, method="tsne")


def main() -> None:
    """Write the pictures beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    matplotlib.use("Agg")
    pictures = Pictures(arguments.folder / "ml-latest-small")
    drawers: dict[str, Callable[[], Any]] = {
        name.removeprefix("plot_").replace("_", "-"): getattr(pictures, name)
        for name in dir(pictures)
        if "plot_" in name
    }
    for name in arguments.names or drawers:
        ax = drawers[name]()
        ax.figure.savefig(HERE / f"plot-{name}.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
