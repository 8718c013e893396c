"""The contents of a model file, and the classes that can be loaded."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastcf._texts import IdColumn, TextTable
from fastcf._version import __version__
from fastcf.errors import DataError
from fastcf.ids import IdMap

__all__ = ["Archive", "from_archive", "register", "registered_as", "registered_name"]


@dataclass(frozen=True)
class Archive:
    """The contents of a model file.

    Attributes
    ----------
    class_name : str
        Name of the class, as it was registered.
    params : dict
        Parameters of the constructor.
    arrays : dict of str to ndarray or TextTable
        The learnt attributes; arrays of strings are tables.
    meta : dict
        Further JSON values of the class.
    parts : dict of str to Archive
        Whole models inside the model, by name: the members of a blend.
    metadata : dict
        JSON values of the caller's own.
    fastcf_version : str
        Version that wrote the file.
    path : str
        The path, for error messages.
    extra : tuple of str
        Names of the arrays that are the caller's own, which no class reads.
    digest : str
        The digest of the file's content, in hexadecimal; "" where the archive comes from no file.
    mapped : bool
        Whether arrays lie in the file, mapped.
    """

    class_name: str
    params: dict[str, Any]
    arrays: dict[str, NDArray[Any] | TextTable]
    meta: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Archive] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    fastcf_version: str = __version__
    path: str = ""
    extra: tuple[str, ...] = ()
    digest: str = ""
    mapped: bool = False
    _maps: dict[int, tuple[Any, IdMap]] = field(default_factory=dict, repr=False, compare=False)  # also of the parts

    def array(
        self, name: str, dtype: DTypeLike | None = None, shape: tuple[int | None, ...] | None = None
    ) -> NDArray[Any]:
        """Return an array, checked against what the class expects.

        Parameters
        ----------
        name : str
            Its name.
        dtype : dtype-like, optional
            The dtype it must have.
        shape : tuple of int or None, optional
            The shape it must have; None where any length will do.

        Raises
        ------
        DataError
            If it is missing or other than expected.
        """
        array = self.held(name)
        if isinstance(array, TextTable):
            array = np.array(array.tolist(), dtype=str)
        if dtype is not None and array.dtype != np.dtype(dtype):
            raise DataError(f"{self.path}: array {name!r} must have dtype {np.dtype(dtype)}; got {array.dtype}")
        if shape is not None and (
            len(shape) != array.ndim
            or any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True))
        ):
            wanted = tuple("any" if want is None else want for want in shape)
            raise DataError(f"{self.path}: array {name!r} must have shape {wanted}; got {array.shape}")
        return array

    def ids(self, name: str) -> IdMap:
        """Return an array of distinct ids as a map; parts that share the array share the map.

        Raises DataError if it is missing, TypeError or ValueError if it holds no distinct ids.
        """
        held = self.held(name)
        if id(held) not in self._maps:  # with the array: else another one could get its number
            self._maps[id(held)] = held, IdMap.mapped(held) if self.mapped else _map_of(held)
        return self._maps[id(held)][1]

    def held(self, name: str) -> NDArray[Any] | TextTable:
        """Return an array as the file holds it; raises DataError if it is missing."""
        if name not in self.arrays:
            raise DataError(f"{self.path}: {self.class_name} needs the array {name!r}, which the file lacks")
        return self.arrays[name]

    def model(self, part: str) -> Any:
        """Return the model that a part holds, made once: parts that are stored once are one model.

        Parameters
        ----------
        part : str
            Its name.

        Raises
        ------
        DataError
            If the part is missing, of an unknown class, or lacks what its class needs.
        """
        if part not in self.parts:
            raise DataError(f"{self.path}: {self.class_name} needs the part {part!r}, which the file lacks")
        return self.parts[part]._own_model

    @cached_property
    def _own_model(self) -> Any:
        return from_archive(self)

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Raise as DataError what a ``with`` block raises that reads values which do not fit.

        Parameters
        ----------
        what : str
            What is wrong then, between the path and the reason.

        Raises
        ------
        DataError
            In place of AttributeError, IndexError, KeyError, TypeError and ValueError.
        """
        try:
            yield
        except DataError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, (TypeError, ValueError)) else repr(error)
            raise DataError(f"{self.path}: {what}: {reason}") from error


def _map_of(ids: NDArray[Any] | TextTable) -> IdMap:
    return IdMap(IdColumn(ids) if isinstance(ids, TextTable) else ids)


class _Storable(Protocol):
    def to_archive(self) -> Archive: ...

    @classmethod
    def from_archive(cls, archive: Archive) -> Any: ...


_Class = TypeVar("_Class", bound=type[_Storable])
_classes: dict[str, type[_Storable]] = {}
_OTHERS = {  # what files hold beside models
    "Ratings": "Ratings and no model; read them with fastcf.Ratings.load",
    "Checkpoint": "a checkpoint and no model; pass it as checkpoint= to the call of fit that wrote it",
}


def _families() -> dict[str, str]:
    families: dict[str, str] = importlib.import_module("fastcf.models").FAMILIES
    return families


def _register(name: str) -> None:
    """Import the module, of a higher layer, whose class is called so in files: it registers itself."""
    if name in _families():
        importlib.import_module(f"fastcf.models.{_families()[name]}")
    elif name == "NeighbourTable":
        importlib.import_module("fastcf.serving")
    elif name.startswith("retrieval."):
        importlib.import_module("fastcf.retrieval")


def register(cls: _Class) -> _Class:
    """Class decorator: let :func:`load` find the class by its name.

    Parameters
    ----------
    cls : type
        Provides ``to_archive(self) -> Archive`` and the class method ``from_archive(archive)``.

    Returns
    -------
    type
        The class itself.
    """
    return registered_as(cls.__name__)(cls)


def registered_as(name: str) -> Callable[[_Class], _Class]:
    """Return a class decorator: :func:`register` under another name than the class's own, which another class has.

    Parameters
    ----------
    name : str
        The name in files.

    Returns
    -------
    callable
        The decorator.
    """

    def registered(cls: _Class) -> _Class:
        _classes[name] = cls
        return cls

    return registered


def registered_name(cls: type) -> tuple[str, type]:
    """Return the name by which a class is loaded, and the class that it is then: its nearest registered base.

    Parameters
    ----------
    cls : type
        A registered class, or a subclass of one.

    Returns
    -------
    tuple of str and type

    Raises
    ------
    TypeError
        If no base is registered.
    """
    names = {known: name for name, known in _classes.items()}
    for base in cls.__mro__:
        if base in names:
            return names[base], base
    raise TypeError(
        f"save: {cls.__name__} must be registered, or derived from a model; see fastcf.serialization.register"
    )


def from_archive(archive: Archive) -> Any:
    """Return the model that an archive holds; :func:`load` is this after :func:`load_archive`.

    Parameters
    ----------
    archive : Archive
        The contents of a model file.

    Returns
    -------
    model
        A fitted estimator.

    Raises
    ------
    DataError
        If the class is unknown, or needs what the archive lacks.
    """
    if archive.class_name not in _classes:
        _register(archive.class_name)
    if archive.class_name not in _classes:
        if archive.class_name in _OTHERS:
            raise DataError(f"{archive.path}: holds {_OTHERS[archive.class_name]}")
        known = ", ".join(sorted({*_classes, *_families()}))
        raise DataError(
            f"{archive.path}: holds a {archive.class_name!r}, unknown to this fastcf ({__version__}; the file was "
            f"written by fastcf {archive.fastcf_version}): upgrade fastcf, or import what registers the class; "
            f"known: {known}"
        )
    own = {name: array for name, array in archive.arrays.items() if name not in archive.extra}
    return _classes[archive.class_name].from_archive(replace(archive, arrays=own, extra=()))
