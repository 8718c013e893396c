"""What is served beside a model: titles of its items, rules of a shop, and neighbours computed beforehand."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastcf.data import ItemTable, read_items
from fastcf.errors import DataError
from fastcf.serialization import check_finite, from_archive, load_archive
from fastcf.serving.neighbours import NeighbourTable
from fastcf.serving.rules import Rules

__all__ = ["Beside", "read_beside"]

_Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Beside:
    """What is served beside a model.

    Attributes
    ----------
    titles : ItemTable, optional
        Titles of its items; by default those that its file holds.
    rules : Rules, optional
        What lists may contain.
    neighbours : NeighbourTable or int, optional
        The nearest items of every item, or how many to compute.
    digests : mapping of str to str
        Of what comes from files, by name: another digest says that another file is served.
    """

    titles: ItemTable | None = None
    rules: Rules | None = None
    neighbours: NeighbourTable | int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


def read_beside(
    titles: _Path | None,
    columns: Mapping[str, Any],
    rules: Rules | _Path | None,
    neighbours: NeighbourTable | int | _Path | None,
) -> Beside:
    """Read the files of what is served beside a model; raises OSError or DataError where they cannot be read."""
    digests: dict[str, str] = {}
    table: ItemTable | None = None
    related: Any = neighbours
    if titles is not None:
        table = read_items(titles, **columns)
        known = json.dumps([table.ids.tolist(), table.titles.tolist()])
        digests["titles"] = hashlib.sha256(known.encode()).hexdigest()
    if isinstance(rules, str | os.PathLike):
        text = Path(rules).read_bytes()
        rules, digests["rules"] = _rules_of(text, rules), hashlib.sha256(text).hexdigest()
    if isinstance(neighbours, str | os.PathLike):
        archive = load_archive(neighbours, mmap=True, verify=True)
        if archive.class_name != "NeighbourTable":
            raise DataError(f"{os.fspath(neighbours)}: must be a table of neighbours; is a {archive.class_name}")
        check_finite(archive)
        related, digests["neighbours"] = from_archive(archive), archive.digest
    return Beside(table, rules, related, digests)


def _rules_of(text: bytes, path: _Path) -> Rules:
    """Return the rules of a JSON file; raises DataError where it holds none."""
    try:
        given = json.loads(text.decode("utf-8"))
        if not isinstance(given, dict):
            raise ValueError(f"must be a JSON object; got {type(given).__name__}")
        unknown = sorted(given.keys() - inspect.signature(Rules).parameters.keys())
        if unknown:
            raise ValueError(f"must hold arguments of fastcf.serving.Rules only; got {', '.join(unknown)}")
        return Rules(**given)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{os.fspath(path)}: is no file of rules: {error}") from error
