"""The models that ``fastcf train`` fits: which options each takes, and the estimators made of the options."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from fastcf.models.autoencoder import Autoencoder
from fastcf.models.bias import BiasModel
from fastcf.models.factorization import MatrixFactorization
from fastcf.models.implicit import ImplicitFactorization
from fastcf.models.linear import LinearAutoencoder
from fastcf.models.neighbours import ItemNeighbours, UserNeighbours
from fastcf.models.popular import Popular
from fastcf.optimizers import Optimizer, as_optimizer
from fastcf.scores.links import ACTIVATIONS
from fastcf.solvers import SGD, GradientDescent, Solver, as_implicit_solver, as_solver

__all__ = [
    "KINDS",
    "LISTS",
    "ModelOfChoices",
    "Trained",
    "check_choices",
    "default_model",
    "kind_of",
    "layers_of",
    "make_model",
    "network_options",
    "plain_model",
    "settings_of",
]

ModelOfChoices = ImplicitFactorization | ItemNeighbours | LinearAutoencoder | Popular | UserNeighbours
Trained = Autoencoder | BiasModel | MatrixFactorization | ModelOfChoices

KINDS = {
    "linear": "linear item model",
    "implicit": "implicit factorisation",
    "item-neighbours": "item neighbours",
    "user-neighbours": "user neighbours",
    "popular": "most popular",
    "mf": "matrix factorisation",
    "logistic": "logistic factorisation",
    "autoencoder": "autoencoder",
    "bias": "bias model",
}
LISTS = "linear", "implicit", "item-neighbours", "user-neighbours", "popular"
"""The models that learn what users choose; the others learn how they rate."""

_USUAL = {"lists": "linear", "ratings": "mf"}
_FACTORISATIONS = "mf", "logistic"
_NEIGHBOURHOODS = "item-neighbours", "user-neighbours"
_TRAINED = *_FACTORISATIONS, "autoencoder"
_NETWORKS = ("autoencoder",)

# Options of some kinds only.
_TAKEN_BY = {
    "threshold": (*LISTS, "logistic", "autoencoder"),
    **dict.fromkeys(("solver", "bias"), _FACTORISATIONS),
    "factors": ("implicit", *_FACTORISATIONS),
    **dict.fromkeys(("epochs", "checkpoint", "checkpoint_every"), ("implicit", *_TRAINED)),
    "reg": ("linear", "implicit", *_TRAINED),
    "neighbours": ("linear", *_NEIGHBOURHOODS),
    "temporal": ("mf", "autoencoder", "bias"),
    **dict.fromkeys(("optimizer", "learning_rate", "normalize", "batch_size", "patience"), _TRAINED),
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
# Options of some solvers only.
_SOLVED_BY = {
    "batch_size": ("minibatch",),
    "optimizer": ("minibatch", "gd"),
    "learning_rate": ("sgd", "minibatch", "gd"),
    "reg": ("sgd", "als", "minibatch", "gd"),
    "patience": ("sgd", "als", "minibatch", "gd"),
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
            help="Autoencoder: further steps on its outputs.",
        ),
        click.option("--tied", is_flag=True, help="Autoencoder: the decoder has the encoder's weights, transposed."),
        click.option("--dropout", type=share, metavar="SHARE", help="Autoencoder: share of hidden values dropped."),
        click.option(
            "--rated-input",
            type=click.FloatRange(0),
            metavar="X",
            help="Autoencoder: size of the indicator of rated items.",
        ),
        click.option(
            "--input-dropout",
            type=share,
            metavar="SHARE",
            help="Autoencoder: share of ratings left out of the input.",
        ),
        click.option("--activation", type=click.Choice(ACTIVATIONS), help="Autoencoder: of the hidden layers."),
        click.option(
            "--orientation",
            type=click.Choice(["item", "user"]),
            help="Autoencoder: input is the ratings of an item or of a user.",
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


def kind_of(kind: str | None, purpose: str | None) -> str:
    """Return the kind of model that is asked for by name or by purpose, by default one that makes lists."""
    if kind is None:
        return _USUAL[purpose or "lists"]
    if purpose is not None and (kind in LISTS) != (purpose == "lists"):
        own = _either(LISTS if purpose == "lists" else tuple(each for each in KINDS if each not in LISTS))
        raise click.UsageError(f"--for {purpose} takes --model {own}, not {kind}")
    return kind


def check_choices(context: click.Context, kind: str, solver: str, normalize: str | None) -> None:
    """Refuse options that exclude each other."""
    given = {
        one.name: one.opts[0]
        for one in context.command.params
        if one.name and context.get_parameter_source(one.name) is not ParameterSource.DEFAULT
    }
    for name, kinds in _TAKEN_BY.items():
        if name in given and kind not in kinds:
            raise click.UsageError(f"{given[name]} needs --model {_either(kinds)}, not {kind}")
    if kind == "logistic" and solver in ("als", "bayes"):
        raise click.UsageError(f"--model logistic takes --solver sgd, minibatch or gd, not {solver}")
    if kind in _FACTORISATIONS:
        for name, solvers in _SOLVED_BY.items():
            if name in given and solver not in solvers:
                also = " or --model autoencoder" if "autoencoder" in _TAKEN_BY[name] else ""
                raise click.UsageError(f"{given[name]} needs --solver {_either(solvers)}{also}, not --solver {solver}")
    if normalize is not None and normalize not in _NORMALIZE[kind]:
        raise click.UsageError(f"--model {kind} takes --normalize {_either(_NORMALIZE[kind])}, not {normalize}")


def _optimizer(options: Mapping[str, Any]) -> Optimizer | str:
    """Return the optimiser of the options: an object where the step size is chosen, else its name."""
    name: str = "adam" if options["optimizer"] == "auto" else options["optimizer"]
    rate = options["learning_rate"]
    optimizer: Optimizer | str = name if rate == "auto" else as_optimizer(name).set_params(learning_rate=rate)
    return optimizer


def _solver(options: Mapping[str, Any]) -> Solver | str:
    """Return the solver of the options: an object where one of its parameters is chosen, else its name."""
    name: str = options["solver"]
    if name == "sgd" and options["learning_rate"] != "auto":
        return SGD(options["learning_rate"])
    if name in ("minibatch", "gd"):
        return GradientDescent(_optimizer(options), "whole" if name == "gd" else options["batch_size"] or 1024)
    return name


def make_model(kind: str, options: Mapping[str, Any]) -> Trained:
    """Return a model of the options of ``train``; None: the default of the model."""
    if kind == "bias":
        return BiasModel(n_threads=options["threads"])
    if kind in LISTS:
        return _model_of_choices(kind, options)
    names = {"n_epochs": "epochs", "n_threads": "threads", "random_state": "seed", "patience": "patience"}
    if kind in _FACTORISATIONS:
        names |= {"n_factors": "factors", "bias": "bias", "reg": "reg"}
    else:
        names |= {"dense_refeeding": "refeeding"}
        own = "layers", "orientation", "activation", "input_dropout", "rated_input", "dropout", "tied", "batch_size"
        names |= {name: name for name in (*own, "reg")}
    chosen = {name: options[option] for name, option in names.items() if options[option] is not None}
    if options["normalize"] is not None:
        chosen["normalize"] = None if options["normalize"] == "none" else options["normalize"]
    if kind == "logistic" or options["threshold"] is not None:
        chosen |= {"cost": "logistic", "threshold": options["threshold"]}
    if kind in _FACTORISATIONS:
        return MatrixFactorization(solver=_solver(options), **chosen)
    return Autoencoder(optimizer=_optimizer(options), **chosen)


def default_model(kind: str, threshold: float | None, seed: int, threads: int | None) -> Trained:
    """Return a model with its default parameters; the threshold is that of models of choices and of labels."""
    chosen = threshold if kind in (*LISTS, "logistic") else None
    options = {"threshold": chosen, "seed": seed, "threads": threads, "solver": "sgd"}
    return make_model(kind, defaultdict(lambda: None, {**options, "optimizer": "auto", "learning_rate": "auto"}))


_CHOICES: dict[str, tuple[type[ModelOfChoices], dict[str, str]]] = {
    "linear": (LinearAutoencoder, {"reg": "reg", "neighbours": "neighbours"}),
    "implicit": (
        ImplicitFactorization,
        {"reg": "reg", "n_factors": "factors", "n_epochs": "epochs", "random_state": "seed"},
    ),
    "item-neighbours": (ItemNeighbours, {"n_neighbours": "neighbours"}),
    "user-neighbours": (UserNeighbours, {"n_neighbours": "neighbours"}),
    "popular": (Popular, {}),
}
"""The models of choices, and the options that their parameters take."""


def _model_of_choices(kind: str, options: Mapping[str, Any]) -> ModelOfChoices:
    """Return a model of what users choose; None and "auto": the default of the model."""
    made, names = _CHOICES[kind]
    given = {
        name: options[option] for name, option in {"n_threads": "threads", "threshold": "threshold", **names}.items()
    }
    return made(**{name: value for name, value in given.items() if value is not None and value != "auto"})


_CLASSES: dict[str, type[Trained]] = {
    "mf": MatrixFactorization,
    "logistic": MatrixFactorization,
    "autoencoder": Autoencoder,
    "bias": BiasModel,
    **{kind: made for kind, (made, _) in _CHOICES.items()},
}


def plain_model(kind: str, threshold: float | None, seed: int, nested: Collection[str] = ()) -> Trained:
    """Return a model with the defaults of its class.

    A threshold is the model's where it takes one. Parameters of ``nested`` that are shorthand for objects, "solver" and
    "optimizer", become these objects, whose own parameters can be set.
    """
    made = _CLASSES[kind]
    given: dict[str, Any] = {"random_state": seed} if "random_state" in inspect.signature(made).parameters else {}
    if kind == "logistic" or (kind == "autoencoder" and threshold is not None):
        given["cost"] = "logistic"
    if kind in _TAKEN_BY["threshold"]:
        given["threshold"] = threshold
    model = made(**given)
    named = {"optimizer": as_optimizer, "solver": as_implicit_solver if kind == "implicit" else as_solver}
    own = model.get_params(deep=False)
    return model.set_params(**{name: named[name](own[name]) for name in nested if name in named and name in own})


def layers_of(model: Autoencoder) -> str:
    """Return the sizes of an autoencoder's layers, and its inputs."""
    return f"{', '.join(map(str, model.layers))}; a row is the ratings of one {model.state.learnt.orientation}"


def settings_of(model: Trained, validated: bool) -> list[tuple[str, str]]:
    """Return the settings of a fitted model, those that were "auto" included."""
    if isinstance(model, ImplicitFactorization):
        return [("factors", str(model.item_factors_.shape[1])), ("reg", f"{model.reg_:.4g}")]
    if isinstance(model, BiasModel | ModelOfChoices):
        return []
    k = model.user_factors_.shape[1]
    if hasattr(model, "n_samples_"):
        return [("factors", str(k // model.n_samples_)), ("draws averaged", str(model.n_samples_))]
    stopped = f", the best of {model.history_[-1]['epoch']}" if validated else ""
    size = ("layers", layers_of(model)) if isinstance(model, Autoencoder) else ("factors", str(k))
    lines = [size, ("epoch kept", f"{model.n_epochs_}{stopped}"), ("reg", f"{model.reg_:.4g}")]
    steps = model.history_[-1]["learning_rate"] is not None
    return [*lines, ("learning rate", f"{model.learning_rate_:.4g}")] if steps else lines
