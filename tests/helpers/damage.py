"""Archives with something in them changed, for tests of what is believed of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fastcf.serialization import Archive

__all__ = ["damaged"]

ODD = [None, True, -1, 0, 3, 2**40, 1.5, float("nan"), "x", "", [], [1], {}, {"library": "usearch"}]
NUMBERS = [-2, -1, 0, 1, 2, 7, 60, 2**31 - 1]


def damaged(archive: Archive, draw: Callable[[Any], Any]) -> Archive:
    """Return an archive with one thing in it, or in one of its parts, changed, cut, doubled or left out."""
    if archive.parts and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(archive.parts)))
        parts = {each: part for each, part in archive.parts.items() if each != name}
        if draw(st.integers(0, 4)):
            parts[name] = damaged(archive.parts[name], draw)
        return replace(archive, parts=parts)
    field = draw(st.sampled_from([name for name in ("arrays", "params", "meta") if getattr(archive, name)]))
    values = dict(getattr(archive, field))
    name = draw(st.sampled_from(sorted(values)))
    if field != "arrays":
        values[name] = draw(st.sampled_from(ODD))
        return replace(archive, **{field: values})
    array, how = values[name], draw(st.integers(0, 9))
    if how == 0 or not isinstance(array, np.ndarray) or array.size == 0:
        del values[name]
    elif how == 1 and array.ndim:
        values[name] = draw(st.sampled_from([array[:-1], np.concatenate([array, array])]))
    else:
        changed = np.array(array)
        numbers = [each for each in NUMBERS if 0 <= each < 256] if array.dtype.kind in "bu" else NUMBERS
        changed.reshape(-1)[draw(st.integers(0, changed.size - 1))] = draw(st.sampled_from(numbers))
        values[name] = changed
    return replace(archive, arrays=values)
