"""The noise of ratings in Gibbs sampling: one variance, or one per user around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["Noise"]

_FREEDOM = np.geomspace(0.5, 512, 81)  # values of ν


@dataclass
class Noise:
    r"""Rating noise: variance ``1/(α α_u)``, ``α ~ Gamma(½, rate ½)``, ``α_u ~ Gamma(ν/2, rate ν/2)``, log ν uniform.

    Users differ in how predictable they are. With one variance for all, factors explain the noise of the others (B.
    Lakshminarayanan, G. Bouchard and C. Archambeau, "Robust Bayesian matrix factorisation", AISTATS 2011).

    Attributes
    ----------
    precision : float
        α.
    users : ndarray of shape (n_users,), float64
        α_u, around 1.
    freedom : float
        ν; large where users are alike.
    by_user : bool
        Whether users differ; else all α_u are 1.
    """

    precision: float
    users: NDArray[np.float64]
    by_user: bool
    freedom: float = 8.0

    def weights(self, users: NDArray[np.int32], weights: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Return the weights of ratings, times the α_u of their users."""
        if not self.by_user:
            return weights
        own: NDArray[np.float32] = self.users.astype(np.float32)[users]
        return own if weights is None else own * weights

    def draw(self, squared_errors: NDArray[np.float64], counts: NDArray[np.int64], random: np.random.Generator) -> None:
        """Draw α_u, ν and α given the users' weighted sums of squared errors and numbers of ratings."""
        if self.by_user:
            half = 0.5 * self.freedom
            users = random.gamma(half + 0.5 * counts, 1 / (half + 0.5 * self.precision * squared_errors))
            self.users = np.maximum(users, np.finfo(np.float32).tiny)
            halves = 0.5 * _FREEDOM
            logs = self.users.size * (halves * np.log(halves) - gammaln(halves))
            logs += halves * float(np.sum(np.log(self.users) - self.users))
            shares = np.cumsum(np.exp(logs - logs.max()))
            self.freedom = float(_FREEDOM[np.searchsorted(shares, random.random() * shares[-1])])
        total = float(self.users @ squared_errors)
        self.precision = float(random.gamma(0.5 * (1 + counts.sum()), 2.0 / (1 + total)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to continue from."""
        return {"noise_precision": np.array(self.precision), "noise_users": self.users.copy(),
                "noise_freedom": np.array(self.freedom)}  # fmt: skip

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self.precision, self.freedom = float(arrays["noise_precision"]), float(arrays["noise_freedom"])
        self.users = arrays["noise_users"].copy()
