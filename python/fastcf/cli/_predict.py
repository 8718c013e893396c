"""``fastcf predict`` and ``fastcf evaluate``: a model's predictions of many pairs, and their errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastcf._id_columns import as_id_column
from fastcf.cli._ids import alike, kinds_of
from fastcf.cli._measures import LIST_LENGTH, list_measures, list_table, measured, measures_of, shown
from fastcf.cli._model_files import LoadedModel, load_model, refuse_model
from fastcf.cli._options import at_option, json_option, threads_option
from fastcf.cli._outputs import blocks, check_output, csv_writer, heading, key_values, output_option, table
from fastcf.cli._ratings import note_left_out, read_ratings
from fastcf.cli._reading import pair_options, rating_options, reading_of
from fastcf.data.pairs import read_pairs
from fastcf.ids import IdMap
from fastcf.metrics import RankingScores, ranking
from fastcf.ratings import Ratings
from fastcf.scores import Choices, Recommender, Targets

__all__ = ["evaluate", "predict"]

_BLOCK = 1 << 17
"""Pairs at a time."""


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _note_unknown(model: Any, users: NDArray[Any], items: NDArray[Any]) -> None:
    """Print on one line of standard error how many ids are unknown to the model."""
    unknown = [model.users_.rows(users) < 0, model.items_.rows(items) < 0]
    affected = int((unknown[0] | unknown[1]).sum())
    if affected:
        n_users, n_items = (len(np.unique(ids[mask])) for ids, mask in zip((users, items), unknown, strict=True))
        click.echo(
            f"Note: {_count(n_users, 'user')} and {_count(n_items, 'item')} are unknown to the model, in {affected:,} "
            f"of the {_count(len(users), 'pair')}; these are predicted from the other side alone.",
            err=True,
        )


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("pairs", type=click.Path(path_type=Path))
@at_option
@output_option
@threads_option
@pair_options
def predict(
    model: Path,
    pairs: Path,
    output: Path | None,
    at: str | None,
    threads: int | None,
    **reading: Any,
) -> None:
    """Predict the ratings of PAIRS by MODEL, as CSV.

    PAIRS is delimited text of users and items, or any file of ratings, of which
    other columns are ignored. A model of labels gives probabilities of label 1,
    a model of choices scores, of which the larger are better.
    Users and items unknown to the model are predicted from the other side alone,
    and counted on standard error.

    Example: fastcf predict movies.fastcf pairs.csv -o predictions.csv
    """
    if output is not None:
        check_output(output)
    fitted = load_model(model, threads).that_predicts().at(at).model
    refuse_model(pairs, "pairs")
    arguments = reading_of(reading)
    mode = arguments["on_bad_lines"]
    read = read_pairs(pairs, **{**arguments, "on_bad_lines": "error" if mode == "error" else "skip"}, n_threads=threads)
    note_left_out(pairs, read.left_out, mode)
    users, items = (
        alike(known, as_id_column(ids, str(pairs))).array()
        for known, ids in ((fitted.users_, read.users), (fitted.items_, read.items))
    )
    _note_unknown(fitted, users, items)
    with csv_writer(output) as write:
        targets = fitted.state.targets
        write([("user", "item", "probability" if targets.labels else "score" if targets.choices else "prediction")])
        for block in blocks(len(users), _BLOCK, "pair", output):
            X = np.empty((block.stop - block.start, 2), dtype=object)  # users may be integers where items are strings
            X[:, 0], X[:, 1] = users[block], items[block]
            # The shortest text that reads back as the same float32.
            write(zip(read.users[block], read.items[block], fitted.predict(X).astype(str), strict=True))


def _targets_of(model: Any) -> Targets:
    """Return the targets of a model, or of the one that ranks or retrieves; ratings where there is none."""
    if not hasattr(model, "predict"):
        model = getattr(model, "ranker", getattr(model, "model", None))
    return model.state.targets if isinstance(model, Recommender) else Targets()


def _measured_lists(model: Any, data: Ratings, path: Path) -> RankingScores:
    """Return the measures of the lists of a model of choices, a recommender or a retriever."""
    targets = _targets_of(model)
    if isinstance(model, Recommender) and isinstance(targets, Choices):
        return targets.measured_lists(model, data, LIST_LENGTH, str(path))
    scores = ranking(model, held_out=targets.relevant(data, str(path)), k=LIST_LENGTH)
    return scores._replace(n_without=int((data.user_counts() > 0).sum()) - scores.n_users)


def _evaluate_lists(loaded: LoadedModel, data: Ratings, path: Path, n_seen: int | None, as_json: bool) -> None:
    """Print the measures of lists; ``n_seen`` of the ratings were trained on."""
    scores = _measured_lists(loaded.model, data, path)
    if as_json:
        result = {"model": str(loaded.path), "class": loaded.archive.class_name, "ratings": data.n_ratings}
        result |= {**list_measures(scores), "seen_in_training": n_seen}
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
        return
    heading(f"{loaded.archive.class_name} {loaded.path.name}: lists for {scores.n_users:,} users", first=True)
    list_table([(loaded.archive.class_name, scores, None)])
    predicts = hasattr(loaded.model, "predict")
    _note_seen(
        n_seen, f"{'its lists for ratings it has not seen are worse' if predicts else 'its lists leave them out'}"
    )


def _note_seen(n_seen: int | None, so: str) -> None:
    if n_seen:
        click.echo(
            f"\nNote: {n_seen:,} of these ratings were in the file that the model was trained on;\n{so}.", err=True
        )


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("ratings", type=click.Path(path_type=Path))
@threads_option
@json_option
@rating_options
def evaluate(model: Path, ratings: Path, threads: int | None, as_json: bool, **reading: Any) -> None:
    """Measure the errors of MODEL, or its lists, on RATINGS.

    They should be ratings that the model was not trained on; a model of labels
    cuts them at its own threshold. Those of users or items unknown to the model
    are predicted from the other side alone, and counted separately. A model of
    choices is measured by its lists for users who have choices among RATINGS; so
    are retrievers and recommenders in two steps, where all RATINGS are relevant
    unless the model that they are built on says which are.
    """
    loaded = load_model(model, threads).with_users()
    fitted, targets = loaded.model, _targets_of(loaded.model)
    if reading["id_type"] == "auto":
        reading["id_type"] = kinds_of(fitted)
    data = read_ratings(ratings, threads=threads, **reading).ratings
    users, items = IdMap(alike(fitted.users_, data.users.column)), IdMap(alike(fitted.items_, data.items.column))
    data = Ratings(data.indptr, data.indices, data.values, timestamps=data.timestamps, users=users, items=items)

    user_rows, item_rows = fitted.users_.rows(users), fitted.items_.rows(items)
    of_user, of_item = user_rows[data.row_of_entry()], item_rows[data.indices]
    known = (of_user >= 0) & (of_item >= 0)
    n_seen = None
    if fitted.seen_ is not None:
        n_seen = fitted.seen_.count_pairs(of_user[known], of_item[known], len(fitted.items_))
    if targets.choices or not hasattr(fitted, "predict"):
        _evaluate_lists(loaded, data, ratings, n_seen, as_json)
        return
    true, predicted = targets.of(data.values, str(ratings)), fitted.predict(data)
    measures = measures_of(targets)
    result: dict[str, Any] = {
        "model": str(model),
        "class": loaded.archive.class_name,
        "ratings": data.n_ratings,
        **measured(true, predicted, measures),
        "cold_start": int((~known).sum()),
        "unknown_users": int((user_rows < 0).sum()),
        "unknown_items": int((item_rows < 0).sum()),
        "seen_in_training": n_seen,
    }
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
        return

    heading(f"{loaded.archive.class_name} {model.name} on {data.n_ratings:,} ratings", first=True)
    rows = []
    for name, mask in (("all", np.ones_like(known)), ("user and item known", known), ("cold start", ~known)):
        if mask.any() and (name == "all" or not known.all()):
            rows.append([name, f"{mask.sum():,}", *shown(true[mask], predicted[mask], measures)])
    table(rows, ("ratings", "count", *(measure.title for measure in measures)), "<>" + ">" * len(measures))
    click.echo()
    key_values(
        [
            ("users", f"{data.n_users:,}, of which unknown to the model {result['unknown_users']:,}"),
            ("items", f"{data.n_items:,}, of which unknown to the model {result['unknown_items']:,}"),
        ]
    )
    if not known.any():
        click.echo("\nNote: all of these pairs are unknown to the model; are they ids of the same set?", err=True)
    else:
        _note_seen(n_seen, "its error on ratings it has not seen is larger")
