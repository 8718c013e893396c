"""``fastcf predict``: a model's predictions of many pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastcf.cli._inputs import alike, load_model, pair_options, refuse_model, threads_option
from fastcf.cli._measures import predictions_of, predicts_labels
from fastcf.cli._outputs import blocks, check_output, csv_writer, output_option
from fastcf.data.pairs import read_pairs

__all__ = ["predict"]

_BLOCK = 1 << 17
"""Pairs at a time."""


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _note_unknown(model: Any, users: NDArray[Any], items: NDArray[Any]) -> None:
    """Say on one line of standard error how much the model does not know."""
    unknown = [model.users_.rows(users) < 0, model.items_.rows(items) < 0]
    affected = int((unknown[0] | unknown[1]).sum())
    if affected:
        n_users, n_items = (len(np.unique(ids[mask])) for ids, mask in zip((users, items), unknown, strict=True))
        click.echo(
            f"Note: the model does not know {_count(n_users, 'user')} and {_count(n_items, 'item')}, of {affected:,} "
            f"of the {_count(len(users), 'pair')}; these are predicted by what is known of the other side.",
            err=True,
        )


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("pairs", type=click.Path(path_type=Path))
@output_option
@threads_option
@pair_options
def predict(
    model: Path,
    pairs: Path,
    output: Path | None,
    threads: int | None,
    separator: str | None,
    user_column: str | int | None,
    item_column: str | int | None,
) -> None:
    """Predict the ratings of PAIRS by MODEL, as CSV.

    PAIRS is delimited text of users and items, or any file of ratings, of which
    other columns are ignored. A model of labels gives probabilities of label 1.
    Users and items that the model does not know are predicted by what is known
    of the other side, and counted on standard error.

    Example: fastcf predict movies.fastcf pairs.csv -o predictions.csv
    """
    if output is not None:
        check_output(output)
    fitted = load_model(model, threads).model
    refuse_model(pairs, "pairs")
    read = read_pairs(pairs, separator=separator, user=user_column, item=item_column, n_threads=threads)
    users, items = alike(fitted, "users_", read.users), alike(fitted, "items_", read.items)
    _note_unknown(fitted, users, items)
    with csv_writer(output) as write:
        write([("user", "item", "probability" if predicts_labels(fitted) else "prediction")])
        for block in blocks(len(users), _BLOCK, "pair", output):
            X = np.empty((block.stop - block.start, 2), dtype=object)  # users may be integers where items are strings
            X[:, 0], X[:, 1] = users[block], items[block]
            # As text, a number is the shortest that is the same float32.
            write(zip(X[:, 0], X[:, 1], predictions_of(fitted, X).astype(str), strict=True))
