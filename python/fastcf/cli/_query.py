"""``fastcf recommend`` and ``fastcf similar``: queries of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastcf.cli._ids import parse_ids
from fastcf.cli._lists import Lists, lists_of
from fastcf.cli._model_files import load_model
from fastcf.cli._options import at_option, json_option, threads_option
from fastcf.cli._outputs import blocks, check_output, csv_writer, heading, output_option, table
from fastcf.cli._titles import TitleFile, Titles, titles_options
from fastcf.cli._visitors import VISITOR, history_of, rated_option
from fastcf.errors import DataError

__all__ = ["rank_table", "recommend", "similar"]

_BLOCK = 4096
"""Users at a time, of all."""

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
number_option = click.option(
    "-n", "--number", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="How many."
)


def rank_table(
    ids: NDArray[Any],
    scores: NDArray[np.float32],
    titles: Titles,
    score: str,
    *,
    what: str = "item",
    digits: int = 3,
    found_by: Sequence[str] | None = None,
) -> None:
    """Print ids, best first, with their scores, what found them and titles; padding is left out."""
    found = np.isfinite(scores)
    ids, scores = ids[found], scores[found]
    rows = [
        [str(i + 1), str(one), f"{value:.{digits}f}"] for i, (one, value) in enumerate(zip(ids, scores, strict=True))
    ]
    header, align = ["", what, score], ">>>" if ids.dtype.kind in "iu" else "><>"
    if found_by is not None:
        rows = [[*row, by] for row, by in zip(rows, found_by, strict=False)]  # padding comes last
        header, align = [*header, "found by"], align + "<"
    if titles:
        rows = [[*row, title] for row, title in zip(rows, titles.of(ids), strict=True)]
        header, align = [*header, "title"], align + "<"
    if rows:
        table(rows, header, align)
    else:
        click.echo("  nothing left to show")


def _entries(found: Lists, titles: Titles) -> Iterator[list[list[Any]]]:
    """Yield the results of each query: id, score and, where there are any, title and retrievers; without padding."""
    for query, (row, values) in enumerate(zip(found.items, found.scores, strict=True)):
        there = np.isfinite(values)
        columns = [row[there].tolist(), [round(value, 6) for value in values[there].tolist()]]
        if titles:
            columns.append(titles.of(row[there]))
        if found.found_by is not None:
            columns.append(found.found_by[query][: len(columns[0])])
        yield [list(entry) for entry in zip(*columns, strict=True)]


def _columns(have_sources: bool, titles: Titles) -> list[str]:
    """Return the names of what the results have beside id and score."""
    return [*(["title"] if titles else []), *(["found_by"] if have_sources else [])]


def _ranked(records: Iterable[tuple[Any, list[list[Any]]]]) -> Iterator[list[Any]]:
    """Yield the rows of a CSV file: the queried id, the rank, and the result."""
    for one, entries in records:
        for rank, entry in enumerate(entries, start=1):
            yield [one, rank, *entry]


def _recommend_to_all(model: Any, number: int, titles: Titles, output: Path | None, options: dict[str, Any]) -> None:
    """Write recommendations of all users as CSV."""
    users = model.users_.ids
    with csv_writer(output) as write:
        write([["user", "rank", "item", "score", *_columns(hasattr(model, "names_of"), titles)]])
        for block in blocks(len(users), _BLOCK, "user", output):
            found = lists_of(model, users[block], number, **options)
            write(_ranked(zip(users[block].tolist(), _entries(found, titles), strict=True)))


def _print(
    asked: Sequence[Any],
    found: Lists,
    titles: Titles,
    *,
    names: tuple[str, str, str],
    headings: Sequence[str],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print the results of each query; ``names`` are those of the queried id, the result's id and the score."""
    key, result, score = names
    if not as_json and not as_csv:
        for i, text in enumerate(headings):
            heading(text, first=i == 0)
            by = None if found.found_by is None else found.found_by[i]
            rank_table(found.items[i], found.scores[i], titles, score, what=result.replace("_", " "), found_by=by)
        return
    columns = [result, score, *_columns(found.found_by is not None, titles)]
    records = zip(asked, _entries(found, titles), strict=True)
    if as_json:
        lists = [
            {key: one, "results": [dict(zip(columns, entry, strict=True)) for entry in entries]}
            for one, entries in records
        ]
        click.echo(json.dumps(lists, ensure_ascii=False, indent=2))
        return
    with csv_writer(None) as write:
        write([[key, "rank", *columns]])
        write(_ranked(records))


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-u", "--user", "users", multiple=True, metavar="ID", help="User id; may be given several times.")
@rated_option
@click.option("--all", "everyone", is_flag=True, help="All users of MODEL, as CSV; needs -o.")
@number_option
@output_option
@titles_options
@click.option("--include-seen", is_flag=True, help="Also items that the user has rated.")
@click.option(
    "--min-score",
    type=float,
    metavar="X",
    help="Only items whose score (predicted rating or probability) is at least X.",
)
@at_option
@threads_option
@json_option
@csv_option
def recommend(
    model: Path,
    users: tuple[str, ...],
    rated: tuple[str, ...],
    everyone: bool,
    number: int,
    output: Path | None,
    titles: TitleFile | None,
    include_seen: bool,
    min_score: float | None,
    at: str | None,
    threads: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Recommend to users of MODEL, or to a visitor, what they have not rated.

    Example: fastcf recommend movies.fastcf -u 42 -u 7 -n 20

    Example: fastcf recommend movies.fastcf --rated 1=5 --rated 3=4

    Example: fastcf recommend movies.fastcf --all -o recommended.csv
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if everyone + bool(users) + bool(rated) > 1:
        raise click.UsageError("--user, --rated and --all exclude each other")
    if everyone and as_json:
        raise click.UsageError("--all and --json exclude each other; recommendations of all users are CSV")
    if not (everyone or users or rated):
        raise click.UsageError("--user ID, --rated ITEM=RATING or --all is needed")
    if not everyone and output is not None:
        raise click.UsageError("--output is for --all only")
    if output is not None:
        check_output(output)
    loaded = load_model(model, threads).with_users().at(at)
    names = loaded.titles(titles)
    wanted = parse_ids(users, loaded.model.users_, "user")
    history = history_of(loaded, rated) if rated else None
    if history is None and loaded.model.seen_ is None and not include_seen:
        raise DataError(f"{model}: was saved without what users have seen; add --include-seen")
    options: dict[str, Any] = {"exclude_seen": not include_seen, "min_score": min_score}
    if everyone:
        _recommend_to_all(loaded.model, number, names, output, options)
        return
    if history is not None:
        options["history"] = history
    _print(
        wanted or [None],
        lists_of(loaded.model, wanted or [0], number, **options),
        names,
        names=("user", "item", "score"),
        headings=[f"For user {user}" for user in users] or [VISITOR.capitalize()],
        as_json=as_json,
        as_csv=as_csv,
    )


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-i", "--item", "items", multiple=True, required=True, metavar="ID", help="Item id; may be given several times."
)
@number_option
@click.option(
    "--metric",
    type=click.Choice(["cosine", "euclidean", "dot"]),
    help="How vectors are compared; by default their cosine, or as a table of neighbours has it.",
)
@titles_options
@threads_option
@json_option
@csv_option
def similar(
    model: Path,
    items: tuple[str, ...],
    number: int,
    metric: str | None,
    titles: TitleFile | None,
    threads: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Find the items of MODEL that are most similar to others.

    Example: fastcf similar movies.fastcf --item 1
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    loaded = load_model(model, threads)
    if not hasattr(loaded.model, "similar_items"):
        raise DataError(
            f"{model}: a {loaded.archive.class_name} has no vectors to compare; train with --model mf, logistic or "
            "autoencoder"
        )
    names = loaded.titles(titles)
    wanted = parse_ids(items, loaded.model.items_, "item")
    own_metric = getattr(loaded.model, "metric", None) if loaded.archive.class_name == "NeighbourTable" else None
    if own_metric is None:
        metric = metric or "cosine"
        found = loaded.model.similar_items(wanted, number, metric=metric)
    elif metric in (None, own_metric):
        metric = own_metric
        found = loaded.model.similar_items(wanted, number)
    else:
        raise DataError(f"{model}: the table has the neighbours by {own_metric}; leave out --metric, or make another")
    own = names.of(wanted)
    _print(
        wanted,
        Lists(found.ids, found.scores),
        names,
        names=("item", "similar_item", "distance" if metric == "euclidean" else "similarity"),
        headings=[
            f"Similar to {item}" + (f", {title}" if title else "") for item, title in zip(items, own, strict=True)
        ],
        as_json=as_json,
        as_csv=as_csv,
    )
