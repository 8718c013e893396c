"""Models on disk: one safetensors file that holds everything needed and no code.

Format 2, which docs/file-format.md describes byte for byte: metadata in the header, arrays as tensors that begin at
multiples of 64 bytes, so that they can be mapped (tensors ``~0``, ``~1``, … of zeros fill the gaps, which safetensors
does not allow), and a digest, which detects damage and is no signature.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from fastcf._parameters import check_n_threads
from fastcf._texts import TextTable
from fastcf._version import __version__
from fastcf.errors import DataError
from fastcf.serialization.archive import Archive, from_archive
from fastcf.serialization.mapped import map_tensors, read_header
from fastcf.serialization.parts import flattened, nested
from fastcf.serialization.replacing import replacing
from fastcf.serialization.tensors import DTYPES, as_arrays, as_tensors, digest, to_json
from fastcf.serialization.version_1 import upgraded

__all__ = ["FORMAT_VERSION", "check_finite", "load", "load_archive", "read_metadata", "save_archive", "stored_class"]

FORMAT_VERSION = 2
_FORMAT = "fastcf-model"
_ALIGNMENT = 64
_GAP = "~"  # begins the names of tensors that fill gaps
_AT_ONCE = 1 << 20  # numbers looked at at a time
_METADATA = {
    1: ("fastcf_version", "class", "params", "meta", "texts", "digest"),
    2: ("fastcf_version", "class", "params", "meta", "parts", "metadata", "texts", "digest"),
}


# ---------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------


def save_archive(
    path: str | os.PathLike[str],
    archive: Archive,
    *,
    metadata: Mapping[str, Any] | None = None,
    extra_arrays: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write a model file, atomically and durably: readers see the old content or the new, never half of it.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced.
    archive : Archive
        The contents.
    metadata : mapping, optional
        JSON values of the caller's own.
    extra_arrays : mapping of str to array-like, optional
        What is to travel with the model. :func:`load` ignores it; :func:`load_archive` gives it back.

    Raises
    ------
    TypeError, ValueError
        If something cannot be stored, or an extra array has the name of one of the model's; the message names it.
    OSError
        If the file cannot be written. Nothing is left behind.
    """
    extra = dict(extra_arrays or {})
    taken = sorted(archive.arrays.keys() & extra.keys())
    if taken:
        raise ValueError(f"save: extra_arrays must not have names of the model's own; got {', '.join(taken)}")
    odd = sorted(name for name in extra if "/" in name or name.startswith((_GAP, "__")))
    if odd:
        raise ValueError(
            f"save: extra_arrays must have names without '/' that do not begin with {_GAP!r} or '__'; got {odd[0]!r}"
        )
    below, parts = flattened(archive)
    tensors, texts = as_tensors({**archive.arrays, **extra, **below})
    tensors = _aligned(tensors)
    header = {
        "format": _FORMAT,
        "format_version": str(FORMAT_VERSION),
        "fastcf_version": __version__,
        "class": archive.class_name,
        "params": to_json("parameter", archive.params),
        "meta": to_json("meta", archive.meta),
        "parts": to_json("part", parts),
        "metadata": to_json("metadata", {**archive.metadata, **(metadata or {})}),
        "texts": json.dumps(texts),
        "extra": json.dumps(sorted(extra)),
    }
    header["digest"] = digest(tensors, header)
    with replacing(path) as temporary:
        _write(temporary, tensors, header)


def _aligned(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return tensors in the order of the file, with those of zeros that fill gaps."""
    ordered: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, array in sorted(tensors.items()):
        if gap := -offset % _ALIGNMENT:
            ordered[f"{_GAP}{len(ordered)}"] = np.zeros(gap, np.uint8)
        ordered[name] = array
        offset += gap + array.nbytes
    return ordered


def _write(path: str, tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a safetensors file of tensors in this order, the first at a multiple of 64 bytes."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, array in tensors.items():
        end = offset + array.nbytes
        entries[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-(len(head) + 8) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for array in tensors.values():
            file.write(array.reshape(-1).view(np.uint8).data)


# ---------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------


def _version_of(metadata: Mapping[str, str], path: str) -> int:
    """Return the version of a file's format; raises DataError where it is not fastcf's, too new, or incomplete."""
    if metadata.get("format") != _FORMAT:
        raise DataError(f"{path}: is a safetensors file, but not a fastcf model")
    version = metadata.get("format_version", "")
    if version.isdecimal() and (len(version) > 9 or int(version) > FORMAT_VERSION):
        raise DataError(
            f"{path}: was written by fastcf {metadata.get('fastcf_version')} in format {version}; fastcf "
            f"{__version__} reads formats up to {FORMAT_VERSION}: upgrade fastcf"
        )
    if version not in ("1", "2"):
        raise DataError(f"{path}: is damaged: its header has the format version {version!r}")
    missing = [name for name in _METADATA[int(version)] if name not in metadata]
    if missing:
        raise DataError(f"{path}: is damaged: its header lacks {', '.join(missing)}")
    return int(version)


def _read(path: str) -> tuple[dict[str, NDArray[Any]], dict[str, str], int]:
    """Return the tensors, the metadata and the version of a file."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            version = _version_of(metadata, path)
            return {name: file.get_tensor(name) for name in file.keys()}, metadata, version  # noqa: SIM118 - safe_open is no dict
    except SafetensorError as error:
        raise DataError(f"{path}: is not a fastcf model, or damaged or cut short: {error}") from error


def stored_class(path: str | os.PathLike[str]) -> str | None:
    """Return what a file of fastcf holds, by its header alone.

    Parameters
    ----------
    path : path-like
        Any file.

    Returns
    -------
    str or None
        The name of the class; None where it is no file of fastcf.
    """
    try:
        metadata = read_header(path)[0].get("__metadata__")
    except (DataError, OSError):
        return None
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        return None
    return str(metadata.get("class"))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata that ``save`` was given: the caller's own JSON values in a file of fastcf.

    Parameters
    ----------
    path : path-like
        A file that the ``save`` of a model, a retriever or ratings wrote.

    Returns
    -------
    dict
        Empty where there is none. Only the header is read, and not compared with the checksum.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If it is no file of fastcf, damaged, or from a newer fastcf.

    Examples
    --------
    >>> import tempfile, os, fastcf
    >>> path = os.path.join(tempfile.mkdtemp(), "model.fastcf")
    >>> fastcf.BiasModel().fit([(1, 2), (3, 4)], [4.0, 2.0]).save(path, metadata={"data": "MovieLens"})
    >>> fastcf.read_metadata(path)
    {'data': 'MovieLens'}
    """
    name = os.fspath(path)
    header = read_header(path)[0].get("__metadata__")
    found: dict[str, str] = {}
    if isinstance(header, dict) and all(isinstance(value, str) for value in header.values()):
        found = header
    _version_of(found, name)
    try:
        own = json.loads(found.get("metadata", "{}"))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{name}: is damaged: its metadata are no JSON: {error}") from error
    if not isinstance(own, dict):
        raise DataError(f"{name}: is damaged: its metadata are no JSON object")
    return own


def _verified(mmap: bool, verify: bool | None) -> bool:
    """Return whether a file is to be verified: by default where it is copied."""
    return not mmap if verify is None else verify


def load_archive(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool | None = None) -> Archive:
    """Read a model file, of this format or of an earlier one.

    Parameters
    ----------
    path : path-like
        A file that a model's ``save`` wrote.
    mmap : bool, default False
        Whether arrays are views of the file's memory map: nothing is read before it is used.
    verify : bool, optional
        Whether to compare the checksum of the whole file; by default where it is not mapped.

    Returns
    -------
    Archive
        In the form of this version of fastcf.

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
    if mmap:
        tensors, metadata = map_tensors(name)
        version = _version_of(metadata, name)
    else:
        tensors, metadata, version = _read(name)
    described = {key: value for key, value in metadata.items() if key != "digest"}
    if _verified(mmap, verify) and digest(tensors, described) != metadata["digest"]:
        raise DataError(f"{name}: is damaged: its content does not match its checksum")
    if version > 1:
        tensors = {each: tensor for each, tensor in tensors.items() if not each.startswith(_GAP)}
    try:
        params, meta, texts = (json.loads(metadata[key]) for key in ("params", "meta", "texts"))
        parts, own = (json.loads(metadata.get(key, "{}")) for key in ("parts", "metadata"))
        extra = tuple(json.loads(metadata.get("extra", "[]")))
        arrays = as_arrays(tensors, texts)
        for each in extra:  # the caller's own, which they gave as arrays
            if isinstance(own_texts := arrays.get(each), TextTable):
                arrays[each] = np.array(own_texts.tolist(), dtype=str)
        if not all(isinstance(each, dict) for each in (params, meta, parts, own)):
            raise ValueError("parameters, meta and parts must be JSON objects")
        here = {each: array for each, array in arrays.items() if "/" not in each}
        written, stored = metadata["fastcf_version"], metadata["digest"]
        archive = Archive(metadata["class"], params, here, meta, {}, own, written, name, extra, stored, mmap)
        if version == 1:
            return upgraded(archive, arrays)
        return nested(archive, arrays, parts)
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        raise DataError(f"{name}: is not what fastcf writes: {type(error).__name__}: {error}") from error


def load(
    path: str | os.PathLike[str], *, mmap: bool = False, verify: bool | None = None, n_threads: int | None = None
) -> Any:
    """Load a model, retriever or recommender that was saved by its ``save`` method, whatever its class.

    Parameters
    ----------
    path : path-like
        The file; of this version or of an earlier one.
    mmap : bool, default False
        Whether parameters, ids and seen items stay in the file, mapped, and are read when they are first used. Several
        processes then share one copy in memory. Such a file must be replaced as ``save`` does it, by renaming another
        one; a file that is cut or written to while it is mapped ends the process (SIGBUS), or changes the model.
    verify : bool, optional
        Whether to read the whole file, compare its checksum, and refuse parameters that are not finite. By default a
        copy is verified, and a map is not. Sizes, offsets and item rows are checked in any case.
    n_threads : int, optional
        The parameter ``n_threads`` of the model, which files do not hold.

    Returns
    -------
    model
        Fitted; its answers are those of the one that was saved, the same bits mapped and copied.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If it is no model file, damaged, cut short, from a newer fastcf, or of an unknown class; or, with ``mmap``, of a
        version before arrays were aligned.
    ImportError
        If it has an approximate index whose library is not installed.
    TypeError, ValueError
        If ``n_threads`` is neither None nor an integer of at least 1, or given for a table, which computes nothing.

    Notes
    -----
    Ids that ascend, as those of data do, are looked up in the map; others get a look-up table of each process's own. So
    do, at first use, the vectors at length 1 for cosines of ``similar_items``, and the joint factors of a ``Blend``.

    Examples
    --------
    >>> import tempfile, os, fastcf
    >>> ratings = fastcf.data.make_ratings(50, 30, 500, random_state=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.fastcf")
    >>> fastcf.MatrixFactorization(4, random_state=0).fit(ratings).save(path)
    >>> fastcf.load(path, mmap=True).recommend(7, n=3).items.shape
    (3,)
    """
    threads = check_n_threads(n_threads, "load") or None
    archive = load_archive(path, mmap=mmap, verify=verify)
    if _verified(mmap, verify):
        check_finite(archive)
    model = from_archive(archive)
    if threads is not None:
        if not hasattr(model, "set_params"):
            kind = archive.class_name
            raise ValueError(f"load: n_threads must be None for a {kind}, where it has no effect; got {n_threads}")
        model.set_params(n_threads=threads)
    return model


def check_finite(archive: Archive) -> None:
    """Refuse a model with a parameter that is no finite number; the caller's own arrays are not looked at.

    Parameters
    ----------
    archive : Archive
        The contents of its file.

    Raises
    ------
    DataError
        The message names the array and the entry.
    """
    for name, array in archive.arrays.items():
        if name in archive.extra or isinstance(array, TextTable) or array.dtype.kind != "f":
            continue
        flat = array.reshape(-1)
        for begin in range(0, flat.size, _AT_ONCE):
            finite = np.isfinite(flat[begin : begin + _AT_ONCE])
            if not finite.all():
                at = begin + int(np.argmin(finite))
                raise DataError(
                    f"{archive.path}: array {name!r} must hold finite numbers; got {flat[at]} at entry {at}"
                )
    for part in archive.parts.values():
        check_finite(part)
