"""``fastcf demo``: from ratings to lists and predictions in one command."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastcf.callbacks import ProgressBar
from fastcf.cli._measures import error_table, item_mean_predictions, list_table, lists_of
from fastcf.cli._options import seed_option, threads_option
from fastcf.cli._outputs import check_output, heading
from fastcf.cli._query import rank_table
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import rating_options
from fastcf.cli._titles import TitleFile, Titles, titles_for
from fastcf.cli._train import save_with_titles
from fastcf.data import ItemTable, make_ratings, train_test_split
from fastcf.models.bias import BiasModel
from fastcf.models.factorization import MatrixFactorization
from fastcf.models.linear import LinearAutoencoder
from fastcf.models.popular import Popular
from fastcf.ratings import Ratings

__all__ = ["demo", "make_titles"]

_N_USERS, _N_ITEMS, _N_RATINGS, _CHOICE = 2_000, 1_000, 200_000, 1.5
_LIKED = 0.7  # of the scale: ratings from there on are choices

# One genre per factor; an invented film has the genre of its largest factor.
_GENRES: dict[str, str] = {
    "space": "Comet Nebula Orbit Starship Moon Galaxy Satellite Horizon",
    "western": "Saddle Canyon Sheriff Prairie Stagecoach Mustang Frontier Coyote",
    "romance": "Letter Rose Promise Serenade Valentine Wedding Sonnet Kiss",
    "crime": "Alibi Heist Detective Verdict Safecracker Informant Getaway Ransom",
    "sea": "Lighthouse Harbour Voyage Mermaid Anchor Whale Tide Schooner",
    "comedy": "Landlord Umbrella Holiday Trombone Neighbour Penguin Omelette Hat",
    "ghost": "Attic Phantom Mirror Séance Cemetery Candle Staircase Whisper",
    "music": "Waltz Fiddler Chorus Ballad Trumpet Encore Nocturne Melody",
}
_ADJECTIVES = (
    "Silent Golden Crooked Distant Velvet Last Restless Hidden Paper Broken Scarlet Winter Borrowed Lonely Electric "
    "Gentle Midnight Wandering Forgotten Bright Second Hollow Singing Stolen Blue Secret Patient Wild Glass Final"
)


def make_titles(item_factors: NDArray[np.float32], seed: int) -> ItemTable:
    """Return a synthetic title for each item, of the genre of its largest true factor; titles are distinct."""
    genres = list(_GENRES)
    leaning = item_factors[:, : len(genres)].argmax(axis=1)
    random = np.random.default_rng(seed)
    names = {
        genre: random.permutation(
            [f"The {adjective} {noun}" for adjective in _ADJECTIVES.split() for noun in nouns.split()]
        )
        for genre, nouns in _GENRES.items()
    }
    years = random.integers(1950, 2020, len(leaning))
    used = dict.fromkeys(genres, 0)
    titles = []
    for genre, year in zip((genres[i] for i in leaning), years, strict=True):
        sequel, name = divmod(used[genre], len(names[genre]))
        used[genre] += 1
        part = f" {sequel + 1}" if sequel else ""
        titles.append(f"{names[genre][name]}{part} ({year}, {genre})")
    ids = np.arange(len(titles), dtype=np.int64)
    return ItemTable(ids, np.array(titles, dtype=str), np.array([genres[i] for i in leaning], dtype=str))


def _typical_user(train: Ratings) -> int:
    """Return the row of a user with a middling number of ratings."""
    counts = train.user_counts()
    return int(np.argsort(counts, kind="stable")[int(counts.size * 0.6)])


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="Your ratings, a file or folder, instead of synthetic ones."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to save the model.")
@click.option("--titles", type=click.Path(path_type=Path), help="File of titles, with --data.")
@seed_option
@threads_option
@rating_options
def demo(
    data: Path | None, output: Path | None, titles: Path | None, seed: int, threads: int | None, **reading: Any
) -> None:
    """Show every step: ratings, models, lists, predictions.

    Two models learn from the same ratings: one what users choose, for lists; one
    how they rate, for predictions.

    Needs neither files nor downloads: the ratings are synthetic. With --data it
    runs on real ones.
    """
    if output is not None:
        check_output(output)
    started = time.perf_counter()
    best_possible = None
    if data is None:
        ratings, truth = make_ratings(
            _N_USERS,
            _N_ITEMS,
            _N_RATINGS,
            choice=_CHOICE,
            random_state=seed,
            return_truth=True,
            n_threads=threads,
        )
        names = Titles(make_titles(truth.item_factors, seed))
        best_possible = truth.rmse
        source = "generated"
    else:
        ratings, files, _ = read_ratings(data, threads=threads, **reading)
        names = titles_for(None if titles is None else TitleFile(titles, {}), files)
        source = "read"
    elapsed = time.perf_counter() - started
    heading(f"1. Ratings ({source} in {elapsed:.2f} s)", first=True)
    low, high = ratings.rating_range
    click.echo(
        f"  {ratings.n_ratings:,} ratings of {ratings.n_items:,} items by {ratings.n_users:,} users, from {low:g} to "
        f"{high:g}"
    )

    train, rest = train_test_split(ratings, 0.2, random_state=seed)
    validation, test = train_test_split(rest, 0.5, random_state=seed)
    click.echo(
        f"  {train.n_ratings:,} for training, {validation.n_ratings:,} for validation, {test.n_ratings:,} for testing"
    )

    threshold = float(np.ceil(2 * (low + _LIKED * (high - low))) / 2)
    lists = LinearAutoencoder(threshold=threshold, n_threads=threads)
    heading("2. Lists: which items will a user choose?")
    started = time.perf_counter()
    lists.fit(train)
    list_seconds = time.perf_counter() - started
    popular = Popular(threshold=threshold, n_threads=threads).fit(train)
    chosen = lists.state.targets.of_ratings(test, "demo")
    click.echo(
        f"  linear item model: weights between items, learnt in {list_seconds:.2f} s; choices are ratings of at least "
        f"{threshold:g}\n"
    )
    list_table(
        [("most popular", lists_of(popular, chosen), None), ("linear item model", lists_of(lists, chosen), None)]
    )

    heading("3. Predictions: how will a user rate an item?")
    started = time.perf_counter()
    bias = BiasModel(n_threads=threads).fit(train)
    bias_seconds = time.perf_counter() - started
    model = MatrixFactorization(random_state=seed, n_threads=threads)
    started = time.perf_counter()
    model.fit(
        train, validation=validation, callbacks=[ProgressBar(description="  training", fields=["validation_rmse"])]
    )
    seconds = time.perf_counter() - started
    click.echo(
        f"  matrix factorisation: {model.user_factors_.shape[1]} factors, {model.history_[-1]['epoch']} epochs, "
        f"{seconds:.2f} s; epoch {model.n_epochs_} was the best\n  Errors on the {test.n_ratings:,} test ratings:\n"
    )
    error_table(
        test.values,
        [
            ("item means", item_mean_predictions(train, test), 0.0),
            ("bias model", bias.predict(test), bias_seconds),
            ("matrix factorisation", model.predict(test), seconds),
        ],
    )
    if best_possible is not None:
        click.echo(f"  The rest is noise: the true parameters have an RMSE of {best_possible:.4f}.")

    row = _typical_user(train)
    user = train.users.ids[row]
    mine = slice(int(train.indptr[row]), int(train.indptr[row + 1]))
    order = np.argsort(-train.values[mine], kind="stable")[:5]
    heading(f"4. What user {user} liked most, of {mine.stop - mine.start:,} ratings")
    rank_table(train.items.ids[train.indices[mine][order]], train.values[mine][order], names, "rating", digits=1)
    heading(f"5. What user {user} may choose next, by the linear item model")
    found = lists.recommend(user, 10)
    rank_table(found.items, found.scores, names, "score")
    rated = np.round(model.predict([(user, item) for item in found.items.tolist()]), 1)
    click.echo(f"  Ratings predicted for these by the factorisation: {', '.join(f'{each:.1f}' for each in rated)}")

    item = train.items.ids[int(train.item_counts().argmax())]
    title = names.of(np.array([item]))[0]
    heading(f"6. Similar to item {item}" + (f", {title}" if title else ""))
    near = lists.similar_items(item, 5)
    rank_table(near.ids, near.scores, names, "weight")

    path = output if output is not None else Path(tempfile.mkdtemp(prefix="fastcf-demo-")) / "demo.fastcf"
    save_with_titles(lists, path, names)
    heading("7. Next")
    click.echo(
        f"  The model of lists is saved. Query it, or train models on your own ratings:\n\n"
        f"    fastcf recommend {path} --user {user}\n"
        f"    fastcf similar {path} --item {item}\n"
        f"    fastcf train RATINGS -o MODEL --for lists\n"
        f"    fastcf train RATINGS -o MODEL --for ratings\n"
    )
