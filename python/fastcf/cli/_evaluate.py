"""``fastcf evaluate``: the errors of a model on a file of ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastcf.cli._inputs import alike, json_option, load_model, rating_options, read_ratings, threads_option
from fastcf.cli._measures import measured, measures_of, predictions_of, shown, targets_of
from fastcf.cli._tables import heading, key_values, table
from fastcf.ids import IdMap
from fastcf.ratings import Ratings

__all__ = ["evaluate"]


def _with_ids(ratings: Ratings, users: IdMap, items: IdMap) -> Ratings:
    return Ratings(ratings.indptr, ratings.indices, ratings.values, users=users, items=items)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("ratings", type=click.Path(path_type=Path))
@threads_option
@json_option
@rating_options
def evaluate(model: Path, ratings: Path, threads: int | None, as_json: bool, **reading: Any) -> None:
    """Measure the errors of MODEL on RATINGS.

    They should be ratings that the model was not trained on; a model of labels
    cuts them at its own threshold. Those of users or items that the model does
    not know are predicted by what is known of the other side, and counted
    apart.
    """
    loaded = load_model(model, threads)
    fitted = loaded.model
    data = read_ratings(ratings, threads=threads, **reading).ratings
    users, items = (IdMap(alike(fitted, f"{side}_", getattr(data, side).ids)) for side in ("users", "items"))
    data = _with_ids(data, users, items)

    user_rows, item_rows = fitted.users_.rows(users.ids), fitted.items_.rows(items.ids)
    of_user, of_item = user_rows[data.row_of_entry()], item_rows[data.indices]
    known = (of_user >= 0) & (of_item >= 0)
    true, predicted = targets_of(fitted, data, str(ratings)), predictions_of(fitted, data)
    measures = measures_of(fitted)
    result: dict[str, Any] = {
        "model": str(model),
        "class": loaded.archive.class_name,
        "ratings": data.n_ratings,
        **measured(true, predicted, measures),
        "cold_start": int((~known).sum()),
        "unknown_users": int((user_rows < 0).sum()),
        "unknown_items": int((item_rows < 0).sum()),
        "seen_in_training": None,
    }
    if fitted.seen_ is not None:
        result["seen_in_training"] = fitted.seen_.count_pairs(of_user[known], of_item[known], len(fitted.items_))
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
            ("users", f"{data.n_users:,}, of which the model does not know {result['unknown_users']:,}"),
            ("items", f"{data.n_items:,}, of which the model does not know {result['unknown_items']:,}"),
        ]
    )
    if not known.any():
        click.echo("\nNote: the model knows none of these pairs; are they ids of the same set?", err=True)
    elif result["seen_in_training"]:
        click.echo(
            f"\nNote: {result['seen_in_training']:,} of these ratings were in the file that the model was trained "
            "on;\nits error on ratings it has not seen is larger.",
            err=True,
        )
