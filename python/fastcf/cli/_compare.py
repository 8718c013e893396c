"""``fastcf compare``: several models on the same held-out ratings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from fastcf.cli._models import KINDS, default_model
from fastcf.cli._options import json_option, seed_option, threads_option
from fastcf.cli._outputs import check_output, csv_writer, heading, output_option, table
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import rating_options
from fastcf.evaluation import Evaluation, Interrupted, evaluate
from fastcf.evaluation.measures import metrics_of
from fastcf.evaluation.parts import SPLITS

__all__ = ["compare"]

_USUAL = "popular,item-neighbours,linear,implicit,bias,mf"
_ALIASES = {"ials": "implicit"}


def _named(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    """Return the names of an option that takes several, separated by commas."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise click.BadParameter(f"{value!r} is not a list of different names such as {_USUAL}.")
    return names


def _kinds(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    names = _named(context, parameter, value)
    for name in names:
        if _ALIASES.get(name, name) not in KINDS:
            raise click.BadParameter(f"there is no model {name!r}; there are {', '.join((*KINDS, *_ALIASES))}.")
    return names


def _length(metrics: list[str], k: int | None) -> int:
    """Return the length of lists, once the metrics are known to be some and to use it where it is given."""
    length = 10 if k is None else k
    try:
        found = metrics_of(metrics, [length], None, "--metrics")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if k is not None and all(metric.name in metrics for metric in found):
        raise click.UsageError("-k needs a metric of lists without a length of its own, such as ndcg")
    return length


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: null in place of NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _show(found: Evaluation, path: Path) -> None:
    titles, rows = found.cells()
    percent, several = f"{100 * found.protocol.confidence:g} %", len(rows) > 1
    models = f"{len(rows)} models" if several else "1 model"
    heading(f"{models} on {found.protocol.n_held_out:,} ratings held out of {path.name}", first=True)
    table(rows, titles, "<" + ">" * (len(titles) - 1))
    if found.left_out():
        click.echo(f"\n{found.protocol.n_users:,} users{found.left_out()}.")
    mark = f" *: differs from {found.compared_with()} (p < 0.05)." if several else ""
    click.echo(f"\n±: half of the {percent} interval, over users.{mark}")


@click.command()
@click.argument("ratings", type=click.Path(path_type=Path))
@click.option(
    "--models",
    callback=_kinds,
    default=_USUAL,
    show_default=True,
    metavar="NAME,…",
    help=f"The models, with their default parameters: {', '.join((*KINDS, *_ALIASES))}.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Ratings of at least X are choices, relevant in lists, and labels 1; by default all above 0.",
)
@click.option(
    "--metrics",
    callback=_named,
    default="rmse,ndcg,recall",
    show_default=True,
    metavar="NAME,…",
    help="rmse, mae; of labels log_loss, auc, accuracy; of lists ndcg, recall, precision, hit_rate, map, mrr, "
    "coverage, gini, novelty, mean_popularity, also as in ndcg@20.",
)
@click.option("-k", type=click.IntRange(1, 9999), metavar="N", help="Length of lists; by default 10.")
@click.option(
    "--split",
    type=click.Choice(list(SPLITS)),
    default="train_test_split",
    show_default=True,
    metavar="NAME",
    help=f"How ratings are held out: {', '.join(SPLITS)}; of split_users the users are new.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Splits, with a seed each.",
)
@click.option("--baseline", metavar="NAME", help="The model to compare with; by default the first.")
@output_option
@json_option
@seed_option
@threads_option
@rating_options
def compare(
    ratings: Path,
    models: list[str],
    threshold: float | None,
    metrics: list[str],
    k: int | None,
    split: str,
    repeats: int,
    baseline: str | None,
    output: Path | None,
    as_json: bool,
    seed: int,
    threads: int | None,
    **reading: Any,
) -> None:
    """Fit several models to a part of RATINGS and measure them on the rest.

    Prints a row per model: metrics with intervals over users, what differs from
    the baseline, seconds and memory. -o writes the numbers as CSV, a line per
    model and metric. A model that fails is left out, with a note. Ctrl-C prints
    the models that are finished.

    Example: fastcf compare ml-latest-small --models popular,mf,linear --threshold 4
    """
    if output is not None:
        check_output(output)
    if baseline is not None and baseline not in models:
        raise click.UsageError(f"--baseline takes one of --models, {', '.join(models)}, not {baseline}")
    length = _length(metrics, k)
    whole = read_ratings(ratings, threads=threads, **reading).ratings
    stopped = None
    try:
        found = evaluate(
            {name: default_model(_ALIASES.get(name, name), threshold, seed, threads) for name in models},
            whole,
            split=split,
            metrics=metrics,
            k=length,
            threshold=threshold,
            baseline=baseline,
            repeats=repeats,
            random_state=seed,
        )
    except Interrupted as interrupted:
        stopped, found = interrupted, interrupted.table
    rows = [{name: _plain(value) for name, value in row.items()} for row in found.to_dicts()]
    if output is not None:
        with csv_writer(output) as write:
            write([list(rows[0]), *(list(row.values()) for row in rows)])
    if as_json:
        held_out = found.protocol.n_held_out
        result = {"ratings": str(ratings), "held_out": held_out, "users": found.protocol.n_users}
        result |= {"users_without": found.protocol.n_without, "rows": rows, "errors": found.errors}
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
    else:
        _show(found, ratings)
    if stopped is not None:
        for name in found.errors:
            click.echo(f"Note: {name}: {found.errors[name]}", err=True)
        raise stopped
