"""Checkpoints: where a training is, in a file from which the same call of ``fit`` goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._parameters import Constraint, Instance, Interval, Nothing, Settings, validate_parameters
from fastcf._random import RandomState, seed_from
from fastcf._version import __version__
from fastcf.errors import DataError
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings
from fastcf.serialization import Archive, load_archive, save_archive
from fastcf.serialization.replacing import remove_leftovers
from fastcf.serialization.tensors import as_tensors, digest, to_json

__all__ = ["Checkpoint", "Position", "check_arguments"]

_CLASS = "Checkpoint"  # in the place of a model's class
_CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "checkpoint": (Instance(str), Instance(os.PathLike), Nothing()),
    "checkpoint_every": (Interval(1, integer=True),),
}


@dataclass(frozen=True)
class Position:
    """Where a training is.

    Attributes
    ----------
    history : list of dict
        The records so far, from epoch 0.
    arrays : mapping of str to ndarray
        The trainer's: parameters, the best so far, the optimiser's and random state.
    saved : int
        The epoch whose parameters were saved last.
    ended : bool
        Whether no epoch follows.
    """

    history: list[dict[str, Any]]
    arrays: Mapping[str, NDArray[Any]]
    saved: int
    ended: bool


class Checkpoint:
    """The checkpoint file of a fit; without a path, nothing is kept.

    Parameters
    ----------
    path : path-like or None
        The file; read if it is there.
    every : int
        Epochs between two writings; the last epoch is always written.
    caller : str
        Heads messages.

    Attributes
    ----------
    position : Position or None
        Where the training was; None: it begins.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or has no effect.
    DataError
        If the file is damaged, or no checkpoint.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str] | None, every: int, caller: str) -> None:
        check_arguments(path, every, caller)
        self._path = None if path is None else os.fspath(path)
        self._every, self._caller = int(every), caller
        self._described: dict[str, Any] = {}  # this training
        self._found: dict[str, Any] = {}  # that of the file
        self._seed: int | None = None
        self._settled: dict[str, Any] = {}
        self.position: Position | None = None
        if self._path is not None:
            if not self._path or os.path.isdir(self._path):
                raise IsADirectoryError(f"{caller}: checkpoint must be a file; got {self._path!r}, a folder")
            remove_leftovers(self._path)
            if os.path.exists(self._path):
                self._read(self._path)

    def _read(self, path: str) -> None:
        archive = load_archive(path)
        if archive.class_name != _CLASS:
            raise DataError(f"{path}: holds a {archive.class_name} and no checkpoint; pass another path to fit")
        if archive.fastcf_version != __version__:
            raise ValueError(
                f"{self._caller}: checkpoint must be of this version of fastcf, {__version__}; {path} was written by "
                f"{archive.fastcf_version}; delete the file to begin anew, or go on with that version"
            )
        try:
            self._found = dict(archive.params)
            self._seed = int(archive.meta["seed"])
            self._settled = dict(archive.meta["settled"])
            arrays = {name: archive.array(name) for name in archive.arrays}
            history = [dict(record) for record in archive.meta["history"]]
            self.position = Position(history, arrays, int(archive.meta["saved"]), bool(archive.meta["ended"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: is not what fastcf writes: {error!r}") from error

    @property
    def kept(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def identify(self, **described: Any) -> None:
        """Say what the training is of; raises ValueError that names what differs where the file's is another one.

        Values are JSON values, settings, ratings, feature tables or None.
        """
        if self._path is None:
            return
        wanted = {name: _identity(value) for name, value in described.items()}
        wanted = json.loads(to_json("parameter", wanted))
        self._described |= wanted
        if self.position is None:
            return
        other = [
            f"{name} ({self._found.get(name)!r}, not {value!r})" if _is_short(value) else name
            for name, value in wanted.items()
            if name not in self._found or self._found[name] != value
        ]
        if other:
            raise ValueError(
                f"{self._caller}: checkpoint must be of the same training; that in {self._path} has other "
                f"{', '.join(other)}; delete the file to begin anew, or pass another path"
            )

    def seed(self, random_state: RandomState) -> int:
        """Return the seed of a fit; where it is no integer, the one that the file's training has drawn."""
        self.identify(random_state=random_state if isinstance(random_state, (int, np.integer)) else None)
        if self._seed is None:
            self._seed = seed_from(random_state, self._caller)
        return self._seed

    def settled(self, name: str, estimate: Callable[[], Any]) -> Any:
        """Return JSON values that take long to estimate: the file's, where it has them."""
        if name not in self._settled:
            self._settled[name] = estimate()
        return self._settled[name]

    def is_due(self, epoch: int, ended: bool) -> bool:
        """Return whether the position after an epoch is to be written."""
        return self._path is not None and (ended or epoch % self._every == 0)

    def write(self, position: Position) -> None:
        """Write where the training is, atomically."""
        assert self._path is not None
        where = {"history": position.history, "saved": position.saved, "ended": position.ended}
        meta = {**where, "seed": self._seed, "settled": self._settled}
        save_archive(self._path, Archive(_CLASS, self._described, dict(position.arrays), meta))


def check_arguments(path: Any, every: Any, caller: str) -> None:
    """Check the arguments of a ``fit`` with a checkpoint; raises TypeError or ValueError."""
    validate_parameters(_CONSTRAINTS, {"checkpoint": path, "checkpoint_every": every}, caller)
    if path is None and every != 1:
        raise ValueError(f"{caller}: checkpoint_every needs a checkpoint; got {every!r} without")


def _is_short(value: Any) -> bool:
    return not isinstance(value, str) or len(value) < 40  # digests are longer


def _identity(value: Any) -> Any:
    """Return what identifies a value: itself, or the digest of data."""
    if isinstance(value, Settings):
        return value.to_dict()
    if isinstance(value, Ratings):
        arrays: dict[str, Any] = {"users": value.users.column.ids, "items": value.items.column.ids}
        arrays |= {"indptr": value.indptr, "indices": value.indices, "values": value.values}
        return _digest(arrays if value.weights is None else {**arrays, "weights": value.weights})
    if isinstance(value, FeatureTable):
        matrix = value.matrix
        arrays = {"ids": value.ids.column.ids, "shape": np.array(matrix.shape)}
        if scipy.sparse.issparse(matrix):
            return _digest({**arrays, "indptr": matrix.indptr, "indices": matrix.indices, "values": matrix.data})
        return _digest({**arrays, "values": matrix})
    return value


def _digest(arrays: Mapping[str, Any]) -> str:
    tensors, texts = as_tensors(arrays)
    return digest(tensors, texts)
