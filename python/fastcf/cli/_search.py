"""``fastcf search``: find good parameters of a model on folds of the ratings."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from scipy import stats

from fastcf.cli._models import KINDS, LISTS, kind_of, plain_model
from fastcf.cli._options import json_option, metadata_option, seed_option
from fastcf.cli._outputs import check_output, heading, table
from fastcf.cli._ratings import read_ratings
from fastcf.cli._reading import rating_options
from fastcf.cli._titles import TitleFile, titles_for, titles_options
from fastcf.cli._train import save_with_titles
from fastcf.data import split_by_time
from fastcf.metrics import Scorer, as_scorer
from fastcf.model_selection import GridSearch, HalvingSearch, MedianStopping, OptunaSearch, RandomSearch

__all__ = ["search"]

_SHOWN = 10  # candidates of the table
_WORDS = {"none": None, "true": True, "false": False}


class Range(NamedTuple):
    """Numbers to draw from, evenly by their logarithms where all are above 0; integers if both ends are."""

    low: int | float
    high: int | float

    @property
    def integers(self) -> bool:
        """Whether integers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def rvs(self, random_state: Any = None) -> int | float:
        """Draw a number, as distributions of SciPy do."""
        if self.integers:
            if self.low < 1:
                return int(stats.randint.rvs(self.low, self.high + 1, random_state=random_state))
            drawn = stats.loguniform.rvs(self.low - 0.5, self.high + 0.5, random_state=random_state)
            return int(min(max(round(drawn), self.low), self.high))
        kind = stats.loguniform(self.low, self.high) if self.low > 0 else stats.uniform(self.low, self.high - self.low)
        return float(kind.rvs(random_state=random_state))


def _value(text: str) -> Any:
    """Return a value of a parameter: a number, None, a truth value, or text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            number: float = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text


def _json_values(text: str, values: str) -> list[Any]:
    """Return the values of a list in JSON, lists among them as tuples: sizes of layers."""
    try:
        found = json.loads(values)
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: values that begin with [ are a list in JSON, such as layers=[[64,32],[128]]; put it in quotes."
        ) from None
    plain = [each for value in found for each in (value if isinstance(value, list) else [value])]
    if not found or [] in found or any(isinstance(each, list | dict) for each in plain):
        raise click.BadParameter(f"{text!r}: the list must hold values, or lists of values such as [64,32].")
    return [tuple(value) if isinstance(value, list) else value for value in found]


def _spaces(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Return what the texts ``NAME=V,V,…``, ``NAME=[V,…]`` and ``NAME=LOW..HIGH`` say: lists and ranges by name."""
    spaces: dict[str, Any] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        if not sign or not name.isidentifier() or not values or name in spaces:
            why = (
                "is given twice"
                if name in spaces
                else "is none of NAME=VALUE,VALUE,…, NAME=[VALUE,…] and NAME=LOW..HIGH"
            )
            raise click.BadParameter(f"{text!r} {why}.")
        if values.startswith("["):
            spaces[name] = _json_values(text, values)
            continue
        low, dots, high = values.partition("..")
        if not dots:
            spaces[name] = [_value(value) for value in values.split(",")]
            continue
        ends = _value(low), _value(high)
        if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends) or ends[0] >= ends[1]:
            raise click.BadParameter(f"{text!r}: a range needs two numbers, the smaller one first.")
        spaces[name] = Range(*ends)
    return spaces


def _scorer(metric: str | None, kind: str, threshold: float | None) -> Scorer:
    """Return the scorer: of the option, or what suits the model."""
    labels = kind == "logistic" or (kind == "autoencoder" and threshold is not None)
    usual = "ndcg@10" if kind in LISTS else "log_loss" if labels else "rmse"
    try:
        return as_scorer(metric or usual, "--metric", threshold=threshold)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _optuna_spaces(spaces: dict[str, Any]) -> dict[str, Any]:
    try:
        from optuna.distributions import FloatDistribution, IntDistribution
    except ImportError as error:
        raise ImportError("--optuna needs Optuna: pip install 'fastcf[search]'") from error
    found: dict[str, Any] = {}
    for name, space in spaces.items():
        if isinstance(space, Range):
            kind: Any = IntDistribution if space.integers else FloatDistribution
            found[name] = kind(space.low, space.high, log=space.low > 0)
        else:
            found[name] = space
    return found


def _searcher(
    model: Any, spaces: dict[str, Any], ways: dict[str, int | None], stopping: bool, common: dict[str, Any]
) -> Any:
    """Return the search that the options ask for."""
    chosen = [way for way, n in ways.items() if n is not None]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    way = chosen[0] if chosen else "grid"
    ranges = [name for name, space in spaces.items() if isinstance(space, Range)]
    if way == "grid" and ranges:
        raise click.UsageError(f"--param {ranges[0]}=LOW..HIGH needs --random N, --halving N or --optuna N")
    n = ways.get(way) or 0
    if way == "halving":
        if stopping:
            raise click.UsageError("--stop and --halving exclude each other")
        return HalvingSearch(model, spaces, n, **common)
    common |= {"stopping": MedianStopping() if stopping else None}
    if way == "optuna":
        return OptunaSearch(model, _optuna_spaces(spaces), n, **common)
    return RandomSearch(model, spaces, n, **common) if way == "random" else GridSearch(model, spaces, **common)


def _show(found: Any, names: list[str]) -> None:
    """Print the best candidates."""
    results, metric = found.cv_results_, found.scorer_.name
    last = results["iter"] == results["iter"].max() if "iter" in results else np.ones(len(results["params"]), bool)
    order = [row for row in np.argsort(results["rank_test_score"], kind="stable") if last[row]]
    rows = []
    for row in order[:_SHOWN]:
        params = results["params"][row]
        mean, spread = results["mean_test_score"][row], results["std_test_score"][row]
        cells = (
            [f"{mean:.4f}", f"{spread:.4f}" if found.n_splits_ > 1 else "–"]
            if math.isfinite(mean)
            else [str(results["status"][row]), ""]
        )
        seconds = f"{results['mean_fit_time'][row]:.2f}"
        rows.append([*cells, seconds, *(_shown(params.get(name, "")) for name in names)])
    table(rows, [metric, "deviation", "seconds", *names], ">>>" + ">" * len(names))
    counts = {status: int(np.count_nonzero(results["status"] == status)) for status in ("stopped", "failed")}
    others = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    n = len(results["params"])
    click.echo(f"\n{n} candidate{'s'[: n - 1]}{', ' if others else ''}{others}")


def _as_json(found: Any) -> dict[str, Any]:
    """Return the table and the best candidate as JSON values; None where there is no number."""
    columns = {name: column for name, column in found.cv_results_.items() if not name.startswith("param_")}
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    plain = [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in zip(columns, row, strict=True)
        }
        for row in rows
    ]
    best = {"params": found.best_params_, "score": found.best_score_}
    return {"metric": found.scorer_.name, "best": best, "candidates": plain}


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return json.dumps(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@click.command()
@click.argument("ratings", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["lists", "ratings"]),
    help="What the model is for: lists of what users will choose (the default), or predictions of ratings.",
)
@click.option("--model", "kind", type=click.Choice(list(KINDS)), metavar="NAME", help="As for fastcf train.")
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Ratings of at least X are choices, or label 1; for models of ratings, what is relevant in lists.",
)
@click.option(
    "--param",
    "spaces",
    multiple=True,
    required=True,
    callback=_spaces,
    metavar="NAME=V,V,…",
    help="Values of a parameter of the model's class, or NAME=LOW..HIGH, a range to draw from; may be given several "
    "times. solver__learning_rate is a parameter of the solver. Lists among the values: as JSON, "
    "'layers=[[64,32],[128]]'.",
)
@click.option("--random", "n_random", type=click.IntRange(1), metavar="N", help="Draw N candidates; by default all.")
@click.option(
    "--halving", type=click.IntRange(2), metavar="N", help="Draw N candidates; try them on few users, the best on more."
)
@click.option("--optuna", type=click.IntRange(1), metavar="N", help="N candidates by Optuna (extra 'search').")
@click.option(
    "--metric",
    metavar="NAME",
    help="What is compared: rmse, mae, log_loss, auc, ndcg@10, coverage@10, …; by default what suits the model.",
)
@click.option("--folds", type=click.IntRange(2), metavar="N", help="Number of folds; by default 5.")
@click.option(
    "--latest",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Test with the latest ratings.",
)
@click.option("--stop", is_flag=True, help="Give candidates up that are behind on the first fold.")
@click.option("--journal", type=click.Path(path_type=Path), help="File that a search which was killed goes on from.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File for the best model, learnt from all ratings."
)
@metadata_option
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Fits at a time; by default what is faster.")
@seed_option
@titles_options
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Print a line per fit instead of a bar.")
@rating_options
def search(
    ratings: Path,
    purpose: str | None,
    kind: str | None,
    threshold: float | None,
    spaces: dict[str, Any],
    n_random: int | None,
    halving: int | None,
    optuna: int | None,
    metric: str | None,
    folds: int | None,
    latest: float | None,
    stop: bool,
    journal: Path | None,
    output: Path | None,
    metadata: dict[str, Any],
    jobs: int | None,
    seed: int,
    titles: TitleFile | None,
    as_json: bool,
    verbose: bool,
    **reading: Any,
) -> None:
    """Find good parameters of a model on folds of RATINGS, a file or folder.

    Every candidate is fitted on every fold and measured on the rest. Without
    --random, --halving or --optuna all combinations of values are tried.

    Example: fastcf search ml-latest-small --model mf --param reg=0.1,0.5,1

    Example: fastcf search RATINGS --threshold 4 --param reg=1..1000 --random 20

    Example: fastcf search RATINGS --for ratings --param reg=0.05..5
    --param n_factors=8..128 --random 50 --stop --journal search.jsonl -o MODEL
    """
    kind = kind_of(kind, purpose)
    if folds is not None and latest is not None:
        raise click.UsageError("--folds and --latest exclude each other")
    if output is not None:
        check_output(output)
    elif metadata:
        raise click.UsageError("--metadata needs --output")
    scorer = _scorer(metric, kind, threshold)
    model = plain_model(kind, threshold, seed, nested={name.partition("__")[0] for name in spaces if "__" in name})
    for name in spaces:
        own = name.partition("__")[0]
        if own not in inspect.signature(type(model)).parameters:
            known = ", ".join(inspect.signature(type(model)).parameters)
            raise click.UsageError(f"--param {name}: {type(model).__name__} has the parameters {known}")
    common = {
        "metric": scorer,
        "cv": folds or 5 if latest is None else lambda whole: split_by_time(whole, latest),
        "n_jobs": jobs or "auto",
        "refit": output is not None,
        "random_state": seed,
        "verbose": 2 if verbose and not as_json else int(not as_json),
    }
    chosen = _searcher(model, spaces, {"random": n_random, "halving": halving, "optuna": optuna}, stop, common)
    whole, files, seconds = read_ratings(ratings, threads=None, **reading)
    if not as_json:
        sizes = f"{whole.n_ratings:,} ratings of {whole.n_items:,} items by {whole.n_users:,} users"
        click.echo(f"{sizes}, read in {seconds:.2f} s")
    names = None if output is None else titles_for(titles, files)  # a wrong file is refused before the search
    found = chosen.fit(whole, journal=journal)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        heading(f"{KINDS[kind]}: parameters by {scorer.name} on {found.n_splits_} fold{'s'[: found.n_splits_ - 1]}")
        _show(found, list(spaces))
        best = ", ".join(f"{name}={_shown(value)}" for name, value in found.best_params_.items())
        click.echo(f"best: {best}")
    if output is not None and names is not None:
        save_with_titles(found.best_estimator_, output, names, metadata=metadata)
        click.echo(f"saved {output} ({output.stat().st_size / 2**20:.1f} MiB)", err=as_json)
