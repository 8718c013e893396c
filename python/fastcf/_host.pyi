"""What only the host has, csrc/bind/host. Shapes and bounds are re-checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def merge_candidates(
    list_indptr: NDArray[np.int64],
    list_items: NDArray[np.int32],
    list_scores: NDArray[np.float32] | None,
    user_indptr: NDArray[np.int64],
    user_lists: NDArray[np.int32],
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    limit: int = -1,
    n_threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32] | None, NDArray[np.uint64]]: ...
def top_candidates(
    indptr: NDArray[np.int64], scores: NDArray[np.float32], n: int, n_threads: int = 0
) -> NDArray[np.int64]: ...
def within_quotas(
    items: NDArray[np.int32], indptr: NDArray[np.int64], categories: NDArray[np.int32], most: NDArray[np.int64], n: int
) -> NDArray[np.int64]: ...
def feature_effects(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    column_factors: NDArray[np.float32],
    feature_indptr: NDArray[np.int64],
    feature_rows: NDArray[np.int32],
    feature_values: NDArray[np.float32],
    effects: NDArray[np.float32],
    residuals: NDArray[np.float32],
    factors: NDArray[np.float32],
    bias: NDArray[np.float32] | None = None,
    *,
    weights: NDArray[np.float32] | None = None,
    precision: float = 1.0,
    prior: NDArray[np.float32],
    noise: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> None: ...
def list_measures(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    gains: NDArray[np.float32],
    lengths: NDArray[np.int64],
    n_threads: int = 0,
) -> tuple[NDArray[np.float64], int]: ...
def perceptron_layout(layers: Sequence[int], bias: bool) -> tuple[int, list[int], list[int]]: ...
def perceptron_gradient(
    features: NDArray[np.floating[Any]],
    items: NDArray[np.int32],
    ratings: NDArray[np.floating[Any]],
    parameters: NDArray[np.floating[Any]],
    gradient: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
    *,
    layers: Sequence[int],
    activation: str,
    bias: bool,
    levels: Sequence[float],
    reg: float = 0.0,
) -> float: ...
def perceptron_predict(
    parameters: NDArray[np.float32],
    features: NDArray[np.float32],
    networks: NDArray[np.int32],
    indptr: NDArray[np.int64] | None = None,
    items: NDArray[np.int32] | None = None,
    *,
    layers: Sequence[int],
    activation: str,
    bias: bool,
    levels: Sequence[float],
    n_threads: int = 0,
) -> NDArray[np.float32]: ...

class PerceptronTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        features: NDArray[np.float32],
        keys: NDArray[np.uint64],
        *,
        weights: NDArray[np.float32] | None = None,
        layers: Sequence[int],
        activation: str,
        bias: bool,
        levels: Sequence[float],
        reg: float,
        optimizer: str,
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        batch_size: int,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def draw_parameters(self, low: NDArray[np.float32], high: NDArray[np.float32]) -> None: ...
    def epoch(self, learning_rate: float) -> tuple[float, float]: ...
    def predict(
        self,
        networks: NDArray[np.int32],
        indptr: NDArray[np.int64] | None = None,
        items: NDArray[np.int32] | None = None,
    ) -> NDArray[np.float32]: ...
    def set_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def get_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

def regress_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    features: NDArray[np.float32] | tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    weights: NDArray[np.float32],
    intercept: NDArray[np.float32],
    *,
    sample_weights: NDArray[np.float32] | None = None,
    cost: str = "squared",
    solver: str = "exact",
    reg: float = 1.0,
    fit_intercept: bool = True,
    max_iterations: int = 100,
    tolerance: float = 1e-08,
    n_threads: int = 0,
) -> dict[str, Any]: ...
