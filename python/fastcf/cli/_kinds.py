"""The kinds of models that ``fastcf train`` learns: the options that go with each, and the models made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from fastcf.models import Autoencoder, BiasModel, LogisticMatrixFactorization, MatrixFactorization
from fastcf.models._network import ACTIVATIONS

__all__ = ["KINDS", "Trained", "check_choices", "layers_of", "make_model", "network_options", "settings_of"]

Trained = Autoencoder | BiasModel | LogisticMatrixFactorization | MatrixFactorization

KINDS = {
    "mf": "matrix factorisation",
    "logistic": "logistic factorisation",
    "autoencoder": "autoencoder",
    "bias": "bias model",
}
_FACTORISATIONS = "mf", "logistic"
_TRAINED = *_FACTORISATIONS, "autoencoder"
_NETWORKS = ("autoencoder",)

# Options that do not go with every kind.
_TAKEN_BY = {
    "threshold": ("logistic", "autoencoder"),
    **dict.fromkeys(("solver", "factors", "bias"), _FACTORISATIONS),
    **dict.fromkeys(("optimizer", "epochs", "reg", "learning_rate", "normalize", "batch_size", "patience"), _TRAINED),
    **dict.fromkeys(
        ("layers", "orientation", "activation", "input_dropout", "rated_input", "dropout", "tied", "refeeding"),
        _NETWORKS,
    ),
}
_NORMALIZE = {
    "mf": ("global", "item", "none"),
    "logistic": ("global", "none"),
    "autoencoder": ("bias", "item", "user", "global", "none"),
}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _layers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    sizes = [int(size) if size.isdecimal() else 0 for size in value.replace(" ", "").split(",")]
    if min(sizes) < 1:
        raise click.BadParameter(f"{value!r} is not a list of sizes such as 128,64.")
    return tuple(sizes)


def network_options(command: _Command) -> _Command:
    """Add the options that only networks have."""
    share = click.FloatRange(0, 1, max_open=True)
    for option in (
        click.option(
            "--refeeding",
            type=click.IntRange(0),
            metavar="N",
            help="Autoencoder: how often outputs are fed again.",
        ),
        click.option("--tied", is_flag=True, help="Autoencoder: the decoder has the encoder's weights, transposed."),
        click.option("--dropout", type=share, metavar="SHARE", help="Autoencoder: share of hidden values dropped."),
        click.option(
            "--rated-input",
            type=click.FloatRange(0),
            metavar="X",
            help="Autoencoder: what it is fed for being rated at all.",
        ),
        click.option(
            "--input-dropout",
            type=share,
            metavar="SHARE",
            help="Autoencoder: share of ratings not fed.",
        ),
        click.option("--activation", type=click.Choice(ACTIVATIONS), help="Autoencoder: of the hidden layers."),
        click.option(
            "--orientation",
            type=click.Choice(["item", "user"]),
            help="Autoencoder: whose ratings it is fed, an item's or a user's.",
        ),
        click.option(
            "--layers",
            callback=_layers,
            metavar="N,N,…",
            help="Autoencoder: sizes of the encoder's layers.",
        ),
    ):
        command = option(command)
    return command


def _either(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def check_choices(context: click.Context, kind: str, solver: str, normalize: str | None) -> None:
    """Refuse options that do not go together."""
    given = {
        one.name: one.opts[0]
        for one in context.command.params
        if one.name and context.get_parameter_source(one.name) is not ParameterSource.DEFAULT
    }
    for name, kinds in _TAKEN_BY.items():
        if name in given and kind not in kinds:
            raise click.UsageError(f"{given[name]} goes with --model {_either(kinds)}, not {kind}")
    if kind == "logistic" and solver in ("als", "bayes"):
        raise click.UsageError(f"--model logistic takes --solver sgd, minibatch or gd, not {solver}")
    if "batch_size" in given and kind in _FACTORISATIONS and solver != "minibatch":
        raise click.UsageError(
            f"--batch-size goes with --solver minibatch or --model autoencoder, not --solver {solver}"
        )
    if normalize is not None and normalize not in _NORMALIZE[kind]:
        raise click.UsageError(f"--model {kind} takes --normalize {_either(_NORMALIZE[kind])}, not {normalize}")


def make_model(kind: str, options: Mapping[str, Any]) -> Trained:
    """Return a model of the options of ``train``; what is None is left to the model."""
    threads, seed = options["threads"], options["seed"]
    if kind == "bias":
        return BiasModel(n_threads=threads)
    shared = {
        "n_epochs": options["epochs"],
        "patience": options["patience"],
        "learning_rate": options["learning_rate"],
        "batch_size": options["batch_size"],
        "random_state": seed,
        "n_threads": threads,
    }
    chosen = {name: value for name, value in shared.items() if value is not None}
    if options["normalize"] is not None:
        chosen["normalize"] = None if options["normalize"] == "none" else options["normalize"]
    if kind in _FACTORISATIONS:
        chosen.update({name: options[name] for name in ("solver", "optimizer", "bias", "reg")})
        if options["factors"] is not None:
            chosen["n_factors"] = options["factors"]
        if kind == "mf":
            return MatrixFactorization(**chosen)
        return LogisticMatrixFactorization(threshold=options["threshold"], **chosen)
    for name in ("optimizer", "reg"):
        if options[name] != "auto":
            chosen[name] = options[name]
    for name in ("layers", "orientation", "activation", "input_dropout", "rated_input", "dropout"):
        if options[name] is not None:
            chosen[name] = options[name]
    if options["refeeding"] is not None:
        chosen["dense_refeeding"] = options["refeeding"]
    if options["threshold"] is not None:
        chosen["cost"], chosen["threshold"] = "logistic", options["threshold"]
    return Autoencoder(tied=options["tied"], **chosen)


def layers_of(model: Autoencoder) -> str:
    """Return the sizes of an autoencoder's layers, and what it is fed."""
    return f"{', '.join(map(str, model.layers))}; a row is the ratings of one {model.orientation}"


def settings_of(model: Trained, validated: bool) -> list[tuple[str, str]]:
    """Return what a fitted model's settings came to."""
    if isinstance(model, BiasModel):
        return []
    k = model.user_factors_.shape[1]
    if isinstance(model, MatrixFactorization) and model.solver == "bayes":
        return [("factors", str(k // model.n_samples_)), ("draws averaged", str(model.n_samples_))]
    stopped = f", the best of {len(model.history_)}" if validated else ""
    kept, rate = ("epoch kept", f"{model.n_epochs_}{stopped}"), ("learning rate", f"{model.learning_rate_:.4g}")
    if isinstance(model, Autoencoder):
        return [("layers", layers_of(model)), kept, ("reg", f"{model.reg_:.4g}"), rate]
    lines = [("factors", str(k)), kept, ("reg", f"{model.reg_:.4g}")]
    return lines if model.solver == "als" else [*lines, rate]
