"""Pairs of users and items as text, for predictions."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastcf.data.files import recognised
from fastcf.data.left_out import LeftOut
from fastcf.data.text import read_log

__all__ = ["Pairs", "read_pairs"]


class Pairs(NamedTuple):
    """Pairs in file order.

    Attributes
    ----------
    users, items : ndarray of shape (n,)
        Integers or strings, as :func:`fastcf.data.read_log` has them.
    left_out : LeftOut
        Malformed lines that were left out.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    left_out: LeftOut


def read_pairs(path: str | os.PathLike[str], **options: Any) -> Pairs:
    """Read the user and item ids of a delimited file, and ignore its other columns.

    Options, and errors, are those of :func:`fastcf.data.read_log`, but for ``rating`` and ``timestamp``; two fields are
    enough. Files and folders of ratings that :func:`fastcf.data.detect_format` recognises are read too.
    """
    layout = recognised(path).format
    unread: dict[str, Any] = {} if layout in ("netflix", "fastcf") else {"rating": False, "timestamp": False}
    log = read_log(path, format="delimited" if layout == "delimited" else "auto", **unread, **options)
    return Pairs(log.users, log.items, log.left_out)
