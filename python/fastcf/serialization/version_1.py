"""Model files of format 1, written by fastcf up to 0.1: converted to format 2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from fastcf._texts import TextTable
from fastcf.serialization.archive import Archive

__all__ = ["upgraded"]

_OPTIMIZERS = {
    "gd": "GradientDescent",
    "momentum": "Momentum",
    "nesterov": "Nesterov",
    "adagrad": "AdaGrad",
    "adadelta": "AdaDelta",
    "adam": "Adam",
}
_DECAYING = ("inverse", "exponential")
# Parameters that stopping, prediction and the process have now.
_GONE = ("n_threads", "min_delta")


def upgraded(archive: Archive, arrays: dict[str, NDArray[Any] | TextTable]) -> Archive:
    """Return an archive of format 1, read without parts, in the form of format 2.

    ``arrays`` holds all arrays of the file; those of a blend's members have names ``member0/...``.
    """
    meta = {name.removesuffix("_"): value for name, value in archive.meta.items()}
    members = meta.pop("members", None)
    parts: dict[str, Archive] = {}
    for m, entry in enumerate(members or ()):
        prefix = f"member{m}/"
        own = {name: arrays[name] for name in entry["shared"]}
        own |= {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        here = {name: array for name, array in own.items() if "/" not in name}
        member = replace(archive, class_name=entry["class"], params=entry["params"], meta=entry["meta"], arrays=here)
        parts[entry["name"]] = upgraded(member, own)
    params = {name: value for name, value in archive.params.items() if name not in _GONE}
    class_name = archive.class_name
    if class_name == "LogisticMatrixFactorization":
        class_name, params["cost"] = "MatrixFactorization", "logistic"
    if class_name == "MatrixFactorization":
        params = _factorization(params)
    elif "optimizer" in params:
        params["optimizer"] = _optimizer(params)
    _drop_ignored(class_name, params)
    return replace(archive, class_name=class_name, params=params, meta=meta, parts=parts)


def _drop_ignored(class_name: str, params: dict[str, Any]) -> None:
    """Set parameters that had no effect, and are refused now, to their defaults."""
    if class_name in ("UserRegression", "ItemRegression") and params.get("cost") == "squared":
        if params.get("solver") != "gradient":  # solved directly
            params |= {"max_iter": None, "tol": 1e-8}
    elif class_name == "TwoTower" and params.get("normalize") is False:
        params["scale"] = "auto"
    elif class_name == "UserPerceptron" and params.get("hidden") == []:  # no layer has an activation
        params["activation"] = "tanh"
    elif class_name == "Autoencoder":
        if params["output_activation"] in ("sigmoid", "tanh"):  # mapped onto the range of the ratings
            params["normalize"] = "bias"
        params["alpha_dropout"] = params["alpha_dropout"] and params["dropout"] > 0
    elif class_name == "Blend" and params.get("fit_members") is False:
        params |= {"validation_fraction": 0.1, "refit": True}


def _scheduled(params: dict[str, Any]) -> dict[str, Any]:
    """Take step size and schedule out of parameters."""
    rate, schedule, decay = (params.pop(name) for name in ("learning_rate", "schedule", "decay"))
    return {"learning_rate": rate, "schedule": schedule, "decay": decay if schedule in _DECAYING else None}


def _optimizer(params: dict[str, Any]) -> dict[str, Any]:
    """Return the optimiser as settings, taken out of parameters with the step size and its schedule."""
    given = params.pop("optimizer")
    given = {"name": "adam" if given == "auto" else given} if isinstance(given, str) else dict(given)
    kind = _OPTIMIZERS[given.pop("name")]
    return {"settings": f"optimizers.{kind}", "params": {**_scheduled(params), **given}}


def _factorization(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a factorisation with its solver as an object."""
    params = dict(params)
    own = {name: params.pop(name, None) for name in ("cg_steps", "burn_in", "thin", "deterministic", "storage")}
    batch_size, solver = params.pop("batch_size"), params["solver"]
    if solver in ("gd", "minibatch"):
        size = "whole" if solver == "gd" else batch_size
        described = {"optimizer": _optimizer(params), "batch_size": size}
        kind = "GradientDescent"
    else:
        params.pop("optimizer")
        scheduled = _scheduled(params)
        if solver == "sgd":
            kind, described = "SGD", {**scheduled, "deterministic": own["deterministic"], "storage": own["storage"]}
        elif solver == "als":
            kind, described = "ALS", {"cg_steps": own["cg_steps"]}
        else:
            kind, described = "Gibbs", {"burn_in": own["burn_in"], "thin": own["thin"]}
    if solver == "bayes":  # its priors are learnt
        for name in ("reg", "bias_reg", "reg_scaling"):
            params[name] = "auto"
    params["solver"] = {"settings": f"solvers.{kind}", "params": described}
    params["patience"] = None if solver == "bayes" else params["patience"]
    if not params["bias"]:
        params["bias_reg"] = "auto"
    return params
