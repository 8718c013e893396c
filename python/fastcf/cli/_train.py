"""``fastcf train``: train a model on a file of ratings."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastcf.callbacks import Callback, LogHistory, ProgressBar
from fastcf.cli._events import EVENTS, are_events, event_options, load_event_file
from fastcf.cli._measures import (
    LIST_LENGTH,
    bias_predictions,
    error_table,
    item_mean_predictions,
    list_table,
    lists_of,
    measures_of,
)
from fastcf.cli._models import (
    KINDS,
    ModelOfChoices,
    Trained,
    check_choices,
    kind_of,
    make_model,
    network_options,
    settings_of,
)
from fastcf.cli._options import metadata_option, seed_option, threads_option
from fastcf.cli._outputs import check_output, heading, key_values
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import READING, rating_options
from fastcf.cli._titles import TitleFile, Titles, titles_for, titles_options
from fastcf.data import train_test_split
from fastcf.data.items import STORED_TITLES
from fastcf.errors import DataError
from fastcf.models.bias import BiasModel
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.factorization.solvers import SOLVERS
from fastcf.models.popular import Popular
from fastcf.models.temporal import TemporalModel
from fastcf.optimizers import OPTIMIZERS
from fastcf.ratings import Ratings
from fastcf.scores import Targets

__all__ = ["save_with_titles", "train"]


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


def save_with_titles(
    model: Any, path: Path, titles: Titles, *, seen: bool = True, metadata: dict[str, Any] | None = None
) -> None:
    """Save a model, with the titles of its items where there are any, and with metadata."""
    extra = {STORED_TITLES: np.array(titles.of(model.items_.ids), dtype=str)} if titles else None
    model.save(path, include_seen=seen, metadata=metadata, extra_arrays=extra)


def _check_labels(targets: Targets, ratings: Ratings, path: Path) -> None:
    """Refuse ratings that are no labels, and name the remedy."""
    try:
        targets.of(ratings.values, str(path))
    except ValueError as error:
        raise DataError(f"{error}; --threshold X makes labels of ratings: 1 for those of at least X") from None


def _checkpoints(path: Path | None, every: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of ``fit`` for checkpoints: of the training, and of that to all ratings."""
    if path is None:
        if every is not None:
            raise click.UsageError("--checkpoint-every needs --checkpoint")
        return {}, {}
    check_output(path)
    first, again = ({"checkpoint": file, "checkpoint_every": every or 1} for file in (path, Path(f"{path}.all")))
    return first, again


def _split(ratings: Ratings, validation: float, seed: int) -> tuple[Ratings, Ratings | None]:
    """Hold out a share of the ratings, or nothing."""
    if validation == 0:
        return ratings, None
    if not 1 <= round(validation * ratings.n_ratings) < ratings.n_ratings:
        raise DataError(
            f"--validation {validation:g} of {ratings.n_ratings:,} ratings leaves one side empty; use --validation 0"
        )
    return train_test_split(ratings, validation, random_state=seed)


def _compare(model: Trained | TemporalModel, title: str, seconds: float, learnt: Ratings, held_out: Ratings) -> None:
    """Print the errors of a model, and its training time, beside those of simpler ones."""
    started = time.perf_counter()
    targets = model.state.targets
    labels, threads = targets.labels, model.n_threads
    learnt, held_out = (targets.of_ratings(ratings, "train") for ratings in (learnt, held_out))
    compared: list[tuple[str, Any, float]] = [
        ("item means", item_mean_predictions(learnt, held_out, labels=labels), 0.0)
    ]
    if not isinstance(model, BiasModel):
        predicted = bias_predictions(learnt, held_out, labels=labels, n_threads=threads)
        compared.append((KINDS["bias"], predicted, time.perf_counter() - started))
    compared.append((title, model.predict(held_out), seconds))
    error_table(held_out.values, compared, measures_of(targets))


def _train_lists(
    model: ModelOfChoices,
    title: str,
    learnt: Ratings,
    held_out: Ratings | None,
    whole: Ratings,
    kept: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """Fit a model of choices, measure its lists, and fit it again to all ratings."""
    started = time.perf_counter()
    model.fit(learnt, **kept[0])
    seconds = time.perf_counter() - started
    heading(f"{type(model).__name__}, learnt from {learnt.n_ratings:,} ratings in {seconds:.2f} s")
    settings = settings_of(model, validated=False)
    if settings:
        key_values(settings)
    if held_out is None:
        return
    heading(f"Lists of {LIST_LENGTH} for users with choices among the {held_out.n_ratings:,} ratings held out")
    compared: list[tuple[str, ModelOfChoices, float]] = [(title, model, seconds)]
    if not isinstance(model, Popular):
        started = time.perf_counter()
        with inside_another_fit():
            popular = Popular(threshold=model.threshold, n_threads=model.n_threads).fit(learnt)
        compared.insert(0, (KINDS["popular"], popular, time.perf_counter() - started))
    chosen = model.state.targets.of_ratings(held_out, "train")
    list_table([(name, lists_of(each, chosen), taken) for name, each, taken in compared])
    with inside_another_fit():
        model.fit(whole, **kept[1])
    click.echo(f"\nlearnt again from all {whole.n_ratings:,} ratings")


@click.command()
@click.argument("ratings", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The model file to write.")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["lists", "ratings"]),
    help="What the model is for: lists of what users will choose (the default), or predictions of ratings.",
)
@click.option(
    "--model",
    "kind",
    type=click.Choice(list(KINDS)),
    metavar="NAME",
    help="For lists: linear, a linear item model (the default), implicit, an implicit factorisation, item-neighbours, "
    "user-neighbours, or popular, the most popular items. For ratings: mf, matrix factorisation (the default), "
    "logistic, the same of labels 0 and 1, autoencoder, a masked one, or bias, only means and biases.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="For lists: ratings of at least X are choices, others were seen and not chosen; by default all above 0 are "
    "choices. For --model autoencoder and logistic: labels of ratings, 1 for those of at least X.",
)
@click.option(
    "--solver",
    type=click.Choice(SOLVERS),
    default="sgd",
    show_default=True,
    help="How the factorisation is learnt; bayes is usually the most accurate, sgd the fastest. als and bayes are "
    "for ratings only.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["auto", *OPTIMIZERS]),
    default="auto",
    show_default=True,
    help="Of the solvers minibatch and gd, and of the autoencoder.",
)
@click.option(
    "--factors",
    type=click.IntRange(1, 65536),
    metavar="N",
    help="Length of the vectors of users and items; by default what suits the solver.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(1, 2**31 - 1),
    metavar="N",
    help="How many items or users speak for one, by default 20 and 50; of the linear model how many items, by default "
    "all (for more than about 20,000 items give 200).",
)
@network_options
@click.option(
    "--temporal",
    is_flag=True,
    help="Learn effects of time beside the model: for ratings with timestamps, where those to be predicted have some.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    metavar="N",
    help="Passes over the ratings; by default what suits the model.",
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
    type=click.Choice(["bias", "global", "item", "user", "none"]),
    help="The means or biases that predictions start from; by default what suits the model. item is for ratings, bias "
    "and user for the autoencoder only.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="Ratings per step of the solver minibatch, or rows of the autoencoder.",
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
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the training is, from which the same command goes on after it was killed; implicit, which is trained "
    "again on all ratings, also writes FILE.all.",
)
@click.option(
    "--checkpoint-every", type=click.IntRange(1), metavar="N", help="Epochs between two writings; by default 1."
)
@seed_option
@threads_option
@metadata_option
@titles_options
@click.option("--seen/--no-seen", default=True, show_default=True, help="Store the rated pairs (4 bytes per rating).")
@click.option("-v", "--verbose", is_flag=True, help="Print a line per epoch instead of a bar.")
@event_options
@rating_options
@click.pass_context
def train(
    context: click.Context,
    /,
    ratings: Path,
    output: Path,
    purpose: str | None,
    kind: str | None,
    validation: float,
    seed: int,
    threads: int | None,
    metadata: dict[str, Any],
    titles: TitleFile | None,
    seen: bool,
    verbose: bool,
    checkpoint: Path | None,
    checkpoint_every: int | None,
    temporal: bool,
    **options: Any,
) -> None:
    """Train a model on RATINGS, a file or folder, and save it.

    By default it learns what users choose and makes lists; with --for ratings it
    predicts ratings.

    RATINGS may be delimited text with any separator, a MovieLens folder, or the
    Netflix Prize folder, compressed (.gz) or not; the format is recognised.
    Titles found beside the ratings are stored with the model. A log of events is
    summed to strengths of choices by --weights, --half-life and their relatives.

    Example: fastcf train ml-latest-small -o movies.fastcf --threshold 4

    Example: fastcf train ml-latest-small -o ratings.fastcf --for ratings

    Example: fastcf train RATINGS -o MODEL --model autoencoder --layers 128,64

    Example: fastcf train ml-latest-small -o MODEL --for ratings --temporal

    Example: fastcf train LOG -o MODEL --weights view=1,buy=5 --half-life 30d
    """
    kind = kind_of(kind, purpose)
    check_choices(context, kind, options["solver"], options["normalize"])
    check_output(output)
    kept = _checkpoints(checkpoint, checkpoint_every)
    reading, events = ({name: options.pop(name) for name in names} for names in (READING, EVENTS))
    if are_events(events):
        whole, files, seconds = load_event_file(ratings, threads=threads, **reading, **events)
    else:
        whole, files, seconds = read_ratings(ratings, threads=threads, **reading)
    names = titles_for(titles, files)
    click.echo(
        f"{whole.n_ratings:,} ratings of {whole.n_items:,} items by {whole.n_users:,} users, read in {seconds:.2f} s"
    )
    learnt, held_out = _split(whole, validation, seed)

    model = make_model(kind, {**options, "seed": seed, "threads": threads})
    if isinstance(model, ModelOfChoices):
        if model.threshold is None and not are_events(events) and np.unique(whole.values[:100_000]).size > 1:
            low, high = whole.rating_range
            click.echo(
                f"Every rating above 0 counts as a choice, also the lowest of {low:g} to {high:g}; --threshold X tells "
                "the model which are not."
            )
        _train_lists(model, KINDS[kind], learnt, held_out, whole, kept)
        save_with_titles(model, output, names, seen=seen, metadata=metadata)
        click.echo(f"\nsaved {output} ({output.stat().st_size / 2**20:.1f} MiB)")
        return
    targets = Targets(getattr(model, "cost", "squared"), options["threshold"], soft=kind == "autoencoder")
    _check_labels(targets, whole, ratings)
    error = measures_of(targets)[0]
    started = time.perf_counter()
    fitted = TemporalModel(model, n_threads=threads) if temporal else model
    arguments: dict[str, Any] = {}
    if not isinstance(model, BiasModel):
        field = f"{'train' if held_out is None else 'validation'}_{error.key}"
        watcher: Callback = LogHistory() if verbose else ProgressBar(description="training", fields=[field])
        arguments = {"validation": held_out, "callbacks": [watcher], **kept[0]}
    fitted.fit(learnt, **arguments)
    seconds = time.perf_counter() - started

    inside = "" if fitted is model else f" around {type(model).__name__}"
    heading(f"{type(fitted).__name__}{inside}, learnt from {learnt.n_ratings:,} ratings in {seconds:.2f} s")
    if isinstance(fitted, TemporalModel):
        model, effects = fitted.model_, fitted.n_effects_
        key_values([("effects of time", f"{effects[0]:,} of users, {effects[1]:,} of items")])
    if not isinstance(model, BiasModel):
        last = model.history_[model.n_epochs_][f"train_{error.key}"]
        key_values([*settings_of(model, held_out is not None), (f"training {error.title}", f"{last:.4f}")])
    if held_out is not None:
        heading(f"Errors on the {held_out.n_ratings:,} ratings held out")
        _compare(fitted, KINDS[kind] + (", temporal" if temporal else ""), seconds, learnt, held_out)

    # Held-out pairs are rated, too: they are not recommended either.
    save_with_titles(fitted.with_seen(whole), output, names, seen=seen, metadata=metadata)
    click.echo(f"\nsaved {output} ({output.stat().st_size / 2**20:.1f} MiB)")
