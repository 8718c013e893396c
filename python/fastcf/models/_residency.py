"""Item factors that stay on the device from one call to the next."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResidencyMixin"]


class _Kept(NamedTuple):
    source: NDArray[np.float32]
    array: Any  # a DeviceArray


# Beside the models, so that they can be copied, pickled and saved meanwhile.
_kept: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()


class ResidencyMixin:
    """A model whose item factors can wait on the GPU for recommendations."""

    item_factors_: NDArray[np.float32]
    device_: str
    _native: Any
    _require_fitted: Any

    @contextlib.contextmanager
    def on_device(self) -> Iterator[None]:
        """Keep the item factors on the GPU while a ``with`` block runs, for many calls of :meth:`recommend`.

        Otherwise each call uploads them. On a CPU nothing happens.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Notes
        -----
        4 bytes of the GPU's memory per factor. A model that is fitted again in the block is seen as it is then; a
        change of ``item_factors_`` in place is not seen before the block ends.

        Examples
        --------
        >>> import fastcf
        >>> model = fastcf.MatrixFactorization(n_factors=4).fit(fastcf.data.make_ratings(50, 30, 500, random_state=0))
        >>> with model.on_device():
        ...     lists = [model.recommend(user, n=3).items for user in (0, 1)]
        """
        self._require_fitted("on_device")
        if self.device_ == "cpu" or not hasattr(self, "item_factors_"):  # a blend has those of its members
            yield
            return
        before = _kept.get(self)
        _kept[self] = _Kept(self.item_factors_, self._native.DeviceArray(np.ascontiguousarray(self.item_factors_)))
        try:
            yield
        finally:
            if before is None:
                del _kept[self]
            else:
                _kept[self] = before

    @property
    def _item_table(self) -> Any:
        """The item factors, where they are."""
        kept = _kept.get(self)
        return self.item_factors_ if kept is None or kept.source is not self.item_factors_ else kept.array
