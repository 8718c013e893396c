"""``fastcf explain``: what a score is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fastcf.cli._ids import parse_ids
from fastcf.cli._model_files import load_model
from fastcf.cli._options import at_option, json_option, threads_option
from fastcf.cli._outputs import heading, table
from fastcf.cli._titles import TitleFile, Titles, titles_options
from fastcf.cli._visitors import VISITOR, history_of, rated_option
from fastcf.scores import Explanation

__all__ = ["explain"]


def _rows(explanation: Explanation, titles: Titles) -> list[dict[str, Any]]:
    """Return the parts of a score, items with their titles."""
    rows, first = explanation.to_dicts(), len(explanation.base)
    own = range(first, first + explanation.ids.size)
    rows = [row if place in own else {**row, "id": None} for place, row in enumerate(rows)]
    if titles and explanation.kind == "item":
        for place, title in zip(own, titles.of(explanation.ids), strict=True):
            rows[place]["title"] = title
    return rows


def _record(explanation: Explanation, titles: Titles) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    record = {name: getattr(explanation, name) for name in ("user", "item", "score", "prediction")}
    record["parts"] = _rows(explanation, titles)
    if explanation.members:
        record["members"] = {name: _record(member, titles) for name, member in explanation.members.items()}
    return record


def _print(explanation: Explanation, titles: Titles, text: str, *, first: bool) -> None:
    """Print an explanation, and those of members after it."""
    heading(f"{text}: score {explanation.score:.4g}, prediction {explanation.prediction:.4g}", first=first)
    cells = []
    for row in _rows(explanation, titles):
        if row["kind"] == "unexplained" and explanation.exact:
            continue
        name = row["kind"] if row["id"] is None else f"{row['kind']} {row['id']}"
        if row["kind"] == "rest":
            name = f"{explanation.n_rest:,} more"
        cells.append([f"{row['contribution']:+.4f}", name, row.get("title", "")])
    width = 3 if any(row[2] for row in cells) else 2
    table([row[:width] for row in cells], ["adds", "", "title"][:width], "><<"[:width])
    for name, member in explanation.members.items():
        _print(member, titles, f"Member {name}", first=False)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-u", "--user", metavar="ID", help="User id.")
@rated_option
@click.option(
    "-i", "--item", "items", multiple=True, required=True, metavar="ID", help="Item id; may be given several times."
)
@click.option(
    "-n", "--number", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="Largest contributions."
)
@click.option("--by-item", is_flag=True, help="By items of the history, also of a blend.")
@at_option
@titles_options
@threads_option
@json_option
def explain(
    model: Path,
    user: str | None,
    rated: tuple[str, ...],
    items: tuple[str, ...],
    number: int,
    by_item: bool,
    at: str | None,
    titles: TitleFile | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show what a user's score of an item in MODEL is made of.

    Means, biases, and what each item of the user's history, each neighbour, feature or member adds.

    Example: fastcf explain movies.fastcf --user 42 --item 1

    Example: fastcf explain movies.fastcf --rated 1=5 --rated 3=4 --item 2
    """
    if (user is None) != bool(rated):
        raise click.UsageError("either --user ID or --rated ITEM=RATING is needed")
    loaded = load_model(model, threads).that_explains().at(at)
    names = loaded.titles(titles)
    options: dict[str, Any] = {"n": number, "by": "item" if by_item else None}
    wanted = parse_ids(items, loaded.model.items_, "item")
    if user is None:
        found = loaded.model.explain(0, wanted, history=history_of(loaded, rated), **options)
        found = [replace(each, user=None) for each in found]
    else:
        found = loaded.model.explain(*parse_ids([user], loaded.model.users_, "user"), wanted, **options)
    if as_json:
        click.echo(json.dumps([_record(each, names) for each in found], ensure_ascii=False, indent=2))
        return
    for place, (each, title) in enumerate(zip(found, names.of(wanted), strict=True)):
        shown = f"Item {each.item}" + (f", {title}" if title else "")
        who = VISITOR if user is None else f"for user {user}"
        _print(each, names, f"{shown}, {who}", first=place == 0)
