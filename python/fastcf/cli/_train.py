"""``fastcf train``: learn a model from a file of ratings."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastcf.callbacks import Callback, LogHistory, ProgressBar
from fastcf.cli._inputs import (
    TITLES_ARRAY,
    Titles,
    rating_options,
    read_ratings,
    seed_option,
    threads_option,
    titles_for,
    titles_option,
)
from fastcf.cli._tables import heading, key_values, table
from fastcf.data import train_test_split
from fastcf.errors import DataError
from fastcf.metrics import mae, rmse
from fastcf.models import BiasModel, MatrixFactorization
from fastcf.models.base import SeenItems
from fastcf.optimizers import OPTIMIZERS
from fastcf.ratings import Ratings
from fastcf.serialization import save

__all__ = ["check_output", "error_table", "item_mean_predictions", "save_with_titles", "train"]


def _number_or_auto(value: str) -> float | str:
    if value == "auto":
        return "auto"
    try:
        number = float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor 'auto'.") from None
    if not 0 <= number < math.inf:
        raise click.BadParameter(f"{value!r} is not a finite number of at least 0.")
    return number


def check_output(path: Path) -> None:
    """Refuse an output path that cannot be written, before an hour of training rather than after it."""
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(0, "is a folder; name the file to write", str(path))
    if not folder.is_dir():
        raise FileNotFoundError(0, "the folder of the output file does not exist", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(0, "the folder of the output file is not writable", str(folder))


def save_with_titles(model: Any, path: Path, titles: Titles) -> None:
    """Save a model, and the titles of its items where there are any."""
    extra = {TITLES_ARRAY: np.array(titles.of(model.items_.ids), dtype=str)} if titles else None
    save(model, path, extra_arrays=extra)


def item_mean_predictions(train: Ratings, test: Ratings) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each test item's mean training rating, the simplest prediction there is (same id maps)."""
    counts = np.bincount(train.indices, minlength=train.n_items)
    sums = np.bincount(train.indices, train.values, train.n_items)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), train.mean)
    predicted: np.ndarray[Any, np.dtype[np.float64]] = means[test.indices]
    return predicted


def error_table(test: Ratings, predictions: Sequence[tuple[str, Any, float]]) -> None:
    """Print RMSE and MAE of several predictions of the same ratings, and the seconds that they took to learn."""
    rows = [
        [name, f"{rmse(test.values, predicted):.4f}", f"{mae(test.values, predicted):.4f}", f"{seconds:.2f}"]
        for name, predicted, seconds in predictions
    ]
    table(rows, ("model", "RMSE", "MAE", "seconds"), "<>>>")


def _split(ratings: Ratings, validation: float, seed: int) -> tuple[Ratings, Ratings | None]:
    """Hold out a share of the ratings, or nothing."""
    if validation == 0:
        return ratings, None
    if not 1 <= round(validation * ratings.n_ratings) < ratings.n_ratings:
        raise DataError(
            f"--validation {validation:g} of {ratings.n_ratings:,} ratings leaves one side empty; use --validation 0"
        )
    return train_test_split(ratings, validation, random_state=seed)


def _settings(model: MatrixFactorization, validated: bool) -> list[tuple[str, str]]:
    """Return what a fitted model's settings came to."""
    k = model.user_factors_.shape[1]
    if model.solver == "bayes":
        return [("factors", str(k // model.n_samples_)), ("draws averaged", str(model.n_samples_))]
    stopped = f", the best of {len(model.history_)}" if validated else ""
    lines = [("factors", str(k)), ("epoch kept", f"{model.n_epochs_}{stopped}"), ("reg", f"{model.reg_:.4g}")]
    return lines if model.solver == "als" else [*lines, ("learning rate", f"{model.learning_rate_:.4g}")]


@click.command()
@click.argument("ratings", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The model file to write.")
@click.option(
    "--model",
    "kind",
    type=click.Choice(["mf", "bias"]),
    default="mf",
    show_default=True,
    help="Matrix factorisation, or only means and biases.",
)
@click.option(
    "--solver",
    type=click.Choice(["sgd", "als", "bayes", "minibatch", "gd"]),
    default="sgd",
    show_default=True,
    help="How the factorisation is learnt; bayes is usually the most accurate, sgd the fastest.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["auto", *OPTIMIZERS]),
    default="auto",
    show_default=True,
    help="Of the solvers minibatch and gd.",
)
@click.option(
    "--factors",
    type=click.IntRange(1, 65536),
    metavar="N",
    help="Length of the vectors of users and items; by default what suits the solver.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    metavar="N",
    help="Passes over the ratings; by default what suits the solver.",
)
@click.option(
    "--reg",
    type=_number_or_auto,
    metavar="X|auto",
    default="auto",
    show_default=True,
    help="Strength of the penalty.",
)
@click.option(
    "--learning-rate",
    type=_number_or_auto,
    metavar="X|auto",
    default="auto",
    show_default=True,
    help="First step size.",
)
@click.option(
    "--normalize",
    type=click.Choice(["global", "item", "none"]),
    default="global",
    show_default=True,
    help="The mean that predictions start from.",
)
@click.option("--bias/--no-bias", default=True, show_default=True, help="Learn biases of users and items.")
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    default=0.1,
    show_default=True,
    help="Share of the ratings held out to measure the error and choose the best epoch; 0 learns from all.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after N epochs without a smaller validation error; by default all run, and the best is kept.",
)
@seed_option
@threads_option
@titles_option
@click.option("--seen/--no-seen", default=True, show_default=True, help="Store who rated what (4 bytes per rating).")
@click.option("-v", "--verbose", is_flag=True, help="Print a line per epoch instead of a bar.")
@rating_options
def train(
    ratings: Path,
    output: Path,
    kind: str,
    solver: str,
    optimizer: str,
    factors: int | None,
    epochs: int | None,
    reg: float | str,
    learning_rate: float | str,
    normalize: str,
    bias: bool,
    validation: float,
    patience: int | None,
    seed: int,
    threads: int | None,
    titles: Path | None,
    seen: bool,
    verbose: bool,
    **reading: Any,
) -> None:
    """Learn a model from RATINGS, a file or folder, and save it.

    RATINGS may be delimited text with any separator, a MovieLens folder, or the
    Netflix Prize folder; each is recognised by looking, compressed (.gz) or not.
    Titles that lie beside the ratings are stored with the model.

    Example: fastcf train ml-latest-small -o movies.fastcf
    """
    check_output(output)
    whole, files, seconds = read_ratings(ratings, threads=threads, **reading)
    names = titles_for(titles, files)
    click.echo(
        f"{whole.n_ratings:,} ratings of {whole.n_items:,} items by {whole.n_users:,} users, read in {seconds:.2f} s"
    )
    learnt, held_out = _split(whole, validation, seed)

    model: BiasModel | MatrixFactorization
    started = time.perf_counter()
    if kind == "bias":
        model = BiasModel(n_threads=threads).fit(learnt)
    else:
        model = MatrixFactorization(
            factors or "auto",
            solver=solver,
            optimizer=optimizer,
            normalize=None if normalize == "none" else normalize,
            bias=bias,
            reg=reg,
            learning_rate=learning_rate,
            n_epochs=epochs or "auto",
            patience=patience,
            random_state=seed,
            n_threads=threads,
        )
        watcher: Callback = (
            LogHistory()
            if verbose
            else ProgressBar(description="training", fields=["train_rmse" if held_out is None else "validation_rmse"])
        )
        model.fit(learnt, validation=held_out, callbacks=[watcher])
    seconds = time.perf_counter() - started

    heading(f"{type(model).__name__}, learnt from {learnt.n_ratings:,} ratings in {seconds:.2f} s")
    if isinstance(model, MatrixFactorization):
        last = model.history_[model.n_epochs_ - 1]
        key_values([*_settings(model, held_out is not None), ("training RMSE", f"{last['train_rmse']:.4f}")])
    if held_out is not None:
        heading(f"Errors on the {held_out.n_ratings:,} ratings held out")
        compared: list[tuple[str, Any, float]] = [("item means", item_mean_predictions(learnt, held_out), 0.0)]
        if kind == "mf":
            started = time.perf_counter()
            baseline = BiasModel(n_threads=threads).fit(learnt)
            compared.append(("bias model", baseline.predict(held_out), time.perf_counter() - started))
        label = "bias model" if kind == "bias" else "matrix factorisation"
        error_table(held_out, [*compared, (label, model.predict(held_out), seconds)])

    # What was held out has been rated, too: nobody is to be recommended what they know.
    model.seen_ = SeenItems(whole.indptr, whole.indices) if seen else None
    save_with_titles(model, output, names)
    click.echo(f"\nsaved {output} ({output.stat().st_size / 2**20:.1f} MiB)")
