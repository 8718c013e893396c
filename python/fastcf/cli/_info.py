"""``fastcf info``: a description of a model, a file of ratings, or this installation."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastcf._backend import show_config
from fastcf.cli._measures import LABEL_MEASURES, measures_of
from fastcf.cli._model_files import load_model, looks_like_model
from fastcf.cli._models import layers_of
from fastcf.cli._options import threads_option
from fastcf.cli._outputs import heading, key_values, table
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import rating_options
from fastcf.data.items import STORED_TITLES
from fastcf.ids import IdMap
from fastcf.metrics.titles import title_of
from fastcf.ratings import Ratings
from fastcf.serialization import read_metadata, stored_class

__all__ = ["info"]

_MOST_LEVELS = 20
_LONGEST_BAR = 40
_PLAUSIBLE_SECONDS = 10**8, 10**10  # between 1973 and 2286


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@threads_option
@rating_options
def info(path: Path | None, threads: int | None, **reading: Any) -> None:
    """Describe a model, a file of ratings, or this installation.

    PATH is a model or a file or folder of ratings; without it, versions,
    instruction set, threads and devices are shown.
    """
    if path is None:
        show_config()
    elif looks_like_model(path):
        _describe_model(path)
    else:
        found = read_ratings(path, threads=threads, **reading)
        heading(f"{path}: ratings, read in {found.seconds:.2f} s", first=True)
        names = [file.name for file in found.files.ratings]
        several = "" if len(names) == 1 else f" and {len(names) - 1:,} more"
        layout = [("format", found.files.format), ("ratings from", names[0] + several)]
        if found.files.items is not None:
            layout.append(("titles from", found.files.items.name))
        key_values([*layout, *_described(found.ratings)])
        _histogram(found.ratings.values)
        if path.is_file() and stored_class(path) is not None:
            _metadata(read_metadata(path))


def _examples(ids: IdMap) -> str:
    kind = "text" if ids.kind == "str" else "integers"
    return f"{kind}, such as {', '.join(str(ids.id_at(row)) for row in range(min(3, len(ids))))}"


def _described(ratings: Ratings) -> list[tuple[str, str]]:
    """Return sizes, density, scale and dates."""
    low, high = ratings.rating_range

    def spread(counts: NDArray[np.int64]) -> str:
        return f"{counts.min():,} to {counts.max():,} ratings each, median {np.median(counts):,.0f}"

    pairs = [
        ("users", f"{ratings.n_users:,}: {spread(ratings.user_counts())}"),
        ("items", f"{ratings.n_items:,}: {spread(ratings.item_counts())}"),
        ("user ids", _examples(ratings.users)),
        ("item ids", _examples(ratings.items)),
        ("ratings", f"{ratings.n_ratings:,}: {ratings.n_ratings / ratings.n_users / ratings.n_items:.3%} of all pairs"),
        ("scale", f"{low:g} to {high:g}, mean {ratings.mean:.3f}"),
    ]
    if ratings.timestamps is not None:
        first, last = int(ratings.timestamps.min()), int(ratings.timestamps.max())
        if _PLAUSIBLE_SECONDS[0] <= first and last <= _PLAUSIBLE_SECONDS[1]:
            dates = [time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (first, last)]
            pairs.append(("dates", " to ".join(dates)))
        else:
            pairs.append(("timestamps", f"{first} to {last}"))
    return pairs


def _histogram(values: NDArray[np.float32]) -> None:
    levels, counts = np.unique(values, return_counts=True)
    if levels.size > _MOST_LEVELS:
        return
    click.echo()
    bars = np.round(counts / counts.max() * _LONGEST_BAR).astype(int)
    rows = [
        [f"{level:g}", f"{count:,}", f"{count / values.size:.1%}", "#" * int(bar)]
        for level, count, bar in zip(levels, counts, bars, strict=True)
    ]
    table(rows, ("rating", "count", "share", ""), ">>><")


def _scale(model: Any) -> str:
    """Return the scale of a model's predictions."""
    targets = model.state.targets
    if targets.labels:
        cut = "" if targets.threshold is None else f", 1 for ratings of at least {targets.threshold:g}"
        return f"labels 0 and 1{cut}"
    if targets.choices:
        cut = "values above 0" if targets.threshold is None else f"values of at least {targets.threshold:g}"
        return f"choices: {cut}"
    low, high = model.rating_range_
    mean = getattr(model, "mean_rating_", getattr(model, "global_mean_", None))
    return f"{low:g} to {high:g}" + ("" if mean is None else f", mean {mean:.3f}")


def _describe_model(path: Path) -> None:
    loaded = load_model(path)
    model, archive = loaded.model, loaded.archive
    predicts, users, seen = hasattr(model, "predict"), hasattr(model, "users_"), getattr(model, "seen_", None)
    titles = archive.array(STORED_TITLES) if STORED_TITLES in archive.arrays else None
    pairs = [
        ("class", f"fastcf.{archive.class_name}"),
        ("written by", f"fastcf {archive.fastcf_version}"),
        ("file", f"{path.stat().st_size / 2**20:.1f} MiB"),
        *([("users", f"{len(model.users_):,}: {_examples(model.users_)}")] if users else []),
        ("items", f"{len(model.items_):,}: {_examples(model.items_)}"),
        *([("scale", _scale(model))] if predicts else []),
        *(
            [("rated pairs", "not stored" if seen is None else f"stored, {seen.indices.size:,} ratings")]
            if users
            else []
        ),
        ("titles", "not stored" if titles is None else f"stored, {np.count_nonzero(titles != ''):,}"),
        *(_training(getattr(model, "model_", model)) if predicts and getattr(model, "history_", None) else []),
    ]
    members = getattr(model, "models_", {})
    if members:
        found = model.state.learnt
        measure = title_of(found.metric)
        pairs.append(("validation", f"{found.n_validation:,} ratings, {measure} {found.measure:.4f}"))
    heading(f"{path}: a {'model' if predicts else 'recommender' if users else 'table of neighbours'}", first=True)
    key_values(pairs)
    if members:
        heading("Members")
        columns = {"weight": found.weights, f"validation {measure}": found.member_measures}
        if found.slopes is not None:
            columns["slope by count"] = found.slopes
        numbers = zip(*columns.values(), strict=True)
        rows = [
            [name, type(member).__name__, *(f"{number:.4f}" for number in own)]
            for (name, member), own in zip(members.items(), numbers, strict=True)
        ]
        table(rows, ("name", "class", *columns), "<<" + ">" * len(columns))
    elif archive.parts:
        heading("Made of")
        table([[name, f"fastcf.{part.class_name}"] for name, part in archive.parts.items()], ("part", "class"), "<<")
    _metadata(archive.metadata)
    heading("Parameters")
    given = model.get_params(deep=False) if hasattr(model, "get_params") else archive.params
    plain = {name: value for name, value in given.items() if name in {*archive.params, "n_threads"}}
    if members:
        del plain["models"]
    key_values([(name, str(value)) for name, value in sorted(plain.items()) if name != "retrievers"])


def _metadata(values: dict[str, Any]) -> None:
    """Print what a caller has stored in a file, where there is something."""
    if values:
        heading("Metadata")
        key_values([(name, json.dumps(value, ensure_ascii=False)) for name, value in values.items()])


def _training(model: Any) -> list[tuple[str, str]]:
    """Return the size of a model that was trained by epochs, and how its training went."""
    history = model.history_
    kept = next((record for record in history if record["epoch"] == model.n_epochs_), history[0])
    measures = *measures_of(model.state.targets), *LABEL_MEASURES  # networks of levels record their log-loss
    error = next((measure for measure in measures if f"train_{measure.key}" in kept), None)
    if error is None:  # of models of choices
        errors = f"cost {kept['cost']:.6g}"
    else:
        errors = f"training {error.title} {kept[f'train_{error.key}']:.4f}"
        if kept.get(f"validation_{error.key}") is not None:
            errors += f", validation {error.title} {kept[f'validation_{error.key}']:.4f}"
    if hasattr(model, "orientation"):
        size = "layers", layers_of(model)
    elif hasattr(model, "base_rate_"):
        sizes = [model.item_features_.shape[1], *model.hidden, model.base_rate_.size]
        size = "a user's layers", ", ".join(map(str, sizes))
    else:
        draws = getattr(model, "n_samples_", 1)
        averaged = "" if draws == 1 else f", {draws} draws averaged"
        size = "factors", f"{model.user_factors_.shape[1] // draws}{averaged}"
    return [
        size,
        ("epoch kept", f"{model.n_epochs_} of {history[-1]['epoch']}: {errors}"),
        ("learnt in", f"{sum(record['seconds'] for record in history):.2f} s on {model.device_}"),
    ]
