"""Models on disk: one safetensors file that holds everything needed and no code.

The header's metadata names the format and its version, the version of fastcf, the class and its constructor's
parameters (JSON); the tensors are the arrays. Strings stand as UTF-8 bytes and offsets. A BLAKE2 digest over names,
dtypes, shapes, bytes and metadata makes damage show; it is no signature.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fastcf._version import __version__
from fastcf.errors import DataError

__all__ = [
    "FORMAT_VERSION",
    "Archive",
    "from_archive",
    "load",
    "load_archive",
    "register",
    "replacing",
    "save",
    "save_model",
]

FORMAT_VERSION = 1
_FORMAT = "fastcf-model"
_DTYPES = frozenset(
    {"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"}
)
_METADATA = ("format_version", "fastcf_version", "class", "params", "meta", "texts", "digest")


@dataclass(frozen=True)
class Archive:
    """What a model file holds.

    Attributes
    ----------
    class_name : str
        Name of the class, as it was registered.
    params : dict
        Parameters of the constructor.
    arrays : dict of str to ndarray
        The learnt attributes.
    meta : dict
        Whatever else the class wants to remember; JSON values.
    fastcf_version : str
        Version that wrote the file.
    path : str
        Where it was read from, for error messages.
    """

    class_name: str
    params: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    meta: dict[str, Any] = field(default_factory=dict)
    fastcf_version: str = __version__
    path: str = ""

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
        if name not in self.arrays:
            raise DataError(f"{self.path}: {self.class_name} needs the array {name!r}, which the file lacks")
        array = self.arrays[name]
        if dtype is not None and array.dtype != np.dtype(dtype):
            raise DataError(f"{self.path}: array {name!r} must have dtype {np.dtype(dtype)}; got {array.dtype}")
        if shape is not None and (
            len(shape) != array.ndim
            or any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True))
        ):
            wanted = tuple("any" if want is None else want for want in shape)
            raise DataError(f"{self.path}: array {name!r} must have shape {wanted}; got {array.shape}")
        return array


class _Storable(Protocol):
    def _to_archive(self) -> Archive: ...

    @classmethod
    def _from_archive(cls, archive: Archive) -> Any: ...


_Class = TypeVar("_Class", bound=type[_Storable])
_classes: dict[str, type[_Storable]] = {}


def register(cls: _Class) -> _Class:
    """Class decorator: let :func:`load` find the class by its name.

    Parameters
    ----------
    cls : type
        Provides ``_to_archive(self) -> Archive`` and the class method ``_from_archive(archive)``.

    Returns
    -------
    type
        The class itself.
    """
    _classes[cls.__name__] = cls
    return cls


# ---------------------------------------------------------------------------------------------------------------
# Arrays to tensors and back
# ---------------------------------------------------------------------------------------------------------------


def _pack_text(text: NDArray[np.str_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of all strings, end to end, and where each begins."""
    encoded = np.char.encode(text.ravel(), "utf-8", "surrogatepass")
    lengths = np.char.str_len(encoded).astype(np.int64)
    matrix = np.ascontiguousarray(encoded).view(np.uint8).reshape(encoded.size, encoded.dtype.itemsize)
    offsets = np.zeros(encoded.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return matrix[np.arange(matrix.shape[1]) < lengths[:, None]], offsets


def _unpack_text(packed: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.str_]:
    if packed.dtype != np.uint8 or offsets.dtype != np.int64 or packed.ndim != 1 or offsets.ndim != 1:
        raise ValueError("strings must be bytes with 64-bit offsets")
    lengths = np.diff(offsets)
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != packed.size or (lengths < 0).any():
        raise ValueError("string offsets do not fit the bytes")
    width = max(1, int(lengths.max(initial=0)))
    matrix = np.zeros((lengths.size, width), np.uint8)
    matrix[np.arange(width) < lengths[:, None]] = packed
    return np.char.decode(matrix.view(f"S{width}").reshape(-1), "utf-8", "surrogatepass")


def _as_tensors(arrays: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return what safetensors can hold, and which names were texts ("str") or unbounded integers ("int")."""
    tensors: dict[str, NDArray[Any]] = {}
    texts: dict[str, str] = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype == object and all(isinstance(entry, int) for entry in array.ravel()):
            texts[name] = "int"
            array = array.astype(str)
        elif array.dtype.kind == "U":
            texts[name] = "str"
        if name in texts:
            if array.ndim != 1:
                raise ValueError(f"save_model: array {name!r} of strings must be one-dimensional; got {array.shape}")
            tensors[f"{name}.utf8"], tensors[f"{name}.offsets"] = _pack_text(array)
            continue
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"save_model: array {name!r} must hold numbers or strings; got dtype {array.dtype}")
        tensors[name] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
    if len(tensors) != len(arrays) + len(texts):
        raise ValueError(f"save_model: array names clash with those of packed strings: {sorted(tensors)}")
    return tensors, texts


def _as_arrays(tensors: dict[str, NDArray[Any]], texts: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    arrays = dict(tensors)
    for name, kind in texts.items():
        text = _unpack_text(arrays.pop(f"{name}.utf8"), arrays.pop(f"{name}.offsets"))
        arrays[name] = np.array([int(entry) for entry in text.tolist()], dtype=object) if kind == "int" else text
    return arrays


def _digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    state = hashlib.blake2b(digest_size=32)
    described = [[name, array.dtype.name, list(array.shape)] for name, array in sorted(tensors.items())]
    state.update(json.dumps([described, sorted(metadata.items())]).encode())
    for _, array in sorted(tensors.items()):
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def _to_json(what: str, values: Mapping[str, Any]) -> str:
    def plain(value: object) -> object:
        if isinstance(value, (np.generic, np.ndarray)):
            return value.tolist()
        raise TypeError(f"a {type(value).__name__}")

    for name, value in values.items():
        try:
            json.dumps(value, default=plain)
        except (TypeError, ValueError) as error:
            raise TypeError(f"save_model: {what} {name!r} must be storable as JSON; got {error}") from None
    return json.dumps(dict(values), default=plain)


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


def _sync(path: str, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Replace a file by what a ``with`` block writes, atomically and durably.

    Whoever reads ``path`` sees the old content or the new, never half of it; after an error nothing is left behind.

    Parameters
    ----------
    path : path-like
        Where to; an existing file is replaced when the block ends without an error.

    Yields
    ------
    str
        The temporary file, in the same folder, that the block is to write.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(6)}.tmp")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(handle).st_mode & 0o777  # what the user's umask leaves; safetensors makes its files private
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, mode)
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync(folder, os.O_RDONLY)


def save_model(
    path: str | os.PathLike[str],
    class_name: str,
    params: Mapping[str, Any],
    arrays: Mapping[str, ArrayLike],
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file, atomically and durably.

    As :func:`replacing` does it: whoever reads ``path`` sees the old content or the new, never half of it.

    Parameters
    ----------
    path : path-like
        Where to; an existing file is replaced.
    class_name : str
        The registered class.
    params : mapping
        Parameters of its constructor; JSON values (tuples come back as lists).
    arrays : mapping of str to array-like
        Numbers of any shape, or one-dimensional arrays of strings or of Python integers of any size.
    meta : mapping, optional
        Further JSON values.

    Raises
    ------
    TypeError, ValueError
        If something cannot be stored; the message names it.
    OSError
        If the file cannot be written. Nothing is left behind.
    """
    tensors, texts = _as_tensors(arrays)
    metadata = {
        "format": _FORMAT,
        "format_version": str(FORMAT_VERSION),
        "fastcf_version": __version__,
        "class": class_name,
        "params": _to_json("parameter", params),
        "meta": _to_json("meta", meta or {}),
        "texts": json.dumps(texts),
    }
    metadata["digest"] = _digest(tensors, metadata)

    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:
            raise OSError(f"{os.fspath(path)}: cannot be written: {error}") from error


def _read(path: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise DataError(f"{path}: is a safetensors file, but not a fastcf model")
            version = metadata.get("format_version", "")
            if version.isdecimal() and int(version) > FORMAT_VERSION:
                raise DataError(
                    f"{path}: was written by fastcf {metadata.get('fastcf_version')} in format {version}; fastcf "
                    f"{__version__} reads formats up to {FORMAT_VERSION}: upgrade fastcf"
                )
            missing = [name for name in _METADATA if name not in metadata]
            if missing:
                raise DataError(f"{path}: is damaged: its header lacks {', '.join(missing)}")
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - safe_open is no dict
    except SafetensorError as error:
        raise DataError(f"{path}: is not a fastcf model, or damaged or cut short: {error}") from error


def load_archive(path: str | os.PathLike[str]) -> Archive:
    """Read a model file.

    Parameters
    ----------
    path : path-like
        A file that :func:`save_model` wrote.

    Returns
    -------
    Archive

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If it is no model file, damaged, cut short, or from a newer fastcf.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:  # the operating system's own message if there is no such file or it is a folder
        if len(file.read(8)) < 8:
            raise DataError(f"{name}: is not a fastcf model: it has fewer than 8 bytes")
    tensors, metadata = _read(name)
    digest = metadata.pop("digest")
    if _digest(tensors, metadata) != digest:
        raise DataError(f"{name}: is damaged: its content does not match its checksum")
    try:
        params, meta, texts = (json.loads(metadata[key]) for key in ("params", "meta", "texts"))
        arrays = _as_arrays(tensors, texts)
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        raise DataError(f"{name}: is not what fastcf writes: {error}") from error
    if not isinstance(params, dict) or not isinstance(meta, dict):
        raise DataError(f"{name}: is not what fastcf writes: parameters must be a JSON object")
    return Archive(metadata["class"], params, arrays, meta, metadata["fastcf_version"], name)


def save(
    model: _Storable, path: str | os.PathLike[str], *, extra_arrays: Mapping[str, ArrayLike] | None = None
) -> None:
    """Write a fitted model to one file; see :func:`save_model` for what is promised.

    Parameters
    ----------
    model : fitted estimator of a registered class
        The model.
    path : path-like
        Where to; an existing file is replaced.
    extra_arrays : mapping of str to array-like, optional
        What is to travel with the model (titles of its items, for example). :func:`load` ignores it;
        :func:`load_archive` gives it back.

    Raises
    ------
    ValueError
        If one of their names is taken by the model.
    """
    archive = model._to_archive()
    taken = sorted(archive.arrays.keys() & (extra_arrays or {}).keys())
    if taken:
        raise ValueError(f"save: extra_arrays must not have names of the model's own; got {', '.join(taken)}")
    save_model(path, archive.class_name, archive.params, {**archive.arrays, **(extra_arrays or {})}, archive.meta)


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model that was saved by its ``save`` method, whatever its class.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    model
        A fitted estimator; its predictions are those of the one that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If it is no model file, damaged, cut short, from a newer fastcf, or of an unknown class.

    Notes
    -----
    Model files hold arrays and JSON, never code: loading one from somebody you do not trust runs nothing of theirs.
    """
    return from_archive(load_archive(path))


def from_archive(archive: Archive) -> Any:
    """Return the model that an archive holds; :func:`load` is this after :func:`load_archive`.

    Parameters
    ----------
    archive : Archive
        What a model file holds.

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
        known = ", ".join(sorted(_classes)) or "none"
        raise DataError(
            f"{archive.path}: holds a {archive.class_name!r}, which this fastcf does not know (known: {known})"
        )
    return _classes[archive.class_name]._from_archive(archive)
