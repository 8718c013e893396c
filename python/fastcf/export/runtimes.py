"""Which models are exported to which runtime, and what each export needs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sklearn.exceptions import NotFittedError

from fastcf._parameters import OneOf
from fastcf._version import __version__
from fastcf.export.autoencoder import autoencoder_network
from fastcf.export.factors import factor_network
from fastcf.export.formulas import Network
from fastcf.export.perceptron import perceptron_network, perceptron_predictions
from fastcf.export.two_tower import tower_network
from fastcf.models.autoencoder import Autoencoder
from fastcf.models.perceptron import UserPerceptron
from fastcf.models.two_tower import TwoTower
from fastcf.scores import Recommender, State
from fastcf.serialization import replacing

if TYPE_CHECKING:
    from fastcf.export.torch_modules import NetworkModule

__all__ = ["to_onnx", "to_torch"]

_LARGEST = 2**31 - 1  # bytes of a file of Protocol Buffers

_NETWORKS: dict[type, Callable[[State], Network]] = {
    Autoencoder: autoencoder_network,
    TwoTower: tower_network,
    UserPerceptron: perceptron_network,
}


def to_onnx(
    model: Any, path: str | os.PathLike[str], *, graph: Literal["predict", "predict_matrix", "network"] = "predict"
) -> None:
    """Write what a fitted model computes as an ONNX file, atomically.

    Parameters
    ----------
    model : fitted model
        For "predict" any whose scores are factors and biases (factorisations, autoencoders, towers, regressions on
        features, blends of such models of ratings) or a :class:`fastcf.UserPerceptron`; for "predict_matrix" the
        former; for "network" an :class:`fastcf.Autoencoder`, a :class:`fastcf.TwoTower` or a perceptron.
    path : path-like
        The file; an existing one is replaced.
    graph : {"predict", "predict_matrix", "network"}, default "predict"
        What goes in; the output ``predictions`` (float32) is limited to the range of the ratings, as ``predict`` does.

        ================  ==================================================================  ======================
        graph             inputs                                                              output
        ================  ==================================================================  ======================
        "predict"         ``users``, ``items``: (n,), int32, rows of ``model.users_`` and     (n,)
                          ``model.items_``; -1 is unknown
        "predict_matrix"  ``users``                                                           (n, n_items)
        "network", of an  ``ratings``: (n, n_columns), float32, NaN where there is none; of   (n, n_columns)
        autoencoder       users by items, or where the model is item-based of items by users
        "network", of     ``users``, ``items``: rows, or -1 for new ones; ``user_features``   (n,)
        towers            and ``item_features``: (n, n_features), float32, of sides with
                          features
        "network", of a   ``users``: rows; ``item_features``: (n, n_features), float32        (n,)
        perceptron
        ================  ==================================================================  ======================

    Raises
    ------
    ImportError
        If onnx is not installed.
    NotFittedError
        If the model is not fitted.
    OSError
        If the file cannot be written; an existing one is left as it was.
    TypeError
        If the model has no such graph.
    ValueError
        If ``graph`` is none of the three, or the file would have 2 GiB or more, which the format does not allow.

    Notes
    -----
    Sums are made in another order than in fastcf: predictions agree to float32's rounding, about 1e-5. The file has
    operators of opset 17 and no ids: translate these by ``model.users_.rows(ids)``, or read them in the model's file.
    New rows of an autoencoder count with weight 1.

    Examples
    --------
    >>> import fastcf, onnxruntime, os, tempfile
    >>> model = fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> fastcf.export.to_onnx(model, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> (found,) = session.run(None, {"users": model.users_.rows([1, 3]), "items": model.items_.rows([2, 4])})
    >>> bool(abs(found - model.predict([(1, 2), (3, 4)])).max() < 1e-5)
    True
    """
    caller = "fastcf.export.to_onnx"
    if not OneOf(("predict", "predict_matrix", "network")).accepts(graph):
        raise ValueError(f"{caller}: graph must be 'predict', 'predict_matrix' or 'network'; got {graph!r}")
    state = _state_of(model, caller)
    network = _network_of(model, state, caller) if graph == "network" else _scoring(model, state, graph, caller)
    writer = _imported("onnx_graph", "onnx", caller)
    arrays = {**network.parameters, **network.constants}
    size = sum(array.nbytes for array in arrays.values())
    if size >= _LARGEST:
        raise ValueError(
            f"{caller}: the parameters must have less than 2 GiB, which a file of ONNX may have; got {size / 2**30:.1f}"
        )
    made = writer.onnx_model(network, f"{type(model).__name__}.{graph}", {"fastcf_version": __version__})
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(made.SerializeToString())


def to_torch(model: Any) -> NetworkModule:
    """Return the network of a fitted model as a PyTorch module with its weights.

    Parameters
    ----------
    model : fitted Autoencoder or TwoTower
        The module has copies of its parameters.

    Returns
    -------
    torch.nn.Module
        Called with the inputs of the graph "network" of :func:`to_onnx`, which its ``inputs`` names, it returns the
        predictions; with ``clip=False`` as they are before they are limited to the range of the ratings. Parameters
        have the names and the shapes (inputs, outputs) of the model's attributes without their underscore; what
        training does not change are buffers.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model is another one.

    Notes
    -----
    Predictions agree with the model's to float32's rounding, about 1e-5. Dropout is no part of the module.
    """
    caller = "fastcf.export.to_torch"
    state = _state_of(model, caller)
    if not isinstance(model, (Autoencoder, TwoTower)):
        raise TypeError(f"{caller}: model must be an Autoencoder or a TwoTower; got {type(model).__name__}")
    network = _network_of(model, state, caller)
    module: NetworkModule = _imported("torch_modules", "torch", caller).NetworkModule(network)
    return module


def _state_of(model: Any, caller: str) -> State:
    """Return the state of a fitted model; a call reads it once."""
    if not isinstance(model, Recommender):
        raise TypeError(f"{caller}: model must be a model of this package; got {type(model).__name__}")
    if not model.__sklearn_is_fitted__():
        raise NotFittedError(f"{caller}: model must be fitted first; call its fit")
    return model.state


def _network_of(model: Any, state: State, caller: str) -> Network:
    for kind, network in _NETWORKS.items():
        if isinstance(model, kind):
            return network(state)
    raise TypeError(
        f"{caller}: model must be an Autoencoder, a TwoTower or a UserPerceptron for graph='network'; got "
        f"{type(model).__name__}; graph='predict' exports its scores"
    )


def _scoring(model: Any, state: State, graph: str, caller: str) -> Network:
    factors = state.scores.as_factors()
    if factors is not None:
        return factor_network(state, factors, all_items=graph == "predict_matrix")
    if isinstance(model, UserPerceptron) and graph == "predict":
        return perceptron_predictions(state)
    raise TypeError(
        f"{caller}: model must have factors and biases for graph={graph!r}; got {type(model).__name__}, whose scores "
        "are others"
    )


def _imported(module: str, library: str, caller: str) -> Any:
    try:
        return importlib.import_module(f"fastcf.export.{module}")
    except ImportError as error:
        raise ImportError(f"{caller} needs {library}, an optional extra: pip install 'fastcf[{library}]'") from error
